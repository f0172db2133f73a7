//! The admin face of a node: what it is, whom it knows and who agrees, as JSON over HTTP.
//!
//! | path | |
//! |---|---|
//! | `/` | the dashboard: a page that shows all of this, and follows it |
//! | `/healthz` | 200 as long as the process answers |
//! | `/readyz` | 200 while the node serves all of its namespaces, 503 with the reason otherwise |
//! | `/metrics` | what it has counted and measured, as Prometheus reads it |
//! | `/v1/status` | a [`Status`] |
//! | `/v1/peers` | [`Peers`] |
//! | `/v1/topology` | a [`Topology`] |
//! | `/v1/convergence` | a [`Convergence`] |
//! | `/v1/sessions` | [`Sessions`]: those under way and the last ones, with the parts of the key range in which they exchanged rows |
//! | `/v1/ranges?namespace=` | [`Ranges`]: the key range in 64 parts, with their digests |
//! | `/v1/conflicts?namespace=&prefix=&after=&limit=` | [`Conflicts`]: what concurrency decided and what lost, a page at a time |
//! | `/v1/history?since=` | [`History`]: how it has done in the last half an hour |
//! | `/v1/events` | server-sent events: first `members`, the [`Peers`] as they are; then `change`, a [`Change`] each; `missed` with a new list after a reader was too slow |
//! | `POST /v1/backup` | backs namespaces up; asks for a key that lies in the data directory ([`admin_key`]) |
//!
//! Nothing else can be changed over it. There is no password: it is meant for the loopback address, and whoever lets it listen wider
//! ([`Options::exposed`]) shows names, addresses and sizes to whoever reaches it. Keys and values, which conflicts and the bounds of key ranges have, it shows on loopback alone. On loopback it answers only requests for an
//! address or `localhost`, so that no web page that an operator visits can read it by a name of its own (DNS rebinding).
//!
//! Fields may be added to the answers in any version; none is renamed or taken away within a major one.

mod agreement;
mod backup;
mod bounded;
mod collect;
mod dashboard;
mod detail;
mod escape;
mod events;
mod face;
mod history;
pub mod metrics;
mod report;
mod trust;

pub use backup::{BackedUp, BackupLine, BackupRequest, PrunedBackups, admin_key, back_up_all};
pub use face::{Admin, AdminError, Options};
pub use report::{
    Agreement, Branch, Carriers, Change, Conflict, Conflicts, ContextSummary, Convergence, Cost,
    Exchange, Gap, History, LastSync, Moment, NamespaceConvergence, NamespaceStatus, Peer,
    PeerAgreement, Peers, RangePart, Ranges, Readiness, Session, Sessions, Space, Status, Topology,
    Trust, Written,
};
