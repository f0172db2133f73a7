//! A node among the members of its cluster: who is there, what spreads among them, and when they sync.
//!
//! # How it goes
//!
//! The machines of `syncline-gossip` know no sockets and no clocks. One task, the [driver](driver), owns them all: what
//! happens comes to it as [news](driver::News), what is to be done goes out by the [links], and the time by its
//! [timers]. It never waits for a store or a peer: rumours are joined by a [task of their namespace](apply), and
//! [sessions] run beside it.
//!
//! ```text
//!  a writer commits ─▶ outbox ─▶ driver ─▶ spread (one for each namespace) ─▶ links ─▶ peers
//!  peers ─▶ links ─▶ driver ─▶ spread ─▶ apply ─▶ store
//!                         └──▶ membership ─▶ who is up, for all the others
//! ```

mod accord;
mod apply;
mod deed;
mod driver;
mod links;
mod notices;
mod plan;
mod postage;
mod sessions;
mod spread;
mod status;
mod timers;
mod wire;

pub use self::accord::Accord;
pub(crate) use self::driver::{Answers, Driver, Meeting, Question, durable};
pub use self::links::LinkStats;
pub(crate) use self::links::Links;
pub(crate) use self::plan::Seeds;
pub(crate) use self::postage::Postage;
pub use self::postage::{BudgetStatus, ClassStatus};
pub(crate) use self::status::Handle;
pub use self::status::{
    Branch, ClusterView, Epoch, Member, MemberEvent, MemberEvents, MemberState, MissedEvents,
    NamespaceConvergence, PublicationStats, Rumours, Topology,
};
