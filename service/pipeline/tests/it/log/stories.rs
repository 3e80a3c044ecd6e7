//! Bugs that were, each with its story.

use std::collections::VecDeque;

use driftline_alerting::mail::Mail;
use driftline_alerting::outbox::RowKind;
use driftline_config::TopicPartition;
use driftline_config::time::ClockReading;

use super::*;

/// A log of one partition: `hours` windows of `rows` rows of model one, each as `make` says, then
/// heartbeats that close everything.
fn hourly(hours: i64, rows: i64, make: impl Fn(i64, i64) -> String) -> Log {
    let mut log = Log::new(PARTITIONS);
    for index in 0..hours * rows {
        let time_us = T0 + index * HOUR_US / rows;
        let value = make(index / rows, index).replace("TS", &(time_us / 1000).to_string());
        log.push(0, value, time_us);
    }
    log.close(T0 + (hours + 1) * HOUR_US);
    log
}

/// A capture of model one whose time is filled in by [`hourly`].
fn row(index: i64, shift: i64) -> String {
    capture("one", 0, index, shift).replace("\"ts\":0", "\"ts\":TS")
}

fn feed(bench: &Bench, inline: &mut Inline, log: &Log, now_us: i64) {
    for partition in 0..PARTITIONS {
        let chunk = bench.chunk(log, partition, 0, log.len(partition));
        inline.feed(Event::Read(Read::Chunk(chunk)), now_us);
    }
}

/// The end of a partition of the first topic.
fn end(partition: i32, offset: usize, sampled: impl Into<ClockReading>) -> Event {
    let (offset, sampled) = (offset as i64, Some(sampled.into()));
    Event::Read(Read::EndOfPartition { at: at(0, partition), offset, sampled })
}

fn caught_up(inline: &mut Inline, log: &Log, now_us: i64) {
    for partition in 0..PARTITIONS {
        inline.feed(end(partition, log.len(partition), now_us), now_us);
    }
}

