//! Frames as the protocol's description has them, written without the product's own encoder: what a second implementation would send, and
//! whatever else a peer could make up.

use syncline_crdt::{Canonical, Context, Dot, ReplicaId, RowKey};
use syncline_merkle::RangeDigest;

use crate::rng::{Bytes, Choices};

/// The kinds of frames, by their number on the wire.
const KINDS: usize = 9;

/// What a frame is made up from.
pub(super) struct Script {
    /// The context that the peer claims. It has not seen what must not be touched.
    pub(super) context: Context,
    /// The root that the victim has, for lies that look like the truth.
    pub(super) root: RangeDigest,
    /// Keys that exist, and some that do not.
    pub(super) keys: Vec<RowKey>,
    /// Replica ids that the peer speaks of.
    pub(super) replicas: Vec<ReplicaId>,
    /// Messages of the walk that an honest peer has sent.
    pub(super) walks: Vec<Vec<u8>>,
}

fn varint(value: u64, out: &mut Vec<u8>) {
    value.encode(out);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    value.to_vec().encode(out);
}

impl Script {
    /// A frame of a kind that the bytes choose, in a flight that may be right.
    pub(super) fn frame(&self, flight: u64, choices: &mut Bytes<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let flight = match choices.below(16) {
            0 => choices.next(),
            _ => flight,
        };
        varint(flight, &mut out);
        let kind = choices.below(KINDS);
        varint(kind as u64, &mut out);
        match kind {
            0 => self.hello(choices.chance(20), choices, &mut out),
            1 => {
                varint(choices.below(10) as u64, &mut out);
                bytes(b"no", &mut out);
            }
            2 => self.context(choices, &mut out),
            3 => {
                self.purpose(choices, &mut out);
                bytes(&self.rows(choices), &mut out);
            }
            4 => {
                out.push(choices.below(2) as u8);
                bytes(&self.rows(choices), &mut out);
            }
            5 => match choices.below(2) {
                0 => out.push(0),
                _ => {
                    out.push(1);
                    self.root(choices, &mut out);
                }
            },
            6 => bytes(&self.walk(choices), &mut out),
            7 => {
                varint(choices.below(3) as u64, &mut out);
                bytes(&self.rows(choices), &mut out);
            }
            _ => {
                self.root(choices, &mut out);
                varint(choices.below(8) as u64, &mut out);
            }
        }
        out
    }

    /// A greeting, of the initiator if it `asks`.
    pub(super) fn greeting(&self, asks: bool, choices: &mut Bytes<'_>) -> Vec<u8> {
        let mut out = vec![if asks { 1 } else { 2 }, 0];
        self.hello(asks, choices, &mut out);
        out
    }

    fn hello(&self, asks: bool, choices: &mut Bytes<'_>, out: &mut Vec<u8>) {
        let odd = choices.below(32);
        varint(if odd == 1 { 2 } else { 1 }, out);
        varint(if odd == 2 { 0 } else { 7 }, out);
        varint(choices.below(3) as u64, out);
        out.extend([if odd == 3 { 2 } else { 1 }; 16]);
        out.extend([9; 32]);
        varint(if odd == 4 { 1 << 40 } else { 0 }, out);
        out.push(u8::from(asks));
        if asks {
            bytes(
                if odd == 5 {
                    b"other"
                } else {
                    crate::cluster::NAMESPACE.as_bytes()
                },
                out,
            );
            varint(choices.below(3) as u64, out);
            out.extend([4; 16]);
            match choices.below(4) {
                0 => {
                    out.push(1);
                    bytes(choices.pick(&self.keys).as_bytes(), out);
                    out.push(1);
                    bytes(choices.pick(&self.keys).as_bytes(), out);
                }
                _ => out.push(0),
            }
        }
        self.root(choices, out);
        out.extend(&blake3::hash(&self.context.to_bytes()).as_bytes()[..16]);
        match choices.below(4) {
            0 => out.push(0),
            _ => {
                out.push(1);
                self.context(choices, out);
            }
        }
    }

    fn root(&self, choices: &mut Bytes<'_>, out: &mut Vec<u8>) {
        match choices.below(4) {
            0 => {
                varint(self.root.count(), out);
                out.extend(&self.root.to_bytes()[8..]);
            }
            _ => {
                varint(choices.next(), out);
                out.extend([choices.next() as u8; 32]);
            }
        }
    }

    fn context(&self, choices: &mut Bytes<'_>, out: &mut Vec<u8>) {
        let mut context = self.context.clone();
        if choices.chance(10) {
            // Not the one that was announced.
            let replica = *choices.pick(&self.replicas);
            context.insert_range(replica, choices.next(), u64::MAX);
        }
        out.push(0);
        bytes(&context.to_bytes(), out);
    }

    fn purpose(&self, choices: &mut Bytes<'_>, out: &mut Vec<u8>) {
        let kind = choices.below(4) as u8;
        out.push(kind);
        match kind {
            0 => {
                let frontier = choices.below(4);
                out.push(u8::from(frontier > 0));
                if frontier > 0 {
                    let dot = self.dot(choices);
                    out.extend(dot.replica.as_bytes());
                    varint(dot.counter, out);
                }
            }
            1 => {
                let end = choices.below(3);
                out.push(u8::from(end > 0));
                if end > 0 {
                    bytes(choices.pick(&self.keys).as_bytes(), out);
                }
            }
            _ => {}
        }
    }

    fn dot(&self, choices: &mut Bytes<'_>) -> Dot {
        let counter = match choices.below(32) {
            0 => u64::MAX,
            counter => counter as u64,
        };
        Dot::new(*choices.pick(&self.replicas), counter)
    }

    /// Rows in the plainest form: no prefix is shared, every id is given anew.
    fn rows(&self, choices: &mut Bytes<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..choices.below(5) {
            let mut dots: Vec<Dot> = (0..choices.below(4)).map(|_| self.dot(choices)).collect();
            if choices.chance(90) {
                dots.sort_unstable();
                dots.dedup();
            }
            varint(2 * dots.len() as u64, &mut out);
            varint(0, &mut out);
            bytes(choices.pick(&self.keys).as_bytes(), &mut out);
            for dot in dots {
                let known = choices.chance(20);
                varint(u64::from(known), &mut out);
                out.extend(dot.replica.as_bytes());
                (dot.counter as i64).encode(&mut out);
                if !known {
                    // Less the stamp before: so stamps wander over all of their range.
                    (choices.next() as i64)
                        .wrapping_mul(i64::MAX / 100)
                        .encode(&mut out);
                    let len = choices.below(4);
                    bytes(&choices.bytes(len), &mut out);
                }
            }
        }
        out
    }

    fn walk(&self, choices: &mut Bytes<'_>) -> Vec<u8> {
        if self.walks.is_empty() || choices.chance(20) {
            let len = choices.below(64);
            return choices.take(len).to_vec();
        }
        let mut message = choices.pick(&self.walks).clone();
        damage(&mut message, choices);
        message
    }
}

/// Changes a byte here and there, or cuts the end off, or nothing.
pub(super) fn damage(bytes: &mut Vec<u8>, choices: &mut Bytes<'_>) {
    for _ in 0..choices.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = choices.below(bytes.len());
        match choices.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, choices.next() as u8),
            2 => bytes[at] = choices.next() as u8,
            _ => bytes[at] ^= 1 << choices.below(8),
        }
    }
}
