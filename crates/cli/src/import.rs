//! `syncline import`: records into a namespace, batch by batch.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use syncline::{Namespace, Transaction};
use syncline_crdt::limits::{MAX_FIELD, MAX_KEY, MAX_VALUE};

use crate::args::{Format, Import};
use crate::failure::{Doing, Failure, Reason, chain};
use crate::home;
use crate::lines::{self, Content, Item};
use crate::progress::Progress;
use crate::records::{self, JsonLines, RecordError};
use crate::table::count;

/// A batch is also full at this size, so that a transaction stays small in memory whatever the records are.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_ROWS: usize = 50_000;
/// What a single line may hold. `export` stays far below.
const LINE_ROWS: usize = 500_000;

/// What has been done so far.
#[derive(Clone, Copy, Default)]
struct Tally {
    records: u64,
    /// Rows written, and rows that held the same already.
    written: u64,
    unchanged: u64,
}

pub(crate) async fn run(arguments: &Import) -> Result<(), Failure> {
    let source = match arguments.reads_standard_input() {
        true => "standard input".to_owned(),
        false => arguments.file.display().to_string(),
    };
    let (input, progress) = open(arguments, &source)?;
    let node = home::open(&arguments.place.home).await?;
    let namespace = node
        .namespace(&arguments.place.namespace)
        .doing(|| "cannot open the namespace".to_owned())?;
    let mut tally = Tally::default();
    let outcome = import(arguments, &source, input, &namespace, &mut tally).await;
    drop(progress);
    home::close(node).await?;
    match outcome {
        Ok(()) => {
            print(arguments, &tally);
            Ok(())
        }
        Err(failure) => {
            let stay = match tally.records {
                0 => "nothing was imported".to_owned(),
                records => format!(
                    "{} records before it were imported and stay",
                    count(records)
                ),
            };
            let text = format!("{failure}; {stay}, correct it and import again");
            Err(Failure::new(failure.reason, text))
        }
    }
}

fn print(arguments: &Import, tally: &Tally) {
    if arguments.json {
        println!(
            "{}",
            json!({
                "records": tally.records,
                "rows_written": tally.written,
                "rows_unchanged": tally.unchanged,
            })
        );
    } else {
        println!(
            "imported {} records into {}: {} rows written, {} held the same already",
            count(tally.records),
            arguments.place.namespace,
            count(tally.written),
            count(tally.unchanged),
        );
    }
}

fn open(arguments: &Import, source: &str) -> Result<(Box<dyn BufRead>, Progress), Failure> {
    if arguments.reads_standard_input() {
        let progress = Progress::stream("importing");
        return Ok((
            Box::new(BufReader::new(progress.reading(stdin()))),
            progress,
        ));
    }
    let file = File::open(&arguments.file).doing(|| format!("cannot open {source}"))?;
    let length = file
        .metadata()
        .doing(|| format!("cannot open {source}"))?
        .len();
    let progress = Progress::bytes("importing", length);
    Ok((Box::new(BufReader::new(progress.reading(file))), progress))
}

async fn import(
    arguments: &Import,
    source: &str,
    input: Box<dyn BufRead>,
    namespace: &Namespace,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let malformed = |error: RecordError| {
        let text = format!("{source}:{}: {error}", error.line());
        Failure::new(Reason::BadInput, text)
    };
    let mut batch = Batch::default();
    for item in items(arguments, input).map_err(malformed)? {
        let (line, mut item) = item.map_err(malformed)?;
        if !arguments.prefix.is_empty() {
            item.key = [arguments.prefix.as_bytes(), &item.key].concat();
        }
        check(line, &item).map_err(malformed)?;
        batch.push(line, item);
        if batch.is_full(arguments.batch as usize) {
            apply(std::mem::take(&mut batch), source, namespace, tally).await?;
        }
    }
    apply(batch, source, namespace, tally).await
}

type Items = Box<dyn Iterator<Item = Result<(u64, Item), RecordError>>>;

/// What the input holds, with line numbers: records of named columns, or what `export` printed.
fn items(arguments: &Import, input: Box<dyn BufRead>) -> Result<Items, RecordError> {
    // The arguments were validated, so the format is known.
    let format = arguments.format().unwrap_or(Format::Jsonl);
    if format == Format::Jsonl && arguments.key.is_none() {
        let objects = JsonLines::new(input);
        return Ok(Box::new(objects.map(|object| {
            let (line, object) = object?;
            Ok((line, lines::parse(line, object)?))
        })));
    }
    let records = records::read(input, format, arguments.key.as_deref())?;
    Ok(Box::new(records.map(|record| {
        let record = record?;
        Ok((record.line, record.into()))
    })))
}

