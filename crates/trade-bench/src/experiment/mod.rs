//! The paper's experiments: what is run is data, under `experiments/`; what is measured of each and
//! shown of it alone is here, a folder each.

mod alanine;
mod files;
mod gmm;
mod lattice;
mod molecule_flow;
mod preset;
mod study;
mod two_moons;

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;
use trade::config::RunConfig;

pub use preset::Preset;
pub use study::{Studied, Study, Trained};
pub(crate) use study::{file as study_file, measure as study_run, read as read_study};

/// One way to train, which is a row of the table.
#[derive(Clone, Debug)]
pub struct Method {
    /// The name on the command line.
    pub name: String,
    /// The name in tables and legends.
    pub label: String,
    /// Whether it runs without being asked for.
    pub main: bool,
    /// The run, with seed 0.
    pub config: RunConfig,
}

/// An experiment at a preset.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The name on the command line.
    pub name: &'static str,
    /// The heading of its report.
    pub title: String,
    /// The symbol of the control parameter.
    pub control: String,
    /// The control parameter in words.
    pub control_label: String,
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
pub fn names() -> impl Iterator<Item = &'static str> {
    files::ALL.into_iter().map(|files| files.name)
}

/// An experiment by name.
///
/// # Errors
/// If there is none of that name. The files of an experiment are tested, so that others are not
/// expected; they would name file and field.
pub fn named(name: &str, preset: Preset) -> Result<Experiment> {
    let files = files::ALL.into_iter().find(|files| files.name == name);
    let files = files.with_context(|| {
        let known: Vec<&str> = names().collect();
        format!("unknown experiment `{name}`; expected {}", known.join(", "))
    })?;
    let about = files.about()?;
    let (mut methods, mut study) = (Vec::new(), None);
    for entry in files.methods()? {
        let (config, settings) = files.run(preset, &entry)?;
        if methods.is_empty() {
            study = self::study(files.name, settings, &config)
                .with_context(|| format!("experiments/{name}: `study`"))?;
        }
        methods.push(Method {
            name: entry.name,
            label: entry.label,
            main: !entry.further,
            config,
        });
    }
    Ok(Experiment {
        name: files.name,
        title: about.title,
        control: about.control.symbol,
        control_label: about.control.label,
        bases: about.bases,
        table_conditions: about.table_conditions,
        methods,
        study,
    })
}

/// What is measured of an experiment alone, from the settings `study` in its files and from the
/// target and the conditions that all its methods share.
fn study(name: &str, settings: Value, config: &RunConfig) -> Result<Option<Arc<dyn Study>>> {
    Ok(match name {
        "two-moons" => Some(Arc::new(files::typed::<two_moons::TwoMoonsStudy>(
            settings,
        )?)),
        "gmm" => Some(Arc::new(gmm::study(files::typed(settings)?, config)?)),
        "lattice" => Some(Arc::new(lattice::study(files::typed(settings)?, config)?)),
        "lattice-plane" => Some(Arc::new(lattice::plane(files::typed(settings)?, config)?)),
        "alanine" => Some(Arc::new(alanine::study(files::typed(settings)?, config)?)),
        _ => None,
    })
}

impl Experiment {
    /// The methods that were asked for: `None` for the main ones, `all` for all, else a list.
    ///
    /// # Errors
    /// If a name is unknown.
    pub fn select(&self, methods: Option<&str>) -> Result<Vec<Method>> {
        match methods {
            None => Ok(self.methods.iter().filter(|m| m.main).cloned().collect()),
            Some("all") => Ok(self.methods.clone()),
            Some(list) => list
                .split(',')
                .map(|name| {
                    let method = self.methods.iter().find(|m| m.name == name.trim());
                    method.cloned().with_context(|| {
                        let known: Vec<&str> =
                            self.methods.iter().map(|m| m.name.as_str()).collect();
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
        for preset in Preset::ALL {
            for name in names() {
                let experiment = named(name, preset).unwrap();
                for method in experiment.select(Some("all")).unwrap() {
                    let config = &method.config;
                    config.flow.validate("flow").unwrap();
                    config.train.validate("train").unwrap();
                    let json = config.to_json().unwrap();
                    assert_eq!(&serde_json::from_str::<RunConfig>(&json).unwrap(), config);
                    let first = &experiment.methods[0].config;
                    assert_eq!(config.target, first.target);
                    assert_eq!(config.evaluate, first.evaluate);
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
