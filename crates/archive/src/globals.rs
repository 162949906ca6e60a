//! The names that a pickle may mention, and what each means here.
//!
//! The list is what PyTorch, NumPy and the standard library write for weights, optimiser states and configurations, together with the
//! persistent classes of NVIDIA's projects. A name on it stands for a meaning that the machine carries out itself; none is looked up or
//! run. What is only carried along (a device, a module's attributes) is [`Meaning::Plain`].

use crate::Dtype;

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A mapping that keeps the order of insertion; the number of arguments that stand before its items.
    Dict(usize),
    /// A sequence that grows.
    List,
    /// A sequence that does not grow.
    Tuple,
    /// A set.
    Set,
    /// Bytes: of other bytes, or of a text in latin-1.
    Bytes,
    /// A path, from its parts.
    Path,
    /// An object of which arguments and state are kept.
    Plain,
    /// A persistent object of NVIDIA's projects: one dict that holds the class's name and the state.
    Persistent,
    /// Makes an object of a class, before protocol 2.
    Reconstructor,
    /// Only mentioned, never called.
    Type,
    /// A type of numbers.
    Number(Dtype),
    /// A type of storage; none is a storage of bytes.
    Storage(Option<Dtype>),
    /// Storage, offset, sizes, strides, and things that do not matter here.
    Tensor,
    /// The same, with the type at place 6.
    TensorOfType,
    /// The tensor that is its first argument.
    Parameter,
    /// A function of this list and its arguments.
    Indirect,
    /// A file of its own, of the legacy form, that holds one storage.
    NestedStorage,
    /// A number: its type and its bytes.
    NumpyScalar,
    /// An array that BUILD fills.
    NumpyArray,
    /// An array: its bytes, its type, its shape, its order.
    NumpyBuffer,
    /// A type of numbers: its code; BUILD says the order of bytes.
    NumpyDtype,
    /// Outside the list, and kept as data because the policy says so.
    Foreign,
}

/// A name and its meaning.
#[derive(Debug)]
pub(crate) struct Global {
    pub(crate) module: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) meaning: Meaning,
}

/// The meaning of a name on the list.
pub(crate) fn known(module: &str, name: &str) -> Option<Meaning> {
    use Meaning::*;
    Some(match (module, name) {
        ("collections", "OrderedDict" | "Counter") => Dict(0),
        ("collections", "defaultdict") => Dict(1),
        ("collections", "deque") => List,
        ("builtins" | "__builtin__", name) => return builtin(name),
        ("copyreg" | "copy_reg", "_reconstructor") => Reconstructor,
        ("_codecs", "encode") => Bytes,
        ("argparse", "Namespace") | ("types", "SimpleNamespace") => Plain,
        ("pathlib" | "pathlib._local", "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath") => Path,
        ("dnnlib.util" | "dnnlib", "EasyDict") => Dict(0),
        ("torch_utils.persistence", "_reconstruct_persistent_obj") => Persistent,

        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Tensor,
        ("torch._utils", "_rebuild_tensor_v3") => TensorOfType,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Parameter,
        ("torch._tensor", "_rebuild_from_type_v2") => Indirect,
        ("torch.storage", "_load_from_bytes") => NestedStorage,
        ("torch.storage", "UntypedStorage" | "_UntypedStorage" | "TypedStorage" | "_TypedStorage") => Storage(None),
        ("torch", "UntypedStorage" | "TypedStorage") => Storage(None),
        ("torch", "Size") => Tuple,
        ("torch", "device") | ("torch.serialization", "_get_layout") => Plain,
        ("torch", "Tensor") | ("torch._tensor", "Tensor") | ("torch.nn.parameter", "Parameter" | "Buffer") => Type,
        ("torch", name) => return torch(name),
        (module, _) if module.starts_with("torch.nn.modules.") => Plain,

        ("numpy", "dtype") => NumpyDtype,
        ("numpy", "ndarray") => Type,
        ("numpy", name) if numpy_scalar(name) => Type,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => NumpyScalar,
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => NumpyArray,
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => NumpyBuffer,
        _ => return None,
    })
}

fn builtin(name: &str) -> Option<Meaning> {
    Some(match name {
        "dict" => Meaning::Dict(0),
        "list" => Meaning::List,
        "tuple" => Meaning::Tuple,
        "set" | "frozenset" => Meaning::Set,
        "bytes" | "bytearray" => Meaning::Bytes,
        "complex" | "slice" | "range" | "xrange" => Meaning::Plain,
        "object" | "int" | "long" | "float" | "bool" | "str" | "unicode" => Meaning::Type,
        _ => return None,
    })
}

fn torch(name: &str) -> Option<Meaning> {
    if let Some(dtype) = Dtype::of_torch(name) {
        return Some(Meaning::Number(dtype));
    }
    if let Some(dtype) = name.strip_suffix("Storage").and_then(Dtype::of_storage) {
        return Some(Meaning::Storage(Some(dtype)));
    }
    let tensor = name.strip_suffix("Tensor").and_then(Dtype::of_storage);
    tensor.map(|_| Meaning::Type).or_else(|| ["complex64", "complex128"].contains(&name).then_some(Meaning::Type))
}

fn numpy_scalar(name: &str) -> bool {
    let bits = |prefix: &str| name.strip_prefix(prefix).is_some_and(|bits| ["8", "16", "32", "64"].contains(&bits));
    ["bool", "bool_"].contains(&name) || ["float", "int", "uint"].iter().any(|prefix| bits(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_code_is_not_on_the_list() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("subprocess", "Popen"),
            ("builtins", "eval"),
            ("builtins", "exec"),
            ("builtins", "getattr"),
            ("builtins", "__import__"),
            ("__builtin__", "apply"),
            ("torch", "load"),
            ("torch.hub", "load"),
            ("torch", "os.system"),
            ("numpy", "load"),
            ("numpy.core.multiarray", "fromfile"),
            ("collections", "namedtuple"),
            ("torch.nn", "modules.os.system"),
            ("operator", "attrgetter"),
            ("runpy", "_run_code"),
            ("pickle", "loads"),
            ("", ""),
        ] {
            assert_eq!(known(module, name), None, "{module}.{name}");
        }
    }

    #[test]
    fn types_are_found_by_name() {
        assert_eq!(known("torch", "BFloat16Storage"), Some(Meaning::Storage(Some(Dtype::BF16))));
        assert_eq!(known("torch", "float16"), Some(Meaning::Number(Dtype::F16)));
        assert_eq!(known("torch", "LongTensor"), Some(Meaning::Type));
        assert_eq!(known("torch", "QInt8Storage"), None);
        assert_eq!(known("torch", "ComplexFloatStorage"), None);
        assert_eq!(known("numpy", "float64"), Some(Meaning::Type));
    }
}
