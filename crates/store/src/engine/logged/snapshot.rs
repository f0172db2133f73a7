//! What readers see: the tables below, under the commits that have not reached them yet.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::APPLIED;
use super::layer::{Layer, Stack, order};
use crate::engine::{
    Bounds, Direction, EngineError, Entry, Snapshot, Table, Visitor, bounds_are_empty,
};

/// The tables as of one commit, whether in the tables below or not.
pub struct LoggedSnapshot<S> {
    pub(super) base: Arc<S>,
    /// What is being brought to the tables below.
    pub(super) sealed: Option<Arc<Layer>>,
    /// What came after.
    pub(super) active: Layer,
}

/// Whether an entry of the tables below is the engine's own, which nobody above is to see.
fn is_own(table: Table, key: &[u8]) -> bool {
    table == Table::Meta && key == APPLIED
}

impl<S> LoggedSnapshot<S> {
    fn stack<'b>(&self, table: Table, bounds: Bounds<'b>, direction: Direction) -> Stack<'_, 'b> {
        Stack::new(
            &self.active,
            self.sealed.as_deref(),
            table,
            bounds,
            direction,
        )
    }
}

impl<S: Snapshot> Snapshot for LoggedSnapshot<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let sealed = self.sealed.as_deref();
        let edited = self.active.get(table, key);
        let edited = edited.or_else(|| sealed.and_then(|sealed| sealed.get(table, key)));
        match edited {
            Some(edited) => Ok(edited.map(<[u8]>::to_vec)),
            None if is_own(table, key) => Ok(None),
            None => self.base.get(table, key),
        }
    }

    fn visit(
        &self,
        table: Table,
        bounds: Bounds<'_>,
        direction: Direction,
        visitor: &mut Visitor<'_>,
    ) -> Result<(), EngineError> {
        if bounds_are_empty(bounds) {
            return Ok(());
        }
        let mut above = self.stack(table, bounds, direction);
        let mut flow = ControlFlow::Continue(());
        self.base
            .visit(table, bounds, direction, &mut |key, value| {
                while let Some(next) = above.peek() {
                    let order = order(direction, next, key);
                    if order.is_gt() {
                        break;
                    }
                    if let Some((edited, Some(value))) = above.take() {
                        flow = visitor(edited, value);
                    }
                    if flow.is_break() || order.is_eq() {
                        return flow;
                    }
                }
                if !is_own(table, key) {
                    flow = visitor(key, value);
                }
                flow
            })?;
        while flow.is_continue()
            && let Some((key, value)) = above.take()
        {
            if let Some(value) = value {
                flow = visitor(key, value);
            }
        }
        Ok(())
    }

    fn range<'s>(
        &'s self,
        table: Table,
        bounds: Bounds<'_>,
    ) -> Box<dyn Iterator<Item = Result<Entry, EngineError>> + Send + 's> {
        if bounds_are_empty(bounds) {
            return Box::new(std::iter::empty());
        }
        let above = self.stack(table, bounds, Direction::Forward);
        let mut above = above.into_owned();
        let mut base = self.base.range(table, bounds).peekable();
        let next = move || {
            loop {
                let order = match (above.peek(), base.peek()) {
                    (None, None) => return None,
                    (Some(_), None) => Ordering::Less,
                    (Some(above), Some(Ok((base, _)))) => above.cmp(base),
                    (_, Some(_)) => Ordering::Greater,
                };
                if order.is_gt() {
                    let entry = base.next();
                    if let Some(Ok((key, _))) = &entry
                        && is_own(table, key)
                    {
                        continue;
                    }
                    return entry;
                }
                if order.is_eq() {
                    base.next();
                }
                if let Some((key, Some(value))) = above.take() {
                    return Some(Ok((key.to_vec(), value.to_vec())));
                }
            }
        };
        Box::new(std::iter::from_fn(next))
    }
}
