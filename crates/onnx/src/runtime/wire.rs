//! The frame of an ONNX file, checked before the runtime allocates anything by it.
//!
//! A file is nested protocol buffers: fields of a number and a wire type, some of a length, which hold bytes or fields again. A length
//! that reaches beyond the message it is in, a graph within graphs without end, and more operators than the stack of a recursive reader
//! holds would end the process; here they are faults. Numbers of fields: `onnx.proto3` of the ONNX project.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

/// More operators than any exported network has: some thousands in the largest U-Nets.
pub(super) const MOST_NODES: usize = 1 << 17;

/// Messages in messages; a graph within a graph (a branch, a loop's body) takes three.
const DEEPEST: usize = 64;

/// Why a file is refused.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file system refused.
    Io(io::Error),
    /// The file is broken.
    Found(String),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// The messages that the runtime reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Sequence,
    Shape,
    /// Without messages inside.
    Leaf,
}

impl Message {
    /// The message that a field holds, if it is none of plain bytes.
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) => Self::Graph,
            (Self::Model, 8 | 14) => Self::Leaf,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::Value,
            (Self::Node, 5) => Self::Attribute,
            (Self::Attribute, 5 | 10) => Self::Tensor,
            (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Tensor, 13) => Self::Leaf,
            (Self::Value, 2) | (Self::Sequence, 1) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::Type, 4) => Self::Sequence,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Shape, 1) => Self::Leaf,
            _ => return None,
        })
    }
}

/// Reads through a file's frame.
pub(super) fn check(path: &Path) -> Result<(), Fault> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(Fault::Found("it is no file".into()));
    }
    check_bytes(file, meta.len())
}

fn check_bytes(bytes: impl Read + Seek, length: u64) -> Result<(), Fault> {
    let mut walk = Walk { bytes: BufReader::new(bytes), at: 0, nodes: 0, graphs: 0, opsets: 0 };
    walk.message(Message::Model, length, 0)?;
    match (walk.graphs, walk.opsets) {
        (0, _) => Err(Fault::Found(format!("there is no graph in its {length} bytes"))),
        (_, 0) => Err(Fault::Found("it does not say which set of operators it uses".into())),
        _ => Ok(()),
    }
}

struct Walk<R> {
    bytes: BufReader<R>,
    at: u64,
    nodes: usize,
    graphs: usize,
    opsets: usize,
}

impl<R: Read + Seek> Walk<R> {
    fn fault(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Found(format!("{what}, at byte {}", self.at))
    }

    /// All fields of a message that ends at `end`.
    fn message(&mut self, message: Message, end: u64, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Err(self.fault(format!("more than {DEEPEST} messages in each other")));
        }
        while self.at < end {
            let tag = self.varint(end)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => drop(self.varint(end)?),
                1 => self.skip(8, end)?,
                5 => self.skip(4, end)?,
                2 => {
                    let length = self.varint(end)?;
                    match message.inside(field) {
                        Some(inner) if length <= end - self.at => {
                            self.count(message, field)?;
                            self.message(inner, self.at + length, depth + 1)?;
                        }
                        _ => self.skip(length, end)?,
                    }
                }
                other => return Err(self.fault(format!("a field of wire type {other}, which there is not"))),
            }
        }
        Ok(())
    }

    fn count(&mut self, message: Message, field: u64) -> Result<(), Fault> {
        match (message, field) {
            (Message::Model, 7) => self.graphs += 1,
            (Message::Model, 8) => self.opsets += 1,
            (Message::Graph, 1) => self.nodes += 1,
            _ => {}
        }
        if self.nodes > MOST_NODES { Err(self.fault(format!("more than {MOST_NODES} operators"))) } else { Ok(()) }
    }

    fn skip(&mut self, length: u64, end: u64) -> Result<(), Fault> {
        let left = end - self.at;
        if length > left {
            return Err(self.fault(format!("a field of {length} bytes where {left} are left: cut short or damaged")));
        }
        self.bytes.seek_relative(length as i64)?;
        self.at += length;
        Ok(())
    }

    /// Seven bits a byte, the lowest first; at most ten bytes.
    fn varint(&mut self, end: u64) -> Result<u64, Fault> {
        let mut value = 0u64;
        for i in 0..10 {
            if self.at == end {
                return Err(self.fault("a number that does not end: cut short or damaged"));
            }
            let mut byte = [0];
            self.bytes.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7F).checked_shl(7 * i).unwrap_or(0);
            if byte[0] < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fault("a number of more than ten bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        let mut length = content.len();
        while length > 0x7F {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(content);
        bytes
    }

    fn found(bytes: Vec<u8>) -> String {
        let length = bytes.len() as u64;
        match check_bytes(Cursor::new(bytes), length) {
            Ok(()) => String::new(),
            Err(Fault::Found(found)) => found,
            Err(Fault::Io(e)) => panic!("{e}"),
        }
    }

    #[test]
    fn frames_are_followed_and_lies_found() {
        let opset = field(8, &[0x10, 17]);
        let model = |graph: &[u8]| [field(7, graph), opset.clone()].concat();
        assert_eq!(found(model(&field(1, &field(4, b"Add")))), "");
        assert!(found(opset.clone()).contains("no graph"));
        assert!(found(field(7, &[])).contains("set of operators"));
        // A tensor within an attribute, whose external data say that they are longer than the tensor.
        let lying = field(1, &field(5, &field(5, &[13 << 3 | 2, 100, 0])));
        assert!(found(model(&lying)).contains("a field of 100 bytes where 1 are left"), "{}", found(model(&lying)));
        assert!(found(vec![0xFF; 20]).contains("more than ten bytes"));
        assert!(found(vec![7 << 3 | 3]).contains("wire type 3"));
        let whole = model(&field(1, &field(4, b"Add")));
        for cut in 0..whole.len() {
            assert_ne!(found(whole[..cut].to_vec()), "", "cut at {cut}");
        }
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let opset = field(8, &[0x10, 17]);
        let mut graph = Vec::new();
        for _ in 0..30 {
            graph = field(1, &field(5, &field(6, &graph)));
        }
        assert!(found([field(7, &graph), opset.clone()].concat()).contains("in each other"));
        let nodes = field(1, &[]).repeat(MOST_NODES + 1);
        assert!(found([field(7, &nodes), opset].concat()).contains("operators"));
    }
}
