//! One tensor: its shape and its values, into the columns of the rows.

use driftline_capture::Side;

use super::columns::{Shaped, TensorColumns};
use super::{Inference, invalid};
use crate::layout::{Part, Target};
use crate::mapped::{ColumnOf, Extent, Halt, Table, Typed, disagrees, wrong_shape};
use crate::protobuf::wire::{Varints, WireType};

/// Dimensions that a tensor may have.
const MOST_DIMENSIONS: usize = 64;

/// An `InferInputTensor` or `InferOutputTensor`.
#[derive(Debug)]
pub(crate) struct Tensor<'b> {
    name: &'b str,
    datatype: DataType,
    extent: Extent,
    contents: Option<&'b [u8]>,
}

/// What the values of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DataType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl DataType {
    fn of_name(name: &[u8]) -> Option<DataType> {
        Some(match name {
            b"BOOL" => DataType::Bool,
            b"UINT8" => DataType::Uint8,
            b"UINT16" => DataType::Uint16,
            b"UINT32" => DataType::Uint32,
            b"UINT64" => DataType::Uint64,
            b"INT8" => DataType::Int8,
            b"INT16" => DataType::Int16,
            b"INT32" => DataType::Int32,
            b"INT64" => DataType::Int64,
            b"FP16" => DataType::Fp16,
            b"BF16" => DataType::Bf16,
            b"FP32" => DataType::Fp32,
            b"FP64" => DataType::Fp64,
            b"BYTES" => DataType::Bytes,
            _ => return None,
        })
    }

    /// Bytes of one value in raw contents; nothing where each says its own.
    fn width(self) -> Option<usize> {
        Some(match self {
            DataType::Bool | DataType::Uint8 | DataType::Int8 => 1,
            DataType::Uint16 | DataType::Int16 | DataType::Fp16 | DataType::Bf16 => 2,
            DataType::Uint32 | DataType::Int32 | DataType::Fp32 => 4,
            DataType::Uint64 | DataType::Int64 | DataType::Fp64 => 8,
            DataType::Bytes => return None,
        })
    }

    /// The field of the typed contents that holds its values; half precision has none.
    fn field(self) -> Option<u32> {
        Some(match self {
            DataType::Bool => 1,
            DataType::Int8 | DataType::Int16 | DataType::Int32 => 2,
            DataType::Int64 => 3,
            DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => 4,
            DataType::Uint64 => 5,
            DataType::Fp32 => 6,
            DataType::Fp64 => 7,
            DataType::Bytes => 8,
            DataType::Fp16 | DataType::Bf16 => return None,
        })
    }

    /// A value of raw contents: so many bytes, the lowest first.
    #[inline]
    fn of_raw(self, bytes: &[u8]) -> Typed<'static> {
        match self {
            DataType::Fp32 => Typed::Number(f64::from(f32::from_le_bytes(fixed(bytes)))),
            DataType::Fp64 => Typed::Number(f64::from_le_bytes(fixed(bytes))),
            DataType::Int64 => Typed::Whole(i64::from_le_bytes(fixed(bytes))),
            DataType::Int32 => Typed::Whole(i64::from(i32::from_le_bytes(fixed(bytes)))),
            DataType::Int16 => Typed::Whole(i64::from(i16::from_le_bytes(fixed(bytes)))),
            DataType::Int8 => Typed::Whole(i64::from(i8::from_le_bytes(fixed(bytes)))),
            DataType::Uint64 => Typed::Unsigned(u64::from_le_bytes(fixed(bytes))),
            DataType::Uint32 => Typed::Whole(i64::from(u32::from_le_bytes(fixed(bytes)))),
            DataType::Uint16 => Typed::Whole(i64::from(u16::from_le_bytes(fixed(bytes)))),
            DataType::Uint8 => Typed::Whole(i64::from(u8::from_le_bytes(fixed(bytes)))),
            DataType::Bool => Typed::Bool(bytes != [0]),
            DataType::Fp16 => Typed::Number(half(u16::from_le_bytes(fixed(bytes)))),
            DataType::Bf16 => {
                let bits = u32::from(u16::from_le_bytes(fixed(bytes))) << 16;
                Typed::Number(f64::from(f32::from_bits(bits)))
            }
            DataType::Bytes => Typed::Null,
        }
    }
}

#[inline]
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    // Chunks of this width are what they are taken from.
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// A number of half precision, IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

