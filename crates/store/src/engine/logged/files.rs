//! Where the segments of a log lie: files beside the store's.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one log, told apart by the sequence number of their first record.
pub(crate) trait LogFiles: fmt::Debug + Send + Sync {
    /// The files that there are, ascending.
    fn numbers(&self) -> io::Result<Vec<u64>>;

    /// Makes a file with this content. When it returns, file and content survive power loss.
    fn create(&self, number: u64, content: &[u8]) -> io::Result<Arc<dyn LogFile>>;

    /// All that a file holds.
    fn read(&self, number: u64) -> io::Result<Vec<u8>>;

    /// Removes a file. When it returns, it does not come back by power loss.
    fn remove(&self, number: u64) -> io::Result<()>;

    /// What to call a file in messages.
    fn path(&self, number: u64) -> PathBuf;
}

/// A file that grows.
pub(crate) trait LogFile: fmt::Debug + Send + Sync {
    /// Gives bytes to the operating system. After an error, any part of them may be in the file.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Has everything appended so far survive power loss. Others may append meanwhile.
    fn sync(&self) -> io::Result<()>;
}

/// The files `<store>.log-<number>` beside a store.
#[derive(Debug)]
pub(crate) struct Beside {
    store: PathBuf,
}

const INFIX: &str = ".log-";
/// Digits of a number in a name: all of them have as many, so that they order as text.
const DIGITS: usize = 20;

impl Beside {
    pub(crate) fn new(store: &Path) -> Self {
        Self {
            store: store.into(),
        }
    }
}

impl LogFiles for Beside {
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut prefix = self.store.file_name().unwrap_or_default().to_owned();
        prefix.push(INFIX);
        let number = |name: OsString| {
            let digits = name.as_encoded_bytes();
            let digits = digits.strip_prefix(prefix.as_encoded_bytes())?;
            let all = digits.len() == DIGITS && digits.iter().all(u8::is_ascii_digit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| all)?;
            digits.parse::<u64>().ok()
        };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(directory_of(&self.store))? {
            numbers.extend(number(entry?.file_name()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn create(&self, number: u64, content: &[u8]) -> io::Result<Arc<dyn LogFile>> {
        let path = self.path(number);
        let mut file = File::options().append(true).create_new(true).open(path)?;
        file.write_all(content)?;
        file.sync_all()?;
        sync_directory_of(&self.store)?;
        Ok(Arc::new(file))
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        fs::read(self.path(number))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.path(number))?;
        sync_directory_of(&self.store)
    }

    fn path(&self, number: u64) -> PathBuf {
        let mut path = self.store.as_os_str().to_owned();
        path.push(format!("{INFIX}{number:0DIGITS$}"));
        path.into()
    }
}

impl LogFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Has a file's name, or that there is none any more, survive power loss, where directories can be
/// synced at all.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory_of(path))?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_of_a_log_are_told_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let files = Beside::new(&directory.path().join("app.store"));
        let others = [
            "app.store",
            "app.store.log-1",
            "app.store.log-0000000000000000000x",
            "app.store.log-99999999999999999999",
            "other.store.log-00000000000000000001",
            "app.store.log-00000000000000000001.bak",
        ];
        for name in others {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert!(files.numbers().unwrap().is_empty());
        let file = files.create(12, b"first ").unwrap();
        drop(files.create(9, b"").unwrap());
        assert!(files.create(12, b"again").is_err());
        assert_eq!(files.numbers().unwrap(), [9, 12]);
        file.append(b"second").unwrap();
        file.sync().unwrap();
        assert_eq!(files.read(12).unwrap(), b"first second");
        files.remove(12).unwrap();
        assert_eq!(files.numbers().unwrap(), [9]);
        assert!(
            files
                .path(9)
                .ends_with("app.store.log-00000000000000000009")
        );
    }
}
