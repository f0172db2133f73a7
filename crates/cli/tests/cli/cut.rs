//! Five nodes, each a process on a machine of its own as far as the network goes, whose links are cut and healed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::command::{text, until};
use crate::member::Member;
use crate::network::{Network, address};

const NODES: usize = 5;
/// One side of the split; the others are the other.
const HERE: [usize; 2] = [0, 1];
const THERE: [usize; 3] = [2, 3, 4];
/// Keys of each kind.
const KEYS: usize = 20;

struct World {
    // In the order in which they end.
    members: Vec<Member>,
    network: Network,
    scratch: TempDir,
}

impl World {
    /// A cluster whose members were all invited, and know each other.
    fn new() -> Self {
        let network = Network::new(NODES);
        let mut world = Self {
            members: Vec::new(),
            network,
            scratch: tempdir().unwrap(),
        };
        let founder = world.data(0);
        let init = ["cluster", "init", "--data", text(&founder)];
        world.network.run(0, &init).ok();
        let seed = format!("{}:7400", address(0));
        world.start(0, &[]);
        for number in 1..NODES {
            let invite = ["cluster", "invite", "--data", text(&founder), "--at", &seed];
            let token = world.network.run(0, &invite).ok();
            let data = world.data(number);
            let join = ["cluster", "join", "--data", text(&data), token.trim()];
            world.network.run(number, &join).ok();
            world.start(number, &["--join", &seed]);
        }
        until(|| world.all_see_all());
        world
    }

    fn data(&self, number: usize) -> PathBuf {
        self.scratch.path().join(format!("node-{number}"))
    }

    fn start(&mut self, number: usize, more: &[&str]) {
        let mut command = self.network.syncline(number);
        let listen = format!("{}:7400", address(number));
        command
            .args(["node", "--data", text(&self.data(number))])
            .args(["--listen", &listen, "--log", "json"])
            .args(["--admin", "127.0.0.1:7401", "--redis", "127.0.0.1:6379"])
            .args(more);
        self.members.push(Member::run(command));
    }

    fn status(&self, number: usize) -> Value {
        self.network.run(number, &["status", "--json"]).json()
    }

    /// How a node sees others.
    fn sees(&self, number: usize, others: &[usize]) -> Vec<String> {
        let told = self.network.run(number, &["peers", "--json"]).json();
        let peers = told["peers"].as_array().unwrap().clone();
        let state = |other: &usize| {
            let node = &self.members[*other].said["node"];
            let peer = peers.iter().find(|it| it["node"] == *node);
            peer.map_or_else(String::new, |it| it["state"].as_str().unwrap().to_owned())
        };
        others.iter().map(state).collect()
    }

    fn all_see_all(&self) -> bool {
        (0..NODES).all(|number| {
            let others: Vec<_> = (0..NODES).filter(|it| *it != number).collect();
            self.sees(number, &others).iter().all(|it| it == "alive")
        })
    }

    /// Whether all hold the same, and what they hold is called.
    fn all_agree(&self) -> bool {
        let roots = (0..NODES).map(|number| {
            let namespaces = self.status(number)["namespaces"].clone();
            let namespaces = namespaces.as_array().unwrap().iter();
            let root = |it: &Value| (it["name"].to_string(), it["root"].to_string());
            namespaces.map(root).collect::<Vec<_>>()
        });
        let roots: Vec<_> = roots.collect();
        roots.iter().all(|it| *it == roots[0])
    }

    /// What a node answers to a Redis client's commands.
    fn redis(&self, number: usize, commands: &[String]) -> Vec<String> {
        let mut stream = self.network.connect(number, "127.0.0.1:6379");
        let requests = commands.iter().map(|it| format!("{it}\r\n"));
        stream
            .write_all(requests.collect::<String>().as_bytes())
            .unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let mut answer = || {
            let line = lines.next().unwrap();
            assert!(!line.starts_with('-'), "{commands:?}: {line}");
            match line.starts_with('$') && line != "$-1" {
                true => lines.next().unwrap(),
                false => line,
            }
        };
        commands.iter().map(|_| answer()).collect()
    }

    fn one(&self, number: usize, command: &str) -> String {
        self.redis(number, &[command.to_owned()]).remove(0)
    }
}

