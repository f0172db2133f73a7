//! From the files that a process left behind to where it was: which records the tables below lack,
//! and whether the log is theirs at all.

use super::files::LogFiles;
use super::layer::Layer;
use super::record::Point;
use super::segment::{End, Segment};
use crate::OpenError;

/// What was found beside the tables below.
#[derive(Debug)]
pub(super) struct Recovered {
    /// What the tables below lack.
    pub(super) layer: Layer,
    /// The last record that there is, in the log or in the tables below.
    pub(super) last: Point,
    /// The files, all of which can go once the tables below have the layer.
    pub(super) files: Vec<u64>,
}

/// Reads the log of tables that have come to the point `applied`. Changes nothing.
///
/// The log must have passed through that very point: its records are edits of what the tables then
/// were, and of nothing else. Memory is bounded by the size of the log, time is linear in it.
///
/// # Errors
/// [`OpenError::ForeignLog`], [`OpenError::DamagedLog`], or whatever keeps it from being read.
pub(super) fn recover(files: &dyn LogFiles, applied: Point) -> Result<Recovered, OpenError> {
    let unreadable = |path, cause| OpenError::Unreadable { path, cause };
    let numbers = files
        .numbers()
        .map_err(|cause| unreadable(files.path(0), cause))?;
    let mut recovered = Recovered {
        layer: Layer::default(),
        last: applied,
        files: numbers.clone(),
    };
    // The end of the file before.
    let mut end: Option<Point> = None;
    // Whether the log was seen to pass through `applied`.
    let mut is_ours = false;
    for (index, &number) in numbers.iter().enumerate() {
        let path = || files.path(number);
        let damaged = |detail: String| OpenError::DamagedLog {
            path: path(),
            detail,
        };
        let foreign = |detail: String| OpenError::ForeignLog {
            path: path(),
            detail,
        };
        let is_last = index + 1 == numbers.len();
        let bytes = files
            .read(number)
            .map_err(|cause| unreadable(path(), cause))?;
        let segment = match Segment::read(bytes).map_err(|detail| damaged(detail.into()))? {
            Some(segment) => segment,
            // Its making was interrupted.
            None if is_last && (end.is_none_or(|end| number == end.sequence + 1)) => continue,
            None => return Err(damaged("it is cut off".into())),
        };
        let before = segment.header.before;
        if segment.header.first() != number {
            return Err(damaged(format!(
                "it begins with record {}",
                segment.header.first()
            )));
        }
        if end.is_some_and(|end| end != before) {
            return Err(damaged("it does not follow from the file before it".into()));
        }
        if before.sequence > applied.sequence {
            // The tables below are never ahead of the log's files, nor behind them.
            if !is_ours {
                return Err(foreign(format!(
                    "it begins with record {number}, and the store has come to {}",
                    applied.sequence
                )));
            }
        }
        match segment.end {
            End::Whole => {}
            End::Torn if is_last => {}
            End::Torn | End::Damaged => {
                let last = segment.last().sequence;
                return Err(damaged(format!("record {} is broken", last + 1)));
            }
        }
        for point in [before]
            .into_iter()
            .chain(segment.records.iter().map(|(point, _)| *point))
        {
            if point.sequence == applied.sequence {
                if point.checksum != applied.checksum {
                    return Err(foreign("it is of another history".into()));
                }
                is_ours = true;
            }
        }
        for (point, payload) in &segment.records {
            if point.sequence > applied.sequence {
                recovered
                    .layer
                    .absorb(payload)
                    .map_err(|error| damaged(format!("record {}: {error}", point.sequence)))?;
            }
        }
        end = Some(segment.last());
    }
    if let (Some(end), false) = (end, is_ours) {
        return Err(OpenError::ForeignLog {
            path: files.path(numbers[0]),
            detail: format!(
                "it ends with record {}, and the store has come to {}",
                end.sequence, applied.sequence
            ),
        });
    }
    recovered.last = end.unwrap_or(applied);
    Ok(recovered)
}
