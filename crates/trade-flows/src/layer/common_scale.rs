//! Entries that are the logarithm of the width of others.

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Dual, Result, random::Stream};

use super::{Recipe, SoftClamp, Widths};
use crate::{
    FlowBackend, check,
    conditioner::parameter,
    transform::{Features, Transform},
};

/// The configuration of a [`CommonScale`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommonScaleConfig {
    /// The bound on the log scales.
    pub clamp: SoftClamp,
}

impl Default for CommonScaleConfig {
    fn default() -> Self {
        Self {
            clamp: SoftClamp::Wide(60.0),
        }
    }
}

/// The widest state; the layer holds a square matrix.
const MOST_ENTRIES: usize = 1024;
/// What the logarithm of the likelihood of an entry must gain by a scale that follows another, per row.
const LEAST_GAIN: f64 = 0.5;
/// Fewer rows say nothing of scales.
const LEAST_ROWS: usize = 200;

impl Recipe for CommonScaleConfig {
    type Layer<B: Backend> = CommonScale<B>;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let dim = widths.dim;
        let reason = format!("is for at most {MOST_ENTRIES} entries, not {dim}");
        check::require(dim <= MOST_ENTRIES, field, "", reason)?;
        self.clamp.validate(&format!("{field}.clamp"))
    }

    fn init<B: Backend>(
        &self,
        widths: Widths,
        device: &B::Device,
        _: &mut Stream,
    ) -> CommonScale<B> {
        let d = widths.dim;
        let zeros = |n| parameter(vec![0.0; n], [n], device);
        CommonScale {
            scaled: zeros(d).set_require_grad(false),
            offset: zeros(d),
            slope: parameter(vec![0.0; d * d], [d, d], device),
            clamp: self.clamp,
        }
    }
}

/// `z_i = x_i e^{−a_i − Σ_j b_ij x_j}`, where `i` runs over the entries whose scale follows others, and `j` over
/// the others, which stay as they are.
///
/// In a hierarchical model some entries are the logarithm of the width of others, which makes a funnel (Neal,
/// Ann. Stat. 31, 705, 2003). Behind this layer the widths are even. Which entries follow which is found from the
/// batch by [`initialised`](Transform::initialised): those whose normal likelihood gains at least half a nat a row
/// by a scale that is log-linear in one other entry (Harvey, Econometrica 44, 461, 1976). Where there are none the
/// layer is the identity. It belongs behind a layer that takes out location and scale.
#[derive(Module, Debug)]
pub struct CommonScale<B: Backend> {
    /// Positive for entries that are scaled, `[d]`.
    scaled: Param<Tensor<B, 1>>,
    /// `a`, `[d]`.
    offset: Param<Tensor<B, 1>>,
    /// `b` from the entry of the row to the one of the column, `[d, d]`.
    slope: Param<Tensor<B, 2>>,
    #[module(skip)]
    clamp: SoftClamp,
}

impl<B: FlowBackend> CommonScale<B> {
    /// The log scale of each entry, `[n, d]`.
    fn log_scale(&self, x: &Dual<B, 2>) -> Dual<B, 2> {
        let scaled = self.scaled.val().detach().greater_elem(0.0);
        let scaled = scaled.float().cast(x.dtype()).unsqueeze_dim::<2>(0);
        let others = scaled.clone().neg().add_scalar(1.0);
        let slope = self.slope.val() * others.transpose() * scaled.clone();
        let offset = self.offset.val().unsqueeze_dim::<2>(0) * scaled;
        let raw = x.clone().linear(|t| t.matmul(slope.clone()));
        self.clamp.apply(raw + Dual::constant(offset), None)
    }
}

impl<B: FlowBackend> Transform<B> for CommonScale<B> {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        let log_scale = -self.log_scale(&x);
        (x * log_scale.clone().exp(), log_scale.sum_columns())
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        // The entries that scales follow are the same on both sides.
        let log_scale = self.log_scale(&z);
        (z * log_scale.clone().exp(), log_scale.sum_columns())
    }

    fn initialised(self, x: &Dual<B, 2>, _: &Features<B>) -> Self {
        let [_, d] = x.dims();
        let rows: Vec<f64> = x.value.clone().into_data().iter::<f64>().collect();
        let finite = rows
            .chunks(d)
            .filter(|row| row.iter().all(|x| x.is_finite()));
        let columns: Vec<Vec<f64>> = {
            let rows: Vec<&[f64]> = finite.collect();
            (0..d)
                .map(|j| rows.iter().map(|row| row[j]).collect())
                .collect()
        };
        let found = followers(&columns);
        let (mut scaled, mut offset, mut slope) = (vec![0.0; d], vec![0.0; d], vec![0.0; d * d]);
        for (i, j, line) in found {
            (scaled[i], offset[i], slope[j * d + i]) = (1.0, line.offset, line.slope);
        }
        let options = (&x.value.device(), x.dtype());
        let vector = |values: Vec<f64>| Tensor::from_data(TensorData::new(values, [d]), options);
        let matrix = Tensor::from_data(TensorData::new(slope, [d, d]), options);
        Self {
            scaled: self.scaled.map(|_| vector(scaled)),
            offset: self.offset.map(|_| vector(offset)),
            slope: self.slope.map(|_| matrix),
            clamp: self.clamp,
        }
    }
}

