//! The bytes of kept state: varints, bounded names, and a reader that trusts nothing.

/// What a stored state may not hold more of: counts this large cannot have been counted, and
/// refusing them keeps later sums inside 64 bits.
const MOST_COUNT: u64 = 1 << 53;

/// Why bytes are not the state they are taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside `what`.
    #[error("stored state ends inside {what}")]
    Truncated {
        /// The part that was being read.
        what: &'static str,
    },
    /// Bytes are left over.
    #[error("stored state has {left} bytes after its end")]
    TooLong { left: usize },
    /// Written by a newer Driftline.
    #[error(
        "stored state has encoding {found}, this program reads up to {known}: use the newer program"
    )]
    Version {
        /// The version in the bytes.
        found: u8,
        /// The newest version this program reads.
        known: u8,
    },
    /// A value that no state of this layout can have.
    #[error("stored state does not fit its layout: {what}")]
    Invalid {
        /// The part that is impossible.
        what: &'static str,
    },
}

/// Appends `value` in 7-bit groups, lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed value, small magnitudes short.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a name with its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Reads what the `put_` functions wrote.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The version byte, at most `known`.
    pub(crate) fn version(&mut self, known: u8) -> Result<u8, DecodeError> {
        let found = self.byte("the version")?;
        if found == 0 || found > known {
            return Err(DecodeError::Version { found, known });
        }
        Ok(found)
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(first)
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid { what }),
        }
    }

    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                return Err(DecodeError::Invalid { what });
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Invalid { what })
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let value = self.varint(what)?;
        Ok(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    pub(crate) fn count(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let value = self.varint(what)?;
        if value > MOST_COUNT {
            return Err(DecodeError::Invalid { what });
        }
        Ok(value)
    }

    /// A number of items of which there can be at most `most`.
    pub(crate) fn length(&mut self, most: usize, what: &'static str) -> Result<usize, DecodeError> {
        let value = self.varint(what)?;
        usize::try_from(value)
            .ok()
            .filter(|&length| length <= most)
            .ok_or(DecodeError::Invalid { what })
    }

    pub(crate) fn word(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<4>().ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    pub(crate) fn float(&mut self, what: &'static str) -> Result<f64, DecodeError> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<8>().ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    /// A name of at most `most` bytes.
    pub(crate) fn text(&mut self, most: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.length(most, what)?;
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Invalid { what })
    }

    /// So many bytes as they are.
    pub(crate) fn take(
        &mut self,
        length: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) =
            self.rest.split_at_checked(length).ok_or(DecodeError::Truncated { what })?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::TooLong { left }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, 1 << 35, (1 << 53) + 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            put_signed(&mut bytes, value as i64);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint("a"), Ok(value));
            assert_eq!(reader.signed("b"), Ok(value as i64));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_refused() {
        let mut reader = Reader::new(&[0xff; 12]);
        assert_eq!(reader.varint("n"), Err(DecodeError::Invalid { what: "n" }));
    }
}
