//! The JSON of a baseline: the same baseline always gives the same bytes.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Baseline, BaselineColumn, BaselineError, BaselineWindows, Provenance, number};

/// The newest format; older ones are read.
const FORMAT: u64 = 1;

/// What every format starts with.
#[derive(Deserialize)]
struct Head {
    driftline_baseline: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    driftline_baseline: u64,
    provenance: Provenance,
    #[serde(with = "number::count")]
    rows: u64,
    columns_seen: Vec<String>,
    windows: Option<BaselineWindows>,
    columns: Vec<BaselineColumn>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Baseline, BaselineError> {
    let json = |error: serde_json::Error| BaselineError::Json { detail: error.to_string() };
    let head: Head = serde_json::from_slice(bytes).map_err(json)?;
    if head.driftline_baseline != FORMAT {
        return Err(BaselineError::Format { found: head.driftline_baseline, known: FORMAT });
    }
    let file: File = serde_json::from_slice(bytes).map_err(json)?;
    Ok(Baseline {
        provenance: file.provenance,
        rows: file.rows,
        columns: file.columns,
        columns_seen: file.columns_seen,
        windows: file.windows,
        sha256: sha256_hex(bytes),
    })
}

pub(super) fn write(baseline: &Baseline) -> Vec<u8> {
    let file = File {
        driftline_baseline: FORMAT,
        provenance: baseline.provenance.clone(),
        rows: baseline.rows,
        columns_seen: baseline.columns_seen.clone(),
        windows: baseline.windows.clone(),
        columns: baseline.columns.clone(),
    };
    // Writing these types to memory cannot fail: no map has keys that are not text.
    let mut bytes = serde_json::to_vec(&file).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The hash of the bytes that `baseline` is written as.
pub(super) fn sha256_of(baseline: &Baseline) -> String {
    sha256_hex(&write(baseline))
}
