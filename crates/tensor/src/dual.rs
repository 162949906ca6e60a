//! Forward-mode dual numbers: a value and its slope with respect to time.
//!
//! A schedule is written once, as a function of [`Dual`]; its derivative comes with it and can never disagree with it.
//! `f(a + b e) = f(a) + f'(a) b e` with `e^2 = 0`.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number `value + slope e`, `e^2 = 0`: a quantity and its derivative with respect to time.
///
/// ```
/// use scorefield_tensor::Dual;
/// let t = Dual::variable(2.0);
/// let y = (t * t).exp();
/// assert!((y.slope - 2.0 * 2.0 * (4.0f64).exp()).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual {
    /// The value.
    pub value: f64,
    /// The derivative with respect to the variable.
    pub slope: f64,
}

impl Dual {
    /// The variable itself: slope one.
    pub const fn variable(value: f64) -> Self {
        Self { value, slope: 1.0 }
    }

    /// A constant: slope zero.
    pub const fn constant(value: f64) -> Self {
        Self { value, slope: 0.0 }
    }

    /// The chain rule: `f(value)` with slope `f'(value) * slope`.
    fn chain(self, value: f64, derivative: f64) -> Self {
        Self { value, slope: derivative * self.slope }
    }

    /// `e^x`.
    pub fn exp(self) -> Self {
        let y = self.value.exp();
        self.chain(y, y)
    }

    /// `e^x - 1`, exact near zero.
    pub fn exp_m1(self) -> Self {
        self.chain(self.value.exp_m1(), self.value.exp())
    }

    /// Natural logarithm.
    pub fn ln(self) -> Self {
        self.chain(self.value.ln(), self.value.recip())
    }

    /// `ln(1 + x)`, exact near zero.
    pub fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), (1.0 + self.value).recip())
    }

    /// Square root; its slope is infinite at zero.
    pub fn sqrt(self) -> Self {
        let y = self.value.sqrt();
        self.chain(y, 0.5 / y)
    }

    /// Cosine, radians.
    pub fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }

    /// Sine, radians.
    pub fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }

    /// Hyperbolic tangent.
    pub fn tanh(self) -> Self {
        let y = self.value.tanh();
        self.chain(y, 1.0 - y * y)
    }

    /// `x^p` for a constant power.
    pub fn powf(self, p: f64) -> Self {
        self.chain(self.value.powf(p), p * self.value.powf(p - 1.0))
    }

    /// `x^2`.
    pub fn square(self) -> Self {
        self * self
    }
}

impl Add for Dual {
    type Output = Self;
    fn add(self, o: Self) -> Self {
        Self { value: self.value + o.value, slope: self.slope + o.slope }
    }
}

impl Sub for Dual {
    type Output = Self;
    fn sub(self, o: Self) -> Self {
        Self { value: self.value - o.value, slope: self.slope - o.slope }
    }
}

impl Mul for Dual {
    type Output = Self;
    fn mul(self, o: Self) -> Self {
        Self { value: self.value * o.value, slope: self.slope * o.value + self.value * o.slope }
    }
}

impl Div for Dual {
    type Output = Self;
    fn div(self, o: Self) -> Self {
        let value = self.value / o.value;
        Self { value, slope: (self.slope - value * o.slope) / o.value }
    }
}

impl Neg for Dual {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, slope: -self.slope }
    }
}

impl Add<f64> for Dual {
    type Output = Self;
    fn add(self, o: f64) -> Self {
        Self { value: self.value + o, slope: self.slope }
    }
}

impl Sub<f64> for Dual {
    type Output = Self;
    fn sub(self, o: f64) -> Self {
        self + -o
    }
}

impl Mul<f64> for Dual {
    type Output = Self;
    fn mul(self, o: f64) -> Self {
        Self { value: self.value * o, slope: self.slope * o }
    }
}

impl Div<f64> for Dual {
    type Output = Self;
    fn div(self, o: f64) -> Self {
        Self { value: self.value / o, slope: self.slope / o }
    }
}

impl Add<Dual> for f64 {
    type Output = Dual;
    fn add(self, o: Dual) -> Dual {
        o + self
    }
}

impl Sub<Dual> for f64 {
    type Output = Dual;
    fn sub(self, o: Dual) -> Dual {
        -o + self
    }
}

impl Mul<Dual> for f64 {
    type Output = Dual;
    fn mul(self, o: Dual) -> Dual {
        o * self
    }
}

impl Div<Dual> for f64 {
    type Output = Dual;
    fn div(self, o: Dual) -> Dual {
        Dual::constant(self) / o
    }
}

#[cfg(test)]
mod tests {
    use super::Dual;
    use proptest::prelude::*;

    type F = fn(Dual) -> Dual;
    const FUNCTIONS: &[(&str, F)] = &[
        ("exp", |x| x.exp()),
        ("exp_m1", |x| x.exp_m1()),
        ("ln", |x| (x + 3.0).ln()),
        ("ln_1p", |x| x.ln_1p()),
        ("sqrt", |x| x.sqrt()),
        ("cos", |x| x.cos()),
        ("sin", |x| x.sin()),
        ("tanh", |x| x.tanh()),
        ("powf", |x| x.powf(2.7)),
        ("square", |x| x.square()),
        ("quotient", |x| (x * x + 1.0) / (2.0 - x / 4.0)),
        ("mixed", |x| 1.0 / (x.exp() - 0.5 * x) - (3.0 * x).sqrt()),
    ];

    proptest! {
        /// Every slope equals the central difference quotient.
        #[test]
        fn slopes_equal_finite_differences(x in 0.05f64..1.5) {
            let h = 1e-6;
            for (name, f) in FUNCTIONS {
                let slope = f(Dual::variable(x)).slope;
                let quotient = (f(Dual::constant(x + h)).value - f(Dual::constant(x - h)).value) / (2.0 * h);
                prop_assert!((slope - quotient).abs() < 1e-6 * (1.0 + slope.abs()), "{name} at {x}: {slope} against {quotient}");
            }
        }
    }
}
