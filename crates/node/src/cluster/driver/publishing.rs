//! The driver's part in publications.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_gossip::budget::Class;
use syncline_gossip::membership::Card;
use syncline_gossip::publication::Publications;
use syncline_gossip::{Input, Output};
use syncline_sync::quic::NodeId;
use tokio::time::Instant;

use super::super::status::PublicationStats;
use super::{Alarm, Driver, wire};
use crate::publications::{Audience, Saying};

/// The publications of all namespaces that are carried.
pub(super) struct Publishing {
    machines: BTreeMap<Arc<str>, Publications<NodeId>>,
    /// What the members carry that understand publications: others would take them for damage.
    carriers: BTreeMap<NodeId, BTreeSet<String>>,
    audience: Audience,
}

impl Publishing {
    pub(super) const fn new(audience: Audience) -> Self {
        Self {
            machines: BTreeMap::new(),
            carriers: BTreeMap::new(),
            audience,
        }
    }

    pub(super) fn stats(&self) -> Vec<PublicationStats> {
        let heard = |(namespace, machine): (&Arc<str>, &Publications<_>)| PublicationStats {
            namespace: namespace.to_string(),
            stats: machine.stats(),
            lost: machine.lost(),
        };
        self.machines.iter().map(heard).collect()
    }
}

impl Driver {
    /// Something is published here.
    pub(super) fn say(&mut self, saying: Saying) {
        let Saying {
            namespace, payload, ..
        } = saying;
        if !self.spreads.contains_key(&namespace) {
            self.carry();
        }
        if let Some(machine) = self.publishing.machines.get_mut(&namespace) {
            let outputs = machine.publish(payload, &mut self.random);
            self.carry_out_publishing(&namespace, outputs);
        }
    }

    /// Something has happened that concerns the publications of a namespace.
    pub(super) fn publishes(&mut self, namespace: &str, input: Input<NodeId>) {
        let machines = &mut self.publishing.machines;
        let Some((namespace, _)) = machines.get_key_value(namespace) else {
            // Not carried, or not any more.
            return;
        };
        let namespace = namespace.clone();
        if let Some(machine) = machines.get_mut(&namespace) {
            let outputs = machine.handle(input, &mut self.random);
            self.carry_out_publishing(&namespace, outputs);
        }
    }

    /// A member is there, or has another card.
    pub(super) fn may_hear(&mut self, node: NodeId, card: Option<&Card>) {
        let carries = card.map(hears).unwrap_or_default();
        let carried = self.publishing.carriers.insert(node, carries.clone());
        let carried = carried.unwrap_or_default();
        for namespace in carries.difference(&carried) {
            self.publishes(namespace, Input::Up(node));
        }
        for namespace in carried.difference(&carries) {
            self.publishes(namespace, Input::Down(node));
        }
    }

    pub(super) fn may_not_hear(&mut self, node: NodeId) {
        let carried = self.publishing.carriers.remove(&node);
        for namespace in carried.unwrap_or_default() {
            self.publishes(&namespace, Input::Down(node));
        }
    }

    /// Has publications of the namespaces passed on that are spread, and of no others.
    pub(super) fn carry_publications(&mut self) {
        let spreads = &self.spreads;
        let Publishing {
            machines, carriers, ..
        } = &mut self.publishing;
        machines.retain(|namespace, _| spreads.contains_key(namespace));
        self.timers.retain(|alarm| {
            !matches!(alarm, Alarm::Publish(namespace, _) if !spreads.contains_key(namespace))
        });
        let mut others = Vec::new();
        for namespace in spreads.keys() {
            if machines.contains_key(namespace) {
                continue;
            }
            let machine = Publications::new(self.core.id());
            machines.insert(namespace.clone(), machine);
            let carriers = carriers.iter();
            let carriers = carriers.filter(|(_, carries)| carries.contains(&**namespace));
            others.extend(carriers.map(|(node, _)| (namespace.clone(), *node)));
        }
        for (namespace, node) in others {
            self.publishes(&namespace, Input::Up(node));
        }
    }

    fn carry_out_publishing(&mut self, namespace: &Arc<str>, outputs: Vec<Output<NodeId>>) {
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    let bytes = wire::publication(namespace, &message);
                    self.send_gossip(to, Class::Publication, bytes);
                }
                Output::Deliver(rumour) => {
                    let payload = rumour.payload();
                    self.publishing.audience.tell(namespace, payload);
                }
                Output::Wake { timer, after } => {
                    let alarm = Alarm::Publish(namespace.clone(), timer);
                    self.timers.set(Instant::now() + after, alarm);
                }
                // No session brings it.
                Output::Lagging(_) => {}
            }
        }
    }
}

/// The namespaces whose publications a member is sent: none if it does not understand them.
fn hears(card: &Card) -> BTreeSet<String> {
    match card.features & Card::PUBLICATIONS {
        0 => BTreeSet::new(),
        _ => card.namespaces.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_sent_no_publications() {
        let mut card = Card {
            namespaces: ["app".to_owned()].into(),
            ..Card::default()
        };
        assert!(hears(&card).is_empty());
        card.features = Card::PUBLICATIONS | 1 << 40;
        assert_eq!(hears(&card), card.namespaces);
    }
}
