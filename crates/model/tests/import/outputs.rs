//! Outputs of the projects' own programs.

use crate::fixtures::{Fixture, compare, compare_to, largest, model};
use scorefield_model::import::Layout;
use scorefield_model::{Model, Weights};
use scorefield_process::{Denoiser, DenoiserExt, ProcessConfig, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, Tensor};

/// Network outputs at whole and broken times.
fn diffusers(name: &str, given: &[&str]) {
    let f = Fixture::new(&format!("diffusers/{name}"));
    let found = f.open("", given);
    assert_eq!(found.layout(), Layout::Diffusers);
    let m = model(&found, Weights::Ema);
    for (x, time, output) in [("x", "t", "output"), ("x", "t_fractional", "output_t_fractional")] {
        if f.has(output) {
            let y = m.output_each(f.batch(x), &f.values(time), f.classes("class_labels").as_deref());
            compare(&format!("{name} {output}"), y, &f.values(output), 1e-5);
        }
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn diffusers_folders() {
    diffusers("ddpm_cifar10", &[]);
    diffusers("ddpm_legacy_flat", &[]);
    diffusers("class_cond", &[]);
    diffusers("class_cond_plain", &["image_size=16x24"]);
}

/// The score of each row at its own time.
fn score(m: &Model, x: &Batch, times: &[f64]) -> Batch {
    let denoiser = m.denoiser(None);
    let rows = times.iter().enumerate().map(|(i, t)| denoiser.score(&x.clone().narrow(0, i, 1), *t));
    Tensor::cat(rows.collect(), 0)
}

/// Raw and averaged weights; the network's output, and the score as its samplers use it. Between two times of a table theirs takes
/// the noise level of the earlier, so the discrete model's score is theirs at whole times only, and its output is compared.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn score_sde() {
    for name in ["ddpm_vp", "ddpmpp_vp_continuous", "ncsnpp_ve_continuous"] {
        let f = Fixture::new(&format!("score_sde_pytorch/{name}"));
        let found = f.open("checkpoint_1.pth", &[]);
        assert_eq!(found.layout(), Layout::ScoreSde);
        for (which, set) in [(Weights::Raw, "raw"), (Weights::Ema, "ema")] {
            let m = model(&found, which);
            let x = f.batch("x");
            if name != "ncsnpp_ve_continuous" {
                let scale = if name == "ddpm_vp" { 1.0 } else { 1.0 / 999.0 };
                let times: Vec<f64> = f.values("labels").iter().map(|l| l * scale).collect();
                let stored = f.values(&format!("output_f64_{set}"));
                compare(&format!("{name} output {set}"), m.output_each(x.clone(), &times, None), &stored, 1e-5);
            }
            if name != "ddpm_vp" {
                let stored = f.values(&format!("score_{set}"));
                compare(&format!("{name} score {set}"), score(&m, &x, &f.values("t")), &stored, 1e-5);
            }
        }
        if f.has("t_extreme") {
            let ours = score(&model(&found, Weights::Raw), &f.batch("x_extreme"), &f.values("t_extreme"));
            compare(&format!("{name} extreme"), ours, &f.values("output_extreme_raw"), 1e-5);
        }
    }
}

/// The time of a level, also outside the span of an exploding process.
fn time_of(m: &Model, level: f64) -> f64 {
    match m.meta().process {
        ProcessConfig::Ve { sigma_min, sigma_max } => (level / sigma_min).ln() / (sigma_max / sigma_min).ln(),
        ProcessConfig::Edm { .. } => level,
        _ => m.process().time_of_ratio(level),
    }
}

/// The denoiser of each preconditioning at the stored levels, with labels and without.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn edm() {
    for name in ["vp_ddpmpp", "ve_ncsnpp", "iddpm_adm", "edm_ddpmpp_cond_aug", "edm_ncsnpp_skip"] {
        let f = Fixture::new(&format!("edm/{name}"));
        let found = f.open("network-snapshot-000010.pkl", &[]);
        assert_eq!(found.layout(), Layout::Edm);
        let m = model(&found, Weights::Ema);
        for (x_name, sigma, d, labels) in
            [("x", "sigma", "D", true), ("x", "sigma", "D_no_labels", false), ("x_extreme", "sigma_extreme", "D_extreme", true)]
        {
            // A table has no level below that of its first time.
            let below = |s: &f64| m.process().steps().is_some() && *s < m.process().at(0.0).ratio();
            if !f.has(d) || f.values(sigma).iter().any(below) {
                continue;
            }
            let times: Vec<f64> = f.values(sigma).iter().map(|s| time_of(&m, *s)).collect();
            let alphas: Vec<f64> = times.iter().map(|t| m.process().at(*t).alpha).collect();
            let classes = f.one_hot("class_labels").filter(|_| labels);
            let x = Column(alphas).scale(f.batch(x_name));
            let denoised = m.denoiser(classes).denoise_each(&x, &times);
            // D is a small difference of x and sigma F where sigma is large: its error is counted in parts of x there.
            let size = if x_name == "x" { 0.0 } else { largest(&f.values(x_name)) };
            compare_to(&format!("{name} {d}"), denoised, &f.values(d), size, 1e-5);
        }
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn openai() {
    for name in ["guided_plain_newattn", "guided_updown_heads4_newattn_cond", "improved_heads4_cosine"] {
        let f = Fixture::new(&format!("openai/{name}"));
        let given: &[&str] = if name.starts_with("improved") { &["image_size=16"] } else { &[] };
        let found = f.open("ema_0.9999_000010.pt", given);
        assert_eq!(found.layout(), Layout::OpenAi);
        let m = model(&found, Weights::Ema);
        for (time, output) in [("timesteps", "output"), ("timesteps_fractional", "output_timesteps_fractional")] {
            let y = m.output_each(f.batch("x"), &f.values(time), f.classes("y").as_deref());
            compare(&format!("{name} {output}"), y, &f.values(output), 1e-5);
        }
    }
}
