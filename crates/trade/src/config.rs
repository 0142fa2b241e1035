//! The configuration of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    error::{Context, Error, Result, bail, ensure},
    json,
};
use crate::{
    recipe::{Draft, PilotConfig, SelectionConfig},
    target::TargetConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{
    objective::{
        LogVarianceConfig, NllConfig, RefinedNllConfig, ReverseKlConfig, ReweightedNllConfig,
        ValidateOver,
        trade::{EnergyOrigin, TradeConfig, TradeContinuousConfig, TradeGridConfig},
    },
    ramp::Ramp,
    train::{AdaptiveConfig, TrainConfig},
};
use trade_flows::FlowConfig;

/// Everything that determines a run. `trade train` writes it, complete, into the run's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The seed of all random numbers.
    #[serde(default)]
    pub seed: u64,
    /// The family of densities.
    pub target: TargetConfig,
    /// The range of each control parameter, `[min, max]`, by name.
    pub ranges: BTreeMap<String, [f64; 2]>,
    /// Samples at base conditions.
    #[serde(default)]
    pub data: Vec<DataConfig>,
    /// Base conditions without data, for data-free training.
    #[serde(default)]
    pub bases: Vec<BTreeMap<String, f64>>,
    /// The model.
    pub flow: FlowConfig,
    /// The terms of the loss.
    pub objectives: Vec<ObjectiveConfig>,
    /// The training loop.
    #[serde(default)]
    pub train: TrainConfig,
    /// A pilot run that takes the place of data; `null` for none.
    #[serde(default)]
    pub pilot: Option<PilotConfig>,
    /// How the best weights are chosen during training; `null` to keep the last ones.
    #[serde(default)]
    pub selection: Option<SelectionConfig>,
    /// How often the training may evaluate the likelihood of a target that counts it; without a bound by
    /// default. Training ends with the best weights before it would exceed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// What `trade evaluate` measures.
    #[serde(default)]
    pub evaluate: EvaluateConfig,
}

/// Samples at one base condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The condition, by name.
    pub at: BTreeMap<String, f64>,
    /// Where the samples come from.
    pub from: DataSource,
}

/// Where samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataSource {
    /// This many samples of the target itself: drawn from its exact density, or simulated.
    Exact(usize),
    /// An npy file, `[n, dim]` (of a molecule also frames, `[n, atoms, 3]` in nm), or an npz file with such an array `x` (or `theta`) and, for a target
    /// with observations, `y` of shape `[n, observation]`; a relative path starts at the config's
    /// folder.
    File(PathBuf),
}

/// A term of the loss with its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// The term.
    pub loss: LossConfig,
    /// Its weight over training.
    #[serde(default = "constant_weight")]
    pub weight: Ramp,
    /// An adaptive factor on the weight.
    #[serde(default)]
    pub adaptive: Option<AdaptiveConfig>,
    /// The name of the term in reports and checkpoints, and for `adaptive`; by default that of the
    /// loss. Where a loss has two terms of one kind, one of them needs a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl ObjectiveConfig {
    /// A term with a weight that follows no gradients.
    pub fn new(loss: LossConfig, weight: Ramp) -> Self {
        Self {
            loss,
            weight,
            adaptive: None,
            name: None,
        }
    }
}

fn constant_weight() -> Ramp {
    Ramp::constant(1.0)
}

/// A term of the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossConfig {
    /// Negative log likelihood of the data.
    Nll(NllConfig),
    /// Reverse KL divergence.
    ReverseKl(ReverseKlConfig),
    /// TRADE on a grid of conditions.
    TradeGrid(TradeGridConfig),
    /// TRADE at fresh conditions.
    TradeContinuous(TradeContinuousConfig),
    /// Temperature-weighted likelihood.
    ReweightedNll(ReweightedNllConfig),
    /// Likelihood of the flow's own samples, weighted to the target.
    RefinedNll(RefinedNllConfig),
    /// Log variance.
    LogVariance(LogVarianceConfig),
}

