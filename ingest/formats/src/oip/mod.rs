//! Inference requests and responses of the Open Inference Protocol in Protobuf: tensors as typed contents or
//! as raw bytes, into rows.

mod columns;
mod tensors;

#[cfg(test)]
mod tests;

use driftline_capture::{Reason, Side};

pub(crate) use columns::TensorColumns;
pub(crate) use tensors::{Tensor, side_of};

use crate::layout::Target;
use crate::mapped::{FieldTarget, Halt, Typed, Walk};
use crate::protobuf::wire::{Piece, Varints, WireType};
use crate::record::Rejection;

/// A message `ModelInferRequest` or `ModelInferResponse`: both have the same fields but for their last three.
#[derive(Debug)]
pub(crate) struct Inference<'b> {
    /// Field 5: the inputs of a request, the outputs of a response.
    pub(crate) tensors: Vec<Tensor<'b>>,
    /// Field 6: what outputs a request asks for, or the raw contents of a response.
    sixth: Vec<&'b [u8]>,
    /// Field 7: the raw contents of a request.
    seventh: Vec<&'b [u8]>,
}

/// Whether a value is no JSON: a message begins with the tag of one of its first seven fields.
pub(crate) fn is_binary(value: &[u8]) -> bool {
    value.first().is_some_and(|first| matches!(first >> 3, 1..=7) && first & 7 == 2)
}

impl<'b> Inference<'b> {
    /// Reads the message, and puts what stands beside its tensors where the map wants it.
    pub(crate) fn read(bytes: &'b [u8], walk: &mut Walk<'_>) -> Result<Inference<'b>, Halt> {
        let mut found = Inference { tensors: Vec::new(), sixth: Vec::new(), seventh: Vec::new() };
        walk.enter(0, Typed::Opaque("a message"))?;
        let mut varints = Varints { bytes, at: 0 };
        while let Some(piece) = varints.piece().map_err(invalid)? {
            let is_sized = piece.wire == WireType::Sized;
            if (1..=7).contains(&piece.number) && !is_sized {
                return Err(invalid("a value is not of its field's kind"));
            }
            match piece.number {
                1 => put(walk, "model_name", text(piece)?)?,
                2 => put(walk, "model_version", text(piece)?)?,
                3 => put(walk, "id", text(piece)?)?,
                4 => parameter(walk, piece.bytes)?,
                5 => found.tensors.push(Tensor::read(piece.bytes)?),
                6 => found.sixth.push(piece.bytes),
                7 => found.seventh.push(piece.bytes),
                // Of a newer protocol.
                _ => {}
            }
        }
        Ok(found)
    }

    /// Which of the two it is, where it tells: nothing but its contents differs.
    pub(crate) fn side(&self) -> Option<Side> {
        let is_bare = self.tensors.iter().all(Tensor::is_bare) && !self.tensors.is_empty();
        match (self.seventh.is_empty(), self.sixth.is_empty()) {
            (false, _) => Some(Side::Request),
            (true, false) if is_bare => Some(Side::Response),
            _ => None,
        }
    }

    /// The raw contents of one side, one for each tensor, or none at all.
    pub(crate) fn raw(&self, side: Side) -> &[&'b [u8]] {
        match side {
            Side::Request => &self.seventh,
            Side::Response => &self.sixth,
        }
    }
}

fn text(piece: Piece<'_>) -> Result<&str, Halt> {
    simdutf8::basic::from_utf8(piece.bytes).map_err(|_| invalid("a string is not UTF-8"))
}

/// The empty text is what an absent one is.
fn put(walk: &mut Walk<'_>, name: &str, text: &str) -> Result<(), Halt> {
    match walk.key_target(0, name) {
        FieldTarget::Known(target) if !text.is_empty() => walk.put(target, Typed::Text(text)),
        _ => Ok(()),
    }
}

/// An entry of the parameters, which are a map of choices.
fn parameter(walk: &mut Walk<'_>, entry: &[u8]) -> Result<(), Halt> {
    // Few maps look at parameters.
    let FieldTarget::Known(Target::Node(node)) = walk.key_target(0, "parameters") else {
        return Ok(());
    };
    let (mut key, mut value) = ("", Typed::Null);
    let mut varints = Varints { bytes: entry, at: 0 };
    while let Some(piece) = varints.piece().map_err(invalid)? {
        match (piece.number, piece.wire) {
            (1, WireType::Sized) => key = text(piece)?,
            (2, WireType::Sized) => value = choice(piece.bytes)?,
            _ => {}
        }
    }
    match walk.key_target(node, key) {
        FieldTarget::Known(target) => walk.put(target, value),
        FieldTarget::New(_) => Ok(()),
    }
}

fn choice(bytes: &[u8]) -> Result<Typed<'_>, Halt> {
    let mut value = Typed::Null;
    let mut varints = Varints { bytes, at: 0 };
    while let Some(piece) = varints.piece().map_err(invalid)? {
        value = match (piece.number, piece.wire) {
            (1, WireType::Varint) => Typed::Bool(piece.bits != 0),
            (2, WireType::Varint) => Typed::Whole(piece.bits as i64),
            (3, WireType::Sized) => Typed::Text(text(piece)?),
            (4, WireType::Eight) => Typed::Number(f64::from_bits(piece.bits)),
            (5, WireType::Varint) => Typed::Unsigned(piece.bits),
            _ => value,
        };
    }
    Ok(value)
}

#[cold]
fn invalid(what: impl Into<String>) -> Halt {
    Halt::Rejected(Rejection::new(Reason::InvalidRecord, what))
}
