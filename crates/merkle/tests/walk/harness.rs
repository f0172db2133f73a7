//! Two sides and what a walk between them must find.

use std::collections::{BTreeMap, BTreeSet};

use syncline_merkle::reconcile::{Finding, Limits, Stats, Walk};
use syncline_merkle::{Change, DigestKey, KeyRange, MemoryTree, Nodes};

/// Which side: 0 begins.
pub type Side = usize;

/// Everything said in a walk.
#[derive(Debug, Default)]
pub struct Outcome {
    pub findings: Vec<(Side, Finding)>,
    pub messages: Vec<Vec<u8>>,
    pub stats: [Stats; 2],
}

impl Outcome {
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(Vec::len).sum()
    }

    pub fn unsettled(&self) -> u64 {
        self.stats.iter().map(|stats| stats.unsettled).sum()
    }

    pub fn merged(&self) -> u64 {
        self.stats.iter().map(|stats| stats.merged).sum()
    }
}

/// "The item under this key, as this side holds it, is not at the other side."
pub type Missing = (Side, Vec<u8>);

pub fn secret() -> DigestKey {
    DigestKey::derive(&[42; 32])
}

/// A tree with an item for each key, whose value is a number.
pub fn tree(items: &BTreeMap<Vec<u8>, u32>) -> MemoryTree {
    let mut tree = MemoryTree::new(secret());
    let digest = |key: &[u8], value: &u32| Some(tree.key().item(key, &value.to_le_bytes()));
    let changes: Vec<Change<'_>> = items
        .iter()
        .map(|(key, value)| Change {
            key,
            old: None,
            new: digest(key, value),
        })
        .collect();
    tree.apply(&changes);
    tree
}

pub fn walks(range: KeyRange, limits: &Limits) -> [Walk; 2] {
    [(), ()].map(|()| Walk::new(*b"salt of the test", range.clone(), limits.clone()))
}

/// Walks over everything with usual limits.
pub fn walk(sides: &[MemoryTree; 2]) -> Outcome {
    run(walks(KeyRange::ALL, &Limits::default()), sides)
}

/// Runs a walk between two sides that do not change.
pub fn run(walks: [Walk; 2], sides: &[MemoryTree; 2]) -> Outcome {
    run_with(walks, &mut sides.clone(), |_, _, _| {})
}

/// Runs a walk; after each message the hook may look at its findings, and change the sides.
pub fn run_with(
    mut walks: [Walk; 2],
    sides: &mut [MemoryTree; 2],
    mut hook: impl FnMut(&mut [MemoryTree; 2], Side, &[Finding]),
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut side = 0;
    let mut message = Some(walks[0].start(&sides[0]).unwrap());
    while let Some(bytes) = message {
        outcome.messages.push(bytes);
        assert!(outcome.messages.len() < 100_000, "the walk does not end");
        side = 1 - side;
        let bytes = outcome.messages.last().unwrap();
        let step = walks[side].handle(&sides[side], bytes).unwrap();
        hook(sides, side, &step.findings);
        outcome
            .findings
            .extend(step.findings.into_iter().map(|finding| (side, finding)));
        message = step.reply;
    }
    assert!(walks[0].is_done() && walks[1].is_done());
    outcome.stats = walks.map(|walk| walk.stats().clone());
    outcome
}

/// What two sides really miss of one another, within a range.
pub fn truth(sides: &[MemoryTree; 2], range: &KeyRange) -> BTreeSet<Missing> {
    let missing = |side: Side| {
        let (here, there) = (&sides[side], &sides[1 - side]);
        here.iter()
            .filter(|(key, digest)| range.contains(key) && there.get(key) != Some(digest))
            .map(move |(key, _)| (side, key.to_vec()))
    };
    missing(0).chain(missing(1)).collect()
}

/// Checks a finding made at `side`, whose state is `here`, against the state `there` that the peer
/// spoke of, and returns what it says.
pub fn check(side: Side, finding: &Finding, here: &MemoryTree, there: &MemoryTree) -> Vec<Missing> {
    match finding {
        Finding::OnlyHere { keys } => keys
            .iter()
            .map(|key| {
                assert!(
                    here.get(key).is_some(),
                    "{side} reports an item that it does not hold"
                );
                assert!(
                    there.get(key).is_none(),
                    "the peer of {side} holds an item there"
                );
                (side, key.clone())
            })
            .collect(),
        Finding::PeerEmpty { range } => {
            assert!(
                Nodes::items(there, range, 1).unwrap().is_empty(),
                "{side}: {range:?}"
            );
            let items = Nodes::items(here, range, usize::MAX).unwrap();
            items.into_iter().map(|item| (side, item.key)).collect()
        }
        Finding::Differ { mine, theirs } => {
            assert!(
                !theirs.is_empty(),
                "{side} reports a difference of one side as of both"
            );
            let described: BTreeSet<&Vec<u8>> = theirs.iter().map(|(key, _)| key).collect();
            let mut missing = Vec::new();
            for key in mine {
                let ours = here.get(key).expect("an item that is reported is held");
                assert_ne!(
                    there.get(key),
                    Some(ours),
                    "{side} reports an item that both hold"
                );
                assert!(
                    there.get(key).is_none() || described.contains(key),
                    "{side}: not described"
                );
                missing.push((side, key.clone()));
            }
            for (key, description) in theirs {
                let digest = there.get(key).expect("an item that is described is held");
                assert_eq!(
                    description,
                    digest.as_bytes(),
                    "{side}: another item is described"
                );
                missing.push((1 - side, key.clone()));
            }
            missing
        }
    }
}

/// Checks that the findings of a walk between unchanged sides are true, and returns what they say,
/// finding by finding.
pub fn said(sides: &[MemoryTree; 2], outcome: &Outcome) -> Vec<Missing> {
    let said =
        |(side, finding): &(Side, Finding)| check(*side, finding, &sides[*side], &sides[1 - *side]);
    outcome.findings.iter().flat_map(said).collect()
}

/// What the findings of a walk between unchanged sides say all together. They are true, and each
/// part is said once, unless there was no memory to tell apart what was settled from what was not.
pub fn found(sides: &[MemoryTree; 2], outcome: &Outcome) -> BTreeSet<Missing> {
    let mut all = BTreeSet::new();
    for missing in said(sides, outcome) {
        let is_new = all.insert(missing.clone());
        assert!(
            is_new || outcome.merged() > 0,
            "{missing:?} is reported twice"
        );
    }
    all
}

/// Acts on a finding: each item that one side lacks is copied to it, and of two versions the
/// greater wins.
pub fn act(sides: &mut [MemoryTree; 2], side: Side, finding: &Finding) {
    let keys: Vec<Vec<u8>> = match finding {
        Finding::OnlyHere { keys } => keys.clone(),
        Finding::PeerEmpty { range } => {
            let items = Nodes::items(&sides[side], range, usize::MAX).unwrap();
            items.into_iter().map(|item| item.key).collect()
        }
        Finding::Differ { mine, theirs } => mine
            .iter()
            .chain(theirs.iter().map(|(key, _)| key))
            .cloned()
            .collect(),
    };
    for key in keys {
        let winner = sides
            .iter()
            .filter_map(|side| side.get(&key))
            .max()
            .copied();
        for side in sides.iter_mut() {
            side.set(&key, winner);
        }
    }
}
