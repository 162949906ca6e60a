//! Outputs of the reference implementations on random weights: the forward pass is theirs, to rounding.
//!
//! The fixtures are files of other projects with their outputs beside; each module maps their names to ours. `SCOREFIELD_SHARED` names
//! the folder that holds `fixtures/`, else `../shared` beside the workspace.

mod diffusers;
mod edm;
mod files;
mod hourglass;
mod k_diffusion;
mod lucidrains;
mod ncsn;
mod openai;
mod score_sde;

use files::{Array, Arrays};
use scorefield_nn::{Input, Mode, Network, NetworkConfig, Params};
use scorefield_tensor::{DType, Tensor, TensorData, batch, rows, rows_f64};

/// A network and its parameters.
type Loaded = (Box<dyn Network>, Params);

/// A network of the configuration whose parameter `name` of a shape holds `weights(name, shape)`.
fn network(config: impl Into<NetworkConfig>, shape: &[usize], mut weights: impl FnMut(&str, &[usize]) -> Vec<f32>) -> Loaded {
    let network = config.into().build(shape).unwrap();
    let values = network.params().iter().map(|s| weights(&s.name, &s.shape)).collect();
    let params = Params::from_host(network.params(), values, &Default::default()).unwrap();
    (network, params)
}

/// Evaluates in single and in double precision and compares with a stored output, relative to its largest number.
fn compare(what: &str, (network, params): &Loaded, x: &[f32], input: &Input, stored: &Array, tolerance: f64) {
    let n = input.time.len();
    let largest = stored.values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let error = |y: &[f64]| y.iter().zip(&stored.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;

    let device = Default::default();
    let single = rows(network.forward(params, batch(x.to_vec(), n, &device), input, &Mode::Eval));
    assert_eq!(single.len(), stored.values.len(), "{what}");
    let single = error(&single.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());

    let x64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let x64 = Tensor::from_data(TensorData::new(x64, [n, x.len() / n]), (&device, DType::F64));
    let double = error(&rows_f64(network.forward(&params.cast(DType::F64), x64, input, &Mode::Eval)));

    assert!(single < tolerance && double < tolerance, "{what}: {single:.1e} in single, {double:.1e} in double precision");
}

/// `[n, k]` one-hot rows as classes; a row of zeros is none.
fn classes_of(one_hot: &Array) -> Vec<Option<u32>> {
    one_hot.values.chunks(one_hot.shape[1]).map(|row| row.iter().position(|&v| v == 1.0).map(|i| i as u32)).collect()
}

/// The rows of a map in another order.
fn permuted(a: &Array, order: &[usize]) -> Vec<f32> {
    let width = a.values.len() / a.shape[0];
    order.iter().flat_map(|&r| a.values[r * width..(r + 1) * width].iter().map(|&v| v as f32)).collect()
}

fn get<'a>(arrays: &'a Arrays, name: &str) -> &'a Array {
    arrays.get(name).unwrap_or_else(|| panic!("{name} is not in the fixture: {:?}", arrays.keys().collect::<Vec<_>>()))
}
