//! The page: what an engineer looks at, rendered here as HTML and SVG.
//!
//! ```text
//! Board: Live, Store ─► a view's data ─► its markup ─► shell ─► the browser
//!                                                        ▲ "something changed" (events.rs)
//!                                                        └─ the same view again, its parts swapped
//! ```
//!
//! Every text goes through `maud`, which escapes it; pictures come from [`crate::plots`]. Links are
//! those of [`driftline_config::links`], which mails carry, behind a relative root.

mod alerts;
mod candidate;
mod finding;
mod forms;
mod incident;
mod model;
mod models;
mod service;
mod shell;
mod window;
mod words;

pub(super) use alerts::show as alerts;
pub(super) use candidate::show as candidate;
pub(super) use finding::show as finding;
pub(super) use forms::{accept, silence};
pub(super) use incident::show as incident;
pub(super) use model::show as model;
pub(super) use models::show as models;
pub(super) use service::show as service;
pub(super) use shell::{Look, icon};
pub(super) use window::show as window;
