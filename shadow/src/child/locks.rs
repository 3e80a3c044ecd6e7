//! The locks of a scoring process: no files, no network, no other process, whatever a model makes of it.
//!
//! Two locks, since each alone has a gap: Landlock refuses paths and ports, also through a system call that
//! nobody thought of; seccomp refuses all system calls but those that computing takes.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::RawFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Allows no more than to read files, where the kernel can do that: nothing that is loaded writes any or sends
/// anything to anybody. What it lacks is said when all is closed.
pub(super) fn close_for_writing() {
    if let Err(why) = landlock(Some("/")) {
        tracing::debug!(why, "a library is loaded without a lock");
    }
}

/// Closes both locks for good, but for reading from one file and writing to the other; what could not be
/// closed, and why.
pub(super) fn close(from: RawFd, to: RawFd) -> Vec<String> {
    let mut lacks = Vec::new();
    // Landlock holds for the thread that closes it and those that it starts.
    if let Some(others) = other_threads() {
        lacks.push(format!("a process of one thread: the library has started {others}"));
    }
    lacks.extend(landlock(None).err().map(|why| format!("landlock: {why}")));
    lacks.extend(seccomp(from, to).err().map(|why| format!("seccomp: {why}")));
    lacks
}

fn other_threads() -> Option<usize> {
    let threads = fs::read_dir("/proc/self/task").map(Iterator::count);
    threads.ok().filter(|threads| *threads > 1).map(|threads| threads - 1)
}

/// Every right to paths, ports and signals that this kernel knows is given up, but for reading files of a folder.
fn landlock(readable: Option<&str>) -> Result<(), String> {
    const NEWEST: ABI = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(|rules| rules.create())
        .and_then(|rules| {
            rules.add_rules(path_beneath_rules(readable, AccessFs::from_read(NEWEST)))
        })
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| error.to_string())?;
    match (status.ruleset, status.landlock) {
        // An older kernel closes what it knows; ports are shut by seccomp as well.
        (RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced, _) => Ok(()),
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => {
            Err("it is not enabled: add landlock to the kernel's lsm= parameter".to_owned())
        }
        (RulesetStatus::NotEnforced, _) => {
            Err("this kernel does not have it: Linux 5.13 is the first that does".to_owned())
        }
    }
}

fn seccomp(from: RawFd, to: RawFd) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let rules = rules(from, to).map_err(|error| error.to_string())?;
    // Refused rather than killed: a library may ask for what it can do without.
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let program: BpfProgram = SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())?;
    apply_filter_all_threads(&program).map_err(|error| error.to_string())
}

/// System calls that computing takes: memory, clocks, one's own end.
const COMPUTING: [libc::c_long; 27] = [
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules(from: RawFd, to: RawFd) -> Result<Rules, seccompiler::BackendError> {
    const FIRST: u8 = 0;
    const SECOND: u8 = 1;
    const THIRD: u8 = 2;
    let is = |argument: u8, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let only = |conditions: Vec<SeccompCondition>| SeccompRule::new(conditions);
    let file = |file: RawFd| only(vec![is(FIRST, u64::from(file.unsigned_abs()))?]);
    // Memory that holds code is there already.
    let no_code = || {
        let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
        let masked = SeccompCmpOp::MaskedEq(executable);
        only(vec![SeccompCondition::new(THIRD, SeccompCmpArgLen::Dword, masked, 0)?])
    };
    let own_process = u64::from(std::process::id());
    let processor_time = u64::from(libc::RLIMIT_CPU);
    let mut rules: Rules = COMPUTING.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_read, vec![file(from)?]);
    rules.insert(libc::SYS_write, vec![file(to)?, file(libc::STDERR_FILENO)?]);
    rules.insert(libc::SYS_writev, vec![file(libc::STDERR_FILENO)?]);
    rules.insert(libc::SYS_mmap, vec![no_code()?]);
    rules.insert(libc::SYS_mprotect, vec![no_code()?]);
    // A process that gives up sends itself the signal.
    rules.insert(libc::SYS_tgkill, vec![only(vec![is(FIRST, own_process)?])?]);
    // The limit of processor time is renewed with every request.
    let renewed = vec![is(FIRST, 0)?, is(SECOND, processor_time)?];
    rules.insert(libc::SYS_prlimit64, vec![only(renewed)?]);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Set where this very test runs in a process of its own, which it locks up.
    const INSIDE: &str = "DRIFTLINE_TEST_LOCKED_UP";

    /// Something that a process may do, and whether it can.
    type Attempt = (&'static str, Box<dyn Fn() -> bool>);

    /// What can be done by whoever is locked up so.
    fn possible(lock: impl Fn() -> Result<(), String>) -> Vec<&'static str> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        lock().expect("this kernel has it");
        let table: [Attempt; 8] = [
            ("read a file", Box::new(|| fs::read("/proc/self/cmdline").is_ok())),
            ("list a folder", Box::new(|| fs::read_dir("/").is_ok())),
            ("write a file", Box::new(|| File::create("/tmp/driftline-locked-up").is_ok())),
            ("connect", Box::new(move || TcpStream::connect(address).is_ok())),
            ("listen", Box::new(|| TcpListener::bind("127.0.0.1:0").is_ok())),
            ("send", Box::new(|| UdpSocket::bind("127.0.0.1:0").is_ok())),
            ("start a program", Box::new(|| Command::new("/bin/true").status().is_ok())),
            ("start a thread", Box::new(|| thread::Builder::new().spawn(|| ()).is_ok())),
        ];
        table.iter().filter(|(_, attempt)| attempt()).map(|(name, _)| *name).collect()
    }

    /// Runs this test again in a process of its own, and says what was possible there.
    fn inside(name: &str) -> String {
        let output = Command::new(std::env::current_exe().expect("a path"))
            .args([&format!("child::locks::tests::{name}"), "--exact", "--nocapture"])
            .env(INSIDE, name)
            .output()
            .expect("this program runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let line = said.lines().find_map(|line| line.split_once("possible: "));
        line.map(|(_, possible)| possible.to_owned()).unwrap_or_else(|| panic!("{said}"))
    }

    /// Each lock alone, and what the other is for.
    fn check(name: &str, expected: &str, lock: fn() -> Result<(), String>) {
        if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
            println!("possible: {}", possible(lock).join(", "));
            return;
        }
        assert_eq!(inside(name), expected);
    }

    #[test]
    fn landlock_shuts_files_and_ports() {
        // The system's loader reads the program that is started.
        check("landlock_shuts_files_and_ports", "send, start a thread", || landlock(None));
    }

    #[test]
    fn a_library_that_is_loaded_may_read_files() {
        let expected = "read a file, list a folder, send, start a program, start a thread";
        check("a_library_that_is_loaded_may_read_files", expected, || landlock(Some("/")));
    }

    #[test]
    fn seccomp_shuts_all_but_computing() {
        check("seccomp_shuts_all_but_computing", "", || seccomp(0, 1));
    }
}
