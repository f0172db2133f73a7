//! The task that drives the machines.

mod agreeing;
mod asked;
mod members;
mod publishing;
mod seeking;
mod syncing;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use syncline_gossip::budget::Class;
use syncline_gossip::carriers::Carriers;
use syncline_gossip::membership::{self, Card, Config, Identity, Membership};
use syncline_gossip::{Input, Message, Output, Timer, convergence, schedule};
use syncline_sync::quic::NodeId;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use self::agreeing::{Agreement, Step};
pub(crate) use self::agreeing::{Answers, Meeting, Question, durable};
pub(super) use self::asked::Command;
use self::publishing::Publishing;
use self::syncing::Syncing;
use super::links::{Carriage, Heard, Links, Parcel};
use super::notices::Told;
use super::postage::Postage;
use super::sessions::{Sessions, Synced};
use super::spread::{Delivery, Spread};
use super::status::{Handle, MemberEvent};
use super::timers::Timers;
use super::wire::{self, MAX_FRAME, Said};
use crate::core::Core;
use crate::net::{Doorkeeper, PeerAddr};
use crate::outbox::Publication;
use crate::publications::{Announcer, Saying};
use crate::start_error::StartError;

/// How often the machines are told how things are.
const ROUND: Duration = Duration::from_secs(1);
/// How often seeds that are not members are connected to.
const SEEK: Duration = Duration::from_secs(5);
/// Committed transactions that may wait to be spread.
const PUBLICATIONS: usize = 4096;
/// Changes of the members that are kept for those who follow them.
const EVENTS: usize = 1024;

/// What is to be given back to whom, later.
#[derive(Debug)]
enum Alarm {
    Membership,
    Spread(Arc<str>, Timer),
    Publish(Arc<str>, Timer),
    Agree(convergence::Timer),
    Round,
    Seek,
    Schedule,
}

/// What has happened.
enum News {
    Alarm(Alarm),
    Heard(Heard),
    Written(Publication),
    Synced(Synced),
    Found(NodeId, SocketAddr),
    Asked(Command),
    Said(Saying),
    Step(Step),
    /// Other namespaces are carried.
    Carried,
}

pub(crate) struct Driver {
    core: Arc<Core>,
    links: Links,
    postage: Postage,
    began: Instant,
    random: StdRng,
    membership: Membership<NodeId>,
    spreads: BTreeMap<Arc<str>, Spread>,
    publishing: Publishing,
    sessions: Sessions,
    syncing: Syncing,
    agreement: Agreement,
    /// Whether the node says goodbye.
    is_leaving: bool,
    timers: Timers<Alarm>,
    /// The members that are there, by what they carry.
    carriers: Carriers<NodeId>,
    card: Card,
    notices: Told,
    seeds: Vec<PeerAddr>,
    events: broadcast::Sender<MemberEvent>,
    ears: Ears,
}

/// Where news come from.
struct Ears {
    heard: mpsc::Receiver<Heard>,
    written: mpsc::Receiver<Publication>,
    synced: mpsc::Receiver<Synced>,
    found: mpsc::Receiver<(NodeId, SocketAddr)>,
    asked: mpsc::Receiver<Command>,
    said: mpsc::Receiver<Saying>,
    steps: mpsc::Receiver<Step>,
    finding: mpsc::Sender<(NodeId, SocketAddr)>,
}

impl Driver {
    /// A driver that has yet to [run](Self::run), for a node that listens here.
    pub(crate) fn new(
        core: Arc<Core>,
        doorkeeper: Arc<Doorkeeper>,
        listening: SocketAddr,
    ) -> Result<(Self, Handle, Links), StartError> {
        let (links, heard) = Links::new(core.clone(), doorkeeper);
        let postage = core.network.postage.clone();
        postage.send_by(&links);
        let mut random = StdRng::from_os_rng();
        let seeds = core.network.seeds.clone();
        let card = Card {
            zone: seeds.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            namespaces: core.shared().into_keys().collect(),
            features: Card::PUBLICATIONS,
        };
        let generation = core
            .storage
            .next_generation(core.settings.environment.wall_ms())?;
        let address = seeds.address(listening);
        let me = Identity::new(core.id(), generation, address);
        let membership = Membership::new(me, card.clone(), Config::new(), &mut random)
            .map_err(StartError::Card)?;
        let (agreement, steps) = Agreement::new(core.id(), generation);
        let syncing = Syncing::new(core.network.sync_every());
        let (sessions, synced) = Sessions::new(core.clone(), links.clone());
        let (commands, asked) = mpsc::channel(16);
        let (finding, found) = mpsc::channel(16);
        let (events, _) = broadcast::channel(EVENTS);
        let (publish, written) = mpsc::channel(PUBLICATIONS);
        // It is set once, by the one driver of the node.
        let _first = core.taker.set(publish);
        let (announcer, said, audience) = Announcer::new();
        let handle = Handle {
            commands,
            announcer,
            events: events.clone(),
        };
        let driver = Self {
            core,
            links: links.clone(),
            postage,
            began: Instant::now(),
            random,
            membership,
            spreads: BTreeMap::new(),
            publishing: Publishing::new(audience),
            sessions,
            syncing,
            agreement,
            is_leaving: false,
            timers: Timers::new(),
            carriers: Carriers::new(&card),
            card,
            notices: Told::default(),
            seeds: seeds.join,
            events,
            ears: Ears {
                heard,
                written,
                synced,
                found,
                asked,
                said,
                steps,
                finding,
            },
        };
        Ok((driver, handle, links))
    }

