//! Location and scale of columns, and the principal axes of those that correlate.

/// Rows an entry that a correlation is estimated from at least.
const ROWS_AN_ENTRY: usize = 10;
/// From how many central half widths on a deviation is taken for that of the tails.
const TAILED: f64 = 3.0;
/// A row whose mean square is larger counts for one of that mean square, lest a few of heavy tails be the covariance.
const FAR_ROW: f64 = 25.0;
/// The smallest correlation that links two entries, and the same in its own standard errors.
const LINKED: (f64, f64) = (0.2, 5.0);
/// Linked entries are turned to their principal axes if the variances along these differ by this factor.
const SPREAD: f64 = 10.0;
/// The most linked entries that are turned; time and memory grow with the third and second power.
const MOST_LINKED: usize = 512;
/// Collinear entries cannot be told apart; single precision holds no smaller ratio of variances.
const FLOOR: f64 = 1e-10;

/// Mean and scale of a column. The scale is the deviation, or half the width of the central 68 %
/// where a few far values make the deviation of all.
pub(super) fn location_and_scale(column: &[f64]) -> (f64, f64) {
    let n = column.len().max(1) as f64;
    let mean = column.iter().sum::<f64>() / n;
    let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let mut sorted = column.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |p: f64| sorted[((sorted.len() - 1) as f64 * p).round() as usize];
    let central = 0.5 * (quantile(0.8413) - quantile(0.1587));
    if central > 0.0 && deviation > TAILED * central {
        return (quantile(0.5), central);
    }
    // What does not vary but by the rounding of single precision keeps its unit.
    let still = deviation <= 2.4e-7 * column.iter().fold(0.0, |most: f64, x| x.abs().max(most));
    (mean, if still { 1.0 } else { deviation })
}

/// Entries that are linked, and their principal axes.
pub(super) struct Axes {
    /// The entries, in increasing order.
    pub(super) entries: Vec<usize>,
    /// An axis of unit length and the deviation along it for each of the entries, the widest first.
    pub(super) axes: Vec<(Vec<f64>, f64)>,
}

/// The groups of columns of rows `[n, d]`, of mean 0 and scale 1, that correlate so strongly that their
/// principal axes say more than they do. The others stay apart: a flow takes independent entries one by
/// one, which a rotation within their common variance would mix.
pub(super) fn principal_axes(rows: &[f64], d: usize) -> Vec<Axes> {
    let n = rows.len() / d;
    if n < ROWS_AN_ENTRY * d {
        return Vec::new();
    }
    let mut covariance = vec![0.0; d * d];
    for row in rows.chunks(d) {
        let square = row.iter().map(|x| x * x).sum::<f64>() / d as f64;
        let weight = (FAR_ROW / square).min(1.0) / n as f64;
        for i in 0..d {
            for j in 0..=i {
                covariance[i * d + j] += weight * row[i] * row[j];
            }
        }
    }
    for i in 0..d {
        for j in 0..i {
            covariance[j * d + i] = covariance[i * d + j];
        }
    }
    let least = LINKED.0.max(LINKED.1 / (n as f64).sqrt());
    let linked = |i: usize, j: usize| {
        let scale = (covariance[i * d + i] * covariance[j * d + j]).sqrt();
        covariance[i * d + j].abs() > least * scale
    };
    groups(d, linked)
        .into_iter()
        .filter(|group| (2..=MOST_LINKED).contains(&group.len()))
        .filter_map(|entries| {
            let pairs = (entries.iter()).flat_map(|i| entries.iter().map(move |j| i * d + j));
            let block = pairs.map(|at| covariance[at]).collect();
            let (variances, vectors) = eigen(block, entries.len());
            let most = variances.iter().copied().fold(0.0, f64::max);
            let least = variances.iter().copied().fold(f64::INFINITY, f64::min);
            if !(most.is_finite() && most > SPREAD * least) {
                return None;
            }
            let mut axes: Vec<_> = vectors
                .chunks(entries.len())
                .zip(&variances)
                .map(|(axis, variance)| (pointed(axis), variance.max(FLOOR * most).sqrt()))
                .collect();
            axes.sort_by(|a, b| b.1.total_cmp(&a.1));
            Some(Axes { entries, axes })
        })
        .collect()
}

/// An axis in the direction in which the first of its large entries is positive. Two entries of one variance have
/// equal parts of an axis, where rounding must not decide.
fn pointed(axis: &[f64]) -> Vec<f64> {
    let largest = axis.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let first = axis.iter().find(|x| x.abs() >= 0.5 * largest);
    let sign = first.map_or(1.0, |x| x.signum());
    axis.iter().map(|x| x * sign).collect()
}

