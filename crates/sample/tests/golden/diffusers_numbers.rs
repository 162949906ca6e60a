//! The numbers that diffusers' own scheduler tests assert and that need no random generator, reproduced by our solvers to the printed
//! tolerance. They were printed by the library itself in single precision.
//!
//! Their tests run on a stand-in for a network, `F(x, t) = x t / (t + 1)`, whatever it is said to predict, from `x = i / N` or, in the
//! middle of a run, from that with `(N - 1 - i) / N` as noise, and look at the sum and the mean of `|x|` at the end. The cases are in
//! `diffusers_numbers.json`, settings merged, for any clone to run. That none of theirs is missing or altered is a test of its own, which
//! needs the original list.
//!
//! Two numbers are skipped, with the reason beside them in the list. Of the others 27 are no larger than their tolerance, so that zero
//! would pass as well, and many repeat: 117 of all 167 differ in settings or value.

use crate::diffusers::alpha_bar;
use crate::diffusers_numbers_exponential::exponential;
use crate::diffusers_numbers_sigma::{edm_euler, sigma_space};
use crate::diffusers_numbers_table::{batch_step, ddim, ddim_inverse, ipndm, pndm, variance};
use crate::{number, text};
use scorefield_process::{Denoiser, Leg, Process};
use scorefield_sample::{Past, Solver};
use scorefield_tensor::{Batch, Device, Noise, batch_f64, rows_f64};
use scorefield_testkit::Golden;
use serde_json::Value;
use std::collections::BTreeMap;

/// Rows of their states.
const ROWS: usize = 4;

/// A denoiser that is a formula.
pub(crate) struct Formula<P, F> {
    pub(crate) process: P,
    /// `D(x, t)`.
    pub(crate) clean: F,
}

impl<P: Process, F: Fn(&Batch, f64) -> Batch + Send + Sync> Denoiser for Formula<P, F> {
    fn process(&self) -> &dyn Process {
        &self.process
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        (self.clean)(x, t)
    }
}

/// Every draw is the same number: 0 shows the mean of a step, 1 its standard deviation beside it.
pub(crate) struct Same(pub(crate) f64);

impl Noise for Same {
    fn normal(&mut self, like: &Batch) -> Batch {
        like.zeros_like() + self.0
    }
    fn begin(&mut self, _: u32) {}
}

/// The stand-in for a network.
pub(crate) fn network(x: &Batch, t: f64) -> Batch {
    x.clone() * (t / (t + 1.0))
}

/// One of their tests.
pub(crate) struct Case<'a> {
    pub(crate) scheduler: &'a str,
    pub(crate) config: &'a Value,
    /// Inference steps.
    pub(crate) steps: usize,
    /// The first of them that is run.
    pub(crate) start: usize,
    noise: bool,
    entries: usize,
}

/// The `alpha_bar` of linear rates as the library holds it: rates and `1 - beta` in single precision, their product rounded to it. The
/// lowest and highest levels differ by 1e-4 and 3e-6 from the exact ones, which its tests can tell.
fn in_single(n: usize, beta_start: f64, beta_end: f64) -> Vec<f64> {
    let (a, b) = (beta_start as f32, beta_end as f32);
    let step = (b - a) / (n - 1) as f32;
    let beta = |i: usize| if i < n / 2 { a + step * i as f32 } else { b - step * (n - 1 - i) as f32 };
    let mut product = 1.0;
    let mut next = |i: usize| {
        product *= f64::from(1.0 - beta(i));
        f64::from(product as f32)
    };
    (0..n).map(&mut next).collect()
}

impl<'a> Case<'a> {
    fn new(case: &'a Value) -> Self {
        let count = |key: &str, usual: u64| case.get(key).map_or(usual, |v| v.as_u64().expect("a count")) as usize;
        Self {
            scheduler: text(case, "scheduler"),
            config: &case["config"],
            steps: count("steps", 10),
            start: count("start", 0),
            noise: case["noise"] == Value::Bool(true),
            entries: count("entries", 768),
        }
    }

    /// Entry `k` of their list before it is permuted is entry `k / 4` of row `k mod 4`.
    fn rows(&self, value: impl Fn(usize) -> usize) -> Batch {
        let n = self.entries;
        let permuted = (0..ROWS).flat_map(|row| (0..n / ROWS).map(move |i| ROWS * i + row));
        batch_f64(permuted.map(|k| value(k) as f64 / n as f64).collect(), ROWS, &Device::default())
    }

    /// The table of the configuration.
    pub(crate) fn alpha_bar(&self) -> Vec<f64> {
        if text(self.config, "beta_schedule") != "linear" {
            return alpha_bar(self.config);
        }
        let trained = number(self.config, "num_train_timesteps", 1000.0) as usize;
        in_single(trained, number(self.config, "beta_start", 1e-4), number(self.config, "beta_end", 0.02))
    }

    /// Their deterministic sample.
    pub(crate) fn sample(&self) -> Batch {
        self.rows(|k| k)
    }

    /// The state a run begins with: the sample times a number, and where it begins in the middle the sample made noisy.
    pub(crate) fn begin(&self, scale: f64, alpha: f64, sigma: f64) -> Batch {
        let sample = self.sample() * scale;
        if self.noise { sample * alpha + self.rows(|k| self.entries - 1 - k) * sigma } else { sample }
    }
}

