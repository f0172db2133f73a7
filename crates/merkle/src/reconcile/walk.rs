//! The machine: a message in, a message and findings out.

use alloc::vec::Vec;

use super::backlog::{Backlog, Deferred};
use super::message::{self, Header, Part, Place, VERSION, write_header};
use super::open::Pace;
use super::salted::{RangeRef, Salted};
use super::spoken::{Named, Spoken, Summed};
use super::turn::{Open, Reads, Reply, Turn, malformed};
use super::{Limits, Stats, Step, WalkError};
use crate::{KeyRange, MAX_LEVEL, Source};

/// One side of a reconciliation of two sets of items over one range of keys.
///
/// Both sides make one with the same salt and range, under the same
/// [`DigestKey`](crate::DigestKey). One of them [`start`](Self::start)s; then messages go to and
/// fro through [`handle`](Self::handle) until both [are done](Self::is_done). What differs comes
/// out as [`Finding`](super::Finding)s, on either side, while the walk goes on.
///
/// ```
/// use syncline_merkle::{DigestKey, KeyRange, MemoryTree};
/// use syncline_merkle::reconcile::{Finding, Limits, Walk};
///
/// let mut here = MemoryTree::new(DigestKey::derive(&[7; 32]));
/// for n in 0..10_000u32 {
///     here.insert(&n.to_be_bytes(), b"value");
/// }
/// let mut there = here.clone();
/// there.remove(&4242u32.to_be_bytes());
///
/// let salt = *b"fresh and random";
/// let mut ours = Walk::new(salt, KeyRange::ALL, Limits::default());
/// let mut theirs = Walk::new(salt, KeyRange::ALL, Limits::default());
/// let mut message = Some(ours.start(&here)?);
/// let mut found = Vec::new();
/// while let Some(bytes) = message {
///     let step = theirs.handle(&there, &bytes)?;
///     assert!(step.findings.is_empty(), "they lack nothing that they know of");
///     message = match step.reply {
///         Some(bytes) => {
///             let step = ours.handle(&here, &bytes)?;
///             found.extend(step.findings);
///             step.reply
///         }
///         None => None,
///     };
/// }
/// assert!(ours.is_done() && theirs.is_done());
/// assert_eq!(found, [Finding::OnlyHere { keys: vec![4242u32.to_be_bytes().to_vec()] }]);
/// # Ok::<(), syncline_merkle::reconcile::WalkError<core::convert::Infallible>>(())
/// ```
#[derive(Debug)]
pub struct Walk {
    salted: Salted,
    range: KeyRange,
    limits: Limits,
    /// How many messages have been exchanged.
    turn: u64,
    state: State,
    spoken: Spoken,
    backlog: Backlog,
    /// Differences expected altogether, before anything was compared.
    expected: u64,
    stats: Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waiting for a message, the first one included.
    Listening,
    Done,
    Failed,
}

impl Walk {
    /// One side of a walk over `range`. Both sides need the same salt, fresh and random for each
    /// walk, and the same range; limits are each side's own.
    pub fn new(salt: [u8; 16], range: KeyRange, limits: Limits) -> Self {
        Self::with(Salted::new(&salt), range, limits)
    }

    pub(super) fn with(salted: Salted, range: KeyRange, limits: Limits) -> Self {
        Self {
            salted,
            spoken: Spoken::beginning(range.clone()),
            range,
            limits,
            turn: 0,
            state: State::Listening,
            backlog: Backlog::default(),
            expected: 0,
            stats: Stats::default(),
        }
    }

    /// Tells the walk about how many differences to expect, which may save it a message. A wrong
    /// guess costs bytes and nothing else.
    pub fn expect(&mut self, differences: u64) {
        self.expected = differences;
    }

