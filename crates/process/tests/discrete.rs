//! Discrete-time processes: published numbers, what holds between two times, the continuous limits, and what is refused.

use scorefield_process::schedule::{Betas, Discrete};
use scorefield_process::{Process, ProcessConfig, ProcessExt};
use scorefield_tensor::Dual;
use scorefield_testkit::derivative;

/// Places of a table and what stands there.
type Entries = [(usize, f64)];
/// Rates as a function of the factor they have against a thousand times.
type Rates = fn(f64) -> Betas;

fn named(text: &str) -> Discrete {
    let config: ProcessConfig = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
    config.discrete().unwrap_or_else(|e| panic!("{text}: {e}")).unwrap_or_else(|| panic!("{text} is continuous"))
}

/// Every table by name.
fn tables() -> Vec<(String, Discrete)> {
    let configs = ProcessConfig::named();
    configs.iter().filter_map(|c| Some((c.to_string(), c.discrete().expect("usual constants")?))).collect()
}

/// Entries `(i, beta_i)` of tables of the programs they come from.
#[test]
fn rates_are_the_published() {
    let rates: [(&str, &Entries); 13] = [
        ("discrete-linear", &[(0, 1e-4), (499, 0.01004004004004004), (998, 0.019980080080080082), (999, 0.02)]),
        ("discrete-linear:steps=50", &[(0, 1e-4), (24, 0.009846938775510204), (49, 0.02)]),
        ("discrete-quadratic", &[(0, 1e-4), (499, 0.005722151147768562), (999, 0.02)]),
        ("discrete-scaled-linear", &[(0, 0.00085), (499, 0.004803792980550717), (998, 0.011982376333083366), (999, 0.012)]),
        ("discrete-constant", &[(0, 0.02), (999, 0.02)]),
        ("discrete-cosine", &[(0, 4.128422482196914e-5), (499, 0.0031458862304780677), (998, 0.7499993929011166), (999, 0.999)]),
        ("discrete-sigmoid", &[(0, 0.00014920520081703202), (499, 0.010020120209938985), (999, 0.01995079479918297)]),
        (
            "discrete-sigmoid-cumulative",
            &[(0, 0.00030027919974917605), (499, 0.00330341551362634), (998, 0.5013569029180894), (999, 0.999)],
        ),
        ("discrete-laplace", &[(0, 0.021153757200412016), (10, 0.003009966085872451), (499, 0.0002501562265064816)]),
        ("discrete-exponential", &[(0, 0.011928287138069482), (999, 0.011928287138069926)]),
        ("discrete-warmup", &[(0, 1e-4), (50, 0.01015050505050505), (100, 0.02), (999, 0.02)]),
        ("discrete-warmup:fraction=0.5", &[(50, 0.0020939879759519038), (250, 0.010069939879759519), (999, 0.02)]),
        ("discrete-jsd", &[(0, 0.001), (499, 0.001996007984031936), (998, 0.5), (999, 1.0)]),
    ];
    for (text, entries) in rates {
        let betas = named(text).betas();
        for (i, expected) in entries {
            let gap = (betas[*i] - expected).abs();
            assert!(gap < 1e-12 * expected + 4.5e-16, "{text}, entry {i}: {} against {expected}", betas[*i]);
        }
    }
}

/// Entries `(i, alpha_bar_i)` likewise; with zero terminal SNR the first entry stays and the last is zero.
#[test]
fn products_are_the_published() {
    let zero = "zero_terminal_snr=true";
    let products: [(&str, &str, &Entries); 7] = [
        ("discrete-linear", "", &[(0, 0.9999), (499, 0.07858724288177824), (999, 4.0358297653756754e-5)]),
        ("discrete-scaled-linear", "", &[(0, 0.99915), (499, 0.27766965045646763), (999, 0.004660098513077238)]),
        ("discrete-cosine", "", &[(499, 0.4938435904406382), (998, 2.4287669070348544e-6), (999, 2.4287669070348567e-9)]),
        ("discrete-sigmoid", "", &[(499, 0.30193105660219516), (999, 3.968181990533212e-5)]),
        ("discrete-sigmoid-cumulative", "", &[(499, 0.5), (998, 0.00030027919974932816), (999, 3.0027919974932843e-7)]),
        ("discrete-linear", zero, &[(0, 0.9999), (499, 0.07602875054711478), (998, 4.2132624650880725e-9), (999, 0.0)]),
        ("discrete-scaled-linear", zero, &[(0, 0.99915), (499, 0.24235916655614523), (998, 1.967888056621292e-7), (999, 0.0)]),
    ];
    for (name, option, entries) in products {
        let table = named(&format!("{name}:{option}"));
        for (i, expected) in entries {
            let found = table.alpha_bar()[*i];
            assert!((found - expected).abs() <= 2e-12 * expected, "{name}:{option}, entry {i}: {found} against {expected}");
        }
    }
}

