//! Codecs: decode is the inverse of encode for every kind of data and range, and encoded values lie where the range says.

use proptest::prelude::*;
use scorefield_data::{Codec, CodecOptions, DataError, Dataset, Range, Shape, Value};

const RANGES: [Range; 4] = [Range::Auto, Range::MinusOneOne, Range::ZeroOne, Range::Standardise];

fn fitted(data: &Dataset, range: Range) -> Codec {
    let codec = Codec::fit(data, &CodecOptions { range }).unwrap();
    codec.validate().unwrap();
    codec
}

/// All rows, encoded and decoded.
fn there_and_back(data: &Dataset, codec: &Codec) -> Vec<(Vec<f32>, Vec<f32>, Vec<f32>)> {
    let of = |i: usize| {
        let d = data.shape().len();
        let (mut natural, mut state, mut back) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
        data.row(i, &mut natural);
        codec.encode_row(&natural, &mut state);
        codec.decode_row(&state, &mut back);
        (natural, state, back)
    };
    (0..data.len()).map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Bytes come back as they were, whatever the range.
    #[test]
    fn bytes_are_exact(values in proptest::collection::vec(any::<u8>(), 24), range in 0usize..4) {
        let mut values: Vec<f32> = values.into_iter().map(f32::from).collect();
        // Two values a channel, so that none is constant.
        values.chunks_mut(12).for_each(|row| row.chunks_mut(4).for_each(|plane| (plane[0], plane[1]) = (0.0, 255.0)));
        let data = Dataset::from_rows("bytes", Shape::Image { channels: 3, height: 2, width: 2 }, values, None);
        prop_assert_eq!(data.value(), Value::Byte);
        let codec = fitted(&data, RANGES[range]);
        for (natural, state, back) in there_and_back(&data, &codec) {
            prop_assert_eq!(natural, back);
            let (low, high) = codec.range(0).unwrap();
            prop_assert!(state.iter().all(|v| (low - 1e-6..=high + 1e-6).contains(&f64::from(*v))) || range == 3);
        }
    }

    /// Real numbers come back up to rounding, relative to the spread of their channel, whatever their size and place.
    #[test]
    fn numbers_are_exact_up_to_rounding(
        values in proptest::collection::vec(-1.0f32..1.0, 30),
        power in -20i32..20,
        place in -100.0f32..100.0,
        range in 0usize..4,
    ) {
        let scale = (power as f32).exp2();
        let mut values: Vec<f32> = values.into_iter().map(|v| (v + place) * scale).collect();
        // Far enough apart that no channel is constant.
        (0..3).for_each(|c| (values[c], values[3 + c]) = ((place - 1.0) * scale, (place + 1.0) * scale));
        let data = Dataset::from_rows("numbers", Shape::Vector { dim: 3 }, values, None);
        let codec = fitted(&data, RANGES[range]);
        let limit = 1e-6 * (place.abs() + 1.0) * scale * 4.0;
        for (natural, state, back) in there_and_back(&data, &codec) {
            natural.iter().zip(&back).for_each(|(a, b)| assert!((a - b).abs() <= limit, "{a} {b} {limit}"));
            let (low, high) = match RANGES[range] {
                Range::MinusOneOne => (-1.0, 1.0),
                Range::ZeroOne => (0.0, 1.0),
                _ => (-4.0, 4.0),
            };
            prop_assert!(state.iter().all(|v| (low - 1e-4..=high + 1e-4).contains(v)), "{state:?}");
        }
    }

    /// The log-determinant is what finite differences say.
    #[test]
    fn the_determinant_is_that_of_the_map(values in proptest::collection::vec(-3.0f32..3.0, 40), range in 0usize..4) {
        let mut values = values;
        (0..4).for_each(|c| (values[c], values[4 + c]) = (-3.0, 3.0));
        let data = Dataset::from_rows("numbers", Shape::Vector { dim: 4 }, values, None);
        let codec = fitted(&data, RANGES[range]);
        let at = |v: f32| {
            let mut state = vec![0.0; 4];
            codec.encode_row(&[v; 4], &mut state);
            state
        };
        let slopes: f64 = at(1.0).iter().zip(at(-1.0)).map(|(a, b)| (f64::from(a - b) / 2.0).ln()).sum();
        prop_assert!((codec.log_det() - slopes).abs() < 1e-4, "{} {slopes}", codec.log_det());
    }
}

/// A codec survives its file format bit for bit; one that makes no sense is refused.
#[test]
fn codecs_are_stored() {
    let data = Dataset::from_rows("n", Shape::Vector { dim: 2 }, vec![0.1, 1e-9, 0.7, 3e8], None);
    let codec = fitted(&data, Range::Auto);
    let text = serde_json::to_string(&codec).unwrap();
    assert_eq!(serde_json::from_str::<Codec>(&text).unwrap(), codec);
    let mut wrong: serde_json::Value = serde_json::from_str(&text).unwrap();
    wrong["scale"][0] = (-1.0).into();
    let wrong: Codec = serde_json::from_value(wrong).unwrap();
    assert!(matches!(wrong.validate(), Err(DataError::Codec { .. })));
    let constant = Dataset::from_rows("n", Shape::Vector { dim: 2 }, vec![0.1, 5.0, 0.7, 5.0], None);
    let error = Codec::fit(&constant, &CodecOptions::default()).unwrap_err().to_string();
    assert!(error.contains("`c1` is 5 everywhere"), "{error}");
}
