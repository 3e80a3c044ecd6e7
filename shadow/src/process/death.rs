//! What a scoring process died of, in words that say what to do about it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::error::one_line;

/// Why nothing more is heard of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It hung up.
    Ended,
    /// It did not answer in time.
    TimeOut,
    /// What it said is no answer.
    Nonsense,
}

impl Cause {
    pub(super) fn of(error: &io::Error) -> Cause {
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Cause::TimeOut,
            ErrorKind::InvalidData => Cause::Nonsense,
            _ => Cause::Ended,
        }
    }
}

/// The end of a process that was not asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// What it died of.
    why: String,
    took_too_long: bool,
    moment: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Loading(Duration),
    Scoring(Duration),
}

impl Death {
    /// Of a process that could not even be started.
    pub(super) fn unborn(reason: String) -> Death {
        let why = format!("it cannot be started ({reason})");
        Death { why, took_too_long: false, moment: Moment::Loading(Duration::ZERO) }
    }

    pub(super) fn of(cause: Cause, status: io::Result<ExitStatus>, last_words: &str) -> Death {
        let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
        let last_words = one_line(last_words.chars().map(printable).collect::<String>());
        let (why, took_too_long) = match cause {
            Cause::TimeOut => ("it did not answer in time".to_owned(), true),
            Cause::Nonsense => ("it answered what is no answer".to_owned(), false),
            Cause::Ended => match status {
                Ok(status) => of_status(status, &last_words),
                Err(error) => (format!("nobody knows of what: {}", one_line(error)), false),
            },
        };
        Death { why, took_too_long, moment: Moment::Scoring(Duration::ZERO) }
    }

    /// While the library or the model was loaded, for which it had so much processor time.
    pub(super) fn loading(self, limit: Duration) -> Death {
        Death { moment: Moment::Loading(limit), ..self }
    }

    /// While it scored rows, for which it had so much processor time.
    pub(super) fn scoring(self, limit: Duration) -> Death {
        Death { moment: Moment::Scoring(limit), ..self }
    }

    /// Whether another process would do the same again, as long.
    pub(crate) fn is_for_good(&self) -> bool {
        self.took_too_long && matches!(self.moment, Moment::Loading(_))
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Death { why, took_too_long, moment } = self;
        let (doing, limit, key) = match moment {
            Moment::Loading(limit) => ("while it loaded the model", limit, "load"),
            Moment::Scoring(limit) => ("while it scored", limit, "run"),
        };
        write!(formatter, "its process died {doing}: {why}")?;
        if *took_too_long {
            write!(
                formatter,
                ", the limit is {limit:?} of processor time: raise shadow.{key} if it is meant"
            )?;
        }
        Ok(())
    }
}

/// How a process ended by itself, and whether that was for the time it took.
fn of_status(status: ExitStatus, last_words: &str) -> (String, bool) {
    let said = if last_words.is_empty() { String::new() } else { format!(": {last_words}") };
    let is_memory = ["bad_alloc", "memory allocation of"].iter().any(|it| last_words.contains(it));
    match (status.signal(), status.code()) {
        (Some(libc::SIGXCPU), _) => ("it took too long".to_owned(), true),
        _ if is_memory => {
            let what = "it needs more memory than it may have";
            (format!("{what} (raise shadow.memory if it is meant){said}"), false)
        }
        (Some(signal), _) => (format!("{}{said}", of_signal(signal)), false),
        (None, Some(code)) => (format!("exit code {code}{said}"), false),
        (None, None) => (format!("it has ended ({status}){said}"), false),
    }
}

fn of_signal(signal: i32) -> String {
    let (name, meaning) = match signal {
        libc::SIGFPE => ("SIGFPE", "an arithmetic fault, such as a division that has no result"),
        libc::SIGSEGV => ("SIGSEGV", "a memory fault, such as graphs nested too deeply"),
        libc::SIGBUS => ("SIGBUS", "a memory fault"),
        libc::SIGILL => ("SIGILL", "an instruction that this processor does not have"),
        libc::SIGABRT => ("SIGABRT", "ONNX Runtime gave up"),
        libc::SIGSYS => ("SIGSYS", "a system call that is forbidden"),
        libc::SIGKILL => {
            ("SIGKILL", "somebody ended it: most likely the kernel, for the machine's memory")
        }
        other => return format!("signal {other}"),
    };
    format!("signal {name}, {meaning}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_names_its_cause() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let aborted = ExitStatus::from_raw(libc::SIGABRT);
        let limit = Duration::from_secs(30);
        let (ended, slow) = (Cause::Ended, Cause::TimeOut);
        let table = [
            (ended, ExitStatus::from_raw(libc::SIGFPE), "", "signal SIGFPE, an arithmetic fault"),
            (ended, ExitStatus::from_raw(libc::SIGXCPU), "", "too long, the limit is 30s of"),
            (ended, ExitStatus::from_raw(63), "", "signal 63"),
            (ended, aborted, "what(): std::bad_alloc", "more memory than it may have"),
            (ended, aborted, "memory allocation of 8000 bytes failed", "raise shadow.memory"),
            (ended, aborted, "a\n \u{1b}[2Jb", "gave up: a [2Jb"),
            (ended, exit(101), "panicked", "exit code 101: panicked"),
            (slow, ExitStatus::from_raw(libc::SIGKILL), "", "did not answer in time, the limit"),
            (Cause::Nonsense, exit(0), "", "what is no answer"),
        ];
        for (cause, status, last_words, expected) in table {
            let death = Death::of(cause, Ok(status), last_words).scoring(limit);
            let says = death.to_string();
            assert!(says.starts_with("its process died while it scored: "), "{says}");
            assert!(says.contains(expected), "{expected}: {says}");
            assert!(!death.is_for_good());
        }
    }

    #[test]
    fn who_never_finishes_loading_is_given_up() {
        let table = [(libc::SIGXCPU, true), (libc::SIGFPE, false), (libc::SIGKILL, false)];
        for (signal, expected) in table {
            let death = Death::of(Cause::Ended, Ok(ExitStatus::from_raw(signal)), "");
            let death = death.loading(Duration::from_secs(60));
            assert_eq!(death.is_for_good(), expected, "{death}");
        }
    }
}
