//! Takes committed messages to their receivers, again and again until they are settled.
//!
//! Deciding and delivering are two stages: nothing here changes a decision, and the pipeline waits
//! for nobody here. Messages that are not settled at the end are in the store and come back.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver as Inbox, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use driftline_alerting::deliver::{DeliverError, Deliverer, DeliverySettings, Outcome};
use driftline_alerting::dispatch::{Dispatcher, Receipt, SubmitError};
use driftline_alerting::mail::Illustrate;
use driftline_alerting::outbox::{OutboxRow, RowKind, Silence, silenced_by};
use driftline_alerting::retrain::RetrainRequest;
use driftline_config::{Partition, Receiver};
use tokio::sync::mpsc;

use driftline_alerting::clock::now_us;

/// Messages handed over and not yet looked at. The rest waits with the sender.
const HANDED_OVER: usize = 1024;
/// How often a message whose receiver is busy is looked at again.
const LOOK_AGAIN_US: i64 = 1_000_000;
/// How long messages on their way may take when the process stops.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) sequence: u64,
    /// It is an alert that was delivered and still fires: its row stays, to be sent again.
    pub(crate) stands: bool,
}

/// One attempt, for metrics and the terminal.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) row: OutboxRow,
    pub(crate) receipt: Receipt,
    /// The receiver had it before, and was told again that it still fires.
    pub(crate) again: bool,
}

impl Attempt {
    /// The value of the label `outcome` of `driftline_notifications_total`.
    pub(crate) fn outcome(&self) -> &'static str {
        match (&self.receipt.outcome, self.again) {
            (Outcome::Delivered, true) => "resent",
            (outcome, _) => outcome.name(),
        }
    }
}

/// Where the partitions of each topic begin, as the brokers said last.
type LogStarts = Arc<RwLock<BTreeMap<String, BTreeMap<Partition, i64>>>>;

#[derive(Debug)]
pub(crate) struct Delivery {
    items: Option<mpsc::Sender<(u64, OutboxRow)>>,
    settled: Inbox<Settled>,
    attempts: Inbox<Attempt>,
    silences: Arc<RwLock<Vec<Silence>>>,
    log_starts: LogStarts,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Delivery {
    /// Starts the task on `runtime`; `illustrate` draws the images of mails.
    pub(crate) fn start(
        runtime: &tokio::runtime::Handle,
        receivers: &[Receiver],
        illustrate: Illustrate,
    ) -> Result<Delivery, DeliverError> {
        let deliverer =
            Deliverer::new(receivers, &DeliverySettings::default())?.illustrated(illustrate);
        let (items, inbox) = mpsc::channel(HANDED_OVER);
        // The driver reads both in every turn of its loop; a full queue only delays deliveries.
        let (settled, settled_inbox) = sync_channel(HANDED_OVER);
        let (attempts, attempts_inbox) = sync_channel(HANDED_OVER);
        let silences = Arc::new(RwLock::new(Vec::new()));
        let log_starts = LogStarts::default();
        let worker = Deliveries {
            waiting: BTreeMap::new(),
            on_their_way: BTreeMap::new(),
            latest: BTreeMap::new(),
            settled,
            attempts,
            silences: Arc::clone(&silences),
            log_starts: Arc::clone(&log_starts),
        };
        let task = runtime.spawn(async move {
            let (dispatcher, receipts) = Dispatcher::start(deliverer);
            worker.run(dispatcher, inbox, receipts).await;
        });
        Ok(Delivery {
            items: Some(items),
            settled: settled_inbox,
            attempts: attempts_inbox,
            silences,
            log_starts,
            task: Some(task),
        })
    }

    /// Hands a message over; `Err` gives it back when too many wait already.
    pub(crate) fn submit(&self, sequence: u64, row: Box<OutboxRow>) -> Result<(), Box<OutboxRow>> {
        match &self.items {
            Some(items) => items.try_send((sequence, *row)).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full((_, row))
                | mpsc::error::TrySendError::Closed((_, row)) => Box::new(row),
            }),
            None => Err(row),
        }
    }

    /// Messages that are settled, since the last call.
    pub(crate) fn take_settled(&self) -> Vec<Settled> {
        self.settled.try_iter().collect()
    }

    /// Attempts that were made, since the last call.
    pub(crate) fn take_attempts(&self) -> Vec<Attempt> {
        self.attempts.try_iter().collect()
    }

    pub(crate) fn silence(&self, silences: &[Silence]) {
        *self.silences.write().unwrap_or_else(PoisonError::into_inner) = silences.to_vec();
    }

    /// A log begins here from now on: what requests for retraining say of it is looked at again.
    pub(crate) fn note_log_start(&self, topic: &str, partition: Partition, offset: i64) {
        let mut starts = self.log_starts.write().unwrap_or_else(PoisonError::into_inner);
        starts.entry(topic.to_owned()).or_default().insert(partition, offset);
    }

    /// Takes no more messages, and waits a moment for those on their way.
    pub(crate) fn stop(&mut self, runtime: &tokio::runtime::Handle) {
        self.items = None;
        if let Some(task) = self.task.take() {
            let ended = runtime.block_on(async { tokio::time::timeout(GRACE + GRACE, task).await });
            if ended.is_err() {
                tracing::warn!(
                    "delivery did not end in time; unsettled messages are sent at the next start"
                );
            }
        }
    }
}

