//! A CRDT of your own on the causal kernel, held against the law suite: `cargo run -p syncline-crdt --example own_crdt`
//!
//! A shopping cart with amounts. Taking an item out takes out what was seen of it; an amount that somebody set meanwhile
//! stays. Of amounts set without knowledge of each other the greatest is read, for nobody complains of too much tea.

use std::collections::BTreeMap;

use syncline_crdt::laws::proptest::prelude::*;
use syncline_crdt::laws::{self, Replicated};
use syncline_crdt::{Canonical, CausalMap, DecodeError, Input, ReplicaId, Stamp};

/// Item by item, the amounts that nobody has superseded. The causal map does the joining; what is left to decide is what a
/// change supersedes, and what conflicts read as.
#[derive(Clone, Debug, Default, PartialEq)]
struct Cart(CausalMap<String, u32>);

impl Cart {
    /// Sets the amount of an item; returns the delta, which is all that other replicas need of it.
    fn set(&mut self, replica: ReplicaId, stamp: Stamp, item: &str, amount: u32) -> Self {
        let dot = self.0.context().next_dot(replica);
        Self(self.0.put(item.to_owned(), dot, stamp, amount))
    }

    /// Takes an item out, and returns the delta.
    fn take_out(&mut self, replica: ReplicaId, item: &str) -> Self {
        let dot = self.0.context().next_dot(replica);
        Self(self.0.remove(&item.to_owned(), dot))
    }

    /// Merges a delta or another whole cart.
    fn join(&mut self, other: &Self) {
        self.0.join(&other.0);
    }

    fn amounts(&self) -> BTreeMap<&str, u32> {
        let rows = self.0.rows();
        rows.filter_map(|(item, row)| Some((item.as_str(), row.iter().map(|it| it.payload).max()?)))
            .collect()
    }
}

impl Canonical for Cart {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        CausalMap::decode(input).map(Self)
    }
}

/// What the law suite has to know: what can be done to a cart, and what is seen of it.
impl Replicated for Cart {
    /// An amount, or none to take the item out.
    type Operation = (u8, Option<u32>);
    type Reading = BTreeMap<String, u32>;

    fn initial() -> Self {
        Self::default()
    }

    /// Of three items only, so that replicas get in each other's way.
    fn operations() -> BoxedStrategy<Self::Operation> {
        (0..3u8, proptest::option::weighted(0.7, 1..9u32)).boxed()
    }

    fn apply(&mut self, (item, amount): &Self::Operation, writer: ReplicaId, stamp: Stamp) -> Self {
        let item = format!("item {item}");
        match amount {
            Some(amount) => self.set(writer, stamp, &item, *amount),
            None => self.take_out(writer, &item),
        }
    }

    fn join(&mut self, other: &Self) {
        Self::join(self, other);
    }

    fn read(&self) -> Self::Reading {
        let owned = |(item, amount): (&str, u32)| (item.to_owned(), amount);
        self.amounts().into_iter().map(owned).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [ada, bob] = [1, 2].map(|id| ReplicaId::from_bytes([id; 16]));
    let at = |second: u64| Stamp::new(second * 1000, 0);
    let mut phone = Cart::default();
    let mut laptop = Cart::default();
    for delta in [
        phone.set(ada, at(1), "tea", 1),
        phone.set(ada, at(2), "jam", 1),
    ] {
        laptop.join(&Cart::from_bytes(&delta.to_bytes())?);
    }
    println!("both:   {:?}", phone.amounts());

    // Offline, on both.
    phone.set(ada, at(3), "tea", 5);
    phone.take_out(ada, "jam");
    laptop.set(bob, at(4), "tea", 3);
    println!("phone:  {:?}", phone.amounts());
    println!("laptop: {:?}", laptop.amounts());

    phone.join(&laptop);
    laptop.join(&phone);
    println!("joined: {:?}", laptop.amounts());
    assert_eq!(phone, laptop);
    assert_eq!(laptop.amounts(), BTreeMap::from([("tea", 5)]));

    // Whether that is so for all histories, and not for this one alone, is for the laws to say.
    const CASES: u32 = 300;
    laws::check::<Cart>(CASES)?;
    laws::check_codec::<Cart>(CASES)?;
    println!("the laws hold in {CASES} random histories");
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
