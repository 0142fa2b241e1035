//! Values, scores and gradients.

use burn::{backend::Autodiff, tensor::DType};
use burn_flex::Flex;
use trade_core::{Condition, Family, PowerFamily, Target};

use super::{normal, numbers, rows, standard, target};
use crate::{
    exact::{DoubleWellConfig, Exact, GaussianMixtureConfig, MultiWellConfig, WellControl},
    expression::Expression,
    lattice::Phi4Config,
};

/// Holds a text against a target in code, in f64 on the host.
fn agrees(text: &Expression, exact: &dyn Exact, c: &[f64]) {
    let d = exact.dim();
    assert_eq!((Family::dim(text), text.controls().len()), (d, c.len()));
    for x in normal(40 * d, 3).chunks(d) {
        let (found, expected) = (text.log_density_at(x, c), exact.log_density(x, c));
        assert!(
            (found - expected).abs() < 1e-12 * (1.0 + expected.abs()),
            "{found} {expected}"
        );
        let mut score = vec![0.0; c.len()];
        exact.condition_score(x, c, &mut score);
        for (found, expected) in text.condition_score_at(x, c).iter().zip(score) {
            assert!(
                (found - expected).abs() < 1e-12 * (1.0 + expected.abs()),
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn texts_agree_with_targets_in_code() {
    use WellControl::{A, B, C, Temperature};
    let wells = MultiWellConfig {
        dim: 3,
        controls: vec![Temperature, A, B, C],
        ..Default::default()
    };
    let text = target(
        r#"{ "variables": { "x": 3 }, "controls": ["temperature", "a", "b", "c"],
            "log_density": "-sum(c*x^4 + b*x^2 + a*x)/temperature" }"#,
    );
    agrees(&text, &wells.init().unwrap(), &[0.6, 0.3, -3.0, 1.2]);

    let double = DoubleWellConfig {
        controls: vec![Temperature],
        ..Default::default()
    };
    let well = double.init().unwrap();
    let parameters = well.parameters(&[]);
    let text = format!(
        r#"{{ "variables": {{ "x": 1, "y": 1 }}, "controls": ["T"],
            "constants": {{ "a": {}, "b": {}, "c": {} }},
            "let": {{ "well": "a*x + b*x^2 + c*x^4", "u": "well + y^2/2" }},
            "log_density": "-u/T" }}"#,
        parameters.a, parameters.b, parameters.c
    );
    let text = target(&text);
    assert_eq!(text.power_family(), Some(PowerFamily::Temperature));
    agrees(&text, &well, &[0.8]);

    let config = GaussianMixtureConfig::six_modes();
    let mixture = config.init().unwrap();
    let parts: Vec<String> = (0..mixture.len())
        .map(|k| format!("-norm2(matvec(W{k}, x - means[{k}]))/2 + peaks[{k}]"))
        .collect();
    let whitenings: Vec<String> = (0..mixture.len())
        .map(|k| {
            let w = mixture.whitening(k);
            format!(r#""W{k}": [[{}, {}], [{}, {}]]"#, w[0], w[1], w[2], w[3])
        })
        .collect();
    let peaks: Vec<f64> = (0..mixture.len()).map(|k| mixture.log_peak(k)).collect();
    let text = format!(
        r#"{{ "variables": {{ "x": 2 }}, "controls": ["beta"],
            "constants": {{ "means": {:?}, "peaks": {peaks:?}, {} }},
            "log_density": "beta*logsumexp([{}])" }}"#,
        config.means,
        whitenings.join(", "),
        parts.join(", ")
    );
    let text = target(&text);
    assert_eq!(text.power_family(), Some(PowerFamily::Exponent));
    agrees(&text, &mixture, &[0.4]);
}

#[test]
fn the_lattice_field_is_a_line_of_text() {
    let phi4 = Phi4Config { l: 4, lambda: None }.init().unwrap();
    let text = target(
        r#"{ "variables": { "phi": 16 }, "controls": ["kappa", "lambda"],
            "let": { "bonds": "phi*(roll(phi, -4) + roll_rows(phi, -1, 4))" },
            "log_density": "sum(2*kappa*bonds - (1 - 2*lambda)*phi^2 - lambda*phi^4)" }"#,
    );
    let x = rows::<Flex>(&normal(20 * 16, 4), 16, DType::F64);
    let condition = Condition::uniform(&[0.27, 0.03], 20, &x);
    let pairs = [
        (
            numbers(text.log_density(x.clone(), &condition)),
            numbers(phi4.log_density(x.clone(), &condition)),
        ),
        (
            numbers(text.condition_score(x.clone(), &condition)),
            numbers(phi4.condition_score(x, &condition)),
        ),
    ];
    for (found, expected) in pairs {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(&expected) {
            assert!((f - e).abs() < 1e-12 * (1.0 + e.abs()), "{f} {e}");
        }
    }
}

