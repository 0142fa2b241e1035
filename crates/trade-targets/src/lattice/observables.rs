//! The observables of fields, with bootstrap errors.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};
use trade_core::estimate::Estimate;
use trade_core::estimate::bootstrap::resample;
use trade_core::estimate::snis::Weights;
use trade_core::{Error, Result};

use super::{Couplings, Torus};

/// Blocks beyond this number are merged: they would cost time and sharpen no error.
const MOST_BLOCKS: usize = 2000;

/// How the bootstrap draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// How many consecutive fields are drawn together: about `2τ` of a chain; 1 by default.
    pub block: usize,
    /// The number of resamples; 200 by default, which gives an error bar to 5 %.
    pub resamples: usize,
    /// The seed of the draws; 0 by default.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self {
            block: 1,
            resamples: 200,
            seed: 0,
        }
    }
}

/// Expectations under `p ∝ e^{−S}`, each with its error. `M = Σ_x φ_x`, `V = L²`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observables {
    /// The magnetisation `⟨|M|⟩/V`.
    pub magnetisation: Estimate,
    /// The action per site `⟨S⟩/V`.
    pub action: Estimate,
    /// The susceptibility `(⟨M²⟩ − ⟨|M|⟩²)/V`.
    pub susceptibility: Estimate,
    /// The Binder cumulant `1 − ⟨M⁴⟩/(3⟨M²⟩²)`: 0 for a Gaussian, 2/3 in the broken phase.
    pub binder: Estimate,
    /// The correlator of time slices at distances `t = 0 … ⌊L/2⌋`,
    /// `C(t) = V⁻¹ Σ_{t₀,s,s'} ⟨φ_{(t₀,s)} φ_{(t₀+t,s')}⟩`, averaged over both directions. Nothing is
    /// subtracted: its sum over all `L` distances is `⟨M²⟩/V`.
    pub correlator: Vec<Estimate>,
    /// The second-moment correlation length in sites,
    /// `ξ = √(C̃(0)/C̃(2π/L) − 1) / (2 sin(π/L))`; 0 where the root is of a negative number.
    pub correlation_length: Estimate,
    /// `⟨∂_κ log q⟩`, of the whole lattice: the slope of `log Z` in κ.
    pub kappa_score: Estimate,
    /// `⟨∂_λ log q⟩`, of the whole lattice: the slope of `log Z` in λ.
    pub lambda_score: Estimate,
    /// `Var(∂_κ log q)`: the curvature of `log Z` in κ, since `log q` is linear in it.
    pub kappa_curvature: Estimate,
}

/// The quantities of one field that are averaged, before the correlator.
const QUANTITIES: usize = 7;
/// The numbers computed from averages, before the correlator.
const RESULTS: usize = 8;

