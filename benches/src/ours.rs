//! Syncline's walk over its digest tree.

use std::convert::Infallible;

use syncline_merkle::reconcile::{Finding, Limits, Walk, WalkError};
use syncline_merkle::{Change, DigestKey, KeyRange, MemoryTree};

use crate::Cost;
use crate::sets::{Sets, content};

/// Reconciles the sets: the side that begins holds the first.
pub fn reconcile(sets: &Sets) -> Result<Cost, WalkError<Infallible>> {
    let key = DigestKey::derive(&[7; 32]);
    let first = tree(&key, 0..sets.items);
    let second = tree(&key, sets.second());

    let started = std::time::Instant::now();
    let mut cost = Cost::default();
    let salt = *b"fresh and random";
    let mut ours = Walk::new(salt, KeyRange::ALL, Limits::default());
    let mut theirs = Walk::new(salt, KeyRange::ALL, Limits::default());
    let mut message = Some(ours.start(&first)?);
    while let Some(query) = message {
        let step = theirs.handle(&second, &query)?;
        cost.found += found(&second, &step.findings);
        let answer = step.reply.unwrap_or_default();
        cost.exchange(query.len(), answer.len());
        if answer.is_empty() {
            break;
        }
        let step = ours.handle(&first, &answer)?;
        cost.found += found(&first, &step.findings);
        message = step.reply;
    }
    cost.milliseconds = started.elapsed().as_secs_f64() * 1e3;
    Ok(cost)
}

fn found(tree: &MemoryTree, findings: &[Finding]) -> u64 {
    findings
        .iter()
        .map(|finding| match finding {
            Finding::OnlyHere { keys } => keys.len() as u64,
            Finding::PeerEmpty { range } => {
                let Ok(digest) = syncline_merkle::tree::digest(tree, range);
                digest.count()
            }
            Finding::Differ { mine, theirs } => (mine.len() + theirs.len()) as u64,
        })
        .sum()
}

fn tree(key: &DigestKey, items: impl Iterator<Item = u64>) -> MemoryTree {
    let items: Vec<([u8; 8], _)> = items
        .map(|at| {
            let name = at.to_be_bytes();
            (name, key.item(&name, &content(at)))
        })
        .collect();
    let changes: Vec<Change<'_>> = items
        .iter()
        .map(|(name, digest)| Change {
            key: name,
            old: None,
            new: Some(*digest),
        })
        .collect();
    let mut tree = MemoryTree::new(key.clone());
    tree.apply(&changes);
    tree
}
