//! Exact normalisers of the battery's targets.

use std::f64::consts::{PI, TAU};

/// `log ∫ e^{f}` over an interval, by Simpson's rule on a fine grid.
pub(super) fn log_integral((low, high): (f64, f64), log_f: impl Fn(f64) -> f64) -> f64 {
    const CELLS: usize = 20_000;
    let step = (high - low) / CELLS as f64;
    let values: Vec<f64> = (0..=CELLS).map(|i| log_f(low + step * i as f64)).collect();
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |i: usize| match i {
        0 | CELLS => 1.0,
        _ if i % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let sum: f64 = values
        .iter()
        .enumerate()
        .map(|(i, v)| weight(i) * (v - largest).exp())
        .sum();
    largest + (sum * step / 3.0).ln()
}

/// `−(x₀²/2 + (x₁ − x₀²)²/(2 s²))/T`: a triangular map of a normal distribution.
pub(super) fn valley(temperature: f64, s: f64) -> f64 {
    (TAU * s * temperature).ln()
}

/// Neal's funnel of `1 + n` entries, `v ~ N(0, 9)` and `x ~ N(0, e^v)`, to the power β.
pub(super) fn funnel(beta: f64, n: f64) -> f64 {
    // Each normal density of deviation s to the power β: (2π s²)^{(1−β)/2} β^{−1/2}.
    let power = |variance: f64| 0.5 * (1.0 - beta) * (TAU * variance).ln() - 0.5 * beta.ln();
    // e^{v n (1−β)/2} over v ~ N(0, 9/β).
    power(9.0) + n * power(1.0) + 0.5 * (9.0 / beta) * (0.5 * n * (1.0 - beta)).powi(2)
}

/// `(1 + |x|²/ν)^{−(ν+d)/(2T)}` in `d` dimensions.
pub(super) fn student(temperature: f64, nu: f64, d: f64) -> f64 {
    let a = 0.5 * (nu + d) / temperature;
    0.5 * d * (nu * PI).ln() + libm::lgamma(a - 0.5 * d) - libm::lgamma(a)
}

/// `β (3 x₀ + 2 sin 6x₁ − 4 (x₀ − x₂)²)` on the unit cube.
pub(super) fn walls(beta: f64) -> f64 {
    let middle = log_integral((0.0, 1.0), |x| 2.0 * beta * (6.0 * x).sin());
    // The integral over x₂ is a difference of two error functions.
    let root = (4.0 * beta).sqrt();
    let outer = log_integral((0.0, 1.0), |x| {
        let inner = libm::erf(root * (1.0 - x)) + libm::erf(root * x);
        3.0 * beta * x + (0.5 * (PI / (4.0 * beta)).sqrt() * inner).ln()
    });
    middle + outer
}

/// A closed chain of `n` angles with `β Σ cos(aᵢ − aᵢ₊₁)`: the transfer matrix has the eigenvalues
/// `2π I_k(β)`.
pub(super) fn chain(beta: f64, n: i32) -> f64 {
    const NODES: usize = 256;
    let bessel = |k: usize| {
        let node = |i: usize| {
            let t = TAU * i as f64 / NODES as f64;
            (beta * t.cos()).exp() * (k as f64 * t).cos()
        };
        (0..NODES).map(node).sum::<f64>() / NODES as f64
    };
    let sum: f64 = (0..40)
        .map(|k| if k == 0 { 1.0 } else { 2.0 } * bessel(k).powi(n))
        .sum();
    f64::from(n) * TAU.ln() + sum.ln()
}

/// `−(|x| − r)²/(2 s² T)` in the plane.
pub(super) fn ring(temperature: f64, r: f64, s: f64) -> f64 {
    let width = s * temperature.sqrt();
    let reach = (r - 12.0 * width, r + 12.0 * width);
    TAU.ln()
        + log_integral((reach.0.max(1e-9), reach.1), |x| {
            x.ln() - 0.5 * ((x - r) / width).powi(2)
        })
}

/// `−(x⁴ − b x² + y²/2)/T`.
pub(super) fn well(temperature: f64, b: f64) -> f64 {
    let x = log_integral((-6.0, 6.0), |x| -(x.powi(4) - b * x * x) / temperature);
    x + 0.5 * (TAU * temperature).ln()
}

/// A normal distribution of `d` entries at temperature T, with the log determinant of its precision.
pub(super) fn normal(temperature: f64, d: f64, log_determinant: f64) -> f64 {
    0.5 * d * (TAU * temperature).ln() - 0.5 * log_determinant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-8, "{a} {b}");
    }

    #[test]
    fn normalisers_have_their_limits() {
        close(
            log_integral((-12.0, 12.0), |x| -0.5 * x * x),
            0.5 * TAU.ln(),
        );
        // Normalised densities at their own power.
        close(funnel(1.0, 4.0), 0.0);
        // A Student density: Γ((ν+d)/2) / (Γ(ν/2) (νπ)^{d/2}) is its constant.
        close(
            student(1.0, 4.0, 1.0),
            0.5 * (4.0 * PI).ln() + libm::lgamma(2.0) - libm::lgamma(2.5),
        );
        // No coupling: a free turn of each angle.
        close(chain(1e-9, 4), 4.0 * TAU.ln());
        // Two spins: I_0(2β) of the doubled bond.
        close(chain(0.7, 2), 2.0 * TAU.ln() + bessel_zero(1.4).ln());
        close(walls(1e-9), 0.0);
        // Without the quartic's well, the ring's radius far beyond its width: 2π r s √(2πT).
        close(ring(1.0, 3.0, 1e-3), (TAU * 3.0 * 1e-3 * TAU.sqrt()).ln());
        close(valley(1.0, 0.3), (TAU * 0.3).ln());
    }

    fn bessel_zero(x: f64) -> f64 {
        (0..40)
            .map(|k| (0.25 * x * x).powi(k) / libm::tgamma(f64::from(k) + 1.0).powi(2))
            .sum()
    }
}
