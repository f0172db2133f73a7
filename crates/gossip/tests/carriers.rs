//! What the coming and going of members means for all that talks to them.
#![allow(missing_docs, clippy::unwrap_used)]

use syncline_gossip::carriers::{Carriers, Told};
use syncline_gossip::membership::{Card, Event, Member, State};
use syncline_gossip::{convergence, schedule};

fn card(namespaces: &[&str]) -> Card {
    Card {
        namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect(),
        ..Card::default()
    }
}

fn member(id: u32, generation: u64, namespaces: &[&str]) -> Member<u32> {
    Member {
        id,
        generation,
        address: ([10, 0, 0, 1], 7400).into(),
        state: State::Alive,
        card: Some(card(namespaces).into()),
    }
}

/// In words, in order.
fn words(told: Vec<Told<u32>>) -> Vec<String> {
    let word = |told| match told {
        Told::Renewed(node) => format!("renewed {node}"),
        Told::Schedule(schedule::Input::Up(node)) => format!("sync {node}"),
        Told::Schedule(schedule::Input::Lagging(node)) => format!("sync {node} at once"),
        Told::Schedule(schedule::Input::Down(node)) => format!("no sync {node}"),
        Told::Convergence(convergence::Input::Up { node, namespaces }) => {
            format!("{node} carries {}", namespaces.join(" "))
        }
        Told::Convergence(convergence::Input::Down(node)) => format!("{node} fails"),
        Told::Convergence(convergence::Input::Forget(node)) => format!("{node} leaves"),
        Told::Up { namespace, node } => format!("{namespace} + {node}"),
        Told::Down { namespace, node } => format!("{namespace} - {node}"),
        other => format!("{other:?}"),
    };
    told.into_iter().map(word).collect()
}

#[test]
fn only_carriers_of_what_is_carried_here_are_talked_to() {
    let mut carriers = Carriers::new(&card(&["app", "web"]));
    let told = words(carriers.moved(&Event::Up(member(2, 1, &["app", "other"]))));
    let expected = ["sync 2", "sync 2 at once", "2 carries app other", "app + 2"];
    assert_eq!(told, expected);
    let told = words(carriers.moved(&Event::Up(member(3, 1, &["other"]))));
    assert_eq!(told, ["3 carries other"]);
    assert_eq!(carriers.of("app").collect::<Vec<_>>(), [2]);
    assert_eq!(carriers.all().collect::<Vec<_>>(), [2, 3]);
    assert!(carriers.selection().cost(3).is_none());
}

#[test]
fn a_few_are_synced_with_at_once() {
    let mut carriers = Carriers::new(&card(&["app"]));
    let at_once = |told: Vec<String>| told.iter().any(|it| it.ends_with("at once"));
    let met = |node| words(carriers.moved(&Event::Up(member(node, 1, &["app"]))));
    assert_eq!([2, 3, 4].map(met).map(at_once), [true, true, false]);
}

#[test]
fn a_card_that_changes_opens_and_closes_namespaces() {
    let mut carriers = Carriers::new(&card(&["app", "web"]));
    carriers.moved(&Event::Up(member(2, 1, &["app"])));
    let told = words(carriers.moved(&Event::Changed(member(2, 1, &["web"]))));
    assert_eq!(told, ["2 carries web", "web + 2", "app - 2"]);
    let told = words(carriers.moved(&Event::Changed(member(2, 1, &[]))));
    assert_eq!(told, ["no sync 2", "2 carries ", "web - 2"]);
}

#[test]
fn another_life_is_told_from_the_one_before() {
    let mut carriers = Carriers::new(&card(&["app"]));
    carriers.moved(&Event::Up(member(2, 1, &["app"])));
    let told = words(carriers.moved(&Event::Changed(member(2, 2, &["app"]))));
    assert_eq!(told, ["renewed 2", "2 fails", "2 carries app"]);
    // Also where it was held for gone between the two.
    carriers.moved(&Event::Down(2));
    let told = words(carriers.moved(&Event::Up(member(2, 3, &["app"]))));
    assert_eq!(told[0], "renewed 2");
    assert!(!told.contains(&"2 fails".to_owned()));
}

#[test]
fn who_is_gone_is_not_talked_to() {
    let mut carriers = Carriers::new(&card(&["app"]));
    carriers.moved(&Event::Up(member(2, 1, &["app"])));
    carriers.moved(&Event::Up(member(3, 1, &["app"])));
    assert!(words(carriers.moved(&Event::Suspect(2))).is_empty());
    let told = words(carriers.moved(&Event::Down(2)));
    assert_eq!(told, ["no sync 2", "app - 2", "2 fails"]);
    let told = words(carriers.moved(&Event::Left(3)));
    assert_eq!(told, ["no sync 3", "app - 3", "3 leaves"]);
    assert_eq!(carriers.all().count(), 0);
    // Whoever had said goodbye has left no connections.
    let told = words(carriers.moved(&Event::Up(member(3, 2, &["app"]))));
    assert_eq!(told, ["sync 3", "3 carries app", "app + 3"]);
}

#[test]
fn what_is_carried_from_now_on_is_shared_with_whoever_is_there() {
    let mut carriers = Carriers::new(&card(&[]));
    carriers.moved(&Event::Up(member(2, 1, &["app", "web"])));
    let carry = |carriers: &mut Carriers<u32>, names: &[&str]| {
        words(carriers.carry(card(names).namespaces))
    };
    let told = carry(&mut carriers, &["app"]);
    assert_eq!(told, ["sync 2", "sync 2 at once"]);
    assert_eq!(carriers.of("app").collect::<Vec<_>>(), [2]);
    assert_eq!(carriers.selection().cost(2).map(|it| it.shared), Some(1));
    assert!(carry(&mut carriers, &["app"]).is_empty());
    assert!(carry(&mut carriers, &["app", "web"]).is_empty());
    assert_eq!(carriers.selection().cost(2).map(|it| it.shared), Some(2));
    assert_eq!(carry(&mut carriers, &[]), ["no sync 2"]);
}