impl<'b> Tensor<'b> {
    pub(super) fn read(bytes: &'b [u8]) -> Result<Tensor<'b>, Halt> {
        let (mut name, mut datatype, mut contents) = ("", None, None);
        let mut shape: Vec<u64> = Vec::new();
        let mut varints = Varints { bytes, at: 0 };
        while let Some(piece) = varints.piece().map_err(invalid)? {
            match (piece.number, piece.wire) {
                (1, WireType::Sized) => name = super::text(piece)?,
                (2, WireType::Sized) => {
                    let known = DataType::of_name(piece.bytes);
                    datatype =
                        Some(known.ok_or_else(|| wrong_shape("a tensor of no known datatype"))?);
                }
                (3, WireType::Sized) => {
                    let mut sizes = Varints { bytes: piece.bytes, at: 0 };
                    while sizes.at < piece.bytes.len() {
                        shape.push(sizes.next().ok_or_else(|| invalid("a shape is cut"))?);
                    }
                }
                (3, WireType::Varint) => shape.push(piece.bits),
                (5, WireType::Sized) => contents = Some(piece.bytes),
                (1 | 2 | 3 | 5, _) => {
                    return Err(invalid("a value is not of its field's kind"));
                }
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(wrong_shape("a tensor without a name"));
        }
        let datatype = datatype.ok_or_else(|| wrong_shape("a tensor without a datatype"))?;
        if shape.len() > MOST_DIMENSIONS {
            return Err(wrong_shape("a tensor of too many dimensions"));
        }
        // Sizes below zero come as the largest there are.
        let extent = Extent::of(&shape);
        let extent =
            extent.ok_or_else(|| wrong_shape("the shape of a tensor means too many values"))?;
        Ok(Tensor { name, datatype, extent, contents })
    }

    /// Whether its values stand elsewhere.
    pub(super) fn is_bare(&self) -> bool {
        self.contents.is_none_or(<[u8]>::is_empty)
    }

    /// The values of its typed contents.
    fn typed(&self) -> Result<Vec<Typed<'b>>, Halt> {
        let mut values = Vec::new();
        let mut varints = Varints { bytes: self.contents.unwrap_or_default(), at: 0 };
        while let Some(piece) = varints.piece().map_err(invalid)? {
            if Some(piece.number) != self.datatype.field() {
                return Err(wrong_shape("contents of a tensor are not of its datatype"));
            }
            match (piece.number, piece.wire) {
                (8, WireType::Sized) => values.push(text(piece.bytes)),
                (1..=7, WireType::Sized) => {
                    let mut packed = Varints { bytes: piece.bytes, at: 0 };
                    while packed.at < piece.bytes.len() {
                        let bits = match piece.number {
                            6 => packed.fixed().map(|bytes| u64::from(u32::from_le_bytes(bytes))),
                            7 => packed.fixed().map(u64::from_le_bytes),
                            _ => packed.next(),
                        };
                        let bits = bits.ok_or_else(|| invalid("packed values are cut"))?;
                        values.push(of_bits(piece.number, bits));
                    }
                }
                (6, WireType::Four) | (7, WireType::Eight) | (1..=5, WireType::Varint) => {
                    values.push(of_bits(piece.number, piece.bits));
                }
                _ => return Err(invalid("a value is not of its field's kind")),
            }
        }
        Ok(values)
    }
}

/// A value of typed contents, by its field.
fn of_bits(field: u32, bits: u64) -> Typed<'static> {
    match field {
        1 => Typed::Bool(bits != 0),
        2 => Typed::Whole(i64::from(bits as i32)),
        3 => Typed::Whole(bits as i64),
        4 => Typed::Unsigned(u64::from(bits as u32)),
        5 => Typed::Unsigned(bits),
        6 => Typed::Number(f64::from(f32::from_bits(bits as u32))),
        _ => Typed::Number(f64::from_bits(bits)),
    }
}

fn text(bytes: &[u8]) -> Typed<'_> {
    std::str::from_utf8(bytes).map_or(Typed::Opaque("bytes"), Typed::Text)
}

/// The values of raw contents that say their own length: four bytes of it before each, the lowest first.
fn raw_texts(mut bytes: &[u8]) -> Result<Vec<Typed<'_>>, Halt> {
    let cut = || wrong_shape("raw contents of texts are cut");
    let mut values = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut())?;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        values.push(text(value));
        bytes = rest;
    }
    if bytes.is_empty() { Ok(values) } else { Err(cut()) }
}

