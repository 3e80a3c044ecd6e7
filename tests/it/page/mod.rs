//! The page in a real browser: every view soundly drawn, and a service with many models.

mod fleet;
mod views;
