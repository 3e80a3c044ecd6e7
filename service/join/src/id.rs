//! Ids as the hashes by which predictions and labels meet.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

/// Longest id that is joined: a UUID has 36 bytes, and what is longer is rarely an id.
pub const ID_BYTES: usize = 256;

/// What predictions and labels of one id have in common: 128 bits, so that even 10¹⁰ ids are expected to
/// share one in no more than 10⁻²³ of all cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdHash(pub u128);

impl IdHash {
    /// The upper half, by which rows lie in pages, filters decide and samples are drawn.
    pub(crate) fn prefix(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

/// An id by which nothing can be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    #[error("the id is empty: send the id of the capture that the label is for")]
    Empty,
    #[error(
        "the id has {bytes} bytes, at most {ID_BYTES} can be joined: send a shorter one with capture and label"
    )]
    Long { bytes: usize },
}

/// Keyed SipHash-2-4-128 (Aumasson, Bernstein 2012): whoever does not know the key of a state folder cannot
/// choose ids that meet.
#[derive(Debug, Clone)]
pub struct IdHasher {
    keyed: SipHasher24,
}

impl IdHasher {
    /// `key` is random, drawn once for a state folder and kept in it.
    pub fn new(key: [u8; 16]) -> IdHasher {
        IdHasher { keyed: SipHasher24::new_with_key(&key) }
    }

    /// The hash of an id of a model, over model ‖ 0 ‖ id.
    ///
    /// # Errors
    /// [`BadId`]: there is no id, or it is too long.
    pub fn hash(&self, model: &str, id: &[u8]) -> Result<IdHash, BadId> {
        match id.len() {
            0 => return Err(BadId::Empty),
            bytes if bytes > ID_BYTES => return Err(BadId::Long { bytes }),
            _ => {}
        }
        let mut hasher = self.keyed;
        hasher.write(model.as_bytes());
        hasher.write(&[0]);
        hasher.write(id);
        Ok(IdHash(hasher.finish128().as_u128()))
    }
}
