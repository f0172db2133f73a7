//! How it goes: memory, latency, and what tests of clients ask for.

use std::time::Duration;

use syncline::ops::{Entry, Key, Kind, Map, Set, SortedSet};

use crate::commands::info::resident_bytes;
use crate::execute::Reads;
use crate::number::required;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::{Done, Session};
use crate::table::{self, Command, Family, Flags, Group, Keys};
use crate::waiting::unless_ended;

pub(crate) const FAMILY: Family = Family {
    group: Group::Server,
    commands: &[
        Command::of_parts(
            "debug",
            &[
                Command::session("sleep", 3, sleep).flags(Flags::BLOCKING).docs(
                    "1.0.0",
                    "O(1)",
                    "Has this client wait so many seconds; the others go on.",
                ),
                Command::HELP,
            ],
        )
        .flags(Flags::ADMIN)
        .docs("1.0.0", "Depends on subcommand.", "A container for debugging commands."),
        Command::of_parts(
            "latency",
            &[
                Command::quick("doctor", 2, |_, _| {
                    Ok(Reply::Verbatim("Spikes are not recorded here. INFO commandstats and latencystats tell how long commands take, SLOWLOG which requests took long, and the node's metrics how long its disk does.".to_owned()))
                })
                .docs("2.8.13", "O(1)", "Returns where latencies are told."),
                Command::quick("graph", 3, |_, request| {
                    let event = String::from_utf8_lossy(request.get(2));
                    Err(format!("ERR No samples available for event '{event}'").into())
                })
                .docs(
                    "2.8.13",
                    "O(1)",
                    "Returns a latency graph for an event: no samples are recorded.",
                ),
                Command::quick("histogram", -2, histogram).docs(
                    "7.0.0",
                    "O(N) where N is the number of commands",
                    "Returns the cumulative distribution of latencies of a subset or all commands.",
                ),
                Command::quick("history", 3, |_, _| Ok(Reply::Array(Vec::new()))).docs(
                    "2.8.13",
                    "O(1)",
                    "Returns timestamp-latency samples for an event: none are recorded.",
                ),
                Command::quick("latest", 2, |_, _| Ok(Reply::Array(Vec::new()))).docs(
                    "2.8.13",
                    "O(1)",
                    "Returns the latest latency samples for all events: none are recorded.",
                ),
                Command::quick("reset", -2, |_, _| Ok(Reply::Integer(0))).docs(
                    "2.8.13",
                    "O(1)",
                    "Resets the latency data: none is recorded.",
                ),
                Command::HELP,
            ],
        )
        .flags(Flags::ADMIN)
        .docs("2.8.13", "Depends on subcommand.", "A container for latency diagnostics commands."),
        Command::of_parts(
            "memory",
            &[
                Command::quick("doctor", 2, |_, _| {
                    Ok(Reply::Verbatim("Nothing is known to be wrong: memory is bounded by limits, and what is stored is on disk.".to_owned()))
                })
                .docs("4.0.0", "O(1)", "Outputs a memory problems report."),
                Command::quick("stats", 2, |session, _| {
                    let used = resident_bytes().unwrap_or(0);
                    let clients = session.server.clients.len();
                    Ok(Reply::Map(vec![
                        (Reply::word("total.allocated"), Reply::count(used)),
                        (Reply::word("clients.normal.count"), Reply::total(clients)),
                    ]))
                })
                .docs("4.0.0", "O(1)", "Returns details about memory usage."),
                Command::read("usage", -3, usage)
                    .keys(Keys::Range { first: 2, last: 2, step: 1 })
                    .docs(
                        "4.0.0",
                        "O(N) where N is the number of samples",
                        "Estimates how many bytes a key takes where it is stored, which is on disk.",
                    ),
                Command::HELP,
            ],
        )
        .docs("4.0.0", "Depends on subcommand.", "A container for memory diagnostics commands."),
    ],
};

