//! A two-dimensional density tabulated on an adaptive mesh, for integrals and for sampling.

use std::fmt;

use rand::{Rng, RngExt};

use super::quadrature::gauss_legendre;
use crate::{Error, Result};

/// Gauss–Legendre nodes a side of a cell; their rule is what is used.
const NODES: usize = 8;
/// Nodes a side of the cheaper rule that the first is compared with.
const CHECK_NODES: usize = 5;
/// The bounding box starts as this many cells a side.
const START: usize = 16;
/// Halvings of a cell after which refinement stops.
const MAX_DEPTH: usize = 24;
/// Cells at which a quadrature that has not converged is given up.
const MAX_CELLS: usize = 200_000;
/// How far a density may exceed the largest value seen in its cell.
const HEADROOM: f64 = 1.2;
/// Halvings with which the border between two regions is traced.
const BORDER_DEPTH: usize = 5;

/// A place where the density has detail: the mesh is made fine there before it trusts itself.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    /// The middle of the feature.
    pub centre: [f64; 2],
    /// How far it extends to either side, along each axis.
    pub reach: [f64; 2],
    /// Its smallest width along each axis, for instance the deviation where the other entry is known.
    pub scale: [f64; 2],
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    lo: [f64; 2],
    width: [f64; 2],
}

impl Cell {
    fn point(&self, s: f64, t: f64) -> [f64; 2] {
        [
            self.lo[0] + self.width[0] * s,
            self.lo[1] + self.width[1] * t,
        ]
    }

    fn area(&self) -> f64 {
        self.width[0] * self.width[1]
    }

    fn quarters(&self) -> [Self; 4] {
        let width = self.width.map(|w| 0.5 * w);
        [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)].map(|(s, t)| Self {
            lo: self.point(s, t),
            width,
        })
    }

    /// Whether `feature` meets this cell, and the cell is too wide for it.
    fn too_wide_for(&self, feature: &Feature) -> bool {
        (0..2).any(|k| self.width[k] > 3.0 * feature.scale[k])
            && (0..2).all(|k| {
                self.lo[k] <= feature.centre[k] + feature.reach[k]
                    && self.lo[k] + self.width[k] >= feature.centre[k] - feature.reach[k]
            })
    }
}

/// A cell of the finished mesh, with the masses of its nodes.
struct Leaf {
    cell: Cell,
    /// The largest `log f` seen in it.
    peak: f64,
    mass: [f64; NODES * NODES],
}

/// What the rules say of a cell before it is accepted.
struct Trial {
    cell: Cell,
    peak: f64,
    mass: [f64; NODES * NODES],
    total: f64,
    log_sum: f64,
    error: f64,
}

/// A density `f(x)/Z` on the plane, given by `log f`, as a mesh of rectangular cells with 8 × 8
/// Gauss–Legendre nodes each, refined where an 8 × 8 and a 5 × 5 rule disagree.
///
/// Integrals are sums over the nodes. Samples choose a cell by its mass and then a point in it by
/// rejection from the uniform distribution, so they follow `f` itself and not an interpolant.
pub struct Plane {
    log_f: Box<dyn Fn([f64; 2]) -> f64 + Send + Sync>,
    log_z: f64,
    mean_log: f64,
    error: f64,
    leaves: Vec<Leaf>,
    /// Probability of the leaves up to and with each.
    cumulative: Vec<f64>,
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane")
            .field("log_z", &self.log_z)
            .field("error", &self.error)
            .field("cells", &self.leaves.len())
            .finish_non_exhaustive()
    }
}

