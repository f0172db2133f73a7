//! Reconciliation: two sides find what differs between them by walking down their range digests.
//!
//! A [`Walk`] is a pure state machine, one on each side. A message goes in; a message and
//! [`Finding`]s come out. It knows nothing of networks, of clocks, or of what items mean; what to
//! do about a finding is the application's affair, and so is carrying the items themselves.
//!
//! # Turns and ranges
//!
//! The sides take strict turns, one message each. A message is a list of *statements*, each about
//! one range of keys. Every range that is not settled is *open* at exactly one side: the one that
//! owes the next statement about it. Making a statement hands the range, or the parts that it is
//! cut into, to the other side, which settles it, finds something in it, or makes the next
//! statement.
//!
//! Ranges are named by number wherever possible. Each statement lists places, and the answer counts
//! them (see [bytes](#bytes)); keys are sent only where no number will do. That works because both
//! sides cut their ranges at *fences*, keys chosen by their own hash, and so at the same keys,
//! without a word.
//!
//! # Statements
//!
//! | | says of a range | the answer is |
//! |---|---|---|
//! | `Split` | a digest of 40 bits of each sub-range between our fences of one level, and a tag of 24 bits of each fence | for each run of sub-ranges that differ, the next statement |
//! | `Sum` | what it holds: a count, and 128 bits of the sum of item digests. With a *mix*, a second sum, of another hash of each item; or with *hints*, one byte for each sub-range of level 1; or bare | nothing, where the difference can be told; else an `Echo`, a `Split` or `Items` |
//! | `Echo` | the same from the other side, in answer to a `Sum`; with the mix, or with the runs of sub-ranges whose hints disagree. Bare, it asks for `Items` | as for a `Sum`, but no `Echo` |
//! | `Explain` | that the difference was told: one item that the sender lacks, and descriptions of its own that the receiver lacks | none: the receiver has a finding |
//! | `Items` | the ids of all items, two bytes each or more, and their sum | nothing, if none of them is new: the rest is missing there; else an `Answer` or an `Inquire` |
//! | `Answer` | which of the listed items it lacks, and descriptions of its own that were not listed | none: the receiver has a finding |
//! | `Inquire` | which of the listed items it lacks, where it has too many of its own to describe | `Tell` |
//! | `Tell` | all items once more: ids of those that both hold, descriptions of the others | none: the receiver has a finding |
//!
//! The heart of it is *identification by subtraction*. Two sums over one range differ by the
//! digests of what only one side holds. If that is one, two or three items of ours, they are found
//! among our own rows without another word, because no other items of ours add up to the
//! difference; with a mix to check it by, one item that only the peer holds is found beside up to
//! two of ours, so that an overwritten item (one version here, one there) is told as well. Hints
//! say in which sub-ranges to look, so that few rows are read.
//!
//! Fences that only one side has (a fence is an item, and may be missing like any other) are
//! recognised by their tags, which are brought into line with ours by a longest common subsequence.
//! The sub-ranges on both sides of such a fence are taken together, so that bounds are always keys
//! that both sides know.
//!
//! # Why nothing false is concluded
//!
//! The short fingerprints (digests, tags, hints, ids) only ever *search*. Each can coincide by
//! chance. What is *concluded* rests on sums of 128 bits of keyed item digests, sealed with a hash
//! of the range's bounds:
//!
//! - An explanation is a set of items that accounts for the whole difference of two such sums. With
//!   a foreign item it has to agree with the 64 bits of the mixes besides, and the peer has to
//!   recognise the foreign item by 128 bits.
//! - "The rest is missing there" follows a listing only if the items recognised by their ids add up
//!   to the sum that the peer gave of *all* its items. After an `Answer` or a `Tell` the same is
//!   checked of the items that both are to hold.
//! - Suspected runs are looked at one by one only if they account for the difference of the whole
//!   range.
//! - Sums over different bounds have nothing in common, so if tags coincide and the sides speak of
//!   different ranges without knowing, no sum agrees.
//!
//! So a coincidence has one of two effects. A sub-range that differs looks equal (2⁻⁴⁰ for each one
//! that differs): its difference stays unfound. Or sums do not agree: the items are listed again by
//! eight-byte ids, and if even then they do not, the range is left [unsettled](Walk::unsettled) and
//! counted. Either way the digests of the whole range still differ after everything found was acted
//! on, which is how the application knows; another walk has another salt, under which other things
//! coincide.
//!
//! Items may be written between turns. A statement is about the moment at which it was made, and
//! each finding is true of the state in which the peer made the message that led to it. A statement
//! that writes have overtaken fits nothing any more, and leads to further statements or to an
//! unsettled range, not to a false finding.
//!
//! A peer that lies can lead to false findings: it is believed in what it says about its own items.
//! It cannot do harm to this side's memory or time: see [`Limits`].
//!
//! # Why it ends
//!
//! Each range goes down a ladder of finitely many rungs. A run of a split's children is split again
//! only at a lower level, of which there are twelve. A hinted sum leads to an echo at most, and
//! from there to splits of level 1 or to suspected runs; a sum with a mix leads to an echo at most,
//! then to a split of level 1 if there was none, then to items. Items lead to an answer, to the
//! widest ids once, or to `Inquire` and `Tell`; where these would be too long, to pieces short
//! enough. A run that no common fence divides reappears as a whole in the answer to its split, but
//! each time at a lower level, and is listed in the end, by the side that holds fewer items.
//!
//! A turn has bounds ([`Limits`]). What exceeds them is kept back and taken up in a later turn,
//! last in, first out, so that little is kept at a time. As long as anything is open, each message
//! makes at least one statement, and takes at least one of the peer's one rung down. A side with
//! nothing left says so in an empty message, and when both have, the walk is over. If what is kept
//! back takes too much memory, neighbouring ranges are merged with what lies between them: then
//! something may be looked at, and found, twice.
//!
//! # What it costs
//!
//! With *D* differences scattered over *n* items, the splits go down to where a sub-range holds a
//! difference or two. Which level that is, the share of children that differ tells: sizes are
//! geometric, so with λ differences per child a share of λ / (1 + λ) differs. Each level costs 8
//! bytes for each of about 16 children, in each range that is opened; then a difference costs a
//! hinted sum (20 bytes, and one for every 32 items) and about half of the time an echo (30 bytes).
//! Measured, with 1,000 scattered differences among 1,000,000 items: 63 to 88 bytes for each one
//! removed, 156 for each one overwritten (of which 70 tell key and version), 2.4 for each of a
//! contiguous thousand; 7 or 8 messages, the closing one included; some 200 items read per
//! difference on each side, independently of *n*. `cargo run --release --example walk_cost` prints
//! the figures for other sizes.
//!
//! Where more differs, listings take over: 2 bytes for each item of the leaves that differ. A side
//! that holds an eighth or less of what the other does lists, since everything else is then known
//! to be missing, at no cost.
//!
//! # Bytes
//!
//! ```text
//! message  = version:u8  turn:varint  more:u8(0|1)  part*          parts fill the message to its end
//! part     = head:u8  place  body
//! head     = kind (bits 0-2)  place (bits 3-4)  form (bits 5-6)     bit 7 is zero
//!
//! place 0  = the place that follows the last one named
//!       1  = skip:varint                                            one place, after skipping some
//!       2  = skip:varint  more:varint                               a run of 2 + more places
//!       3  = lower:bytes  upper                                     bounds in full
//! upper    = 0 | (1 + shared):varint  rest:bytes                    none, or front-coded on lower
//! bytes    = length:varint  byte*
//!
//! kind 0   Split    level:u8  count:varint  more:varint             2 + more children
//!                   digest:5  (tag:3 digest:5)*
//!      1   Sum      count:varint  sum:16                            by form:
//!                   0:  | 1: mix:8 | 2: n:varint hint:1*
//!      2   Echo     count:varint  sum:16                            by form:
//!                   0:  | 1: mix:8 | 2: run mix:8 | 3: n:varint suspect*
//!      3   Items    sum:16  n:varint  id*                           by form:
//!                   0: id:2 | 1: id:4 | 2: id:8
//!      4   Answer   matched:16  n:varint skip:varint*  n:varint described*
//!      5   Inquire  matched:16  n:varint skip:varint*
//!      6   Tell     sum:16  n:varint id:8*  n:varint described*
//!                   low:16*                                       one for each described
//!      7   Explain  theirs:16  n:varint described*
//!
//! run      = skip:varint  more:varint                               1 + more hinted children
//! suspect  = run  count:varint  sum:16  mix:8
//! described= shared:varint  rest:bytes  description:bytes           key front-coded as well
//! varint   = LEB128, at most 10 bytes, shortest form only
//! ```
//!
//! Fixed-width numbers are little-endian. `turn` counts messages from 0, `more` says that ranges
//! are kept back. A split lists a place for each child, an echo one for its range and one for each
//! run of suspects, sums, items and inquiries one each; `Answer`, `Tell` and `Explain` list none,
//! since nothing is left to be said. Before the first message the range of the walk is place 0.
//! Answers name places of the message they answer in ascending order, none twice.
//!
//! With *K* = BLAKE3's `derive_key("syncline-merkle v1: fingerprints of a walk", salt)`, and
//! `h(kind, …)` = BLAKE3 keyed with *K* over the kind's byte and what follows, cut to its first
//! bytes:
//!
//! ```text
//! bounds   = lower length:u64  lower  (0:u8 | 1:u8  upper length:u64  upper)
//! digest   = h(1, bounds, count:u64, sum:32)       5 bytes; the hint is the first of them
//! tag      = h(2, fence)                           3 bytes
//! seal     = h(3, bounds)                         16 bytes
//! id       = h(4, item digest:32)                  2, 4 or 8 bytes
//! mix      = h(5, low:16)                          8 bytes; added up modulo 2^64
//! low      = the first 16 bytes of an item digest
//! sum, matched, as sent = the sum of the lows + seal, modulo 2^128
//! ```

