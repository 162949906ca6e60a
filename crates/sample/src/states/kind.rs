//! The list of all samplers of states, once, and their names: `NAME[:key=value,...]`.

use super::{AncestralStates, Confidence, Implicit, StatesSolver, TauLeaping};
use crate::nearest;
use crate::solver::{Key, SolverError, set_options};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! solvers {
    ($($kind:ident($type:ident)),* $(,)?) => {
        /// A sampler of states by name with its options.
        ///
        /// ```
        /// use scorefield_sample::states::StatesSolverKind;
        /// let kind: StatesSolverKind = "ddim:fresh=0.5".parse().unwrap();
        /// assert_eq!(kind.to_string(), "ddim:fresh=0.5");
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum StatesSolverKind {
            $(#[doc = concat!("[`", stringify!($type), "`].")] $kind($type),)*
        }

        impl StatesSolverKind {
            /// Every sampler with its usual options: the one list that tests and listings walk.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$kind($type::default())),*]
            }

            /// One line: what it is and whose.
            pub fn about(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $type::ABOUT,)*
                }
            }

            /// The sampler itself.
            pub fn build(&self) -> Box<dyn StatesSolver> {
                match self {
                    $(Self::$kind(s) => Box::new(s.clone()),)*
                }
            }

            /// The name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(s) => s.name(),)*
                }
            }

            fn keys(&mut self) -> Vec<Key<'_>> {
                match self {
                    $(Self::$kind(s) => s.keys(),)*
                }
            }
        }
    };
}

solvers!(Ancestral(AncestralStates), Implicit(Implicit), Confidence(Confidence), TauLeaping(TauLeaping));

impl StatesSolverKind {
    /// Its options: name, present value, what it may be, what it does.
    pub fn options(&self) -> Vec<[String; 4]> {
        let mut copy = self.clone();
        let keys = copy.keys();
        keys.iter().map(|k| [k.name.to_string(), k.show(), k.expected(), k.about.to_string()]).collect()
    }
}

impl fmt::Display for StatesSolverKind {
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

impl FromStr for StatesSolverKind {
    type Err = SolverError;

    fn from_str(text: &str) -> Result<Self, SolverError> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let (name, all) = (name.trim(), Self::all());
        let names: Vec<&'static str> = all.iter().map(Self::name).collect();
        let Some(mut kind) = all.into_iter().find(|k| k.name() == name) else {
            let nearest = nearest(name, names.iter().copied()).unwrap_or_default();
            return Err(SolverError::UnknownSolver { found: name.to_string(), nearest, known: names.join(", ") });
        };
        set_options(kind.name(), options, kind.keys())?;
        Ok(kind)
    }
}

impl From<StatesSolverKind> for String {
    fn from(kind: StatesSolverKind) -> Self {
        kind.to_string()
    }
}

impl TryFrom<String> for StatesSolverKind {
    type Error = SolverError;
    fn try_from(text: String) -> Result<Self, SolverError> {
        text.parse()
    }
}
