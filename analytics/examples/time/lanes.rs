//! The rule as it is: the clock and the lanes of the service, told what time it is.

use driftline_analytics::lane::{
    ClosingLane, Heartbeat, LaneSettings, PerLane, PlacingClock, ReadStretch, Rows, Step, StrayKind,
};
use driftline_config::Partition;
use driftline_config::time::{ClockReading, HOUR_US};

use crate::account::Account;
use crate::drive::{Moment, Rule};
use crate::producers::Record;

/// How far a row may lie beyond our clock, as the configuration has it where it says nothing.
const MAX_AHEAD_US: i64 = HOUR_US;
/// How much faster than real time our clock follows the machine's, as the service's does.
const SLEW: i64 = 2;

/// Both lanes of a model.
#[derive(Debug)]
pub(crate) struct Lanes {
    clock: PlacingClock,
    lanes: PerLane<ClosingLane>,
    accounts: PerLane<Account>,
    positions: Vec<i64>,
    last: Option<ClockReading>,
}

impl Lanes {
    /// Lanes that have seen nothing.
    pub(crate) fn new(settings: PerLane<LaneSettings>, partitions: usize) -> Lanes {
        let clock = PlacingClock::new(&settings, MAX_AHEAD_US);
        let mut lanes = settings.map(ClosingLane::new);
        for partition in (0..).take(partitions) {
            lanes.drift.add_partition(Partition(partition), 0);
            lanes.operations.add_partition(Partition(partition), 0);
        }
        let positions = vec![0; partitions];
        Lanes { clock, lanes, accounts: PerLane::default(), positions, last: None }
    }

    /// What the service's clock says: wall time never jumps forward.
    fn reading(&mut self, now: Moment) -> ClockReading {
        let Moment { steady_us, machine_us } = now;
        let wall_us = self.last.map_or(machine_us, |last| {
            machine_us.min(last.wall_us + (steady_us - last.steady_us) * SLEW)
        });
        let reading = ClockReading { steady_us, wall_us };
        self.last = Some(reading);
        reading
    }
}

impl Rule for Lanes {
    fn read(&mut self, partition: usize, records: &[Record], now: Moment) {
        let now = self.reading(now);
        let Some(position) = self.positions.get_mut(partition) else { return };
        let (mut offsets, mut times_us, mut record_times_us) = (vec![], vec![], vec![]);
        let (mut beats, mut good) = (vec![], vec![]);
        for (offset, record) in (*position..).zip(records) {
            let Record { time_us, record_time_us, .. } = *record;
            if record.heartbeat {
                beats.push(Heartbeat { offset, time_us, record_time_us });
                continue;
            }
            offsets.push(offset);
            times_us.push(time_us);
            record_times_us.push(record_time_us);
            good.push(record.good);
        }
        *position += records.len() as i64;
        let rows =
            Rows { offsets: &offsets, times_us: &times_us, record_times_us: &record_times_us };
        let partition = Partition(partition as i32);
        let passage = self.clock.read(partition, rows, &beats, now.wall_us);
        let is_good = |index: &u32| good.get(*index as usize).copied().unwrap_or(false);
        let strays = passage.strays.iter().filter(|stray| stray.kind == StrayKind::Ahead);
        let ahead = strays.filter(|stray| is_good(&stray.index)).count() as u64;
        let rows = good.iter().filter(|good| **good).count() as u64;
        let of = ReadStretch { partition, passage: &passage, offsets: &offsets };
        let (drift, operations) = (&passage.lanes.drift, &passage.lanes.operations);
        for (lane, brought, account) in [
            (&mut self.lanes.drift, drift, &mut self.accounts.drift),
            (&mut self.lanes.operations, operations, &mut self.accounts.operations),
        ] {
            let mut placed = 0;
            for (start_us, indices) in &brought.windows {
                for index in indices {
                    account.place(*start_us, is_good(index));
                    placed += u64::from(is_good(index));
                }
            }
            account.good += rows;
            account.ahead += ahead;
            account.late += rows - ahead - placed;
            lane.take(of, brought, now);
        }
    }

    fn reach_end(&mut self, partition: usize, now: Moment) {
        let now = self.reading(now);
        let partition = Partition(partition as i32);
        self.lanes.drift.reach_end(partition, Some(now), now);
        self.lanes.operations.reach_end(partition, Some(now), now);
    }

    fn advance(&mut self, now: Moment) {
        let now = self.reading(now);
        let positions = &self.positions;
        let position =
            |partition: Partition| positions.get(partition.0 as usize).copied().unwrap_or(0);
        for (lane, account) in [
            (&mut self.lanes.drift, &mut self.accounts.drift),
            (&mut self.lanes.operations, &mut self.accounts.operations),
        ] {
            for step in lane.advance(now, &position) {
                if let Step::Close(closed) = step {
                    account.close(closed.start_us, now.steady_us);
                }
            }
            lane.take_idle_cuts();
        }
        self.clock.close_through(self.lanes.as_ref().map(ClosingLane::closed_through_us));
    }

    fn accounts(&self) -> PerLane<&Account> {
        self.accounts.as_ref()
    }
}
