//! What the replicas are told to do. All of it follows from the data set and a seed; the engine has no say in it.
//!
//! ```text
//! record/KEY            a map: one field per column
//! group/COLUMN/VALUE    a set: the keys of the records with that value
//! count/COLUMN/VALUE    a counter: how many there are
//! status/KEY            a register, for every tenth record
//! scene/NN              the conflicts made on purpose
//! ```

use super::dataset::{Dataset, TextRecord};
use super::log::Operation;
use super::scenes::Scene;
use crate::seeded::Seeded;

/// Records per transaction of the load: large, so that there are few commits.
const LOAD_BATCH: usize = 400;

/// Every so many records have a register.
const STATUS_EVERY: usize = 10;

/// Records that all replicas edit, so that edits collide beyond the scenes too.
const HOT: usize = 40;

/// Operations of one transaction.
type Batch = Vec<Operation>;

/// Makes operations over one data set.
pub(crate) struct Script<'a> {
    dataset: &'a Dataset,
    seed: u64,
    hot: Vec<usize>,
}

/// A part that one replica deletes whole.
pub(crate) struct DeletedPart {
    /// What it is, for the report.
    pub(crate) title: String,
    pub(crate) records: u64,
    pub(crate) batches: Vec<Batch>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(dataset: &'a Dataset, seed: u64) -> Self {
        let mut random = Seeded::stream(seed, 0);
        let count = dataset.records.len() as u64;
        let hot = (0..HOT).map(|_| random.below(count) as usize).collect();
        Self { dataset, seed, hot }
    }

