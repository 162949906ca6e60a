//! Products with a Jacobian from the right, by differences.

use scorefield_tensor::{Batch, Coefficient, Column, DType, rows_f64};

/// `J v` of a function of rows by a one-sided difference, `(f(x + h v) - f(x)) / h`: one more call of `f`. `at_x` is `f(x)`; `length` is how far
/// an entry of `x` moves before `f` bends (of denoisers, the noise).
///
/// Row by row `h` is such that the entries move by a hundredth of the length in their root mean square, or by less where double precision allows it, and none by
/// more than five hundredths: of a picture of which one corner is pushed, all of the way would be that corner's.
/// The error has two parts: of the curvature, the share that was moved, and of rounding, the precision of `f` over the distance that it moved.
///
/// # Panics
/// When `v` is of another shape than `x`.
#[track_caller]
pub fn directional(f: impl FnOnce(&Batch) -> Batch, x: &Batch, at_x: &Batch, v: &Batch, length: f64) -> Batch {
    assert_eq!(x.dims(), v.dims(), "a state and its direction");
    let share = if x.dtype() == DType::F64 { SHARE_F64 } else { SHARE };
    let size = rows_f64(v.clone().powi_scalar(2).mean_dim(1).sqrt());
    let most = rows_f64(v.clone().abs().max_dim(1));
    let size = size.iter().zip(most).map(|(rms, most)| rms.max(most / PEAK));
    let step = Column(size.map(|s| if s > 0.0 { share * length / s } else { 0.0 }).collect());
    let moved = f(&(x.clone() + step.scale(v.clone())));
    let back = Column(step.0.iter().map(|h| if *h > 0.0 { 1.0 / h } else { 0.0 }).collect());
    back.scale(moved - at_x.clone())
}

/// The share of the length that entries are moved by in single precision, and in double.
const SHARE: f64 = 1e-2;
const SHARE_F64: f64 = 1e-6;

/// How much farther than the root mean square an entry may be moved.
const PEAK: f64 = 5.0;

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::{Device, batch, batch_f64, rows};

    fn cubes(x: &Batch) -> Batch {
        x.clone().powi_scalar(3)
    }

    #[test]
    fn a_cube_grows_by_three_squares() {
        let device = Device::default();
        let (x, v) = (batch_f64(vec![1.0, 2.0, -0.5, 0.1], 2, &device), batch_f64(vec![1.0, -3.0, 0.0, 0.0], 2, &device));
        let found = rows_f64(directional(cubes, &x, &cubes(&x), &v, 1.0));
        for (found, right) in found.iter().zip([3.0, -36.0, 0.0, 0.0]) {
            assert!((found - right).abs() < 1e-4 * right.abs().max(1.0), "{found} instead of {right}");
        }
    }

    /// One entry of many is pushed no farther than five hundredths of the length: the third power is right to the curvature of that, where a
    /// hundredth in the root mean square of all would be one whole length.
    #[test]
    fn a_lonely_entry_is_not_pushed_far() {
        let d = 10_000;
        let (mut x, mut v) = (vec![0.0; d], vec![0.0; d]);
        (x[7], v[7]) = (1.0, 1.0);
        let (x, v) = (batch(x, 1, &Device::default()), batch(v, 1, &Device::default()));
        let found = rows(directional(cubes, &x, &cubes(&x), &v, 1.0))[7];
        assert!((found - 3.0).abs() < 0.2, "{found}");
    }

    /// Whatever the length of the direction is, in single precision too.
    #[test]
    fn the_direction_may_be_long_or_short() {
        let x = batch(vec![1.0, 2.0], 1, &Device::default());
        for length in [1e-8_f32, 1.0, 1e8] {
            let v = batch(vec![length, length], 1, &Device::default());
            let found = rows(directional(cubes, &x, &cubes(&x), &v, 0.1));
            for (found, right) in found.iter().zip([3.0, 12.0]) {
                assert!((found / length - right).abs() < 0.01 * right, "{found} for {length}");
            }
        }
    }
}
