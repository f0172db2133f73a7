//! `syncline sim plot`: pictures of what `syncline sim --json` has printed.

mod svg;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::args::{Axis, Plot};
use crate::failure::{Doing, Failure, Reason};
use svg::{Chart, Line};

pub(super) fn plot(arguments: &Plot) -> Result<(), Failure> {
    let mut figures = Vec::new();
    for path in &arguments.input {
        figures.extend(read(path)?);
    }
    let chart = chart(&figures, arguments)?;
    fs::write(&arguments.output, chart.to_string())
        .doing(|| format!("cannot write {}", arguments.output.display()))
}

/// All JSON objects of a file, however many runs were appended to it.
fn read(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path).doing(|| format!("cannot read {}", path.display()))?;
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let values = values
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Failure::new(Reason::BadInput, format!("{}: {error}", path.display())))?;
    let each = values.into_iter().flat_map(|value| match value {
        Value::Array(values) => values,
        value => vec![value],
    });
    Ok(each.collect())
}

fn chart(figures: &[Value], arguments: &Plot) -> Result<Chart, Failure> {
    let (x, y) = (arguments.x.field(), arguments.y.as_str());
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for figure in figures {
        let number = |name: &str| figure.get(name).and_then(Value::as_f64);
        let (Some(at), Some(value)) = (number(x), number(y)) else {
            let text = format!("the input has an object without numbers {x:?} and {y:?}");
            return Err(Failure::new(Reason::BadInput, text));
        };
        let of = |name: &String| match figure.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => format!("{name} {value}"),
            None => String::new(),
        };
        let name: Vec<String> = arguments.by.iter().map(of).collect();
        lines.entry(name.join(", ")).or_default().push((at, value));
    }
    if lines.is_empty() {
        return Err(Failure::new(Reason::BadInput, "the input has no figures"));
    }
    let lines = lines.into_iter().map(|(name, mut points)| {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Line { name, points }
    });
    Ok(Chart {
        title: arguments.title.clone(),
        x: arguments.x.label().to_owned(),
        y: arguments
            .label
            .clone()
            .unwrap_or_else(|| y.replace('_', " ")),
        is_x_logarithmic: arguments.x == Axis::Nodes,
        lines: lines.collect(),
    })
}
