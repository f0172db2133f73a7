//! Keys of all kinds.

use syncline::ops::{Key, Kind};

use crate::execute::{Reads, Writes};
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
        deleted += i64::from(writes.rows.delete(key)?);
    }
    Ok(Reply::Integer(deleted))
}

/// In one transaction, unless there is too much for one.
fn delete_alone(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let namespace = session.namespace()?;
        let keys: Vec<_> = request.from(1).map(<[u8]>::to_vec).collect();
        let done = namespace.transaction(move |rows| {
            keys.iter()
                .try_fold(0, |deleted, key| Ok(deleted + i64::from(rows.delete(key)?)))
        });
        match done.await {
            Ok(deleted) => Ok(Reply::Integer(deleted)),
            Err(error) if error.is_too_large() => {
                let mut deleted = 0;
                for at in 1..request.len() {
                    deleted += i64::from(namespace.delete(request.get(at)).await?);
                }
                Ok(Reply::Integer(deleted))
            }
            Err(error) => Err(error.into()),
        }
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
        _ => "unknown",
    }
}
