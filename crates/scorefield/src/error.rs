//! Why samples or bounds cannot be had of a model.

use scorefield_sample::PathError;

/// What a model cannot give.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GenerateError {
    /// A class was asked of a model that has none.
    #[error("class {found} was asked for, but the model was trained without classes; leave the class out")]
    NoClasses {
        /// What was asked for.
        found: String,
    },
    /// There is no such class.
    #[error("there is no class \"{found}\"; the model's classes are {known}{}", .near.as_ref().map(|n| format!(" (\"{n}\"?)")).unwrap_or_default())]
    NoSuchClass {
        /// What was asked for.
        found: String,
        /// The classes there are.
        known: String,
        /// The nearest of them.
        near: Option<String>,
    },
    /// A weight that is no number.
    #[error("guidance {weight}: expected a finite number; 1 is the conditional model itself")]
    Weight {
        /// The weight.
        weight: String,
    },
    /// A spread that is none.
    #[error("temperature {found}: expected a finite number from 0 on; 1 is the prior as it is")]
    Temperature {
        /// What was asked for.
        found: String,
    },
    /// A consistency model where a posterior mean is needed.
    #[error(
        "{what}: needs E[x_0 | x_t], but the model's prediction is consistency: it gives ends of paths; sample it by the solver \
         consistency, or take the model that it was distilled from"
    )]
    PathEnds {
        /// What cannot be done.
        what: String,
    },
    /// The solver of consistency models on another.
    #[error(
        "solver {solver}: samples consistency models only, but the model's prediction is {prediction}, a posterior mean; take another \
         solver, or distil the model first (recipe consistency-2d, --set consistency.teacher=MODEL)"
    )]
    NoPathEnds {
        /// The solver.
        solver: &'static str,
        /// What the model predicts.
        prediction: &'static str,
    },
    /// What is known does not fit the model.
    #[error("what is known of the samples: {what}")]
    Given {
        /// What does not fit, and what was expected.
        what: String,
    },
    /// A model of states with categories where numbers are needed.
    #[error(
        "{what}: works on numbers, and the data of the model have categories; it can be sampled (sample), and bounded (nll --bound)"
    )]
    Categories {
        /// What cannot be done.
        what: String,
    },
    /// A model of numbers where categories are needed.
    #[error("{what}: works on categories, and the data of the model are numbers alone")]
    Numbers {
        /// What cannot be done.
        what: String,
    },
    /// A bound that cannot be.
    #[error(transparent)]
    Bound(#[from] scorefield_sample::density::StatesBoundError),
    /// A solver of states that cannot sample the model.
    #[error("solver {solver}: {why}")]
    States {
        /// The solver.
        solver: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A change of schedule for a consistency model.
    #[error(
        "another process was asked for, but a consistency model's paths end where those of its own do; leave the process out"
    )]
    PathEndsProcess,
    /// A learned variance where none was learned.
    #[error(
        "solver {solver}: the variance of its steps is to be the learned one, but the model has learned none; take variance=small or \
         variance=large, or a model trained with a learned variance"
    )]
    NoVariance {
        /// The solver.
        solver: &'static str,
    },
    /// A sample came out infinite or as no number.
    #[error(
        "sample {sample} came out as {found}, not as numbers: a smaller --guidance, more --steps or another --solver may help"
    )]
    NotFinite {
        /// The sample's number.
        sample: u64,
        /// What stands in it.
        found: f32,
    },
    /// The grid does not fit the path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Guidance needs an unconditional model beside the conditional one.
    #[error("guidance {weight} was asked for, but the model {why}; leave guidance out, or use 1")]
    NoGuidance {
        /// The weight.
        weight: String,
        /// Why not.
        why: &'static str,
    },
    /// Something that changes guidance, and no guidance.
    #[error("{what} of guidance was asked for, but no weight of it; give a --guidance other than 1, or leave the rest out")]
    Unweighted {
        /// What was asked for.
        what: &'static str,
    },
    /// An interval of noise levels that is none, or that the model never meets.
    #[error("guidance interval {low},{high}: {why}")]
    Interval {
        /// Its lower end.
        low: String,
        /// Its upper end.
        high: String,
        /// What is wrong, and what was expected.
        why: String,
    },
    /// A share that is none.
    #[error("guidance rescale {found}: {why}")]
    Rescale {
        /// What was asked for.
        found: String,
        /// What is wrong, and what was expected.
        why: &'static str,
    },
    /// A guide of other data or another process.
    #[error(
        "the guide's {what} is {guide}, the model's is {model}; expected a weaker model of the same data under the same process: a smaller \
         one, or one of an earlier step"
    )]
    Guide {
        /// What differs.
        what: &'static str,
        /// The guide's.
        guide: String,
        /// The model's.
        model: String,
    },
    /// Conditions that cannot be joined.
    #[error("conditions {found}: {what}; expected CLASS=WEIGHT,..., for example 3=2,5=1.5,7=-1")]
    Conditions {
        /// What was asked for.
        found: String,
        /// What is wrong.
        what: String,
    },
    /// A classifier of other data or another process.
    #[error(
        "the classifier's {what}: {classifier}; the model's: {model}; expected a classifier of the model's own data and process: train it by \
         train DATA --classifier with the model's recipe"
    )]
    Classifier {
        /// What differs.
        what: &'static str,
        /// The classifier's.
        classifier: String,
        /// The model's.
        model: String,
    },
    /// A scale that is none.
    #[error("classifier scale {found}: expected a finite number; 1 is Bayes' rule, 0 the model alone")]
    ClassifierScale {
        /// What was asked for.
        found: String,
    },
    /// A classifier that could not be heard.
    #[error("guidance by a classifier was asked for, but {why}")]
    NoClassifierGuidance {
        /// Why not.
        why: &'static str,
    },
    /// A condition that a model was not trained with, or none for one that was.
    #[error("condition: {what}")]
    Condition {
        /// What is wrong, and what was expected.
        what: String,
    },
}
