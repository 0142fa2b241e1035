//! Learning rates over training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    curve::{Piece, Shape},
    error::Result,
    interval::Interval,
    validate::{Validate, check, within},
};

/// The one-cycle policy with cosine annealing, with the numbers of `PyTorch`'s `OneCycleLR`
/// (two phases): from `max_lr / div_factor` up to `max_lr` at step `pct_start · total − 1`, then
/// down to `max_lr / div_factor / final_div_factor` at step `total − 1`.
///
/// Smith and Topin, *Super-convergence*, arXiv 1708.07120.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OneCycle {
    /// The largest learning rate.
    pub max_lr: f64,
    /// The fraction of the cycle spent rising, in `[0, 1]`.
    pub pct_start: f64,
    /// `max_lr` over the first learning rate.
    pub div_factor: f64,
    /// The first learning rate over the last.
    pub final_div_factor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            max_lr: 1e-3,
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
        }
    }
}

impl OneCycle {
    fn value(&self, step: usize, total: usize) -> f64 {
        let first = self.max_lr / self.div_factor;
        let last = first / self.final_div_factor;
        let peak = self.pct_start * total as f64 - 1.0;
        let end = total as f64 - 1.0;
        let step = (step as f64).min(end.max(0.0));
        let (from, to, begin, length) = if step <= peak {
            (first, self.max_lr, 0.0, peak)
        } else {
            (self.max_lr, last, peak, end - peak)
        };
        let phase = Piece {
            from,
            to,
            begin,
            length,
            shape: Shape::Annealing,
        };
        phase.value(step)
    }
}

impl Validate for OneCycle {
    fn validate(&self, field: &str) -> Result<()> {
        for (name, value) in [
            ("max_lr", self.max_lr),
            ("div_factor", self.div_factor),
            ("final_div_factor", self.final_div_factor),
        ] {
            within(field, name, value, Interval::above(0.0))?;
        }
        within(
            field,
            "pct_start",
            self.pct_start,
            Interval::closed(0.0, 1.0),
        )
    }
}

/// One cycle of [`LearningRate::MultiCycle`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cycle {
    /// The part of training this cycle takes; all parts add up to 1.
    pub fraction: f64,
    /// The cycle itself, over the steps of its part.
    #[serde(default)]
    pub one_cycle: OneCycle,
}

/// The learning rate over training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LearningRate {
    /// The same learning rate throughout.
    Constant {
        /// The learning rate.
        lr: f64,
    },
    /// One cycle over the whole training.
    OneCycle(OneCycle),
    /// Several cycles, one after another.
    MultiCycle {
        /// The cycles in their order.
        cycles: Vec<Cycle>,
    },
    /// Another learning rate, multiplied by `factor` from the fraction `after` of training on.
    Scaled {
        /// The learning rate before scaling.
        schedule: Box<LearningRate>,
        /// The fraction of training from which the factor applies, in `[0, 1]`.
        after: f64,
        /// The factor.
        factor: f64,
    },
}

impl Default for LearningRate {
    fn default() -> Self {
        Self::Constant { lr: 1e-3 }
    }
}

impl LearningRate {
    /// The learning rate of `step`, counted from 0, of `total` steps.
    pub fn value(&self, step: usize, total: usize) -> f64 {
        match self {
            Self::Constant { lr } => *lr,
            Self::OneCycle(cycle) => cycle.value(step, total),
            Self::MultiCycle { cycles } => multi_cycle(cycles, step, total),
            Self::Scaled {
                schedule,
                after,
                factor,
            } => {
                let scale = if step as f64 >= after * total as f64 {
                    *factor
                } else {
                    1.0
                };
                scale * schedule.value(step, total)
            }
        }
    }
}

impl Validate for LearningRate {
    fn validate(&self, field: &str) -> Result<()> {
        let positive = Interval::above(0.0);
        match self {
            Self::Constant { lr } => within(&format!("{field}.constant"), "lr", *lr, positive),
            Self::OneCycle(cycle) => cycle.validate(&format!("{field}.one_cycle")),
            Self::MultiCycle { cycles } => {
                let field = format!("{field}.multi_cycle.cycles");
                for (i, cycle) in cycles.iter().enumerate() {
                    let field = format!("{field}[{i}]");
                    within(&field, "fraction", cycle.fraction, positive)?;
                    cycle.one_cycle.validate(&format!("{field}.one_cycle"))?;
                }
                let sum: f64 = cycles.iter().map(|cycle| cycle.fraction).sum();
                let expected = "have fractions that add up to 1";
                check(&field, "", (sum - 1.0).abs() <= 1e-6, expected, sum)
            }
            Self::Scaled {
                schedule,
                after,
                factor,
            } => {
                let field = format!("{field}.scaled");
                within(&field, "after", *after, Interval::closed(0.0, 1.0))?;
                within(&field, "factor", *factor, positive)?;
                schedule.validate(&format!("{field}.schedule"))
            }
        }
    }
}

