//! What a network is.

use crate::{Input, Mode, ParamSpec, Params};
use scorefield_tensor::Batch;
use std::fmt::Debug;

/// A function of parameters, rows and conditions. Immutable; its numbers are passed in.
pub trait Network: Debug + Send + Sync {
    /// Its parameters, shapes and parts.
    fn description(&self) -> &Description;

    /// The parameters, in the order [`Params`] holds them.
    fn params(&self) -> &[ParamSpec] {
        &self.description().params
    }

    /// The shape of one row as the network sees it: `[d]`, or `[channels, height, width]`.
    fn shape(&self) -> &[usize] {
        &self.description().shape
    }

    /// The shape of one row of the output; it differs from [`Network::shape`] where a variance is learned as well, or the output is a few
    /// numbers.
    fn output_shape(&self) -> &[usize] {
        &self.description().output_shape
    }

    /// The number of classes; zero for a network without.
    fn classes(&self) -> usize {
        self.description().classes
    }

    /// The numbers of the condition that every row is given with; zero for a network without.
    fn condition(&self) -> usize {
        self.description().condition
    }

    /// The parts in the order of use.
    fn outline(&self) -> &[Stage] {
        &self.description().outline
    }

    /// Rows `[n, d]` to rows `[n, d_out]`, in the element type of the parameters. Row `i` of the output is a function of row `i` of
    /// the input and of its conditions, bit for bit, whatever the other rows.
    ///
    /// # Panics
    /// When the width of the rows, the number of conditions, a class or the parameters do not fit the network.
    fn forward(&self, p: &Params, x: Batch, input: &Input, mode: &Mode) -> Batch;

    /// The output and, for each direction `v` of `tangents` (rows `[n, d]`), the product `J v` of the Jacobian with respect to `x`,
    /// both differentiable with respect to the parameters.
    ///
    /// Networks that give it exactly say so in [`Network::exact_jvp`]. Others get [`difference_jvp`].
    ///
    /// # Panics
    /// As [`Network::forward`].
    fn jvp(&self, p: &Params, x: Batch, tangents: &[Batch], input: &Input, mode: &Mode) -> (Batch, Vec<Batch>) {
        difference_jvp(self, p, x, tangents, input, mode)
    }

    /// Whether [`Network::jvp`] is exact (forward-mode differentiation) or made of differences.
    fn exact_jvp(&self) -> bool {
        false
    }

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
            // Frozen tables are looked up, and norms work per number.
            if spec.trainable && matches!(spec.shape.len(), 2 | 4) { (spec.len() * places) as u64 } else { 0 }
        };
        self.params().iter().map(count).sum()
    }
}

/// [`Network::jvp`] by central differences, `J v = (F(x + h v) - F(x - h v)) / 2h` with `h = 0.01` for states of order one: in single
/// precision the error is about 1e-4 of the product. Two passes a direction; dropout masks are the same in all of them.
pub fn difference_jvp<N: Network + ?Sized>(
    network: &N,
    p: &Params,
    x: Batch,
    tangents: &[Batch],
    input: &Input,
    mode: &Mode,
) -> (Batch, Vec<Batch>) {
    const H: f64 = 0.01;
    let at = |x: Batch| network.forward(p, x, input, mode);
    let product = |v: &Batch| {
        let step = v.clone() * H;
        (at(x.clone() + step.clone()) - at(x.clone() - step)) / (2.0 * H)
    };
    (at(x.clone()), tangents.iter().map(product).collect())
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

/// What a network is, apart from how it computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    params: Vec<ParamSpec>,
    shape: Vec<usize>,
    output_shape: Vec<usize>,
    classes: usize,
    condition: usize,
    outline: Vec<Stage>,
}

impl Description {
    /// A network of these parameters for rows of a shape, whose output has `outputs` entries along the first axis. The counts of the parts
    /// are filled in: a parameter belongs to the part with the longest name that begins its own.
    ///
    /// # Panics
    /// When the shape is empty.
    #[track_caller]
    pub fn new(params: Vec<ParamSpec>, outline: Vec<Stage>, shape: &[usize], outputs: usize, classes: usize) -> Self {
        let mut output_shape = shape.to_vec();
        output_shape[0] = outputs;
        Self::of(params, outline, shape, output_shape, classes)
    }

    /// [`Description::new`] with rows of the output of a shape of their own.
    pub(crate) fn of(
        params: Vec<ParamSpec>,
        mut outline: Vec<Stage>,
        shape: &[usize],
        output_shape: Vec<usize>,
        classes: usize,
    ) -> Self {
        for spec in params.iter().filter(|s| s.trainable) {
            let owns = |s: &&mut Stage| spec.name.strip_prefix(&s.name).is_some_and(|rest| rest.starts_with('.'));
            if let Some(stage) = outline.iter_mut().filter(owns).max_by_key(|s| s.name.len()) {
                stage.parameters += spec.len();
            }
        }
        Self { params, shape: shape.to_vec(), output_shape, classes, condition: 0, outline }
    }

    /// The same for rows that are given with a condition of so many numbers.
    pub(crate) fn with_condition(self, condition: usize) -> Self {
        Self { condition, ..self }
    }

    /// `[n, channels, height, width]` of rows of pictures, checked together with what the network is told of them.
    #[track_caller]
    pub(crate) fn pictures(&self, x: &Batch, input: &Input, augment: bool) -> [usize; 4] {
        let [n, d] = x.dims();
        let &[channels, height, width] = self.shape.as_slice() else { panic!("a network of pictures, not of {:?}", self.shape) };
        assert_eq!(d, channels * height * width, "rows of {d} numbers for pictures of shape {:?}", self.shape);
        input.check(n, self.classes, augment, self.condition);
        [n, channels, height, width]
    }

    /// Checks rows of vectors together with what the network is told of them.
    #[track_caller]
    pub(crate) fn vectors(&self, x: &Batch, input: &Input) {
        let [n, d] = x.dims();
        assert_eq!(d, self.shape[0], "rows of {d} numbers for a network of {}", self.shape[0]);
        input.check(n, self.classes, false, self.condition);
    }

    /// Numbers in a row of the output.
    pub(crate) fn outputs(&self) -> usize {
        self.output_shape.iter().product()
    }
}
