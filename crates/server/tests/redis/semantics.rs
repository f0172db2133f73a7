//! `docs/semantics.md`, row by row, by plain Redis commands: three nodes with the wires between them cut are written to, healed, and asked.
//! `A ∥ B` means that neither knew of the other.

mod deadlines;
mod sets_and_hashes;
mod sorted_sets;
mod strings;
mod whole;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline::testing::{Cluster, cluster_with};
use syncline::{Environment, SystemEnvironment};
use syncline_server::{Options, Server};
use tokio::runtime::Runtime;

use crate::client::Client;

const NODES: usize = 3;

/// Nodes that are apart until they are healed. The last one mostly writes nothing.
pub struct Apart {
    clients: Vec<Client>,
    /// How far ahead of the system's each node's clock is, in milliseconds.
    ahead: Vec<Arc<AtomicU64>>,
    // Ended before the nodes are.
    servers: Vec<Server>,
    cluster: Cluster,
    runtime: Runtime,
}

struct Ahead(Arc<AtomicU64>);

impl Environment for Ahead {
    fn wall_ms(&self) -> u64 {
        SystemEnvironment.wall_ms() + self.0.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        SystemEnvironment.entropy()
    }
}

impl Apart {
    /// Nodes that all have what these commands come to.
    pub fn after(lines: &[&str]) -> Self {
        let runtime = Runtime::new().unwrap();
        let ahead: Vec<Arc<AtomicU64>> = (0..NODES).map(|_| Arc::default()).collect();
        let (cluster, servers) = runtime.block_on(async {
            let set_up = |number: usize, node: syncline::Builder| {
                node.environment(Arc::new(Ahead(ahead[number].clone())))
            };
            let cluster = cluster_with(NODES, set_up).await.unwrap();
            let mut servers = Vec::new();
            for node in cluster.nodes() {
                let options = Options::new(([127, 0, 0, 1], 0).into());
                servers.push(Server::start(node.clone(), options).await.unwrap());
            }
            (cluster, servers)
        });
        let connect = |server: &Server| Client::connect(server.local_addr());
        let mut apart = Self {
            clients: servers.iter().map(connect).collect(),
            ahead,
            servers,
            cluster,
            runtime,
        };
        for line in lines {
            apart.on(0, line);
        }
        apart.heal();
        apart.cut();
        apart
    }

    fn cut(&self) {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            self.cluster.cut(a, b);
        }
    }

    /// Another client of a node.
    pub fn client(&self, node: usize) -> Client {
        Client::connect(self.servers[node].local_addr())
    }

    /// What a node answers.
    pub fn on(&mut self, node: usize, line: &str) -> String {
        self.clients[node].say(line)
    }

    /// Has later writes be stamped later: wall clocks have milliseconds.
    fn later(&self) {
        for ahead in &self.ahead {
            ahead.fetch_add(10, Ordering::Relaxed);
        }
    }

    fn pass(&self, node: usize, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        self.ahead[node].fetch_add(ms, Ordering::Relaxed);
    }

    /// Mends the wires, and has all that was written come everywhere.
    pub fn heal(&mut self) {
        self.mend();
        let converged = self.runtime.block_on(self.cluster.converged());
        assert!(converged.unwrap());
    }

    /// The same, where it may go on changing.
    pub fn mend(&mut self) {
        self.runtime.block_on(self.cluster.heal()).unwrap();
    }

    /// What all nodes answer, which has to be the same.
    fn all(&mut self, line: &str) -> String {
        let mut replies: Vec<_> = (0..NODES).map(|node| self.on(node, line)).collect();
        replies.dedup();
        assert_eq!(replies.len(), 1, "{line}: {replies:?}");
        replies.remove(0)
    }

    /// Writes on the first node and, later and not knowing of it, on the second, and heals.
    fn write(&mut self, first: &str, second: &str) -> [String; 2] {
        let first = self.on(0, first);
        self.later();
        let replies = [first, self.on(1, second)];
        self.heal();
        replies
    }

    /// Rows held by all nodes, deadlines and remnants among them.
    fn rows(&self) -> u64 {
        self.runtime.block_on(async {
            let mut rows = 0;
            for namespace in self.cluster.namespaces("db0").unwrap() {
                rows += namespace.read(|view| Ok(view.row_count())).await.unwrap();
            }
            rows
        })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let servers = std::mem::take(&mut self.servers);
        self.clients.clear();
        self.runtime.block_on(async {
            for server in servers {
                server.stop().await;
            }
            for node in self.cluster.nodes() {
                if let Err(error) = node.shutdown().await {
                    assert!(std::thread::panicking(), "{error}");
                }
            }
        });
    }
}

/// An array as a transcript has it.
fn array(items: &[&str]) -> String {
    let mut text = format!("(array of {})", items.len());
    for item in items {
        text.push_str(&format!("\n  \"{item}\""));
    }
    text
}
