//! One replica of the demo: a process of its own around a real node, doing what its standard input says.
//!
//! It ends when its input ends, so that it never outlives its parent.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use syncline::ops::ReadRows;
use syncline::{Error, Kind, MemberState, Namespace, Node, Transaction, View};
use syncline_crdt::RowKey;
use syncline_crdt::cell::Cell;
use syncline_sync::quic::Limits;
use tokio::sync::mpsc;

use super::log::{self, Operation, Place, Stamp, journal_field, journal_key};
use super::protocol::{Answer, Order, Session, Shown};
use crate::args::DemoReplica;
use crate::by_kind::BytesByKind;
use crate::failure::{Doing, Failure, chain};

/// The namespace of the demo.
pub(crate) const NAMESPACE: &str = "demo";

/// A cut link is to be noticed soon; it is on one machine that nobody is slow.
const CONNECT: Duration = Duration::from_secs(2);

struct Replica {
    name: String,
    node: Node,
    namespace: Namespace,
    /// The last transaction applied, as the transactions themselves see it.
    applied: Arc<AtomicU64>,
}

pub(crate) async fn run(arguments: &DemoReplica) -> Result<(), Failure> {
    let outcome = serve(arguments).await;
    if let Err(failure) = &outcome {
        say(&Answer::Failed {
            error: failure.to_string(),
        })?;
    }
    outcome
}

async fn serve(arguments: &DemoReplica) -> Result<(), Failure> {
    let mut replica = Replica::start(arguments).await?;
    let mut orders = lines_of_standard_input();
    while let Some(line) = orders.recv().await {
        let order = serde_json::from_str(&line).doing(|| "cannot make out an order".to_owned())?;
        if let Order::Close = order {
            break;
        }
        let answer = replica.carry_out(order).await?;
        say(&answer)?;
    }
    crate::home::close(replica.node).await?;
    say(&Answer::Done)
}

/// Orders are waited for on a thread of their own: the runtime has but one, which has to serve peers meanwhile.
fn lines_of_standard_input() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        // Input that cannot be read has ended as far as anybody here can tell.
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn say(answer: &Answer) -> Result<(), Failure> {
    let mut output = stdout().lock();
    serde_json::to_writer(&mut output, answer).doing(|| "cannot print an answer".to_owned())?;
    output
        .write_all(b"\n")
        .and_then(|()| output.flush())
        .doing(|| "cannot print an answer".to_owned())
}

impl Replica {
    async fn start(arguments: &DemoReplica) -> Result<Self, Failure> {
        let mut limits = Limits::default();
        limits.connect = CONNECT;
        let mut node = Node::builder()
            .data_dir(&arguments.data)
            .listen(arguments.listen.to_string())
            .carry(NAMESPACE)
            .limits(limits);
        if let Some(address) = arguments.advertise {
            node = node.advertise(address.to_string());
        }
        if let Some(member) = arguments.join {
            node = node.join(member);
        }
        let node = node
            .start()
            .await
            .doing(|| "cannot start the node".to_owned())?;
        let namespace = node
            .namespace(NAMESPACE)
            .doing(|| "cannot open the namespace".to_owned())?;
        let opening = Instant::now();
        let count = namespace.count().await;
        count.doing(|| "cannot open the namespace".to_owned())?;
        let opened_ms = opening.elapsed().as_secs_f64() * 1e3;
        let replica = Self {
            name: arguments.name.clone(),
            namespace,
            applied: Arc::new(AtomicU64::new(0)),
            node,
        };
        let landed = replica.journal().await?;
        let last = landed.last().map_or(0, |(number, _)| *number);
        replica.applied.store(last, Ordering::SeqCst);
        let address = replica
            .node
            .local_addr()
            .ok_or_else(|| Failure::failed("the node does not listen"))?;
        say(&Answer::Ready {
            node: replica.node.id().to_string(),
            address,
            opened_ms,
        })?;
        Ok(replica)
    }

