//! Every objective is reached from a recipe.

use super::*;

/// Every loss, weight, law and coupling by its key, as docs/objectives.md has them; a text of it is itself.
#[test]
fn every_objective_has_its_keys() {
    let keys = [
        "objective.loss={name='hybrid', lambda=0.01} network.learned_variance=true",
        "objective.loss={name='vlb', levels=50} network.learned_variance=true objective.times={name='loss-second-moment', bins=50}",
        "objective.loss={name='sliced', probes=2, variance_reduced=false, directions='normal'}",
        "objective.loss.name='exact-trace' objective.times={name='single', ratio=0.1}",
        "objective.weight={name='soft-min-snr', gamma=4.0} objective.times={name='log-uniform'}",
        "objective.weight={name='sigmoid', bias=-1.0} objective.times={name='importance'}",
        "objective.weight={name='anneal-power', power=2.0} objective.times={name='levels', levels=10}",
        "objective.uncertainty={features=16} objective.times={name='log-logistic', location=-1.0, scale=0.5}",
        "objective.times={name='cosine-interpolated', image=32.0, low=32.0, high=64.0, sigma_data='measured'}",
        "objective.coupling={name='optimal-transport'}",
        "objective.loss={name='vlb', levels=50} network.learned_variance=true objective.variance='free'",
        "objective.loss={name='vlb', levels=9} network.learned_variance=true process={name='discrete-linear', steps=9, beta_max=0.3} \
         rates={lr=0.02} time_input={time={scale=0.1}}",
        "objective.coupling={name='sinkhorn', epsilon=0.1} time_input=untold network.energy=true",
    ];
    for keys in keys {
        // A blank inside braces belongs to the key.
        let set: Vec<String> = keys.replace(", ", ",").split(' ').map(str::to_owned).collect();
        let recipe = resolve(&Choices { set, ..Choices::default() }, "toy:moons").unwrap_or_else(|e| panic!("{keys}: {e}"));
        recipe.train.validate().unwrap_or_else(|e| panic!("{keys}: {e}"));
        let text: crate::train::Objective = toml::Value::try_from(recipe.train.objective).unwrap().try_into().unwrap();
        assert_eq!(text, recipe.train.objective, "{keys}");
    }
    let refused = |keys: &[&str]| resolve(&set(keys), "toy:moons").unwrap().train.validate().unwrap_err().to_string();
    let hybrid = refused(&["objective.loss={name='hybrid'}"]);
    assert!(hybrid.contains("network.learned_variance is false"), "{hybrid}");
    assert!(refused(&["network.learned_variance=true"]).contains("false with all others"));
    assert!(refused(&["objective.loss={name='sliced',probes=0}"]).contains("objective.loss.probes is 0"));
    assert!(refused(&["objective.loss={name='exact-trace'}", "objective.uncertainty={}"]).contains("objective.uncertainty"));
    assert!(refused(&["objective.times={name='levels',levels=1}"]).contains("objective.times.levels is 1"));
    assert!(refused(&["objective.times={name='loss-second-moment',uniform=0}"]).contains("a share in (0, 1]"));
    let free = refused(&["objective.variance='free'"]);
    assert!(free.contains("objective.variance is Free") && free.contains("the loss hybrid or vlb"), "{free}");
    let chain = ["objective.loss={name='vlb',levels=9}", "network.learned_variance=true", "time_input={time={scale=0.1}}"];
    let with = |key: &str| refused(&[&chain[..], &["process={name='discrete-linear',steps=9}", "rates={}", key]].concat());
    for (key, expected) in [
        ("rates.first=1.5", "rates.first is 1.5, expected a rate between 0 and 1"),
        ("rates.lr=0", "rates.lr is 0, expected a learning rate above 0"),
        ("objective.loss={name='hybrid'}", "objective.loss is Hybrid"),
        ("process={name='vp-cosine'}", "process is \"vp-cosine\", expected a discrete table"),
        ("process={name='discrete-betas', betas=[0.1, 1.5, 0.2]}", "1.5"),
        ("process={name='discrete-jsd',steps=9}", "process is \"discrete-jsd\", expected rates below 1"),
        ("process={name='discrete-linear',steps=12}", "objective.loss.levels is 9 for a table of 12 rates"),
        ("prediction='flow'", "prediction is flow, expected one that needs no slope"),
        ("time_input='quarter-log-ratio'", "time_input is QuarterLogRatio"),
    ] {
        let found = with(key);
        assert!(found.contains(expected), "{key}: {found}");
    }
    let unknown = resolve(&set(&["objective.loss={name='slice'}"]), "toy:moons").unwrap_err().to_string();
    assert!(unknown.contains("did you mean \"sliced\""), "{unknown}");
}
