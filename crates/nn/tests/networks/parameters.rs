//! Parameters before training, and on their way to the host and back.

use super::*;

/// The moments the rules promise, the same numbers for the same seed, others for another.
#[test]
fn drawn_parameters() {
    let spec = |init| ParamSpec { name: "w".into(), shape: vec![200, 500], init, trainable: true };
    let variance = |v: &[f32]| v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / v.len() as f64;
    for (init, expected) in [
        (Init::fan_average(500, 200, 1.0), 1.0 / 350.0),
        (Init::fan_in(500, 1.0 / 3.0), 1.0 / 1500.0),
        (Init::Normal { std: 2.0 }, 4.0),
        (Init::Ones, 1.0),
        (Init::Zeros, 0.0),
    ] {
        let v = spec(init).draw(3, 7);
        assert!((variance(&v) - expected).abs() <= 0.02 * expected, "{init:?}: {} against {expected}", variance(&v));
        assert_eq!(v, spec(init).draw(3, 7));
        if !matches!(init, Init::Ones | Init::Zeros) {
            assert_ne!(v, spec(init).draw(4, 7));
            assert_ne!(v, spec(init).draw(3, 8));
            assert!(v.iter().map(|&v| f64::from(v)).sum::<f64>().abs() / (1e5 * expected).sqrt() < 5.0, "{init:?}: mean");
        }
    }
    assert_eq!(Init::fan_average(4, 4, 0.0), Init::Zeros);

    // A fresh network is zero whatever the scheme's body, so that a denoiser starts as its skip.
    for init in [InitScheme::Ddpm, InitScheme::Adm] {
        let NetworkConfig::UNet(base) = preset("digits8").unwrap().config else { panic!("a unet") };
        let network = NetworkConfig::UNet(UNetConfig { init, ..base }).build(&[1, 8, 8]).unwrap();
        let p = Params::init(network.params(), 0, &Default::default());
        let y = network.forward(&p, batch(numbers(1, 64, 0), 1, &Default::default()), &Input::at(vec![0.0]), &Mode::Eval);
        assert!(rows(y).iter().all(|&v| v == 0.0), "{init:?}");
    }
}

#[test]
fn parameters_to_the_host_and_back() {
    let network = preset("mlp-2d").unwrap().config.build(&[2]).unwrap();
    let device = Default::default();
    let p = Params::init(network.params(), 1, &device);
    let host = p.to_host();
    assert_eq!(Params::from_host(network.params(), host.clone(), &device).unwrap().to_host(), host);
    let few = Params::from_host(network.params(), host[1..].to_vec(), &device).unwrap_err();
    assert_eq!(few, ParamsError::Count { found: host.len() - 1, expected: host.len() });
    let mut wrong = host;
    wrong[1].push(0.0);
    let message = Params::from_host(network.params(), wrong, &device).unwrap_err().to_string();
    assert!(message.contains("embed.linear0.weight"), "{message}");
}
