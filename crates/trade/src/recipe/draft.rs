//! A configuration of which parts may be missing.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Family, train::TrainConfig};
use trade_flows::FlowConfig;

use super::{FlowJudge, Length, Paid, PilotConfig, SelectionConfig, from_prior::FromPrior};
use crate::{
    config::{DataConfig, EvaluateConfig, ObjectiveConfig, RunConfig, parse_json, read_json},
    device::DeviceName,
    error::{Context, Result, ensure},
    inputs, problem,
    run::RunFolder,
    stated,
    target::TargetConfig,
    training::Training,
};

/// A run as a person describes it: a target, ranges, and data if there are any. What is left out is
/// chosen from the problem; [`complete`](Self::complete) writes it out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
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
    /// The model; chosen from the problem where it is left out.
    #[serde(default)]
    pub flow: Option<FlowConfig>,
    /// The terms of the loss; chosen from the problem where they are left out.
    #[serde(default)]
    pub objectives: Option<Vec<ObjectiveConfig>>,
    /// The training loop; chosen from the problem and the time there is where it is left out.
    #[serde(default)]
    pub train: Option<TrainConfig>,
    /// A pilot run that takes the place of data; chosen where there are no data and `objectives` are
    /// left out.
    #[serde(default)]
    pub pilot: Option<PilotConfig>,
    /// How the best weights are chosen during training; where `train` is given and this is not, the
    /// last weights are kept.
    #[serde(default)]
    pub selection: Option<SelectionConfig>,
    /// How often the training may evaluate the likelihood of a target that counts it. By default a posterior
    /// whose range starts at the prior is evaluated 130 000 times, or four times as often as the particles that
    /// start its training, and others without a bound. Raise it where the lowest ESS stays too low however long
    /// the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// What `trade evaluate` measures.
    #[serde(default)]
    pub evaluate: Option<EvaluateConfig>,
}

