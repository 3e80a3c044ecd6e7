//! What the loop shows of itself, and of the time before it started.

use super::intake::plan;
use super::*;
use crate::commands::rig::{PARTITIONS, Rig, capture, day_us, filled};

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

/// The delay counted from the end of the window, before its late rows were due.
#[test]
fn the_delay_of_a_report_counts_from_when_its_window_was_due() {
    let rig = filled(50);
    let reports = rig.serve().reports;
    let (report, _) = reports.first().unwrap();
    let end_us = driftline_config::time::parse_instant_us(&report.window.end).unwrap();
    let mut readiness = Readiness::default();
    readiness.reported(report, 3_600_000_000, end_us + 3_600_000_000 + 5);
    assert_eq!(readiness.report_delay_us(), Some(5));
}

/// The age grew for as long as a silent topic left nothing to write.
#[test]
fn a_checkpoint_is_as_young_as_the_last_time_there_was_nothing_to_write() {
    let rig = Rig::new(50);
    let mut monitor = monitor(&rig);
    while !monitor.is_settled() || monitor.writer.is_busy() {
        monitor.hurry();
        monitor.turn().unwrap();
    }
    let committed = monitor.clocks.committed;
    monitor.hurry();
    monitor.snapshot();
    assert!(monitor.gate.is_empty(), "there was something to write");
    assert!(monitor.clocks.committed > committed);
    monitor.finish(&mut |_| {}).unwrap();
}

/// The gauges and the last windows were empty until the next window closed: for a day.
#[test]
fn the_newest_reports_of_before_are_shown_after_a_start_and_not_counted() {
    let rig = filled(50);
    let reports = rig.serve().reports;
    let (newest, _) = reports.iter().rev().find(|(report, _)| report.model == "m").unwrap();
    let mut monitor = monitor(&rig);
    for report in monitor.newest.take_all() {
        monitor.show_again(&report);
    }
    assert!(!values(&monitor, "driftline_drift_level{model=\"m\"").is_empty());
    let windows = values(&monitor, "driftline_windows_total{model=\"m\"");
    assert!(!windows.is_empty() && windows.iter().all(|windows| *windows == 0.0));
    // A report of before never hides one of now.
    assert!(!monitor.readiness.has_reported("m"));
    monitor.readiness.reported(newest, 0, 0);
    assert!(monitor.readiness.has_reported("m"));
    monitor.finish(&mut |_| {}).unwrap();
}

/// The rule was tested, and that the loop obeys it was not.
#[test]
fn nothing_is_read_while_too_many_closed_windows_wait() {
    let rig = Rig::new(1);
    let (first, days) = (-200, 150);
    for partition in 0..PARTITIONS {
        let a_row_a_day: Vec<String> =
            (first..first + days).map(|day| capture("m", "id", day_us(day) + 5)).collect();
        rig.send(partition, &a_row_a_day);
    }
    rig.close(first + days + 1);
    let mut monitor = monitor(&rig);
    let models = monitor.pipeline.models().map(|model| plan(model.setup())).collect();
    // Verdicts are heard in turns alone.
    rig.read(models, &mut |chunk| monitor.feed(Event::Read(Read::Chunk(chunk))));
    assert!(monitor.pipeline.is_behind(false));

    for partition in 0..PARTITIONS {
        rig.send(partition, &[capture("m", "id", day_us(first + days + 2))]);
    }
    monitor.start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let wait = || {
        assert!(Instant::now() < deadline, "a minute is over");
        std::thread::sleep(Duration::from_millis(1));
    };
    while monitor.intake.waiting() == 0 {
        wait();
    }
    // A row a day, the heartbeats that close them, and one row more.
    let (before, end) = (monitor.pipeline.positions(), 3 * (days + 97));
    let mut held_back = 0;
    while monitor.pipeline.positions().values().sum::<i64>() < end {
        wait();
        monitor.turn().unwrap();
        if monitor.held_back {
            held_back += 1;
            assert_eq!(monitor.pipeline.positions(), before);
        }
    }
    assert!(held_back > 0);
    let times = values(&monitor, "driftline_limit_reached_total{limit=\"closed_windows\"}");
    assert_eq!(times, [1.0]);
    monitor.finish(&mut |_| {}).unwrap();
}

/// The loop itself looked through all reports: for seconds, with gigabytes of them.
#[test]
fn old_reports_are_dropped_beside_the_loop() {
    let rig = filled(50);
    let reports = rig.serve().reports.len() as f64;
    let mut config = rig.config();
    config.limits.report_bytes = 1;
    let options = || {
        let listener = Some(TcpListener::bind("127.0.0.1:0").unwrap());
        Options { listener, ..Options::default() }
    };
    let mut monitor = Monitor::build(&config, options()).unwrap();
    monitor.pruner.begin(monitor.clock.now().wall_us, monitor.pipeline.unused_names()).unwrap();
    let dropped = |monitor: &Monitor| {
        values(monitor, "driftline_limit_reached_total{limit=\"report_bytes\"}")
    };
    assert_eq!(dropped(&monitor), [0.0], "the loop is told when it asks");
    let deadline = Instant::now() + Duration::from_secs(60);
    while dropped(&monitor) != [reports] {
        assert!(Instant::now() < deadline, "{:?} of {reports} reports", dropped(&monitor));
        monitor.turn().unwrap();
    }
    monitor.finish(&mut |_| {}).unwrap();
    let monitor = Monitor::build(&config, options()).unwrap();
    assert!(monitor.newest.take_all().is_empty());
    monitor.finish(&mut |_| {}).unwrap();
}

/// Readers that are gone were taken for readers that have nothing to say.
#[test]
fn the_loop_ends_with_a_sentence_where_nobody_reads_any_more() {
    let rig = Rig::new(1);
    let mut monitor = monitor(&rig);
    monitor.turn().unwrap();
    monitor.start().unwrap();
    monitor.intake.stop();
    let error = monitor.turn().unwrap_err().to_string();
    assert!(error.starts_with("the thread of the reader ended by a panic"), "{error}");
    monitor.finish(&mut |_| {}).unwrap();
}