/// Commands that do something to many keys.
fn each(command: impl Fn(usize) -> String) -> Vec<String> {
    (0..KEYS).map(command).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[test]
#[ignore = "needs root and ip"]
fn needs_root_links_are_cut_and_heal() {
    let world = World::new();

    // What is there before.
    for (number, name) in [(0, "here"), (2, "there"), (4, "late")] {
        world.redis(number, &each(|key| format!("SET gone:{name}:{key} x")));
    }
    world.redis(
        1,
        &["SET contested old", "SET both old", "SET visits 10"].map(str::to_owned),
    );
    until(|| world.all_agree());

    // Two and three of them.
    let begun = Instant::now();
    world.network.split(&THERE);
    until(|| {
        let down = |from: &[usize], to: &[usize]| {
            let mut from = from.iter();
            from.all(|it| world.sees(*it, to).iter().all(|state| state == "down"))
        };
        down(&HERE, &THERE) && down(&THERE, &HERE)
    });
    let noticed = begun.elapsed();
    world.redis(0, &each(|key| format!("SET new:here:{key} x")));
    world.redis(1, &each(|key| format!("DEL gone:here:{key}")));
    world.redis(3, &each(|key| format!("SET new:there:{key} x")));
    world.redis(4, &each(|key| format!("DEL gone:there:{key}")));
    // The same keys on both sides.
    world.redis(
        1,
        &["DEL contested", "SET both here", "INCRBY visits 3"].map(str::to_owned),
    );
    world.redis(
        2,
        &["SET contested new", "SET both there", "INCRBY visits 4"].map(str::to_owned),
    );
    until(|| world.one(0, "GET visits") == "13" && world.one(4, "GET visits") == "14");

    let begun = Instant::now();
    world.network.heal();
    until(|| world.all_agree() && world.one(0, "EXISTS new:there:0") == ":1");
    let agreed = begun.elapsed();
    until(|| world.all_see_all());
    let healed = begun.elapsed();
    println!(
        "split into 2 and 3: noticed by all after {}; healed: one root after {}, all know each other after {}",
        seconds(noticed),
        seconds(agreed),
        seconds(healed)
    );
    let both = world.one(0, "GET both");
    assert!(both == "here" || both == "there", "{both}");
    for number in 0..NODES {
        for name in ["new:here", "new:there", "gone:late"] {
            let found = world.redis(number, &each(|key| format!("EXISTS {name}:{key}")));
            assert_eq!(found, each(|_| ":1".to_owned()), "{name} at {number}");
        }
        for name in ["gone:here", "gone:there"] {
            let found = world.redis(number, &each(|key| format!("EXISTS {name}:{key}")));
            assert_eq!(found, each(|_| ":0".to_owned()), "{name} at {number}");
        }
        // What was removed and written at once is there, and both increments count.
        assert_eq!(world.one(number, "GET contested"), "new");
        assert_eq!(world.one(number, "GET visits"), "17");
        assert_eq!(world.one(number, "GET both"), both);
    }

    // One link, for longer than it takes to notice that somebody is gone.
    let logged: Vec<_> = world.members.iter().map(|it| it.log().len()).collect();
    world.network.cut(0, 4);
    let begun = Instant::now();
    world.redis(0, &each(|key| format!("SET over:0:{key} x")));
    world.redis(4, &each(|key| format!("DEL gone:late:{key}")));
    world.redis(0, &["INCRBY visits 5".to_owned()]);
    world.redis(4, &["INCRBY visits 6".to_owned()]);
    until(|| world.all_agree() && world.one(2, "GET visits") == "28");
    let around = begun.elapsed();
    while begun.elapsed() < 3 * noticed {
        std::thread::sleep(Duration::from_millis(100));
    }
    // Others ask on behalf of the two, so nobody is taken for dead.
    for (member, before) in world.members.iter().zip(logged) {
        let log = &member.log()[before..];
        assert!(!log.contains("\"down\""), "{log}");
    }
    world.redis(4, &each(|key| format!("SET over:4:{key} x")));
    until(|| world.one(0, "EXISTS over:4:19") == ":1");
    world.network.join(0, 4);
    until(|| world.all_agree() && world.all_see_all());
    println!(
        "one link cut for {}: what both ends wrote was everywhere after {}, and nobody was taken for dead",
        seconds(begun.elapsed()),
        seconds(around)
    );
    for number in 0..NODES {
        let found = world.redis(number, &each(|key| format!("EXISTS gone:late:{key}")));
        assert_eq!(found, each(|_| ":0".to_owned()), "{number}");
        assert_eq!(world.one(number, "GET visits"), "28");
    }
}
