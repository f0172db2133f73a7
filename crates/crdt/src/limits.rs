//! How large the parts of a row may be. Whoever accepts data, from a caller or from a peer, holds it against these.

/// Longest user key, in bytes.
pub const MAX_KEY: usize = 64 * 1024;

/// Longest map field or set member, in bytes.
pub const MAX_FIELD: usize = 64 * 1024;

/// Longest value of one sibling, in bytes.
pub const MAX_VALUE: usize = 16 * 1024 * 1024;
