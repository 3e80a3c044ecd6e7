//! The views, each a function of its visit; none knows another.

mod alerts;
mod candidate;
mod finding;
mod incident;
mod model;
mod models;
mod service;
mod window;

pub(crate) use alerts::view as alerts;
pub(crate) use candidate::view as candidate;
pub(crate) use finding::view as finding;
pub(crate) use incident::view as incident;
pub(crate) use model::view as model;
pub(crate) use models::view as models;
pub(crate) use service::view as service;
pub(crate) use window::view as window;
