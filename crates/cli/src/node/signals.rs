//! What the operating system asks of the process.

use std::io;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// An orderly end; with what the process exits when it is not given the time for that.
    End { exit_code: i32 },
}

#[cfg(unix)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Takes them from now on, so that none ends the process by itself.
    pub(crate) fn take() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Asked {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Asked::End { exit_code: 143 },
                _ = self.interrupt.recv() => return Asked::End { exit_code: 130 },
                // Not an end, as it would be by itself: whoever renews certificates is used to sending it.
                Some(()) = self.hangup.recv() => tracing::info!(
                    "asked to read files again: certificates are, within seconds of a change; settings only at a start"
                ),
            }
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Asked {
        if tokio::signal::ctrl_c().await.is_err() {
            // None can come any more.
            std::future::pending::<()>().await;
        }
        Asked::End { exit_code: 130 }
    }
}
