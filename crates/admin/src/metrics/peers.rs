//! What is measured of other nodes, and of what passes between them and this one.

use std::collections::{BTreeMap, BTreeSet};

use syncline::{BudgetStatus, Error, Outcomes, PeerTraffic, PublicationStats, Rumours};

use super::Sheet;
use crate::collect::{seconds, short};
use crate::face::Shown;
use crate::report::{Agreement, NamespaceConvergence, Peer};
use crate::{agreement, collect};

/// Peers that have metrics of their own: those that answer first, then by their names.
const PEERS: usize = 64;

pub(super) async fn all(shown: &Shown, namespaces: usize, sheet: &mut Sheet) -> Result<(), Error> {
    let node = &shown.node;
    let known = collect::topology(node).await?.peers;
    let traffic: BTreeMap<_, _> = node
        .traffic()
        .into_iter()
        .map(|(peer, traffic)| (peer.to_string(), traffic))
        .collect();
    let listed = listed(&known, traffic.keys());
    members(&known, sheet);
    for peer in &known {
        if let Some(node) = peer.node.as_ref().filter(|node| listed.contains(*node)) {
            let label = [("peer", short(node))];
            sheet.add("syncline_peer_up", label, peer.state == "alive");
            if let Some(ms) = peer.round_trip_ms {
                sheet.add("syncline_peer_round_trip_seconds", label, ms / 1e3);
            }
        }
    }
    let all = known.iter().filter_map(|peer| peer.node.as_ref());
    let all: BTreeSet<&String> = all.chain(traffic.keys()).collect();
    sheet.add("syncline_peers_unlisted", [], all.len() - listed.len());
    for namespace in agreement::convergence(node)
        .await?
        .namespaces
        .iter()
        .take(namespaces)
    {
        converged(namespace, &listed, sheet);
    }
    let running = node.sessions();
    let running = running.iter().filter(|it| it.ended.is_none()).count();
    sheet.add("syncline_sessions_running", [], running);
    for (peer, traffic) in traffic.iter().filter(|(peer, _)| listed.contains(*peer)) {
        passed(short(peer), traffic, sheet);
    }
    let topology = node.topology().await?;
    sheet.add(
        "syncline_gossip_dropped_total",
        [],
        topology.traffic.dropped,
    );
    sheet.add("syncline_unreached_total", [], topology.traffic.unreached);
    for rumours in topology.rumours.iter().take(namespaces) {
        spread(rumours, sheet);
    }
    for publications in topology.publications.iter().take(namespaces) {
        published(publications, sheet);
    }
    budgeted(&node.budget(), sheet);
    Ok(())
}

fn listed<'a>(known: &[Peer], met: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let ranked = |peer: &Peer| Some((peer.state != "alive", peer.node.clone()?));
    let mut ranked: Vec<_> = known.iter().filter_map(ranked).collect();
    ranked.sort_unstable();
    let mut listed = BTreeSet::new();
    for peer in ranked.into_iter().map(|(_, peer)| peer).chain(met.cloned()) {
        if listed.len() == PEERS {
            break;
        }
        listed.insert(peer);
    }
    listed
}

fn members(known: &[Peer], sheet: &mut Sheet) {
    for state in ["alive", "suspect", "down", "left", "unknown"] {
        let count = known.iter().filter(|peer| peer.state == state).count();
        sheet.add("syncline_members", [("state", state)], count);
    }
}

fn converged(namespace: &NamespaceConvergence, listed: &BTreeSet<String>, sheet: &mut Sheet) {
    let name = namespace.name.as_str();
    let there = || namespace.peers.iter().filter(|peer| peer.up);
    for (label, agreement) in [
        ("yes", Agreement::Yes),
        ("no", Agreement::No),
        ("unknown", Agreement::Unknown),
    ] {
        let count = there().filter(|peer| peer.agreement == agreement).count();
        let labels = [("namespace", name), ("agreement", label)];
        sheet.add("syncline_peers_agreeing", labels, count);
    }
    for peer in there().filter(|peer| listed.contains(&peer.node)) {
        let labels = [("namespace", name), ("peer", short(&peer.node))];
        match peer.agreement {
            Agreement::Yes => sheet.add("syncline_agreement", labels, true),
            Agreement::No => sheet.add("syncline_agreement", labels, false),
            Agreement::Unknown => {}
        }
        if let Some(at_ms) = peer.agreed_ms {
            sheet.add("syncline_agreed_timestamp_seconds", labels, seconds(at_ms));
        }
        let gaps = [
            (
                "syncline_dots_behind",
                "syncline_behind_seconds",
                peer.behind,
            ),
            ("syncline_dots_ahead", "syncline_ahead_seconds", peer.ahead),
        ];
        for (dots, lasts, gap) in gaps {
            if let Some(count) = gap.dots {
                sheet.add(dots, labels, count);
                sheet.add(lasts, labels, gap.seconds.unwrap_or(0.0));
            }
        }
    }
}

