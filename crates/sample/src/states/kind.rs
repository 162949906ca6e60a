//! The list of all samplers of states, once, and their names: `NAME[:key=value,...]`.

use super::{AncestralStates, Confidence, Implicit, StatesSolver, TauLeaping};
use crate::named;
use crate::named::Listed;
use crate::solver::Key;
use serde::{Deserialize, Serialize};

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
        }

        impl Listed for StatesSolverKind {
            const WHAT: &'static str = "solver";

            fn all() -> Vec<Self> {
                Self::all()
            }

            fn name(&self) -> &'static str {
                self.name()
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

named!(StatesSolverKind);
