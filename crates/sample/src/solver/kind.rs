//! The list of all solvers, once, and their names: `NAME[:key=value,...]`.

use super::*;
use crate::nearest;
use scorefield_process::{Grid, GridError, GridKind, Process, Span};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

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

    /// Its options: name, present value, what it may be, what it does.
    pub fn options(&self) -> Vec<[String; 4]> {
        let mut copy = self.clone();
        let keys = copy.method_mut().keys();
        keys.iter().map(|k| [k.name.to_string(), k.show(), k.expected(), k.about.to_string()]).collect()
    }
}

impl std::fmt::Display for SolverKind {
    /// `NAME[:key=value,...]` with the options that differ from the usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::all().into_iter().find(|k| k.name() == self.name()).map(|k| k.options()).unwrap_or_default();
        write!(f, "{}", self.name())?;
        let differing = self.options().into_iter().zip(usual).filter(|(mine, usual)| mine[1] != usual[1]);
        for (i, ([name, value, ..], _)) in differing.enumerate() {
            write!(f, "{}{name}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl From<SolverKind> for String {
    fn from(kind: SolverKind) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for SolverKind {
    type Error = SolverError;
    fn try_from(text: String) -> Result<Self, SolverError> {
        text.parse()
    }
}

/// Why a text names no solver.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolverError {
    /// There is no solver of that name.
    #[error("there is no solver {found:?}; did you mean {nearest:?}? The known ones are {known}")]
    UnknownSolver {
        /// The name given.
        found: String,
        /// The known name nearest to it.
        nearest: &'static str,
        /// All names.
        known: String,
    },
    /// The solver has no such option.
    #[error("solver {solver} has no key {found:?}{}", did_you_mean(.nearest, .known))]
    UnknownKey {
        /// The solver.
        solver: &'static str,
        /// The key given.
        found: String,
        /// The nearest of its keys, if it has any.
        nearest: Option<&'static str>,
        /// Its keys.
        known: String,
    },
    /// An option cannot have that value.
    #[error("solver {solver}: {key} is {found:?}, expected {expected}")]
    BadValue {
        /// The solver.
        solver: &'static str,
        /// The option.
        key: &'static str,
        /// The value given.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A piece of the options is not `key=value`.
    #[error("solver {solver}: {found:?} is no option; write {solver}:key=value,key=value{}", did_you_mean(&None, .known))]
    NotAPair {
        /// The solver.
        solver: &'static str,
        /// The piece.
        found: String,
        /// Its keys.
        known: String,
    },
}

fn did_you_mean(nearest: &Option<&'static str>, known: &str) -> String {
    match (nearest, known) {
        (_, "") => "; it has none".to_string(),
        (Some(nearest), _) => format!("; did you mean {nearest:?}? Its keys are {known}"),
        (None, _) => format!("; its keys are {known}"),
    }
}

/// Sets the options of a text, `key=value,key=value`, on the keys of a solver.
pub(crate) fn set_options(solver: &'static str, options: &str, mut keys: Vec<Key<'_>>) -> Result<(), SolverError> {
    let names: Vec<&'static str> = keys.iter().map(|k| k.name).collect();
    let known = names.join(", ");
    for piece in options.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((key, value)) = piece.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
            return Err(SolverError::NotAPair { solver, found: piece.to_string(), known });
        };
        let Some(key) = keys.iter_mut().find(|k| k.name == key) else {
            let nearest = nearest(key, names.iter().copied());
            return Err(SolverError::UnknownKey { solver, found: key.to_string(), nearest, known });
        };
        if !key.set(value) {
            let (found, expected) = (value.to_string(), key.expected());
            return Err(SolverError::BadValue { solver, key: key.name, found, expected });
        }
    }
    Ok(())
}

impl FromStr for SolverKind {
    type Err = SolverError;

    fn from_str(text: &str) -> Result<Self, SolverError> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let (name, all) = (name.trim(), Self::all());
        let names: Vec<&'static str> = all.iter().map(Self::name).collect();
        let Some(mut kind) = all.into_iter().find(|k| k.name() == name) else {
            // Papers write DPM-Solver++, the names here spell it.
            let nearest = nearest(&name.replace('+', "p"), names.iter().copied()).unwrap_or_default();
            return Err(SolverError::UnknownSolver { found: name.to_string(), nearest, known: names.join(", ") });
        };

        set_options(kind.name(), options, kind.method_mut().keys())?;
        Ok(kind)
    }
}
