//! A network of normalised radial basis functions: that of the swiss roll of Sohl-Dickstein et al. 2015 (appendix D.1.1; Moody and
//! Darken 1989).
//!
//! `phi_k(x) = exp(-|x - c_k|^2 / 2 w_k^2) / sum_l exp(-|x - c_l|^2 / 2 w_l^2)`, `y(t, x) = sum_k W_k(t) phi_k(x) + A(t) x`,
//!
//! with `W_k(t)` and `A(t)` sums of the bumps of [`crate::BumpsConfig`]. The units divide the space among them, and the output is a mean
//! of what each says; far from all centres the nearest one decides, and `A(t) x` carries on. The paper has a read-out of its own for every
//! step of its chain; bumps share it between neighbouring times and serve every time. The basis functions sum to one, so that a constant
//! needs no bias. Centres and the logarithms of the widths are trained; `W` and `A` start at zero, and so does the network.

use crate::bumps::{BumpsConfig, read};
use crate::layer::{Layout, Linear, Pass, Place};
use crate::{Description, Init, InitScheme, Input, Mode, Network, NetworkError, Params, Stage, ops};
use scorefield_tensor::{Batch, Tensor};
use serde::{Deserialize, Serialize};

/// Configuration of [`Rbf`]. The defaults are those of the paper where it gives them: sixteen units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RbfConfig {
    /// Number of units.
    pub units: usize,
    /// Standard deviation of the normal that the centres are drawn from: that of the rows.
    pub spread: f64,
    /// The width of every unit before training.
    pub width: f64,
    /// Whether `A(t) x` is added.
    pub skip: bool,
    /// The functions of time that the read-out is made of.
    pub bumps: BumpsConfig,
    /// Whether the output has twice the numbers, the second half for a learned variance.
    pub learned_variance: bool,
}

impl Default for RbfConfig {
    fn default() -> Self {
        Self { units: 16, spread: 1.0, width: 1.0, skip: true, bumps: BumpsConfig::default(), learned_variance: false }
    }
}

/// Longest rows of a network with `A(t)`, whose numbers are the square of it for every bump.
const LONGEST: usize = 1 << 16;

/// The network of a [`RbfConfig`].
#[derive(Clone, Debug)]
pub struct Rbf {
    config: RbfConfig,
    description: Description,
    /// Places of the centres, `[K, d]`, and of the logarithms of the widths, `[K]`.
    centres: usize,
    widths: usize,
    units: Linear,
    skip: Option<Linear>,
}

impl Rbf {
    /// The network for vectors of length `shape[0]`.
    ///
    /// # Errors
    /// When the shape is not that of a vector or a number of the configuration is out of range.
    pub fn new(config: &RbfConfig, shape: &[usize]) -> Result<Self, NetworkError> {
        let d = NetworkError::vector("rbf", shape)?;
        if config.skip && d > LONGEST {
            let (expected, advice) = ("[d], d at most 65536 with a map of the whole row", "set skip = false, or use an mlp");
            return Err(NetworkError::Shape { network: "rbf", expected, found: shape.to_vec(), advice });
        }
        NetworkError::zero(&[("units", config.units)])?;
        for (key, length) in [("spread", config.spread), ("width", config.width)] {
            if !(length > 0.0 && length.is_finite()) {
                return Err(NetworkError::value(key, length, "a positive number, in units of the rows"));
            }
        }
        config.bumps.check()?;

        let mut layout = Layout::new(InitScheme::Ddpm);
        let (k, count) = (config.units, config.bumps.count);
        let outputs = if config.learned_variance { 2 * d } else { d };
        let (centres, widths) = layout.within("units", |l| {
            let centres = l.add("centre", &[k, d], Init::Normal { std: config.spread }, true);
            (centres, l.add("log_width", &[k], Init::Constant { value: config.width.ln() }, true))
        });
        let (units, skip) = layout.within("last", |l| {
            let map = |l: &mut Layout, name, inputs| l.linear(name, inputs, count * outputs, false, Place::Last);
            (map(l, "units", k), config.skip.then(|| map(l, "skip", d)))
        });
        let stage = |name: &str, what, output| Stage { name: name.into(), what, output: vec![output], parameters: 0 };
        let inputs = if config.skip { format!("{k} units and {d} inputs") } else { format!("{k} units") };
        let stages = vec![
            stage("units", format!("normalised radial basis functions, {d} -> {k}"), k),
            stage("last", format!("linear, {inputs} -> {count} x {outputs}, read out by time"), outputs),
        ];
        let description = Description::new(layout.specs, stages, shape, outputs, 0);
        Ok(Self { config: config.clone(), description, centres, widths, units, skip })
    }

    /// `phi(x)`, `[n, K]`, and its change along each direction.
    fn basis(&self, pass: &Pass<'_>, x: Batch, tangents: &[Batch]) -> (Batch, Vec<Batch>) {
        let ([n, d], k) = (x.dims(), self.config.units);
        let centres = pass.tensor(self.centres, [1, k, d]);
        let precision: Tensor<2> = (pass.tensor(self.widths, [1, k]) * -2.0).exp(); // 1 / w^2
        // Differences first: the square spelled out would cancel.
        let from = x.reshape([n, 1, d]) - centres; // [n, K, d]
        let along = |other: Tensor<3>| (from.clone() * other).sum_dim(2).reshape([n, k]) * precision.clone();
        let phi = ops::softmax(along(from.clone()) * -0.5, 1);
        let products = tangents.iter().map(|v| {
            let exponent = along(v.clone().reshape([n, 1, d])) * -1.0;
            let mean = (phi.clone() * exponent.clone()).sum_dim(1);
            phi.clone() * (exponent - mean)
        });
        let products = products.collect();
        (phi, products)
    }

    /// The output and `J v` for each direction.
    fn carry(&self, pass: &Pass<'_>, x: Batch, tangents: &[Batch], input: &Input) -> (Batch, Vec<Batch>) {
        let (phi, products) = self.basis(pass, x.clone(), tangents);
        let g = self.config.bumps.told(pass, input);
        // Without biases the map of directions is the map itself.
        let out = |phi: Batch, x: Batch| {
            let z = self.units.forward(pass, phi);
            read(&g, self.skip.iter().fold(z, |z, skip| z + skip.forward(pass, x.clone())))
        };
        let products = products.into_iter().zip(tangents).map(|(d_phi, v)| out(d_phi, v.clone())).collect();
        (out(phi, x), products)
    }
}

impl Network for Rbf {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        self.jvp(p, x, &[], input, mode).0
    }

    #[track_caller]
    fn jvp(&self, p: &Params, x: Batch, tangents: &[Batch], input: &Input, mode: &Mode) -> (Batch, Vec<Batch>) {
        self.description.vectors(&x, input);
        self.carry(&Pass::new(p, self.params(), mode), x, tangents, input)
    }

    fn exact_jvp(&self) -> bool {
        true
    }
}
