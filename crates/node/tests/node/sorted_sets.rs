//! Sorted sets: every operation against a plain list in order, in views, in transactions and through handles; and what
//! concurrent ones come to.

mod model;

use std::time::{Duration, SystemTime};

use syncline::ops::{Direction, ReadRows};
use syncline::watch::{Change, Event};
use syncline::{Error, ExpireIf, Kind, Namespace, Node, Score, Span};

use self::model::{Model, check, numbers, write};
use crate::pair::Pair;

#[tokio::test]
async fn a_sorted_set_is_a_list_in_order() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    // Neighbours, which no range may touch.
    for key in ["gam", "game\0", "game1"] {
        app.sorted_set(key).insert("other", 0.5).await.unwrap();
    }
    let mut model = Model::new();
    for seed in 0..60 {
        let before = model.clone();
        let (in_transaction, gives_up) = (seed % 3 != 0, seed % 7 == 6);
        let after = app.transaction(move |t| {
            let (mut random, mut model) = (numbers(seed), before);
            for _ in 0..8 {
                write(t, &mut random, &mut model)?;
                if in_transaction {
                    check(t, &mut random, &model)?;
                }
            }
            if gives_up {
                Err(Error::abort("enough"))
            } else {
                Ok(model)
            }
        });
        match after.await {
            Ok(after) => model = after,
            Err(Error::Aborted(_)) => assert!(gives_up),
            Err(error) => panic!("{error}"),
        }
        let now = model.clone();
        app.read(move |view| check(view, &mut numbers(seed + 1_000), &now))
            .await
            .unwrap();
    }
    let removed = app.sorted_set("game").clear().await.unwrap();
    assert_eq!(removed, model.len() as u64);
    app.read(|view| check(view, &mut numbers(1), &Model::new()))
        .await
        .unwrap();
    assert!(app.read(|view| view.recount()).await.unwrap().is_sound());
}

#[tokio::test]
async fn handles_do_what_operations_do() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let game = app.sorted_set("game");
    assert!(game.is_empty().await.unwrap());
    for n in 0..1_500u32 {
        assert!(
            game.insert(format!("m{n:04}"), f64::from(n % 10))
                .await
                .unwrap()
        );
    }
    assert_eq!(game.len().await.unwrap(), 1_500);
    assert_eq!(game.count(Span::by_score(3.0..5.0)).await.unwrap(), 300);
    assert_eq!(
        game.rank("m0010", Direction::Forward).await.unwrap(),
        Some(1)
    );
    assert_eq!(game.score("m0019").await.unwrap(), Some(9.0));
    let members = game.members().await.unwrap().collect().await.unwrap();
    assert_eq!(
        (members.len(), &members[11]),
        (1_500, &(b"m0011".to_vec(), 1.0))
    );
    let popped = game.pop(Span::all().descending().take(2)).await.unwrap();
    assert_eq!(popped, [(b"m1499".to_vec(), 9.0), (b"m1489".to_vec(), 9.0)]);
    assert_eq!(
        game.remove_range(Span::all().skip(10).take(5))
            .await
            .unwrap(),
        5
    );
    assert_eq!(game.increment("m0000", 100.5).await.unwrap(), 100.5);
    let top = game.range(Span::all().descending().take(1)).await.unwrap();
    assert_eq!(top, [(b"m0000".to_vec(), 100.5)]);
    assert!(game.remove("m0000").await.unwrap());
    assert_eq!(game.clear().await.unwrap(), 1_492);
    assert!(game.is_empty().await.unwrap());
}

#[tokio::test]
async fn what_is_no_score_is_refused() {
    let node = Node::in_memory().await.unwrap();
    let game = node.namespace("app").unwrap().sorted_set("game");
    let is_refused = |outcome: Result<(), Error>| matches!(outcome, Err(Error::NotAScore { .. }));
    assert!(is_refused(game.insert("ada", f64::NAN).await.map(drop)));
    assert!(is_refused(game.increment("ada", f64::NAN).await.map(drop)));
    assert!(game.is_empty().await.unwrap());
    game.insert("ada", f64::INFINITY).await.unwrap();
    assert!(is_refused(
        game.increment("ada", f64::NEG_INFINITY).await.map(drop)
    ));
    assert!(is_refused(
        game.count(Span::by_score(f64::NAN..)).await.map(drop)
    ));
    assert_eq!(game.score("ada").await.unwrap(), Some(f64::INFINITY));
}

