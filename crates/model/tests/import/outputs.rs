//! Outputs of the projects' own programs.

use crate::fixtures::{Fixture, compare, compare_f64, compare_to, largest, model, output_in};
use scorefield_model::import::Layout;
use scorefield_model::{Model, Weights};
use scorefield_nn::{AdaGnUNet, Input, Mode, NetworkConfig};
use scorefield_process::{Denoiser, DenoiserExt, ProcessConfig, ProcessExt, StepVariance};
use scorefield_tensor::{Batch, Coefficient, Column, DType, Tensor, TensorData, batch, rows};

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
    let ours = output_in(DType::F64, &m, &f.values("x"), &f.values("t"), f.classes("class_labels"), None);
    compare_f64(&format!("{name} in double"), &ours, &f.values("output_f64"), 1e-5);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn diffusers_folders() {
    diffusers("ddpm_cifar10", &[]);
    diffusers("ddpm_legacy_flat", &[]);
    diffusers("class_cond", &[]);
    diffusers("class_cond_plain", &["image_size=16x24"]);
}

/// Skip blocks; the score at usual and at extreme levels.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn diffusers_ncsnpp() {
    let f = Fixture::new("diffusers/ncsnpp_ve");
    let m = model(&f.open("", &[]), Weights::Ema);
    for (x, sigma, output) in [("x", "t", "output"), ("x_extreme", "t_extreme", "output_extreme")] {
        let times: Vec<f64> = f.values(sigma).iter().map(|s| time_of(&m, *s)).collect();
        compare(output, score(&m, &f.batch(x), &times), &f.values(output), 1e-5);
    }
}

/// The network as its own program asks it, and the denoiser of the training loop's posterior.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn lucidrains() {
    let f = Fixture::new("denoising_diffusion_pytorch/unet_pred_v");
    let found = f.open("model-1.pt", &[]);
    assert_eq!(found.layout(), Layout::Lucidrains);
    // The project forms the ends of its sigmoid in single precision, so the rates are those of the file and no formula's.
    assert!(matches!(&found.meta().process, ProcessConfig::DiscreteBetas { betas, .. } if betas.len() == 1000));
    for (which, set) in [(Weights::Raw, "raw"), (Weights::Ema, "ema")] {
        let m = model(&found, which);
        let (x, times) = (f.batch("x"), f.values("t"));
        compare(&format!("output {set}"), m.output_each(x.clone(), &times, None), &f.values(&format!("output_{set}")), 1e-5);
        let clean = f.values(&format!("pred_x_start_{set}"));
        compare(&format!("clean {set}"), m.denoiser(None).denoise_each(&x, &times), &clean, 1e-5);
    }
    let f = Fixture::new("denoising_diffusion_pytorch/unet_learned_sinusoidal");
    let given = ["image_size=16", "objective=pred_noise", "beta_schedule=cosine"];
    let m = model(&f.open("unet.pt", &given), Weights::Ema);
    compare("bare", m.output_each(f.batch("x"), &f.values("t"), None), &f.values("output_raw"), 1e-5);
    let ours = output_in(DType::F64, &m, &f.values("x"), &f.values("t"), None, None);
    compare_f64("bare in double", &ours, &f.values("output_f64_raw"), 1e-5);
}

/// Denoisers of raw and averaged weights, of the file for inference, and with classes.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn k_diffusion() {
    for name in ["image_v1", "image_v1_patch2_variance", "image_transformer_v2_global_mnist"] {
        let f = Fixture::new(&format!("k_diffusion/{name}"));
        let (saved, slim) = (f.open("model_00000010.pth", &[]), f.open("model_00000010.safetensors", &[]));
        assert_eq!((saved.layout(), slim.layout()), (Layout::KDiffusion, Layout::KDiffusion));
        // The last row of their table is for no class.
        let none = |c: Option<u32>| c.filter(|c| *c < 10);
        let classes = f.classes("class_cond").map(|all| all.into_iter().map(none).collect::<Vec<_>>());
        for (file, which, d) in
            [(&saved, Weights::Raw, "D_raw"), (&saved, Weights::Ema, "D_ema"), (&slim, Weights::Ema, "D_inference_fp16file")]
        {
            let denoised = model(file, which).denoiser(classes.clone()).denoise_each(&f.batch("x"), &f.values("sigma"));
            compare(&format!("{name} {d}"), denoised, &f.values(d), 1e-5);
        }

        let m = model(&saved, Weights::Raw);
        let (x, sigma) = (f.values("x"), f.values("sigma"));
        let c_in = m.meta().coeffs(&m.process().at_each(&sigma)).c_in.0;
        let width = x.len() / sigma.len();
        let scaled: Vec<f64> = x.iter().enumerate().map(|(i, v)| v * c_in[i / width]).collect();
        let raw = |m: &Model, dtype, augment| output_in(dtype, m, &scaled, &sigma, classes.clone(), augment);
        compare_f64(&format!("{name} F"), &raw(&m, DType::F32, None), &f.values("F_raw"), 1e-5);
        compare_f64(&format!("{name} F in double"), &raw(&m, DType::F64, None), &f.values("F_f64_raw"), 1e-5);
        if f.has("aug_cond") {
            let numbers: Vec<f32> = f.values("aug_cond").into_iter().map(|v| v as f32).collect();
            let told = numbers.chunks(9).map(|row| row.try_into().unwrap()).collect();
            let m = model(&saved, Weights::Ema);
            let network = Tensor::from_data(TensorData::new(raw(&m, DType::F32, Some(told)), [2, m.dim()]), &Default::default());
            let denoised = m.meta().coeffs(&m.process().at_each(&sigma)).assemble(&f.batch("x"), &network);
            compare(&format!("{name} D_ema_aug"), denoised, &f.values("D_ema_aug"), 1e-5);
        }
        if f.has("logvar_raw") {
            let NetworkConfig::AdaGnUNet(config) = &m.meta().network else { panic!("a U-Net with adaptive norms") };
            let network = AdaGnUNet::new(config, &m.meta().codec.shape().dims()).unwrap();
            let x = batch(scaled.iter().map(|v| *v as f32).collect(), sigma.len(), &Default::default());
            let input = Input::at(sigma.iter().map(|s| s.ln() / 4.0).collect());
            let found = network.forward_with_log_variance(m.weights(), x, &input, &Mode::Eval).1.expect("a variance channel");
            let found = rows(found);
            found.iter().zip(f.values("logvar_raw")).for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}"));
        }
    }
}

