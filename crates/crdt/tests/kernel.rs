//! The kernel's parts, one by one, on cases a reader can check by hand.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use syncline_crdt::{
    Canonical, CausalMap, Context, Dot, Edit, Family, Hlc, ReplicaId, Row, RowKey, RowKeyError,
    Siblings, Stamp, limits,
};

fn replica(id: u8) -> ReplicaId {
    ReplicaId::from_bytes([id; 16])
}

fn dot(id: u8, counter: u64) -> Dot {
    Dot::new(replica(id), counter)
}

fn intervals(context: &Context) -> Vec<(u8, u64, u64)> {
    context
        .intervals()
        .map(|(id, start, end)| (id.as_bytes()[0], start, end))
        .collect()
}

#[test]
fn intervals_grow_touch_and_split() {
    let mut context = Context::new();
    let mut edits = Vec::new();
    context.insert_recording(replica(1), 3, 4, &mut edits);
    context.insert_recording(replica(1), 7, 12, &mut edits);
    edits.clear();
    context.insert_recording(replica(1), 5, 9, &mut edits);
    let id = replica(1);
    assert_eq!(
        edits,
        [
            Edit::Remove {
                replica: id,
                start: 7
            },
            Edit::Put {
                replica: id,
                start: 3,
                end: 12
            }
        ]
    );
    assert_eq!(intervals(&context), [(1, 3, 12)]);

    edits.clear();
    assert!(context.remove_recording(dot(1, 3), &mut edits));
    assert!(context.remove_recording(dot(1, 8), &mut edits));
    assert!(!context.remove_recording(dot(1, 8), &mut edits));
    assert_eq!(intervals(&context), [(1, 4, 7), (1, 9, 12)]);
    assert_eq!(context.head(id), 0);
    assert_eq!(context.next_dot(id), dot(1, 13));
}

#[test]
fn the_ends_of_the_counter_range_are_ordinary() {
    let mut context = Context::new();
    assert!(!context.insert(dot(1, 0)));
    context.insert_range(replica(1), 0, 0);
    assert!(context.is_empty());
    context.insert_range(replica(1), 9, 5);
    assert!(context.is_empty());
    context.insert_range(replica(1), 0, 1);
    context.insert(dot(1, u64::MAX));
    context.insert(dot(2, 1));
    assert_eq!(
        intervals(&context),
        [(1, 1, 1), (1, u64::MAX, u64::MAX), (2, 1, 1)]
    );
    assert_eq!(
        Context::from_bytes(&context.to_bytes()),
        Ok(context.clone())
    );
    context.insert_range(replica(1), 2, u64::MAX - 1);
    assert_eq!(intervals(&context), [(1, 1, u64::MAX), (2, 1, 1)]);
    assert_eq!(context.len(), u128::from(u64::MAX) + 1);
    assert_eq!(
        Context::from_bytes(&context.to_bytes()),
        Ok(context.clone())
    );
    let hole: Context = [dot(1, u64::MAX)].into_iter().collect();
    assert_eq!(
        intervals(&context.difference(&hole)),
        [(1, 1, u64::MAX - 1), (2, 1, 1)]
    );
    assert!(hole.difference(&context).is_empty());
    assert_eq!(
        context.replicas().collect::<Vec<_>>(),
        [replica(1), replica(2)]
    );
}

#[test]
fn up_to_takes_whole_replicas_and_clips_the_last() {
    let mut context = Context::new();
    context.insert_range(replica(1), 1, 9);
    context.insert_range(replica(2), 1, 3);
    context.insert_range(replica(2), 5, 9);
    context.insert_range(replica(3), 1, 1);
    assert_eq!(
        intervals(&context.up_to(dot(2, 6))),
        [(1, 1, 9), (2, 1, 3), (2, 5, 6)]
    );
    assert_eq!(intervals(&context.up_to(dot(2, 4))), [(1, 1, 9), (2, 1, 3)]);
    assert_eq!(intervals(&context.up_to(dot(0, 4))), []);
}

#[test]
fn a_write_that_observed_supersedes_and_a_concurrent_one_stays() {
    let mut ours: CausalMap<&str, &str> = CausalMap::new();
    ours.put("k", dot(1, 1), Stamp::new(1, 0), "base");
    let mut theirs = ours.clone();
    ours.put("k", dot(1, 2), Stamp::new(2, 0), "ours");
    let delta = theirs.put("k", dot(2, 1), Stamp::new(3, 0), "theirs");
    assert!(ours.join(&delta));
    assert!(!ours.join(&delta));
    let row = ours.row(&"k").unwrap();
    assert_eq!(row.dots().collect::<Vec<_>>(), [dot(1, 2), dot(2, 1)]);
    assert_eq!(row.winner().unwrap().payload, "theirs");
    let removal = ours.remove(&"k", dot(1, 3));
    theirs.join(&removal);
    assert_eq!(theirs.rows().len(), 0);
    assert!(!theirs.join(&delta), "a doubled delta resurrects nothing");
}

#[test]
fn the_clock_passes_what_it_observed() {
    let mut clock = Hlc::new(Stamp::ZERO);
    assert_eq!(clock.tick(10), Stamp::new(10, 1));
    assert_eq!(clock.tick(9), Stamp::new(10, 2));
    clock.observe(Stamp::new(12, u16::MAX));
    assert_eq!(clock.tick(9), Stamp::new(13, 0));
    clock.observe(Stamp::MAX);
    assert_eq!(clock.tick(9), Stamp::MAX);
    assert_eq!(Stamp::new(u64::MAX, 3), Stamp::new((1 << 48) - 1, 3));
}

#[test]
fn row_bytes_are_what_the_protocol_says() {
    let row: Row = Siblings::one(
        dot(7, 300),
        Stamp::from_u64(0x0102_0304_0506_0708),
        b"hi".to_vec(),
    );
    let mut want = vec![1];
    want.extend([7; 16]);
    want.extend([0xac, 0x02, 1, 2, 3, 4, 5, 6, 7, 8, 2, b'h', b'i']);
    assert_eq!(row.to_bytes(), want);
    assert_eq!(Row::from_bytes(&want), Ok(row));
}

#[test]
fn row_keys_escape_zeros_and_hold_limits() {
    let key = RowKey::field(b"a\0b", b"\0\x01");
    assert_eq!(key.as_bytes(), b"a\0\xffb\0\x01\x02\0\x01");
    assert_eq!(
        (key.user_key(), key.family()),
        (b"a\0b".to_vec(), Family::FIELD)
    );
    assert_eq!(RowKey::from_bytes(key.as_bytes().to_vec()), Ok(key));
    for bad in [
        &b""[..],
        b"a",
        b"a\0",
        b"a\0\x01",
        b"a\0\x02\x01",
        b"a\0b\0\x01\x01",
    ] {
        assert_eq!(
            RowKey::from_bytes(bad.to_vec()),
            Err(RowKeyError::Malformed),
            "{bad:?}"
        );
    }
    let long = RowKey::cell(&vec![0; limits::MAX_KEY + 1]);
    assert_eq!(
        long.check_limits(),
        Err(RowKeyError::KeyTooLong(limits::MAX_KEY + 1))
    );
    assert_eq!(
        RowKey::cell(&vec![0; limits::MAX_KEY]).check_limits(),
        Ok(())
    );
    assert_eq!(RowKey::successor(b"a\xff\xff"), Some(b"b".to_vec()));
    assert_eq!(RowKey::successor(b"\xff"), None);
}
