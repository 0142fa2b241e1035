//! Priors against their moments and normalisation, and a conjugate model against its closed forms.

use burn::tensor::{DType, TensorData};
use burn_flex::{Flex, FlexDevice};
use trade_core::random::Stream;

use super::*;

fn posterior(json: &str) -> Result<Posterior> {
    let config: PosteriorConfig = serde_json::from_str(json).unwrap();
    config.init()
}

/// A prior alone, with a likelihood of no interest.
fn alone(prior: &str) -> Posterior {
    let json = format!(r#"{{"parameters": {{"x": "{prior}"}}, "log_likelihood": "0*x"}}"#);
    posterior(&json).unwrap_or_else(|error| panic!("{prior}: {error}"))
}

/// A distribution function.
type Function<'a> = Box<dyn Fn(f64) -> f64 + 'a>;

/// The distribution functions of all laws, from elsewhere: closed forms, or special parameters for which
/// there is one.
#[test]
fn draws_and_densities_follow_the_distribution_function() {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};
    let phi = |z: f64| 0.5 * libm_erfc(-z * FRAC_1_SQRT_2);
    let laws: Vec<(&str, Function<'_>)> = vec![
        ("normal(0.5, 2)", Box::new(|x| phi((x - 0.5) / 2.0))),
        (
            "lognormal(-0.3, 0.5)",
            Box::new(|x| phi((x.ln() + 0.3) / 0.5)),
        ),
        ("half_normal(2)", Box::new(|x| 2.0 * phi(x / 2.0) - 1.0)),
        // Two degrees of freedom: ½ + t / (2 √(2 + t²)).
        (
            "student_t(2, 1, 0.5)",
            Box::new(|x| {
                let t = (x - 1.0) / 0.5;
                0.5 + t / (2.0 * (2.0 + t * t).sqrt())
            }),
        ),
        (
            "cauchy(1, 2)",
            Box::new(|x| 0.5 + ((x - 1.0) / 2.0).atan() / PI),
        ),
        ("half_cauchy(5)", Box::new(|x| 2.0 / PI * (x / 5.0).atan())),
        // Whole shapes have sums: 1 − e^{−rx} (1 + rx + …).
        (
            "gamma(2, 3)",
            Box::new(|x| 1.0 - (-3.0 * x).exp() * (1.0 + 3.0 * x)),
        ),
        (
            "inverse_gamma(2, 3)",
            Box::new(|x| (-3.0 / x).exp() * (1.0 + 3.0 / x)),
        ),
        // B(2, 1): x²; B(1, 3): 1 − (1 − x)³.
        ("beta(2, 1)", Box::new(|x| x * x)),
        ("beta(1, 3)", Box::new(|x| 1.0 - (1.0 - x).powi(3))),
        ("exponential(0.5)", Box::new(|x| 1.0 - (-0.5 * x).exp())),
        ("uniform(-1, 3)", Box::new(|x| (x + 1.0) / 4.0)),
    ];
    for (text, distribution) in &laws {
        let target = alone(text);
        let n = 20_000;
        let mut x = target.draw_prior(n, &mut Stream::new(3, 0)).unwrap();
        x.sort_by(f64::total_cmp);
        // Kolmogorov's distance, whose scaled form exceeds 1.95 once in a thousand.
        let distance = x.iter().enumerate().map(|(i, x)| {
            let f = distribution(*x);
            (f - i as f64 / n as f64)
                .abs()
                .max(((i + 1) as f64 / n as f64 - f).abs())
        });
        let distance = distance.fold(0.0, f64::max) * (n as f64).sqrt();
        assert!(distance < 1.95, "{text}: {distance}");
        // The density is the slope of the distribution function.
        for i in [100, n / 4, n / 2, 3 * n / 4, n - 100] {
            let (at, step) = (x[i], 1e-5 * x[i].abs().max(0.01));
            let slope = (distribution(at + step) - distribution(at - step)) / (2.0 * step);
            let density = target.log_prior_at(&[at]).exp();
            assert!(
                (density / slope - 1.0).abs() < 1e-5,
                "{text} at {at}: {density} {slope}"
            );
        }
    }
}

