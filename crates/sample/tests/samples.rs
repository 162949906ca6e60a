//! Whole runs from the prior: the law of the samples, what they depend on, how runs end, and the frozen values.

use scorefield_process::oracle::{Gaussian, Mixture, PathEnds};
use scorefield_process::{Denoiser, Grid, GridKind, Process, ProcessConfig, ProcessExt};
use scorefield_sample::check::kinds;
use scorefield_sample::solver::{Corrector, Norm, PredictorCorrector};
use scorefield_sample::{Finish, Job, SolverKind, Trajectory, sample};
use scorefield_tensor::{DType, Device, Purpose, Streams, batch_f64, rows, rows_f64};
use scorefield_testkit::{Bank, assert_ks, largest_difference, normal_cdf};
use std::ops::ControlFlow;

fn processes() -> impl Iterator<Item = (&'static str, Box<dyn Process>)> {
    ProcessConfig::all().into_iter().map(|c| (c.name(), c.build().expect("usual constants")))
}

fn job(n: u64, dim: usize, dtype: DType) -> Job {
    Job { batch: 4096, dtype, ..Job::new(11, n, dim) }
}

fn draw(d: &dyn Denoiser, kind: &SolverKind, steps: usize, job: &Job) -> Vec<f64> {
    let steps = if kind.adaptive() { 2 } else { steps };
    let grid = kind.default_grid().grid(d.process(), steps).expect("a grid");
    let x = sample(d, kind.build().as_ref(), &grid, job, |_, _| ControlFlow::Continue(()));
    rows_f64(x.expect("samples were asked for"))
}

/// Each entry of the samples passes a Kolmogorov-Smirnov test against the data's law at the 0.1 % level.
#[test]
fn samples_follow_the_data() {
    let (mean, variance) = ([0.6, -0.3], [0.2, 1.0]);
    for (name, process) in processes() {
        let d = Gaussian::new(process, mean.to_vec(), variance.to_vec());
        for kind in kinds() {
            let ends = PathEnds(&d);
            let d: &dyn Denoiser = if kind.samples_path_ends() { &ends } else { &d };
            let x = draw(d, &kind, 150, &job(2000, 2, DType::F64));
            for i in 0..2 {
                let entry: Vec<f64> = x.iter().skip(i).step_by(2).copied().collect();
                assert_ks(
                    &format!("{name}, {kind}, entry {i}"),
                    &entry,
                    |v| normal_cdf((v - mean[i]) / variance[i].sqrt()),
                    1e-3,
                );
            }
        }
    }
}

/// Two separate modes get their shares: 30 % and 70 %, within four standard errors.
#[test]
fn modes_get_their_shares() {
    let n = 2000;
    for (name, process) in processes() {
        let d = Mixture::isotropic(process, &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.2, 0.1]);
        // The ends of a mixture's paths have no closed form.
        for kind in SolverKind::all().into_iter().filter(|k| !k.samples_path_ends()) {
            let x = draw(&d, &kind, 60, &job(n, 2, DType::F64));
            let left = x.iter().step_by(2).filter(|v| **v < 0.0).count() as f64 / n as f64;
            assert!((left - 0.3).abs() < 4.0 * (0.21 / n as f64).sqrt(), "{name}, {kind}: {left}");
        }
    }
}

