//! negentropy: range-based reconciliation by fingerprints, as the Nostr ecosystem uses it.

use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::Cost;
use crate::sets::{Sets, content};

/// Reconciles the sets: the side that initiates holds the first.
pub fn reconcile(sets: &Sets) -> Result<Cost, negentropy::Error> {
    let first = storage(0..sets.items)?;
    let second = storage(sets.second())?;
    let mut client = Negentropy::borrowed(&first, 0)?;
    let mut server = Negentropy::borrowed(&second, 0)?;

    let started = std::time::Instant::now();
    let mut cost = Cost::default();
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let mut query = Some(client.initiate()?);
    while let Some(message) = query {
        let answer = server.reconcile(&message)?;
        cost.exchange(message.len(), answer.len());
        query = client.reconcile_with_ids(&answer, &mut have, &mut need)?;
    }
    cost.milliseconds = started.elapsed().as_secs_f64() * 1e3;
    cost.found = (have.len() + need.len()) as u64;
    Ok(cost)
}

fn storage(items: impl Iterator<Item = u64>) -> Result<NegentropyStorageVector, negentropy::Error> {
    let mut storage = NegentropyStorageVector::new();
    for at in items {
        // The position takes the place of the timestamp, which is what negentropy orders by.
        storage.insert(at, Id::from_byte_array(content(at)))?;
    }
    storage.seal()?;
    Ok(storage)
}