/// At whole times the process is the table; between two, `ln(sigma / alpha)` is on a line, the variance is kept, slopes are finite
/// differences.
#[test]
fn tables_are_met_and_joined_by_lines() {
    for (name, table) in tables() {
        let alpha_bar = table.alpha_bar().to_vec();
        let last = alpha_bar.len() - 1;
        assert_eq!((table.steps(), table.smooth()), (Some(last + 1), false), "{name}");
        for i in [0, 1, last / 2, last - 1, last] {
            let (m, a) = (table.at(i as f64), alpha_bar[i]);
            assert!((m.alpha - a.sqrt()).abs() < 1e-15 && (m.sigma - (1.0 - a).sqrt()).abs() < 1e-15, "{name} at {i}: {m:?}");
        }
        for i in [0, last / 3, last - 1] {
            let (from, to) = (table.at(i as f64), table.at((i + 1) as f64));
            for part in [0.25, 0.5, 0.75] {
                let t = i as f64 + part;
                let m = table.at(t);
                assert!((m.alpha.powi(2) + m.sigma.powi(2) - 1.0).abs() < 1e-14, "{name} at {t}");
                let expected = from.log_snr() + part * (to.log_snr() - from.log_snr());
                // Towards a time without signal alpha falls on a line.
                let (found, expected) =
                    if to.alpha == 0.0 { (m.alpha, (1.0 - part) * from.alpha) } else { (m.log_snr(), expected) };
                assert!((found - expected).abs() < 1e-11 * (1.0 + expected.abs()), "{name} at {t}: {found}, {expected}");
                let alpha = derivative(|t| table.alpha(Dual::constant(t)).value, t, 0.05);
                let sigma = derivative(|t| table.sigma(Dual::constant(t)).value, t, 0.05);
                let near = |a: f64, b: f64| (a - b).abs() < 1e-4 * b.abs() + 1e-12;
                assert!(near(m.d_alpha, alpha) && near(m.d_sigma, sigma), "{name} at {t}: {m:?}, {alpha}, {sigma}");
            }
        }
    }
}

/// Without signal at the last time the span ends before it, and everything is finite on the span.
#[test]
fn spans_end_before_a_time_without_signal() {
    for text in ["discrete-jsd", "discrete-linear:zero_terminal_snr=true", "discrete-cosine:steps=20,zero_terminal_snr=true"] {
        let table = named(text);
        let last = table.alpha_bar().len() - 1;
        assert_eq!(table.alpha_bar()[last], 0.0, "{text}");
        assert_eq!(table.span().end, last as f64 - 1.0 / 1024.0, "{text}");
        let m = table.at(table.span().end);
        assert!(
            m.alpha > 0.0 && [m.d_alpha, m.d_sigma, m.log_snr(), m.diffusion_squared()].iter().all(|v| v.is_finite()),
            "{m:?}"
        );
        assert_eq!((table.at(last as f64).alpha, table.at(last as f64).sigma), (0.0, 1.0), "{text}");
    }
    assert_eq!(named("discrete-linear").span().end, 999.0);
}

