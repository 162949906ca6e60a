//! Neighbours, classes, supports, memorising, and the comparison of everything.

use scorefield_eval::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;

fn cloud(seed: u64, n: usize, centre: [f32; 2], deviation: f32) -> Vec<f32> {
    (0..n)
        .flat_map(|i| {
            let mut z = [0.0f32; 2];
            Stream::new(seed, i as u64, Purpose::User, 0, 0).fill_normal_f32(&mut z);
            [centre[0] + deviation * z[0], centre[1] + deviation * z[1]]
        })
        .collect()
}

fn rows(values: Vec<f32>) -> RowsBuf {
    let n = values.len() / 2;
    RowsBuf::new(values, n, 2)
}

/// Against a full sort, with ties, for several k.
#[test]
fn neighbours_are_the_nearest() {
    let references: Vec<f32> = cloud(1, 60, [0.0; 2], 2.0).iter().map(|v| v.round()).collect();
    let (queries, references) = (rows(cloud(2, 25, [0.0; 2], 2.0).iter().map(|v| v.round()).collect()), rows(references));
    for k in [1, 3, 60] {
        for (query, near) in queries.view().iter().zip(nearest(queries.view(), references.view(), k).unwrap()) {
            let mut all: Vec<(f32, usize)> = references
                .view()
                .iter()
                .enumerate()
                .map(|(i, r)| ((r[0] - query[0]).powi(2) + (r[1] - query[1]).powi(2), i))
                .collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (found, (squared, index)) in near.iter().zip(&all) {
                assert_eq!((found.index, found.distance), (*index, f64::from(*squared).sqrt()));
            }
            assert_eq!(near.len(), k);
        }
    }
    for (i, near) in nearest_others(references.view(), 2).unwrap().iter().enumerate() {
        assert!(near.iter().all(|b| b.index != i));
    }
    assert!(nearest(queries.view(), references.view(), 61).unwrap_err().to_string().contains("at least 61 rows"));
}

#[test]
fn classes_far_apart_are_recognised_and_votes_count() {
    let train = rows([cloud(3, 50, [0.0, 0.0], 0.3), cloud(4, 50, [5.0, 0.0], 0.3)].concat());
    let labels: Vec<u32> = (0..100).map(|i| i / 50).collect();
    let test = rows([cloud(5, 20, [0.0, 0.0], 0.3), cloud(6, 20, [5.0, 0.0], 0.3)].concat());
    let truth: Vec<u32> = (0..40).map(|i| i / 20).collect();
    let classifier = Classifier::new(train.view(), &labels, 5);
    assert_eq!(classifier.accuracy(test.view(), &truth).unwrap(), 1.0);
    let wrong: Vec<u32> = truth.iter().map(|l| 1 - l).collect();
    assert_eq!(classifier.accuracy(test.view(), &wrong).unwrap(), 0.0);

    // Places 1, 2, 3, 4 on a line with labels 7, 8, 8, 7, seen from 0.
    let line = RowsBuf::new(vec![1.0, 2.0, 3.0, 4.0], 4, 1);
    let at = RowsBuf::new(vec![0.0], 1, 1);
    let vote = |k| Classifier::new(line.view(), &[7, 8, 8, 7], k).classify(at.view()).unwrap()[0];
    assert_eq!([vote(1), vote(2), vote(3), vote(4)], [7, 7, 8, 7]);
}

/// A set covers itself; sets far apart cover nothing; half the modes make precision 1 and recall 1/2.
#[test]
fn precision_and_recall_of_modes() {
    let real = rows([cloud(7, 100, [0.0, 0.0], 1.0), cloud(8, 100, [50.0, 0.0], 1.0)].concat());
    let own = precision_recall(real.view(), real.view(), 3).unwrap();
    assert_eq!((own.precision, own.recall), (1.0, 1.0));
    let far = rows(cloud(9, 100, [0.0, 500.0], 1.0));
    let none = precision_recall(far.view(), real.view(), 3).unwrap();
    assert_eq!((none.precision, none.recall), (0.0, 0.0));
    let one_mode = rows(cloud(10, 200, [0.0, 0.0], 1.0));
    let half = precision_recall(one_mode.view(), real.view(), 3).unwrap();
    assert!(half.precision > 0.8, "{half:?}");
    assert!((0.3..=0.5).contains(&half.recall), "{half:?}");
}

#[test]
fn copies_of_the_training_data_are_seen() {
    let training = rows(cloud(11, 400, [0.0; 2], 1.0));
    let held_out = rows(cloud(12, 400, [0.0; 2], 1.0));
    let honest = memorisation(rows(cloud(13, 400, [0.0; 2], 1.0)).view(), training.view(), held_out.view()).unwrap();
    assert!((0.7..1.4).contains(&honest.ratio), "{honest:?}");
    assert!((honest.copies - honest.held_out_copies).abs() < 0.1);
    let copied = memorisation(training.view().first(50), training.view(), held_out.view()).unwrap();
    assert_eq!((copied.ratio, copied.copies), (0.0, 1.0));
    assert!(copied.nearest.iter().enumerate().all(|(i, b)| b.index == i && b.distance == 0.0));
}

/// Halves are disjoint, cover an even set, do not depend on anything but the seed, and are shuffled.
#[test]
fn halves_partition_the_rows() {
    let real = RowsBuf::new((0..101).map(|v| v as f32).collect(), 101, 1);
    let (a, b) = halves(real.view(), 3);
    assert_eq!((a.view().len(), b.view().len()), (50, 50));
    let mut all: Vec<f32> = [a.view().values(), b.view().values()].concat();
    assert!(all.windows(2).any(|w| w[0] > w[1]));
    all.sort_by(f32::total_cmp);
    all.dedup();
    assert_eq!(all.len(), 100);
    assert_eq!(halves(real.view(), 3), (a.clone(), b));
    assert_ne!(halves(real.view(), 4).0, a);
}

/// Samples of the right law lie about as far from the data as the data; a shifted law lies further, by every distance.
#[test]
fn every_metric_stands_beside_real_against_real() {
    let real = rows(cloud(14, 1200, [0.0; 2], 1.0));
    let options = CompareOptions { directions: 64, ..CompareOptions::default() };
    let right = compare(rows(cloud(15, 600, [0.0; 2], 1.0)).view(), real.view(), &options).unwrap();
    let wrong = compare(rows(cloud(15, 600, [1.2, 0.6], 1.0)).view(), real.view(), &options).unwrap();
    let names: Vec<&str> = right.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        ["energy-distance", "energy-distance-unbiased", "mmd-squared", "sliced-wasserstein-2", "precision", "recall", "frechet"]
    );
    for (right, wrong) in right.iter().zip(&wrong) {
        assert_eq!(right.real_vs_real, wrong.real_vs_real, "{}", right.name);
        match right.name.as_str() {
            "precision" | "recall" => assert!(wrong.value < right.value - 0.02, "{right:?} {wrong:?}"),
            "energy-distance" => assert!(right.value < 3.0 * right.real_vs_real && wrong.value > 20.0 * wrong.real_vs_real),
            _ => assert!(wrong.value > 5.0 * right.value.abs(), "{right:?} {wrong:?}"),
        }
        if let Some(error) = right.standard_error {
            assert!(error.is_finite() && error >= 0.0);
        }
    }
}
