//! Solvers by name: what is written is read back, and what cannot be read is explained.

use scorefield_sample::check::kinds;
use scorefield_sample::{NamedError, SolverKind};

#[test]
fn what_is_written_is_read_back() {
    for kind in kinds() {
        let text = kind.to_string();
        assert_eq!(text.parse::<SolverKind>().as_ref(), Ok(&kind), "{text}");
        let json = serde_json::to_string(&kind).expect("a string");
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<SolverKind>(&json).expect("read back"), kind);
    }
    let full = "pc:predictor=ancestral,snr=0.1,n_steps=2,norm=batch";
    assert_eq!(full.parse::<SolverKind>().expect("known options").to_string(), full);
    assert_eq!(" ddim : eta = 0.5 ".parse::<SolverKind>().expect("spaces do not matter").to_string(), "ddim:eta=0.5");
}

#[test]
fn names_are_distinct_and_listed_with_their_options() {
    let all = SolverKind::all();
    let mut names: Vec<_> = all.iter().map(SolverKind::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
    for kind in &all {
        assert_eq!(kind.to_string(), kind.name(), "the usual options are not written");
        assert!(!kind.about().is_empty() && kind.evaluations_per_step() > 0);
        // Every listed option can be set to the value shown.
        for [name, value, expected, about] in kind.options() {
            let text = format!("{}:{name}={value}", kind.name());
            assert_eq!(text.parse::<SolverKind>().as_ref(), Ok(kind), "{text} ({expected}; {about})");
        }
    }
}

#[test]
fn mistakes_are_explained() {
    let error = |text: &str| text.parse::<SolverKind>().expect_err(text);
    for (text, pieces) in [
        ("dmi", vec!["\"dmi\"", "\"ddim\"", "euler, heun"]),
        ("dpm++2m", vec!["\"dpmpp-2m\""]),
        ("EULER", vec!["\"euler\""]),
        ("", vec!["no solver \"\"", "euler, heun"]),
        ("ddim:etta=1", vec!["ddim", "\"etta\"", "\"eta\""]),
        ("euler-maruyama:snr=1", vec!["euler-maruyama", "\"snr\"", "\"eta\""]),
        ("ddim:eta=lots", vec!["ddim", "eta", "\"lots\"", "a number from 0 to 1"]),
        ("ddim:eta=1.5", vec!["eta", "\"1.5\"", "a number from 0 to 1"]),
        ("ddim:eta=nan", vec!["eta", "\"nan\"", "a number from 0 to 1"]),
        ("pc:n_steps=-1", vec!["n_steps", "\"-1\"", "a whole number from 0 to 100"]),
        ("ddpm:variance=medium", vec!["variance", "\"medium\"", "one of small, large"]),
        ("heun:s_churn", vec!["heun", "\"s_churn\"", "key=value"]),
        ("dpmpp-2m:lower_order_final=1", vec!["lower_order_final", "\"1\"", "true or false"]),
    ] {
        let message = error(text).to_string();
        assert!(pieces.iter().all(|p| message.contains(p)), "{text}: {message}");
    }
    assert!(matches!(error("ddim:eta=2"), NamedError::BadValue { name: "ddim", key: "eta", .. }));
    assert!(serde_json::from_str::<SolverKind>("\"nothing\"").is_err());
}
