//! Log densities and special functions, written in elementary operations.
//!
//! The normaliser of a density whose parameters are constant is therefore computed once, in f64.
//! A density of vectors is the sum over their entries, as in Stan.

use std::f64::consts::{LN_2, PI, TAU};

use super::graph::{Comparison, Function, Graph, Id, Operation};

/// The log densities and the names of their arguments.
pub(super) const DENSITIES: [(&str, &[&str]); 14] = [
    ("normal_lpdf", &["x", "mu", "sigma"]),
    ("lognormal_lpdf", &["x", "mu", "sigma"]),
    ("cauchy_lpdf", &["x", "mu", "s"]),
    ("student_t_lpdf", &["x", "nu", "mu", "sigma"]),
    ("gamma_lpdf", &["x", "alpha", "beta"]),
    ("beta_lpdf", &["x", "a", "b"]),
    ("uniform_lpdf", &["x", "low", "high"]),
    ("half_normal_lpdf", &["x", "sigma"]),
    ("half_cauchy_lpdf", &["x", "s"]),
    ("inverse_gamma_lpdf", &["x", "alpha", "beta"]),
    ("exponential_lpdf", &["x", "rate"]),
    ("poisson_lpmf", &["k", "rate"]),
    ("binomial_lpmf", &["k", "n", "p"]),
    ("bernoulli_logit_lpmf", &["y", "logit"]),
];

impl Graph {
    pub(super) fn add(&mut self, a: Id, b: Id) -> Id {
        self.join(Operation::Add, a, b)
    }

    pub(super) fn sub(&mut self, a: Id, b: Id) -> Id {
        self.join(Operation::Sub, a, b)
    }

    pub(super) fn mul(&mut self, a: Id, b: Id) -> Id {
        self.join(Operation::Mul, a, b)
    }

    pub(super) fn div(&mut self, a: Id, b: Id) -> Id {
        self.join(Operation::Div, a, b)
    }

    pub(super) fn neg(&mut self, a: Id) -> Id {
        self.apply(Function::Neg, a)
    }

    pub(super) fn log(&mut self, a: Id) -> Id {
        self.apply(Function::Log, a)
    }

    /// `a + s`.
    fn shift(&mut self, a: Id, s: f64) -> Id {
        let s = self.number(s);
        self.add(a, s)
    }

    /// `a · s`.
    fn scale(&mut self, a: Id, s: f64) -> Id {
        let s = self.number(s);
        self.mul(a, s)
    }

    /// The larger of two numbers.
    pub(super) fn larger(&mut self, a: Id, b: Id) -> Id {
        self.choose((a, Comparison::GreaterEqual, b), a, b)
    }

    /// The smaller of two numbers.
    pub(super) fn smaller(&mut self, a: Id, b: Id) -> Id {
        self.choose((a, Comparison::LessEqual, b), a, b)
    }

    /// `e^x − 1`: near 0 it is `2t/(1 − t)` with `t = tanh(x/2)`, which cancels nothing.
    pub(super) fn exp_m1(&mut self, x: Id) -> Id {
        let [one, minus_one] = [1.0, -1.0].map(|end| self.number(end));
        let clipped = self.smaller(x, one);
        let clipped = self.larger(clipped, minus_one);
        let half = self.scale(clipped, 0.5);
        let t = self.apply(Function::Tanh, half);
        let below = self.sub(one, t);
        let twice = self.scale(t, 2.0);
        let near = self.div(twice, below);
        let exp = self.apply(Function::Exp, x);
        let far = self.shift(exp, -1.0);
        let size = self.apply(Function::Abs, x);
        self.choose((size, Comparison::Less, one), near, far)
    }

    /// `a^b`. A whole constant power is a product, of any number; other powers are `e^{b log a}`, of
    /// positive numbers.
    pub(super) fn power(&mut self, a: Id, b: Id) -> Id {
        if let (Some(base), Some(power)) = (self.known(a), self.known(b)) {
            let width = base.len().max(power.len());
            let at = |values: &[f64], i: usize| values[if values.len() == 1 { 0 } else { i }];
            let values: Vec<f64> = (0..width).map(|i| at(base, i).powf(at(power, i))).collect();
            return self.constant(values);
        }
        match self.known(b) {
            Some(&[n]) if n.fract() == 0.0 && n.abs() <= f64::from(u32::MAX) => {
                let product = self.whole_power(a, n.abs() as u32);
                if n < 0.0 {
                    let one = self.number(1.0);
                    return self.div(one, product);
                }
                product
            }
            Some(&[0.5]) => self.apply(Function::Sqrt, a),
            _ => {
                let log = self.log(a);
                let exponent = self.mul(b, log);
                self.apply(Function::Exp, exponent)
            }
        }
    }

