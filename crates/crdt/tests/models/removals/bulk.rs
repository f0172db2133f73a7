//! Removals of whole ranges, in chunks, at their maker and at those who hear of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Message, Model, Variant};
use crate::replica::{Delta, Key, Log};
use syncline_crdt::{BulkRemoval, Context, Dot};

/// A range removal at its maker, some chunks of which are still to do.
pub(super) struct Removing {
    pub(super) at: usize,
    observed: Context,
    /// Each one a commit and a message.
    chunks: Vec<Vec<Key>>,
    own: Vec<Dot>,
    is_flush: bool,
}

/// A range removal at a receiver, some rows of which are still to do.
pub(super) struct Applying {
    pub(super) at: usize,
    removal: BulkRemoval,
    rows: Vec<Key>,
    then_add: Option<Dot>,
}

impl Model {
    /// Begins to remove a range, or everything, in chunks.
    pub(super) fn begin_bulk(&mut self, at: usize) {
        let is_flush = self.random.percent(30);
        let from = if is_flush {
            0
        } else {
            self.random.below(self.keys.len())
        };
        let range = &self.keys[from..];
        let chunk = self.random.between(1, 2);
        self.removing.push(Removing {
            at,
            observed: self.replicas[at].state.context.clone(),
            chunks: range.chunks(chunk).map(<[Key]>::to_vec).collect(),
            own: Vec::new(),
            is_flush,
        });
    }

    /// One commit of a range removal.
    pub(super) fn remove_chunk(&mut self) {
        let chosen = self.random.below(self.removing.len());
        let mut removing = self.removing.swap_remove(chosen);
        let at = removing.at;
        let Some(rows) = removing.chunks.pop() else {
            // All that was seen at the beginning is dead now, wherever it was.
            let mut context = if self.variant == Variant::FlushedContextOfTheEnd {
                self.replicas[at].state.context.clone()
            } else {
                removing.observed
            };
            context.extend(removing.own);
            let rows = BTreeMap::new();
            let message = Message::Delta(Delta { rows, context }, Log::new());
            self.outbox.push((at, message));
            return;
        };
        let replica = &mut self.replicas[at];
        let dot = match removing.own.first() {
            Some(first) if self.variant == Variant::OneDotForAllChunks => *first,
            _ => replica.fresh_dot(),
        };
        removing.own.push(dot);
        let removal = BulkRemoval {
            observed: removing.observed.clone(),
            dot,
        };
        let mut dropped = BTreeSet::new();
        for &key in &rows {
            let mut row = replica.state.row(key);
            dropped.extend(row.dots().filter(|dot| removal.observed.contains(dot)));
            removal.apply_to(&mut row);
            replica.state.set_row(key, row);
        }
        let named = replica.state.log.entry(dot).or_default();
        named.extend(rows.iter().copied());
        self.record_removal(dot, dropped);
        self.outbox.push((at, Message::Bulk(rows, removal)));
        if removing.is_flush || !removing.chunks.is_empty() {
            self.removing.push(removing);
        }
    }

    pub(super) fn apply_row(&mut self) {
        let chosen = self.random.below(self.applying.len());
        let applying = &mut self.applying[chosen];
        let at = applying.at;
        let state = &mut self.replicas[at].state;
        let before = state.context.clone();
        if let Some(key) = applying.rows.pop() {
            let mut row = state.row(key);
            applying.removal.apply_to(&mut row);
            state.set_row(key, row);
            let named = state.log.entry(applying.removal.dot).or_default();
            named.insert(key);
        }
        if applying.rows.is_empty() {
            state.context.extend(applying.then_add);
            self.applying.swap_remove(chosen);
        }
        self.must_be_in_effect(at, &before);
    }

    pub(super) fn begin_applying(&mut self, at: usize, rows: Vec<Key>, removal: BulkRemoval) {
        let state = &mut self.replicas[at].state;
        let mut then_add = removal.dot_to_add(&state.context);
        match self.variant {
            Variant::FilterMerged => state.context.merge(&removal.observed),
            Variant::DotBeforeRemoval => state.context.extend(then_add),
            Variant::DotWithoutKnowledge => then_add = Some(removal.dot),
            _ => {}
        }
        self.applying.push(Applying {
            at,
            removal,
            rows,
            then_add,
        });
    }
}
