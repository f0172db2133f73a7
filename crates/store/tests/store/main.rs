//! The store's behaviour, told once and run over all engines.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod additions;
mod carriers;
mod collecting;
mod counted;
mod counting;
mod crashing;
mod golden;
mod handing_on;
mod harness;
mod joining;
mod limits;
mod listening;
mod mirror;
mod model;
mod opaque;
mod opening;
mod ranges;
mod reading;
mod removals;
mod restoring;
mod scrubbing;
mod sealing;
mod sketching;
mod watching;
mod withdrawing;
mod writing;

/// Makes a test of each function, which is generic over a harness, for each engine.
#[macro_export]
macro_rules! over_all_engines {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() { super::$test::<$crate::harness::Memory>(); })*
        }
        mod redb {
            $(#[test] fn $test() { super::$test::<$crate::harness::Redb>(); })*
        }
        mod logged {
            $(#[test] fn $test() { super::$test::<$crate::harness::Logged>(); })*
        }
        mod logged_in_memory {
            $(#[test] fn $test() { super::$test::<$crate::harness::LoggedInMemory>(); })*
        }
    };
}
