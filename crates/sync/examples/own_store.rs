//! Sync over a store of your own: `cargo run -p syncline-sync --example own_store`
//!
//! The store is a `BTreeMap` of rows with its digest tree and causal context. It implements [`Replica`], its snapshots
//! implement [`View`] and [`Source`], and a session needs nothing else. Frames are pumped in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};

use syncline_crdt::{Canonical, Context, Dot, Hlc, ReplicaId, Row, RowKey, Siblings};
use syncline_merkle::{Cut, DigestKey, Item, KeyRange, MemoryTree, RangeDigest, Source};
use syncline_sync::{Additions, Config, Incoming, Opening, Replica, ReplicaError};
use syncline_sync::{Report, Request, Rows, Session, View};

const NOW: u64 = 1_700_000_000_000; // milliseconds since 1970; a program asks its clock
const SECRET: [u8; 32] = [7; 32]; // of the cluster: digests compare only under one secret

struct OwnStore {
    id: ReplicaId,
    state: Mutex<Arc<State>>,
}

#[derive(Clone)]
struct State {
    rows: BTreeMap<RowKey, Row>,
    tree: MemoryTree,
    context: Context,
    clock: Hlc,
    withdrawals: u64,
}

impl State {
    /// Every change of a row comes through here, so that the digests always are those of the rows.
    fn set(&mut self, key: &RowKey, row: Row) {
        if row.is_empty() {
            self.tree.remove(key.as_bytes());
            self.rows.remove(key);
        } else {
            self.tree.insert(key.as_bytes(), &row.to_bytes());
            self.rows.insert(key.clone(), row);
        }
    }
}

impl OwnStore {
    fn new(id: u8) -> Self {
        let state = State {
            rows: BTreeMap::new(),
            tree: MemoryTree::new(DigestKey::derive(&SECRET)),
            context: Context::new(),
            clock: Hlc::default(),
            withdrawals: 0,
        };
        // A real store makes up a new id whenever it is opened, so that no dot is ever made twice.
        Self {
            id: ReplicaId::from_bytes([id; 16]),
            state: Mutex::new(Arc::new(state)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.state.lock().expect("no change panics half way")
    }

    /// Puts one sibling in place of all those that are there; or nothing at all. Either takes a dot.
    fn write(&self, key: RowKey, payload: Option<&str>) {
        let mut state = self.lock();
        let state = Arc::make_mut(&mut state);
        let (dot, stamp) = (state.context.next_dot(self.id), state.clock.tick(NOW));
        let row = payload.map(|text| Siblings::one(dot, stamp, text.as_bytes().to_vec()));
        state.set(&key, row.unwrap_or_default());
        state.context.insert(dot);
    }
}

impl Replica for OwnStore {
    type View = Snapshot;

    fn view(&self) -> Result<Snapshot, ReplicaError> {
        Ok(Snapshot(self.lock().clone()))
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        let mut state = self.lock();
        if state.withdrawals != incoming.since {
            return Err(ReplicaError::Withdrawn);
        }
        let state = Arc::make_mut(&mut state);
        let mut theirs: BTreeMap<RowKey, Row> = incoming.rows.into_iter().collect();
        // Where the peer told us all of a range, it holds nothing at the other keys there.
        let covers = |key: &RowKey| {
            incoming
                .covers
                .as_ref()
                .is_some_and(|range| range.contains(key.as_bytes()))
        };
        for key in state.rows.keys().filter(|key| covers(key)) {
            theirs.entry(key.clone()).or_default();
        }
        let seen = state.context.clone();
        for (key, row) in theirs {
            let ours = state.rows.get(&key).cloned().unwrap_or_default();
            state.set(&key, ours.join(&seen, &row, incoming.context));
            for sibling in &row {
                state.context.insert(sibling.dot);
                state.clock.observe(sibling.stamp);
            }
        }
        state.context.merge(&incoming.learned.unwrap_or_default());
        Ok(())
    }

    /// There is no disk to wait for.
    fn flush(&self) -> Result<(), ReplicaError> {
        Ok(())
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        let mut state = self.lock();
        let state = Arc::make_mut(&mut state);
        for dot in state
            .rows
            .get(key)
            .into_iter()
            .flat_map(Row::dots)
            .collect::<Vec<_>>()
        {
            state.context.remove(dot);
        }
        state.set(key, Row::new());
        state.withdrawals += 1;
        Ok(())
    }
}

/// The store as of one commit: a commit copies what a snapshot still holds on to.
struct Snapshot(Arc<State>);

impl View for Snapshot {
    fn context(&self) -> &Context {
        &self.0.context
    }

    fn withdrawals(&self) -> u64 {
        self.0.withdrawals
    }

    fn row(&self, key: &RowKey) -> Result<Option<Row>, ReplicaError> {
        Ok(self.0.rows.get(key).cloned())
    }

    fn rows(&self, range: &KeyRange, max_bytes: usize) -> Result<Rows, ReplicaError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let bounds = range.bounds().into_iter();
        for (key, row) in bounds.flat_map(|bounds| self.0.rows.range::<[u8], _>(bounds)) {
            if bytes > 0 && bytes >= max_bytes {
                return Ok(Rows {
                    rows,
                    complete: false,
                });
            }
            bytes += size(key, row);
            rows.push((key.clone(), row.clone()));
        }
        Ok(Rows {
            rows,
            complete: true,
        })
    }

    /// A store of any size keeps an index of rows by their dots for this.
    fn lacking(
        &self,
        now: &Self,
        peer: &Context,
        after: Option<Dot>,
        max_bytes: usize,
    ) -> Result<Additions, ReplicaError> {
        let unseen = |row: &Row| row.dots().find(|dot| !peer.contains(dot));
        let first = |(key, row)| Some((unseen(row)?, key));
        let by_dot: BTreeMap<Dot, &RowKey> = self.0.rows.iter().filter_map(first).collect();
        let mut additions = Additions {
            rows: Vec::new(),
            frontier: after,
            complete: true,
        };
        let mut bytes = 0;
        for (dot, key) in by_dot.into_iter().filter(|(dot, _)| Some(*dot) > after) {
            if bytes > 0 && bytes >= max_bytes {
                additions.complete = false;
                break;
            }
            // As it is now, whatever was written since the session began.
            if let Some(row) = now.0.rows.get(key).filter(|row| unseen(row).is_some()) {
                bytes += size(key, row);
                additions.rows.push((key.clone(), row.clone()));
            }
            additions.frontier = Some(dot);
        }
        Ok(additions)
    }
}

fn size(key: &RowKey, row: &Row) -> usize {
    key.as_bytes().len() + row.to_bytes().len()
}

impl Source for Snapshot {
    type Error = ReplicaError;

