//! The page: what an engineer looks at, rendered here as HTML and SVG.
//!
//! ```text
//! Visit ─► a view: Live, Store ─► its markup, of parts ─► respond: the document ─► the browser
//!                                                          ▲ "something changed" (events)
//!                                                          └─ the same view again, its parts swapped
//! ```
//!
//! Views know parts and words, never one another. Every text goes through `maud`, which escapes it;
//! pictures come from [`driftline_plots`]. Links are those of [`driftline_alerting::links`], which
//! mails carry, behind a relative root.

mod respond;
mod shell;
pub(crate) mod views;
mod visit;

mod parts;
mod root;
mod stored;
mod words;

mod events;
mod forms;
pub mod standalone;

pub(crate) use events::listen;
pub(crate) use forms::{accept, end_silence, silence, take_back};
pub(crate) use respond::show;
pub(crate) use shell::icon;
