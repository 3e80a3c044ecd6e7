//! What a scoring process may take of the machine, set by itself before it loads anything.

use std::cell::Cell;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::time::{ClockId, clock_gettime};

use super::Errand;

/// Open files: the three of every process, the two ends to the parent, and what loading a library opens.
const OPEN_FILES: u64 = 64;

/// The limit of processor time, which is counted from request to request.
#[derive(Debug)]
pub(super) struct Limits {
    run_s: u64,
    /// Processor time that was used before the request.
    before: Cell<Duration>,
}

impl Limits {
    /// Sets all limits of the process, the processor time of the start among them.
    pub(super) fn set(errand: &Errand) -> io::Result<Limits> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Where memory runs out, the kernel takes this process before all others.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        // Whatever it dies of, the rows that it held are nobody's to read.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let most = [
            (Resource::As, errand.memory_bytes),
            (Resource::Core, 0),
            (Resource::Fsize, 0),
            (Resource::Memlock, 0),
            (Resource::Nofile, OPEN_FILES),
        ];
        for (resource, most) in most {
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
        let limits = Limits { run_s: errand.run_s, before: Cell::default() };
        limit_processor_time(errand.load_s)?;
        Ok(limits)
    }

    /// A request begins, and its processor time is counted anew.
    pub(super) fn renew(&self) {
        let before = used();
        self.before.set(before);
        // Whole seconds are all that the kernel counts: it ends at the first beyond the limit.
        let _ = limit_processor_time(before.as_secs() + 1 + self.run_s);
    }

    /// Processor time since the request began.
    pub(super) fn ran(&self) -> Duration {
        used().saturating_sub(self.before.get())
    }
}

fn limit_processor_time(seconds: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: None })?)
}

fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(used.tv_sec), u32::try_from(used.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}
