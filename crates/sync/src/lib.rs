//! Placeholder.
#[cfg(feature = "quic")]
pub mod quic;
