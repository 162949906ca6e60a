//! The stationary laws of Langevin chains at one level, on a Gaussian, where the schemes' own laws have closed forms.

use scorefield_process::oracle::Gaussian;
use scorefield_process::{Grid, ProcessConfig, ProcessExt};
use scorefield_sample::{Finish, SolverKind, Trajectory};
use scorefield_tensor::{DType, Device, Purpose, Streams, rows_f64};

/// The variance of `x / alpha` after two legs of a chain at level 0.8 on data of variance 0.3, every process, and `(name, V, n)`.
fn stationary(kind: &str, expected: f64) {
    let n = 10_000;
    for config in ProcessConfig::all() {
        let d = Gaussian::new(config.build().expect("usual constants"), vec![0.0; 2], vec![0.3; 2]);
        let times = [2.0, 1.0, 0.5].map(|ratio| scorefield_process::Denoiser::process(&d).time_of_ratio(ratio));
        let grid = Grid::new(times.to_vec()).expect("decreasing");
        let solver = kind.parse::<SolverKind>().expect("known options").build();
        let mut streams = Streams::new(4, (0..n).collect(), Purpose::Solver);
        let run = Trajectory::from_prior(&d, solver.as_ref(), &grid, &mut streams, 2, (&Device::default(), DType::F64));
        let alpha = scorefield_process::Denoiser::process(&d).at(times[2]).alpha;
        let y = rows_f64(run.finish(Finish::Leave).run());
        let variance = y.iter().map(|x| (x / alpha).powi(2)).sum::<f64>() / y.len() as f64;
        let error = expected * (2.0 / y.len() as f64).sqrt();
        assert!((variance - expected).abs() < 4.0 * error, "{}, {kind}: {variance}, expected {expected}", config.name());
    }
}

/// Unadjusted Langevin: `V / (1 - e / (2 V))`, a tenth and more above `V`.
#[test]
fn the_unadjusted_chain_has_its_own_variance() {
    let (v, e) = (0.3 + 0.64, 0.5 * 0.64);
    stationary("langevin:level=0.8,step=0.5,n_steps=40", v / (1.0 - e / (2.0 * v)));
}

/// BAOAB: exactly `V`, at a step at which others are far off.
#[test]
fn baoab_is_exact_on_gaussians() {
    stationary("underdamped-langevin:level=0.8,step=1.2,n_steps=40", 0.3 + 0.64);
}
