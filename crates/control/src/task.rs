//! What is asked of a model by name: `TASK[:key=value,...]`, several after each other, `TASK+TASK`, and beside each other, `TASK & TASK`.

mod build;
mod several;

pub use build::TaskError;
pub use several::{Chain, Tasks};

use crate::operator::{Kernel, Matrix, Shape};
use scorefield_sample::named::Listed;
use scorefield_sample::solver::Key;
use scorefield_sample::{choice, named};

/// A measurement by name with its options: an operator on natural values (bytes from 0 to 255, the units of a table).
///
/// ```
/// use scorefield_control::Task;
/// let task: Task = "super-resolution:factor=2".parse().unwrap();
/// assert_eq!(task.to_string(), "super-resolution:factor=2");
/// assert!("deblurr".parse::<Task>().unwrap_err().to_string().contains("deblur"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// What a mask hides is filled in.
    Inpaint,
    /// The whole, under noise.
    Denoise,
    /// Smaller by a factor.
    SuperResolution {
        /// The factor.
        factor: usize,
        /// How it was made smaller.
        by: Smaller,
    },
    /// A blur taken away: Gaussian, of a motion where `motion > 0`, or of a kernel that is given.
    Deblur {
        /// Deviation of the Gaussian in pixels.
        sigma: f64,
        /// Length of the motion in pixels.
        motion: f64,
        /// Its angle in degrees, counter-clockwise from the rows.
        angle: f64,
        /// How the picture goes on beyond its edges.
        edge: Beyond,
    },
    /// Colour for a grey picture.
    Colourise,
    /// Fewer random projections than entries.
    CompressedSensing {
        /// Projections, as a share of the entries.
        share: f64,
        /// The seed of the projections.
        seed: usize,
    },
    /// The products with a matrix that is given.
    Matrix,
    /// Some lines of the Fourier transform.
    Mri {
        /// Lines, as a share of all.
        share: f64,
        /// Those of the lowest frequencies, as a share of all.
        centre: f64,
        /// The seed of the others.
        seed: usize,
    },
    /// Line integrals at evenly spread angles.
    Ct {
        /// How many.
        angles: usize,
    },
    /// Over-exposed: `min(gain x, 255)`, 255 being the brightest.
    Declip {
        /// The gain.
        gain: f64,
    },
    /// A display's curve.
    Gamma {
        /// The power.
        power: f64,
    },
    /// Amplitudes of the Fourier transform without their phases.
    PhaseRetrieval {
        /// How much the picture is padded on both sides.
        oversampling: usize,
    },
}

choice! {
    /// How a picture was made smaller.
    Smaller {
        Average = "average": "The mean of every block.",
        Bicubic = "bicubic": "Bicubic with anti-aliasing.",
    }
}

choice! {
    /// How a picture goes on beyond its edges, [`Edge`](crate::operator::Edge) by name.
    Beyond {
        Mirror = "mirror": "It is mirrored.",
        Wrap = "wrap": "It begins anew at the other side.",
        Zero = "zero": "It is zero.",
    }
}

/// What comes beside the options: from files.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Which entries of a state are known, for [`Task::Inpaint`].
    pub mask: Option<Vec<bool>>,
    /// The kernel of [`Task::Deblur`].
    pub kernel: Option<Kernel>,
    /// The matrix of [`Task::Matrix`].
    pub matrix: Option<Matrix>,
    /// The darkest and the brightest value of the data, for [`Task::Declip`] and [`Task::Gamma`]; 0 and 255 if none are given.
    pub bounds: Option<(f64, f64)>,
}

/// What a measurement looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A picture of this shape.
    Picture(Shape),
    /// Some entries of a picture of this shape, which is given whole.
    Part(Shape),
    /// Numbers, so many.
    Numbers(usize),
}

