//! What goes out and what came in: frames ready to be sent, the flights, the counts.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use syncline_crdt::{Dot, Everything, Nothing, Row, RowKey, Seen};

use crate::error::SessionError;
use crate::frame::{Bytes, Frame, LENGTH_PREFIX, Purpose};
use crate::report::{Report, Traffic};
use crate::rows::{RowWriter, Tally};

/// A row whose payloads add up to more is sent in fragments, a payload each. One payload always fits a frame; whether it
/// does so beside the rows before it is nobody's guess.
const FRAGMENTED: usize = 1 << 20;

/// One direction out, one direction in.
#[derive(Debug, Default)]
pub(super) struct Wire {
    due: VecDeque<Parcel>,
    /// The greatest flight received.
    received: u32,
    /// The greatest flight sent.
    sent: u32,
    /// Frames sent and received that may have something done about them: all but roots and the closing message of the
    /// walk. By them, a root is known to be the last word.
    pub(super) frames_sent: u64,
    pub(super) frames_received: u64,
    pub(super) report: Report,
}

/// Something to send.
#[derive(Debug)]
enum Parcel {
    Frame {
        flight: u32,
        class: Class,
        counted: bool,
        bytes: Vec<u8>,
    },
    /// A large row, last payload first. Each becomes a frame only when it is sent.
    Fragments {
        flight: u32,
        key: RowKey,
        rows: Vec<Row>,
    },
}

/// What a frame is counted as.
#[derive(Clone, Copy, Debug)]
enum Class {
    Hello,
    Context,
    Rows,
    Digests,
    Sketch,
    Control,
}

impl Class {
    const fn of(frame: &Frame<'_>) -> Self {
        match frame {
            Frame::Hello(_) | Frame::Carrier(..) | Frame::Roster(..) => Self::Hello,
            Frame::Context(_) => Self::Context,
            Frame::Rows(..) | Frame::Fragment(..) | Frame::RangeRemoved(_) => Self::Rows,
            Frame::Walk(_) => Self::Digests,
            Frame::Symbols(_) | Frame::MoreSymbols(_) | Frame::Dropped(_) => Self::Sketch,
            Frame::Want(..)
            | Frame::End(_)
            | Frame::Root(..)
            | Frame::Refuse(_)
            | Frame::Working => Self::Control,
        }
    }

    fn count(self, bytes: usize, traffic: &mut Traffic) {
        let counter = match self {
            Self::Hello => &mut traffic.hello,
            Self::Context => &mut traffic.context,
            Self::Rows => &mut traffic.rows,
            Self::Digests => &mut traffic.digests,
            Self::Sketch => &mut traffic.sketch,
            Self::Control => &mut traffic.control,
        };
        *counter += (bytes + LENGTH_PREFIX) as u64;
    }
}

impl Wire {
    /// The flight of a frame that becomes due now: one more than the greatest received.
    pub(super) fn next_flight(&self) -> u32 {
        self.received + 1
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty()
    }

    /// Queues a frame.
    pub(super) fn send(&mut self, flight: u32, frame: &Frame<'_>) {
        self.queue(flight, frame, !matches!(frame, Frame::Root(..)));
    }

    /// Queues a frame about which the peer will have nothing to do.
    pub(super) fn send_uncounted(&mut self, flight: u32, frame: &Frame<'_>) {
        self.queue(flight, frame, false);
    }

    fn queue(&mut self, flight: u32, frame: &Frame<'_>, counted: bool) {
        self.due.push_back(Parcel::Frame {
            flight,
            class: Class::of(frame),
            counted,
            bytes: frame.encode(flight),
        });
    }

