//! Without the feature a file is not opened, and the error says what to build.

#![cfg(not(feature = "runtime"))]

use scorefield_onnx::{OnnxConfig, OnnxDenoiser, OnnxError};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

#[test]
fn the_feature_is_named() {
    let config = OnnxConfig::new(ProcessConfig::all()[0].clone(), Prediction::Noise, TimeInput::Ratio, &[3, 8, 8]);
    assert_eq!(config.dim(), 192);
    let error = OnnxDenoiser::open("net.onnx", config).unwrap_err();
    assert!(matches!(error, OnnxError::NotBuilt { .. }));
    let text = error.to_string();
    assert!(text.contains("net.onnx: built without ONNX") && text.contains("--features onnx"), "{text}");
}
