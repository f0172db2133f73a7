//! What can be set while clients are served, by `CONFIG SET`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::client::lock;
use crate::server::Options;

/// Longest argument in bytes: what a value may have, and some room.
const MAX_ARGUMENT: usize = 512 << 20;

pub(crate) struct Settings {
    password: Mutex<Option<String>>,
    max_clients: AtomicUsize,
    max_request: AtomicUsize,
}

impl Settings {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            password: Mutex::new(options.password.clone()),
            max_clients: AtomicUsize::new(options.max_clients),
            max_request: AtomicUsize::new(options.max_request),
        }
    }

    pub(crate) fn password(&self) -> Option<String> {
        lock(&self.password).clone()
    }

    pub(crate) fn max_clients(&self) -> usize {
        self.max_clients.load(Ordering::Relaxed)
    }

    pub(crate) fn max_request(&self) -> usize {
        self.max_request.load(Ordering::Relaxed)
    }

    pub(crate) fn max_argument(&self) -> usize {
        MAX_ARGUMENT.min(self.max_request())
    }
}
