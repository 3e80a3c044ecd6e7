//! One test per rule of RULES §4.
