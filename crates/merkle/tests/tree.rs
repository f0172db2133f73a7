//! The digest tree against the plain sum over all items, under random batches.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;
use syncline_merkle::{
    Change, DigestKey, Item, ItemDigest, KeyRange, MemoryTree, Node, Nodes, RangeDigest, tree,
};

fn secret() -> DigestKey {
    DigestKey::derive(&[42; 32])
}

/// Keys of two shapes: dense numbers under a few prefixes, and short random bytes that nest into
/// each other.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..3u8, 0..700u16).prop_map(|(prefix, n)| format!("p{prefix}:{n:05}").into_bytes()),
        1 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..4),
    ]
}

/// A batch: for each key its new value, or removal.
fn any_batch(size: usize) -> impl Strategy<Value = BTreeMap<Vec<u8>, Option<u8>>> {
    prop::collection::btree_map(any_key(), prop::option::weighted(0.6, any::<u8>()), 0..size)
}

fn changes<'a>(tree: &MemoryTree, batch: &'a BTreeMap<Vec<u8>, Option<u8>>) -> Vec<Change<'a>> {
    let change = |(key, value): (&'a Vec<u8>, &Option<u8>)| Change {
        key,
        old: tree.get(key).copied(),
        new: value.map(|value| tree.key().item(key, &[value])),
    };
    batch.iter().map(change).collect()
}

fn plain_sum(tree: &MemoryTree, range: &KeyRange) -> RangeDigest {
    tree.iter()
        .filter(|(key, _)| range.contains(key))
        .map(|(_, digest)| RangeDigest::of(digest))
        .sum()
}

