//! The runtime: `rten`, with every call fenced in.
//!
//! It says itself that it is safe to use on any file, and that it does not bound time and memory. What it does not say is caught here: a
//! panic becomes an error; lengths that lie, graphs in graphs in graphs, and graphs longer than the stack, which would end the process,
//! are refused before ([`wire`]).

mod wire;

use crate::OnnxError;
use crate::ports::{Dim, Given, Kind, Numbers, Port};
use rten::{DataType, Dimension, Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// The stack for reading and planning: the runtime walks a graph recursively, and [`wire::MOST_NODES`] operators in a row must fit.
const ROOM: usize = 256 << 20;

/// A graph ready to be evaluated.
pub(crate) struct Network {
    model: Model,
    inputs: Vec<(NodeId, Port)>,
    outputs: Vec<(NodeId, Port)>,
    ports: [Vec<Port>; 2],
    options: RunOptions,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("inputs", &self.ports[0]).field("outputs", &self.ports[1]).finish()
    }
}

/// Runs `work` on a thread with room for deep recursion.
pub(crate) fn with_room<R: Send>(work: impl FnOnce() -> R + Send) -> std::io::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("onnx".into()).stack_size(ROOM).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// What `work` returns, or what it said when it panicked.
fn fenced<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        format!("the runtime stopped at \"{}\"", text.unwrap_or("a fault without words"))
    })
}

impl Network {
    /// Reads a file.
    pub(crate) fn open(path: &Path, threads: Option<usize>) -> Result<Self, OnnxError> {
        let broken =
            |found: String, expected: &str| OnnxError::Broken { path: path.to_owned(), found, expected: expected.into() };
        let whole = "a whole file as an exporter wrote it: copy or export it again";
        wire::check(path).map_err(|fault| match fault {
            wire::Fault::Io(source) => OnnxError::Io { path: path.to_owned(), source },
            wire::Fault::Found(found) => broken(found, whole),
        })?;

        // Weights beside the model are found from its path, which has to end as the runtime wants it.
        let options = ModelOptions::with_all_ops();
        let loaded = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
            fenced(|| options.load_file(path))
        } else {
            let bytes = std::fs::read(path).map_err(OnnxError::io(path))?;
            fenced(|| options.load(bytes))
        };
        let model = loaded.map_err(|found| broken(found, whole))?.map_err(|e| {
            broken(
                e.to_string(),
                "a whole file of the operators that rten 0.27 knows: copy it again, or export it for another opset",
            )
        })?;

        let read = |ids: &[NodeId]| ids.iter().map(|id| (*id, port(&model, *id))).collect::<Vec<_>>();
        let (inputs, outputs) = (read(model.input_ids()), read(model.output_ids()));
        let ports = [&inputs, &outputs].map(|list| list.iter().map(|(_, port)| port.clone()).collect());
        let pool = threads.map(|n| Arc::new(ThreadPool::with_num_threads(n)));
        Ok(Self { model, inputs, outputs, ports, options: RunOptions::default().with_thread_pool(pool) })
    }

    /// What the graph takes.
    pub(crate) fn inputs(&self) -> &[Port] {
        &self.ports[0]
    }

    /// What it gives.
    pub(crate) fn outputs(&self) -> &[Port] {
        &self.ports[1]
    }

    /// Evaluates one output of rank 2 or 4 from inputs by number, each with its shape: the output's shape and numbers.
    pub(crate) fn run(&self, inputs: Vec<Given>, (output, rank): (usize, usize)) -> Result<(Vec<usize>, Vec<f32>), String> {
        let mut given: Vec<(NodeId, ValueOrView<'_>)> = Vec::new();
        for (at, shape, numbers) in inputs {
            let value = match numbers {
                Numbers::Float(v) => Value::from_shape(&shape, v).map_err(|e| e.to_string()),
                Numbers::Whole(v) => Value::from_shape(&shape, v).map_err(|e| e.to_string()),
            };
            given.push((self.inputs[at].0, value?.into()));
        }
        let id = self.outputs[output].0;
        let [value] = fenced(|| self.model.run_n(given, [id], Some(self.options.clone())))?.map_err(|e| e.to_string())?;
        let kind = value.dtype();
        let wrong = |e: rten::TryFromValueError| {
            format!("the output is no tensor of {rank} dimensions in floating point but {kind}: {e}")
        };
        Ok(match rank {
            2 => value.into_shape_vec::<f32, 2>().map(|(shape, data)| (shape.to_vec(), data)).map_err(wrong)?,
            _ => value.into_shape_vec::<f32, 4>().map(|(shape, data)| (shape.to_vec(), data)).map_err(wrong)?,
        })
    }
}

/// An input or output as the file describes it.
fn port(model: &Model, id: NodeId) -> Port {
    let info = model.node_info(id);
    let kind = info.as_ref().and_then(|i| i.dtype()).map(|kind| match kind {
        ValueType::Tensor(DataType::Float) => Kind::Float,
        ValueType::Tensor(DataType::Int32) => Kind::Whole,
        _ => Kind::Other,
    });
    let dim = |d: Dimension| match d {
        Dimension::Fixed(n) => Dim::Fixed(n),
        Dimension::Symbolic(name) => Dim::Free(name),
    };
    let dims = info.as_ref().and_then(|i| i.shape()).map(|dims| dims.into_iter().map(dim).collect());
    Port { name: info.and_then(|i| i.name().map(str::to_owned)).unwrap_or_default(), kind, dims }
}
