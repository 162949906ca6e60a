//! Polynomials through past values, integrated exactly: the weights of multistep methods.

/// The Lagrange basis of the nodes as coefficients of 1, theta, theta^2, ...: entry `j` is one at node `j`, zero at the others.
fn basis(nodes: &[f64]) -> Vec<Vec<f64>> {
    let polynomial = |j: usize| {
        let others = nodes.iter().enumerate().filter(|(i, _)| *i != j);
        others.fold(vec![1.0], |p, (_, node)| {
            let mut next = vec![0.0; p.len() + 1];
            for (k, c) in p.iter().enumerate() {
                let c = c / (nodes[j] - node);
                next[k + 1] += c;
                next[k] -= c * node;
            }
            next
        })
    };
    (0..nodes.len()).map(polynomial).collect()
}

/// `int_0^1 e^((1 - theta) z) l_j(theta) dtheta` for every member of the basis: `sum_k c_k k! phi_(k+1)(z)`. At `z = 0` the plain integral.
pub(super) fn weights(nodes: &[f64], z: f64) -> Vec<f64> {
    let mut factorial = 1.0;
    let moments: Vec<f64> = (0..nodes.len())
        .map(|k| {
            factorial *= (k as f64).max(1.0);
            factorial * phi(k + 1, z)
        })
        .collect();
    basis(nodes).iter().map(|p| p.iter().zip(&moments).map(|(c, m)| c * m).sum()).collect()
}

/// `phi_k(z) = sum_j z^j / (j + k)!`, `phi_0 = e^z`, `phi_(k+1) = (phi_k - 1/k!) / z` (Hochbruck and Ostermann 2010, eq. 2.11).
fn phi(k: usize, z: f64) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    if z.abs() < 2.0 {
        // The recursion cancels here; the series is exact to rounding.
        let mut term = factorial(k).recip();
        let mut sum = term;
        for j in 1..40 {
            term *= z / (j + k) as f64;
            sum += term;
        }
        return sum;
    }
    match k {
        0 => z.exp(),
        _ => (phi(k - 1, z) - factorial(k - 1).recip()) / z,
    }
}

#[cfg(test)]
mod tests {
    use super::weights;

    /// Against the trapezoidal rule refined, and Adams and Bashforth's own weights.
    #[test]
    fn weights_are_the_integrals() {
        let adams = weights(&[0.0, -1.0, -2.0, -3.0], 0.0);
        let exact = [55.0, -59.0, 37.0, -9.0].map(|w| w / 24.0);
        assert!(adams.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-14), "{adams:?}");
        for z in [-6.0f64, -2.1, -1.9, -0.3, 0.4, 3.0] {
            let n = 20_000;
            let f = |theta: f64| ((1.0 - theta) * z).exp() * (theta + 0.7) / 0.7;
            let sum: f64 = (0..n).map(|i| f((i as f64 + 0.5) / n as f64) / n as f64).sum();
            let ours = weights(&[0.0, -0.7], z)[0];
            assert!((ours - sum).abs() < 1e-8 * sum.abs().max(1.0), "z = {z}: {ours}, {sum}");
        }
    }
}
