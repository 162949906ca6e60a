//! One unconditional model and any number of questions put to it: measurements `y = A(x_0) + noise`, and rules that draw `x_0` given `y`.
//!
//! * [`operator`]: what measures, row by row in double precision: exact transposes, singular values where they are cheap, noise laws. Nothing
//!   there knows of denoisers, times or tensors; what is random is drawn from a closure of uniform numbers in (0, 1).
//! * [`Measurement`]: an operator, what it gave, and how noisy that is.
//! * [`rule`]: approximations of `E[x_0 | x_t, y]` and of the steps under it, for every solver.
//! * [`Twisted`]: particles, exact as they grow in number.
//!
//! ```
//! use scorefield_control::operator::*;
//! let half = Separable::average(Shape::new(1, 8, 8)?, 2)?;
//! let mut y = vec![0.0; half.outputs()];
//! half.apply(&[0.5; 64], &mut y);
//! let noisy = MeasurementNoise::Gaussian { sigma: 0.0 }.checked()?.draw(&y, &mut || 0.3);
//! // The flat picture is the shortest of those that look like this at half the size.
//! let best = pseudo_inverse(&half, &noisy, Stop::default())?;
//! assert!(best.x.iter().all(|v| (v - 0.5).abs() < 1e-12));
//! # Ok::<(), OperatorError>(())
//! ```

mod measurement;
pub mod operator;
pub mod rule;
mod task;
mod tiled;
mod twisted;

pub use measurement::{Measurement, MeasurementError};
pub use task::{Beyond, Chain, Parts, Seen, Smaller, Task, TaskError, Tasks};
pub use tiled::{Tiled, TilesError};
pub use twisted::{Drawn, Twisted};
