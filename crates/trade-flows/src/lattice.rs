//! Flows for scalar fields on a square torus.
//!
//! A field is a flat state: site `(t, s)` of a lattice of `side × side` sites is the entry
//! `t · side + s`. The first control parameter is the hopping parameter κ.

use crate::{
    BaseVariance, ConditionerConfig, ConvConditionerConfig, FlowConfig, Padding, PreprocessConfig,
    Stage, Tails,
    layer::{
        ConditionalAffineConfig, ConvCouplingConfig, FourierWhiteningConfig, GivenZeroModeConfig,
        Grid, LayerConfig, Mask, ModeLayerConfig, PermutationKind, RqsCouplingConfig, SoftClamp,
        ZeroModePotentialConfig, ZeroModeSplineConfig,
    },
};

fn mlp(hidden: &[usize]) -> ConditionerConfig {
    ConditionerConfig {
        hidden: hidden.to_vec(),
        ..ConditionerConfig::default()
    }
}

fn stage(repeat: usize, of: Vec<LayerConfig>) -> Stage {
    Stage { repeat, of }
}

fn config(side: usize, controls: usize, layers: Vec<Stage>) -> FlowConfig {
    FlowConfig {
        dim: side * side,
        controls,
        context: 0,
        augmentation: 0,
        preprocess: PreprocessConfig::Embedding(mlp(&[32, 32, 32])),
        layers,
        base: BaseVariance::One,
    }
}

/// The flow of the paper's lattice (METHOD §9) with `controls` control parameters: a scale and
/// shift of the whole field by the embedded condition, 2×2 blocks as channels, three convolutional
/// couplings over channels, then three couplings over all entries.
///
/// The published networks pad with zeros; `circular` gives them the torus that the lattice is.
/// `side` must be even.
pub fn published_lattice_flow(side: usize, controls: usize, circular: bool) -> FlowConfig {
    let blocks = Grid {
        side: side / 2,
        channels: 4,
    };
    let affine = ConditionalAffineConfig {
        clamp: SoftClamp::Tanh(5.0),
        conditioner: mlp(&[64, 64, 64]),
        embedded: true,
    };
    let padding = if circular {
        Padding::Circular
    } else {
        Padding::Zero
    };
    let convolutional = ConvCouplingConfig {
        conditioner: ConvConditionerConfig {
            padding,
            ..ConvConditionerConfig::default()
        },
        ..ConvCouplingConfig::new(blocks)
    };
    let dense = RqsCouplingConfig {
        bins: 10,
        conditioner: mlp(&[128; 4]),
        ..RqsCouplingConfig::default()
    };
    let layers = vec![
        stage(
            1,
            vec![
                LayerConfig::ConditionalAffine(affine),
                LayerConfig::SpaceToDepth(Grid::of(side)),
            ],
        ),
        stage(
            3,
            vec![
                LayerConfig::ChannelActNorm(blocks),
                LayerConfig::ConvCoupling(convolutional),
                LayerConfig::ChannelPermutation(blocks),
            ],
        ),
        stage(
            3,
            vec![
                LayerConfig::ActNorm,
                LayerConfig::RqsCoupling(dense),
                LayerConfig::Permutation(PermutationKind::Hard),
            ],
        ),
    ];
    config(side, controls, layers)
}

/// What a [`physical_lattice_flow`] makes of the magnetisation, which carries the two peaks of the
/// broken phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroMode {
    /// Nothing of its own.
    Plain,
    /// A spline with learned knots ([`ZeroModeSpline`](crate::layer::ZeroModeSpline)).
    Spline,
    /// Its effective potential ([`ZeroModePotential`](crate::layer::ZeroModePotential)).
    Potential,
}

/// What a [`physical_lattice_flow`] is built of. Every piece can be left out, to see what it
/// brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatticePieces {
    /// Divide the Fourier modes by their widths in a free theory of learned mass, first of all
    /// ([`FourierWhitening`](crate::layer::FourierWhitening)). Not by default: a trained flow
    /// has a smaller effective sample size with it, see the book.
    pub whitening: bool,
    /// Whether that mass, if there is one, may depend on the size of the magnetisation.
    pub mass_of_magnetisation: bool,
    /// The number of checkerboard couplings, which know the translations
    /// ([`ConvCoupling`](crate::layer::ConvCoupling)).
    pub checkerboards: usize,
    /// The number of couplings between modes, given the zero mode
    /// ([`GivenZeroMode`](crate::layer::GivenZeroMode)).
    pub mode_couplings: usize,
    /// What is made of the magnetisation.
    pub zero_mode: ZeroMode,
    /// A density that is exactly the same for φ and −φ.
    pub sign_symmetric: bool,
}

impl Default for LatticePieces {
    fn default() -> Self {
        Self {
            whitening: false,
            mass_of_magnetisation: true,
            checkerboards: 2,
            mode_couplings: 2,
            zero_mode: ZeroMode::Potential,
            sign_symmetric: true,
        }
    }
}

