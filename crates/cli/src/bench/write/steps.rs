//! How long each step of a commit takes, as its spans tell.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::bench::cpu;

/// Where the store's commits are made.
const TARGET: &str = "syncline_store::commit";

/// A step of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Dots,
    Digests,
    Sketch,
    Removals,
}

impl Step {
    const ALL: [Self; 4] = [Self::Dots, Self::Digests, Self::Sketch, Self::Removals];

    fn name(self) -> &'static str {
        match self {
            Self::Dots => "dots",
            Self::Digests => "digests",
            Self::Sketch => "sketch",
            Self::Removals => "removals",
        }
    }
}

/// A subscriber that adds up the processor time of the steps, of one thread.
#[derive(Clone, Default)]
pub(super) struct Steps(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    spent: [Duration; Step::ALL.len()],
    entered: Option<Duration>,
}

impl Steps {
    /// What a step has taken since this was made.
    pub(super) fn spent(&self, step: Step) -> Duration {
        self.state().spent[step as usize]
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Steps {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == TARGET && step(metadata.name()).is_some()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        // Which step it is says all there is to say. Ids begin with 1.
        let step = step(span.metadata().name()).map_or(0, |step| step as u64);
        Id::from_u64(step + 1)
    }

    fn enter(&self, _span: &Id) {
        self.state().entered = Some(cpu::of_thread());
    }

    fn exit(&self, span: &Id) {
        let now = cpu::of_thread();
        let mut state = self.state();
        if let Some(entered) = state.entered.take()
            && let Some(spent) = state.spent.get_mut(span.into_u64() as usize - 1)
        {
            *spent += now.saturating_sub(entered);
        }
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, _event: &Event<'_>) {}
}

fn step(name: &str) -> Option<Step> {
    Step::ALL.into_iter().find(|step| step.name() == name)
}
