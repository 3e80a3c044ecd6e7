//! Predictions that wait for what became of them, and the labels that say so, as a pure function of events.
//!
//! ```text
//! predictions, labels, how far both logs have passed ─► Join ─► contributions: + and − (prediction, truth)
//!                                                       │  ▲
//!                                     pages it must see ▼  │ those pages
//!                                                    whoever holds the store ◄─ Changes, with its next commit
//! ```
//!
//! What is known of one id in one stretch of time is a *cell*: its predictions and its labels. Everything that
//! is said outside (contributions, columns of the ledger) is a function of the cells alone, and whatever
//! comes is told as the difference that it makes: so that no order of arrival shows. Cells lie in *buckets* of
//! a thirty-second of the horizon, as sorted runs of packed rows, and go with their bucket.

mod bloom;
mod bucket;
mod bytes;
mod cell;
mod id;
mod join;
mod label;
mod ledger;
mod page;
mod prediction;
mod recent;
mod run;
mod settings;
#[cfg(test)]
mod tests;

pub use bytes::Damaged;
pub use id::{BadId, ID_BYTES, IdHash, IdHasher};
pub use join::{Counters, Join, Passed};
pub use label::{Label, Order, Said};
pub use ledger::{Column, Ledger};
pub use page::{
    Changes, MemoryPages, PAGE_BYTES, Page, PageKey, PageKind, PageRange, Pages, Unread, drive,
};
pub use prediction::{BINS, CANDIDATES, Candidate, Contribution, Prediction, Sign, Truth, Value};
pub use settings::{BadSettings, Implied, Settings, Timing};