/// A flow with what is known of the φ⁴ lattice built in.
///
/// From the field to the latent space:
/// 1. if asked for, a whitening by the free propagator of a learned mass takes away the larger part
///    of the correlations, and how they change with κ;
/// 2. checkerboard couplings: given its neighbours, the density of a site is known to be that of a
///    quartic potential, tilted by the sum of the neighbours. Their networks look at all sites of
///    the other colour in one layer, relative to the site, so that they commute with translations
///    and need no deep stack to see far;
/// 3. couplings of the other Fourier modes given the magnetisation, whose widths follow it;
/// 4. the effective potential of the magnetisation alone, which carries the two peaks of the broken
///    phase. It starts from that of a constant field at the quartic coupling `lambda`, with the
///    mass that the fluctuations of a site add at first order, `6λ⟨φ²⟩` with `⟨φ²⟩ = ½`.
///
/// `side` must be even if there are checkerboard couplings.
pub fn physical_lattice_flow(
    side: usize,
    controls: usize,
    lambda: f64,
    pieces: LatticePieces,
) -> FlowConfig {
    let potential = pieces.zero_mode == ZeroMode::Potential;
    let grid = Grid::of(side);
    let identity = Tails::Identity { bound: 5.0 };
    let mut layers = Vec::new();
    let fields = pieces.checkerboards > 0;
    if pieces.whitening {
        let whitening = FourierWhiteningConfig {
            side,
            hopping: 0,
            zero_mode_unit: potential.then_some(ZERO_MODE_UNIT),
            given_zero_mode: pieces.mass_of_magnetisation,
            back: fields,
            conditioner: mlp(&[32, 32]),
        };
        layers.push(stage(1, vec![LayerConfig::FourierWhitening(whitening)]));
    }
    if fields {
        let coupling = ConvCouplingConfig {
            mask: Mask::Checkerboard,
            bins: 8,
            tails: identity,
            affine: Some(SoftClamp::default()),
            sign_symmetric: pieces.sign_symmetric,
            conditioner: ConvConditionerConfig {
                // The whole torus.
                kernel: side + 1,
                convolutions: vec![64],
                pointwise: vec![64],
                ..ConvConditionerConfig::default()
            },
            ..ConvCouplingConfig::new(grid)
        };
        layers.push(stage(
            pieces.checkerboards,
            vec![LayerConfig::ConvCoupling(coupling)],
        ));
    }
    let modes = pieces.mode_couplings > 0 || pieces.zero_mode != ZeroMode::Plain;
    if modes && (fields || !pieces.whitening) {
        layers.push(stage(1, vec![LayerConfig::FourierModes(grid)]));
    }
    if pieces.mode_couplings > 0 {
        let coupling = RqsCouplingConfig {
            bins: 8,
            tails: identity,
            conditioner: mlp(&[128, 128]),
            ..RqsCouplingConfig::default()
        };
        let widths = ConditionalAffineConfig {
            conditioner: mlp(&[64, 64]),
            embedded: true,
            ..ConditionalAffineConfig::default()
        };
        let mut of = vec![ModeLayerConfig::ConditionalAffine(widths)];
        for _ in 0..pieces.mode_couplings {
            of.push(ModeLayerConfig::Permutation(PermutationKind::Hard));
            of.push(ModeLayerConfig::RqsCoupling(coupling.clone()));
        }
        layers.push(stage(
            1,
            vec![LayerConfig::GivenZeroMode(GivenZeroModeConfig {
                sign_symmetric: pieces.sign_symmetric,
                of,
            })],
        ));
    }
    match pieces.zero_mode {
        ZeroMode::Plain => {}
        ZeroMode::Spline => {
            let spline = ZeroModeSplineConfig {
                odd: pieces.sign_symmetric,
                ..ZeroModeSplineConfig::default()
            };
            layers.push(stage(1, vec![LayerConfig::ZeroModeSpline(spline)]));
        }
        ZeroMode::Potential => {
            let unit = if pieces.whitening {
                ZERO_MODE_UNIT
            } else {
                1.0
            };
            // Where the potential of a constant field has its minimum at κ = 0.365.
            let reach = 0.5 / lambda.max(1e-3).sqrt() * unit * side as f64;
            let potential = ZeroModePotentialConfig {
                side,
                hopping: 0,
                unit,
                quadratic: 1.0 - 2.0 * lambda + 3.0 * lambda,
                quartic: lambda,
                reach,
                nodes: 129,
                terms: 8,
                conditioner: mlp(&[32, 32]),
            };
            layers.push(stage(1, vec![LayerConfig::ZeroModePotential(potential)]));
        }
    }
    config(side, controls, layers)
}

/// What the whitening multiplies the zero mode by where its potential follows, so that the networks
/// see numbers of order one.
const ZERO_MODE_UNIT: f64 = 0.25;
