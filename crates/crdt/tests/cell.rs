//! The numeric cell, case by case: what concurrent sets, deletes and increments come to.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use syncline_crdt::cell::{self, AddError, Cell, Sum, Value};
use syncline_crdt::{CausalMap, Dot, ReplicaId, Siblings, Stamp};

/// One replica's copy of a single cell, driven as a client would.
#[derive(Clone)]
struct Copy {
    id: ReplicaId,
    map: CausalMap<(), Cell>,
    time: u64,
}

impl Copy {
    fn new(id: u8) -> Self {
        Self {
            id: ReplicaId::from_bytes([id; 16]),
            map: CausalMap::new(),
            time: 0,
        }
    }

    /// Another replica with the same contents.
    fn replicate(&self, id: u8) -> Self {
        Self {
            id: ReplicaId::from_bytes([id; 16]),
            ..self.clone()
        }
    }

    fn row(&self) -> Siblings<Cell> {
        self.map.row(&()).cloned().unwrap_or_default()
    }

    fn assign(&mut self, value: Option<&str>) {
        let base = cell::assign(&self.row(), value.map(Into::into));
        let dot = self.map.context().next_dot(self.id);
        self.time += 1;
        self.map.put((), dot, Stamp::new(self.time, 0), base);
    }

    fn set(&mut self, value: &str) -> &mut Self {
        self.assign(Some(value));
        self
    }

    fn del(&mut self) -> &mut Self {
        self.assign(None);
        self
    }

    fn add(&mut self, by: i64) -> &mut Self {
        self.try_add(by).unwrap();
        self
    }

    fn try_add(&mut self, by: i64) -> Result<(), AddError> {
        let increment = cell::add(&self.row(), self.id, by)?;
        let dot = self.map.context().next_dot(self.id);
        self.map
            .put_superseding((), dot, Stamp::ZERO, increment.cell, &increment.supersedes);
        Ok(())
    }

    fn read(&self) -> Option<String> {
        cell::read(&self.row()).map(|value| match value {
            Value::Bytes(text) => String::from_utf8(text).unwrap(),
            Value::Integer(number) => number.to_string(),
            Value::Decimal(number) => number.to_string(),
        })
    }
}

