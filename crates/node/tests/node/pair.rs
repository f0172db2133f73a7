//! Two nodes of one cluster in memory, apart until they are healed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use syncline::trust::Cluster;
use syncline::{Builder, Environment, Namespace, Node, SystemEnvironment};

/// Two replicas of one namespace, and the nodes that carry them.
pub(crate) struct Pair {
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
    pub(crate) nodes: [Node; 2],
}

impl Pair {
    pub(crate) async fn apart() -> Self {
        Self::with(|builder| builder, |builder| builder).await
    }

    pub(crate) async fn with(
        a: impl FnOnce(Builder) -> Builder,
        b: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let cluster = Cluster::throwaway().unwrap();
        let builder = || {
            Node::builder()
                .in_memory()
                .cluster(&cluster)
                .listen("127.0.0.1:0")
        };
        let nodes = [
            a(builder()).start().await.unwrap(),
            b(builder()).start().await.unwrap(),
        ];
        Self {
            a: nodes[0].namespace("app").unwrap(),
            b: nodes[1].namespace("app").unwrap(),
            nodes,
        }
    }

    /// Lets them meet, and sees that they then hold the same.
    pub(crate) async fn heal(&self) {
        let report = self.nodes[0].sync_with(&self.nodes[1]).await.unwrap();
        assert!(report.agreed(), "{report:?}");
        assert_eq!(root(&self.a).await, root(&self.b).await);
    }
}

pub(crate) async fn root(namespace: &Namespace) -> syncline::RangeDigest {
    namespace.read(|view| view.root()).await.unwrap()
}

/// A clock ahead of the system's.
pub(crate) struct Ahead(pub(crate) Arc<AtomicU64>);

impl Environment for Ahead {
    fn wall_ms(&self) -> u64 {
        SystemEnvironment.wall_ms() + self.0.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 10] {
        SystemEnvironment.entropy()
    }
}
