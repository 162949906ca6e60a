//! Shared by the tests: numbers from a seed, and the comparisons every operation goes through.

#![allow(dead_code, unreachable_pub)]

use scorefield_tensor::noise::Stream;
use scorefield_tensor::{DType, Device, Purpose, Tensor, TensorData};

/// `n` numbers in (-1, 1), a function of the seed.
pub fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let stream = Stream::new(seed, 0, Purpose::User, 0, 0);
    // Rounded to f32, so that both precisions start from the same numbers.
    (0..n).map(|i| f64::from((2.0 * stream.uniform(i) - 1.0) as f32)).collect()
}

/// A tensor of seeded numbers.
pub fn tensor<const D: usize>(shape: [usize; D], seed: u64, dtype: DType, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), (device, dtype))
}

/// The numbers of a tensor.
pub fn values<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    scorefield_tensor::rows_f64(x.clone())
}

/// The numbers of a tensor as they are.
pub fn bits<const D: usize>(x: &Tensor<D>) -> Vec<u32> {
    scorefield_tensor::rows(x.clone()).into_iter().map(f32::to_bits).collect()
}

/// Asserts `|a - b| <= tolerance * max(1, largest |b|)` everywhere.
#[track_caller]
pub fn close(a: &[f64], b: &[f64], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    let scale = b.iter().fold(1.0f64, |m, b| m.max(b.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what} [{i}]: {a} against {b} (scale {scale:.3})");
    }
}

/// Runs `work` in a pool of its own.
pub fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads").install(work)
}

/// A probe of an operation of rank-`D` output: its inputs' shapes and the operation on tensors of any dtype and device.
pub struct Probe<'a> {
    pub shapes: Vec<Vec<usize>>,
    pub op: &'a (dyn Fn(&[Tensor<1>]) -> Tensor<1> + Sync),
}

impl Probe<'_> {
    fn inputs(&self, dtype: DType, device: &Device) -> Vec<Tensor<1>> {
        self.shapes.iter().enumerate().map(|(i, s)| tensor([s.iter().product()], 100 + i as u64, dtype, device)).collect()
    }

    /// Output and gradients of `sum(output * weights)` with respect to each input.
    pub fn gradients(&self, dtype: DType) -> (Tensor<1>, Vec<Tensor<1>>) {
        let device = Device::flex().autodiff();
        let inputs: Vec<_> = self.inputs(dtype, &device).into_iter().map(Tensor::require_grad).collect();
        let y = (self.op)(&inputs);
        let weights = tensor([y.dims()[0]], 7, dtype, &device);
        let gradients = (y.clone() * weights).sum().backward();
        let of = inputs.iter().map(|x| x.grad(&gradients).expect("every input is tracked")).collect();
        (y.inner(), of)
    }

    /// The f32 body against the f64 body: outputs and gradients.
    pub fn matches_double_precision(&self, tolerance: f64, what: &str) {
        let ((y, dx), (y64, dx64)) = (self.gradients(DType::F32), self.gradients(DType::F64));
        close(&values(&y), &values(&y64), tolerance, what);
        for (i, (a, b)) in dx.iter().zip(&dx64).enumerate() {
            close(&values(a), &values(b), tolerance, &format!("{what}: gradient {i}"));
        }
        // The untracked path gives the same bits as the tracked one.
        let plain = (self.op)(&self.inputs(DType::F32, &Device::flex()));
        assert_eq!(bits(&plain), bits(&y), "{what}: untracked");
    }

    /// The gradients of the f32 body against central differences of the f64 body.
    pub fn matches_finite_differences(&self, tolerance: f64, what: &str) {
        let (_, dx) = self.gradients(DType::F32);
        let device = Device::flex();
        let inputs = self.inputs(DType::F64, &device);
        let loss = |inputs: &[Tensor<1>]| -> f64 {
            let y = values(&(self.op)(inputs));
            y.iter().zip(numbers(y.len(), 7)).map(|(y, w)| y * w).sum()
        };
        let h = 1e-5;
        for (i, dx) in dx.iter().enumerate() {
            let (dx, x) = (values(dx), values(&inputs[i]));
            let scale = dx.iter().fold(1.0f64, |m, b| m.max(b.abs()));
            for e in (0..x.len()).step_by(x.len().div_ceil(9)) {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x[e] += by;
                    let mut inputs = inputs.clone();
                    inputs[i] = Tensor::from_data(TensorData::new(x, [dx.len()]), (&device, DType::F64));
                    loss(&inputs)
                };
                let quotient = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((dx[e] - quotient).abs() <= tolerance * scale, "{what}: input {i} [{e}]: {} against {quotient}", dx[e]);
            }
        }
    }

    /// Output and gradients have the same bits on any number of threads.
    pub fn does_not_depend_on_threads(&self, what: &str) {
        let run = |threads| {
            with_threads(threads, || {
                let (y, dx) = self.gradients(DType::F32);
                (bits(&y), dx.iter().map(bits).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{what}: {threads} threads");
        }
    }

    /// All of the above.
    pub fn check(&self, tolerance: f64, what: &str) {
        self.matches_double_precision(tolerance, what);
        self.matches_finite_differences(10.0 * tolerance, what);
        self.does_not_depend_on_threads(what);
    }
}
