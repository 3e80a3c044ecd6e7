//! The wire of Protobuf: tags, varints, lengths, and groups.

/// Levels of groups inside each other that are passed over.
const MOST_GROUPS: u32 = 100;

/// Whole numbers of seven bits a byte, the lowest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Varints<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) at: usize,
}

/// What stands behind a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Eight,
    Sized,
    Group,
    Four,
}

/// One field of a message as it stands in the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'b> {
    pub(crate) number: u32,
    pub(crate) wire: WireType,
    /// The value of what is not sized.
    pub(crate) bits: u64,
    /// What is sized, or stands in a group.
    pub(crate) bytes: &'b [u8],
}

impl<'b> Varints<'b> {
    /// The next one; nothing where it is cut or beyond 64 bits.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u64> {
        let mut bits = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                return None;
            }
            bits |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(bits);
            }
        }
        None
    }

    /// So many bytes as they stand.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    /// The next field.
    ///
    /// # Errors
    /// What is wrong where the message is none.
    #[inline]
    pub(crate) fn piece(&mut self) -> Result<Option<Piece<'b>>, &'static str> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let tag = self.next().ok_or("a tag is cut")?;
        let piece = self.behind(tag, 0)?;
        piece.map(Some).ok_or("a group ends that did not begin")
    }

    /// What follows a tag; nothing where it ends a group.
    fn behind(&mut self, tag: u64, groups: u32) -> Result<Option<Piece<'b>>, &'static str> {
        let number = u32::try_from(tag >> 3).map_err(|_| "a tag is no number of a field")?;
        if number == 0 || number >= 1 << 29 {
            return Err("a tag is no number of a field");
        }
        let mut piece = Piece { number, wire: WireType::Varint, bits: 0, bytes: &[] };
        match tag & 7 {
            0 => piece.bits = self.next().ok_or("a whole number is cut")?,
            1 => {
                let bytes = self.take(8).ok_or("eight bytes are cut")?;
                piece.wire = WireType::Eight;
                piece.bits = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            2 => {
                let length = self.next().ok_or("a length is cut")?;
                let length = usize::try_from(length).map_err(|_| "a length beyond memory")?;
                piece.wire = WireType::Sized;
                piece.bytes = self.take(length).ok_or("a field is longer than its message")?;
            }
            3 => {
                if groups >= MOST_GROUPS {
                    return Err("groups are nested too deep");
                }
                let start = self.at;
                loop {
                    let end = self.at;
                    let tag = self.next().ok_or("a group is cut")?;
                    if self.behind(tag, groups + 1)?.is_none() {
                        if tag >> 3 != u64::from(number) {
                            return Err("a group ends that did not begin");
                        }
                        piece.wire = WireType::Group;
                        piece.bytes = self.bytes.get(start..end).unwrap_or_default();
                        break;
                    }
                }
            }
            4 => return Ok(None),
            5 => {
                let bytes = self.take(4).ok_or("four bytes are cut")?;
                piece.wire = WireType::Four;
                let bits = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                piece.bits = u64::from(bits);
            }
            _ => return Err("a tag of a kind that does not exist"),
        }
        Ok(Some(piece))
    }
}
