//! Numbers as figures and tables write them.

/// Returns the value with this many decimals and a true minus sign, which zero never has.
#[must_use]
pub fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.into(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

/// Returns the value with a power of ten, such as `1.5×10⁻⁷`, with this many decimals. Zero and
/// values that are not finite are written without a power.
#[must_use]
pub fn scientific(value: f64, decimals: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return decimal(value, 0);
    }
    let text = format!("{value:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.replace('-', "−");
    format!("{mantissa}×{}", power(exponent.parse().unwrap_or(0)))
}

/// A power of ten with its exponent raised.
pub(crate) fn power(exponent: i32) -> String {
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

    #[test]
    fn minus_signs_are_true_and_zero_has_none() {
        assert_eq!(decimal(-1.25, 1), "−1.2");
        assert_eq!(decimal(-0.001, 2), "0.00");
        assert_eq!(scientific(-1.5e-7, 1), "−1.5×10⁻⁷");
        assert_eq!(scientific(0.0, 3), "0");
        assert_eq!(power(12), "10¹²");
    }
}
