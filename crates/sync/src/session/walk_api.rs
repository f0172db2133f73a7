//! Stands in until the reconciliation of ranges is there.
use alloc::vec::Vec;
use syncline_merkle::{KeyRange, Source};

#[derive(Debug)]
pub(super) struct Walk;
#[derive(Debug, Default)]
pub(super) struct WalkLimits;
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError<E> {
    #[error("source")]
    Source(E),
    #[error("not yet")]
    Unsupported,
}
#[derive(Debug)]
pub(super) enum Finding {
    OnlyHere {
        keys: Vec<Vec<u8>>,
    },
    PeerEmpty {
        range: KeyRange,
    },
    Differ {
        mine: Vec<Vec<u8>>,
        theirs: Vec<(Vec<u8>, Vec<u8>)>,
    },
}
pub(super) struct Step {
    pub(super) reply: Option<Vec<u8>>,
    pub(super) findings: Vec<Finding>,
}
pub(super) struct Stats {
    pub(super) ranges_compared: u64,
}
impl Walk {
    pub(super) fn new(_salt: [u8; 16], _limits: WalkLimits) -> Self {
        Self
    }
    pub(super) fn start<S: Source>(
        &mut self,
        _: &S,
        _: KeyRange,
    ) -> Result<Vec<u8>, WalkError<S::Error>> {
        Err(WalkError::Unsupported)
    }
    pub(super) fn handle<S: Source>(
        &mut self,
        _: &S,
        _: &[u8],
    ) -> Result<Step, WalkError<S::Error>> {
        Err(WalkError::Unsupported)
    }
    pub(super) fn is_done(&self) -> bool {
        true
    }
    pub(super) fn unsettled(&self) -> u64 {
        0
    }
    pub(super) fn stats(&self) -> Stats {
        Stats { ranges_compared: 0 }
    }
}
