//! Items at random, of those that have an order.

use rand::Rng;
use rand::seq::{SliceRandom, index};
use syncline::Error;
use syncline::ops::Items;

use crate::number::required;
use crate::refusal::Refusal;

/// Items given out at most where the same may come again: there is no other bound to these.
const MAX_REPEATED: u64 = 1 << 20;

/// How many items are wanted.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// So many different ones, or as many as there are.
    Different(u64),
    /// Exactly so many, each of all that there are.
    Any(u64),
}

impl Wanted {
    /// As a count says it: below zero, the same may come again.
    pub(crate) fn read(count: &[u8]) -> Result<Self, Refusal> {
        let count = required(count)?;
        if count >= 0 {
            return Ok(Self::Different(count.unsigned_abs()));
        }
        match count.unsigned_abs() {
            repeated @ ..=MAX_REPEATED => Ok(Self::Any(repeated)),
            _ => Err(
                format!("ERR value is out of range, value must be at least -{MAX_REPEATED}").into(),
            ),
        }
    }

    /// So many of the `len` items that `all` walks through. By their places where they are few, which `at` has; else by a walk.
    pub(crate) fn pick<'a, T: Clone>(
        self,
        len: u64,
        at: impl Fn(u64) -> Result<Option<T>, Error>,
        all: impl FnOnce() -> Result<Items<'a, T>, Error>,
    ) -> Result<Vec<T>, Error> {
        /// A look-up by its place costs an item as much as a walk past so many.
        const LOOK_UP: u64 = 64;
        let places = self.places(len);
        let mut picked = Vec::with_capacity(places.len());
        if (places.len() as u64).saturating_mul(LOOK_UP) < len {
            for place in places {
                picked.extend(at(place)?);
            }
        } else {
            let mut places = places.into_iter().peekable();
            let mut items = all()?.zip(0..);
            while places.peek().is_some()
                && let Some((item, place)) = items.next()
            {
                let item = item?;
                while places.next_if_eq(&place).is_some() {
                    picked.push(item.clone());
                }
            }
        }
        // They were found in their order.
        picked.shuffle(&mut rand::rng());
        Ok(picked)
    }

    /// Places of items, in their order.
    fn places(self, len: u64) -> Vec<u64> {
        let mut random = rand::rng();
        let mut places: Vec<u64> = match self {
            _ if len == 0 => Vec::new(),
            Self::Different(count) if count >= len => (0..len).collect(),
            Self::Different(count) => {
                // Both are lengths of what is in a store.
                let (len, count) = (len as usize, count as usize);
                let places = index::sample(&mut random, len, count).into_iter();
                places.map(|place| place as u64).collect()
            }
            Self::Any(count) => (0..count).map(|_| random.random_range(0..len)).collect(),
        };
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(wanted: Wanted, len: u64) -> Vec<u64> {
        let at = |place| Ok((place < len).then_some(place));
        let mut picked = wanted
            .pick(len, at, || Ok(Box::new((0..len).map(Ok))))
            .unwrap();
        picked.sort_unstable();
        picked
    }

    #[test]
    fn different_ones_are_different_and_any_may_repeat() {
        // Both by places and by a walk.
        for len in [1, 10, 10_000] {
            for count in [0, 1, 5, len - 1, len, len + 1, u64::MAX] {
                let mut picked = pick(Wanted::Different(count), len);
                assert_eq!(picked.len() as u64, count.min(len));
                assert!(picked.iter().all(|place| *place < len));
                picked.dedup();
                assert_eq!(picked.len() as u64, count.min(len));
            }
            let picked = pick(Wanted::Any(2 * len), len);
            assert_eq!(picked.len() as u64, 2 * len);
            assert!(picked.iter().all(|place| *place < len));
        }
        assert!(pick(Wanted::Any(7), 0).is_empty());
    }

    #[test]
    fn every_item_has_its_turn() {
        for wanted in [Wanted::Different(1), Wanted::Any(1)] {
            let mut seen = [false; 8];
            for _ in 0..1_000 {
                seen[pick(wanted, 8)[0] as usize] = true;
            }
            assert_eq!(seen, [true; 8]);
        }
    }
}
