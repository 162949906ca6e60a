//! Grids: strictly decreasing, exact at both ends, equally spaced in their own coordinate.

use scorefield_process::schedule::Edm;
use scorefield_process::{Grid, GridError, GridKind, Leg, Process, ProcessConfig, ProcessExt, Span};
use scorefield_testkit::{Golden, largest_difference};

fn processes() -> impl Iterator<Item = (&'static str, Box<dyn Process>)> {
    ProcessConfig::all().into_iter().map(|c| (c.name(), c.build().expect("usual constants")))
}

#[test]
fn grids_decrease_between_exact_ends() {
    for (name, process) in processes() {
        for kind in GridKind::all() {
            for n in [1, 2, 3, 18, 100, 1000] {
                let grid = kind.grid(process.as_ref(), n).unwrap_or_else(|e| panic!("{name}, {kind:?}, {n}: {e}"));
                let (times, span) = (grid.times(), process.span());
                assert_eq!(times.len(), n);
                assert_eq!(times[0], span.end, "{name}, {kind:?}");
                assert!(n == 1 || times[n - 1] == span.start, "{name}, {kind:?}");
                assert!(times.windows(2).all(|w| w[1] < w[0]), "{name}, {kind:?}");
            }
        }
    }
}

#[test]
fn steps_are_equal_in_the_grids_own_coordinate() {
    for (name, process) in processes() {
        for kind in GridKind::all().into_iter().filter(|k| k.name() != "beta") {
            let span = Span { start: process.span().at(0.1), end: process.span().at(0.7) };
            let fraction = |t: f64| ((t - span.start) / (span.end - span.start)).clamp(0.0, 1.0);
            let ln_ratio = |t: f64| process.at(t).ratio().ln();
            let coordinate = |t: f64| match kind {
                GridKind::Uniform => t,
                GridKind::Quadratic => fraction(t).sqrt(),
                GridKind::Cosine => (1.0 - fraction(t)).acos(),
                GridKind::Karras { rho } => process.at(t).ratio().powf(rho.recip()),
                GridKind::LogSnr => process.at(t).log_snr(),
                GridKind::Polyexponential { rho } => {
                    let (low, high) = (ln_ratio(span.start), ln_ratio(span.end));
                    ((ln_ratio(t) - low) / (high - low)).max(0.0).powf(rho.recip())
                }
                _ => panic!("no coordinate for {kind}: add it"),
            };
            let grid = kind.between(process.as_ref(), span, 11).expect("a grid");
            let places: Vec<f64> = grid.times().iter().map(|t| coordinate(*t)).collect();
            let whole = places[10] - places[0];
            let equal: Vec<f64> = (0..11).map(|i| places[0] + f64::from(i) / 10.0 * whole).collect();
            // The roots of polyexponential and cosine lose half the digits next to the data.
            let tolerance = if ["polyexponential", "cosine", "quadratic"].contains(&kind.name()) { 1e-6 } else { 1e-9 };
            assert!(largest_difference(&places, &equal) < tolerance * whole.abs(), "{name}, {kind:?}: {places:?}");
        }
    }
}

#[test]
fn legs_join_and_know_their_place() {
    let grid = Grid::new(vec![3.0, 2.0, 0.5]).expect("decreasing");
    let legs: Vec<Leg> = grid.legs().collect();
    assert_eq!(legs, [Leg { t: 3.0, s: 2.0, index: 0, count: 2 }, Leg { t: 2.0, s: 0.5, index: 1, count: 2 }]);
    assert_eq!(Grid::new(vec![1.0]).expect("one time").legs().count(), 0);
}

#[test]
fn lists_that_are_no_grids_are_refused() {
    assert_eq!(Grid::new(vec![]), Err(GridError::Empty));
    assert_eq!(Grid::new(vec![2.0, 2.0]), Err(GridError::NotDecreasing { index: 1, value: 2.0, before: 2.0 }));
    assert_eq!(Grid::new(vec![2.0, 1.0, 1.5]), Err(GridError::NotDecreasing { index: 2, value: 1.5, before: 1.0 }));
    assert!(matches!(Grid::new(vec![f64::INFINITY, 1.0]), Err(GridError::NotFinite { index: 0, .. })));
    assert!(matches!(Grid::new(vec![1.0, f64::NAN]), Err(GridError::NotFinite { index: 1, .. })));
    for (_, process) in processes() {
        assert!(GridKind::all().iter().all(|kind| kind.grid(process.as_ref(), 0) == Err(GridError::Empty)));
    }
    let message = Grid::new(vec![2.0, 2.5]).expect_err("increasing").to_string();
    assert!(message.contains("time 1 is 2.5, after 2"), "{message}");
}

/// Karras et al. 2022, eq. 5, and the grids of k-diffusion.
#[test]
#[ignore = "needs ../shared: fixtures/schedules"]
fn levels_are_the_references() {
    let tables = Golden::json("schedules/small_tables.json");
    let origin = Golden::json("schedules/index.json");
    for (name, kind) in
        [("k_diffusion.karras.10", GridKind::Karras { rho: 7.0 }), ("k_diffusion.exponential.10", GridKind::LogSnr)]
    {
        let levels: Vec<f64> = serde_json::from_value(tables[name].clone()).expect("a list of numbers");
        // They append a zero.
        let (n, last) = (levels.len() - 1, levels[levels.len() - 1]);
        assert_eq!(last, 0.0, "{name}: {}", origin[name]);
        let process = Edm::new(levels[n - 1], levels[0]).expect("levels");
        let ours = kind.grid(&process, n).expect("a grid");
        // The tables were made in single precision.
        let relative: Vec<f64> = ours.times().iter().zip(&levels).map(|(a, b)| a / b - 1.0).collect();
        assert!(largest_difference(&relative, &vec![0.0; n]) < 2e-6, "{name}: {relative:?}");
    }
}
