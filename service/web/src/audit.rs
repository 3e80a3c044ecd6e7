//! Who changed what: one line for every write, in the log and for who asks.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Lines that are kept for who asks; the log has them all.
const KEPT: usize = 1000;

/// A write that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct AuditLine {
    /// RFC 3339.
    pub(crate) at: String,
    /// `accept` or `silence`.
    pub(crate) action: &'static str,
    /// Id of the incident or of the silence.
    pub(crate) subject: String,
    /// Who is said to have done it.
    pub(crate) by: String,
    /// The token that was shown, by its name.
    pub(crate) token: String,
    /// Who it was by a trusted proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<IpAddr>,
}

#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<VecDeque<AuditLine>>);

impl Audit {
    pub(crate) fn note(&self, line: AuditLine) {
        // Texts of people: as JSON nothing in them can look like another line.
        let json = serde_json::to_string(&line).unwrap_or_default();
        tracing::info!(target: "audit", "{json}");
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The last ones, oldest first.
    pub(crate) fn lines(&self) -> Vec<AuditLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
