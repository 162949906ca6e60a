//! Multistep sampling of consistency models.
//!
//! Song et al. 2023 ("Consistency models"), algorithm 1, for any process: the model's `f(x_t, t)` is the end of the path of the
//! probability flow through `x_t`; it is made noisy again, `x_s = alpha_s f(x_t, t) + sqrt(sigma_s^2 - alpha_s^2 l_min^2) w`, and looked
//! at once more. One step (`steps = 1`) is one evaluation: the end of the path from the prior. `l_min` is the noise level at which the
//! paths end, that of the process's span. More steps do not follow one path but draw it anew; if the model is exact every number of
//! steps gives the law of the data, so there is no order of convergence to claim.
//!
//! It asks for a model of paths' ends; on posterior means (any other model) it does not give the data's law, and the command line
//! refuses it there. One evaluation a time of the grid, the last by the run's own denoising.

use super::{Method, Order, Past, Solver};
use scorefield_process::{Denoiser, Grid, GridError, GridKind, Leg, Process, ProcessExt, Span};
use scorefield_tensor::{Batch, Noise};

/// `x_s = alpha_s f(x_t, t) + sqrt(sigma_s^2 - alpha_s^2 l_min^2) w`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consistency {}

impl Solver for Consistency {
    fn name(&self) -> &'static str {
        "consistency"
    }

    fn order(&self) -> Order {
        Order::None
    }

    fn samples_path_ends(&self) -> bool {
        true
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let process = d.process();
        let at_s = process.at(leg.s);
        let floor = at_s.alpha * process.at(process.span().start).ratio();
        let end = d.denoise(x, leg.t);
        past.push(leg.t, x, end.clone());
        end * at_s.alpha + noise.between(x, leg.t, leg.s) * (at_s.sigma.powi(2) - floor * floor).max(0.0).sqrt()
    }
}

impl Method for Consistency {
    fn about(&self) -> &'static str {
        "multistep sampling of consistency models, and of nothing else (Song et al. 2023, algorithm 1)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::Karras { rho: 7.0 }
    }

    /// The first `n` of `n + 1` times: at the last, the process's lowest level, such a model is the identity, and a look at it there would
    /// say nothing. Lists of one's own stay as they are.
    fn grid(&self, spacing: &GridKind, process: &dyn Process, span: Span, n: usize) -> Result<Grid, GridError> {
        if spacing.count().is_some() {
            return spacing.between(process, span, n);
        }
        Grid::new(spacing.between(process, span, n.saturating_add(1))?.times()[..n].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_process::ProcessConfig;

    /// As many looks as were asked for, from the most noise, none of them at the lowest level; a list stays as it is.
    #[test]
    fn no_look_at_the_lowest_level() {
        for config in ProcessConfig::all() {
            let process = config.build().unwrap();
            let span = process.span();
            let karras = GridKind::Karras { rho: 7.0 };
            for n in [1, 2, 5] {
                let grid = Consistency {}.grid(&karras, &process, span, n).unwrap();
                assert_eq!((grid.times().len(), grid.times()[0]), (n, span.end), "{}", config.name());
                assert!(grid.times()[n - 1] > span.start, "{}", config.name());
            }
            let list = GridKind::Times(vec![span.end, span.start]);
            assert_eq!(Consistency {}.grid(&list, &process, span, 2).unwrap().times(), [span.end, span.start]);
            assert!(Consistency {}.grid(&karras, &process, span, 0).is_err());
        }
    }
}
