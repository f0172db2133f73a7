//! How much the log holds, which of it stays, and that it says what it has given up.

use syncline_crdt::{Context, Dot};
use syncline_store::{Durability, Incoming, Removal};

use super::{bounded, covers, listed, remove_many};
use crate::harness::*;

crate::over_all_engines! {
    it_keeps_the_newest_and_says_what_it_gave_up
    bytes_bound_it_too
    one_commit_may_be_more_than_it_holds
}

fn it_keeps_the_newest_and_says_what_it_gave_up<H: Harness>() {
    for at_a_time in [1, 7] {
        let harness = H::new();
        let store = bounded(&harness, 10, 1 << 20);
        let all = remove_many(&store, 40, at_a_time);
        let view = store.view().unwrap();
        assert_eq!(listed(&view, &Context::new()), all[30..]);
        assert_sound(&store);
        // Those who have seen all that was given up are told all.
        let given_up = all[29].dot;
        assert_eq!(view.removals_missing(), &view.context().up_to(given_up));
        let mut peer = view.context().up_to(given_up);
        assert!(covers(&view, &peer));
        assert_eq!(listed(&view, &peer), all[30..]);
        peer.remove(given_up);
        assert!(!covers(&view, &peer));
        drop((store, view));

        // Under lesser bounds, the next commit gives up more; under none, all.
        for (bound, kept) in [(4, 4), (0, 0)] {
            let store = bounded(&harness, bound, 1 << 20);
            put(&store, "last", "x");
            let view = store.view().unwrap();
            assert_eq!(listed(&view, &Context::new()), all[40 - kept..]);
            assert_sound(&store);
        }
    }
    // Oldest first is by when they were logged, whatever the names of those who made them.
    let harness = H::new();
    let store = bounded(&harness, 2, 1 << 20);
    let nobody = Context::new();
    for id in [9, 1, 5] {
        let removal = Removal {
            dot: dot(id, 1),
            key: cell("a"),
        };
        let incoming = Incoming {
            removals: vec![removal],
            learned: context([dot(id, 1)]),
            logged: context([dot(id, 1)]),
            ..Incoming::from_peer(&nobody)
        };
        store.join(incoming, Durability::Memory).unwrap();
    }
    let view = store.view().unwrap();
    let dots: Vec<Dot> = listed(&view, &Context::new())
        .into_iter()
        .map(|r| r.dot)
        .collect();
    assert_eq!(dots, [dot(1, 1), dot(5, 1)]);
    assert_eq!(view.removals_missing(), &context([dot(9, 1)]));
}

fn bytes_bound_it_too<H: Harness>() {
    let row_key = cell("0000").as_bytes().len() as u64;
    let harness = H::new();
    let store = bounded(&harness, 1_000, 5 * (58 + row_key) + 3);
    let all = remove_many(&store, 12, 1);
    assert_eq!(listed(&store.view().unwrap(), &Context::new()), all[7..]);
    assert_sound(&store);
}

fn one_commit_may_be_more_than_it_holds<H: Harness>() {
    let harness = H::new();
    // Part of what a removal did may have been told before.
    let store = bounded(&harness, 1, 1 << 20);
    let nobody = Context::new();
    let told = |id: u8, key: &str| Removal {
        dot: dot(id, 1),
        key: cell(key),
    };
    for removals in [
        vec![told(1, "a")],
        vec![told(1, "b"), told(2, "a")],
        vec![told(2, "b")],
    ] {
        let incoming = Incoming {
            removals,
            ..Incoming::from_peer(&nobody)
        };
        store.join(incoming, Durability::Memory).unwrap();
        assert_sound(&store);
    }
    drop(store);
    let harness = H::new();
    let store = bounded(&harness, 10, 1 << 20);
    let all = remove_many(&store, 1_000, 600);
    let view = store.view().unwrap();
    assert_eq!(listed(&view, &Context::new()), all[990..]);
    assert_eq!(view.removals_missing(), &view.context().up_to(all[989].dot));
    assert_sound(&store);
}