impl LossConfig {
    /// Checks every setting of the term, alone and against the ranges of the control parameters.
    ///
    /// # Errors
    /// Names the first field that is wrong, with its path below `field`.
    pub fn validate_over(&self, ranges: &[(f64, f64)], field: &str) -> Result<()> {
        let (name, config): (_, &dyn ValidateOver) = match self {
            Self::Nll(config) => ("nll", config),
            Self::ReverseKl(config) => ("reverse_kl", config),
            Self::TradeGrid(config) => ("trade_grid", config),
            Self::TradeContinuous(config) => ("trade_continuous", config),
            Self::ReweightedNll(config) => ("reweighted_nll", config),
            Self::RefinedNll(config) => ("refined_nll", config),
            Self::LogVariance(config) => ("log_variance", config),
        };
        Ok(config.validate_over(ranges, &format!("{field}.{name}"))?)
    }

    /// Whether the term takes the flow's own density for the target's energy.
    pub fn needs_own_energy(&self) -> bool {
        match self {
            Self::TradeGrid(config) => config.trade.energy != EnergyOrigin::GroundTruth,
            Self::TradeContinuous(config) => config.trade.energy != EnergyOrigin::GroundTruth,
            _ => false,
        }
    }

    /// Whether the term is the likelihood of walkers.
    pub(crate) fn has_walkers(&self) -> bool {
        matches!(self, Self::Nll(config) if config.walkers.is_some())
    }

    /// Whether the term has a pool of points.
    pub(crate) fn has_pool(&self) -> bool {
        matches!(self, Self::LogVariance(config) if config.pool.is_some())
    }

    /// Whether the term is TRADE's.
    pub(crate) fn is_trade(&self) -> bool {
        matches!(self, Self::TradeGrid(_) | Self::TradeContinuous(_))
    }

    /// Whether the term evaluates the target's `log q`.
    pub fn needs_density(&self) -> bool {
        let from_target = |trade: &TradeConfig| trade.energy == EnergyOrigin::GroundTruth;
        match self {
            Self::Nll(_) => self.has_walkers(),
            Self::ReweightedNll(_) => false,
            Self::ReverseKl(_) | Self::RefinedNll(_) | Self::LogVariance(_) => true,
            Self::TradeGrid(config) => from_target(&config.trade),
            Self::TradeContinuous(config) => from_target(&config.trade),
        }
    }
}

/// What `trade evaluate` measures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// The conditions, each a list in the order of the target's control parameters; if empty, ten
    /// over the range of a single parameter, evenly by their logarithms if it spans a decade, or the base conditions if there are several parameters
    /// or no known density.
    pub conditions: Vec<Vec<f64>>,
    /// Flow samples per condition, for ESS and `log Z`.
    pub samples: usize,
    /// Exact samples per condition, for NLL and KL.
    pub reference_samples: usize,
    /// Conditions at which marginal densities of the flow are recorded.
    pub marginals: Vec<Vec<f64>>,
    /// For a target with observations: how many of them the flow samples are shared among.
    pub observations: usize,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            samples: 10_000,
            reference_samples: 10_000,
            marginals: Vec::new(),
            observations: 50,
        }
    }
}

/// What a file of a configuration is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Use {
    /// It is part of the target, without which a run does not open.
    Target,
    /// It holds samples, which only training needs.
    Data,
}

/// A configuration that names files.
pub(crate) trait NamesFiles {
    /// The target and the data.
    fn parts(&mut self) -> (&mut TargetConfig, &mut Vec<DataConfig>);

    /// The files of the target and of the data, in this order.
    fn files(&mut self) -> Vec<(Use, &mut PathBuf)> {
        let (target, data) = self.parts();
        let data = data.iter_mut().filter_map(|data| match &mut data.from {
            DataSource::File(file) => Some((Use::Data, file)),
            DataSource::Exact(_) => None,
        });
        let target = target.files().into_iter().map(|file| (Use::Target, file));
        target.chain(data).collect()
    }
}

