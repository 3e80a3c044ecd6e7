//! Candidates that mean harm, in processes of their own: this program is the parent, and the child of itself.
//!
//! So it has no harness of the standard library, whose output would stand in the way of the child's.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "without a harness clippy does not take it for a test"
)]

mod hostile;

use std::ffi::OsString;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use driftline_capture::{CaptureBatch, columns};
use driftline_config::{Candidate, CandidateOutput, Purpose, sha256_hex};
use driftline_shadow::{
    CandidateLane, FinishedWindow, Health, Launch, Pair, SCORE_COMMAND, Sums, score_for_parent,
};
use hostile::{Harm, model};
use rustix::process::{Pid, Signal, kill_process};

/// How long a machine with other things to do may take for anything.
const PATIENCE: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// A test and its name.
type Named = (&'static str, fn(&Rig));

const TESTS: [Named; 9] = [
    ("a_candidate_is_scored_in_a_process_of_its_own", scored),
    ("the_process_is_locked_up_before_it_sees_a_model", locked_up),
    ("a_model_that_kills_its_process_at_every_start_is_disabled", disabled),
    ("a_row_that_kills_the_process_costs_its_slice", one_row),
    ("a_model_that_never_finishes_loading_is_given_up", never_loaded),
    ("a_run_that_never_ends_is_ended", endless),
    ("memory_is_capped", memory),
    ("what_a_model_has_no_right_to_is_refused_with_the_reason", refused),
    ("a_process_that_is_killed_again_and_again_costs_no_more_than_its_slices", killed),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == SCORE_COMMAND) {
        let ended = score_for_parent(arguments.get(1..).unwrap_or_default());
        return if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let Ok(library) = std::env::var("DRIFTLINE_TEST_ONNXRUNTIME") else {
        println!("skipped: DRIFTLINE_TEST_ONNXRUNTIME names no library");
        return ExitCode::SUCCESS;
    };
    let rig = Rig { library: library.into(), folder: tempfile::tempdir().expect("a folder") };
    let wanted = arguments.first().and_then(|wanted| wanted.to_str()).unwrap_or_default();
    let mut failed = 0;
    for (name, test) in TESTS.into_iter().filter(|(name, _)| name.contains(wanted)) {
        let passed = catch_unwind(std::panic::AssertUnwindSafe(|| test(&rig))).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

struct Rig {
    library: PathBuf,
    folder: tempfile::TempDir,
}

impl Rig {
    fn launch(&self) -> Launch {
        Launch {
            program: std::env::current_exe().expect("this program has a path"),
            libraries: vec![self.library.clone()],
            model_bytes: MIB,
            memory_bytes: 1024 * MIB,
            load: Duration::from_secs(20),
            run: Duration::from_secs(5),
            unsandboxed: false,
        }
    }

    fn candidate(&self, name: &str, bytes: &[u8]) -> Candidate {
        let onnx = self.folder.path().join(format!("{name}.onnx"));
        std::fs::write(&onnx, bytes).expect("written");
        Candidate {
            name: name.to_owned(),
            onnx,
            sha256: sha256_hex(bytes),
            inputs: vec!["a".to_owned(), "b".to_owned()],
            output: CandidateOutput::default(),
            purpose: Purpose::Better,
            trained_until_us: None,
            sample: 1.0,
        }
    }

    fn hostile(&self, harm: Harm) -> Candidate {
        self.candidate(&format!("{harm:?}"), &model(harm))
    }

    fn lane(&self, candidate: Candidate) -> CandidateLane<ByOffset> {
        let launch = self.launch();
        CandidateLane::spawn(candidate, 100_000, ByOffset::default(), move |_| Ok(launch))
    }
}

/// The candidate's scores by offset.
#[derive(Debug, Clone, Default, PartialEq)]
struct ByOffset(Vec<(i64, f64)>);

impl Sums for ByOffset {
    fn add(&mut self, pair: &Pair<'_>) {
        let (_, score) = pair.scores.expect("both have scores");
        self.0.push((pair.offset, score));
    }

    fn add_batch_time(&mut self, _rows: u64, _took_ns: u64) {}

    fn add_single_time(&mut self, _took_ns: u64) {}

    fn merge(&mut self, other: &ByOffset) {
        self.0.extend(&other.0);
    }
}

/// Rows with these values of `a`, and their offsets as `b`.
fn batch(a: &[f64]) -> CaptureBatch {
    let rows = a.len();
    let numbers = || Arc::new(Int64Array::from_iter_values(0..rows as i64)) as ArrayRef;
    let none = || Arc::new(StringArray::from(vec![None::<&str>; rows])) as ArrayRef;
    let offsets = Float64Array::from_iter_values((0..rows).map(|row| row as f64));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (columns::OFFSET, numbers()),
        (columns::TIME_US, numbers()),
        (columns::RECORD_TIME_US, numbers()),
        (columns::ID, none()),
        (columns::VERSION, none()),
        (columns::LATENCY_US, Arc::new(Int64Array::from(vec![None; rows]))),
        (columns::STATUS, Arc::new(Int32Array::from(vec![None; rows]))),
        (columns::SAMPLE_RATE, Arc::new(Float64Array::from(vec![1.0; rows]))),
        ("prediction:score", Arc::new(Float64Array::from(vec![0.5; rows]))),
        ("feature:a", Arc::new(Float64Array::from(a.to_vec()))),
        ("feature:b", Arc::new(offsets)),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    CaptureBatch::new(batch).expect("an envelope")
}

fn offer(lane: &CandidateLane<ByOffset>, start_us: i64, a: &[f64]) {
    lane.offer(start_us, &batch(a), &Vec::from_iter(0..a.len() as u32));
}

/// Asks again and again until there is an answer.
fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn finish(lane: &CandidateLane<ByOffset>, start_us: i64) -> FinishedWindow<ByOffset> {
    lane.close(start_us, Instant::now() + PATIENCE);
    wait("a window is finished", || lane.take_finished(Instant::now()).pop())
}

fn counts(window: &FinishedWindow<ByOffset>) -> (u64, u64, u64, u64) {
    (window.sampled, window.paired, window.shed, window.failed)
}

/// Why the lane has given up or fails.
fn degraded(lane: &CandidateLane<ByOffset>) -> String {
    wait("the candidate is degraded", || match lane.health() {
        Health::Degraded(why) => Some(why),
        _ => None,
    })
}

/// The scoring processes that this one has.
fn children() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process has threads");
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let all: String = tasks.filter_map(of_task).collect();
    all.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn scored(rig: &Rig) {
    let lane = rig.lane(rig.hostile(Harm::Harmless));
    let a: Vec<f64> = (0..2000).map(|row| f64::from(row) / 4.0).collect();
    offer(&lane, 0, &a);
    let window = finish(&lane, 0);
    assert_eq!(counts(&window), (2000, 2000, 0, 0));
    let mut scores = window.sums.0.clone();
    scores.sort_by_key(|(offset, _)| *offset);
    for (row, (offset, score)) in scores.into_iter().enumerate() {
        assert_eq!((offset, score), (row as i64, a[row] + row as f64));
    }
    assert_eq!(children().len(), 1);
    let own = std::fs::read_to_string("/proc/self/maps").expect("readable");
    assert!(!own.contains("libonnxruntime"), "the library is in the child alone");
    drop(lane);
    assert_eq!(children(), Vec::<u32>::new(), "it ends with its lane");
}

fn locked_up(rig: &Rig) {
    let around = rig.launch().look_around().expect("the library loads");
    assert_eq!(around.library.file_name(), rig.library.file_name());
    assert_eq!(around.lacks, Vec::<String>::new());
    let lane = rig.lane(rig.hostile(Harm::Harmless));
    wait("it is loaded", || (lane.health() == Health::Ready).then_some(()));
    let child = children().pop().expect("a child");
    let try_read = |name: &str| std::fs::read_to_string(format!("/proc/{child}/{name}"));
    let read = |name: &str| try_read(name).expect("a child that lives");
    let status = read("status");
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "Threads:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let limits = read("limits");
    for (name, most) in
        [("address space", "1073741824"), ("core file size", "0"), ("file size", "0")]
    {
        let line = limits.lines().find(|line| line.to_lowercase().contains(&format!("max {name}")));
        let line = line.unwrap_or_else(|| panic!("{name}: {limits}"));
        assert_eq!(line.split_whitespace().rev().nth(1), Some(most), "{line}");
    }
    assert_eq!(read("oom_score_adj").trim(), "1000");
    // Root alone may look there: nobody else gets at the memory of the process.
    if let Ok(environment) = try_read("environ") {
        assert_eq!(environment, "ORT_DISABLE_TELEMETRY=1\0");
    }
}

/// The whole service died at every start, seven times of seven.
fn disabled(rig: &Rig) {
    let lane = rig.lane(rig.hostile(Harm::DividesWhileLoading));
    offer(&lane, 0, &[1.0; 30]);
    let restarting = wait("the first death", || match lane.health() {
        Health::Restarting(why) => Some(why),
        _ => None,
    });
    assert!(restarting.contains("died while it loaded the model: signal SIGFPE"), "{restarting}");
    let why = degraded(&lane);
    assert!(why.starts_with("it was disabled after 3 deaths, its process died"), "{why}");
    assert!(why.contains("SIGFPE"), "{why}");
    assert_eq!(counts(&finish(&lane, 0)), (30, 0, 0, 30));
    assert_eq!(children(), Vec::<u32>::new());
}

fn one_row(rig: &Rig) {
    let lane = rig.lane(rig.hostile(Harm::DividesRows));
    let smallest = -(2_f64.powi(63));
    offer(&lane, 0, &[1.0, smallest, 3.0]);
    let window = finish(&lane, 0);
    assert_eq!(counts(&window), (3, 0, 3, 0));
    let problem = window.problem.expect("a problem");
    assert!(problem.contains("died while it scored: signal SIGFPE"), "{problem}");
    offer(&lane, 1, &[1.0, 2.0, 3.0]);
    let window = finish(&lane, 1);
    assert_eq!((counts(&window), window.problem.as_deref()), ((3, 3, 0, 0), None));
    assert_eq!(lane.health(), Health::Ready);
}

fn never_loaded(rig: &Rig) {
    let launch = Launch { load: Duration::from_secs(2), ..rig.launch() };
    let candidate = rig.hostile(Harm::LoadsForEver);
    let lane = CandidateLane::spawn(candidate, 1000, ByOffset::default(), move |_| Ok(launch));
    let why = degraded(&lane);
    assert!(why.contains("while it loaded the model: it took too long"), "{why}");
    assert!(why.contains("raise shadow.load"), "{why}");
    assert!(!why.contains("deaths"), "the first is enough: {why}");
}

fn endless(rig: &Rig) {
    // A loop of 2^62 rounds: a standard model that passes every check and never answers.
    let bytes = include_bytes!("../src/model/fixtures/endless.onnx");
    let launch = Launch { run: Duration::from_secs(1), ..rig.launch() };
    let candidate = rig.candidate("endless", bytes);
    let lane = CandidateLane::spawn(candidate, 1000, ByOffset::default(), move |_| Ok(launch));
    offer(&lane, 0, &[1.0; 30]);
    let window = finish(&lane, 0);
    assert_eq!(counts(&window), (30, 0, 30, 0));
    let problem = window.problem.expect("a problem");
    assert!(problem.contains("while it scored: it took too long, the limit is 1s"), "{problem}");
    offer(&lane, 1, &[1.0; 30]);
    // It is being scored by now, or soon: the lane stops all the same.
    drop(lane);
    assert_eq!(children(), Vec::<u32>::new());
}

fn memory(rig: &Rig) {
    for harm in [Harm::ExpandsWhileLoading, Harm::ExpandsRows] {
        let lane = rig.lane(rig.hostile(harm));
        offer(&lane, 0, &[1.0; 30]);
        let window = finish(&lane, 0);
        assert_eq!(window.paired, 0, "{harm:?}");
        // A library that meets the limit in time says so itself, and lives.
        let problem = window.problem.expect("a problem");
        assert!(problem.contains("alloc") || problem.contains("memory"), "{harm:?}: {problem}");
    }
    let own = std::fs::read_to_string("/proc/self/status").expect("readable");
    let peak = own.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak_kib < 512 * 1024, "the parent took {peak_kib} KiB");
}

fn refused(rig: &Rig) {
    let other = Path::new("/nowhere/libonnxruntime.so").to_path_buf();
    let gone = Launch { libraries: vec![other], ..rig.launch() };
    let error = gone.look_around().expect_err("no library").to_string();
    assert!(error.contains("no usable ONNX Runtime library (/nowhere/"), "{error}");
    let unborn = Launch { program: "/nowhere/driftline".into(), ..rig.launch() };
    let error = unborn.look_around().expect_err("no program").to_string();
    assert!(error.contains("it cannot be started"), "{error}");
    let stranger = Launch { program: "/bin/true".into(), ..rig.launch() };
    let error = stranger.look_around().expect_err("another program").to_string();
    assert!(error.contains("exit code 0"), "{error}");
    let error = rig.launch().open(&rig.hostile(Harm::TakesTooManyRows)).expect_err("refused");
    assert!(error.to_string().contains("insists on 2000000000 rows"), "{error}");
    let lane = rig.lane(rig.hostile(Harm::HasTwoValuesInOneDimension));
    offer(&lane, 0, &[1.0; 30]);
    let window = finish(&lane, 0);
    // Two values for each row were read as two columns.
    assert_eq!(counts(&window), (30, 0, 0, 30));
    let problem = window.problem.expect("a problem");
    assert!(problem.contains("the output y is Tensor<f32>(16) for 8 rows"), "{problem}");
}

fn killed(rig: &Rig) {
    let kills = std::env::var("DRIFTLINE_CANDIDATE_KILLS").ok().and_then(|text| text.parse().ok());
    let a = vec![1.0; 20_000];
    for _ in 0..kills.unwrap_or(10) {
        // Each is the first of its lane, after which that rests for a second.
        let lane = rig.lane(rig.hostile(Harm::Harmless));
        wait("it is ready", || (lane.health() == Health::Ready).then_some(()));
        offer(&lane, 0, &a);
        let child = children().pop().and_then(|child| Pid::from_raw(i32::try_from(child).ok()?));
        kill_process(child.expect("a child"), Signal::KILL).expect("it lives");
        let window = finish(&lane, 0);
        let (sampled, paired, shed, failed) = counts(&window);
        assert_eq!((sampled, paired + shed, failed), (20_000, 20_000, 0));
        assert!(shed <= 512, "{shed} rows were lost with one slice");
        assert_eq!(window.sums.0.len() as u64, paired);
    }
}
