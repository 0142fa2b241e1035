//! Axis ranges and the places where an axis is marked.

use super::Axis;

/// A resolved axis: how values become a fraction of the panel's width or height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

/// Marks of an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ticks {
    /// Value and label.
    pub major: Vec<(f64, String)>,
    /// Unlabelled values between.
    pub minor: Vec<f64>,
}

/// Decades an automatic logarithmic range may span below its largest value.
const DECADES: f64 = 8.0;

impl Scale {
    /// The axis' own range, or one that holds `values` with `padding` (a fraction of the span) on
    /// both sides. A range near zero is extended to it on request. Values that are not finite, or
    /// not positive on a logarithmic axis, do not count.
    pub(super) fn new(
        axis: &Axis,
        values: impl Iterator<Item = f64>,
        padding: f64,
        zero: bool,
    ) -> Self {
        let log = axis.log;
        let fit = |v: f64| if log { v.log10() } else { v };
        if let Some((low, high)) = axis.range {
            let (low, high) = (fit(low), fit(high));
            if low.is_finite() && high.is_finite() && low != high {
                return Self { low, high, log };
            }
        }
        let (mut low, mut high) = values
            .map(fit)
            // Beyond this, the span itself could overflow.
            .filter(|v| v.abs() < 1e150)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if log {
            low = low.max(high - DECADES);
        }
        let from_zero = zero && !log && low >= 0.0 && low < 0.4 * high;
        if from_zero {
            low = 0.0;
        }
        let span = high - low;
        // A constant still deserves a readable axis around it.
        let room = if span > 1e-9 * low.abs().max(high.abs()) {
            span * padding
        } else if log {
            0.5
        } else {
            (0.1 * high.abs()).max(1e-3)
        };
        Self {
            low: if from_zero { 0.0 } else { low - room },
            high: high + room,
            log,
        }
    }

    /// Fraction of the way along the axis; not finite where the value has no place on it.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// As [`Scale::place`], with zero and negative values at the foot of a logarithmic axis.
    pub(super) fn place_or_foot(&self, value: f64) -> f64 {
        if self.log && value <= 0.0 {
            0.0
        } else {
            self.place(value)
        }
    }

    /// Ticks, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: f64) -> Ticks {
        if self.log {
            self.decades(wanted)
        } else {
            even(self.low, self.high, wanted)
        }
    }

    fn decades(&self, wanted: f64) -> Ticks {
        let (low, high) = (self.low.min(self.high), self.low.max(self.high));
        let (first, last) = (low.ceil() as i32, high.floor() as i32);
        let inside = |v: f64| (low - 1e-9..=high + 1e-9).contains(&v.log10());
        if last - first < 1 {
            // Less than two decades in sight: even ticks of the values themselves, fewer of them
            // because they crowd at the upper end.
            let mut ticks = even(10f64.powf(low), 10f64.powf(high), wanted);
            ticks.major.retain(|(v, _)| *v > 0.0 && inside(*v));
            return ticks;
        }
        let stride = ((f64::from(last - first + 1) / (1.3 * wanted)).ceil() as i32).max(1);
        let plain = first >= -3 && last <= 4;
        let mut ticks = Ticks::default();
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
}

/// Ticks at multiples of 1, 2, 2.5 or 5 times a power of ten.
fn even(low: f64, high: f64, wanted: f64) -> Ticks {
    let (low, high) = (low.min(high), low.max(high));
    let raw = (high - low) / wanted.max(1.0);
    let exponent = raw.log10().floor();
    let unit = 10f64.powf(exponent);
    let (step, extra) = [(1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0), (10.0, 0)]
        .into_iter()
        .find(|(s, _)| s * unit >= raw * 0.999)
        .unwrap_or((10.0, 0));
    let step = step * unit;
    if !step.is_normal() {
        return Ticks::default();
    }
    let decimals =
        (-(step.log10() + 1e-9).floor()).max(0.0) as usize + extra * usize::from(exponent <= 0.0);
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
    Ticks {
        major,
        minor: vec![],
    }
}

/// Fixed-point text with a true minus sign.
pub(super) fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.into(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// `1.5×10⁻⁷`, as the figures and tables write it.
pub(crate) fn scientific(value: f64, decimals: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return decimal(value, 0);
    }
    let text = format!("{value:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.replace('-', "−");
    format!("{mantissa}×{}", power(exponent.parse().unwrap_or(0)))
}

fn power(exponent: i32) -> String {
    let raise = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    format!(
        "10{}",
        exponent.to_string().chars().map(raise).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(range: (f64, f64), log: bool) -> Vec<String> {
        let axis = Axis {
            range: Some(range),
            log,
            ..Axis::default()
        };
        let ticks = Scale::new(&axis, std::iter::empty(), 0.0, false).ticks(5.0);
        ticks.major.into_iter().map(|(_, label)| label).collect()
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

    #[test]
    fn ranges_hold_the_finite_data() {
        let data = [f64::NAN, 2.0, 5.0, f64::INFINITY, -1.0];
        let axis = Axis {
            log: true,
            ..Axis::default()
        };
        let scale = Scale::new(&axis, data.into_iter(), 0.0, false);
        assert!(scale.place(2.0).abs() < 1e-12);
        assert!((scale.place(5.0) - 1.0).abs() < 1e-12);
        assert!(!scale.place(-1.0).is_finite() && scale.place_or_foot(-1.0) == 0.0);
        let flat = Scale::new(&Axis::default(), [3.0; 4].into_iter(), 0.05, false);
        assert!((flat.place(3.0) - 0.5).abs() < 1e-9);
        let none = Scale::new(&Axis::default(), std::iter::empty(), 0.05, false);
        assert!(none.place(0.5).is_finite());
    }
}
