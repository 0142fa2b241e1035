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

/// Expects a density at the values `good` of the control, and a reason against one at `bad`.
fn expect(target: &Expression, text: &str, bad: &[f64], good: &[f64]) {
    for c in bad {
        let found = target.lacks_density_at(&[*c], &[2.5]);
        assert!(found.is_some(), "{text} at {c}");
    }
    for c in good {
        let found = target.lacks_density_at(&[*c], &[2.5]);
        assert_eq!(found, None, "{text} at {c}");
    }
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
        expect(&with_support(support, text), text, bad, good);
    }
    let said = with_support("real", "-x^2*(T - 1) - s^2").lacks_density_at(&[0.5], &[2.0]);
    assert!(said.unwrap().contains("entry 1 of the state goes to -inf"));
}

/// Two entries whose difference alone has an energy, and powers of the distance from the origin.
#[test]
fn integrals_that_diverge_along_rays_are_found() {
    for (text, bad, good) in [
        ("-(x - s)^2/T", &[1.0][..], &[][..]),
        ("-(x + s)^2/T", &[1.0], &[]),
        ("-T*x^2 - (x - s)^2", &[-0.1, 0.0], &[0.2]),
        // In two dimensions the power must be above 2.
        ("-T*log1p(x^2 + s^2)", &[0.7, 1.0], &[1.1, 4.0]),
        // Half a Cauchy density of each entry.
        ("-T*log1p(x^2) - T*log1p(s^2)", &[0.4], &[0.6]),
        ("-(abs(x - s) + 0.01*abs(x))/T", &[], &[1.0]),
    ] {
        expect(&with_support(r#""real""#, text), text, bad, good);
    }
}

#[test]
fn walls_that_move_and_angles_without_a_period_are_found() {
    let conditions = [vec![1.0], vec![3.0]];
    let moving = with_support(r#""real""#, "where(abs(x) < T, -x^2 - s^2, -inf)");
    assert_eq!(
        moving.moves_walls(&[], &conditions),
        Some([vec![3.0], vec![1.0]])
    );
    let fixed = with_support(r#""real""#, "where(abs(x) < 2, -x^2/T - s^2, -inf)");
    assert_eq!(fixed.moves_walls(&[], &conditions), None);
    // Modes that leave double precision at low T are no walls.
    let modes = with_support(
        r#""real""#,
        "log(exp(-(x - 4)^2/T) + exp(-(x + 4)^2/T)) - s^2",
    );
    for low in [1e-3, 0.05, 0.9] {
        let conditions = [vec![low], vec![1.0], vec![3.0]];
        assert_eq!(modes.moves_walls(&[], &conditions), None, "{low}");
    }
    // Walls at another size than that of the states that are tried.
    let far = with_support(r#""real""#, "where(abs(x) < 1e6*T, -(x/1e6)^2 - s^2, -inf)");
    assert_eq!(far.moves_walls(&[], &conditions), None);
    let data = [vec![0.0, 2e6], vec![0.0, 0.0]];
    assert!(far.moves_walls(&data, &conditions).is_some());

    for (text, unlike) in [
        ("-(s - 3)^2/T - x^2", Some(0)),
        ("cos(2*s)/T - x^2", None),
        ("-s - x^2/T", Some(0)),
    ] {
        let target = with_support(r#""angle""#, text);
        assert_eq!(target.unlike_after_a_turn(&[1.0]), unlike, "{text}");
    }
}
