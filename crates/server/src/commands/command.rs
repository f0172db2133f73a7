//! `COMMAND`: what clients can learn of the table of commands.

use crate::glob;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::Session;
use crate::table::{self, Command, Entry, Flags, Group, Keys};

pub(crate) const COMMAND: Command = Command::of_parts(
    "command",
    &[
        Command::quick("count", 2, |_, _| Ok(Reply::total(table::all().count()))).docs(
            "2.8.13",
            "O(1)",
            "Returns a count of commands.",
        ),
        Command::quick("docs", -2, docs).docs(
            "7.0.0",
            "O(N) where N is the number of commands to look up",
            "Returns documentary information about one, multiple or all commands.",
        ),
        Command::quick("getkeys", -4, |_, request| {
            let keys = keys(request)?;
            let names = keys.into_iter().map(|(_, at)| request.share(at));
            Ok(Reply::bulks(names))
        })
        .docs(
            "2.8.13",
            "O(N) where N is the number of arguments to the command",
            "Extracts the key names from an arbitrary command.",
        ),
        Command::quick("getkeysandflags", -4, |_, request| {
            let keys = keys(request)?;
            let keys = keys.into_iter().map(|(command, at)| {
                let name = Reply::Bulk(request.share(at));
                Reply::Array(vec![name, key_flags(command)])
            });
            Ok(Reply::Array(keys.collect()))
        })
        .docs(
            "7.0.0",
            "O(N) where N is the number of arguments to the command",
            "Extracts the key names and access flags for an arbitrary command.",
        ),
        Command::quick("info", -2, info).docs(
            "2.8.13",
            "O(N) where N is the number of commands to look up",
            "Returns information about one, multiple or all commands.",
        ),
        Command::quick("list", -2, list).docs(
            "7.0.0",
            "O(N) where N is the total number of commands",
            "Returns a list of command names.",
        ),
        Command::HELP,
    ],
)
.alone(|_, _| {
    Ok(Reply::Array(
        table::entries().filter(Entry::is_whole).map(told).collect(),
    ))
})
.docs(
    "2.8.13",
    "O(N) where N is the total number of commands",
    "Returns detailed information about all commands.",
);

fn info(_: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let told = match request.len() {
        2 => table::entries().filter(Entry::is_whole).map(told).collect(),
        _ => {
            let names = request.from(2).map(table::entry);
            names.map(|found| found.map_or(Reply::Null, told)).collect()
        }
    };
    Ok(Reply::Array(told))
}

/// A command as `COMMAND INFO` tells it, in ten parts.
fn told(entry: &'static Entry) -> Reply {
    let command = entry.command;
    let [first, last, step] = command.keys.legacy();
    let words = |words: Vec<&'static str>| {
        let words = words.into_iter().map(|word| Reply::Simple(word.into()));
        Reply::Set(words.collect())
    };
    let mut flags: Vec<_> = command.flags.names().collect();
    if matches!(command.keys, Keys::Counted { .. } | Keys::Sort) {
        flags.push("movablekeys");
    }
    Reply::Array(vec![
        Reply::word(&entry.name),
        Reply::Integer(command.arity.into()),
        words(flags),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        words(entry.categories()),
        // Tips are for clients of Redis's clusters, whose shards this has none of.
        Reply::Array(Vec::new()),
        Reply::Array(key_specifications(command)),
        Reply::Array(entry.parts().map(told).collect()),
    ])
}

/// What a command does with its keys, as far as the table knows.
fn key_flags(command: &Command) -> Reply {
    let flags: &[&'static str] = match command.is(Flags::WRITE) {
        true => &["RW", "access", "update"],
        false => &["RO", "access"],
    };
    let flags = flags.iter().map(|flag| Reply::Simple((*flag).into()));
    Reply::Set(flags.collect())
}

/// Where its keys are, in the terms of Redis: a place to begin, and a way to find them from there.
fn key_specifications(command: &Command) -> Vec<Reply> {
    let number = |number: i16| Reply::Integer(number.into());
    let found = |how: &'static str, spec: Vec<(&'static str, i16)>| {
        let spec = spec
            .into_iter()
            .map(|(name, value)| (Reply::word(name), number(value)));
        Reply::Map(vec![
            (Reply::word("type"), Reply::word(how)),
            (Reply::word("spec"), Reply::Map(spec.collect())),
        ])
    };
    let specification = |begin, keys| {
        Reply::Map(vec![
            (Reply::word("flags"), key_flags(command)),
            (Reply::word("begin_search"), begin),
            (Reply::word("find_keys"), keys),
        ])
    };
    let range = |first: i16, last: i16, step| {
        let begin = found("index", vec![("index", first)]);
        // From the first on, unless it is counted from the end.
        let last = if last < 0 { last } else { last - first };
        let range = vec![("lastkey", last), ("keystep", step), ("limit", 0)];
        specification(begin, found("range", range))
    };
    match command.keys {
        Keys::None => Vec::new(),
        Keys::Range { first, last, step } => vec![range(first, last, step)],
        Keys::Counted { at, before } => {
            let begin = found("index", vec![("index", at)]);
            let counted = vec![("keynumidx", 0), ("firstkey", 1), ("keystep", 1)];
            let counted = specification(begin, found("keynum", counted));
            let before = before.map(|at| range(at, at, 1));
            before.into_iter().chain([counted]).collect()
        }
        Keys::Sort => {
            let unknown = || found("unknown", Vec::new());
            let other = match command.is(Flags::WRITE) {
                true => Some(specification(unknown(), unknown())),
                false => None,
            };
            [range(1, 1, 1)].into_iter().chain(other).collect()
        }
    }
}

