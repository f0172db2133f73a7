//! Random model check of the kernel's rules: whole clusters on the real contexts and row joins.
//!
//! Replicas hold rows and a context. Writes supersede the dots that they observed, deletes remove them, deltas are
//! lost, doubled and reordered; one-way sessions read the live peer key by key, interleave with everything else, and
//! may abort. The context that the peer had at a session's *start* is merged only when the session completed. After
//! quiescence every replica must hold exactly the writes that were never superseded by an operation that observed them.
//!
//! Each rule is shown to matter by a variant that breaks it and must be caught.

use std::collections::{BTreeMap, BTreeSet};

use super::random::{Random, violations};
use super::replica::{Delta, Key, Replica};
use syncline_crdt::{Context, Dot, Siblings, Stamp};

/// The payload repeats the dot's counter, so that a sibling with another one's content would show.
type Row = Siblings<u64>;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Variant {
    /// Sessions that fetch and join every key.
    Walk,
    /// Sessions that learn the peer's live dots at some moment, drop what is dead there, and fetch what is missing
    /// here.
    Sketch,
    /// As `Sketch`, without the dropping: only what is missing is fetched.
    Pull,
    /// Wrong: the peer's context is merged when the session starts.
    ContextEarly,
    /// Wrong: the context that the peer has at the session's end is merged.
    ContextOfTheEnd,
    /// Wrong: our own context, too, is taken as of the session's start.
    OursOfTheStart,
    /// Wrong: one dot for all rows of a transaction.
    SharedDot,
}

struct Session {
    from: usize,
    to: usize,
    /// The peer's context as the session started.
    start: Context,
    /// Our own at that moment; right sessions never look at it again.
    ours_at_start: Context,
    stage: Stage,
}

enum Stage {
    /// These keys are still to be fetched, and one is on its way.
    Walk(Vec<Key>, Option<(Key, Row)>),
    /// The peer has yet to say which dots are live there.
    AwaitSketch,
    /// It said so.
    Compare(BTreeMap<Key, BTreeSet<Dot>>),
    /// These keys hold something that is missing here.
    Fetch(Vec<Key>),
}

struct Model {
    random: Random,
    variant: Variant,
    keys: Vec<Key>,
    replicas: Vec<Replica<u64>>,
    /// Deltas stay here: doubled, reordered, or never delivered.
    network: Vec<Delta<u64>>,
    sessions: Vec<Session>,
    /// What was written, and which of it was superseded by an operation that had observed it.
    written: BTreeSet<(Key, Dot)>,
    superseded: BTreeSet<(Key, Dot)>,
}

