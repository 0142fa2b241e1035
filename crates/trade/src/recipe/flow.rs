//! The flow of a problem.

use trade_core::{Family, PowerFamily, ScalarLattice, Support, objective::Problem, random::Stream};
use trade_flows::{
    Base, ConditionerConfig, FlowConfig, LastLayer, PreprocessConfig, Stage, is_heavy,
    lattice::scalable_lattice_flow,
    layer::{
        AffineCouplingConfig, CircularShiftConfig, CommonScaleConfig, ConditionalAffineConfig,
        ConditionalLinearConfig, GroupCouplingConfig, GroupMap, LayerConfig, Mixing,
        PermutationKind, RqsCouplingConfig, SoftClamp, WhitenConfig,
    },
};

use super::{logarithmic, tails};
use crate::device::AnyDevice;

/// Affine couplings before the splines. They scale entries over many orders of magnitude, as where one entry is
/// the logarithm of the width of others, which the bounded slopes of a spline cannot.
const AFFINE_BLOCKS: usize = 3;
/// The bound of their log scales, a factor of `e^12` each.
const LOG_SCALE: f64 = 12.0;

/// The most entries of a state whose correlations follow the condition.
pub(super) const MOST_ENTRIES: usize = 64;
/// The bound on how much narrower or wider than the data a state may be elsewhere, as a logarithm.
const MOST_NARROWER: f64 = 8.0;

/// Width of the networks, blocks and bins.
struct Size {
    hidden: usize,
    blocks: usize,
    bins: usize,
}

/// Up to so many numbers of state and observation together the small networks of pairs are enough.
const FEW_NUMBERS: usize = 24;

/// What a state of `dim` entries, given `contexts` numbers, needs. Of `samples` alone, without an energy, larger networks
/// learn no more than the samples by heart.
fn size(dim: usize, contexts: usize, samples: Option<usize>) -> Size {
    let mut size = match dim {
        1 => Size {
            hidden: 48,
            blocks: 3,
            bins: 16,
        },
        2 => Size {
            hidden: 64,
            blocks: 8,
            bins: 10,
        },
        3..=5 => Size {
            hidden: 64,
            blocks: 8,
            bins: 8,
        },
        6..=16 => Size {
            hidden: 96,
            blocks: 8,
            bins: 8,
        },
        _ => Size {
            hidden: 128,
            blocks: 8,
            bins: 8,
        },
    };
    if contexts > 0 {
        // A density for each observation is more to learn than one.
        size.hidden = size.hidden.max(128);
    }
    if let Some(n) = samples {
        let few = n < 3000 || dim + contexts <= FEW_NUMBERS;
        size.hidden = if few { 32 } else { 64 };
        size.blocks = size.blocks.min(5);
        if n < 3000 {
            size.bins = 6;
        }
    }
    size
}

pub(super) fn choose<T: AnyDevice>(problem: &Problem<T>, seed: u64) -> FlowConfig {
    let target = &*problem.target;
    if let Some(flow) = target
        .lattice()
        .and_then(|lattice| of_lattice(lattice, problem))
    {
        return flow;
    }
    let (dim, support) = (target.dim(), target.support());
    let samples = problem.data.as_ref().map(|data| data.len());
    // Where the energy is known, it says more than the samples do.
    let samples = samples.filter(|_| !target.is_known());
    let size = size(dim, target.contexts(), samples);
    let angles = support.iter().filter(|s| **s == Support::Angle).count();
    let mut first = Vec::new();
    if support.iter().any(|s| *s != Support::Real) {
        first.push(LayerConfig::Support(support.clone()));
    }
    if angles > 0 {
        first.push(LayerConfig::FixedPermutation(Mixing::Order(angles_last(
            &support,
        ))));
    }
    if angles < dim {
        first.push(LayerConfig::Whiten(WhitenConfig {
            except_last: angles,
        }));
    }
    if angles == 0 && dim <= MOST_ENTRIES && target.contexts() == 0 {
        first.push(LayerConfig::CommonScale(CommonScaleConfig::default()));
        // Locations and widths may change by orders of magnitude over the range: couplings see neither.
        first.push(LayerConfig::ConditionalLinear(ConditionalLinearConfig {
            clamp: SoftClamp::Atan(MOST_NARROWER),
            conditioner: ConditionerConfig {
                hidden: vec![64; 2],
                ..ConditionerConfig::default()
            },
        }));
    }
    let conditioner = ConditionerConfig {
        hidden: vec![size.hidden; 2],
        last_layer: LastLayer::ZeroBias,
        ..ConditionerConfig::default()
    };
    let mut layers = vec![Stage {
        repeat: 1,
        of: first,
    }];
    let base = if angles == 0 {
        // Without an energy they cost more than they bring.
        if dim > 1 && samples.is_none() {
            let scales = AffineCouplingConfig {
                clamp: SoftClamp::Wide(LOG_SCALE),
                conditioner: conditioner.clone(),
                soft_inputs: true,
                ..AffineCouplingConfig::default()
            };
            layers.push(Stage {
                repeat: AFFINE_BLOCKS,
                of: vec![
                    LayerConfig::AffineCoupling(scales),
                    LayerConfig::Permutation(PermutationKind::Hard),
                ],
            });
        }
        let coupling = RqsCouplingConfig {
            bins: size.bins,
            conditioner: conditioner.clone(),
            soft_inputs: true,
            ..RqsCouplingConfig::default()
        };
        layers.push(Stage {
            repeat: size.blocks,
            of: vec![
                LayerConfig::RqsCoupling(coupling),
                LayerConfig::Permutation(PermutationKind::Hard),
            ],
        });
        // Raw control parameters may have any unit.
        let affine = ConditionalAffineConfig {
            conditioner,
            embedded: true,
            ..ConditionalAffineConfig::default()
        };
        layers.push(Stage {
            repeat: 1,
            of: vec![LayerConfig::ConditionalAffine(affine)],
        });
        match tails::student(problem) {
            Some(student) => Base::Student(student),
            None => base(problem, &support),
        }
    } else {
        let mut stream = Stream::new(seed, 77);
        for _ in 0..size.blocks {
            let of = block_with_angles(dim, angles, size.bins, &conditioner, &mut stream);
            layers.push(Stage { repeat: 1, of });
        }
        Base::Torus { angles }
    };
    FlowConfig {
        dim,
        controls: problem.ranges.len(),
        context: target.contexts(),
        augmentation: 0,
        quantiles: observes_heavy_tails(problem),
        preprocess: preprocess(problem),
        layers,
        base,
    }
}

