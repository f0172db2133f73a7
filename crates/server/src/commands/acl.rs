//! `ACL`: the only user there is, and the categories of commands.

use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::Session;
use crate::table::{self, Command, Flags};

pub(crate) const ACL: Command = Command::of_parts(
    "acl",
    &[
        Command::quick("cat", -2, categories).docs(
            "6.0.0",
            "O(N) where N is the number of commands",
            "Lists the ACL categories, or the commands inside a category.",
        ),
        Command::quick("getuser", 3, user).flags(Flags::ADMIN).docs(
            "6.0.0",
            "O(1)",
            "Lists what a user may do: there is one, and it may do all. Passwords are not told.",
        ),
        Command::quick("list", 2, |session, _| {
            let flags = flags(session).join(" ");
            Ok(Reply::bulks([format!("user default {flags} ~* &* +@all")]))
        })
        .flags(Flags::ADMIN)
        .docs(
            "6.0.0",
            "O(1)",
            "Lists what all users may do: there is one. Passwords are not told.",
        ),
        Command::quick("users", 2, |_, _| Ok(Reply::bulks(["default"])))
            .flags(Flags::ADMIN)
            .docs("6.0.0", "O(1)", "Lists all users: there is one."),
        Command::quick("whoami", 2, |_, _| Ok(Reply::word("default"))).docs(
            "6.0.0",
            "O(1)",
            "Returns the user of the connection: there is one.",
        ),
        Command::HELP,
    ],
)
.docs(
    "6.0.0",
    "Depends on subcommand.",
    "A container for the only user there is.",
);

/// All that Redis has, some of them empty here.
const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

const ARITY: Refusal =
    Refusal::said("ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.");

fn categories(_: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let wanted = match request.len() {
        2 => return Ok(Reply::Array(CATEGORIES.map(Reply::word).into())),
        3 => String::from_utf8_lossy(request.get(2)),
        _ => return Err(ARITY),
    };
    if !CATEGORIES.iter().any(|it| it.eq_ignore_ascii_case(&wanted)) {
        return Err(format!("ERR Unknown category '{wanted}'").into());
    }
    let is_in = |entry: &&table::Entry| {
        let mut categories = entry.categories().into_iter();
        categories.any(|category| category[1..].eq_ignore_ascii_case(&wanted))
    };
    let entries = table::entries().filter(is_in);
    let names = entries.map(|entry| Reply::word(&entry.name));
    Ok(Reply::Array(names.collect()))
}

fn flags(session: &Session) -> Vec<&'static str> {
    match session.server.settings.password() {
        Some(_) => vec!["on"],
        None => vec!["on", "nopass"],
    }
}

fn user(session: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    if request.get(2) != b"default" {
        return Ok(Reply::Null);
    }
    let flags = flags(session).into_iter().map(Reply::word).collect();
    let none = || Reply::Array(Vec::new());
    let told = [
        ("flags", Reply::Set(flags)),
        ("passwords", none()),
        ("commands", Reply::word("+@all")),
        ("keys", Reply::word("~*")),
        ("channels", Reply::word("&*")),
        ("selectors", none()),
    ];
    let told = told.map(|(name, value)| (Reply::word(name), value));
    Ok(Reply::Map(told.into()))
}
