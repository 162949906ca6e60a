//! The list of all rules, once, and their names: `NAME[:key=value,...]`.

use super::{Ddrm, Dps, Jacobian, Mmps, PiGdm, Projection, Prox, Rule, Tmpd};
use crate::Twisted;
use scorefield_sample::named;
use scorefield_sample::named::Listed;
use scorefield_sample::solver::Key;

/// A rule by name with its options.
///
/// A `variance` of 0 stands for that of the data, which [`RuleKind::build`] is told.
///
/// ```
/// use scorefield_control::rule::RuleKind;
/// let kind: RuleKind = "mmps:iterations=3".parse().unwrap();
/// assert_eq!(kind.to_string(), "mmps:iterations=3");
/// assert!("mpps".parse::<RuleKind>().unwrap_err().to_string().contains("mmps"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// [`Mmps`].
    Mmps(Mmps),
    /// [`Tmpd`].
    Tmpd(Tmpd),
    /// [`PiGdm`].
    PiGdm(PiGdm),
    /// [`Prox::Ddnm`].
    Ddnm {
        /// The variance of data.
        variance: f64,
    },
    /// [`Prox::DiffPir`].
    DiffPir {
        /// The weight of the model.
        lambda: f64,
    },
    /// [`Dps`].
    Dps(Dps),
    /// [`Ddrm`].
    Ddrm(Ddrm),
    /// [`Projection`] once a step.
    Projection,
    /// [`Projection`] with repeats.
    RePaint {
        /// How often each step is made.
        repeats: usize,
    },
    /// [`Twisted`]: the twisted diffusion sampler.
    Tds(Twisted),
}

/// What samples are drawn by.
#[derive(Debug)]
pub enum Drawing {
    /// A solver under a rule.
    Rule(Box<dyn Rule>),
    /// Particles.
    Particles(Twisted),
}

/// The most particles of a sample, and repeats of a step.
const MOST_PARTICLES: usize = 4096;
const MOST_REPEATS: usize = 60;

impl RuleKind {
    /// Every rule with its usual options: the one list that tests and listings walk.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Mmps(Mmps::default()),
            Self::Tmpd(Tmpd::default()),
            Self::PiGdm(PiGdm { variance: 0.0, jacobian: Jacobian::Pullback }),
            Self::Ddnm { variance: 0.0 },
            Self::DiffPir { lambda: 1.0 },
            Self::Dps(Dps::default()),
            Self::Ddrm(Ddrm::default()),
            Self::Projection,
            Self::RePaint { repeats: 10 },
            Self::Tds(Twisted { particles: 16, variance: 0.0, jacobian: Jacobian::Pullback }),
        ]
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mmps(_) => "mmps",
            Self::Tmpd(_) => "tmpd",
            Self::PiGdm(_) => "pigdm",
            Self::Ddnm { .. } => "ddnm",
            Self::DiffPir { .. } => "diffpir",
            Self::Dps(_) => "dps",
            Self::Ddrm(_) => "ddrm",
            Self::Projection => "projection",
            Self::RePaint { .. } => "repaint",
            Self::Tds(_) => "tds",
        }
    }

    /// One line: what it is and whose.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Mmps(_) => {
                "moment matching: the denoiser's own covariance, inverted by conjugate gradients (Rozet et al. 2024)"
            }
            Self::Tmpd(_) => "Tweedie moment projection: row sums of that covariance (Boys et al. 2023)",
            Self::PiGdm(_) => "pseudo-inverse guidance: one variance for all of x_0 (Song et al. 2023)",
            Self::Ddnm { .. } => "the same without a gradient; null space where the measurement is exact (Wang et al. 2023)",
            Self::DiffPir { .. } => "a proximal step towards the measurement, without a gradient (Zhu et al. 2023)",
            Self::Dps(_) => "a step along the gradient of the distance to any measurement, linear or not (Chung et al. 2023)",
            Self::Ddrm(_) => "steps in the basis of the measurement's singular vectors (Kawar et al. 2022)",
            Self::Projection => "the measured part of the state replaced at every step (Song et al. 2021)",
            Self::RePaint { .. } => "the same, every step made several times (Lugmayr et al. 2022)",
            Self::Tds(_) => "particles, exact as they grow in number; linear or not (Wu et al. 2023)",
        }
    }

    /// The solver that suits it: fresh noise in every step mends what earlier ones got wrong.
    pub fn default_solver(&self) -> &'static str {
        "ddpm"
    }

    /// Whether it changes the steps of a solver; others bring their own.
    pub fn takes_solver(&self) -> bool {
        !matches!(self, Self::Ddrm(_) | Self::Tds(_))
    }

    /// Steps that suit it.
    pub fn default_steps(&self) -> usize {
        match self {
            Self::Dps(_) => 1000,
            Self::Ddrm(_) | Self::RePaint { .. } => 50,
            _ => 100,
        }
    }

    /// The rule for data of a variance (in the model's units).
    pub fn build(&self, variance: f64) -> Drawing {
        let or = |v: &f64| if *v > 0.0 { *v } else { variance };
        let rule: Box<dyn Rule> = match self {
            Self::Mmps(rule) => Box::new(rule.clone()),
            Self::Tmpd(rule) => Box::new(rule.clone()),
            Self::PiGdm(rule) => Box::new(PiGdm { variance: or(&rule.variance), ..rule.clone() }),
            Self::Ddnm { variance } => Box::new(Prox::Ddnm { variance: or(variance) }),
            Self::DiffPir { lambda } => Box::new(Prox::DiffPir { lambda: *lambda }),
            Self::Dps(rule) => Box::new(rule.clone()),
            Self::Ddrm(rule) => Box::new(rule.clone()),
            Self::Projection => Box::new(Projection { repeats: 1 }),
            Self::RePaint { repeats } => Box::new(Projection { repeats: *repeats }),
            Self::Tds(rule) => {
                return Drawing::Particles(Twisted { variance: or(&rule.variance), ..rule.clone() });
            }
        };
        Drawing::Rule(rule)
    }

    /// How it multiplies by the Jacobian of the model, if it does: differences need the model's answers in single precision.
    pub fn jacobian(&self) -> Option<Jacobian> {
        match self {
            Self::Mmps(rule) => Some(rule.jacobian),
            Self::Tmpd(rule) => Some(rule.jacobian),
            Self::PiGdm(rule) => Some(rule.jacobian),
            Self::Dps(rule) => Some(rule.jacobian),
            Self::Tds(rule) => Some(rule.jacobian),
            _ => None,
        }
    }

    /// How often a step of the solver is made in one of the rule.
    pub fn repeats(&self) -> usize {
        if let Self::RePaint { repeats } = self { *repeats } else { 1 }
    }
}