/// Cycle `i` covers the steps between the rounded cumulative fractions, so that the cycles fill
/// training without gap or overlap.
fn multi_cycle(cycles: &[Cycle], step: usize, total: usize) -> f64 {
    let mut begin = 0;
    let mut passed = 0.0;
    let mut rate = 0.0;
    for (i, cycle) in cycles.iter().enumerate() {
        passed += cycle.fraction;
        let last = i + 1 == cycles.len();
        let end = if last {
            total
        } else {
            ((passed * total as f64).round() as usize).min(total)
        };
        if end > begin {
            rate = cycle
                .one_cycle
                .value(step.min(end - 1) - begin, end - begin);
            if step < end {
                return rate;
            }
        }
        begin = end;
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} against {b}");
    }

    #[test]
    fn one_cycle_meets_the_documented_numbers() {
        // `OneCycleLR(max_lr=0.01, total_steps=100)`: phases end at steps 29 and 99.
        let rate = LearningRate::OneCycle(OneCycle {
            max_lr: 0.01,
            ..OneCycle::default()
        });
        let cosine = |from: f64, to: f64, along: f64| {
            to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * along).cos())
        };
        close(rate.value(0, 100), 0.0004);
        close(rate.value(10, 100), cosine(0.0004, 0.01, 10.0 / 29.0));
        close(rate.value(29, 100), 0.01);
        close(rate.value(30, 100), cosine(0.01, 4e-8, 1.0 / 70.0));
        // Halfway down the cosine: the mean of both ends.
        close(rate.value(64, 100), f64::midpoint(0.01, 4e-8));
        close(rate.value(99, 100), 4e-8);
    }

    #[test]
    fn one_cycle_with_a_fractional_peak() {
        // 0.3 · 12 − 1 = 2.6: step 2 is still rising, step 3 is 0.4/8.4 of the way down.
        let cycle = OneCycle {
            max_lr: 1.0,
            ..OneCycle::default()
        };
        let rate = LearningRate::OneCycle(cycle);
        // cos(π · 2/2.6) = −0.748510748; 0.04 + 0.96 · (1 + 0.748510748)/2.
        assert!((rate.value(2, 12) - 0.879_285_159).abs() < 1e-9);
        // cos(π · 0.4/8.4) = 0.988830826; the end is 4e-6.
        assert!((rate.value(3, 12) - (4e-6 + (1.0 - 4e-6) * 0.994_415_413)).abs() < 1e-9);
    }

    #[test]
    fn one_cycle_is_finite_on_the_edges() {
        for (pct_start, total) in [(0.0, 10), (1.0, 10), (0.3, 1), (0.5, 2), (0.3, 0)] {
            let cycle = OneCycle {
                pct_start,
                ..OneCycle::default()
            };
            for step in 0..=total {
                let value = cycle.value(step, total);
                assert!(
                    value.is_finite() && value > 0.0,
                    "{pct_start} {total} {step}"
                );
            }
        }
        // A first phase of one step starts at its end.
        let cycle = OneCycle {
            pct_start: 0.5,
            ..OneCycle::default()
        };
        close(cycle.value(0, 2), 1e-3);
    }

    #[test]
    fn cycles_follow_each_other() {
        let small = OneCycle {
            max_lr: 0.1,
            ..OneCycle::default()
        };
        let large = OneCycle {
            max_lr: 0.2,
            pct_start: 0.5,
            ..OneCycle::default()
        };
        let rate = LearningRate::MultiCycle {
            cycles: vec![
                Cycle {
                    fraction: 0.25,
                    one_cycle: small.clone(),
                },
                Cycle {
                    fraction: 0.75,
                    one_cycle: large.clone(),
                },
            ],
        };
        rate.validate("lr").unwrap();
        for step in 0..100 {
            let alone = if step < 25 {
                small.value(step, 25)
            } else {
                large.value(step - 25, 75)
            };
            assert_eq!(rate.value(step, 100), alone);
        }
        assert_eq!(rate.value(100, 100), large.value(74, 75));
    }

    #[test]
    fn scaling_begins_at_its_step() {
        let rate = LearningRate::Scaled {
            schedule: Box::new(LearningRate::Constant { lr: 1e-4 }),
            after: 0.2,
            factor: 3.0,
        };
        assert_eq!(rate.value(19, 100), 1e-4);
        close(rate.value(20, 100), 3e-4);
    }

    #[test]
    fn settings_are_checked_and_named() {
        let text = r#"{"multi_cycle": {"cycles": [{"fraction": 0.5}, {"fraction": 0.4}]}}"#;
        let rate: LearningRate = serde_json::from_str(text).unwrap();
        let error = rate.validate("lr").unwrap_err().to_string();
        assert!(
            error.contains("lr.multi_cycle.cycles") && error.contains("0.9"),
            "{error}"
        );
        let rate: LearningRate = serde_json::from_str(r#"{"one_cycle": {"max_lr": -1}}"#).unwrap();
        assert!(
            rate.validate("lr")
                .unwrap_err()
                .to_string()
                .contains("lr.one_cycle.max_lr")
        );
        assert!(serde_json::from_str::<LearningRate>(r#"{"constant": {"lt": 1}}"#).is_err());
        assert!(serde_json::from_str::<LearningRate>(r#"{"one_cycle": {"maxlr": 1}}"#).is_err());
    }
}
