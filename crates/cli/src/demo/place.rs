//! Where the demo's replicas lie.

use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};
use crate::scratch::Scratch;

/// Where the data directories are.
pub(super) enum Place {
    Temporary(Scratch),
    Kept(PathBuf),
}

impl Place {
    pub(super) fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = keep else {
            return Ok(Self::Temporary(Scratch::make("syncline-demo-")?));
        };
        if path.exists() {
            return Err(Failure::failed(format!(
                "{} exists already; name a directory that does not",
                path.display()
            )));
        }
        std::fs::create_dir_all(path).doing(|| format!("cannot make {}", path.display()))?;
        // Children are told of it, whatever their working directory.
        let path = path
            .canonicalize()
            .doing(|| format!("cannot use {}", path.display()))?;
        Ok(Self::Kept(path))
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(scratch) => scratch.path(),
            Self::Kept(path) => path,
        }
    }

    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.log"))
    }
}
