//! What is on disk: here, on other nodes, and at the end of the process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use syncline::{Durability, Namespace, QuorumError, Replicas, Token};
use tokio::time::Instant;

use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::{Request, integer};
use crate::server::{DATABASES, Shared, database_name, unix_seconds};
use crate::session::{Answering, Done, Session};
use crate::table::{Command, Family, Flags, Group};
use crate::waiting::unless_ended;

pub(crate) const FAMILY: Family = Family {
    group: Group::Server,
    commands: &[
        Command::quick("bgsave", -1, save_beside).flags(Flags::ADMIN).docs(
            "1.0.0",
            "O(1)",
            "Asynchronously makes durable what was written.",
        ),
        Command::quick("lastsave", 1, |session, _| {
            Ok(Reply::count(session.server.last_save.load(Ordering::Relaxed)))
        })
        .fast()
        .docs(
            "1.0.0",
            "O(1)",
            "Returns when all was last made durable for a client, in seconds since 1970.",
        ),
        Command::session("save", 1, |session, _| {
            Box::pin(async move {
                save(&session.server).await?;
                Ok(Reply::OK)
            })
        })
        .flags(Flags::ADMIN)
        .docs(
            "1.0.0",
            "O(N) in what was written since it was last made durable",
            "Makes durable what was written.",
        ),
        Command::session("shutdown", -1, shut_down).flags(Flags::ADMIN).docs(
            "1.0.0",
            "O(N) in what was written since it was last made durable",
            "Has the process end in order, with all that was written.",
        ),
        Command::session("wait", 3, wait).flags(Flags::BLOCKING).docs(
            "3.0.0",
            "O(1), and a question to each carrier of the database",
            "Blocks until so many other nodes, or all that there are, have durably what was written here in the selected database, and returns how many have.",
        ),
    ],
};

/// Makes all databases durable that this node carries.
async fn save(server: &Shared) -> Result<(), Refusal> {
    let carried = server.node.namespaces();
    for database in 0..DATABASES {
        if carried.contains(&database_name(database)) {
            let namespace = server.namespace(database)?;
            let durable = namespace.with_durability(Durability::Durable);
            // What comes before it is durable with it.
            durable.transaction(|_| Ok(())).await?;
        }
    }
    server.last_save.store(unix_seconds(), Ordering::Relaxed);
    Ok(())
}

fn save_beside(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    if request.len() > 2
        || (request.len() == 2 && !request.get(1).eq_ignore_ascii_case(b"schedule"))
    {
        return Err(Refusal::SYNTAX);
    }
    let server: Arc<Shared> = session.server.clone();
    if server.is_saving.swap(true, Ordering::AcqRel) {
        return Err("ERR Background save already in progress".into());
    }
    tokio::spawn(async move {
        if let Err(refusal) = save(&server).await {
            tracing::error!(error = %refusal, "not all could be made durable");
        }
        server.is_saving.store(false, Ordering::Release);
    });
    Ok(Reply::Simple("Background saving started".into()))
}

fn shut_down(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let mut may_abort = true;
        let (mut saves, mut aborts) = (None, false);
        for word in request.from(1) {
            match word.to_ascii_lowercase().as_slice() {
                b"save" if saves != Some(false) => saves = Some(true),
                b"nosave" if saves != Some(true) => saves = Some(false),
                b"abort" => {
                    aborts = true;
                    continue;
                }
                b"now" | b"force" => {}
                _ => return Err(Refusal::SYNTAX),
            }
            may_abort = false;
        }
        match aborts {
            true if may_abort => return Err("ERR No shutdown in progress.".into()),
            true => return Err(Refusal::SYNTAX),
            false => {}
        }
        if saves != Some(false) {
            save(&session.server).await?;
        }
        session.server.ending.notify_one();
        // The end of the connection is the reply.
        session.answering = Answering::Off;
        session.is_ending = true;
        Ok(Reply::OK)
    })
}

/// A time to wait for.
pub(crate) fn milliseconds(text: &[u8]) -> Result<Duration, Refusal> {
    let number = integer(text).ok_or(Refusal::said(
        "ERR timeout is not an integer or out of range",
    ))?;
    let number = u64::try_from(number).map_err(|_| Refusal::said("ERR timeout is negative"))?;
    Ok(Duration::from_millis(number))
}

/// How long others have to answer after a wait was ended by another client.
const LAST_QUESTION: Duration = Duration::from_millis(100);

fn wait(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let wanted = integer(request.get(1)).ok_or(Refusal::NOT_INTEGER)?;
        // None is wanted of a negative number, as in Redis.
        let wanted = usize::try_from(wanted).unwrap_or(0);
        let patience = match milliseconds(request.get(2))? {
            Duration::ZERO => Duration::MAX,
            patience => patience,
        };
        let namespace = session.namespace()?;
        let written = match session.has_written {
            true => namespace.written().await?,
            // Whoever answers has it.
            false => Token::default(),
        };
        let counted = others_with(&namespace, &written, wanted, patience);
        let count = match unless_ended(session, counted).await? {
            Some(count) => count?,
            None => others_with(&namespace, &written, wanted, LAST_QUESTION).await?,
        };
        Ok(Reply::total(count))
    })
}

/// How many other nodes have a write durably: once so many have, or all that there are, or when the time is over.
async fn others_with(
    namespace: &Namespace,
    written: &Token,
    wanted: usize,
    patience: Duration,
) -> Result<usize, Refusal> {
    let began = Instant::now();
    let mut replicas = Replicas::N(wanted.saturating_add(1));
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let holders = match namespace.wait_replicated(written, replicas, left).await {
            Ok(replicated) => replicated.holders,
            Err(QuorumError::NotReplicated { holders, .. }) => holders,
            // All of them, then.
            Err(QuorumError::TooFew { .. }) => {
                replicas = Replicas::All;
                continue;
            }
            Err(error) => return Err(format!("ERR {error}").into()),
        };
        // This node is not counted.
        return Ok(holders.len().saturating_sub(1));
    }
}