    async fn carry_out(&mut self, order: Order) -> Result<Answer, Failure> {
        match order {
            Order::Apply {
                transactions,
                window,
            } => self.apply(transactions, window).await,
            Order::Sync { peer } => Ok(match self.node.sync_with(peer.to_string()).await {
                Ok(report) => match report.namespaces.get(NAMESPACE) {
                    Some(report) => Answer::Synced(Box::new(session(report))),
                    None => Answer::NotSynced {
                        error: "the peer does not carry the namespace".to_owned(),
                    },
                },
                Err(error) => Answer::NotSynced {
                    error: chain(&error),
                },
            }),
            Order::Journal => Ok(Answer::Journal {
                landed: self.journal().await?,
            }),
            Order::Root => {
                let root = self.namespace.read(|view| {
                    Ok(Answer::Root {
                        digest: view.root()?.to_string(),
                        rows: view.row_count(),
                        keys: view.count()?,
                    })
                });
                root.await
                    .doing(|| "cannot read the root digest".to_owned())
            }
            Order::Dump { path } => {
                let dumped = self.namespace.read(move |view| Ok(dump(view, &path)));
                dumped
                    .await
                    .doing(|| "cannot read the state".to_owned())??;
                Ok(Answer::Dumped)
            }
            Order::Put { key, value } => {
                let put = self.namespace.put(key, value).await;
                put.doing(|| "cannot write".to_owned())?;
                Ok(Answer::Done)
            }
            Order::Await { key, value } => {
                let seen = self.see(&key, value.as_bytes()).await;
                seen.doing(|| "cannot watch".to_owned())?;
                Ok(Answer::Done)
            }
            Order::Members => {
                let members = self.node.members().await;
                let members = members.doing(|| "cannot tell the members".to_owned())?;
                let state = |state| match state {
                    MemberState::Alive => "alive",
                    MemberState::Suspect => "suspect",
                    MemberState::Down => "down",
                    MemberState::Left => "left",
                };
                let states = members
                    .iter()
                    .map(|member| (member.node.to_string(), state(member.state).to_owned()));
                Ok(Answer::Members {
                    states: states.collect(),
                })
            }
            Order::Close => Ok(Answer::Done),
        }
    }

    /// Waits until a key shows this value.
    async fn see(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        let mut watch = self.namespace.watch(key).await?;
        while self.namespace.get(key).await?.as_deref() != Some(value) {
            watch.next().await?;
        }
        Ok(())
    }

    /// Applies transactions, a few at a time so that they share commits, and acknowledges each once a kill cannot lose it.
    async fn apply(
        &mut self,
        transactions: Vec<log::Transaction>,
        window: usize,
    ) -> Result<Answer, Failure> {
        let mut waiting = transactions.into_iter();
        let mut under_way = VecDeque::new();
        loop {
            while under_way.len() < window.max(1)
                && let Some(transaction) = waiting.next()
            {
                let number = transaction.number;
                let applied = Arc::clone(&self.applied);
                let journal = RowKey::field(
                    journal_key(&self.name).as_bytes(),
                    journal_field(number).as_bytes(),
                );
                let namespace = self.namespace.clone();
                // Tasks of this single-threaded runtime begin in the order they were spawned, and the namespace's writer
                // takes transactions in the order they come. Should either ever change, the transaction itself notices.
                let task = tokio::spawn(async move {
                    let body = move |writing: &mut Transaction<'_>| {
                        if applied.load(Ordering::SeqCst) + 1 != number {
                            return Err(Error::abort("the transaction came out of turn"));
                        }
                        for operation in &transaction.operations {
                            perform(writing, operation)?;
                        }
                        let stamp = stamp_of(writing, &journal)?;
                        applied.store(number, Ordering::SeqCst);
                        Ok(stamp)
                    };
                    namespace.transaction(body).await
                });
                under_way.push_back((number, task));
            }
            let Some((number, task)) = under_way.pop_front() else {
                return Ok(Answer::Done);
            };
            let stamp = task
                .await
                .doing(|| format!("transaction {number} was cut short"))?
                .doing(|| format!("transaction {number} failed"))?;
            say(&Answer::Applied { number, stamp })?;
        }
    }

    /// The transactions that took place, in order, as the journal has them.
    async fn journal(&self) -> Result<Vec<(u64, Stamp)>, Failure> {
        let key = journal_key(&self.name);
        let landed = self.namespace.read(move |view| {
            let mut landed = Vec::new();
            for entry in view.map(&key).fields()? {
                let (field, _) = entry?;
                let number = std::str::from_utf8(&field)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let number =
                    number.ok_or_else(|| Error::abort("an entry of the journal has no number"))?;
                landed.push((
                    number,
                    stamp_of(view, &RowKey::field(key.as_bytes(), &field))?,
                ));
            }
            Ok(landed)
        });
        landed.await.doing(|| "cannot read the journal".to_owned())
    }
}

