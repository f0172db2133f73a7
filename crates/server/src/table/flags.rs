//! What clients and dispatch should know of a command.

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
