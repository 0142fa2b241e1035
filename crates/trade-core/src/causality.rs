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
mod tests {
    use super::*;
    use crate::grid::{GridConfig, Spacing};

    fn grid(points: usize, bases: &[f64]) -> Grid {
        let max = (points - 1) as f64;
        GridConfig {
            min: 0.0,
            max,
            points,
            spacing: Spacing::Linear,
        }
        .init(bases)
        .unwrap()
    }

    fn with_losses(config: CausalityConfig, grid: &Grid, losses: &[f64]) -> Causality {
        let config = CausalityConfig {
            retain: 0.0,
            ..config
        };
        let mut causality = config.init(grid).unwrap();
        let indices: Vec<usize> = (0..losses.len()).collect();
        causality.update(&indices, losses).unwrap();
        causality
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} against {expected:?}");
        }
    }

    #[test]
    fn outside_the_bases_the_losses_add_up_from_the_base() {
        let config = CausalityConfig {
            epsilon: 2.0,
            ..CausalityConfig::default()
        };
        let mut causality = with_losses(config, &grid(5, &[1.0]), &[0.5, 0.1, 0.2, 0.3, 9.0]);
        causality.refresh(0, 100);
        // Left: base only. Right: 0.1, then 0.1 + 0.2, then 0.1 + 0.2 + 0.3; times −2.
        close(causality.log_weights(), &[-0.2, 0.0, -0.2, -0.6, -1.2]);
    }

    #[test]
    fn between_bases_the_weights_are_combined() {
        // Bases 0 and 4: D = 4; points 1, 2, 3 have d = 3, 2, 1 and k = 1, ½, 0.
        let config = CausalityConfig {
            epsilon: 2.0,
            between_factor: 0.5,
            ..CausalityConfig::default()
        };
        let mut causality = with_losses(
            config,
            &grid(6, &[0.0, 4.0]),
            &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2],
        );
        causality.refresh(0, 100);
        // ε between = 1: s from base 0 at point 2 is 0.3; from base 4 it is 0.8 + 1.6 = 2.4.
        let middle = f64::midpoint((-0.3_f64).exp(), (-2.4_f64).exp()).ln();
        close(
            causality.log_weights(),
            &[0.0, -0.1, middle, -1.6, 0.0, -3.2],
        );
    }

    #[test]
    fn a_single_point_between_bases_takes_the_plain_average() {
        let mut causality = with_losses(
            CausalityConfig::default(),
            &grid(3, &[0.0, 2.0]),
            &[0.1, 5.0, 0.7],
        );
        causality.refresh(0, 1);
        let average = f64::midpoint((-0.1_f64).exp(), (-0.7_f64).exp()).ln();
        close(causality.log_weights(), &[0.0, average, 0.0]);
    }

    #[test]
    fn losses_may_be_weighted_by_the_spacing() {
        let log = GridConfig {
            min: 1.0,
            max: 8.0,
            points: 4,
            spacing: Spacing::Log,
        };
        let config = CausalityConfig {
            weight_by_spacing: true,
            ..CausalityConfig::default()
        };
        let losses = [0.5, 0.25, 0.1, 0.2];
        let mut causality = with_losses(config.clone(), &log.init(&[1.0]).unwrap(), &losses);
        causality.refresh(0, 1);
        // 0.5 · 1, then 0.25 · 2 and 0.1 · 4 more.
        close(causality.log_weights(), &[0.0, -0.5, -1.0, -1.4]);
        let mut causality = with_losses(config, &log.init(&[8.0]).unwrap(), &losses);
        causality.refresh(0, 1);
        // From above: 0.2 · 4, then 0.1 · 2 and 0.25 · 1 more.
        close(causality.log_weights(), &[-1.25, -1.0, -0.8, 0.0]);
    }

    #[test]
    fn running_losses_follow_the_update_rule() {
        let config = CausalityConfig {
            retain: 0.5,
            ..CausalityConfig::default()
        };
        let mut causality = config.init(&grid(3, &[0.0])).unwrap();
        causality.update(&[1, 1, 2], &[1.0, 3.0, 8.0]).unwrap();
        close(causality.losses(), &[0.0, 1.0, 4.0]);
        causality.update(&[1, 2], &[0.0, f64::NAN]).unwrap();
        close(causality.losses(), &[0.0, 0.5, 4.0]);

        let config = CausalityConfig {
            retain_per_hit: true,
            ..config
        };
        let mut causality = config.init(&grid(3, &[0.0])).unwrap();
        // 1 − 0.5² = 0.75 and 1 − 0.5¹; the infinite loss is no hit.
        causality
            .update(&[1, 1, 2, 2], &[1.0, 3.0, 8.0, f64::INFINITY])
            .unwrap();
        close(causality.losses(), &[0.0, 1.5, 4.0]);
        assert!(causality.update(&[3], &[1.0]).is_err());
        assert!(causality.update(&[0, 1], &[1.0]).is_err());
    }

    #[test]
    fn epsilon_decays_and_weights_wait_for_their_refresh() {
        let config = CausalityConfig {
            final_ratio: 0.01,
            ..CausalityConfig::default()
        };
        let mut causality = config.init(&grid(2, &[0.0])).unwrap();
        causality.refresh(0, 200);
        causality.update(&[0], &[10.0]).unwrap();
        close(causality.losses(), &[1.0, 0.0]);
        for step in 1..50 {
            causality.refresh(step, 200);
            close(causality.log_weights(), &[0.0, 0.0]);
        }
        causality.refresh(50, 200);
        close(causality.log_weights(), &[0.0, -(0.01_f64.powf(0.25))]);
        // A step that skips the exact multiple still refreshes.
        causality.refresh(101, 200);
        close(
            causality.log_weights(),
            &[0.0, -(0.01_f64.powf(101.0 / 200.0))],
        );
    }

    #[test]
    fn draws_are_uniform_at_first_and_follow_the_weights_later() {
        let config = CausalityConfig {
            epsilon: 1.0,
            ..CausalityConfig::default()
        };
        let mut causality = config.init(&grid(3, &[0.0])).unwrap();
        let mut stream = Stream::new(1, 0);
        let n = 30_000;
        let mut frequencies = |causality: &Causality| {
            let mut counts = [0.0_f64; 3];
            for _ in 0..n {
                counts[causality.draw(&mut stream)] += 1.0 / n as f64;
            }
            counts
        };
        causality.refresh(0, 100);
        // Four sigma of a frequency at most ½.
        let bound = 4.0 * (0.25 / n as f64).sqrt();
        for f in frequencies(&causality) {
            assert!((f - 1.0 / 3.0).abs() < bound);
        }
        // log ω = 0, −ln 2, −ln 4: probabilities 4/7, 2/7, 1/7.
        let half = 2.0_f64.ln() / 0.1;
        causality.update(&[0, 1], &[half, half]).unwrap();
        causality.refresh(50, 100);
        for (f, p) in frequencies(&causality)
            .iter()
            .zip([4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0])
        {
            assert!((f - p).abs() < bound);
        }
    }

    #[test]
    fn switched_off_it_stays_uniform() {
        let config = CausalityConfig {
            enabled: false,
            ..CausalityConfig::default()
        };
        let mut causality = with_losses(config, &grid(4, &[0.0]), &[5.0; 4]);
        causality.refresh(0, 100);
        close(causality.log_weights(), &[0.0; 4]);
    }

    #[test]
    fn state_survives_json_bit_by_bit() {
        let config = CausalityConfig {
            epsilon: 1e300,
            ..CausalityConfig::default()
        };
        let losses = [0.1, 1e200, 1.0 / 3.0];
        let mut causality = with_losses(config.clone(), &grid(3, &[0.0]), &losses);
        causality.refresh(3, 100);
        let text = serde_json::to_string(causality.state()).unwrap();
        let mut resumed = config.init(&grid(3, &[0.0])).unwrap();
        resumed
            .restore(serde_json::from_str(&text).unwrap())
            .unwrap();
        assert_eq!(resumed.state(), causality.state());
        let mut other = config.init(&grid(4, &[0.0])).unwrap();
        assert!(other.restore(causality.state().clone()).is_err());
    }

    #[test]
    fn settings_are_checked_and_named() {
        let named = |config: CausalityConfig| config.validate("c").unwrap_err().to_string();
        let default = CausalityConfig::default;
        assert!(
            named(CausalityConfig {
                epsilon: -1.0,
                ..default()
            })
            .contains("c.epsilon")
        );
        assert!(
            named(CausalityConfig {
                retain: 1.0,
                ..default()
            })
            .contains("c.retain")
        );
        assert!(
            named(CausalityConfig {
                refresh: 0,
                ..default()
            })
            .contains("c.refresh")
        );
        assert!(
            named(CausalityConfig {
                final_ratio: 0.0,
                ..default()
            })
            .contains("c.final_ratio")
        );
        assert!(default().validate("c").is_ok());
    }
}
