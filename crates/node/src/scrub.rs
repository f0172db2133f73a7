//! Scrubs of a namespace: asked for, or again and again in the background.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_store::{Pace, Scrub, ScrubRate, ScrubReport, Step};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::blocking;
use crate::core::Core;
use crate::error::Error;
use crate::namespace::Namespace;
use crate::replica::Replica;

/// How often a scrub remembers how far it has come.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// How long the scrub in the background waits before it looks again whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Is shown how far a scrub has come.
type Progress = Arc<dyn Fn(&ScrubReport) + Send + Sync>;

/// How to scrub. The default goes on where the last scrub was left, at [`ScrubRate::default`].
#[derive(Clone, Default)]
pub struct ScrubOptions {
    rate: ScrubRate,
    from_start: bool,
    progress: Option<Progress>,
}

impl ScrubOptions {
    /// Reads no more than this in a second.
    #[must_use]
    pub fn rate(mut self, rate: ScrubRate) -> Self {
        self.rate = rate;
        self
    }

    /// Begins at the beginning, wherever the last scrub was left.
    #[must_use]
    pub fn from_start(mut self) -> Self {
        self.from_start = true;
        self
    }

    /// Is told after each step how far the scrub has come.
    #[must_use]
    pub fn on_progress(mut self, told: impl Fn(&ScrubReport) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }
}

impl fmt::Debug for ScrubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrubOptions")
            .field("rate", &self.rate)
            .field("from_start", &self.from_start)
            .finish_non_exhaustive()
    }
}

/// Looking after what is stored.
impl Namespace {
    /// Reads everything that is stored at a bounded rate, checks it, and mends what it can: a damaged row is withdrawn, so
    /// that the next sync fetches it from a peer; until then it reads as absent. Digests, indexes and logs are made anew
    /// from the rows. Reads, writes and syncs go on meanwhile.
    ///
    /// How far it has come is remembered, for the next one to go on from, when the future is dropped or the node shut down.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use syncline::{Node, ScrubOptions};
    ///
    /// let app = Node::in_memory().await?.namespace("app")?;
    /// app.put("motto", "merge, do not fork").await?;
    /// let report = app.scrub(&ScrubOptions::default()).await?;
    /// assert!(report.is_clean());
    /// assert_eq!(report.rows, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] with [`StoreError::Irreparable`](crate::StoreError::Irreparable) when a row is damaged and nothing
    /// tells what it held; the namespace is served no more then. See also [`Namespace`].
    pub async fn scrub(&self, options: &ScrubOptions) -> Result<ScrubReport, Error> {
        scrub(&self.replica(), options).await
    }
}

async fn scrub(replica: &Replica, options: &ScrubOptions) -> Result<ScrubReport, Error> {
    let began = Instant::now();
    let mut pace = Pace::new(options.rate);
    let mut scrub = options.from_start.then(Scrub::new);
    let mut saved = began;
    loop {
        let saves = saved.elapsed() >= SAVE_EVERY;
        if saves {
            saved = Instant::now();
        }
        let (gone_on, step) = step(replica, scrub.take(), pace.step(), saves).await?;
        if let Some(told) = &options.progress {
            told(gone_on.report());
        }
        if step.finished {
            replica.worked().scrubs.add(1);
            replica.worked().damage.add(gone_on.report().damage_count);
            return Ok(gone_on.report().clone());
        }
        scrub = Some(gone_on);
        let pause = pace.after(began.elapsed(), step.entries, step.bytes);
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

/// The replica is not held between steps, so that a shutdown waits for none but the one under way.
async fn step(
    replica: &Replica,
    scrub: Option<Scrub>,
    (max_entries, max_bytes): (usize, usize),
    saves: bool,
) -> Result<(Scrub, Step), Error> {
    let open = replica.open().await?;
    blocking(move || {
        let mut scrub = match scrub {
            Some(scrub) => scrub,
            None => Scrub::resume(&open.store)?,
        };
        let stepped = scrub.step(&open.store, max_entries, max_bytes);
        let step = stepped.and_then(|step| {
            if saves && !step.finished {
                scrub.save(&open.store)?;
            }
            Ok(step)
        });
        if step.is_err() {
            open.writer.look_after(&open.store);
        }
        Ok((scrub, step?))
    })
    .await
}

/// How the node scrubs by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScrubPlan {
    /// From the end of a namespace's scrub to the beginning of its next.
    pub(crate) every: Duration,
    /// Of all namespaces together, which take turns.
    pub(crate) rate: ScrubRate,
}

/// The scrub in the background, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Scrubbing(Option<JoinHandle<()>>);

impl Scrubbing {
    pub(crate) fn start(core: &Arc<Core>) -> Self {
        let plan = core.settings.scrub;
        Self(plan.map(|plan| tokio::spawn(keep_scrubbing(core.clone(), plan))))
    }

    /// Begins no further step.
    pub(crate) fn stop(&self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Drop for Scrubbing {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn keep_scrubbing(core: Arc<Core>, plan: ScrubPlan) {
    let options = ScrubOptions::default().rate(plan.rate);
    loop {
        for (namespace, replica) in core.carried() {
            let outcome = match is_due(&core, &replica, plan.every).await {
                Ok(false) => continue,
                Ok(true) => scrub(&replica, &options).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(report) if report.is_clean() => {
                    tracing::info!(namespace, rows = report.rows, "scrubbed, all is well");
                }
                Ok(report) => tracing::warn!(
                    namespace,
                    rows = report.rows,
                    damage = report.damage_count,
                    withdrawn = report.withdrawn.rows,
                    "scrubbed, damage was found; the next sync will fetch what was withdrawn"
                ),
                Err(error) => {
                    tracing::error!(namespace, %error, "the scrub failed and will be tried again");
                }
            }
        }
        sleep(LOOK_EVERY.min(plan.every)).await;
    }
}

/// Whether so much time has passed since the namespace was last scrubbed, by the wall clock: the node may have been started
/// since. A clock that was set back makes it due.
async fn is_due(core: &Core, replica: &Replica, every: Duration) -> Result<bool, Error> {
    let open = replica.open().await?;
    let last = blocking(move || Ok(Scrub::last_finished_ms(&open.store)?)).await?;
    let now = core.settings.environment.wall_ms();
    let Some(since) = last.and_then(|last| now.checked_sub(last)) else {
        return Ok(true);
    };
    Ok(u128::from(since) >= every.as_millis())
}
