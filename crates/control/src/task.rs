//! What is asked of a model by name: `TASK[:key=value,...]`, and several after each other, `TASK+TASK`.

use crate::operator::{
    Clip, Composed, Convolution, Dense, Edge, Gamma, Grey, Identity, Kernel, Mask, Matrix, Operator, OperatorError,
    PartialFourier, PhaseRetrieval, Radon, Separable, Shape, Stacked, Uniforms,
};
use scorefield_sample::named::Listed;
use scorefield_sample::solver::{Choice, Key};
use scorefield_sample::{NamedError, named};
use std::fmt;
use std::str::FromStr;

/// A measurement by name with its options: an operator on natural values (bytes from 0 to 255, the units of a table).
///
/// ```
/// use scorefield_control::Task;
/// let task: Task = "super-resolution:factor=2".parse().unwrap();
/// assert_eq!(task.to_string(), "super-resolution:factor=2");
/// assert!("deblurr".parse::<Task>().unwrap_err().to_string().contains("deblur"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// What a mask hides is filled in.
    Inpaint,
    /// The whole, under noise.
    Denoise,
    /// Smaller by a factor.
    SuperResolution {
        /// The factor.
        factor: usize,
        /// How it was made smaller.
        by: Smaller,
    },
    /// A blur taken away: Gaussian, of a motion where `motion > 0`, or of a kernel that is given.
    Deblur {
        /// Deviation of the Gaussian in pixels.
        sigma: f64,
        /// Length of the motion in pixels.
        motion: f64,
        /// Its angle in degrees, counter-clockwise from the rows.
        angle: f64,
        /// How the picture goes on beyond its edges.
        edge: Beyond,
    },
    /// Colour for a grey picture.
    Colourise,
    /// Fewer random projections than entries.
    CompressedSensing {
        /// Projections, as a share of the entries.
        share: f64,
        /// The seed of the projections.
        seed: usize,
    },
    /// The products with a matrix that is given.
    Matrix,
    /// Some lines of the Fourier transform.
    Mri {
        /// Lines, as a share of all.
        share: f64,
        /// Those of the lowest frequencies, as a share of all.
        centre: f64,
        /// The seed of the others.
        seed: usize,
    },
    /// Line integrals at evenly spread angles.
    Ct {
        /// How many.
        angles: usize,
    },
    /// Over-exposed: `min(gain x, 255)`.
    Declip {
        /// The gain.
        gain: f64,
    },
    /// A display's curve.
    Gamma {
        /// The power.
        power: f64,
    },
    /// Amplitudes of the Fourier transform without their phases.
    PhaseRetrieval {
        /// How much the picture is padded on both sides.
        oversampling: usize,
    },
}

/// How a picture was made smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smaller {
    /// The mean of every block.
    #[default]
    Average,
    /// Bicubic with anti-aliasing.
    Bicubic,
}

/// How a picture goes on beyond its edges: [`Edge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beyond {
    /// It is mirrored.
    #[default]
    Mirror,
    /// It begins anew at the other side.
    Wrap,
    /// It is zero.
    Zero,
}

macro_rules! choice {
    ($type:ident: $($variant:ident = $name:literal),*) => {
        impl Choice for $type {
            fn names(&self) -> &'static [&'static str] {
                &[$($name),*]
            }
            fn place(&self) -> usize {
                *self as usize
            }
            fn become_place(&mut self, place: usize) {
                *self = [$(Self::$variant),*][place];
            }
        }
    };
}
choice!(Smaller: Average = "average", Bicubic = "bicubic");
choice!(Beyond: Mirror = "mirror", Wrap = "wrap", Zero = "zero");

/// What comes beside the options: from files.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Which entries of a state are known, for [`Task::Inpaint`].
    pub mask: Option<Vec<bool>>,
    /// The kernel of [`Task::Deblur`].
    pub kernel: Option<Kernel>,
    /// The matrix of [`Task::Matrix`].
    pub matrix: Option<Matrix>,
}

/// What a measurement looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A picture of this shape.
    Picture(Shape),
    /// Some entries of a picture of this shape, which is given whole.
    Part(Shape),
    /// Numbers, so many.
    Numbers(usize),
}

