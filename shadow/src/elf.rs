//! Whether a shared library's file is whole: the loader maps a truncated one and dies of it.

/// Checks an ELF file's loadable parts against its length. Files of other formats pass; the system's
/// loader says what it thinks of them.
pub(crate) fn check_whole(head: &[u8], file_bytes: u64) -> Result<(), &'static str> {
    // 64-bit little-endian ELF, the only kind whose numbers are read here.
    if head.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    let whole = parts_end(head).is_some_and(|end| end <= file_bytes);
    if whole { Ok(()) } else { Err("the file is truncated, fetch it again") }
}

/// Bytes of the head that [`check_whole`] needs: the program headers follow the file header.
pub(crate) const HEAD_BYTES: u64 = 16_384;

/// The end of the furthest part that is mapped; `None` when the headers are not all there.
fn parts_end(head: &[u8]) -> Option<u64> {
    const LOADABLE: u64 = 1;
    let table = number(head, 32, 8)?;
    let (entry_bytes, entries) = (number(head, 54, 2)?, number(head, 56, 2)?);
    let mut end = 0;
    for entry in 0..entries {
        let at = usize::try_from(table.checked_add(entry * entry_bytes)?).ok()?;
        if number(head, at, 4)? == LOADABLE {
            let (offset, length) = (number(head, at + 8, 8)?, number(head, at + 32, 8)?);
            end = end.max(offset.checked_add(length)?);
        }
    }
    Some(end)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(length)?)?;
    Some(digits.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file header and one loadable part of `length` bytes at `offset`.
    fn library(offset: u64, length: u64) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32..40].copy_from_slice(&64_u64.to_le_bytes());
        head[54..56].copy_from_slice(&56_u16.to_le_bytes());
        head[56..58].copy_from_slice(&1_u16.to_le_bytes());
        head[64] = 1;
        head[72..80].copy_from_slice(&offset.to_le_bytes());
        head[96..104].copy_from_slice(&length.to_le_bytes());
        head
    }

    #[test]
    fn a_truncated_library_is_told_from_a_whole_one() {
        let truncated = Err("the file is truncated, fetch it again");
        let table = [
            (library(1000, 500), 1500, Ok(())),
            (library(1000, 500), 1499, truncated),
            (library(u64::MAX, 500), 1499, truncated),
            (library(1000, 500)[..70].to_vec(), 1500, truncated),
            (b"\x7fELF\x02\x01".to_vec(), 6, truncated),
            (b"MZ".to_vec(), 2, Ok(())),
            (Vec::new(), 0, Ok(())),
        ];
        for (position, (head, file_bytes, expected)) in table.into_iter().enumerate() {
            assert_eq!(check_whole(&head, file_bytes), expected, "row {position}");
        }
    }
}