/// The stamp and writer of a row that only one replica writes.
fn stamp_of(rows: &impl ReadRows, key: &RowKey) -> Result<Stamp, Error> {
    let row = rows.row(key)?;
    let sibling = row.iter().next();
    let sibling = sibling.ok_or_else(|| Error::abort("an entry of the journal is missing"))?;
    Ok(Stamp {
        clock: sibling.stamp.as_u64(),
        writer: sibling.dot.replica.to_string(),
    })
}

fn perform(writing: &mut Transaction<'_>, operation: &Operation) -> Result<(), Error> {
    match operation {
        Operation::Set { key, value } => writing.register(key).set(value)?,
        Operation::Increment { key, by } => {
            writing.counter(key).add(*by)?;
        }
        Operation::Add { key, member } => {
            writing.set(key).insert(member)?;
        }
        Operation::Remove { key, member } => {
            writing.set(key).remove(member)?;
        }
        Operation::SetField { key, field, value } => {
            writing.map(key).set(field, value)?;
        }
        Operation::IncrementField { key, field, by } => {
            writing.map(key).increment(field, *by)?;
        }
        Operation::RemoveField { key, field } => {
            writing.map(key).remove(field)?;
        }
        Operation::Delete { key } => {
            writing.delete(key)?;
        }
    }
    Ok(())
}

fn session(report: &syncline_sync::Report) -> Session {
    Session {
        round_trips: report.round_trips(),
        rows_sent: report.rows_sent,
        rows_received: report.rows_received,
        user_bytes: report.user_bytes_sent + report.user_bytes_received,
        ranges_compared: report.ranges_compared,
        bytes: BytesByKind::of(report),
        full_copy_bytes: report.full_copy_bytes,
        elapsed_ms: report.elapsed_ms,
        agreed: report.agreed,
    }
}

/// Writes everything that readers see to a file.
fn dump(view: &View, path: &Path) -> Result<(), Failure> {
    let reading = || "cannot read the state".to_owned();
    let writing = || format!("cannot write {}", path.display());
    let mut output = BufWriter::new(File::create(path).doing(writing)?);
    let mut show = |key: &[u8], place: Place, value: Vec<u8>, others: Vec<String>| {
        let shown = Shown {
            key: text(key.to_vec()),
            place,
            value: text(value),
            others,
        };
        serde_json::to_writer(&mut output, &shown).doing(writing)?;
        output.write_all(b"\n").doing(writing)
    };
    for entry in view.keys("").doing(reading)? {
        let (key, kind) = entry.doing(reading)?;
        match kind {
            Kind::Value => {
                let value = view.get(&key).doing(reading)?.unwrap_or_default();
                let others = set_aside(view, &RowKey::cell(&key)).doing(reading)?;
                show(&key, Place::Value, value, others)?;
            }
            Kind::Map => {
                for entry in view.map(&key).fields().doing(reading)? {
                    let (field, value) = entry.doing(reading)?;
                    let others = set_aside(view, &RowKey::field(&key, &field)).doing(reading)?;
                    show(&key, Place::Field(text(field)), value, others)?;
                }
            }
            Kind::Set => {
                for member in view.set(&key).members().doing(reading)? {
                    let member = member.doing(reading)?;
                    show(&key, Place::Member(text(member)), Vec::new(), Vec::new())?;
                }
            }
            _ => {
                let key = text(key);
                return Err(Failure::failed(format!(
                    "the key {key:?} holds something unknown"
                )));
            }
        }
    }
    output.flush().doing(writing)
}

/// The values of a cell that lost to the one that is read, the latest first.
fn set_aside(view: &View, key: &RowKey) -> Result<Vec<String>, Error> {
    let row = view.row(key)?;
    let mut written = Vec::new();
    for sibling in row.iter() {
        let cell = Cell::from_bytes(&sibling.payload).map_err(Error::abort)?;
        if let Cell::Base {
            value: Some(value), ..
        } = cell
        {
            written.push(((sibling.stamp, sibling.dot), text(value)));
        }
    }
    written.sort();
    // The last is what is read, with the increments on top that count.
    written.pop();
    Ok(written.into_iter().rev().map(|(_, value)| value).collect())
}

/// The demo writes text only; what is not would show as a difference.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().escape_ascii().to_string())
}
