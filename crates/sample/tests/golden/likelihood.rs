//! Likelihoods of yang-song/score_sde_pytorch and k-diffusion, with their probes.
//!
//! They integrate the same equation in another time and with other step controls, so numbers agree to their tolerance and not to the
//! last digits. One definition differs: they put the probe to the flow of `x`, we to that of `z = x / r`, `r^2 = alpha^2 + sigma^2`,
//! whose change of scale needs none. For signs, `|w|^2 = d`, it is the same; for normal probes theirs has
//! `(|w|^2 - d) ln(r_end / r_start)` more.

use crate::{Project, batch, number, text};
use scorefield_process::schedule::{Edm, SubVp, Ve, VpLinear};
use scorefield_process::{Process, ProcessExt};
use scorefield_sample::density::{Flow, Trace, log_likelihood};
use scorefield_testkit::{Target, largest_difference};

const SAMPLES: [u64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn likelihoods_of_score_sde() {
    let (project, mut compared) = (Project::open("score_sde_pytorch"), 0);
    for target in Target::all() {
        for (name, run) in project.on(&target).filter(|(name, _)| name.contains("/likelihood/")) {
            let process: Box<dyn Process> = match text(run, "sde") {
                "vp" => Box::new(VpLinear::new(0.1, 20.0).expect("rates")),
                "subvp" => Box::new(SubVp::new(0.1, 20.0).expect("rates")),
                _ => Box::new(Ve::new(0.01, 50.0).expect("levels")),
            };
            let (eps, d) = (number(run, "eps", 1e-5), target.dim() as f64);
            let flow = Flow { start: Some(eps), end: Some(1.0), ..Flow::with_tolerance(1e-10) };
            let (first, last) = (process.at(eps), process.at(1.0));
            let signs = text(run, "hutchinson") == "Rademacher";
            let bank = if signs { "signs" } else { "noise" };
            let probes = project.bank.values(&format!("{}.{bank}", target.name))[..8 * target.dim()].to_vec();
            let x = batch(project.bank.values(&format!("{}.data", target.name)));
            let law = target.under(process);
            let ours = log_likelihood(&law, &x, &SAMPLES, &Trace::Given(probes.clone()), &flow).expect("a flow");

            let get = |what: &str| project.trajectories.values(&format!("{name}/{what}"));
            // Their prior of the VP processes is N(0, I), ours N(0, sigma^2 I) of the process's own sigma.
            let their_sigma = if text(run, "sde") == "ve" { 50.0 } else { 1.0 };
            let tolerance = if number(run, "rtol", 0.0) < 1e-6 { 2e-6 } else { 5e-3 };
            let z: Vec<f64> = ours.latents.iter().map(|z| z * last.sigma).collect();
            let theirs = get("z");
            let size = theirs.iter().fold(1.0f64, |top, v| top.max(v.abs()));
            let gap = largest_difference(&z, theirs) / size;
            assert!(gap < tolerance, "{name}, z: {gap:.2e}");
            for (i, z) in z.chunks(target.dim()).enumerate() {
                let squares: f64 = z.iter().map(|z| z * z).sum();
                let prior =
                    -0.5 * squares / (their_sigma * their_sigma) - d * (their_sigma.ln() + 0.5 * std::f64::consts::TAU.ln());
                let w = &probes[i * target.dim()..][..target.dim()];
                let excess = w.iter().map(|w| w * w).sum::<f64>() - d;
                let nats = ours.nats[i] - ours.prior[i]
                    + prior
                    + excess * (last.alpha.hypot(last.sigma) / first.alpha.hypot(first.sigma)).ln();
                let bpd = -nats / (d * std::f64::consts::LN_2) + 7.0;
                let gap = (bpd - get("bpd")[i]).abs();
                assert!(
                    gap < tolerance * (1.0 + bpd.abs()),
                    "{name}, row {i}: {bpd} {} ({gap:.2e}), excess {excess}",
                    get("bpd")[i]
                );
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 18);
}

#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn likelihoods_of_k_diffusion() {
    let (project, mut compared) = (Project::open("k_diffusion"), 0);
    for target in Target::all() {
        for (name, run) in project.on(&target).filter(|(name, _)| name.contains("/log_likelihood/")) {
            let law = target.under(Edm::new(0.02, 30.0).expect("levels"));
            let probes = project.bank.values(&format!("{}.signs", target.name)).to_vec();
            let x = batch(project.bank.values(&format!("{}.data", target.name)));
            let ours = log_likelihood(&law, &x, &SAMPLES, &Trace::Given(probes), &Flow::with_tolerance(1e-10)).expect("a flow");
            let theirs = project.trajectories.values(&format!("{name}/ll"));
            let tolerance = if number(run, "rtol", 0.0) < 1e-6 { 1e-5 } else { 2e-2 };
            for (ours, theirs) in ours.nats.iter().zip(theirs) {
                assert!((ours - theirs).abs() < tolerance * (1.0 + theirs.abs()), "{name}: {ours} {theirs}");
            }
            let exact = log_likelihood(&law, &x, &SAMPLES, &Trace::Exact, &Flow::with_tolerance(1e-10)).expect("a flow");
            let known = project.trajectories.values(&format!("{name}/exact_logp_at_sigma_min"));
            // What is left is the prior's neglect of the data at level 30.
            assert!(largest_difference(&exact.nats, known) < 0.1, "{name}: {:?} {known:?}", exact.nats);
            compared += 1;
        }
    }
    assert_eq!(compared, 4);
}
