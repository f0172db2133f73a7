//! Cards on their way.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use syncline_crdt::Canonical;

use super::card::Issue;
use super::config::transmissions;
use super::identity::MemberId;
use super::table::Table;

/// Larger cards are not passed on with other news; whoever compares tables pulls them.
const MAX_PASSED_ON: usize = 512;
/// Cards that are looked at for each packet, for one that fits.
const MAX_TRIED: usize = 16;

/// Whose cards are news, and how often they are still to be sent. At most one for each member.
#[derive(Clone, Debug)]
pub(super) struct News<N> {
    queue: VecDeque<(N, u8)>,
}

impl<N: MemberId> News<N> {
    pub(super) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
        }
    }

    /// The card of this member, among so many, is new. It is sent somewhat more often than news of the failure detector, so that nobody hears that its
    /// owner is gone without its farewell.
    pub(super) fn add(&mut self, owner: N, active: usize) {
        self.queue.retain(|(other, _)| *other != owner);
        let times = transmissions(active).get().saturating_mul(2);
        self.queue.push_front((owner, times));
    }

    /// Takes cards that fit into so many bytes.
    pub(super) fn take(&mut self, mut room: usize, table: &Table<N>) -> Vec<(N, Issue)> {
        let mut taken = Vec::new();
        for _ in 0..self.queue.len().min(MAX_TRIED) {
            let Some((owner, left)) = self.queue.pop_front() else {
                break;
            };
            let Some(issue) = table.get(owner).and_then(|it| it.issue.as_ref()) else {
                continue;
            };
            let size = size(owner, issue);
            if size > MAX_PASSED_ON {
                continue;
            }
            if size > room {
                self.queue.push_back((owner, left));
                continue;
            }
            room -= size;
            taken.push((owner, issue.clone()));
            if left > 1 {
                self.queue.push_back((owner, left - 1));
            }
        }
        taken
    }
}

/// What a card takes in a packet.
pub(super) fn size<N: MemberId>(owner: N, issue: &Issue) -> usize {
    owner.to_bytes().len() + issue.to_bytes().len()
}
