//! The table of commands: what dispatch, `COMMAND`, `COMMAND DOCS` and the page of commands in the documentation are made of.

mod concurrently;
mod flags;
mod group;
mod keys;

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
pub use self::flags::Flags;
pub use self::group::Group;
pub use self::keys::Keys;

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