/// A log scale that is linear in another entry.
#[derive(Clone, Copy, Debug)]
struct Line {
    offset: f64,
    slope: f64,
    /// What the log likelihood of a row gains by it.
    gain: f64,
}

impl Line {
    /// The regression of `log |y|` by `x`, with the offset at which `y` has unit deviation.
    fn fit(x: &[f64], log_y: &[f64]) -> Option<Self> {
        let n = x.len() as f64;
        let mean = |of: &mut dyn Iterator<Item = f64>| of.sum::<f64>() / n;
        let (centre, level) = (
            mean(&mut x.iter().copied()),
            mean(&mut log_y.iter().copied()),
        );
        let variance = mean(&mut x.iter().map(|x| (x - centre).powi(2)));
        let pairs = x.iter().zip(log_y);
        let product = mean(&mut pairs.map(|(x, y)| (x - centre) * (y - level)));
        let slope = product / variance;
        // `log ⟨y² e^{−2 b x}⟩ / 2`, and the same with b = 0.
        let half_log_mean = |slope: f64| {
            let logs = x.iter().zip(log_y).map(|(x, y)| 2.0 * (y - slope * x));
            let logs: Vec<f64> = logs.collect();
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            0.5 * (most + mean(&mut logs.iter().map(|l| (l - most).exp())).ln())
        };
        let offset = half_log_mean(slope);
        let gain = half_log_mean(0.0) - offset - slope * centre;
        let line = Self {
            offset,
            slope,
            gain,
        };
        (slope.is_finite() && offset.is_finite() && gain.is_finite()).then_some(line)
    }
}

/// The entries whose scale follows another one, each with that other: those that gain most first. No entry both
/// follows and is followed.
fn followers(columns: &[Vec<f64>]) -> Vec<(usize, usize, Line)> {
    let rows = columns.first().map_or(0, Vec::len);
    if rows < LEAST_ROWS {
        return Vec::new();
    }
    let logs: Vec<Vec<f64>> = (columns.iter())
        .map(|column| column.iter().map(|x| x.abs().max(1e-12).ln()).collect())
        .collect();
    let mut lines = Vec::new();
    for (i, log_y) in logs.iter().enumerate() {
        for (j, x) in columns.iter().enumerate() {
            // A line that half of the rows suggest must hold for the others, too.
            let half = |of: &[f64], odd: usize| -> Vec<f64> {
                of.iter().skip(odd).step_by(2).copied().collect()
            };
            let halves = [0, 1].map(|odd| Line::fit(&half(x, odd), &half(log_y, odd)));
            let both = halves
                .iter()
                .all(|line| line.is_some_and(|line| line.gain >= LEAST_GAIN));
            if let Some(line) = Line::fit(x, log_y).filter(|_| i != j && both) {
                lines.push((i, j, line));
            }
        }
    }
    lines.sort_by(|a, b| b.2.gain.total_cmp(&a.2.gain));
    let mut found: Vec<(usize, usize, Line)> = Vec::new();
    for (i, j, line) in lines {
        let free = found.iter().all(|&(a, b, _)| a != i && b != i && a != j);
        if free {
            found.push((i, j, line));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_funnel_is_found_and_others_are_not() {
        let mut stream = Stream::new(3, 0);
        let n = 4000;
        let v = stream.normal64(n);
        let mut columns = vec![v.clone()];
        for width in [1.5, -0.9] {
            let z = stream.normal64(n);
            columns.push(
                z.iter()
                    .zip(&v)
                    .map(|(z, v)| z * (width * v).exp())
                    .collect(),
            );
        }
        columns.push(stream.normal64(n));
        let found = followers(&columns);
        assert_eq!(found.len(), 2, "{found:?}");
        for (i, j, line) in found {
            let slope = [1.5, -0.9][i - 1];
            assert_eq!(j, 0);
            assert!((line.slope - slope).abs() < 0.08, "{i} {line:?}");
            assert!(line.offset.abs() < 0.1, "{i} {line:?}");
        }
        // Two modes, a curved valley, and heavy tails have no common scale.
        let side = stream.normal64(n);
        let noise = stream.normal64(n);
        let two: Vec<Vec<f64>> = vec![
            side.iter()
                .zip(&noise)
                .map(|(s, z)| 2.0 * s.signum() + 0.5 * z)
                .collect(),
            side.iter()
                .map(|s| s.signum())
                .zip(&v)
                .map(|(s, v)| s + 0.3 * v)
                .collect(),
        ];
        let valley = vec![
            side.clone(),
            side.iter()
                .zip(&noise)
                .map(|(s, z)| s * s - 1.0 + 0.3 * z)
                .collect(),
        ];
        let width = stream.normal64(n);
        let t = |z: &[f64]| {
            z.iter()
                .zip(&width)
                .map(|(z, w)| z / w.abs().max(0.1))
                .collect()
        };
        let student = vec![t(&side), t(&noise)];
        for columns in [two, valley, student] {
            let found = followers(&columns);
            assert!(found.is_empty(), "{found:?}");
        }
    }
}