    /// Begins the walk: the first message.
    ///
    /// # Errors
    /// [`WalkError::Source`], and [`WalkError::Over`] if this walk has begun already.
    pub fn start<S: Source>(&mut self, source: &S) -> Result<Vec<u8>, WalkError<S::Error>> {
        if self.turn > 0 || self.state != State::Listening {
            return Err(WalkError::Over);
        }
        self.state = State::Failed;
        let mut turn = Turn {
            salted: &self.salted,
            limits: &self.limits,
            source: Reads::new(source),
            backlog: &mut self.backlog,
            stats: &mut self.stats,
            findings: Vec::new(),
            reply: Reply::default(),
        };
        let digest = turn.source.digest(&self.range)?;
        let first = Open {
            place: Place::Listed { first: 0, len: 1 },
            range: self.range.clone(),
            digest,
            theirs: None,
            below: MAX_LEVEL + 1,
            density: self.expected as f64 / digest.count().max(1) as f64,
        };
        turn.open_at(Pace::FIRST, first)?;
        turn.take_up_deferred()?;
        turn.stats.items_read += turn.source.spent;
        let reply = turn.reply;
        Ok(self.speak(reply))
    }

    /// Answers a message of the peer.
    ///
    /// All reads of one call should see one state of the source. Findings are statements as of this
    /// call about what the peer held when it wrote its message; they may be acted on at once.
    ///
    /// # Errors
    /// [`WalkError::Source`] if a read failed, anything else if the peer's message is none, or not
    /// the one whose turn it is. After an error the walk is over; what it had found before stays
    /// true.
    pub fn handle<S: Source>(
        &mut self,
        source: &S,
        message: &[u8],
    ) -> Result<Step, WalkError<S::Error>> {
        if self.state != State::Listening {
            return Err(WalkError::Over);
        }
        self.state = State::Failed;
        if message.len() > self.limits.message_max {
            let (len, max) = (message.len(), self.limits.message_max);
            return Err(WalkError::TooLong { len, max });
        }
        let mut reader = message::Reader::new(message, self.limits.message_max);
        let version = reader.version().map_err(malformed)?;
        if version != VERSION {
            return Err(WalkError::Version { got: version });
        }
        let header = reader.header().map_err(malformed)?;
        if header.turn != self.turn {
            return Err(WalkError::OutOfTurn {
                got: header.turn,
                expected: self.turn,
            });
        }
        self.turn += 1;
        self.stats.messages_received += 1;
        self.stats.bytes_received += message.len() as u64;

        let mut turn = Turn {
            salted: &self.salted,
            limits: &self.limits,
            source: Reads::new(source),
            backlog: &mut self.backlog,
            stats: &mut self.stats,
            findings: Vec::new(),
            reply: Reply::default(),
        };
        let mut places = 0;
        let mut parts = 0u64;
        while let Some((place, part)) = reader.part().map_err(malformed)? {
            let first = places;
            places += part.places();
            parts += 1;
            turn.hear(&self.range, &self.spoken, place, part, first)?;
        }
        if header.more && parts == 0 {
            return Err(malformed("it keeps ranges back and says nothing"));
        }
        turn.take_up_deferred()?;
        turn.stats.items_read += turn.source.spent;
        let (reply, findings) = (turn.reply, turn.findings);

        // Nothing said and nothing to say: that was the last message. A side with nothing to say
        // says so once, so that the other knows.
        let silent = reply.parts.is_empty();
        if silent && parts == 0 {
            self.state = State::Done;
            return Ok(Step {
                reply: None,
                findings,
            });
        }
        let reply = self.speak(reply);
        if silent && !header.more {
            self.state = State::Done;
        }
        Ok(Step {
            reply: Some(reply),
            findings,
        })
    }

    /// Ends our turn.
    fn speak(&mut self, reply: Reply) -> Vec<u8> {
        let header = Header {
            turn: self.turn,
            more: !self.backlog.is_empty(),
        };
        let mut message = Vec::with_capacity(12 + reply.parts.len());
        write_header(&mut message, header);
        message.extend_from_slice(&reply.parts);
        self.turn += 1;
        self.spoken = reply.spoken;
        self.state = State::Listening;
        self.stats.messages_sent += 1;
        self.stats.bytes_sent += message.len() as u64;
        message
    }

