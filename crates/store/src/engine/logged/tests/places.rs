//! Files on disk: what is left of a log when, and logs beside stores that are not theirs.

use std::path::PathBuf;

use super::*;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("app.store")
    }

    fn open(&self) -> Result<LoggedEngine, OpenError> {
        LoggedEngine::open_or_create(self.store(), RedbOptions::default(), IDLE)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// What a process killed now would leave.
    fn killed(&self) -> Self {
        let left = Self::new();
        for name in self.names() {
            fs::copy(self.0.path().join(&name), left.0.path().join(&name)).unwrap();
        }
        left
    }

    fn put(&self, from: &Self, name: &str) {
        fs::copy(from.0.path().join(name), self.0.path().join(name)).unwrap();
    }
}

const FIRST: &str = "app.store.log-00000000000000000001";

#[track_caller]
fn assert_foreign(place: &Place) {
    let before = place.names();
    let error = place.open().unwrap_err();
    assert!(matches!(error, OpenError::ForeignLog { .. }), "{error:?}");
    assert!(error.to_string().contains("move the log away"), "{error}");
    assert_eq!(place.names(), before, "nothing was changed");
}

#[test]
fn a_log_is_there_from_the_first_commit_until_the_end() {
    let place = Place::new();
    let engine = place.open().unwrap();
    assert_eq!(place.names(), ["app.store"]);
    let empty = engine.size().unwrap().bytes;
    write(&engine, 0..9, Durability::Buffered);
    assert_eq!(place.names(), ["app.store", FIRST]);
    assert!(engine.size().unwrap().bytes > empty);

    let killed = place.killed();
    let error = RedbEngine::open(killed.store(), RedbOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::HasLog { .. }), "{error}");
    assert!(error.to_string().contains("log-0"), "{error}");
    let reopened = killed.open().unwrap();
    assert_eq!(count(&reopened), 9);
    drop(reopened);

    drop(engine);
    for place in [place, killed] {
        assert_eq!(place.names(), ["app.store"]);
        let engine = RedbEngine::open(place.store(), RedbOptions::default()).unwrap();
        assert_eq!(count(&engine), 9, "the file alone is the whole store");
    }
}

#[test]
fn opening_alone_writes_no_log() {
    let place = Place::new();
    let engine = place.open().unwrap();
    write(&engine, 0..3, Durability::Buffered);
    engine.flush().unwrap();
    drop(engine);
    let engine = place.open().unwrap();
    assert!(engine.is_durable());
    engine.flush().unwrap();
    assert_eq!(place.names(), ["app.store"]);
}

#[test]
fn a_log_without_its_store_is_refused() {
    let place = Place::new();
    let engine = place.open().unwrap();
    write(&engine, 0..3, Durability::Buffered);
    let left = place.killed();
    fs::remove_file(left.store()).unwrap();
    assert_foreign(&left);
    // Beside a store that never had a log.
    drop(RedbEngine::create(left.0.path().join("other"), RedbOptions::default()).unwrap());
    fs::rename(left.0.path().join("other"), left.store()).unwrap();
    assert_foreign(&left);
    fs::remove_file(left.0.path().join(FIRST)).unwrap();
    assert_eq!(count(&left.open().unwrap()), 0);
}

#[test]
fn a_log_beside_a_copy_of_its_store_is_refused_unless_the_copy_is_where_it_begins() {
    let place = Place::new();
    drop(place.open().unwrap());
    let early = place.killed();
    write(&place.open().unwrap(), 0..3, Durability::Buffered);
    let copy = place.killed();
    let engine = place.open().unwrap();
    write(&engine, 3..6, Durability::Buffered);
    let name = "app.store.log-00000000000000000004";
    assert_eq!(place.names(), ["app.store", name]);

    // An older copy, which lacks what the log builds upon.
    early.put(&place, name);
    assert_foreign(&early);

    // The copy that it builds upon: as good as the store itself.
    let same = copy.killed();
    same.put(&place, name);
    assert_eq!(count(&same.open().unwrap()), 6);

    // A copy that was written to since; as far as the log, further, and less far.
    for commits in [1..2, 1..4, 1..9] {
        let gone_on = copy.killed();
        write(&gone_on.open().unwrap(), commits, Durability::Buffered);
        gone_on.put(&place, name);
        assert_foreign(&gone_on);
    }
}
