//! Why a command was not done, in the words that Redis uses.

use std::borrow::Cow;

use syncline::Error;

use crate::reply::Reply;

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It cannot be, as it was asked for. Nothing was changed.
    #[error("{0}")]
    Said(Cow<'static, str>),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Refusal {
    pub(crate) const SYNTAX: Self = Self::said("ERR syntax error");
    pub(crate) const NOT_INTEGER: Self = Self::said("ERR value is not an integer or out of range");
    pub(crate) const NOT_FLOAT: Self = Self::said("ERR value is not a valid float");
    pub(crate) const TOO_MUCH: Self = Self::said("ERR the reply is over the limit of the server");
    pub(crate) const UNBLOCKED: Self = Self::said("UNBLOCKED client unblocked via CLIENT UNBLOCK");
    pub(crate) const WRONG_TYPE: Self =
        Self::said("WRONGTYPE Operation against a key holding the wrong kind of value");

    pub(crate) const fn said(text: &'static str) -> Self {
        Self::Said(Cow::Borrowed(text))
    }

    pub(crate) fn arity(command: &str) -> Self {
        Self::Said(format!("ERR wrong number of arguments for '{command}' command").into())
    }

    /// What the client is told.
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Said(text) => Reply::Error(text.clone()),
            Self::Store(error) => told(error),
        }
    }

    /// What a transaction is given up with.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Said(_) => Error::abort(self),
            Self::Store(error) => error,
        }
    }

    /// Whether the request alone was at fault, so that a transaction of several may go on.
    pub(crate) const fn is_harmless(&self) -> bool {
        match self {
            Self::Said(_) => true,
            Self::Store(error) => Self::is_harmless_error(error),
        }
    }

    /// Whether an error says something of what was asked for, and not of the store.
    pub(crate) const fn is_harmless_error(error: &Error) -> bool {
        matches!(
            error,
            Error::WrongKind { .. }
                | Error::NotANumber { .. }
                | Error::NotAnInteger { .. }
                | Error::Overflow { .. }
        )
    }
}

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Self {
        Self::said(text)
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Said(text.into())
    }
}

/// An error of the store, as Redis would put it.
fn told(error: &Error) -> Reply {
    Reply::Error(match error {
        Error::WrongKind { .. } => {
            "WRONGTYPE Operation against a key holding the wrong kind of value".into()
        }
        Error::NotANumber { .. } | Error::NotAnInteger { .. } => {
            "ERR value is not an integer or out of range".into()
        }
        Error::Overflow { .. } => "ERR increment or decrement would overflow".into(),
        Error::Aborted(reason) => match reason.downcast_ref::<Refusal>() {
            Some(refusal) => return refusal.reply(),
            None => format!("ERR {reason}").into(),
        },
        Error::ReadOnly { .. } => format!("MISCONF {error}").into(),
        Error::Damaged { .. } | Error::Store(_) => format!("ERR {error}").into(),
        Error::Closed => "ERR the server is shutting down".into(),
        error => format!("ERR {error}").into(),
    })
}
