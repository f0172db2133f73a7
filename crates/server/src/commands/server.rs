//! The server.

use syncline::ops;

use crate::execute::{Reads, Writes};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::server::DATABASES;
use crate::session::{Done, Session};
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Server,
    commands: &[
        Command::read("dbsize", 1, size).fast().slow().docs(
            "1.0.0",
            "O(1), and a look at each key that has expired, and at each deleted counter, that is not yet collected",
            "Returns the number of keys in the database.",
        ),
        Command::both("flushdb", -1, flush_within, flush).docs(
            "1.0.0",
            "O(N) where N is the number of keys in the selected database",
            "Removes all keys from the current database.",
        ),
        Command::session("flushall", -1, flush_all)
            .flags(Flags::WRITE)
            .docs(
                "1.0.0",
                "O(N) where N is the total number of keys in all databases",
                "Removes all keys from all databases.",
            ),
        super::command::COMMAND,
        super::config::CONFIG,
        super::info::INFO,
    ],
};

fn size(reads: &Reads<'_>, _: &Request) -> Result<Reply, Refusal> {
    let count = match reads.view {
        Some(view) => view.count()?,
        None => {
            ops::keys::<&[u8]>(reads.rows, ..)?.try_fold(0, |count, key| key.map(|_| count + 1))?
        }
    };
    Ok(Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// `ASYNC` and `SYNC` are accepted; nobody but the client itself waits in either case.
fn check_mode(request: &Request) -> Result<(), Refusal> {
    let word = request.get(1);
    let is_known = word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync");
    match request.len() {
        1 => Ok(()),
        2 if is_known => Ok(()),
        _ => Err(Refusal::SYNTAX),
    }
}

/// With the rest of a transaction, all that is removed counts against what one may hold.
fn flush_within(writes: &mut Writes<'_, '_>, request: &Request) -> Result<Reply, Refusal> {
    /// Keys held at a time.
    const PAGE: usize = 1024;
    check_mode(request)?;
    loop {
        let keys = ops::keys::<&[u8]>(&*writes.rows, ..)?.take(PAGE);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Ok(Reply::OK);
        }
        for (key, _) in keys {
            writes.rows.delete(key)?;
        }
    }
}

fn flush(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        check_mode(&request)?;
        session.namespace()?.clear().await?;
        Ok(Reply::OK)
    })
}

fn flush_all(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        check_mode(&request)?;
        let carried = session.server.node.namespaces();
        for database in 0..DATABASES {
            // One that nobody has used is empty, and need not be made for that.
            if carried.contains(&crate::server::database_name(database)) {
                session.server.namespace(database)?.clear().await?;
            }
        }
        Ok(Reply::OK)
    })
}