/// Steps of a solver over legs that need not chain, `before` each applied to the state and the time.
pub(crate) fn walk(
    d: &dyn Denoiser,
    solver: &dyn Solver,
    legs: &[(f64, f64)],
    mut x: Batch,
    before: impl Fn(Batch, f64) -> Batch,
) -> Batch {
    let (mut past, count) = (Past::new(), legs.len());
    for (index, &(t, s)) in legs.iter().enumerate() {
        x = solver.step(d, &before(x, t), Leg { t, s, index, count }, &mut past, &mut Same(0.0));
    }
    x
}

/// What a case gives for one of its numbers' names.
fn ours(case: &Value, what: &str, end: &mut Option<Vec<f64>>) -> f64 {
    let run = Case::new(case);
    if let Some(times) = what.strip_prefix("variance(") {
        let times = times.trim_end_matches(')').split(", ").map(|t| t.parse().expect("a time")).collect::<Vec<f64>>();
        return variance(&run, &times);
    }
    let values = end.get_or_insert_with(|| match run.scheduler {
        _ if case["batch"] == Value::Bool(true) => batch_step(&run),
        "DDIMScheduler" | "DDIMParallelScheduler" => rows_f64(ddim(&run)),
        "DDIMInverseScheduler" => rows_f64(ddim_inverse(&run)),
        "PNDMScheduler" => rows_f64(pndm(&run)),
        "IPNDMScheduler" => rows_f64(ipndm(&run)),
        "EDMEulerScheduler" => rows_f64(edm_euler(&run)),
        "EulerDiscreteScheduler" | "HeunDiscreteScheduler" | "KDPM2DiscreteScheduler" | "LMSDiscreteScheduler" => {
            rows_f64(sigma_space(&run))
        }
        _ => rows_f64(exponential(&run)),
    });
    let sum = values.iter().map(|v| v.abs()).sum::<f64>();
    match what {
        "sum" => sum,
        "mean" => sum / values.len() as f64,
        other => panic!("number {other}"),
    }
}

fn fixture() -> Value {
    serde_json::from_str(include_str!("diffusers_numbers.json")).expect("the fixture is JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is a list"))
}

/// All numbers, to the tolerance that the library's tests ask of the library.
#[test]
fn numbers_of_diffusers_tests() {
    let (fixture, mut wrong, mut weak) = (fixture(), Vec::new(), 0);
    let (mut compared, mut skipped) = (BTreeMap::<&str, usize>::new(), BTreeMap::<&str, usize>::new());
    for case in list(&fixture, "cases") {
        if case.get("skip").is_some() {
            *skipped.entry(text(case, "skip")).or_default() += list(case, "numbers").len();
            continue;
        }
        let mut end = None;
        for asserted in list(case, "numbers") {
            let field = |i: usize| asserted[i].as_f64().expect("a number");
            let (what, theirs, tolerance) = (text_at(asserted), field(1), field(2));
            let ours = ours(case, what, &mut end);
            *compared.entry(text(case, "scheduler")).or_default() += 1;
            weak += usize::from(theirs.abs() <= tolerance);
            // Written so that what is no number is wrong.
            if !matches!((ours - theirs).abs().partial_cmp(&tolerance), Some(std::cmp::Ordering::Less)) {
                wrong.push(format!("{} {}: {what} {ours}, expected {theirs}", text(case, "file"), text(case, "test")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} numbers differ:\n{}", wrong.len(), wrong.join("\n"));
    let count = |by: &BTreeMap<&str, usize>| by.values().sum::<usize>();
    assert_eq!((count(&compared), count(&skipped), weak), (165, 2, 27), "compared {compared:?}, skipped {skipped:?}");
}

/// The fixture holds every number of the original list that needs no random generator, in its order, unaltered.
#[test]
#[ignore = "needs ../shared: data/diffusers_goldens"]
fn numbers_of_diffusers_are_all_there() {
    let (fixture, original) = (fixture(), Golden::json("../data/diffusers_goldens/scheduler_goldens.json"));
    let independent = list(&original, "cases").iter().filter(|case| case["torch_rng_affects_value"] == Value::Bool(false));
    let theirs: Vec<(String, Vec<Value>)> = independent
        .map(|case| {
            let number = |g: &Value| Value::from(vec![g["stat"].clone(), g["value"].clone(), g["tol"].clone()]);
            let name = format!("{} {}/{}", text(case, "file"), text(case, "class"), text(case, "test"));
            (name, list(case, "golden").iter().map(number).collect())
        })
        .collect();
    let ours: Vec<(String, Vec<Value>)> = list(&fixture, "cases")
        .iter()
        .map(|case| {
            let full = |what: &str| if what.starts_with("variance") { format!("scheduler._get_{what}") } else { what.into() };
            let number = |n: &Value| Value::from(vec![full(text_at(n)).into(), n[1].clone(), n[2].clone()]);
            (format!("{} {}", text(case, "file"), text(case, "test")), list(case, "numbers").iter().map(number).collect())
        })
        .collect();
    assert_eq!(ours.len(), 86);
    assert_eq!(ours, theirs);
}

fn text_at(number: &Value) -> &str {
    number[0].as_str().expect("a name")
}
