//! Keys that change their names or their databases. What they show is written anew under the other name, as it is read here.

use bytes::Bytes;
use syncline::Durability;
use syncline::ops::Fingerprint;

use crate::contents::Contents;
use crate::execute::{Writes, transact};
use crate::notes::Class;
use crate::number;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::DATABASES;
use crate::session::{Done, Session};
use crate::table::{Command, Family, Flags, Group, Keys};

/// The first two arguments are keys.
const TWO: Keys = Keys::Range {
    first: 1,
    last: 2,
    step: 1,
};

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[
        Command::write("rename", 3, |writes, request| {
            rename(writes, request, true).map(|_| Reply::OK)
        })
        .keys(TWO)
        .docs(
            "1.0.0",
            "O(N) in the fields or members of the key, and of the one that is replaced",
            "Renames a key and overwrites the destination.",
        ),
        Command::write("renamenx", 3, |writes, request| {
            let is_done = rename(writes, request, false)?;
            Ok(Reply::Integer(i64::from(is_done)))
        })
        .keys(TWO)
        .docs(
            "1.0.0",
            "O(N) in the fields or members of the key",
            "Renames a key only when the target key name doesn't exist.",
        ),
        Command::both("copy", -3, copy, copy_alone)
            .keys(TWO)
            .flags(Flags::DENYOOM)
            .docs(
                "6.2.0",
                "O(N) in the fields or members of the key, and of the one that is replaced",
                "Copies the value of a key to a new key.",
            ),
        Command::both("move", 3, move_within, move_alone)
            .key()
            .docs(
                "1.0.0",
                "O(N) in the fields or members of the key",
                "Moves a key to another database.",
            ),
    ],
};

/// Whether it was renamed.
fn rename(
    writes: &mut Writes<'_, '_>,
    request: &Request,
    overwrites: bool,
) -> Result<bool, Refusal> {
    let (from, to) = (request.get(1), request.get(2));
    if from == to {
        return match writes.rows.kind(from)? {
            Some(_) => Ok(overwrites),
            None => Err(NO_KEY),
        };
    }
    let contents = Contents::of(&*writes.rows, from)?.ok_or(NO_KEY)?;
    if !overwrites && writes.rows.kind(to)?.is_some() {
        return Ok(false);
    }
    contents.put(writes.rows, to)?;
    writes.rows.delete(from)?;
    writes.note(Class::Generic, "rename_from", from);
    writes.note(Class::Generic, "rename_to", to);
    Ok(true)
}

const NO_KEY: Refusal = Refusal::said("ERR no such key");
const SAME: Refusal = Refusal::said("ERR source and destination objects are the same");
const OF_ONE: Refusal = Refusal::said(
    "ERR another database inside MULTI is not possible: a transaction is of one database",
);

fn database(text: &[u8]) -> Result<u8, Refusal> {
    let number = number::required(text)?;
    let number = u8::try_from(number).ok();
    number
        .filter(|number| *number < DATABASES)
        .ok_or(Refusal::said("ERR DB index is out of range"))
}

/// Where `COPY` is to go.
struct Target {
    database: u8,
    replaces: bool,
}

impl Target {
    fn read(request: &Request, selected: u8) -> Result<Self, Refusal> {
        let mut target = Self {
            database: selected,
            replaces: false,
        };
        let mut words = request.from(3);
        while let Some(word) = words.next() {
            match word.to_ascii_lowercase().as_slice() {
                b"replace" => target.replaces = true,
                b"db" => target.database = database(words.next().ok_or(Refusal::SYNTAX)?)?,
                _ => return Err(Refusal::SYNTAX),
            }
        }
        if target.database == selected && request.get(1) == request.get(2) {
            return Err(SAME);
        }
        Ok(target)
    }

    /// Writes what was found; whether there was something, and place for it.
    fn put(
        &self,
        writes: &mut Writes<'_, '_>,
        key: &[u8],
        contents: Option<&Contents>,
        event: &'static str,
    ) -> Result<bool, Refusal> {
        let Some(contents) = contents else {
            return Ok(false);
        };
        if !self.replaces && writes.rows.kind(key)?.is_some() {
            return Ok(false);
        }
        contents.put(writes.rows, key)?;
        writes.note(Class::Generic, event, key);
        Ok(true)
    }
}

fn copy(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let target = Target::read(request, writes.database)?;
    if target.database != writes.database {
        return Err(OF_ONE);
    }
    let contents = Contents::of(&*writes.rows, request.get(1))?;
    let is_done = target.put(writes, request.get(2), contents.as_ref(), "copy_to")?;
    Ok(Reply::Integer(i64::from(is_done)))
}

fn copy_alone(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let target = Target::read(&request, session.database)?;
        if target.database == session.database {
            return session.transact(move |writes| copy(writes, &request)).await;
        }
        let found = Found::read(session, request.share(1)).await?;
        let Some(Found { contents, .. }) = found else {
            return Ok(Reply::Integer(0));
        };
        let (server, database) = (session.server.clone(), target.database);
        let namespace = server.namespace(database)?;
        let is_done = transact(&server, &namespace, database, move |writes| {
            target.put(writes, request.get(2), Some(&contents), "copy_to")
        });
        Ok(Reply::Integer(i64::from(is_done.await?)))
    })
}

/// A key as it was found in the database that is selected.
struct Found {
    contents: Contents,
    was: Fingerprint,
}

impl Found {
    async fn read(session: &mut Session, key: Bytes) -> Result<Option<Self>, Refusal> {
        let namespace = session.namespace()?;
        let found = namespace.read(move |view| {
            let contents = Contents::of(view, &key).map_err(Refusal::into_error)?;
            let Some(contents) = contents else {
                return Ok(None);
            };
            let was = Fingerprint::of(view, &key)?;
            Ok(Some(Self { contents, was }))
        });
        Ok(found.await?)
    }
}

fn move_within(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    match database(request.get(2))? == writes.database {
        true => Err(SAME),
        false => Err(OF_ONE),
    }
}

/// In two transactions, since databases are namespaces. The first has reached the disk before the second deletes what was moved, and that is
/// done only if it is as it was: whatever happens between, nothing is lost.
fn move_alone(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let (key, database) = (request.share(1), database(request.get(2))?);
        if database == session.database {
            return Err(SAME);
        }
        let Some(Found { contents, was }) = Found::read(session, key.clone()).await? else {
            return Ok(Reply::Integer(0));
        };
        let server = session.server.clone();
        let namespace = server
            .namespace(database)?
            .with_durability(Durability::Durable);
        let target = Target {
            database,
            replaces: false,
        };
        let there = key.clone();
        let is_done = transact(&server, &namespace, database, move |writes| {
            target.put(writes, &there, Some(&contents), "move_to")
        });
        if !is_done.await? {
            return Ok(Reply::Integer(0));
        }
        let is_done = session.transact(move |writes| {
            if Fingerprint::of(&*writes.rows, &key)? != was {
                return Ok(false);
            }
            writes.rows.delete(&key)?;
            writes.note(Class::Generic, "move_from", &key);
            Ok(true)
        });
        match is_done.await? {
            true => Ok(Reply::Integer(1)),
            false => Err(
                "ERR the key was written to while it was moved: what it was is in the other database, what it is remains in this one"
                    .into(),
            ),
        }
    })
}
