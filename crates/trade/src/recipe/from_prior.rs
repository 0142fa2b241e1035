//! Tempered posteriors that start at their prior.
//!
//! At the power 0 the posterior is the prior, which can be sampled for nothing. The distribution often
//! changes fastest there, so that conditions are spaced by what the target itself says: in
//! `s = ∫ √Var_β[ℓ] dβ` importance weights lose the same everywhere. A population of particles is carried
//! from the prior to the highest power, see [`population`]. The powers it stops at are even in `s`, and a
//! logarithm of `β + shift` is fitted to them, which the flow and its losses use for a scale.
//!
//! The loss is the log variance over a pool of points, each of which is evaluated once. The states on the way are
//! its first points.

use std::sync::Arc;

use trade_core::{
    grid::Spacing,
    learning_rate::LearningRate,
    objective::{Clip, LogVarianceConfig, NllConfig, PoolConfig, Problem},
    ramp::Ramp,
    random::Stream,
    schedule::Schedule,
    train::TrainConfig,
};
use trade_flows::{
    FlowConfig, LastLayer, PreprocessConfig,
    layer::{ConditionalWhitenConfig, LayerConfig, RelativeConfig},
};
#[cfg(doc)]
use trade_targets::expression::Posterior;

use super::{Draft, Paid, SelectionConfig, population::population};
use crate::{
    config::{DataConfig, DataSource, LossConfig, ObjectiveConfig, RunConfig},
    error::{Context, Result, bail, ensure},
    resolution::unresolved,
    target::AnyTarget,
};

/// Draws of the prior behind the boundary term.
const DRAWS: usize = 100_000;
/// Draws by which it is judged whether single precision holds the prior.
const CHECKED: usize = 10_000;
/// The most numbers of all draws together.
const MOST_NUMBERS: usize = 20_000_000;
/// Fewer points of the flow than this train nothing.
const LEAST_POINTS: u64 = 1000;
/// Samples at each condition by which a flow is judged.
const JUDGED: usize = 256;
/// The weight of the likelihood at the boundary in the end, where the log variance does better.
const BOUNDARY: f64 = 0.05;
/// The largest learning rate.
const MOST_RATE: f64 = 1e-3;
/// How often the likelihood may be evaluated, unless a draft says so itself.
const MOST_CALLS: u64 = 130_000;
/// By default the likelihood may be evaluated so many times as often as the particles did, if that is more.
const PARTICLES_SHARE: u64 = 4;
/// The least and the most intervals between knots along the power.
const INTERVALS: (usize, usize) = (12, 96);
/// The most rounds of training, for each is judged at the cost of evaluations.
const MOST_ROUNDS: usize = 2;

/// A posterior whose range starts at the prior.
pub(super) struct FromPrior {
    control: String,
    range: (f64, f64),
    dim: usize,
    /// The location and the scale of each entry, see [`Posterior::relations`].
    relations: (Vec<Option<usize>>, Vec<Option<usize>>),
    /// Whether the prior relates entries in other ways.
    others: bool,
    /// What is added to the power before its logarithm is taken.
    shift: f64,
    /// Knots along the power for location, scale and correlations.
    knots: usize,
    /// What was paid for that.
    paid: Paid,
    /// How often the likelihood may be evaluated.
    most: u64,
}

