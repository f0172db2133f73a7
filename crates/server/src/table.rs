//! The table of commands: what dispatch, `COMMAND`, `COMMAND DOCS` and the page of commands in the documentation are made of.

mod concurrently;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use crate::commands;
use crate::execute::{Reads, Session, Writes};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::request::Request;
use crate::session::Done;

pub use self::concurrently::concurrently;

/// One command, or one word after a command such as `CLIENT`.
pub struct Command {
    /// In lower case.
    pub name: &'static str,
    /// How many arguments it takes, its name and that of what it is a part of among them; at least so many where negative.
    pub arity: i16,
    /// What clients and dispatch should know of it.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: Keys,
    /// Since which version Redis has had it.
    pub since: &'static str,
    /// What it costs, in the terms of Redis's documentation.
    pub complexity: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// How.
    pub(crate) run: Run,
}

impl Group {
    /// As a heading of the documentation.
    #[cfg(test)]
    const fn title(self) -> &'static str {
        match self {
            Self::Generic => "Keys",
            Self::String => "Strings",
            Self::Bitmap => "Bits",
            Self::Set => "Sets",
            Self::Hash => "Hashes",
            Self::SortedSet => "Sorted sets",
            Self::Transactions => "Transactions",
            Self::PubSub => "Publications",
            Self::Connection => "Connection",
            Self::Server => "Server",
            Self::Syncline => "Syncline",
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a command runs.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// On the rows of a view, or of a transaction.
    Read(fn(&Reads<'_>, &Request) -> Result<Reply, Refusal>),
    /// In a transaction. A refusal leaves nothing of it.
    Write(fn(&mut Writes<'_, '_>, &Request) -> Result<Reply, Refusal>),
    /// In a transaction of several or, alone, in its own way: for what may be too large for one transaction, or waits.
    Both {
        within: fn(&mut Writes<'_, '_>, &Request) -> Result<Reply, Refusal>,
        alone: fn(&mut Session, Request) -> Done<'_>,
    },
    /// On the client's session. Within `MULTI` it is refused.
    Session(fn(&mut Session, Request) -> Done<'_>),
    /// On the client's session, at once: within `MULTI`, too.
    Quick(Quick),
    /// By the word after it; in the other way, if there is one, where there is no word.
    Parts(&'static [Command], Option<Quick>),
}

/// What is done on the client's session at once.
pub(crate) type Quick = fn(&mut Session, &Request) -> Result<Reply, Refusal>;

impl Run {
    /// What it does on the session at once, if it is such.
    pub(crate) const fn quick(self) -> Option<Quick> {
        match self {
            Self::Quick(run) | Self::Parts(_, Some(run)) => Some(run),
            _ => None,
        }
    }
}

/// What should be known of a command: a set of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// It may change something.
    pub const WRITE: Self = Self(1);
    /// It changes nothing.
    pub const READONLY: Self = Self(1 << 1);
    /// It takes more room.
    pub const DENYOOM: Self = Self(1 << 2);
    /// It is for operators.
    pub const ADMIN: Self = Self(1 << 3);
    /// It is of publications.
    pub const PUBSUB: Self = Self(1 << 4);
    /// It may wait for others.
    pub const BLOCKING: Self = Self(1 << 5);
    /// It takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 6);
    /// It may be asked before the password.
    pub const NO_AUTH: Self = Self(1 << 7);
    /// It is executed at once after `MULTI`, or refused, and never queued.
    pub const NO_MULTI: Self = Self(1 << 8);
    /// It may be asked while subscribed, by the older protocol. Not told to clients.
    pub const SUBSCRIBED: Self = Self(1 << 9);
    /// It can take long, so it goes to a thread of its own. Not told to clients.
    pub const SLOW: Self = Self(1 << 10);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::PUBSUB, "pubsub"),
        (Self::BLOCKING, "blocking"),
        (Self::FAST, "fast"),
        (Self::NO_AUTH, "no_auth"),
        (Self::NO_MULTI, "no_multi"),
    ];

    /// Both sets of marks.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Whether all of these marks are there.
    #[must_use]
    pub const fn has(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// What clients call them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let names = Self::NAMES.into_iter();
        names
            .filter(move |(mark, _)| self.has(*mark))
            .map(|(_, name)| name)
    }
}

/// Where the keys of a command are among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// From the first position to the last, each so many after the one before. The last is counted from the end where negative.
    Range {
        /// Of the first key, where the command's name is at 0.
        first: i16,
        /// Of the last key; -1 is the last argument.
        last: i16,
        /// From one key to the next.
        step: i16,
    },
    /// As many as the argument at this position says, after it; and the fixed one before, if any.
    Counted {
        /// Of the number of keys.
        at: i16,
        /// Of a key that stands before, such as the destination.
        before: Option<i16>,
    },
    /// A key at 1; and one after a word such as `STORE`, if that is there.
    Sort,
}

impl Keys {
    /// One key, as the first argument.
    pub const FIRST: Self = Self::Range {
        first: 1,
        last: 1,
        step: 1,
    };
    /// Each argument is a key.
    pub const ALL: Self = Self::Range {
        first: 1,
        last: -1,
        step: 1,
    };