/// Retraining that was held back for broken input was asked for when the input was mended, and named
/// just the windows whose input had been broken.
#[test]
fn rows_of_broken_windows_are_never_trained_on() {
    let bench = Bench::new();
    let log = hourly(12, 100, |hour, index| match hour {
        0..4 => row(index, 0),
        // Everything moves and a column is gone; later only the move remains.
        4..6 => row(index, 400).replace(r#""kind":"a""#, r#""kind":null"#),
        _ => row(index, 400),
    });
    let mut inline = Inline::new(bench.pipeline());
    feed(&bench, &mut inline, &log, LATER);
    let told = told(&inline);
    assert!(told.contains(&line("one", "broken input", "firing")), "{told:?}");
    assert!(told.contains(&line("one", "broken input", "resolved")), "{told:?}");
    let [request] = &inline.requests[..] else { panic!("one request: {:?}", inline.requests) };
    let first_sound_us = T0 + 6 * HOUR_US;
    assert_eq!(request.data.train_on.select.ts_from, first_sound_us, "{request:?}");
    assert!(request.timestamp > first_sound_us, "asked when it could be");
}

/// Each model of a shared topic was held to account for every broken record of the topic: one with a
/// twentieth of the requests saw 20 % of its records broken where 1 % were.
#[test]
fn a_small_model_of_a_shared_topic_is_not_broken_by_the_topics_rejects() {
    let text = CONFIG.replace(
        "errors: {objective: 0.99}",
        "operations: {every: 1h, lateness: 1m}\n    errors: {objective: 0.99}",
    );
    let bench = Bench::of(&text);
    let share = |broken: i64, of: i64| {
        let log = hourly(14, 1500, move |_, index| match index {
            _ if index % of < broken => "{\"v\":1,".to_owned(),
            _ if index % 20 == 7 => row(index, 0),
            _ => row(index, 0).replace(r#""model":"one""#, r#""model":"stranger""#),
        });
        let mut inline = Inline::new(bench.pipeline());
        feed(&bench, &mut inline, &log, LATER);
        told(&inline).iter().filter(|(_, class, _)| *class == "broken input").count()
    };
    assert_eq!(share(1, 100), 0, "1 % of all records is no alarm");
    assert_eq!(share(10, 100), 1, "10 % is");
}

/// An hour without the broker was told of as an hour without captures.
#[test]
fn what_comes_while_nobody_can_read_is_no_silence() {
    let bench = Bench::new();
    let log = hourly(2, 50, |_, index| row(index, 0));
    let at = |hours: i64| T0 + (24 + hours) * HOUR_US;
    let mut inline = Inline::new(bench.pipeline());
    feed(&bench, &mut inline, &log, at(0));
    caught_up(&mut inline, &log, at(0));
    let silent = |inline: &mut Inline, hours: i64| {
        inline.feed(Event::Tick, at(hours));
        told(inline).iter().filter(|(_, class, _)| *class == "no data").count()
    };
    let message = "the broker is away".to_owned();
    inline.feed(Event::Read(Read::Trouble { topic: None, message }), at(1));
    assert_eq!(silent(&mut inline, 30), 0);
    inline.feed(Event::Read(Read::Recovered { topic: None }), at(30));
    assert_eq!(silent(&mut inline, 32), 0, "what came meanwhile is not read yet");
    assert_eq!(silent(&mut inline, 34), 1, "model one waits for three hours");
}

/// A restart resolved an open incident of silence, and opened another one later.
#[test]
fn silence_goes_on_across_a_restart_until_a_row_is_accepted() {
    let bench = Bench::new();
    let log = hourly(2, 50, |_, index| row(index, 0));
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let at = |hours: i64| T0 + (24 + hours) * HOUR_US;
    let mut inline = Inline::new(bench.pipeline());
    feed(&bench, &mut inline, &log, at(0));
    caught_up(&mut inline, &log, at(0));
    inline.feed(Event::Tick, at(30));
    let silent = |inline: &Inline| {
        let told = told(inline).into_iter();
        told.filter(|(model, class, _)| model == "one" && *class == "no data")
            .map(|(_, _, state)| state)
            .collect::<Vec<_>>()
    };
    assert_eq!(silent(&inline), ["firing"]);
    let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
    inline.commit(at(30), &mut keep);

    let mut again = Inline::new(bench.continued(&store.load(&|_| false).unwrap()).0);
    again.feed(Event::Tick, at(31));
    caught_up(&mut again, &log, at(31));
    again.feed(Event::Tick, at(32));
    again.feed(Event::Tick, at(90));
    assert_eq!(silent(&again), ["firing"], "the same silence");
    let mut longer = log.clone();
    longer.push(0, capture("one", at(91), 1000, 0), at(91));
    let length = longer.len(0);
    let chunk = bench.chunk(&longer, 0, length - 1, length);
    again.feed(Event::Read(Read::Chunk(chunk)), at(91));
    again.feed(Event::Tick, at(91));
    assert_eq!(silent(&again), ["firing", "resolved"]);
}

/// The first start on a topic with history posted training jobs about last year, while its mails
/// were rightly held back.
#[test]
fn what_is_too_old_asks_for_no_retraining_until_all_is_read() {
    let bench = Bench::of(&CONFIG.replace("max_age: off", "max_age: 1d"));
    let log = hourly(12, 100, |hour, index| row(index, if hour < 4 { 0 } else { 400 }));
    let now_us = T0 + 9000 * HOUR_US;
    let mut inline = Inline::new(bench.pipeline());
    feed(&bench, &mut inline, &log, now_us);
    assert!(told(&inline).contains(&line("one", "input shift", "firing")));
    assert_eq!((inline.messages.len(), inline.requests.len()), (0, 0), "recorded, not sent");
    caught_up(&mut inline, &log, now_us);
    inline.feed(Event::Tick, now_us);
    assert_eq!(inline.requests.len(), 1, "what still fires is asked for once");
    assert!(!inline.messages.is_empty());
    inline.feed(Event::Tick, now_us + 1_000_000);
    assert_eq!(inline.requests.len(), 1);
}

/// The report of a window that had opened under the old settings said that they had changed; the
/// first one under the new settings did not.
#[test]
fn a_change_is_told_by_the_first_window_that_opened_under_it() {
    let log = hourly(6, 50, |_, index| row(index, 0));
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
    let mut told = Vec::new();
    let mut run = |bench: &Bench, to: usize| {
        let mut inline = Inline::new(bench.continued(&store.load(&|_| false).unwrap()).0);
        for partition in (0..PARTITIONS).rev() {
            let from = looks::position(&inline.pipeline, partition);
            let to = to.min(log.len(partition));
            if from < to {
                let chunk = bench.chunk(&log, partition, from, to);
                inline.feed_keeping(Event::Read(Read::Chunk(chunk)), LATER, &mut keep);
            }
        }
        inline.commit(LATER, &mut keep);
        for (report, _) in &inline.reports {
            told.push((report.config_sha256.clone(), report.changed.clone()));
        }
    };
    // The process ends in the middle of the third hour, and again before the fourth.
    run(&Bench::new(), 125);
    let changed = Bench::of(&CONFIG.replace("objective: 0.99", "objective: 0.98"));
    run(&changed, 140);
    run(&changed, usize::MAX);
    let changes: Vec<Vec<String>> = told.iter().map(|(_, changed)| changed.clone()).collect();
    let first = changes.iter().position(|changed| !changed.is_empty()).unwrap();
    assert_eq!(changes[first], ["config"]);
    assert_eq!(changes.iter().filter(|changed| !changed.is_empty()).count(), 1, "{told:?}");
    assert_ne!(told[first].0, told[first - 1].0, "the first under the new settings: {told:?}");
}

/// What was written under a silence came out all together at its end, and repeats did not look at it.
#[test]
fn what_still_fires_after_a_silence_is_told_once() {
    let bench = Bench::new();
    let log = hourly(8, 100, |hour, index| row(index, if hour < 3 { 0 } else { 400 }));
    let mut inline = Inline::new(bench.pipeline());
    let until_us = LATER + HOUR_US;
    inline.feed(
        Event::Silence(Silence {
            id: "s".to_owned(),
            model: Some("one".to_owned()),
            class: None,
            until_us,
            by: "on-call".to_owned(),
            reason: "known".to_owned(),
        }),
        LATER,
    );
    feed(&bench, &mut inline, &log, LATER);
    let firing = looks::model(&inline.pipeline, 0).decided().alerts.incidents().count();
    let written = inline.messages.len();
    assert!(firing > 0 && written > 0, "delivery settles what was written meanwhile");

    let mut told_at = |now_us: i64| {
        let before = inline.messages.len();
        inline.feed(Event::Tick, now_us);
        inline.messages[before..].iter().map(|row| row.id.clone()).collect::<Vec<String>>()
    };
    assert_eq!(told_at(until_us - 1), Vec::<String>::new());
    let told = told_at(until_us);
    assert_eq!(told.len(), firing, "{told:?}");
    assert!(told.iter().all(|id| id.ends_with(".1")), "{told:?}");
    assert_eq!(told_at(until_us + 1), Vec::<String>::new());
    assert!(inline.pipeline.silences().is_empty());
}

/// Rows that waited for the end of a transaction came late: the window closed without their partition,
/// which had been taken for idle.
#[test]
fn whoever_waits_for_the_end_of_a_transaction_is_not_idle() {
    let bench = Bench::of(&CONFIG.replace("idle: off, at_least: 20", "idle: 30s, at_least: 20"));
    let log = hourly(3, 50, |_, index| row(index, 0));
    let later = LATER + 60_000_000;
    for (held_back, windows, late) in [(false, 2, 25), (true, 0, 0)] {
        let mut inline = Inline::new(bench.pipeline());
        let read = |inline: &mut Inline, partition: i32, from: usize, to: usize| {
            let chunk = bench.chunk(&log, partition, from, to);
            inline.feed(Event::Read(Read::Chunk(chunk)), LATER);
        };
        read(&mut inline, 0, 0, 75);
        read(&mut inline, 1, 0, log.len(1));
        read(&mut inline, 2, 0, log.len(2));
        inline.feed(end(0, 75, later), later);
        if held_back {
            inline.feed(Event::Read(Read::HeldBack { at: at(0, 0) }), later);
        }
        inline.feed(Event::Tick, later);
        let of_one = |inline: &Inline| {
            inline.reports.iter().filter(|(report, _)| report.model == "one").count()
        };
        assert_eq!(of_one(&inline), windows, "held back: {held_back}");
        read(&mut inline, 0, 75, log.len(0));
        let found = looks::model(&inline.pipeline, 0).counted().late;
        assert_eq!((of_one(&inline), found), (3, late), "held back: {held_back}");
    }
}

/// A topic was made again with two partitions instead of three while the service was down: it waited for the
/// third for ever, and no window closed any more.
#[test]
fn partitions_that_went_while_nobody_read_hold_no_window_open() {
    let bench = Bench::new();
    let log = hourly(3, 50, |_, index| row(index, 0));
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut keep = |snapshot: &Snapshot| drop(store.commit(snapshot).unwrap());
    let topic = TopicId(0);
    let of_one =
        |inline: &Inline| inline.reports.iter().filter(|(report, _)| report.model == "one").count();
    let mut inline = Inline::new(bench.pipeline());
    for (partition, to) in [(0, log.len(0)), (1, log.len(1)), (2, 10)] {
        let chunk = bench.chunk(&log, partition, 0, to);
        inline.feed_keeping(Event::Read(Read::Chunk(chunk)), LATER, &mut keep);
    }
    inline.commit(LATER, &mut keep);
    assert_eq!(of_one(&inline), 0, "the third has passed nothing");
    // As often as it starts, and also where it is again where it was in between.
    for (counts, windows) in [(&[2][..], 3), (&[2], 0), (&[3, 2], 0), (&[3], 0)] {
        let mut pipeline = bench.world.pipeline();
        let saved = store.load(&|_| false).unwrap();
        pipeline.restore(&saved, &bench.world.config.limits).unwrap();
        let mut inline = Inline::new(pipeline);
        for &count in counts {
            let partitions = Event::Read(Read::Partitions { topic, count });
            inline.feed_keeping(partitions, LATER, &mut keep);
            inline.feed_keeping(Event::Tick, LATER, &mut keep);
        }
        inline.commit(LATER, &mut keep);
        assert_eq!(of_one(&inline), windows, "{counts:?}");
        let model = looks::model(&inline.pipeline, 0);
        let third = model.lanes().drift.passed_through_us(Partition(2));
        assert_eq!(third == i64::MAX, counts.last() == Some(&2), "{counts:?}");
    }
}

/// A log of small windows was read faster than they were judged: nothing bounded those that waited.
#[test]
fn reading_waits_for_judge_and_store_and_goes_on_behind_them() {
    let bench = Bench::new();
    let log = hourly(80, 20, row);
    let mut pipeline = bench.pipeline();
    let mut unjudged = VecDeque::new();
    let judge = |effects: Vec<Effect>,
                 unjudged: &mut VecDeque<Box<driftline_pipeline::judge::Job>>| {
        unjudged.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Judge(job) => Some(job),
            _ => None,
        }));
    };
    let mut beats = (0..PARTITIONS).map(|partition| (partition, log.len(partition)));
    let (first, last) = beats.next().unwrap();
    // Without the heartbeats of the others no window closes.
    for (partition, end) in beats {
        let beat = Event::Read(Read::Chunk(bench.chunk(&log, partition, 0, end)));
        judge(pipeline.handle(beat, LATER), &mut unjudged);
    }
    let (begun, mut at) = (pipeline.is_behind(false), 0);
    while !pipeline.is_behind(false) {
        let hour = Event::Read(Read::Chunk(bench.chunk(&log, first, at, at + 20)));
        judge(pipeline.handle(hour, LATER), &mut unjudged);
        at += 20;
    }
    assert!(!begun && at < last, "{at} of {last} rows were read");
    assert!(at >= 20 * 68, "two windows of each model and 64 may wait: {at}");
    assert_eq!(unjudged.len(), 1, "windows of a model are judged one after the other");

    // What was judged and is on its way into the store is kept as well.
    while let Some(job) = unjudged.pop_front() {
        let verdict = Box::new(driftline_pipeline::judge::decide(&job));
        judge(pipeline.handle(Event::Judged(verdict), LATER), &mut unjudged);
    }
    assert!(pipeline.is_behind(false));
    let epoch = pipeline.snapshot().unwrap().epoch;
    assert!(pipeline.is_behind(false));
    let committed = driftline_pipeline::snapshot::Committed { epoch, sizes: BTreeMap::new() };
    let shown = pipeline.handle(Event::Committed(committed), LATER);
    let reports = shown.iter().filter(|effect| matches!(effect, Effect::Published(_)));
    assert_eq!(reports.count(), 69);
    assert!(!pipeline.is_behind(false));
}

