//! The two-way session, with everything that may be between two of its steps.
//!
//! Both sides speak at once. Each says its context as of one commit, then the rows that are live here and unseen there,
//! then the rows that its removal log names, then which dots are live in each row: all at once, as a sketch does, or row
//! by row, as a walk does. What the other side lacks of it, it asks for. Rows are read when they are sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::random::Random;
use super::replica::{Key, Live, Replica};
use syncline_crdt::{Context, Dot, Siblings};

/// How sessions go; what is not as in [`Rules::RIGHT`] or allowed there is wrong.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) merge: Merge,
    pub(crate) search: Search,
    /// Whether commits are made durable before anything is said.
    pub(crate) durable_first: bool,
    /// Whether nothing is called dead before what replaced it has come, as far as that is in the same row. It matters
    /// where a replica can be gone for good: what replaced a value that others have would go with it, and the value too.
    pub(crate) replacement_first: bool,
    /// Whether the root digest and the context of a greeting are of one commit.
    pub(crate) root_with_context: bool,
}

impl Rules {
    pub(crate) const RIGHT: Self = Self {
        merge: Merge::AfterAdditions,
        search: Search::Always,
        durable_first: true,
        replacement_first: true,
        root_with_context: true,
    };
}

/// When the context that the peer had at the start is merged.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Merge {
    /// When all that was live in it and unseen here has come. Right.
    AfterAdditions,
    /// When, besides, all rows were compared. Right.
    AfterSearch,
    /// Wrong: when the session ends, be it by the other side's going away.
    EvenIfAborted,
}

/// Whether removals are searched for once the log has been told.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Search {
    Always,
    /// Wrong: the log is taken to be complete.
    Never,
    /// Wrong: the log is believed where it covers each dot that the other side has not seen and that is not live.
    UnlessLogCovers,
}

pub(crate) struct Session<P> {
    pub(crate) sides: [Side<P>; 2],
    is_sketch: bool,
}

pub(crate) struct Side<P> {
    /// Which replica it is.
    pub(crate) at: usize,
    /// Our root as it was before the greeting, which only the wrong variant says.
    early_root: Live,
    /// Our context as it was said, and when.
    pub(crate) start: Option<(Context, u64)>,
    /// The peer's.
    theirs: Option<Context>,
    inbox: VecDeque<Frame<P>>,
    /// Made when both contexts are known.
    plan: Option<VecDeque<Say>>,
    /// What the other side's frames call for.
    answers: VecDeque<Say>,
}

/// What is still to be said; rows are read only then.
enum Say {
    Row(Key),
    EndOfAdditions,
    Heads(Vec<Key>),
    Want(Key),
    End,
}

enum Frame<P> {
    Hello { context: Context, root: Live },
    Row(Key, Siblings<P>),
    EndOfAdditions,
    Heads(Vec<(Key, BTreeSet<Dot>)>),
    Want(Key),
    End,
}

impl<P: Clone + Ord> Session<P> {
    pub(crate) fn new(replicas: &[Replica<P>], between: (usize, usize), is_sketch: bool) -> Self {
        let side = |at: usize| Side {
            at,
            early_root: replicas[at].state.live(),
            start: None,
            theirs: None,
            inbox: VecDeque::new(),
            plan: None,
            answers: VecDeque::new(),
        };
        Self {
            sides: [side(between.0), side(between.1)],
            is_sketch,
        }
    }

    pub(crate) fn is_with(&self, at: usize) -> bool {
        self.sides.iter().any(|side| side.at == at)
    }

    pub(crate) fn is_over(&self) -> bool {
        let is_done = |side: &Side<P>| {
            side.inbox.is_empty()
                && side.answers.is_empty()
                && side.plan.as_ref().is_some_and(VecDeque::is_empty)
        };
        self.sides.iter().all(is_done)
    }

    /// One side hears a frame, or says one. Returns whether a context was merged.
    pub(crate) fn step(
        &mut self,
        replicas: &mut [Replica<P>],
        keys: &[Key],
        random: &mut Random,
        rules: &Rules,
    ) -> bool {
        let (which, hears) = (random.below(2), random.percent(50));
        self.turn(which, hears, replicas, keys, random, rules)
    }

    /// This side hears a frame, if it should and there is one, or says one.
    pub(crate) fn turn(
        &mut self,
        which: usize,
        hears: bool,
        replicas: &mut [Replica<P>],
        keys: &[Key],
        random: &mut Random,
        rules: &Rules,
    ) -> bool {
        let side = &mut self.sides[which];
        let replica = &mut replicas[side.at];
        if hears && let Some(frame) = side.inbox.pop_front() {
            return side.hear(frame, replica, rules);
        }
        if rules.durable_first {
            replica.persist();
        }
        let said = side.say(replica, keys, random, rules, self.is_sketch);
        self.sides[1 - which].inbox.extend(said);
        false
    }

    pub(crate) fn run(
        mut self,
        replicas: &mut [Replica<P>],
        keys: &[Key],
        random: &mut Random,
        rules: &Rules,
    ) {
        while !self.is_over() {
            self.step(replicas, keys, random, rules);
        }
    }

