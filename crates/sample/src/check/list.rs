//! What is measured: every process, every solver with its usual options and those whose other options are other methods.

use crate::SolverKind;
use scorefield_process::{Process, ProcessConfig, ProcessExt, Span};

/// The processes with derivatives of every order, which claims of an order suppose: all but tables of rates.
pub fn processes() -> Vec<ProcessConfig> {
    let smooth = |config: &ProcessConfig| config.build().is_ok_and(|process| process.smooth());
    ProcessConfig::all().into_iter().filter(smooth).collect()
}

/// Every solver with its usual options, and those whose other options are other methods.
pub fn kinds() -> Vec<SolverKind> {
    let others = [
        "euler:s_churn=4",
        "heun:s_churn=4",
        "heun:alpha=0.7",
        "ddim:eta=1",
        "ddpm:variance=large",
        "pc:n_steps=0",
        "pc:predictor=ancestral,n_steps=0",
        "pc:predictor=euler-maruyama",
        "pc:norm=batch",
        "dpm-solver:order=1",
        "dpm-solver:order=3",
        "dpm-solver:order=3,predicts=data,variant=heun",
        "dpm-solver:nodes=grid",
        "dpm-multistep:order=3",
        "dpmpp-2m:variant=heun",
        "dpmpp-3m:third=published",
        "unipc:order=1,variant=bh1",
        "unipc:order=3",
        "unipc:order=3,corrector=false,predicts=noise",
        "unipc:variant=bh1",
        "deis:order=2,basis=time",
        "deis:basis=time",
        "euler-maruyama:eta=0.7",
        "euler-maruyama:eta=1.5",
        "euler-ancestral:eta=0",
        "dpm2-ancestral:eta=0",
        "dpm2-ancestral:eta=0.5",
        "dpmpp-2s-ancestral:eta=0",
        "dpmpp-2s-ancestral:eta=0.5",
        "dpmpp-sde:eta=0,r=0.4",
        "dpmpp-sde:eta=0.5",
        "dpmpp-sde:r=0.4",
        "dpmpp-sde:coupled=false",
        "dpmpp-2m-sde:eta=0",
        "dpmpp-2m-sde:eta=0.5,solver=heun",
        "dpmpp-2m-sde:eta=0,solver=heun",
        "dpmpp-2m-sde:on=noise",
        "dpmpp-2m-sde:eta=0,on=noise,solver=heun",
        "dpmpp-3m-sde:eta=0",
        "sra:eta=0",
        "sra:eta=0.6",
        "annealed-langevin:rule=ncsn,step=0.4",
        "midpoint:clock=time",
        "rk4:clock=log-snr",
        "bogacki-shampine:steps=fixed",
        "dormand-prince:steps=fixed",
        "tsit5:steps=fixed,clock=ratio",
        "dpm-2:s_churn=4",
        "lms:order=3",
        "lms:start=low",
        "etd-ab:through=noise",
        "etd-ab:order=4",
        "pndm:skip_prk=true",
        "pndm:through=v",
        "dpm-fast:rest=0",
        "dpm-fast:rest=1,eta=1",
        "dpm-adaptive:order=2,rtol=0.01",
        "dpm-adaptive:eta=1",
    ];
    let parse = |text: &&str| text.parse().expect("the options of this list are known");
    SolverKind::all().into_iter().chain(others.iter().map(parse)).collect()
}

/// The part of a span in which orders are measured: noise levels `sigma / alpha` from 4 to 0.05. Beyond, the error is not that of
/// the smooth middle but of the singular ends, and halving tells nothing.
pub fn middle(process: &(impl Process + ?Sized)) -> Span {
    Span { start: process.time_of_ratio(0.05), end: process.time_of_ratio(4.0) }
}
