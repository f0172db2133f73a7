//! What a node tells of itself, put together for the answers.

use std::time::{SystemTime, UNIX_EPOCH};

use syncline::{Error, Member, MemberState, Namespace, Node, PeerStatus, SpaceState};

use crate::face::Shown;
use crate::report::{
    Branch, Carriers, ContextSummary, LastSync, NamespaceStatus, Peer, Peers, Space, Status,
    Topology,
};
use crate::{agreement, trust};

pub(crate) async fn status(shown: &Shown) -> Result<Status, Error> {
    let node = &shown.node;
    let mut namespaces = Vec::new();
    for namespace in carried(node) {
        namespaces.push(described(&namespace).await);
    }
    let peers = peers(node).await?.peers;
    let space = space(node);
    let read_only = node
        .space()
        .is_some_and(|space| space.state >= SpaceState::ReadOnly);
    let agreement = agreement::convergence(node).await?.agreement;
    let mut status = Status {
        version: shown.options.version.to_owned(),
        node: node.id().to_string(),
        cluster: node.cluster_id().to_string(),
        uptime_seconds: shown.began.elapsed().as_secs(),
        listen: node.local_addr().map(|address| address.to_string()),
        data: shown.options.data.display().to_string(),
        namespaces,
        peers: peers.len(),
        peers_up: peers.iter().filter(|peer| peer.state == ALIVE).count(),
        agreement,
        read_only,
        space,
        trust: trust::standing(node),
        warnings: Vec::new(),
    };
    status.warnings = warnings(&status, &peers);
    Ok(status)
}

/// What an operator should look after.
fn warnings(status: &Status, peers: &[Peer]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(space) = status
        .space
        .as_ref()
        .filter(|space| space.state != "plenty")
    {
        let free = space.free;
        warnings.push(match status.read_only {
            true => format!("read-only: the disk has {free} bytes left; free some space"),
            false => format!("the disk is filling up: it has {free} bytes left"),
        });
    }
    let now = unix_ms(SystemTime::now());
    warnings.extend(trust::warnings(&status.trust, &status.node, now));
    for namespace in &status.namespaces {
        if let Some(error) = &namespace.error {
            warnings.push(format!("namespace {}: {error}", namespace.name));
        }
    }
    for peer in peers {
        if let Some(error) = peer.sync.as_ref().and_then(|sync| sync.error.as_ref()) {
            warnings.push(format!("{}: {error}", peer.address));
        }
    }
    warnings
}

fn space(node: &Node) -> Option<Space> {
    let space = node.space()?;
    let state = match space.state {
        SpaceState::Plenty => "plenty",
        SpaceState::Low => "low",
        SpaceState::ReadOnly => "read-only",
        SpaceState::Full => "full",
    };
    Some(Space {
        free: space.free,
        warn_below: space.limits.warn_below,
        read_only_below: space.limits.read_only_below,
        state: state.to_owned(),
    })
}

/// Why the namespaces that cannot be read cannot.
pub(crate) async fn unreadable(node: &Node) -> Vec<String> {
    let mut reasons = Vec::new();
    for namespace in carried(node) {
        if let Err(error) = namespace.view().await {
            reasons.push(format!("namespace {}: {error}", namespace.name()));
        }
    }
    reasons
}

pub(crate) fn carried(node: &Node) -> impl Iterator<Item = Namespace> {
    let names = node.namespaces().into_iter();
    // What it carries is well named.
    names.filter_map(|name| node.namespace(&name).ok())
}

async fn described(namespace: &Namespace) -> NamespaceStatus {
    let name = namespace.name().to_owned();
    match describe(namespace).await {
        Ok(status) => status,
        Err(error) => NamespaceStatus {
            name,
            error: Some(error.to_string()),
            keys: 0,
            rows: 0,
            root: String::new(),
            bytes: 0,
            context: ContextSummary::default(),
            carriers: Carriers::default(),
        },
    }
}