    /// Drives until the node ends.
    pub(crate) async fn run(mut self) {
        for alarm in [Alarm::Round, Alarm::Seek, Alarm::Membership] {
            self.timers.set(self.began, alarm);
        }
        loop {
            match self.next().await {
                News::Alarm(alarm) => self.ring(alarm),
                News::Heard(heard) => self.hear(heard),
                News::Written(publication) => self.publish(&publication),
                News::Synced(synced) => self.synced(synced),
                News::Found(node, address) => self.join(node, address),
                News::Asked(command) => self.asked(command),
                News::Said(saying) => self.say(saying),
                News::Step(step) => self.step(step),
                News::Carried => self.carry(),
            }
        }
    }

    async fn next(&mut self) -> News {
        let Ears {
            heard,
            written,
            synced,
            found,
            asked,
            said,
            steps,
            ..
        } = &mut self.ears;
        // None of the senders is gone before the driver is.
        tokio::select! {
            alarm = self.timers.due() => News::Alarm(alarm),
            Some(heard) = heard.recv() => News::Heard(heard),
            Some(publication) = written.recv() => News::Written(publication),
            Some(synced) = synced.recv() => News::Synced(synced),
            Some((node, address)) = found.recv() => News::Found(node, address),
            Some(command) = asked.recv() => News::Asked(command),
            Some(saying) = said.recv() => News::Said(saying),
            Some(step) = steps.recv() => News::Step(step),
            () = self.core.carried_others() => News::Carried,
        }
    }

    fn ring(&mut self, alarm: Alarm) {
        match alarm {
            Alarm::Membership => self.member(membership::Input::Timer),
            Alarm::Spread(namespace, timer) => self.spread(&namespace, Input::Timer(timer)),
            Alarm::Publish(namespace, timer) => self.publishes(&namespace, Input::Timer(timer)),
            Alarm::Agree(timer) => self.agree(convergence::Input::Timer(timer)),
            Alarm::Round => {
                self.timers.set(Instant::now() + ROUND, Alarm::Round);
                self.carry();
                self.tell_notices();
                if self.carriers.all().next().is_some() {
                    self.refresh();
                    self.measure();
                    self.measure_ways();
                }
            }
            Alarm::Seek => {
                self.timers.set(Instant::now() + SEEK, Alarm::Seek);
                self.seek();
            }
            Alarm::Schedule => self.schedule(schedule::Input::Timer),
        }
    }

    fn hear(&mut self, heard: Heard) {
        let (from, bytes) = match heard {
            Heard::Message { from, bytes } => (from, bytes),
            Heard::Unreachable { peer, error } => {
                return tracing::debug!(%peer, %error, "not reached");
            }
        };
        let accounts = &self.core.network.accounts;
        accounts.gossip_received(from, bytes.len() as u64);
        match wire::read(&bytes) {
            Ok(Said::Membership(bytes)) => {
                self.member(membership::Input::Received { from, bytes });
            }
            Ok(Said::Rumour { namespace, message }) => {
                self.spread(&namespace, Input::Received { from, message });
            }
            Ok(Said::Publication { namespace, message }) => {
                self.publishes(&namespace, Input::Received { from, message });
            }
            Ok(Said::Convergence(bytes)) => self.told(from, &bytes),
            Ok(Said::Notices(bytes)) => self.notices.learn(&self.core, from, bytes),
            Err(error) => tracing::warn!(peer = %from, %error, "gossip cannot be read"),
        }
    }

