//! A deterministic simulator of clusters.
//!
//! # What it is
//!
//! A discrete-event simulation in virtual time of the very state machines that a node runs. Nodes exchange messages over a
//! [`Network`] with latencies, regions and losses; members die; writers write; and a [`Report`] says what it came to. The same
//! [`Scenario`] with the same seed gives the same run, event by event.
//!
//! # What it is not
//!
//! A model of the protocols: nothing is simulated but the network and the passing of time. It says nothing about processor time.
//!
//! # How a run goes
//!
//! [`run`] starts all nodes, with one view of who is a member or [each with its own](Membership::Own), lets the first rumours find their ways
//! (*warm-up*), and then measures what the following ones cost and how far they come.
//!
//! Scenarios can also be read from [files](ScenarioFile), with what is expected of them.
//!
//! ```
//! use syncline_gossip::Strategy;
//! use syncline_sim::{Scenario, run};
//!
//! let scenario = Scenario { nodes: 50, ..Scenario::new(Strategy::Plumtree) };
//! let report = run(&scenario)?;
//! assert_eq!(report.delivered, 1.0);
//! assert!(report.copies < 1.2);
//! assert_eq!(report.trace, run(&scenario)?.trace);
//! # Ok::<(), syncline_sim::ScenarioError>(())
//! ```

mod cluster;
mod file;
mod network;
mod report;
mod scenario;
mod stores;
mod study;

pub use cluster::{run, run_watched};
pub use file::{Expectations, FileError, ScenarioFile};
pub use network::{Latency, Network};
pub use report::{Quantiles, Report};
pub use scenario::{Crash, Cut, Join, Membership, Scenario, ScenarioError, Side, Stores};
pub use study::{Growth, Reach, run_all};
