//! The flow of a molecule as an experiment's files write it: `"flow": { "molecule": { … } }`.

use serde::Deserialize;
use trade_flows::{ConditionerConfig, FlowConfig, molecule::MoleculeFlow};

/// The settings of a [`MoleculeFlow`], whose layers would fill pages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    bonds: usize,
    angles: usize,
    torsions: usize,
    splits: Vec<Vec<usize>>,
    shifts: Vec<f64>,
    bins: usize,
    conditioner: ConditionerConfig,
    blind_start: bool,
    couplings: Couplings,
}

/// The maps of the couplings.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Couplings {
    /// Splines, whose networks see the temperature.
    Splines,
    /// Maps that the temperature steers.
    Steerable,
    /// The same with normalised slopes.
    SteerableNormalised,
}

/// The flow with all its layers.
pub(super) fn of(recipe: Recipe) -> FlowConfig {
    let flow = MoleculeFlow {
        bonds: recipe.bonds,
        angles: recipe.angles,
        torsions: recipe.torsions,
        splits: recipe.splits,
        shifts: recipe.shifts,
        learnable_shifts: false,
        bins: recipe.bins,
        conditioner: recipe.conditioner,
        blind_start: recipe.blind_start,
    };
    match recipe.couplings {
        Couplings::Splines => flow.spline(),
        Couplings::Steerable => flow.steerable(false),
        Couplings::SteerableNormalised => flow.steerable(true),
    }
}