fn docs(_: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let pair = |entry: &'static Entry| (Reply::word(&entry.name), documented(entry));
    let told = match request.len() {
        2 => table::entries().filter(Entry::is_whole).map(pair).collect(),
        // Of what is unknown nothing is said.
        _ => request.from(2).filter_map(table::entry).map(pair).collect(),
    };
    Ok(Reply::Map(told))
}

fn documented(entry: &'static Entry) -> Reply {
    let command = entry.command;
    let mut told: Vec<_> = [
        ("summary", command.summary),
        ("since", command.since),
        ("group", entry.group.name()),
        ("complexity", command.complexity),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(name, text)| (Reply::word(name), Reply::word(text)))
    .collect();
    let parts: Vec<_> = entry
        .parts()
        .map(|part| (Reply::word(&part.name), documented(part)))
        .collect();
    if !parts.is_empty() {
        told.push((Reply::word("subcommands"), Reply::Map(parts)));
    }
    Reply::Map(told)
}

/// The positions of the keys of a request that comes after two words, and its command.
fn keys(request: &Request) -> Result<Vec<(&'static Command, usize)>, Refusal> {
    const BEFORE: usize = 2;
    let asked = request.tail(BEFORE);
    let Some(command) = table::command_of(&asked) else {
        return Err("ERR Invalid command specified".into());
    };
    if command.keys == Keys::None {
        return Err("ERR The command has no key arguments".into());
    }
    if !command.admits(asked.len()) {
        return Err("ERR Invalid number of arguments specified for command".into());
    }
    let keys = command.keys.of(&asked);
    if keys.is_empty() {
        return Err("ERR Invalid arguments specified for command".into());
    }
    Ok(keys.into_iter().map(|at| (command, at + BEFORE)).collect())
}

fn list(_: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let names = |wanted: &dyn Fn(&Entry) -> bool| {
        let entries = table::entries().filter(|entry| wanted(entry));
        Reply::Array(entries.map(|entry| Reply::word(&entry.name)).collect())
    };
    let is = |at: usize, word: &str| request.get(at).eq_ignore_ascii_case(word.as_bytes());
    let wanted = request.get(4);
    match request.len() {
        2 => Ok(names(&|_| true)),
        5 if is(2, "filterby") && is(3, "pattern") => Ok(names(&|entry| {
            glob::matches(wanted, entry.name.as_bytes(), true)
        })),
        5 if is(2, "filterby") && is(3, "aclcat") => Ok(names(&|entry| {
            let mut categories = entry.categories().into_iter();
            categories.any(|category| category.as_bytes()[1..].eq_ignore_ascii_case(wanted))
        })),
        // There are no modules, so nothing is of one.
        5 if is(2, "filterby") && is(3, "module") => Ok(names(&|_| false)),
        _ => Err(Refusal::SYNTAX),
    }
}

/// What Redis calls dangerous beside what is for operators.
const DANGEROUS: [&str; 9] = [
    "flushall", "flushdb", "info", "keys", "restore", "role", "sort", "sort_ro", "swapdb",
];

impl Entry {
    /// The categories of Redis's access lists that it is in, in Redis's order.
    pub(crate) fn categories(&self) -> Vec<&'static str> {
        let is = |mark| self.command.is(mark);
        let name = self.name.as_str();
        let is_of = |group| self.group == group;
        let is_sort = matches!(name, "sort" | "sort_ro");
        let is_command = name.starts_with("command");
        let is_of_keys = matches!(name, "dbsize" | "flushdb" | "flushall" | "swapdb");
        let categories = [
            (
                (is_of(Group::Generic) && !is_sort) || is_of_keys,
                "@keyspace",
            ),
            (is(Flags::READONLY), "@read"),
            (is(Flags::WRITE), "@write"),
            (is_of(Group::Set) || is_sort, "@set"),
            (is_of(Group::SortedSet) || is_sort, "@sortedset"),
            (is_sort, "@list"),
            (is_of(Group::Hash), "@hash"),
            (is_of(Group::String), "@string"),
            (is_of(Group::Bitmap), "@bitmap"),
            (is(Flags::PUBSUB), "@pubsub"),
            (is(Flags::ADMIN), "@admin"),
            (is(Flags::FAST), "@fast"),
            (!is(Flags::FAST), "@slow"),
            (is(Flags::BLOCKING), "@blocking"),
            (is(Flags::ADMIN) || DANGEROUS.contains(&name), "@dangerous"),
            (is_of(Group::Connection) || is_command, "@connection"),
            (is_of(Group::Transactions), "@transaction"),
        ];
        let categories = categories.into_iter().filter(|(is_in, _)| *is_in);
        categories.map(|(_, category)| category).collect()
    }
}
