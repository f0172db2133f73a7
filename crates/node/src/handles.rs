//! The handles of an application: a namespace and a key, with the operations of one type.
//!
//! A handle is cheap to make, clone and drop, and holds nothing open beyond its namespace. Each of its methods is one
//! operation of [`ops`](crate::ops): a write runs in a transaction of its own, a read on a view of the last commit.

mod counter;
mod map;
mod register;
mod set;
mod sorted_set;

pub use self::counter::Counter;
pub use self::map::Map;
pub use self::register::Register;
pub use self::set::Set;
pub use self::sorted_set::SortedSet;

use crate::error::Error;
use crate::namespace::Namespace;
use crate::transaction::Transaction;
use crate::view::View;

/// Handles of what lies in the namespace, or is to.
impl Namespace {
    /// The set under `key`.
    pub fn set(&self, key: impl AsRef<[u8]>) -> Set {
        Set::new(self.clone(), key.as_ref().to_vec())
    }

    /// The sorted set under `key`.
    pub fn sorted_set(&self, key: impl AsRef<[u8]>) -> SortedSet {
        SortedSet::new(self.clone(), key.as_ref().to_vec())
    }

    /// The map under `key`.
    pub fn map(&self, key: impl AsRef<[u8]>) -> Map {
        Map::new(self.clone(), key.as_ref().to_vec())
    }

    /// The register under `key`.
    pub fn register(&self, key: impl AsRef<[u8]>) -> Register {
        Register::new(self.clone(), key.as_ref().to_vec())
    }

    /// The counter under `key`.
    pub fn counter(&self, key: impl AsRef<[u8]>) -> Counter {
        Counter::new(self.clone(), key.as_ref().to_vec())
    }
}

/// What every handle is: a key in a namespace.
#[derive(Clone, Debug)]
struct Handle {
    namespace: Namespace,
    key: Vec<u8>,
}

impl Handle {
    async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&View, &[u8]) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let key = self.key.clone();
        self.namespace.read(move |view| work(view, &key)).await
    }

    async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Transaction<'_>, &[u8]) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let key = self.key.clone();
        self.namespace
            .transaction(move |transaction| work(transaction, &key))
            .await
    }
}

fn owned(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    bytes.as_ref().to_vec()
}
