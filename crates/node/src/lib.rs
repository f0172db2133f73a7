//! Placeholder.
pub mod trust;
