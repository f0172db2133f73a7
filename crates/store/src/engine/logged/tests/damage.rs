//! Logs that were altered: what cannot be a crash's doing is an error, and nothing is skipped.

use super::*;

/// A disk with two groups in three files: one that is being applied, one that is full, and one that
/// is written to. Returns their numbers.
fn disk() -> (MemoryDisk, Vec<u64>) {
    let disk = MemoryDisk::new();
    let (base, files) = disk.mount_parts().unwrap();
    let process = Shared::open(base, Arc::new(files.clone()), IDLE).unwrap();
    let write = |numbers: std::ops::Range<u32>| {
        for n in numbers {
            process.commit(batch(n), Durability::Durable).unwrap();
        }
    };
    write(0..3);
    process.seal().unwrap();
    write(3..6);
    disk.kill();
    drop(process);
    let (_base, files) = disk.copy().mount_parts().unwrap();
    let numbers = files.numbers().unwrap();
    (disk, numbers)
}

fn length(disk: &MemoryDisk, number: u64) -> usize {
    let (_base, files) = disk.copy().mount_parts().unwrap();
    files.read(number).unwrap().len()
}

#[test]
fn an_altered_byte_is_an_error_unless_it_is_in_the_last_record() {
    let (disk, numbers) = disk();
    assert_eq!(numbers, [1, 4]);
    for &number in &numbers {
        let mut lost = 0;
        for at in 0..length(&disk, number) {
            let altered = disk.copy();
            altered.damage(number, |bytes| bytes[at] ^= 1 << (at % 8));
            match altered.mount_logged(IDLE) {
                Ok(engine) => {
                    assert_eq!((number, count(&engine)), (4, 5), "byte {at}");
                    lost += 1;
                }
                Err(error @ OpenError::DamagedLog { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains("sync from another replica"), "{text}");
                }
                Err(other) => panic!("{number}, byte {at}: {other}"),
            }
        }
        // The last record of all could be one that a crash has cut off.
        assert_eq!(lost > 0, number == 4);
    }
}

#[test]
fn a_cut_is_an_error_unless_it_is_at_the_end() {
    let (disk, numbers) = disk();
    for &number in &numbers {
        for kept in 0..length(&disk, number) {
            let cut = disk.copy();
            cut.damage(number, |bytes| bytes.truncate(kept));
            match cut.mount_logged(IDLE) {
                Ok(engine) => {
                    assert_eq!(number, 4, "cut at {kept}");
                    let found = count(&engine);
                    assert!((3..6).contains(&found));
                    // And it goes on from there.
                    write(&engine, found..9, Durability::Durable);
                    drop(engine);
                    assert_eq!(count(&cut.mount().unwrap()), 9);
                }
                Err(OpenError::DamagedLog { .. }) => assert_eq!(number, 1),
                Err(other) => panic!("{number} cut at {kept}: {other}"),
            }
        }
    }
}

#[test]
fn a_file_that_is_missing_is_an_error() {
    let (disk, _) = disk();
    let (_base, files) = disk.mount_parts().unwrap();
    files.remove(1).unwrap();
    disk.kill();
    let error = disk.mount_logged(IDLE).unwrap_err();
    assert!(matches!(error, OpenError::ForeignLog { .. }), "{error}");
    let error = disk.mount().unwrap_err();
    assert!(matches!(error, OpenError::HasLog { .. }), "{error}");
}

#[test]
fn a_file_under_another_name_is_an_error() {
    let (disk, _) = disk();
    let (_base, files) = disk.mount_parts().unwrap();
    let content = files.read(4).unwrap();
    files.remove(4).unwrap();
    files.create(5, &content).unwrap();
    disk.kill();
    let error = disk.mount_logged(IDLE).unwrap_err();
    assert!(matches!(error, OpenError::DamagedLog { .. }), "{error}");
}
