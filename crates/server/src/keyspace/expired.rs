//! Keys whose deadlines pass, by this node's clock.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use syncline::{Error, Namespace, View};
use tokio::time::sleep;

use super::{PAUSE, tell};
use crate::client::lock;
use crate::notes::{Class, Event};
use crate::server::Shared;

/// How often it is looked for.
const EVERY: Duration = Duration::from_millis(100);
/// Keys whose deadlines turned out to be later that are kept in mind. Only those are that were set on several nodes without knowledge of each
/// other.
const LATER: usize = 65_536;

/// Tells of the keys that expire, until the node is shut down.
pub(super) async fn follow(
    shared: &Arc<Shared>,
    database: u8,
    namespace: &Namespace,
    told: &Arc<Told>,
) {
    let mut due = Due::default();
    loop {
        let mut looking = due.clone();
        let looked = namespace.read(move |view| {
            let expired = looking.look(view)?;
            Ok((looking, expired))
        });
        match looked.await {
            Ok((looked, expired)) => {
                due = looked;
                for (key, at) in expired {
                    if told.first(&key, at) {
                        let (class, name, key) = (Class::Expired, "expired", Bytes::from(key));
                        tell(shared, database, &Event { class, name, key });
                    }
                }
                told.age();
            }
            Err(Error::Closed | Error::Dropped { .. }) => return,
            Err(error) => {
                tracing::warn!(database, %error, "keys that expire are not told yet");
                sleep(PAUSE).await;
            }
        }
        sleep(EVERY).await;
    }
}

/// What was told lately: a key that comes from another node just before it expires, or just after, may be found in both ways.
#[derive(Default)]
pub(super) struct Told(Mutex<[HashSet<Expired>; 2]>);

/// A key, and its deadline.
type Expired = (Vec<u8>, SystemTime);

impl Told {
    /// Whether this has not been told yet; it counts as told from now on.
    pub(super) fn first(&self, key: &[u8], at: SystemTime) -> bool {
        let [new, old] = &mut *lock(&self.0);
        let it = (key.to_vec(), at);
        !old.contains(&it) && new.insert(it)
    }

    fn age(&self) {
        let told = &mut *lock(&self.0);
        told[1] = std::mem::take(&mut told[0]);
    }
}

/// How far it was looked, and what was found to be later.
#[derive(Clone, Default)]
struct Due {
    until: Option<SystemTime>,
    later: BTreeSet<(SystemTime, Vec<u8>)>,
}

impl Due {
    /// The keys that have expired since it was looked last, with their deadlines; none at first.
    fn look(&mut self, view: &View) -> Result<Vec<Expired>, Error> {
        let now = view.taken_at();
        let Some(since) = self.until.replace(now) else {
            return Ok(Vec::new());
        };
        let mut expired = Vec::new();
        while self.later.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, key)) = self.later.pop_first()
        {
            // One that was set anew meanwhile is found by its new deadline.
            expired.extend(view.expired_at(&key)?.map(|at| (key, at)));
        }
        view.expired_since(since, |key, at| {
            if at <= now {
                expired.push((key, at));
            } else if self.later.len() < LATER {
                self.later.insert((at, key));
            }
            Ok(())
        })?;
        Ok(expired)
    }
}
