//! Golden files: values of reference implementations, kept in a folder beside the repository.

use npyz::npz::NpzArchive;
use safetensors::{Dtype, SafeTensors};
use scorefield_process::{Process, oracle::Mixture};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of reference data, which holds `fixtures/` and `data/`: `$SCOREFIELD_SHARED`, or `../shared` beside the workspace.
pub fn reference() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("SCOREFIELD_SHARED").map_or_else(beside, PathBuf::from)
}

/// The folder of fixtures: `$SCOREFIELD_SHARED/fixtures`, or `../shared/fixtures` beside the workspace. Tests that use it are
/// `#[ignore]`d, and fail when it is absent rather than pass.
///
/// # Panics
/// When there is no such folder.
#[track_caller]
pub fn shared() -> PathBuf {
    let fixtures = reference().join("fixtures");
    assert!(
        fixtures.is_dir(),
        "there is no folder {}; set SCOREFIELD_SHARED to the folder that holds fixtures/",
        fixtures.display()
    );
    fixtures
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[track_caller]
fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The tensors of a safetensors file or the arrays of an npz file in double precision, by name, each with its shape.
#[derive(Clone, Debug)]
pub struct Golden {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Golden {
    /// Reads `file` under [`shared`].
    ///
    /// # Panics
    /// When it is absent, malformed or holds anything but floats.
    #[track_caller]
    pub fn open(file: &str) -> Self {
        let path = shared().join(file);
        let bytes = read(&path);
        let parsed = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tensors = parsed.iter().map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F64 => view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                Dtype::F32 => view.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
                other => panic!("{}: tensor {name} is {other:?}, expected F32 or F64", path.display()),
            };
            (name.to_string(), (view.shape().to_vec(), values))
        });
        Self { tensors: tensors.collect() }
    }

    /// Reads the npz archive `file` under [`shared`]; whole numbers become floats.
    ///
    /// # Panics
    /// When it is absent, malformed or holds anything but 64-bit floats and integers.
    #[track_caller]
    pub fn npz(file: &str) -> Self {
        let path = shared().join(file);
        let failed = |e: std::io::Error| -> ! { panic!("{}: {e}", path.display()) };
        let mut archive = NpzArchive::open(&path).unwrap_or_else(|e| failed(e));
        let names: Vec<String> = archive.array_names().map(str::to_string).collect();
        let array = |name: String| {
            let array = archive.by_name(&name).unwrap_or_else(|e| failed(e)).expect("a name that the archive lists");
            let shape = array.shape().iter().map(|n| *n as usize).collect();
            let values: std::io::Result<Vec<f64>> = match array.try_data::<f64>() {
                Ok(floats) => floats.collect(),
                Err(array) => match array.try_data::<i64>() {
                    Ok(integers) => integers.map(|v| v.map(|v| v as f64)).collect(),
                    Err(array) => panic!("{}: array {name} is {:?}, expected f8 or i8", path.display(), array.dtype()),
                },
            };
            (name, (shape, values.unwrap_or_else(|e| failed(e))))
        };
        Self { tensors: names.into_iter().map(array).collect() }
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The JSON file `file` under [`shared`].
    ///
    /// # Panics
    /// When it is absent or malformed.
    #[track_caller]
    pub fn json(file: &str) -> Value {
        read_json(&shared().join(file))
    }

    /// The shape of a tensor.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.get(name).0
    }

    /// The numbers of a tensor, row-major.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn values(&self, name: &str) -> &[f64] {
        &self.get(name).1
    }

    /// The slices of a tensor along its first axis.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn slices(&self, name: &str) -> Vec<Vec<f64>> {
        let (shape, values) = self.get(name);
        let size = shape[1..].iter().product::<usize>().max(1);
        values.chunks(size).map(<[f64]>::to_vec).collect()
    }

    #[track_caller]
    fn get(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name:?}; there are {} others", self.tensors.len()))
    }
}

/// A Gaussian mixture of `samplers/targets.json`.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name there.
    pub name: &'static str,
    /// Weights.
    pub weights: Vec<f64>,
    /// Means, one a component.
    pub means: Vec<Vec<f64>>,
    /// Covariances, one a component.
    pub covariances: Vec<Vec<Vec<f64>>>,
}

impl Target {
    /// Both targets.
    #[track_caller]
    pub fn all() -> Vec<Self> {
        let json = Golden::json("samplers/targets.json");
        ["gmm2", "gauss8"].into_iter().map(|name| Self::of(name, &json[name])).collect()
    }

    fn of(name: &'static str, json: &Value) -> Self {
        fn list<T>(v: &Value, f: impl Fn(&Value) -> T) -> Vec<T> {
            v.as_array().unwrap_or_else(|| panic!("expected a list, found {v}")).iter().map(f).collect()
        }
        let number = |v: &Value| v.as_f64().unwrap_or_else(|| panic!("expected a number, found {v}"));
        let vector = |v: &Value| list(v, number);
        Self {
            name,
            weights: vector(&json["weights"]),
            means: list(&json["means"], vector),
            covariances: list(&json["covs"], |m| list(m, vector)),
        }
    }

    /// Entries of a state.
    pub fn dim(&self) -> usize {
        self.means[0].len()
    }

    /// The exact denoiser under a process.
    pub fn under<P: Process>(&self, process: P) -> Mixture<P> {
        Mixture::new(process, &self.weights, &self.means, &self.covariances)
    }
}