    fn digest(&self, range: &KeyRange) -> Result<RangeDigest, ReplicaError> {
        sure(self.0.tree.digest(range))
    }

    fn cut(&self, range: &KeyRange, level: u8, limit: usize) -> Result<Cut, ReplicaError> {
        sure(self.0.tree.cut(range, level, limit))
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, ReplicaError> {
        sure(Source::items(&self.0.tree, range, limit))
    }

    /// What a peer is told of a row that it may lack: its live dots.
    fn describe(&self, key: &[u8]) -> Result<Vec<u8>, ReplicaError> {
        let dots = |row: &Row| row.dots().collect::<BTreeSet<Dot>>().to_bytes();
        Ok(self.0.rows.get(key).map(dots).unwrap_or_default())
    }
}

fn sure<T>(outcome: Result<T, Infallible>) -> Result<T, ReplicaError> {
    let Ok(value) = outcome;
    Ok(value)
}

/// A whole session between any two replicas: all the transport that it takes.
fn sync(ours: &impl Replica, theirs: &impl Replica) -> Result<Report, Box<dyn Error>> {
    let config = |node| Config::new(*b"the cluster's id", [node; 32], "app", NOW);
    let mut initiator = Session::initiate(ours, config(1), Request::new(*b"16 random bytes!"))?;
    let greeting = initiator.poll_frame()?.ok_or("an initiator greets")?;
    let mut responder = Session::respond(theirs, config(2), Opening::read(&greeting)?)?;
    while !(initiator.is_finished() && responder.is_finished()) {
        while let Some(frame) = responder.poll_frame()? {
            initiator.handle_frame(&frame)?;
        }
        while let Some(frame) = initiator.poll_frame()? {
            responder.handle_frame(&frame)?;
        }
    }
    Ok(initiator.report())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (ada, bob) = (OwnStore::new(1), OwnStore::new(2));
    for n in 0..1000 {
        ada.write(RowKey::cell(format!("page:{n}").as_bytes()), Some("text"));
    }
    show("bob starts from nothing", &sync(&ada, &bob)?);

    ada.write(RowKey::cell(b"page:7"), None);
    ada.write(RowKey::cell(b"page:8"), Some("here"));
    bob.write(RowKey::cell(b"page:8"), Some("there"));
    bob.write(RowKey::cell(b"page:new"), Some("text"));
    show("both wrote apart", &sync(&ada, &bob)?);
    for view in [ada.view()?, bob.view()?] {
        assert_eq!(
            (view.0.rows.len(), view.row(&RowKey::cell(b"page:7"))?),
            (1000, None)
        );
        // Neither write of page 8 had seen the other, so both stay until somebody decides.
        assert_eq!(
            view.row(&RowKey::cell(b"page:8"))?.map(|row| row.len()),
            Some(2)
        );
        assert_eq!(view.digest(&KeyRange::ALL)?, ada.view()?.0.tree.root());
    }

    // A store of the library cannot tell the difference.
    let eve = syncline_store::Store::open(
        syncline_store::MemoryEngine::new(),
        syncline_store::Config::new("app", SECRET),
    )?;
    show("a store of the library joins", &sync(&eve, &bob)?);
    bob.write(RowKey::cell(b"page:8"), None);
    bob.withdraw(&RowKey::cell(b"page:9"))?;
    show("a removal, and a row that was lost", &sync(&bob, &eve)?);
    assert_eq!(eve.view()?.root()?, bob.view()?.0.tree.root());
    assert_eq!(bob.view()?.0.rows.len(), 999);
    Ok(())
}

fn show(what: &str, report: &Report) {
    assert!(report.agreed, "{what}: {report:?}");
    println!(
        "{what}: {} rows sent, {} received, {} bytes, {} round trips; the roots are equal",
        report.rows_sent,
        report.rows_received,
        report.bytes_total(),
        report.round_trips()
    );
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