/// Why there is no such measurement.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// No operator.
    #[error("task {task}: {error}")]
    Operator {
        /// The task.
        task: &'static str,
        /// Why not.
        error: OperatorError,
    },
    /// What should come beside it is not there.
    #[error("task {task}: {what}")]
    Missing {
        /// The task.
        task: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// A part that no task of these takes.
    #[error("{what} was given, but task {tasks} takes none")]
    Unused {
        /// The part.
        what: &'static str,
        /// The tasks.
        tasks: String,
    },
    /// A task after one that gives no picture.
    #[error("task {second} after {first}, which gives no picture; put {first} last")]
    After {
        /// The first.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
}

impl Task {
    /// Every task with its usual options: the one list that tests and listings walk.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Inpaint,
            Self::SuperResolution { factor: 4, by: Smaller::Average },
            Self::Deblur { sigma: 1.0, motion: 0.0, angle: 0.0, edge: Beyond::Mirror },
            Self::Colourise,
            Self::Denoise,
            Self::CompressedSensing { share: 0.25, seed: 0 },
            Self::Matrix,
            Self::Mri { share: 0.33, centre: 0.08, seed: 0 },
            Self::Ct { angles: 12 },
            Self::Declip { gain: 2.0 },
            Self::Gamma { power: 2.2 },
            Self::PhaseRetrieval { oversampling: 2 },
        ]
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inpaint => "inpaint",
            Self::Denoise => "denoise",
            Self::SuperResolution { .. } => "super-resolution",
            Self::Deblur { .. } => "deblur",
            Self::Colourise => "colourise",
            Self::CompressedSensing { .. } => "compressed-sensing",
            Self::Matrix => "matrix",
            Self::Mri { .. } => "mri",
            Self::Ct { .. } => "ct",
            Self::Declip { .. } => "declip",
            Self::Gamma { .. } => "gamma",
            Self::PhaseRetrieval { .. } => "phase-retrieval",
        }
    }

    /// One line: what was measured.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Inpaint => "fill in what a mask hides; columns of a table and gaps of a series too",
            Self::Denoise => "take noise away",
            Self::SuperResolution { .. } => "enlarge a picture that was made smaller",
            Self::Deblur { .. } => "take a blur away: Gaussian, of a motion (motion > 0), or of --kernel FILE",
            Self::Colourise => "give colour to a grey picture",
            Self::CompressedSensing { .. } => "from random projections, fewer than entries",
            Self::Matrix => "from the products with --matrix FILE.npy, [m, d]",
            Self::Mri { .. } => "from some lines of the Fourier transform",
            Self::Ct { .. } => "from line integrals at some angles",
            Self::Declip { .. } => "from a picture that is over-exposed, min(gain x, 255)",
            Self::Gamma { .. } => "from a picture under a display's curve",
            Self::PhaseRetrieval { .. } => "from Fourier amplitudes without phases",
        }
    }

    /// What the measurement of states of a shape looks like.
    ///
    /// # Errors
    /// When the shape is none that can be so measured.
    fn one(&self, shape: Shape, parts: &Parts) -> Result<(Box<dyn Operator>, Seen), TaskError> {
        let task = self.name();
        let missing = |what| TaskError::Missing { task, what };
        let wrong = |error| TaskError::Operator { task, error };
        let numbers = |a: Box<dyn Operator>| {
            let m = a.outputs();
            (a, Seen::Numbers(m))
        };
        let same = |a: Box<dyn Operator>| (a, Seen::Picture(shape));
        let pixels = shape.entries();
        let make = || -> Result<(Box<dyn Operator>, Seen), OperatorError> {
            Ok(match self {
                Self::Inpaint => {
                    let known = parts.mask.as_deref().unwrap_or_default();
                    if known.len() != pixels {
                        return Err(OperatorError::Length { what: "the mask", found: known.len(), expected: pixels });
                    }
                    (Box::new(Mask::new(known)?), Seen::Part(shape))
                }
                Self::Denoise => same(Box::new(Identity::new(pixels))),
                Self::SuperResolution { factor, by } => {
                    let made = match by {
                        Smaller::Average => Separable::average(shape, *factor)?,
                        Smaller::Bicubic => Separable::bicubic(shape, *factor)?,
                    };
                    let small = made.output_shape();
                    (Box::new(made), Seen::Picture(small))
                }
                Self::Deblur { sigma, motion, angle, edge } => {
                    let kernel = match &parts.kernel {
                        Some(kernel) => kernel.clone(),
                        None if *motion > 0.0 => Kernel::motion(*motion, angle.to_radians())?,
                        None if *edge == Beyond::Mirror => return Ok(same(Box::new(Separable::gaussian(shape, *sigma)?))),
                        None => Kernel::gaussian(*sigma)?,
                    };
                    let edge = match edge {
                        Beyond::Wrap => Edge::Wrap,
                        Beyond::Mirror => Edge::Mirror,
                        Beyond::Zero => Edge::Zero,
                    };
                    same(Box::new(Convolution::new(shape, kernel, edge)?))
                }
                Self::Colourise => {
                    let [r, g, b] = Grey::REC_601;
                    if shape.channels() == 3 {
                        let grey = Shape::new(1, shape.height(), shape.width())?;
                        return Ok((Box::new(Grey::new(shape, &[r, g, b])?), Seen::Picture(grey)));
                    }
                    // Of pictures with transparency the alpha is known too.
                    let alpha: Vec<bool> = (0..pixels).map(|i| i / shape.pixels() == 3).collect();
                    let both: Vec<Box<dyn Operator>> =
                        vec![Box::new(Grey::new(shape, &[r, g, b, 0.0])?), Box::new(Mask::new(&alpha)?)];
                    let seen = Shape::new(2, shape.height(), shape.width())?;
                    (Box::new(Stacked::new(both)?), Seen::Picture(seen))
                }
                Self::CompressedSensing { share, seed } => {
                    let m = ((share * pixels as f64).round() as usize).clamp(1, pixels);
                    numbers(Box::new(Dense::random(m, pixels, &mut *uniforms(*seed))?))
                }
                Self::Matrix => {
                    let Some(matrix) = parts.matrix.clone() else { return Err(OperatorError::Empty { what: "the matrix" }) };
                    if matrix.columns() != pixels {
                        let (found, expected) = (matrix.columns(), pixels);
                        return Err(OperatorError::Mismatch { first: "a row of the matrix", found, second: "a state", expected });
                    }
                    numbers(Box::new(Dense::new(matrix)?))
                }
                Self::Mri { share, centre, seed } => {
                    numbers(Box::new(PartialFourier::random_lines(shape, *share, centre.min(*share), &mut *uniforms(*seed))?))
                }
                Self::Ct { angles } => numbers(Box::new(Radon::parallel(shape, *angles)?)),
                Self::Declip { gain } => same(Box::new(Clip::new(pixels, *gain, 0.0, 255.0)?)),
                Self::Gamma { power } => same(Box::new(Gamma::new(pixels, *power, 0.0, 255.0)?)),
                Self::PhaseRetrieval { oversampling } => numbers(Box::new(PhaseRetrieval::new(shape, *oversampling)?)),
            })
        };
        match self {
            Self::Inpaint if parts.mask.is_none() => Err(missing("--mask says what is known: a name or a file")),
            Self::Matrix if parts.matrix.is_none() => Err(missing("--matrix FILE.npy is the matrix, [m, d]")),
            Self::Colourise if !matches!(shape.channels(), 3 | 4) => Err(missing(
                "takes a model of colour pictures (3 channels, or 4 with alpha); this one's have another number of channels",
            )),
            _ => make().map_err(wrong),
        }
    }
}

