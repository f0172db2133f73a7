//! The files of a log on a memory disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};

use super::{Disk, MemoryDisk};
use crate::engine::logged::{LogFile, LogFiles};

/// What a disk holds of files.
#[derive(Debug, Clone, Default)]
pub(super) struct Files(BTreeMap<u64, Stored>);

#[derive(Debug, Clone, Default)]
struct Stored {
    bytes: Vec<u8>,
    /// How many of them survive a crash.
    synced: usize,
}

impl Files {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn crash(&mut self, mut survives: impl FnMut(&[u8]) -> Vec<u8>) {
        for file in self.0.values_mut() {
            let unsynced = file.bytes.split_off(file.synced);
            file.bytes.extend(survives(&unsynced));
            file.synced = file.bytes.len();
        }
    }

    #[cfg(test)]
    pub(super) fn damage(&mut self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.0.entry(number).or_default();
        change(&mut file.bytes);
        file.synced = file.bytes.len();
    }

    fn get(&mut self, number: u64) -> io::Result<&mut Stored> {
        let file = self.0.get_mut(&number);
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The files as one mounted engine uses them.
#[derive(Debug, Clone)]
pub(crate) struct MemoryFiles {
    disk: MemoryDisk,
    generation: u64,
}

impl MemoryFiles {
    pub(super) fn new(disk: MemoryDisk, generation: u64) -> Self {
        Self { disk, generation }
    }

    fn lock(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock();
        if disk.generation != self.generation {
            return Err(io::Error::other("the memory disk crashed"));
        }
        Ok(disk)
    }
}

impl LogFiles for MemoryFiles {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        Ok(self.lock()?.files.0.keys().copied().collect())
    }

    fn create(&self, number: u64, content: &[u8]) -> io::Result<Arc<dyn LogFile>> {
        let mut disk = self.lock()?;
        let file = Stored {
            bytes: content.to_vec(),
            synced: content.len(),
        };
        if disk.files.0.contains_key(&number) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.files.0.insert(number, file);
        Ok(Arc::new(Opened {
            files: self.clone(),
            number,
        }))
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        Ok(self.lock()?.files.get(number)?.bytes.clone())
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        let removed = self.lock()?.files.0.remove(&number);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn path(&self, number: u64) -> PathBuf {
        format!("memory.log-{number}").into()
    }
}

#[derive(Debug)]
struct Opened {
    files: MemoryFiles,
    number: u64,
}

impl LogFile for Opened {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.files.lock()?;
        disk.files.get(self.number)?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.files.lock()?;
        // A file may be removed while somebody syncs it.
        if let Ok(file) = disk.files.get(self.number) {
            file.synced = file.bytes.len();
        }
        Ok(())
    }
}
