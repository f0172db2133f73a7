//! What a command ends with when it does not end well: one line that says what went wrong and what to do, and an exit
//! code a script can tell apart.

use std::fmt;

/// Why a command failed, as the exit code tells it. The codes are part of the command's contract; `syncline --help` lists
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The disk, the store or this process could not do its part.
    Failed,
    /// The arguments contradict each other in a way that clap cannot see.
    Usage,
    /// Everything ran, and the replicas (or the replica and the reference) do not hold the same, or a replica was damaged.
    Differs,
    /// The input is malformed. Complete batches before the malformed record are applied.
    BadInput,
    /// The peer could not be reached, or refused us.
    Peer,
    /// Another process has what this one needs alone.
    InUse,
}

impl Reason {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Differs => 3,
            Self::BadInput => 4,
            Self::Peer => 5,
            Self::InUse => 6,
        }
    }
}

/// A failure, ready to print.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    text: String,
}

impl Failure {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::new(Reason::Failed, text)
    }

    /// `doing`, then the error and what caused it, on one line.
    pub(crate) fn caused(
        doing: impl fmt::Display,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        Self::failed(format!("{doing}: {}", chain(error)))
    }

    pub(crate) fn because(mut self, reason: Reason) -> Self {
        self.reason = reason;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line break inside would make the rest look like output of its own.
        for (index, line) in self
            .text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .enumerate()
        {
            write!(f, "{}{line}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// An error and its sources on one line. Libraries differ in whether an error's text repeats its source's; what was
/// said already is not said twice.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

/// `?` with a sentence about what was being done.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: std::error::Error + 'static> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::caused(what(), &error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        let error = Outer(std::io::Error::other("the disk\nis full"));
        let failure = Failure::caused("cannot write x", &error);
        assert_eq!(
            failure.to_string(),
            "cannot write x: outer: the disk is full"
        );
    }

    #[test]
    fn what_was_said_is_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: {0}")]
        struct Repeats(#[source] std::io::Error);
        let error = Repeats(std::io::Error::other("full"));
        assert_eq!(chain(&error), "outer: full");
    }
}
