//! What is measured of the node and of each of its namespaces.

use std::time::SystemTime;

use syncline::{Error, Namespace, SpaceState, Work};

use super::{Sheet, peers};
use crate::collect::{carried, describe, seconds, unix_ms};
use crate::face::Shown;
use crate::{collect, trust};

/// Namespaces that have metrics, in the order of their names.
const NAMESPACES: usize = 64;

pub(super) async fn all(shown: &Shown) -> Result<Sheet, Error> {
    let mut sheet = Sheet::new();
    node(shown, &mut sheet).await?;
    for namespace in carried(&shown.node).take(NAMESPACES) {
        worked(&namespace, &mut sheet);
        match sized(&namespace, &mut sheet).await {
            Ok(()) => sheet.add("syncline_namespace_readable", of(&namespace), true),
            Err(Error::Closed) => return Err(Error::Closed),
            Err(_) => sheet.add("syncline_namespace_readable", of(&namespace), false),
        }
    }
    peers::all(shown, NAMESPACES, &mut sheet).await?;
    Ok(sheet)
}

fn of(namespace: &Namespace) -> [(&'static str, &str); 1] {
    [("namespace", namespace.name())]
}

async fn node(shown: &Shown, sheet: &mut Sheet) -> Result<(), Error> {
    let node = &shown.node;
    let (id, cluster) = (node.id().to_string(), node.cluster_id().to_string());
    let version = shown.options.version;
    let labels = [("version", version), ("node", &id), ("cluster", &cluster)];
    sheet.add("syncline_node_info", labels, true);
    let uptime = shown.began.elapsed().as_secs();
    sheet.add("syncline_uptime_seconds", [], uptime);
    let warnings = collect::status(shown).await?.warnings;
    sheet.add("syncline_warnings", [], warnings.len());
    let space = node.space();
    let is_refusing = space.is_some_and(|space| space.state >= SpaceState::ReadOnly);
    sheet.add("syncline_read_only", [], is_refusing);
    if let Some(space) = space {
        sheet.add("syncline_disk_free_bytes", [], space.free);
        sheet.add("syncline_disk_low_bytes", [], space.limits.warn_below);
        sheet.add(
            "syncline_disk_minimum_bytes",
            [],
            space.limits.read_only_below,
        );
    }
    let trust = trust::standing(node);
    let expiry = seconds(trust.expires_ms);
    sheet.add("syncline_certificate_expiry_timestamp_seconds", [], expiry);
    let is_failing = trust.renewal_error.is_some();
    sheet.add("syncline_certificate_renewal_failing", [], is_failing);
    sheet.add("syncline_nodes_revoked", [], trust.revoked.len());
    Ok(())
}

fn worked(namespace: &Namespace, sheet: &mut Sheet) {
    let work: Work = namespace.work();
    let name = namespace.name();
    for (outcome, count) in [("committed", work.transactions), ("failed", work.failed)] {
        let labels = [("namespace", name), ("outcome", outcome)];
        sheet.add("syncline_transactions_total", labels, count);
    }
    for (metric, count) in [
        ("syncline_reads_total", work.reads),
        ("syncline_commits_total", work.commits),
        ("syncline_rows_joined_total", work.rows_received),
        ("syncline_rumours_joined_total", work.rumours_joined),
        ("syncline_scrubs_total", work.scrubs),
        ("syncline_scrub_damage_total", work.damage),
    ] {
        sheet.add(metric, of(namespace), count);
    }
    for (metric, times) in [
        ("syncline_transaction_seconds", work.transaction_time),
        ("syncline_commit_seconds", work.commit_time),
        ("syncline_flush_seconds", work.flush_time),
        ("syncline_session_seconds", work.session_time),
    ] {
        sheet.add(metric, of(namespace), times);
    }
}

async fn sized(namespace: &Namespace, sheet: &mut Sheet) -> Result<(), Error> {
    let (status, sizes) = (describe(namespace).await?, namespace.sizes().await?);
    let (context, carriers) = (&status.context, &status.carriers);
    for (metric, size) in [
        ("syncline_keys", status.keys),
        ("syncline_rows", status.rows),
        ("syncline_store_bytes", sizes.bytes),
        ("syncline_log_bytes", sizes.log_bytes),
        ("syncline_removal_log_entries", sizes.removals),
        ("syncline_removal_log_bytes", sizes.removal_bytes),
        ("syncline_deadlines", sizes.deadlines),
        ("syncline_remnants", sizes.remnants),
        ("syncline_context_writers", context.writers),
        ("syncline_context_intervals", context.intervals),
        ("syncline_context_dots", context.dots),
        ("syncline_carriers", carriers.counted as u64),
        ("syncline_unstable_dots", carriers.unstable_dots),
        ("syncline_withdrawn_rows_total", sizes.withdrawn),
    ] {
        sheet.add(metric, of(namespace), size);
    }
    // Behind its own clock nobody is stable.
    let stable = carriers.stable_as_of_ms.min(unix_ms(SystemTime::now()));
    for (metric, at_ms) in [
        ("syncline_stable_timestamp_seconds", stable),
        ("syncline_scrub_timestamp_seconds", sizes.scrubbed_ms),
    ] {
        sheet.add(metric, of(namespace), seconds(at_ms));
    }
    Ok(())
}
