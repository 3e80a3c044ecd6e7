//! Pages: what a store keeps of the join, and how the two talk of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::bytes::Damaged;
use crate::join::Join;
use crate::prediction::Contribution;

/// Longest page: with key, checksum and a leaf's own bytes it fills one page of 4 KiB of a B-tree; of a longer one
/// half would be empty.
pub const PAGE_BYTES: usize = 4000;

/// Bytes of a key.
const KEY_BYTES: usize = 21;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageKind {
    /// Marks, ledger, buckets and their runs.
    State,
    /// Rows since the last run was written.
    Journal,
    /// Labels for predictions yet to come.
    Recent,
    /// Filter and fences of a run.
    Index,
    Predictions,
    Labels,
}

/// Where a page stands. A run's pages are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKey {
    pub room: u32,
    pub kind: PageKind,
    pub bucket: i64,
    pub run: u32,
    pub page: u32,
}

/// Pages from the first to the last one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRange {
    pub first: PageKey,
    pub last: PageKey,
}

/// One page, at most [`PAGE_BYTES`] long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub key: PageKey,
    pub bytes: Arc<[u8]>,
}

/// What the next commit does to the store: first it removes, then it writes.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub removed: Vec<PageRange>,
    pub written: BTreeMap<PageKey, Arc<[u8]>>,
}

/// Where pages are read. What a commit changes is written in the transaction of whoever commits.
pub trait Pages {
    /// Why a page cannot be read.
    type Error;

    /// The pages of these keys, in any order. A page that is not there is left out.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read(&self, keys: &[PageKey]) -> Result<Vec<Page>, Self::Error>;

    /// All that a join is restored from: the pages of a room but for rows of runs.
    ///
    /// # Errors
    /// The store cannot be read.
    fn resident(&self, room: u32) -> Result<Vec<Page>, Self::Error>;
}

/// Why a join could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Unread<E> {
    #[error("pages of waiting predictions cannot be read: {0}")]
    Store(E),
    #[error("waiting predictions are damaged: {0}")]
    Damaged(#[from] Damaged),
}

/// Answers a join from pages that are at hand until it wants no more, and returns what came of it.
///
/// # Errors
/// [`Unread`]: a page cannot be read, or is not what was written.
pub fn drive<P: Pages>(join: &mut Join, pages: &P) -> Result<Vec<Contribution>, Unread<P::Error>> {
    while let Some(wanted) = join.step()? {
        join.answer(pages.read(&wanted).map_err(Unread::Store)?);
    }
    Ok(join.take_contributions())
}

/// Pages in memory, for runs over files and for simulations.
#[derive(Debug, Clone, Default)]
pub struct MemoryPages {
    pages: BTreeMap<PageKey, Arc<[u8]>>,
}

impl MemoryPages {
    /// Makes a commit's changes.
    pub fn apply(&mut self, changes: &Changes) {
        for PageRange { first, last } in &changes.removed {
            let gone: BTreeSet<PageKey> =
                self.pages.range(*first..=*last).map(|(key, _)| *key).collect();
            self.pages.retain(|key, _| !gone.contains(key));
        }
        for (key, bytes) in &changes.written {
            self.pages.insert(*key, bytes.clone());
        }
    }
}

impl Pages for MemoryPages {
    type Error = std::convert::Infallible;

    fn read(&self, keys: &[PageKey]) -> Result<Vec<Page>, Self::Error> {
        let page = |key: &PageKey| {
            self.pages.get(key).map(|bytes| Page { key: *key, bytes: bytes.clone() })
        };
        Ok(keys.iter().filter_map(page).collect())
    }

    fn resident(&self, room: u32) -> Result<Vec<Page>, Self::Error> {
        let range = PageRange::resident(room);
        let pages = self.pages.range(range.first..=range.last);
        Ok(pages.map(|(key, bytes)| Page { key: *key, bytes: bytes.clone() }).collect())
    }
}

impl PageKind {
    const ALL: [PageKind; 6] = [
        PageKind::State,
        PageKind::Journal,
        PageKind::Recent,
        PageKind::Index,
        PageKind::Predictions,
        PageKind::Labels,
    ];
}

impl PageKey {
    /// The key as bytes in the order of keys.
    pub fn to_bytes(self) -> [u8; KEY_BYTES] {
        let PageKey { room, kind, bucket, run, page } = self;
        let mut bytes = [0; KEY_BYTES];
        let bucket = (bucket as u64) ^ (1 << 63);
        let parts = room.to_be_bytes().into_iter().chain([kind as u8]);
        let parts = parts.chain(bucket.to_be_bytes()).chain(run.to_be_bytes());
        bytes.iter_mut().zip(parts.chain(page.to_be_bytes())).for_each(|(to, from)| *to = from);
        bytes
    }

    /// The key that these bytes are of; `None` where no key is.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Option<PageKey> {
        let (room, left) = bytes.split_first_chunk()?;
        let (kind, left) = left.split_first()?;
        let (bucket, left) = left.split_first_chunk()?;
        let (run, page) = left.split_first_chunk()?;
        Some(PageKey {
            room: u32::from_be_bytes(*room),
            kind: *PageKind::ALL.get(usize::from(*kind))?,
            bucket: (u64::from_be_bytes(*bucket) ^ (1 << 63)) as i64,
            run: u32::from_be_bytes(*run),
            page: u32::from_be_bytes(*page.first_chunk()?),
        })
    }
}

impl PageRange {
    /// What is read at a start: everything of a room but rows of runs.
    pub fn resident(room: u32) -> PageRange {
        let first = PageKey { room, kind: PageKind::State, bucket: i64::MIN, run: 0, page: 0 };
        let last = PageKey {
            room,
            kind: PageKind::Index,
            bucket: i64::MAX,
            run: u32::MAX,
            page: u32::MAX,
        };
        PageRange { first, last }
    }

    /// All pages of one kind.
    pub(crate) fn of_kind(room: u32, kind: PageKind) -> PageRange {
        let first = PageKey { room, kind, bucket: i64::MIN, run: 0, page: 0 };
        let last = PageKey { room, kind, bucket: i64::MAX, run: u32::MAX, page: u32::MAX };
        PageRange { first, last }
    }

    /// All pages of one kind in a bucket.
    pub(crate) fn of_bucket(room: u32, kind: PageKind, bucket: i64) -> PageRange {
        let first = PageKey { room, kind, bucket, run: 0, page: 0 };
        PageRange { first, last: PageKey { run: u32::MAX, page: u32::MAX, ..first } }
    }

    /// The pages of a run from this one on.
    pub(crate) fn behind(first: PageKey) -> PageRange {
        PageRange { first, last: PageKey { page: u32::MAX, ..first } }
    }
}

impl Changes {
    pub(crate) fn remove(&mut self, range: PageRange) {
        let unneeded: Vec<PageKey> =
            self.written.range(range.first..=range.last).map(|(key, _)| *key).collect();
        unneeded.iter().for_each(|key| drop(self.written.remove(key)));
        self.removed.push(range);
    }
}
