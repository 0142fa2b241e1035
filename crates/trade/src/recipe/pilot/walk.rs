//! Walkers that are carried from the data to the ends of the range.
//!
//! Annealed importance sampling with resampling (Del Moral, Doucet and Jasra, J. R. Statist. Soc. B 68, 411,
//! 2006): from condition to condition, in steps that each keep about the same part of the effective sample size,
//! walkers are weighted by the change of their density, resampled and moved. They show a flow where the density
//! goes before it can find out by itself.

use std::cell::RefCell;

use libm::erf;
use trade_core::{
    Dataset, Family, Support,
    estimate::snis::Weights,
    objective::{Problem, WalkersConfig},
    random::Stream,
};

use super::{
    super::logarithmic,
    ensemble::{Ensemble, bounded},
};
use crate::{
    condition::describe,
    error::{Result, bail, ensure},
};

/// The relative effective sample size that a step aims at, and the least and the most that it may keep.
const AIM: f64 = 0.61;
const LEAST: f64 = 0.5;
const MOST: f64 = 0.75;
/// The most conditions on the way to one end.
const MOST_STEPS: usize = 60;
/// The shortest step, as a part of the way.
const SHORTEST: f64 = 1e-4;
/// The most moves that are tried for one that is accepted.
const TRIED: usize = 10;
/// The most steps that are tried before one is taken.
const ATTEMPTS: usize = 40;
/// The most ends that walkers are carried to.
const MOST_ENDS: usize = 8;

/// Where walkers came to.
pub(crate) struct Walk {
    /// The walkers at each condition on the way; none if they came nowhere.
    pub(crate) states: Option<Dataset>,
    /// A sentence about them.
    pub(crate) said: String,
}

/// How many samples walkers can start from, at least.
pub(crate) fn least_samples(dim: usize) -> usize {
    100.max(4 * dim)
}

/// Carries walkers from the samples at the nearest base condition to each end of the range; for several control
/// parameters, to its corners. `evaluate` gives `log q` of rows of states at a condition. The result depends on
/// the seed and the problem alone.
///
/// # Errors
/// If a base condition has too few samples, or if the density vanishes at all of them.
pub(crate) fn walk<T: Family>(
    config: &WalkersConfig,
    problem: &Problem<T>,
    evaluate: impl Fn(&[f32], &[f64]) -> Vec<f64>,
    seed: u64,
) -> Result<Walk> {
    let (dim, support) = (problem.target.dim(), problem.target.support());
    let names = problem.target.controls();
    let Some(data) = &problem.data else {
        bail!("`walkers` start from data, and there are none");
    };
    let path = Path {
        ranges: &problem.ranges,
        logarithmic: logarithmic(problem),
    };
    let mut stream = Stream::new(seed, 930);
    let (mut states, mut ways) = (None::<Dataset>, Vec::new());
    for end in path.ends() {
        let distance = |base: &Vec<f64>| path.distance(base, &end);
        let bases = problem.bases.iter().filter(|b| !data.rows_of(b).is_empty());
        let Some(base) = bases.min_by(|a, b| distance(a).total_cmp(&distance(b))) else {
            bail!("`walkers` start from data, and no base condition has any");
        };
        if distance(base) < 1e-9 {
            continue;
        }
        let rows = data.rows_of(base);
        let least = least_samples(dim);
        ensure!(
            rows.len() >= least,
            "`walkers` need at least {least} samples to start from, and there are {} at {}; leave them out",
            rows.len(),
            describe(base, &names)
        );
        let order = stream.permutation(rows.len());
        let chosen: Vec<usize> = (0..config.number.next_multiple_of(2))
            .map(|i| rows[order[i % rows.len()]])
            .collect();
        let at = RefCell::new(base.clone());
        let mut ensemble = Ensemble {
            support: &support,
            evaluate: |x: &[f32]| evaluate(x, &at.borrow()),
            u: unbounded(&data.states_of(&chosen), &support),
            log_density: Vec::new(),
            stream: Stream::new(seed, 931 + ways.len() as u64),
        };
        let way = carry(config, &path, base, &end, &at, &mut ensemble, |c, u| {
            let x = u.chunks(dim).flat_map(|row| row.iter().zip(&support));
            let x = x.map(|(u, support)| bounded(*support, *u).0 as f32);
            let here = Dataset::at(x.collect(), dim, c)?;
            states = Some(match states.take() {
                Some(states) => states.joined(&here)?,
                None => here,
            });
            Ok(())
        })?;
        let reached = if way.arrived { "to" } else { "only as far as" };
        ways.push(format!(
            "from {} {reached} {} in {} steps ({:.0} % of moves accepted)",
            describe(base, &names),
            describe(&at.borrow(), &names),
            way.steps,
            100.0 * way.accepted
        ));
    }
    let said = if ways.is_empty() {
        "there are data at all ends of the range, so that walkers have nowhere to go".into()
    } else {
        format!(
            "{} walkers were carried {}",
            config.number,
            ways.join(", and ")
        )
    };
    Ok(Walk { states, said })
}

/// A way that walkers have gone.
struct Way {
    steps: usize,
    /// The share of moves that were accepted.
    accepted: f64,
    arrived: bool,
}