    /// The positions of the keys of a request.
    pub fn of(self, request: &Request) -> Vec<usize> {
        let len = request.len();
        let within = |at: i16| usize::try_from(at).ok().filter(|at| *at < len);
        match self {
            Self::None => Vec::new(),
            Self::Range { first, last, step } => {
                let end = match last {
                    last if last < 0 => len.checked_sub(usize::from(last.unsigned_abs())),
                    last => within(last),
                };
                match (within(first), end, usize::try_from(step)) {
                    (Some(first), Some(end), Ok(step)) if step > 0 => {
                        (first..=end).step_by(step).collect()
                    }
                    _ => Vec::new(),
                }
            }
            Self::Counted { at, before } => {
                let mut keys: Vec<_> = before.and_then(within).into_iter().collect();
                let first = usize::try_from(at).unwrap_or(usize::MAX).saturating_add(1);
                let count = crate::request::integer(request.get(first - 1));
                let count = count
                    .and_then(|count| usize::try_from(count).ok())
                    .unwrap_or(0);
                keys.extend((first..len).take(count));
                keys
            }
            Self::Sort => {
                let is_store = |at: &usize| request.get(*at).eq_ignore_ascii_case(b"store");
                let mut keys = vec![1];
                // The last one counts.
                keys.extend((2..len.saturating_sub(1)).rfind(is_store).map(|at| at + 1));
                keys
            }
        }
    }

    /// As `COMMAND INFO` tells it: first, last, step; zeros where they are found in another way.
    pub(crate) const fn legacy(self) -> [i64; 3] {
        match self {
            Self::None => [0, 0, 0],
            Self::Range { first, last, step } => [first as i64, last as i64, step as i64],
            Self::Counted {
                before: Some(at), ..
            } => [at as i64, at as i64, 1],
            Self::Counted { before: None, .. } => [0, 0, 0],
            Self::Sort => [1, 1, 1],
        }
    }
}

/// What a command belongs to, as Redis's documentation sorts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Group {
    /// Keys of all kinds.
    Generic,
    /// Strings and numbers.
    String,
    /// Bits of strings.
    Bitmap,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Sorted sets.
    SortedSet,
    /// Several commands that happen together.
    Transactions,
    /// Publications.
    PubSub,
    /// The client's connection.
    Connection,
    /// The server.
    Server,
    /// What Redis does not have.
    Syncline,
}

impl Group {
    /// As `COMMAND DOCS` tells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::SortedSet => "sorted-set",
            Self::Transactions => "transactions",
            Self::PubSub => "pubsub",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Syncline => "syncline",
        }
    }
}

/// Commands of one kind, in the order in which they are listed.
#[derive(Debug)]
pub struct Family {
    /// Of what kind they are.
    pub group: Group,
    /// The commands.
    pub commands: &'static [Command],
}

