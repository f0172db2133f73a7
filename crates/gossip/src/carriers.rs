//! Who there is that carries what, and what the coming and going of members means for all that talks to them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::membership::{Card, Event, Member, MemberId};
use crate::selection::{Cost, Selection};
use crate::{convergence, schedule};

/// What is to be told to whom, in this order.
#[derive(Clone, Debug)]
pub enum Told<N> {
    /// A member leads another life than when it was there last: connections to the earlier one are of no use.
    Renewed(N),
    /// For the [`Schedule`](schedule::Schedule) of sessions, to be handled with the [selection](Carriers::selection) as it is now.
    Schedule(schedule::Input<N>),
    /// For the [`Convergence`](convergence::Convergence).
    Convergence(convergence::Input<N>),
    /// For the [`Dissemination`](crate::Dissemination) of a namespace that is carried here: one who carries it, too, is there.
    Up {
        /// The namespace.
        namespace: String,
        /// Who.
        node: N,
    },
    /// One is there no longer, or does not carry the namespace any more.
    Down {
        /// The namespace.
        namespace: String,
        /// Who.
        node: N,
    },
}

/// The members that are there, by what they carry: between the [`Membership`](crate::membership::Membership) and the machines that talk to
/// members. Rumours, standings and sessions of a namespace go to its carriers only.
///
/// With the first members that it meets after its start a node [syncs](schedule::Input::Lagging) at once: they have what it missed, and both get to
/// know all carriers. It is a few, so that a thousand nodes that start at once do not all sync with all.
///
/// ```
/// use syncline_gossip::carriers::{Carriers, Told};
/// use syncline_gossip::membership::{Card, Event, Member, State};
///
/// let card = Card { namespaces: ["app".into()].into(), ..Card::default() };
/// let mut carriers = Carriers::new(&card);
/// let bob = Member {
///     id: 2_u32,
///     generation: 1,
///     address: ([10, 0, 0, 2], 7400).into(),
///     state: State::Alive,
///     card: Some(card.into()),
/// };
/// let told = carriers.moved(&Event::Up(bob));
/// assert!(told.iter().any(|it| matches!(it, Told::Up { node: 2, .. })));
/// assert_eq!(carriers.of("app").collect::<Vec<_>>(), [2]);
/// ```
#[derive(Clone, Debug)]
pub struct Carriers<N> {
    /// Of ourselves, as far as it decides with whom to talk.
    ours: Card,
    /// The cards of those who are there. Empty while they are on their way.
    cards: BTreeMap<N, Arc<Card>>,
    /// In which of their lives members were when they were last there; not of those who have said goodbye.
    generations: BTreeMap<N, u64>,
    selection: Selection<N>,
    greeted: u32,
}

/// Members that are synced with as soon as they are met.
const GREETED: u32 = 2;

impl<N: MemberId> Carriers<N> {
    /// Of a node that knows nobody yet, and says this of itself.
    #[must_use]
    pub fn new(ours: &Card) -> Self {
        Self {
            ours: ours.clone(),
            cards: BTreeMap::new(),
            generations: BTreeMap::new(),
            selection: Selection::new(),
            greeted: 0,
        }
    }

    /// Those who are there and carry a namespace.
    pub fn of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = N> + 'a {
        let carry = self
            .cards
            .iter()
            .filter(move |(_, card)| card.namespaces.contains(namespace));
        carry.map(|(node, _)| *node)
    }

    /// All who are there, whatever they carry.
    pub fn all(&self) -> impl Iterator<Item = N> + '_ {
        self.cards.keys().copied()
    }

    /// Those with whom we have namespaces in common, and what it costs to talk to them.
    #[must_use]
    pub const fn selection(&self) -> &Selection<N> {
        &self.selection
    }

    /// How long it takes to a member and back, as measured just now.
    pub fn measured(&mut self, node: N, round_trip: Duration) {
        self.selection.measured(node, round_trip);
    }

    /// The members have changed. O(log n) for n members, and for each namespace of the one that it is about.
    pub fn moved(&mut self, event: &Event<N>) -> Vec<Told<N>> {
        let mut told = Vec::new();
        match event {
            Event::Up(member) | Event::Changed(member) => self.is_there(member, &mut told),
            // It counts as there.
            Event::Suspect(_) => {}
            Event::Down(node) => self.is_gone(*node, convergence::Input::Down(*node), &mut told),
            Event::Left(node) => {
                self.is_gone(*node, convergence::Input::Forget(*node), &mut told);
                self.generations.remove(node);
            }
        }
        told
    }

    /// These namespaces are carried here from now on, and no others: what that means for sessions. Whoever makes a machine for one of them tells it
    /// [who is there](Self::of). O(n) for n members if it is news.
    pub fn carry(&mut self, namespaces: BTreeSet<String>) -> Vec<Told<N>> {
        let mut told = Vec::new();
        if self.ours.namespaces != namespaces {
            self.ours.namespaces = namespaces;
            for (node, card) in self.cards.clone() {
                self.may_sync(node, &card, &mut told);
            }
        }
        told
    }

    fn is_there(&mut self, member: &Member<N>, told: &mut Vec<Told<N>>) {
        let (node, generation) = (member.id, member.generation);
        let before = self.generations.insert(node, generation);
        if before.is_some_and(|before| before < generation) {
            told.push(Told::Renewed(node));
        }
        let card = member.card.clone().unwrap_or_default();
        let former = self.cards.insert(node, Arc::clone(&card));
        self.may_sync(node, &card, told);
        if former.is_some() && before != Some(generation) {
            // What its earlier life had may be lost.
            told.push(Told::Convergence(convergence::Input::Down(node)));
        }
        let carried = card.namespaces.iter().map(|name| name.as_str().into());
        told.push(Told::Convergence(convergence::Input::Up {
            node,
            namespaces: carried.collect(),
        }));
        let former = former.unwrap_or_default();
        let ours = &self.ours.namespaces;
        let is_ours = |name: &&String| ours.contains(*name);
        let come = card.namespaces.difference(&former.namespaces);
        for namespace in come.filter(is_ours).cloned() {
            told.push(Told::Up { namespace, node });
        }
        let gone = former.namespaces.difference(&card.namespaces);
        for namespace in gone.filter(is_ours).cloned() {
            told.push(Told::Down { namespace, node });
        }
    }

    fn is_gone(&mut self, node: N, gone: convergence::Input<N>, told: &mut Vec<Told<N>>) {
        self.may_not_sync(node, told);
        let card = self.cards.remove(&node).unwrap_or_default();
        let carried = card.namespaces.intersection(&self.ours.namespaces);
        for namespace in carried.cloned() {
            told.push(Told::Down { namespace, node });
        }
        told.push(Told::Convergence(gone));
    }

    /// A member is there, with this card, or we carry something else.
    fn may_sync(&mut self, node: N, card: &Card, told: &mut Vec<Told<N>>) {
        let cost = Cost::between(&self.ours, card);
        if cost.shared == 0 {
            return self.may_not_sync(node, told);
        }
        let is_new = self.selection.cost(node).is_none();
        self.selection.set(node, cost);
        if is_new {
            told.push(Told::Schedule(schedule::Input::Up(node)));
            if self.greeted < GREETED {
                self.greeted += 1;
                told.push(Told::Schedule(schedule::Input::Lagging(node)));
            }
        }
    }

    fn may_not_sync(&mut self, node: N, told: &mut Vec<Told<N>>) {
        if self.selection.cost(node).is_some() {
            self.selection.remove(node);
            told.push(Told::Schedule(schedule::Input::Down(node)));
        }
    }
}