    /// The data set and the state before the scenes, for the first replica.
    pub(crate) fn load(&self, scenes: &[Scene]) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        for (batch, records) in self.dataset.records.chunks(LOAD_BATCH).enumerate() {
            let mut operations = Vec::new();
            let mut counts: std::collections::BTreeMap<String, i64> = Default::default();
            for (index, record) in records.iter().enumerate() {
                let key = record_key(record);
                operations.extend(
                    record
                        .fields
                        .iter()
                        .map(|(field, value)| Operation::SetField {
                            key: key.clone(),
                            field: field.clone(),
                            value: value.clone(),
                        }),
                );
                for grouping in self.groupings_of(record) {
                    operations.push(add(&format!("group/{grouping}"), &record.key));
                    *counts.entry(format!("count/{grouping}")).or_default() += 1;
                }
                if (batch * LOAD_BATCH + index).is_multiple_of(STATUS_EVERY) {
                    operations.push(set(&status_key(record), "new"));
                }
            }
            operations.extend(
                counts
                    .into_iter()
                    .map(|(key, by)| Operation::Increment { key, by }),
            );
            batches.push(operations);
        }
        batches.push(
            scenes
                .iter()
                .flat_map(|scene| scene.setup.clone())
                .collect(),
        );
        batches
    }

    /// How many scattered records a replica edits.
    fn extent(&self) -> u64 {
        (self.dataset.records.len() as u64 / 100).clamp(20, 500)
    }

    /// Scattered edits and deletions of one replica, and its part in the scenes.
    pub(crate) fn edits(&self, replica: usize, name: &str, scenes: &[Scene]) -> Vec<Batch> {
        let mut random = Seeded::stream(self.seed, 1 + replica as u64);
        let mut operations: Vec<Batch> = Vec::new();
        for round in 0..self.extent() {
            operations.extend(self.edit(&mut random, name, round));
        }
        for scene in scenes {
            if let Some(part) = scene
                .operations
                .get(replica)
                .filter(|part| !part.is_empty())
            {
                operations.push(part.clone());
            }
        }
        batched(operations, &mut random)
    }

    /// Small transactions without end worth speaking of, for a replica that is to be killed while it writes.
    pub(crate) fn burst(&self, replica: usize, name: &str, transactions: u64) -> Vec<Batch> {
        let mut random = Seeded::stream(self.seed, 100 + replica as u64);
        let mut batches = Vec::new();
        let mut round = 0;
        while (batches.len() as u64) < transactions {
            batches.extend(self.edit(&mut random, &format!("{name} in the burst"), round));
            round += 1;
        }
        batches.truncate(transactions as usize);
        batches
    }

    /// A few edits after the restart, when the replica writes under another id.
    pub(crate) fn afterthoughts(&self, replica: usize, name: &str) -> Vec<Batch> {
        let mut random = Seeded::stream(self.seed, 200 + replica as u64);
        let rounds = self.extent() / 10;
        let edits: Vec<Batch> = (0..rounds)
            .flat_map(|round| self.edit(&mut random, &format!("{name} after its restart"), round))
            .collect();
        batched(edits, &mut random)
    }

    /// A handful of related operations, each list a unit.
    fn edit(&self, random: &mut Seeded, name: &str, round: u64) -> Vec<Batch> {
        let records = &self.dataset.records;
        let any = |random: &mut Seeded| {
            let index = match random.one_in(4) {
                true => random.pick(&self.hot).copied().unwrap_or(0),
                false => random.below(records.len() as u64) as usize,
            };
            // Registers are few, so edits lean towards records that have one.
            let index = if random.one_in(2) {
                index - index % STATUS_EVERY
            } else {
                index
            };
            &records[index]
        };
        let mut edits: Vec<Batch> = Vec::new();
        // Maps: a field overwritten, a field added, sometimes one taken out.
        let record = any(random);
        if let Some((field, _)) = random.pick(&record.fields) {
            let value = format!("edited by {name}, {round}");
            edits.push(vec![set_field(&record_key(record), field, &value)]);
        }
        let record = any(random);
        let mut unit = vec![set_field(
            &record_key(record),
            "note",
            &format!("{name}, {round}"),
        )];
        if random.one_in(4)
            && let Some((field, _)) = random.pick(&record.fields)
        {
            unit.push(Operation::RemoveField {
                key: record_key(record),
                field: field.clone(),
            });
        }
        edits.push(unit);
        // Registers.
        if random.one_in(2) {
            let record = any(random);
            edits.push(vec![set(
                &status_key(record),
                &format!("seen by {name}, {round}"),
            )]);
        }
        // Sets and the counters that go with them: a record moves into a review set, or leaves its group.
        let record = any(random);
        edits.push(vec![
            add("group/review", &record.key),
            increment("count/review", 1),
        ]);
        if random.one_in(3) {
            let record = any(random);
            for grouping in self.groupings_of(record) {
                let operations = match random.one_in(2) {
                    true => vec![
                        remove(&format!("group/{grouping}"), &record.key),
                        increment(&format!("count/{grouping}"), -1),
                    ],
                    // Written anew: stays if another replica takes it out at the same time.
                    false => vec![add(&format!("group/{grouping}"), &record.key)],
                };
                edits.push(operations);
            }
        }
        if random.one_in(8) {
            let record = any(random);
            edits.push(vec![
                remove("group/review", &record.key),
                increment("count/review", -1),
            ]);
        }
        // Whole records deleted, with their register.
        if random.one_in(10) {
            let record = any(random);
            edits.push(vec![
                delete(&record_key(record)),
                delete(&status_key(record)),
            ]);
        }
        edits
    }

    /// One group's records deleted, with the set and the counter: rows that are neighbours in parts and scattered in
    /// others, while other replicas may be editing them.
    pub(crate) fn delete_part(&self) -> DeletedPart {
        let records = &self.dataset.records;
        let wanted = (records.len() as u64 / 100).max(5);
        // The group whose size is nearest to the wanted one; records without groups give up a run of neighbours.
        let mut sizes: std::collections::BTreeMap<String, u64> = Default::default();
        for record in records {
            for grouping in self.groupings_of(record) {
                *sizes.entry(grouping).or_default() += 1;
            }
        }
        let nearest = sizes
            .into_iter()
            .min_by_key(|(_, size)| size.abs_diff(wanted));
        let (title, members): (String, Vec<&TextRecord>) = match &nearest {
            Some((group, _)) => {
                let within =
                    |record: &&TextRecord| self.groupings_of(record).any(|of| of == *group);
                let title = group.replacen('/', " ", 1);
                (title, records.iter().filter(within).collect())
            }
            None => {
                let run = records.iter().skip(records.len() / 2).take(wanted as usize);
                ("a run of neighbours".to_owned(), run.collect())
            }
        };
        let mut batches: Vec<Batch> = members
            .chunks(50)
            .map(|records| {
                let keys = records
                    .iter()
                    .flat_map(|record| [record_key(record), status_key(record)]);
                keys.map(|key| delete(&key)).collect()
            })
            .collect();
        if let Some((group, _)) = &nearest {
            batches.push(vec![
                delete(&format!("group/{group}")),
                delete(&format!("count/{group}")),
            ]);
        }
        DeletedPart {
            title,
            records: members.len() as u64,
            batches,
        }
    }

    /// `COLUMN/VALUE` for each grouping column of the record.
    fn groupings_of(&self, record: &TextRecord) -> impl Iterator<Item = String> {
        let groupings = self.dataset.groupings.iter();
        groupings.filter_map(|column| Some(format!("{column}/{}", record.field(column)?)))
    }
}