/// What heartbeats passed without a row was kept, and written anew with each snapshot, until a row came.
#[test]
fn a_quiet_night_of_heartbeats_leaves_nothing_behind() {
    let bench = Bench::new();
    let mut log = hourly(2, 100, row);
    let evening: Vec<usize> = (0..PARTITIONS).map(|partition| log.len(partition)).collect();
    for minute in 1..=600 {
        let time_us = T0 + 3 * HOUR_US + minute * MINUTE_US;
        log.push_everywhere(&heartbeat(None, time_us), time_us);
    }
    let mut inline = Inline::new(bench.pipeline());
    let mut read = |from: usize, to: usize| {
        for (partition, evening) in (0..PARTITIONS).zip(&evening) {
            let from = if from == 0 { 0 } else { evening + from };
            let chunk = bench.chunk(&log, partition, from, evening + to);
            inline.feed(Event::Read(Read::Chunk(chunk)), LATER);
        }
        let decided = inline.pipeline.models().map(|model| model.decided());
        let strips = decided.map(|decided| {
            decided.strips.len() + decided.pane_strips.values().map(BTreeMap::len).sum::<usize>()
        });
        strips.sum::<usize>()
    };
    read(0, 10);
    for until in (20..=600).step_by(10) {
        // Of two models and their panes: where the next window of each partition begins, and the last
        // sixteen boundaries.
        let strips = read(until - 10, until);
        assert!(strips <= 4 * 17 * PARTITIONS as usize, "{strips} after {until} minutes");
    }
}

