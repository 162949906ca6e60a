//! Noise out of a bank: how trajectories of other programs are replayed.

use scorefield_tensor::{Batch, Noise, Tensor, TensorData};

/// A noise source whose k-th request, counted from 0, returns entry `k`; after the last entry it panics.
#[derive(Clone, Debug)]
pub struct Bank {
    entries: Vec<Vec<f64>>,
    next: usize,
    silent_from: usize,
}

impl Bank {
    /// A bank of entries, each the row-major numbers of a whole batch.
    pub fn new(entries: Vec<Vec<f64>>) -> Self {
        Self { entries, next: 0, silent_from: usize::MAX }
    }

    /// A bank without entries, for solvers that must not draw.
    pub fn empty() -> Self {
        Self::new(Vec::new())
    }

    /// The same bank that returns zeros from request `k` on: to see the mean of a last step.
    pub fn silent_from(self, k: usize) -> Self {
        Self { silent_from: k, ..self }
    }

    /// Requests so far.
    pub fn drawn(&self) -> usize {
        self.next
    }
}

impl Noise for Bank {
    #[track_caller]
    fn normal(&mut self, like: &Batch) -> Batch {
        let k = self.next;
        self.next += 1;
        if k >= self.silent_from {
            return like.zeros_like();
        }
        assert!(k < self.entries.len(), "draw {k} from a bank of {}", self.entries.len());
        Tensor::from_data(TensorData::new(self.entries[k].clone(), like.dims()), (&like.device(), like.dtype()))
    }

    fn begin(&mut self, _: u32) {}
}
