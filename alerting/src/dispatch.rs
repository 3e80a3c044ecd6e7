//! One task and one bounded queue per receiver, so that a slow receiver delays only itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::deliver::{Deliverer, Outcome};
use crate::outbox::OutboxRow;
use crate::schedule::{next_alert_attempt, next_attempt};

/// Rows that wait for one receiver in memory; the rest waits in the outbox, where it is safe.
pub const QUEUE_ROWS: usize = 64;

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub row_id: String,
    pub receiver: String,
    /// What became of this attempt. A retry that the schedule no longer grants is `Failed`.
    pub outcome: Outcome,
    /// Attempts made so far, this one included.
    pub attempt: u32,
    /// When to submit it again, wall time in microseconds; `None` when it is settled. An alert that
    /// was delivered and stands is not: it is sent again.
    pub next_at_us: Option<i64>,
    /// When the attempt ended, wall time in microseconds.
    pub at_us: i64,
}

/// Why a row was not taken. The row stays in the outbox; submit it again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue of its receiver is full.
    #[error("the queue of receiver {0} is full")]
    Full(String),
    #[error("row {0} is on its way already")]
    OnItsWay(String),
    #[error("there is no receiver {0}")]
    UnknownReceiver(String),
    #[error("the dispatcher is stopping")]
    Stopping,
}

/// Rows on their way, by id and receiver.
type OnTheirWay = Arc<Mutex<BTreeSet<(String, String)>>>;

struct Job {
    row: OutboxRow,
    attempts: u32,
}

/// Sends rows and reports each attempt; keeps nothing that a restart would need.
#[derive(Debug)]
pub struct Dispatcher {
    lanes: BTreeMap<String, mpsc::Sender<Job>>,
    on_their_way: OnTheirWay,
    tasks: JoinSet<()>,
}

impl Dispatcher {
    /// Starts a task per receiver on the current runtime. The receipts must be read, or the tasks
    /// wait.
    pub fn start(deliverer: Deliverer) -> (Dispatcher, mpsc::Receiver<Receipt>) {
        let deliverer = Arc::new(deliverer);
        let on_their_way = OnTheirWay::default();
        let (receipts, read) = mpsc::channel(QUEUE_ROWS);
        let mut lanes = BTreeMap::new();
        let mut tasks = JoinSet::new();
        for receiver in deliverer.receivers() {
            let (queue, jobs) = mpsc::channel(QUEUE_ROWS);
            lanes.insert(receiver.to_owned(), queue);
            let courier = Courier {
                receiver: receiver.to_owned(),
                resend: deliverer.resend(receiver),
                deliverer: Arc::clone(&deliverer),
                on_their_way: Arc::clone(&on_their_way),
                receipts: receipts.clone(),
            };
            tasks.spawn(courier.run(jobs));
        }
        (Dispatcher { lanes, on_their_way, tasks }, read)
    }

    /// Queues a row after `attempts` attempts made before. Never waits.
    ///
    /// # Errors
    /// When the row cannot be taken now.
    pub fn submit(&self, row: OutboxRow, attempts: u32) -> Result<(), SubmitError> {
        let Some(lane) = self.lanes.get(&row.receiver) else {
            return Err(SubmitError::UnknownReceiver(row.receiver));
        };
        let key = (row.id.clone(), row.receiver.clone());
        let mut on_their_way = self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner);
        if on_their_way.contains(&key) {
            return Err(SubmitError::OnItsWay(row.id));
        }
        match lane.try_send(Job { row, attempts }) {
            Ok(()) => {
                on_their_way.insert(key);
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(job)) => Err(SubmitError::Full(job.row.receiver)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(SubmitError::Stopping),
        }
    }

    /// Takes no more rows, waits up to `grace` for those on their way, then drops them: they are
    /// still in the outbox. Keep reading receipts meanwhile.
    pub async fn stop(mut self, grace: Duration) {
        self.lanes.clear();
        let all_done = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all_done).await.is_err() {
            tracing::warn!("messages on their way were interrupted and will be sent again");
        }
    }
}

/// Carries the rows of one receiver, one after the other.
struct Courier {
    receiver: String,
    /// Where what stands is sent again, and rows that wait are sent together.
    resend: Option<Duration>,
    deliverer: Arc<Deliverer>,
    on_their_way: OnTheirWay,
    receipts: mpsc::Sender<Receipt>,
}

impl Courier {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let mut gone: Option<String> = None;
        let together = if self.resend.is_some() { QUEUE_ROWS } else { 1 };
        let mut batch = Vec::with_capacity(together);
        while jobs.recv_many(&mut batch, together).await > 0 {
            let rows: Vec<&OutboxRow> = batch.iter().map(|job| &job.row).collect();
            let outcomes = match &gone {
                Some(why) => vec![Outcome::Disabled { why: why.clone() }; rows.len()],
                None => self.deliverer.send_all(&self.receiver, &rows).await,
            };
            for (Job { row, attempts }, outcome) in batch.drain(..).zip(outcomes) {
                if let Outcome::Disabled { why } = &outcome {
                    gone = Some(why.clone());
                }
                let receipt = receipt(&row, outcome, attempts.saturating_add(1), self.resend);
                let key = (row.id, row.receiver);
                self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                if self.receipts.send(receipt).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn receipt(row: &OutboxRow, outcome: Outcome, attempt: u32, resend: Option<Duration>) -> Receipt {
    let at_us = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    let alert = row.kind.alert().zip(resend).map(|(alert, resend)| {
        (i64::try_from(resend.as_micros()).unwrap_or(i64::MAX), alert.is_standing())
    });
    let (outcome, next_at_us) = match (outcome, alert) {
        (Outcome::Retry { after, why }, _) => {
            let next_us = match alert {
                Some((resend_us, stands)) => {
                    next_alert_attempt(attempt, at_us, after, resend_us, stands)
                }
                None => next_attempt(attempt, at_us, after, seed(&row.id, &row.receiver)),
            };
            match next_us {
                Some(next_us) => (Outcome::Retry { after, why }, Some(next_us)),
                None => (Outcome::Failed { why: format!("{why}, after {attempt} attempts") }, None),
            }
        }
        (Outcome::Delivered, Some((resend_us, true))) => {
            (Outcome::Delivered, Some(at_us.saturating_add(resend_us)))
        }
        (settled, _) => (settled, None),
    };
    Receipt {
        row_id: row.id.clone(),
        receiver: row.receiver.clone(),
        outcome,
        attempt,
        next_at_us,
        at_us,
    }
}

/// FNV-1a: rows differ, so their jitter should.
fn seed(id: &str, receiver: &str) -> u64 {
    let bytes = id.bytes().chain(receiver.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
