//! From a task to its operator.

use super::{Beyond, Parts, Seen, Smaller, Task};
use crate::operator::{
    Clip, Convolution, Dense, Edge, Gamma, Grey, Identity, Kernel, Mask, Operator, OperatorError, PartialFourier, PhaseRetrieval,
    Radon, Separable, Shape, Stacked, Uniforms,
};

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
    /// What the measurement of states of a shape looks like.
    ///
    /// # Errors
    /// When the shape is none that can be so measured.
    pub(super) fn one(&self, shape: Shape, parts: &Parts) -> Result<(Box<dyn Operator>, Seen), TaskError> {
        let task = self.name();
        let missing = |what| TaskError::Missing { task, what };
        let wrong = |error| TaskError::Operator { task, error };
        let numbers = |a: Box<dyn Operator>| {
            let m = a.outputs();
            (a, Seen::Numbers(m))
        };
        let same = |a: Box<dyn Operator>| (a, Seen::Picture(shape));
        let pixels = shape.entries();
        let (low, high) = parts.bounds.unwrap_or((0.0, 255.0));
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
                Self::Declip { gain } => same(Box::new(Clip::new(pixels, *gain, low, high)?)),
                Self::Gamma { power } => same(Box::new(Gamma::new(pixels, *power, low, high)?)),
                Self::PhaseRetrieval { oversampling } => numbers(Box::new(PhaseRetrieval::new(shape, *oversampling)?)),
            })
        };
        match self {
            Self::Inpaint if parts.mask.is_none() => Err(missing("--mask says what is known: a name or a file")),
            Self::Deblur { motion, .. } if *motion > 0.0 && parts.kernel.is_some() => {
                Err(missing("takes a kernel or a motion, not both"))
            }
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
    let stream = scorefield_tensor::noise::Stream::new(seed as u64, 0, scorefield_tensor::Purpose::Measurement, 0, 2);
    let mut i = 0;
    Box::new(move || {
        i += 1;
        stream.uniform(i - 1)
    })
}