/// Joins both into each other and reads what both now are.
fn healed(one: &mut Copy, other: &mut Copy) -> Option<String> {
    one.map.join(&other.map);
    other.map.join(&one.map);
    assert_eq!(one.map, other.map);
    one.time = one.time.max(other.time);
    other.time = one.time;
    one.read()
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn increments_on_both_sides_sum() {
    let mut ours = Copy::new(1);
    ours.set("10");
    let mut theirs = ours.replicate(2);
    ours.add(7);
    theirs.add(3);
    assert_eq!(healed(&mut ours, &mut theirs), text("20"));
    ours.add(-1);
    theirs.add(-2).add(-3);
    assert_eq!(healed(&mut ours, &mut theirs), text("14"));
}

#[test]
fn a_set_erases_only_the_increments_it_observed() {
    let mut ours = Copy::new(1);
    ours.add(5);
    let mut theirs = ours.replicate(2);
    ours.add(1);
    theirs.set("100");
    assert_eq!(healed(&mut ours, &mut theirs), text("101"));
    // The winner of two sets counts, and what both observed is gone.
    ours.set("1");
    theirs.set("2");
    assert_eq!(healed(&mut ours, &mut theirs), text("2"));
}

#[test]
fn a_delete_leaves_exactly_the_increment_it_had_not_observed() {
    let mut ours = Copy::new(1);
    ours.add(5);
    let mut theirs = ours.replicate(2);
    ours.add(1);
    theirs.del();
    assert_eq!(healed(&mut ours, &mut theirs), text("1"));
}

#[test]
fn two_deletes_leave_nothing_and_counting_begins_anew() {
    let mut ours = Copy::new(1);
    ours.add(5);
    let mut theirs = ours.replicate(2);
    ours.del();
    theirs.del();
    assert_eq!(healed(&mut ours, &mut theirs), None);
    ours.add(1);
    assert_eq!(healed(&mut ours, &mut theirs), text("1"));
}

#[test]
fn a_set_survives_the_delete_that_did_not_observe_it() {
    let mut ours = Copy::new(1);
    ours.set("old");
    let mut theirs = ours.replicate(2);
    ours.set("new");
    theirs.time += 9; // a later stamp does not help the delete
    theirs.del();
    assert_eq!(healed(&mut ours, &mut theirs), text("new"));
}

#[test]
fn text_hides_a_concurrent_increment_and_takes_no_further_ones() {
    let mut ours = Copy::new(1);
    let mut theirs = Copy::new(2);
    ours.set("text");
    theirs.add(1);
    assert_eq!(healed(&mut ours, &mut theirs), text("text"));
    assert_eq!(ours.try_add(1), Err(AddError::NotANumber));
    ours.set("3");
    assert_eq!(
        healed(&mut ours, &mut theirs),
        text("3"),
        "the set has observed the increment"
    );
}

#[test]
fn an_increment_by_zero_makes_a_zero() {
    let mut ours = Copy::new(1);
    ours.add(0);
    assert_eq!(ours.read(), text("0"));
    ours.add(4).add(-4);
    assert_eq!(ours.read(), text("0"), "summed to zero is not absent");
    ours.del();
    assert_eq!(ours.read(), None);
}

#[test]
fn one_contribution_grows_in_place_until_a_base_closes_it() {
    let mut ours = Copy::new(1);
    let names = |copy: &Copy| -> Vec<Option<u64>> {
        let row = copy.row();
        let names = row.iter().filter_map(|sibling| match sibling.payload {
            Cell::Contribution { name, .. } => Some(name.map(|name| name.counter)),
            Cell::Base { .. } => None,
        });
        names.collect()
    };
    ours.add(1);
    assert_eq!(names(&ours), [None]);
    ours.add(1).add(1);
    assert_eq!(
        names(&ours),
        [Some(1)],
        "one sibling, named by the first dot"
    );
    // Their delete observed 3; by then we were at 4.
    let mut theirs = ours.replicate(2);
    theirs.del();
    ours.add(1);
    healed(&mut ours, &mut theirs);
    ours.add(1);
    assert_eq!(
        names(&ours),
        [Some(1), None],
        "the old one is closed, a new one begun"
    );
    assert_eq!(healed(&mut ours, &mut theirs), text("2"));
}

#[test]
fn sums_that_arrive_in_parts_count_once() {
    let dot = |counter| Dot::new(ReplicaId::from_bytes([1; 16]), counter);
    let sum = |up| Sum::whole(up, 0);
    // The earlier sum of a contribution stands beside its successor while a row arrives in parts.
    let mut row = Siblings::one(
        dot(1),
        Stamp::ZERO,
        Cell::Contribution {
            name: None,
            sum: sum(5),
        },
    );
    let later = Cell::Contribution {
        name: Some(dot(1)),
        sum: sum(8),
    };
    row.insert(syncline_crdt::Sibling {
        dot: dot(2),
        stamp: Stamp::ZERO,
        payload: later,
    });
    assert_eq!(cell::read(&row), Some(Value::Integer(8)));
    let next = cell::add(&row, dot(1).replica, 1).unwrap();
    assert_eq!(next.supersedes, [dot(1), dot(2)]);
    assert_eq!(
        next.cell,
        Cell::Contribution {
            name: Some(dot(1)),
            sum: sum(9)
        }
    );
}

#[test]
fn an_increment_refuses_to_overflow_and_a_merge_may_be_stepped_back() {
    let max = i64::MAX.to_string();
    let mut ours = Copy::new(1);
    ours.set(&max);
    assert_eq!(ours.try_add(1), Err(AddError::Overflow));
    ours.add(-2);
    let mut theirs = ours.replicate(2);
    ours.add(2);
    theirs.add(1);
    let over = healed(&mut ours, &mut theirs);
    assert_eq!(
        over,
        Some((i128::from(i64::MAX) + 1).to_string()),
        "exact in 128 bits"
    );
    assert_eq!(ours.try_add(1), Err(AddError::Overflow));
    ours.add(-1);
    assert_eq!(ours.read(), Some(max));
    let mut least = Copy::new(1);
    least.add(i64::MIN);
    assert_eq!(least.try_add(-1), Err(AddError::Overflow));
    assert_eq!(least.read(), Some(i64::MIN.to_string()));
}

#[test]
fn sums_that_only_a_liar_makes_saturate() {
    let dot = |id, counter| Dot::new(ReplicaId::from_bytes([id; 16]), counter);
    let huge = Sum::whole(u128::MAX, 0);
    let contribution = |id| syncline_crdt::Sibling {
        dot: dot(id, 1),
        stamp: Stamp::ZERO,
        payload: Cell::Contribution {
            name: None,
            sum: huge,
        },
    };
    let row: Siblings<Cell> = [contribution(1), contribution(2)].into_iter().collect();
    assert_eq!(cell::read(&row), Some(Value::Integer(i128::MAX)));
    assert_eq!(
        cell::add(&row, dot(1, 1).replica, 1),
        Err(AddError::Overflow)
    );
    let lower = cell::add(&row, dot(1, 1).replica, -1).unwrap();
    assert_eq!(
        lower.cell,
        Cell::Contribution {
            name: Some(dot(1, 1)),
            sum: Sum::whole(u128::MAX, 1)
        }
    );
}

#[test]
fn numbers_have_one_form() {
    for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
        assert_eq!(
            cell::parse_integer(number.to_string().as_bytes()),
            Some(number)
        );
    }
    for text in [
        "",
        "-",
        "+1",
        "-0",
        "00",
        "01",
        " 1",
        "1 ",
        "1.0",
        "0x1",
        "9223372036854775808",
        "١",
    ] {
        assert_eq!(cell::parse_integer(text.as_bytes()), None, "{text:?}");
    }
}
