//! The three replicas as the demo has them act, and the log of what that came to.
//!
//! Whatever is written or synced goes through here, so that the log holds exactly what took place.

use std::thread;

use syncline::trust::Cluster;

use super::log::{Log, Operation, Stamp, Transaction};
use super::network::Network;
use super::place::Place;
use super::process::Process;
use super::protocol::Session;
use super::reference;
use super::report::{Edits, Kill};
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;

pub(super) const NAMES: [&str; 3] = ["A", "B", "C"];
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const C: usize = 2;

/// The replicas, the wires between them, and what took place on them.
pub(super) struct Cast<'a> {
    place: &'a Place,
    pub(super) processes: Vec<Process>,
    pub(super) network: Network,
    pub(super) log: Log,
}

/// What a replica is told to write, a transaction each.
pub(super) type Batches = Vec<Vec<Operation>>;

impl<'a> Cast<'a> {
    /// Makes a cluster, gives each replica an identity, starts all three and lays the wires.
    pub(super) fn start(place: &'a Place) -> Result<Self, Failure> {
        let cluster = Cluster::create(place.path().join("cluster"))
            .doing(|| "cannot make the cluster".to_owned())?;
        let mut processes = Vec::new();
        for name in NAMES {
            let admitting = || format!("cannot make the identity of {name}");
            let issued = cluster.issue(name).doing(admitting)?;
            let identity = place.data(name).join("identity");
            std::fs::create_dir_all(&identity).doing(admitting)?;
            std::fs::rename(issued, identity.join("node")).doing(admitting)?;
            processes.push(Process::start(name, &place.data(name), &place.log(name))?);
        }
        let addresses: Vec<_> = processes.iter().map(|process| process.address).collect();
        Ok(Self {
            place,
            processes,
            network: Network::new(&addresses)?,
            log: Log::new(NAMES.len()),
        })
    }

    /// Has one replica write, with so many transactions under way at a time.
    pub(super) fn write(
        &mut self,
        replica: usize,
        batches: Batches,
        window: usize,
        progress: &Progress,
    ) -> Result<Edits, Failure> {
        let transactions = self.number(replica, batches);
        let stamps =
            self.processes[replica].apply(transactions.clone(), window, || progress.add(1))?;
        self.record(replica, transactions, stamps)
    }

    /// Has all replicas write at the same time, each its own batches.
    pub(super) fn write_all(
        &mut self,
        batches: Vec<Batches>,
        window: usize,
        progress: &Progress,
    ) -> Result<Vec<Edits>, Failure> {
        let transactions: Vec<Vec<Transaction>> = batches
            .into_iter()
            .enumerate()
            .map(|(replica, batches)| self.number(replica, batches))
            .collect();
        let written: Vec<_> = thread::scope(|scope| {
            let writing: Vec<_> = self
                .processes
                .iter_mut()
                .zip(&transactions)
                .map(|(process, transactions)| {
                    scope.spawn(move || {
                        process.apply(transactions.clone(), window, || progress.add(1))
                    })
                })
                .collect();
            writing.into_iter().map(joined).collect()
        });
        let written = written.into_iter().zip(transactions).enumerate();
        written
            .map(|(replica, (stamps, transactions))| self.record(replica, transactions, stamps?))
            .collect()
    }

    /// Kills a replica once it has acknowledged `after` of the transactions, starts it again, and finds out what had taken
    /// place.
    pub(super) fn kill_while_writing(
        &mut self,
        replica: usize,
        batches: Batches,
        window: usize,
        after: usize,
    ) -> Result<Kill, Failure> {
        let name = NAMES[replica];
        let transactions = self.number(replica, batches);
        let first = self.log.next_number(replica);
        let process = self.processes.remove(replica);
        let killed = process.kill_while_applying(transactions.clone(), window, after)?;

        let mut process = Process::start(name, &self.place.data(name), &self.place.log(name))?;
        self.network.moved(replica, process.address)?;
        let journal = process.journal()?;
        let reopened_ms = process.opened_ms;
        self.processes.insert(replica, process);

        let landed: Vec<_> = journal
            .into_iter()
            .filter(|(number, _)| *number >= first)
            .collect();
        let lost = killed
            .acknowledged
            .iter()
            .filter(|acknowledged| !landed.contains(acknowledged));
        let kill = Kill {
            replica: name.to_owned(),
            sent: transactions.len() as u64,
            acknowledged: killed.acknowledged.len() as u64,
            landed: landed.len() as u64,
            acknowledged_lost: lost.count() as u64,
            reopened_ms,
        };
        // What took place is the log's business, whether it was acknowledged or not; the rest never happened.
        let took_place = transactions.into_iter().take(landed.len()).collect();
        self.record(replica, took_place, landed)?;
        Ok(kill)
    }

