//! A sorted run: packed rows in pages by hash, with a filter and the first hash of each page in memory.

use std::marker::PhantomData;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::bloom::Bloom;
use crate::bytes::{Damaged, Reader};
use crate::id::IdHash;
use crate::page::{PAGE_BYTES, Page, PageKey, PageKind};

/// A row that is kept packed: a prediction, or a label where its prediction lies.
pub(crate) trait Row: Sized {
    /// What a page of them is called.
    const WHAT: &'static str;

    fn id(&self) -> IdHash;

    /// `from_us` is where the bucket begins.
    fn write(&self, from_us: i64, into: &mut Vec<u8>);

    fn read(reader: &mut Reader<'_>, from_us: i64) -> Result<Self, Damaged>;

    /// How many bytes the row has that begins here.
    fn length(row: &[u8]) -> Result<usize, Damaged>;
}

/// What is kept in memory of a run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) number: u32,
    /// Whether it was merged from others.
    pub(crate) is_merged: bool,
    pub(crate) rows: u64,
    /// The hash prefix that each page begins with.
    fences: Vec<u64>,
    filter: Bloom,
}

/// Pages that rows fill, in the order of their hashes.
#[derive(Debug)]
pub(crate) struct Builder<R> {
    /// The key of the next page.
    next: PageKey,
    from_us: i64,
    open: Vec<u8>,
    run: Run,
    pages: Vec<Page>,
    rows: PhantomData<R>,
}

impl Run {
    pub(crate) fn may_have(&self, id: IdHash) -> bool {
        self.filter.may_have(id.0)
    }

    /// The pages in which rows of a prefix may lie.
    pub(crate) fn pages_of(&self, prefix: u64) -> Range<u32> {
        self.pages_between(prefix, prefix.checked_add(1))
    }

    /// The pages with rows from this prefix to before that one, or to the end.
    pub(crate) fn pages_between(&self, from: u64, to: Option<u64>) -> Range<u32> {
        let end = to.map_or(self.fences.len(), |to| self.fences.partition_point(|it| *it < to));
        // The page before the first one that begins here may end with the same prefix.
        let first = self.fences.partition_point(|it| *it < from).saturating_sub(1);
        first.min(end) as u32..end as u32
    }

    /// Where a slice of at most so many pages from this prefix ends; `None` where it reaches the end.
    pub(crate) fn slice_end(&self, from: u64, pages: usize) -> Option<u64> {
        let first = self.fences.partition_point(|it| *it <= from);
        // Behind the last page there is no fence.
        self.fences.get(first + pages).copied()
    }

    /// The first page of which all rows lie at or beyond a prefix.
    pub(crate) fn first_page_from(&self, prefix: u64) -> u32 {
        self.fences.partition_point(|it| *it < prefix) as u32
    }

    /// Forgets the pages from this one on.
    pub(crate) fn truncate(&mut self, pages: u32) {
        self.fences.truncate(pages as usize);
    }

    /// Bytes on disk, in whole pages of 4 KiB.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let index = (self.fences.len() * 8 + self.filter.len_bytes()).div_ceil(PAGE_BYTES);
        (self.fences.len() + index) as u64 * 4096
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.fences.len() * 8 + self.filter.len_bytes()) as u64
    }

    fn index_pages(&self, key: PageKey) -> Vec<Page> {
        let mut bytes = Vec::with_capacity(self.memory_bytes() as usize + 4);
        bytes.extend((self.fences.len() as u32).to_le_bytes());
        bytes.extend(self.fences.iter().flat_map(|fence| fence.to_le_bytes()));
        bytes.extend(self.filter.bytes());
        pages_of_bytes(PageKey { kind: PageKind::Index, page: 0, ..key }, &bytes)
    }

    pub(crate) fn restored(
        number: u32,
        is_merged: bool,
        rows: u64,
        index: &[u8],
    ) -> Result<Run, Damaged> {
        let mut reader = Reader::new(index, "the index of a run");
        let length = reader.u32()? as usize;
        let (fences, _) = reader.take(length * 8)?.as_chunks();
        let fences = fences.iter().map(|fence| u64::from_le_bytes(*fence)).collect();
        let filter = Bloom::from_bytes(reader.rest());
        Ok(Run { number, is_merged, rows, fences, filter })
    }
}

impl<R: Row> Builder<R> {
    /// `key` says room, kind, bucket and run; `rows` is how many will come, at most.
    pub(crate) fn new(key: PageKey, is_merged: bool, from_us: i64, rows: usize) -> Builder<R> {
        let filter = Bloom::new(rows);
        let run = Run { number: key.run, is_merged, rows: 0, fences: Vec::new(), filter };
        let open = Vec::with_capacity(PAGE_BYTES);
        Builder { next: key, from_us, open, run, pages: Vec::new(), rows: PhantomData }
    }

    /// Rows come in the order of their hashes.
    pub(crate) fn push(&mut self, row: &R) {
        let before = self.open.len();
        row.write(self.from_us, &mut self.open);
        if self.open.len() > PAGE_BYTES {
            let behind = self.open.split_off(before);
            self.close();
            self.open = behind;
        }
        let id = row.id();
        if self.run.fences.len() == self.pages.len() {
            self.run.fences.push(id.prefix());
        }
        self.run.filter.insert(id.0);
        self.run.rows += 1;
    }

    /// The run, its pages and those of its index.
    pub(crate) fn finish(mut self) -> (Run, Vec<Page>) {
        if !self.open.is_empty() {
            self.close();
        }
        let mut pages = self.pages;
        pages.extend(self.run.index_pages(self.next));
        (self.run, pages)
    }

    fn close(&mut self) {
        let bytes: Arc<[u8]> = self.open.as_slice().into();
        self.pages.push(Page { key: self.next, bytes });
        self.next.page += 1;
        self.open.clear();
    }
}

/// Bytes cut into pages that are numbered from the key's.
pub(crate) fn pages_of_bytes(key: PageKey, bytes: &[u8]) -> Vec<Page> {
    let page = |(page, bytes): (u32, &[u8])| {
        let key = PageKey { page, ..key };
        Page { key, bytes: bytes.into() }
    };
    (key.page..).zip(bytes.chunks(PAGE_BYTES)).map(page).collect()
}

/// The rows of a page of a run with these ids.
pub(crate) fn rows_of<R: Row>(
    page: &[u8],
    from_us: i64,
    ids: RangeInclusive<u128>,
    into: &mut Vec<R>,
) -> Result<(), Damaged> {
    let mut reader = Reader::new(page, R::WHAT);
    while let Some(id) = reader.peek_u128() {
        if id > *ids.end() {
            break;
        }
        if id < *ids.start() {
            reader.take(R::length(reader.peek())?)?;
        } else {
            into.push(R::read(&mut reader, from_us)?);
        }
    }
    match reader.is_empty() || reader.peek_u128().is_some() {
        true => Ok(()),
        false => Err(Damaged::Short { what: R::WHAT }),
    }
}
