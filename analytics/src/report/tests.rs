//! The shape and the bytes of reports.
