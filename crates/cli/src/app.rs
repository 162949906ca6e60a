//! The arguments and the list of verbs.

use crate::context::{Context, Global};
use crate::failure::{Ended, misuse};
use crate::verbs;
use anyhow::Result;
use clap::{Parser, Subcommand};

/// Score-based generative modelling through differential equations.
///
/// Trains on a folder of pictures, an array or a named set, and samples what it learned. DATA is a folder of pictures (sub-folders are
/// classes), an IDX file, a CIFAR folder, .npy, .npz, .csv, toy:NAME or digits. MODEL is a model file, a run folder or another project's
/// checkpoint.
///
/// Not in this version: parquet.
#[derive(Parser, Debug)]
#[command(name = "scorefield", version, max_term_width = 120)]
pub(crate) struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Demo(verbs::demo::Demo),
    Train(verbs::train::Train),
    Sample(Box<verbs::sample::Sample>),
    Nll(verbs::nll::Nll),
    Solve(Box<verbs::solve::Solve>),
    Encode(verbs::latent::Encode),
    Decode(verbs::latent::Decode),
    Interpolate(verbs::latent::Interpolate),
    Eval(verbs::eval::Eval),
    Import(verbs::import::Import),
    Info(verbs::info::Info),
    Check(verbs::check::Check),
    Predict(verbs::predict::Predict),
    Export(verbs::export::Export),
    Bench(verbs::bench::Bench),
    Plot(verbs::plot::Plot),
    /// No verb.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Every verb, in the order of the contract.
const VERBS: [&str; 16] = [
    "demo",
    "train",
    "sample",
    "nll",
    "encode",
    "decode",
    "interpolate",
    "solve",
    "eval",
    "import",
    "info",
    "check",
    "predict",
    "export",
    "bench",
    "plot",
];

/// Runs one verb.
pub(crate) fn run(arguments: Arguments) -> Result<Ended> {
    if let Verb::Other(words) = &arguments.verb {
        return Err(unknown(words));
    }
    let context = Context::new(&arguments.global)?;
    if !matches!(
        arguments.verb,
        Verb::Sample(_) | Verb::Solve(_) | Verb::Predict(_) | Verb::Bench(_) | Verb::Train(_) | Verb::Info(_)
    ) {
        context.in_single_precision("this verb")?;
    }
    // On a thread of the pool: from outside, each of the hundreds of operations of a step would wake the pool and wait to be woken.
    rayon::scope(|_| dispatch(arguments.verb, &context))
}

fn dispatch(verb: Verb, context: &Context) -> Result<Ended> {
    match verb {
        Verb::Demo(verb) => verb.run(context),
        Verb::Train(verb) => verb.run(context),
        Verb::Sample(verb) => verb.run(context),
        Verb::Nll(verb) => verb.run(context),
        Verb::Solve(verb) => verb.run(context),
        Verb::Encode(verb) => verb.run(context),
        Verb::Decode(verb) => verb.run(context),
        Verb::Interpolate(verb) => verb.run(context),
        Verb::Eval(verb) => verb.run(context),
        Verb::Import(verb) => verb.run(context),
        Verb::Info(verb) => verb.run(context),
        Verb::Check(verb) => verb.run(context),
        Verb::Predict(verb) => verb.run(context),
        Verb::Export(verb) => verb.run(context),
        Verb::Bench(verb) => verb.run(context),
        Verb::Plot(verb) => verb.run(context),
        Verb::Other(words) => Err(unknown(&words)),
    }
}

fn unknown(words: &[String]) -> anyhow::Error {
    let name = words.first().map_or("", String::as_str);
    let near = scorefield::sample::nearest(name, VERBS).unwrap_or_default();
    misuse(format!("there is no verb \"{name}\"; did you mean \"{near}\"? The verbs are {}", VERBS.join(", ")))
}
