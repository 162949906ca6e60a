//! Derivatives of the multilayer perceptron with respect to its input, written as operations that training differentiates again.
//!
//! Forward mode carries directions along the layers, `dh = J v`: losses with the trace of the Jacobian need it (Song et al. 2019).
//! The energy's own gradient is the reverse pass by hand: from `E = v . silu(h)` back through the blocks to `-dE/dx`
//! (Salimans and Ho 2021, "Should EBMs model the energy or the score?").

use crate::layer::Pass;
use crate::ops::{silu, silu_slope};
use crate::{Input, Mlp, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

impl Mlp {
    /// The output and `J v` for each direction.
    pub(crate) fn forward_mode(&self, pass: &Pass<'_>, x: Batch, tangents: &[Batch], input: &Input) -> (Batch, Vec<Batch>) {
        let e = self.embedding.forward(pass, input);
        let along = |factor: &Tensor<2>, d: &[Batch]| d.iter().map(|d| factor.clone() * d.clone()).collect::<Vec<_>>();
        let mut h = self.enter(pass, x, input);
        let mut dh: Vec<Batch> = tangents.iter().map(|v| self.first.tangent(pass, v.clone())).collect();
        for block in &self.blocks {
            let told = block.embed.forward(pass, e.clone());
            let through = |d: Vec<Batch>| d.into_iter().map(|d| block.linear0.tangent(pass, d)).collect::<Vec<_>>();
            match &block.linear1 {
                Some(linear1) => {
                    let z = block.linear0.forward(pass, silu(h.clone())) + told;
                    let dz = through(along(&silu_slope(h.clone()), &dh));
                    let mut inner = silu(z.clone());
                    let mut d_inner = along(&silu_slope(z), &dz);
                    if let Some(mask) = pass.mask(inner.dims(), self.config.dropout) {
                        inner = inner * mask.clone();
                        d_inner = along(&mask, &d_inner);
                    }
                    h = h + linear1.forward(pass, inner);
                    dh = dh.into_iter().zip(d_inner).map(|(a, b)| a + linear1.tangent(pass, b)).collect();
                }
                None => {
                    let z = block.linear0.forward(pass, h) + told;
                    dh = along(&silu_slope(z.clone()), &through(dh));
                    h = silu(z);
                }
            }
        }
        if self.config.residual {
            dh = along(&silu_slope(h.clone()), &dh);
            h = silu(h);
        }
        (self.last.forward(pass, h), dh.into_iter().map(|d| self.last.tangent(pass, d)).collect())
    }

    /// What the layers before the last leave, and what their way back needs: the states before and inside each block.
    fn ascent(&self, pass: &Pass<'_>, x: Batch, input: &Input) -> (Batch, Vec<(Batch, Batch)>) {
        let e = self.embedding.forward(pass, input);
        let mut h = self.enter(pass, x, input);
        let mut kept = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let told = block.embed.forward(pass, e.clone());
            let entered = if block.linear1.is_some() { silu(h.clone()) } else { h.clone() };
            let z = block.linear0.forward(pass, entered) + told;
            kept.push((h.clone(), z.clone()));
            h = match &block.linear1 {
                Some(linear1) => h + linear1.forward(pass, silu(z)),
                None => silu(z),
            };
        }
        (h, kept)
    }

    /// `-dE/dx`, `[n, d]`.
    pub(crate) fn descent(&self, pass: &Pass<'_>, x: Batch, input: &Input) -> Batch {
        let n = x.dims()[0];
        let (h, kept) = self.ascent(pass, x, input);
        // dE/dh = v, one row for all
        let mut g = self.last.transposed(pass, pass.constant(vec![1.0; n], [n, 1]));
        if self.config.residual {
            g = g * silu_slope(h);
        }
        for (block, (h, z)) in self.blocks.iter().zip(kept).rev() {
            let inner = match &block.linear1 {
                Some(linear1) => linear1.transposed(pass, g.clone()),
                None => g.clone(),
            };
            let back = block.linear0.transposed(pass, inner * silu_slope(z));
            g = if block.linear1.is_some() { g + back * silu_slope(h) } else { back };
        }
        self.first.transposed(pass, g) * -1.0
    }

    /// The energy of every row, `[n, 1]`: the field of the network is `-dE/dx`. Energies of different times are not comparable.
    ///
    /// # Panics
    /// When the network is no energy, or as [`Network::forward`].
    #[track_caller]
    pub fn energy(&self, p: &Params, x: Batch, input: &Input) -> Batch {
        assert!(self.config.energy, "the energy of a network that was built without one");
        input.check(x.dims()[0], self.classes(), false, self.condition());
        let pass = Pass::new(p, self.params(), &Mode::Eval);
        let (h, _) = self.ascent(&pass, x, input);
        self.last.forward(&pass, if self.config.residual { silu(h) } else { h })
    }
}
