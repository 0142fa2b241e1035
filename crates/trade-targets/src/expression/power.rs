//! Which power family an expression belongs to, found by evaluating it in f64.

use trade_core::{Interval, PowerFamily, Support, random::Stream};

use super::{graph::Program, host::Host};

/// How many states are tried.
const STATES: usize = 8;

/// How far two numbers that should be equal may differ, relative to their size.
const TOLERANCE: f64 = 1e-9;

/// States and conditions at which an expression is tried.
pub(super) struct Points {
    pub(super) states: Vec<Vec<f64>>,
    conditions: Vec<Vec<f64>>,
}

/// States in the support and conditions in the domain.
pub(super) fn points(support: &[Support], domain: &[Interval]) -> Points {
    let mut stream = Stream::new(0, 0);
    let state = |_| {
        let (normal, uniform) = (
            stream.normal64(support.len()),
            stream.uniform(support.len()),
        );
        let entry = |(i, support): (usize, &Support)| match *support {
            Support::Real => normal[i],
            Support::Positive => normal[i].exp(),
            Support::Interval { low, high } => low + uniform[i] * (high - low),
            Support::Angle => std::f64::consts::TAU * (uniform[i] - 0.5),
        };
        support.iter().enumerate().map(entry).collect()
    };
    let states = (0..STATES).map(state).collect();
    let condition = |[unit, positive]: [f64; 2]| {
        let within = |interval: &Interval| {
            use std::ops::Bound::{Excluded, Included, Unbounded};
            match (interval.low, interval.high) {
                (Included(low) | Excluded(low), Included(high) | Excluded(high)) => {
                    low + unit * (high - low)
                }
                (Included(low) | Excluded(low), Unbounded) => low + positive,
                (Unbounded, Included(high) | Excluded(high)) => high - positive,
                (Unbounded, Unbounded) => positive,
            }
        };
        domain.iter().map(within).collect()
    };
    let places = [[0.5, 1.0], [0.2, 0.4], [0.85, 2.3]];
    Points {
        states,
        conditions: places.into_iter().map(condition).collect(),
    }
}

/// `log q` and its derivative in the first control parameter.
fn slope(program: &Program, x: &[f64], c: &[f64]) -> (f64, f64) {
    let mut dc = vec![0.0; c.len()];
    dc[0] = 1.0;
    let host = Host {
        x,
        c,
        dx: &[],
        dc: &dc,
    };
    let found = program.run(&host);
    (found.value[0], found.tangent.map_or(0.0, |t| t[0]))
}

/// The power family of a program: `log q · T` does not depend on `T`, or `log q / β` not on `β`.
///
/// # Errors
/// If the family that the settings state does not hold, in a sentence.
pub(super) fn family(
    stated: Option<PowerFamily>,
    program: &Program,
    points: &Points,
    controls: usize,
) -> Result<Option<PowerFamily>, String> {
    if controls != 1 {
        return match stated {
            None => Ok(None),
            Some(_) => Err(format!(
                "needs exactly one control parameter, found {controls}"
            )),
        };
    }
    let candidates = match stated {
        Some(family) => vec![family],
        None => vec![PowerFamily::Temperature, PowerFamily::Exponent],
    };
    for family in candidates {
        let mut tried = 0;
        let wrong = points.states.iter().find_map(|x| {
            let bases = points.conditions.iter().filter_map(|c| {
                let (value, slope) = slope(program, x, c);
                let (base, other) = match family {
                    PowerFamily::Temperature => (value * c[0], -slope * c[0] * c[0]),
                    PowerFamily::Exponent => (value / c[0], slope),
                };
                (base.is_finite() && other.is_finite()).then_some((c[0], base, other))
            });
            let bases: Vec<_> = bases.collect();
            tried += usize::from(bases.len() > 1);
            let &(_, first, _) = bases.first()?;
            let differs = |a: f64| (a - first).abs() > TOLERANCE * (a.abs() + first.abs());
            bases
                .iter()
                .find(|(_, base, other)| differs(*base) || differs(*other))
                .map(|(c, ..)| (x.clone(), *c))
        });
        match (wrong, stated) {
            (None, _) if tried > 0 => return Ok(Some(family)),
            (_, None) => {}
            (None, Some(_)) => return Err("no finite log density was found to check it".into()),
            (Some((x, c)), Some(_)) => {
                let form = match family {
                    PowerFamily::Temperature => "base(x)/T with the control T",
                    PowerFamily::Exponent => "beta*base(x) with the control beta",
                };
                let shown: Vec<String> = x.iter().take(4).map(|x| format!("{x:.3}")).collect();
                let more = if x.len() > 4 { ", …" } else { "" };
                return Err(format!(
                    "the log density is not of the form {form}: at x = [{}{more}] and the control {c} \
                     it differs; remove the field if there are other terms",
                    shown.join(", ")
                ));
            }
        }
    }
    Ok(None)
}

/// A state and a condition with a finite log density, if one was found.
pub(super) fn reference(program: &Program, points: &Points) -> Option<(Vec<f64>, Vec<f64>)> {
    let Points { states, conditions } = points;
    let pairs = conditions
        .iter()
        .flat_map(|c| states.iter().map(move |x| (x, c)));
    let finite = |(x, c): &(&Vec<f64>, &Vec<f64>)| {
        let (value, slope) = slope(program, x, c);
        value.abs() < 1e30 && slope.is_finite()
    };
    let found = pairs.into_iter().find(finite);
    found.map(|(x, c)| (x.clone(), c.clone()))
}
