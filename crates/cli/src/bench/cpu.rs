//! Processor time, of the process and of the calling thread.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// What all threads of this process have used so far.
pub(crate) fn of_process() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

/// What the calling thread has used so far.
pub(crate) fn of_thread() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

fn duration(time: Timespec) -> Duration {
    // These clocks count from zero, so neither part is negative.
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}
