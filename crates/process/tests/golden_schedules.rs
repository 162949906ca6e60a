//! Every table of eight other programs: rates, products, levels, kept times and the maps between levels and times.
//!
//! All 158 arrays are reproduced, none is left out. Tolerances are relative, 1e-12 unless a line says why it is another: six tables that
//! a program holds in single precision, four in which two numbers are (met at 1e-12 with those two rounded alike), and numbers of the
//! form `1 - v` with `v` next to 1, which keep the absolute rounding of `v`.

use scorefield_process::grid::{leading, linspace, sections, trailing};
use scorefield_process::schedule::{Betas, Discrete, Edm, SubVp, Trigonometric, Ve, VpLinear};
use scorefield_process::{GridKind, Marginal, Prediction, Process, ProcessExt, Span};
use scorefield_testkit::{Golden, Table};
use std::collections::BTreeSet;

/// Relative, for double precision.
const DOUBLE: f64 = 1e-12;
/// The rounding of `1 - v` near `v = 1`, twice.
const ROUNDING: f64 = 4.5e-16;

struct Tables {
    golden: Golden,
    seen: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Tables {
    /// Compares `ours` with the array of that name: `|a - b| <= relative |b| + absolute`.
    fn within(&mut self, name: &str, ours: &[f64], relative: f64, absolute: f64) {
        let theirs = self.golden.values(name);
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let excess = |(a, b): (&f64, &f64)| (a - b).abs() / (relative * b.abs() + absolute);
        // Equal zeros with no absolute tolerance make a NaN, and so would a NaN of ours: only the former agrees.
        let agree = |(a, b): (&f64, &f64)| a == b || excess((a, b)) <= 1.0;
        let pairs: Vec<(usize, (&f64, &f64))> = ours.iter().zip(theirs).enumerate().filter(|p| !agree(p.1)).collect();
        if let Some((i, (a, b))) = pairs.first() {
            let times = pairs.iter().map(|p| excess(p.1)).fold(0.0, f64::max);
            self.wrong
                .push(format!("{name}: {} entries, up to {times:.1} tolerances; entry {i} is {a}, expected {b}", pairs.len()));
        }
        self.seen.insert(name.to_string());
    }

    fn double(&mut self, name: &str, ours: &[f64]) {
        self.within(name, ours, DOUBLE, 0.0);
    }

    fn exact(&mut self, name: &str, ours: impl IntoIterator<Item = usize>) {
        let ours: Vec<f64> = ours.into_iter().map(|t| t as f64).collect();
        self.within(name, &ours, 0.0, 0.0);
    }

    /// Rates and their products. Rates that come out of products are `1 - ratio`.
    fn rates(&mut self, prefix: &str, table: &Discrete, from_products: bool) {
        self.within(&format!("{prefix}.betas"), &table.betas(), DOUBLE, if from_products { ROUNDING } else { 0.0 });
        let products = format!("{prefix}.alphas_cumprod");
        if self.golden.names().any(|n| n == products) {
            self.double(&products, table.alpha_bar());
        }
    }
}

fn table(betas: Betas, steps: usize) -> Discrete {
    Discrete::new(betas, steps, false).expect("a published table")
}

fn linear(start: f64, end: f64) -> Betas {
    Betas::Linear { start, end }
}

fn cosine() -> Betas {
    Betas::Cosine { offset: 0.008, clip: 0.999 }
}

/// Latent diffusion's.
fn scaled_linear() -> Betas {
    Betas::Quadratic { start: 0.00085, end: 0.012 }
}

/// `sigma / alpha` at the times of a grid, and the zero that other programs append.
fn levels(process: &(impl Process + ?Sized), kind: &GridKind, span: Span, n: usize) -> Vec<f64> {
    let grid = kind.between(process, span, n).expect("a grid");
    grid.times().iter().map(|t| process.at(*t).ratio()).chain([0.0]).collect()
}

#[test]
#[ignore = "needs ../shared: fixtures/schedules"]
fn every_table_is_reproduced() {
    let golden = Golden::npz("schedules/tables.npz");
    let mut tables = Tables { golden, seen: BTreeSet::new(), wrong: Vec::new() };
    let mut counts = Vec::new();
    for (project, group) in [
        ("diffusers", diffusers as fn(&mut Tables)),
        ("openai", openai),
        ("ddpm_original", ddpm_original),
        ("lucidrains", lucidrains),
        ("score_sde", score_sde),
        ("ncsn", ncsn),
        ("k_diffusion", k_diffusion),
        ("edm", edm),
    ] {
        let before = tables.seen.len();
        group(&mut tables);
        counts.push((project, tables.seen.len() - before));
    }
    assert!(tables.wrong.is_empty(), "{} of {} tables:\n{}", tables.wrong.len(), tables.seen.len(), tables.wrong.join("\n"));
    let left: Vec<&str> = tables.golden.names().filter(|n| !tables.seen.contains(*n)).collect();
    assert!(left.is_empty(), "not reproduced: {left:?}");
    let expected = [
        ("diffusers", 63),
        ("openai", 18),
        ("ddpm_original", 6),
        ("lucidrains", 25),
        ("score_sde", 18),
        ("ncsn", 3),
        ("k_diffusion", 22),
        ("edm", 3),
    ];
    assert_eq!(counts, expected);
    assert_eq!(tables.seen.len(), 158);
}

fn diffusers(tables: &mut Tables) {
    let usual = linear(1e-4, 0.02);
    let sigmoid = Betas::Sigmoid { start: 1e-4, end: 0.02 };
    for (name, betas, steps, from_products) in [
        ("linear", usual.clone(), 1000, false),
        ("scaled_linear", scaled_linear(), 1000, false),
        ("squaredcos_cap_v2", cosine(), 1000, true),
        ("sigmoid", sigmoid, 1000, false),
        ("linear_50", usual, 50, false),
        ("cos_50", cosine(), 50, true),
    ] {
        let plain = table(betas.clone(), steps);
        tables.rates(&format!("diffusers.{name}"), &plain, from_products);
        // A thousand factors each rounded by up to 6e-8, and where a rate is 0.999 the factor is a difference that keeps 3e-5.
        let single = if from_products { 2e-5 } else { 2e-6 };
        tables.within(&format!("diffusers.{name}.alphas_cumprod_f32"), plain.alpha_bar(), single, 0.0);
        if ["linear", "scaled_linear", "squaredcos_cap_v2"].contains(&name) {
            let zero = Discrete::new(betas, steps, true).expect("a published table");
            tables.rates(&format!("diffusers.{name}.zero_snr"), &zero, true);
        }
    }
    tables.rates("diffusers.exp", &table(Betas::Exponential { rate: 12.0, clip: 0.999 }, 1000), true);
    tables.rates("diffusers.laplace", &table(Betas::Laplace { clip: 0.999 }, 1000), true);

    let process = table(scaled_linear(), 1000);
    // Between two times their level is linear in t, ours in the logarithm: a process of one's own with the same knots is theirs.
    let knots = (0..1000).map(|i| [f64::from(i), 1.0, process.at(f64::from(i)).ratio()]).collect();
    let straight = Table::new(knots);
    for n in [10, 50, 999] {
        tables.exact(&format!("diffusers.timesteps.ddpm.linspace.{n}"), linspace(1000, n).expect("times"));
        tables.exact(&format!("diffusers.timesteps.ddim_offset1.linspace.{n}"), linspace(1000, n).expect("times"));
        tables.exact(&format!("diffusers.timesteps.ddpm.leading.{n}"), leading(1000, n, 0).expect("times"));
        tables.exact(&format!("diffusers.timesteps.ddim_offset1.leading.{n}"), leading(1000, n, 1).expect("times"));
        tables.exact(&format!("diffusers.timesteps.ddpm.trailing.{n}"), trailing(1000, n).expect("times"));
        tables.exact(&format!("diffusers.timesteps.ddim_offset1.trailing.{n}"), trailing(1000, n).expect("times"));
        // Its Euler scheduler's linspace is not rounded: the uniform grid.
        for (name, kind) in
            [("linspace", GridKind::Uniform), ("leading", GridKind::Leading { offset: 0 }), ("trailing", GridKind::Trailing)]
        {
            let grid = kind.grid(&process, n).expect("a grid");
            tables.double(&format!("diffusers.euler_timesteps.{name}.{n}"), grid.times());
            let levels: Vec<f64> = grid.times().iter().map(|t| straight.at(*t).ratio()).chain([0.0]).collect();
            tables.double(&format!("diffusers.euler_sigmas.{name}.{n}"), &levels);
        }
    }
}

fn openai(tables: &mut Tables) {
    for steps in [100, 1000, 4000] {
        let scale = 1000.0 / steps as f64;
        tables.rates(&format!("openai.linear.{steps}"), &table(linear(1e-4 * scale, 0.02 * scale), steps), false);
        tables.rates(&format!("openai.cosine.{steps}"), &table(cosine(), steps), true);
    }
    for (name, kept) in [
        ("1000.25", sections(1000, &[25])),
        ("1000.10,15,20", sections(1000, &[10, 15, 20])),
        ("1000.ddim25", leading(1000, 25, 0)),
        ("1000.ddim50", leading(1000, 50, 0)),
        ("1000.1000", sections(1000, &[1000])),
        ("1000.250", sections(1000, &[250])),
        ("300.10,15,20", sections(300, &[10, 15, 20])),
    ] {
        tables.exact(&format!("openai.space_timesteps.{name}"), kept.expect("times").into_iter().rev());
    }
    posterior(tables, "openai.cosine.1000", &table(cosine(), 1000), None);
}

/// The law of `x_s` given `x_t` and `x_0` (Ho et al. 2020, eq. 6, 7), from the process at neighbouring times. The first variance is
/// zero; its logarithm is the second's (`floor` where a program has a floor in its place).
fn posterior(tables: &mut Tables, prefix: &str, table: &Discrete, floor: Option<f64>) {
    let betas = table.betas();
    let clean = Marginal { alpha: 1.0, sigma: 0.0, d_alpha: 0.0, d_sigma: 0.0 };
    let at = |i: usize| table.at(i as f64);
    let pairs: Vec<_> = (0..betas.len()).map(|i| (betas[i], at(i), if i > 0 { at(i - 1) } else { clean.clone() })).collect();
    let column = |f: &dyn Fn(f64, &Marginal, &Marginal) -> f64| pairs.iter().map(|(b, t, s)| f(*b, t, s)).collect::<Vec<f64>>();

    let variance = column(&|beta, t, s| beta * s.sigma.powi(2) / t.sigma.powi(2));
    let of_clean = column(&|beta, t, s| s.alpha * beta / t.sigma.powi(2));
    let of_state = column(&|beta, t, s| (1.0 - beta).sqrt() * s.sigma.powi(2) / t.sigma.powi(2));
    let first = floor.unwrap_or(variance[1]);
    let ln: Vec<f64> = variance.iter().enumerate().map(|(i, v)| if i == 0 { first.ln() } else { v.max(0.0).ln() }).collect();
    tables.double(&format!("{prefix}.posterior_variance"), &variance);
    tables.double(&format!("{prefix}.posterior_mean_coef1"), &of_clean);
    tables.double(&format!("{prefix}.posterior_mean_coef2"), &of_state);
    tables.double(&format!("{prefix}.posterior_log_variance_clipped"), &ln);
}

fn ddpm_original(tables: &mut Tables) {
    let (start, end) = (1e-4, 0.02);
    for (name, betas) in [
        ("quad", Betas::Quadratic { start, end }),
        ("linear", linear(start, end)),
        ("warmup10", Betas::Warmup { start, end, fraction: 0.1 }),
        ("warmup50", Betas::Warmup { start, end, fraction: 0.5 }),
        ("const", Betas::Constant { beta: end }),
        ("jsd", Betas::Jsd),
    ] {
        tables.rates(&format!("ddpm_original.{name}"), &table(betas, 1000), false);
    }
}

/// The sigmoid table with both ends of the sigmoid, and their difference, rounded to single precision, as the package has them.
fn sigmoid_of_single_ends(steps: usize) -> Discrete {
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let (first, last) = (sigmoid(-3.0) as f32, sigmoid(3.0) as f32);
    let f = |i: usize| (f64::from(last) - sigmoid(i as f64 / steps as f64 * 6.0 - 3.0)) / f64::from(last - first);
    table(Betas::List((0..steps).map(|i| (1.0 - f(i + 1) / f(i)).clamp(0.0, 0.999)).collect()), steps)
}

fn lucidrains(tables: &mut Tables) {
    let sigmoid = Betas::SigmoidCumulative { start: -3.0, end: 3.0, tau: 1.0, clip: 0.999 };
    for steps in [250, 1000] {
        let scale = 1000.0 / steps as f64;
        tables.rates(&format!("lucidrains.linear.{steps}"), &table(linear(1e-4 * scale, 0.02 * scale), steps), false);
        tables.rates(&format!("lucidrains.cosine.{steps}"), &table(cosine(), steps), true);
        // The package rounds both ends of the sigmoid to single precision: 6e-8 of f, 1.3e-5 of the rates. With that rounding
        // repeated, nothing is left of the difference.
        let prefix = format!("lucidrains.sigmoid.{steps}");
        let ours = table(sigmoid.clone(), steps);
        tables.within(&format!("{prefix}.betas"), &ours.betas(), 2e-5, 0.0);
        tables.within(&format!("{prefix}.alphas_cumprod"), ours.alpha_bar(), 0.0, 1e-6);
        tables.rates(&prefix, &sigmoid_of_single_ends(steps), true);
    }
    // Its buffers were written in double precision throughout.
    let prefix = "lucidrains.GaussianDiffusion.sigmoid.pred_v.min_snr5";
    let buffers = table(sigmoid, 1000);
    tables.rates(prefix, &buffers, true);
    let before: Vec<f64> = [1.0].iter().chain(&buffers.alpha_bar()[..999]).copied().collect();
    tables.double(&format!("{prefix}.alphas_cumprod_prev"), &before);
    let marginals: Vec<Marginal> = (0..1000).map(|i| buffers.at(f64::from(i))).collect();
    let column = |f: &dyn Fn(&Marginal) -> f64| marginals.iter().map(f).collect::<Vec<f64>>();
    tables.double(&format!("{prefix}.sqrt_alphas_cumprod"), &column(&|m| m.alpha));
    tables.double(&format!("{prefix}.sqrt_one_minus_alphas_cumprod"), &column(&|m| m.sigma));
    // The last logarithms are of 1 - 1e-7.
    tables.within(&format!("{prefix}.log_one_minus_alphas_cumprod"), &column(&|m| 2.0 * m.sigma.ln()), DOUBLE, ROUNDING);
    tables.double(&format!("{prefix}.sqrt_recip_alphas_cumprod"), &column(&|m| 1.0 / m.alpha));
    tables.double(&format!("{prefix}.sqrt_recipm1_alphas_cumprod"), &column(&|m| m.ratio()));
    let weight = |m: &Marginal| m.log_snr().exp().min(5.0) / (m.log_snr().exp() + 1.0);
    tables.double(&format!("{prefix}.loss_weight"), &column(&weight));
    posterior(tables, prefix, &buffers, Some(1e-20));
}

fn score_sde(tables: &mut Tables) {
    let (vp, sub_vp) = (VpLinear::new(0.1, 20.0).expect("rates"), SubVp::new(0.1, 20.0).expect("rates"));
    let ve = Ve::new(0.01, 50.0).expect("levels");
    let times: Vec<f64> = (0..=100).map(|i| f64::from(i) / 100.0).collect();
    for (name, process) in [("vp", &vp as &dyn Process), ("subvp", &sub_vp), ("ve", &ve)] {
        let marginals: Vec<Marginal> = times.iter().map(|t| process.at(*t)).collect();
        let column = |f: &dyn Fn(&Marginal) -> f64| marginals.iter().map(f).collect::<Vec<f64>>();
        tables.double(&format!("score_sde.{name}.t"), &times);
        tables.double(&format!("score_sde.{name}.mean_coeff"), &column(&|m| m.alpha));
        tables.double(&format!("score_sde.{name}.std"), &column(&|m| m.sigma));
        tables.double(&format!("score_sde.{name}.drift_of_1"), &column(&Marginal::drift));
        let mut diffusion = column(&|m| m.diffusion_squared().max(0.0).sqrt());
        if name == "vp" {
            // At t = 0, outside the span, 2 sigma sigma' is zero times infinity; its limit is beta_min.
            diffusion[0] = vp.at(1e-30).diffusion_squared().sqrt();
        }
        tables.double(&format!("score_sde.{name}.diffusion"), &diffusion);
    }
    let discrete = table(linear(0.1 / 1000.0, 20.0 / 1000.0), 1000);
    tables.double("score_sde.vp.discrete_betas", &discrete.betas());
    tables.double("score_sde.vp.alphas_cumprod", discrete.alpha_bar());
    let levels = GridKind::Uniform.grid(&ve, 1000).expect("a grid");
    let levels: Vec<f64> = levels.times().iter().rev().map(|t| ve.at(*t).sigma).collect();
    tables.double("score_sde.ve.discrete_sigmas", &levels);
}

fn ncsn(tables: &mut Tables) {
    for (name, top, n) in [("1.0", 1.0, 10), ("50.0", 50.0, 232), ("90.0", 90.0, 500)] {
        let ve = Ve::new(0.01, top).expect("levels");
        let levels = levels(&ve, &GridKind::LogSnr, ve.span(), n);
        tables.double(&format!("ncsn.geometric.{name}-0.01.{n}"), &levels[..n]);
    }
}

fn k_diffusion(tables: &mut Tables) {
    let edm = Edm::new(0.0292, 14.6146).expect("levels");
    let vp = VpLinear::new(0.1, 20.0).expect("rates");
    for n in [10, 20, 50] {
        for (name, kind) in [
            ("karras", GridKind::Karras { rho: 7.0 }),
            ("exponential", GridKind::LogSnr),
            ("polyexponential_rho2", GridKind::Polyexponential { rho: 2.0 }),
        ] {
            tables.double(&format!("k_diffusion.{name}.{n}"), &levels(&edm, &kind, edm.span(), n));
        }
        let span = Span { start: 1e-3, end: 1.0 };
        tables.double(&format!("k_diffusion.vp.{n}"), &levels(&vp, &GridKind::Uniform, span, n));
    }

    // The continuous extension of a table, both ways.
    let discrete = table(scaled_linear(), 1000);
    let asked = [0.01, 0.0292, 0.05, 0.3, 1.0, 3.3, 9.0, 14.6, 20.0];
    let times: Vec<f64> = asked.iter().map(|r| discrete.time_of_ratio(*r)).collect();
    let whole: Vec<f64> = times.iter().map(|t| t.round()).collect();
    for (name, times) in [("False", &times), ("True", &whole)] {
        tables.within(&format!("k_diffusion.discrete.quantize={name}.sigma_in"), &asked, 0.0, 0.0);
        tables.double(&format!("k_diffusion.discrete.quantize={name}.t_out"), times);
    }
    tables.double("k_diffusion.discrete.get_sigmas_15", &levels(&discrete, &GridKind::Uniform, discrete.span(), 15));

    // A velocity network at x / alpha: its denoiser is ours with alpha taken out of the state.
    let asked = tables.golden.values("k_diffusion.vdenoiser.sigma").to_vec();
    let times: Vec<f64> = asked.iter().map(|r| Trigonometric.time_of_ratio(*r)).collect();
    let coeffs: Vec<_> =
        times.iter().map(|t| (Trigonometric.at(*t), Prediction::Velocity.coeffs(&Trigonometric.at(*t)))).collect();
    let back: Vec<f64> = coeffs.iter().map(|(m, _)| m.ratio()).collect();
    tables.double("k_diffusion.vdenoiser.sigma", &back);
    tables.double("k_diffusion.vdenoiser.t", &times);
    tables.double("k_diffusion.vdenoiser.c_skip", &coeffs.iter().map(|(m, c)| m.alpha * c.c_skip).collect::<Vec<f64>>());
    tables.double("k_diffusion.vdenoiser.c_out", &coeffs.iter().map(|(_, c)| c.c_out).collect::<Vec<f64>>());
    tables.double("k_diffusion.vdenoiser.c_in", &coeffs.iter().map(|(m, c)| m.alpha * c.c_in).collect::<Vec<f64>>());
}

fn edm(tables: &mut Tables) {
    let vp = VpLinear::new(0.1, 20.0).expect("rates");
    let grid = GridKind::Uniform.grid(&vp, 51).expect("a grid");
    let times: Vec<f64> = grid.times().iter().rev().copied().collect();
    let levels: Vec<f64> = times.iter().map(|t| vp.at(*t).ratio()).collect();
    tables.double("edm.vp.t", &times);
    // They take exp(v) - 1 as it stands: at t = 1e-5, where v = 1e-6, a relative 1e-10 of sigma, and of the time that comes of it.
    tables.within("edm.vp.sigma", &levels, 1e-10, 0.0);
    let back: Vec<f64> = levels.iter().map(|r| vp.time_of_ratio(*r)).collect();
    tables.within("edm.vp.sigma_inv_of_sigma", &back, 1e-10, 0.0);
}
