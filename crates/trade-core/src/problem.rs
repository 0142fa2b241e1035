//! Putting a problem together.

use std::sync::Arc;

use crate::{
    Dataset, Family,
    error::{Error, Result},
    objective::Problem,
};

/// The fewest numbers that single precision must have in a range, for conditions to be told apart.
const FEWEST_CONDITIONS: f64 = 1000.0;

impl<T> Clone for Problem<T> {
    /// The target and the data are shared.
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            bases: self.bases.clone(),
            ranges: self.ranges.clone(),
            data: self.data.clone(),
        }
    }
}

impl<T: Family> Problem<T> {
    /// A target and the range of each of its control parameters, without data or base conditions yet.
    ///
    /// # Errors
    /// If a range is missing, unknown, empty, not finite, or holds conditions without a density.
    pub fn new<'a>(
        target: T,
        ranges: impl IntoIterator<Item = (&'a str, [f64; 2])>,
    ) -> Result<Self> {
        let ranges = ordered_ranges(&target, ranges)?;
        Ok(Self {
            target: Arc::new(target),
            bases: Vec::new(),
            ranges,
            data: None,
        })
    }

    /// Adds samples at a base condition: states, row-major `[n, dim]`. Data of several conditions are
    /// added one after another.
    ///
    /// # Errors
    /// If the condition lies outside of the range, if the numbers do not make whole states, or if one
    /// is not finite.
    pub fn with_data(self, at: &[f64], x: &[f64]) -> Result<Self> {
        let data = Dataset::at(single(x), self.target.dim(), at)?;
        self.with_dataset(at, data)
    }

    /// Adds samples at a base condition, each with its observation: states `[n, dim]` and
    /// observations `[n, m]`, row-major.
    ///
    /// # Errors
    /// As [`with_data`](Self::with_data), and if the numbers of rows differ.
    pub fn with_pairs(self, at: &[f64], x: &[f64], observations: &[f64]) -> Result<Self> {
        let data = Dataset::at(single(x), self.target.dim(), at)?
            .with_context(single(observations), self.target.contexts())?;
        self.with_dataset(at, data)
    }

    /// Adds a base condition without data, at which the target's energy takes their place.
    ///
    /// # Errors
    /// If the condition lies outside of the range.
    pub fn with_base(mut self, at: &[f64]) -> Result<Self> {
        let controls = self.target.controls();
        if at.len() != controls.len() {
            let reason = format!("{at:?} is not a condition ({})", controls.join(", "));
            return Err(Error::setting("base condition", reason));
        }
        for ((name, c), (low, high)) in controls.iter().zip(at).zip(&self.ranges) {
            let slack = 1e-9 * (high - low);
            if !(*c >= low - slack && *c <= high + slack) {
                let reason = format!(
                    "{name} = {c} lies outside of the range [{low}, {high}]; widen the range or \
                     leave the base condition out"
                );
                return Err(Error::setting("base condition", reason));
            }
        }
        if !self.bases.iter().any(|base| base == at) {
            self.bases.push(at.to_vec());
        }
        Ok(self)
    }

    fn with_dataset(self, at: &[f64], data: Dataset) -> Result<Self> {
        let mut problem = self.with_base(at)?;
        let all = match problem.data.take() {
            Some(all) => Arc::unwrap_or_clone(all).joined(&data)?,
            None => data,
        };
        problem.data = Some(Arc::new(all));
        Ok(problem)
    }
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// The ranges in the order of the target's control parameters.
fn ordered_ranges<'a>(
    target: &impl Family,
    ranges: impl IntoIterator<Item = (&'a str, [f64; 2])>,
) -> Result<Vec<(f64, f64)>> {
    let controls = target.controls();
    let mut ordered = vec![None; controls.len()];
    for (name, [low, high]) in ranges {
        let field = format!("ranges.{name}");
        let Some(place) = controls.iter().position(|control| control == name) else {
            let known = controls.join(", ");
            let reason = format!("the target's control parameters are {known}");
            return Err(Error::setting(field, reason));
        };
        if !(low.is_finite() && high.is_finite() && low < high) {
            let reason = format!("[{low}, {high}] is not a range; give two numbers that increase");
            return Err(Error::setting(field, reason));
        }
        // Squares of derivatives in the parameter must stay within single precision.
        let largest = low.abs().max(high.abs());
        if !(1e-15..=1e15).contains(&largest) {
            let reason = format!(
                "[{low:e}, {high:e}] is too {} for single precision; choose another unit, in which the \
                 numbers are of order 1",
                if largest > 1.0 { "large" } else { "small" }
            );
            return Err(Error::setting(field, reason));
        }
        let numbers = (high - low) / (largest * f64::from(f32::EPSILON));
        if numbers < FEWEST_CONDITIONS {
            let reason = format!(
                "between {low} and {high} single precision has some {numbers:.0} numbers, too few to tell \
                 conditions apart; subtract {low} from {name} in the target"
            );
            return Err(Error::setting(field, reason));
        }
        let domain = target.domain()[place];
        if let Some(end) = [low, high].into_iter().find(|end| !domain.contains(*end)) {
            let reason = format!(
                "{end} is no condition of this target, which has a density only where {name} is {domain}"
            );
            return Err(Error::setting(field, reason));
        }
        // The same holds next to a 0 at which there is no density.
        if let Some(end) = [low, high]
            .into_iter()
            .find(|end| *end != 0.0 && end.abs() < 1e-15 && !domain.contains(0.0))
        {
            let reason = format!(
                "{end:e} is too small for single precision, and the target has no density at 0; start the range \
                 farther from it"
            );
            return Err(Error::setting(field, reason));
        }
        ordered[place] = Some((low, high));
    }
    let named = controls.iter().zip(ordered);
    named
        .map(|(name, range)| {
            range.ok_or_else(|| {
                Error::setting(format!("ranges.{name}"), "is missing; give [low, high]")
            })
        })
        .collect()
}
