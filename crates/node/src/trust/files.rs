//! The files of a cluster and its identities, and who may read them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
#[cfg(feature = "net")]
use std::path::PathBuf;

use super::error::TrustError;

pub(super) fn read(path: &Path) -> Result<String, TrustError> {
    fs::read_to_string(path).map_err(missing_or(path))
}

#[cfg(feature = "net")]
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, TrustError> {
    fs::read(path).map_err(missing_or(path))
}

fn missing_or(path: &Path) -> impl Fn(io::Error) -> TrustError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => TrustError::Missing {
            path: path.to_owned(),
        },
        _ => TrustError::Io {
            path: path.to_owned(),
            source,
        },
    }
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Access {
    Owner,
    #[cfg(feature = "net")]
    All,
}

/// Writes a file that was not there, all of it or with an error, and has it on disk.
pub(super) fn write_new(
    path: &Path,
    text: impl AsRef<[u8]>,
    access: Access,
) -> Result<(), TrustError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if access == Access::Owner {
        use std::os::unix::fs::OpenOptionsExt as _;
        // From the start: a file made readable and then closed up was readable.
        options.mode(0o600);
    }
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_ref())?;
            file.sync_all()
        })
        .map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => TrustError::Exists {
                path: path.to_owned(),
            },
            _ => TrustError::Io {
                path: path.to_owned(),
                source,
            },
        })
}

/// A name in the directory that nobody else uses, for a file that is to be moved into place.
#[cfg(feature = "net")]
pub(super) fn scratch(directory: &Path) -> PathBuf {
    directory.join(format!(".{:016x}.new", rand::random::<u64>()))
}

/// Writes a file in place of the one that is there, if one is: all of it or nothing, across a power loss.
#[cfg(feature = "net")]
pub(super) fn replace(
    path: &Path,
    text: impl AsRef<[u8]>,
    access: Access,
) -> Result<(), TrustError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let made = scratch(directory);
    write_new(&made, text, access)?;
    fs::rename(&made, path).map_err(io_error(path))?;
    sync_directory(directory)
}

/// Has the names in a directory survive a power loss, where the system knows how.
#[cfg(feature = "net")]
pub(super) fn sync_directory(path: &Path) -> Result<(), TrustError> {
    #[cfg(unix)]
    fs::File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error(path))?;
    Ok(())
}

#[cfg(feature = "net")]
pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> TrustError {
    let path = path.to_owned();
    move |source| TrustError::Io {
        path: path.clone(),
        source,
    }
}

#[cfg(feature = "net")]
pub(super) fn create_directory(path: &Path) -> Result<(), TrustError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|source| TrustError::Io {
        path: path.to_owned(),
        source,
    })
}

/// A copied key is easily left readable to all; whether that matters is for the owner to say.
pub(super) fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A file that is not there is reported by whoever reads it next.
        if fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
            tracing::warn!(path = %path.display(), "others can read this secret; chmod it to 600");
        }
    }
}
