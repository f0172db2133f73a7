//! `syncline demo`, the main job: three replicas on one machine, from an empty directory to a proof that they agree.
//!
//! ```text
//! this process                                   three child processes, each a real node
//!   script     what the replicas are told ─────▶   replica    applies, syncs, dumps
//!   network    a wire for each direction  ◀────▶   QUIC under mutual TLS, through the wires
//!   cast       has the replicas act, and keeps the log of it
//!   log        what took place, and what each operation had observed
//!   reference  the state that this must come to ─▶ compare  ◀── what readers see on each replica
//!   report     the account of it all
//!   company    after that, five members of a cluster that runs itself
//! ```

mod cast;
mod company;
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

use std::time::Instant;

use self::cast::{A, B, C, Cast, NAMES};
use self::dataset::Dataset;
use self::place::Place;
use self::report::{Conflict, Narrator, Report};
use self::scenes::Scene;
use self::script::Script;
use crate::args::Demo;
use crate::failure::{Doing, Failure, Reason};
use crate::progress::Progress;

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
    cast: Cast<'a>,
    report: Report,
    narrator: Narrator,
    began: Instant,
}

impl<'a> Stage<'a> {
    fn set(
        place: &'a Place,
        dataset: &'a Dataset,
        seed: u64,
        narrator: Narrator,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        Ok(Self {
            place,
            dataset,
            script: Script::new(dataset, seed),
            scenes: scenes::all(),
            cast: Cast::start(place)?,
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
        self.prove()?;
        self.five()
    }

    /// Five members join, spread what is written, lose one, are cut, heal, and one leaves.
    fn five(&mut self) -> Result<(), Failure> {
        self.report.company = company::play(self.place)?;
        self.narrator.company(&self.report.company);
        Ok(())
    }

    fn load(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let batches = self.script.load(&self.scenes);
        let progress = Progress::bar("loading A", batches.len() as u64);
        let written = self.cast.write(A, batches, 2, &progress)?;
        drop(progress);
        let (_, rows, keys) = self.cast.processes[A].root()?;
        self.report.load = report::Load {
            records: self.dataset.records.len() as u64,
            operations: written.operations,
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
        for (replica, session) in self.cast.sync_all_with(A)? {
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
        let (_, before) = self.cast.network.traffic();
        self.cast.network.cut();
        let Err(error) = self.cast.try_sync(B, A)? else {
            return Err(Failure::new(
                Reason::Differs,
                "a sync went through although the network was cut",
            ));
        };
        let (_, after) = self.cast.network.traffic();
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
        let mut batches: Vec<_> = (0..NAMES.len())
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
        self.report.edits = self.cast.write_all(batches, WINDOW, &progress)?;
        drop(progress);
        self.narrator
            .edits(&self.report.edits, &self.report.deleted_part);
        Ok(())
    }

    /// Kills C while it writes, starts it again, and finds out what had taken place.
    fn kill_one(&mut self) -> Result<(), Failure> {
        let progress = Progress::spinner("killing C while it writes");
        let burst = self.script.burst(C, NAMES[C], BURST as u64);
        self.report.kill = self.cast.kill_while_writing(C, burst, WINDOW, KILL_AFTER)?;
        drop(progress);
        self.narrator.kill(&self.report.kill);

        let afterthoughts = self.script.afterthoughts(C, NAMES[C]);
        let progress = Progress::bar("C writes on", afterthoughts.len() as u64);
        self.cast.write(C, afterthoughts, WINDOW, &progress)?;
        Ok(())
    }

    fn measure_distance(&mut self) -> Result<(), Failure> {
        let roots = self.cast.roots()?;
        for [one, other] in [[A, B], [A, C], [B, C]] {
            self.report.apart.push(report::Apart {
                pair: [NAMES[one], NAMES[other]].map(str::to_owned),
                rows: self.cast.differing(one, other),
                of: roots[one].1.max(roots[other].1),
            });
        }
        self.narrator.apart(&self.report.apart);
        Ok(())
    }

    /// Heals the links and lets pairs sync until all roots are equal.
    fn heal(&mut self) -> Result<(), Failure> {
        self.cast.network.heal();
        let progress = Progress::spinner("healing");
        'rounds: for _ in 0..ROUNDS {
            // After the second session B and C know everything, after the third A does.
            for [one, other] in [[A, B], [B, C], [C, A]] {
                let rows_differing = self.cast.differing(one, other);
                progress.say(format!("{} syncs with {}", NAMES[one], NAMES[other]));
                let session = self.cast.sync(one, other)?;
                self.report.heal.push(report::Healed {
                    pair: [NAMES[one], NAMES[other]].map(str::to_owned),
                    rows_differing,
                    session,
                });
                let roots = self.cast.roots()?;
                if roots.iter().all(|(root, ..)| *root == roots[0].0) {
                    break 'rounds;
                }
            }
        }
        drop(progress);
        self.narrator.heal(&self.report.heal);
        Ok(())
    }

    /// Holds what readers see on each replica against the reference.
    fn prove(&mut self) -> Result<(), Failure> {
        let progress = Progress::spinner("comparing every row with the reference");
        // The reference takes all that took place anywhere, not what this program believes to have been synced.
        let everything: Vec<u64> = (0..NAMES.len())
            .map(|replica| self.cast.log.next_number(replica) - 1)
            .collect();
        let expected = reference::interpret(&self.cast.log, &everything).state();
        let mut states = Vec::new();
        for (replica, process) in self.cast.processes.iter_mut().enumerate() {
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
        proof.stamps_out_of_order = reference::stamps_out_of_order(&self.cast.log);
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
        self.cast.close()?;
        self.report.seconds = self.began.elapsed().as_secs_f64();
        self.report.agreed = self.report.holds();
        self.narrator.verdict(&self.report);
        Ok(self.report)
    }
}
