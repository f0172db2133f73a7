//! What every carrier knows, and has nothing left to say against: [`Stability`].

use alloc::collections::{BTreeMap, BTreeSet};

use crate::context::Context;
use crate::dot::Dot;

/// What a carrier of a namespace says of itself, from time to time, to all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert<N> {
    /// The carriers that it counts with. Only adverts of the same carriers can be put together.
    pub carriers: BTreeSet<N>,
    /// What it has seen: its *durable* context, which no crash takes back; and of that, no more than the context under
    /// which its oldest session in progress began, since that is still what its rows are told under.
    pub context: Context,
    /// A time by its clock, in Unix milliseconds: all that it made until then is in `context`, and its clock will never
    /// again be earlier, not even after a crash.
    pub as_of_ms: u64,
}

/// Tells what is *causally stable*: a dot that every carrier has durably seen, when moreover all that any carrier had
/// made before it saw the dot is durably seen by every carrier. Nothing can arrive any more that was made in ignorance
/// of it, so what was kept only for the sake of such arrivals may go: the remnant of a deleted counter, the rows of an
/// expired key.
///
/// A member of a cluster that may hold or write rows of the namespace is a *carrier*, ourselves included, under a name
/// that a store gets when it is created empty. One that left blocks all progress until it is
/// [forgotten](Self::forget). A forgotten one may hold writes that nobody has seen, made in ignorance of what is stable
/// since; so nothing that it says may be taken in any more, and it comes back only with an empty store, under a new
/// name.
///
/// # How
/// Adverts arrive at any time, in any order, and doubled. When all carriers have been heard, a *cut* is made: what all
/// of them have seen, and all that any of them has. Once all have seen the latter, the former is stable, and the next cut
/// is made. So stability trails by about two rounds of adverts, and takes the space of a context for each carrier.
///
/// The idea is that of C. Baquero, P. Almeida and A. Shoker, "Making Operation-Based CRDTs Operation-Based" (DAIS 2014),
/// with contexts that may have gaps in place of version vectors, and so with cuts in place of causal delivery.
///
/// # Contract
/// What the guarantee rests on, apart from honest adverts:
/// - Everything a carrier tells, in sessions, rumours and adverts, is durable with it first. A rumour of a write that a
///   crash took back could arrive after everybody else had agreed that nothing is missing.
/// - Once a carrier's adverts leave another one out as forgotten, it takes nothing from that one any more.
/// - A new carrier writes only after a session with a carrier whose adverts count it has brought all of that one's
///   context.
///
/// ```
/// use syncline_crdt::{Advert, Context, Dot, ReplicaId, Stability};
///
/// let [ada, bob] = [1, 2].map(|id| Dot::new(ReplicaId::from_bytes([id; 16]), 1));
/// let mut stability = Stability::new(["a", "b"]);
/// let mut hear = |stability: &mut Stability<&'static str>, name, dots: &[Dot]| {
///     let context: Context = dots.iter().copied().collect();
///     let advert = Advert { carriers: stability.carriers().clone(), context, as_of_ms: 0 };
///     stability.hear(name, &advert);
/// };
/// hear(&mut stability, "a", &[ada]);
/// hear(&mut stability, "b", &[ada, bob]);
/// // Both know ada's write, but bob may have made his before he did.
/// assert!(!stability.is_stable(&ada));
/// hear(&mut stability, "a", &[ada, bob]);
/// assert!(stability.is_stable(&ada));
/// ```
#[derive(Clone, Debug)]
pub struct Stability<N> {
    carriers: BTreeSet<N>,
    forgotten: BTreeSet<N>,
    /// What each carrier has said since the carriers last changed.
    heard: BTreeMap<N, Heard>,
    /// The cut that is waiting for everybody to have seen all of it.
    pending: Option<Cut>,
    done: Cut,
}

#[derive(Clone, Debug)]
struct Heard {
    context: Context,
    as_of_ms: u64,
}

#[derive(Clone, Debug, Default)]
struct Cut {
    /// What all had seen.
    known: Context,
    /// What any had seen.
    made: Context,
    /// The earliest of the times that they spoke of.
    as_of_ms: u64,
}

impl<N: Ord + Clone> Stability<N> {
    /// Of these carriers, ourselves included, nothing of whom was heard yet.
    #[must_use]
    pub fn new(carriers: impl IntoIterator<Item = N>) -> Self {
        Self {
            carriers: carriers.into_iter().collect(),
            forgotten: BTreeSet::new(),
            heard: BTreeMap::new(),
            pending: None,
            done: Cut::default(),
        }
    }

    /// The carriers that count, as our own adverts state them.
    #[must_use]
    pub const fn carriers(&self) -> &BTreeSet<N> {
        &self.carriers
    }

    /// The carriers that were forgotten, of whom nothing is taken in any more.
    #[must_use]
    pub const fn forgotten(&self) -> &BTreeSet<N> {
        &self.forgotten
    }