#[derive(Debug)]
struct Message {
    row: OutboxRow,
    /// Attempts that failed in a row.
    attempts: u32,
    /// Its receiver has it and believes that it fires.
    stands: bool,
    /// What is on its way is the end of the alert, for as long as a silence lasts.
    hushes: bool,
}

/// An incident and a receiver: of their alerts the last one counts.
type AlertOf = (String, String);

struct Deliveries {
    /// By time of the next attempt, then by sequence number.
    waiting: BTreeMap<(i64, u64), Message>,
    on_their_way: BTreeMap<(String, String), (u64, Message)>,
    /// The newest alert of each receiver and incident; those before it are out of date.
    latest: BTreeMap<AlertOf, u64>,
    settled: SyncSender<Settled>,
    attempts: SyncSender<Attempt>,
    silences: Arc<RwLock<Vec<Silence>>>,
    log_starts: LogStarts,
}

impl Deliveries {
    async fn run(
        mut self,
        dispatcher: Dispatcher,
        mut items: mpsc::Receiver<(u64, OutboxRow)>,
        mut receipts: mpsc::Receiver<Receipt>,
    ) {
        loop {
            self.send_due(&dispatcher);
            let wait = self.until_next();
            tokio::select! {
                item = items.recv() => match item {
                    Some((sequence, row)) => self.on_item(sequence, row),
                    None => break,
                },
                Some(receipt) = receipts.recv() => self.on_receipt(receipt),
                () = tokio::time::sleep(wait) => {}
            }
        }
        let stopping = dispatcher.stop(GRACE);
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                () = &mut stopping => break,
                Some(receipt) = receipts.recv() => self.on_receipt(receipt),
            }
        }
        while let Ok(receipt) = receipts.try_recv() {
            self.on_receipt(receipt);
        }
    }

    fn until_next(&self) -> Duration {
        let next_us = self.waiting.keys().next().map_or(i64::MAX, |(at_us, _)| *at_us);
        let wait_us = next_us.saturating_sub(now_us()).clamp(0, 3600 * 1_000_000);
        Duration::from_micros(u64::try_from(wait_us).unwrap_or(0))
    }

    fn on_item(&mut self, sequence: u64, row: OutboxRow) {
        if let Some(incident) = incident_of(&row) {
            let before = self.latest.get(&incident).copied().unwrap_or(0);
            self.latest.insert(incident.clone(), sequence.max(before));
            if before > 0 {
                self.drop_out_of_date(&incident);
            }
            if sequence < before {
                self.settle(sequence);
                return;
            }
        }
        let message = Message { row, attempts: 0, stands: false, hushes: false };
        self.waiting.insert((0, sequence), message);
    }

    /// Settles the waiting alerts of an incident whose place another has taken.
    fn drop_out_of_date(&mut self, incident: &AlertOf) {
        let latest = self.latest.get(incident).copied().unwrap_or(0);
        let old = |(key, message): (&(i64, u64), &Message)| {
            let is_old = key.1 < latest && incident_of(&message.row).as_ref() == Some(incident);
            is_old.then_some(*key)
        };
        let old: Vec<(i64, u64)> = self.waiting.iter().filter_map(old).collect();
        for key in old {
            self.waiting.remove(&key);
            self.settle(key.1);
        }
    }

    fn send_due(&mut self, dispatcher: &Dispatcher) {
        let now_us = now_us();
        let mut busy: BTreeSet<String> = BTreeSet::new();
        let due: Vec<(i64, u64)> =
            self.waiting.range(..=(now_us, u64::MAX)).map(|(key, _)| *key).collect();
        for key in due {
            let Some(mut message) = self.waiting.remove(&key) else { continue };
            let later = (now_us + LOOK_AGAIN_US, key.1);
            let is_busy = busy.contains(&message.row.receiver);
            let sent = if is_busy { None } else { self.as_sent(&mut message, now_us) };
            let Some(row) = sent else {
                // The row of an alert stays, and ends with its incident.
                if is_busy || message.row.kind.alert().is_some() {
                    self.waiting.insert(later, message);
                } else {
                    self.keep_back(key.1, message, now_us);
                }
                continue;
            };
            let id = (row.id.clone(), row.receiver.clone());
            match dispatcher.submit(row, message.attempts) {
                Ok(()) => {
                    self.on_their_way.insert(id, (key.1, message));
                }
                Err(SubmitError::UnknownReceiver(receiver)) => {
                    tracing::warn!(
                        receiver,
                        id = message.row.id,
                        "the receiver of a message is no longer configured"
                    );
                    self.settle(key.1);
                }
                Err(SubmitError::OnItsWay(_)) => self.settle(key.1),
                Err(SubmitError::Full(_) | SubmitError::Stopping) => {
                    busy.insert(id.1);
                    self.waiting.insert(later, message);
                }
            }
        }
    }

    /// What is sent of a message now: itself, nothing while it is silenced, or the end of an alert
    /// that fires elsewhere and was silenced since.
    fn as_sent(&self, message: &mut Message, now_us: i64) -> Option<OutboxRow> {
        let silences = self.silences.read().unwrap_or_else(PoisonError::into_inner);
        let silence = silenced_by(&message.row, &silences, now_us);
        message.hushes = silence.is_some() && message.stands;
        let row = &message.row;
        match (silence, &row.kind) {
            (None, _) => Some(self.looked_at_again(row)),
            (Some(silence), RowKind::Alert(alert)) if message.stands => {
                let kind = RowKind::Alert(alert.clone().silenced(silence, now_us));
                Some(OutboxRow { kind, ..row.clone() })
            }
            (Some(_), _) => None,
        }
    }

    /// A request for retraining as it is by now: retention may have taken rows since it was made.
    fn looked_at_again(&self, row: &OutboxRow) -> OutboxRow {
        let mut row = row.clone();
        if !row.kind.is_retrain() {
            return row;
        }
        let RowKind::Webhook { body, .. } = &mut row.kind else { return row };
        let request = match serde_json::from_str::<RetrainRequest>(body) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(id = row.id, %error, "a request for retraining cannot be read again, a defect");
                return row;
            }
        };
        let starts = self.log_starts.read().unwrap_or_else(PoisonError::into_inner);
        // Until the broker has told, a request says what it said when it was made.
        let Some(of_topic) = starts.get(&request.data.train_on.topic) else { return row };
        // Nothing has changed since.
        let Some(again) = request.looked_at_again(of_topic) else { return row };
        match serde_json::to_string(&again) {
            Ok(text) => *body = text,
            Err(error) => {
                tracing::error!(id = row.id, %error, "a request for retraining cannot be written again, a defect");
            }
        }
        row
    }

    /// Settles a silenced message: kept for later, all of a silence would come out together at its
    /// end. What still fires then is told anew.
    fn keep_back(&self, sequence: u64, message: Message, at_us: i64) {
        let Message { row, attempts, .. } = message;
        let receipt = Receipt {
            row_id: row.id.clone(),
            receiver: row.receiver.clone(),
            outcome: Outcome::Silenced,
            attempt: attempts,
            next_at_us: None,
            at_us,
        };
        self.settle(sequence);
        let _ = self.attempts.try_send(Attempt { row, receipt, again: false });
    }

    fn on_receipt(&mut self, receipt: Receipt) {
        let id = (receipt.row_id.clone(), receipt.receiver.clone());
        let Some((sequence, mut message)) = self.on_their_way.remove(&id) else { return };
        if let Outcome::Failed { why } | Outcome::Disabled { why } = &receipt.outcome {
            tracing::error!(
                receiver = receipt.receiver,
                id = receipt.row_id,
                why,
                "a message was given up"
            );
        }
        let row = message.row.clone();
        let again = message.stands && !message.hushes;
        let delivered = receipt.outcome == Outcome::Delivered;
        message.attempts = if delivered { 0 } else { receipt.attempt };
        let next_at_us = match (delivered, message.hushes) {
            (true, true) => Some(receipt.at_us.saturating_add(LOOK_AGAIN_US)),
            _ => receipt.next_at_us,
        };
        let out_of_date = incident_of(&row)
            .is_some_and(|incident| self.latest.get(&incident).is_some_and(|it| *it > sequence));
        match next_at_us {
            Some(next_at_us) if !out_of_date => {
                if delivered && !message.stands {
                    self.report(Settled { sequence, stands: true });
                }
                if delivered {
                    message.stands = !message.hushes;
                }
                self.waiting.insert((next_at_us, sequence), message);
            }
            _ => {
                if let (Some(incident), false) = (incident_of(&row), out_of_date) {
                    self.latest.remove(&incident);
                }
                self.settle(sequence);
            }
        }
        // Attempts are shown, not kept: nobody waits where the driver is slow.
        let _ = self.attempts.try_send(Attempt { row, receipt, again });
    }

    fn settle(&self, sequence: u64) {
        self.report(Settled { sequence, stands: false });
    }

    fn report(&self, settled: Settled) {
        // The receiver is gone only when the process ends; the row is then still in the store.
        let _ = self.settled.send(settled);
    }
}

/// The receiver and the incident of an alert.
fn incident_of(row: &OutboxRow) -> Option<AlertOf> {
    row.kind.alert().map(|alert| (row.receiver.clone(), alert.incident().to_owned()))
}