/// A clock that had been set back by ten days kept a silence open for ten days, whatever came; one that is set
/// forward while rows flow makes none.
#[test]
fn a_clock_that_is_set_neither_makes_nor_keeps_a_silence() {
    let bench = Bench::of(&CONFIG.replace(
        "errors: {objective: 0.99}",
        "errors: {objective: 0.99}\n    no_data: {after: 1h, partition_after: off}",
    ));
    let log = log(40, 1);
    let mut inline = Inline::new(bench.pipeline());
    let mut steady_us = LATER;
    let mut at = |inline: &mut Inline, passes_us: i64, set_us: i64, event: Event| {
        steady_us += passes_us;
        let now = ClockReading { steady_us, wall_us: steady_us + set_us };
        inline.pipeline.handle(event, now);
    };
    let rows = |inline: &Inline, number: usize| {
        let from = looks::position(&inline.pipeline, 1);
        Event::Read(Read::Chunk(bench.chunk(&log, 1, from, from + number)))
    };
    let ends = |inline: &mut Inline, at: &mut dyn FnMut(&mut Inline, i64, i64, Event)| {
        for partition in 0..PARTITIONS {
            let offset = looks::position(&inline.pipeline, partition) as i64;
            let place = TopicPartition { topic: TopicId(0), partition: Partition(partition) };
            at(
                inline,
                0,
                0,
                Event::Read(Read::EndOfPartition { at: place, offset, sampled: None }),
            );
        }
    };
    let silence = |inline: &Inline| -> Vec<&'static str> {
        let told = told(inline)
            .into_iter()
            .filter(|(model, class, _)| model == "one" && *class == "no data");
        told.map(|(_, _, state)| state).collect()
    };
    let event = rows(&inline, 3);
    at(&mut inline, 0, 0, event);
    ends(&mut inline, &mut at);
    for (set_us, event) in [(HOUR_US, 1), (240 * HOUR_US, 1), (-HOUR_US, 1), (-240 * HOUR_US, 1)] {
        let event = rows(&inline, event);
        at(&mut inline, MINUTE_US, set_us, event);
        at(&mut inline, MINUTE_US, set_us, Event::Tick);
        assert!(silence(&inline).is_empty(), "set by {set_us}");
    }
    ends(&mut inline, &mut at);
    at(&mut inline, 2 * HOUR_US, 0, Event::Tick);
    assert_eq!(silence(&inline), ["firing"]);
    let event = rows(&inline, 3);
    at(&mut inline, MINUTE_US, -240 * HOUR_US, event);
    at(&mut inline, MINUTE_US, -240 * HOUR_US, Event::Tick);
    assert_eq!(silence(&inline), ["firing", "resolved"]);
}

