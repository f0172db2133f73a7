//! Bytes of a session by what they are for, as reports print them and processes hand them on.

use serde::{Deserialize, Serialize};
use syncline_sync::{Report, Traffic};

/// Bytes of frames.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BytesByKind {
    pub(crate) hello: u64,
    pub(crate) context: u64,
    pub(crate) rows: u64,
    pub(crate) digests: u64,
    pub(crate) sketch: u64,
    pub(crate) control: u64,
}

impl BytesByKind {
    /// Of both directions.
    pub(crate) fn of(report: &Report) -> Self {
        let mut traffic = report.sent;
        traffic += report.received;
        Self::from(&traffic)
    }

    pub(crate) fn total(&self) -> u64 {
        self.hello + self.context + self.rows + self.digests + self.sketch + self.control
    }
}

impl From<&Traffic> for BytesByKind {
    fn from(traffic: &Traffic) -> Self {
        Self {
            hello: traffic.hello,
            context: traffic.context,
            rows: traffic.rows,
            digests: traffic.digests,
            sketch: traffic.sketch,
            control: traffic.control,
        }
    }
}
