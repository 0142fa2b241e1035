//! What can be told of a density that is stated as text before a training.

use trade_core::{Family, objective::Problem};

use crate::{
    condition::describe,
    error::{Result, bail},
    target::AnyTarget,
};

/// The ends of more ranges than this move together where all corners are looked at.
const MOST_CORNERS: usize = 4;
/// Parts of a range between which a density is looked at too.
const WITHIN: usize = 10;
/// Rows of the data at which it is looked at.
const ROWS: usize = 64;

/// Refuses a range at whose ends, or at some conditions within, and base conditions at which, a density that is
/// stated as text cannot be normalised, as far as
/// [`Expression::lacks_density_at`](trade_targets::Expression::lacks_density_at) finds out.
pub(crate) fn normalisable(problem: &Problem<AnyTarget>) -> Result<()> {
    let AnyTarget::Expression(expression) = &*problem.target else {
        return Ok(());
    };
    for (c, beside) in conditions(problem) {
        if let Some(reason) = expression.lacks_density_at(&c, &beside) {
            bail!(
                "the target has no density at {}: {reason}; correct the formula, leave this condition out of \
                 the range, or declare a bounded `support`",
                describe(&c, &problem.target.controls())
            );
        }
    }
    Ok(())
}

/// What to warn about, a sentence each.
pub(crate) fn warnings(problem: &Problem<AnyTarget>) -> Vec<String> {
    let AnyTarget::Expression(expression) = &*problem.target else {
        return Vec::new();
    };
    let controls = problem.target.controls();
    let walls = moved_walls(problem).map(|[with, without]| {
        format!(
            "states that have a density at {} have none at {}: these walls move, which the derivative in the condition \
             does not see; the recipe leaves the TRADE losses out then, and the integral of free energies is wrong",
            describe(&with, &controls),
            describe(&without, &controls)
        )
    });
    let turned = expression.unlike_after_a_turn(&middle(problem)).map(|entry| {
        format!(
            "the log density is not the same after a turn of entry {entry} of the state, which is an angle: it is that \
             of the formula between −π and π, and has a jump there"
        )
    });
    walls.into_iter().chain(turned).collect()
}

/// Two conditions of which one has a density at states where the other has none.
pub(crate) fn moved_walls(problem: &Problem<AnyTarget>) -> Option<[Vec<f64>; 2]> {
    let AnyTarget::Expression(expression) = &*problem.target else {
        return None;
    };
    let rows = problem.data.as_ref().map_or_else(Vec::new, |data| {
        let step = data.len().div_ceil(ROWS).max(1);
        let rows: Vec<usize> = (0..data.len()).step_by(step).collect();
        let states = data.states_of(&rows);
        let states = states.chunks(states.len() / rows.len().max(1));
        states
            .map(|x| x.iter().map(|x| f64::from(*x)).collect())
            .collect()
    });
    let conditions: Vec<_> = conditions(problem).into_iter().map(|(c, _)| c).collect();
    expression.moves_walls(&rows, &conditions)
}

fn middle(problem: &Problem<AnyTarget>) -> Vec<f64> {
    let middle = problem.ranges.iter().map(|(low, high)| 0.5 * (low + high));
    middle.collect()
}

/// The corners of the range, the base conditions, and conditions along each control with the others in the middle;
/// with each another condition of the range.
fn conditions(problem: &Problem<AnyTarget>) -> Vec<(Vec<f64>, Vec<f64>)> {
    let inner = middle(problem);
    let controls = inner.len().min(MOST_CORNERS);
    let corner = |k: usize| {
        let ends = problem.ranges.iter().enumerate();
        ends.map(|(i, (low, high))| {
            if k >> i.min(controls - 1) & 1 == 0 {
                *low
            } else {
                *high
            }
        })
        .collect::<Vec<f64>>()
    };
    let ends = (0..1 << controls).map(corner);
    let bases = problem.bases.iter().cloned();
    let mut all: Vec<_> = ends.chain(bases).map(|c| (c, inner.clone())).collect();
    for (i, (low, high)) in problem.ranges.iter().enumerate().take(MOST_CORNERS) {
        for k in 1..WITHIN {
            let (mut c, mut beside) = (inner.clone(), inner.clone());
            c[i] = low + (high - low) * k as f64 / WITHIN as f64;
            beside[i] = *low;
            all.push((c, beside));
        }
    }
    all
}