/// Sample I of seed S is bit for bit the same whatever the batch, the range, or its neighbours.
#[test]
fn a_sample_depends_on_its_number_and_the_seed_alone() {
    let process = ProcessConfig::all()[0].build().expect("usual constants");
    let d = Gaussian::new(process, vec![0.5; 7], vec![0.3; 7]);
    let mut different = kinds();
    different.push("pc:norm=row,n_steps=2".parse().expect("known options"));
    different.retain(|k| !k.to_string().contains("norm=batch"));
    for kind in different {
        let grid = kind.default_grid().grid(d.process(), 6).expect("a grid");
        let bits = |samples: std::ops::Range<u64>, batch: usize, seed: u64| {
            let job = Job { samples, batch, seed, ..job(0, 7, DType::F32) };
            let x = sample(&d, kind.build().as_ref(), &grid, &job, |_, _| ControlFlow::Continue(()));
            rows(x.expect("samples")).iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let whole = bits(0..33, 33, 5);
        for batch in [1, 7, 64] {
            assert_eq!(whole, bits(0..33, batch, 5), "{kind}, batch {batch}");
        }
        assert_eq!(whole[20 * 7..29 * 7], bits(20..29, 4, 5)[..], "{kind}, a part of the range");
        assert_ne!(whole, bits(0..33, 33, 6), "{kind}, another seed");
    }
}

/// `norm=batch` reproduces Song et al. and therefore does couple the samples.
#[test]
fn batch_norms_couple_samples() {
    let process = ProcessConfig::all()[0].build().expect("usual constants");
    let d = Gaussian::new(process, vec![0.5; 7], vec![0.3; 7]);
    let corrector = Corrector { norm: Norm::Batch, ..Corrector::default() };
    let kind = SolverKind::from(PredictorCorrector { corrector, ..PredictorCorrector::default() });
    let (one, two) = (job(1, 7, DType::F64), job(2, 7, DType::F64));
    assert_ne!(draw(&d, &kind, 5, &one), draw(&d, &kind, 5, &two)[..7]);
}

/// Legs that end where sigma is zero: finite everywhere, and exactly `alpha_s D` for the solvers whose limit that is.
#[test]
fn every_solver_ends_where_sigma_is_zero() {
    for (name, process) in processes() {
        // Only the processes whose sigma reaches zero, at t = 0.
        if process.at(0.0).sigma != 0.0 {
            assert!(["ve", "discrete-linear"].contains(&name), "{name}");
            continue;
        }
        let d = Gaussian::new(process, vec![0.5, -2.0], vec![0.3, 0.01]);
        let mut times = GridKind::Karras { rho: 7.0 }.grid(d.process(), 8).expect("a grid").times().to_vec();
        times.push(0.0);
        let grid = Grid::new(times).expect("decreasing");
        let mut wrong = Vec::new();
        for kind in kinds() {
            let mut streams = Streams::new(2, vec![0, 1, 2], Purpose::Solver);
            let solver = kind.build();
            let run = Trajectory::from_prior(&d, solver.as_ref(), &grid, &mut streams, 2, (&Device::default(), DType::F64));
            assert_eq!(run.len(), 9, "no evaluation is added where no noise is left");
            let frames: Vec<_> = run.collect();
            for frame in &frames {
                let x = rows_f64(frame.x.clone());
                assert!(x.iter().all(|v| v.is_finite()), "{name}, {kind}, t = {}: {x:?}", frame.t);
            }
            let (end, clean) = (rows_f64(frames[8].x.clone()), frames[8].clean.clone().expect("every solver shows its D"));
            // Linear multistep methods extrapolate to the end. Euler and Heun take the last step in the process's time, where the limit
            // is D only if sigma is linear in it.
            let exact = match kind {
                SolverKind::Lms(_) | SolverKind::Ipndm(_) | SolverKind::Pndm(_) => false,
                SolverKind::Euler(_) | SolverKind::Heun(_) => ["edm", "rectified-flow"].contains(&name),
                _ => true,
            };
            let gap = largest_difference(&end, &rows_f64(clean));
            if exact && gap >= 1e-12 {
                wrong.push(format!("{name}, {kind}: {gap}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// The count of evaluations, the frames' indices and times, and both ends.
#[test]
fn a_run_tells_where_it_is() {
    let process = ProcessConfig::all()[4].build().expect("usual constants");
    let d = Gaussian::new(process, vec![0.5], vec![0.3]);
    let grid = GridKind::Karras { rho: 7.0 }.grid(d.process(), 18).expect("a grid");
    for (kind, evaluations) in [("heun", 35), ("euler", 18), ("dpmpp-2m", 18), ("pc:n_steps=2", 3 * 17 + 1)] {
        let solver = kind.parse::<SolverKind>().expect("a solver").build();
        let mut streams = Streams::new(2, vec![0], Purpose::Solver);
        let mut run = Trajectory::from_prior(&d, solver.as_ref(), &grid, &mut streams, 1, (&Device::default(), DType::F64));
        assert_eq!(run.len(), 19);
        let frames: Vec<_> = run.by_ref().collect();
        assert_eq!(run.evaluations(), evaluations, "{kind}");
        assert!(run.next().is_none());
        assert!(frames.iter().enumerate().all(|(i, f)| f.index == i && f.t == grid.times()[i.min(17)]));
        assert!(frames[0].clean.is_none() && frames[1..].iter().all(|f| f.clean.is_some()), "{kind}");
        // The finishing frame is D of the state before it; without it the run ends there.
        let before = frames[17].x.clone();
        assert_eq!(rows_f64(frames[18].x.clone()), rows_f64(d.denoise(&before, grid.times()[17])));
        let mut streams = Streams::new(2, vec![0], Purpose::Solver);
        let left = Trajectory::from_prior(&d, solver.as_ref(), &grid, &mut streams, 1, (&Device::default(), DType::F64));
        assert_eq!(rows_f64(left.finish(Finish::Leave).run()), rows_f64(before));
    }
}

/// A watcher can stop a job: the batches done so far are returned.
#[test]
fn a_job_can_be_stopped() {
    let process = ProcessConfig::all()[4].build().expect("usual constants");
    let d = Gaussian::new(process, vec![0.5], vec![0.3]);
    let grid = GridKind::LogSnr.grid(d.process(), 4).expect("a grid");
    let job = Job { batch: 3, ..job(10, 1, DType::F64) };
    assert_eq!(job.batches().collect::<Vec<_>>(), [0..3, 3..6, 6..9, 9..10]);
    let solver = SolverKind::all()[0].build();
    let stop_in = |first: u64| {
        sample(&d, solver.as_ref(), &grid, &job, |range, frame| match range.start == first && frame.index == 2 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    };
    assert_eq!(stop_in(6).expect("two batches").dims(), [6, 1]);
    assert!(stop_in(0).is_none());
    assert_eq!(stop_in(99).expect("all").dims(), [10, 1]);
}

/// The same noise levels under another schedule give the same samples, once scaled by alpha: for the solvers that see the
/// process only through its levels.
#[test]
fn schedules_with_the_same_levels_give_the_same_samples() {
    let (levels, noise): (Vec<f64>, Vec<Vec<f64>>) = (
        (0..9).map(|i| 5.0 * 0.5f64.powi(i)).collect(),
        (0..8).map(|k| vec![0.3 - 0.1 * f64::from(k), 0.7, -1.1, 0.2]).collect(),
    );
    for kind in ["ddim", "ddim:eta=0.7", "ddpm", "dpmpp-2m"] {
        let kind: SolverKind = kind.parse().expect("a solver");
        let solver = kind.build();
        let ends: Vec<(&str, Vec<f64>)> = processes()
            .map(|(name, process)| {
                let times: Vec<f64> = levels.iter().map(|l| process.time_of_ratio(*l)).collect();
                let (first, last) = (process.at(times[0]), process.at(times[8]));
                let d = Mixture::isotropic(process, &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.2, 0.1]);
                let x = [1.0, -4.0, 3.0, 2.0].map(|v| v * first.alpha).to_vec();
                let mut bank = Bank::new(noise.clone());
                let grid = Grid::new(times).expect("decreasing");
                let run = Trajectory::new(&d, solver.as_ref(), &grid, &mut bank, batch_f64(x, 2, &Device::default()));
                (name, rows_f64(run.finish(Finish::Leave).run()).iter().map(|v| v / last.alpha).collect())
            })
            .collect();
        for (name, end) in &ends {
            let gap = largest_difference(end, &ends[0].1);
            assert!(gap < 1e-11, "{kind}: {name} against {}: {gap}", ends[0].0);
        }
    }
}

/// DDIM is Euler in the noise level, and DDPM of the small variance is DDIM at eta = 1.
#[test]
fn equivalences_hold() {
    let edm = || ProcessConfig::all()[4].build().expect("usual constants");
    let end = |kind: &str| {
        let d = Mixture::isotropic(edm(), &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.2, 0.1]);
        draw(&d, &kind.parse().expect("a solver"), 12, &job(5, 2, DType::F64))
    };
    let same_grid = |kind: &str| {
        let d = Mixture::isotropic(edm(), &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.2, 0.1]);
        let grid = GridKind::LogSnr.grid(d.process(), 12).expect("a grid");
        let solver = kind.parse::<SolverKind>().expect("a solver").build();
        let x = sample(&d, solver.as_ref(), &grid, &job(5, 2, DType::F64), |_, _| ControlFlow::Continue(()));
        rows_f64(x.expect("samples"))
    };
    assert!(largest_difference(&end("euler"), &end("ddim")) < 1e-12);
    assert!(largest_difference(&same_grid("ddpm"), &same_grid("ddim:eta=1")) < 1e-12);
    assert!(largest_difference(&same_grid("pc:n_steps=0,predictor=ancestral"), &same_grid("ddpm")) < 1e-12);
    assert!(largest_difference(&same_grid("pc:n_steps=0,predictor=euler-maruyama"), &same_grid("euler-maruyama")) < 1e-12);
    assert!(largest_difference(&same_grid("ddpm"), &same_grid("ddpm:variance=large")) > 1e-3);
}

/// Seed to value: a change here is a change of every sample and is called **value:** in the changelog.
#[test]
fn seed_to_value_table() {
    let process = || ProcessConfig::all()[0].build().expect("usual constants");
    let mut changed = String::new();
    for (kind, frozen) in FROZEN {
        let d = Mixture::isotropic(process(), &[0.3, 0.7], &[vec![-1.0, 0.5], vec![1.0, 0.0]], &[0.2, 0.1]);
        let x = draw(&d, &kind.parse().expect("a solver"), 10, &Job { samples: 17..18, seed: 3, ..job(0, 2, DType::F64) });
        if largest_difference(&x, &frozen) >= 1e-12 {
            changed += &format!("    (\"{kind}\", {x:?}),\n");
        }
    }
    assert!(changed.is_empty(), "\n{changed}");
    let listed: Vec<_> = FROZEN.iter().map(|(kind, _)| kind.split(':').next().unwrap_or_default()).collect();
    assert!(SolverKind::all().iter().all(|k| listed.contains(&k.name())), "a solver has no frozen value");
}

const FROZEN: [(&str, [f64; 2]); 45] = [
    ("consistency", [0.7639187359722908, 0.09912345183230885]),
    ("euler", [1.1163151554928337, 0.14210219685754097]),
    ("heun", [1.0124098556128853, 0.08254193093437712]),
    ("heun:s_churn=4", [0.936941256179321, -0.07190359351994051]),
    ("ddim", [1.0310228504677532, 0.07007790380396191]),
    ("ddim:eta=1", [0.909433858207092, 0.06012690632374142]),
    ("ddpm", [0.9981230789483372, 0.01131825926925251]),
    ("euler-maruyama", [0.6484997935880317, 0.0730369935423139]),
    ("pc", [1.1817657305349294, -0.05953087525650818]),
    ("dpmpp-2m", [1.1285128171487946, 0.09337663521398028]),
    ("euler-ancestral", [0.909433858207092, 0.060126906323741444]),
    ("dpm2-ancestral", [0.8644491823952913, 0.0854974062066568]),
    ("dpmpp-2s-ancestral", [1.0476373688916554, 0.008281935066067676]),
    ("dpmpp-sde", [1.0019212929178398, -0.0013283303194488348]),
    ("dpmpp-2m-sde", [1.0220793125475627, 0.012959134481676297]),
    ("dpmpp-3m-sde", [0.6955695782007274, 0.09592809762399991]),
    ("sra", [0.9382986208994665, 0.03114913132291417]),
    ("adaptive-sde", [0.9505392692755105, 0.019416266631826787]),
    ("annealed-langevin", [1.21144895066538, -0.2195199643354888]),
    ("dpm-solver", [1.1087556976161717, 0.11168223934788343]),
    ("dpm-solver:order=3", [1.0793644400763074, 0.10317134092414489]),
    ("dpm-multistep", [1.0727987841048001, 0.09303806339457936]),
    ("dpmpp-2s", [1.0684880937553065, 0.0952976599121947]),
    ("dpmpp-3m", [0.9930282860263125, 0.1464776973070094]),
    ("unipc", [1.1084410950035453, 0.10201118874511186]),
    ("unipc:order=3", [0.9817670147468525, 0.14370985991030016]),
    ("deis", [1.0668635529521837, 0.09906388425217091]),
    ("euler-maruyama:eta=0.5", [1.0464465390854694, -0.007734433294133851]),
    ("dpmpp-2m-sde:eta=0.5", [1.0859389826067183, -0.015016725803047712]),
    ("midpoint", [1.0753381516557787, 0.09597876108845213]),
    ("rk4", [1.08552407932143, 0.10658622241369123]),
    ("bogacki-shampine", [1.0787186909306588, 0.10253017830326056]),
    ("dormand-prince", [1.0787103551945825, 0.10253235605651732]),
    ("tsit5", [1.0787082400893264, 0.10252793262464203]),
    ("tsit5:steps=fixed", [1.0790138265409768, 0.10261701097657072]),
    ("dpm-2", [1.1259994945518574, 0.12351372352786556]),
    ("lms", [1.0541503062779323, 0.0721481384419829]),
    ("ipndm", [1.0604330603606233, 0.11761779696120848]),
    ("etd-ab", [0.9933492560719926, 0.1464047221586226]),
    ("pndm", [1.058976628342894, 0.11792698469179198]),
    ("dpm-fast", [1.0793759296922125, 0.10318627707285889]),
    ("dpm-adaptive", [1.0791546391201545, 0.10282774114787226]),
    ("langevin", [1.061603674589718, -0.026095184883604412]),
    ("underdamped-langevin", [1.0110781769822101, -0.12233092568065429]),
    ("deis:basis=time", [1.0702666525652393, 0.07930647951611294]),
];