impl FromPrior {
    /// Where a draft states a posterior from the power 0 on, and neither data nor a pilot run nor losses.
    ///
    /// # Errors
    /// If no draw of the prior has a finite likelihood.
    pub(super) fn of(draft: &Draft, problem: &Problem<AnyTarget>) -> Result<Option<Self>> {
        let Some(target) = problem.target.posterior() else {
            return Ok(None);
        };
        let stated = !draft.data.is_empty() || draft.pilot.is_some() || draft.objectives.is_some();
        let range = problem.ranges[0];
        if range.0 != 0.0 || stated {
            return Ok(None);
        }
        // Before particles move in steps that are rounded away.
        let draws = target.draw(CHECKED, &mut Stream::new(draft.seed, 1000))?;
        if let Some(reason) = unresolved(&draws, &target.support()) {
            bail!("`target`: {reason}");
        }
        let before = target.calls().unwrap_or(0);
        let found = population(target, target.dim(), range.1, draft.seed).context("`target`")?;
        let calls = target.calls().unwrap_or(0) - before;
        let by_default = MOST_CALLS.max(PARTICLES_SHARE * calls);
        Ok(Some(Self {
            control: target.controls()[0].clone(),
            range,
            dim: target.dim(),
            relations: target.relations(),
            others: target.has_other_relations(),
            shift: fitted_shift(&found.powers),
            knots: knots(found.powers.len()),
            paid: Paid {
                calls,
                start: Some(Arc::new(found)),
            },
            most: draft.max_calls.unwrap_or(by_default),
        }))
    }

    /// What choosing the scale has cost, and the points that it gave.
    pub(super) fn paid(&self) -> Paid {
        self.paid.clone()
    }

    /// The boundary: draws of the prior at the power 0.
    pub(super) fn data(&self) -> DataConfig {
        DataConfig {
            at: [(self.control.clone(), 0.0)].into(),
            from: DataSource::Exact(DRAWS.min(MOST_NUMBERS / self.dim.max(1))),
        }
    }

    /// A training loop with a learning rate that a target that narrows fast can bear.
    pub(super) fn slow_down(train: &mut TrainConfig) {
        if let LearningRate::OneCycle(cycle) = &mut train.learning_rate {
            cycle.max_lr = MOST_RATE;
        }
        train.rounds = train.rounds.min(MOST_ROUNDS);
    }

    /// Lets the networks of a flow see `log(β + shift)`, from −1 to 1 over the range.
    pub(super) fn space_flow(&self, flow: &mut FlowConfig) {
        let [low, high] = [self.range.0, self.range.1].map(|c| (c + self.shift).ln());
        flow.preprocess = PreprocessConfig::Standardise {
            centre: vec![0.5 * (low + high)],
            scale: vec![0.5 * (high - low)],
            logarithmic: vec![true],
            shift: vec![self.shift],
        };
        if !self.others && self.dim <= super::flow::MOST_ENTRIES {
            // The layers below know the scales that affine couplings would have to find.
            let affine = |layer: &LayerConfig| matches!(layer, LayerConfig::AffineCoupling(_));
            flow.layers.retain(|stage| !stage.of.iter().any(affine));
        }
        let layers = flow.layers.iter_mut().flat_map(|stage| &mut stage.of);
        for layer in layers {
            // At the start of training the flow is its first layers, which fit a normal prior exactly.
            match layer {
                LayerConfig::ConditionalAffine(affine) => {
                    affine.embedded = true;
                    affine.conditioner.last_layer = LastLayer::Zero;
                }
                LayerConfig::AffineCoupling(coupling) => {
                    coupling.conditioner.last_layer = LastLayer::Zero;
                }
                LayerConfig::RqsCoupling(coupling) => {
                    coupling.conditioner.last_layer = LastLayer::Zero;
                }
                _ => {}
            }
        }
        let Some(first) = flow.layers.first_mut() else {
            return;
        };
        let whitens = |layer: &LayerConfig| matches!(layer, LayerConfig::Whiten(_));
        let follows = |layer: &LayerConfig| matches!(layer, LayerConfig::ConditionalLinear(_));
        if let Some(place) = first.of.iter().position(whitens)
            && first.of.iter().any(follows)
        {
            let layer = ConditionalWhitenConfig { knots: self.knots };
            let layer = LayerConfig::ConditionalWhiten(layer);
            first.of.insert(place + 1, layer);
        }
        self.relate(&mut first.of);
    }

