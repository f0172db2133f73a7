//! What operators ask: slow requests, durability, roles; and what there is none of here, with the reason.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::{Request, integer};
use crate::server::unix_seconds;
use crate::session::Session;
use crate::table::{Command, Family, Flags, Group};

pub(crate) const FAMILY: Family = Family {
    group: Group::Server,
    commands: &[
        super::acl::ACL,
        Command::quick("failover", -1, |_, _| {
            Err("ERR FAILOVER is not there: all nodes take writes, and none takes the place of another".into())
        })
        .flags(Flags::ADMIN)
        .docs("6.2.0", "O(1)", "Refused: there is no leader."),
        Command::quick("replicaof", 3, |_, _| Err(NO_LEADER.into()))
            .flags(Flags::ADMIN)
            .docs("5.0.0", "O(1)", "Refused: all nodes are equal."),
        Command::quick("role", 1, |_, _| {
            let none = Reply::Array(Vec::new());
            Ok(Reply::Array(vec![Reply::word("master"), Reply::Integer(0), none]))
        })
        .fast()
        .docs("2.8.12", "O(1)", "Returns the replication role: each node takes writes."),
        Command::quick("slaveof", 3, |_, _| Err(NO_LEADER.into()))
            .flags(Flags::ADMIN)
            .docs("1.0.0", "O(1)", "Refused: all nodes are equal."),
        Command::of_parts(
            "slowlog",
            &[
                Command::quick("get", -2, slow).flags(Flags::ADMIN).docs(
                    "2.2.12",
                    "O(N) where N is the number of entries returned",
                    "Returns the slow log's entries.",
                ),
                Command::quick("len", 2, |session, _| {
                    Ok(Reply::total(session.server.stats.slow.len()))
                })
                .flags(Flags::ADMIN)
                .docs("2.2.12", "O(1)", "Returns the number of entries in the slow log."),
                Command::quick("reset", 2, |session, _| {
                    session.server.stats.slow.clear();
                    Ok(Reply::OK)
                })
                .flags(Flags::ADMIN)
                .docs("2.2.12", "O(N) where N is the number of entries in the slowlog", "Clears all entries from the slow log."),
                Command::HELP,
            ],
        )
        .docs("2.2.12", "Depends on subcommand.", "A container for slow log commands."),
        Command::quick("swapdb", 3, |_, _| {
            Err("ERR SWAPDB is not there: databases merge with those of other nodes, and a swap here is none there".into())
        })
        .flags(Flags::ADMIN)
        .docs("4.0.0", "O(1)", "Refused: databases merge with those of other nodes."),
        Command::quick("time", 1, |_, _| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let micros = now.subsec_micros();
            Ok(Reply::bulks([unix_seconds().to_string(), micros.to_string()]))
        })
        .fast()
        .docs("2.6.0", "O(1)", "Returns the server time."),
    ],
};

const NO_LEADER: &str = "ERR all nodes are equal and take writes: there is nothing to be a replica of; nodes join a cluster by `syncline node --join`";

fn slow(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let count = match request.len() {
        2 => 10,
        3 => integer(request.get(2)).ok_or(Refusal::NOT_INTEGER)?,
        _ => return Err(Refusal::arity("slowlog|get")),
    };
    let count = match count {
        -1 => usize::MAX,
        count => usize::try_from(count)
            .map_err(|_| Refusal::said("ERR count should be greater than or equal to -1"))?,
    };
    let entries = session
        .server
        .stats
        .slow
        .newest(count)
        .into_iter()
        .map(|slow| {
            let at = slow.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let took = u64::try_from(slow.took.as_micros()).unwrap_or(u64::MAX);
            Reply::Array(vec![
                Reply::count(slow.id),
                Reply::count(at.as_secs()),
                Reply::count(took),
                Reply::bulks(slow.arguments),
                // Requests are executed together, whoever has sent them.
                Reply::word(""),
                Reply::word(""),
            ])
        });
    Ok(Reply::Array(entries.collect()))
}
