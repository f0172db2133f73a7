//! A machine by itself, and what is said to it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use syncline_crdt::ReplicaId;
use syncline_gossip::{
    Config, Dissemination, Input, Members, Message, Notice, Output, Pushed, Rumour, RumourId,
    Strategy,
};

pub(crate) const A: ReplicaId = ReplicaId::from_bytes([1; 16]);

pub(crate) struct Machine {
    pub(crate) gossip: Dissemination<u32>,
    random: ChaCha8Rng,
}

impl Machine {
    pub(crate) fn new(config: Config, members: impl IntoIterator<Item = u32>) -> Self {
        let mut machine = Self {
            gossip: Dissemination::new(0, config),
            random: ChaCha8Rng::seed_from_u64(1),
        };
        machine.input(Input::View(members.into_iter().collect::<Members<u32>>()));
        machine
    }

    pub(crate) fn tree(members: impl IntoIterator<Item = u32>) -> Self {
        Self::new(Config::new(Strategy::Plumtree), members)
    }

    /// Every member is a neighbour, by a branch.
    pub(crate) fn linked(members: impl IntoIterator<Item = u32> + Clone) -> Self {
        let mut machine = Self::tree(members.clone());
        for member in members {
            machine.receive(member, Message::Link { near: false });
        }
        machine
    }

    pub(crate) fn input(&mut self, input: Input<u32>) -> Vec<Output<u32>> {
        self.gossip.handle(input, &mut self.random)
    }

    pub(crate) fn receive(&mut self, from: u32, message: Message) -> Vec<Output<u32>> {
        self.input(Input::Received { from, message })
    }

    /// What it sends to a peer, nothing else.
    pub(crate) fn says(&mut self, to: u32, input: Input<u32>) -> Vec<Message> {
        let outputs = self.input(input).into_iter();
        let said = outputs.filter_map(|output| match output {
            Output::Send { to: peer, message } if peer == to => Some(message),
            _ => None,
        });
        said.collect()
    }
}

pub(crate) fn rumour(counter: u64) -> Rumour {
    Rumour::new(A, counter, counter, vec![7; 100]).unwrap()
}

pub(crate) fn pushed(rumour: Rumour, hops: u16, asked: bool) -> Message {
    let pushed = Pushed { rumour, hops };
    Message::Push { pushed, asked }
}

pub(crate) fn push(counter: u64, hops: u16) -> Message {
    pushed(rumour(counter), hops, false)
}

pub(crate) fn announce(counters: impl IntoIterator<Item = u64>) -> Message {
    let notice = |counter| Notice {
        id: id(counter),
        hops: 3,
    };
    Message::Announce(counters.into_iter().map(notice).collect())
}

pub(crate) fn id(counter: u64) -> RumourId {
    rumour(counter).id()
}