impl Draft {
    /// Reads a configuration; relative files are resolved against its folder.
    ///
    /// # Errors
    /// Names the file, the field and what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        read_json(path)
    }

    /// Parses a configuration from JSON text; relative files are resolved against `folder`.
    ///
    /// # Errors
    /// Names the field and what was expected.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        parse_json(text, "the configuration", folder)
    }

    /// Chooses what is left out: the complete configuration.
    ///
    /// # Errors
    /// If the problem does not fit together, naming the field.
    pub fn complete(&self, device: DeviceName, length: Length) -> Result<RunConfig> {
        Ok(self.completed(device, length)?.0)
    }

    /// As [`complete`](Self::complete), and what that has cost and found, for
    /// [`TrainOptions::paid`](crate::TrainOptions::paid).
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn completed(&self, device: DeviceName, length: Length) -> Result<(RunConfig, Paid)> {
        let (mut problem, _) = problem::assemble(self)?;
        let mut data = self.data.clone();
        let start = FromPrior::of(self, &problem)?;
        if let Some(start) = &start {
            data.push(start.data());
            let parts = Self {
                data: data.clone(),
                ..self.clone()
            };
            (problem, _) = problem::assemble(&parts)?;
        }
        let mut pilot = self.pilot.clone();
        if pilot.is_none() && self.objectives.is_none() {
            pilot = super::pilot(&problem);
        }
        let mut bases = self.bases.clone();
        if let Some(pilot) = &pilot {
            problem = problem.with_base(&pilot.at).context("`pilot.at`")?;
            let names = problem.target.controls();
            let base: BTreeMap<_, _> = names.into_iter().zip(pilot.at.iter().copied()).collect();
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        ensure!(
            problem.target.is_known() || problem.data.is_some(),
            "`data`: the density of the target is not known, so samples are needed, and there are none; give a file of \
             them (an observation needs pairs: an npz file with `theta` and `y`)"
        );
        ensure!(
            !problem.bases.is_empty(),
            "`data` or `bases`: at least one base condition is needed"
        );
        let chosen = || {
            let mut flow = super::flow(&problem, self.seed);
            if let Some(start) = &start {
                start.space_flow(&mut flow);
            }
            flow
        };
        let flow = self.flow.clone().unwrap_or_else(chosen);
        // The derivative in the condition does not see walls that move.
        let walls = self.objectives.is_none() && stated::moved_walls(&problem).is_some();
        let kept = |term: &ObjectiveConfig| {
            (self.max_calls.is_none() || !term.loss.has_walkers())
                && !(walls && term.loss.is_trade())
        };
        let chosen = || match &start {
            Some(start) => start.objectives(),
            // Walkers evaluate the density much before the first step.
            None => super::objectives(&problem)
                .into_iter()
                .filter(kept)
                .collect(),
        };
        let objectives = self.objectives.clone().unwrap_or_else(chosen);
        let mut paid = start.as_ref().map(FromPrior::paid).unwrap_or_default();
        let mut config = RunConfig {
            seed: self.seed,
            target: self.target.clone(),
            ranges: self.ranges.clone(),
            data,
            bases,
            flow,
            objectives,
            train: self.train.clone().unwrap_or_else(|| {
                let mut train = super::train(&problem);
                if start.is_some() {
                    FromPrior::slow_down(&mut train);
                }
                train
            }),
            pilot,
            selection: self.selection,
            max_calls: self.max_calls,
            evaluate: self.evaluate.clone().unwrap_or_default(),
        };
        if self.train.is_none() {
            config.selection.get_or_insert_with(|| match &start {
                Some(_) => FromPrior::selection(),
                None => SelectionConfig::default(),
            });
            problem::fits(&problem, &config.flow, &config.objectives)?;
            match length {
                Length::Steps(steps) => (config.train.steps, config.train.rounds) = (steps, 1),
                Length::Rounds(rounds) => config.train.rounds = rounds,
                Length::Within(budget) => {
                    let training = Training::configured(&config, problem.clone())
                        .paid(paid.clone())
                        .device(device);
                    config.train = budget.fit(config.train, training.seconds_a_step()?)?;
                }
            }
            super::calm(&mut config.train);
        }
        // Those of measured steps are counted by the problem's own target.
        let measured = problem.target.calls().unwrap_or(0);
        if let Some(start) = &start {
            let judged = config.selection.map_or(0, |selection| {
                let held_out = problem
                    .data
                    .as_ref()
                    .and_then(|data| selection.split(data).1);
                FlowJudge::new(selection, &problem, held_out).evaluations(config.train.rounds)
            });
            start.plan(&mut config, measured, judged)?;
        }
        paid.calls += measured;
        Ok((config, paid))
    }

    /// The complete configuration for a training that starts from the weights of the run in `start`. If that run has
    /// the same target, range and flow, the flow is a good one over all of the range already: where the draft leaves
    /// them out, all losses act over the whole range from the first step on, and the learning rate is a low one. A
    /// run of another problem, such as a smaller lattice, changes nothing.
    pub fn going_on(&self, mut config: RunConfig, start: &RunFolder) -> RunConfig {
        let same = start.read_config().is_ok_and(|other| {
            let [own, other] = [config.clone(), other].map(inputs::without_folders);
            own.target == other.target && own.ranges == other.ranges && own.flow == other.flow
        });
        if !same {
            return config;
        }
        if self.objectives.is_none() {
            super::losses::from_the_start(&mut config.objectives);
        }
        if self.train.is_none() {
            super::go_on(&mut config.train);
        }
        config
    }

    /// Whether a complete configuration is one of this draft: whatever the draft states is the same
    /// there. Files may lie in another folder.
    pub fn is_of(&self, config: &RunConfig) -> bool {
        fn same<T: PartialEq>(stated: Option<&T>, other: &T) -> bool {
            stated.is_none_or(|stated| stated == other)
        }
        let placeless = inputs::without_folders(self.clone());
        let other = inputs::without_folders(config.clone());
        self.seed == config.seed
            && placeless.target == other.target
            && self.ranges == config.ranges
            && placeless.data.iter().all(|data| other.data.contains(data))
            && self.bases.iter().all(|base| config.bases.contains(base))
            && (self.pilot.is_none() || self.pilot == config.pilot)
            && same(self.flow.as_ref(), &config.flow)
            && same(self.objectives.as_ref(), &config.objectives)
            && same(self.train.as_ref(), &config.train)
            && (self.max_calls.is_none() || self.max_calls == config.max_calls)
            && same(self.evaluate.as_ref(), &config.evaluate)
            && (self.selection.is_none() || self.selection == config.selection)
    }
}
