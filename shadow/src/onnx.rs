//! A look into an ONNX file before ONNX Runtime sees it: no external data, no custom operators.
//!
//! An ONNX file is a protobuf `ModelProto`. Only the fields that can hold a tensor or an operator are
//! followed; field numbers are those of onnx.proto (IR version 13).

use std::collections::HashSet;

use crate::error::ShadowError;

/// Domains whose operators ONNX Runtime brings along.
const BUILT_IN: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];
/// Operators that load compiled code or further files.
const REFUSED: [&str; 2] = ["EPContext", "PyOp"];
/// Graphs in graphs (If, Loop, Scan); deeper files are made to exhaust a reader's stack.
const MAX_DEPTH: usize = 32;

/// Checks that the bytes are one self-contained ONNX model of standard operators.
pub(crate) fn check(bytes: &[u8]) -> Result<(), ShadowError> {
    // ONNX Runtime's own format would bypass this look.
    if bytes.get(4..8) == Some(b"ORTM") {
        return Err(malformed("it is in ONNX Runtime's own format, give the .onnx file"));
    }
    let mut functions = HashSet::new();
    let mut has_graph = false;
    for field in Fields(bytes) {
        let field = field?;
        match field.number {
            7 => has_graph = true,
            25 => {
                functions.insert(text_of(field.message()?, 10)?);
            }
            _ => {}
        }
    }
    if !has_graph {
        return Err(malformed("it holds no graph"));
    }
    let scan = Scan { functions };
    for field in Fields(bytes) {
        let field = field?;
        match field.number {
            7 => scan.graph(field.message()?, 0)?,
            20 => {
                for part in Fields(field.message()?) {
                    let part = part?;
                    if matches!(part.number, 1 | 2) {
                        scan.graph(part.message()?, 0)?;
                    }
                }
            }
            25 => scan.function(field.message()?)?,
            _ => {}
        }
    }
    Ok(())
}

struct Scan {
    /// Domains of functions that the model itself defines from other operators.
    functions: HashSet<String>,
}

