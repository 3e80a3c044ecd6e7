//! The memory that decoded rows may take while they wait to be absorbed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A shared number of bytes of which readers take leases.
#[derive(Debug, Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: Mutex<usize>,
    freed: Condvar,
    waits: AtomicU64,
}

impl Inner {
    fn used(&self) -> MutexGuard<'_, usize> {
        // A count cannot be half-written, so a poisoned lock is as good as another.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// A budget of this many bytes, none of them taken.
    pub fn new(limit: usize) -> Budget {
        let inner =
            Inner { limit, used: Mutex::new(0), freed: Condvar::new(), waits: AtomicU64::new(0) };
        Budget { inner: Arc::new(inner) }
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> usize {
        *self.inner.used()
    }

    /// How often a lease had to wait, or was not granted.
    pub fn waits(&self) -> u64 {
        self.inner.waits.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, waiting up to `timeout` for others to give theirs back; `None` when they did
    /// not. A lease larger than the whole budget is granted once everything else was given back,
    /// so that one large batch cannot stop reading for ever.
    pub fn take(&self, bytes: usize, timeout: Duration) -> Option<Lease> {
        let full = |used: &mut usize| *used > 0 && used.saturating_add(bytes) > self.inner.limit;
        let mut now = self.inner.used();
        if full(&mut now) {
            self.inner.waits.fetch_add(1, Ordering::Relaxed);
        }
        let (mut used, _) = self
            .inner
            .freed
            .wait_timeout_while(now, timeout, full)
            .unwrap_or_else(PoisonError::into_inner);
        if full(&mut used) {
            return None;
        }
        *used += bytes;
        drop(used);
        Some(Lease { bytes, inner: Some(Arc::clone(&self.inner)) })
    }
}

/// Bytes taken from a [`Budget`]; given back when dropped. The default lease holds nothing.
#[derive(Debug, Default)]
pub struct Lease {
    bytes: usize,
    inner: Option<Arc<Inner>>,
}

impl Lease {
    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(inner) = &self.inner {
            let mut used = inner.used();
            *used = used.saturating_sub(self.bytes);
            drop(used);
            inner.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_never_exceed_the_budget_and_come_back() {
        let budget = Budget::new(100);
        let first = budget.take(60, Duration::ZERO).unwrap();
        assert!(budget.take(60, Duration::ZERO).is_none(), "60 + 60 is more than 100");
        let second = budget.take(40, Duration::ZERO).unwrap();
        assert_eq!((budget.used(), second.bytes()), (100, 40));
        drop((first, second));
        assert_eq!(budget.used(), 0);
        let large = budget.take(1000, Duration::ZERO).unwrap();
        assert!(budget.take(1, Duration::ZERO).is_none());
        drop(large);
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.waits(), 2, "two leases were not granted");
    }

    #[test]
    fn a_waiting_reader_is_woken_by_a_dropped_chunk() {
        let budget = Budget::new(10);
        let held = budget.take(10, Duration::ZERO).unwrap();
        let waiting = budget.clone();
        let reader = std::thread::spawn(move || waiting.take(5, Duration::from_secs(30)).is_some());
        drop(held);
        assert!(reader.join().unwrap());
    }
}
