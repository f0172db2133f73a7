//! `SORT`: the members of a set or a sorted set, ordered by themselves or by what other keys hold, and shown as these or as what others hold.

use std::cell::Cell;

use syncline::ops::{Key, Kind, Map, ReadRows, Set, SortedSet};
use syncline::{Score, Span};

use crate::execute::Reads;
use crate::number::{float, required};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::table::{Command, Family, Group, Keys};

const COST: &str = "O(N*log(N)) where N is the number of members; of a sorted set BY nothing, O(log(N)+M) where M is the number of returned members.";

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[
        Command::read("sort", -2, |reads, request| sort(reads, request, true))
            .keys(Keys::Sort)
            .slow()
            .docs(
                "1.0.0",
                COST,
                "Sorts the members of a set or a sorted set. To STORE them is refused: that would be a list.",
            ),
        Command::read("sort_ro", -2, |reads, request| sort(reads, request, false))
            .key()
            .slow()
            .docs(
                "7.0.0",
                COST,
                "Returns the sorted members of a set or a sorted set.",
            ),
    ],
};

const NO_LISTS: Refusal = Refusal::said(
    "ERR SORT with STORE is not there: it would write a list, and there are no lists",
);
const NO_NUMBER: Refusal = Refusal::said("ERR One or more scores can't be converted into double");

/// What is compared and what is given at most, in bytes: each of many `GET`s may be of each member.
const MOST: usize = 1 << 30;
/// What an item takes beside its bytes, about.
const ITEM: usize = 64;
const TOO_MUCH: Refusal = Refusal::said(
    "ERR what SORT would compare or give is over the limit of the server: use LIMIT, or fewer GETs",
);

/// What is asked for.
struct Asked {
    by: Option<Pattern>,
    gets: Vec<Pattern>,
    page: Page,
    is_alpha: bool,
}

/// Which of the members, in an order or its reverse.
struct Page {
    skip: usize,
    take: usize,
    is_descending: bool,
}

impl Page {
    const ALL: Self = Self {
        skip: 0,
        take: usize::MAX,
        is_descending: false,
    };
}

impl Asked {
    fn read(request: &Request, may_store: bool) -> Result<Self, Refusal> {
        let mut asked = Self {
            by: None,
            gets: Vec::new(),
            page: Page::ALL,
            is_alpha: false,
        };
        let mut stores = false;
        let mut words = request.from(2);
        while let Some(word) = words.next() {
            let left = words.len();
            match word.to_ascii_lowercase().as_slice() {
                b"asc" => asked.page.is_descending = false,
                b"desc" => asked.page.is_descending = true,
                b"alpha" => asked.is_alpha = true,
                b"limit" if left >= 2 => {
                    let mut number = || required(words.next().unwrap_or_default());
                    let (skip, take) = (number()?, number()?);
                    asked.page.skip = usize::try_from(skip).unwrap_or(0);
                    // All that there are, of a negative number.
                    asked.page.take = usize::try_from(take).unwrap_or(usize::MAX);
                }
                b"store" if may_store && left >= 1 => {
                    words.next();
                    stores = true;
                }
                b"by" if left >= 1 => asked.by = words.next().map(Pattern::read),
                b"get" if left >= 1 => asked.gets.extend(words.next().map(Pattern::read)),
                _ => return Err(Refusal::SYNTAX),
            }
        }
        match stores {
            true => Err(NO_LISTS),
            false => Ok(asked),
        }
    }
}

/// Where what belongs to a member is found.
enum Pattern {
    /// The member itself.
    Member,
    /// Nowhere: no place for the member is in it.
    Nothing,
    /// Under the key that the member stands in, in a field if there is one.
    Key {
        before: Vec<u8>,
        behind: Vec<u8>,
        field: Option<Vec<u8>>,
    },
}

impl Pattern {
    fn read(text: &[u8]) -> Self {
        if text == b"#" {
            return Self::Member;
        }
        let Some(star) = text.iter().position(|byte| *byte == b'*') else {
            return Self::Nothing;
        };
        let (before, behind) = (text[..star].to_vec(), &text[star + 1..]);
        // An arrow with nothing behind is a part of the key.
        let arrow = behind.windows(2).position(|two| two == b"->");
        let arrow = arrow.filter(|at| at + 2 < behind.len());
        let (behind, field) = match arrow {
            Some(at) => (behind[..at].to_vec(), Some(behind[at + 2..].to_vec())),
            None => (behind.to_vec(), None),
        };
        Self::Key {
            before,
            behind,
            field,
        }
    }
}

/// What belongs to members, until there is too much of it.
struct Finder<'r> {
    rows: &'r dyn ReadRows,
    left: Cell<usize>,
}

