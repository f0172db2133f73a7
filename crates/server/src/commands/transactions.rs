//! `MULTI` and `EXEC`: several commands as one transaction; `WATCH`: only if nothing has changed.

use std::mem;

use syncline::Error;
use syncline::ops::Fingerprint;

use crate::execute::{MAX_QUEUED, write_one};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::{Done, Queued, Session};
use crate::table::{Command, Family, Flags, Group, Keys};

pub(crate) const FAMILY: Family = Family {
    group: Group::Transactions,
    commands: &[
        Command::quick("multi", 1, multi)
            .fast()
            .flags(Flags::NO_MULTI)
            .docs("1.2.0", "O(1)", "Starts a transaction."),
        Command::session("exec", 1, |session, _| Box::pin(exec(session)))
            .flags(Flags::NO_MULTI)
            .docs(
                "1.2.0",
                "Depends on commands in the transaction",
                "Executes all commands in a transaction.",
            ),
        Command::quick("discard", 1, discard)
            .fast()
            .flags(Flags::NO_MULTI)
            .docs(
                "2.0.0",
                "O(N), when N is the number of queued commands",
                "Discards a transaction.",
            ),
        Command::session("watch", -2, watch)
            .fast()
            .flags(Flags::NO_MULTI)
            .keys(Keys::ALL)
            .docs(
                "2.2.0",
                "O(log(N)) for every key.",
                "Monitors changes to keys to determine the execution of a transaction.",
            ),
        Command::quick("unwatch", 1, unwatch).fast().docs(
            "2.2.0",
            "O(1)",
            "Forgets about watched keys of a transaction.",
        ),
    ],
};

/// A key as it was.
#[derive(Debug)]
pub(crate) struct Watched {
    database: u8,
    key: Vec<u8>,
    was: Fingerprint,
}

fn multi(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    if session.queued.is_some() {
        return Err("ERR MULTI calls can not be nested".into());
    }
    session.queued = Some(Queued::default());
    Ok(Reply::OK)
}

fn discard(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    if session.queued.take().is_none() {
        return Err("ERR DISCARD without MULTI".into());
    }
    session.watched.clear();
    Ok(Reply::OK)
}

fn unwatch(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    session.watched.clear();
    Ok(Reply::OK)
}

fn watch(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        if session.queued.is_some() {
            return Err("ERR WATCH inside MULTI is not allowed".into());
        }
        let database = session.database;
        let namespace = session.namespace()?;
        let watched = namespace.read_here(|view| {
            let watched = request.from(1).map(|key| {
                let was = Fingerprint::of(view, key)?;
                Ok(Watched {
                    database,
                    key: key.to_vec(),
                    was,
                })
            });
            watched.collect::<Result<Vec<_>, Error>>()
        });
        let watched = watched.await?;
        for watched in watched {
            let same = |it: &Watched| it.database == database && it.key == watched.key;
            // As it was first.
            if !session.watched.iter().any(same) {
                session.watched.push(watched);
            }
        }
        Ok(Reply::OK)
    })
}

/// Executes what was queued, in one transaction of the namespace.
async fn exec(session: &mut Session) -> Result<Reply, Refusal> {
    let Some(queued) = session.queued.take() else {
        return Err("ERR EXEC without MULTI".into());
    };
    let watched = mem::take(&mut session.watched);
    if queued.is_spoilt {
        return Err("EXECABORT Transaction discarded because of previous errors.".into());
    }
    let server = session.server.clone();
    if watched
        .iter()
        .any(|watched| watched.database != session.database)
    {
        return Err(
            "ERR WATCH was of another database than EXEC, and a transaction is of one".into(),
        );
    }
    let commands = queued.commands;
    let done = session.transact(move |writes| {
        for watched in &watched {
            if Fingerprint::of(&*writes.rows, &watched.key)? != watched.was {
                return Ok(None);
            }
        }
        let (mut replies, mut held) = (Vec::with_capacity(commands.len()), 0);
        for (command, request) in &commands {
            // Of the session, not of the rows: it has its turn when all of this has happened.
            if command.run.quick().is_some() {
                replies.push(None);
                continue;
            }
            let began = server.stats.begin();
            let reply = match write_one(writes, command, request) {
                Ok(reply) => reply,
                // As Redis: what else was asked for happens.
                Err(refusal) if refusal.is_harmless() => refusal.reply(),
                Err(refusal) => return Err(refusal),
            };
            server.stats.end(command, request, reply.is_error(), began);
            held += reply.size();
            if held > MAX_QUEUED {
                return Err("ERR the replies of the transaction are over the limit of the server, so nothing of it has happened".into());
            }
            replies.push(Some(reply));
        }
        Ok(Some((replies, commands)))
    });
    let Some((replies, commands)) = done.await? else {
        return Ok(Reply::NullArray);
    };
    let replies = replies
        .into_iter()
        .zip(commands)
        .map(
            |(reply, (command, request))| match (reply, command.run.quick()) {
                (Some(reply), _) => reply,
                (None, Some(run)) => {
                    run(session, &request).unwrap_or_else(|refusal| refusal.reply())
                }
                (None, None) => Reply::Null,
            },
        );
    Ok(Reply::Array(replies.collect()))
}
