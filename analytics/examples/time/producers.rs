//! What producers write: logs of partitions, with who is right.

use driftline_config::time::{MINUTE_US, SECOND_US};

use crate::draw::Draw;

/// One record per entry and one log per partition, in the order in which they were appended.
pub(crate) type Logs = Vec<Vec<Record>>;

/// A record of the one model that reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// When the broker has it, in true time.
    pub(crate) appended_us: i64,
    pub(crate) time_us: i64,
    pub(crate) record_time_us: i64,
    /// Of a producer whose clock is right, and sent in time.
    pub(crate) good: bool,
    pub(crate) heartbeat: bool,
}

impl Record {
    /// A good row whose record is stamped by its producer.
    pub(crate) fn good(appended_us: i64, time_us: i64) -> Record {
        let (good, heartbeat) = (true, false);
        Record { appended_us, time_us, record_time_us: time_us, good, heartbeat }
    }

    /// A heartbeat.
    pub(crate) fn heartbeat(appended_us: i64, time_us: i64) -> Record {
        Record { good: false, heartbeat: true, ..Record::good(appended_us, time_us) }
    }
}

/// Four producers that write to some partitions for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Producers {
    pub(crate) partitions: usize,
    pub(crate) from_us: i64,
    pub(crate) until_us: i64,
    /// Of each partition, on average.
    pub(crate) rows_per_s: f64,
    /// From record to broker.
    pub(crate) delay_us: i64,
    /// How many of the four have a wrong clock.
    pub(crate) wrong: usize,
    /// By how much that is ahead.
    pub(crate) off_us: i64,
    /// Rows that one sends at once.
    pub(crate) run: usize,
    /// The mean by which rows are out of order; six times that at most.
    pub(crate) disorder_us: i64,
    /// Whether the broker takes nothing for the last ten seconds of every twenty minutes: then each sends
    /// what it has.
    pub(crate) pauses: bool,
    pub(crate) seed: u64,
}

/// How long a producer gathers rows for a run.
const LONGEST_RUN_US: i64 = MINUTE_US;
const PAUSE_EVERY_US: i64 = 20 * MINUTE_US;
const PAUSE_US: i64 = 10 * SECOND_US;

impl Producers {
    /// So many rows a second to each of six partitions, by clocks that are right.
    pub(crate) fn new(rows_per_s: f64, from_us: i64, until_us: i64) -> Producers {
        Producers {
            partitions: 6,
            from_us,
            until_us,
            rows_per_s,
            delay_us: SECOND_US / 20,
            wrong: 0,
            off_us: 0,
            run: 1,
            disorder_us: 0,
            pauses: false,
            seed: 7,
        }
    }

    /// What they write.
    pub(crate) fn write(&self) -> Logs {
        let mut draw = Draw::new(self.seed);
        (0..self.partitions).map(|_| self.partition(&mut draw)).collect()
    }

    fn partition(&self, draw: &mut Draw) -> Vec<Record> {
        let mut log = Vec::new();
        let mean_us = SECOND_US as f64 / self.rows_per_s;
        let mut now_us = self.from_us + (draw.unit() * mean_us) as i64;
        while now_us < self.until_us {
            self.send(now_us, draw, &mut log);
            now_us += (draw.exponential(mean_us * self.run as f64)) as i64;
        }
        // Stable, so that what was sent at once stays together.
        log.sort_by_key(|record| record.appended_us);
        log
    }

    /// A row or a run of one producer.
    fn send(&self, now_us: i64, draw: &mut Draw, log: &mut Vec<Record>) {
        let producer = draw.below(4);
        let good = producer >= self.wrong;
        let off_us = if good { 0 } else { self.off_us };
        let rows = if self.run == 1 { 1 } else { self.run * 4 / 5 + draw.below(self.run * 2 / 5) };
        let gathered_us = (rows as f64 / self.rows_per_s * SECOND_US as f64) as i64;
        let gathered_us = gathered_us.min(LONGEST_RUN_US - SECOND_US);
        for left in (0..rows as i64).rev() {
            let event_us = now_us - gathered_us * left / rows as i64;
            let disorder_us = match self.disorder_us {
                0 => 0,
                mean_us => (draw.exponential(mean_us as f64) as i64).min(6 * mean_us - SECOND_US),
            };
            let appended_us = self.appended_us(now_us, producer);
            let sent = Record::good(appended_us, event_us - disorder_us + off_us);
            log.push(Record { good, ..sent });
        }
    }

    fn appended_us(&self, now_us: i64, producer: usize) -> i64 {
        let phase_us = (now_us - self.from_us).rem_euclid(PAUSE_EVERY_US);
        if !self.pauses || phase_us < PAUSE_EVERY_US - PAUSE_US {
            return now_us + self.delay_us;
        }
        // One after the other sends all that it has.
        let turn = (producer as i64 + now_us / PAUSE_EVERY_US) % 4;
        now_us - phase_us + PAUSE_EVERY_US + turn * self.delay_us / 8
    }
}
