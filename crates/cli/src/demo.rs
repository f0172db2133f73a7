//! `syncline demo`, the main job: three replicas on one machine, from an empty directory to a proof that they agree.
//!
//! ```text
//! this process                                   three child processes, each a real node
//!   script     what the replicas are told ─────▶   replica    applies, syncs, dumps
//!   network    a wire for each direction  ◀────▶   QUIC under mutual TLS, through the wires
//!   log        what took place, and what each operation had observed
//!   reference  the state that this must come to ─▶ compare  ◀── what readers see on each replica
//!   report     the account of it all
//! ```

mod compare;
mod dataset;
mod log;
mod network;
mod place;
mod process;
mod protocol;
mod reference;
pub(crate) mod replica;
mod report;
mod scenes;
mod script;

use std::thread;
use std::time::Instant;

use syncline::trust::Cluster;

use self::dataset::Dataset;
use self::log::{Log, Operation, Transaction};
use self::network::Network;
use self::place::Place;
use self::process::Process;
use self::protocol::Session;
use self::report::{Conflict, Narrator, Report};
use self::scenes::Scene;
use self::script::Script;
use crate::args::Demo;
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;

const NAMES: [&str; 3] = ["A", "B", "C"];
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Transactions sent to the replica that is killed, and how many of them it may acknowledge first.
const BURST: usize = 600;
const KILL_AFTER: usize = 150;
/// Transactions under way at a time, so that they share commits.
const WINDOW: usize = 8;

/// Rounds of sessions after which replicas that still differ are taken never to agree. One is enough.
const ROUNDS: usize = 3;

pub(crate) fn run(arguments: &Demo) -> Result<(), Failure> {
    let dataset = Dataset::load(arguments)?;
    let place = Place::make(arguments.keep.as_deref())?;
    let narrator = Narrator::new(arguments.json);
    narrator.opening(&dataset.title, &place.path().display().to_string());
    let mut stage = Stage::set(&place, &dataset, arguments.seed, narrator)?;
    stage.play()?;
    let report = stage.strike()?;
    if arguments.json {
        let text =
            serde_json::to_string_pretty(&report).doing(|| "cannot print the report".to_owned())?;
        println!("{text}");
    }
    match report.agreed {
        true => Ok(()),
        false => Err(Failure::new(
            Reason::Differs,
            "the replicas do not hold what they must; run it again with --keep DIR to look at their logs and stores",
        )),
    }
}

/// All that the demo holds while it goes on.
struct Stage<'a> {
    place: &'a Place,
    dataset: &'a Dataset,
    script: Script<'a>,
    scenes: Vec<Scene>,
    processes: Vec<Process>,
    network: Network,
    log: Log,
    report: Report,
    narrator: Narrator,
    began: Instant,
}