pub(crate) async fn describe(namespace: &Namespace) -> Result<NamespaceStatus, Error> {
    let read = |view: &syncline::View| {
        let context = view.context_size();
        let context = ContextSummary {
            writers: context.writers as u64,
            intervals: context.intervals as u64,
            dots: u64::try_from(context.dots).unwrap_or(u64::MAX),
        };
        Ok((view.count()?, view.row_count(), view.root()?, context))
    };
    let (keys, rows, root, context) = namespace.read(read).await?;
    let (roster, stability) = (namespace.carriers().await?, namespace.stability().await?);
    let awaited = stability.awaited.iter().map(ToString::to_string);
    Ok(NamespaceStatus {
        name: namespace.name().to_owned(),
        error: None,
        keys,
        rows,
        root: root.to_string(),
        bytes: namespace.size().await?,
        context,
        carriers: Carriers {
            counted: roster.counted().len(),
            forgotten: roster.forgotten().len(),
            awaited: awaited.collect(),
            unstable_dots: stability.unstable_dots,
            stable_as_of_ms: stability.as_of_ms,
        },
    })
}

const ALIVE: &str = "alive";
const DOWN: &str = "down";
const UNKNOWN: &str = "unknown";

pub(crate) async fn peers(node: &Node) -> Result<Peers, Error> {
    let Topology { node, peers, .. } = topology(node).await?;
    Ok(Peers { node, peers })
}

/// The members, then the peers of the schedule that are none.
pub(crate) async fn topology(node: &Node) -> Result<Topology, Error> {
    let (scheduled, known) = (node.peers(), node.topology().await?);
    let own = node.id().to_string();
    let mut peers: Vec<Peer> = known.members.iter().map(member).collect();
    for peer in &scheduled {
        let id = peer.node.map(|node| node.to_string());
        match peers
            .iter_mut()
            .find(|known| id.is_some() && known.node == id)
        {
            Some(known) => known.sync = Some(synced(peer)),
            None => peers.push(stranger(peer)),
        }
    }
    let branches = known.branches.iter().map(|branch| Branch {
        namespace: branch.namespace.clone(),
        from: own.clone(),
        to: branch.to.to_string(),
    });
    Ok(Topology {
        branches: branches.collect(),
        node: own,
        peers,
    })
}

/// Another member of the cluster.
pub(crate) fn member(member: &Member) -> Peer {
    let state = match member.state {
        MemberState::Alive => ALIVE,
        MemberState::Suspect => "suspect",
        MemberState::Down => DOWN,
        MemberState::Left => "left",
    };
    Peer {
        node: Some(member.node.to_string()),
        address: member.address.to_string(),
        state: state.to_owned(),
        zone: member.zone.clone(),
        version: member.version.clone(),
        namespaces: member.namespaces.iter().cloned().collect(),
        round_trip_ms: member.round_trip.map(|trip| trip.as_secs_f64() * 1e3),
        sync: None,
    }
}

/// A peer that the node syncs with on a schedule, and that is no member as far as is known.
fn stranger(peer: &PeerStatus) -> Peer {
    let shared = peer.last_report.iter();
    let shared = shared.flat_map(|report| report.namespaces.keys().cloned());
    let state = match (peer.node, peer.failures) {
        (Some(_), 0) => ALIVE,
        (Some(_), _) => DOWN,
        (None, _) => UNKNOWN,
    };
    Peer {
        node: peer.node.map(|node| node.to_string()),
        address: peer.address.to_string(),
        state: state.to_owned(),
        zone: String::new(),
        version: String::new(),
        namespaces: shared.collect(),
        round_trip_ms: None,
        sync: Some(synced(peer)),
    }
}

fn synced(peer: &PeerStatus) -> LastSync {
    LastSync {
        success_ms: peer.last_success.map(unix_ms),
        agreed: peer.last_report.as_ref().map(|report| report.agreed()),
        failures: peer.failures,
        error: peer.last_error.clone(),
    }
}

/// Characters of an identity that tell nodes of a cluster apart.
const SHORT: usize = 12;

/// The beginning of an identity, as metrics and people know nodes by it.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// Of milliseconds, which a double holds without loss for as long as clocks go.
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
