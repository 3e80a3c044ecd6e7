//! The HTTP interface of CONTRACTS §6: probes, metrics, the API and the page.
//!
//! ```text
//! driver ─► Board::publish(Live) ─► api, page ─► JSON, text, HTML
//!    ▲                                │  reports: Store, on threads that may block
//!    └──────── Command (bounded) ◄────┘  accept, silence: 202, or 503 when too many wait
//! ```
//!
//! Handlers hold nothing that the pipeline waits for. Nothing here decides: what is shown was
//! decided elsewhere, and what is asked for is carried out by the driver.

mod board;
mod changes;
mod live;
pub mod metrics;

mod access;
mod audit;
mod refusal;

mod api;
mod page;
mod server;

#[cfg(test)]
mod tests;

pub use board::{Board, Command};
pub use live::{
    AcceptanceStatus, CandidateStatus, CheckState, DEAD_LETTERS, DeadLetter, IncidentStatus, Live,
    ModelStatus, PaneStatus, PartitionStatus, ReadyCheck, RecentWindow, Step, TopicStatus,
};
pub use metrics::REVISION;
pub use page::standalone;
pub use server::{Tls, TlsError, router, serve};
