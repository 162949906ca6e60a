//! Averages of the weights and the step of the optimiser, over parameters on the host.

use crate::OptimConfig;
use scorefield_kernels::optim::{AdamW, adamw_step, sum_squares};
use scorefield_nn::{ParamSpec, Params};
use scorefield_tensor::{DType, Device, Tensor, TensorData, rows};

/// Moments and averages that belong to the weights: one list of numbers a parameter each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OptimState {
    pub(crate) first: Vec<Vec<f32>>,
    pub(crate) second: Vec<Vec<f32>>,
    pub(crate) ema: [Vec<Vec<f32>>; 2],
}

/// The rates of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) lr: f64,
    /// How much of each average is kept.
    pub(crate) decays: [f64; 2],
    /// Steps the optimiser has taken, this one included.
    pub(crate) step: u64,
}

impl OptimState {
    /// Before the first step: no moments, averages at the weights.
    pub(crate) fn new(params: &Params) -> Self {
        let weights = params.to_host();
        let zeros: Vec<Vec<f32>> = weights.iter().map(|p| vec![0.0; p.len()]).collect();
        Self { first: zeros.clone(), second: zeros, ema: [weights.clone(), weights] }
    }

    /// One step of AdamW on the gradient scaled to a norm of at most `clip`, and both averages, in one pass over the numbers.
    pub(crate) fn step(&mut self, params: &mut Params, grads: &[Option<Vec<f32>>], norm: f64, o: &OptimConfig, rates: Rates) {
        let scale = if norm > o.clip { (o.clip / norm) as f32 } else { 1.0 };
        let hyper = AdamW { lr: rates.lr, beta1: o.beta1, beta2: o.beta2, eps: o.eps, weight_decay: o.weight_decay };
        let keep = rates.decays.map(|d| d as f32);
        let [slow, fast] = &mut self.ema;
        for (i, grad) in grads.iter().enumerate() {
            let Some(grad) = grad else { continue };
            // The only handle on the tensor is taken, so the numbers move to the host and back without a copy.
            let tensor = std::mem::replace(&mut params.values_mut()[i], Tensor::zeros([1], &Device::default()));
            let device = tensor.device();
            let mut weights = rows(tensor);
            let mut averages = [(slow[i].as_mut_slice(), keep[0]), (fast[i].as_mut_slice(), keep[1])];
            adamw_step(&mut weights, grad, &mut self.first[i], &mut self.second[i], hyper, rates.step, scale, &mut averages);
            let n = weights.len();
            params.values_mut()[i] = Tensor::from_data(TensorData::new(weights, [n]), (&device, DType::F32));
        }
    }
}

/// Sums gradients of accumulated batches; parameters that are not trained stay `None`.
pub(crate) fn accumulate(sum: &mut Vec<Option<Vec<f32>>>, grads: Vec<Option<Tensor<1>>>, specs: &[ParamSpec]) {
    let grads = grads.into_iter().zip(specs).map(|(g, spec)| {
        let unused = || vec![0.0; spec.len()];
        spec.trainable.then(|| g.map_or_else(unused, rows))
    });
    if sum.is_empty() {
        sum.extend(grads);
        return;
    }
    for (into, grad) in sum.iter_mut().zip(grads) {
        if let (Some(into), Some(grad)) = (into, grad) {
            into.iter_mut().zip(grad).for_each(|(a, b)| *a += b);
        }
    }
}

/// The global norm of a gradient.
pub(crate) fn global_norm(grads: &[Option<Vec<f32>>]) -> f64 {
    grads.iter().flatten().map(|g| sum_squares(g)).sum::<f64>().sqrt()
}