/// The connected parts of a graph.
pub(in crate::layer) fn groups(d: usize, linked: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut free: Vec<usize> = (0..d).collect();
    let mut groups = Vec::new();
    while let Some(first) = free.first().copied() {
        let mut group = vec![first];
        free.remove(0);
        let mut next = 0;
        while next < group.len() {
            let (found, rest) = free.into_iter().partition(|j| linked(group[next], *j));
            let found: Vec<usize> = found;
            group.extend(found);
            free = rest;
            next += 1;
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups
}

/// Eigenvalues of a symmetric matrix, and its eigenvectors as rows, by Jacobi's rotations (Golub and Van Loan,
/// *Matrix Computations*, section 8.5).
fn eigen(mut a: Vec<f64>, d: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS: usize = 60;
    let mut vectors: Vec<f64> = (0..d * d)
        .map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 })
        .collect();
    for _ in 0..SWEEPS {
        let off: f64 = (0..d)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| a[i * d + j].powi(2))
            .sum();
        let trace: f64 = (0..d).map(|i| a[i * d + i].powi(2)).sum();
        if off <= 1e-30 * trace {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                let (app, aqq, apq) = (a[p * d + p], a[q * d + q], a[p * d + q]);
                if apq == 0.0 {
                    continue;
                }
                let tau = (aqq - app) / (2.0 * apq);
                let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..d {
                    let (akp, akq) = (a[k * d + p], a[k * d + q]);
                    (a[k * d + p], a[k * d + q]) = (c * akp - s * akq, s * akp + c * akq);
                }
                for matrix in [&mut a, &mut vectors] {
                    for k in 0..d {
                        let (x, y) = (matrix[p * d + k], matrix[q * d + k]);
                        (matrix[p * d + k], matrix[q * d + k]) = (c * x - s * y, s * x + c * y);
                    }
                }
            }
        }
    }
    ((0..d).map(|i| a[i * d + i]).collect(), vectors)
}

#[cfg(test)]
mod tests {
    use trade_core::random::Stream;

    use super::*;

    #[test]
    fn scales_are_those_of_the_bulk() {
        let (mean, scale) = location_and_scale(&[1.0, 3.0, 1.0, 3.0]);
        assert_eq!((mean, scale), (2.0, 1.0));
        assert_eq!(location_and_scale(&[300.0; 5]), (300.0, 1.0));
        // One value of a thousand at 10⁶ does not set the scale.
        let mut column: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        column.push(1e6);
        let (middle, scale) = location_and_scale(&column);
        assert!((middle - 0.5).abs() < 1e-9 && (0.3..0.4).contains(&scale));
    }

    /// Rows of four independent normal entries, of which the last is mixed with the second.
    fn mixed(n: usize, share: f64) -> Vec<f64> {
        let noise = Stream::new(7, 0).normal64(4 * n);
        let root = (1.0 - share * share).sqrt();
        let row = |z: &[f64]| [z[0], z[1], z[2], share * z[1] + root * z[3]];
        noise.chunks(4).flat_map(row).collect()
    }

    #[test]
    fn only_strong_correlation_turns_entries_and_only_those_that_have_it() {
        assert!(principal_axes(&mixed(2000, 0.7), 4).is_empty());
        // Too few rows say nothing about a correlation.
        assert!(principal_axes(&mixed(39, 0.99), 4).is_empty());
        // Two entries of correlation r have the variances 1 ± r along the diagonals.
        let found = principal_axes(&mixed(20_000, 0.98), 4);
        let [Axes { entries, axes }] = found.as_slice() else {
            panic!("{} groups", found.len());
        };
        assert_eq!(entries, &[1, 3]);
        let half = 0.5_f64.sqrt();
        for ((axis, deviation), (expected, variance)) in axes
            .iter()
            .zip([([half, half], 1.98), ([half, -half], 0.02)])
        {
            assert!((deviation.powi(2) / variance - 1.0).abs() < 0.05);
            let along = axis[0] * expected[0] + axis[1] * expected[1];
            assert!((along.abs() - 1.0).abs() < 1e-3, "{axis:?}");
        }
    }

    #[test]
    fn eigenvectors_are_those_of_the_matrix() {
        let d = 12;
        let b = Stream::new(3, 0).normal64(d * d);
        let matrix: Vec<f64> = (0..d * d)
            .map(|ij| (0..d).map(|k| b[ij / d * d + k] * b[ij % d * d + k]).sum())
            .collect();
        let (values, vectors) = eigen(matrix.clone(), d);
        for (k, (value, v)) in values.iter().zip(vectors.chunks(d)).enumerate() {
            for i in 0..d {
                let product: f64 = (0..d).map(|j| matrix[i * d + j] * v[j]).sum();
                assert!((product - value * v[i]).abs() < 1e-11 * values[0].abs().max(1.0));
            }
            for (l, other) in vectors.chunks(d).enumerate() {
                let dot: f64 = v.iter().zip(other).map(|(a, b)| a * b).sum();
                let expected = if k == l { 1.0 } else { 0.0 };
                assert!((dot - expected).abs() < 1e-12);
            }
        }
    }
}
