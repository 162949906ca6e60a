//! Measurements `y = A(x) + noise` of inverse problems: operators with exact transposes, singular values where they are cheap.
//!
//! Everything works on one row of doubles: a picture `[c, h, w]` row by row, or a vector. Nothing here knows of denoisers, times or
//! tensors; posterior rules are built on top. There is no random generator either: what is random is drawn from a closure of
//! uniform numbers in (0, 1).
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

pub mod operator;
