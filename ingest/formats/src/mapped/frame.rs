//! The frame of a Confluent-compatible schema registry: which schema a value was written by.

use driftline_capture::Reason;

use crate::record::{Carried, Rejection};

/// The header that holds the frame where the value is bare.
const HEADER: &str = "__value_schema_id";

/// What a record holds behind its frame, or beside it: serializers write the frame into a header or before
/// the value.
///
/// # Errors
/// `invalid_frame` where the frame is cut or begins with an unknown byte.
pub(crate) fn payload<'a>(value: &'a [u8], carried: &Carried<'_>) -> Result<&'a [u8], Rejection> {
    match carried.header(HEADER) {
        // Whatever follows the identifier there is not ours to judge.
        Some(frame) => behind(frame).map(|_| value),
        None => behind(value),
    }
}

/// What follows a frame: a zero and four bytes of a number, or a one and sixteen of a GUID.
fn behind(bytes: &[u8]) -> Result<&[u8], Rejection> {
    let refused = |detail: String| Rejection::new(Reason::InvalidFrame, detail);
    let (magic, rest) = bytes.split_first().ok_or_else(|| refused("no frame".to_owned()))?;
    let length = match magic {
        0 => 4,
        1 => 16,
        other => {
            return Err(refused(format!("a frame begins with 0 or 1, and this with {other}")));
        }
    };
    let cut = || refused(format!("a frame of {length} bytes is cut after {}", rest.len()));
    rest.get(length..).ok_or_else(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Header;

    #[test]
    fn both_places_and_both_identifiers_are_known() {
        let guid: Vec<u8> = [1].into_iter().chain([7; 16]).chain(*b"{}").collect();
        type Case<'a> = (&'a [u8], Option<&'a [u8]>, Result<&'a [u8], Reason>);
        let table: [Case<'_>; 9] = [
            (b"\0\0\0\0\x07{}", None, Ok(b"{}")),
            (&guid, None, Ok(b"{}")),
            (b"\0\0\0\0\x07", None, Ok(b"")),
            (b"{}", Some(b"\0\0\0\0\x07"), Ok(b"{}")),
            (b"{}", Some(&guid), Ok(b"{}")),
            (b"{}", None, Err(Reason::InvalidFrame)),
            (b"\0\0\0", None, Err(Reason::InvalidFrame)),
            (b"", None, Err(Reason::InvalidFrame)),
            (b"\0\0\0\0\x07{}", Some(b"\x01\x02"), Err(Reason::InvalidFrame)),
        ];
        for (value, header, expected) in table {
            let headers = header.map(|value| Header { name: HEADER, value });
            let carried = Carried { key: None, headers: headers.as_slice() };
            let got = payload(value, &carried).map_err(|rejection| rejection.reason);
            assert_eq!(got, expected, "{value:?}");
        }
    }
}
