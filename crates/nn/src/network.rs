//! What a network is.

use crate::{Input, Mode, ParamSpec, Params};
use scorefield_tensor::Batch;
use std::fmt::Debug;

/// A function of parameters, rows and conditions. Immutable; its numbers are passed in.
pub trait Network: Debug + Send + Sync {
    /// The parameters, in the order [`Params`] holds them.
    fn params(&self) -> &[ParamSpec];

    /// The shape of one row as the network sees it: `[d]`, or `[channels, height, width]`.
    fn shape(&self) -> &[usize];

    /// The shape of one row of the output; it differs from [`Network::shape`] where a variance is learned as well.
    fn output_shape(&self) -> &[usize];

    /// The number of classes; zero for a network without.
    fn classes(&self) -> usize;

    /// The parts in the order of use.
    fn outline(&self) -> &[Stage];

    /// Rows `[n, d]` to rows `[n, d_out]`, in the element type of the parameters. Row `i` of the output is a function of row `i` of
    /// the input and of its conditions, bit for bit, whatever the other rows.
    ///
    /// # Panics
    /// When the width of the rows, the number of conditions, a class or the parameters do not fit the network.
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch;

    /// How many numbers are trained. Random frequencies, which are not, do not count.
    fn parameters(&self) -> usize {
        self.params().iter().filter(|s| s.trainable).map(ParamSpec::len).sum()
    }

    /// Multiplications by weights in a forward pass of one row: each weight of a filter or a map over places counts once for every place
    /// of its stage's output, all others once. Products of rows with each other (attention) and work per number (norms, activations)
    /// are left out, so this is a little less than what is computed.
    fn multiplications(&self) -> u64 {
        let count = |spec: &ParamSpec| {
            let owns = |s: &&Stage| spec.name.strip_prefix(&s.name).is_some_and(|rest| rest.starts_with('.'));
            let stage = self.outline().iter().filter(owns).max_by_key(|s| s.name.len());
            let over_places = spec.shape.len() == 4 || spec.shape.len() == 2 && spec.name.contains("attention");
            let places: usize = match stage {
                Some(stage) if over_places => stage.output.iter().skip(1).product(),
                _ => 1,
            };
            if spec.shape.len() >= 2 { (spec.len() * places) as u64 } else { 0 }
        };
        self.params().iter().map(count).sum()
    }
}

/// A part of a network, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The dotted name its parameters begin with.
    pub name: String,
    /// What it does.
    pub what: String,
    /// The shape of one row after it.
    pub output: Vec<usize>,
    /// How many numbers are trained in it.
    pub parameters: usize,
}

/// Fills in the counts: a parameter belongs to the stage with the longest name that begins its own.
pub(crate) fn count_stages(stages: &mut [Stage], specs: &[ParamSpec]) {
    for spec in specs.iter().filter(|s| s.trainable) {
        let owns = |s: &&mut Stage| spec.name.strip_prefix(&s.name).is_some_and(|rest| rest.starts_with('.'));
        if let Some(stage) = stages.iter_mut().filter(owns).max_by_key(|s| s.name.len()) {
            stage.parameters += spec.len();
        }
    }
}
