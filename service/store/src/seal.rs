//! The checksum behind every stored value: over the table, the key and the value, so that a value that stands
//! in another's place is told as well as one that changed.

use driftline_config::sha256_bytes;
use redb::{Key, TableDefinition, TableHandle};

/// Bytes of a checksum: the first of a SHA-256.
pub const SEAL_BYTES: usize = 16;

/// The value with its checksum behind it.
pub fn seal(place: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + SEAL_BYTES);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&checksum(place, value));
    sealed
}

/// The value that was sealed for this place; `None` where it is not what was written there.
pub fn unseal<'v>(place: &[u8], sealed: &'v [u8]) -> Option<&'v [u8]> {
    let (value, found) = sealed.split_last_chunk::<SEAL_BYTES>()?;
    (*found == checksum(place, value)).then_some(value)
}

fn checksum(place: &[u8], value: &[u8]) -> [u8; SEAL_BYTES] {
    let length = (place.len() as u64).to_le_bytes();
    let digest = sha256_bytes(&[&length, place, value]);
    let mut first = [0; SEAL_BYTES];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    first
}

/// A table of sealed values, as all are that hold bytes.
pub(crate) type Definition<K> = TableDefinition<'static, K, &'static [u8]>;
pub(crate) type Table<'t, K> = redb::Table<'t, K, &'static [u8]>;

/// Stores a value with its checksum.
pub(crate) fn put<K: Key + 'static>(
    table: &mut Table<'_, K>,
    key: &K::SelfType<'_>,
    value: &[u8],
) -> Result<(), redb::Error> {
    let sealed = seal(&place::<K>(table.name(), key), value);
    table.insert(key, sealed.as_slice())?;
    Ok(())
}

/// How the values of a file are read: those of format 1 have no checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seals {
    None,
    Checked,
}

impl Seals {
    /// The value that was stored under this key of a table.
    pub(crate) fn open<K: Key + 'static>(
        self,
        table: &str,
        key: &K::SelfType<'_>,
        stored: &[u8],
    ) -> Result<Vec<u8>, redb::Error> {
        match self {
            Seals::None => Ok(stored.to_vec()),
            Seals::Checked => opened::<K>(table, key, stored).map(<[u8]>::to_vec),
        }
    }
}

/// The value that was sealed under this key of a table.
pub(crate) fn opened<'v, K: Key + 'static>(
    table: &str,
    key: &K::SelfType<'_>,
    stored: &'v [u8],
) -> Result<&'v [u8], redb::Error> {
    unseal(&place::<K>(table, key), stored).ok_or_else(|| {
        redb::Error::Corrupted(format!("{table} {key:?} does not agree with its checksum"))
    })
}

fn place<K: Key + 'static>(table: &str, key: &K::SelfType<'_>) -> Vec<u8> {
    let mut place = table.as_bytes().to_vec();
    place.push(0);
    place.extend_from_slice(K::as_bytes(key).as_ref());
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_where_and_as_it_was_written_alone() {
        let sealed = seal(b"here", b"value");
        assert_eq!(unseal(b"here", &sealed), Some(b"value".as_slice()));
        assert_eq!(unseal(b"there", &sealed), None);
        // What is cut off the place does not become part of the value.
        assert_eq!(unseal(b"her", &seal(b"here", b"value")), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(b"here", &changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(unseal(b"here", &sealed[..length]), None, "{length} bytes");
        }
    }
}
