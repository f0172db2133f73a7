//! Who listens is woken by what concerns him, and misses nothing when he does not come.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};

use syncline_crdt::Canonical;
use syncline_merkle::KeyRange;
use syncline_store::{Bookmark, Signal};

use crate::harness::*;
use crate::mirror::Mirror;

/// Counts how often it was woken.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_listener_is_woken_by_what_concerns_it() {
    let store = Memory::new().open();
    let range = KeyRange::prefix(b"user:");
    let mut listener = store.listen(range.clone());
    let mut mirror = Mirror::new(range);
    assert!(mirror.step(&store, Some(&mut listener), 1 << 20, 1000));
    let counted = Arc::<Counted>::default();
    let waker = Waker::from(Arc::clone(&counted));
    let mut task = Task::from_waker(&waker);
    let woken = || counted.0.load(Ordering::Relaxed);

    assert_eq!(listener.poll_due(&mut task), Poll::Pending);
    put(&store, "other", "1");
    assert_eq!((listener.poll_due(&mut task), woken()), (Poll::Pending, 0));
    put(&store, "user:ada", "1");
    assert_eq!(woken(), 1);
    assert_eq!(listener.poll_due(&mut task), Poll::Ready(Signal::Due));
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    assert_eq!(mirror.held.len(), 1);
    assert_eq!(listener.poll_due(&mut task), Poll::Pending);

    // So that what it keeps does not grow old, it is due now and then though nothing concerns it.
    let old = mirror.kept.clone();
    for n in 0..1023 {
        put(&store, "other", &n.to_string());
    }
    assert_eq!((listener.poll_due(&mut task), woken()), (Poll::Pending, 1));
    put(&store, "other", "1024");
    assert_eq!(woken(), 2);
    assert_eq!(listener.poll_due(&mut task), Poll::Ready(Signal::Due));
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    assert_ne!(mirror.kept, old);

    assert_eq!(listener.poll_due(&mut task), Poll::Pending);
    store.close_feed();
    assert_eq!(woken(), 3);
    assert_eq!(listener.poll_due(&mut task), Poll::Ready(Signal::Closed));
}

#[test]
fn who_does_not_listen_for_long_has_fallen_behind_and_misses_nothing() {
    let store = Memory::new().open();
    let mut listener = store.listen(KeyRange::ALL);
    let mut mirror = Mirror::new(KeyRange::ALL);
    mirror.step(&store, Some(&mut listener), 1 << 20, 1000);
    // More than is held for it.
    let long = "k".repeat(60 << 10);
    for n in 0..10 {
        put(&store, &format!("{n}{long}"), "");
    }
    assert!(mirror.step(&store, Some(&mut listener), 1 << 20, 1000));
    assert_eq!((mirror.held.len(), mirror.begun_anew), (10, 1));
    // What is asked for in vain is not lost either.
    put(&store, "a", "");
    let view = store.view().unwrap();
    let from = Bookmark::from_bytes(mirror.kept.as_ref().unwrap()).unwrap();
    drop(listener.changes(&view, Some(&from), 1 << 20, 1000));
    assert!(mirror.step(&store, Some(&mut listener), 1 << 20, 1000));
    assert_eq!(mirror.held.len(), 11);
}

#[test]
fn whoever_waits_is_woken_by_the_commit_that_brings_it() {
    let (here, there) = (Memory::new().open(), Memory::new().open());
    let dot = put(&there, "a", "1");
    let counted = Arc::<Counted>::default();
    let waker = Waker::from(Arc::clone(&counted));
    let mut task = Task::from_waker(&waker);
    let woken = || counted.0.load(Ordering::Relaxed);
    let mut arrival = pin!(here.arrival(context([dot]), 0));
    assert_eq!(arrival.as_mut().poll(&mut task), Poll::Pending);
    put(&here, "b", "1");
    assert_eq!(woken(), 0);
    sync(&there, &here);
    assert_eq!(woken(), 1);
    assert_eq!(arrival.poll(&mut task), Poll::Ready(Signal::Due));

    let commit = here.view().unwrap().commit();
    let mut next = pin!(here.arrival(context([dot]), commit));
    assert_eq!(next.as_mut().poll(&mut task), Poll::Pending);
    put(&here, "b", "2");
    assert_eq!(next.poll(&mut task), Poll::Ready(Signal::Due));

    let mut never = pin!(here.arrival(context([self::dot(9, 9)]), 0));
    assert_eq!(never.as_mut().poll(&mut task), Poll::Pending);
    here.close_feed();
    assert_eq!(woken(), 3);
    assert_eq!(never.poll(&mut task), Poll::Ready(Signal::Closed));
}
