//! Densities that cannot be normalised, and those that can although they look odd.

use serde_json::json;

use super::{Expression, ExpressionConfig};

/// A target of the entries s, of a support, and x, real, with the control T; names are sorted here.
fn with_support(support: &str, log_density: &str) -> Expression {
    let mut config = json!({
        "variables": { "x": 1, "s": 1 },
        "controls": ["T"],
        "log_density": log_density
    });
    if support != "real" {
        config["support"] =
            json!({ "s": serde_json::from_str::<serde_json::Value>(support).unwrap() });
    }
    let config: ExpressionConfig = serde_json::from_value(config).unwrap();
    config.init().unwrap()
}

#[test]
fn integrals_that_diverge_are_found() {
    let positive = r#""positive""#;
    let unit = r#"{ "interval": { "low": 0, "high": 1 } }"#;
    for (support, text, bad, good) in [
        // Walls that turn over at T = 1.
        ("real", "-x^2*(T - 1) - s^2", &[0.5, 1.0][..], &[1.5][..]),
        // A sign that is wrong.
        ("real", "(x^2 + s^2)/T", &[1.0, 2.0], &[]),
        ("real", "-x^3/T - s^2", &[1.0], &[]),
        // An exponential that turns over at 0.
        ("real", "-abs(x)*T - s^2", &[-0.5, 0.0], &[0.1, 2.0]),
        // (1 + x²)^−T has an integral above ½.
        ("real", "-T*log(1 + x^2) - s^2", &[0.3, 0.5], &[0.55, 2.0]),
        // Division by zero.
        ("real", "-x^2/T - s^2", &[0.0], &[1e-9, 2.0]),
        // s^(T − 1) e^(−s) has an integral above T = 0; so has s^(T − 1) (1 − s) on the unit interval.
        (
            positive,
            "(T - 1)*log(s) - s - x^2",
            &[-0.5, 0.0],
            &[0.1, 3.0],
        ),
        (
            unit,
            "(T - 1)*log(s) + log(1 - s) - x^2",
            &[-1.0, 0.0],
            &[0.1, 3.0],
        ),
        // Lognormal, heavy on both sides.
        (positive, "-log(s)^2/T - log(s) - x^2", &[], &[0.5, 100.0]),
        // A power above an end that is far below most of the support.
        (
            r#"{ "interval": { "low": 1, "high": 1e9 } }"#,
            "-(T + 1)*log(s) - x^2",
            &[],
            &[1.0, 5.0],
        ),
        // States in a unit far too small, and the same with a power that is too low.
        ("real", "-(x/1e24)^2/T - s^2", &[], &[1.0, 5.0]),
        ("real", "-T*log(1 + (x/1e8)^2) - s^2", &[0.4], &[0.6]),
        // A plateau within walls, and two modes that are far from each other.
        (unit, "0*T*s - x^2", &[], &[1.0]),
        (
            "real",
            "log(exp(-(x - 900)^2/T) + exp(-(x + 900)^2/T)) - s^2",
            &[],
            &[1e6],
        ),
    ] {
        let target = with_support(support, text);
        for c in bad {
            let found = target.lacks_density_at(&[*c], &[2.5]);
            assert!(found.is_some(), "{text} at {c}");
        }
        for c in good {
            assert_eq!(
                target.lacks_density_at(&[*c], &[2.5]),
                None,
                "{text} at {c}"
            );
        }
    }
    let said = with_support("real", "-x^2*(T - 1) - s^2").lacks_density_at(&[0.5], &[2.0]);
    assert!(said.unwrap().contains("entry 1 of the state goes to -inf"));
}