/// As the times grow dense a table becomes its limit: the gap halves where rates are integrated, and is none where the formula is that
/// of the product.
#[test]
fn tables_converge_to_their_limits() {
    let rates: [(&str, Rates); 5] = [
        ("linear", |s| Betas::Linear { start: 1e-4 * s, end: 0.02 * s }),
        ("quadratic", |s| Betas::Quadratic { start: 8.5e-4 * s, end: 0.012 * s }),
        ("constant", |s| Betas::Constant { beta: 0.01 * s }),
        ("sigmoid", |s| Betas::Sigmoid { start: 1e-4 * s, end: 0.02 * s }),
        ("warmup", |s| Betas::Warmup { start: 1e-4 * s, end: 0.02 * s, fraction: 0.5 }),
    ];
    let gap = |betas: Betas, steps: usize, until: usize| {
        let table = Discrete::new(betas, steps, false).expect("a table");
        let limit = table.limit().expect("a limit");
        assert!((limit.at(1e-4).alpha - 1.0).abs() < 0.01, "a limit begins at the data");
        let off = |i: usize| (table.at(i as f64).alpha - limit.at((i + 1) as f64 / steps as f64).alpha).abs();
        (0..until).map(off).fold(0.0, f64::max)
    };
    for (name, betas) in rates {
        let gaps: Vec<f64> = [500, 1000, 2000].iter().map(|n| gap(betas(1000.0 / *n as f64), *n, *n)).collect();
        assert!(gaps[2] < 5e-3, "{name}: {gaps:?}");
        assert!(gaps.windows(2).all(|w| (1.8..2.2).contains(&(w[0] / w[1]))), "{name}: {gaps:?}");
    }
    let products = [
        ("cosine", Betas::Cosine { offset: 0.008, clip: 0.999 }),
        ("sigmoid of the product", Betas::SigmoidCumulative { start: -3.0, end: 3.0, tau: 1.0, clip: 0.999 }),
        ("laplace", Betas::Laplace { clip: 0.999 }),
        ("exponential", Betas::Exponential { rate: 12.0, clip: 0.999 }),
        ("jsd", Betas::Jsd),
    ];
    for (name, betas) in products {
        for steps in [50, 1000] {
            // The last rate may be clipped.
            let gap = gap(betas.clone(), steps, steps - 1);
            assert!(gap < 1e-12, "{name}, {steps} steps: {gap}");
        }
    }
    assert!(named("discrete-linear:zero_terminal_snr=true").limit().is_none());
    assert!(named("discrete-betas:betas=0.1;0.2;0.3").limit().is_none());
}

/// A limit is a process like any other: its slopes are finite differences, its signal-to-noise ratio falls.
#[test]
fn limits_are_processes() {
    for (name, limit) in tables().into_iter().filter_map(|(n, t)| Some((n, t.limit()?))) {
        let span = limit.span();
        assert_eq!(limit.smooth(), !["discrete-warmup", "discrete-laplace"].contains(&name.as_str()), "{name}");
        let mut before = f64::INFINITY;
        for u in [0.01, 0.07, 0.3, 0.45, 0.7, 0.9, 0.99] {
            let (t, h) = (span.at(u), 1e-3 * u.min(1.0 - u));
            let m = limit.at(t);
            let slopes = [
                (m.d_alpha, derivative(|t| limit.alpha(Dual::constant(t)).value, t, h)),
                (m.d_sigma, derivative(|t| limit.sigma(Dual::constant(t)).value, t, h)),
            ];
            assert!(slopes.iter().all(|(a, b)| (a - b).abs() < 1e-6 * b.abs() + 1e-9), "{name} at {t}: {slopes:?}");
            assert!((m.alpha.powi(2) + m.sigma.powi(2) - 1.0).abs() < 1e-14, "{name} at {t}");
            assert!(m.log_snr() < before, "{name} at {t}");
            before = m.log_snr();
        }
    }
}

#[test]
fn tables_that_are_none_are_refused() {
    let error = |text: &str| match text.parse::<ProcessConfig>().expect(text).discrete() {
        Err(e) => e.to_string(),
        Ok(_) => panic!("{text} was accepted"),
    };
    for (text, pieces) in [
        ("discrete-linear:steps=1", ["steps", "1", "from 2 to 100000"]),
        ("discrete-linear:beta_max=1.5", ["betas", "1", "strictly between"]),
        ("discrete-linear:beta_min=0", ["betas", "0", "strictly between"]),
        // A cosine by integer division: all rates but the last are zero.
        ("discrete-betas:betas=0;0;0;0.999", ["betas", "0", "strictly between"]),
        ("discrete-cosine:clip=2", ["clip", "2", "at most 1"]),
        ("discrete-cosine:offset=1", ["offset", "1", "from 0 up to"]),
        ("discrete-sigmoid-cumulative:end=-4", ["end", "-4", "above start"]),
        ("discrete-exponential:rate=-1", ["rate", "-1", "above 0"]),
        ("discrete-warmup:fraction=2", ["fraction", "2", "from 0 to 1"]),
        ("discrete-constant:beta=0.5,steps=2000", ["betas", "1e-30", "fewer steps"]),
    ] {
        let message = error(text);
        assert!(pieces.iter().all(|p| message.contains(p)), "{text}: {message}");
    }
    assert!(Discrete::new(Betas::List(vec![0.1, 0.2]), 3, false).is_err());
}