/// Whether observations among the data have heavy tails.
fn observes_heavy_tails<T: Family>(problem: &Problem<T>) -> bool {
    let Some(data) = &problem.data else {
        return false;
    };
    let width = problem.target.contexts();
    (0..width).any(|j| {
        let column = data.context().iter().skip(j).step_by(width);
        is_heavy(&column.map(|&y| f64::from(y)).collect::<Vec<_>>())
    })
}

/// Couplings of the sites of a lattice, and the edge of the square of sites that they see.
const CHECKERBOARDS: usize = 4;
const KERNEL: usize = 5;

/// The flow of a φ⁴ lattice, whose parameters do not know its side; none for an odd side, which has no
/// checkerboard.
fn of_lattice<T: Family>(lattice: ScalarLattice, problem: &Problem<T>) -> Option<FlowConfig> {
    let lambda = lattice.quartic.unwrap_or_else(|| {
        let (low, high) = problem.ranges.last().copied().unwrap_or_default();
        0.5 * (low + high)
    });
    lattice.side.is_multiple_of(2).then(|| FlowConfig {
        preprocess: preprocess(problem),
        ..scalable_lattice_flow(
            lattice.side,
            problem.ranges.len(),
            lambda,
            CHECKERBOARDS,
            KERNEL,
        )
    })
}

/// Control parameters, or their logarithms, from −1 to 1.
fn preprocess<T: Family>(problem: &Problem<T>) -> PreprocessConfig {
    let logarithmic = logarithmic(problem);
    let ends = problem
        .ranges
        .iter()
        .zip(&logarithmic)
        .map(|(&(low, high), log)| {
            if *log {
                (low.ln(), high.ln())
            } else {
                (low, high)
            }
        });
    let (centre, scale) = ends
        .map(|(low, high)| (0.5 * (low + high), 0.5 * (high - low)))
        .unzip();
    PreprocessConfig::Standardise {
        centre,
        scale,
        logarithmic,
        shift: Vec::new(),
    }
}

/// A Boltzmann distribution of real coordinates widens with the temperature, to leading order as a
/// normal distribution does. One that is bounded does not.
fn base<T: Family>(problem: &Problem<T>, support: &[Support]) -> Base {
    let positive = problem.ranges.iter().all(|(low, _)| *low > 0.0);
    let real = support.iter().all(|s| *s == Support::Real);
    let known = problem.target.is_known();
    // The first layer brings the states there to deviation 1.
    let at = problem.bases.first().map_or(1.0, |base| base[0]);
    match problem
        .target
        .power_family()
        .filter(|_| positive && real && known)
    {
        Some(PowerFamily::Temperature) => Base::ControlOver(at),
        Some(PowerFamily::Exponent) => Base::OverControl(at),
        None => Base::One,
    }
}

/// The order in which all angles come last.
fn angles_last(support: &[Support]) -> Vec<usize> {
    let angle = |i: &usize| support[*i] == Support::Angle;
    let (angles, others): (Vec<_>, Vec<_>) = (0..support.len()).partition(angle);
    [others, angles].concat()
}

/// Both halves of the entries moved by the other, angles turned, and entries of a kind mixed.
fn block_with_angles(
    dim: usize,
    angles: usize,
    bins: usize,
    conditioner: &ConditionerConfig,
    stream: &mut Stream,
) -> Vec<LayerConfig> {
    let (real, half) = (dim - angles, dim / 2);
    let coupling = |moved, given| {
        LayerConfig::GroupCoupling(GroupCouplingConfig {
            moved,
            given,
            circular: [real, dim],
            real: true,
            map: GroupMap::Spline { bins },
            conditioner: conditioner.clone(),
            use_control: true,
            blind_start: false,
        })
    };
    let mut of = vec![coupling([half, dim], [0, half])];
    if half > 0 {
        of.push(coupling([0, half], [half, dim]));
    }
    of.push(LayerConfig::CircularShift(CircularShiftConfig {
        entries: [real, dim],
        by: 0.381_966,
        learnable: true,
    }));
    let mut order = stream.permutation(real);
    order.extend(stream.permutation(angles).iter().map(|i| real + i));
    of.push(LayerConfig::FixedPermutation(Mixing::Order(order)));
    of
}
