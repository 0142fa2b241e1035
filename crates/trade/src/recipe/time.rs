//! How long a training may take.

use trade_core::{Interval, Validate, train::TrainConfig, validate::within};

use crate::error::Result;

/// The time that a training whose length is not given may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Minutes of wall-clock time; 5 by default.
    pub minutes: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { minutes: 5.0 }
    }
}

/// How long a training is whose length is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// As long as it gets better, within a time.
    Within(Budget),
    /// One round of this many steps.
    Steps(usize),
    /// As long as it gets better, so many rounds at most, however long they take: the same on every
    /// machine.
    Rounds(usize),
}

/// The part of the time that steps get; the remainder is for measuring the flow.
const STEPS: f64 = 0.9;
/// Fewer steps than this train nothing.
const LEAST_STEPS: usize = 100;

impl Validate for Budget {
    fn validate(&self, field: &str) -> trade_core::Result<()> {
        within(field, "", self.minutes, Interval::above(0.0))
    }
}

impl Budget {
    /// As many rounds as fit, each of twice the steps of the one before; a shorter first round if not
    /// even one does.
    ///
    /// # Errors
    /// If the time is not positive.
    pub fn fit(self, train: TrainConfig, seconds_a_step: f64) -> Result<TrainConfig> {
        self.validate("--minutes")?;
        let affordable = STEPS * 60.0 * self.minutes / seconds_a_step.max(1e-6);
        let first = train.steps as f64;
        if affordable < first {
            return Ok(TrainConfig {
                steps: (affordable as usize).max(LEAST_STEPS),
                rounds: 1,
                ..train
            });
        }
        let rounds = (affordable / first + 1.0).log2().floor() as usize;
        Ok(TrainConfig {
            rounds: rounds.clamp(1, train.rounds),
            ..train
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_fill_the_time_and_do_not_exceed_it() {
        let train = TrainConfig {
            steps: 1000,
            rounds: 4,
            ..TrainConfig::default()
        };
        let fit = |minutes, seconds| {
            let fitted = Budget { minutes }.fit(train.clone(), seconds).unwrap();
            (fitted.steps, fitted.rounds)
        };
        // 5400 steps fit into 0.9 of a minute of 10 ms each: 1000, 2000.
        assert_eq!(fit(1.0, 0.01), (1000, 2));
        assert_eq!(fit(1000.0, 0.01), (1000, 4));
        assert_eq!(fit(1.0, 0.1), (540, 1));
        assert_eq!(fit(0.001, 0.1), (100, 1));
        assert!(Budget { minutes: 0.0 }.fit(train.clone(), 0.1).is_err());
        assert!(Budget { minutes: f64::NAN }.fit(train, 0.1).is_err());
    }
}
