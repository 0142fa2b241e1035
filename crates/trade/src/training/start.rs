//! The weights of another run as the start of a training.

use std::fs;

use trade_core::{
    parameters::{Arrays, carry},
    train::Checkpoint,
};
use trade_flows::{Flow, FlowBackend, FlowConfig};

use crate::{
    error::{Context, Result, bail, ensure},
    model,
    run::RunFolder,
};

/// A trained flow whose weights another one starts from, wherever they fit.
pub(super) struct Start {
    /// Its weights by name.
    weights: Arrays,
    /// Its configuration, with the permutations it drew.
    flow: FlowConfig,
    /// What it is called in sentences.
    source: String,
}

impl Start {
    /// The start of a training: the run that was asked for, or what the folder has kept of one since the
    /// training that now goes on began.
    ///
    /// # Errors
    /// If the run is not trained, or if a training that goes on began differently.
    pub(super) fn of(
        asked: Option<&RunFolder>,
        folder: Option<&RunFolder>,
        resume: bool,
    ) -> Result<Option<Self>> {
        let asked = asked.map(Self::read).transpose()?;
        let Some(folder) = folder.filter(|_| resume) else {
            return Ok(asked);
        };
        let place = folder.path().display();
        let begun = Checkpoint::newest(&folder.checkpoints())?.is_some();
        if !begun && asked.is_some() {
            return Ok(asked);
        }
        if !folder.initial_weights().is_file() {
            ensure!(
                asked.is_none(),
                "{place} was started from random weights; go on without another start, or choose another \
                 folder"
            );
            return Ok(None);
        }
        let (flow, weights) = model::parts(&folder.initial_flow(), &folder.initial_weights())?;
        if let Some(asked) = asked {
            ensure!(
                asked.weights == weights && asked.flow == flow,
                "{place} was started from other weights than {} holds now; go on without that start, or choose \
                 another folder",
                asked.source
            );
        }
        let source = format!("the weights that {place} was started from");
        Ok(Some(Self {
            weights,
            flow,
            source,
        }))
    }

    /// Keeps the start in the folder of the training, or removes one of an earlier training that never
    /// came to a checkpoint.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub(super) fn keep(start: Option<&Self>, folder: &RunFolder) -> Result<()> {
        let (flow, weights) = (folder.initial_flow(), folder.initial_weights());
        if let Some(start) = start {
            return model::write_to(&start.flow, &start.weights, &flow, &weights);
        }
        for path in [weights, flow] {
            if path.is_file() {
                fs::remove_file(&path).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// The flow of a trained run.
    fn read(run: &RunFolder) -> Result<Self> {
        let source = run.path().display().to_string();
        if !run.is_trained() {
            bail!("{source} holds no trained model to start from; finish its training first");
        }
        let (flow, weights) = model::parts(&run.flow(), &run.weights())?;
        Ok(Self {
            weights,
            flow,
            source,
        })
    }

    /// A configuration with the permutations that the weights belong to.
    pub(super) fn mixing(&self, flow: &FlowConfig) -> FlowConfig {
        flow.with_permutations_of(&self.flow)
    }

    /// The flow with all weights set that fit, and a sentence about those that do not.
    ///
    /// # Errors
    /// If none fits.
    pub(super) fn apply<B: FlowBackend>(&self, flow: Flow<B>) -> Result<(Flow<B>, String)> {
        let (flow, carried) = carry(flow, self.weights.clone());
        let said = carried.sentence(&self.source);
        ensure!(
            carried.taken > 0,
            "{said}; start from a run whose flow has layers of the same kinds and widths"
        );
        Ok((flow, said))
    }
}
