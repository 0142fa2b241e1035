//! A flow as JSON.

use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Result, random::Stream};

use crate::{
    Flow,
    base::Base,
    check,
    layer::{ActNorm, LayerConfig, Widths},
    preprocess::PreprocessConfig,
    quantiles::Quantiles,
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
    /// The width of the context; 0 without one. It is centred and scaled to mean 0 and deviation 1
    /// over the first batch, and on from there as it is learned; numbers beyond 8 deviations enter
    /// by their logarithm.
    #[serde(default)]
    pub context: usize,
    /// Whether columns of the context with heavy tails, such as numbers over several orders of magnitude, enter
    /// by their ranks in the first batch instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quantiles: bool,
    /// Auxiliary noise dimensions, `N(0, σ²(c))` like the base.
    #[serde(default)]
    pub augmentation: usize,
    /// How control parameters enter the networks.
    #[serde(default)]
    pub preprocess: PreprocessConfig,
    /// The layers, from data towards the latent space.
    pub layers: Vec<Stage>,
    /// The base distribution.
    #[serde(default)]
    pub base: Base,
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
        check::count(self.dim, 1, check::MOST_ENTRIES, field, "dim")?;
        check::count(self.controls, 1, 1 << 10, field, "controls")?;
        check::count(self.context, 0, check::MOST_ENTRIES, field, "context")?;
        check::count(
            self.augmentation,
            0,
            check::MOST_ENTRIES,
            field,
            "augmentation",
        )?;
        let reason = "a flow needs at least one layer";
        check::require(!self.layers.is_empty(), field, "layers", reason)?;
        let widths = self.widths();
        for (i, stage) in self.layers.iter().enumerate() {
            let field = format!("{field}.layers[{i}]");
            check::count(stage.repeat, 1, 1 << 10, &field, "repeat")?;
            let reason = "a stage needs at least one layer";
            check::require(!stage.of.is_empty(), &field, "of", reason)?;
            for (j, layer) in stage.of.iter().enumerate() {
                layer.validate(widths, &format!("{field}.of[{j}]"))?;
            }
        }
        if let Base::Torus { angles } = self.base {
            let reason =
                "needs at most as many angles as the state has entries, and no augmentation";
            let fits = angles <= self.dim && self.augmentation == 0;
            check::require(fits, field, "base.torus", reason)?;
        }
        if let Base::UnitCube { normal } = self.base {
            let reason =
                "needs at most as many normal entries as the state has, and no augmentation";
            let fits = normal <= self.dim && self.augmentation == 0;
            check::require(fits, field, "base.unit_cube", reason)?;
        }
        if let Base::Student(student) = self.base {
            let numbers = [student.constant, student.linear, student.inverse];
            let fits = self.augmentation == 0 && numbers.iter().all(|n| n.is_finite());
            let reason = "needs finite numbers, and no augmentation";
            check::require(fits, field, "base.student", reason)?;
        }
        let preprocess = format!("{field}.preprocess");
        self.preprocess.validate(self.controls, &preprocess)
    }

    /// Checks the flow, and that it is defined for all values of the control parameters within
    /// `ranges`, one `(lowest, highest)` for each: no logarithm is taken of zero or less.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and where a range does not fit, with its numbers.
    pub fn validate_over(&self, ranges: &[(f64, f64)], field: &str) -> Result<()> {
        self.validate(field)?;
        let (found, wanted) = (ranges.len(), self.controls);
        let reason = format!("is {wanted}, and there are ranges for {found} control parameters");
        check::require(found == wanted, field, "controls", reason)?;
        for (i, (low, high)) in ranges.iter().enumerate() {
            let reason = |what: &str| {
                format!(
                    "{what} of control parameter {i}, whose range from {low} to {high} is not \
                     above zero; use `standardise` and a base of variance `one`"
                )
            };
            let positive = *low > 0.0 && *high > 0.0;
            let preprocess = positive || !self.preprocess.takes_logarithm_of(i);
            check::require(
                preprocess,
                field,
                "preprocess",
                reason("takes the logarithm"),
            )?;
            let base = positive || i > 0 || !self.base.takes_logarithm();
            check::require(
                base,
                field,
                "base",
                reason("depends on the logarithm or the inverse"),
            )?;
        }
        if let (Base::Student(student), Some(range)) = (self.base, ranges.first()) {
            student.validate_over(*range, self.dim, field)?;
        }
        if let Base::ControlOver(at) | Base::OverControl(at) = self.base {
            let reason = format!("must be over a positive number, found {at}");
            check::require(at > 0.0 && at.is_finite(), field, "base", reason)?;
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
            quantiles: (self.context > 0 && self.quantiles)
                .then(|| Quantiles::init(self.context, device)),
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
        self.expanded(|config| match layers.next() {
            Some(layer) => config.fixed(layer),
            None => config.clone(),
        })
    }

    /// The same configuration with the permutations that a trained flow drew, as its saved
    /// configuration `trained` has them, wherever both draw one of the same entries. Its weights mean
    /// nothing without them.
    #[must_use]
    pub fn with_permutations_of(&self, trained: &Self) -> Self {
        let mut theirs = trained
            .layers
            .iter()
            .flat_map(|stage| (0..stage.repeat).flat_map(|_| &stage.of));
        let widths = self.widths();
        self.expanded(|config| match theirs.next() {
            Some(theirs) => config.mixing_as(theirs, widths),
            None => config.clone(),
        })
    }

    /// The same configuration with every repetition written out, and each layer as `change` gives it.
    fn expanded(&self, mut change: impl FnMut(&LayerConfig) -> LayerConfig) -> Self {
        let stages = self.layers.iter();
        let stages = stages.flat_map(|stage| (0..stage.repeat).map(|_| &stage.of));
        let layers = stages.map(|of| Stage {
            repeat: 1,
            of: of.iter().map(&mut change).collect(),
        });
        Self {
            layers: layers.collect(),
            ..self.clone()
        }
    }
}
