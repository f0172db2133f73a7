//! Fuzz body `decoders`: whatever bytes come, decoding ends in a value or a typed error, and a value has one encoding.

pub(crate) mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use syncline_crdt::cell::Cell;
use syncline_crdt::{
    Canonical, CausalMap, Context, Delta, Dot, EnableWinsFlag, Family, LwwMap, LwwRegister,
    MvRegister, OrSet, PnCounter, ReplicaId, Row, RowKey, Siblings, Stamp, VersionVector,
};
use syncline_gossip::Message;
use syncline_gossip::publication::{self, Published};
use syncline_merkle::reconcile::{Limits, Walk};
use syncline_merkle::sketch::{self, Decoder, SketchKey};
use syncline_merkle::{DigestKey, KeyRange, MemoryTree, RangeDigest};
use syncline_store::{Config, MemoryEngine, Store};
use syncline_sync::{Opening, Session};

use crate::cluster::{NAMESPACE, SECRET};
use crate::link::config;
use crate::rng::{Bytes, Choices};

/// Gives the bytes to one of the decoders; the first byte says which.
///
/// # Panics
/// When a decoder accepts what no encoder writes, or the parts of a value contradict it.
pub fn decoders(data: &[u8]) {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    match which % 28 {
        0 => canonical::<Context>(data),
        1 => canonical::<Row>(data),
        2 => canonical::<RowKey>(data),
        3 => canonical::<Delta>(data),
        4 => canonical::<CausalMap<String, Option<i64>>>(data),
        5 => canonical::<OrSet<Vec<u8>>>(data),
        6 => canonical::<LwwMap<String, u64>>(data),
        7 => canonical::<LwwRegister<String>>(data),
        8 => canonical::<MvRegister<(bool, i128)>>(data),
        9 => canonical::<PnCounter>(data),
        10 => canonical::<EnableWinsFlag>(data),
        11 => canonical::<VersionVector>(data),
        12 => canonical::<BTreeMap<u16, BTreeSet<i8>>>(data),
        13 => canonical::<(Dot, (Stamp, ReplicaId))>(data),
        14 => canonical::<(u128, Option<()>)>(data),
        15 => cell(data),
        16 => row_key(data),
        17 => range_digest(data),
        18 => walk(data),
        19 => opening(data),
        20 => first_answer(data),
        26 => symbols(data),
        27 => publication(data),
        _ => tables::open(data),
    }
}

/// Decoding is the inverse of encoding, both ways, so that equal values have equal bytes and the other way round.
fn canonical<T: Canonical + PartialEq + Debug>(data: &[u8]) {
    if let Ok(value) = T::from_bytes(data) {
        assert_eq!(value.to_bytes(), data, "two encodings of {value:?}");
    }
}

/// A message of a dissemination, and what it passes on as publications.
fn publication(data: &[u8]) {
    if let Ok(message) = Message::from_bytes(data) {
        assert_eq!(message.to_bytes(), data, "two encodings of {message:?}");
        let pushed = match &message {
            Message::Push { pushed, .. } => std::slice::from_ref(pushed),
            Message::Batch(batch) => batch,
            _ => &[],
        };
        if publication::check(&message).is_ok() {
            for pushed in pushed {
                let payload = pushed.rumour.payload();
                let published = Published::from_bytes(payload).expect("it was checked");
                let bytes = published.to_bytes().expect("it is no longer than it was");
                assert_eq!(bytes, payload, "two encodings of {published:?}");
            }
        }
    }
    if let Ok(published) = Published::from_bytes(data) {
        let bytes = published.to_bytes().expect("it is no longer than it was");
        assert_eq!(bytes, data, "two encodings of {published:?}");
    }
}

fn cell(data: &[u8]) {
    if let Ok(cell) = Cell::from_bytes(data) {
        assert_eq!(cell.to_bytes(), data, "two encodings of {cell:?}");
    }
    // A whole row of them is read and written to without a panic, whatever its siblings are.
    let read = |payload: &Vec<u8>| Cell::from_bytes(payload);
    if let Ok(Ok(row)) = Row::from_bytes(data).map(|row| row.try_map(read)) {
        let replica = ReplicaId::from_bytes([data.len() as u8; 16]);
        let value = syncline_crdt::cell::read(&row);
        let after: Siblings<Cell> = Siblings::one(
            Dot::new(replica, 1),
            Stamp::MAX,
            syncline_crdt::cell::assign(&row, None),
        );
        assert_eq!(
            syncline_crdt::cell::read(&after),
            None,
            "a delete that observed {value:?} leaves nothing"
        );
        for by in [i64::MIN, -1, 0, 1, i64::MAX] {
            let _ = syncline_crdt::cell::add(&row, replica, by);
            let _ = syncline_crdt::cell::add_decimal(&row, replica, by.into());
        }
    }
}

