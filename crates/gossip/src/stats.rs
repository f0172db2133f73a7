//! What a machine has seen.

/// Counts since the machine was made. What was refused was refused because of a bound; it is no error, since pulls and sessions
/// bring what it would have brought, but a peer that causes much of it misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Rumours of our own that were to be spread.
    pub published: u64,
    /// Rumours that were handed to a peer, each once for each peer: our own, and those passed on.
    pub pushed: u64,
    /// Rumours delivered.
    pub delivered: u64,
    /// Of these, those that came because they were asked for.
    pub delivered_late: u64,
    /// Rumours that came and were known, replayed ones among them.
    pub repeated: u64,
    /// Rumours refused: they claim more dots than a transaction makes, or dots of so many replicas, with so many gaps, that remembering
    /// them would go beyond bounds.
    pub rumours_refused: u64,
    /// Announcements passed over because too much was announced, by all or by one, that has not come.
    pub announcements_refused: u64,
    /// Rumours announced that nobody who announced them has sent.
    pub announced_in_vain: u64,
    /// Pulls and requests unanswered because a peer had got its share for the period.
    pub answers_refused: u64,
    /// Links refused, for want of room or because a stranger asked.
    pub links_refused: u64,
}