/// The uniform numbers of a seed, for operators that are drawn.
fn uniforms(seed: usize) -> Box<Uniforms<'static>> {
    let stream = scorefield_tensor::noise::Stream::new(seed as u64, 0, scorefield_tensor::Purpose::Measurement, 0, 0);
    let mut i = 0;
    Box::new(move || {
        i += 1;
        stream.uniform(i - 1)
    })
}

impl Listed for Task {
    const WHAT: &'static str = "task";

    fn all() -> Vec<Self> {
        Self::all()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        match self {
            Self::Inpaint | Self::Denoise | Self::Colourise | Self::Matrix => Vec::new(),
            Self::SuperResolution { factor, by } => {
                vec![Key::count("factor", "how much smaller", factor, 1..=4096), Key::choice("by", "how it was made smaller", by)]
            }
            Self::Deblur { sigma, motion, angle, edge } => vec![
                Key::number("sigma", "deviation of the Gaussian in pixels", sigma, 1e-3..=256.0),
                Key::number("motion", "length of a motion in pixels; 0 is a Gaussian", motion, 0.0..=1024.0),
                Key::number("angle", "of the motion in degrees, counter-clockwise", angle, -360.0..=360.0),
                Key::choice("edge", "how the picture goes on beyond its edges", edge),
            ],
            Self::CompressedSensing { share, seed } => vec![
                Key::number("share", "projections, as a share of the entries", share, 1e-6..=1.0),
                Key::count("seed", "of the projections", seed, 0..=usize::MAX),
            ],
            Self::Mri { share, centre, seed } => vec![
                Key::number("share", "lines, as a share of all", share, 1e-6..=1.0),
                Key::number("centre", "those of the lowest frequencies, as a share of all", centre, 0.0..=1.0),
                Key::count("seed", "of the other lines", seed, 0..=usize::MAX),
            ],
            Self::Ct { angles } => vec![Key::count("angles", "how many, evenly spread", angles, 1..=100_000)],
            Self::Declip { gain } => vec![Key::number("gain", "of the exposure", gain, 1e-6..=1e6)],
            Self::Gamma { power } => vec![Key::number("power", "of the curve", power, 1e-3..=1e3)],
            Self::PhaseRetrieval { oversampling } => {
                vec![Key::count("oversampling", "how much the picture is padded on both sides", oversampling, 1..=8)]
            }
        }
    }
}

