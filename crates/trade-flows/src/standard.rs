//! The standard flow, and setters for what programs change of it.

use crate::{
    BaseVariance, ConditionerConfig, FlowConfig, LastLayer, PreprocessConfig, Stage,
    layer::{ConditionalAffineConfig, LayerConfig, PermutationKind, RqsCouplingConfig},
};

impl FlowConfig {
    /// The standard spline flow of `dim` coordinates: six blocks of a two-sided rational-quadratic
    /// spline coupling and a fixed permutation, then an affine map driven by the condition. Splines
    /// have 8 bins; conditioners have two hidden layers of 64. The networks see the logarithm of the
    /// condition and the base distribution is `N(0, c·I)`, which suits temperatures; for other
    /// parameters see [`preprocess`](Self::preprocess) and [`base`](Self::base).
    ///
    /// # Example
    /// ```
    /// use trade_flows::FlowConfig;
    ///
    /// let flow = FlowConfig::spline(5).blocks(4).bins(16).hidden(&[128, 128]);
    /// assert!(flow.validate("flow").is_ok());
    /// ```
    pub fn spline(dim: usize) -> Self {
        let conditioner = ConditionerConfig {
            hidden: vec![64, 64],
            last_layer: LastLayer::ZeroBias,
            ..ConditionerConfig::default()
        };
        let coupling = RqsCouplingConfig {
            bins: 8,
            conditioner: conditioner.clone(),
            ..RqsCouplingConfig::default()
        };
        let affine = ConditionalAffineConfig {
            conditioner,
            ..ConditionalAffineConfig::default()
        };
        Self {
            dim,
            controls: 1,
            context: 0,
            augmentation: 0,
            preprocess: PreprocessConfig::Log,
            layers: vec![
                Stage {
                    repeat: 6,
                    of: vec![
                        LayerConfig::RqsCoupling(coupling),
                        LayerConfig::Permutation(PermutationKind::Hard),
                    ],
                },
                Stage {
                    repeat: 1,
                    of: vec![LayerConfig::ConditionalAffine(affine)],
                },
            ],
            base: BaseVariance::Control,
        }
    }

    /// Sets the number of control parameters; 1 by default.
    #[must_use]
    pub fn controls(mut self, controls: usize) -> Self {
        self.controls = controls;
        self
    }

    /// Sets the width of the context, such as an observation; 0 by default.
    #[must_use]
    pub fn context(mut self, context: usize) -> Self {
        self.context = context;
        self
    }

    /// Sets how control parameters enter the networks; by their logarithm by default, which needs
    /// positive parameters.
    #[must_use]
    pub fn preprocess(mut self, preprocess: PreprocessConfig) -> Self {
        self.preprocess = preprocess;
        self
    }

    /// Sets the base distribution; `N(0, c·I)` by default.
    #[must_use]
    pub fn base(mut self, base: BaseVariance) -> Self {
        self.base = base;
        self
    }

    /// Sets how often the first stage is repeated; 6 by default.
    #[must_use]
    pub fn blocks(mut self, blocks: usize) -> Self {
        if let Some(stage) = self.layers.first_mut() {
            stage.repeat = blocks;
        }
        self
    }

    /// Sets the number of bins of every spline coupling; 8 by default.
    #[must_use]
    pub fn bins(mut self, bins: usize) -> Self {
        for layer in self.layers_mut() {
            if let LayerConfig::RqsCoupling(coupling) = layer {
                coupling.bins = bins;
            }
        }
        self
    }

    /// Sets the widths of the hidden layers of every conditioner; 64 and 64 by default.
    #[must_use]
    pub fn hidden(mut self, hidden: &[usize]) -> Self {
        for layer in self.layers_mut() {
            match layer {
                LayerConfig::RqsCoupling(coupling) => coupling.conditioner.hidden = hidden.to_vec(),
                LayerConfig::ConditionalAffine(affine) => {
                    affine.conditioner.hidden = hidden.to_vec()
                }
                _ => {}
            }
        }
        self
    }

    fn layers_mut(&mut self) -> impl Iterator<Item = &mut LayerConfig> {
        self.layers.iter_mut().flat_map(|stage| &mut stage.of)
    }
}
