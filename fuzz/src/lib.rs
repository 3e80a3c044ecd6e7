//! What each fuzz target asks of the bytes that it is given: never a panic, and an answer that holds.
//!
//! `make fuzz` runs each for a minute; the ordinary tests hold properties with the same claims.

pub mod baseline;
pub mod checkpoint;
pub mod configuration;
pub mod decoder;
pub mod http;
pub mod records;

mod world;
