//! Ends of logs: since when it is known that there was no more, and rows that tell nothing of progress.

use driftline_config::time::SECOND_US;

use super::*;

/// 2999-01-01T00:00:00Z
const FAR_AHEAD_US: i64 = 32_472_144_000_000_000;

/// An end was told once: whoever read it an hour later could not know whether the log had been quiet since.
#[test]
fn an_end_is_told_again_while_it_lasts_and_never_of_a_time_when_there_was_more() {
    let rig = Rig::new(&[("a", 2), ("b", 1)]);
    rig.send("a", 0, &captures(0..3));
    let mut reading = rig.read(&["a", "b"], BTreeMap::new());
    let quiet = log(0, 1);
    for sent in 3..8 {
        // The one partition rests; in the other each record comes as soon as its end was sampled.
        let before = reading.seen.sampled.get(&quiet).copied();
        reading.until(|seen| {
            let busy = seen.sampled.get(&log(0, 0));
            busy.is_some_and(|(_, offset)| *offset == sent)
                && seen.sampled.get(&quiet) > before.as_ref()
        });
        rig.send("a", 0, &captures(0..1));
        reading.seen.acknowledged.push((log(0, 0), sent, rig.clock.now()));
    }
    reading.until_ends(&[(log(0, 0), 8), (log(0, 1), 0), (log(1, 0), 0)]);
    let (sampled, _) = reading.seen.sampled[&quiet];
    let first = reading.seen.first_sampled[&quiet];
    assert!(sampled.steady_us - first.steady_us >= 3 * SECOND_US, "about every second");
    reading.readers.stop();
}

/// One row of the year 2999 among good ones, and readers stopped at every further row.
#[test]
fn no_row_beyond_the_clock_stops_a_reader_at_the_horizon() {
    let rig = Rig::new(&[("a", 1)]);
    let mut reading = rig.read(&["a"], BTreeMap::new());
    reading.until_ends(&[(log(0, 0), 0)]);
    reading.readers.set_horizon(TopicId(0), TS_US);
    let far = vec![format!(r#"{{"ts":{},"features":{{"x":1}}}}"#, FAR_AHEAD_US / 1000); 5];
    rig.send_at("a", 0, &far, FAR_AHEAD_US);
    rig.send("a", 0, &captures(0..20));
    reading.until_ends(&[(log(0, 0), 25)]);
    assert_eq!(reading.seen.stopped, [0; 0], "no row lies between the horizon and now");
    let beyond = format!(r#"{{"ts":{},"features":{{"x":1}}}}"#, TS_US / 1000 + 1000);
    rig.send_at(
        "a",
        0,
        &[captures(0..2), vec![beyond], captures(0..2)].concat(),
        TS_US + SECOND_US,
    );
    reading.until(|seen| !seen.stopped.is_empty());
    assert_eq!(reading.seen.stopped, [28], "a row of the past still does");
    reading.readers.resume(log(0, 0));
    reading.until_ends(&[(log(0, 0), 30)]);
    reading.readers.stop();
}
