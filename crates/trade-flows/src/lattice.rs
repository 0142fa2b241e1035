//! Flows for scalar fields on a square torus.
//!
//! A field is a flat state: site `(t, s)` of a lattice of `side × side` sites is the entry
//! `t · side + s`. The first control parameter is the hopping parameter κ.

use crate::{
    Base, ConditionerConfig, ConvConditionerConfig, FlowConfig, Padding, PreprocessConfig, Stage,
    Tails,
    layer::{
        ConditionalAffineConfig, ConvCouplingConfig, GivenZeroModeConfig, Grid, LayerConfig, Mask,
        PermutationKind, RqsCouplingConfig, SoftClamp, ZeroModePotentialConfig,
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
        base: Base::One,
    }
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
    let identity = Tails::Identity { bound: 5.0 };
    let mut layers = Vec::new();
    if pieces.checkerboards > 0 {
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
    if pieces.mode_couplings > 0 || pieces.zero_mode {
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
        // Where the potential of a constant field has its minimum at κ = 0.365.
        let reach = 0.5 / lambda.max(1e-3).sqrt() * side as f64;
        let potential = ZeroModePotentialConfig {
            side,
            hopping: 0,
            unit: 1.0,
            quadratic: 1.0 - 2.0 * lambda + 3.0 * lambda,
            quartic: lambda,
            reach,
            nodes: 129,
            terms: 8,
            conditioner: mlp(&[32, 32]),
        };
        layers.push(stage(1, vec![LayerConfig::ZeroModePotential(potential)]));
    }
    config(side, controls, layers)
}
