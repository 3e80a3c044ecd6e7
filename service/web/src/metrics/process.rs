//! The usual metrics of a process (`process_…`), from what Linux says of it at the time of a scrape.

use std::fmt::Write;
use std::path::Path;

/// What `/proc` counts in: Linux tells all programs 100 a second, whatever it counts in itself.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics in the format of Prometheus; nothing where there is no `/proc`.
pub(crate) fn render() -> String {
    of(Path::new("/proc"))
}

fn of(proc: &Path) -> String {
    let mut text = String::new();
    let mut one = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        // What this system does not say is no series.
        if let Some(value) = value {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    };
    let own = proc.join("self");
    let stat = std::fs::read_to_string(own.join("stat")).unwrap_or_default();
    let status = std::fs::read_to_string(own.join("status")).unwrap_or_default();
    let limits = std::fs::read_to_string(own.join("limits")).unwrap_or_default();
    let machine = std::fs::read_to_string(proc.join("stat")).unwrap_or_default();
    let ticks = |place| field(&stat, place).map(|ticks| ticks / TICKS_PER_SECOND);
    let processor = ticks(13).zip(ticks(14)).map(|(user, system)| user + system);
    let boot = named(&machine, "btime");
    one(
        "process_cpu_seconds_total",
        "counter",
        "Processor time spent, of user and system.",
        processor,
    );
    let open = std::fs::read_dir(own.join("fd")).ok().map(|files| files.count() as f64);
    one("process_open_fds", "gauge", "Open file descriptors.", open);
    let most = named(&limits, "Max open files");
    one("process_max_fds", "gauge", "File descriptors that may be open.", most);
    let bytes = |name| named(&status, name).map(|kibibytes| kibibytes * 1024.0);
    one("process_resident_memory_bytes", "gauge", "Memory that is in use.", bytes("VmRSS:"));
    one("process_virtual_memory_bytes", "gauge", "Address space.", bytes("VmSize:"));
    let threads = named(&status, "Threads:");
    one("process_threads", "gauge", "Threads.", threads);
    let start = boot.zip(ticks(21)).map(|(boot, since)| boot + since);
    one("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", start);
    text
}

/// A field of `stat` by its place from 0: behind the name of the program, which may hold anything.
fn field(stat: &str, place: usize) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(place.checked_sub(2)?)?.parse().ok()
}

/// The first number of the line that begins with a name.
fn named(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("self");
        std::fs::create_dir_all(own.join("fd")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("self/fd/0", "");
        write("self/stat", "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 250 50 0 0 20 0 9 0 1000 1 1\n");
        write("self/status", "Name:\tx\nVmSize:\t  2000 kB\nVmRSS:\t  1000 kB\nThreads:\t9\n");
        write("self/limits", "Max open files            1024                 4096   files\n");
        write("stat", "cpu 1 2\nbtime 1700000000\n");
        let text = of(folder.path());
        for line in [
            "process_cpu_seconds_total 3",
            "process_open_fds 1",
            "process_max_fds 1024",
            "process_resident_memory_bytes 1024000",
            "process_virtual_memory_bytes 2048000",
            "process_threads 9",
            "process_start_time_seconds 1700000010",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert_eq!(of(Path::new("/nowhere")), "");
    }
}
