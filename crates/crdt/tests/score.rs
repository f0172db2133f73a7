//! Scores: their bytes, their text, and what a cell comes to as one.
#![allow(missing_docs, clippy::unwrap_used)]

use proptest::prelude::*;
use syncline_crdt::cell::{self, AddError, Cell};
use syncline_crdt::{CausalMap, Decimal, Dot, ReplicaId, Score, Siblings, Stamp, score};

const ADA: ReplicaId = ReplicaId::from_bytes([1; 16]);
const BOB: ReplicaId = ReplicaId::from_bytes([2; 16]);

fn score(number: f64) -> Score {
    Score::new(number).unwrap()
}

#[test]
fn bytes_order_as_scores_do() {
    let ascending = [
        f64::NEG_INFINITY,
        f64::MIN,
        -1.5,
        -1.0,
        -f64::MIN_POSITIVE,
        -5e-324,
        0.0,
        5e-324,
        0.1,
        1.0,
        9_007_199_254_740_993.0,
        f64::MAX,
        f64::INFINITY,
    ]
    .map(score);
    assert!(ascending.is_sorted_by(|a, b| a < b && a.to_bytes() < b.to_bytes()));
    assert_eq!(ascending[0], Score::MIN);
    assert_eq!(score(-0.0), score(0.0));
    assert!(score(-0.0).get().is_sign_positive());
    assert_eq!(Score::new(f64::NAN), None);
    assert_eq!(score(1.5).to_bytes(), [0xbf, 0xf8, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        score(-1.5).to_bytes(),
        [0x40, 0x07, 255, 255, 255, 255, 255, 255]
    );
    for none in [f64::NAN, -f64::NAN, -0.0] {
        let bits = none.to_bits();
        let rank = if bits >> 63 == 0 {
            bits ^ 1 << 63
        } else {
            !bits
        };
        assert_eq!(Score::from_bytes(rank.to_be_bytes()), None, "{none}");
    }
}

#[test]
fn text_is_what_additions_to_it_stay_exact_for() {
    for (number, text) in [
        (0.0, "0"),
        (1.1, "1.1"),
        (-2.5e-7, "-0.00000025"),
        (1e22, "10000000000000000000000"),
        (1e300, "1e300"),
        (5e-324, "5e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(score(number).to_text(), text.as_bytes());
        assert_eq!(Score::parse(text.as_bytes()), Some(score(number)));
    }
    for none in ["", "nan", "one", "1 ", &"0".repeat(65)] {
        assert_eq!(Score::parse(none.as_bytes()), None, "{none}");
    }
}

proptest! {
    #[test]
    fn bytes_and_text_round_trip(a in any::<f64>(), b in any::<f64>()) {
        prop_assume!(!a.is_nan() && !b.is_nan());
        let (a, b) = (score(a), score(b));
        prop_assert_eq!(Score::from_bytes(a.to_bytes()), Some(a));
        prop_assert_eq!(Score::parse(&a.to_text()), Some(a));
        prop_assert_eq!(a.cmp(&b), a.get().partial_cmp(&b.get()).unwrap());
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        if let Some(decimal) = a.to_decimal() {
            prop_assert_eq!(Score::parse(decimal.to_string().as_bytes()), Some(a));
        }
    }
}

/// One member, on one replica.
#[derive(Clone)]
struct Member {
    map: CausalMap<(), Cell>,
    by: ReplicaId,
}

impl Member {
    fn new(by: ReplicaId) -> Self {
        let map = CausalMap::new();
        Self { map, by }
    }

    fn row(&self) -> Siblings<Cell> {
        self.map.row(&()).cloned().unwrap_or_default()
    }

    fn put(&mut self, stamp: u64, number: Option<f64>) {
        let text = number.map(|number| score(number).to_text());
        let set = cell::assign(&self.row(), text);
        let dot = self.map.context().next_dot(self.by);
        self.map.put((), dot, Stamp::new(stamp, 0), set);
    }

    fn add(&mut self, by: f64) -> Result<(), AddError> {
        let more = score::add(&self.row(), self.by, score(by).to_decimal().unwrap())?;
        let dot = self.map.context().next_dot(self.by);
        let stamp = Stamp::new(1, 0);
        self.map
            .put_superseding((), dot, stamp, more.cell, &more.supersedes);
        Ok(())
    }

    fn read(&self) -> Option<f64> {
        score::read(&self.row()).map(Score::get)
    }
}

fn merged(a: &Member, b: &Member) -> Option<f64> {
    let (mut ab, mut ba) = (a.clone(), b.clone());
    ab.map.join(&b.map);
    ba.map.join(&a.map);
    assert_eq!(ab.read(), ba.read());
    ab.read()
}

/// A member with this score on both replicas.
fn both(number: f64) -> (Member, Member) {
    let mut ada = Member::new(ADA);
    ada.put(1, Some(number));
    let bob = Member {
        by: BOB,
        ..ada.clone()
    };
    (ada, bob)
}

#[test]
fn concurrent_increments_sum_up_and_round_once() {
    let (mut ada, mut bob) = both(1.1);
    ada.add(1.0).unwrap();
    bob.add(1.0).unwrap();
    assert_eq!(merged(&ada, &bob), Some(3.1), "and not 3.1000000000000001");

    let (mut ada, mut bob) = both(0.1);
    ada.add(0.2).unwrap();
    bob.add(-0.1).unwrap();
    assert_eq!(merged(&ada, &bob), Some(0.2));
}

#[test]
fn increments_count_on_top_of_what_no_decimal_holds() {
    for (base, sum) in [
        (1e300, 1e300),
        (f64::INFINITY, f64::INFINITY),
        (f64::NEG_INFINITY, f64::NEG_INFINITY),
        (1e-30, 3.0),
        (-1e-30, 3.0),
        (3e19, 3e19 + 3.0),
    ] {
        let (mut ada, mut bob) = both(base);
        assert_eq!(ada.read(), Some(base));
        ada.add(1.0).unwrap();
        bob.add(2.0).unwrap();
        assert_eq!(merged(&ada, &bob), Some(sum), "{base}");
    }
}

#[test]
fn a_removal_erases_what_it_observed() {
    let (mut ada, mut bob) = both(1.1);
    ada.add(3.0).unwrap();
    bob.map.join(&ada.map);
    assert_eq!(bob.read(), Some(4.1));
    bob.put(2, None);
    assert_eq!(bob.read(), None);
    ada.add(2.0).unwrap();
    assert_eq!(merged(&ada, &bob), Some(2.0));
}

#[test]
fn additions_leave_no_64_bits() {
    let (mut ada, _) = both(f64::MAX);
    ada.add(9e18).unwrap();
    assert_eq!(ada.add(9e18), Err(AddError::Overflow));
    ada.add(-9e18).unwrap();
    assert_eq!(score(1e19).to_decimal(), None);
    assert_eq!(score(1e-19).to_decimal(), None);
    assert_eq!(score(2.0).to_decimal(), Some(Decimal::from(2)));
}

#[test]
fn text_that_is_no_score_is_none() {
    let dot = Dot::new(ADA, 1);
    for text in ["", "ten", "nan", "-nan"] {
        let set = cell::assign(&Siblings::new(), Some(text.into()));
        let row = Siblings::one(dot, Stamp::new(1, 0), set);
        assert_eq!(score::read(&row), None, "{text}");
        let bytes = Siblings::one(
            dot,
            Stamp::new(1, 0),
            row.iter().next().unwrap().payload.to_bytes(),
        );
        assert_eq!(score::of_row(&bytes), None);
        assert!(cell::is_visible(&bytes), "though something is there");
    }
    let newer = Siblings::one(dot, Stamp::new(1, 0), vec![0x7f]);
    assert_eq!(score::of_row(&newer), None);
}
