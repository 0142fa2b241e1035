//! Flows for scalar fields on a square torus.
//!
//! A field is a flat state: site `(t, s)` of a lattice of `side × side` sites is the entry
//! `t · side + s`. The first control parameter is the hopping parameter κ.

use crate::{
    Base, ConditionerConfig, ConvConditionerConfig, FlowConfig, Padding, PreprocessConfig, Stage,
    Tails,
    layer::{
        ConditionalAffineConfig, ConvCouplingConfig, GivenZeroModeConfig, Grid, LayerConfig,
        LongWavesConfig, Mask, ModeMeansConfig, ModeWidthsConfig, PermutationKind,
        RqsCouplingConfig, SoftClamp, ZeroModePotentialConfig,
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
        quantiles: false,
        preprocess: PreprocessConfig::Embedding(mlp(&[32, 32, 32])),
        layers,
        base: Base::One,
    }
}

/// Splines that are the identity outside of their knots.
const IDENTITY: Tails = Tails::Identity { bound: 5.0 };

/// A coupling between the colours of a checkerboard, whose networks have hidden layers of `width` and
/// see `kernel × kernel` sites.
fn checkerboard(
    side: usize,
    kernel: usize,
    (width, bins): (usize, usize),
    sign_symmetric: bool,
) -> ConvCouplingConfig {
    ConvCouplingConfig {
        mask: Mask::Checkerboard,
        bins,
        tails: IDENTITY,
        affine: Some(SoftClamp::default()),
        sign_symmetric,
        conditioner: ConvConditionerConfig {
            kernel,
            convolutions: vec![width],
            pointwise: vec![width],
            ..ConvConditionerConfig::default()
        },
        ..ConvCouplingConfig::new(Grid::of(side))
    }
}

/// The coefficient of `φ²` for a slow field at κ = 0 and the quartic coupling `lambda`, with the mass that the
/// fluctuations of a site add at first order, `6λ⟨φ²⟩` with `⟨φ²⟩ = ½`.
fn slow_field(lambda: f64) -> f64 {
    1.0 - 2.0 * lambda + 3.0 * lambda
}

/// Where the potential of a constant field has its minimum at κ = 0.365.
fn reach(side: usize, lambda: f64) -> f64 {
    0.5 / lambda.max(1e-3).sqrt() * side as f64
}

/// The effective potential of the magnetisation, which starts from that of a constant field at the
/// quartic coupling `lambda`.
fn potential(side: usize, lambda: f64, extensive: bool) -> LayerConfig {
    LayerConfig::ZeroModePotential(ZeroModePotentialConfig {
        side,
        hopping: 0,
        unit: 1.0,
        quadratic: slow_field(lambda),
        quartic: lambda,
        reach: reach(side, lambda),
        // The peaks of an extensive potential have a width of their own, whatever the side.
        nodes: 1 + 16 * if extensive { side } else { 8 },
        terms: 8,
        extensive,
        conditioner: mlp(&[32, 32]),
    })
}

/// The flow of the paper's lattice with `controls` control parameters: a scale and
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

/// What a [`physical_lattice_flow`] is built of. Every piece can be left out, to see what it
/// brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatticePieces {
    /// The number of checkerboard couplings, which know the translations
    /// ([`ConvCoupling`](crate::layer::ConvCoupling)).
    pub checkerboards: usize,
    /// The number of couplings between modes, given the zero mode
    /// ([`GivenZeroMode`](crate::layer::GivenZeroMode)).
    pub mode_couplings: usize,
    /// Whether the magnetisation, which carries the two peaks of the broken phase, has an effective
    /// potential of its own ([`ZeroModePotential`](crate::layer::ZeroModePotential)).
    pub zero_mode: bool,
    /// A density that is exactly the same for φ and −φ.
    pub sign_symmetric: bool,
}

impl Default for LatticePieces {
    fn default() -> Self {
        Self {
            checkerboards: 2,
            mode_couplings: 2,
            zero_mode: true,
            sign_symmetric: true,
        }
    }
}