impl Plane {
    /// Tabulates the density with logarithm `log_f` (up to a constant; `−∞` is zero density).
    ///
    /// `bounds` are the intervals `(lo, hi)` of both axes outside of which the density is
    /// negligible, `features` the places where it has detail that a 16 × 16 mesh would miss. A cell
    /// is divided until its estimated error is below `tolerance · Z / 1000` (1e-8 is cheap for
    /// smooth densities; ones with jumps want 1e-4); [`error`](Self::error) is the sum.
    ///
    /// # Errors
    /// [`Error::Inexact`] if the density is nowhere positive, not a number somewhere, or too rough
    /// to be integrated to `tolerance`.
    pub fn tabulate(
        log_f: impl Fn([f64; 2]) -> f64 + Send + Sync + 'static,
        bounds: [(f64, f64); 2],
        features: &[Feature],
        tolerance: f64,
    ) -> Result<Self> {
        let failed = |reason: String| Error::inexact("the two-dimensional integral", reason);
        if bounds
            .iter()
            .any(|(lo, hi)| lo >= hi || !(hi - lo).is_finite())
        {
            return Err(failed(format!("no rectangle {bounds:?}")));
        }
        let rules = [gauss_legendre(NODES), gauss_legendre(CHECK_NODES)];
        let step = bounds.map(|(lo, hi)| (hi - lo) / START as f64);
        let mut pending: Vec<Cell> = (0..START * START)
            .map(|i| Cell {
                lo: [
                    bounds[0].0 + step[0] * (i % START) as f64,
                    bounds[1].0 + step[1] * (i / START) as f64,
                ],
                width: step,
            })
            .collect();
        let reference = features
            .iter()
            .map(|feature| feature.centre)
            .chain(pending.iter().map(|cell| cell.point(0.5, 0.5)))
            .map(&log_f)
            .fold(f64::NEG_INFINITY, f64::max);
        let reference = if reference.is_finite() {
            reference
        } else {
            0.0
        };

        let mut accepted: Vec<Trial> = Vec::new();
        for depth in 0..=MAX_DEPTH {
            let trials: Vec<Trial> = pending
                .iter()
                .map(|cell| try_cell(&log_f, *cell, reference, &rules))
                .collect();
            let total: f64 = accepted
                .iter()
                .chain(&trials)
                .map(|trial| trial.total)
                .sum();
            if !total.is_finite() {
                return Err(failed(format!(
                    "the log density is not a number within {bounds:?}"
                )));
            }
            // A thousandth of the tolerance a cell: the estimate is that of the weaker rule, and
            // few cells come near their share.
            let share = 1e-3 * tolerance * total;
            pending.clear();
            for trial in trials {
                let blind = features
                    .iter()
                    .any(|feature| trial.cell.too_wide_for(feature));
                if depth < MAX_DEPTH && (blind || trial.error > share) {
                    pending.extend(trial.cell.quarters());
                } else {
                    accepted.push(trial);
                }
            }
            if accepted.len() + pending.len() > MAX_CELLS {
                return Err(failed(format!(
                    "{MAX_CELLS} cells within {bounds:?} do not reach the tolerance {tolerance}"
                )));
            }
            if pending.is_empty() {
                break;
            }
        }
        Self::from_trials(Box::new(log_f), accepted, reference)
    }

    fn from_trials(
        log_f: Box<dyn Fn([f64; 2]) -> f64 + Send + Sync>,
        trials: Vec<Trial>,
        reference: f64,
    ) -> Result<Self> {
        let total: f64 = trials.iter().map(|trial| trial.total).sum();
        if total <= 0.0 {
            return Err(Error::inexact(
                "the two-dimensional integral",
                "the density is zero",
            ));
        }
        let log_sum: f64 = trials.iter().map(|trial| trial.log_sum).sum();
        let error = trials.iter().map(|trial| trial.error).sum::<f64>() / total;
        let mut cumulative = Vec::new();
        let mut sum = 0.0;
        let leaves: Vec<Leaf> = trials
            .into_iter()
            .filter(|trial| trial.total > 1e-18 * total)
            .map(|trial| {
                sum += trial.total / total;
                cumulative.push(sum);
                let mass = trial.mass.map(|m| m / total);
                Leaf {
                    cell: trial.cell,
                    peak: trial.peak,
                    mass,
                }
            })
            .collect();
        let (log_z, mean_log) = (reference + total.ln(), reference + log_sum / total);
        Ok(Self {
            log_f,
            log_z,
            mean_log,
            error,
            leaves,
            cumulative,
        })
    }

    /// `log ∫ f dx`.
    pub fn log_z(&self) -> f64 {
        self.log_z
    }

    /// `E[log f]`, of the unnormalised density.
    pub fn mean_log_density(&self) -> f64 {
        self.mean_log
    }

    /// Differential entropy `log Z − E[log f]` in nats.
    pub fn entropy(&self) -> f64 {
        self.log_z - self.mean_log
    }

    /// The estimated relative error of `Z` and of `Z·E[log f]`; usually far too large, since it is
    /// that of the weaker rule.
    pub fn error(&self) -> f64 {
        self.error
    }

