//! The paper's experiments, one a file.

mod alanine;
mod gmm;
mod lattice;
mod multi_well;
mod study;
mod two_moons;

use std::{str::FromStr, sync::Arc};

use anyhow::{Context, Result, bail};
use trade_cli::config::{LossConfig, ObjectiveConfig, RunConfig};
use trade_core::ramp::Ramp;
use trade_flows::{
    ConditionerConfig, FlowConfig, LastLayer, PreprocessConfig, Stage,
    layer::{AffineCouplingConfig, AffineKind, LayerConfig, PermutationKind, SoftClamp},
};

pub use study::{Shown, Studied, Study, Trained};
pub(crate) use study::{file as study_file, measure as study_run, read as read_study};

/// How much of an experiment is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything in under a minute on two cores: to see that it works.
    Smoke,
    /// A few minutes a method and seed: the results of this project.
    Desktop,
    /// The published settings.
    Paper,
}

impl Preset {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Desktop => "desktop",
            Self::Paper => "paper",
        }
    }
}

impl FromStr for Preset {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "smoke" => Ok(Self::Smoke),
            "desktop" => Ok(Self::Desktop),
            "paper" => Ok(Self::Paper),
            _ => bail!("unknown preset `{text}`; expected smoke, desktop or paper"),
        }
    }
}

/// One way to train, in the place of a row of the table.
#[derive(Clone, Debug)]
pub struct Method {
    /// The name on the command line.
    pub name: &'static str,
    /// The name in tables and legends.
    pub label: &'static str,
    /// Whether it runs without being asked for.
    pub main: bool,
    /// The run, with seed 0.
    pub config: RunConfig,
}

impl Method {
    /// A method that runs without being asked for.
    fn main(name: &'static str, label: &'static str, config: RunConfig) -> Self {
        Self {
            name,
            label,
            main: true,
            config,
        }
    }

    /// A method that runs if it is asked for.
    fn further(name: &'static str, label: &'static str, config: RunConfig) -> Self {
        Self {
            main: false,
            ..Self::main(name, label, config)
        }
    }
}

/// A term of the loss with weight 1 throughout.
fn plain(loss: LossConfig) -> ObjectiveConfig {
    ObjectiveConfig::new(loss, Ramp::constant(1.0))
}

/// The temperature-steerable flow: volume preserving, augmented, and blind to the condition, which
/// the latent scale of `like` alone carries (METHOD §9).
fn steerable(like: FlowConfig, augmentation: usize, blocks: usize, hidden: usize) -> FlowConfig {
    let coupling = AffineCouplingConfig {
        kind: AffineKind::Gin,
        clamp: SoftClamp::Tanh(0.3),
        learnable_clamp: true,
        conditioner: ConditionerConfig {
            hidden: vec![hidden; 2],
            last_layer: LastLayer::ZeroBias,
            ..ConditionerConfig::default()
        },
        use_control: false,
    };
    FlowConfig {
        augmentation,
        preprocess: PreprocessConfig::Identity,
        layers: vec![
            Stage {
                repeat: blocks,
                of: vec![
                    LayerConfig::AffineCoupling(coupling),
                    LayerConfig::Permutation(PermutationKind::Hard),
                ],
            },
            Stage {
                repeat: 1,
                of: vec![LayerConfig::ActNorm],
            },
        ],
        ..like
    }
}

/// An experiment at a preset.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The name on the command line.
    pub name: &'static str,
    /// The heading of its report.
    pub title: &'static str,
    /// The symbol of the control parameter.
    pub control: &'static str,
    /// The control parameter in words.
    pub control_label: &'static str,
    /// The conditions at which there are data.
    pub bases: Vec<f64>,
    /// The conditions that have columns in the table.
    pub table_conditions: Vec<f64>,
    /// All methods, the main ones among them.
    pub methods: Vec<Method>,
    /// What is measured and shown of this experiment alone.
    pub study: Option<Arc<dyn Study>>,
}

/// The names of all experiments.
pub const NAMES: [&str; 6] = [
    "multi-well",
    "two-moons",
    "gmm",
    "lattice",
    "lattice-plane",
    "alanine",
];

/// An experiment by name.
///
/// # Errors
/// If there is none of that name.
pub fn named(name: &str, preset: Preset) -> Result<Experiment> {
    match name {
        "multi-well" => Ok(multi_well::experiment(preset)),
        "two-moons" => Ok(two_moons::experiment(preset)),
        "gmm" => Ok(gmm::experiment(preset)),
        "lattice" => Ok(lattice::experiment(preset)),
        "lattice-plane" => Ok(lattice::plane(preset)),
        "alanine" => Ok(alanine::experiment(preset)),
        _ => bail!("unknown experiment `{name}`; expected {}", NAMES.join(", ")),
    }
}

impl Experiment {
    /// The methods that were asked for: `None` for the main ones, `all` for all, else a list.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn select(&self, wanted: Option<&str>) -> Result<Vec<Method>> {
        match wanted {
            None => Ok(self.methods.iter().filter(|m| m.main).cloned().collect()),
            Some("all") => Ok(self.methods.clone()),
            Some(list) => list
                .split(',')
                .map(|name| {
                    let found = self.methods.iter().find(|m| m.name == name.trim());
                    found.cloned().with_context(|| {
                        let known: Vec<&str> = self.methods.iter().map(|m| m.name).collect();
                        let known = known.join(", ");
                        format!("unknown method `{name}`; expected all or some of {known}")
                    })
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use trade_core::Validate;

    use super::*;

    #[test]
    fn every_configuration_is_complete() {
        for preset in [Preset::Smoke, Preset::Desktop, Preset::Paper] {
            for name in NAMES {
                let experiment = named(name, preset).unwrap();
                for method in experiment.select(Some("all")).unwrap() {
                    let config = &method.config;
                    config.flow.validate("flow").unwrap();
                    config.train.validate("train").unwrap();
                    let json = config.to_json().unwrap();
                    assert_eq!(&serde_json::from_str::<RunConfig>(&json).unwrap(), config);
                    for c in &experiment.table_conditions {
                        assert!(
                            config.evaluate.conditions.contains(&vec![*c]),
                            "{} {c}",
                            method.name
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn methods_are_found_by_name() {
        let experiment = named("multi-well", Preset::Smoke).unwrap();
        assert_eq!(experiment.select(None).unwrap().len(), 7);
        assert_eq!(experiment.select(Some("nll, tsf")).unwrap().len(), 2);
        let error = experiment.select(Some("nlll")).unwrap_err().to_string();
        assert!(error.contains("unknown method `nlll`"));
        assert!(named("lattices", Preset::Smoke).is_err());
    }
}
