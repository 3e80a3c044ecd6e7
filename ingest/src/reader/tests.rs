//! Readers against the embedded broker.