/// Expressions that use every operation, smooth almost everywhere.
const TEXTS: [&str; 24] = [
    "-(norm2(x) + norm2(y) + a^2)/T",
    "-norm2(x)/2 - norm2(y)/2 - a^4/T + 0.3*tanh(a*T)",
    "sum(exp(-x^2/T)) - dot(x, x) - length(x)*a^2",
    "logsumexp(-x^2/T) - mean(y^2)",
    "logsumexp([-(a - 1)^2, -(a + T)^2, -inf])",
    "sum(log(x^2 + T)) - sum(sqrt(y^2 + 1)) + abs(a)*T",
    "sum(sin(x)*T + cos(y[0])) + log1p(a^2/T)",
    "sum(expm1(x/T)) - sum(softplus(y*T)) + sigmoid(a - T)",
    "sum(where(x > 0, log(x)*T, x*x)) + a",
    "sum(where(v <= x, x, y[0]*v)/T) + max(a, T) + min(y[1], T)",
    "norm2(matvec(A, x)/T - y) + dot(A[1], x)",
    "-norm2(roll(x, 1) - x)/T - norm2(x[1:] - x[:-1]) - x[-1]^3 + roll_rows(x, 1, 3)[0]",
    "sum([a, T, x[0]]*v)",
    "normal_lpdf(x, a, softplus(T)) + normal_lpdf(y, [0.1, 0.2], s)",
    "student_t_lpdf(x, 2 + T, a, 0.7) + cauchy_lpdf(y, a, T)",
    "gamma_lpdf(exp(x), 1.5 + sigmoid(a), T) + lognormal_lpdf(exp(y), a, T)",
    "beta_lpdf(sigmoid(x), 1 + T, 2.5)",
    "uniform_lpdf(sigmoid(x), -1, 1 + T)",
    "poisson_lpmf([0, 3, 7], exp(x*T))",
    "binomial_lpmf([0, 3, 7], 7, sigmoid(x*T))",
    "bernoulli_logit_lpmf([0, 1, 1], x/T)",
    "sum((1 + x^2)^(-T)) + 2^a + sum(softplus(y)^0.5)/T",
    "sum(x^3/(1 + T^2)) - sum(-x^-2) + sum(y)^2 + lgamma(1 + exp(a)*T)",
    "T*a",
];

#[test]
fn tensors_agree_with_the_host_in_both_precisions() {
    for text in TEXTS {
        let target = standard(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let (n, d) = (30, 6);
        let points: Vec<f64> = normal(n * d, 5)
            .iter()
            .map(|x| f64::from(*x as f32))
            .collect();
        let controls: Vec<f64> = (0..n).map(|i| 0.5 + i as f64 / 16.0).collect();
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-5)] {
            let x = rows::<Flex>(&points, d, dtype);
            let condition = Condition::new(rows(&controls, 1, dtype));
            let values = target.log_density(x.clone(), &condition);
            let scores = target.condition_score(x, &condition);
            assert_eq!((values.dims(), scores.dims()), ([n], [n, 1]));
            let (values, scores) = (numbers(values), numbers(scores));
            for i in 0..n {
                let (x, c) = (&points[i * d..][..d], &controls[i..=i]);
                let (value, score) = target.along(x, c, &[], &[1.0]);
                let near = |found: f64, expected: f64| {
                    found == expected
                        || (found - expected).abs() < tolerance * (1.0 + expected.abs())
                };
                assert!(near(values[i], value), "{text}: {} {value}", values[i]);
                assert!(near(scores[i], score), "{text}: {} {score}", scores[i]);
            }
        }
    }
}

