//! ONNX files written field by field, with the numbers of `onnx.proto3`.

/// Element types.
pub(crate) const FLOAT: u64 = 1;
pub(crate) const INT64: u64 = 7;

/// A length in a shape.
#[derive(Clone, Copy)]
pub(crate) enum D {
    N(u64),
    Any(&'static str),
}

/// An attribute of an operator.
pub(crate) enum Attr {
    Int(&'static str, i64),
    Ints(&'static str, &'static [i64]),
    Graph(&'static str, Vec<u8>),
}

fn varint(mut v: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while v > 0x7F {
        bytes.push(v as u8 | 0x80);
        v >>= 7;
    }
    bytes.push(v as u8);
    bytes
}

fn number(field: u64, v: u64) -> Vec<u8> {
    [varint(field << 3), varint(v)].concat()
}

pub(crate) fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

pub(crate) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Attr]) -> Vec<u8> {
    let attribute = |a: &Attr| match a {
        Attr::Int(name, v) => [bytes(1, name.as_bytes()), number(3, *v as u64), number(20, 2)].concat(),
        Attr::Ints(name, v) => {
            let list: Vec<u8> = v.iter().flat_map(|v| number(8, *v as u64)).collect();
            [bytes(1, name.as_bytes()), list, number(20, 7)].concat()
        }
        Attr::Graph(name, graph) => [bytes(1, name.as_bytes()), bytes(6, graph), number(20, 5)].concat(),
    };
    let mut all: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name.as_bytes())).collect();
    all.extend([bytes(2, output.as_bytes()), bytes(3, output.as_bytes()), bytes(4, operator.as_bytes())].concat());
    all.extend(attributes.iter().flat_map(|a| bytes(5, &attribute(a))));
    all
}

fn tensor(name: &str, dims: &[u64], kind: u64, raw: Vec<u8>) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| number(1, *d)).collect();
    [dims, number(2, kind), bytes(8, name.as_bytes()), bytes(9, &raw)].concat()
}

pub(crate) fn floats(name: &str, dims: &[u64], values: &[f32]) -> Vec<u8> {
    tensor(name, dims, FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub(crate) fn whole(name: &str, dims: &[u64], values: &[i64]) -> Vec<u8> {
    tensor(name, dims, INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

pub(crate) fn value(name: &str, kind: u64, dims: &[D]) -> Vec<u8> {
    let dim = |d: &D| match d {
        D::N(n) => bytes(1, &number(1, *n)),
        D::Any(name) => bytes(1, &bytes(2, name.as_bytes())),
    };
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &[number(1, kind), bytes(2, &shape)].concat()))].concat()
}

/// A graph.
#[derive(Clone, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Vec<u8>>,
    pub(crate) weights: Vec<Vec<u8>>,
    pub(crate) inputs: Vec<Vec<u8>>,
    pub(crate) outputs: Vec<Vec<u8>>,
}

impl Graph {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let all = |field: u64, list: &[Vec<u8>]| list.iter().flat_map(|m| bytes(field, m)).collect::<Vec<u8>>();
        [all(1, &self.nodes), bytes(2, b"g"), all(5, &self.weights), all(11, &self.inputs), all(12, &self.outputs)].concat()
    }

    /// The file, for operators of opset 17.
    pub(crate) fn model(&self) -> Vec<u8> {
        [number(1, 8), bytes(2, b"tests"), bytes(7, &self.bytes()), bytes(8, &number(2, 17))].concat()
    }
}