    /// Counts with one more carrier; returns whether that is news. A forgotten one is not counted again.
    ///
    /// What was stable stays so; adverts are awaited anew.
    pub fn add(&mut self, carrier: N) -> bool {
        let is_new = !self.forgotten.contains(&carrier) && self.carriers.insert(carrier);
        if is_new {
            self.start_again();
        }
        is_new
    }

    /// Counts no more with a carrier, for good; returns whether that is news.
    ///
    /// What was stable stays so; adverts are awaited anew, from carriers that have forgotten it too. What only the
    /// forgotten one had seen is lost.
    pub fn forget(&mut self, carrier: N) -> bool {
        self.carriers.remove(&carrier);
        let is_new = self.forgotten.insert(carrier);
        if is_new {
            self.start_again();
        }
        is_new
    }

    fn start_again(&mut self) {
        self.heard.clear();
        self.pending = None;
    }

    /// Takes in an advert, our own like any other. Returns whether more is stable now.
    ///
    /// One that counts with other carriers than we do is ignored: who has yet to forget a carrier may still take
    /// something in from it. O(c·n log n) for c carriers and contexts of n intervals.
    pub fn hear(&mut self, carrier: N, advert: &Advert<N>) -> bool {
        if advert.carriers != self.carriers || !self.carriers.contains(&carrier) {
            return false;
        }
        let heard = self.heard.entry(carrier).or_insert_with(|| Heard {
            context: Context::new(),
            as_of_ms: 0,
        });
        heard.context.merge(&advert.context);
        heard.as_of_ms = heard.as_of_ms.max(advert.as_of_ms);
        self.advance()
    }

    fn advance(&mut self) -> bool {
        let Some(now) = self.cut() else {
            return false;
        };
        let pending = self.pending.get_or_insert_with(|| now.clone());
        if !now.known.covers(&pending.made) {
            return false;
        }
        self.done = core::mem::replace(pending, now);
        // All may have seen all of the next one already.
        if let Some(next) = self.pending.take_if(|cut| cut.known == cut.made) {
            self.done = next;
        }
        true
    }

    /// What has been heard by now, put together; nothing while a carrier is still to be heard.
    fn cut(&self) -> Option<Cut> {
        let mut heard = self.carriers.iter().map(|carrier| self.heard.get(carrier));
        let first = heard.next()??;
        let mut cut = Cut {
            known: first.context.clone(),
            made: first.context.clone(),
            as_of_ms: first.as_of_ms,
        };
        for heard in heard {
            let Heard { context, as_of_ms } = heard?;
            cut.known = cut.known.intersection(context);
            cut.made.merge(context);
            cut.as_of_ms = cut.as_of_ms.min(*as_of_ms);
        }
        Some(cut)
    }

    /// Whether the dot is stable.
    #[must_use]
    pub fn is_stable(&self, dot: &Dot) -> bool {
        self.done.known.contains(dot)
    }

    /// How many carriers are known to have durably seen the dot, ourselves included. Short of all of them being
    /// heard of since the carriers last changed, it is a lower bound.
    #[must_use]
    pub fn seen_by(&self, dot: &Dot) -> usize {
        let heard = self.heard.values();
        heard.filter(|heard| heard.context.contains(dot)).count()
    }

    /// What each carrier was last heard to say since the carriers last changed: its context, and its time. It is the
    /// carrier's own statement still, and may be passed on to others who count with the same carriers.
    pub fn heard(&self) -> impl Iterator<Item = (&N, &Context, u64)> {
        let heard = self.heard.iter();
        heard.map(|(carrier, heard)| (carrier, &heard.context, heard.as_of_ms))
    }

    /// The carriers that are waited for: not heard since the carriers last changed, or not known to have seen all that
    /// any had when the cut was made that is to become stable next. O(c n log n).
    pub fn awaited(&self) -> impl Iterator<Item = &N> {
        self.carriers.iter().filter(|carrier| {
            let pending = self.pending.as_ref();
            self.heard.get(carrier).is_none_or(|heard| {
                pending.is_some_and(|pending| !heard.context.covers(&pending.made))
            })
        })
    }

    /// Everything stable.
    #[must_use]
    pub const fn stable(&self) -> &Context {
        &self.done.known
    }

    /// What every carrier has seen: everything stable, and all that was made by anybody who may not have seen that.
    /// What is not in here was made in the knowledge of everything stable, and, by its maker's clock, after
    /// [`as_of_ms`](Self::as_of_ms).
    #[must_use]
    pub const fn settled(&self) -> &Context {
        &self.done.made
    }

    /// A time that every carrier had reached, by its own clock and in the knowledge of everything stable, in Unix
    /// milliseconds; 0 as long as nothing is known.
    #[must_use]
    pub const fn as_of_ms(&self) -> u64 {
        self.done.as_of_ms
    }
}
