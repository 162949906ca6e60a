//! The adaptive integrator: errors follow tolerances, rows are their own, every integration ends and says how.

use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, Process, ProcessConfig, ProcessExt};
use scorefield_sample::ode::{Control, End, Memory, Ode, Pair};
use scorefield_tensor::{Batch, Coefficient, Column, Device, Tensor, TensorData, batch_f64, rows_f64};
use scorefield_testkit::largest_difference;

const PAIRS: [Pair; 3] = [Pair::Tsit5, Pair::DormandPrince, Pair::BogackiShampine];
const CONTROLS: [Control; 2] = [Control::Pi, Control::Elementary];

fn rows(values: &[f64], n: usize) -> Batch {
    batch_f64(values.to_vec(), n, &Device::default())
}

fn tight(method: Pair, tolerance: f64) -> Ode {
    Ode { method, rtol: tolerance, atol: tolerance, max_steps: 100_000, ..Ode::default() }
}

/// `y' = (y_2, -w^2 y_1)`, `w` growing with time: no constant step suits it. Entries turn at the angle `int w = t + t^3 / 3`,
/// the second in units of `w`: `y = (sin, cos)` of the angle, `y' = w (y_2, -y_1)`.
fn spinning(y: &Batch, times: &[f64]) -> Batch {
    let values = rows_f64(y.clone());
    let slope = values.chunks(2).zip(times).flat_map(|(y, t)| {
        let w = 1.0 + t * t;
        [w * y[1], -w * y[0]]
    });
    rows(&slope.collect::<Vec<_>>(), times.len())
}

fn angle(t: f64) -> f64 {
    t + t.powi(3) / 3.0
}

/// The error falls with the tolerance, for every pair and controller, forwards and backwards in time.
#[test]
fn errors_fall_with_the_tolerance() {
    for method in PAIRS {
        for control in CONTROLS {
            for (from, to) in [(0.0, 3.0), (3.0, 0.0)] {
                let error = |tolerance: f64| {
                    let ode = Ode { control, ..tight(method, tolerance) };
                    let start = rows(&[angle(from).sin(), angle(from).cos()], 1);
                    let report = ode.integrate(&mut spinning, start, from, to);
                    assert!(report.reached() && report.rows[0].t == to);
                    largest_difference(&rows_f64(report.y), &[angle(to).sin(), angle(to).cos()])
                };
                let errors = [1e-3, 1e-5, 1e-7, 1e-9].map(error);
                // The global error of a non-stiff equation is a small multiple of the tolerance.
                for (error, tolerance) in errors.iter().zip([1e-3, 1e-5, 1e-7, 1e-9]) {
                    assert!(*error < 60.0 * tolerance, "{method:?}, {control:?}, {from} to {to}: {errors:?}");
                }
                assert!(errors.windows(2).all(|e| e[1] < 0.1 * e[0]), "{method:?}, {control:?}: {errors:?}");
            }
        }
    }
}

/// The flow of Gaussian data `N(m, v)`: `x_t = alpha_t m + sqrt(alpha_t^2 v + sigma_t^2) u` with `u` constant, met to 1e-7 at tolerance
/// 1e-9 on every process, both ways.
#[test]
fn the_flow_of_a_gaussian_is_met() {
    let (mean, variance) = (vec![0.7, -1.2], vec![0.25, 2.0]);
    for config in ProcessConfig::all() {
        let process = config.build().expect("usual constants");
        if !process.smooth() {
            continue;
        }
        let (low, high) = (process.time_of_ratio(0.01), process.time_of_ratio(20.0));
        let d = Gaussian::new(process, mean.clone(), variance.clone());
        let u = [0.3, -1.1, 2.0, 0.4];
        let state = |t: f64| -> Vec<f64> {
            let spread = |i: usize| d.marginal(i, t);
            u.iter().enumerate().map(|(k, u)| spread(k % 2).0 + spread(k % 2).1.sqrt() * u).collect()
        };
        let mut slope = |x: &Batch, times: &[f64]| {
            let m = d.process().at_each(times);
            let x0 = d.denoise_each(x, times);
            m.velocity(&x0, &m.noise(x, &x0))
        };
        for method in PAIRS {
            for (from, to) in [(high, low), (low, high)] {
                let report = tight(method, 1e-9).integrate(&mut slope, rows(&state(from), 2), from, to);
                assert!(report.reached(), "{}: {:?}", config.name(), report.rows);
                let (ours, exact) = (rows_f64(report.y), state(to));
                let size = exact.iter().fold(1.0f64, |top, v| top.max(v.abs()));
                let gap = largest_difference(&ours, &exact) / size;
                assert!(gap < 1e-7, "{}, {method:?}, {from} to {to}: {gap:.1e}", config.name());
            }
        }
    }
}

/// `y' = -k y + sin(5 t)`, each row with a `k` of its own in its second entry: rows need unlike steps.
fn unlike(y: &Batch, times: &[f64]) -> Batch {
    let values = rows_f64(y.clone());
    let slope = values.chunks(2).zip(times).flat_map(|(y, t)| [-y[1] * y[0] + (5.0 * t).sin(), 0.0]);
    rows(&slope.collect::<Vec<_>>(), times.len())
}

