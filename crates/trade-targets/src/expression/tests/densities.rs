//! Densities and special functions against numbers from elsewhere.

use super::standard;

/// The value of a text that uses no variable but a product with zero.
fn value(text: &str) -> f64 {
    let target = standard(&format!("{text} + 0*a*T")).unwrap_or_else(|e| panic!("{text}: {e}"));
    target.log_density_at(&[0.0; 6], &[1.0])
}

#[test]
fn densities_are_those_of_the_literature() {
    let half_log_tau = 0.918_938_533_204_672_8;
    let ln = f64::ln;
    let cases = [
        // Closed forms, worked out by hand.
        ("normal_lpdf(1, 0, 2)", -0.125 - ln(2.0) - half_log_tau),
        (
            "normal_lpdf(v, 0, 1)",
            -0.5 * (0.04 + 0.16 + 1.21) - 3.0 * half_log_tau,
        ),
        (
            "lognormal_lpdf(2, 0, 1)",
            -0.5 * ln(2.0).powi(2) - ln(2.0) - half_log_tau,
        ),
        ("cauchy_lpdf(3, 1, 2)", -ln(4.0 * std::f64::consts::PI)),
        // Student's t of one degree of freedom is Cauchy; of two it is (2 + t²)^{−3/2}.
        (
            "student_t_lpdf(3, 1, 1, 2)",
            -ln(4.0 * std::f64::consts::PI),
        ),
        ("student_t_lpdf(1, 2, 0, 1)", -1.5 * ln(3.0)),
        // Γ(3) = 2; Γ(1/2) = √π; B(2, 3) = 1/12.
        (
            "gamma_lpdf(2, 3, 4)",
            3.0 * ln(4.0) - ln(2.0) + 2.0 * ln(2.0) - 8.0,
        ),
        (
            "gamma_lpdf(1, 0.5, 1)",
            -0.5 * ln(std::f64::consts::PI) - 1.0,
        ),
        (
            "beta_lpdf(0.25, 2, 3)",
            ln(12.0) + ln(0.25) + 2.0 * ln(0.75),
        ),
        ("uniform_lpdf(1, 0, 4)", -ln(4.0)),
        (
            "half_normal_lpdf(1, 2)",
            -0.125 - half_log_tau, // twice the normal density of deviation 2
        ),
        ("half_cauchy_lpdf(2, 2)", -ln(2.0 * std::f64::consts::PI)),
        // x^{−4} e^{−2/x} 2³/Γ(3) at x = 2.
        (
            "inverse_gamma_lpdf(2, 3, 2)",
            3.0 * ln(2.0) - ln(2.0) - 4.0 * ln(2.0) - 1.0,
        ),
        ("exponential_lpdf(3, 0.5)", -ln(2.0) - 1.5),
        ("poisson_lpmf(3, 2)", 3.0 * ln(2.0) - 2.0 - ln(6.0)),
        ("poisson_lpmf([0, 1], 2)", ln(2.0) - 4.0),
        ("poisson_lpmf(0, 0)", 0.0),
        (
            "binomial_lpmf(2, 5, 0.3)",
            ln(10.0) + 2.0 * ln(0.3) + 3.0 * ln(0.7),
        ),
        ("binomial_lpmf(5, 5, 1)", 0.0),
        ("bernoulli_logit_lpmf(1, 0)", -ln(2.0)),
        ("bernoulli_logit_lpmf([0, 1], [800, 800])", -800.0),
        // Abramowitz and Stegun, table 6.1 and 6.1.8: log Γ(1.5), log Γ(0.5); 99! from its digits.
        ("lgamma(1.5)", -0.120_782_237_635_245_2),
        ("lgamma(0.5)", 0.572_364_942_924_700_1),
        ("lgamma(1)", 0.0),
        ("lgamma(100)", 359.134_205_369_575_4),
        ("expm1(1e-10)", 1.000_000_000_05e-10),
        ("expm1(-0.5)", -0.393_469_340_287_366_6),
        ("sinh(1e-10)", 1e-10),
        ("sinh(-2)", -3.626_860_407_847_019),
        ("cosh(1.5)", 2.352_409_615_243_247),
        ("tan(0.3)", 0.309_336_249_609_623_2),
        ("sign(-2)", -1.0),
        ("sign(0)", 0.0),
        ("sign(1e-9)", 1.0),
        ("expm1(3)", 19.085_536_923_187_67),
        ("log1p(1e-10)", 9.999_999_999_5e-11),
        ("softplus(-40)", 4.248_354_255_291_589e-18),
        ("sigmoid(2)", 0.880_797_077_977_882_4),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("2^3^2", 512.0),
        ("(-2)^3", -8.0),
        ("6/3/2", 1.0),
        ("1 - 2 - 3", -4.0),
        ("2*pi", std::f64::consts::TAU),
        ("sum(v[1:])", 0.7),
        ("v[-1]", 1.1),
        ("sum(v[:-1])", -0.2),
        ("sum(v[0:2])", -0.2),
        ("roll(v, 1)[0]", 1.1),
        ("roll(v, -1)[0]", -0.4),
        ("roll_rows([1, 2, 3, 4], 1, 2)[2]", 4.0),
        ("A[1][2]", 0.25),
        ("sum(matvec(A, v))", 0.2 - 0.8 + 3.3 + 0.1 + 0.4 + 0.275),
        ("mean(v)", 0.3),
        ("norm2(v)", 1.41),
        ("dot(v, [1, 0, 2])", 2.4),
        ("logsumexp([1000, 1000])", 1000.0 + ln(2.0)),
        ("length(v) + length(A) + length(s)", 6.0),
        ("max(1, 2) + min(3, 4)", 5.0),
        ("sum(where(v > 0, v, 10))", 11.3),
        (".5 + 1e-1 + 2.", 2.6),
        ("sqrt(16) + abs(-3) + pow(2, 3)", 15.0),
    ];
    for (text, expected) in cases {
        let found = value(text);
        let error = (found - expected).abs();
        assert!(
            error < 2e-14 * (1.0 + expected.abs()),
            "{text} = {found}, not {expected}"
        );
    }
    for text in [
        "uniform_lpdf(5, 0, 4)",
        "gamma_lpdf(-1, 2, 3)",
        "beta_lpdf(1.5, 2, 3)",
        "lognormal_lpdf(0, 0, 1)",
        "half_normal_lpdf(-1, 1)",
        "half_cauchy_lpdf(-1, 1)",
        "inverse_gamma_lpdf(-1, 2, 3)",
        "exponential_lpdf(-1, 2)",
        "log(0)",
        "log(-1)",
        "0/0",
        "-inf",
    ] {
        assert_eq!(value(text), f64::NEG_INFINITY, "{text}");
    }
    // Small numbers keep their digits.
    assert!((value("expm1(1e-10)*1e10") - 1.000_000_000_05).abs() < 1e-14);
}
