//! Checks of the settings of every loss, alone and against the range of the control parameters.

use super::{
    Clip, LogVarianceConfig, NllConfig, RefinedNllConfig, ReverseKlConfig, ReweightedNllConfig,
    Robust,
    trade::{Blur, Centre, TradeConfig, TradeContinuousConfig, TradeGridConfig},
};
use crate::{
    Interval,
    error::Result,
    grid::Spacing,
    schedule::Schedule,
    validate::{MOST_ROWS, Validate, check, counted, ranges, within},
};

/// The largest number of grid points; the weights of causality take the square of it.
const MOST_POINTS: usize = 10_000;

fn below(field: &str, name: &str) -> String {
    format!("{field}.{name}")
}

impl Validate for Clip {
    fn validate(&self, field: &str) -> Result<()> {
        for (name, limit) in [("clip", self.clip), ("log_clip", self.log_clip)] {
            if let Some(limit) = limit {
                within(field, name, limit, Interval::REAL)?;
            }
        }
        Ok(())
    }
}

impl Validate for Robust {
    fn validate(&self, field: &str) -> Result<()> {
        match *self {
            Self::Squared | Self::Absolute => Ok(()),
            Self::Huber(delta) => within(field, "huber", delta, Interval::above(0.0)),
            Self::SmoothL1(delta) => within(field, "smooth_l1", delta, Interval::above(0.0)),
        }
    }
}

impl Validate for Blur {
    fn validate(&self, field: &str) -> Result<()> {
        within(field, "width", self.width, Interval::at_least(0.0))?;
        if let Some(widest) = self.widest {
            within(field, "widest", widest, Interval::at_least(self.width))?;
        }
        check(
            field,
            "scale_by_inverse_root",
            !(self.scale_by_root && self.scale_by_inverse_root),
            "be false where `scale_by_root` is true: the width goes with one of the two",
            self.scale_by_inverse_root,
        )
    }
}

impl Blur {
    fn validate_over(self, over: &[(f64, f64)], field: &str) -> Result<()> {
        let name = if self.scale_by_root {
            "scale_by_root"
        } else {
            "scale_by_inverse_root"
        };
        let roots = self.scale_by_root || self.scale_by_inverse_root;
        ranges(field, name, &over[..over.len().min(1)], roots)
    }
}

impl Schedule {
    /// Whether conditions are drawn on a logarithmic scale.
    fn takes_logarithms(&self) -> bool {
        match self {
            Self::SkewedLogUniform { .. } => true,
            Self::Uniform { spacing } | Self::GrowingInterval { spacing, .. } => {
                *spacing == Spacing::Log
            }
            Self::Bases => false,
        }
    }
}

/// Checks the settings that two losses share: rows of a step and limits of an element.
fn rows(batch: usize, least: usize, clip: Clip, field: &str) -> Result<()> {
    counted(field, "batch", batch, least, MOST_ROWS)?;
    clip.validate(&below(field, "clip"))
}

fn schedule(schedule: &Schedule, over: &[(f64, f64)], field: &str, name: &str) -> Result<()> {
    schedule.validate(&below(field, name))?;
    ranges(field, name, over, schedule.takes_logarithms())
}

/// Settings of a loss that can be checked against the ranges of the control parameters.
pub trait ValidateOver {
    /// Checks every number, alone and against the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) with the path of the first field that is wrong, what
    /// it must be, and what was found.
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()>;
}

impl ValidateOver for NllConfig {
    fn validate_over(&self, _: &[(f64, f64)], field: &str) -> Result<()> {
        rows(self.batch, 1, self.clip, field)?;
        within(field, "noise", self.noise, Interval::at_least(0.0))?;
        let Some(walkers) = &self.walkers else {
            return Ok(());
        };
        walkers.validate(&below(field, "walkers"))?;
        check(
            field,
            "walkers",
            !self.fresh,
            "be absent with `fresh`",
            "both",
        )
    }
}

impl ValidateOver for ReverseKlConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        rows(self.batch, 1, self.clip, field)?;
        match &self.conditions {
            Some(conditions) => schedule(conditions, over, field, "conditions"),
            None => Ok(()),
        }
    }
}