impl NamesFiles for RunConfig {
    fn parts(&mut self) -> (&mut TargetConfig, &mut Vec<DataConfig>) {
        (&mut self.target, &mut self.data)
    }
}

impl NamesFiles for Draft {
    fn parts(&mut self) -> (&mut TargetConfig, &mut Vec<DataConfig>) {
        (&mut self.target, &mut self.data)
    }
}

/// Reads a configuration; relative files of data and of the target are resolved against its folder.
pub(crate) fn read_json<C: serde::de::DeserializeOwned + NamesFiles>(path: &Path) -> Result<C> {
    let text = json::read_text(path)
        .with_context(|| format!("cannot read the run configuration {}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse_json(&text, &path.display().to_string(), folder)
}

/// A configuration from the text of `place`; relative files are resolved against a folder.
pub(crate) fn parse_json<C: serde::de::DeserializeOwned + NamesFiles>(
    text: &str,
    place: &str,
    folder: &Path,
) -> Result<C> {
    json::unique_keys(text).context(place)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut config: C = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let reason = json::in_words(&error.into_inner());
        let field = if field == "." { "the whole" } else { &field };
        Error::refused(format!("{place}: field `{field}`: {reason}"))
    })?;
    reader
        .end()
        .with_context(|| format!("{place}: text after the configuration"))?;
    for (_, file) in config.files() {
        if file.is_relative() {
            let joined = folder.join(&*file);
            *file = std::path::absolute(&joined)
                .with_context(|| format!("file {}", joined.display()))?;
        }
    }
    Ok(config)
}

impl RunConfig {
    /// Reads a configuration; relative files of data and of the target are resolved against the
    /// config's folder.
    ///
    /// # Errors
    /// Names the file, the field and what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        read_json(path)
    }

    /// The configuration as JSON.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The ranges in the order of the target's control parameters.
    ///
    /// # Errors
    /// If a range is missing, superfluous or empty.
    pub fn ranges(&self, controls: &[String]) -> Result<Vec<(f64, f64)>> {
        for name in self.ranges.keys() {
            ensure!(
                controls.contains(name),
                "`ranges.{name}`: the target's control parameters are {}",
                controls.join(", ")
            );
        }
        controls
            .iter()
            .map(|name| match self.ranges.get(name) {
                Some(&[low, high]) if low < high => Ok((low, high)),
                Some([low, high]) => bail!("`ranges.{name}`: [{low}, {high}] is not a range"),
                None => bail!("`ranges.{name}` is missing"),
            })
            .collect()
    }

    /// The base conditions: those of the data, then those without.
    ///
    /// # Errors
    /// If one is incomplete, or if there is none.
    pub fn bases(&self, controls: &[String]) -> Result<Vec<Vec<f64>>> {
        let data = self
            .data
            .iter()
            .enumerate()
            .map(|(i, d)| (format!("data[{i}].at"), &d.at));
        let free = self
            .bases
            .iter()
            .enumerate()
            .map(|(i, b)| (format!("bases[{i}]"), b));
        let mut bases: Vec<Vec<f64>> = Vec::new();
        for (field, named) in data.chain(free) {
            let base = ordered(named, controls).with_context(|| format!("`{field}`"))?;
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        ensure!(
            !bases.is_empty(),
            "`data` or `bases`: at least one base condition is needed"
        );
        Ok(bases)
    }
}

/// A named condition in the order of the control parameters.
///
/// # Errors
/// If a name is missing or unknown.
pub fn ordered(named: &BTreeMap<String, f64>, controls: &[String]) -> Result<Vec<f64>> {
    if let Some(unknown) = named.keys().find(|name| !controls.contains(name)) {
        bail!(
            "unknown control parameter `{unknown}`; the target has {}",
            controls.join(", ")
        );
    }
    controls
        .iter()
        .map(|name| {
            named
                .get(name)
                .copied()
                .with_context(|| format!("no value for `{name}`"))
        })
        .collect()
}