#[tokio::test]
async fn a_sorted_set_is_a_kind_of_its_own() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let game = app.sorted_set("game");
    game.insert("ada", 1.0).await.unwrap();
    assert_eq!(app.kind("game").await.unwrap(), Some(Kind::SortedSet));
    let outcomes = [
        app.get("game").await.map(drop),
        app.set("game").insert("x").await.map(drop),
        app.map("game").len().await.map(drop),
    ];
    for outcome in outcomes {
        let Err(Error::WrongKind { found, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(found, Kind::SortedSet);
    }
    app.put("text", "x").await.unwrap();
    let outcome = app.sorted_set("text").insert("ada", 1.0).await;
    assert!(matches!(
        outcome,
        Err(Error::WrongKind {
            wanted: Kind::SortedSet,
            ..
        })
    ));

    // A deadline hides it, and a write after that begins it anew.
    app.expire_at(
        "game",
        SystemTime::now() - Duration::from_secs(1),
        ExpireIf::Always,
    )
    .await
    .unwrap();
    assert_eq!(game.len().await.unwrap(), 0);
    assert_eq!(game.rank("ada", Direction::Forward).await.unwrap(), None);
    game.insert("bob", 2.0).await.unwrap();
    assert_eq!(
        game.range(Span::all()).await.unwrap(),
        [(b"bob".to_vec(), 2.0)]
    );

    // A put takes all of it.
    app.put("game", "over").await.unwrap();
    assert!(app.delete("game").await.unwrap());
    assert!(app.read(|view| view.recount()).await.unwrap().is_sound());
    let rows = app.read(|view| {
        Ok((
            view.row_count(),
            view.count_entries(&syncline_merkle::KeyRange::ALL)?,
        ))
    });
    assert_eq!(rows.await.unwrap(), (1, 0));
}

#[tokio::test]
async fn what_changes_is_told() {
    let node = Node::in_memory().await.unwrap();
    let app = node.namespace("app").unwrap();
    let game = app.sorted_set("game");
    game.insert("ada", 1.0).await.unwrap();
    let mut watch = app.watch("game").await.unwrap();
    let mut scores = Vec::new();
    let mut writes = 0;
    while writes < 3 {
        match watch.next().await.unwrap() {
            Event::Change(Change::Score { member, score, .. }) => {
                scores.push((member, score.map(Score::get)));
            }
            Event::Resume(_) => {
                writes += 1;
                match writes {
                    1 => drop(game.increment("ada", 1.5).await.unwrap()),
                    2 => drop(game.remove("ada").await.unwrap()),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let ada = b"ada".to_vec();
    assert_eq!(
        scores,
        [
            (ada.clone(), Some(1.0)),
            (ada.clone(), Some(2.5)),
            (ada, None)
        ]
    );
}

/// What both read, in order.
async fn both(pair: &Pair) -> Vec<(String, f64)> {
    let read = |namespace: Namespace| async move {
        let members = namespace.sorted_set("z").range(Span::all()).await.unwrap();
        let recount = namespace.read(|view| view.recount()).await.unwrap();
        assert!(recount.is_sound(), "{:?}", recount.mismatches);
        let name = |(member, score)| (String::from_utf8(member).unwrap(), score);
        members.into_iter().map(name).collect::<Vec<_>>()
    };
    let (left, right) = (read(pair.a.clone()).await, read(pair.b.clone()).await);
    assert_eq!(left, right);
    left
}

async fn pair_with(score: f64) -> Pair {
    let pair = Pair::apart().await;
    pair.a.sorted_set("z").insert("m", score).await.unwrap();
    pair.heal().await;
    pair
}

fn only(score: f64) -> [(String, f64); 1] {
    [("m".to_owned(), score)]
}

#[tokio::test]
async fn insert_insert_leaves_one_member_with_the_winners_score() {
    let pair = Pair::apart().await;
    pair.a.sorted_set("z").insert("m", 1.0).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3)).await;
    pair.b.sorted_set("z").insert("m", 2.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(2.0));
    let conflicts = pair.a.conflicts("").await.unwrap().collect().await.unwrap();
    assert_eq!(
        (&conflicts[0].key[..], conflicts[0].field.as_deref()),
        (&b"z"[..], Some(&b"m"[..]))
    );
    let written: Vec<_> = conflicts[0]
        .siblings
        .iter()
        .map(|it| &it.payload[..])
        .collect();
    assert_eq!(written, [b"2", b"1"]);

    pair.b.sorted_set("z").insert("m", 3.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(3.0));
    assert!(
        pair.a
            .conflicts("")
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn increment_increment_sums() {
    let pair = pair_with(1.1).await;
    assert_eq!(
        pair.a.sorted_set("z").increment("m", 1.0).await.unwrap(),
        2.1
    );
    assert_eq!(
        pair.b.sorted_set("z").increment("m", 1.0).await.unwrap(),
        2.1
    );
    pair.heal().await;
    assert_eq!(both(&pair).await, only(3.1));
}

#[tokio::test]
async fn remove_increment_leaves_the_increment() {
    let pair = pair_with(1.1).await;
    assert_eq!(
        pair.a.sorted_set("z").increment("m", 3.0).await.unwrap(),
        4.1
    );
    pair.heal().await;
    assert!(pair.b.sorted_set("z").remove("m").await.unwrap());
    pair.a.sorted_set("z").increment("m", 2.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(2.0));
}

#[tokio::test]
async fn insert_remove_leaves_the_member_and_so_does_delete() {
    let pair = pair_with(1.0).await;
    assert!(pair.a.sorted_set("z").remove("m").await.unwrap());
    pair.b.sorted_set("z").insert("m", 1.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(1.0));
    assert!(pair.a.delete("z").await.unwrap());
    pair.b.sorted_set("z").insert("m", 5.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(5.0));
}

#[tokio::test]
async fn insert_increment_counts_what_the_insert_had_not_observed() {
    let pair = pair_with(10.0).await;
    pair.a.sorted_set("z").insert("m", 100.0).await.unwrap();
    pair.b.sorted_set("z").increment("m", 1.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(101.0));
}

#[tokio::test]
async fn increments_of_what_no_decimal_holds_follow_floating_point() {
    let pair = pair_with(1e300).await;
    pair.a.sorted_set("z").increment("m", 1.0).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(1e300));
    // What no decimal holds is written as the score that it comes to, and competes.
    pair.a.sorted_set("z").increment("m", 1e300).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3)).await;
    pair.b.sorted_set("z").increment("m", 2e300).await.unwrap();
    pair.heal().await;
    assert_eq!(both(&pair).await, only(3e300));
    // More than the additions of a cell take.
    for _ in 0..3 {
        pair.a.sorted_set("z").insert("m", 0.0).await.unwrap();
        for sum in 1..4 {
            let score = pair.a.sorted_set("z").increment("m", 9e18).await.unwrap();
            assert_eq!(score, 9e18 * f64::from(sum));
        }
    }
    pair.heal().await;
    assert_eq!(both(&pair).await, only(2.7e19));
}

#[tokio::test]
async fn the_size_of_a_map_leaves_out_what_is_left_of_counters() {
    let pair = Pair::apart().await;
    for n in 0..20 {
        pair.a.map("m").increment(format!("f{n}"), 1).await.unwrap();
    }
    pair.heal().await;
    // Deleted on both sides, so that there is more than one remnant of each.
    for n in 0..12 {
        assert!(pair.a.map("m").remove(format!("f{n}")).await.unwrap());
        assert!(pair.b.map("m").remove(format!("f{n}")).await.unwrap());
    }
    pair.heal().await;
    for namespace in [&pair.a, &pair.b] {
        assert_eq!(namespace.map("m").len().await.unwrap(), 8);
        assert_eq!(
            namespace
                .map("m")
                .fields()
                .await
                .unwrap()
                .collect()
                .await
                .unwrap()
                .len(),
            8
        );
        assert!(
            namespace
                .read(|view| view.recount())
                .await
                .unwrap()
                .is_sound()
        );
    }
    let inside = pair.a.transaction(|t| {
        let mut map = t.map("m");
        map.set("f0", "again")?;
        map.remove("f19")?;
        map.set("new", "x")?;
        map.set("newer", "x")?;
        map.remove("newer")?;
        let mut set = t.set("s");
        set.insert("x")?;
        set.insert("y")?;
        set.remove("x")?;
        assert_eq!(t.set("s").len()?, 1);
        t.map("m").len()
    });
    assert_eq!(inside.await.unwrap(), 9);
    assert_eq!(pair.a.map("m").len().await.unwrap(), 9);
}
