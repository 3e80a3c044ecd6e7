//! The one thread that writes snapshots, one commit in flight.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use driftline_pipeline::snapshot::{Committed, Snapshot};
use driftline_store::{Store, StoreError};

use crate::faults::{Faults, Place};

/// The handle of the writer thread; dropping it waits for the commit in flight.
#[derive(Debug)]
pub(super) struct Writer {
    snapshots: Option<SyncSender<Snapshot>>,
    outcomes: Receiver<Result<Committed, StoreError>>,
    in_flight: bool,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(store: Arc<Store>, faults: Faults) -> std::io::Result<Writer> {
        let (snapshots, inbox) = sync_channel::<Snapshot>(1);
        let (outbox, outcomes) = sync_channel(1);
        let write = move || {
            while let Ok(snapshot) = inbox.recv() {
                let epoch = snapshot.epoch;
                faults.pass(Place::BeforeCommit);
                let outcome = store.commit(&snapshot).map(|sizes| Committed { epoch, sizes });
                faults.pass(Place::AfterCommit);
                if outbox.send(outcome).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(write)?;
        Ok(Writer { snapshots: Some(snapshots), outcomes, in_flight: false, thread: Some(thread) })
    }

    /// Whether a snapshot is being written: the next one waits.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight
    }

    /// Hands a snapshot over. Must not be called while the writer is busy.
    pub(super) fn write(&mut self, snapshot: Snapshot) {
        debug_assert!(!self.in_flight, "one commit in flight");
        if let Some(snapshots) = &self.snapshots {
            self.in_flight = snapshots.send(snapshot).is_ok();
        }
    }

    /// The outcome of the commit in flight, where it is known by now.
    pub(super) fn poll(&mut self) -> Option<Result<Committed, StoreError>> {
        let outcome = self.outcomes.try_recv().ok()?;
        self.in_flight = false;
        Some(outcome)
    }

    /// Whether the thread is gone, so that nothing is committed any more: it ends by a panic alone.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the outcome of the commit in flight; `None` where there is none.
    pub(super) fn wait(&mut self) -> Option<Result<Committed, StoreError>> {
        if !self.in_flight {
            return None;
        }
        self.in_flight = false;
        self.outcomes.recv().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.snapshots = None;
        if let Some(thread) = self.thread.take() {
            // Of a panic, the loop has made the end of the process.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use driftline_pipeline::snapshot::{Encode, Increment, LaneKind, WindowKey};

    use super::*;

    #[test]
    fn the_writer_reports_each_commit_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Duration::ZERO, false).unwrap();
        let mut writer = Writer::start(Arc::new(store), Faults::default()).unwrap();
        let window = WindowKey::new("m", LaneKind::Drift, 0);
        for epoch in 1..=3 {
            let encode: Encode = Box::new(|buffer| buffer.extend_from_slice(b"abc"));
            let increment = Increment { window: window.clone(), replaces: false, encode };
            let increments = vec![increment];
            writer.write(Snapshot { epoch, increments, ..Snapshot::default() });
            assert!(writer.is_busy());
            let committed = writer.wait().unwrap().unwrap();
            assert_eq!((committed.epoch, committed.sizes[&window]), (epoch, 3));
        }
        assert!(writer.wait().is_none() && writer.poll().is_none());
    }
}