/// Scores at the listed levels.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsn() {
    for (name, file, layout) in [
        ("ncsn/ncsn_cifar", "checkpoint_10.pth", Layout::Ncsn),
        ("ncsn/ncsn_mnist28", "checkpoint_10.pth", Layout::Ncsn),
        ("ncsn/ncsn_mnist28", "checkpoint_10.legacy_format.pth", Layout::Ncsn),
        ("ncsnv2/ncsnv2", "checkpoint_10.pth", Layout::NcsnV2),
    ] {
        let f = Fixture::new(name);
        let found = f.open(file, &[]);
        assert_eq!(found.layout(), layout);
        let sigmas = f.values("sigmas");
        for (which, output) in [(Weights::Raw, "output_raw"), (Weights::Ema, "output_ema")] {
            let m = model(&found, which);
            let output = if f.has(output) { output } else { "output_raw" };
            let levels: Vec<f64> = f.values("labels").iter().map(|l| sigmas[*l as usize]).collect();
            let times: Vec<f64> = levels.iter().map(|s| time_of(&m, *s)).collect();
            // The denoiser's score is a difference of x and of what is nearly x at low levels, so the network's own output is compared;
            // that of 2020 is the score times the level.
            let output_of = m.output_each(f.batch("x"), &times, None);
            let factor = levels.iter().map(|s| if layout == Layout::Ncsn { 1.0 } else { 1.0 / s }).collect();
            let (ours, stored) = (Column(factor).scale(output_of), f.values(output));
            // Rows differ by the level; each is compared in its own size.
            let width = stored.len() / times.len();
            for (i, row) in stored.chunks(width).enumerate() {
                compare(&format!("{name} {output} row {i}"), ours.clone().narrow(0, i, 1), row, 1e-5);
                let through_denoiser = score(&m, &f.batch("x"), &times).narrow(0, i, 1);
                compare(&format!("{name} score row {i}"), through_denoiser, row, 1e-3);
            }
        }
    }
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
                let ours = output_in(DType::F64, &m, &f.values("x"), &times, None, None);
                compare_f64(&format!("{name} {set} in double"), &ours, &stored, 1e-5);
            }
            if name != "ddpm_vp" {
                let stored = f.values(&format!("score_{set}"));
                compare(&format!("{name} score {set}"), score(&m, &x, &f.values("t")), &stored, 1e-5);
            }
        }
        // The same network under another process of theirs.
        for (given, stored) in [
            (["sde=subvpsde", "continuous=true"], "score_subvp_ema"),
            (["sde=vpsde", "continuous=true"], if name == "ddpm_vp" { "score_vp_othercontinuous_ema" } else { "score_ema" }),
        ] {
            if f.has(stored) && name != "ncsnpp_ve_continuous" {
                let m = model(&f.open("checkpoint_1.pth", &given), Weights::Ema);
                let (times, stored_score) = (f.values("t"), f.values(stored));
                // From the network's output: the denoiser's score takes a difference of x and of what is nearly x at low levels.
                let factor = times.iter().map(|t| -1.0 / m.process().at(*t).sigma).collect();
                let direct = Column(factor).scale(m.output_each(f.batch("x"), &times, None));
                compare(&format!("{name} {stored}"), direct, &stored_score, 1e-5);
                compare(&format!("{name} {stored} of the denoiser"), score(&m, &f.batch("x"), &times), &stored_score, 1e-4);
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
        let times: Vec<f64> = f.values("sigma").iter().map(|s| time_of(&m, *s)).collect();
        let classes = f.one_hot("class_labels");
        let raw = |dtype, augment| output_in(dtype, &m, &f.values("model_in_x"), &times, classes.clone(), augment);
        compare_f64(&format!("{name} F"), &raw(DType::F32, None), &f.values("F"), 1e-5);
        compare_f64(&format!("{name} F in double"), &raw(DType::F64, None), &f.values("F_f64"), 1e-5);
        if f.has("augment_labels") {
            let numbers: Vec<f32> = f.values("augment_labels").into_iter().map(|v| v as f32).collect();
            let told = numbers.chunks(9).map(|row| row.try_into().unwrap()).collect();
            let network = Tensor::from_data(TensorData::new(raw(DType::F32, Some(told)), [2, m.dim()]), &Default::default());
            let coeffs = m.meta().coeffs(&m.process().at_each(&times));
            let denoised = coeffs.assemble(&f.batch("x"), &network);
            compare(&format!("{name} D_augment"), denoised, &f.values("D_augment"), 1e-5);
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
        let ours = output_in(DType::F64, &m, &f.values("x"), &f.values("timesteps"), f.classes("y"), None);
        compare_f64(&format!("{name} in double"), &ours, &f.values("output_f64"), 1e-5);
        posterior(&f, &m, name);
        // k-diffusion's wrapper asks at levels between those of the table, the time linear in ln sigma.
        let wrapper = f.folder.join("kdiffusion_wrapper.safetensors");
        if wrapper.is_file() {
            wrapped(&f, &m, &wrapper);
        }
    }
}

/// The clean estimate, the posterior mean (Ho et al. 2020, eq. 7) and, where it is learned, the logarithm of the variance (Nichol and
/// Dhariwal 2021, eq. 15), each of the sizes of its own terms.
fn posterior(f: &Fixture, m: &Model, name: &str) {
    let (x, times) = (f.batch("x"), f.values("timesteps"));
    let bar = |t: f64| if t < 0.0 { 1.0 } else { m.process().at(t).alpha.powi(2) };
    for (i, &t) in times.iter().enumerate() {
        let row = |name: &str| {
            let all = f.values(name);
            let width = all.len() / times.len();
            all[i * width..(i + 1) * width].to_vec()
        };
        let x = x.clone().narrow(0, i, 1);
        let classes = f.classes("y").map(|all| vec![all[i]]);
        let (clean, nu) = m.denoiser(classes).denoise_with_variance(&x, t);
        let (now, before) = (bar(t), bar(t - 1.0));
        let beta = 1.0 - now / before;
        let size = largest(&row("x")) / now.sqrt();
        compare_to(&format!("{name} clean at {t}"), clean.clone(), &row("pmv.pred_xstart"), size, 1e-5);
        let mean = clean * (beta * before.sqrt() / (1.0 - now)) + x * ((1.0 - before) * (1.0 - beta).sqrt() / (1.0 - now));
        compare_to(&format!("{name} mean at {t}"), mean, &row("pmv.mean"), size, 1e-5);
        if let Some(StepVariance::Between(nu)) = nu {
            // The small variance of the first time is that of the second.
            let t = t.max(1.0);
            let small = (1.0 - bar(t) / bar(t - 1.0)) * (1.0 - bar(t - 1.0)) / (1.0 - bar(t));
            let log_variance = nu.clone() * beta.ln() + (nu * -1.0 + 1.0) * small.ln();
            compare(&format!("{name} log-variance at {t}"), log_variance, &row("pmv.log_variance"), 1e-5);
        }
    }
}

/// The denoiser at the wrapper's own levels, in the exploding state x / alpha.
fn wrapped(f: &Fixture, m: &Model, path: &std::path::Path) {
    let stored = scorefield_archive::open(path).unwrap().arrays().unwrap();
    let values = |name: &str| stored[name].f64().unwrap();
    let times: Vec<f64> = values("sigma").iter().map(|s| m.process().time_of_ratio(*s)).collect();
    let told = values("t_quantize=False");
    times.iter().zip(&told).for_each(|(t, told)| assert!((t - told).abs() < 1e-3 * told.max(1.0), "{t} {told}"));
    let alphas = times.iter().map(|t| m.process().at(*t).alpha).collect();
    let x: Vec<f32> = values("x").iter().map(|v| *v as f32).collect();
    let x = Column(alphas).scale(batch(x, times.len(), &Default::default()));
    let denoised = m.denoiser(f.classes("y")).denoise_each(&x, &times);
    // A difference of x and sigma eps: counted in parts of x. The wrapper's times are single numbers of a table in single precision.
    compare_to("k-diffusion's wrapper", denoised, &values("D_quantize=False"), largest(&values("x")), 1e-5);
}
