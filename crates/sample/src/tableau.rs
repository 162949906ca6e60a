//! Butcher tableaus: explicit Runge-Kutta methods as tables, with the conditions that make their order.
//!
//! A method of `s` stages advances `y' = f(y, t)` by `k_i = f(y + h sum_j a_ij k_j, t + c_i h)`, `y_new = y + h sum_i b_i k_i`. It is of
//! order `p` exactly when `sum_i b_i Phi_i(tree) = 1 / gamma(tree)` for every rooted tree of up to `p` vertices (Butcher 1963; Hairer,
//! Nørsett, Wanner 1993, theorem II.2.13), where `Phi_i` of a tree is the product over its root's branches of `sum_j a_ij Phi_j` and
//! `gamma` the product of the sizes of all its subtrees. [`Tableau::defect`] evaluates them all, so a mistyped digit is found.

/// An explicit Runge-Kutta method, perhaps with an embedded one for the error.
#[derive(Debug)]
pub struct Tableau {
    /// The order of `b`.
    pub order: u32,
    /// The nodes `c`, the first zero.
    pub c: &'static [f64],
    /// The rows of the strictly lower triangle of `a`: row `i` has `i` entries.
    pub a: &'static [&'static [f64]],
    /// The weights.
    pub b: &'static [f64],
    /// The weights minus those of an embedded method, and that method's order: `h sum_i e_i k_i` estimates the error.
    pub error: Option<(&'static [f64], u32)>,
}

/// The explicit midpoint rule.
pub static MIDPOINT: Tableau = Tableau { order: 2, c: &[0.0, 0.5], a: &[&[], &[0.5]], b: &[0.0, 1.0], error: None };

/// The classical method of Kutta 1901.
pub static RK4: Tableau = Tableau {
    order: 4,
    c: &[0.0, 0.5, 0.5, 1.0],
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    error: None,
};