/// A log in which the rows of model one move after four hours.
fn moving() -> Log {
    hourly(12, 100, |hour, index| row(index, if hour < 4 { 0 } else { 400 }))
}

/// Where ranks decide one window opens an incident: the request named that window, a few hundred rows to
/// train on.
#[test]
fn a_request_waits_for_enough_drifted_rows_and_no_longer_than_it_may() {
    let windows = |retrain: &str| {
        let errors = "errors: {objective: 0.99}";
        let text = CONFIG.replacen(errors, &format!("{errors}\n    retrain: {{{retrain}}}"), 1);
        let (bench, log) = (Bench::of(&text), moving());
        let mut inline = Inline::new(bench.pipeline());
        feed(&bench, &mut inline, &log, LATER);
        let requests = inline.requests.iter().map(|request| &request.data);
        requests.map(|data| (data.windows.len(), data.train_on.rows)).collect::<Vec<_>>()
    };
    assert_eq!(windows("rows: 1"), [(1, 100)]);
    assert_eq!(windows("rows: 250"), [(3, 300)]);
    assert_eq!(windows("rows: 100000, wait: 5"), [(5, 500)]);
    assert_eq!(windows("rows: 100000, wait: 100"), [], "the incident is younger than that");
}

/// A request was made, and a cooldown began, where no receiver takes requests: mails said "requested".
#[test]
fn where_nobody_takes_requests_none_is_made_and_mails_say_so() {
    let nobody = CONFIG.replace("on: [retrain]", "on: [alerts]");
    let (bench, log) = (Bench::of(&nobody), moving());
    let mut inline = Inline::new(bench.pipeline());
    feed(&bench, &mut inline, &log, LATER);
    assert_eq!(inline.requests.len(), 0);
    let mails: Vec<&Mail> = inline
        .messages
        .iter()
        .filter_map(|row| match &row.kind {
            RowKind::Mail(mail) => Some(mail),
            _ => None,
        })
        .collect();
    let shift = mails.iter().find(|mail| mail.subject.contains("input shift")).unwrap();
    assert!(shift.text.contains("- Retraining: not requested: no receiver"), "{}", shift.text);
    assert!(mails.iter().all(|mail| !mail.text.contains("requested as")));
}

