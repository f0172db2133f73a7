//! Figures of earlier runs to hold later ones against.
//!
//! A file holds any number of workloads. A workload's name has all its settings in it, so only like is compared with like.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::args::Baseline;
use crate::failure::{Doing, Failure, Reason};
use crate::table::{Align, Table};

/// Figures that can be compared with those of another run.
pub(super) trait Measured: Serialize + Display {
    /// What was run, with all settings that decide what comes out.
    fn workload(&self) -> String;

    fn measures(&self) -> Vec<Measure>;
}

/// One of the figures.
pub(super) struct Measure {
    name: String,
    value: f64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The same in every run, or nearly; less is better.
    Counted,
    /// Time; less is better.
    Timed,
    /// Something per time; more is better.
    Rate,
}

impl Measure {
    pub(super) fn counted(name: impl Into<String>, value: f64) -> Self {
        let (name, kind) = (name.into(), Kind::Counted);
        Self { name, value, kind }
    }

    pub(super) fn timed(name: impl Into<String>, value: f64) -> Self {
        let (name, kind) = (name.into(), Kind::Timed);
        Self { name, value, kind }
    }

    pub(super) fn rate(name: impl Into<String>, value: f64) -> Self {
        let (name, kind) = (name.into(), Kind::Rate);
        Self { name, value, kind }
    }

    /// Whether it is worse than it was by more than is allowed, in percent.
    fn is_worse(&self, then: f64, baseline: &Baseline) -> bool {
        let allowed = |percent: f64| 1.0 + percent / 100.0;
        match self.kind {
            Kind::Counted => self.value > then * allowed(baseline.tolerance),
            Kind::Timed => self.value > then * allowed(baseline.time_tolerance),
            Kind::Rate => self.value * allowed(baseline.time_tolerance) < then,
        }
    }
}

/// The measures of each workload.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Saved(BTreeMap<String, BTreeMap<String, f64>>);

impl Saved {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read(path).doing(|| format!("cannot read {}", path.display()))?;
        let saved = serde_json::from_slice(&text);
        saved.map_err(|error| {
            let text = format!("{} holds no figures: {error}", path.display());
            Failure::new(Reason::BadInput, text)
        })
    }
}

/// Saves the figures and holds them against saved ones, as asked for. To be called when they have been printed.
pub(super) fn keep<M: Measured>(
    figures: &M,
    json: bool,
    baseline: &Baseline,
) -> Result<(), Failure> {
    let measures = figures.measures();
    // Read before anything is saved: both may be the same file.
    let compared = match &baseline.compare {
        None => None,
        Some(path) => {
            let mut saved = Saved::read(path)?;
            let then = saved.0.remove(&figures.workload()).ok_or_else(|| {
                Failure::failed(format!(
                    "{} holds no run of {}; make one with --save",
                    path.display(),
                    figures.workload()
                ))
            })?;
            Some(compare(&measures, &then, baseline))
        }
    };
    if let Some(path) = &baseline.save {
        let mut saved = match path.exists() {
            true => Saved::read(path)?,
            false => Saved::default(),
        };
        let values = measures.iter();
        let values = values.map(|measure| (measure.name.clone(), measure.value));
        saved.0.insert(figures.workload(), values.collect());
        let saving = || format!("cannot write {}", path.display());
        let text = serde_json::to_string_pretty(&saved).doing(saving)?;
        std::fs::write(path, text + "\n").doing(saving)?;
    }
    let Some(compared) = compared else {
        return Ok(());
    };
    if json {
        let text = serde_json::to_string(&compared);
        println!(
            "{}",
            text.doing(|| "cannot print the comparison".to_owned())?
        );
    } else {
        print!("{compared}");
    }
    let worse: Vec<&str> = compared
        .baseline
        .iter()
        .filter(|line| line.worse)
        .map(|line| line.measure)
        .collect();
    match worse.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(
            Reason::Differs,
            format!("worse than before: {}", worse.join(", ")),
        )),
    }
}

/// What there was and what there is.
#[derive(Serialize)]
struct Compared<'m> {
    baseline: Vec<Line<'m>>,
}

#[derive(Serialize)]
struct Line<'m> {
    measure: &'m str,
    then: f64,
    now: f64,
    /// None where there was nothing and now is something.
    ratio: Option<f64>,
    worse: bool,
}

fn compare<'m>(
    measures: &'m [Measure],
    then: &BTreeMap<String, f64>,
    baseline: &Baseline,
) -> Compared<'m> {
    let line = |measure: &'m Measure| {
        // What an earlier version did not measure cannot have become worse.
        let then = *then.get(&measure.name)?;
        let ratio = measure.value / then;
        Some(Line {
            measure: &measure.name,
            then,
            now: measure.value,
            ratio: match then == measure.value {
                true => Some(1.0),
                false => Some(ratio).filter(|ratio| ratio.is_finite()),
            },
            worse: measure.is_worse(then, baseline),
        })
    };
    Compared {
        baseline: measures.iter().filter_map(line).collect(),
    }
}

impl Display for Compared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&[
            ("against the baseline", Align::Left),
            ("then", Align::Right),
            ("now", Align::Right),
            ("ratio", Align::Right),
            ("", Align::Left),
        ]);
        for line in &self.baseline {
            table.row([
                line.measure.to_owned(),
                line.then.to_string(),
                line.now.to_string(),
                line.ratio
                    .map_or(String::new(), |ratio| format!("{ratio:.2}")),
                if line.worse { "worse" } else { "" }.to_owned(),
            ]);
        }
        write!(f, "{table}")
    }
}
