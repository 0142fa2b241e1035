//! The standard spline flow, and how to change it.

use crate::{
    Base, ConditionerConfig, FlowConfig, LastLayer, PreprocessConfig, Stage,
    layer::{ConditionalAffineConfig, LayerConfig, PermutationKind, RqsCouplingConfig},
};

/// The parts of [`FlowConfig::spline`], set one by one. Each function takes the configuration and
/// gives it back, so that they can be chained; each also works on a configuration read from a file.
impl FlowConfig {
    /// The standard flow for a state of `dim` entries: six blocks of a coupling of
    /// rational-quadratic splines (8 bins, networks of two hidden layers of 64) and a random
    /// permutation, then a scale and shift that depend on the condition. The base is a standard
    /// normal distribution, there is one control parameter, and the networks see it as it is.
    ///
    /// A state of one entry needs no augmentation: its splines depend on the condition alone.
    ///
    /// # Example
    /// ```
    /// # use burn_flex::Flex;
    /// use trade_core::random::{Purpose, Streams};
    /// use trade_flows::{Base, FlowConfig, PreprocessConfig};
    /// // A density under temperatures.
    /// let config = FlowConfig::spline(5).preprocess(PreprocessConfig::Log).base(Base::Control);
    /// config.validate_over(&[(0.4, 1.1)], "flow")?;
    /// let flow = config.init::<Flex>(&Default::default(), Streams::new(1).get(Purpose::Init))?;
    /// assert_eq!(flow.layers().len(), 6 * 2 + 1);
    /// # Ok::<(), trade_core::Error>(())
    /// ```
    #[must_use]
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
            quantiles: false,
            preprocess: PreprocessConfig::Identity,
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
            base: Base::One,
        }
    }

    /// Sets the number of control parameters, by which the density is differentiated.
    ///
    /// ```
    /// # use trade_flows::FlowConfig;
    /// assert_eq!(FlowConfig::spline(3).controls(2).controls, 2);
    /// ```
    #[must_use]
    pub fn controls(mut self, controls: usize) -> Self {
        self.controls = controls;
        self
    }

    /// Sets the number of observed numbers that the density is conditioned on.
    ///
    /// ```
    /// # use trade_flows::FlowConfig;
    /// assert_eq!(FlowConfig::spline(3).context(10).context, 10);
    /// ```
    #[must_use]
    pub fn context(mut self, context: usize) -> Self {
        self.context = context;
        self
    }

    /// Sets the number of auxiliary dimensions.
    ///
    /// ```
    /// # use trade_flows::FlowConfig;
    /// assert_eq!(FlowConfig::spline(2).augmentation(2).augmentation, 2);
    /// ```
    #[must_use]
    pub fn augmentation(mut self, augmentation: usize) -> Self {
        self.augmentation = augmentation;
        self
    }

    /// Sets how the control parameters enter the networks.
    ///
    /// ```
    /// # use trade_flows::{FlowConfig, PreprocessConfig};
    /// let config = FlowConfig::spline(2).preprocess(PreprocessConfig::Log);
    /// assert!(config.validate_over(&[(-1.0, 1.0)], "flow").is_err());
    /// ```
    #[must_use]
    pub fn preprocess(mut self, preprocess: PreprocessConfig) -> Self {
        self.preprocess = preprocess;
        self
    }

    /// Sets the base distribution.
    ///
    /// ```
    /// # use trade_flows::{Base, FlowConfig};
    /// assert_eq!(FlowConfig::spline(2).base(Base::Control).base, Base::Control);
    /// ```
    #[must_use]
    pub fn base(mut self, base: Base) -> Self {
        self.base = base;
        self
    }

    /// Sets how often each stage with a coupling of splines is repeated.
    ///
    /// ```
    /// # use trade_flows::FlowConfig;
    /// assert_eq!(FlowConfig::spline(2).blocks(4).layers[0].repeat, 4);
    /// ```
    #[must_use]
    pub fn blocks(mut self, blocks: usize) -> Self {
        for stage in &mut self.layers {
            let spline = |layer: &LayerConfig| matches!(layer, LayerConfig::RqsCoupling(_));
            if stage.of.iter().any(spline) {
                stage.repeat = blocks;
            }
        }
        self
    }

    /// Sets the number of bins of every coupling of splines.
    ///
    /// ```
    /// # use trade_flows::FlowConfig;
    /// assert!(FlowConfig::spline(2).bins(16).validate("flow").is_ok());
    /// assert!(FlowConfig::spline(2).bins(0).validate("flow").is_err());
    /// ```
    #[must_use]
    pub fn bins(mut self, bins: usize) -> Self {
        for layer in self.layers.iter_mut().flat_map(|stage| &mut stage.of) {
            if let LayerConfig::RqsCoupling(coupling) = layer {
                coupling.bins = bins;
            }
        }
        self
    }

    /// Sets the widths of the hidden layers of all networks of couplings and of conditional scales
    /// and shifts.
    ///
    /// ```
    /// # use trade_flows::FlowConfig;
    /// assert!(FlowConfig::spline(2).hidden(&[32, 32, 32]).validate("flow").is_ok());
    /// ```
    #[must_use]
    pub fn hidden(mut self, hidden: &[usize]) -> Self {
        for layer in self.layers.iter_mut().flat_map(|stage| &mut stage.of) {
            let conditioner = match layer {
                LayerConfig::RqsCoupling(config) => &mut config.conditioner,
                LayerConfig::AffineCoupling(config) => &mut config.conditioner,
                LayerConfig::ConditionalAffine(config) => &mut config.conditioner,
                _ => continue,
            };
            conditioner.hidden = hidden.to_vec();
        }
        self
    }
}