    /// Whether both sides have nothing open any more. The walk is then over, but it agrees with a
    /// fresh comparison of the two [`digest`](Source::digest)s only if nothing was left
    /// [`unsettled`](Self::unsettled), everything found was acted on, and nothing was written
    /// meanwhile.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many ranges this side gave up on because fingerprints coincided. Another walk, with
    /// another salt, settles them.
    pub fn unsettled(&self) -> u64 {
        self.stats.unsettled
    }

    /// Bytes of memory that are kept from one turn to the next, about.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.spoken.weight() + self.backlog.weight()
    }

    /// What this side did so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

impl<S: Source> Turn<'_, S> {
    /// Takes one statement of the peer, whose own places begin at `first`.
    fn hear(
        &mut self,
        whole: &KeyRange,
        spoken: &Spoken,
        place: Place,
        part: Part<'_>,
        first: u64,
    ) -> Result<(), WalkError<S::Error>> {
        let named = match &place {
            Place::Listed { first, len } => spoken.name(*first, *len).map_err(malformed)?,
            Place::Bounds(range) if whole.covers(range) => {
                // Of a range that the peer had put off we do not know what was tried in it.
                Named::Children {
                    range: RangeRef::of(range),
                    level: 1,
                }
            }
            Place::Bounds(_) => return Err(malformed("a range lies outside the walk's")),
        };
        let range = named.range().to_owned();
        // The place of a statement that lists no children is itself.
        let itself = Place::Listed { first, len: 1 };
        match (named, part) {
            (Named::Items { width, lows, .. }, Part::Answer(answer)) => {
                self.on_answer(range, width, lows, answer)
            }
            (Named::Items { width, lows, .. }, Part::Inquire(inquire)) => {
                self.on_inquire(range, &itself, width, lows, &inquire)
            }
            (Named::Items { .. }, Part::Echo(echo)) => self.on_wish(range, itself, &echo),
            (Named::Items { .. }, Part::Items(items)) => self.on_items(range, itself, &items),
            (Named::Inquired(_), Part::Tell(tell)) => self.on_tell(range, tell),
            (Named::Inquired(_), Part::Items(items)) => self.on_items(range, itself, &items),
            (
                Named::Sum {
                    form: Summed::Mixed,
                    ..
                },
                Part::Explain(explain),
            )
            | (Named::Echo { mixed: true, .. }, Part::Explain(explain))
            | (Named::Suspect(_), Part::Explain(explain)) => self.on_explain(range, explain),
            (Named::Sum { below, form, .. }, Part::Echo(echo)) => {
                self.on_echo(range, below, form, first, &echo)
            }
            (Named::Items { .. } | Named::Inquired(_), _)
            | (_, Part::Answer(_) | Part::Inquire(_) | Part::Tell(_))
            | (_, Part::Explain(_) | Part::Echo(_)) => {
                Err(malformed("a statement does not fit what it answers"))
            }
            (_, Part::Split(split)) => self.on_split(range, first, &split),
            (named, Part::Sum(sum)) => self.on_sum(range, named.below(), itself, &sum),
            (_, Part::Items(items)) => self.on_items(range, itself, &items),
        }
    }

    /// Goes on with ranges that were kept back, as far as they fit; with one of them in any case,
    /// so that no turn passes in which nothing is said while something is open.
    fn take_up_deferred(&mut self) -> Result<(), WalkError<S::Error>> {
        while (self.reply.parts.is_empty() || !self.is_full())
            && let Some(Deferred {
                range,
                below,
                theirs,
                density,
            }) = self.backlog.pop()
        {
            let digest = self.source.digest(&range)?;
            let place = Place::Bounds(range.clone());
            let open = Open {
                place,
                range,
                digest,
                theirs,
                below,
                density,
            };
            self.open_at(Pace::INNER, open)?;
        }
        Ok(())
    }
}
