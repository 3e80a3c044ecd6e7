//! Little endian numbers in a row of bytes, written and read back.

/// A stored page is not what was written there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    #[error("{what} ends too early")]
    Short { what: &'static str },
    #[error("{what} says {found}, which nothing writes")]
    Unknown { what: &'static str, found: u64 },
    #[error("{what} is not there")]
    Missing { what: &'static str },
    #[error(
        "the waiting predictions are of format {found}, this release reads up to {known}; run the newer release"
    )]
    Newer { found: u8, known: u8 },
    #[error(
        "buckets of {stored} µs are stored, the horizon asks for {asked}: put the horizon back, or start with `--rebuild`"
    )]
    Width { stored: i64, asked: i64 },
}

/// Bytes that are yet to be read.
#[derive(Debug)]
pub(crate) struct Reader<'b> {
    left: &'b [u8],
    /// What is read, for whoever has to be told that it cannot be.
    what: &'static str,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], what: &'static str) -> Reader<'b> {
        Reader { left: bytes, what }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'b [u8], Damaged> {
        let (taken, left) =
            self.left.split_at_checked(length).ok_or(Damaged::Short { what: self.what })?;
        self.left = left;
        Ok(taken)
    }

    /// What comes next.
    pub(crate) fn peek(&self) -> &'b [u8] {
        self.left
    }

    /// The number that comes next; `None` where too few bytes are left.
    pub(crate) fn peek_u128(&self) -> Option<u128> {
        self.left.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.left)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, left) =
            self.left.split_first_chunk().ok_or(Damaged::Short { what: self.what })?;
        self.left = left;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damaged> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Damaged> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damaged> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Damaged> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Damaged> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Damaged> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub(crate) fn unknown(&self, found: u64) -> Damaged {
        Damaged::Unknown { what: self.what, found }
    }
}
