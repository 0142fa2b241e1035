//! Causality: a grid point is trained only after the points between it and its base are good.
//!
//! Information flows outward from the base conditions, so each grid point is drawn with
//! a weight that falls with the running losses on the way to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::grid::Grid;
use crate::random::Stream;
use crate::validate::Validate;

/// The settings of [`Causality`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CausalityConfig {
    /// Whether causality acts; if not, all grid points are equally likely.
    pub enabled: bool,
    /// `ε`: how strictly a point waits, per unit of summed loss.
    pub epsilon: f64,
    /// The ratio of the final `ε` to the initial one: at progress `p` of training it is `ε · ratio^p`.
    pub final_ratio: f64,
    /// The factor on `ε` for points between two bases.
    pub between_factor: f64,
    /// `a`: the part of a running loss that stays at an update, in `[0, 1)`.
    pub retain: f64,
    /// Use `a^count` for a point hit `count` times by a batch, instead of `a`.
    pub retain_per_hit: bool,
    /// Multiply each loss in the sum by the distance to the next point on the way.
    pub weight_by_spacing: bool,
    /// The weights are recomputed every so many steps.
    pub refresh: usize,
}

impl Default for CausalityConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            epsilon: 1.0,
            final_ratio: 1.0,
            between_factor: 1.0,
            retain: 0.9,
            retain_per_hit: false,
            weight_by_spacing: false,
            refresh: 50,
        }
    }
}

impl Validate for CausalityConfig {
    fn validate(&self, field: &str) -> Result<()> {
        let refuse = |name: &str, expected: &str, found: f64| {
            Err(Error::setting(
                format!("{field}.{name}"),
                format!("expected {expected}, found {found}"),
            ))
        };
        for (name, value) in [
            ("epsilon", self.epsilon),
            ("between_factor", self.between_factor),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(name, "a finite number that is not negative", value);
            }
        }
        if !(self.final_ratio.is_finite() && self.final_ratio > 0.0) {
            return refuse("final_ratio", "a positive number", self.final_ratio);
        }
        if !(0.0..1.0).contains(&self.retain) {
            return refuse("retain", "a number in [0, 1)", self.retain);
        }
        if self.refresh == 0 {
            return refuse("refresh", "at least one step", 0.0);
        }
        Ok(())
    }
}

impl CausalityConfig {
    /// Causality over `grid`, with all running losses 0.
    ///
    /// # Errors
    /// If a setting is refused.
    pub fn init(&self, grid: &Grid) -> Result<Causality> {
        self.validate("causality")?;
        let n = grid.len();
        Ok(Causality {
            config: self.clone(),
            grid: grid.clone(),
            state: CausalityState {
                losses: vec![0.0; n],
                log_weights: vec![0.0; n],
                next_refresh: 0,
            },
        })
    }
}

/// Running losses of the grid points, and the weights with which points are drawn.
///
/// Weights of a point `i` outside all bases, with nearest base `b`: `log ω_i = −ε s_i`, where
/// `s_i = Σ L_j` over the points from `b` (included) up to but excluding `i`. Between two bases
/// `b`, `b'`: `ω_i = k e^{−ε s_b} + (1 − k) e^{−ε s_b'}` with `k = (d − 1)/(D − 2)`, `d` the index
/// distance from `b'` and `D` that between the bases; `k = ½` for `D = 2`.
#[derive(Clone, Debug)]
pub struct Causality {
    config: CausalityConfig,
    grid: Grid,
    state: CausalityState,
}

/// The state of [`Causality`] as it stands in a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CausalityState {
    /// The running loss of each grid point.
    pub losses: Vec<f64>,
    /// The log weights as last computed, not normalised.
    pub log_weights: Vec<f64>,
    /// The first step at which the weights are computed anew.
    pub next_refresh: usize,
}

