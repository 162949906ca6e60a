//! How well a score tells two sets apart: the area under the receiver operating characteristic.
//!
//! It is the probability that a member of the second set scores higher than one of the first, ties counting half
//! (Mann and Whitney 1947), with the standard error of DeLong et al. 1988 from the spread of each member's own share.

use crate::EvalError;

/// An area and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auroc {
    /// `P(outside > inside) + P(equal) / 2`: 1/2 where the score tells nothing, 1 where every outsider scores higher.
    pub area: f64,
    /// Its standard error (DeLong et al. 1988); zero where the sets are apart.
    pub standard_error: f64,
}

/// The area for the scores of two sets.
///
/// # Errors
/// When a set has fewer than two members.
pub fn auroc(inside: &[f64], outside: &[f64]) -> Result<Auroc, EvalError> {
    for (set, scores) in [("first", inside), ("second", outside)] {
        if scores.len() < 2 {
            return Err(EvalError::TooFew { what: "the AUROC", set, found: scores.len(), needed: 2 });
        }
    }
    // The share of the other set that a member wins against.
    let sorted = |v: &[f64]| {
        let mut v = v.to_vec();
        v.sort_by(f64::total_cmp);
        v
    };
    let share_below = |sorted: &[f64], x: f64| {
        let (less, up_to) = (sorted.partition_point(|v| *v < x), sorted.partition_point(|v| *v <= x));
        0.5 * (less + up_to) as f64 / sorted.len() as f64
    };
    let (a, b) = (sorted(inside), sorted(outside));
    let of_outside: Vec<f64> = outside.iter().map(|&x| share_below(&a, x)).collect();
    let of_inside: Vec<f64> = inside.iter().map(|&x| 1.0 - share_below(&b, x)).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let area = mean(&of_outside);
    let part = |v: &[f64]| v.iter().map(|s| (s - area).powi(2)).sum::<f64>() / (v.len() - 1) as f64 / v.len() as f64;
    Ok(Auroc { area, standard_error: (part(&of_outside) + part(&of_inside)).sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_cases() {
        let area = |a: &[f64], b: &[f64]| auroc(a, b).unwrap().area;
        assert_eq!(area(&[0.0, 1.0], &[2.0, 3.0]), 1.0);
        assert_eq!(area(&[2.0, 3.0], &[0.0, 1.0]), 0.0);
        assert_eq!(area(&[1.0, 1.0], &[1.0, 1.0]), 0.5);
        // Of six pairs four are won and one is a tie.
        assert_eq!(area(&[1.0, 2.0], &[2.0, 3.0, 0.0]), (1.0 + 0.5 + 1.0 + 1.0) / 6.0);
        assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]).unwrap().standard_error, 0.0);
        assert!(auroc(&[1.0], &[1.0, 2.0]).unwrap_err().to_string().contains("AUROC"));
    }

    /// Shares by hand: of the second set 1/2 and 1, of the first 1 and 1/2: variances 1/8 each.
    #[test]
    fn the_error_of_four_numbers() {
        let a = auroc(&[0.0, 2.0], &[1.0, 3.0]).unwrap();
        assert_eq!(a.area, 0.75);
        assert!((a.standard_error - (0.125f64 / 2.0 + 0.125 / 2.0).sqrt()).abs() < 1e-15);
    }
}