impl Finder<'_> {
    /// What is there for a member. Of another kind is nothing.
    fn find(&self, pattern: &Pattern, member: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let found = match pattern {
            Pattern::Member => Some(member.to_vec()),
            Pattern::Nothing => None,
            Pattern::Key {
                before,
                behind,
                field,
            } => {
                let name = [&before[..], member, behind].concat();
                let key = Key::of(self.rows, &name);
                match (key.kind()?, field) {
                    (Some(Kind::Value), None) => key.value()?,
                    (Some(Kind::Map), Some(field)) => Map::of(self.rows, &name).get(field)?,
                    _ => None,
                }
            }
        };
        let taken = ITEM + found.as_ref().map_or(0, Vec::len);
        let left = self.left.get().checked_sub(taken).ok_or(TOO_MUCH)?;
        self.left.set(left);
        Ok(found)
    }
}

fn sort(reads: &Reads<'_>, request: &Request, may_store: bool) -> Result<Reply, Refusal> {
    let asked = Asked::read(request, may_store)?;
    let (rows, key) = (reads.rows, request.get(1));
    let finder = Finder {
        rows,
        left: Cell::new(MOST),
    };
    let members = match &asked.by {
        // Whatever stands in no key gives no order.
        Some(Pattern::Nothing | Pattern::Member) => members(rows, key, &asked.page)?,
        by => {
            let all = members(rows, key, &Page::ALL)?;
            let by = |member: &[u8]| match by {
                Some(by) => finder.find(by, member),
                None => Ok(Some(member.to_vec())),
            };
            match asked.is_alpha {
                true => asked.page.of(all, by)?,
                false => {
                    let number = |weight: Vec<u8>| number(&weight).ok_or(NO_NUMBER);
                    // What has no weight weighs nothing.
                    let weigh = |member: &[u8]| by(member)?.map_or(Ok(Score::ZERO), number);
                    asked.page.of(all, weigh)?
                }
            }
        }
    };
    if asked.gets.is_empty() {
        return Ok(Reply::bulks(members));
    }
    let mut found = Vec::new();
    for member in &members {
        for get in &asked.gets {
            found.push(Reply::maybe(finder.find(get, member)?));
        }
    }
    Ok(Reply::Array(found))
}

/// A page of the members: of a sorted set in its order, of a set in that of their bytes, from the first on.
fn members(rows: &dyn ReadRows, key: &[u8], page: &Page) -> Result<Vec<Vec<u8>>, Refusal> {
    let members = match Key::of(rows, key).kind()? {
        None => Ok(Vec::new()),
        Some(Kind::SortedSet) => {
            let span = Span::all().skip(page.skip as u64).take(page.take as u64);
            let span = match page.is_descending {
                true => span.descending(),
                false => span,
            };
            let set = SortedSet::of(rows, key);
            let members = set.range_of(&span)?;
            members
                .map(|scored| scored.map(|(member, _)| member))
                .collect()
        }
        Some(Kind::Set) => {
            let set = Set::of(rows, key);
            let members = set.members()?;
            members.skip(page.skip).take(page.take).collect()
        }
        Some(_) => return Err(Refusal::WRONG_TYPE),
    };
    Ok(members?)
}

/// As the C library reads it: behind spaces, and nothing is zero.
fn number(text: &[u8]) -> Option<Score> {
    match text {
        [] => Some(Score::ZERO),
        text => float(text.trim_ascii_start()).and_then(Score::new),
    }
}

impl Page {
    /// The page of members in the order of what they weigh, and those that weigh the same in that of their bytes.
    fn of<W: Ord>(
        &self,
        members: Vec<Vec<u8>>,
        weigh: impl Fn(&[u8]) -> Result<W, Refusal>,
    ) -> Result<Vec<Vec<u8>>, Refusal> {
        let weighed = members
            .into_iter()
            .map(|member| Ok((weigh(&member)?, member)));
        let mut weighed = weighed.collect::<Result<Vec<_>, Refusal>>()?;
        weighed.sort_unstable();
        if self.is_descending {
            weighed.reverse();
        }
        let page = weighed.into_iter().skip(self.skip).take(self.take);
        Ok(page.map(|(_, member)| member).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_belongs_to_members_is_bounded() {
        let node = syncline::Node::in_memory().await.unwrap();
        let app = node.namespace("app").unwrap();
        app.put("large1", vec![b'x'; 1000]).await.unwrap();
        let refused = app.read(|view| {
            let finder = Finder {
                rows: view,
                left: Cell::new(3 * (1000 + ITEM)),
            };
            let large = Pattern::read(b"large*");
            for _ in 0..3 {
                let found = finder.find(&large, b"1").unwrap();
                assert_eq!(found.map(|value| value.len()), Some(1000));
            }
            // Not even for what is not there.
            Ok(finder.find(&large, b"2").unwrap_err().to_string())
        });
        assert_eq!(refused.await.unwrap(), TOO_MUCH.to_string());
    }
}
