//! What a restart reads back, every checksum verified.

use driftline_pipeline::snapshot::{Increments, OutboxItem, Saved, WindowKey};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::windows::{WINDOWS, WindowRow, lane_of};
use super::{DOCUMENTS, NAMED, OUTBOX};
use crate::seal::Seals;

/// Everything that a restart needs; of what `are_known` by their sha256 the names alone.
pub(super) fn load_from(
    database: &Database,
    seals: Seals,
    are_known: &dyn Fn(&str) -> bool,
) -> Result<Saved, redb::Error> {
    let transaction = database.begin_read()?;
    let mut saved = Saved::default();
    for entry in transaction.open_table(DOCUMENTS)?.iter()? {
        let (key, value) = entry?;
        let document = seals.open::<&str>("documents", &key.value(), value.value())?;
        saved.documents.insert(key.value().to_owned(), document);
    }
    for entry in transaction.open_table(NAMED)?.iter()? {
        let (key, value) = entry?;
        let bytes = match are_known(key.value()) {
            true => Vec::new(),
            false => seals.open::<&str>("named", &key.value(), value.value())?,
        };
        saved.named.insert(key.value().to_owned(), bytes);
    }
    load_windows(&transaction, seals, &mut saved)?;
    for entry in transaction.open_table(OUTBOX)?.iter()? {
        let (key, value) = entry?;
        let sequence = key.value();
        let body = seals.open::<u64>("outbox", &sequence, value.value())?;
        match serde_json::from_slice(&body) {
            Ok(body) => saved.outbox.push(OutboxItem { sequence, body }),
            Err(error) => {
                tracing::error!(sequence, %error, "an outbox row cannot be read and is dropped");
                saved.unreadable.push(sequence);
            }
        }
    }
    Ok(saved)
}

fn load_windows(
    transaction: &ReadTransaction,
    seals: Seals,
    saved: &mut Saved,
) -> Result<(), redb::Error> {
    let mut last = None;
    for entry in transaction.open_table(WINDOWS)?.iter()? {
        let (key, value) = entry?;
        let (model, lane, start_us, increment, piece) = key.value();
        let Some(lane) = lane_of(lane) else {
            let why =
                format!("windows {:?} is of a lane that this release does not know", key.value());
            return Err(redb::Error::Corrupted(why));
        };
        let bytes = seals.open::<WindowRow>("windows", &key.value(), value.value())?;
        let window = WindowKey::new(model, lane, start_us);
        let increments: &mut Increments = saved.windows.entry(window.clone()).or_default();
        let this = (window, increment);
        match (increments.last_mut(), &mut last) {
            (Some(whole), Some((before, pieces))) if *before == this && piece == *pieces => {
                whole.extend_from_slice(&bytes);
                *pieces += 1;
            }
            _ if piece == 0 => {
                increments.push(bytes);
                last = Some((this, 1));
            }
            _ => {
                let why = format!("windows {:?}: the piece before it is gone", key.value());
                return Err(redb::Error::Corrupted(why));
            }
        }
    }
    Ok(())
}