    /// Numbers batches as the next transactions of a replica.
    fn number(&self, replica: usize, batches: Batches) -> Vec<Transaction> {
        let first = self.log.next_number(replica);
        let batches = batches.into_iter().zip(first..);
        batches
            .map(|(operations, number)| Transaction::journaled(NAMES[replica], number, operations))
            .collect()
    }

    /// Puts into the log what a replica says has taken place, which must be exactly these transactions.
    fn record(
        &mut self,
        replica: usize,
        transactions: Vec<Transaction>,
        stamps: Vec<(u64, Stamp)>,
    ) -> Result<Edits, Failure> {
        let numbers = |transaction: &Transaction| transaction.number;
        if !transactions
            .iter()
            .map(numbers)
            .eq(stamps.iter().map(|(number, _)| *number))
        {
            let text = format!(
                "the transactions of {} did not take place one after the other",
                NAMES[replica]
            );
            return Err(Failure::new(Reason::Differs, text));
        }
        let mut edits = Edits {
            replica: NAMES[replica].to_owned(),
            transactions: 0,
            operations: 0,
        };
        for (transaction, (_, stamp)) in transactions.into_iter().zip(stamps) {
            edits.transactions += 1;
            edits.operations += transaction.operations.len() as u64;
            self.log.record(replica, transaction, stamp);
        }
        Ok(edits)
    }

    /// Has one replica sync with another, which must end in agreement: nobody writes meanwhile.
    pub(super) fn sync(&mut self, one: usize, other: usize) -> Result<Session, Failure> {
        let session = self.try_sync(one, other)?;
        self.agreed(one, other, session)
    }

    /// As [`Cast::sync`]. The inner error is what the replica says when that fails.
    pub(super) fn try_sync(
        &mut self,
        one: usize,
        other: usize,
    ) -> Result<Result<Session, String>, Failure> {
        let address = self.network.address(one, other)?;
        self.processes[one].sync(address)
    }

    /// Has all others sync with one replica, at the same time.
    pub(super) fn sync_all_with(&mut self, one: usize) -> Result<Vec<(usize, Session)>, Failure> {
        let network = &self.network;
        let others = self.processes.iter_mut().enumerate();
        let synced: Vec<_> = thread::scope(|scope| {
            let syncing: Vec<_> = others
                .filter(|(other, _)| *other != one)
                .map(|(other, process)| {
                    let address = network.address(other, one);
                    (other, scope.spawn(move || process.sync(address?)))
                })
                .collect();
            let joined = |(other, thread)| (other, joined(thread));
            syncing.into_iter().map(joined).collect()
        });
        let agreed = |(other, session): (usize, Result<_, _>)| {
            Ok((other, self.agreed(other, one, session?)?))
        };
        synced.into_iter().map(agreed).collect()
    }

    /// Puts a sync into the log, which had to go through.
    fn agreed(
        &mut self,
        one: usize,
        other: usize,
        session: Result<Session, String>,
    ) -> Result<Session, Failure> {
        let differs = |text| Failure::new(Reason::Differs, text);
        let session = session.map_err(|error| differs(format!("a sync failed: {error}")))?;
        if !session.agreed {
            return Err(differs(format!(
                "the sync of {} with {} ended without agreement",
                NAMES[one], NAMES[other]
            )));
        }
        self.log.agreed(one, other);
        Ok(session)
    }

    /// How many rows two replicas hold differently, by the log.
    pub(super) fn differing(&self, one: usize, other: usize) -> u64 {
        reference::differing(&self.log, self.log.known_to(one), self.log.known_to(other))
    }

    /// Root digest, rows and keys of each replica.
    pub(super) fn roots(&mut self) -> Result<Vec<(String, u64, u64)>, Failure> {
        self.processes.iter_mut().map(Process::root).collect()
    }

    /// Ends the replicas in order.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.processes.into_iter().try_for_each(Process::close)
    }
}

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