impl Listed for RuleKind {
    const WHAT: &'static str = "rule";

    fn all() -> Vec<Self> {
        Self::all()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let spread = "the variance of data in the model's units; 0 is what the model says of its data";
        let variance = |v| Key::number("variance", spread, v, 0.0..=f64::INFINITY);
        fn jacobian(j: &mut Jacobian) -> Key<'_> {
            Key::choice("jacobian", "products with it: back through the network, or by a difference of evaluations, cheaper", j)
        }
        match self {
            Self::Mmps(rule) => vec![
                Key::count(
                    "iterations",
                    "of conjugate gradients, each a product with the Jacobian",
                    &mut rule.iterations,
                    1..=1000,
                ),
                Key::number(
                    "tolerance",
                    "a sample is done when its residual is below this share",
                    &mut rule.tolerance,
                    0.0..=1.0,
                ),
                jacobian(&mut rule.jacobian),
            ],
            Self::Projection => Vec::new(),
            Self::Tmpd(rule) => vec![jacobian(&mut rule.jacobian)],
            Self::PiGdm(rule) => vec![variance(&mut rule.variance), jacobian(&mut rule.jacobian)],
            Self::Ddnm { variance: v } => vec![variance(v)],
            Self::DiffPir { lambda } => vec![Key::number("lambda", "the weight of the model", lambda, 1e-6..=1e6)],
            Self::Dps(rule) => vec![
                Key::number("zeta", "the length of a step along the gradient", &mut rule.zeta, 0.0..=1e6),
                jacobian(&mut rule.jacobian),
            ],
            Self::Ddrm(rule) => vec![
                Key::number("eta", "share of fresh noise in what was not measured", &mut rule.eta, 0.0..=1.0),
                Key::number("eta_b", "share of the measurement where its noise is below the time's", &mut rule.eta_b, 0.0..=1.0),
            ],
            Self::RePaint { repeats } => {
                vec![Key::count("repeats", "how often each step is made", repeats, 1..=MOST_REPEATS)]
            }
            Self::Tds(rule) => vec![
                Key::count("particles", "of a sample", &mut rule.particles, 1..=MOST_PARTICLES),
                variance(&mut rule.variance),
                jacobian(&mut rule.jacobian),
            ],
        }
    }
}

named!(RuleKind);