/// The table is written with these.
impl Command {
    const fn new(name: &'static str, arity: i16, flags: Flags, run: Run) -> Self {
        Self {
            name,
            arity,
            flags,
            keys: Keys::None,
            since: "",
            complexity: "",
            summary: "",
            run,
        }
    }

    /// One that reads rows.
    pub(crate) const fn read(
        name: &'static str,
        arity: i16,
        run: fn(&Reads<'_>, &Request) -> Result<Reply, Refusal>,
    ) -> Self {
        Self::new(name, arity, Flags::READONLY, Run::Read(run))
    }

    /// One that writes rows.
    pub(crate) const fn write(
        name: &'static str,
        arity: i16,
        run: fn(&mut Writes<'_, '_>, &Request) -> Result<Reply, Refusal>,
    ) -> Self {
        Self::new(name, arity, Flags::WRITE, Run::Write(run))
    }

    /// One that writes rows, and alone goes about it in its own way.
    pub(crate) const fn both(
        name: &'static str,
        arity: i16,
        within: fn(&mut Writes<'_, '_>, &Request) -> Result<Reply, Refusal>,
        alone: fn(&mut Session, Request) -> Done<'_>,
    ) -> Self {
        Self::new(name, arity, Flags::WRITE, Run::Both { within, alone })
    }

    /// One of the session, which waits for something.
    pub(crate) const fn session(
        name: &'static str,
        arity: i16,
        run: fn(&mut Session, Request) -> Done<'_>,
    ) -> Self {
        Self::new(name, arity, Flags::NONE, Run::Session(run))
    }

    /// One of the session, which is done at once.
    pub(crate) const fn quick(name: &'static str, arity: i16, run: Quick) -> Self {
        Self::new(name, arity, Flags::NONE, Run::Quick(run))
    }

    /// One of several words.
    pub(crate) const fn of_parts(name: &'static str, parts: &'static [Self]) -> Self {
        Self::new(name, -2, Flags::NONE, Run::Parts(parts, None))
    }

    /// One that says which words may come after the one before it.
    pub(crate) const HELP: Self =
        Self::quick("help", 2, help).docs("5.0.0", "O(1)", "Prints this help.");

    /// Of several words, or of none: then it does this.
    pub(crate) const fn alone(mut self, run: Quick) -> Self {
        if let Run::Parts(parts, _) = self.run {
            self.run = Run::Parts(parts, Some(run));
            self.arity = -1;
        }
        self
    }

    pub(crate) const fn flags(mut self, flags: Flags) -> Self {
        self.flags = self.flags.and(flags);
        self
    }

    pub(crate) const fn fast(self) -> Self {
        self.flags(Flags::FAST)
    }

    pub(crate) const fn slow(self) -> Self {
        self.flags(Flags::SLOW)
    }

    pub(crate) const fn keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// The first argument is its key.
    pub(crate) const fn key(self) -> Self {
        self.keys(Keys::FIRST)
    }

    /// Since which version of Redis there is one, what it costs and what it does.
    pub(crate) const fn docs(
        mut self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        (self.since, self.complexity, self.summary) = (since, complexity, summary);
        self
    }
}

impl Command {
    /// Whether it is marked so.
    pub const fn is(&self, flags: Flags) -> bool {
        self.flags.has(flags)
    }

    /// Whether a request of so many arguments can be one of it.
    pub(crate) fn admits(&self, arguments: usize) -> bool {
        let wanted = usize::from(self.arity.unsigned_abs());
        match self.arity < 0 {
            true => arguments >= wanted,
            false => arguments == wanted,
        }
    }

    /// The words that may come after it.
    pub fn parts(&self) -> &'static [Self] {
        match self.run {
            Run::Parts(parts, _) => parts,
            _ => &[],
        }
    }

