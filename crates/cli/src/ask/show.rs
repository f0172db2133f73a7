//! The answers for people.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use syncline_admin::{Agreement, Conflicts, Convergence, Gap, Peer, Peers, Status, Written};

use super::Views;
use crate::table::{Align, Table, bytes, count, duration};

/// Characters of an identity that are shown to people.
const SHORT: usize = 12;

pub(super) fn status(status: &Status) -> String {
    let mut text = format!(
        "node {} of cluster {}, syncline {}, up {}\n",
        short(&status.node),
        short(&status.cluster),
        status.version,
        duration(Duration::from_secs(status.uptime_seconds)),
    );
    let listen = status.listen.as_deref().unwrap_or("nowhere");
    line(&mut text, "listens at", listen);
    let free = status.space.as_ref().map(|space| {
        let read_only = if status.read_only { ", READ-ONLY" } else { "" };
        format!(" ({} free, {}{read_only})", bytes(space.free), space.state)
    });
    line(
        &mut text,
        "data in",
        &format!("{}{}", status.data, free.unwrap_or_default()),
    );
    let peers = format!("{} of {} answer", status.peers_up, status.peers);
    line(&mut text, "peers", &peers);
    line(&mut text, "agreement", agreement(status.agreement));
    let trust = &status.trust;
    let mut certificate = until(trust.expires_ms);
    match trust.revoked.len() {
        0 => {}
        1 => certificate.push_str("; 1 node is revoked"),
        revoked => push(
            &mut certificate,
            format_args!("; {revoked} nodes are revoked"),
        ),
    }
    line(&mut text, "trust", &certificate);
    if !status.namespaces.is_empty() {
        let mut table = Table::new(&[
            ("namespace", Align::Left),
            ("keys", Align::Right),
            ("rows", Align::Right),
            ("size", Align::Right),
            ("carriers", Align::Right),
            ("unstable", Align::Right),
            ("root", Align::Left),
        ]);
        for namespace in &status.namespaces {
            let digest = namespace.root.split(':').next_back().unwrap_or_default();
            table.row([
                namespace.name.clone(),
                count(namespace.keys),
                count(namespace.rows),
                bytes(namespace.bytes),
                count(namespace.carriers.counted as u64),
                count(namespace.carriers.unstable_dots),
                short(digest).to_owned(),
            ]);
        }
        text.push_str(&table.to_string());
    }
    for warning in &status.warnings {
        line(&mut text, "warning:", warning);
    }
    text
}

pub(super) fn peers(peers: &Peers) -> String {
    match peers.peers.is_empty() {
        true => format!("node {} knows no other\n", short(&peers.node)),
        false => table_of(&peers.peers).to_string(),
    }
}

fn table_of(peers: &[Peer]) -> Table {
    let mut table = Table::new(&[
        ("node", Align::Left),
        ("address", Align::Left),
        ("state", Align::Left),
        ("round trip", Align::Right),
        ("zone", Align::Left),
        ("last sync", Align::Left),
        ("carries", Align::Left),
    ]);
    for peer in peers {
        let synced = peer.sync.as_ref();
        table.row([
            short(peer.node.as_deref().unwrap_or("?")).to_owned(),
            peer.address.clone(),
            peer.state.clone(),
            round_trip(peer).unwrap_or_else(|| "-".to_owned()),
            or_dash(&peer.zone),
            match synced.map(|sync| (sync.success_ms, sync.failures)) {
                Some((Some(at), 0)) => ago(at),
                Some((Some(at), failures)) => format!("{}, {failures} failed since", ago(at)),
                Some((None, failures)) => format!("{failures} failed"),
                None => "-".to_owned(),
            },
            or_dash(&peer.namespaces.join(" ")),
        ]);
    }
    table
}

pub(super) fn topology(views: &Views) -> String {
    let mut text = String::new();
    let mut table = Table::new(&[
        ("namespace", Align::Left),
        ("is passed on from", Align::Left),
        ("to", Align::Left),
    ]);
    for view in views.all() {
        push(
            &mut text,
            format_args!("node {} and those it knows\n", short(&view.node)),
        );
        text.push_str(&table_of(&view.peers).to_string());
        for branch in &view.branches {
            let ends = [&branch.from, &branch.to].map(|end| short(end).to_owned());
            let [from, to] = ends;
            table.row([branch.namespace.clone(), from, to]);
        }
    }
    if views.all().any(|view| !view.branches.is_empty()) {
        text.push_str(&table.to_string());
    }
    text
}

