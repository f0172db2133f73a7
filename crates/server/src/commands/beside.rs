//! Members of one collection that are looked for in another.

use std::iter::Peekable;

use syncline::Error;
use syncline::ops::Items;

type LookUp<'a, V> = dyn Fn(&[u8]) -> Result<Option<V>, Error> + 'a;

/// A collection that is asked for the members of another in their order, each with what it has there.
pub(super) enum Beside<'a, V> {
    /// It is not much larger: read along.
    Walk(Peekable<Items<'a, (Vec<u8>, V)>>),
    /// It is: each member is looked up.
    LookUp(Box<LookUp<'a, V>>),
}

impl<V> Beside<'_, V> {
    /// Whether one of so many members should be read along beside one of `asked`.
    pub(super) const fn is_walk(size: u64, asked: u64) -> bool {
        /// A look-up costs as much as reading so many members in their order.
        const LOOK_UP: u64 = 16;
        size <= asked.saturating_mul(LOOK_UP)
    }

    /// What a member has, if it is one. It comes after all that was asked for so far.
    pub(super) fn find(&mut self, member: &[u8]) -> Result<Option<V>, Error> {
        let members = match self {
            Self::LookUp(find) => return find(member),
            Self::Walk(members) => members,
        };
        let is_passed = |other: &Result<(Vec<u8>, V), Error>| {
            other
                .as_ref()
                .is_ok_and(|(other, _)| other.as_slice() < member)
        };
        while members.next_if(is_passed).is_some() {}
        let is_it = |other: &Result<(Vec<u8>, V), Error>| {
            other
                .as_ref()
                .is_ok_and(|(other, _)| other.as_slice() == member)
                || other.is_err()
        };
        let found = members.next_if(is_it).transpose()?;
        Ok(found.map(|(_, value)| value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same() {
        let members = [b"a", b"c", b"d", b"f"];
        let walk = members.map(|member| Ok((member.to_vec(), member[0])));
        let find = |member: &[u8]| Ok(members.iter().find(|it| it[..] == *member).map(|it| it[0]));
        let ways = [
            Beside::Walk((Box::new(walk.into_iter()) as Items<'_, _>).peekable()),
            Beside::LookUp(Box::new(find)),
        ];
        for mut way in ways {
            for (asked, found) in [
                (b"b", None),
                (b"c", Some(b'c')),
                (b"e", None),
                (b"f", Some(b'f')),
            ] {
                assert_eq!(way.find(asked).unwrap(), found);
            }
            assert_eq!(way.find(b"g").unwrap(), None);
        }
    }
}