/// Carries an ensemble; `record` takes each condition on the way with the walkers there. `at` is the condition
/// that the ensemble evaluates its density at.
fn carry<F: FnMut(&[f32]) -> Vec<f64>>(
    config: &WalkersConfig,
    path: &Path,
    base: &[f64],
    end: &[f64],
    at: &RefCell<Vec<f64>>,
    ensemble: &mut Ensemble<'_, F>,
    mut record: impl FnMut(&[f64], &[f64]) -> Result<()>,
) -> Result<Way> {
    ensemble.log_density = ensemble.log_densities(&ensemble.u.clone());
    let (n, dim) = (ensemble.log_density.len(), ensemble.support.len());
    ensure!(
        ensemble.log_density.iter().any(|l| l.is_finite()),
        "the target has no density at any of {n} samples of the data; check the samples, and the target's units"
    );
    let (mut t, mut step, mut sweep) = (0.0, 0.1, 0);
    let mut way = Way {
        steps: 0,
        accepted: 0.0,
        arrived: false,
    };
    while t < 1.0 && way.steps < MOST_STEPS {
        let mut next = f64::min(t + step, 1.0);
        let mut found = None;
        for attempt in 0..ATTEMPTS {
            *at.borrow_mut() = path.point(base, end, next);
            let there = ensemble.log_densities(&ensemble.u.clone());
            let pairs = there.iter().zip(&ensemble.log_density);
            // A walker that has no density on either side is not carried on.
            let log_weights: Vec<f64> = pairs
                .map(|(to, from)| {
                    let change = to - from;
                    if change.is_finite() {
                        change
                    } else {
                        f64::NEG_INFINITY
                    }
                })
                .collect();
            let weights = Weights::from_log(&log_weights).ok();
            let kept = weights.as_ref().map_or(0.0, Weights::relative_ess);
            // Where the density jumps, no step keeps just enough.
            let last = attempt + 1 == ATTEMPTS;
            if let Some(weights) = weights
                && kept >= LEAST
                && (kept <= MOST || next >= 1.0 || last)
            {
                found = Some((there, weights));
                break;
            }
            if kept < LEAST && next - t <= SHORTEST {
                break;
            }
            // The effective sample size falls as e^{−(a dt)²}.
            let factor = (AIM.ln() / kept.clamp(1e-12, 1.0 - 1e-6).ln()).sqrt();
            let far = t + (next - t) * factor.clamp(0.1, 4.0);
            next = far.max(t + 0.5 * SHORTEST).min(1.0);
        }
        let Some((there, weights)) = found else {
            *at.borrow_mut() = path.point(base, end, t);
            break;
        };
        (step, t) = (next - t, next);
        // Neighbours of one parent must not be each other's partners only.
        let chosen = weights.resample(n, &mut ensemble.stream);
        let order = ensemble.stream.permutation(n);
        let chosen: Vec<usize> = order.into_iter().map(|i| chosen[i]).collect();
        let row = |&i: &usize| ensemble.u[i * dim..][..dim].to_vec();
        ensemble.u = chosen.iter().flat_map(row).collect();
        ensemble.log_density = chosen.iter().map(|&i| there[i]).collect();
        let (mut accepted, mut tried) = (0, 0);
        while accepted < config.moves * n && tried < TRIED * config.moves {
            accepted += ensemble.sweep(sweep);
            (tried, sweep) = (tried + 1, sweep + 1);
        }
        way.accepted += accepted as f64 / (tried * n) as f64;
        way.steps += 1;
        record(&at.borrow().clone(), &ensemble.u)?;
    }
    way.accepted /= way.steps.max(1) as f64;
    way.arrived = t >= 1.0;
    Ok(way)
}

/// Straight lines between conditions, or between the logarithms of those that are measured by them.
struct Path<'a> {
    ranges: &'a [(f64, f64)],
    logarithmic: Vec<bool>,
}

impl Path<'_> {
    /// A share `t` of the way.
    fn point(&self, from: &[f64], to: &[f64], t: f64) -> Vec<f64> {
        if t >= 1.0 {
            return to.to_vec();
        }
        let pairs = from.iter().zip(to).zip(&self.logarithmic);
        pairs
            .map(|((a, b), log)| {
                if *log {
                    a * (b / a).powf(t)
                } else {
                    a + t * (b - a)
                }
            })
            .collect()
    }

    /// The ends of the range; its corners, if there are several control parameters, up to a number.
    fn ends(&self) -> Vec<Vec<f64>> {
        let k = self.ranges.len();
        let corners = (1_usize << k.min(16)).min(MOST_ENDS);
        let corner = |bits: usize| {
            let side = |i: usize| bits >> i.min(63) & 1 == 1;
            let of = |(i, &(low, high)): (usize, &(f64, f64))| if side(i) { high } else { low };
            self.ranges.iter().enumerate().map(of).collect()
        };
        (0..corners).map(corner).collect()
    }

    /// The distance in units of the ranges.
    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let pairs = a.iter().zip(b).zip(self.ranges).zip(&self.logarithmic);
        let squares = pairs.map(|(((a, b), (low, high)), log)| {
            let share = if *log {
                (b / a).ln() / (high / low).ln()
            } else {
                (b - a) / (high - low)
            };
            share.powi(2)
        });
        squares.sum::<f64>().sqrt()
    }
}

/// Coordinates without bounds; the inverse of [`bounded`].
fn unbounded(x: &[f32], support: &[Support]) -> Vec<f64> {
    let rows = x.chunks(support.len());
    rows.flat_map(|row| row.iter().zip(support))
        .map(|(&x, support)| {
            let x = f64::from(x);
            match *support {
                Support::Real | Support::Angle => x,
                Support::Positive => x.max(f64::MIN_POSITIVE).ln(),
                Support::Interval { low, high } => normal_quantile((x - low) / (high - low)),
            }
        })
        .collect()
}

/// The quantile of the standard normal distribution, within ±8, by bisection.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if 0.5 * (1.0 + erf(middle * std::f64::consts::FRAC_1_SQRT_2)) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}