fn assert_sound(tree: &MemoryTree) {
    let recount = tree::recount(tree.key(), tree).unwrap();
    assert!(recount.is_sound(), "{:?}", recount.repairs);
    assert_eq!(recount.root, tree.root());
    assert_eq!(recount.root, plain_sum(tree, &KeyRange::ALL));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn batches_equal_a_rebuild(batches in prop::collection::vec(any_batch(900), 1..6)) {
        let mut tree = MemoryTree::new(secret());
        for batch in &batches {
            let changes = changes(&tree, batch);
            tree.apply(&changes);
            assert_sound(&tree);
        }
        // Down to nothing again, in one batch: no node may stay behind.
        let everything: BTreeMap<_, _> = tree.iter().map(|(key, _)| (key.to_vec(), None)).collect();
        let changes = changes(&tree, &everything);
        tree.apply(&changes);
        assert_sound(&tree);
        prop_assert!((0..=syncline_merkle::MAX_LEVEL).all(|level| tree.level(level).count() == 0));
    }

    #[test]
    fn nodes_depend_on_the_items_alone(batch in any_batch(900), detour in any_batch(900), split in 0..900usize) {
        let mut at_once = MemoryTree::new(secret());
        let whole = changes(&at_once, &batch);
        at_once.apply(&whole);

        // By way of other items, then towards the same ones: backwards as a batch, and the rest one
        // by one.
        let mut in_turns = MemoryTree::new(secret());
        let visited = changes(&in_turns, &detour);
        in_turns.apply(&visited);
        let mut target: BTreeMap<_, _> = detour.keys().map(|key| (key.clone(), None)).collect();
        target.extend(batch.clone());
        let mut way = changes(&in_turns, &target);
        way.reverse();
        let (batched, single) = way.split_at(split.min(way.len()));
        in_turns.apply(batched);
        for change in single {
            in_turns.set(change.key, change.new);
        }
        for level in 0..=syncline_merkle::MAX_LEVEL {
            prop_assert_eq!(at_once.level(level).collect::<Vec<_>>(), in_turns.level(level).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_digest_of_any_range_is_its_sum(batch in any_batch(1500), lower in any_key(), upper in prop::option::of(any_key())) {
        let mut tree = MemoryTree::new(secret());
        let changes = changes(&tree, &batch);
        tree.apply(&changes);
        let range = KeyRange { lower, upper };
        prop_assert_eq!(tree::digest(&tree, &range).unwrap(), plain_sum(&tree, &range));
    }

    #[test]
    fn the_nth_item_of_any_range_is_found(
        batch in any_batch(1500),
        lower in any_key(),
        upper in prop::option::of(any_key()),
        n in 0..2_000u64,
    ) {
        let mut tree = MemoryTree::new(secret());
        let changes = changes(&tree, &batch);
        tree.apply(&changes);
        let range = KeyRange { lower, upper };
        let held: Vec<&[u8]> = tree.iter().map(|(key, _)| key).filter(|key| range.contains(key)).collect();
        let n = [n, n % (held.len() as u64 + 1), (held.len() as u64).saturating_sub(1)];
        for n in n {
            let found = tree::nth(&tree, &range, n).unwrap();
            prop_assert_eq!(found.as_deref(), held.get(usize::try_from(n).unwrap()).copied(), "{}", n);
        }
    }

    #[test]
    fn cuts_partition_the_range_at_fences(
        batch in any_batch(1500),
        lower in any_key(),
        upper in prop::option::of(any_key()),
        level in 1..4u8,
        limit in prop_oneof![1..8usize, Just(1000)],
    ) {
        let mut tree = MemoryTree::new(secret());
        let changes = changes(&tree, &batch);
        tree.apply(&changes);
        let range = KeyRange { lower, upper };
        let fences: Vec<&[u8]> = tree
            .iter()
            .map(|(key, _)| key)
            .filter(|key| *key > range.lower.as_slice() && range.contains(key))
            .filter(|key| tree.key().level(key) >= level)
            .collect();

        let cut = tree::cut(&tree, &range, level, limit).unwrap();
        prop_assert_eq!(cut.nodes.len(), (fences.len() + 1).min(limit));
        prop_assert_eq!(&cut.nodes[0].fence, &range.lower);
        let end = fences.get(limit - 1).map(|fence| fence.to_vec()).or(range.upper.clone());
        prop_assert_eq!(&cut.upper, &end);
        for (at, node) in cut.nodes.iter().enumerate() {
            prop_assert!(at == 0 || node.fence == fences[at - 1]);
            let next = cut.nodes.get(at + 1).map(|next| next.fence.clone());
            let child = KeyRange { lower: node.fence.clone(), upper: next.or(cut.upper.clone()) };
            prop_assert_eq!(node.digest, plain_sum(&tree, &child));
        }
    }
}

/// `apply` may see the items before the changes or after them.
#[test]
fn the_nth_item_costs_a_few_nodes_a_level() {
    struct Counting<'t>(&'t MemoryTree, Cell<usize>);

    impl Nodes for Counting<'_> {
        type Error = Infallible;

        fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, Infallible> {
            self.0.last_before(level, bound)
        }

        fn nodes(
            &self,
            level: u8,
            range: &KeyRange,
            limit: usize,
        ) -> Result<Vec<Node>, Infallible> {
            let nodes = self.0.nodes(level, range, limit)?;
            self.1.set(self.1.get() + nodes.len());
            Ok(nodes)
        }

        fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Infallible> {
            let items = self.0.items(range, limit)?;
            self.1.set(self.1.get() + items.len());
            Ok(items)
        }
    }

    let mut tree = MemoryTree::new(secret());
    let keys: Vec<[u8; 4]> = (0..100_000u32).map(u32::to_be_bytes).collect();
    let changes: Vec<Change<'_>> = keys
        .iter()
        .map(|key| Change {
            key,
            old: None,
            new: Some(ItemDigest::ZERO),
        })
        .collect();
    tree.apply(&changes);
    assert_eq!(tree.root(), RangeDigest::counting(100_000));
    for n in [0, 31, 4_999, 50_000, 99_999] {
        let counting = Counting(&tree, Cell::new(0));
        let found = tree::nth(&counting, &KeyRange::ALL, n).unwrap();
        assert_eq!(found.as_deref(), Some(&keys[n as usize][..]));
        assert!(counting.1.get() < 1_000, "{} of {n}", counting.1.get());
    }
}

#[test]
fn the_state_of_changed_items_does_not_matter() {
    struct After<'t> {
        nodes: &'t MemoryTree,
        items: &'t MemoryTree,
    }
    impl Nodes for After<'_> {
        type Error = std::convert::Infallible;
        fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<tree::Node>, Self::Error> {
            self.nodes.last_before(level, bound)
        }
        fn nodes(
            &self,
            level: u8,
            range: &KeyRange,
            limit: usize,
        ) -> Result<Vec<tree::Node>, Self::Error> {
            self.nodes.nodes(level, range, limit)
        }
        fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<tree::Item>, Self::Error> {
            Nodes::items(self.items, range, limit)
        }
    }

    let key = secret();
    let mut before = MemoryTree::new(key.clone());
    for n in 0..2000u32 {
        before.insert(&n.to_be_bytes(), b"before");
    }
    let keys: Vec<[u8; 4]> = (0..4000u32).step_by(3).map(u32::to_be_bytes).collect();
    let changes: Vec<Change<'_>> = keys
        .iter()
        .enumerate()
        .map(|(at, item)| Change {
            key: item,
            old: before.get(item).copied(),
            new: (at % 4 != 0).then(|| key.item(item, b"after")),
        })
        .collect();
    let mut after = before.clone();
    after.apply(&changes);
    let edits = tree::apply(
        &key,
        &After {
            nodes: &before,
            items: &after,
        },
        &changes,
    )
    .unwrap();
    assert_eq!(edits, tree::apply(&key, &before, &changes).unwrap());
    assert_sound(&after);
}

