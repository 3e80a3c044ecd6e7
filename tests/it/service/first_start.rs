//! The first start of a service, killed while it makes its state folder.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use driftline_store::Store;

use crate::rig::service::driftline;

/// Kills of an ordinary run; `make chaos` kills 500 times.
const KILLS: u64 = 40;
/// From the first sign of a start on.
const WITHIN_US: u64 = 50_000;
/// How long a start may take until it shows a sign.
const SIGN: Duration = Duration::from_secs(30);

const CONFIG: &str = "\
state: state
kafka: {bootstrap: \"127.0.0.1:1\", reports: off}
http: {listen: \"127.0.0.1:0\"}
models:
  - name: flight-delay
    captures: {topic: captures}
    baseline: baseline.json
";

/// Of fourteen such kills, four left a file that no later start would read.
#[test]
fn a_first_start_that_is_killed_starts_again() {
    let kills = std::env::var("DRIFTLINE_START_KILLS");
    let kills = kills.map_or(KILLS, |text| text.parse().expect("a number"));
    let mut unfinished = 0;
    for nth in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let baseline = driftline_world::baseline(200, 8);
        fs::write(path.join("baseline.json"), &baseline).unwrap();
        fs::write(path.join("driftline.yaml"), CONFIG).unwrap();
        kill(path, Duration::from_micros(WITHIN_US * nth / kills));
        let state = path.join("state");
        unfinished += u64::from(!Store::file_in(&state).is_file());
        // A start waits for nobody, and refuses nothing that the killed one left.
        if let Err(error) = Store::open(&state, Duration::from_secs(10), false) {
            panic!("kill {nth}: {error}");
        }
    }
    println!("{kills} kills, {unfinished} before the checkpoint had its name");
    assert!(unfinished > 0, "some come while it is made");
}

/// Starts the service and kills it so long after its state folder is there.
fn kill(folder: &Path, after: Duration) {
    let mut command = driftline();
    command.current_dir(folder).args(["run", "--config", "driftline.yaml"]);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.join("state/lock").exists() {
        assert!(begun.elapsed() < SIGN, "no start");
        assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
        thread::sleep(Duration::from_micros(200));
    }
    thread::sleep(after);
    process.kill().unwrap();
    process.wait().unwrap();
}
