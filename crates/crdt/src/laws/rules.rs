//! The laws themselves, held against the states of one history.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Replicated, Run};
use crate::canonical::{Canonical, Input};

type Verdict = Result<(), String>;

impl<T: Replicated> Run<T> {
    /// Holds all states against the laws of joining and reading.
    ///
    /// # Errors
    /// Says which law is broken, and by what.
    pub fn check(&self) -> Verdict {
        self.check_lattice()?;
        self.check_writes()?;
        self.check_delivery()
    }

    /// Join is idempotent, commutative and associative.
    fn check_lattice(&self) -> Verdict {
        let all: Vec<&T> = self
            .states
            .iter()
            .chain(&self.past)
            .chain(&self.deltas)
            .collect();
        for &a in &all {
            same("join is idempotent: a ⊔ a = a", &joined(a, a), a)?;
        }
        // All triples would be cubic in the history. Those of neighbours at three distances meet old with new, and
        // states with deltas.
        for (at, &a) in all.iter().enumerate() {
            for distance in [1, all.len() / 3, all.len() / 2] {
                let b = all[(at + distance) % all.len()];
                let c = all[(at + 2 * distance + 1) % all.len()];
                let ab = joined(a, b);
                same("join is commutative: a ⊔ b = b ⊔ a", &ab, &joined(b, a))?;
                let law = "join is associative: (a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)";
                same(law, &joined(&ab, c), &joined(a, &joined(b, c)))?;
            }
        }
        Ok(())
    }

    /// A write is the join of its delta.
    fn check_writes(&self) -> Verdict {
        for (before, delta, after) in &self.writes {
            same(
                "a write does what joining its delta does",
                after,
                &joined(before, delta),
            )?;
        }
        Ok(())
    }

    /// However deltas and states travelled, all comes to the same.
    fn check_delivery(&self) -> Verdict {
        let full = self.full();
        let from_deltas = all_of(&self.in_some_order());
        same(
            "all deltas, in any order and doubled, come to the join of all states",
            &from_deltas,
            &full,
        )?;
        let reversed = all_of(&self.states.iter().rev().collect::<Vec<_>>());
        same(
            "states joined in any order come to the same",
            &reversed,
            &full,
        )?;
        // Every state in the past of a replica has got some deltas and lost others.
        for state in &self.past {
            same(
                "a state that lost deltas is healed by the whole state",
                &joined(state, &full),
                &full,
            )?;
            let mut late = full.clone();
            late.join(state);
            same("a late state changes nothing", &late, &full)?;
        }
        for delta in &self.deltas {
            same("a late delta changes nothing", &joined(&full, delta), &full)?;
        }
        Ok(())
    }

    /// The join of all states.
    fn full(&self) -> T {
        all_of(&self.states.iter().collect::<Vec<_>>())
    }

    /// All deltas in the order that the history prescribes, some of them doubled.
    fn in_some_order(&self) -> Vec<&T> {
        let mut waiting: Vec<&T> = self.deltas.iter().collect();
        let mut delivered: Vec<&T> = Vec::new();
        for &choice in &self.order {
            // The high bit doubles one that has arrived.
            let (from, take) = if choice & 0x80 != 0 {
                (&delivered, false)
            } else {
                (&waiting, true)
            };
            let Some(at) = usize::from(choice & 0x7f).checked_rem(from.len()) else {
                continue;
            };
            let chosen = from[at];
            if take {
                waiting.swap_remove(at);
            }
            delivered.push(chosen);
        }
        delivered.extend(waiting);
        delivered
    }
}

impl<T: Replicated + Canonical> Run<T> {
    /// Holds the encodings of all states against the laws of [`Canonical`].
    ///
    /// # Errors
    /// Says which law is broken, and by what.
    pub fn check_codec(&self) -> Verdict {
        for state in self.states.iter().chain(&self.past).chain(&self.deltas) {
            let bytes = state.to_bytes();
            let decoded = T::from_bytes(&bytes).map_err(|error| {
                format!("what was encoded is decoded: {error}\n  state: {state:?}\n  bytes: {bytes:02x?}")
            })?;
            same("decoding undoes encoding", &decoded, state)?;

            let mut framed = bytes.clone();
            framed.extend([0xff; 3]);
            let mut input = Input::new(&framed);
            let decoded = T::decode(&mut input);
            if decoded.as_ref() != Ok(state) || input.remaining() != 3 {
                return Err(format!(
                    "decoding takes up what was encoded and no more\n  state: {state:?}"
                ));
            }
            for end in 0..bytes.len() {
                if T::from_bytes(&bytes[..end]).is_ok() {
                    return Err(format!(
                        "a truncated encoding is rejected\n  state: {state:?}\n  cut to {end} bytes"
                    ));
                }
            }
        }
        let full = self.full();
        let routes = [
            all_of(&self.in_some_order()),
            all_of(&self.states.iter().rev().collect::<Vec<_>>()),
            T::from_bytes(&full.to_bytes())
                .map_err(|error| format!("what was encoded is decoded: {error}"))?,
        ];
        for other in &routes {
            if other == &full && other.to_bytes() != full.to_bytes() {
                return Err(format!(
                    "equal states have equal bytes\n  one: {full:?}\n  other: {other:?}"
                ));
            }
        }
        Ok(())
    }
}

fn joined<T: Replicated>(a: &T, b: &T) -> T {
    let mut both = a.clone();
    both.join(b);
    both
}

fn all_of<T: Replicated>(parts: &[&T]) -> T {
    let mut all = T::initial();
    for part in parts {
        all.join(part);
    }
    all
}

/// Equal, and read alike.
fn same<T: Replicated>(law: &str, left: &T, right: &T) -> Verdict {
    if left != right {
        return Err(format!("{law}\n  left:  {left:?}\n  right: {right:?}"));
    }
    let (one, other) = (left.read(), right.read());
    if one != other {
        return Err(format!(
            "{law}, but the two read differently\n  left:  {one:?}\n  right: {other:?}"
        ));
    }
    Ok(())
}
