//! What is too large is refused, with the limit and the remedy in the text.

use syncline_crdt::{RowKey, limits};
use syncline_store::{Durability, Engine, MAX_TRANSACTION_ROWS, Store, StoreError};

use crate::harness::*;

crate::over_all_engines! {
    keys_fields_and_values_up_to_their_limits
}

fn try_put<E: Engine>(store: &Store<E>, key: &RowKey, length: usize) -> Result<(), StoreError> {
    store
        .transact(Durability::Memory, |txn| txn.put(key, vec![b'v'; length]))
        .map(drop)
}

fn keys_fields_and_values_up_to_their_limits<H: Harness>() {
    let store = H::new().open();
    let key = |length| RowKey::cell(&vec![0; length]);
    let field = |length| RowKey::field(b"k", &vec![b'f'; length]);
    try_put(&store, &key(limits::MAX_KEY), 1).unwrap();
    try_put(&store, &field(limits::MAX_FIELD), 1).unwrap();
    try_put(&store, &cell("v"), limits::MAX_PAYLOAD).unwrap();
    assert_sound(&store);

    let text = |refused: Result<(), StoreError>| refused.unwrap_err().to_string();
    assert_eq!(
        text(try_put(&store, &key(limits::MAX_KEY + 1), 1)),
        "a key of 65537 bytes is over the limit of 65536 bytes; shorten it"
    );
    assert_eq!(
        text(try_put(&store, &field(limits::MAX_FIELD + 1), 1)),
        "a field or member of 65537 bytes is over the limit of 65536 bytes; shorten it"
    );
    assert_eq!(
        text(try_put(&store, &cell("v"), limits::MAX_PAYLOAD + 1)),
        "a value of 17301505 bytes is over the limit of 16777216 bytes; split it over several keys"
    );
    let refused = store.transact(Durability::Memory, |txn| {
        txn.put_superseding(&cell("v"), vec![0; limits::MAX_PAYLOAD + 1], &[])
    });
    assert!(matches!(refused, Err(StoreError::ValueTooLarge { .. })));
    let refused = store.transact(Durability::Memory, |txn| {
        txn.remove(&key(limits::MAX_KEY + 1))
    });
    assert!(matches!(refused, Err(StoreError::KeyTooLong { .. })));
    assert_eq!(store.view().unwrap().row_count(), 3);
}

#[test]
fn a_transaction_holds_a_million_rows_and_no_more() {
    let store = Memory::new().open();
    let write = |count: usize| {
        store.transact(Durability::Memory, |txn| {
            (0..count).try_for_each(|n| {
                txn.put(&RowKey::cell(&n.to_be_bytes()), Vec::new())?;
                // Writing a row again costs nothing.
                if n % 100_000 == 0 {
                    txn.remove(&RowKey::cell(&n.to_be_bytes())).map(drop)
                } else {
                    Ok(())
                }
            })
        })
    };
    let refused: StoreError = write(MAX_TRANSACTION_ROWS + 1).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a transaction of more than 1000000 rows is over the limit; split it"
    );
    assert_eq!(store.view().unwrap().row_count(), 0);
    write(MAX_TRANSACTION_ROWS).unwrap();
    assert_eq!(
        store.view().unwrap().row_count(),
        MAX_TRANSACTION_ROWS as u64 - 10
    );
}
