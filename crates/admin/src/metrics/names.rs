//! Every metric of a node: its name, what it is, and what it means. What to do about each is in `docs/operations.md`, which a test holds against this.

use super::Kind::{self, Counter, Gauge, Histogram};

pub(super) const ALL: &[(&str, Kind, &str)] = &[
    // The node.
    (
        "syncline_node_info",
        Gauge,
        "Always 1; version, node and cluster are its labels",
    ),
    (
        "syncline_uptime_seconds",
        Gauge,
        "Time since the start of the node",
    ),
    ("syncline_warnings", Gauge, "Warnings that status shows now"),
    (
        "syncline_read_only",
        Gauge,
        "1 while writes are refused for want of room",
    ),
    (
        "syncline_disk_free_bytes",
        Gauge,
        "Free space of the data directory's file system",
    ),
    (
        "syncline_disk_low_bytes",
        Gauge,
        "With less free space than this there is a warning",
    ),
    (
        "syncline_disk_minimum_bytes",
        Gauge,
        "With less free space than this the node is read-only",
    ),
    (
        "syncline_certificate_expiry_timestamp_seconds",
        Gauge,
        "When the certificate of the node ends, in Unix time",
    ),
    (
        "syncline_certificate_renewal_failing",
        Gauge,
        "1 if the last renewal of the certificate has failed",
    ),
    (
        "syncline_nodes_revoked",
        Gauge,
        "Nodes that are known to have been revoked",
    ),
    // The others.
    (
        "syncline_members",
        Gauge,
        "Other members of the cluster, by state",
    ),
    (
        "syncline_peers_unlisted",
        Gauge,
        "Peers beyond the 64 that have metrics of their own",
    ),
    ("syncline_peer_up", Gauge, "1 while the peer answers"),
    (
        "syncline_peer_round_trip_seconds",
        Gauge,
        "How long a packet takes to the peer and back",
    ),
    // What a namespace does.
    (
        "syncline_namespace_readable",
        Gauge,
        "1 if the namespace can be read",
    ),
    (
        "syncline_reads_total",
        Counter,
        "Reads; one for each closure, however much it reads",
    ),
    (
        "syncline_transactions_total",
        Counter,
        "Transactions, by outcome; a write through a handle is one",
    ),
    (
        "syncline_commits_total",
        Counter,
        "Commits of the writer, which transactions share",
    ),
    (
        "syncline_transaction_seconds",
        Histogram,
        "From handing a transaction in to its answer",
    ),
    (
        "syncline_commit_seconds",
        Histogram,
        "Commits of the writer, without the wait for the disk",
    ),
    (
        "syncline_flush_seconds",
        Histogram,
        "Waits for the disk that durable transactions end with",
    ),
    // What it takes.
    ("syncline_keys", Gauge, "Keys that show something"),
    (
        "syncline_rows",
        Gauge,
        "Rows, those of hidden keys and remnants included",
    ),
    (
        "syncline_store_bytes",
        Gauge,
        "Bytes on disk, those of the log included",
    ),
    (
        "syncline_log_bytes",
        Gauge,
        "Bytes of commits in the log that have yet to come to the file",
    ),
    (
        "syncline_removal_log_entries",
        Gauge,
        "Removals that are remembered for peers",
    ),
    ("syncline_removal_log_bytes", Gauge, "Bytes that they take"),
    (
        "syncline_deadlines",
        Gauge,
        "Keys with a deadline, counted up to 10000",
    ),
    (
        "syncline_remnants",
        Gauge,
        "Remnants of deleted counters, counted up to 10000",
    ),
    (
        "syncline_context_writers",
        Gauge,
        "Openings of stores that have written, of all nodes",
    ),
    (
        "syncline_context_intervals",
        Gauge,
        "Intervals of the context; more than writers if something is missing",
    ),
    ("syncline_context_dots", Gauge, "Mutations that were seen"),
    (
        "syncline_carriers",
        Gauge,
        "Carriers that count, the own one included",
    ),
    (
        "syncline_unstable_dots",
        Gauge,
        "Mutations that not all carriers are known to have seen",
    ),
    (
        "syncline_stable_timestamp_seconds",
        Gauge,
        "A time that all carriers have reached, in Unix time; 0 if none is known",
    ),
    (
        "syncline_withdrawn_rows_total",
        Counter,
        "Damaged rows that were withdrawn since the store was opened",
    ),
    (
        "syncline_scrubs_total",
        Counter,
        "Scrubs that came to their end",
    ),
    (
        "syncline_scrub_damage_total",
        Counter,
        "What scrubs have found that did not fit",
    ),
    (
        "syncline_scrub_timestamp_seconds",
        Gauge,
        "When the last scrub came to its end, in Unix time; 0 if none did",
    ),
    // Who agrees.
    (
        "syncline_peers_agreeing",
        Gauge,
        "Peers that are there, by whether they hold the same as this node",
    ),
    (
        "syncline_agreement",
        Gauge,
        "1 if the peer holds the same as this node, 0 if not; absent while it is not known",
    ),
    (
        "syncline_agreed_timestamp_seconds",
        Gauge,
        "When both were last known to hold the same, in Unix time",
    ),
    (
        "syncline_dots_behind",
        Gauge,
        "Mutations of this node that the peer lacks",
    ),
    (
        "syncline_dots_ahead",
        Gauge,
        "Mutations of the peer that this node lacks",
    ),
    (
        "syncline_behind_seconds",
        Gauge,
        "For how long the peer has lacked something of this node",
    ),
    (
        "syncline_ahead_seconds",
        Gauge,
        "For how long this node has lacked something of the peer",
    ),
    // Sessions.
    ("syncline_sessions_running", Gauge, "Sessions under way"),
    (
        "syncline_sessions_total",
        Counter,
        "Sessions, by who began them and how they ended",
    ),
    (
        "syncline_session_seconds",
        Histogram,
        "Sessions that ended well, of a namespace",
    ),
    (
        "syncline_session_round_trips_total",
        Counter,
        "Round trips of sessions, one after the other",
    ),
    (
        "syncline_session_bytes_total",
        Counter,
        "Bytes of sessions, by direction and kind",
    ),
    (
        "syncline_session_rows_total",
        Counter,
        "Rows that sessions have sent and received",
    ),
    (
        "syncline_rows_joined_total",
        Counter,
        "Rows of peers that sessions have joined, statements of absence included",
    ),
    (
        "syncline_ranges_compared_total",
        Counter,
        "Ranges whose digests were compared in walks",
    ),
    (
        "syncline_ranges_unsettled_total",
        Counter,
        "Ranges that walks could not settle",
    ),
    // Gossip.
    (
        "syncline_gossip_bytes_total",
        Counter,
        "Bytes of gossip, by direction",
    ),
    (
        "syncline_gossip_dropped_total",
        Counter,
        "Messages of gossip that were dropped for want of a way or of room",
    ),
    (
        "syncline_unreached_total",
        Counter,
        "Connections to members that could not be made",
    ),
    (
        "syncline_rumours_published_total",
        Counter,
        "Rumours of own writes",
    ),
    (
        "syncline_rumours_sent_total",
        Counter,
        "Rumours handed to peers, once for each peer",
    ),
    (
        "syncline_rumours_received_total",
        Counter,
        "Rumours that came and were not known",
    ),
    (
        "syncline_rumours_pulled_total",
        Counter,
        "Of these, those that came because they were asked for",
    ),
    (
        "syncline_rumours_duplicate_total",
        Counter,
        "Rumours that came and were known",
    ),
    (
        "syncline_rumours_joined_total",
        Counter,
        "Rumours that were joined",
    ),
    (
        "syncline_rumours_dropped_total",
        Counter,
        "Rumours that came and were left to sessions, by reason",
    ),
    (
        "syncline_publications_published_total",
        Counter,
        "Publications of this node",
    ),
    (
        "syncline_publications_sent_total",
        Counter,
        "Publications handed to peers, once for each peer",
    ),
    (
        "syncline_publications_received_total",
        Counter,
        "Publications that came and were not known",
    ),
    (
        "syncline_publications_lost_total",
        Counter,
        "Publications that did not come, or were refused, by reason",
    ),
    (
        "syncline_gossip_refused_total",
        Counter,
        "What peers asked for beyond their share, or announced in vain, by what it was",
    ),
    // The budget.
    (
        "syncline_budget_rate_bytes",
        Gauge,
        "Bytes per second that may be sent, to all together and to each peer; absent if unlimited",
    ),
    (
        "syncline_budget_sent_bytes_total",
        Counter,
        "Bytes sent to members by their importance; those of sessions only where there is a rate",
    ),
    (
        "syncline_budget_dropped_total",
        Counter,
        "What was dropped because too much was waiting, by importance",
    ),
    (
        "syncline_budget_waiting_bytes",
        Gauge,
        "Bytes that wait for their turn, by importance",
    ),
];