/// Several changes of one key in one batch come to the last of them.
#[test]
fn changes_of_one_key_happen_in_the_order_given() {
    let key = secret();
    let [one, two, three] = [b"1", b"2", b"3"].map(|value| key.item(b"k", value));
    let mut tree = MemoryTree::new(key);
    tree.apply(&[
        Change {
            key: b"z",
            old: None,
            new: Some(one),
        },
        Change {
            key: b"k",
            old: None,
            new: Some(one),
        },
        Change {
            key: b"k",
            old: Some(one),
            new: None,
        },
        Change {
            key: b"k",
            old: None,
            new: Some(two),
        },
        Change {
            key: b"k",
            old: Some(two),
            new: Some(three),
        },
    ]);
    assert_sound(&tree);
    assert_eq!(tree.get(b"k"), Some(&three));
}

/// A recount names what is wrong: a node missing, one with another digest, one too many.
#[test]
fn a_recount_repairs_a_damaged_tree() {
    struct Damaged(MemoryTree, BTreeMap<(u8, Vec<u8>), RangeDigest>);
    impl Nodes for Damaged {
        type Error = std::convert::Infallible;
        fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<tree::Node>, Self::Error> {
            let mut nodes = self
                .1
                .iter()
                .filter(|((at, fence), _)| *at == level && fence.as_slice() < bound);
            Ok(nodes.next_back().map(|((_, fence), digest)| tree::Node {
                fence: fence.clone(),
                digest: *digest,
            }))
        }
        fn nodes(
            &self,
            level: u8,
            range: &KeyRange,
            limit: usize,
        ) -> Result<Vec<tree::Node>, Self::Error> {
            let nodes = self
                .1
                .iter()
                .filter(|((at, fence), _)| *at == level && range.contains(fence))
                .take(limit);
            Ok(nodes
                .map(|((_, fence), digest)| tree::Node {
                    fence: fence.clone(),
                    digest: *digest,
                })
                .collect())
        }
        fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<tree::Item>, Self::Error> {
            Nodes::items(&self.0, range, limit)
        }
    }

    let mut tree = MemoryTree::new(secret());
    for n in 0..3000u32 {
        tree.insert(&n.to_be_bytes(), b"");
    }
    let mut sound = BTreeMap::new();
    for level in 0..=syncline_merkle::MAX_LEVEL {
        sound.extend(
            tree.level(level)
                .map(|(fence, digest)| ((level, fence.to_vec()), *digest)),
        );
    }
    let mut nodes = sound.clone();
    let victims: Vec<_> = nodes
        .keys()
        .filter(|(level, _)| *level == 1)
        .cloned()
        .collect();
    nodes.remove(&victims[3]);
    *nodes.get_mut(&victims[5]).unwrap() = RangeDigest::of(&ItemDigest::from_bytes([9; 32]));
    nodes.insert((1, b"\xff\xff\xff\xff\xff".to_vec()), RangeDigest::ZERO);
    nodes.insert((9, b"".to_vec()), RangeDigest::ZERO);
    let damaged = Damaged(tree, nodes);

    let recount = tree::recount(damaged.0.key(), &damaged).unwrap();
    assert_eq!(recount.repairs.len(), 4, "{:?}", recount.repairs);
    let mut repaired = damaged.1.clone();
    for tree::NodeEdit {
        level,
        fence,
        digest,
    } in recount.repairs
    {
        match digest {
            Some(digest) => repaired.insert((level, fence), digest),
            None => repaired.remove(&(level, fence)),
        };
    }
    assert_eq!(repaired, sound);
    assert_eq!(recount.nodes, sound.len() as u64);
}