named!(Task);

/// Tasks after each other, the first measuring the state: `grey` a picture, then make it smaller.
#[derive(Clone, Debug, PartialEq)]
pub struct Tasks(pub Vec<Task>);

impl FromStr for Tasks {
    type Err = NamedError;

    fn from_str(text: &str) -> Result<Self, NamedError> {
        text.split('+').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Task::to_string).collect::<Vec<_>>().join("+"))
    }
}

impl Tasks {
    /// The operator on natural states of a shape, and what it gives.
    ///
    /// # Errors
    /// When the shape cannot be so measured, a part is missing or of no use, or a task follows one that gives no picture.
    pub fn operator(&self, shape: Shape, parts: &Parts) -> Result<(Box<dyn Operator>, Seen), TaskError> {
        let has = |of: &dyn Fn(&Task) -> bool| self.0.iter().any(of);
        let unused = [
            ("a mask", parts.mask.is_some() && !has(&|t| *t == Task::Inpaint)),
            ("a kernel", parts.kernel.is_some() && !has(&|t| matches!(t, Task::Deblur { .. }))),
            ("a matrix", parts.matrix.is_some() && !has(&|t| *t == Task::Matrix)),
        ];
        if let Some((what, _)) = unused.into_iter().find(|(_, unused)| *unused) {
            return Err(TaskError::Unused { what, tasks: self.to_string() });
        }
        let Some((first, rest)) = self.0.split_first() else {
            return Err(TaskError::Missing { task: "(none)", what: "at least one is needed" });
        };
        let (mut whole, mut seen) = first.one(shape, parts)?;
        let mut before = first;
        for task in rest {
            let Seen::Picture(shape) = seen else {
                return Err(TaskError::After { first: before.name(), second: task.name() });
            };
            let (next, looks) = task.one(shape, parts)?;
            whole = Box::new(Composed::new(next, whole).map_err(|error| TaskError::Operator { task: task.name(), error })?);
            (seen, before) = (looks, task);
        }
        Ok((whole, seen))
    }
}