fn passed(peer: &str, traffic: &PeerTraffic, sheet: &mut Sheet) {
    for (began, outcomes) in [("here", &traffic.begun), ("there", &traffic.served)] {
        let Outcomes {
            agreed,
            differed,
            failed,
            ..
        } = *outcomes;
        for (outcome, count) in [
            ("agreed", agreed),
            ("differed", differed),
            ("failed", failed),
        ] {
            let labels = [("peer", peer), ("began", began), ("outcome", outcome)];
            sheet.add("syncline_sessions_total", labels, count);
        }
    }
    for (direction, bytes, rows, gossip) in [
        (
            "sent",
            &traffic.sent,
            traffic.rows_sent,
            traffic.gossip_sent,
        ),
        (
            "received",
            &traffic.received,
            traffic.rows_received,
            traffic.gossip_received,
        ),
    ] {
        let labels = [("peer", peer), ("direction", direction)];
        for (kind, bytes) in bytes.kinds() {
            let labels = [("peer", peer), ("direction", direction), ("kind", kind)];
            sheet.add("syncline_session_bytes_total", labels, bytes);
        }
        sheet.add("syncline_session_rows_total", labels, rows);
        sheet.add("syncline_gossip_bytes_total", labels, gossip);
    }
    let label = [("peer", peer)];
    let round_trips = traffic.flights as f64 / 2.0;
    sheet.add("syncline_session_round_trips_total", label, round_trips);
    sheet.add(
        "syncline_ranges_compared_total",
        label,
        traffic.ranges_compared,
    );
    sheet.add(
        "syncline_ranges_unsettled_total",
        label,
        traffic.ranges_unsettled,
    );
}

fn spread(rumours: &Rumours, sheet: &mut Sheet) {
    let (name, stats) = (rumours.namespace.as_str(), &rumours.stats);
    for (metric, count) in [
        ("syncline_rumours_published_total", stats.published),
        ("syncline_rumours_sent_total", stats.pushed),
        ("syncline_rumours_received_total", stats.delivered),
        ("syncline_rumours_pulled_total", stats.delivered_late),
        ("syncline_rumours_duplicate_total", stats.repeated),
    ] {
        sheet.add(metric, [("namespace", name)], count);
    }
    for (reason, count) in [("refused", stats.rumours_refused), ("late", rumours.late)] {
        let labels = [("namespace", name), ("reason", reason)];
        sheet.add("syncline_rumours_dropped_total", labels, count);
    }
    for (what, count) in [
        ("announcement", stats.announcements_refused),
        ("announced_in_vain", stats.announced_in_vain),
        ("answer", stats.answers_refused),
        ("link", stats.links_refused),
    ] {
        let labels = [("namespace", name), ("what", what)];
        sheet.add("syncline_gossip_refused_total", labels, count);
    }
}

fn published(publications: &PublicationStats, sheet: &mut Sheet) {
    let (name, stats) = (publications.namespace.as_str(), &publications.stats);
    for (metric, count) in [
        ("syncline_publications_published_total", stats.published),
        ("syncline_publications_sent_total", stats.pushed),
        ("syncline_publications_received_total", stats.delivered),
    ] {
        sheet.add(metric, [("namespace", name)], count);
    }
    for (reason, count) in [
        ("refused", stats.rumours_refused),
        ("missing", publications.lost),
    ] {
        let labels = [("namespace", name), ("reason", reason)];
        sheet.add("syncline_publications_lost_total", labels, count);
    }
}

fn budgeted(budget: &BudgetStatus, sheet: &mut Sheet) {
    for (scope, rate) in [("node", budget.rate), ("peer", budget.peer_rate)] {
        if let Some(rate) = rate {
            sheet.add("syncline_budget_rate_bytes", [("scope", scope)], rate);
        }
    }
    for class in &budget.classes {
        let label = [("class", class.name)];
        sheet.add(
            "syncline_budget_sent_bytes_total",
            label,
            class.spent.sent_bytes,
        );
        sheet.add("syncline_budget_dropped_total", label, class.spent.dropped);
        sheet.add("syncline_budget_waiting_bytes", label, class.waiting);
    }
}
