//! The counted index against the rows, entry by entry; its counts against its entries, in one step;
//! and, where it is damaged, made anew.

use super::{Limits, Read, Scrub, mend_at_leisure, read_entries};
use crate::counted::{Repairs, counts_are_sound, is_of_a_row, repairs};
use crate::engine::{Engine, Table};
use crate::{Mismatch, Store, StoreError};

impl Scrub {
    pub(super) fn check_counted<E: Engine>(
        &mut self,
        store: &Store<E>,
        limits: Limits,
    ) -> Result<Read, StoreError> {
        let view = store.view()?;
        let (entries, read) = read_entries(&view.snapshot, Table::Counted, &self.from, limits)?;
        for (entry, value) in &entries {
            if !self.suspects_counted {
                self.suspects_counted = !value.is_empty() || !is_of_a_row(&view, entry)?;
            }
        }
        Ok(read)
    }

    /// Makes the index anew from the rows, if something is wrong with it.
    pub(super) fn mend_counted<E: Engine>(&mut self, store: &Store<E>) -> Result<(), StoreError> {
        self.suspects_counted |= !counts_are_sound(&store.view()?)?;
        if !self.suspects_counted {
            return Ok(());
        }
        let repairs = mend_at_leisure(store, repairs, |repairs: &Repairs, mend| {
            repairs.apply(&mut mend.batch);
        })?;
        if !repairs.is_empty() {
            self.report.note(store.namespace(), Mismatch::Counted);
        }
        self.suspects_counted = false;
        Ok(())
    }
}
