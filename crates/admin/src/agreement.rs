//! Who agrees with a node, and how far the others are behind.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use syncline::{Error, Node, NodeId, PeerReport, PeerStatus, RangeDigest};

use crate::collect::{carried, unix_ms};
use crate::report::{Agreement, Convergence, Gap, NamespaceConvergence, PeerAgreement};

/// By what the members have said; of peers of the schedule that are none, by the last sync with them.
pub(crate) async fn convergence(node: &Node) -> Result<Convergence, Error> {
    let (told, scheduled) = (node.convergence().await?, node.peers());
    let now = SystemTime::now();
    let mut namespaces = Vec::new();
    for namespace in carried(node) {
        // One that cannot be read agrees with nobody.
        let root = namespace.read(|view| view.root()).await.ok();
        let name = namespace.name().to_owned();
        let reports = told.iter().filter(|told| told.namespace == name);
        let reports: Vec<_> = reports.flat_map(|told| &told.peers).collect();
        let members: BTreeSet<NodeId> = reports.iter().map(|report| report.peer).collect();
        let strangers = scheduled
            .iter()
            .filter(|peer| peer.node.is_some_and(|node| !members.contains(&node)));
        let mut peers: Vec<_> = reports
            .iter()
            .map(|report| of_member(report, root.is_some(), now))
            .collect();
        peers.extend(strangers.filter_map(|peer| of_stranger(peer, &name, root.as_ref())));
        namespaces.push(NamespaceConvergence {
            peers,
            root: root.map(|root| root.to_string()).unwrap_or_default(),
            name,
        });
    }
    let all = namespaces.iter().flat_map(|namespace| &namespace.peers);
    let there = all.filter(|peer| peer.up);
    Ok(Convergence {
        node: node.id().to_string(),
        agreement: Agreement::of_all(there.map(|peer| peer.agreement)),
        namespaces,
    })
}

fn of_member(report: &PeerReport<NodeId>, readable: bool, now: SystemTime) -> PeerAgreement {
    let ago = |ago: Duration| now.checked_sub(ago).map(unix_ms);
    let agreement = match (report.heard, report.agrees) {
        (None, _) => Agreement::Unknown,
        _ if !readable => Agreement::Unknown,
        (Some(_), true) => Agreement::Yes,
        (Some(_), false) => Agreement::No,
    };
    PeerAgreement {
        node: report.peer.to_string(),
        up: report.is_up,
        agreement,
        agreed_ms: report.agreed.and_then(ago),
        heard_ms: report.heard.and_then(ago),
        rows: report.rows,
        behind: gap(report.behind),
        ahead: gap(report.ahead),
    }
}

fn gap(gap: syncline::Gap) -> Gap {
    Gap {
        dots: gap.dots,
        seconds: gap.lasts.map(|lasts| lasts.as_secs_f64()),
    }
}

fn of_stranger(
    peer: &PeerStatus,
    namespace: &str,
    root: Option<&RangeDigest>,
) -> Option<PeerAgreement> {
    let report = peer.last_report.as_ref()?.namespaces.get(namespace)?;
    // What was agreed on holds as long as neither has changed, of which one side is known.
    let agreement = match (report.agreed, Some(&report.root) == root) {
        (true, true) => Agreement::Yes,
        (false, true) => Agreement::No,
        (_, false) => Agreement::Unknown,
    };
    Some(PeerAgreement {
        node: peer.node?.to_string(),
        up: peer.failures == 0,
        agreement,
        agreed_ms: peer.last_success.filter(|_| report.agreed).map(unix_ms),
        heard_ms: None,
        rows: None,
        behind: Gap::default(),
        ahead: Gap::default(),
    })
}