/// A row's numbers, steps and end are the same bit for bit alone and in company, also next to one that is no number.
#[test]
fn rows_do_not_see_each_other() {
    let all = [1.0, 0.5, -2.0, 30.0, f64::NAN, 1.0, 0.1, 4.0];
    for method in PAIRS {
        let ode = tight(method, 1e-6);
        let together = ode.integrate(&mut unlike, rows(&all, 4), 0.0, 2.0);
        let values = rows_f64(together.y.clone());
        for i in [0, 1, 3] {
            let alone = ode.integrate(&mut unlike, rows(&all[2 * i..][..2], 1), 0.0, 2.0);
            assert_eq!(rows_f64(alone.y), values[2 * i..][..2]);
            assert_eq!(alone.rows[0], together.rows[i]);
        }
        let steps = |i: usize| together.rows[i].accepted;
        assert!(steps(1) > steps(0), "rows with unlike slopes take unlike steps: {:?}", together.rows);
    }
}

/// What is no number ends with a report: at the start, from some time on, and where the slope grows without bound.
#[test]
fn what_cannot_be_integrated_ends() {
    for method in PAIRS {
        for control in CONTROLS {
            let ode = Ode { control, ..tight(method, 1e-6) };
            let report = ode.integrate(&mut |y, _| y.clone(), rows(&[1.0, f64::NAN, f64::INFINITY], 3), 0.0, 1.0);
            let ends: Vec<End> = report.rows.iter().map(|r| r.end).collect();
            assert_eq!(ends, [End::Reached, End::NotFinite, End::NotFinite]);
            assert!(!report.reached());

            // y' = 1 until t = 1/2, no number from there on.
            let wall = |y: &Batch, times: &[f64]| {
                let slope = times.iter().map(|t| if *t < 0.5 { 1.0 } else { f64::NAN }).collect::<Vec<_>>();
                Column(slope).scale(y.ones_like())
            };
            let report = ode.integrate(&mut { wall }, rows(&[0.0], 1), 0.0, 1.0);
            let row = report.rows[0];
            assert_eq!(row.end, End::NotFinite);
            // It stands at the last good state, just before the wall.
            assert!(row.t < 0.5 && row.t > 0.5 - 1e-9, "{row:?}");
            assert!((rows_f64(report.y)[0] - row.t).abs() < 1e-12);
            assert!(row.rejected < 200, "{row:?}");

            // y' = y^2 from 1: the solution ends at t = 1.
            let report = ode.integrate(&mut |y, _| y.clone() * y.clone(), rows(&[1.0], 1), 0.0, 2.0);
            let row = report.rows[0];
            assert!(row.end != End::Reached && (row.t - 1.0).abs() < 1e-3, "{row:?}");
        }
    }
}

/// No row tries more steps than it may, and the counts are those of the calls.
#[test]
fn limits_and_counts_are_honest() {
    for method in PAIRS {
        for max_steps in [1, 5, 40] {
            let ode = Ode { max_steps, ..tight(method, 1e-10) };
            let (mut calls, mut asked) = (0, [0u64; 2]);
            let mut slope = |y: &Batch, times: &[f64], numbers: &[usize]| {
                calls += 1;
                numbers.iter().for_each(|i| asked[*i] += 1);
                spinning(y, times)
            };
            let start = rows(&[0.0, 1.0, 0.6, 0.8], 2);
            let report = ode.integrate_rows(&mut slope, start, 0.0, 3.0, &mut Memory::new());
            assert_eq!(report.evaluations, calls);
            for (row, asked) in report.rows.iter().zip(asked) {
                assert_eq!((row.end, row.accepted + row.rejected), (End::TooManySteps, max_steps as u64));
                assert_eq!(row.evaluations, asked);
                assert!(row.t < 3.0);
            }
            // What is given back is the solution at the time it says.
            let t = report.rows[0].t;
            let gap = largest_difference(&rows_f64(report.y)[..2], &[angle(t).sin(), angle(t).cos()]);
            assert!(gap < 1e-8, "{method:?}, {max_steps} steps: {gap:.1e}");
        }
    }
}

/// No way to go is no step; a way cut in two goes on with its steps.
#[test]
fn legs_join() {
    let ode = tight(Pair::Tsit5, 1e-8);
    let still = ode.integrate(&mut spinning, rows(&[0.0, 1.0], 1), 1.5, 1.5);
    assert_eq!((still.evaluations, still.reached(), rows_f64(still.y)), (0, true, vec![0.0, 1.0]));

    let (mut memory, start) = (Memory::new(), rows(&[0.0, 1.0], 1));
    let mut slope = |y: &Batch, times: &[f64], _: &[usize]| spinning(y, times);
    let half = ode.integrate_rows(&mut slope, start, 0.0, 1.5, &mut memory);
    let rest = ode.integrate_rows(&mut slope, half.y.clone(), 1.5, 3.0, &mut memory);
    let fresh = ode.integrate_rows(&mut slope, half.y, 1.5, 3.0, &mut Memory::new());
    assert!(rest.evaluations < fresh.evaluations, "{} {}", rest.evaluations, fresh.evaluations);
    assert!(largest_difference(&rows_f64(rest.y), &[angle(3.0).sin(), angle(3.0).cos()]) < 1e-6);
}

/// States keep the element type they come in.
#[test]
fn single_precision_stays_single() {
    let y: Batch = Tensor::from_data(TensorData::new(vec![1.0f32, 2.0], [2, 1]), &Device::default());
    let dtype = y.dtype();
    let report = tight(Pair::DormandPrince, 1e-6).integrate(&mut |y, _| -y.clone(), y, 0.0, 1.0);
    assert_eq!(report.y.dtype(), dtype);
    assert!((rows_f64(report.y)[0] - (-1.0f64).exp()).abs() < 1e-5);
}