mod align;
mod answers;
mod backlog;
mod identify;
mod listings;
mod message;
mod open;
mod salted;
mod splits;
mod spoken;
mod sums;
#[cfg(test)]
mod tests;
mod turn;
mod walk;

pub use walk::Walk;

use alloc::vec::Vec;

use crate::KeyRange;

/// Something that differs.
///
/// Each finding is exact: what it says of the peer was true when the peer wrote the message that
/// led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The peer holds nothing at these keys, which are in order.
    OnlyHere {
        /// Keys of items here.
        keys: Vec<Vec<u8>>,
    },
    /// The peer holds nothing in the whole range. Perhaps millions of items lie in it here, so they
    /// are not listed.
    PeerEmpty {
        /// The range.
        range: KeyRange,
    },
    /// In one range each side holds items that the other lacks, perhaps at the same keys in other
    /// versions.
    Differ {
        /// Keys of items here that the peer does not hold as they are here. At those that are not
        /// among `theirs` it holds nothing.
        mine: Vec<Vec<u8>>,
        /// Keys of items that the peer holds and that are not here as they are there, each with its
        /// [description](crate::Source::describe).
        theirs: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

/// What a message led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The message to send. None only when the walk is over.
    pub reply: Option<Vec<u8>>,
    /// What was found by it.
    pub findings: Vec<Finding>,
}

