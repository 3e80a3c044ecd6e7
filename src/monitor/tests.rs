//! What the loop shows of itself, and of the time before it started.

use super::*;
use crate::commands::rig::{Rig, filled};

fn monitor(rig: &Rig) -> Monitor {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options { listener: Some(listener), ..Options::default() };
    Monitor::build(&rig.config(), options).unwrap()
}

/// The numbers behind the series that begin with this.
fn values(monitor: &Monitor, series: &str) -> Vec<f64> {
    let text = monitor.metrics.render().unwrap();
    let lines = text.lines().filter(|line| line.starts_with(series));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

/// Only the outbox had a depth.
#[test]
fn every_bounded_queue_has_a_depth() {
    let rig = Rig::new(50);
    let monitor = monitor(&rig);
    monitor.show_queues();
    for queue in ["read", "judge", "candidates", "writer", "outbox", "reports", "delivery"] {
        let depth = values(&monitor, &format!("driftline_queue_depth{{queue=\"{queue}\"}}"));
        assert_eq!(depth, [0.0], "{queue}");
    }
    monitor.finish(&mut |_| {}).unwrap();
}
