#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use syncline_store::{
    Durability, EngineError, FailingEngine, Fault, Faults, StoreError, SystemEnvironment,
};

use super::*;
use crate::outbox::Taker;
use crate::registers::Registers;
use crate::watch::{Change, Event, Watch};

/// A disk in memory, whose commits fail when told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailingPlace {
    disk: MemoryDisk,
    /// Of the engine opened last.
    faults: Arc<Mutex<Option<Faults>>>,
}

impl FailingPlace {
    pub(super) fn engine(&self) -> Result<AnyEngine, OpenError> {
        let (engine, faults) = FailingEngine::new(self.disk.mount()?);
        *self.faults.lock().unwrap() = Some(faults);
        Ok(AnyEngine::Failing(engine))
    }

    fn fail(&self, fault: Fault) {
        let faults = self.faults.lock().unwrap();
        faults.as_ref().unwrap().after(0, fault);
    }
}

async fn add(replica: &Replica, by: i64) -> Result<i64, Error> {
    let open = replica.open().await?;
    let queue = open.writer.queue();
    queue
        .transact(
            Durability::Durable,
            move |t| t.counter("c").add(by),
            None,
            open,
        )
        .await
}

fn failing(place: &FailingPlace) -> Replica {
    Replica::new(Settings {
        namespace: "app".to_owned(),
        secret: [7; 32],
        environment: Arc::new(SystemEnvironment),
        place: Place::Failing(place.clone()),
        outbox: Outbox::new("app", Taker::default()),
        room: Arc::new(Room::unbounded()),
        worked: Arc::default(),
    })
}

#[tokio::test]
async fn a_watch_tells_what_is_as_durable_as_its_handle_and_goes_on_after_failures() {
    let place = FailingPlace::default();
    let replica = failing(&place);
    add(&replica, 1).await.unwrap();
    let watch = |durability| Watch::new(replica.clone(), Registers::default(), durability, b"");
    let (mut quick, mut safe) = (watch(Durability::Buffered), watch(Durability::Durable));
    let value = |event| match event {
        Event::Change(Change::Value { values, .. }) => Some(values.concat()),
        _ => None,
    };

    place.faults.lock().unwrap().as_ref().unwrap().fail_flush();
    assert_eq!(quick.next().await.unwrap(), Event::Reset);
    assert_eq!(value(quick.next().await.unwrap()).unwrap(), b"1");
    assert!(matches!(quick.next().await.unwrap(), Event::Resume(_)));
    assert!(matches!(safe.next().await, Err(Error::Store(_))));
    // The store was opened again, and the commits that were made since are told as if nothing had been.
    assert_eq!(safe.next().await.unwrap(), Event::Reset);
    assert_eq!(value(safe.next().await.unwrap()).unwrap(), b"1");
    assert_eq!(add(&replica, 2).await.unwrap(), 3);
    assert_eq!(value(quick.next().await.unwrap()).unwrap(), b"3");

    // While it waits it holds nothing open, and it hears of the end.
    assert!(matches!(quick.next().await.unwrap(), Event::Resume(_)));
    let waiting = tokio::spawn(async move { quick.next().await });
    tokio::task::yield_now().await;
    replica.close().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed)));
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_nothing_more() {
    let place = FailingPlace::default();
    let replica = failing(&place);
    assert_eq!(add(&replica, 1).await.unwrap(), 1);

    place.fail(Fault::DiskFull);
    let error = add(&replica, 10).await.unwrap_err();
    assert!(error.to_string().contains("free some room"), "{error}");
    let Error::Store(cause) = &error else {
        panic!("{error}")
    };
    let full = StoreError::Engine(EngineError::DiskFull(
        std::io::ErrorKind::StorageFull.into(),
    ));
    assert_eq!(cause.to_string(), full.to_string());
    // There is room again, and what was acknowledged is there.
    assert_eq!(add(&replica, 100).await.unwrap(), 101);

    // A commit whose answer was lost is there in full, though its writer could not be told.
    place.fail(Fault::AppliedButReported);
    add(&replica, 1000).await.unwrap_err();
    assert_eq!(add(&replica, 1).await.unwrap(), 1102);

    // A sync that failed leaves open what is on the disk: its writers are told, and nothing more is written to it.
    place.faults.lock().unwrap().as_ref().unwrap().fail_flush();
    add(&replica, 1000).await.unwrap_err();
    assert_eq!(add(&replica, 1).await.unwrap(), 2103);
    replica.close().await.unwrap();
    assert!(matches!(add(&replica, 1).await, Err(Error::Closed)));
}
