//! Sync over a store of your own: `cargo run -p syncline-sync --example own_store`
//!
//! The store is a `BTreeMap`. A [`Companion`] keeps beside its rows what a session needs, and makes a [`Replica`] of it. A store
//! that is larger than memory implements [`Replica`] and its views by itself. Frames are pumped in memory.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};

use syncline_crdt::{Context, ReplicaId, Row, RowKey};
use syncline_merkle::KeyRange;
use syncline_sync::companion::{Companion, OrderedRows, Snapshot};
use syncline_sync::{Config, Incoming, Opening, Replica, ReplicaError, Report, Request, Session};

const NOW: u64 = 1_700_000_000_000; // milliseconds since 1970; a program asks its clock
const SECRET: [u8; 32] = [7; 32]; // of the cluster: digests compare only under one secret

#[derive(Clone, Default)]
struct Map(BTreeMap<RowKey, Row>);

impl OrderedRows for Map {
    fn get(&self, key: &RowKey) -> Option<Row> {
        self.0.get(key).cloned()
    }

    fn range(&self, range: &KeyRange) -> impl Iterator<Item = (RowKey, Row)> {
        let bounds = range.bounds().into_iter();
        let rows = bounds.flat_map(|bounds| self.0.range::<[u8], _>(bounds));
        rows.map(|(key, row)| (key.clone(), row.clone()))
    }

    fn set(&mut self, key: &RowKey, row: Row) {
        match row.is_empty() {
            true => self.0.remove(key),
            false => self.0.insert(key.clone(), row),
        };
    }
}

struct OwnStore {
    id: ReplicaId, // a real store mints one whenever it is opened
    state: Mutex<Arc<Companion<Map>>>,
}

impl OwnStore {
    fn new(id: u8) -> Self {
        let state = Companion::new(Map::default(), Context::new(), &SECRET);
        let (id, state) = (ReplicaId::from_bytes([id; 16]), Mutex::new(Arc::new(state)));
        Self { id, state }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Companion<Map>>> {
        self.state.lock().expect("no change panics half way")
    }

    fn write(&self, key: &str, text: Option<&str>) {
        let (key, payload) = (RowKey::cell(key.as_bytes()), text.map(|it| it.into()));
        Arc::make_mut(&mut self.lock()).write(self.id, NOW, &key, payload);
    }
}

impl Replica for OwnStore {
    type View = Snapshot<Map>;

    fn view(&self) -> Result<Snapshot<Map>, ReplicaError> {
        Ok(Snapshot(self.lock().clone()))
    }

    fn join(&self, incoming: Incoming<'_>) -> Result<(), ReplicaError> {
        Arc::make_mut(&mut self.lock()).join(incoming)
    }

    fn flush(&self) -> Result<(), ReplicaError> {
        Ok(()) // there is no disk to wait for
    }

    fn withdraw(&self, key: &RowKey) -> Result<(), ReplicaError> {
        Arc::make_mut(&mut self.lock()).withdraw(key);
        Ok(())
    }
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
    (0..1000).for_each(|n| ada.write(&format!("page:{n}"), Some("text")));
    show("bob starts from nothing", &sync(&ada, &bob)?);

    ada.write("page:7", None);
    ada.write("page:8", Some("here"));
    bob.write("page:8", Some("there"));
    show("both wrote apart", &sync(&ada, &bob)?);
    for store in [&ada, &bob] {
        let page = |name: &[u8]| store.lock().rows().get(&RowKey::cell(name));
        assert!(page(b"page:7").is_none());
        // Neither write had seen the other, so both stay until somebody decides.
        assert_eq!(page(b"page:8").map(|row| row.len()), Some(2));
    }

    // A store of the library cannot tell the difference.
    let config = syncline_store::Config::new("app", SECRET);
    let eve = syncline_store::Store::open(syncline_store::MemoryEngine::new(), config)?;
    show("a store of the library joins", &sync(&eve, &bob)?);
    assert_eq!(eve.view()?.root()?, ada.lock().root());
    Ok(())
}

fn show(what: &str, report: &Report) {
    assert!(report.agreed, "{what}: {report:?}");
    let (sent, received) = (report.rows_sent, report.rows_received);
    println!("{what}: {sent} rows sent, {received} received, the roots are equal");
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