/// Of commands by their names, those with words behind them included; of all that were asked for where none is named.
fn histogram(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let is_wanted = |entry: &&table::Entry| {
        let (whole, _) = entry.name.split_once('|').unwrap_or((&entry.name, ""));
        let mut names = request.from(2);
        let is_it = |name: &[u8], it: &str| name.eq_ignore_ascii_case(it.as_bytes());
        request.len() == 2 || names.any(|name| is_it(name, &entry.name) || is_it(name, whole))
    };
    let told = table::entries().filter(is_wanted).filter_map(|entry| {
        let (calls, buckets) = session.server.stats.of(entry).histogram();
        let bucket = |(upper, count)| (Reply::count(upper), Reply::count(count));
        let buckets = buckets.into_iter().map(bucket).collect();
        let told = Reply::Map(vec![
            (Reply::word("calls"), Reply::count(calls)),
            (Reply::word("histogram_usec"), Reply::Map(buckets)),
        ]);
        (calls > 0).then(|| (Reply::word(&entry.name), told))
    });
    Ok(Reply::Map(told.collect()))
}

fn sleep(session: &mut Session, request: Request) -> Done<'_> {
    Box::pin(async move {
        let text = String::from_utf8_lossy(request.get(2));
        let seconds: f64 = text.parse().map_err(|_| Refusal::NOT_FLOAT)?;
        let time = Duration::try_from_secs_f64(seconds).map_err(|_| Refusal::NOT_FLOAT)?;
        unless_ended(session, tokio::time::sleep(time)).await?;
        Ok(Reply::OK)
    })
}

/// What a row takes beside its key, field and value: who wrote it and when, lengths, its part of the pages of a tree.
const ROW: usize = 64;
/// Fields or members that are looked at where nothing else is said, as in Redis.
const SAMPLES: usize = 5;

fn usage(reads: &Reads<'_>, request: &Request) -> Result<Reply, Refusal> {
    let samples = match request.len() {
        3 => SAMPLES,
        5 if request.get(3).eq_ignore_ascii_case(b"samples") => {
            let samples = required(request.get(4))?;
            match usize::try_from(samples).map_err(|_| Refusal::SYNTAX)? {
                0 => usize::MAX,
                samples => samples,
            }
        }
        _ => return Err(Refusal::SYNTAX),
    };
    let key = request.get(2);
    let at = Key::of(reads.rows, key);
    let Some(kind) = at.kind()? else {
        return Ok(Reply::Null);
    };
    let row = key.len() + ROW;
    let bytes = match kind {
        Kind::Map => {
            let map = Map::of(reads.rows, key);
            let size = |(field, value): Entry| field.len() + value.len();
            let sizes = map.fields()?.map(|entry| entry.map(size));
            estimate(row, map.len()?, sizes.take(samples))?
        }
        Kind::Set => {
            let set = Set::of(reads.rows, key);
            let sizes = set.members()?.map(|member| member.map(|it| it.len()));
            estimate(row, set.len()?, sizes.take(samples))?
        }
        Kind::SortedSet => {
            let set = SortedSet::of(reads.rows, key);
            // Once by its name, and once by its score.
            let size = |member: Vec<u8>| 2 * (member.len() + size_of::<f64>());
            let sizes = set.members()?.map(|member| member.map(|(it, _)| size(it)));
            estimate(row, set.len()?, sizes.take(samples))?
        }
        _ => {
            let value = at.value()?.unwrap_or_default();
            (row + value.len()) as u64
        }
    };
    Ok(Reply::count(bytes))
}

/// What so many rows take, by the sizes of some of them.
fn estimate(
    row: usize,
    count: u64,
    sizes: impl Iterator<Item = Result<usize, syncline::Error>>,
) -> Result<u64, Refusal> {
    let (mut looked_at, mut sum) = (0_u64, 0_u64);
    for size in sizes {
        looked_at += 1;
        sum += (row + size?) as u64;
    }
    let bytes = u128::from(sum) * u128::from(count) / u128::from(looked_at.max(1));
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}
