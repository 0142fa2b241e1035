//! Flows for molecules in internal coordinates.
//!
//! A state is a point of the unit cube: bonds, then angles, then torsions, scaled; see
//! `InternalScaling` of the crate `trade-targets`. The first control parameter is the temperature,
//! relative to that at which the scaling was made.

use trade_core::random::Stream;

use crate::{
    Base, ConditionerConfig, FlowConfig, PreprocessConfig, Stage,
    layer::{CircularShiftConfig, GroupCouplingConfig, GroupMap, LayerConfig, Mixing},
};

/// Blocks of couplings between groups of internal coordinates: torsions among themselves (a block
/// for each of [`splits`](Self::splits)), then three blocks of angles and torsions, then three of
/// bonds and all others, seen from the latent space. This is the architecture of the paper's
/// alanine dipeptide (arXiv 2410.19492).
#[derive(Clone, Debug, PartialEq)]
pub struct MoleculeFlow {
    /// How many bonds are free.
    pub bonds: usize,
    /// How many angles there are.
    pub angles: usize,
    /// How many torsions there are.
    pub torsions: usize,
    /// For each block among torsions, those of the first half. The block leaves the torsions in
    /// the order first half, second half.
    pub splits: Vec<Vec<usize>>,
    /// By how much each block turns all torsions; one for each of `splits` and six more.
    pub shifts: Vec<f64>,
    /// Whether `shifts` are only where training starts.
    pub learnable_shifts: bool,
    /// The number of bins.
    pub bins: usize,
    /// The networks.
    pub conditioner: ConditionerConfig,
    /// Whether the couplings start the same at all temperatures; see
    /// [`GroupCouplingConfig::blind_start`].
    pub blind_start: bool,
}

/// The torsions of the first halves in the published flow of alanine dipeptide.
const ALANINE_SPLITS: [[usize; 9]; 3] = [
    [1, 7, 8, 13, 12, 4, 6, 9, 15],
    [0, 6, 14, 8, 12, 1, 18, 9, 4],
    [18, 0, 12, 17, 10, 5, 6, 1, 11],
];

/// The shifts in the published flow of alanine dipeptide.
const ALANINE_SHIFTS: [f64; 9] = [
    0.296_111_941_337_585_45,
    0.516_562_283_039_093,
    0.251_670_718_193_054_2,
    0.688_556_790_351_867_7,
    0.073_972_463_607_788_09,
    0.866_521_954_536_438,
    0.136_579_871_177_673_34,
    0.102_479_040_622_711_18,
    0.184_056_460_857_391_36,
];

impl MoleculeFlow {
    /// The published flow of alanine dipeptide: 9 bonds, 20 angles, 19 torsions.
    pub fn alanine_dipeptide() -> Self {
        Self {
            bonds: 9,
            angles: 20,
            torsions: 19,
            splits: ALANINE_SPLITS.map(|split| split.to_vec()).to_vec(),
            shifts: ALANINE_SHIFTS.to_vec(),
            learnable_shifts: false,
            bins: 8,
            conditioner: ConditionerConfig {
                hidden: vec![256, 256],
                residual: true,
                ..ConditionerConfig::default()
            },
            blind_start: false,
        }
    }

    /// The same for another molecule; splits and shifts are drawn from `stream`.
    pub fn of([bonds, angles, torsions]: [usize; 3], stream: &mut Stream) -> Self {
        let blocks = if torsions > 1 { 3 } else { 0 };
        let splits = (0..blocks)
            .map(|_| stream.permutation(torsions)[..torsions / 2].to_vec())
            .collect();
        Self {
            bonds,
            angles,
            torsions,
            splits,
            shifts: stream.uniform(blocks + 6),
            ..Self::alanine_dipeptide()
        }
    }

    /// The flow of splines, whose networks see `ln T`.
    pub fn spline(&self) -> FlowConfig {
        self.config(true, |_| GroupMap::Spline { bins: self.bins })
    }

    /// The temperature-steerable flow: steerable splines in the two first blocks, shifts in the
    /// others. See [`GroupMap::SteerableSpline`] for `normalised`.
    pub fn steerable(&self, normalised: bool) -> FlowConfig {
        let bins = self.bins;
        self.config(false, |block| {
            if block < 2.min(self.splits.len()) {
                GroupMap::SteerableSpline { bins, normalised }
            } else {
                GroupMap::Additive
            }
        })
    }

    fn config(&self, use_control: bool, map: impl Fn(usize) -> GroupMap) -> FlowConfig {
        let dim = self.bonds + self.angles + self.torsions;
        let first_torsion = self.bonds + self.angles;
        let torsions = [first_torsion, dim];
        let coupling = |block: usize, moved, given| {
            LayerConfig::GroupCoupling(GroupCouplingConfig {
                moved,
                given,
                circular: torsions,
                real: false,
                map: map(block),
                conditioner: self.conditioner.clone(),
                use_control,
                blind_start: self.blind_start,
            })
        };
        // The two groups of each block; none where one of them is empty.
        let torsion_blocks = self.splits.iter().map(|split| {
            let middle = first_torsion + split.len();
            ([first_torsion, middle], [middle, dim])
        });
        let angles = ([self.bonds, first_torsion], torsions);
        let bonds = ([0, self.bonds], [self.bonds, dim]);
        let blocks: Vec<_> = torsion_blocks
            .chain([angles; 3])
            .chain([bonds; 3])
            .collect();
        // From data to the latent space, which is the other way round.
        let mut layers = Vec::new();
        for (block, (first, second)) in blocks.iter().enumerate().rev() {
            if self.torsions > 0 {
                layers.push(LayerConfig::CircularShift(CircularShiftConfig {
                    entries: torsions,
                    by: self.shifts.get(block).copied().unwrap_or_default(),
                    learnable: self.learnable_shifts,
                }));
            }
            // Splines are maps of the unit cube. Shifts leave it, and their density with it.
            if block + 1 == blocks.len() && matches!(map(block), GroupMap::Spline { .. }) {
                layers.push(LayerConfig::UnitClamp);
            }
            if first[0] < first[1] && second[0] < second[1] {
                layers.push(coupling(block, *second, *first));
                layers.push(coupling(block, *first, *second));
            }
            if let Some(split) = self.splits.get(block) {
                layers.push(LayerConfig::FixedPermutation(Mixing::Order(
                    self.unsplit(split),
                )));
            }
        }
        FlowConfig {
            dim,
            controls: 1,
            context: 0,
            augmentation: 0,
            quantiles: false,
            preprocess: PreprocessConfig::Log,
            layers: vec![Stage {
                repeat: 1,
                of: layers,
            }],
            base: Base::UnitCube {
                normal: first_torsion,
            },
        }
    }

    /// The order that takes (first half, second half) back to the torsions as they were.
    fn unsplit(&self, split: &[usize]) -> Vec<usize> {
        let first_torsion = self.bonds + self.angles;
        let rest = (0..self.torsions).filter(|t| !split.contains(t));
        let joined: Vec<usize> = split.iter().copied().chain(rest).collect();
        let place = |torsion: usize| joined.iter().position(|t| *t == torsion).unwrap_or(torsion);
        (0..first_torsion)
            .chain((0..self.torsions).map(|t| first_torsion + place(t)))
            .collect()
    }
}
