//! Keys of all kinds.

use syncline::ops::{Key, Kind};

use crate::execute::{Reads, Writes};
use crate::notes::Class;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::{Done, Session};
use crate::table::{Command, Family, Group, Keys};

pub(crate) const FAMILY: Family = Family {
    group: Group::Generic,
    commands: &[
        Command::both("del", -2, delete, delete_alone)
            .keys(Keys::ALL)
            .docs(
                "1.0.0",
                "O(N) in the keys, and in the members of those that are no strings.",
                "Deletes one or more keys.",
            ),
        Command::both("unlink", -2, delete, delete_alone)
            .keys(Keys::ALL)
            .fast()
            .docs(
                "4.0.0",
                "O(N) in the keys, and in the members of those that are no strings.",
                "Deletes one or more keys.",
            ),
        Command::read("exists", -2, exists)
            .keys(Keys::ALL)
            .fast()
            .docs(
                "1.0.0",
                "O(N) where N is the number of keys to check.",
                "Determines whether one or more keys exist.",
            ),
        Command::read("touch", -2, exists)
            .keys(Keys::ALL)
            .fast()
            .docs(
                "3.2.1",
                "O(N) where N is the number of keys that will be touched.",
                "Returns the number of existing keys out of those specified. When they were last used is not kept.",
            ),
        Command::read("type", 2, kind).key().fast().docs(
            "1.0.0",
            "O(1)",
            "Determines the type of value stored at a key.",
        ),
    ],
};

fn delete(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    let mut deleted = 0;
    for key in request.from(1) {
        if writes.rows.delete(key)? {
            writes.note(Class::Generic, "del", key);
            deleted += 1;
        }
    }
    Ok(Reply::Integer(deleted))
}

/// In one transaction, unless there is too much for one.
fn delete_alone(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let whole = request.clone();
        let done = session.transact(move |writes| delete(writes, &whole)).await;
        match done {
            Err(Refusal::Store(error)) if error.is_too_large() => {}
            done => return done,
        }
        let namespace = session.namespace()?;
        let mut deleted = 0;
        for at in 1..request.len() {
            let key = request.get(at);
            if namespace.delete(key).await? {
                let mut notes = session.server.events.notes();
                notes.add(Class::Generic, "del", key);
                session.server.events.announce(session.database, notes);
                deleted += 1;
            }
        }
        Ok(Reply::Integer(deleted))
    })
}

fn exists(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let mut there = 0;
    for key in request.from(1) {
        there += i64::from(Key::of(reads.rows, key).kind()?.is_some());
    }
    Ok(Reply::Integer(there))
}

fn kind(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let kind = Key::of(reads.rows, request.get(1)).kind()?;
    Ok(Reply::Simple(kind.map_or("none", kind_name).into()))
}

/// What Redis calls it.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Value => "string",
        Kind::Map => "hash",
        Kind::Set => "set",
        Kind::SortedSet => "zset",
        _ => "unknown",
    }
}
