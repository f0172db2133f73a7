//! What the demo loads: the Unicode Character Database, which the program carries, or a file of the user's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::args::{Demo, Format};
use crate::failure::{Doing, Failure, Reason};
use crate::records::{self, Record, RecordError};

/// See `data/README.md` for where it comes from and `data/LICENSE-UNICODE` for its licence.
const UNICODE: &[u8] = include_bytes!("../../data/unicode.tsv");

/// With fewer, the edits would have nothing left to choose from.
const FEWEST: usize = 100;
/// The demo keeps its own account of every operation in memory.
const MOST: usize = 1_000_000;

/// Columns whose values become sets and counters: at most this many values, or each set would hold next to nothing.
const MOST_GROUPS: usize = 200;

/// Records as text, which is what the demo's own account is kept in.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// What to call it in the report.
    pub(crate) title: String,
    pub(crate) records: Vec<TextRecord>,
    /// One or two columns by whose values records are gathered in sets.
    pub(crate) groupings: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct TextRecord {
    pub(crate) key: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl TextRecord {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Dataset {
    /// The data set that the arguments name.
    pub(crate) fn load(demo: &Demo) -> Result<Self, Failure> {
        match &demo.input {
            None => Self::unicode(),
            Some(path) => Self::file(path, demo.format, demo.key.as_deref()),
        }
    }

    fn unicode() -> Result<Self, Failure> {
        let records = read(UNICODE, Format::Tsv, None, "the Unicode data")?;
        Ok(Self {
            title: "the Unicode Character Database 15.0".to_owned(),
            records,
            groupings: vec!["category".to_owned(), "script".to_owned()],
        })
    }

    fn file(path: &Path, format: Option<Format>, key: Option<&str>) -> Result<Self, Failure> {
        let title = path.display().to_string();
        let format = format.or_else(|| Format::of(path)).ok_or_else(|| {
            let text = format!("the name of {title} does not tell its format; add --format");
            Failure::new(Reason::Usage, text)
        })?;
        let file = File::open(path).doing(|| format!("cannot open {title}"))?;
        let records = read(BufReader::new(file), format, key, &title)?;
        if records.len() < FEWEST {
            let text = format!(
                "{title} has {} records, and the demo needs {FEWEST} or more; choose a larger file",
                records.len()
            );
            return Err(Failure::new(Reason::BadInput, text));
        }
        let groupings = groupings(&records);
        Ok(Self {
            title,
            records,
            groupings,
        })
    }
}

fn read(
    input: impl BufRead,
    format: Format,
    key: Option<&str>,
    title: &str,
) -> Result<Vec<TextRecord>, Failure> {
    let malformed = |error: RecordError| {
        let text = format!("{title}:{}: {error}", error.line());
        Failure::new(Reason::BadInput, text)
    };
    let mut all: Vec<TextRecord> = Vec::new();
    for record in records::read(input, format, key).map_err(malformed)? {
        let record = record.map_err(malformed)?;
        if all.len() == MOST {
            let text = format!("{title} has more than {MOST} records; give the demo a part of it");
            return Err(Failure::new(Reason::BadInput, text));
        }
        let line = record.line;
        all.push(text_record(record).ok_or_else(|| {
            let text = format!("{title}:{line}: the record is not UTF-8; convert the file, or use `syncline import`, which takes any bytes");
            Failure::new(Reason::BadInput, text)
        })?);
    }
    Ok(all)
}

fn text_record(record: Record) -> Option<TextRecord> {
    let text = |bytes| String::from_utf8(bytes).ok();
    let fields = record.fields.into_iter();
    Some(TextRecord {
        key: text(record.key)?,
        fields: fields
            .map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect::<Option<_>>()?,
    })
}

/// The two columns that divide the records into the most groups, but not too many.
fn groupings(records: &[TextRecord]) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for record in records {
        for (name, value) in &record.fields {
            let seen = values.entry(name).or_default();
            // One more than allowed is enough to know that there are too many.
            if seen.len() <= MOST_GROUPS {
                *seen.entry(value).or_default() += 1;
            }
        }
    }
    let mut fit: Vec<(usize, &str)> = values
        .iter()
        .filter(|(_, seen)| (2..=MOST_GROUPS).contains(&seen.len()))
        .map(|(name, seen)| (seen.len(), *name))
        .collect();
    fit.sort_unstable();
    fit.iter()
        .rev()
        .take(2)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn the_data_set_that_is_shipped_is_large_enough_and_whole() {
        let dataset = Dataset::unicode().unwrap();
        assert_eq!(dataset.records.len(), 34_924);
        assert!(UNICODE.len() < 4_000_000);
        let letter = dataset
            .records
            .iter()
            .find(|record| record.key == "00E9")
            .unwrap();
        assert_eq!(
            letter.field("name"),
            Some("LATIN SMALL LETTER E WITH ACUTE")
        );
        assert_eq!(letter.field("category"), Some("Ll"));
        assert_eq!(letter.field("script"), Some("Latin"));
        assert_eq!(letter.field("numeric"), None);
    }

    #[test]
    fn columns_with_few_values_become_groups() {
        let csv: String = (0..500)
            .map(|n| format!("{n},{},{},x\n", n % 3, n % 7))
            .collect();
        let csv = format!("id,three,seven,one\n{csv}");
        let records = read(csv.as_bytes(), Format::Csv, None, "x").unwrap();
        assert_eq!(groupings(&records), ["seven", "three"]);
    }
}
