//! The JSON of a baseline: the same baseline always gives the same bytes.

use std::borrow::Cow;
use std::io::{BufWriter, Write};

use driftline_config::{Subject, hex, sha256_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Baseline, BaselineColumn, BaselineError, BaselineWindows, Index, Provenance, number};
use crate::budget::OwnEffects;

/// The newest format; older ones are read.
const FORMAT: u64 = 2;
/// That of files without the effects of own windows. What has none is still written so: the bytes of
/// a file that was read stay as they were.
const WITHOUT_EFFECTS: u64 = 1;

/// Bytes that are hashed at once.
const HASHED_BYTES: usize = 1 << 14;

/// What every format starts with.
#[derive(Deserialize)]
struct Head {
    driftline_baseline: u64,
}

/// What is written is borrowed, so that no column is copied.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    driftline_baseline: u64,
    provenance: Cow<'a, Provenance>,
    #[serde(with = "number::count")]
    rows: u64,
    columns_seen: Cow<'a, [Subject]>,
    windows: Cow<'a, Option<BaselineWindows>>,
    #[serde(default, skip_serializing_if = "is_none")]
    own_effects: Cow<'a, Option<OwnEffects>>,
    columns: Cow<'a, [BaselineColumn]>,
}

fn is_none(effects: &Option<OwnEffects>) -> bool {
    effects.is_none()
}

pub(super) fn read(bytes: &[u8]) -> Result<Baseline, BaselineError> {
    let json = |error: serde_json::Error| BaselineError::Json { detail: error.to_string() };
    let file: Result<File<'_>, _> = serde_json::from_slice(bytes);
    // What cannot be read may be of another format, which says more.
    let found = match &file {
        Ok(file) => file.driftline_baseline,
        Err(_) => serde_json::from_slice::<Head>(bytes).map_err(json)?.driftline_baseline,
    };
    if !(WITHOUT_EFFECTS..=FORMAT).contains(&found) {
        return Err(BaselineError::Format { found, known: FORMAT });
    }
    let file = file.map_err(json)?;
    Ok(Baseline {
        provenance: file.provenance.into_owned(),
        rows: file.rows,
        columns: file.columns.into_owned(),
        columns_seen: file.columns_seen.into_owned(),
        windows: file.windows.into_owned(),
        own_effects: file.own_effects.into_owned(),
        sha256: sha256_hex(bytes),
        index: Index::default(),
    })
}

pub(super) fn write(baseline: &Baseline) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, baseline);
    bytes
}

fn write_to(out: &mut impl Write, baseline: &Baseline) {
    let file = File {
        driftline_baseline: if baseline.own_effects.is_some() { FORMAT } else { WITHOUT_EFFECTS },
        provenance: Cow::Borrowed(&baseline.provenance),
        rows: baseline.rows,
        columns_seen: Cow::Borrowed(&baseline.columns_seen),
        windows: Cow::Borrowed(&baseline.windows),
        own_effects: Cow::Borrowed(&baseline.own_effects),
        columns: Cow::Borrowed(&baseline.columns),
    };
    // Writing these types to memory cannot fail: no map has keys that are not text.
    let written = serde_json::to_writer(&mut *out, &file).is_ok() && out.write_all(b"\n").is_ok();
    debug_assert!(written);
}

/// The hash of the bytes that `baseline` is written as, which are never held together.
pub(super) fn sha256_of(baseline: &Baseline) -> String {
    let mut out = BufWriter::with_capacity(HASHED_BYTES, Hashing(Sha256::new()));
    write_to(&mut out, baseline);
    let hashed = out.into_inner().map(|Hashing(hasher)| hasher.finalize());
    hashed.map_or_else(|_| String::new(), |digest| hex(&digest))
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
