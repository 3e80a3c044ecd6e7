//! Small models of our own that mean harm, written as protobuf by hand: field numbers are those of onnx.proto.

/// Element types of tensors.
const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// What a model does to whoever runs it. All take the features `a` and `b`, and have one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// None: the sum of both features.
    Harmless,
    /// Divides the smallest integer by -1, which has no result, while it is loaded.
    DividesWhileLoading,
    /// Divides `a` by -1: what that has no result for is the row of the smallest integer.
    DividesRows,
    /// A tensor of 4 GiB that loading computes.
    ExpandsWhileLoading,
    /// The same for each run.
    ExpandsRows,
    /// Takes two thousand million rows at a time.
    TakesTooManyRows,
    /// Loading multiplies large matrices, a thousand times.
    LoadsForEver,
    /// Two values for each row, all in one dimension.
    HasTwoValuesInOneDimension,
}

/// The bytes of such a model.
pub(crate) fn model(harm: Harm) -> Vec<u8> {
    let rows = if harm == Harm::TakesTooManyRows { 2_000_000_000 } else { 0 };
    let mut graph = Graph::default();
    match harm {
        Harm::Harmless | Harm::TakesTooManyRows => {
            graph.node("ReduceSum", &["x", "columns"], "y");
            graph.integers("columns", &[1], &[1]);
        }
        Harm::DividesWhileLoading => {
            graph.integers("smallest", &[], &[i64::MIN]);
            graph.integers("minus", &[], &[-1]);
            graph.node("Div", &["smallest", "minus"], "none");
            graph.cast("none", "number", FLOAT);
            graph.node("Add", &["x", "number"], "y");
        }
        Harm::DividesRows => {
            graph.cast("x", "whole", INT64);
            graph.integers("minus", &[], &[-1]);
            graph.node("Div", &["whole", "minus"], "quotient");
            graph.cast("quotient", "y", FLOAT);
        }
        Harm::ExpandsWhileLoading => {
            graph.integers("shape", &[2], &[1 << 15, 1 << 15]);
            graph.node("ConstantOfShape", &["shape"], "large");
            graph.node("ReduceMax", &["large"], "most");
            graph.node("Add", &["x", "most"], "y");
        }
        Harm::ExpandsRows => {
            graph.integers("shape", &[2], &[1 << 15, 1 << 15]);
            graph.node("ReduceMax", &["x"], "one");
            graph.node("Expand", &["one", "shape"], "large");
            graph.node("ReduceMax", &["large"], "most");
            graph.node("Add", &["x", "most"], "y");
        }
        Harm::LoadsForEver => {
            graph.integers("shape", &[2], &[1 << 12, 1 << 12]);
            graph.node("ConstantOfShape", &["shape"], "m0");
            for round in 0..1000 {
                let (before, after) = (format!("m{round}"), format!("m{}", round + 1));
                graph.node("MatMul", &[&before, "m0"], &after);
            }
            graph.node("ReduceMax", &["m1000"], "most");
            graph.node("Add", &["x", "most"], "y");
        }
        Harm::HasTwoValuesInOneDimension => {
            graph.integers("shape", &[1], &[-1]);
            graph.node("Reshape", &["x", "shape"], "y");
        }
    }
    let shape = if harm == Harm::HasTwoValuesInOneDimension { &[0][..] } else { &[0, 0] };
    graph.file(&value("x", &[rows, 2]), &value("y", shape))
}

#[derive(Default)]
struct Graph {
    nodes: Vec<u8>,
    tensors: Vec<u8>,
}

impl Graph {
    fn node(&mut self, operator: &str, inputs: &[&str], output: &str) {
        self.nodes.extend(field(1, &node(operator, inputs, output, &[])));
    }

    fn cast(&mut self, input: &str, output: &str, element: u64) {
        let attribute = [text(1, "to"), number(3, element), number(20, 2)].concat();
        self.nodes.extend(field(1, &node("Cast", &[input], output, &attribute)));
    }

    fn integers(&mut self, name: &str, shape: &[u64], values: &[i64]) {
        let shape: Vec<u8> = shape.iter().flat_map(|size| number(1, *size)).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = [shape, number(2, INT64), text(8, name), field(9, &bytes)].concat();
        self.tensors.extend(field(5, &tensor));
    }

    fn file(self, input: &[u8], output: &[u8]) -> Vec<u8> {
        let name = text(2, "harm");
        let graph = [self.nodes, name, self.tensors, field(11, input), field(12, output)].concat();
        let opset = [text(1, ""), number(2, 13)].concat();
        [number(1, 8), field(7, &graph), field(8, &opset)].concat()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str, attribute: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|input| text(1, input)).collect();
    bytes.extend([text(2, output), text(4, operator)].concat());
    if !attribute.is_empty() {
        bytes.extend(field(5, attribute));
    }
    bytes
}

/// An input or output of floats; a size of 0 is any.
fn value(name: &str, shape: &[u64]) -> Vec<u8> {
    let dimension = |size: &u64| match size {
        0 => field(1, &text(2, "any")),
        size => field(1, &number(1, *size)),
    };
    let shape: Vec<u8> = shape.iter().flat_map(dimension).collect();
    let tensor = [number(1, FLOAT), field(2, &shape)].concat();
    [text(1, name), field(2, &field(1, &tensor))].concat()
}

fn text(place: u64, content: &str) -> Vec<u8> {
    field(place, content.as_bytes())
}

fn number(place: u64, value: u64) -> Vec<u8> {
    [varint(place << 3), varint(value)].concat()
}

fn field(place: u64, content: &[u8]) -> Vec<u8> {
    [varint(place << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
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