impl<'a> Stage<'a> {
    /// Makes a cluster, gives each replica an identity, starts all three and lays the wires.
    fn set(
        place: &'a Place,
        dataset: &'a Dataset,
        seed: u64,
        narrator: Narrator,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
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
            dataset,
            script: Script::new(dataset, seed),
            scenes: scenes::all(),
            processes,
            network: Network::new(&addresses)?,
            log: Log::new(NAMES.len()),
            report: Report {
                dataset: dataset.title.clone(),
                seed,
                ..Report::default()
            },
            narrator,
            began,
        })
    }

    fn play(&mut self) -> Result<(), Failure> {
        self.load()?;
        self.bring_up()?;
        self.cut()?;
        self.edit()?;
        self.kill_one()?;
        self.measure_distance()?;
        self.heal()?;
        self.prove()
    }

    fn load(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let batches = self.script.load(&self.scenes);
        let progress = Progress::bar("loading A", batches.len() as u64);
        let (_, operations) = self.write(A, batches, 2, &progress)?;
        drop(progress);
        let (_, rows, keys) = self.processes[A].root()?;
        self.report.load = report::Load {
            records: self.dataset.records.len() as u64,
            operations,
            rows,
            keys,
            seconds: began.elapsed().as_secs_f64(),
        };
        self.narrator.load(&self.report.load);
        Ok(())
    }

    /// B and C fetch everything from A, at the same time.
    fn bring_up(&mut self) -> Result<(), Failure> {
        let progress = Progress::spinner("B and C fetch everything from A");
        let addresses = [self.network.address(B, A)?, self.network.address(C, A)?];
        let fetched: Vec<Result<Session, Failure>> = thread::scope(|scope| {
            let fetching: Vec<_> = self
                .processes
                .iter_mut()
                .skip(1)
                .zip(addresses)
                .map(|(process, address)| scope.spawn(move || process.sync(address)))
                .collect();
            fetching
                .into_iter()
                .map(|fetch| synced(joined(fetch)?))
                .collect()
        });
        for (replica, session) in [B, C].into_iter().zip(fetched) {
            let session = session?;
            must_agree(&session, [replica, A])?;
            self.log.agreed(replica, A);
            self.report.bring_up.push(report::Fetched {
                replica: NAMES[replica].to_owned(),
                from: NAMES[A].to_owned(),
                session,
            });
        }
        drop(progress);
        self.narrator.bring_up(&self.report.bring_up);
        Ok(())
    }

    fn cut(&mut self) -> Result<(), Failure> {
        let (_, before) = self.network.traffic();
        self.network.cut();
        let address = self.network.address(B, A)?;
        let Err(error) = self.processes[B].sync(address)? else {
            return Err(Failure::new(
                Reason::Differs,
                "a sync went through although the network was cut",
            ));
        };
        let (_, after) = self.network.traffic();
        self.report.cut = report::Cut {
            error,
            datagrams_lost: after - before,
        };
        self.narrator.cut(&self.report.cut);
        Ok(())
    }

    /// All three write at the same time.
    fn edit(&mut self) -> Result<(), Failure> {
        let part = self.script.delete_part();
        let mut batches: Vec<Vec<Vec<Operation>>> = (0..NAMES.len())
            .map(|replica| self.script.edits(replica, NAMES[replica], &self.scenes))
            .collect();
        let middle = batches[A].len() / 2;
        batches[A].splice(middle..middle, part.batches);
        self.report.deleted_part = report::DeletedPart {
            replica: NAMES[A].to_owned(),
            title: part.title,
            records: part.records,
        };
        let total: usize = batches.iter().map(Vec::len).sum();
        let progress = Progress::bar("editing A, B and C", total as u64);
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
                    let progress = &progress;
                    scope.spawn(move || {
                        process.apply(transactions.clone(), WINDOW, || progress.add(1))
                    })
                })
                .collect();
            writing.into_iter().map(joined).collect()
        });
        drop(progress);
        for (replica, (written, transactions)) in written.into_iter().zip(transactions).enumerate()
        {
            let edits = self.record(replica, transactions, written?)?;
            self.report.edits.push(edits);
        }
        self.narrator
            .edits(&self.report.edits, &self.report.deleted_part);
        Ok(())
    }

    /// Kills C while it writes, starts it again, and finds out what had taken place.
    fn kill_one(&mut self) -> Result<(), Failure> {
        let progress = Progress::spinner("killing C while it writes");
        let burst = self.script.burst(C, NAMES[C], BURST as u64);
        let transactions = self.number(C, burst);
        let first = self.log.next_number(C);
        let process = self.processes.remove(C);
        let killed = process.kill_while_applying(transactions.clone(), WINDOW, KILL_AFTER)?;

        let mut process = Process::start(
            NAMES[C],
            &self.place.data(NAMES[C]),
            &self.place.log(NAMES[C]),
        )?;
        self.network.moved(C, process.address)?;
        let journal = process.journal()?;
        let reopened_ms = process.opened_ms;
        self.processes.push(process);

        let landed: Vec<_> = journal
            .into_iter()
            .filter(|(number, _)| *number >= first)
            .collect();
        let lost = killed
            .acknowledged
            .iter()
            .filter(|acknowledged| !landed.contains(acknowledged));
        self.report.kill = report::Kill {
            replica: NAMES[C].to_owned(),
            sent: transactions.len() as u64,
            acknowledged: killed.acknowledged.len() as u64,
            landed: landed.len() as u64,
            acknowledged_lost: lost.count() as u64,
            reopened_ms,
        };
        // What took place is the log's business, whether it was acknowledged or not; the rest never happened.
        let took_place = transactions.into_iter().take(landed.len()).collect();
        self.record(C, took_place, landed)?;
        drop(progress);
        self.narrator.kill(&self.report.kill);

        let afterthoughts = self.script.afterthoughts(C, NAMES[C]);
        let progress = Progress::bar("C writes on", afterthoughts.len() as u64);
        self.write(C, afterthoughts, WINDOW, &progress)?;
        Ok(())
    }

    fn measure_distance(&mut self) -> Result<(), Failure> {
        let rows: Vec<u64> = self
            .processes
            .iter_mut()
            .map(|process| Ok(process.root()?.1))
            .collect::<Result<_, Failure>>()?;
        for [one, other] in [[A, B], [A, C], [B, C]] {
            self.report.apart.push(report::Apart {
                pair: [NAMES[one], NAMES[other]].map(str::to_owned),
                rows: self.differing(one, other),
                of: rows[one].max(rows[other]),
            });
        }
        self.narrator.apart(&self.report.apart);
        Ok(())
    }

    fn differing(&self, one: usize, other: usize) -> u64 {
        reference::differing(&self.log, self.log.known_to(one), self.log.known_to(other))
    }

    /// Heals the links and lets pairs sync until all roots are equal.
    fn heal(&mut self) -> Result<(), Failure> {
        self.network.heal();
        let progress = Progress::spinner("healing");
        'rounds: for _ in 0..ROUNDS {
            // After the second session B and C know everything, after the third A does.
            for [one, other] in [[A, B], [B, C], [C, A]] {
                let rows_differing = self.differing(one, other);
                progress.say(format!("{} syncs with {}", NAMES[one], NAMES[other]));
                let address = self.network.address(one, other)?;
                let session = synced(self.processes[one].sync(address)?)?;
                must_agree(&session, [one, other])?;
                self.log.agreed(one, other);
                self.report.heal.push(report::Healed {
                    pair: [NAMES[one], NAMES[other]].map(str::to_owned),
                    rows_differing,
                    session,
                });
                let roots = self.roots()?;
                if roots.iter().all(|root| *root == roots[0]) {
                    break 'rounds;
                }
            }
        }
        drop(progress);
        self.narrator.heal(&self.report.heal);
        Ok(())
    }

    fn roots(&mut self) -> Result<Vec<String>, Failure> {
        self.processes
            .iter_mut()
            .map(|process| Ok(process.root()?.0))
            .collect()
    }

    /// Holds what readers see on each replica against the reference.
    fn prove(&mut self) -> Result<(), Failure> {
        let progress = Progress::spinner("comparing every row with the reference");
        // The reference takes all that took place anywhere, not what this program believes to have been synced.
        let everything: Vec<u64> = (0..NAMES.len())
            .map(|replica| self.log.next_number(replica) - 1)
            .collect();
        let expected = reference::interpret(&self.log, &everything).state();
        let mut states = Vec::new();
        for (replica, process) in self.processes.iter_mut().enumerate() {
            let path = self
                .place
                .path()
                .join(format!("{}.state.jsonl", NAMES[replica]));
            process.dump(&path)?;
            let (root, rows, keys) = process.root()?;
            let state = compare::read_dump(&path)?;
            self.report.proof.replicas.push(report::ReplicaProof {
                replica: NAMES[replica].to_owned(),
                root,
                rows,
                keys,
                reference: compare::compare(&expected, &state),
            });
            states.push(state);
        }
        let proof = &mut self.report.proof;
        proof.roots_equal = proof
            .replicas
            .windows(2)
            .all(|pair| pair[0].root == pair[1].root);
        proof.stamps_out_of_order = reference::stamps_out_of_order(&self.log);
        for scene in &self.scenes {
            let read: Vec<String> = states.iter().map(|state| scene.reading(state)).collect();
            let must_be = scene.comes_to.map(str::to_owned);
            let holds = read.iter().all(|one| match &must_be {
                Some(must_be) => one == must_be,
                None => *one == read[0],
            });
            self.report.conflicts.push(Conflict {
                before: scene.before.to_owned(),
                apart: scene.apart.map(str::to_owned),
                read,
                must_be,
                holds,
            });
        }
        drop(progress);
        self.narrator.conflicts(&self.report.conflicts);
        self.narrator.proof(&self.report.proof);
        Ok(())
    }

    /// Ends the replicas in order and passes the verdict.
    fn strike(mut self) -> Result<Report, Failure> {
        for process in self.processes.drain(..) {
            process.close()?;
        }
        self.report.seconds = self.began.elapsed().as_secs_f64();
        self.report.agreed = self.report.holds();
        self.narrator.verdict(&self.report);
        Ok(self.report)
    }

    /// Numbers batches as the next transactions of a replica.
    fn number(&self, replica: usize, batches: Vec<Vec<Operation>>) -> Vec<Transaction> {
        let first = self.log.next_number(replica);
        let batches = batches.into_iter().zip(first..);
        batches
            .map(|(operations, number)| Transaction::journaled(NAMES[replica], number, operations))
            .collect()
    }

    /// Has one replica write and records it; returns transactions and operations.
    fn write(
        &mut self,
        replica: usize,
        batches: Vec<Vec<Operation>>,
        window: usize,
        progress: &Progress,
    ) -> Result<(u64, u64), Failure> {
        let transactions = self.number(replica, batches);
        let stamps =
            self.processes[replica].apply(transactions.clone(), window, || progress.add(1))?;
        let edits = self.record(replica, transactions, stamps)?;
        Ok((edits.transactions, edits.operations))
    }

    /// Puts into the log what a replica says has taken place, which must be exactly these transactions.
    fn record(
        &mut self,
        replica: usize,
        transactions: Vec<Transaction>,
        stamps: Vec<(u64, log::Stamp)>,
    ) -> Result<report::Edits, Failure> {
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
        let mut edits = report::Edits {
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
}

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A sync that had to go through.
fn synced(outcome: Result<Session, String>) -> Result<Session, Failure> {
    outcome.map_err(|error| Failure::new(Reason::Differs, format!("a sync failed: {error}")))
}

/// Nobody writes while the replicas sync, so a session must end in agreement.
fn must_agree(session: &Session, [one, other]: [usize; 2]) -> Result<(), Failure> {
    match session.agreed {
        true => Ok(()),
        false => Err(Failure::new(
            Reason::Differs,
            format!(
                "the sync of {} with {} ended without agreement",
                NAMES[one], NAMES[other]
            ),
        )),
    }
}
