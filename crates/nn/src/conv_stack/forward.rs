//! The forward pass.

use super::ConvStack;
use crate::layer::Pass;
use crate::ops;
use crate::{Description, Input, Mode, Network, Params};
use scorefield_tensor::{Batch, Tensor};

impl Network for ConvStack {
    fn description(&self) -> &Description {
        &self.description
    }

    #[track_caller]
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch {
        let [n, channels, height, width] = self.description.pictures(&x, input, false);
        let pass = Pass::new(p, self.params(), mode);

        let e = self.embedding(&pass, input);
        let mut h = x.reshape([n, channels, height, width]);
        for (i, (conv, norm)) in self.blocks.iter().enumerate() {
            h = ops::gelu(norm.forward(&pass, conv.forward(&pass, h)));
            if i == 0 {
                h = ops::add_channels(h, e.clone());
            }
        }
        self.last.forward(&pass, h).reshape([n, self.description.outputs()])
    }
}

impl ConvStack {
    /// What is added after block 0: `[n, channels[0]]`.
    fn embedding(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let mut e = self.features(pass, input);
        for (i, linear) in self.embed.iter().enumerate() {
            e = if i == 0 { e } else { ops::gelu(e) };
            e = linear.forward(pass, e);
        }
        e
    }

    /// `[sin(t f), cos(t f) - 1]`, the argument in single precision as the authors have it: at a frequency of 2000 its rounding is 1e-4,
    /// and the network was trained on it.
    fn features(&self, pass: &Pass<'_>, input: &Input) -> Tensor<2> {
        let frequencies = pass.frozen(self.frequencies);
        let of = |&t: &f64| {
            let argument = move |f: &f32| f64::from(t as f32 * f);
            let sines = frequencies.iter().map(move |f| argument(f).sin() as f32);
            // cos a - 1 = -2 sin^2(a / 2), which does not cancel.
            let cosines = frequencies.iter().map(move |f| (-2.0 * (argument(f) / 2.0).sin().powi(2)) as f32);
            sines.chain(cosines)
        };
        pass.constant(input.time.iter().flat_map(of).collect(), [input.time.len(), 2 * self.config.frequencies])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvStackConfig;
    use scorefield_tensor::rows;

    /// At `t = 0` nothing; frequencies of a quarter turn and a whole one.
    #[test]
    fn features_of_the_time() {
        let config = ConvStackConfig { frequencies: 2, ..ConvStackConfig::default() };
        let network = ConvStack::new(&config, &[1, 3, 3]).unwrap();
        let mut params = Params::init(network.params(), 0, &Default::default());
        params.values_mut()[network.frequencies] =
            Tensor::from_floats([std::f32::consts::FRAC_PI_2, std::f32::consts::TAU], &Default::default());
        let pass = Pass::new(&params, network.params(), &Mode::Eval);
        let found = rows(network.features(&pass, &Input::at(vec![0.0, 1.0])));
        let expected = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0];
        found.iter().zip(expected).for_each(|(f, e)| assert!((f - e).abs() < 1e-6, "{found:?}"));
    }
}