/// Bounds on what one side sends, accepts, remembers and reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after which no further part is begun in a message. 256 KiB.
    pub message: usize,
    /// Bytes beyond which a message is refused. 1 MiB.
    pub message_max: usize,
    /// Bytes of keys remembered from one turn to the next, and as many for ranges kept back. 16
    /// MiB.
    pub memory: usize,
    /// Items and nodes read in one turn, after which no further part is answered. 2^21.
    pub reads: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 256 << 10,
            message_max: 1 << 20,
            memory: 16 << 20,
            reads: 1 << 21,
        }
    }
}

/// What one side of a walk did, in counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages made, the closing one included.
    pub messages_sent: u64,
    /// Messages taken.
    pub messages_received: u64,
    /// Bytes of the messages made.
    pub bytes_sent: u64,
    /// Bytes of the messages taken.
    pub bytes_received: u64,
    /// Ranges of the peer's messages that were compared with ours.
    pub ranges_compared: u64,
    /// Digests of sub-ranges said.
    pub digests_sent: u64,
    /// One-byte hints said.
    pub hints_sent: u64,
    /// Sums of ranges said.
    pub sums_sent: u64,
    /// Sums said in answer to sums.
    pub echoes_sent: u64,
    /// Items listed by their short ids.
    pub ids_sent: u64,
    /// Answers to listings.
    pub answers_sent: u64,
    /// Items described to the peer.
    pub described_sent: u64,
    /// Ranges whose difference was found by subtraction.
    pub explained: u64,
    /// Ranges kept back for a later turn.
    pub deferred: u64,
    /// Ranges kept back that were merged with a neighbour, because [`Limits::memory`] was full. What
    /// lies between them is looked at once more, and what was found there may be found again. While
    /// this is zero, nothing is found twice.
    pub merged: u64,
    /// Ranges given up on.
    pub unsettled: u64,
    /// Items and nodes read, roughly.
    pub items_read: u64,
}

/// Why a walk ended early. What it had found before stays true, and the next walk begins anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError<E> {
    /// The items could not be read.
    #[error("the items could not be read: {0}")]
    Source(E),
    /// The message does not follow the grammar, or does not fit what was said before.
    #[error("the peer's message makes no sense: {0}")]
    Malformed(&'static str),
    /// The message is longer than [`Limits::message_max`].
    #[error("the peer's message has {len} bytes, more than the {max} that are accepted")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The message is of another version of the protocol.
    #[error(
        "the peer's message is of version {got}, which this one does not speak; update the older side"
    )]
    Version {
        /// Its version.
        got: u8,
    },
    /// A message was lost, doubled or taken from another walk.
    #[error("message {got} of the walk came when it was the turn of message {expected}")]
    OutOfTurn {
        /// Its number.
        got: u64,
        /// The number of the message that was due.
        expected: u64,
    },
    /// The walk has ended, or failed before.
    #[error("the walk is over; begin another one")]
    Over,
}
