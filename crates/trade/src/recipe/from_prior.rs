//! Tempered posteriors that start at their prior.
//!
//! At the power 0 the posterior is the prior, which can be sampled for nothing. The distribution often
//! changes fastest there, so that conditions are spaced by what the target itself says: in
//! `s = ∫ √Var_β[ℓ] dβ` importance weights lose the same everywhere. A population of particles is carried
//! from the prior to the highest power (annealed importance sampling with resampling, as in Del Moral,
//! Doucet and Jasra, J. R. Statist. Soc. B 68, 411, 2006), in steps that each lose the same part of the
//! effective sample size. The powers it stops at are therefore even in `s`, and a logarithm of `β + shift`
//! is fitted to them, which the flow and its losses use for a scale.

use trade_core::{
    estimate::snis::Weights, grid::Spacing, learning_rate::LearningRate, objective::Problem,
    random::Stream, schedule::Schedule, train::TrainConfig,
};
use trade_flows::{
    ConditionerConfig, FlowConfig, LastLayer, PreprocessConfig,
    layer::{ConditionalLinearConfig, LayerConfig, RelativeConfig, SoftClamp},
};
#[cfg(doc)]
use trade_targets::expression::Posterior;

use super::Draft;
use crate::{
    config::{DataConfig, DataSource, LossConfig, ObjectiveConfig},
    error::{Context, Result, ensure},
    host_posterior::HostPosterior,
    stop::stop_if_told,
    target::AnyTarget,
};

/// Draws of the prior behind the boundary term.
const DRAWS: usize = 100_000;
/// The most numbers of all draws together.
const MOST_NUMBERS: usize = 20_000_000;
/// The relative effective sample size that a step of the population keeps: `e^{−ds²}` with `ds = 0.7`.
const KEPT: f64 = 0.612_626;
/// Moves of each particle after a step.
const MOVES: usize = 4;
/// The largest learning rate.
const MOST_RATE: f64 = 2e-3;
/// The most entries of a state whose correlations follow the power.
const MOST_ENTRIES: usize = 64;
/// The bound on how much narrower than the prior a posterior may be, as a logarithm.
const MOST_NARROWER: f64 = 8.0;
/// The most steps; a target beyond that is not reached by particles.
const MOST_STEPS: usize = 500;

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
    /// How often the likelihood was evaluated for that.
    calls: u64,
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
        let before = target.calls().unwrap_or(0);
        let powers = population(target, range.1, draft.seed).context("`target`")?;
        Ok(Some(Self {
            control: target.controls()[0].clone(),
            range,
            dim: target.dim(),
            relations: target.relations(),
            others: target.has_other_relations(),
            shift: fitted_shift(&powers),
            calls: target.calls().unwrap_or(0) - before,
        }))
    }

    /// How often the likelihood was evaluated to choose the scale.
    pub(super) fn calls(&self) -> u64 {
        self.calls
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
        if !self.others && self.dim <= MOST_ENTRIES {
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
        self.relate(&mut first.of);
        if self.dim <= MOST_ENTRIES {
            // Posteriors narrow by orders of magnitude: couplings see them at unit scale.
            let linear = ConditionalLinearConfig {
                clamp: SoftClamp::Atan(MOST_NARROWER),
                conditioner: ConditionerConfig {
                    hidden: vec![64; 2],
                    ..ConditionerConfig::default()
                },
            };
            first.of.push(LayerConfig::ConditionalLinear(linear));
        }
    }

    /// Lets entries that the prior measures from and in units of others be so for the flow, too.
    fn relate(&self, layers: &mut Vec<LayerConfig>) {
        let (location, scale) = self.relations.clone();
        if location.iter().chain(&scale).any(Option::is_some) {
            layers.insert(0, LayerConfig::Relative(RelativeConfig { location, scale }));
        }
    }

    /// Draws the conditions of all losses evenly in `log(β + shift)`.
    pub(super) fn space_losses(&self, objectives: &mut [ObjectiveConfig]) {
        let even = Spacing::LogFrom(self.shift);
        let spaced = |schedule: &mut Schedule| match schedule {
            Schedule::GrowingInterval { spacing, .. } | Schedule::Uniform { spacing } => {
                *spacing = even;
            }
            Schedule::SkewedLogUniform { .. } | Schedule::Bases => {}
        };
        for objective in objectives {
            match &mut objective.loss {
                LossConfig::TradeGrid(config) => config.spacing = even,
                LossConfig::TradeContinuous(config) => spaced(&mut config.schedule),
                LossConfig::LogVariance(config) => spaced(&mut config.conditions),
                LossConfig::RefinedNll(config) => spaced(&mut config.conditions),
                _ => {}
            }
        }
    }
}

