//! Tails that are powers of the distance.
//!
//! A normal base behind layers of bounded slopes has normal tails. Where the density falls like a power of the
//! distance, importance weights have no variance then, however long the training. The power is found along rays
//! that go far out, at conditions over the range.

use trade_core::{Support, estimate::bootstrap::quantile, objective::Problem, random::Stream};
use trade_flows::Student;

use super::flow::MOST_ENTRIES;
use crate::{
    device::{AnyDevice, DeviceName, on_device},
    error::Result,
    training::log_density,
};

/// Deviations that are tried in turn where there are no data: no power is seen on the way to the density.
const UNITS: [f64; 4] = [1.0, 1e6, 1e12, 1e18];
/// Distances on a ray, in deviations of the data.
const DISTANCES: [f64; 3] = [1e4, 1e6, 1e8];
/// Rays in random directions.
const RAYS: usize = 16;
/// By how much powers may differ that are taken for the same.
const ALIKE: f64 = 0.02;
/// Conditions over the range of the first control parameter.
const CONDITIONS: usize = 5;
/// A higher power is none that single precision can tell.
const HIGHEST: f64 = 1e5;

/// The powers with which a density falls at one condition.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fall {
    /// The lowest power.
    least: f64,
    /// Whether each entry has it by itself.
    independent: bool,
}

/// A base with the tails of the density, where these are powers at all conditions. Where a device does not compute, the
/// training says so.
pub(super) fn student<T: AnyDevice>(problem: &Problem<T>) -> Option<Student> {
    sought(problem).ok().flatten()
}

fn sought<T: AnyDevice>(problem: &Problem<T>) -> Result<Option<Student>> {
    let target = &*problem.target;
    let plain = target.is_known()
        && target.contexts() == 0
        && target.dim() <= MOST_ENTRIES
        && target.support().iter().all(|s| *s == Support::Real);
    if !plain {
        return Ok(None);
    }
    if target.calls().is_some() {
        // Functions of a user's own may not bear states so far out, and each call is counted. Their prior tells alone:
        // no power of the likelihood has heavier tails.
        let (Some(prior), Some(place)) = (target.prior(), of_data(problem)) else {
            return Ok(None);
        };
        let evaluate = |x: &[f32], _: &[f64]| {
            let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            prior.log_priors(&x)
        };
        return Ok(base(problem, &place, evaluate));
    }
    on_device!(DeviceName::default(), B, device => {
        let evaluate = |x: &[f32], c: &[f64]| log_density::<B, T>(target, x, c, &device);
        let places = match of_data(problem) {
            Some(place) => vec![place],
            None => UNITS.map(|unit| vec![(0.0, unit); target.dim()]).to_vec(),
        };
        Ok(places.iter().find_map(|place| base(problem, place, evaluate)))
    })
}

/// The base for a density that `evaluate` gives at rows of states, with location and scale of each entry.
fn base<T: AnyDevice>(
    problem: &Problem<T>,
    place: &[(f64, f64)],
    evaluate: impl Fn(&[f32], &[f64]) -> Vec<f64>,
) -> Option<Student> {
    let dim = problem.target.dim();
    let rays = Rays::new(place);
    let at = |c: &[f64]| rays.fall(|x| evaluate(x, c));
    let middle: Vec<f64> = match problem.bases.first() {
        Some(base) => base.clone(),
        None => problem
            .ranges
            .iter()
            .map(|(low, high)| 0.5 * (low + high))
            .collect(),
    };
    let (low, high) = *problem.ranges.first()?;
    let mut along = Vec::new();
    for i in 0..CONDITIONS {
        let mut c = middle.clone();
        c[0] = low + (high - low) * i as f64 / (CONDITIONS - 1) as f64;
        along.push((c[0], at(&c)?));
    }
    let independent = along[0].1.independent;
    let mut student = follow(&along);
    student.independent = independent;
    // The other control parameters, one after the other, at both of their ends.
    let mut others = Vec::new();
    for (k, (low, high)) in problem.ranges.iter().enumerate().skip(1) {
        for end in [low, high] {
            let mut c = middle.clone();
            c[k] = *end;
            others.push((c[0], at(&c)?));
        }
    }
    let all = || along.iter().chain(&others);
    if !all().all(|(_, fall)| fall.independent == independent) {
        return None;
    }
    if others
        .iter()
        .any(|(c, fall)| student.power(*c) > (1.0 + ALIKE) * fall.least)
    {
        let least = all()
            .map(|(_, fall)| fall.least)
            .fold(f64::INFINITY, f64::min);
        student = Student {
            constant: least,
            independent,
            ..Student::default()
        };
    }
    student
        .validate_over((low, high), dim, "base")
        .is_ok()
        .then_some(student)
}