impl Causality {
    /// Take in the losses of a batch: `losses[i]` is that of an element at grid point
    /// `indices[i]`.
    ///
    /// For each point that was hit, `L ← a L + (1 − a) mean`. Losses that are not finite are left
    /// out, so that they cannot poison the weights.
    ///
    /// # Errors
    /// If the slices differ in length or an index is not on the grid.
    pub fn update(&mut self, indices: &[usize], losses: &[f64]) -> Result<()> {
        let n = self.grid.len();
        if indices.len() != losses.len() {
            return Err(Error::Shape {
                what: "losses of a causality update".into(),
                expected: format!("[{}]", indices.len()),
                found: format!("[{}]", losses.len()),
            });
        }
        let mut sums = vec![(0.0, 0_i32); n];
        for (&k, &loss) in indices.iter().zip(losses) {
            let Some((sum, count)) = sums.get_mut(k) else {
                return Err(Error::Shape {
                    what: "grid index of a causality update".into(),
                    expected: format!("below {n}"),
                    found: k.to_string(),
                });
            };
            if loss.is_finite() {
                *sum += loss;
                *count += 1;
            }
        }
        for (running, (sum, count)) in self.state.losses.iter_mut().zip(sums) {
            let mean = sum / f64::from(count);
            if count > 0 && mean.is_finite() {
                let hits = if self.config.retain_per_hit { count } else { 1 };
                let a = self.config.retain.powi(hits);
                *running = a * *running + (1.0 - a) * mean;
            }
        }
        Ok(())
    }

    /// Recompute the weights if they are due at `step` (counted from 0) of `total`.
    ///
    /// Call it once a step, before [`Self::draw`].
    pub fn refresh(&mut self, step: usize, total: usize) {
        if step < self.state.next_refresh {
            return;
        }
        self.state.next_refresh = (step / self.config.refresh + 1) * self.config.refresh;
        let progress = if total == 0 {
            1.0
        } else {
            (step as f64 / total as f64).min(1.0)
        };
        if self.config.enabled {
            let epsilon = self.config.epsilon * self.config.final_ratio.powf(progress);
            self.state.log_weights = self.log_weights_at(epsilon);
        }
    }

    /// The index of a grid point, drawn with the weights.
    pub fn draw(&self, stream: &mut Stream) -> usize {
        stream.categorical(&self.state.log_weights)
    }

    /// The running losses, one a grid point.
    pub fn losses(&self) -> &[f64] {
        &self.state.losses
    }

    /// The log weights as last computed, not normalised.
    pub fn log_weights(&self) -> &[f64] {
        &self.state.log_weights
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Everything needed to continue, for a checkpoint.
    pub fn state(&self) -> &CausalityState {
        &self.state
    }

    /// Continue from `state`.
    ///
    /// # Errors
    /// If the state belongs to a grid of another size.
    pub fn restore(&mut self, state: CausalityState) -> Result<()> {
        let n = self.grid.len();
        for values in [&state.losses, &state.log_weights] {
            if values.len() != n {
                return Err(Error::Shape {
                    what: "causality state".into(),
                    expected: format!("[{n}], the size of the grid"),
                    found: format!("[{}]", values.len()),
                });
            }
        }
        self.state = state;
        Ok(())
    }

    fn log_weights_at(&self, epsilon: f64) -> Vec<f64> {
        let bases = self.grid.bases();
        (0..self.grid.len())
            .map(|i| {
                // The bases on both sides; a base itself has one of them at distance 0.
                let next = bases.partition_point(|&b| b < i);
                let below = next.checked_sub(1).map(|at| bases[at]);
                let above = bases.get(next).copied();
                let log_weight = match (below, above) {
                    (_, Some(base)) if base == i => 0.0,
                    (Some(b), Some(b2)) => {
                        let epsilon = epsilon * self.config.between_factor;
                        let k = if b2 - b == 2 {
                            0.5
                        } else {
                            (b2 - i - 1) as f64 / (b2 - b - 2) as f64
                        };
                        let first = k.ln() - epsilon * self.summed_loss(b, i);
                        let second = (1.0 - k).ln() - epsilon * self.summed_loss(b2, i);
                        let larger = first.max(second);
                        larger + (-(first - second).abs()).exp().ln_1p()
                    }
                    (Some(b), None) | (None, Some(b)) => -epsilon * self.summed_loss(b, i),
                    (None, None) => 0.0,
                };
                // Finite, so that the state survives JSON.
                log_weight.max(f64::MIN)
            })
            .collect()
    }

    /// `s_i`: losses from `base` (included) to `point` (excluded).
    fn summed_loss(&self, base: usize, point: usize) -> f64 {
        let conditions = self.grid.conditions();
        let term = |from: usize, to: usize| {
            let spacing = (conditions[to] - conditions[from]).abs();
            self.state.losses[from]
                * if self.config.weight_by_spacing {
                    spacing
                } else {
                    1.0
                }
        };
        if base <= point {
            (base..point).map(|j| term(j, j + 1)).sum()
        } else {
            (point + 1..=base).map(|j| term(j, j - 1)).sum()
        }
    }
}

#[cfg(test)]
mod tests;