/// Particles with what is known of each.
struct Particles {
    dim: usize,
    /// Row-major `[n, dim]`.
    theta: Vec<f64>,
    log_prior: Vec<f64>,
    log_likelihood: Vec<f64>,
}

impl Particles {
    fn row(&self, i: usize) -> &[f64] {
        &self.theta[i * self.dim..][..self.dim]
    }

    /// Keeps the particles with these numbers, some of them several times.
    fn kept(&self, indices: &[usize]) -> Self {
        let all = |of: &[f64]| indices.iter().map(|&i| of[i]).collect();
        Self {
            dim: self.dim,
            theta: indices.iter().flat_map(|&i| self.row(i)).copied().collect(),
            log_prior: all(&self.log_prior),
            log_likelihood: all(&self.log_likelihood),
        }
    }
}

/// Powers from 0 to `highest`, even in `s` but for the last step, which may be shorter.
fn population(target: &dyn HostPosterior, highest: f64, seed: u64) -> Result<Vec<f64>> {
    let dim = target.dim();
    let n = (20 * dim).clamp(400, 4000);
    let mut stream = Stream::new(seed, 910);
    let theta = target.draw_prior(n, &mut stream)?;
    let mut particles = Particles {
        dim,
        log_prior: target.log_priors(&theta),
        log_likelihood: target.log_likelihoods(&theta),
        theta,
    };
    let finite = particles.log_likelihood.iter().filter(|l| l.is_finite());
    let (finite, wanted) = (finite.count(), n / 10);
    ensure!(
        finite >= wanted,
        "the log likelihood is finite at {finite} of {n} draws of the prior, and at least {wanted} are \
         needed; check the text, or bound the prior to where there is a likelihood"
    );
    let (mut beta, mut powers) = (0.0, vec![0.0]);
    while beta < highest {
        ensure!(
            powers.len() < MOST_STEPS,
            "particles from the prior reached only the power {beta:.3e} in {MOST_STEPS} steps; narrow the \
             prior, or check the likelihood's scale"
        );
        let next = next_power(&particles.log_likelihood, beta, highest)?;
        let weights = weights(&particles.log_likelihood, next - beta)?;
        beta = next;
        powers.push(beta);
        let mut chosen = weights.resample(n, &mut stream);
        // Neighbours of one parent must not be each other's partners only.
        let order = stream.permutation(n);
        chosen = order.into_iter().map(|i| chosen[i]).collect();
        particles = particles.kept(&chosen);
        for turn in 0..MOVES {
            step(target, &mut particles, beta, turn, &mut stream);
        }
    }
    Ok(powers)
}

fn weights(log_likelihood: &[f64], step: f64) -> Result<Weights> {
    let log: Vec<f64> = log_likelihood.iter().map(|l| step * l).collect();
    Ok(Weights::from_log(&log)?)
}

