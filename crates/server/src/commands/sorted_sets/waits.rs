//! The least or the greatest members of sorted sets, waited for where there are none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use syncline::Namespace;
use syncline::ops::{Key, Kind, ReadRows};

use super::pops::{End, Popped, Wanted};
use crate::execute::{Writes, transact};
use crate::lines::Place;
use crate::number::float;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::{Shared, unix_seconds};
use crate::session::{Done, Session};
use crate::table::{Command, Family, Flags, Group, Keys};
use crate::waiting::{self, Taken, Waiting};

/// All arguments but the last, which is the time.
const ALL_BUT_LAST: Keys = Keys::Range {
    first: 1,
    last: -2,
    step: 1,
};
const ONE_COST: &str = "O(log(M)) where M is the size of the sorted set.";

pub(crate) const FAMILY: Family = Family {
    group: Group::SortedSet,
    commands: &[
        Command::both(
            "bzpopmin",
            -3,
            |writes, request| within(writes, Asked::one(request, End::Least)),
            |session, request| alone(session, Asked::one(&request, End::Least)),
        )
        .keys(ALL_BUT_LAST)
        .fast()
        .flags(Flags::BLOCKING)
        .docs(
            "5.0.0",
            ONE_COST,
            "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
        ),
        Command::both(
            "bzpopmax",
            -3,
            |writes, request| within(writes, Asked::one(request, End::Greatest)),
            |session, request| alone(session, Asked::one(&request, End::Greatest)),
        )
        .keys(ALL_BUT_LAST)
        .fast()
        .flags(Flags::BLOCKING)
        .docs(
            "5.0.0",
            ONE_COST,
            "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
        ),
        Command::both(
            "bzmpop",
            -5,
            |writes, request| within(writes, Asked::several(request)),
            |session, request| alone(session, Asked::several(&request)),
        )
        .keys(Keys::Counted {
            at: 2,
            before: None,
        })
        .flags(Flags::BLOCKING)
        .docs(
            "7.0.0",
            "O(N*log(M)) with M being the size of the sorted set and N the number of members taken out.",
            "Removes and returns members by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
        ),
    ],
};

/// Keys that one client waits for at most.
const MOST: usize = 1000;

/// What is asked for, for how long, and how it is told.
struct Asked {
    wanted: Wanted,
    time: Option<Duration>,
    tell: fn(Popped) -> Reply,
}

impl Asked {
    fn one(request: &Request, end: End) -> Result<Self, Refusal> {
        let last = request.len() - 1;
        let time = time(request.get(last))?;
        let keys = request.from(1).take(last - 1);
        let wanted = Wanted {
            keys: keys.map(Bytes::copy_from_slice).collect(),
            end,
            count: 1,
        };
        let tell = Popped::in_turn;
        Ok(Self { wanted, time, tell })
    }

    fn several(request: &Request) -> Result<Self, Refusal> {
        let time = time(request.get(1))?;
        let wanted = Wanted::read(request, 2)?;
        let tell = Popped::in_pairs;
        Ok(Self { wanted, time, tell })
    }
}

/// How long is to be waited, of seconds; `None` for ever.
fn time(text: &[u8]) -> Result<Option<Duration>, Refusal> {
    let seconds = float(text).ok_or("ERR timeout is not a float or out of range")?;
    let ms = (seconds * 1000.0).ceil();
    let most = i64::MAX.saturating_sub_unsigned(unix_seconds() * 1000);
    match ms {
        ms if ms > most as f64 => Err("ERR timeout is out of range".into()),
        ms if ms < 0.0 => Err("ERR timeout is negative".into()),
        0.0 => Ok(None),
        ms => Ok(Some(Duration::from_millis(ms as u64))),
    }
}

/// In a transaction nothing can come while it is waited.
fn within(writes: &mut Writes<'_, '_>, asked: Result<Asked, Refusal>) -> Result<Reply, Refusal> {
    let asked = asked?;
    let popped = asked.wanted.pop(writes)?;
    Ok(popped.map_or(Reply::NullArray, asked.tell))
}

fn alone(session: &mut Session, asked: Result<Asked, Refusal>) -> Done<'_> {
    Box::pin(async move {
        let Asked { wanted, time, tell } = asked?;
        if wanted.keys.len() > MOST {
            return Err(format!("ERR at most {MOST} keys can be waited for").into());
        }
        let (server, database) = (session.server.clone(), session.database);
        let namespace = session.namespace()?;
        let found = namespace.read_here(|view| Ok(wanted.find(view)?.cloned()));
        let found = found.await?;
        let keys = wanted.keys.clone();
        let seeker = Seeker {
            wanted: Arc::new(wanted),
            tell,
            server,
            namespace,
            database,
        };
        // Where others wait, it is theirs.
        if let Some(key) = found
            && seeker.server.lines.is_free(database, &key)
            && let Some(reply) = seeker.pop(vec![key]).await?
        {
            return Ok(reply);
        }
        let place = Place::take(&seeker.server, &seeker.namespace, database, keys);
        session.waiting = Some(Waiting::new(place, time, Box::new(seeker)));
        Ok(Reply::NOTHING)
    })
}

/// Looks for members as often as there may be some.
struct Seeker {
    wanted: Arc<Wanted>,
    tell: fn(Popped) -> Reply,
    server: Arc<Shared>,
    namespace: Namespace,
    database: u8,
}

impl Seeker {
    /// From the first of these keys that has members. Those of other kinds are passed over: they may have become such meanwhile.
    async fn pop(&self, keys: Vec<Bytes>) -> Result<Option<Reply>, Refusal> {
        let wanted = self.wanted.clone();
        let (server, database) = (&self.server, self.database);
        let popped = transact(
            server,
            &self.namespace,
            database,
            move |writes| match first(&*writes.rows, &keys)?.cloned() {
                Some(key) => wanted.pop_of(writes, key).map(Some),
                None => Ok(None),
            },
        );
        Ok(popped.await?.map(self.tell))
    }
}

impl waiting::Wanted for Seeker {
    fn take(&self, places: Vec<usize>) -> Taken<'_> {
        Box::pin(async move {
            let keys = places.iter().filter_map(|at| self.wanted.keys.get(*at));
            let keys: Vec<_> = keys.cloned().collect();
            // Most changes bring nothing, and then nothing is to be written.
            let is_there = self
                .namespace
                .read_here(|view| Ok(first(view, &keys)?.is_some()));
            match is_there.await? {
                true => self.pop(keys).await,
                false => Ok(None),
            }
        })
    }
}

fn first<'k>(
    rows: &(impl ReadRows + ?Sized),
    keys: &'k [Bytes],
) -> Result<Option<&'k Bytes>, syncline::Error> {
    for key in keys {
        if Key::of(rows, key).kind()? == Some(Kind::SortedSet) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
