//! What a peer lacks, by the dot index.

use syncline_crdt::{Context, Dot, RowKey};
use syncline_store::{Additions, Durability, Engine, Incoming, Store, StoreError, View};

use crate::harness::*;

crate::over_all_engines! {
    lists_in_dot_order_what_the_peer_has_not_seen
    goes_on_from_its_frontier
    a_budget_is_kept_to_but_never_starves
    a_row_is_listed_at_its_first_wanted_dot
    what_came_after_the_start_is_left_for_later_unless_it_replaced_something
    rows_that_move_between_the_parts_are_not_lost
    a_start_that_claims_withdrawn_dots_is_refused
    an_index_that_lies_is_reported
}

fn all<E: Engine>(view: &View<E>, peer: &Context) -> Vec<RowKey> {
    let additions = view
        .lacking(view, peer, None, usize::MAX, usize::MAX)
        .unwrap();
    assert!(additions.complete);
    additions.rows.into_iter().map(|(key, _)| key).collect()
}

fn lists_in_dot_order_what_the_peer_has_not_seen<H: Harness>() {
    let store = H::new().open();
    let dots: Vec<Dot> = ["c", "a", "b", "d", "e"]
        .iter()
        .map(|key| put(&store, key, "x"))
        .collect();
    remove(&store, "d");
    let view = store.view().unwrap();
    assert_eq!(
        all(&view, &Context::new()),
        [cell("c"), cell("a"), cell("b"), cell("e")]
    );
    assert_eq!(
        all(&view, &context([dots[1], dots[2]])),
        [cell("c"), cell("e")]
    );
    assert_eq!(all(&view, view.context()), []);
    let nothing = view.lacking(&view, view.context(), None, 0, 0).unwrap();
    assert_eq!(
        nothing,
        Additions {
            complete: true,
            ..Additions::default()
        }
    );
}

