//! What a sorted set costs that holds many members: adding one, moving one, ranks, ranges, counts.
//!
//! ```text
//! cargo run --release --example leaderboard -- 1000000
//! ```

use std::time::{Duration, Instant};

use syncline::ops::Direction;
use syncline::{Error, Node, Span, View};

/// Members written in one transaction.
const BATCH: u64 = 10_000;
/// How often each operation is done.
const TIMES: u64 = 1_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let members: u64 = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 20_000,
    };
    let scratch = tempfile::tempdir()?;
    let node = Node::builder().data_dir(scratch.path()).start().await?;
    let game = node.namespace("app")?;

    let begun = Instant::now();
    for from in (0..members).step_by(BATCH as usize) {
        let fill = game.transaction(move |t| {
            let mut set = t.sorted_set("game");
            (from..members.min(from + BATCH))
                .try_for_each(|n| set.insert(name(n), score(n)).map(drop))
        });
        fill.await?;
    }
    let rate = members as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{members} members, {rate:.0} a second; microseconds each, at the median and at the 99th percentile:"
    );

    let board = game.sorted_set("game");
    let mut inserts = Vec::new();
    let mut increments = Vec::new();
    for n in 0..TIMES {
        let begun = Instant::now();
        board.insert(name(members + n), score(n)).await?;
        inserts.push(begun.elapsed());
        let begun = Instant::now();
        board.increment(name(pick(n, members)), 1.0).await?;
        increments.push(begun.elapsed());
    }
    tell("add a member", inserts);
    tell("increment a score", increments);
    let reads: [(&str, Read); 5] = [
        ("rank of a member", |view, n, members| {
            let set = view.sorted_set("game");
            set.rank(name(pick(n, members)), Direction::Forward)
                .map(drop)
        }),
        ("ten by rank", |view, n, members| {
            let span = Span::all().skip(pick(n, members)).take(10);
            view.sorted_set("game")
                .range_of(&span)?
                .try_for_each(|it| it.map(drop))
        }),
        ("ten by rank from the top", |view, n, members| {
            let span = Span::all().descending().skip(pick(n, members)).take(10);
            view.sorted_set("game")
                .range_of(&span)?
                .try_for_each(|it| it.map(drop))
        }),
        ("how many between two scores", |view, n, _| {
            let span = Span::by_score(score(n).min(score(n + 1))..score(n).max(score(n + 1)));
            view.sorted_set("game").count(&span).map(drop)
        }),
        ("how many in all", |view, _, _| {
            view.sorted_set("game").len().map(drop)
        }),
    ];
    for (what, read) in reads {
        let times = game.read(move |view| {
            let timed = |n| {
                let begun = Instant::now();
                read(view, n, members)?;
                Ok(begun.elapsed())
            };
            (0..TIMES).map(timed).collect::<Result<Vec<_>, Error>>()
        });
        tell(what, times.await?);
    }
    node.shutdown().await?;
    Ok(())
}

type Read = fn(&View, u64, u64) -> Result<(), Error>;

fn name(n: u64) -> String {
    format!("player:{n}")
}

/// Scattered, with some that are equal.
fn score(n: u64) -> f64 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / 16.0
}

fn pick(n: u64, members: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % members
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[times.len() * part / 100].as_micros();
    println!("{what:>30} {:>8} {:>8}", at(50), at(99));
}
