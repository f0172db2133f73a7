//! Sessions, key ranges and conflicts, as they are asked for.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use syncline::{Error, Namespace, Node, SessionStatus, Sibling};

use crate::collect::unix_ms;
use crate::escape::escaped;
use crate::face::{Shared, Shown, answer};
use crate::report::{
    Conflict, Conflicts, Cost, Exchange, RangePart, Ranges, Session, Sessions, Written,
};

/// Bytes of a bound that are shown.
const BOUND: usize = 64;
/// Bytes of a key, field or value that are shown.
const VALUE: usize = 256;
/// Parts of a key range.
const PARTS: usize = 64;
/// Conflicts of an answer at most, and by default.
const CONFLICTS: usize = 500;
const USUAL_CONFLICTS: usize = 50;
/// Rows that are looked at for an answer: some tenths of a second.
const ROWS: usize = 100_000;
/// Values of a conflict that are shown.
const VALUES: usize = 16;

pub(crate) async fn sessions(State(shown): Shared) -> Response {
    let sessions = shown.node.sessions().into_iter();
    Json(Sessions {
        node: shown.node.id().to_string(),
        sessions: sessions.map(|it| session(it, &shown)).collect(),
    })
    .into_response()
}

/// The key at which a part of a key range begins, for whom it may be shown.
fn bound(key: &[u8], shown: &Shown) -> String {
    match shown.is_loopback {
        true => escaped(key, BOUND),
        false => String::new(),
    }
}

fn session(status: SessionStatus, shown: &Shown) -> Session {
    let (state, error, report) = match status.ended {
        None => ("running", None, None),
        Some(Ok(report)) if report.agreed => ("agreed", None, Some(report)),
        Some(Ok(report)) => ("differed", None, Some(report)),
        Some(Err(error)) => ("failed", Some(error), None),
    };
    let cost = report.map(|report| Cost {
        round_trips: report.round_trips(),
        bytes_sent: report.sent.total(),
        bytes_received: report.received.total(),
        rows_sent: report.rows_sent,
        rows_received: report.rows_received,
        ranges_compared: report.ranges_compared,
    });
    let parts = status.parts.iter().map(|part| Exchange {
        key: bound(&part.key, shown),
        rows: part.rows,
        sent: part.sent,
        received: part.received,
    });
    Session {
        peer: status.peer.to_string(),
        namespace: status.namespace,
        began_here: status.began_here,
        began_ms: unix_ms(status.began),
        seconds: status.lasted.as_secs_f64(),
        state: state.to_owned(),
        error,
        cost,
        parts: parts.collect(),
    }
}

#[derive(Deserialize)]
pub(crate) struct WhichRanges {
    namespace: String,
}

pub(crate) async fn ranges(
    State(shown): Shared,
    Query(WhichRanges { namespace }): Query<WhichRanges>,
) -> Response {
    let Some(namespace) = carried(&shown.node, &namespace) else {
        return unknown(&namespace);
    };
    let read = namespace.read(|view| Ok((view.root()?, view.parts(PARTS)?)));
    answer(read.await.map(|(root, parts)| {
        let parts = parts.iter().map(|part| RangePart {
            key: bound(&part.key, &shown),
            rows: part.digest.count(),
            digest: part.digest.to_string(),
        });
        Ranges {
            node: shown.node.id().to_string(),
            namespace: namespace.name().to_owned(),
            root: root.to_string(),
            parts: parts.collect(),
        }
    }))
}

#[derive(Deserialize)]
pub(crate) struct WhichConflicts {
    namespace: String,
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn conflicts(
    State(shown): Shared,
    Query(which): Query<WhichConflicts>,
) -> Response {
    if !shown.is_loopback {
        let refused = "keys and values are shown on a loopback address only\n";
        return (StatusCode::FORBIDDEN, refused).into_response();
    }
    let Some(namespace) = carried(&shown.node, &which.namespace) else {
        return unknown(&which.namespace);
    };
    let from = which.after.as_deref().map(place).transpose();
    let Ok(from) = from else {
        let refused = "`after` is what an earlier answer gave as `next`\n";
        return (StatusCode::BAD_REQUEST, refused).into_response();
    };
    let limit = which.limit.unwrap_or(USUAL_CONFLICTS).clamp(1, CONFLICTS);
    let prefix = which.prefix;
    let read =
        move |view: &syncline::View| view.conflict_page(prefix, from.as_deref(), ROWS, limit);
    answer(namespace.read(read).await.map(|page| Conflicts {
        node: shown.node.id().to_string(),
        namespace: namespace.name().to_owned(),
        conflicts: page.conflicts.iter().filter_map(conflict).collect(),
        next: page.rest.as_deref().map(named),
    }))
}

fn conflict(conflict: &syncline::Conflict) -> Option<Conflict> {
    let mut written = conflict.siblings.iter().take(VALUES).map(written);
    Some(Conflict {
        key: escaped(&conflict.key, VALUE),
        field: conflict.field.as_ref().map(|field| escaped(field, VALUE)),
        shown: written.next()?,
        lost: written.collect(),
    })
}

fn written(sibling: &Sibling) -> Written {
    Written {
        value: escaped(&sibling.payload, VALUE),
        bytes: sibling.payload.len() as u64,
        written_ms: sibling.stamp.millis(),
        stamp: sibling.stamp.to_string(),
        replica: sibling.dot.replica.to_string(),
        counter: sibling.dot.counter,
    }
}

/// The namespace, if the node has it: asking is no reason to make one.
fn carried(node: &Node, name: &str) -> Option<Namespace> {
    let is_carried = node.namespaces().iter().any(|it| it == name);
    // What it carries is well named.
    is_carried.then(|| node.namespace(name).ok()).flatten()
}

fn unknown(name: &str) -> Response {
    let name = escaped(name.as_bytes(), VALUE);
    let refused = format!("no namespace is called {name:?} here\n");
    (StatusCode::NOT_FOUND, refused).into_response()
}

/// Bytes as they go into an address.
fn named(place: &[u8]) -> String {
    place.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn place(named: &str) -> Result<Vec<u8>, Error> {
    let pairs = named.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let is_named = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
        let text = str::from_utf8(pair).ok().filter(|_| is_named)?;
        u8::from_str_radix(text, 16).ok()
    };
    let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
    bytes.ok_or_else(|| Error::Aborted("no place".into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_place_is_what_its_name_says() {
        for bytes in [&b""[..], b"\x00\xff", b"user:1"] {
            assert_eq!(place(&named(bytes)).unwrap(), bytes);
        }
        for wrong in ["0", "zz", "+1", "ä", "00f"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