/// A flow with what is known of the φ⁴ lattice built in.
///
/// From the field to the latent space:
/// 1. checkerboard couplings: given its neighbours, the density of a site is known to be that of a
///    quartic potential, tilted by the sum of the neighbours. Their networks look at all sites of
///    the other colour in one layer, relative to the site, so that they commute with translations
///    and need no deep stack to see far;
/// 2. couplings of the other Fourier modes given the magnetisation, whose widths follow it;
/// 3. the effective potential of the magnetisation alone, which carries the two peaks of the broken
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
    let grid = Grid::of(side);
    let mut layers = Vec::new();
    if pieces.checkerboards > 0 {
        // The whole torus.
        let coupling = checkerboard(side, side + 1, (64, 8), pieces.sign_symmetric);
        let coupling = LayerConfig::ConvCoupling(coupling);
        layers.push(stage(pieces.checkerboards, vec![coupling]));
    }
    if pieces.mode_couplings > 0 || pieces.zero_mode {
        layers.push(stage(1, vec![LayerConfig::FourierModes(grid)]));
    }
    if pieces.mode_couplings > 0 {
        let coupling = RqsCouplingConfig {
            bins: 8,
            tails: IDENTITY,
            conditioner: mlp(&[128, 128]),
            ..RqsCouplingConfig::default()
        };
        let widths = ConditionalAffineConfig {
            conditioner: mlp(&[64, 64]),
            embedded: true,
            ..ConditionalAffineConfig::default()
        };
        let mut of = vec![LayerConfig::ConditionalAffine(widths)];
        for _ in 0..pieces.mode_couplings {
            of.push(LayerConfig::Permutation(PermutationKind::Hard));
            of.push(LayerConfig::RqsCoupling(coupling.clone()));
        }
        layers.push(stage(
            1,
            vec![LayerConfig::GivenZeroMode(GivenZeroModeConfig {
                sign_symmetric: pieces.sign_symmetric,
                of,
            })],
        ));
    }
    if pieces.zero_mode {
        layers.push(stage(1, vec![potential(side, lambda, false)]));
    }
    config(side, controls, layers)
}

/// A flow whose parameters do not know the size of the lattice: trained on one, they are a start
/// for any other whose side is at least `kernel`.
///
/// From the field to the latent space: checkerboard couplings as in [`physical_lattice_flow`], but
/// whose networks are small and see a few sites about their own; the means of the longer Fourier modes by
/// what still longer ones do to them ([`ModeMeans`](crate::layer::ModeMeans)); the widths of all modes by their
/// momentum ([`ModeWidths`](crate::layer::ModeWidths)); the effective potential of the
/// magnetisation, whose learned part is extensive. The density has the exact sign and translations
/// by an even number of sites as symmetries.
///
/// `side` must be even.
pub fn scalable_lattice_flow(
    side: usize,
    controls: usize,
    lambda: f64,
    checkerboards: usize,
    kernel: usize,
) -> FlowConfig {
    // Hidden width and bins. On 8 × 8 sites twice of both gave three couplings of 7 × 7 sites a mean ESS
    // of 0.969 for 0.962 after as many steps, and made a step about twice as long.
    const SIZE: (usize, usize) = (32, 4);
    let mut layers = Vec::new();
    if checkerboards > 0 {
        let coupling = checkerboard(side, kernel, SIZE, true);
        let coupling = LayerConfig::ConvCoupling(coupling);
        layers.push(stage(checkerboards, vec![coupling]));
    }
    // Along either direction of two sites there is one mode, not a wave that has a phase.
    let long_waves = side > 2;
    let mut modes = vec![LayerConfig::FourierModes(Grid::of(side))];
    if long_waves {
        modes.push(LayerConfig::ModeMeans(ModeMeansConfig {
            side,
            shortest: 4.0,
            clamp: SoftClamp::default(),
            conditioner: mlp(&[32, 32]),
        }));
    }
    modes.push(LayerConfig::ModeWidths(ModeWidthsConfig {
        side,
        given_long_waves: long_waves,
        clamp: SoftClamp::default(),
        conditioner: mlp(&[32, 32]),
    }));
    if long_waves {
        modes.push(LayerConfig::LongWaves(LongWavesConfig {
            side,
            hopping: 0,
            quadratic: slow_field(lambda),
            quartic: lambda,
            reach: reach(side, lambda),
            nodes: 1 + 32 * side,
            terms: 8,
            conditioner: mlp(&[32, 32]),
        }));
    }
    modes.push(potential(side, lambda, true));
    layers.push(stage(1, modes));
    config(side, controls, layers)
}