/// The power at which reweighting keeps [`KEPT`], at most the highest.
fn next_power(log_likelihood: &[f64], beta: f64, highest: f64) -> Result<f64> {
    let keeps = |power: f64| -> Result<bool> {
        Ok(weights(log_likelihood, power - beta)?.relative_ess() >= KEPT)
    };
    if keeps(highest)? {
        return Ok(highest);
    }
    // Bisection of the step's logarithm, over as many octaves as there may be.
    let (mut low, mut high) = (-200.0, (highest - beta).log2());
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if keeps(beta + f64::exp2(middle))? {
            low = middle;
        } else {
            high = middle;
        }
    }
    let next = beta + f64::exp2(low);
    // Particles without likelihood are lost at any power.
    Ok(if next > beta {
        next
    } else {
        beta + f64::exp2(high).max(1e-9 * highest)
    })
}

/// Moves one half of the particles by differences of the other, and then the other half.
fn step(
    target: &dyn HostPosterior,
    particles: &mut Particles,
    beta: f64,
    turn: usize,
    stream: &mut Stream,
) {
    let (n, dim) = (particles.log_prior.len(), particles.dim);
    let half = n / 2;
    let factor = if turn == MOVES - 1 {
        1.0
    } else {
        2.38 / (2.0 * dim as f64).sqrt()
    };
    for (from, to, other) in [(0, half, half), (half, n, 0)] {
        stop_if_told();
        let others = if other == 0 { half } else { n - half };
        let (mut moved, mut uniform) = (Vec::new(), Vec::new());
        for i in from..to {
            let [a, b] = [0; 2].map(|_| other + stream.index(others));
            let noise = stream.normal64(dim);
            let difference = particles.row(a).iter().zip(particles.row(b)).zip(&noise);
            let difference = difference.zip(particles.row(i));
            moved
                .extend(difference.map(|(((a, b), z), x)| x + factor * (a - b) * (1.0 + 0.05 * z)));
            uniform.push(stream.uniform_one());
        }
        let log_prior = target.log_priors(&moved);
        // The likelihood is asked for where the prior has density only.
        let inside: Vec<usize> = (0..to - from)
            .filter(|&j| log_prior[j] > f64::NEG_INFINITY)
            .collect();
        let row = |j: usize| &moved[j * dim..][..dim];
        let theta: Vec<f64> = inside.iter().flat_map(|&j| row(j)).copied().collect();
        for (&j, log_likelihood) in inside.iter().zip(target.log_likelihoods(&theta)) {
            let i = from + j;
            let change = log_prior[j] - particles.log_prior[i]
                + beta * (log_likelihood - particles.log_likelihood[i]);
            if uniform[j].ln() < change {
                particles.theta[i * dim..][..dim].copy_from_slice(row(j));
                particles.log_prior[i] = log_prior[j];
                particles.log_likelihood[i] = log_likelihood;
            }
        }
    }
}

/// The shift for which `log(β + shift)` is closest to even over the powers.
fn fitted_shift(powers: &[f64]) -> f64 {
    let highest = powers.last().copied().unwrap_or(1.0);
    // The last step may be shorter than the others.
    let even = &powers[..powers.len().saturating_sub(1).max(2).min(powers.len())];
    let last = even.len() - 1;
    let misfit = |shift: f64| {
        let spacing = Spacing::LogFrom(shift);
        let off = even.iter().enumerate().map(|(i, &beta)| {
            let share = spacing.share(beta, 0.0, even[last]);
            (share - i as f64 / last as f64).powi(2)
        });
        off.sum::<f64>()
    };
    // From far below the first step to a scale that is linear over the range.
    let shifts = (0..=400).map(|i| highest * 10.0_f64.powf(-7.0 + 8.0 * f64::from(i) / 400.0));
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
        let powers = population(&conjugate(d, precision), 2.0, 3).unwrap();
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
    }

    #[test]
    fn a_prior_without_likelihood_is_refused() {
        let json = r#"{"parameters": {"x": "normal(0, 1)"}, "log_likelihood": "log(x - 10)"}"#;
        let config: PosteriorConfig = serde_json::from_str(json).unwrap();
        let error = population(&config.init().unwrap(), 1.0, 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("0 of 400 draws"), "{error}");
    }
}
