//! How many files and connections this process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Has as many as the system lets this user have: what is usual at first is a thousand or so, and each client and each peer takes one.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "no more files may be open than before");
    }
}
