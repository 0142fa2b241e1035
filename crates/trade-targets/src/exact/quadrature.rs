//! Gauss–Legendre rules, the common ground of [`Line`](super::Line) and [`Plane`](super::Plane).

/// The `n`-point Gauss–Legendre rule on `[0, 1]`, as `(node, weight)` in rising order; exact for
/// polynomials of degree `2n − 1`, weights sum to 1.
///
/// Nodes are the roots of the Legendre polynomial `P_n`, found by Newton's method from Tricomi's
/// approximation; see Abramowitz & Stegun 25.4.29 for the weights.
pub fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let mut rule: Vec<(f64, f64)> = (0..n)
        .map(|i| {
            let angle = std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5);
            let mut t = angle.cos();
            let mut slope = 1.0;
            for _ in 0..50 {
                let (value, derivative) = legendre(n, t);
                slope = derivative;
                let step = value / derivative;
                t -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            // Half the weight on [-1, 1], for an interval of length 1.
            (f64::midpoint(1.0, t), 1.0 / ((1.0 - t * t) * slope * slope))
        })
        .collect();
    rule.reverse();
    rule
}

/// `P_n(t)` and `P_n'(t)` by the three-term recurrence; `|t| < 1`.
fn legendre(n: usize, t: f64) -> (f64, f64) {
    let (mut previous, mut value) = (1.0, t);
    if n == 0 {
        return (1.0, 0.0);
    }
    for j in 1..n {
        let j = j as f64;
        let next = ((2.0 * j + 1.0) * t * value - j * previous) / (j + 1.0);
        previous = value;
        value = next;
    }
    (value, n as f64 * (t * value - previous) / (t * t - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_every_monomial_up_to_its_degree() {
        for n in 1..=12_i32 {
            let rule = gauss_legendre(n as usize);
            let sum = |power| rule.iter().map(|(t, w)| w * t.powi(power)).sum::<f64>();
            let error = |power| (sum(power) - 1.0 / (f64::from(power) + 1.0)).abs();
            for power in 0..2 * n {
                assert!(
                    error(power) < 1e-14,
                    "n {n} power {power}: {}",
                    error(power)
                );
            }
            assert!(
                n > 6 || error(2 * n) > 1e-8,
                "n {n} is exact beyond its degree"
            );
        }
    }

    #[test]
    fn three_points_are_the_textbook_ones() {
        let rule = gauss_legendre(3);
        let outer = 0.5 * (1.0 - 0.6_f64.sqrt());
        for ((t, w), (t0, w0)) in rule.iter().zip([
            (outer, 5.0 / 18.0),
            (0.5, 8.0 / 18.0),
            (1.0 - outer, 5.0 / 18.0),
        ]) {
            assert!((t - t0).abs() < 1e-15 && (w - w0).abs() < 1e-15);
        }
    }
}