/// A request said that all of its rows were there, hours after retention had taken the first of them, and that
/// they would be for as long as the topic keeps anything since their event time.
#[test]
fn a_request_knows_where_the_log_begins_and_how_old_its_records_are() {
    let text = CONFIG.replacen("objective: 0.99}", "objective: 0.99}\n    retrain: {rows: 1}", 1);
    let bench = Bench::of(&text);
    let mut log = moving();
    // They were written two hours after their event time.
    log.stamp_later(2 * HOUR_US);
    let asked = |begins: i64| {
        let mut inline = Inline::new(bench.world.pipeline_keeping(PARTITIONS, 24 * HOUR_US));
        inline.feed(Event::Read(Read::LogStart { at: at(0, 0), offset: begins }), LATER);
        feed(&bench, &mut inline, &log, LATER);
        inline.requests.first().unwrap().data.train_on.clone()
    };
    let whole = asked(0);
    let first = &whole.ranges[0];
    assert!(whole.complete);
    let written_us = whole.since + 2 * HOUR_US;
    assert_eq!(whole.expires, Some(written_us + 24 * HOUR_US));
    assert_eq!(whole.history.from, T0, "four hours of before");
    assert_eq!(whole.history.select.as_ref().map(|select| select.ts_before), Some(whole.since));
    assert!(!asked(first.from + 1).complete, "its first row is gone");
    let cut = asked(150);
    assert!(cut.complete);
    assert_eq!(cut.history.from, T0 + 2 * HOUR_US, "whole windows that are there");
    assert!(cut.history.ranges.iter().all(|range| range.from >= 150), "{:?}", cut.history);
}