    /// Lets entries that the prior measures from and in units of others be so for the flow, too.
    fn relate(&self, layers: &mut Vec<LayerConfig>) {
        let (location, scale) = self.relations.clone();
        if location.iter().chain(&scale).any(Option::is_some) {
            layers.insert(0, LayerConfig::Relative(RelativeConfig { location, scale }));
        }
    }

    /// The terms of the loss: the log variance over a pool of points, and the likelihood at the boundary.
    pub(super) fn objectives(&self) -> Vec<ObjectiveConfig> {
        let boundary = NllConfig {
            batch: 256,
            fresh: true,
            ..NllConfig::default()
        };
        let along = LogVarianceConfig {
            batch: 1024,
            groups: 8,
            conditions: Schedule::Uniform {
                spacing: Spacing::LogFrom(self.shift),
            },
            pool: Some(PoolConfig::default()),
            // Priors may have any tails, where single points would rule all others.
            clip: Clip {
                log_clip: Some(1.0),
                ..Clip::default()
            },
            ..LogVarianceConfig::default()
        };
        let at_first = Ramp {
            start: 1.0,
            end: BOUNDARY,
            pct_start: 0.3,
            ..Ramp::default()
        };
        vec![
            ObjectiveConfig::new(LossConfig::Nll(boundary), at_first),
            ObjectiveConfig::new(LossConfig::LogVariance(along), Ramp::constant(1.0)),
        ]
    }

    /// How the best weights are chosen: by few samples, for each is evaluated.
    pub(super) fn selection() -> SelectionConfig {
        SelectionConfig {
            // The boundary is exact, and held-out draws would be evaluated, too.
            held_out: 0.0,
            samples: JUDGED,
        }
    }

    /// Sets how many points the pools of a training may take, so that it evaluates the likelihood `most` times
    /// at most; `measured` counts what was evaluated since [`paid`](Self::paid).
    ///
    /// # Errors
    /// If that leaves too few points.
    pub(super) fn plan(&self, config: &mut RunConfig, measured: u64, judged: u64) -> Result<()> {
        let most = self.most;
        config.max_calls = Some(most);
        let steps = config.train.steps;
        let pools = config.objectives.iter_mut();
        let mut pools: Vec<&mut PoolConfig> = pools
            .filter_map(|objective| match &mut objective.loss {
                LossConfig::LogVariance(config) => config.pool.as_mut(),
                _ => None,
            })
            .collect();
        let other = self.paid.calls + measured + judged;
        let least = LEAST_POINTS * pools.len() as u64;
        ensure!(
            most >= other + least,
            "`max_calls`: {most} evaluations of the likelihood are too few: {other} choose the scale and judge \
             the flow, and at least {least} points train it; allow {} or more",
            other + least
        );
        let each = (most - other) / (pools.len() as u64).max(1);
        for pool in &mut pools {
            pool.points = each as usize;
            // A step begins only if one like the costliest before fits.
            pool.points -= pool.most_at_once(steps).min(each as usize / 2);
        }
        Ok(())
    }
}

/// Knots along the power, at least two for each step of the particles. Their intervals have many divisors, of which the
/// flow takes one.
fn knots(powers: usize) -> usize {
    let (least, most) = INTERVALS;
    let enough = (2 * powers).div_ceil(least).next_power_of_two() * least;
    enough.min(most) + 1
}

/// The shift, in units of the range, from which on a logarithm is linear over it.
const LINEAR: f64 = 10.0;

