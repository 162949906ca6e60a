//! Which whole times of a discrete-time process are visited: the spacings of DDPM's and DDIM's programs, each by its formula.
//!
//! All count in decreasing time and are written for `T` times 0, ..., T - 1 and `n` of them. Halves are rounded to the even
//! number, as the programs they come from do.

use super::GridError;

fn enough(steps: usize, n: usize) -> Result<(), GridError> {
    match n {
        0 => Err(GridError::Empty),
        n if n > steps => Err(GridError::TooMany { found: n, expected: steps }),
        _ => Ok(()),
    }
}

/// `round(i (T - 1) / (n - 1))`: both ends are visited. A single time is the last.
///
/// # Errors
/// Unless `1 <= n <= T`.
pub fn linspace(steps: usize, n: usize) -> Result<Vec<usize>, GridError> {
    enough(steps, n)?;
    if n == 1 {
        return Ok(vec![steps - 1]);
    }
    let step = (steps - 1) as f64 / (n - 1) as f64;
    Ok((0..n).rev().map(|i| (i as f64 * step).round_ties_even() as usize).collect())
}

/// `i floor(T / n) + offset`: the time 0 is visited (with offset 0), the last times are not (Song et al. 2021, DDIM).
///
/// # Errors
/// Unless `1 <= n <= T`, or when the offset moves a time beyond `T - 1`.
pub fn leading(steps: usize, n: usize, offset: usize) -> Result<Vec<usize>, GridError> {
    enough(steps, n)?;
    let ratio = steps / n;
    let times: Vec<usize> = (0..n).rev().map(|i| (i * ratio).saturating_add(offset)).collect();
    match times[0] {
        first if first >= steps => {
            let (value, high) = (first as f64, (steps - 1) as f64);
            Err(GridError::Outside { what: "time", index: 0, value, low: 0.0, high })
        }
        _ => Ok(times),
    }
}

/// `round(T - i T / n) - 1`: the last time is visited, the time 0 is not (Lin et al. 2024, table 2).
///
/// # Errors
/// Unless `1 <= n <= T`.
pub fn trailing(steps: usize, n: usize) -> Result<Vec<usize>, GridError> {
    enough(steps, n)?;
    let ratio = steps as f64 / n as f64;
    Ok((0..n).map(|i| (steps as f64 - i as f64 * ratio).round_ties_even() as usize - 1).collect())
}

/// The times cut into as many equal sections as there are counts, and `counts[k]` times spread over section `k`, its ends among
/// them (the respacing of Nichol and Dhariwal 2021; "ddimN" of theirs is [`leading`] where `N` divides `T`).
///
/// # Errors
/// When a section has fewer times than are asked of it, or there is none.
pub fn sections(steps: usize, counts: &[usize]) -> Result<Vec<usize>, GridError> {
    if counts.iter().all(|c| *c == 0) || counts.len() > steps {
        return Err(GridError::Empty);
    }
    let (size, extra) = (steps / counts.len(), steps % counts.len());
    let (mut times, mut start) = (Vec::new(), 0);
    for (k, &count) in counts.iter().enumerate() {
        let size = size + usize::from(k < extra);
        if count > size {
            return Err(GridError::TooMany { found: count, expected: size });
        }
        let stride = if count > 1 { (size - 1) as f64 / (count - 1) as f64 } else { 1.0 };
        // Summed and not multiplied, as there: a half may fall to either side.
        let mut place = 0.0f64;
        for _ in 0..count {
            times.push(start + place.round_ties_even() as usize);
            place += stride;
        }
        start += size;
    }
    times.reverse();
    Ok(times)
}