    /// What it is counted under.
    pub(crate) fn entry(&'static self) -> &'static Entry {
        let table = Table::get();
        let at = table.by_place.get(&place(self)).copied().unwrap_or(0);
        &table.entries[at]
    }
}

/// What may come after a command of several words.
fn help(_: &mut Session, request: &Request) -> Result<Reply, Refusal> {
    let Some(command) = find(request.get(0)) else {
        return Err(Refusal::SYNTAX);
    };
    let name = command.name.to_ascii_uppercase();
    let mut lines = vec![format!(
        "{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    for part in command.parts() {
        lines.push(part.name.to_ascii_uppercase());
        lines.push(format!("    {}", part.summary));
    }
    let lines = lines.into_iter().map(|line| Reply::Simple(line.into()));
    Ok(Reply::Array(lines.collect()))
}

/// All commands, by family.
pub fn families() -> &'static [Family] {
    commands::FAMILIES
}

/// All commands.
pub fn all() -> impl Iterator<Item = &'static Command> {
    families().iter().flat_map(|family| family.commands)
}

/// A command, or one word after a command, in the table.
#[derive(Debug)]
pub(crate) struct Entry {
    /// With the word before it, such as `config|get`.
    pub(crate) name: String,
    pub(crate) command: &'static Command,
    pub(crate) group: Group,
    /// Where it stands in the table.
    pub(crate) at: usize,
}

impl Entry {
    /// Whether it is a command, not a word after one.
    pub(crate) fn is_whole(self: &&'static Self) -> bool {
        !self.name.contains('|')
    }

    /// The words that may come after it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &'static Self> {
        self.command.parts().iter().map(Command::entry)
    }
}

/// All commands and words after commands, with ways to find them.
struct Table {
    entries: Vec<Entry>,
    by_name: HashMap<&'static [u8], &'static Command>,
    by_place: HashMap<usize, usize>,
}

/// A command is known by where it is: there is one of each.
fn place(command: &'static Command) -> usize {
    std::ptr::from_ref(command).addr()
}

impl Table {
    fn get() -> &'static Self {
        static TABLE: LazyLock<Table> = LazyLock::new(Table::new);
        &TABLE
    }

    fn new() -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for family in families() {
            let group = family.group;
            for command in family.commands {
                let mut add = |name, command| {
                    let at = entries.len();
                    entries.push(Entry {
                        name,
                        command,
                        group,
                        at,
                    });
                };
                add(command.name.to_owned(), command);
                for part in command.parts() {
                    add(format!("{}|{}", command.name, part.name), part);
                }
            }
        }
        let by_place = entries.iter().map(|entry| (place(entry.command), entry.at));
        Self {
            by_place: by_place.collect(),
            by_name: all()
                .map(|command| (command.name.as_bytes(), command))
                .collect(),
            entries,
        }
    }
}

/// All commands, and after each the words that may come after it.
pub(crate) fn entries() -> impl ExactSizeIterator<Item = &'static Entry> {
    Table::get().entries.iter()
}

/// The command, or the word after one, of a name such as `config|get`.
pub(crate) fn entry(name: &[u8]) -> Option<&'static Entry> {
    match name.iter().position(|&byte| byte == b'|') {
        None => find(name).map(Command::entry),
        Some(at) => {
            let part = part(find(&name[..at])?, &name[at + 1..])?;
            Some(part.entry())
        }
    }
}

/// The word after a command, in whatever case.
pub(crate) fn part(command: &'static Command, word: &[u8]) -> Option<&'static Command> {
    let mut parts = command.parts().iter();
    parts.find(|part| part.name.as_bytes().eq_ignore_ascii_case(word))
}

/// What a request asks for, by its first word or the first two.
pub(crate) fn command_of(request: &Request) -> Option<&'static Command> {
    let command = find(request.get(0))?;
    match command.parts().is_empty() || request.len() == 1 {
        true => Some(command),
        false => part(command, request.get(1)),
    }
}

/// The longest name of a command.
const LONGEST: usize = 32;

/// The command of this name, in whatever case.
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Table::get().by_name.get(&*lower).copied()
}

#[cfg(test)]
mod tests;
