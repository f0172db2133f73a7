//! Frames over a QUIC stream: four bytes of length, little-endian, then that many bytes.
//!
//! A length is checked before a byte is allocated for it, and a frame's buffer grows with the bytes
//! that really arrived, so that a peer that announces much has gained nothing yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::time::timeout;

use super::connection::Connection;
use super::limits::Limits;
use super::lost::Lost;
use crate::frame::LENGTH_PREFIX;

/// What a frame's buffer starts with at most; the rest follows what arrives.
const FIRST_ALLOCATION: usize = 64 << 10;

/// Why a stream was given up, as told to the peer in the reset.
const ABANDONED: VarInt = VarInt::from_u32(1);

/// What went wrong with the stream under a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The peer announced a frame beyond the bound. Nothing was allocated for it.
    #[error(
        "the peer announced a frame of {length} bytes, the bound is {bound}; it runs other software, or is broken"
    )]
    Oversized {
        /// The length announced.
        length: u64,
        /// The greatest allowed.
        bound: usize,
    },
    /// The stream ended inside of a frame.
    #[error("the peer's stream ended in the middle of a frame; sync again")]
    Truncated,
    /// A frame that had begun was not complete in time: the peer stopped sending, or taking what we
    /// send.
    #[error("a frame of {length} bytes was not {} within {seconds} s; the peer hangs, or the network is too slow for the limits", if *.sending { "taken by the peer" } else { "received" })]
    Stalled {
        /// Whether it was we who sent.
        sending: bool,
        /// The frame's length.
        length: usize,
        /// The time it was allowed.
        seconds: u64,
    },
    /// The peer has as many of our sessions on this connection as it allows, and none of them
    /// ended.
    #[error(
        "the peer allowed no further session on this connection within {seconds} s; wait for others to end, or connect once more"
    )]
    NoStream {
        /// How long we waited.
        seconds: u64,
    },
    /// The peer gave the session up.
    #[error("the peer gave the session up; its log says why")]
    Abandoned,
    /// The connection under the stream is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl From<ReadError> for StreamError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Self::Lost(error.into()),
            // Ordered reads of a stream that nobody stopped: the others cannot come up.
            ReadError::Reset(_)
            | ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => Self::Abandoned,
        }
    }
}

impl From<WriteError> for StreamError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Self::Lost(error.into()),
            WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                Self::Abandoned
            }
        }
    }
}

/// Counts the bytes that a session's peer has sent, for whoever watches that it does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<AtomicU64>);

impl Arrivals {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The receiving half. Dropped early, it tells the peer to stop sending.
#[derive(Debug)]
pub(crate) struct FrameReader {
    stream: RecvStream,
    bound: usize,
    limits: Limits,
    arrivals: Arrivals,
}

impl FrameReader {
    /// `bound` is the greatest frame accepted, without its prefix.
    pub(crate) fn new(stream: RecvStream, bound: usize, limits: Limits) -> Self {
        Self {
            stream,
            bound,
            limits,
            arrivals: Arrivals::default(),
        }
    }

    /// Accepts other frames from now on.
    pub(crate) fn accept_up_to(&mut self, bound: usize) {
        self.bound = bound;
    }

    pub(crate) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }

    /// The next frame, without its prefix; `None` where the peer ended its stream between two
    /// frames.
    ///
    /// Waits for a frame's first byte as long as it takes; from there on the frame has its time.
    /// Not cancellation safe: an abandoned call loses the part of the frame it had read.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        let mut prefix = [0; LENGTH_PREFIX];
        let mut have = self.read(&mut prefix).await?;
        if have == 0 {
            return Ok(None);
        }
        let time = self.limits.frame_time(LENGTH_PREFIX);
        timeout(time, async {
            while have < LENGTH_PREFIX {
                match self.read(&mut prefix[have..]).await? {
                    0 => return Err(StreamError::Truncated),
                    more => have += more,
                }
            }
            Ok(())
        })
        .await
        .map_err(|_| stalled(false, LENGTH_PREFIX, time))??;

        let length = u32::from_le_bytes(prefix) as usize;
        if length > self.bound {
            return Err(StreamError::Oversized {
                length: length as u64,
                bound: self.bound,
            });
        }
        let time = self.limits.frame_time(length);
        timeout(time, self.body(length))
            .await
            .map_err(|_| stalled(false, length, time))?
            .map(Some)
    }

    /// Zero at the end of the stream.
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, StreamError> {
        let read = self.stream.read(into).await?.unwrap_or(0);
        self.arrivals.add(read);
        Ok(read)
    }

    async fn body(&mut self, length: usize) -> Result<Vec<u8>, StreamError> {
        let mut frame = Vec::with_capacity(length.min(FIRST_ALLOCATION));
        while frame.len() < length {
            let missing = length - frame.len();
            let chunk = self
                .stream
                .read_chunk(missing, true)
                .await?
                .ok_or(StreamError::Truncated)?;
            self.arrivals.add(chunk.bytes.len());
            frame.extend_from_slice(&chunk.bytes);
        }
        Ok(frame)
    }
}

/// The sending half. Dropped before [`FrameWriter::finish`] it resets the stream, so that the peer
/// cannot take an end that was cut short for a regular one.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    stream: SendStream,
    connection: Connection,
    /// Whether frames wait until they are admitted.
    paced: bool,
    finished: bool,
}

impl FrameWriter {
    /// For a session, whose frames wait for their time if there is somebody to say when that is.
    pub(crate) fn new(stream: SendStream, connection: Connection) -> Self {
        Self {
            stream,
            connection,
            paced: true,
            finished: false,
        }
    }

    /// For whoever knows the time by himself.
    pub(crate) fn unpaced(mut self) -> Self {
        self.paced = false;
        self
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Hands a frame to the transport, its length before it; waits while the peer takes no more.
    pub(crate) async fn write(&mut self, frame: &[u8]) -> Result<(), StreamError> {
        let length = u32::try_from(frame.len()).expect("frames are bounded far below 4 GiB");
        let limits = self.connection.limits();
        if let Some(pacer) = limits.pacer.as_ref().filter(|_| self.paced) {
            pacer.admit(self.connection.peer(), frame.len()).await;
        }
        let time = limits.frame_time(frame.len());
        timeout(time, async {
            self.stream.write_all(&length.to_le_bytes()).await?;
            self.stream.write_all(frame).await
        })
        .await
        .map_err(|_| stalled(true, frame.len(), time))?
        .map_err(StreamError::from)
    }

    /// Ends the stream. The connection stays open until the peer's transport has all of it, whoever
    /// drops or closes it.
    pub(crate) fn finish(mut self) {
        // The only failure is to have finished or reset before, and this consumes the writer.
        self.finished = self.stream.finish().is_ok();
        let acknowledged = self.stream.stopped();
        let connection = self.connection.clone();
        let ending = connection.ending();
        tokio::spawn(async move {
            let limit = connection.limits().stall;
            if !matches!(timeout(limit, acknowledged).await, Ok(Ok(_))) {
                tracing::debug!(peer = %connection.peer(), "the end of a stream was not acknowledged");
            }
            drop(ending);
        });
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        if !self.finished {
            // A stream that is already closed needs no reset.
            let _closed = self.stream.reset(ABANDONED);
        }
    }
}

fn stalled(sending: bool, length: usize, time: Duration) -> StreamError {
    StreamError::Stalled {
        sending,
        length,
        seconds: time.as_secs(),
    }
}
