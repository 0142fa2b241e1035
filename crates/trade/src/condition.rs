//! Conditions as they are typed: `T=0.5` or `temperature=0.5,a=0.1`.

use trade_core::{Family, error::readable};

use crate::error::{Context, Result, bail, ensure};

/// Parses a condition; a name may be cut short where that is unambiguous, in either case.
///
/// # Errors
/// Says which name is unknown, missing or given twice, or which value is no number.
pub fn parse(text: &str, controls: &[String]) -> Result<Vec<f64>> {
    let mut found: Vec<Option<f64>> = vec![None; controls.len()];
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) = part
            .split_once('=')
            .with_context(|| format!("`{part}`: expected NAME=VALUE, e.g. {}=0.5", controls[0]))?;
        let (name, value) = (name.trim(), value.trim());
        let index = resolve(name, controls)?;
        let number: f64 = value
            .parse()
            .ok()
            .filter(|v: &f64| v.is_finite())
            .with_context(|| format!("`{part}`: `{value}` is not a finite number"))?;
        ensure!(
            found[index].replace(number).is_none(),
            "`{}` is given twice",
            controls[index]
        );
    }
    found
        .into_iter()
        .zip(controls)
        .map(|(value, name)| value.with_context(|| format!("`{text}` gives no value for `{name}`")))
        .collect()
}

fn resolve(name: &str, controls: &[String]) -> Result<usize> {
    if let Some(exact) = controls.iter().position(|c| c == name) {
        return Ok(exact);
    }
    let lower = name.to_lowercase();
    let matches: Vec<usize> = (0..controls.len())
        .filter(|&i| !lower.is_empty() && controls[i].to_lowercase().starts_with(&lower))
        .collect();
    match matches[..] {
        [one] => Ok(one),
        [] => bail!(
            "unknown control parameter `{name}`; the target has {}",
            controls.join(", ")
        ),
        _ => bail!("`{name}` could be any of {}", controls.join(", ")),
    }
}

/// Refuses a condition of the wrong length, that is not finite, or at which the target has no density.
///
/// # Errors
/// Names the control parameter, the value, and where there is a density.
pub fn within_domain(c: &[f64], family: &dyn Family) -> Result<()> {
    let controls = family.controls();
    ensure!(
        c.len() == controls.len(),
        "{c:?} is not a condition; give {} numbers ({})",
        controls.len(),
        controls.join(", ")
    );
    for ((name, &value), domain) in controls.iter().zip(c).zip(family.domain()) {
        ensure!(
            value.is_finite() && (value as f32).is_finite(),
            "{name} = {} is not a finite number in single precision",
            readable(value)
        );
        ensure!(
            domain.contains(value) && (value == 0.0 || value as f32 != 0.0),
            "{name} = {}: the target has a density only where {name} is {domain}",
            readable(value)
        );
    }
    Ok(())
}

/// A condition in words: `T = 0.5, a = 0.1`.
pub fn describe(c: &[f64], controls: &[String]) -> String {
    let parts = controls
        .iter()
        .zip(c)
        .map(|(name, c)| format!("{name} = {}", number(*c)));
    parts.collect::<Vec<_>>().join(", ")
}

/// A number of a condition: four decimals, or five digits and a power of ten where they say more.
pub fn number(c: f64) -> String {
    if c == 0.0 || (1e-2..1e7).contains(&c.abs()) {
        format!("{c:.4}")
    } else {
        format!("{c:.4e}")
    }
}

/// What to warn about if a condition lies outside the trained range.
pub fn outside(c: &[f64], ranges: &[(f64, f64)], controls: &[String]) -> Option<String> {
    let beyond = c
        .iter()
        .zip(ranges)
        .zip(controls)
        .find(|((c, (low, high)), _)| {
            let slack = 1e-9 * (high - low);
            **c < low - slack || **c > high + slack
        });
    beyond.map(|((c, (low, high)), name)| {
        format!(
            "{name} = {c} lies outside the trained range [{low}, {high}]; the flow extrapolates"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_short_but_not_ambiguous() {
        let controls = ["temperature".to_string(), "a".into(), "alpha".into()];
        assert_eq!(
            parse("T=0.5, a=1,alpha=-2", &controls).unwrap(),
            [0.5, 1.0, -2.0]
        );
        assert_eq!(parse("t=2", &["T".to_string()]).unwrap(), [2.0]);
        for (text, says) in [
            ("T=0.5", "no value for `a`"),
            ("x=1", "unknown control parameter `x`"),
            ("T=hot", "`hot` is not a finite number"),
            ("T", "expected NAME=VALUE"),
            ("T=1,t=2", "given twice"),
        ] {
            let error = parse(text, &controls).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let said = describe(&[0.5, 3e-9], &["T".into(), "a".into()]);
        assert_eq!(said, "T = 0.5000, a = 3.0000e-9");
        assert!(outside(&[1.2], &[(0.4, 1.1)], &controls[..1]).is_some());
        assert!(outside(&[1.1], &[(0.4, 1.1)], &controls[..1]).is_none());
    }
}
