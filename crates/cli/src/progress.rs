//! Progress of long work, on standard error and only where somebody watches: indicatif draws nothing when standard error
//! is no terminal, so logs and pipes stay clean.

use std::io::Read;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// One line of progress. Dropping it clears the line.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Work of a known length.
    pub(crate) fn bar(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        bar.set_style(style("{msg:24} {bar:32} {human_pos}/{human_len} {eta}"));
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Work of a known number of bytes.
    pub(crate) fn bytes(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        bar.set_style(style(
            "{msg:24} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ));
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Work whose end is not known.
    pub(crate) fn spinner(what: &str) -> Self {
        Self::endless(what, "{spinner} {msg} {elapsed}")
    }

    /// Input whose end is not known.
    pub(crate) fn stream(what: &str) -> Self {
        Self::endless(what, "{spinner} {msg} {bytes} {elapsed}")
    }

    fn endless(what: &str, template: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style(template));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// `input`, with what is read of it counted.
    pub(crate) fn reading<R: Read>(&self, input: R) -> impl Read + use<R> {
        self.0.wrap_read(input)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.inc(more);
    }

    /// How much is done in all.
    pub(crate) fn reach(&self, done: u64) {
        self.0.set_position(done);
    }

    /// How much is done, of how much there turned out to be.
    pub(crate) fn reach_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    pub(crate) fn say(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a slip in this file; plain progress is better than none.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
