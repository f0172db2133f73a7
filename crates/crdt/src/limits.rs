//! How large the parts of a row may be. Whoever accepts data, from a caller or from a peer, holds it against these.

/// Longest user key, in bytes.
pub const MAX_KEY: usize = 64 * 1024;

/// Longest map field or set member, in bytes.
pub const MAX_FIELD: usize = 64 * 1024;

/// Longest value that a user may write, in bytes.
pub const MAX_VALUE: usize = 16 * 1024 * 1024;

/// Longest payload of one sibling, in bytes: the longest value with what its encoding puts around it. That is a tag, and
/// behind a value which was counted with, at most 64 bytes for each contribution that it has erased: the room is for
/// 8,000 of them.
pub const MAX_PAYLOAD: usize = MAX_VALUE + 512 * 1024;