pub(super) fn convergence(convergence: &Convergence) -> String {
    let mut text = format!(
        "node {}: agreement {}\n",
        short(&convergence.node),
        agreement(convergence.agreement)
    );
    let mut table = Table::new(&[
        ("namespace", Align::Left),
        ("with", Align::Left),
        ("agrees", Align::Left),
        ("last agreed", Align::Left),
        ("it lacks", Align::Right),
        ("we lack", Align::Right),
        ("heard", Align::Left),
    ]);
    for namespace in &convergence.namespaces {
        for peer in &namespace.peers {
            table.row([
                namespace.name.clone(),
                short(&peer.node).to_owned(),
                match peer.up {
                    true => agreement(peer.agreement).to_owned(),
                    false => format!("{}, and is gone", agreement(peer.agreement)),
                },
                peer.agreed_ms.map_or_else(|| "-".to_owned(), ago),
                lacks(peer.behind),
                lacks(peer.ahead),
                peer.heard_ms.map_or_else(|| "-".to_owned(), ago),
            ]);
        }
    }
    text.push_str(&table.to_string());
    text
}

/// What is shown of each place, then what lost there.
pub(super) fn conflicts(namespaces: &[Conflicts]) -> String {
    let mut text = String::new();
    for namespace in namespaces {
        let name = &namespace.namespace;
        for conflict in &namespace.conflicts {
            let field = conflict.field.as_ref();
            let field = field.map(|field| format!(" -> {field}"));
            let field = field.unwrap_or_default();
            push(&mut text, format_args!("{name} {}{field}\n", conflict.key));
            written(&mut text, "shown", &conflict.shown);
            for lost in &conflict.lost {
                written(&mut text, "lost", lost);
            }
        }
        let found = namespace.conflicts.len() as u64;
        let (more, s) = match (namespace.next.is_some(), found) {
            (true, _) => (
                " and there may be more; raise --limit, or name a prefix",
                "s",
            ),
            (false, 1) => ("", ""),
            (false, _) => ("", "s"),
        };
        push(
            &mut text,
            format_args!("{name}: {} conflict{s}{more}\n", count(found)),
        );
    }
    text
}

fn written(text: &mut String, what: &str, written: &Written) {
    let Written {
        value,
        bytes: length,
        written_ms,
        stamp,
        replica,
        counter,
    } = written;
    let cut = match *length > 256 {
        true => format!("… ({})", bytes(*length)),
        false => String::new(),
    };
    let when = ago(*written_ms);
    push(
        text,
        format_args!(
            "  {what:<5}  {value}{cut}\n         {when}, stamp {stamp}, by {replica} as its {counter}\n"
        ),
    );
}

/// How many mutations, and for how long.
fn lacks(gap: Gap) -> String {
    let lasts = gap.seconds.map(|seconds| {
        let lasts = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        format!(" for {}", duration(lasts))
    });
    match gap.dots {
        None => "?".to_owned(),
        Some(0) => "-".to_owned(),
        Some(dots) => format!("{}{}", count(dots), lasts.unwrap_or_default()),
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    push(text, format_args!("  {name:<10}  {value}\n"));
}

pub(super) fn push(text: &mut String, formatted: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = text.write_fmt(formatted);
}

fn agreement(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Yes => "yes",
        Agreement::No => "NO",
        Agreement::Unknown => "not known",
    }
}

pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn or_dash(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

pub(super) fn round_trip(peer: &Peer) -> Option<String> {
    let trip = peer.round_trip_ms?;
    Some(duration(Duration::from_secs_f64(trip.max(0.0) / 1e3)))
}

/// How long ago a time was, by this machine's clock.
fn ago(unix_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let passed = now
        .unwrap_or_default()
        .saturating_sub(Duration::from_millis(unix_ms));
    format!("{} ago", duration(passed))
}

/// For how long a certificate is good, by this machine's clock.
fn until(expires_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let left = Duration::from_millis(expires_ms).checked_sub(now.unwrap_or_default());
    match left.map(|left| left.as_secs() / (24 * 60 * 60)) {
        Some(days) => format!("certificate good for {} days", count(days)),
        None => "certificate has ENDED".to_owned(),
    }
}
