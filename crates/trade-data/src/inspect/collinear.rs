//! Columns that others determine.

use super::column::Column;

/// Correlations are computed from at most this many rows.
const MOST_ROWS: usize = 20_000;
/// A share of a column's variance that the other columns leave open, below which it is their sum.
const COLLINEAR: f64 = 1e-10;

/// The columns that are a linear combination of earlier ones, each with those that enter it: a
/// Cholesky factorisation of the correlation matrix, which meets a pivot of zero there.
pub(super) fn collinear(x: &[f64], dim: usize, columns: &[Column]) -> Vec<(usize, Vec<usize>)> {
    let varying: Vec<usize> = (0..dim)
        .filter(|&k| !columns[k].is_constant() && !columns[k].is_spiked())
        .collect();
    let n = x.len() / dim;
    let stride = n.div_ceil(MOST_ROWS);
    // A single far row would correlate everything with everything.
    let rows: Vec<Vec<f64>> = x
        .chunks_exact(dim)
        .step_by(stride)
        .filter(|row| !varying.iter().any(|&k| columns[k].is_outlier(row[k])))
        .map(|row| {
            let scaled = |&k: &usize| (row[k] - columns[k].middle) / columns[k].deviation();
            varying.iter().map(scaled).collect()
        })
        .collect();
    let width = varying.len();
    if rows.len() <= width {
        return Vec::new();
    }
    let mut means = vec![0.0; width];
    for row in &rows {
        for (mean, value) in means.iter_mut().zip(row) {
            *mean += value / rows.len() as f64;
        }
    }
    let mut products = vec![0.0; width * width];
    for row in &rows {
        for i in 0..width {
            let a = row[i] - means[i];
            for j in 0..=i {
                products[i * width + j] += a * (row[j] - means[j]);
            }
        }
    }
    let norms: Vec<f64> = (0..width).map(|i| products[i * width + i].sqrt()).collect();
    // The rows of the factor for the columns kept so far, which are independent.
    let mut kept: Vec<usize> = Vec::new();
    let mut factor: Vec<Vec<f64>> = Vec::new();
    let mut found = Vec::new();
    for i in 0..width {
        let mut row: Vec<f64> = Vec::with_capacity(kept.len() + 1);
        for (j, other) in kept.iter().zip(&factor) {
            let correlation = products[i * width + j] / (norms[i] * norms[*j]);
            let dot: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.push((correlation - dot) / other[row.len()]);
        }
        let open = 1.0 - row.iter().map(|a| a * a).sum::<f64>();
        if open > COLLINEAR {
            row.push(open.sqrt());
            kept.push(i);
            factor.push(row);
        } else if open.is_finite() {
            // Back substitution gives the coefficients of the combination.
            let mut weights = row;
            for j in (0..weights.len()).rev() {
                weights[j] /= factor[j][j];
                let weight = weights[j];
                for l in 0..j {
                    weights[l] -= weight * factor[j][l];
                }
            }
            let enters = (0..weights.len()).filter(|&j| weights[j].abs() > 1e-4);
            found.push((varying[i], enters.map(|j| varying[kept[j]]).collect()));
        }
    }
    found
}