impl Table<'_> {
    /// The tensors of one side, each of which is columns of the same rows; how many rows.
    pub(crate) fn inference(
        &mut self,
        found: &Inference<'_>,
        side: Side,
        kept: &mut TensorColumns,
    ) -> Result<u32, Halt> {
        let raw = found.raw(side);
        let is_raw = found.tensors.iter().all(Tensor::is_bare) && !raw.is_empty();
        if is_raw && raw.len() != found.tensors.len() {
            let (raw, tensors) = (raw.len(), found.tensors.len());
            return Err(wrong_shape(format!("{raw} raw contents, and {tensors} tensors")));
        }
        let mut rows: Option<u64> = None;
        let mut before = 0_usize;
        for (place, tensor) in found.tensors.iter().enumerate() {
            let extent = tensor.extent;
            if rows.is_some_and(|rows| rows != extent.rows) {
                return Err(wrong_shape("tensors have different numbers of rows"));
            }
            rows = Some(extent.rows);
            let at = TensorPlace { place, before };
            match (is_raw, raw.get(place), tensor.datatype.width()) {
                (true, Some(bytes), Some(width)) => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    if extent.values().checked_mul(width as u64) != Some(length) {
                        return Err(disagrees(extent));
                    }
                    let datatype = tensor.datatype;
                    let values = bytes.chunks_exact(width).map(|bytes| datatype.of_raw(bytes));
                    self.values(tensor, values, at, kept)?;
                }
                (true, Some(bytes), None) => {
                    self.counted(tensor, raw_texts(bytes)?, at, kept)?;
                }
                _ => self.counted(tensor, tensor.typed()?, at, kept)?,
            }
            before = before.saturating_add(usize::try_from(extent.columns).unwrap_or(usize::MAX));
        }
        if self.has_names() && rows.unwrap_or(0) > 0 {
            self.all_there(before)?;
        }
        Ok(u32::try_from(rows.unwrap_or(0)).unwrap_or(u32::MAX))
    }

    fn counted(
        &mut self,
        tensor: &Tensor<'_>,
        values: Vec<Typed<'_>>,
        at: TensorPlace,
        kept: &mut TensorColumns,
    ) -> Result<(), Halt> {
        if u64::try_from(values.len()).unwrap_or(u64::MAX) != tensor.extent.values() {
            return Err(disagrees(tensor.extent));
        }
        self.values(tensor, values.into_iter(), at, kept)
    }

    /// Puts the values, as many as the shape says, row after row.
    fn values<'v>(
        &mut self,
        tensor: &Tensor<'_>,
        mut values: impl Iterator<Item = Typed<'v>>,
        at: TensorPlace,
        kept: &mut TensorColumns,
    ) -> Result<(), Halt> {
        let extent = tensor.extent;
        if extent.values() == 0 {
            return Ok(());
        }
        let columns = usize::try_from(extent.columns).unwrap_or(usize::MAX);
        let shaped = Shaped { part: self.part, name: tensor.name, single: extent.single, columns };
        let named = self.has_names();
        let rows = u32::try_from(extent.rows).unwrap_or(u32::MAX);
        if let Some(known) = kept.of(at.place, shaped).filter(|_| !named) {
            for row in 0..rows {
                self.begin_row(row)?;
                for target in known {
                    let Some(value) = values.next() else { return Err(disagrees(extent)) };
                    self.put_known(*target, value);
                }
            }
            return Ok(());
        }
        let mut of_columns = Vec::with_capacity(columns);
        for index in 0..columns {
            of_columns.push(self.tensor_column(tensor.name, extent, at.before, index)?);
        }
        for row in 0..rows {
            self.begin_row(row)?;
            for column in &of_columns {
                let Some(value) = values.next() else { return Err(disagrees(extent)) };
                self.put_typed(*column, value);
            }
        }
        let targets: Option<Vec<Target>> = of_columns
            .iter()
            .map(|column| match column {
                ColumnOf::Known(target) => Some(*target),
                ColumnOf::New(_) => None,
            })
            .collect();
        if let Some(targets) = targets.filter(|_| !named) {
            kept.keep(at.place, shaped, targets);
        }
        Ok(())
    }
}

/// Which of the tensors, and how many columns those before it have.
#[derive(Debug, Clone, Copy)]
struct TensorPlace {
    place: usize,
    before: usize,
}

/// The side whose tensors are columns of a part.
pub(crate) fn side_of(part: Part) -> Side {
    match part {
        Part::Features => Side::Request,
        Part::Prediction => Side::Response,
    }
}