    /// `a^n` by squaring.
    fn whole_power(&mut self, a: Id, n: u32) -> Id {
        if n == 0 {
            return self.constant(vec![1.0; self.width(a)]);
        }
        let (mut n, mut square, mut product) = (n, a, None);
        loop {
            if n % 2 == 1 {
                product = Some(product.map_or(square, |product| self.mul(product, square)));
            }
            n /= 2;
            if n == 0 {
                return product.unwrap_or(square);
            }
            square = self.mul(square, square);
        }
    }

    /// `log Γ(z)` for `z > 0`: Stirling's series at `z + 8`, where its first omitted term is below
    /// 1e-15, and the recurrence `Γ(z) = Γ(z + 8) / (z (z + 1) … (z + 7))`.
    pub(super) fn log_gamma(&mut self, z: Id) -> Id {
        let w = self.shift(z, 8.0);
        let one = self.number(1.0);
        let inverse = self.div(one, w);
        let square = self.mul(inverse, inverse);
        let coefficients = [
            1.0 / 156.0,
            -691.0 / 360_360.0,
            1.0 / 1188.0,
            -1.0 / 1680.0,
            1.0 / 1260.0,
            -1.0 / 360.0,
            1.0 / 12.0,
        ];
        let mut series = self.number(0.0);
        for coefficient in coefficients {
            series = self.mul(series, square);
            series = self.shift(series, coefficient);
        }
        series = self.mul(series, inverse);
        let log = self.log(w);
        let factor = self.shift(w, -0.5);
        let mut sum = self.mul(factor, log);
        sum = self.sub(sum, w);
        sum = self.shift(sum, 0.5 * TAU.ln());
        sum = self.add(sum, series);
        // Two products of four factors: one of eight leaves single precision at z = 65 000.
        for start in [0.0, 4.0] {
            let mut product = self.shift(z, start);
            for next in [1.0, 2.0, 3.0] {
                let factor = self.shift(z, start + next);
                product = self.mul(product, factor);
            }
            let log = self.log(product);
            sum = self.sub(sum, log);
        }
        sum
    }

    /// `k log p`, and 0 where `k = 0`.
    fn times_log(&mut self, k: Id, p: Id) -> Id {
        let [zero, one] = [0.0, 1.0].map(|value| self.number(value));
        let safe = self.choose((k, Comparison::LessEqual, zero), one, p);
        let log = self.log(safe);
        self.mul(k, log)
    }

    /// `value` where `left` is below (or at) `right`, `−∞` elsewhere.
    fn only_where(&mut self, left: Id, comparison: Comparison, right: Id, value: Id) -> Id {
        let nothing = self.number(f64::NEG_INFINITY);
        self.choose((left, comparison, right), value, nothing)
    }

    /// The square of `(x − mu)/sigma`.
    fn deviation(&mut self, x: Id, mu: Id, sigma: Id) -> Id {
        let difference = self.sub(x, mu);
        let ratio = self.div(difference, sigma);
        self.mul(ratio, ratio)
    }

    /// `log N(x; mu, sigma²)` of each entry.
    fn normal(&mut self, x: Id, mu: Id, sigma: Id) -> Id {
        let square = self.deviation(x, mu, sigma);
        let exponent = self.scale(square, -0.5);
        let log = self.log(sigma);
        let normaliser = self.shift(log, 0.5 * TAU.ln());
        self.sub(exponent, normaliser)
    }

    /// The log density of a Cauchy distribution, of each entry.
    fn cauchy(&mut self, x: Id, mu: Id, s: Id) -> Id {
        let square = self.deviation(x, mu, s);
        let tail = self.apply(Function::Log1p, square);
        let log = self.log(s);
        let normaliser = self.shift(log, PI.ln());
        let sum = self.add(tail, normaliser);
        self.neg(sum)
    }

