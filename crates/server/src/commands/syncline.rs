//! What Redis does not have: where this node stands among the others, and what concurrency decided.

use syncline::{Conflict, Error, NodeId, PeerAddr, Token};

use crate::commands::durability::milliseconds;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::{Done, Session};
use crate::table::{Command, Family, Flags, Group};
use crate::waiting::unless_ended;

pub(crate) const FAMILY: Family = Family {
    group: Group::Syncline,
    commands: &[SYNCLINE],
};

const SYNCLINE: Command = Command::of_parts(
    "syncline",
    &[
        Command::session("conflicts", -2, conflicts).docs(
            "0.1.0",
            "O(N) in the rows under the prefix, 10,000 at most",
            "Lists the places under a prefix in which several values were written without knowledge of each other, the one that is shown first.",
        ),
        Command::session("digest", -2, digest).docs(
            "0.1.0",
            "O(log N)",
            "Returns the number of rows of the database, or of its keys with a prefix, and their digest: equal on nodes that hold the same there.",
        ),
        Command::quick("record", 2, record).docs(
            "0.1.0",
            "O(1)",
            "Has what this connection writes from now on in the selected database recorded, until another is selected: for TOKEN.",
        ),
        Command::session("sync", 3, sync).flags(Flags::ADMIN).docs(
            "0.1.0",
            "O(D log N) where D is the number of rows that differ",
            "Syncs the database with the node at an address, and tells what was exchanged.",
        ),
        Command::quick("token", 2, token).docs(
            "0.1.0",
            "O(N) in what the connection has written since RECORD",
            "Returns a token of what this connection has written since RECORD, for WAITFOR on another node.",
        ),
        Command::session("waitfor", 4, wait_for).flags(Flags::BLOCKING).docs(
            "0.1.0",
            "O(N) in what the token names",
            "Blocks until this node has what a token names, so that one's own writes on another node are read; fails after so many milliseconds.",
        ),
        Command::session("whohas", 2, who_has).docs(
            "0.1.0",
            "O(N) in the members",
            "Lists the other nodes that have all that was written here in the database, those that lack some of it, and those of which that is not known, by what they said last.",
        ),
        Command::HELP,
    ],
)
.docs("0.1.0", "Depends on subcommand.", "A container for what Redis does not have.");

/// Places that are listed at most, and rows that are looked at.
const LISTED: usize = 1000;
const LOOKED_AT: usize = 10_000;

fn conflicts(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        if request.len() > 3 {
            return Err(Refusal::SYNTAX);
        }
        let namespace = session.namespace()?;
        let prefix = request.get(2).to_vec();
        let page = namespace.read(move |view| view.conflict_page(&prefix, None, LOOKED_AT, LISTED));
        let conflicts = page.await?.conflicts;
        Ok(Reply::Array(conflicts.iter().map(described).collect()))
    })
}

/// Key, field, and for each value: the value, milliseconds since 1970, the writer.
fn described(conflict: &Conflict) -> Reply {
    let siblings = conflict.siblings.iter().map(|sibling| {
        Reply::Map(vec![
            (Reply::word("value"), Reply::bulk(sibling.payload.clone())),
            (
                Reply::word("written-at-ms"),
                Reply::count(sibling.stamp.millis()),
            ),
            (Reply::word("dot"), Reply::bulk(sibling.dot.to_string())),
        ])
    });
    Reply::Map(vec![
        (Reply::word("key"), Reply::bulk(conflict.key.clone())),
        (Reply::word("field"), Reply::maybe(conflict.field.clone())),
        (Reply::word("values"), Reply::Array(siblings.collect())),
    ])
}

fn digest(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        if request.len() > 3 {
            return Err(Refusal::SYNTAX);
        }
        let namespace = session.namespace()?;
        let root = namespace.read(move |view| match request.len() {
            2 => view.root(),
            _ => view.digest_of(request.get(2)),
        });
        let root = root.await?;
        let digest = root.to_bytes();
        let digest = digest.iter().map(|byte| format!("{byte:02x}"));
        Ok(Reply::Map(vec![
            (Reply::word("rows"), Reply::count(root.count())),
            (
                Reply::word("digest"),
                Reply::bulk(digest.collect::<String>()),
            ),
        ]))
    })
}

fn sync(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let peer = String::from_utf8_lossy(request.get(2)).into_owned();
        let namespace = session.namespace()?;
        let synced = namespace.sync_with(PeerAddr::from(peer)).await;
        let report = synced.map_err(|error| Refusal::from(format!("ERR {error}")))?;
        Ok(Reply::Map(vec![
            (Reply::word("agreed"), Reply::Bool(report.agreed)),
            (Reply::word("rows-sent"), Reply::count(report.rows_sent)),
            (
                Reply::word("rows-received"),
                Reply::count(report.rows_received),
            ),
        ]))
    })
}

fn wait_for(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let text = String::from_utf8_lossy(request.get(2)).into_owned();
        let token: Token = text
            .parse()
            .map_err(|error| Refusal::from(format!("ERR {error}")))?;
        let patience = milliseconds(request.get(3))?;
        let namespace = session.namespace()?;
        let arrival = namespace.wait_for(&token, patience);
        let late = Err(Error::NotArrived { timeout: patience });
        unless_ended(session, arrival).await?.unwrap_or(late)?;
        Ok(Reply::OK)
    })
}

fn record(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    session.record()?;
    Ok(Reply::OK)
}

fn token(session: &mut Session, _: &Request) -> Result<Reply, Refusal> {
    match session.recorded() {
        Some(recorded) => Ok(Reply::bulk(recorded.token().to_string())),
        None => Err("ERR nothing is recorded here: say SYNCLINE RECORD first, then write".into()),
    }
}

fn who_has(session: &mut Session, _: Request) -> Done<'_> {
    Box::pin(async move {
        let namespace = session.namespace()?;
        let holders = namespace.holders(&namespace.written().await?).await?;
        let named = |nodes: Vec<NodeId>| Reply::bulks(nodes.iter().map(ToString::to_string));
        Ok(Reply::Map(vec![
            (Reply::word("has"), named(holders.has)),
            (Reply::word("lacks"), named(holders.lacks)),
            (Reply::word("unknown"), named(holders.unknown)),
        ]))
    })
}