impl Observables {
    /// Measures `fields`, row-major `[n, L²]`, drawn at `couplings`.
    ///
    /// With `log_weights` `[n]`, known up to a constant, averages are self-normalised importance
    /// sampling; without, all fields weigh the same. For a Metropolis chain pass its
    /// fields in order with a block of `2τ`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the fields are not whole or the weights of another number;
    /// [`Error::Estimate`] if there are fewer than two blocks, if weights are NaN or +∞ or all −∞,
    /// or if no resample holds any weight.
    pub fn measure<T: Copy + Into<f64>>(
        torus: &Torus,
        fields: &[T],
        couplings: Couplings,
        log_weights: Option<&[f64]>,
        resampling: Resampling,
    ) -> Result<Self> {
        let n = torus.count(fields.len())?;
        let weights = match log_weights {
            Some(log) if log.len() != n => {
                return Err(Error::Shape {
                    what: "log weights".into(),
                    expected: format!("[{n}]"),
                    found: format!("[{}]", log.len()),
                });
            }
            Some(log) => Some(Weights::from_log(log)?),
            None => None,
        };
        let block = resampling.block.max(1).max(n.div_ceil(MOST_BLOCKS));
        if n < 2 * block {
            return Err(Error::Estimate(format!(
                "errors need two blocks of {block} fields, found {n} fields"
            )));
        }
        let width = 1 + QUANTITIES + torus.side() / 2 + 1;
        let mut blocks = vec![0.0; n.div_ceil(block) * width];
        let mut field = vec![0.0; torus.sites()];
        let mut row = vec![0.0; width];
        for (i, values) in fields.chunks_exact(torus.sites()).enumerate() {
            let weight = weights.as_ref().map_or(1.0, |w| w.as_slice()[i]);
            // A field without weight does not count, whatever it holds.
            if weight == 0.0 {
                continue;
            }
            for (phi, &value) in field.iter_mut().zip(values) {
                *phi = value.into();
            }
            quantities(torus, &field, couplings, &mut row);
            let sums = &mut blocks[i / block * width..][..width];
            for (sum, value) in sums.iter_mut().zip(&row) {
                *sum += weight * value;
            }
        }
        let statistic = |rows: &mut dyn Iterator<Item = &[f64]>| {
            let mut sums = vec![0.0; width];
            for row in rows {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            results(torus, &sums)
        };
        let values = statistic(&mut blocks.chunks_exact(width));
        let replicates = resample(
            blocks.len() / width,
            resampling.resamples,
            resampling.seed,
            |indices| statistic(&mut indices.iter().map(|&i| &blocks[i * width..][..width])),
        );
        let estimates = values
            .iter()
            .enumerate()
            .map(|(k, &value)| {
                let column = replicates.iter().map(|r| r[k]).filter(|x| x.is_finite());
                Ok(Estimate {
                    value,
                    error: spread(column)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            magnetisation: estimates[0],
            action: estimates[1],
            susceptibility: estimates[2],
            binder: estimates[3],
            kappa_score: estimates[4],
            lambda_score: estimates[5],
            kappa_curvature: estimates[6],
            correlation_length: estimates[7],
            correlator: estimates[RESULTS..].to_vec(),
        })
    }
}

/// 1, |M|, M², M⁴, S, ∂_κ log q, its square, ∂_λ log q, C(0), … of one field.
fn quantities(torus: &Torus, field: &[f64], couplings: Couplings, row: &mut [f64]) {
    let l = torus.side();
    let m: f64 = field.iter().sum();
    let score = torus.kappa_score(field);
    let square = m * m;
    row[..=QUANTITIES].copy_from_slice(&[
        1.0,
        m.abs(),
        square,
        square * square,
        torus.action(field, couplings),
        score,
        score * score,
        torus.lambda_score(field),
    ]);
    let mut slices = [vec![0.0; l], vec![0.0; l]];
    for (x, phi) in field.iter().enumerate() {
        slices[0][x / l] += phi;
        slices[1][x % l] += phi;
    }
    for (t, out) in row[1 + QUANTITIES..].iter_mut().enumerate() {
        let along = |slice: &Vec<f64>| {
            let (head, tail) = slice.split_at(t);
            let ahead = tail.iter().chain(head);
            slice.iter().zip(ahead).map(|(a, b)| a * b).sum::<f64>()
        };
        *out = (along(&slices[0]) + along(&slices[1])) / (2 * l * l) as f64;
    }
}

/// The numbers of [`Observables`] from weighted sums of [`quantities`].
fn results(torus: &Torus, sums: &[f64]) -> Vec<f64> {
    let (l, v) = (torus.side(), torus.sites() as f64);
    let mean = |k: usize| sums[k] / sums[0];
    let (modulus, square) = (mean(1), mean(2));
    let correlator: Vec<f64> = (1 + QUANTITIES..sums.len()).map(mean).collect();
    let wave = |n: usize| {
        let term = |t: usize| {
            let phase = TAU * (n * t) as f64 / l as f64;
            phase.cos() * correlator[t.min(l - t)]
        };
        (0..l).map(term).sum::<f64>()
    };
    let ratio = wave(0) / wave(1) - 1.0;
    // `max` would swallow a NaN of empty weights.
    let root = if ratio < 0.0 { 0.0 } else { ratio.sqrt() };
    let mut out = vec![
        modulus / v,
        mean(4) / v,
        (square - modulus * modulus) / v,
        1.0 - mean(3) / (3.0 * square * square),
        mean(5),
        mean(7),
        mean(6) - mean(5) * mean(5),
        root / (2.0 * (0.5 * TAU / l as f64).sin()),
    ];
    out.extend(correlator);
    out
}

/// The standard deviation of replicates.
fn spread(values: impl Iterator<Item = f64>) -> Result<f64> {
    let values: Vec<f64> = values.collect();
    // s/√n of the replicates, times √n.
    let n = values.len() as f64;
    Ok(Estimate::mean(&values)?.error * n.sqrt())
}