    /// The quadrature nodes with their probabilities, which sum to 1: the way to any integral over
    /// the density, such as the KL divergence or the total variation against a flow.
    pub fn nodes(&self) -> impl Iterator<Item = ([f64; 2], f64)> + '_ {
        let rule = gauss_legendre(NODES);
        self.leaves.iter().flat_map(move |leaf| {
            let rule = rule.clone();
            (0..NODES * NODES).map(move |i| {
                (
                    leaf.cell.point(rule[i % NODES].0, rule[i / NODES].0),
                    leaf.mass[i],
                )
            })
        })
    }

    /// `E[g(x)]`.
    pub fn expect(&self, g: impl Fn([f64; 2]) -> f64) -> f64 {
        self.nodes().map(|(x, m)| m * g(x)).sum()
    }

    /// Density of the coordinate `axis` (0 or 1) at each of `xs`: Gauss–Legendre over the cells
    /// that the line `x_axis = x` crosses.
    pub fn marginal(&self, axis: usize, xs: &[f64]) -> Vec<f64> {
        let rule = gauss_legendre(NODES);
        let (this, other) = if axis == 0 { (0, 1) } else { (1, 0) };
        let density = |&x: &f64| {
            let crossed = self.leaves.iter().map(|leaf| &leaf.cell);
            crossed
                .filter(|cell| cell.lo[this] <= x && x < cell.lo[this] + cell.width[this])
                .map(|cell| {
                    let mut point = [x; 2];
                    let sum: f64 = rule
                        .iter()
                        .map(|&(t, w)| {
                            point[other] = cell.lo[other] + cell.width[other] * t;
                            w * ((self.log_f)(point) - self.log_z).exp()
                        })
                        .sum();
                    cell.width[other] * sum
                })
                .sum()
        };
        xs.iter().map(density).collect()
    }

    /// The probabilities of the regions `0 .. count` that `region` divides the plane into, `[count]`.
    ///
    /// Cells that a border crosses are divided until their share of the probability no longer
    /// matters. Regions out of range are left out.
    pub fn regions(&self, count: usize, region: impl Fn([f64; 2]) -> usize) -> Vec<f64> {
        let rule = gauss_legendre(NODES);
        let mut shares = vec![0.0; count];
        let mut stack: Vec<(Cell, [f64; NODES * NODES], usize)> = self
            .leaves
            .iter()
            .map(|leaf| (leaf.cell, leaf.mass, BORDER_DEPTH))
            .collect();
        while let Some((cell, mass, depth)) = stack.pop() {
            let node = |i: usize| cell.point(rule[i % NODES].0, rule[i / NODES].0);
            let first = region(cell.point(0.0, 0.0));
            let corners = [(0.0, 1.0), (1.0, 0.0), (1.0, 1.0)];
            let uniform = corners
                .iter()
                .all(|&(s, t)| region(cell.point(s, t)) == first)
                && (0..NODES * NODES).all(|i| region(node(i)) == first);
            let total: f64 = mass.iter().sum();
            if uniform {
                if let Some(share) = shares.get_mut(first) {
                    *share += total;
                }
            } else if depth == 0 || total < 1e-6 {
                for (i, m) in mass.iter().enumerate() {
                    if let Some(share) = shares.get_mut(region(node(i))) {
                        *share += m;
                    }
                }
            } else {
                for quarter in cell.quarters() {
                    let area = quarter.area();
                    let mass = std::array::from_fn(|i| {
                        let ((s, v), (t, w)) = (rule[i % NODES], rule[i / NODES]);
                        area * v * w * ((self.log_f)(quarter.point(s, t)) - self.log_z).exp()
                    });
                    stack.push((quarter, mass, depth - 1));
                }
            }
        }
        shares
    }

    /// One sample.
    pub fn sample(&self, rng: &mut dyn Rng) -> [f64; 2] {
        let u = rng.random::<f64>() * self.cumulative.last().copied().unwrap_or(1.0);
        let chosen = self
            .cumulative
            .partition_point(|&p| p <= u)
            .min(self.leaves.len() - 1);
        let leaf = &self.leaves[chosen];
        loop {
            let x = leaf.cell.point(rng.random(), rng.random());
            let height = rng.random::<f64>() * HEADROOM;
            if height < ((self.log_f)(x) - leaf.peak).exp() {
                return x;
            }
        }
    }
}

fn try_cell(
    log_f: impl Fn([f64; 2]) -> f64,
    cell: Cell,
    reference: f64,
    [rule, check]: &[Vec<(f64, f64)>; 2],
) -> Trial {
    let corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)];
    let mut peak = corners
        .iter()
        .map(|&(s, t)| log_f(cell.point(s, t)))
        .fold(f64::NEG_INFINITY, f64::max);
    let mut mass = [0.0; NODES * NODES];
    let mut integrate = |rule: &[(f64, f64)], mut keep: Option<&mut [f64]>| {
        let (mut total, mut log_sum) = (0.0, 0.0);
        for (j, &(t, w)) in rule.iter().enumerate() {
            for (i, &(s, v)) in rule.iter().enumerate() {
                let log = log_f(cell.point(s, t));
                peak = peak.max(log);
                let m = cell.area() * v * w * (log - reference).exp();
                if m > 0.0 {
                    log_sum += m * (log - reference);
                }
                total += m;
                if let Some(mass) = &mut keep {
                    mass[j * rule.len() + i] = m;
                }
            }
        }
        (total, log_sum)
    };
    let (total, log_sum) = integrate(rule, Some(&mut mass));
    let (other_total, other_log_sum) = integrate(check, None);
    let error = (total - other_total)
        .abs()
        .max((log_sum - other_log_sum).abs());
    // A density that is not a number here must reach the caller's sum.
    let total = if other_total.is_nan() {
        f64::NAN
    } else {
        total
    };
    Trial {
        cell,
        peak,
        mass,
        total,
        log_sum,
        error,
    }
}

#[cfg(test)]
mod tests;