/// Bogacki and Shampine 1989, 3(2); its last stage is the next step's first.
pub static BOGACKI_SHAMPINE: Tableau = Tableau {
    order: 3,
    c: &[0.0, 0.5, 0.75, 1.0],
    a: &[&[], &[0.5], &[0.0, 0.75], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    error: Some((&[2.0 / 9.0 - 7.0 / 24.0, 1.0 / 3.0 - 0.25, 4.0 / 9.0 - 1.0 / 3.0, -0.125], 2)),
};

/// Dormand and Prince 1980, 5(4) (Hairer, Nørsett, Wanner 1993, table II.5.2); its last stage is the next step's first.
pub static DORMAND_PRINCE: Tableau = Tableau {
    order: 5,
    c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
    a: &[
        &[],
        &[0.2],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    error: Some((&[71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0], 4)),
};

/// Tsitouras 2011, 5(4), table 1; its last stage is the next step's first.
pub static TSIT5: Tableau = Tableau {
    order: 5,
    c: &[0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0, 1.0],
    a: &[
        &[],
        &[0.161],
        &[-0.008_480_655_492_356_989, 0.335_480_655_492_357],
        &[2.897_153_057_105_493_5, -6.359_448_489_975_075, 4.362_295_432_869_581_5],
        &[5.325_864_828_439_257, -11.748_883_564_062_828, 7.495_539_342_889_836_5, -0.092_495_066_361_755_25],
        &[
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401,
            -0.028_269_050_394_068_383,
        ],
        &[
            0.096_460_766_818_065_23,
            0.01,
            0.479_889_650_414_499_6,
            1.379_008_574_103_742,
            -3.290_069_515_436_081,
            2.324_710_524_099_774,
        ],
    ],
    b: &[
        0.096_460_766_818_065_23,
        0.01,
        0.479_889_650_414_499_6,
        1.379_008_574_103_742,
        -3.290_069_515_436_081,
        2.324_710_524_099_774,
        0.0,
    ],
    error: Some((
        &[
            -0.001_780_011_052_225_777_1,
            -0.000_816_434_459_656_746_9,
            0.007_880_878_010_261_995,
            -0.144_711_007_173_262_9,
            0.582_357_165_452_555_2,
            -0.458_082_105_929_186_97,
            1.0 / 66.0,
        ],
        4,
    )),
};

impl Tableau {
    /// How many stages a step needs whose error is not asked for: those behind the last weight are left out.
    pub fn stages(&self) -> usize {
        self.b.iter().rposition(|b| *b != 0.0).map_or(0, |i| i + 1)
    }

    /// How far the tableau is from being a method of order `order`: the largest violation of a row sum `c_i = sum_j a_ij` and of
    /// an order condition, `weights` being the ones of this method (`b`) or of its embedded one.
    pub fn defect(&self, weights: &[f64], order: u32) -> f64 {
        let rows = self.a.iter().zip(self.c).map(|(a, c)| (a.iter().sum::<f64>() - c).abs()).fold(0.0, f64::max);
        let condition = |tree: &Tree| {
            let sum: f64 = self.weights_of(tree).iter().zip(weights).map(|(phi, b)| phi * b).sum();
            (sum - tree.gamma().recip()).abs()
        };
        (1..=order as usize).flat_map(trees).map(|tree| condition(&tree)).fold(rows, f64::max)
    }

    /// `Phi_i(tree)` for every stage.
    fn weights_of(&self, tree: &Tree) -> Vec<f64> {
        let mut phi = vec![1.0; self.c.len()];
        for branch in &tree.0 {
            let below = self.weights_of(branch);
            phi.iter_mut().zip(self.a).for_each(|(p, a)| *p *= a.iter().zip(&below).map(|(a, b)| a * b).sum::<f64>());
        }
        phi
    }
}

/// A rooted tree: the branches of its root.
#[derive(Clone, Debug)]
struct Tree(Vec<Tree>);

impl Tree {
    fn size(&self) -> usize {
        1 + self.0.iter().map(Tree::size).sum::<usize>()
    }

    /// The product of the sizes of all subtrees.
    fn gamma(&self) -> f64 {
        self.size() as f64 * self.0.iter().map(Tree::gamma).product::<f64>()
    }
}

/// All rooted trees of `n` vertices with their branches in every order (so some twice).
fn trees(n: usize) -> Vec<Tree> {
    if n == 1 {
        return vec![Tree(Vec::new())];
    }
    // The first branch has m vertices; the rest is a tree of n - m without it.
    let joined = |m: usize| {
        trees(m).into_iter().flat_map(move |first| {
            trees(n - m).into_iter().map(move |rest| Tree(std::iter::once(first.clone()).chain(rest.0).collect()))
        })
    };
    (1..n).flat_map(joined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each tableau has the order that it claims and no higher; so has its embedded method.
    #[test]
    fn every_tableau_meets_its_order_conditions() {
        for tableau in [&MIDPOINT, &RK4, &BOGACKI_SHAMPINE, &DORMAND_PRINCE, &TSIT5] {
            assert!(tableau.defect(tableau.b, tableau.order) < 3e-14, "{}", tableau.defect(tableau.b, tableau.order));
            assert!(tableau.defect(tableau.b, tableau.order + 1) > 1e-5, "{tableau:?}");
            if let Some((error, order)) = tableau.error {
                let embedded: Vec<f64> = tableau.b.iter().zip(error).map(|(b, e)| b - e).collect();
                assert!(tableau.defect(&embedded, order) < 3e-14, "{}", tableau.defect(&embedded, order));
                assert!(tableau.defect(&embedded, order + 1) > 1e-5, "{tableau:?}");
                assert_eq!(tableau.a.last().map(|a| [*a, &[0.0]].concat()), Some(tableau.b.to_vec()), "first same as last");
            }
        }
        assert_eq!(trees(5).len(), 14);
    }
}
