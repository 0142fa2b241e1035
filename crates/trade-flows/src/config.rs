//! A flow as JSON.

use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Error, Result, random::Stream};

use crate::{
    Flow,
    base::BaseVariance,
    layer::{ActNorm, LayerConfig, Widths},
    preprocess::PreprocessConfig,
};

/// The configuration of a [`Flow`].
///
/// # Example
/// ```
/// # use burn_flex::Flex;
/// use trade_core::random::{Purpose, Streams};
/// use trade_flows::FlowConfig;
/// let config: FlowConfig = serde_json::from_str(
///     r#"{ "dim": 5, "preprocess": "log", "base": "control", "layers": [
///         { "repeat": 4, "of": [ { "rqs_coupling": { "bins": 8 } }, { "permutation": "hard" } ] },
///         { "of": [ { "conditional_affine": {} } ] } ] }"#,
/// )?;
/// let flow = config.init::<Flex>(&Default::default(), Streams::new(1).get(Purpose::Init))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// The dimension of the state.
    pub dim: usize,
    /// The number of control parameters.
    #[serde(default = "one")]
    pub controls: usize,
    /// The width of the context; 0 without one. It is scaled to mean 0 and deviation 1 over the
    /// first batch, and on from there as it is learned.
    #[serde(default)]
    pub context: usize,
    /// Auxiliary noise dimensions, `N(0, σ²(c))` like the base (METHOD §6, TSF).
    #[serde(default)]
    pub augmentation: usize,
    /// How control parameters enter the networks.
    #[serde(default)]
    pub preprocess: PreprocessConfig,
    /// The layers, from data towards the latent space.
    pub layers: Vec<Stage>,
    /// The base distribution.
    #[serde(default)]
    pub base: BaseVariance,
}

/// Some layers, repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How many times.
    #[serde(default = "one")]
    pub repeat: usize,
    /// The layers, each time with weights of its own.
    pub of: Vec<LayerConfig>,
}

fn one() -> usize {
    1
}

impl FlowConfig {
    /// Checks that the numbers make sense together.
    ///
    /// # Errors
    /// Names the first field that does not, with its path below `field`.
    pub fn validate(&self, field: &str) -> Result<()> {
        let check = |ok: bool, name: &str, reason: &str| {
            if ok {
                Ok(())
            } else {
                Err(Error::setting(format!("{field}.{name}"), reason))
            }
        };
        check(self.dim > 0, "dim", "must be at least 1")?;
        check(self.controls > 0, "controls", "must be at least 1")?;
        check(
            !self.layers.is_empty(),
            "layers",
            "a flow needs at least one layer",
        )?;
        let widths = self.widths();
        for (i, stage) in self.layers.iter().enumerate() {
            for (j, layer) in stage.of.iter().enumerate() {
                layer.check(widths).map_err(|(name, reason)| {
                    Error::setting(format!("{field}.layers[{i}].of[{j}].{name}"), reason)
                })?;
            }
        }
        if let BaseVariance::UnitCube { normal } = self.base {
            check(
                normal <= self.dim && self.augmentation == 0,
                "base.unit_cube",
                "needs at most as many normal entries as the state has, and no augmentation",
            )?;
        }
        if let PreprocessConfig::Standardise { centre, scale } = &self.preprocess {
            let fits = centre.len() == self.controls && scale.len() == self.controls;
            check(
                fits,
                "preprocess.standardise",
                "needs one centre and scale per control parameter",
            )?;
            check(
                scale.iter().all(|s| *s > 0.0),
                "preprocess.standardise.scale",
                "must be positive",
            )?;
        }
        Ok(())
    }

    fn widths(&self) -> Widths {
        Widths {
            dim: self.dim + self.augmentation,
            controls: self.controls,
            context: self.context,
        }
    }

    /// Builds the flow; weights and permutations are drawn from `stream`.
    ///
    /// # Errors
    /// If [`validate`](Self::validate) fails.
    pub fn init<B: Backend>(&self, device: &B::Device, stream: &mut Stream) -> Result<Flow<B>> {
        self.validate("flow")?;
        let widths = self.widths();
        let preprocess = self.preprocess.init(self.controls, device, stream);
        let layers = self
            .layers
            .iter()
            .flat_map(|stage| (0..stage.repeat).flat_map(|_| &stage.of))
            .map(|layer| layer.init(widths, device, stream))
            .collect();
        Ok(Flow {
            preprocess,
            observation: (self.context > 0).then(|| ActNorm::init(self.context, device)),
            layers,
            base: self.base,
            dim: self.dim,
            augmentation: self.augmentation,
        })
    }

    /// The same configuration with the permutations that `flow` drew written out, so that
    /// [`init`](Self::init) builds the same flow from it whatever the stream: what is saved beside
    /// the weights.
    #[must_use]
    pub fn fixed<B: Backend>(&self, flow: &Flow<B>) -> Self {
        let mut layers = flow.layers.iter();
        let mut stages = Vec::new();
        for stage in &self.layers {
            for _ in 0..stage.repeat {
                let of = stage
                    .of
                    .iter()
                    .map(|config| match layers.next() {
                        Some(layer) => config.fixed(layer),
                        None => config.clone(),
                    })
                    .collect();
                stages.push(Stage { repeat: 1, of });
            }
        }
        Self {
            layers: stages,
            ..self.clone()
        }
    }
}