/// `erfc` by the continued fraction and the series of Abramowitz and Stegun (7.1.5 and 7.1.14).
fn libm_erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - libm_erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - 2.0 / std::f64::consts::PI.sqrt() * sum;
    }
    let mut fraction = x;
    for k in (1..60).rev() {
        fraction = x + 0.5 * f64::from(k) / fraction;
    }
    (-x * x).exp() / (std::f64::consts::PI.sqrt() * fraction)
}

#[test]
fn arguments_that_make_no_law_are_refused_when_drawn() {
    // The scale of the second parameter is negative for every other draw of the first.
    for law in [
        "normal(0, a)",
        "half_normal(a)",
        "exponential(a)",
        "student_t(3, 0, a)",
        "inverse_gamma(2, a)",
    ] {
        let json = format!(
            r#"{{ "parameters": {{ "a": "normal(0, 1)", "b": "{law}" }}, "log_likelihood": "0*a" }}"#
        );
        let config: PosteriorConfig = serde_json::from_str(&json).unwrap();
        let drawn = config
            .init()
            .unwrap()
            .draw_prior(200, &mut Stream::new(4, 0));
        let error = drawn.unwrap_err().to_string();
        for part in ["entry 1 of prior draw", "arguments of its prior"] {
            assert!(error.contains(part), "{law}: {error}");
        }
    }
}

#[test]
fn a_hierarchical_prior_is_drawn_from_the_top() {
    let target = posterior(
        r#"{
            "parameters": {
                "mu": "normal(1, 0.5)",
                "tau": "half_normal(2)",
                "theta": {"prior": "normal(2*mu + c, tau)", "length": 3}
            },
            "constants": {"c": [0, 1, 2]},
            "log_likelihood": "normal_lpdf(c, theta, 1)"
        }"#,
    )
    .unwrap();
    assert_eq!(target.dim(), 5);
    assert_eq!(target.support()[1], Support::Positive);
    let n = 40_000;
    let x = target.draw_prior(n, &mut Stream::new(1, 0)).unwrap();
    for k in 0..3 {
        // Mean 2 + k; variance 4 · 0.25 + E[τ²] = 1 + 4.
        let column: Vec<f64> = x.chunks(5).map(|row| row[2 + k]).collect();
        let mean = column.iter().sum::<f64>() / n as f64;
        let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!((mean - 2.0 - k as f64).abs() < 0.05, "{k}: {mean}");
        assert!((variance - 5.0).abs() < 0.3, "{k}: {variance}");
    }
    assert_eq!(target.calls(), Some(0));
}

#[test]
fn relations_are_plain_parameters_only() {
    let target = posterior(
        r#"{
            "parameters": {
                "mu": {"prior": "normal(0, 1)", "length": 2},
                "tau": "half_cauchy(2)",
                "a": {"prior": "normal(mu, tau)", "length": 2},
                "b": "student_t(4, mu[1], 2*tau)",
                "c": "normal(0, mu[0])",
                "d": "half_normal(tau)"
            },
            "log_likelihood": "normal_lpdf(1, a, 1)"
        }"#,
    );
    let target = target.unwrap();
    // Two times `tau` is no plain parameter.
    assert!(target.has_other_relations() && !alone("normal(0, 1)").has_other_relations());
    let (location, scale) = target.relations();
    let none = None;
    assert_eq!(
        location,
        [none, none, none, Some(0), Some(1), Some(1), none, none]
    );
    assert_eq!(
        scale,
        [none, none, none, Some(2), Some(2), none, none, Some(2)]
    );
}