impl ValidateOver for ReweightedNllConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        rows(self.batch, 1, self.clip, field)?;
        schedule(&self.conditions, over, field, "conditions")
    }
}

impl ValidateOver for RefinedNllConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        rows(self.batch, 1, self.clip, field)?;
        counted(field, "draws", self.draws, 2, MOST_ROWS)?;
        counted(field, "kept", self.kept, 1, self.draws)?;
        counted(field, "buffer", self.buffer, self.kept, MOST_ROWS)?;
        counted(field, "every", self.every, 1, usize::MAX)?;
        schedule(&self.conditions, over, field, "conditions")
    }
}

impl ValidateOver for LogVarianceConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        rows(self.batch, 2, self.clip, field)?;
        counted(field, "groups", self.groups, 1, self.batch / 2)?;
        let divides = self.batch.is_multiple_of(self.groups);
        let expected = format!("divide `batch`, {}", self.batch);
        check(field, "groups", divides, expected, self.groups)?;
        if let Some(pool) = &self.pool {
            pool.validate(&below(field, "pool"))?;
            let enough = !pool.boundary || self.groups > 1;
            let expected = "be at least 2 where the pool has a `boundary`, which is one of them";
            check(field, "groups", enough, expected, self.groups)?;
        }
        self.blur.validate(&below(field, "blur"))?;
        self.blur.validate_over(over, &below(field, "blur"))?;
        schedule(&self.conditions, over, field, "conditions")
    }
}

impl ValidateOver for TradeConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        Validate::validate(&self.penalty, &below(field, "penalty"))?;
        self.blur.validate(&below(field, "blur"))?;
        self.blur.validate_over(over, &below(field, "blur"))?;
        self.clip.validate(&below(field, "clip"))?;
        check(
            field,
            "relative",
            !self.relative || self.centre == Centre::Expectation,
            "be false where `centre` is `points`: the deviation comes with the expectation",
            self.relative,
        )?;
        ranges(field, "logarithmic", over, self.logarithmic)
    }
}

impl ValidateOver for TradeGridConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        self.trade.validate_over(over, &below(field, "trade"))?;
        counted(field, "points", self.points, 2, MOST_POINTS)?;
        counted(field, "batch", self.batch, 1, MOST_ROWS)?;
        let least = 1 + usize::from(self.trade.centre == Centre::Points);
        let group = self.points_per_condition;
        counted(field, "points_per_condition", group, least, self.batch)?;
        let expected = format!("divide `batch`, {}", self.batch);
        let divides = self.batch.is_multiple_of(group);
        check(field, "points_per_condition", divides, expected, group)?;
        let samples = self.expectation_samples;
        counted(field, "expectation_samples", samples, 2, MOST_ROWS)?;
        let every = self.expectation_every;
        counted(field, "expectation_every", every, 1, usize::MAX)?;
        let retain = self.expectation_retain;
        let share = (0.0..1.0).contains(&retain);
        check(field, "expectation_retain", share, "lie in [0, 1)", retain)?;
        self.causality.validate(&below(field, "causality"))?;
        ranges(field, "spacing", over, self.spacing == Spacing::Log)
    }
}

impl ValidateOver for TradeContinuousConfig {
    fn validate_over(&self, over: &[(f64, f64)], field: &str) -> Result<()> {
        self.trade.validate_over(over, &below(field, "trade"))?;
        counted(field, "conditions", self.conditions, 1, MOST_POINTS)?;
        counted(field, "contexts", self.contexts, 1, MOST_POINTS)?;
        let most = MOST_ROWS / (self.conditions * self.contexts).max(1);
        counted(field, "samples", self.samples, 2, most)?;
        if let Some(points) = self.evaluation_points {
            let least = 1 + usize::from(self.trade.centre == Centre::Points);
            counted(field, "evaluation_points", points, least, self.samples)?;
        }
        schedule(&self.schedule, over, field, "schedule")
    }
}
