//! Where the keys of a command are among its arguments.

use crate::request::{Request, integer};

/// Where the keys of a command are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// From the first position to the last, each so many after the one before. The last is counted from the end where negative.
    Range {
        /// Of the first key, where the command's name is at 0.
        first: i16,
        /// Of the last key; -1 is the last argument.
        last: i16,
        /// From one key to the next.
        step: i16,
    },
    /// As many as the argument at this position says, after it; and the fixed one before, if any.
    Counted {
        /// Of the number of keys.
        at: i16,
        /// Of a key that stands before, such as the destination.
        before: Option<i16>,
    },
    /// A key at 1; and one after a word such as `STORE`, if that is there.
    Sort,
}

impl Keys {
    /// One key, as the first argument.
    pub const FIRST: Self = Self::Range {
        first: 1,
        last: 1,
        step: 1,
    };
    /// Each argument is a key.
    pub const ALL: Self = Self::Range {
        first: 1,
        last: -1,
        step: 1,
    };

    /// The positions of the keys of a request.
    pub fn of(self, request: &Request) -> Vec<usize> {
        let len = request.len();
        let within = |at: i16| usize::try_from(at).ok().filter(|at| *at < len);
        match self {
            Self::None => Vec::new(),
            Self::Range { first, last, step } => {
                let end = match last {
                    last if last < 0 => len.checked_sub(usize::from(last.unsigned_abs())),
                    last => within(last),
                };
                match (within(first), end, usize::try_from(step)) {
                    (Some(first), Some(end), Ok(step)) if step > 0 => {
                        (first..=end).step_by(step).collect()
                    }
                    _ => Vec::new(),
                }
            }
            Self::Counted { at, before } => {
                let mut keys: Vec<_> = before.and_then(within).into_iter().collect();
                let first = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(1);
                let count = integer(request.get(first - 1));
                let count = count
                    .and_then(|count| usize::try_from(count).ok())
                    .unwrap_or(0);
                keys.extend((first..len).take(count));
                keys
            }
            Self::Sort => {
                let is_store = |at: &usize| request.get(*at).eq_ignore_ascii_case(b"store");
                let mut keys = vec![1];
                // The last one counts.
                keys.extend((2..len.saturating_sub(1)).rfind(is_store).map(|at| at + 1));
                keys
            }
        }
    }

    /// As `COMMAND INFO` tells it: first, last, step; zeros where they are found in another way.
    pub(crate) const fn legacy(self) -> [i64; 3] {
        match self {
            Self::None => [0, 0, 0],
            Self::Range { first, last, step } => [first as i64, last as i64, step as i64],
            Self::Counted {
                before: Some(at), ..
            } => [at as i64, at as i64, 1],
            Self::Counted { before: None, .. } => [0, 0, 0],
            Self::Sort => [1, 1, 1],
        }
    }
}
