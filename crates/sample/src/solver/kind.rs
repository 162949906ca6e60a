//! The list of all solvers, once, and their names: `NAME[:key=value,...]`.

use super::*;
use crate::named;
use crate::named::Listed;
use scorefield_process::{Grid, GridError, GridKind, Process, Span};
use serde::{Deserialize, Serialize};

/// A solver that stands in the list: what a person is told of it and the options by name.
pub trait Method: Solver {
    /// One line for the listing: what it is and whose.
    fn about(&self) -> &'static str;

    /// The spacing that suits it on every process. Uniform times do not: in EDM's time the last step would fall from 1 to 0.002.
    fn default_grid(&self) -> GridKind {
        GridKind::Karras { rho: 7.0 }
    }

    /// Whether it chooses its own steps within a leg, so that a grid of two times is enough.
    fn adaptive(&self) -> bool {
        false
    }

    /// `n` times of a spacing over a span of `process`: its looks at the model in a run that denoises at the last time.
    ///
    /// # Errors
    /// As [`GridKind::between`].
    fn grid(&self, spacing: &GridKind, process: &dyn Process, span: Span, n: usize) -> Result<Grid, GridError> {
        spacing.between(process, span, n)
    }

    /// Its options, each with the field it sets.
    fn keys(&mut self) -> Vec<Key<'_>> {
        Vec::new()
    }
}

macro_rules! solvers {
    ($($(#[$doc:meta])* $kind:ident),* $(,)?) => {
        /// A solver by name with its options, as it stands on a command line or in a recipe.
        ///
        /// ```
        /// use scorefield_sample::SolverKind;
        /// let kind: SolverKind = "ddim:eta=0.5".parse().unwrap();
        /// assert_eq!(kind.to_string(), "ddim:eta=0.5");
        /// assert!("dimm".parse::<SolverKind>().unwrap_err().to_string().contains("ddim"));
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum SolverKind {
            $($(#[$doc])* $kind($kind),)*
        }

        impl SolverKind {
            /// Every solver with its usual options: the one list that tests and listings walk.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$kind($kind::default())),*]
            }

            fn method(&self) -> &dyn Method {
                match self {
                    $(Self::$kind(s) => s,)*
                }
            }

            fn method_mut(&mut self) -> &mut dyn Method {
                match self {
                    $(Self::$kind(s) => s,)*
                }
            }

            /// The solver itself.
            pub fn build(&self) -> Box<dyn Solver> {
                match self {
                    $(Self::$kind(s) => Box::new(s.clone()),)*
                }
            }
        }

        $(impl From<$kind> for SolverKind {
            fn from(solver: $kind) -> Self {
                Self::$kind(solver)
            }
        })*
    };
}

solvers! {
    /// [`Euler`].
    Euler,
    /// [`Heun`].
    Heun,
    /// [`Ddim`].
    Ddim,
    /// [`Ddpm`].
    Ddpm,
    /// [`EulerMaruyama`].
    EulerMaruyama,
    /// [`PredictorCorrector`].
    PredictorCorrector,
    /// [`DpmPp2M`].
    DpmPp2M,
    /// [`DpmSolver`].
    DpmSolver,
    /// [`DpmMultistep`].
    DpmMultistep,
    /// [`DpmPp2S`].
    DpmPp2S,
    /// [`DpmPp3M`].
    DpmPp3M,
    /// [`UniPc`].
    UniPc,
    /// [`Deis`].
    Deis,
    /// [`EulerAncestral`].
    EulerAncestral,
    /// [`Dpm2Ancestral`].
    Dpm2Ancestral,
    /// [`DpmPp2SAncestral`].
    DpmPp2SAncestral,
    /// [`DpmPpSde`].
    DpmPpSde,
    /// [`DpmPp2MSde`].
    DpmPp2MSde,
    /// [`DpmPp3MSde`].
    DpmPp3MSde,
    /// [`Sra`].
    Sra,
    /// [`AdaptiveSde`].
    AdaptiveSde,
    /// [`AnnealedLangevin`].
    AnnealedLangevin,
    /// [`Consistency`].
    Consistency,
    /// [`Midpoint`].
    Midpoint,
    /// [`Rk4`].
    Rk4,
    /// [`BogackiShampine`].
    BogackiShampine,
    /// [`DormandPrince`].
    DormandPrince,
    /// [`Tsit5`].
    Tsit5,
    /// [`Dpm2`].
    Dpm2,
    /// [`Lms`].
    Lms,
    /// [`Ipndm`].
    Ipndm,
    /// [`EtdAb`].
    EtdAb,
    /// [`Pndm`].
    Pndm,
    /// [`DpmFast`].
    DpmFast,
    /// [`DpmAdaptive`].
    DpmAdaptive,
    /// [`Langevin`].
    Langevin,
    /// [`UnderdampedLangevin`].
    UnderdampedLangevin,
}

impl SolverKind {
    /// The name.
    pub fn name(&self) -> &'static str {
        self.method().name()
    }

    /// One line: what it is and whose.
    pub fn about(&self) -> &'static str {
        self.method().about()
    }

    /// The spacing that suits it.
    pub fn default_grid(&self) -> GridKind {
        self.method().default_grid()
    }

    /// Whether it samples consistency models and no others; all the rest need posterior means.
    pub fn samples_path_ends(&self) -> bool {
        self.method().samples_path_ends()
    }

    /// Whether it chooses its own steps within a leg, so that a grid of two times is enough.
    pub fn adaptive(&self) -> bool {
        self.method().adaptive()
    }

    /// `n` times of a spacing over a span of `process`, as this solver places them.
    ///
    /// # Errors
    /// As [`GridKind::between`].
    pub fn grid(&self, spacing: &GridKind, process: &dyn Process, span: Span, n: usize) -> Result<Grid, GridError> {
        self.method().grid(spacing, process, span, n)
    }

    /// The claimed order.
    pub fn order(&self) -> Order {
        self.method().order()
    }

    /// Calls of the denoiser in a full step.
    pub fn evaluations_per_step(&self) -> usize {
        self.method().evaluations_per_step()
    }
}

impl Listed for SolverKind {
    const WHAT: &'static str = "solver";

    fn all() -> Vec<Self> {
        Self::all()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        self.method_mut().keys()
    }
}

named!(SolverKind);