/// The shift for which `log(β + shift)` is closest to even over the powers.
fn fitted_shift(powers: &[f64]) -> f64 {
    let highest = powers.last().copied().unwrap_or(1.0);
    // The last step may be shorter than the others.
    let even = &powers[..powers.len().saturating_sub(1).max(2).min(powers.len())];
    let last = even.len() - 1;
    if last < 2 {
        // One step says nothing about how the next would differ.
        return LINEAR * highest;
    }
    let misfit = |shift: f64| {
        let spacing = Spacing::LogFrom(shift);
        let off = even.iter().enumerate().map(|(i, &beta)| {
            let share = spacing.share(beta, 0.0, even[last]);
            (share - i as f64 / last as f64).powi(2)
        });
        off.sum::<f64>()
    };
    // From far below any first step, in fiftieths of a factor of ten, to a scale that is linear over the range.
    let shifts = (-1000..=0).map(|i| LINEAR * highest * 10.0_f64.powf(f64::from(i) / 50.0));
    let best = shifts.min_by(|a, b| misfit(*a).total_cmp(&misfit(*b)));
    best.unwrap_or(highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trade_targets::expression::{Posterior, PosteriorConfig};

    /// `d` normal parameters of unit prior, each observed once with the deviation `1/√precision`.
    fn conjugate(d: usize, precision: f64) -> Posterior {
        let json = format!(
            r#"{{"parameters": {{"x": {{"prior": "normal(0, 1)", "length": {d}}}}},
                "log_likelihood": "normal_lpdf(0.3, x, {})"}}"#,
            precision.powf(-0.5)
        );
        let config: PosteriorConfig = serde_json::from_str(&json).unwrap();
        config.init().unwrap()
    }

    #[test]
    fn powers_are_even_in_the_fisher_length() {
        // Var ℓ = d [λ²/(2 (1 + βλ)²) + λ² y²/(1 + βλ)³], so that s is logarithmic far above 1/λ.
        let (d, precision, y) = (6, 50.0, 0.3_f64);
        let powers = population(&conjugate(d, precision), d, 2.0, 3)
            .unwrap()
            .powers;
        let deviation = |beta: f64| {
            let spread = 1.0 + beta * precision;
            let variance = 0.5 / spread.powi(2) + y * y / spread.powi(3);
            (d as f64 * variance).sqrt() * precision
        };
        let length = |from: f64, to: f64| -> f64 {
            let n = 2000;
            let h = (to - from) / f64::from(n);
            (0..n)
                .map(|i| deviation(from + (f64::from(i) + 0.5) * h) * h)
                .sum()
        };
        let steps: Vec<f64> = powers.windows(2).map(|w| length(w[0], w[1])).collect();
        let total: f64 = steps.iter().sum();
        // ESS = e^{−ds²} holds to leading order only, and 400 particles measure it to a few per cent.
        for step in &steps[..steps.len() - 1] {
            assert!((0.5..1.0).contains(step), "{steps:?}");
        }
        assert!((8..14).contains(&powers.len()), "{} {total}", powers.len());
        let shift = fitted_shift(&powers);
        assert!((0.5..2.0).contains(&(shift * precision)), "{shift}");
    }

    #[test]
    fn a_shift_is_found_from_even_powers() {
        for shift in [1e-3, 0.05, 2.0] {
            let powers: Vec<f64> = (0..=10)
                .map(|i| Spacing::LogFrom(shift).at(f64::from(i) / 10.0, 0.0, 1.0))
                .collect();
            let found = fitted_shift(&powers);
            assert!((found / shift).ln().abs() < 0.03, "{shift} {found}");
        }
        // Likelihoods that say little are reached in one or two steps.
        for powers in [&[0.0, 1.0][..], &[0.0, 0.6, 1.0]] {
            assert_eq!(fitted_shift(powers), 10.0);
        }
    }

    #[test]
    fn a_prior_without_likelihood_is_refused() {
        let json = r#"{"parameters": {"x": "normal(0, 1)"}, "log_likelihood": "log(x - 10)"}"#;
        let config: PosteriorConfig = serde_json::from_str(json).unwrap();
        let error = population(&config.init().unwrap(), 1, 1.0, 0)
            .map(|found| found.powers)
            .unwrap_err()
            .to_string();
        assert!(error.contains("0 of 400 draws"), "{error}");
    }
}