impl Task {
    /// Every task with its usual options: the one list that tests and listings walk.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Inpaint,
            Self::SuperResolution { factor: 4, by: Smaller::Average },
            Self::Deblur { sigma: 1.0, motion: 0.0, angle: 0.0, edge: Beyond::Mirror },
            Self::Colourise,
            Self::Denoise,
            Self::CompressedSensing { share: 0.25, seed: 0 },
            Self::Matrix,
            Self::Mri { share: 0.33, centre: 0.08, seed: 0 },
            Self::Ct { angles: 12 },
            Self::Declip { gain: 2.0 },
            Self::Gamma { power: 2.2 },
            Self::PhaseRetrieval { oversampling: 2 },
        ]
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inpaint => "inpaint",
            Self::Denoise => "denoise",
            Self::SuperResolution { .. } => "super-resolution",
            Self::Deblur { .. } => "deblur",
            Self::Colourise => "colourise",
            Self::CompressedSensing { .. } => "compressed-sensing",
            Self::Matrix => "matrix",
            Self::Mri { .. } => "mri",
            Self::Ct { .. } => "ct",
            Self::Declip { .. } => "declip",
            Self::Gamma { .. } => "gamma",
            Self::PhaseRetrieval { .. } => "phase-retrieval",
        }
    }

    /// One line: what was measured.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Inpaint => "fill in what a mask hides; columns of a table and gaps of a series too",
            Self::Denoise => "take noise away",
            Self::SuperResolution { .. } => "enlarge a picture that was made smaller",
            Self::Deblur { .. } => "take a blur away: Gaussian, of a motion (motion > 0), or of --kernel FILE",
            Self::Colourise => "give colour to a grey picture",
            Self::CompressedSensing { .. } => "from random projections, fewer than entries",
            Self::Matrix => "from the products with --matrix FILE.npy, [m, d]",
            Self::Mri { .. } => "from some lines of the Fourier transform",
            Self::Ct { .. } => "from line integrals at some angles",
            Self::Declip { .. } => "from a picture that is over-exposed, min(gain x, 255)",
            Self::Gamma { .. } => "from a picture under a display's curve",
            Self::PhaseRetrieval { .. } => "from Fourier amplitudes without phases",
        }
    }
}

impl Listed for Task {
    const WHAT: &'static str = "task";

    fn all() -> Vec<Self> {
        Self::all()
    }

    fn name(&self) -> &'static str {
        self.name()
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        match self {
            Self::Inpaint | Self::Denoise | Self::Colourise | Self::Matrix => Vec::new(),
            Self::SuperResolution { factor, by } => {
                vec![Key::count("factor", "how much smaller", factor, 1..=4096), Key::choice("by", "how it was made smaller", by)]
            }
            Self::Deblur { sigma, motion, angle, edge } => vec![
                Key::number("sigma", "deviation of the Gaussian in pixels", sigma, 1e-3..=256.0),
                Key::number("motion", "length of a motion in pixels; 0 is a Gaussian", motion, 0.0..=1024.0),
                Key::number("angle", "of the motion in degrees, counter-clockwise", angle, -360.0..=360.0),
                Key::choice("edge", "how the picture goes on beyond its edges", edge),
            ],
            Self::CompressedSensing { share, seed } => vec![
                Key::number("share", "projections, as a share of the entries", share, 1e-6..=1.0),
                Key::count("seed", "of the projections", seed, 0..=usize::MAX),
            ],
            Self::Mri { share, centre, seed } => vec![
                Key::number("share", "lines, as a share of all", share, 1e-6..=1.0),
                Key::number("centre", "those of the lowest frequencies, as a share of all", centre, 0.0..=1.0),
                Key::count("seed", "of the other lines", seed, 0..=usize::MAX),
            ],
            Self::Ct { angles } => vec![Key::count("angles", "how many, evenly spread", angles, 1..=100_000)],
            Self::Declip { gain } => vec![Key::number("gain", "of the exposure", gain, 1e-6..=1e6)],
            Self::Gamma { power } => vec![Key::number("power", "of the curve", power, 1e-3..=1e3)],
            Self::PhaseRetrieval { oversampling } => {
                vec![Key::count("oversampling", "how much the picture is padded on both sides", oversampling, 1..=8)]
            }
        }
    }
}

named!(Task);