    /// Tells those who have yet to hear it what the authority has said.
    fn tell_notices(&mut self) {
        let (due, notices) = self.notices.due(&self.core, self.carriers.all());
        for node in due {
            let address = self.membership.member(node).map(|it| it.address);
            let parcel = Parcel {
                carriage: Carriage::Frame,
                bytes: wire::notices(&notices),
            };
            self.postage.send(node, address, Class::Membership, parcel);
        }
    }

    fn spread(&mut self, namespace: &str, input: Input<NodeId>) {
        let Some(spread) = self.spreads.get_mut(namespace) else {
            // Not carried, or not any more.
            return;
        };
        let from = match &input {
            Input::Received { from, .. } => Some(*from),
            _ => None,
        };
        let (namespace, outputs) = (spread.namespace(), spread.handle(input, &mut self.random));
        self.carry_out(&namespace, from, outputs);
    }

    fn publish(&mut self, publication: &Publication) {
        if !self.spreads.contains_key(&publication.namespace) {
            self.carry();
        }
        if let Some(spread) = self.spreads.get_mut(&publication.namespace) {
            let outputs = spread.publish(publication, &mut self.random);
            self.carry_out(&publication.namespace, None, outputs);
        }
    }

    /// Does what a dissemination wants done; `from` is whose message has led to it.
    fn carry_out(
        &mut self,
        namespace: &Arc<str>,
        from: Option<NodeId>,
        outputs: Vec<Output<NodeId>>,
    ) {
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    let class = match message {
                        Message::Push { .. } | Message::Batch(_) => Class::Rumour,
                        _ => Class::Pull,
                    };
                    self.send_gossip(to, class, wire::rumour(namespace, &message));
                }
                Output::Deliver(rumour) => {
                    let spread = self.spreads.get_mut(namespace);
                    let delivery = spread.map_or(Delivery::Done, |it| it.deliver(rumour));
                    if delivery != Delivery::Done {
                        tracing::debug!(namespace = &**namespace, ?delivery, "a rumour is late");
                        // Whoever has told it has it, and knows who made it.
                        if let Some(peer) = from {
                            self.schedule(schedule::Input::Lagging(peer));
                        }
                    }
                }
                Output::Wake { timer, after } => {
                    let alarm = Alarm::Spread(namespace.clone(), timer);
                    self.timers.set(Instant::now() + after, alarm);
                }
                Output::Lagging(peer) => self.schedule(schedule::Input::Lagging(peer)),
            }
        }
    }

    /// Sends a message of a dissemination, in its envelope.
    fn send_gossip(&self, to: NodeId, class: Class, bytes: Vec<u8>) {
        if bytes.len() <= MAX_FRAME {
            let carriage = Carriage::Frame;
            let address = self.membership.member(to).map(|it| it.address);
            self.postage
                .send(to, address, class, Parcel { carriage, bytes });
        }
    }

    /// Has the namespaces spread that the node carries, and no others.
    fn carry(&mut self) {
        let carried = self.core.shared();
        self.spreads
            .retain(|namespace, _| carried.contains_key(&**namespace));
        let spreads = &self.spreads;
        let timers = &mut self.timers;
        timers.retain(|it| !matches!(it, Alarm::Spread(name, _) if !spreads.contains_key(name)));
        let names: BTreeSet<String> = carried.keys().cloned().collect();
        for (name, replica) in carried {
            if self.spreads.contains_key(&*name) {
                continue;
            }
            let skew_ms = self.core.network.max_clock_skew_ms();
            let spread = Spread::new(self.core.id(), replica, skew_ms);
            self.spreads.insert(spread.namespace(), spread);
            let carriers: Vec<NodeId> = self.carriers.of(&name).collect();
            for node in carriers {
                self.spread(&name, Input::Up(node));
            }
        }
        self.carry_publications();
        if names != self.card.namespaces {
            self.card.namespaces = names.clone();
            self.member(membership::Input::Card(self.card.clone()));
            let told = self.carriers.carry(names);
            self.tell_machines(told);
        }
    }

    /// Tells the dissemination of each namespace what the store has seen by other ways.
    fn refresh(&mut self) {
        let namespaces: Vec<Arc<str>> = self.spreads.keys().cloned().collect();
        for namespace in namespaces {
            if let Some(spread) = self.spreads.get_mut(&namespace) {
                let outputs = spread.refresh(&mut self.random);
                self.carry_out(&namespace, None, outputs);
            }
        }
    }
}