/// Units gathered into transactions of a few operations.
fn batched(units: Vec<Batch>, random: &mut Seeded) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut room = 0;
    for unit in units {
        match batches.last_mut() {
            Some(batch) if batch.len() + unit.len() <= room => batch.extend(unit),
            _ => {
                room = 4 + random.below(8) as usize;
                batches.push(unit);
            }
        }
    }
    batches
}

fn record_key(record: &TextRecord) -> String {
    format!("record/{}", record.key)
}

fn status_key(record: &TextRecord) -> String {
    format!("status/{}", record.key)
}

fn set(key: &str, value: &str) -> Operation {
    Operation::Set {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn set_field(key: &str, field: &str, value: &str) -> Operation {
    Operation::SetField {
        key: key.to_owned(),
        field: field.to_owned(),
        value: value.to_owned(),
    }
}

fn increment(key: &str, by: i64) -> Operation {
    Operation::Increment {
        key: key.to_owned(),
        by,
    }
}

fn add(key: &str, member: &str) -> Operation {
    Operation::Add {
        key: key.to_owned(),
        member: member.to_owned(),
    }
}

fn remove(key: &str, member: &str) -> Operation {
    Operation::Remove {
        key: key.to_owned(),
        member: member.to_owned(),
    }
}

fn delete(key: &str) -> Operation {
    Operation::Delete {
        key: key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;
    use crate::demo::scenes;

    fn dataset() -> Dataset {
        let record = |n: usize| TextRecord {
            key: format!("{n:04}"),
            fields: vec![
                ("colour".into(), format!("c{}", n % 50)),
                ("name".into(), format!("n{n}")),
            ],
        };
        Dataset {
            title: "x".into(),
            records: (0..1_000).map(record).collect(),
            groupings: vec!["colour".into()],
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_edits_and_another_makes_others() {
        let (dataset, scenes) = (dataset(), scenes::all());
        let edits = |seed| Script::new(&dataset, seed).edits(1, "B", &scenes);
        assert_eq!(edits(7), edits(7));
        assert_ne!(edits(7), edits(8));
    }

    #[test]
    fn all_kinds_of_operations_occur() {
        let (dataset, scenes) = (dataset(), scenes::all());
        let script = Script::new(&dataset, 1);
        let text = format!(
            "{:?}{:?}",
            script.load(&scenes),
            script.edits(0, "A", &scenes)
        );
        for kind in [
            "Set {",
            "Increment {",
            "Add {",
            "Remove {",
            "SetField {",
            "RemoveField {",
            "Delete {",
        ] {
            assert!(text.contains(kind), "{kind}");
        }
        assert_eq!(script.burst(2, "C", 500).len(), 500);
    }

    #[test]
    fn the_deleted_part_is_about_a_hundredth() {
        let dataset = dataset();
        let part = Script::new(&dataset, 1).delete_part();
        assert_eq!(part.records, 20);
        assert!(part.title.starts_with("colour "));
    }
}
