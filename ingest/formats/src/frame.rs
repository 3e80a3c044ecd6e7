//! The frame of a Confluent-compatible schema registry: which schema a value was written by.

use driftline_capture::Reason;

use crate::record::{Carried, Rejection};
use crate::schemas::SchemaId;

/// The header that holds the frame where the value is bare.
const HEADER: &str = "__value_schema_id";

/// A framed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    pub(crate) schema: SchemaId,
    pub(crate) value: Place<'a>,
}

/// Where the value stands, and what else the frame says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Behind the frame, and behind what else it says.
    Behind(&'a [u8]),
    /// Beside a header, with the rest of that.
    Beside { value: &'a [u8], rest: &'a [u8] },
}

impl<'a> Framed<'a> {
    /// Takes a value out of its frame: serializers write that into a header or before the value.
    ///
    /// # Errors
    /// `invalid_frame` where the frame is cut or begins with an unknown byte.
    pub(crate) fn of(value: &'a [u8], carried: &Carried<'a>) -> Result<Framed<'a>, Rejection> {
        match carried.header(HEADER) {
            Some(frame) => {
                let (schema, rest) = split(frame)?;
                Ok(Framed { schema, value: Place::Beside { value, rest } })
            }
            None => {
                let (schema, value) = split(value)?;
                Ok(Framed { schema, value: Place::Behind(value) })
            }
        }
    }

    /// The value of a format whose frames say nothing else. Whatever follows the identifier in a header is
    /// not ours to judge.
    pub(crate) fn payload(self) -> &'a [u8] {
        match self.value {
            Place::Behind(value) | Place::Beside { value, .. } => value,
        }
    }
}

/// A frame and what follows it: a zero and four bytes of a number, or a one and sixteen of a GUID.
fn split(bytes: &[u8]) -> Result<(SchemaId, &[u8]), Rejection> {
    let refused = |detail: String| Rejection::new(Reason::InvalidFrame, detail);
    let (magic, rest) = bytes.split_first().ok_or_else(|| refused("no frame".to_owned()))?;
    let cut =
        |length: usize| refused(format!("a frame of {length} bytes is cut after {}", rest.len()));
    match magic {
        0 => {
            let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(|| cut(4))?;
            Ok((SchemaId::Number(u32::from_be_bytes(*number)), rest))
        }
        1 => {
            let (guid, rest) = rest.split_first_chunk::<16>().ok_or_else(|| cut(16))?;
            Ok((SchemaId::Guid(*guid), rest))
        }
        other => Err(refused(format!("a frame begins with 0 or 1, and this with {other}"))),
    }
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
            let got = Framed::of(value, &carried)
                .map(Framed::payload)
                .map_err(|rejection| rejection.reason);
            assert_eq!(got, expected, "{value:?}");
        }
    }
}