/// Transfers in parts; merges after each what its frontier permits.
fn goes_on_from_its_frontier<H: Harness>() {
    let (from, to) = (H::new().open(), H::new().open());
    for n in 0..700 {
        let key = format!("k{}", n % 500);
        from.transact(Durability::Memory, |txn| {
            txn.put(&cell(&key), vec![0; 20]).map(drop)
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    }
    put(&to, "mine", "x");
    let start_view = from.view().unwrap();
    let start = start_view.context().clone();
    let peer = to.view().unwrap().context().clone();
    let mut after = None;
    let mut parts = 0;
    loop {
        let part = start_view
            .lacking(&from.view().unwrap(), &peer, after, 5_000, 1_000)
            .unwrap();
        assert!(part.rows.len() < 120, "about 5,000 bytes");
        let learned = match (part.complete, part.frontier) {
            (true, _) => start.clone(),
            (false, Some(frontier)) => start.up_to(frontier),
            (false, None) => Context::new(),
        };
        let incoming = Incoming {
            rows: part.rows,
            learned,
            ..Incoming::from_peer(&start)
        };
        to.join(incoming, Durability::Memory).unwrap();
        assert!(
            to.view().unwrap().context().interval_count() <= 3,
            "no gaps pile up"
        );
        parts += 1;
        after = part.frontier;
        if part.complete {
            break;
        }
    }
    assert!(parts >= 5);
    let (from, to) = (from.view().unwrap(), to.view().unwrap());
    assert!(to.context().covers(from.context()));
    assert_eq!(to.row_count(), from.row_count() + 1);
}

fn a_budget_is_kept_to_but_never_starves<H: Harness>() {
    let store = H::new().open();
    for n in 0..10 {
        put(&store, &n.to_string(), &"x".repeat(1_000));
    }
    let view = store.view().unwrap();
    let lacking = |max_bytes, max_rows| {
        let part = view
            .lacking(&view, &Context::new(), None, max_bytes, max_rows)
            .unwrap();
        (part.rows.len(), part.complete)
    };
    assert_eq!(lacking(0, 100), (1, false));
    assert_eq!(lacking(usize::MAX, 0), (1, false));
    assert_eq!(lacking(usize::MAX, 4), (4, false));
    assert_eq!(lacking(2_500, 100), (3, false));
    assert_eq!(lacking(usize::MAX, 10), (10, true));
}

/// Two siblings of one replica in one row, put side by side, and a third that the peer knows.
fn a_row_is_listed_at_its_first_wanted_dot<H: Harness>() {
    let store = H::new().open();
    let known = put(&store, "x", "known");
    let first = store
        .transact(Durability::Durable, |txn| {
            let first = txn.put_superseding(&cell("x"), b"2".to_vec(), &[])?;
            txn.put(&cell("y"), b"between".to_vec())?;
            txn.put_superseding(&cell("x"), b"3".to_vec(), &[])?;
            Ok::<_, StoreError>(first)
        })
        .unwrap()
        .0;
    let view = store.view().unwrap();
    assert_eq!(all(&view, &context([known])), [cell("x"), cell("y")]);
    assert_eq!(all(&view, &context([known, first])), [cell("y"), cell("x")]);
    let parts = view.lacking(&view, &context([known]), None, 1, 1).unwrap();
    assert_eq!(parts.frontier, Some(first));
    assert_eq!(parts.rows[0].1.len(), 3, "the whole row is given");
}

/// Whoever merges the start learns that a's first version is dead, and has to have its second.
fn what_came_after_the_start_is_left_for_later_unless_it_replaced_something<H: Harness>() {
    let store = H::new().open();
    put(&store, "a", "1");
    put(&store, "gone", "1");
    let start = store.view().unwrap();
    put(&store, "b", "2");
    let second = put(&store, "a", "3");
    remove(&store, "gone");
    let now = store.view().unwrap();
    let additions = start
        .lacking(&now, &Context::new(), None, usize::MAX, usize::MAX)
        .unwrap();
    assert!(additions.complete);
    let keys: Vec<_> = additions.rows.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, [cell("a")]);
    assert!(additions.rows[0].1.get(&second).is_some());
    let seen = start
        .lacking(&now, now.context(), None, usize::MAX, usize::MAX)
        .unwrap();
    assert!(seen.complete && seen.rows.is_empty());
}

/// A row changes hands between two parts: its first wanted dot goes, a later one stays.
fn rows_that_move_between_the_parts_are_not_lost<H: Harness>() {
    let store = H::new().open();
    let mut dots = Vec::new();
    for key in ["a", "x", "b"] {
        dots.push(put(&store, key, "1"));
    }
    let second = store
        .transact(Durability::Durable, |txn| {
            txn.put_superseding(&cell("x"), b"2".to_vec(), &[])
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"))
        .0;
    let start = store.view().unwrap();
    let first_part = start.lacking(&start, &Context::new(), None, 1, 1).unwrap();
    assert_eq!(first_part.rows[0].0, cell("a"));
    // x loses the dot at which it would have been listed.
    store
        .transact(Durability::Durable, |txn| {
            txn.put_superseding(&cell("x"), b"3".to_vec(), &[dots[1]])
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let now = store.view().unwrap();
    let rest = start
        .lacking(&now, &Context::new(), first_part.frontier, usize::MAX, 9)
        .unwrap();
    let keys: Vec<_> = rest.rows.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, [cell("x"), cell("b"), cell("x")]);
    assert!(rest.complete && rest.rows[2].1.get(&second).is_some());
}

fn a_start_that_claims_withdrawn_dots_is_refused<H: Harness>() {
    let harness = H::new();
    let store = harness.open();
    put(&store, "a", "1");
    put(&store, "b", "2");
    drop(store);
    let mut value = stored(&harness, &cell("a"));
    *value.last_mut().unwrap() ^= 1;
    harness.tamper(|batch| batch.put(syncline_store::Table::Rows, cell("a").as_bytes(), &value));

    let store = harness.open();
    let start = store.view().unwrap();
    let error = start
        .lacking(&start, &Context::new(), None, usize::MAX, 9)
        .unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(store.withdraw(&[cell("a")]).unwrap().rows, 1);
    let view = store.view().unwrap();
    assert_eq!(view.withdrawals(), 1);
    let error = start
        .lacking(&view, &Context::new(), None, usize::MAX, 9)
        .unwrap_err();
    assert!(matches!(error, StoreError::Withdrawn), "{error}");
    assert_eq!(all(&view, &Context::new()), [cell("b")]);
}

fn an_index_that_lies_is_reported<H: Harness>() {
    let harness = H::new();
    let store: Store<_> = harness.open();
    let lost = put(&store, "a", "1");
    put(&store, "b", "2");
    drop(store);
    // The index says that a's dot lives in b, or in a row that is not there.
    for named in [cell("b"), cell("c")] {
        let key = [&lost.replica.as_bytes()[..], &lost.counter.to_be_bytes()].concat();
        harness.tamper(|batch| batch.put(syncline_store::Table::Dots, &key, named.as_bytes()));
        let store = harness.open();
        let view = store.view().unwrap();
        let error = view
            .lacking(&view, &Context::new(), None, usize::MAX, 9)
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Damaged { key } if key == named.as_bytes()),
            "{error}"
        );
        assert!(!view.recount().unwrap().is_sound());
    }
}