/// How a power follows the first control parameter: not at all, like its inverse or its multiple, or with a
/// constant beside these. Where none fits, the lowest power is that of all.
fn follow(along: &[(f64, Fall)]) -> Student {
    let powers = || along.iter().map(|(c, fall)| (*c, fall.least));
    let fits = |student: &Student| {
        powers().all(|(c, power)| (student.power(c) - power).abs() <= 0.5 * ALIKE * power)
    };
    let positive = powers().all(|(c, _)| c > 0.0);
    let line = |of: &dyn Fn(f64) -> f64| {
        let (first, last) = (along[0], along[along.len() - 1]);
        let slope = (last.1.least - first.1.least) / (of(last.0) - of(first.0));
        (first.1.least - slope * of(first.0), slope)
    };
    let least = powers()
        .map(|(_, power)| power)
        .fold(f64::INFINITY, f64::min);
    let of = |constant, linear, inverse| Student {
        constant,
        linear,
        inverse,
        independent: false,
    };
    let mut forms = vec![of(least, 0.0, 0.0)];
    let (c, power) = (along[0].0, along[0].1.least);
    if positive {
        forms.push(of(0.0, 0.0, power * c));
        forms.push(of(0.0, power / c, 0.0));
        let (constant, inverse) = line(&f64::recip);
        forms.push(of(constant, 0.0, inverse));
    }
    let (constant, linear) = line(&|c| c);
    forms.push(of(constant, linear, 0.0));
    forms
        .into_iter()
        .find(fits)
        .unwrap_or_else(|| of(least, 0.0, 0.0))
}

/// States on rays: along each axis to both sides, then in random directions.
struct Rays {
    states: Vec<f32>,
    dim: usize,
}

impl Rays {
    /// Rays from the location of each entry, in units of its scale.
    fn new(place: &[(f64, f64)]) -> Self {
        let dim = place.len();
        let mut directions: Vec<Vec<f64>> = Vec::new();
        for i in 0..dim {
            for sign in [1.0, -1.0] {
                let mut axis = vec![0.0; dim];
                axis[i] = sign;
                directions.push(axis);
            }
        }
        let mut stream = Stream::new(0, 935);
        directions.extend((0..RAYS).map(|_| stream.normal64(dim)));
        let mut states = Vec::new();
        for direction in &directions {
            for distance in DISTANCES {
                for ((centre, scale), along) in place.iter().zip(direction) {
                    states.push((centre + distance * scale * along) as f32);
                }
            }
        }
        Self { states, dim }
    }

    /// The powers with which a density falls, if they are powers.
    fn fall(&self, evaluate: impl Fn(&[f32]) -> Vec<f64>) -> Option<Fall> {
        let heights = evaluate(&self.states);
        let powers: Vec<Option<f64>> = heights.chunks(DISTANCES.len()).map(power).collect();
        let (axes, directions) = powers.split_at(2 * self.dim);
        let least = |powers: &[Option<f64>]| powers.iter().flatten().copied().reduce(f64::min);
        let all = |powers: &[Option<f64>]| powers.iter().copied().collect::<Option<Vec<f64>>>();
        let along = least(axes)?;
        let Some(across) = all(directions) else {
            // Some entries have heavy tails and others have not; a state far off in all of them is rarer than any power.
            let light = directions.iter().all(Option::is_none);
            return light.then_some(Fall {
                least: along,
                independent: true,
            });
        };
        // The power of a product of densities is the sum of theirs; each has two rays.
        if let Some(axes) = all(axes).filter(|_| self.dim > 1) {
            let sum = 0.5 * axes.iter().sum::<f64>();
            if across
                .iter()
                .all(|power| (power - sum).abs() <= ALIKE * sum)
            {
                return Some(Fall {
                    least: along,
                    independent: true,
                });
            }
        }
        Some(Fall {
            least: across.into_iter().fold(along, f64::min),
            independent: false,
        })
    }
}

/// The power with which a density falls along a ray, from its logarithm at [`DISTANCES`].
fn power(heights: &[f64]) -> Option<f64> {
    let [near, far, farthest] = *heights else {
        return None;
    };
    let apart = (DISTANCES[1] / DISTANCES[0]).ln();
    let (first, second) = ((near - far) / apart, (far - farthest) / apart);
    // Logarithms have the rounding of single precision.
    let rounding = 4.0 * f64::from(f32::EPSILON) * farthest.abs() / apart;
    let same = (first - second).abs() <= ALIKE * first + rounding;
    (same && first > 0.0 && first < HIGHEST).then_some(second)
}

/// Location and scale of each entry of the data at the first base condition; `None` where there are no data.
fn of_data<T: AnyDevice>(problem: &Problem<T>) -> Option<Vec<(f64, f64)>> {
    let dim = problem.target.dim();
    let (data, base) = problem.data.as_ref().zip(problem.bases.first())?;
    let states = data.states_of(&data.rows_of(base));
    if states.is_empty() {
        return None;
    }
    let entry = |i: usize| {
        let column = states.iter().skip(i).step_by(dim);
        let mut column: Vec<f64> = column.map(|x| f64::from(*x)).collect();
        column.sort_by(f64::total_cmp);
        let width = 0.5 * (quantile(&column, 0.8413) - quantile(&column, 0.1587));
        let scale = if width > 0.0 { width } else { 1.0 };
        (quantile(&column, 0.5), scale)
    };
    Some((0..dim).map(entry).collect())
}
