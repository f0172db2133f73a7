//! Fuzz body `formats`: stores as earlier versions have left them, and frames as they have sent them, each altered here and there.
//!
//! The inputs are the golden files that freeze these bytes. Unaltered, a store of any version is opened and is sound; altered, opening
//! it ends in a typed error or in a store that works, knows what is wrong, and can be opened again.

use syncline_store::{
    Batch, Config, Durability, Engine, MemoryDisk, MemoryEngine, Scrub, Store, Table,
};
use syncline_sync::{Opening, Request, Session};

use crate::decoders::tables::{alter, use_it};
use crate::rng::{Bytes, Choices};

/// The tables as of each version of the format, the first one first.
const TABLES: [&str; 5] = [
    include_str!("../../crates/store/tests/store/golden-1.txt"),
    include_str!("../../crates/store/tests/store/golden-2.txt"),
    include_str!("../../crates/store/tests/store/golden-3.txt"),
    include_str!("../../crates/store/tests/store/golden-4.txt"),
    include_str!("../../crates/store/tests/store/golden.txt"),
];

const FRAMES: &str = include_str!("../../crates/sync/src/frame/golden.txt");

/// Opens what the bytes make of one of them.
///
/// # Panics
/// When an unaltered store is not what it was, or an altered one is opened once and not again.
pub fn formats(data: &[u8]) {
    let mut choices = Bytes::new(data);
    match TABLES.get(choices.below(TABLES.len() + 1)) {
        Some(tables) => store(tables, &mut choices),
        None => frames(&mut choices),
    }
}

fn store(tables: &str, choices: &mut Bytes<'_>) {
    let disk = MemoryDisk::new();
    let engine = disk.mount().unwrap();
    engine.commit(batch(tables), Durability::Durable).unwrap();
    let is_altered = !choices.is_empty();
    while !choices.is_empty() {
        alter(&engine, choices);
    }
    drop(engine);
    let config = Config::new("test", [7; 32]);
    let open = || Store::open(disk.mount().unwrap(), config.clone());
    match open() {
        Ok(store) if !is_altered => {
            let view = store.view().unwrap();
            let recount = view.recount().unwrap();
            assert!(recount.is_sound(), "{:#?}", recount.mismatches);
            assert_eq!(recount.rows, view.row_count());
            assert!(recount.rows >= 3, "nothing is lost");
        }
        Ok(store) => drop(store),
        Err(error) => {
            assert!(is_altered, "{error}");
            return;
        }
    }
    let store = open().unwrap();
    let mut scrub = Scrub::new();
    while let Ok(step) = scrub.step(&store, 10, usize::MAX)
        && !step.finished
    {}
    let _ = use_it(&store);
}

/// A golden file's lines: `table key = value`, in hexadecimal digits.
fn batch(tables: &str) -> Batch {
    let mut batch = Batch::new();
    for line in tables.lines() {
        let (name, entry) = line.split_once(' ').unwrap();
        let (key, value) = entry.split_once(" =").unwrap();
        let table = Table::ALL.into_iter().find(|table| table.name() == name);
        batch.put(table.unwrap(), &bytes(key), &bytes(value.trim()));
    }
    batch
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// A session that begins as a frozen greeting says, with any of the frozen frames after it.
fn frames(choices: &mut Bytes<'_>) {
    let mut frames: Vec<Vec<u8>> = FRAMES.lines().map(bytes).collect();
    // Frozen are frames of a fifth flight, and a greeting belongs to the first.
    frames[0][0] = 1;
    let frame = |choices: &mut Bytes<'_>| {
        let mut frame = choices.pick(&frames).clone();
        for _ in 0..choices.below(4) {
            let at = choices.below(frame.len());
            frame[at] ^= 1 << choices.below(8);
        }
        frame
    };
    let store = || Store::open(MemoryEngine::new(), Config::new("app", [7; 32])).unwrap();
    let config = |node| syncline_sync::Config::new([0xc; 16], [node; 32], "app", 1_700_000_000_000);
    // The frozen greeting is of a peer that lies about its context; an honest one gets further.
    let greeting = match choices.chance(70) {
        true => {
            let request = Request::new([3; 16]);
            let mut peer = Session::initiate(store(), config(1), request).unwrap();
            peer.poll_frame().unwrap().unwrap()
        }
        false => frame(choices),
    };
    let Ok(opening) = Opening::read(&greeting) else {
        assert_ne!(greeting, frames[0], "a frozen greeting is read");
        return;
    };
    let store = store();
    let Ok(mut session) = Session::respond(store.clone(), config(2), opening) else {
        return;
    };
    while let Ok(Some(_)) = session.poll_frame() {}
    while !choices.is_empty() && session.handle_frame(&frame(choices)).is_ok() {
        while let Ok(Some(_)) = session.poll_frame() {}
    }
    let recount = store.view().unwrap().recount().unwrap();
    assert!(recount.is_sound(), "{:#?}", recount.mismatches);
}

/// Opens a store of every format as it is.
///
/// # Panics
/// When one is not taken over whole.
pub fn unaltered() {
    for tables in TABLES {
        store(tables, &mut Bytes::new(&[]));
    }
}