/// The store would refuse it too, but could not name the line.
fn check(line: u64, item: &Item) -> Result<(), RecordError> {
    let within = |what: &str, found: usize, limit: usize| match found <= limit {
        true => Ok(()),
        false => Err(RecordError::TooLarge {
            line,
            what: what.to_owned(),
            found,
            limit,
        }),
    };
    within("the key", item.key.len(), MAX_KEY)?;
    let rows = item.content.rows();
    if rows > LINE_ROWS {
        let text = format!(
            "the line has {rows} fields or members, and the limit is {LINE_ROWS}; split it"
        );
        return Err(RecordError::Line { line, text });
    }
    match &item.content {
        Content::Value(value) => within("the value", value.len(), MAX_VALUE),
        Content::Fields(fields) => fields.iter().try_for_each(|(field, value)| {
            within("the name of a field", field.len(), MAX_FIELD)?;
            within(
                &format!("field \"{}\"", field.escape_ascii()),
                value.len(),
                MAX_VALUE,
            )
        }),
        Content::Members(members) => members
            .iter()
            .try_for_each(|member| within("a member", member.len(), MAX_FIELD)),
        Content::Scores(scores) => scores
            .iter()
            .try_for_each(|(member, _)| within("a member", member.len(), MAX_FIELD)),
    }
}

/// What one transaction is to take.
#[derive(Default)]
struct Batch {
    items: Vec<(u64, Item)>,
    rows: usize,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, line: u64, item: Item) {
        self.rows += item.content.rows();
        self.bytes += item.key.len() + item.content.bytes();
        self.items.push((line, item));
    }

    fn is_full(&self, most: usize) -> bool {
        self.items.len() >= most || self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

async fn apply(
    batch: Batch,
    source: &str,
    namespace: &Namespace,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let records = batch.items.len() as u64;
    if records == 0 {
        return Ok(());
    }
    // Where the transaction is, so that its error can be told with the line.
    let at = Arc::new(AtomicU64::new(0));
    let reached = Arc::clone(&at);
    let applied = namespace.transaction(move |transaction| {
        let mut changes = (0, 0);
        for (line, item) in &batch.items {
            reached.store(*line, Ordering::Relaxed);
            write(transaction, item, &mut changes)?;
        }
        reached.store(0, Ordering::Relaxed);
        Ok(changes)
    });
    let (written, unchanged) = applied
        .await
        .map_err(|error| match at.load(Ordering::Relaxed) {
            0 => Failure::caused(format!("{source}: a batch was not written"), &error),
            line => Failure::new(
                Reason::BadInput,
                format!("{source}:{line}: {}", chain(&error)),
            ),
        })?;
    tally.records += records;
    tally.written += written;
    tally.unchanged += unchanged;
    Ok(())
}

/// Writes what is not there already, so that a second import costs no rows and settles no conflict that it knows nothing of.
fn write(
    transaction: &mut Transaction<'_>,
    item: &Item,
    (written, unchanged): &mut (u64, u64),
) -> Result<(), syncline::Error> {
    let mut tally = |same: bool| *(if same { &mut *unchanged } else { &mut *written }) += 1;
    match &item.content {
        Content::Value(value) => {
            // A map or a set under the key is no reason to read it as a value, but `put` replaces it.
            let is_value = transaction.kind(&item.key)? == Some(syncline::Kind::Value);
            let same = is_value && transaction.get(&item.key)?.as_ref() == Some(value);
            if !same {
                transaction.put(&item.key, value)?;
            }
            tally(same);
        }
        Content::Fields(fields) => {
            let mut map = transaction.map(&item.key);
            for (field, value) in fields {
                let same = map.get(field)?.as_ref() == Some(value);
                if !same {
                    map.set(field, value)?;
                }
                tally(same);
            }
        }
        Content::Members(members) => {
            let mut set = transaction.set(&item.key);
            for member in members {
                let same = set.contains(member)?;
                if !same {
                    set.insert(member)?;
                }
                tally(same);
            }
        }
        Content::Scores(scores) => {
            let mut set = transaction.sorted_set(&item.key);
            for (member, score) in scores {
                let same = set.score(member)? == Some(score.get());
                if !same {
                    set.insert(member, score.get())?;
                }
                tally(same);
            }
        }
    }
    Ok(())
}