impl Model {
    fn new(seed: u64, variant: Variant) -> Self {
        let mut random = Random::new(seed);
        let replicas = Replica::cluster(random.between(2, 4));
        let keys = (0..random.between(1, 3) as Key).collect();
        Self {
            random,
            variant,
            keys,
            replicas,
            network: Vec::new(),
            sessions: Vec::new(),
            written: BTreeSet::new(),
            superseded: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        let at = self.random.below(self.replicas.len());
        match self.random.below(100) {
            0..30 => self.write(at),
            30..42 => self.delete(at),
            42..60 if !self.network.is_empty() => {
                let delta = self.random.below(self.network.len());
                self.replicas[at].state.join(&self.network[delta]);
            }
            60..75 => self.begin_session(),
            75.. if !self.sessions.is_empty() => self.advance_session(),
            _ => {}
        }
    }

    /// A transaction over one or more keys.
    fn write(&mut self, at: usize) {
        let mut keys = self.keys.clone();
        self.random.shuffle(&mut keys);
        keys.truncate(self.random.between(1, keys.len()));
        let replica = &mut self.replicas[at];
        let shared = (self.variant == Variant::SharedDot).then(|| replica.fresh_dot());
        for key in keys {
            let dot = shared.unwrap_or_else(|| replica.fresh_dot());
            let observed = replica.state.dots(key);
            self.superseded
                .extend(observed.iter().map(|old| (key, *old)));
            self.written.insert((key, dot));
            let mut delta = Delta::new();
            let put = Some((dot, Stamp::ZERO, dot.counter));
            replica.state.change(key, &observed, put, &mut delta);
            self.network.push(delta);
        }
    }

    fn delete(&mut self, at: usize) {
        let key = self.keys[self.random.below(self.keys.len())];
        let replica = &mut self.replicas[at];
        let observed = replica.state.dots(key);
        self.superseded
            .extend(observed.iter().map(|old| (key, *old)));
        let mut delta = Delta::new();
        delta.context.insert(replica.fresh_dot());
        replica.state.change(key, &observed, None, &mut delta);
        self.network.push(delta);
    }

    fn begin_session(&mut self) {
        let (from, to) = self.random.pair(self.replicas.len());
        let start = self.replicas[from].state.context.clone();
        let ours_at_start = self.replicas[to].state.context.clone();
        if self.variant == Variant::ContextEarly {
            self.replicas[to].state.context.merge(&start);
        }
        let stage = if matches!(self.variant, Variant::Sketch | Variant::Pull) {
            Stage::AwaitSketch
        } else {
            let mut keys = self.keys.clone();
            self.random.shuffle(&mut keys);
            Stage::Walk(keys, None)
        };
        self.sessions.push(Session {
            from,
            to,
            start,
            ours_at_start,
            stage,
        });
    }

    fn advance_session(&mut self) {
        let chosen = self.random.below(self.sessions.len());
        let session = self.sessions.swap_remove(chosen);
        if self.random.percent(15) {
            return; // aborted: what it joined stays, the peer's context is not merged
        }
        let Session {
            from,
            to,
            start,
            ours_at_start,
            stage,
        } = session;
        let [peer, ours] = self.replicas.get_disjoint_mut([from, to]).unwrap();
        let (peer, ours) = (&peer.state, &mut ours.state);
        let next = match stage {
            Stage::Walk(mut keys, None) => keys
                .pop()
                .map(|key| Stage::Walk(keys, Some((key, peer.row(key))))),
            Stage::Walk(keys, Some((key, row))) => {
                if row != ours.row(key) {
                    if self.variant == Variant::OursOfTheStart {
                        let joined = ours.row(key).join(&ours_at_start, &row, &start);
                        ours.set_row(key, joined);
                    } else {
                        ours.join_row(key, &row, &start);
                    }
                }
                (!keys.is_empty()).then_some(Stage::Walk(keys, None))
            }
            Stage::AwaitSketch => {
                let dots = |key: &Key| (*key, peer.dots(*key));
                Some(Stage::Compare(self.keys.iter().map(dots).collect()))
            }
            Stage::Compare(live) => {
                for (&key, dots) in &live {
                    if self.variant == Variant::Sketch {
                        ours.join_head(key, dots, &start);
                    }
                }
                let is_missing =
                    |dots: &BTreeSet<Dot>| dots.iter().any(|dot| !ours.context.contains(dot));
                let wanted = live.iter().filter(|(_, dots)| is_missing(dots));
                Some(Stage::Fetch(wanted.map(|(&key, _)| key).collect()))
            }
            Stage::Fetch(mut keys) => keys.pop().map(|key| {
                // The row as it is when it is sent, not as it was when its dots were.
                ours.join_row(key, &peer.row(key), &start);
                Stage::Fetch(keys)
            }),
        };
        match next {
            Some(stage) => self.sessions.push(Session {
                from,
                to,
                start,
                ours_at_start,
                stage,
            }),
            None if self.variant == Variant::ContextOfTheEnd => ours.context.merge(&peer.context),
            None => ours.context.merge(&start),
        }
    }

    /// Complete sessions, all ways, until everything has got everywhere.
    fn quiesce(&mut self) {
        for _ in 0..2 * self.replicas.len() {
            for from in 0..self.replicas.len() {
                for to in (0..self.replicas.len()).filter(|to| *to != from) {
                    let [peer, ours] = self.replicas.get_disjoint_mut([from, to]).unwrap();
                    let (peer, ours) = (&peer.state, &mut ours.state);
                    for &key in &self.keys {
                        ours.join_row(key, &peer.row(key), &peer.context);
                    }
                    ours.context.merge(&peer.context);
                }
            }
        }
    }

    fn is_right(&self) -> bool {
        let mut want: BTreeMap<Key, Vec<(Dot, u64)>> = BTreeMap::new();
        for &(key, dot) in self.written.difference(&self.superseded) {
            want.entry(key).or_default().push((dot, dot.counter));
        }
        self.replicas.iter().all(|replica| {
            let held = |row: &Row| {
                row.iter()
                    .map(|sibling| (sibling.dot, sibling.payload))
                    .collect()
            };
            let have: BTreeMap<Key, Vec<_>> = replica
                .state
                .rows
                .iter()
                .map(|(key, row)| (*key, held(row)))
                .collect();
            have == want
        })
    }
}

fn is_violated(variant: Variant, seed: u64) -> bool {
    let mut model = Model::new(seed, variant);
    for _ in 0..model.random.between(5, 60) {
        model.step();
    }
    model.quiesce();
    !model.is_right()
}

#[test]
fn right_variants_never_lose_or_resurrect() {
    for variant in [Variant::Walk, Variant::Sketch, Variant::Pull] {
        violations(4000, |seed| is_violated(variant, seed)).are_none(variant);
    }
}

#[test]
fn wrong_variants_are_caught() {
    let wrong = [
        Variant::ContextEarly,
        Variant::ContextOfTheEnd,
        Variant::OursOfTheStart,
        Variant::SharedDot,
    ];
    for variant in wrong {
        violations(4000, |seed| is_violated(variant, seed)).are_many(variant);
    }
}