/// Symbols have one encoding, and decoding any of them ends with no more elements than there are symbols.
fn symbols(data: &[u8]) {
    const LIMIT: usize = 512;
    let Ok(symbols) = sketch::decode(data, LIMIT) else {
        return;
    };
    assert_eq!(sketch::encode(&symbols), data, "two encodings");
    let mut decoder = Decoder::new(SketchKey::derive(&SECRET), LIMIT);
    for batch in symbols.chunks(100) {
        decoder.extend(batch.iter().copied());
        assert!(decoder.found().len() <= decoder.symbols());
    }
}

/// The parts of a key make the key, and keys order as their parts do.
fn row_key(data: &[u8]) {
    let (a, b) = data.split_at(data.len() / 2);
    let (Ok(a), Ok(b)) = (
        RowKey::from_bytes(a.to_vec()),
        RowKey::from_bytes(b.to_vec()),
    ) else {
        return;
    };
    let parts = |key: &RowKey| (key.user_key(), key.family(), key.field_bytes().to_vec());
    for key in [&a, &b] {
        let (user, family, field) = parts(key);
        assert_eq!(RowKey::new(&user, family, &field), *key);
        assert!(key.as_bytes().starts_with(&RowKey::key_prefix(&user)));
        assert!(KeyRange::prefix(&RowKey::family_prefix(&user, family)).contains(key.as_bytes()));
        assert!(KeyRange::prefix(&RowKey::user_prefix(&user)).contains(key.as_bytes()));
    }
    assert_eq!(a.cmp(&b), parts(&a).cmp(&parts(&b)));
    let same_user = parts(&a).0 == parts(&b).0;
    let prefix = RowKey::key_prefix(&a.user_key());
    assert_eq!(
        b.as_bytes().starts_with(&prefix),
        same_user,
        "a user key's rows, and no others"
    );
    let _ = Family(data.len() as u8);
}

fn range_digest(data: &[u8]) {
    let Some((bytes, rest)) = data.split_first_chunk::<40>() else {
        return;
    };
    let digest = RangeDigest::from_bytes(bytes);
    assert_eq!(digest.to_bytes(), *bytes);
    if let Some((other, _)) = rest.split_first_chunk::<40>() {
        let other = RangeDigest::from_bytes(other);
        assert_eq!(digest + other - other, digest);
        assert_eq!(digest + other, other + digest);
    }
}

/// A walk over a small tree is told anything, in one message or several.
fn walk(data: &[u8]) {
    let mut choices = Bytes::new(data);
    let mut tree = MemoryTree::new(DigestKey::derive(&SECRET));
    for item in 0..choices.below(4) * 40 {
        tree.insert(&[item as u8], b"");
    }
    let mut walk = Walk::new([0; 16], KeyRange::ALL, Limits::default());
    if choices.chance(50) {
        let _ = walk.start(&tree);
    }
    while !choices.is_empty() {
        let len = match choices.next() {
            255 => usize::MAX,
            len => len as usize,
        };
        if walk.handle(&tree, choices.take(len)).is_err() {
            return;
        }
    }
}

fn store() -> Store<MemoryEngine> {
    Store::open(MemoryEngine::new(), Config::new(NAMESPACE, SECRET)).unwrap()
}

/// The first frame of a peer that begins a session.
fn opening(data: &[u8]) {
    if let Ok(opening) = Opening::read(data)
        && let Ok(mut session) = Session::respond(store(), config(NAMESPACE, 2, 1 << 10), opening)
    {
        while let Ok(Some(_)) = session.poll_frame() {}
    }
}

/// The answer to our greeting.
fn first_answer(data: &[u8]) {
    let request = syncline_sync::Request::new([3; 16]);
    let mut session = Session::initiate(store(), config(NAMESPACE, 1, 1 << 10), request).unwrap();
    while let Ok(Some(_)) = session.poll_frame() {}
    if session.handle_frame(data).is_ok() {
        while let Ok(Some(_)) = session.poll_frame() {}
    }
}