    /// The stream breaks. What was joined stays.
    pub(crate) fn abort(self, replicas: &mut [Replica<P>], rules: &Rules) {
        for side in self.sides {
            if let (Merge::EvenIfAborted, Some(theirs)) = (rules.merge, side.theirs) {
                replicas[side.at].state.context.merge(&theirs);
            }
        }
    }
}

impl<P: Clone + Ord> Side<P> {
    fn say(
        &mut self,
        replica: &Replica<P>,
        keys: &[Key],
        random: &mut Random,
        rules: &Rules,
        is_sketch: bool,
    ) -> Option<Frame<P>> {
        let state = &replica.state;
        let Some((start, _)) = &self.start else {
            let root = if rules.root_with_context {
                state.live()
            } else {
                self.early_root.clone()
            };
            let context = state.context.clone();
            self.start = Some((context.clone(), replica.now_ms));
            return Some(Frame::Hello { context, root });
        };
        let theirs = self.theirs.as_ref()?;
        let plan = self
            .plan
            .get_or_insert_with(|| plan(replica, (start, theirs), keys, random, rules, is_sketch));
        Some(
            match self.answers.pop_front().or_else(|| plan.pop_front())? {
                Say::Row(key) => Frame::Row(key, state.row(key)),
                Say::EndOfAdditions => Frame::EndOfAdditions,
                Say::Heads(keys) => {
                    Frame::Heads(keys.iter().map(|key| (*key, state.dots(*key))).collect())
                }
                Say::Want(key) => Frame::Want(key),
                Say::End => Frame::End,
            },
        )
    }

    fn hear(&mut self, frame: Frame<P>, replica: &mut Replica<P>, rules: &Rules) -> bool {
        let state = &mut replica.state;
        let Some(theirs) = &self.theirs else {
            let Frame::Hello { context, root } = frame else {
                unreachable!("a greeting comes first");
            };
            // Equal roots: what was live there when its root was read is live here now.
            let agreed = root == state.live();
            if agreed {
                state.context.merge(&context);
            }
            self.theirs = Some(context);
            return agreed;
        };
        match frame {
            Frame::Hello { .. } => unreachable!("one greets once"),
            Frame::Row(key, row) => state.join_row(key, &row, theirs),
            Frame::Heads(heads) => {
                for (key, dots) in heads {
                    let is_new = dots.iter().any(|dot| !state.context.contains(dot));
                    if !is_new || !rules.replacement_first {
                        state.join_head(key, &dots, theirs);
                    }
                    if is_new {
                        self.answers.push_back(Say::Want(key));
                    }
                }
            }
            Frame::Want(key) => self.answers.push_back(Say::Row(key)),
            Frame::EndOfAdditions | Frame::End => {
                let is_due = match rules.merge {
                    Merge::AfterAdditions => matches!(frame, Frame::EndOfAdditions),
                    Merge::AfterSearch | Merge::EvenIfAborted => matches!(frame, Frame::End),
                };
                if is_due {
                    state.context.merge(theirs);
                }
                return is_due;
            }
        }
        false
    }
}

/// What a side will say, once both contexts are known.
fn plan<P: Clone + Ord>(
    replica: &Replica<P>,
    (start, theirs): (&Context, &Context),
    keys: &[Key],
    random: &mut Random,
    rules: &Rules,
    is_sketch: bool,
) -> VecDeque<Say> {
    let state = &replica.state;
    let live: BTreeMap<Dot, Key> = state
        .rows
        .iter()
        .flat_map(|(key, row)| row.dots().map(|dot| (dot, *key)))
        .collect();
    let mut say: VecDeque<Say> = live
        .iter()
        .filter(|(dot, _)| rules.replacement_first || start.contains(dot))
        .filter(|(dot, _)| !theirs.contains(dot))
        .map(|(_, key)| Say::Row(*key))
        .collect();
    say.push_back(Say::EndOfAdditions);
    let hints = state.log.iter().filter(|(dot, _)| !theirs.contains(dot));
    let hints = hints.flat_map(|(_, keys)| keys.iter().map(|key| Say::Heads(vec![*key])));
    say.extend(hints);

    let unseen = start.difference(theirs);
    let is_covered = |dot: Dot| live.contains_key(&dot) || state.log.contains_key(&dot);
    let is_searched = match rules.search {
        Search::Always => true,
        Search::Never => false,
        Search::UnlessLogCovers => !unseen
            .intervals()
            .flat_map(|(id, from, to)| (from..=to).map(move |counter| Dot::new(id, counter)))
            .all(is_covered),
    };
    if is_searched {
        let mut keys = keys.to_vec();
        random.shuffle(&mut keys);
        if is_sketch {
            say.push_back(Say::Heads(keys));
        } else {
            say.extend(keys.into_iter().map(|key| Say::Heads(vec![key])));
        }
    }
    say.push_back(Say::End);
    say
}
