//! `SORT`: the members of a set or a sorted set, ordered by themselves or by what other keys hold, and shown as these or as what others hold.

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

/// What `GET` gives at most, in all: each of many may be of each member.
const MOST: usize = 1 << 22;

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

    /// What is there for a member. Of another kind is nothing.
    fn find(&self, rows: &dyn ReadRows, member: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let (before, behind, field) = match self {
            Self::Member => return Ok(Some(member.to_vec())),
            Self::Nothing => return Ok(None),
            Self::Key {
                before,
                behind,
                field,
            } => (before, behind, field),
        };
        let name = [&before[..], member, behind].concat();
        let key = Key::of(rows, &name);
        Ok(match (key.kind()?, field) {
            (Some(Kind::Value), None) => key.value()?,
            (Some(Kind::Map), Some(field)) => Map::of(rows, &name).get(field)?,
            _ => None,
        })
    }
}

fn sort(reads: &Reads<'_>, request: &Request, may_store: bool) -> Result<Reply, Refusal> {
    let asked = Asked::read(request, may_store)?;
    let (rows, key) = (reads.rows, request.get(1));
    let members = match &asked.by {
        // Whatever stands in no key gives no order.
        Some(Pattern::Nothing | Pattern::Member) => members(rows, key, &asked.page)?,
        by => {
            let all = members(rows, key, &Page::ALL)?;
            let by = |member: &[u8]| match by {
                Some(by) => by.find(rows, member),
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
    if members.len().saturating_mul(asked.gets.len()) > MOST {
        return Err(
            format!("ERR these are more than {MOST} items: use LIMIT, or fewer GETs").into(),
        );
    }
    let mut found = Vec::with_capacity(members.len() * asked.gets.len());
    for member in &members {
        for get in &asked.gets {
            found.push(Reply::maybe(get.find(rows, member)?));
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
