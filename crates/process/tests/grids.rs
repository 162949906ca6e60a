//! Grids: strictly decreasing, exact at both ends, equally spaced in their own coordinate.

use scorefield_process::schedule::{Edm, Ve, VpLinear};
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

/// Typed in: formulas worked out by hand, quantiles of Beta(0.6, 0.6) by quadrature, levels of k-diffusion's functions.
#[test]
fn grids_are_the_published() {
    let unit = Ve::new(0.01, 50.0).expect("levels");
    for (text, times) in [
        ("uniform", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("quadratic", [1.0, 0.5625, 0.25, 0.0625, 0.0]),
        ("cosine", [1.0, 0.6173165676349102, 0.2928932188134524, 0.07612046748871326, 0.0]),
        ("beta", [1.0, 0.8243196213473709, 0.5, 0.1756803786526291, 0.0]),
        ("beta:alpha=1,beta=2", [1.0, 0.5, 1.0 - 0.5f64.sqrt(), 1.0 - 0.75f64.sqrt(), 0.0]),
    ] {
        let grid = text.parse::<GridKind>().expect(text).grid(&unit, 5).expect(text);
        assert!(largest_difference(grid.times(), &times) < 1e-12, "{text}: {grid:?}");
    }
    let edm = Edm::new(0.03, 30.0).expect("levels");
    for (text, [first, middle, last]) in [
        ("karras", [19.889899153359515, 2.8628491302065635, 0.08125563494875461]),
        ("exponential", [16.010097693618928, 1.2986283843249173, 0.05621452268581152]),
        ("polyexponential:rho=1.5", [11.952913340366617, 0.4849041415498637, 0.03625364029624003]),
    ] {
        let grid = text.parse::<GridKind>().expect(text).grid(&edm, 12).expect(text);
        for (i, expected) in [(0, 30.0), (1, first), (5, middle), (10, last), (11, 0.03)] {
            assert!((grid.times()[i] / expected - 1.0).abs() < 1e-12, "{text}, {i}: {grid:?}");
        }
    }
}

/// Whole times, worked out by hand: T = 10.
#[test]
fn whole_times_are_the_published() {
    let ten = "discrete-linear:steps=10".parse::<ProcessConfig>().expect("a table").build().expect("a table");
    for (text, n, times) in [
        ("linspace", 4, vec![9.0, 6.0, 3.0, 0.0]),
        // 4.5 goes to the even number.
        ("linspace", 3, vec![9.0, 4.0, 0.0]),
        ("linspace", 1, vec![9.0]),
        ("leading", 3, vec![6.0, 3.0, 0.0]),
        ("leading:offset=1", 3, vec![7.0, 4.0, 1.0]),
        ("trailing", 3, vec![9.0, 6.0, 2.0]),
        ("trailing", 4, vec![9.0, 7.0, 4.0, 1.0]),
        ("sections:counts=3;2", 5, vec![9.0, 5.0, 4.0, 2.0, 0.0]),
        ("sections:counts=4", 4, vec![9.0, 6.0, 3.0, 0.0]),
    ] {
        let grid = text.parse::<GridKind>().expect(text).grid(ten.as_ref(), n).expect(text);
        assert_eq!(grid.times(), times, "{text}, {n}");
    }
    let grid = |text: &str, n: usize| text.parse::<GridKind>().expect(text).grid(ten.as_ref(), n);
    assert!(matches!(grid("linspace", 11), Err(GridError::TooMany { found: 11, expected: 10 })));
    assert!(matches!(grid("leading:offset=4", 3), Err(GridError::Outside { .. })));
    assert!(matches!(grid("sections:counts=3;2", 4), Err(GridError::Count { found: 4, expected: 5 })));
    let flow = ProcessConfig::RectifiedFlow.build().expect("a process");
    for text in ["linspace", "leading", "trailing", "sections:counts=3"] {
        let error = text.parse::<GridKind>().expect(text).grid(flow.as_ref(), 3).expect_err("continuous");
        assert!(matches!(error, GridError::Continuous { .. }), "{text}: {error}");
    }
    // A table that ends without signal is visited where its span ends.
    let zero = "discrete-linear:steps=10,zero_terminal_snr=true".parse::<ProcessConfig>().expect("a table");
    let zero = GridKind::Trailing.grid(zero.build().expect("a table").as_ref(), 2).expect("a grid");
    assert_eq!(zero.times(), [9.0 - 1.0 / 1024.0, 4.0]);
}

/// The levels on which k-diffusion's trajectories run; it appends a zero.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn levels_are_the_references() {
    let golden = Golden::open("samplers/k_diffusion/trajectories.safetensors");
    let edm = Edm::new(0.03, 30.0).expect("levels");
    let vp = VpLinear::new(0.1, 20.0).expect("rates");
    let late = Span { start: 1e-3, end: 1.0 };
    for (name, process, span, kind) in [
        ("karras", &edm as &dyn Process, edm.span(), GridKind::Karras { rho: 7.0 }),
        ("exponential", &edm, edm.span(), GridKind::LogSnr),
        ("polyexponential", &edm, edm.span(), GridKind::Polyexponential { rho: 1.5 }),
        ("vp", &vp, late, GridKind::Uniform),
    ] {
        let theirs = golden.values(&format!("grid/{name}"));
        assert_eq!((theirs.len(), theirs[12]), (13, 0.0), "{name}");
        let ours = kind.between(process, span, 12).expect("a grid");
        for (t, expected) in ours.times().iter().zip(theirs) {
            assert!((process.at(*t).ratio() / expected - 1.0).abs() < 1e-12, "{name} at {t}: {expected}");
        }
    }
}