    /// The next frame to send, encoded.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let (flight, class, counted, bytes) = match self.due.pop_front()? {
            Parcel::Frame {
                flight,
                class,
                counted,
                bytes,
            } => (flight, class, counted, bytes),
            Parcel::Fragments {
                flight,
                key,
                mut rows,
            } => {
                let row = rows.pop()?;
                let mut writer = RowWriter::default();
                writer.push(&key, &row, &Nothing);
                let frame = Frame::Fragment(rows.is_empty(), Bytes(writer.bytes()));
                let (class, bytes) = (Class::of(&frame), frame.encode(flight));
                if !rows.is_empty() {
                    self.due.push_front(Parcel::Fragments { flight, key, rows });
                }
                (flight, class, true, bytes)
            }
        };
        self.sent = self.sent.max(flight);
        self.report.flights = self.report.flights.max(flight);
        self.frames_sent += u64::from(counted);
        class.count(bytes.len(), &mut self.report.sent);
        Some(bytes)
    }

    /// Reads a frame and counts it.
    pub(super) fn receive<'a>(&mut self, bytes: &'a [u8]) -> Result<Frame<'a>, SessionError> {
        let (flight, frame) = Frame::decode(bytes)?;
        let class = Class::of(&frame);
        class.count(bytes.len(), &mut self.report.received);
        if matches!(frame, Frame::Refuse(_)) {
            return Ok(frame);
        }
        // An honest frame answers, at the latest, the last that we sent.
        if flight == 0 || flight > self.sent.saturating_add(1) {
            return Err(SessionError::Malformed("its flight cannot be"));
        }
        self.received = self.received.max(flight);
        self.report.flights = self.report.flights.max(flight);
        self.frames_received += u64::from(!matches!(frame, Frame::Root(..)));
        Ok(frame)
    }

    /// The frame just received asks for nothing after all.
    pub(super) fn uncount_received(&mut self) {
        self.frames_received -= 1;
    }

    pub(super) fn count_rows_received(&mut self, tally: Tally) {
        self.report.rows_received += tally.rows;
        self.report.user_bytes_received += tally.user_bytes;
    }

    fn count_rows_sent(&mut self, tally: Tally) {
        self.report.rows_sent += tally.rows;
        self.report.user_bytes_sent += tally.user_bytes;
    }
}

/// Rows on their way into frames.
pub(super) struct Shipment<'w> {
    wire: &'w mut Wire,
    flight: u32,
    writer: RowWriter,
    /// What the rows in the writer take in the store.
    size: usize,
}

impl<'w> Shipment<'w> {
    /// Rows that go out in this flight.
    pub(super) fn new(wire: &'w mut Wire, flight: u32) -> Self {
        Self {
            wire,
            flight,
            writer: RowWriter::default(),
            size: 0,
        }
    }

    /// Adds a row, of which the receiver has seen the dots that `known` has.
    pub(super) fn push(&mut self, key: &RowKey, row: Row, known: &impl Seen) {
        let unknown = |dot: &Dot| !known.contains(dot);
        let payloads = row.iter().filter(|sibling| unknown(&sibling.dot));
        let payloads = payloads.map(|sibling| sibling.payload.len());
        let size: usize = payloads.clone().sum();
        self.size += key.as_bytes().len() + size;
        if size <= FRAGMENTED {
            self.writer.push(key, &row, known);
            return;
        }
        // The fragments overtake the frame that is being filled. They add siblings and say nothing of other rows, so
        // they may.
        self.wire.count_rows_sent(Tally::of(key, payloads));
        self.writer.push(key, &row, &Everything);
        let rows = row
            .into_iter()
            .rev()
            .filter(|sibling| unknown(&sibling.dot))
            .map(|sibling| Row::one(sibling.dot, sibling.stamp, sibling.payload));
        self.wire.due.push_back(Parcel::Fragments {
            flight: self.flight,
            key: key.clone(),
            rows: rows.collect(),
        });
    }

    /// What the rows added so far take in the store.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Sends the rows that wait, if any.
    pub(super) fn flush(&mut self, purpose: Purpose) {
        if !self.writer.is_empty() {
            self.flush_even_if_empty(purpose);
        }
    }

    /// Sends the rows that wait; that there are none says something too.
    pub(super) fn flush_even_if_empty(&mut self, purpose: Purpose) {
        let writer = core::mem::take(&mut self.writer);
        self.wire.count_rows_sent(writer.tally());
        let frame = Frame::Rows(purpose, Bytes(writer.bytes()));
        self.wire.send(self.flight, &frame);
    }
}
