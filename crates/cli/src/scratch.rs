//! Temporary directories that are gone afterwards, also when the command is interrupted: what lies in them is large.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use tempfile::TempDir;

use crate::failure::{Doing, Failure};

/// As shells have it for a process ended by an interrupt.
const INTERRUPTED: i32 = 130;

static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static WATCHING: Once = Once::new();

/// A directory that is removed when it is dropped, or when the process is interrupted.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes one where the environment's TMPDIR says, with a name that begins so.
    pub(crate) fn make(prefix: &str) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir();
        let made = made.doing(|| "cannot make a temporary directory".to_owned())?;
        list(|paths| paths.push(made.path().to_owned()));
        WATCHING.call_once(|| {
            thread::spawn(remove_on_interrupt);
        });
        Ok(Self(made))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        list(|paths| paths.retain(|path| path != self.0.path()));
    }
}

fn list<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    // A list of paths cannot be left half changed.
    change(&mut MADE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn remove_on_interrupt() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    if runtime.block_on(tokio::signal::ctrl_c()).is_err() {
        return;
    }
    for path in list(std::mem::take) {
        // Some of it may be in use, or gone already; there is nobody left to be told.
        let _removed = std::fs::remove_dir_all(path);
    }
    std::process::exit(INTERRUPTED);
}