#[test]
fn density_and_score_are_prior_and_likelihood() {
    let target = posterior(
        r#"{
            "parameters": {"rate": "gamma(2, 3)"},
            "constants": {"k": [1, 0, 4]},
            "log_likelihood": "poisson_lpmf(k, rate)",
            "control": "power"
        }"#,
    )
    .unwrap();
    assert_eq!(target.controls(), ["power"]);
    let rows = [0.3, 1.7, -0.5];
    let tensor = |values: &[f64]| {
        let data = TensorData::new(values.to_vec(), [values.len(), 1]);
        Tensor::<Flex, 2>::from_data(data, (&FlexDevice, DType::F64))
    };
    let condition = Condition::new(tensor(&[0.0, 0.7, 0.7]));
    let density: Vec<f64> = target
        .log_density(tensor(&rows), &condition)
        .into_data()
        .to_vec()
        .unwrap();
    let score: Vec<f64> = target
        .condition_score(tensor(&rows), &condition)
        .into_data()
        .to_vec()
        .unwrap();
    for (i, &x) in rows[..2].iter().enumerate() {
        // 9 x e^{−3x}, and x^5 e^{−3x} / 24 without the log of it.
        let prior = (9.0 * x).ln() - 3.0 * x;
        let likelihood = 5.0 * x.ln() - 3.0 * x - 24.0_f64.ln();
        let beta = [0.0, 0.7][i];
        assert!((density[i] - prior - beta * likelihood).abs() < 1e-10);
        assert!((score[i] - likelihood).abs() < 1e-10);
        assert!((target.log_prior_at(&[x]) - prior).abs() < 1e-12);
        assert!((target.log_likelihood_at(&[x]) - likelihood).abs() < 1e-12);
    }
    assert_eq!((density[2], score[2]), (f64::NEG_INFINITY, 0.0));
    // Three rows twice, and two points on the host.
    assert_eq!(target.calls(), Some(8));
}

#[test]
fn mistakes_are_named() {
    let cases = [
        (
            r#"{"parameters": {"x": "norml(0, 1)"}, "log_likelihood": "x"}"#,
            "did you mean `normal`",
        ),
        (
            r#"{"parameters": {"x": "normal(0)"}, "log_likelihood": "x"}"#,
            "(mu, sigma), found 1",
        ),
        (
            r#"{"parameters": {"x": "normal(0, -1)"}, "log_likelihood": "x"}"#,
            "`sigma` must be above 0",
        ),
        (
            r#"{"parameters": {"x": "normal(0, y)"}, "log_likelihood": "x"}"#,
            "unknown name `y`",
        ),
        (
            r#"{"parameters": {"x": "normal(0, 1) + 1"}, "log_likelihood": "x"}"#,
            "end of the text",
        ),
        (
            r#"{"parameters": {"x": "3"}, "log_likelihood": "x"}"#,
            "expected a distribution",
        ),
        (
            r#"{"parameters": {"a": "normal(0, 1)", "x": "uniform(0, a)"}, "log_likelihood": "x"}"#,
            "constant numbers",
        ),
        (
            r#"{"parameters": {"x": "uniform(1, 0)"}, "log_likelihood": "x"}"#,
            "`low` must be below",
        ),
        (
            r#"{"parameters": {"x": {"prior": "normal([0, 1], 1)", "length": 3}}, "log_likelihood": "sum(x)"}"#,
            "a vector of 2",
        ),
        (
            r#"{"parameters": {"x": "normal(0, 1)"}, "log_likelihood": "x*beta"}"#,
            "unknown name `beta`",
        ),
        (
            r#"{"parameters": {"x": {"prior": "normal(0, 1)", "length": 2}}, "log_likelihood": "x"}"#,
            "did you mean sum",
        ),
        (
            r#"{"parameters": {"beta": "normal(0, 1)"}, "log_likelihood": "beta"}"#,
            "given twice",
        ),
        (
            r#"{"parameters": {"x": "normal(0, 1)"}, "log_likelihood": "2"}"#,
            "no parameter",
        ),
        (
            r#"{"parameters": {}, "log_likelihood": "2"}"#,
            "at least one",
        ),
    ];
    for (json, says) in cases {
        let error = posterior(json).unwrap_err().to_string();
        assert!(
            error.contains("target.posterior.") && error.contains(says),
            "{error}"
        );
    }
}
