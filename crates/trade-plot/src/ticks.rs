//! The places where an axis is marked.

use crate::number::{decimal, power, scientific};
use crate::scale::Scale;

/// The marks of an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ticks {
    /// The values with their labels.
    pub major: Vec<(f64, String)>,
    /// Values between them that have no label.
    pub minor: Vec<f64>,
}

impl Ticks {
    /// The marks of the axis, about `wanted` of them with a label.
    pub(crate) fn of(scale: &Scale, wanted: f64) -> Self {
        let (low, high) = (scale.low.min(scale.high), scale.low.max(scale.high));
        if scale.log {
            Self::decades(low, high, wanted)
        } else {
            Self::even(low, high, wanted)
        }
    }

    /// Marks at powers of ten between `10^low` and `10^high`.
    fn decades(low: f64, high: f64, wanted: f64) -> Self {
        let (first, last) = (low.ceil() as i32, high.floor() as i32);
        let inside = |v: f64| (low - 1e-9..=high + 1e-9).contains(&v.log10());
        if last - first < 1 {
            // Less than two decades in sight: even ticks of the values themselves, fewer of them
            // because they crowd at the upper end.
            let mut ticks = Self::even(10f64.powf(low), 10f64.powf(high), wanted);
            ticks.major.retain(|(v, _)| *v > 0.0 && inside(*v));
            return ticks;
        }
        let stride = ((f64::from(last - first + 1) / (1.3 * wanted)).ceil() as i32).max(1);
        let plain = first >= -3 && last <= 4;
        let mut ticks = Self::default();
        for exponent in (first - 1)..=last {
            let decade = 10f64.powi(exponent);
            if exponent >= first && exponent.rem_euclid(stride) == 0 {
                let label = if plain {
                    decimal(decade, (-exponent).max(0) as usize)
                } else {
                    power(exponent)
                };
                ticks.major.push((decade, label));
            } else if exponent >= first {
                ticks.minor.push(decade);
            }
            if stride == 1 {
                ticks.minor.extend(
                    (2..10)
                        .map(|m| f64::from(m) * decade)
                        .filter(|v| inside(*v)),
                );
            }
        }
        ticks
    }

    /// Marks at multiples of 1, 2, 2.5 or 5 times a power of ten.
    fn even(low: f64, high: f64, wanted: f64) -> Self {
        let raw = (high - low) / wanted.max(1.0);
        let exponent = raw.log10().floor();
        let unit = 10f64.powf(exponent);
        let (step, extra) = [(1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0), (10.0, 0)]
            .into_iter()
            .find(|(s, _)| s * unit >= raw * 0.999)
            .unwrap_or((10.0, 0));
        let step = step * unit;
        if !step.is_normal() {
            return Self::default();
        }
        let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize
            + extra * usize::from(exponent <= 0.0);
        let largest = low.abs().max(high.abs());
        let numbers = ((low / step - 1e-6).ceil() as i64)..=((high / step + 1e-6).floor() as i64);
        let major = numbers
            .map(|n| {
                let value = n as f64 * step;
                let label = if (1e-3..1e5).contains(&largest) {
                    decimal(value, decimals)
                } else {
                    scientific(
                        value,
                        (largest.log10().floor() - step.log10().floor()).max(0.0) as usize + extra,
                    )
                };
                (value, label)
            })
            .collect();
        Self {
            major,
            minor: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;

    fn labels(range: (f64, f64), log: bool) -> Vec<String> {
        let axis = Axis {
            range: Some(range),
            log,
            ..Axis::default()
        };
        let scale = Scale::new(&axis, std::iter::empty(), 0.0, false);
        Ticks::of(&scale, 5.0)
            .major
            .into_iter()
            .map(|(_, label)| label)
            .collect()
    }

    #[test]
    fn even_ticks_are_round_numbers() {
        assert_eq!(
            labels((0.0, 1.0), false),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels((-2.1, 2.1), false), ["−2", "−1", "0", "1", "2"]);
        assert_eq!(
            labels((0.21, 0.33), false),
            ["0.225", "0.250", "0.275", "0.300", "0.325"]
        );
        assert_eq!(
            labels((0.0, 1250.0), false),
            ["0", "250", "500", "750", "1000", "1250"]
        );
        assert_eq!(
            labels((0.0, 4e-7), false),
            ["0", "1×10⁻⁷", "2×10⁻⁷", "3×10⁻⁷", "4×10⁻⁷"]
        );
    }

    #[test]
    fn logarithmic_ticks_are_decades_where_there_are_any() {
        assert_eq!(labels((0.005, 20.0), true), ["0.01", "0.1", "1", "10"]);
        assert_eq!(
            labels((1e-7, 1e-2), true),
            ["10⁻⁷", "10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²"]
        );
        assert_eq!(labels((0.4, 1.1), true), ["0.4", "0.6", "0.8", "1.0"]);
    }
}