#[test]
fn scores_and_gradients_are_differences() {
    type AD = Autodiff<Flex>;
    for text in TEXTS {
        let target = standard(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let (n, d, step) = (10, 6, 1e-5);
        let points = normal(n * d, 6);
        let c = [0.9];
        let x = rows::<AD>(&points, d, DType::F64).require_grad();
        let condition = Condition::uniform(&c, n, &x);
        let values = target.log_density(x.clone(), &condition);
        let found = numbers(values.clone().inner());
        // A text that only compares `x` has no gradient.
        let gradient = x.grad(&values.sum().backward());
        let gradient = gradient.unwrap_or_else(|| x.clone().inner().zeros_like());
        let gradients = numbers(gradient);
        for i in 0..n {
            let row = &points[i * d..][..d];
            let at = |dx: &[f64], dc: f64| {
                let moved: Vec<f64> = row.iter().zip(dx).map(|(x, d)| x + d).collect();
                target.log_density_at(&moved, &[c[0] + dc])
            };
            let near = |found: f64, expected: f64| {
                (found - expected).abs() < 1e-6 * (1.0 + expected.abs())
            };
            let value = at(&[0.0; 6], 0.0);
            assert!(near(found[i], value), "{text}: {} {value}", found[i]);
            let score = target.condition_score_at(row, &c)[0];
            let difference = (at(&[0.0; 6], step) - at(&[0.0; 6], -step)) / (2.0 * step);
            assert!(near(score, difference), "{text}: {score} {difference}");
            for j in 0..d {
                let mut shift = [0.0; 6];
                shift[j] = step;
                let up = at(&shift, 0.0);
                shift[j] = -step;
                let difference = (up - at(&shift, 0.0)) / (2.0 * step);
                let gradient = gradients[i * d + j];
                assert!(
                    near(gradient, difference),
                    "{text}: {gradient} {difference}"
                );
                shift[j] = 1.0;
                let (_, forward) = target.along(row, &c, &shift, &[]);
                assert!(near(forward, difference), "{text}: {forward} {difference}");
            }
        }
    }
}

#[test]
fn rows_without_a_density_spoil_no_gradient() {
    type AD = Autodiff<Flex>;
    let cases = [
        // Outside of the argument of log and √, at poles, and where singles overflow.
        (
            "sum(log(x)) - norm2(y)*T - a",
            vec![0.3, -1.0, 2.0, 1.0, 0.1, 0.1],
        ),
        (
            "sum(sqrt(x)*y[0]) - T*a",
            vec![0.3, -1.0, 2.0, 1.0, 0.1, 0.1],
        ),
        ("-sum(1/x) - T*a", vec![0.3, 0.0, 2.0, 1.0, 0.1, 0.1]),
        ("-sum(exp(x^8))*a - T", vec![1.0, 1e10, 1.0, 1.0, 0.1, 0.1]),
        (
            "gamma_lpdf(x, 2, T) - norm2(y)",
            vec![1.0, -1.0, 0.0, 1.0, 0.1, 0.1],
        ),
        // A comparison with something that is not a number.
        (
            "where(sqrt(x[0]) < 1, a^2, a) - T*norm2(y)",
            vec![-1.0, 1.0, 2.0, 1.0, 0.1, 0.1],
        ),
        // The branch that is not taken is not a number.
        (
            "sum(where(x > 0, y[0]*log(x), -x^2))/T",
            vec![0.3, -1.0, -2.0, 1.0, 0.1, 0.1],
        ),
        (
            "sum(where(x > 0, a*sqrt(x)/x, T*x))",
            vec![0.3, -1.0, 0.0, 1.0, 0.1, 0.1],
        ),
    ];
    for (text, bad) in cases {
        let target = standard(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for dtype in [DType::F32, DType::F64] {
            let good = vec![0.5, 0.4, 0.3, 0.2, 0.1, 0.6];
            let x = rows::<AD>(&[good.clone(), bad.clone()].concat(), 6, dtype).require_grad();
            let condition = Condition::uniform(&[0.7], 2, &x);
            let values = target.log_density(x.clone(), &condition);
            let gradients = numbers(x.grad(&values.clone().sum().backward()).unwrap());
            let values = numbers(values.inner());
            assert!(
                gradients.iter().all(|g| g.is_finite()),
                "{text}: {gradients:?}"
            );
            assert!(gradients[..6].iter().any(|&g| g != 0.0), "{text}");
            if dtype == DType::F64 {
                for (value, row) in values.iter().zip([&good, &bad]) {
                    let expected = target.log_density_at(row, &[0.7]);
                    assert!(
                        *value == expected || (value - expected).abs() < 1e-9,
                        "{text}"
                    );
                }
            }
            let x = rows::<Flex>(&bad, 6, dtype);
            let score = target.condition_score(x.clone(), &Condition::uniform(&[0.7], 1, &x));
            assert!(numbers(score)[0].is_finite(), "{text}");
        }
    }
}

#[test]
fn gradients_follow_the_branch_that_was_taken() {
    type AD = Autodiff<Flex>;
    // √−1 < 1 does not hold, so the gradient in `a` is that of the second branch, also where the
    // argument of the root is clipped.
    let target = standard("where(sqrt(x[0]) < 1, a^2, a) - T*norm2(y)").unwrap();
    let x = rows::<AD>(&[2.0, -1.0, 0.0, 0.0, 0.0, 0.0], 6, DType::F64).require_grad();
    let values = target.log_density(x.clone(), &Condition::uniform(&[1.0], 1, &x));
    let gradient = numbers(x.grad(&values.sum().backward()).unwrap());
    assert_eq!(gradient[0], 1.0);
}