impl Scan {
    fn function(&self, bytes: &[u8]) -> Result<(), ShadowError> {
        for field in Fields(bytes) {
            let field = field?;
            match field.number {
                7 => self.node(field.message()?, 0)?,
                11 => self.attribute(field.message()?, 0)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn graph(&self, bytes: &[u8], depth: usize) -> Result<(), ShadowError> {
        if depth > MAX_DEPTH {
            return Err(malformed("its graphs are nested too deeply"));
        }
        for field in Fields(bytes) {
            let field = field?;
            match field.number {
                1 => self.node(field.message()?, depth)?,
                5 => tensor(field.message()?)?,
                15 => sparse_tensor(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&self, bytes: &[u8], depth: usize) -> Result<(), ShadowError> {
        let operator = text_of(bytes, 4)?;
        let domain = text_of(bytes, 7)?;
        let known = BUILT_IN.contains(&domain.as_str()) || self.functions.contains(&domain);
        if !known || REFUSED.contains(&operator.as_str()) {
            return Err(ShadowError::Operator { operator, domain });
        }
        for field in Fields(bytes) {
            let field = field?;
            if field.number == 5 {
                self.attribute(field.message()?, depth)?;
            }
        }
        Ok(())
    }

    fn attribute(&self, bytes: &[u8], depth: usize) -> Result<(), ShadowError> {
        for field in Fields(bytes) {
            let field = field?;
            match field.number {
                5 | 10 => tensor(field.message()?)?,
                6 | 11 => self.graph(field.message()?, depth + 1)?,
                22 | 23 => sparse_tensor(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn tensor(bytes: &[u8]) -> Result<(), ShadowError> {
    for field in Fields(bytes) {
        let field = field?;
        let outside = match field.value {
            Value::Bytes(_) => field.number == 13,
            Value::Number(location) => field.number == 14 && location != 0,
        };
        if outside {
            return Err(ShadowError::ExternalData);
        }
    }
    Ok(())
}

fn sparse_tensor(bytes: &[u8]) -> Result<(), ShadowError> {
    for field in Fields(bytes) {
        let field = field?;
        if matches!(field.number, 1 | 2) {
            tensor(field.message()?)?;
        }
    }
    Ok(())
}

/// The last value of a text field, as protobuf wants it; empty where there is none.
fn text_of(bytes: &[u8], number: u64) -> Result<String, ShadowError> {
    let mut text = String::new();
    for field in Fields(bytes) {
        let field = field?;
        if field.number == number {
            text = String::from_utf8_lossy(field.message()?).into_owned();
        }
    }
    Ok(text)
}

fn malformed(reason: &'static str) -> ShadowError {
    ShadowError::Malformed { reason }
}

struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn message(&self) -> Result<&'a [u8], ShadowError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Number(_) => Err(malformed("a field has the wrong wire type")),
        }
    }
}

/// The fields of one protobuf message. After an error it ends.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, ShadowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| malformed("its bytes are truncated or no protobuf")))
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<Field<'a>> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.bytes(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => Value::Bytes(self.bytes(4)?),
            _ => return None,
        };
        Some(Field { number: key >> 3, value })
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for position in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One length-delimited field; all field numbers here fit one byte or two.
    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = varint(number << 3 | 2);
        bytes.extend(varint(content.len() as u64));
        bytes.extend(content);
        bytes
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    fn node(operator: &str, domain: &str, attribute: &[u8]) -> Vec<u8> {
        let attribute = if attribute.is_empty() { Vec::new() } else { field(5, attribute) };
        [field(4, operator.as_bytes()), field(7, domain.as_bytes()), attribute].concat()
    }

    fn model(graph: &[u8]) -> Vec<u8> {
        field(7, graph)
    }

    fn operator(name: &str, domain: &str) -> Result<(), ShadowError> {
        Err(ShadowError::Operator { operator: name.to_owned(), domain: domain.to_owned() })
    }

    fn nested(depth: usize) -> Vec<u8> {
        (0..depth).fold(Vec::new(), |inner, _| field(1, &node("If", "", &field(6, &inner))))
    }

    #[test]
    fn a_model_is_standard_and_self_contained_or_refused() {
        let location = [varint(14 << 3), varint(1)].concat();
        let external = field(13, &field(1, b"location"));
        let function = field(25, &[field(10, b"local"), field(7, &node("Add", "", &[]))].concat());
        let calls = model(&field(1, &node("Mine", "local", &[])));
        let table = [
            (model(&field(1, &node("TreeEnsembleClassifier", "ai.onnx.ml", &[]))), Ok(())),
            (model(&field(1, &node("Gelu", "com.microsoft", &[]))), Ok(())),
            (model(&field(1, &node("Mine", "local", &[]))), operator("Mine", "local")),
            ([function, calls].concat(), Ok(())),
            (
                model(&field(1, &node("EPContext", "com.microsoft", &[]))),
                operator("EPContext", "com.microsoft"),
            ),
            (model(&field(5, &location)), Err(ShadowError::ExternalData)),
            (model(&field(5, &external)), Err(ShadowError::ExternalData)),
            (model(&field(15, &field(1, &location))), Err(ShadowError::ExternalData)),
            (
                model(&field(1, &node("Constant", "", &field(5, &external)))),
                Err(ShadowError::ExternalData),
            ),
            (field(20, &field(1, &field(5, &location))), Err(malformed("it holds no graph"))),
            (
                [model(b""), field(20, &field(2, &field(5, &location)))].concat(),
                Err(ShadowError::ExternalData),
            ),
            (model(&nested(MAX_DEPTH)), Ok(())),
            (model(&nested(MAX_DEPTH + 2)), Err(malformed("its graphs are nested too deeply"))),
            (Vec::new(), Err(malformed("it holds no graph"))),
            (
                b"\x08\x00\x00\x00ORTM....".to_vec(),
                Err(malformed("it is in ONNX Runtime's own format, give the .onnx file")),
            ),
            (vec![0x38, 0x01], Err(malformed("a field has the wrong wire type"))),
            (vec![0x3a, 0x7f, 0x00], Err(malformed("its bytes are truncated or no protobuf"))),
        ];
        for (position, (bytes, expected)) in table.into_iter().enumerate() {
            assert_eq!(check(&bytes), expected, "row {position}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
            let _ = check(&model(&bytes));
            let _ = check(&model(&field(1, &bytes)));
        }

        #[test]
        fn no_prefix_of_a_refused_model_is_accepted(length in 0_usize..200) {
            let bytes = model(&field(1, &node("Mine", "local", &[0x0a; 150])));
            prop_assert!(check(&bytes[..length.min(bytes.len() - 1)]).is_err());
        }
    }
}
