//! The bytes of a window: one encoding for the checkpoint and for whatever leaves the process.

use super::{RowHashes, VersionState, WindowState};
use crate::cells::{Cell, LatencyCell, Reference, RequestCell};
use crate::encoding::{DecodeError, Reader, put_signed, put_text, put_varint};
use crate::layout::Layout;
use crate::names::BottomK;

/// The newest encoding; older ones are read.
const VERSION: u8 = 2;

impl WindowState {
    /// Appends the bytes of this window: equal windows give equal bytes, however they were counted.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_varint(out, self.rows);
        if let Some((first_us, last_us)) = self.span_us {
            out.push(1);
            put_signed(out, first_us);
            put_varint(out, last_us.wrapping_sub(first_us) as u64);
        } else {
            out.push(0);
        }
        self.requests.encode(out);
        self.latency.encode(out);
        encode_cells(&self.features, out);
        put_varint(out, self.versions.len() as u64);
        for (key, version) in &self.versions {
            put_text(out, &key.version);
            version.encode(out);
        }
        out.push(u8::from(self.other.is_some()));
        if let Some(version) = &self.other {
            version.encode(out);
        }
        self.unknown_columns.encode(out);
        self.hashes.encode(out);
    }

    /// Reads the bytes of a window of this layout.
    ///
    /// # Errors
    /// Bytes of a newer program, or bytes that no window of this layout has. Nothing is read
    /// beyond `bytes`, and no more is allocated than they can fill.
    pub fn decode(layout: &Layout, bytes: &[u8]) -> Result<WindowState, DecodeError> {
        const WHAT: &str = "a window";
        let mut reader = Reader::new(bytes);
        let version = reader.version(VERSION)?;
        let mut window = WindowState { rows: reader.count(WHAT)?, ..WindowState::default() };
        if reader.flag(WHAT)? {
            let first_us = reader.signed(WHAT)?;
            let last_us = first_us.wrapping_add(reader.varint(WHAT)? as i64);
            if last_us < first_us {
                return Err(DecodeError::Invalid { what: WHAT });
            }
            window.span_us = Some((first_us, last_us));
        }
        window.requests = RequestCell::decode(&mut reader)?;
        window.latency = LatencyCell::decode(&mut reader)?;
        window.features = decode_cells(&mut reader, layout.feature_references())?;
        // There were more than the limit now allows where it was lowered since.
        for _ in 0..reader.length(reader.left(), "versions")? {
            let key = layout.version_key(reader.text(reader.left(), "a version")?);
            let references = layout.prediction_references(Some(&key.version));
            let version = VersionState::decode(&mut reader, references)?;
            if window.versions.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::Invalid { what: "versions out of order" });
            }
            window.versions.insert(key, version);
        }
        if reader.flag(WHAT)? {
            let references = layout.prediction_references(None);
            window.other = Some(VersionState::decode(&mut reader, references)?);
        }
        window.unknown_columns = BottomK::decode(&mut reader)?;
        if version > 1 {
            window.hashes = RowHashes::decode(&mut reader)?;
        }
        reader.finish()?;
        window.displace(layout);
        Ok(window)
    }
}

impl VersionState {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.rows);
        encode_cells(&self.predictions, out);
    }

    fn decode(
        reader: &mut Reader<'_>,
        references: &[Reference],
    ) -> Result<VersionState, DecodeError> {
        let rows = reader.count("a version")?;
        Ok(VersionState { rows, predictions: decode_cells(reader, references)? })
    }
}

/// Either no cells or one per column of the layout.
fn encode_cells(cells: &[Cell], out: &mut Vec<u8>) {
    out.push(u8::from(!cells.is_empty()));
    cells.iter().for_each(|cell| cell.encode(out));
}

fn decode_cells(
    reader: &mut Reader<'_>,
    references: &[Reference],
) -> Result<Vec<Cell>, DecodeError> {
    if !reader.flag("columns")? {
        return Ok(Vec::new());
    }
    if references.is_empty() {
        return Err(DecodeError::Invalid { what: "columns" });
    }
    references.iter().map(|reference| Cell::decode(reader, reference)).collect()
}
