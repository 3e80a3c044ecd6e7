//! Incidents of one rule over a stream: opened by an alarm, closed by two windows without one.

/// Windows without an alarm after which an incident is over.
const QUIET: usize = 2;

/// What a rule did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incidents {
    open: bool,
    quiet: usize,
    recent: [bool; 2],
    pub(crate) openings: usize,
    /// Windows in which an incident was open.
    pub(crate) open_windows: usize,
}

impl Incidents {
    /// One window, which alarms or not; an incident needs so many alarms of the newest three. Says
    /// whether this window is one that opens or continues an incident.
    pub(crate) fn see(&mut self, alarm: bool, needed: usize) -> bool {
        let before = self.recent.iter().filter(|&&alarm| alarm).count();
        self.recent = [self.recent[1], alarm];
        let opens = alarm && before + 1 >= needed;
        if opens {
            self.quiet = 0;
            self.openings += usize::from(!self.open);
            self.open = true;
        } else if !alarm {
            self.quiet += 1;
            self.open &= self.quiet < QUIET;
        }
        self.open_windows += usize::from(self.open);
        opens
    }
}