/// These bytes are on people's disks: whatever changes them is a migration.
#[test]
fn digests_and_fences_are_frozen() {
    let mut tree = MemoryTree::new(DigestKey::derive(&[7; 32]));
    for n in 0..10_000u32 {
        tree.insert(
            format!("key:{n}").as_bytes(),
            format!("value {n}").as_bytes(),
        );
    }
    assert_eq!(
        format!("{:?}", tree.key()),
        "DigestKey(5dcd639871b4bde6248fb993eb23ea00)"
    );
    let root = "10000:db01fc6b8bd1ce980029f036a5d5a89372ba3841736d827e929c78763cdd1862";
    assert_eq!(tree.root().to_string(), root);
    let nodes: Vec<usize> = (0..6).map(|level| tree.level(level).count()).collect();
    assert_eq!(nodes, [1, 291, 17, 0, 0, 0]);
    assert_sound(&tree);
}

/// A tree that counts how often it is asked.
struct Asked<'t>(&'t MemoryTree, Cell<usize>);

impl Nodes for Asked<'_> {
    type Error = Infallible;

    fn last_before(&self, level: u8, bound: &[u8]) -> Result<Option<Node>, Infallible> {
        self.1.set(self.1.get() + 1);
        self.0.last_before(level, bound)
    }

    fn nodes(&self, level: u8, range: &KeyRange, limit: usize) -> Result<Vec<Node>, Infallible> {
        self.1.set(self.1.get() + 1);
        Nodes::nodes(self.0, level, range, limit)
    }

    fn items(&self, range: &KeyRange, limit: usize) -> Result<Vec<Item>, Infallible> {
        Nodes::items(self.0, range, limit)
    }
}

/// Of some 3,100 leaves, every third or so is touched, then every thirtieth, then a run of them.
#[test]
fn close_nodes_are_read_in_runs_and_distant_ones_looked_up() {
    let mut tree = MemoryTree::new(secret());
    let keys: Vec<Vec<u8>> = (0..100_000u32)
        .map(|n| format!("key:{n:06}").into_bytes())
        .collect();
    let items: Vec<Change<'_>> = keys
        .iter()
        .map(|key| Change {
            key,
            old: None,
            new: Some(secret().item(key, b"1")),
        })
        .collect();
    tree.apply(&items);
    let asked = |overwritten: Vec<&Vec<u8>>| {
        let changes: Vec<Change<'_>> = overwritten
            .iter()
            .map(|key| Change {
                key,
                old: tree.get(key).copied(),
                new: Some(secret().item(key, b"2")),
            })
            .collect();
        let nodes = Asked(&tree, Cell::default());
        let Ok(_) = tree::apply(&secret(), &nodes, &changes);
        nodes.1.get()
    };
    let close = asked(keys.iter().step_by(100).collect());
    assert!(close < 1_000 / 8, "{close}");
    let distant = asked(keys.iter().step_by(1_000).collect());
    assert!(distant < 100 * 2, "{distant}");
    let run = asked(keys[50_000..60_000].iter().collect());
    assert!(run < 30, "{run}");
}