    /// One of [`DENSITIES`], with as many arguments as it takes, summed over `width` entries.
    pub(super) fn density(&mut self, name: &str, arguments: &[Id], width: usize) -> Option<Id> {
        let zero = self.number(0.0);
        let each = match (name, arguments) {
            ("normal_lpdf", &[x, mu, sigma]) => self.normal(x, mu, sigma),
            ("lognormal_lpdf", &[x, mu, sigma]) => {
                let log = self.log(x);
                let normal = self.normal(log, mu, sigma);
                let density = self.sub(normal, log);
                self.only_where(zero, Comparison::Less, x, density)
            }
            ("half_normal_lpdf", &[x, sigma]) => {
                let normal = self.normal(x, zero, sigma);
                let density = self.shift(normal, LN_2);
                self.only_where(zero, Comparison::Less, x, density)
            }
            ("cauchy_lpdf", &[x, mu, s]) => self.cauchy(x, mu, s),
            ("half_cauchy_lpdf", &[x, s]) => {
                let cauchy = self.cauchy(x, zero, s);
                let density = self.shift(cauchy, LN_2);
                self.only_where(zero, Comparison::Less, x, density)
            }
            ("student_t_lpdf", &[x, nu, mu, sigma]) => {
                let square = self.deviation(x, mu, sigma);
                let ratio = self.div(square, nu);
                let tail = self.apply(Function::Log1p, ratio);
                let half = self.scale(nu, 0.5);
                let power = self.shift(half, 0.5);
                let tail = self.mul(power, tail);
                let [upper, lower] = [power, half].map(|z| self.log_gamma(z));
                let gammas = self.sub(upper, lower);
                let log = self.log(nu);
                let width = self.shift(log, PI.ln());
                let width = self.scale(width, 0.5);
                let scale = self.log(sigma);
                let normaliser = self.add(width, scale);
                let peak = self.sub(gammas, normaliser);
                self.sub(peak, tail)
            }
            ("gamma_lpdf", &[x, alpha, beta]) => {
                let power = self.shift(alpha, -1.0);
                let log = self.log(x);
                let growth = self.mul(power, log);
                let decay = self.mul(beta, x);
                let shape = self.sub(growth, decay);
                let log = self.log(beta);
                let scale = self.mul(alpha, log);
                let gamma = self.log_gamma(alpha);
                let normaliser = self.sub(scale, gamma);
                let density = self.add(shape, normaliser);
                self.only_where(zero, Comparison::Less, x, density)
            }
            ("inverse_gamma_lpdf", &[x, alpha, beta]) => {
                let power = self.shift(alpha, 1.0);
                let log = self.log(x);
                let growth = self.mul(power, log);
                let decay = self.div(beta, x);
                let loss = self.add(growth, decay);
                let log = self.log(beta);
                let scale = self.mul(alpha, log);
                let gamma = self.log_gamma(alpha);
                let normaliser = self.sub(scale, gamma);
                let density = self.sub(normaliser, loss);
                self.only_where(zero, Comparison::Less, x, density)
            }
            ("exponential_lpdf", &[x, rate]) => {
                let log = self.log(rate);
                let decay = self.mul(rate, x);
                let density = self.sub(log, decay);
                self.only_where(zero, Comparison::Less, x, density)
            }
            ("beta_lpdf", &[x, a, b]) => {
                let log = self.log(x);
                let left = self.shift(a, -1.0);
                let left = self.mul(left, log);
                let minus = self.neg(x);
                let log = self.apply(Function::Log1p, minus);
                let right = self.shift(b, -1.0);
                let right = self.mul(right, log);
                let shape = self.add(left, right);
                let both = self.add(a, b);
                let [all, first, second] = [both, a, b].map(|z| self.log_gamma(z));
                let normaliser = self.sub(all, first);
                let normaliser = self.sub(normaliser, second);
                let density = self.add(shape, normaliser);
                let one = self.number(1.0);
                let below = self.only_where(x, Comparison::Less, one, density);
                self.only_where(zero, Comparison::Less, x, below)
            }
            ("uniform_lpdf", &[x, low, high]) => {
                let length = self.sub(high, low);
                let log = self.log(length);
                let density = self.neg(log);
                let below = self.only_where(x, Comparison::LessEqual, high, density);
                self.only_where(low, Comparison::LessEqual, x, below)
            }
            ("poisson_lpmf", &[k, rate]) => {
                let growth = self.times_log(k, rate);
                let next = self.shift(k, 1.0);
                let factorial = self.log_gamma(next);
                let density = self.sub(growth, rate);
                self.sub(density, factorial)
            }
            ("binomial_lpmf", &[k, n, p]) => {
                let rest = self.sub(n, k);
                let yes = self.times_log(k, p);
                let one = self.number(1.0);
                let other = self.sub(one, p);
                let no = self.times_log(rest, other);
                let [all, first, second] = [n, k, rest].map(|count| {
                    let next = self.shift(count, 1.0);
                    self.log_gamma(next)
                });
                let ways = self.sub(all, first);
                let ways = self.sub(ways, second);
                let density = self.add(yes, no);
                self.add(density, ways)
            }
            ("bernoulli_logit_lpmf", &[y, logit]) => {
                let chosen = self.mul(y, logit);
                let normaliser = self.apply(Function::Softplus, logit);
                self.sub(chosen, normaliser)
            }
            _ => return None,
        };
        // Every argument enters entry by entry, so nothing is left to broadcast before the sum.
        debug_assert_eq!(self.width(each), width);
        Some(self.sum(each))
    }
}
