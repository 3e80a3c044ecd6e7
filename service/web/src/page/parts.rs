//! What several views show: written once, knowing no view.

pub(super) mod blocks;
pub(super) mod finding;
pub(super) mod form;
pub(super) mod incident;
pub(super) mod window;
