//! Functions of entries, and reductions.

use super::*;

/// `erf x = 2/√π e^{−x²} Σ 2^k x^{2k+1}/(1·3·…·(2k+1))`, whose terms have one sign.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for k in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * k + 1);
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

fn stable_softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[test]
fn elementary_functions() {
    type Case = (&'static str, fn(D2) -> D2, fn(f64) -> f64, bool);
    let cases: [Case; 19] = [
        ("exp", Dual::exp, f64::exp, false),
        ("log", Dual::log, f64::ln, true),
        ("log1p", Dual::log1p, f64::ln_1p, true),
        ("tanh", Dual::tanh, f64::tanh, false),
        ("atan", Dual::atan, f64::atan, false),
        (
            "sigmoid",
            Dual::sigmoid,
            |x| 1.0 / (1.0 + (-x).exp()),
            false,
        ),
        ("silu", Dual::silu, |x| x / (1.0 + (-x).exp()), false),
        ("softplus", Dual::softplus, stable_softplus, false),
        ("erf", Dual::erf, erf, false),
        ("sin", Dual::sin, f64::sin, false),
        ("cos", Dual::cos, f64::cos, false),
        ("abs", Dual::abs, f64::abs, false),
        ("recip", Dual::recip, f64::recip, true),
        ("square", Dual::square, |x| x * x, false),
        ("sqrt", Dual::sqrt, f64::sqrt, true),
        ("asinh", Dual::asinh, f64::asinh, false),
        ("neg", |x| -x, |x| -x, false),
        ("add_scalar", |x| x.add_scalar(0.7), |x| x + 0.7, false),
        ("mul_scalar", |x| x.mul_scalar(-1.3), |x| x * -1.3, false),
    ];
    for (name, dual, plain, positive) in cases {
        let mut x = normal([4, 5], 1).mul_scalar(2.0);
        if positive {
            x = x.abs().add_scalar(0.3);
        }
        let expected: Vec<f64> = numbers(&x).into_iter().map(plain).collect();
        assert_close(
            name,
            &numbers(&dual(Dual::constant(x.clone())).value),
            &expected,
            1e-14,
        );
        check(name, x, dual);
    }
}

#[test]
fn reductions() {
    let x = || normal([3, 4, 5], 8);
    for dim in 0..3 {
        check("sum_dim", x(), |x| x.sum_dim(dim));
        check("mean_dim", x(), |x| x.mean_dim(dim));
        check("cumsum", x(), |x| x.cumsum(dim));
        check("softmax", x(), |x| x.softmax(dim));
        check("log_sum_exp", x(), |x| x.log_sum_exp(dim));
    }
    check("sum_columns", normal([4, 5], 9), Dual::sum_columns);
    let sums = D2::constant(tensor(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3])).sum_columns();
    assert_eq!(numbers(&sums.value), [6.0, 15.0]);
}

#[test]
fn softmax_keeps_far_logits_finite() {
    let x = tensor(vec![200.0, -200.0, 199.0, 800.0, -800.0, 0.0], [2, 3]);
    check("softmax", x.clone(), |x| x.softmax(1));
    let p = numbers(&D2::constant(x).softmax(1).value);
    let second = 1.0 / (1.0 + 1_f64.exp());
    assert_close(
        "softmax",
        &p,
        &[1.0 - second, 0.0, second, 1.0, 0.0, 0.0],
        1e-15,
    );
}

#[test]
fn log_sum_exp_leaves_out_what_has_no_weight() {
    let nothing = f64::NEG_INFINITY;
    let x = tensor(
        vec![800.0, nothing, 799.0, nothing, nothing, nothing],
        [2, 3],
    );
    let v = tensor(vec![2.0, nothing, 2.0, 0.0, 0.0, 0.0], [2, 3]);
    let found = Dual::new(x, v).log_sum_exp(1);
    let values = numbers(&found.value);
    assert_close(
        "value",
        &values[..1],
        &[800.0 + (-1_f64).exp().ln_1p()],
        1e-15,
    );
    assert_eq!(values[1], nothing);
    assert_close(
        "tangent",
        &numbers(&found.tangent.unwrap())[..1],
        &[2.0],
        1e-15,
    );
}

#[test]
fn softplus_over_the_whole_range() {
    let points = [-200.0, -30.0, -17.5, 0.0, 30.0, 88.9, 200.0];
    let x = tensor(points.to_vec(), [7]);
    let found = Dual::new(x.clone(), x.ones_like()).softplus();
    // Relative errors: the values span 87 orders of magnitude.
    let relative = |found: f64, expected: f64| (found / expected - 1.0).abs();
    for (value, x) in numbers(&found.value).iter().zip(points) {
        assert!(
            relative(*value, stable_softplus(x)) < 1e-14,
            "softplus({x}) = {value}"
        );
    }
    for (slope, x) in numbers(&found.tangent.unwrap()).iter().zip(points) {
        let expected = if x < 0.0 {
            x.exp() / (1.0 + x.exp())
        } else {
            1.0 / (1.0 + (-x).exp())
        };
        assert!(
            relative(*slope, expected) < 1e-14,
            "softplus'({x}) = {slope}"
        );
    }

    let single = Tensor::<Flex, 1>::from_floats([-200.0, -80.0, -30.0, 30.0, 200.0], &FlexDevice);
    let found = Dual::new(single.clone(), single.ones_like()).softplus();
    let values: Vec<f32> = found.value.into_data().to_vec().unwrap();
    let slopes: Vec<f32> = found.tangent.unwrap().into_data().to_vec().unwrap();
    // e^{−200} is below the smallest single; e^{−80} is not.
    assert_eq!(
        (values[0], values[4], slopes[0], slopes[4]),
        (0.0, 200.0, 0.0, 1.0)
    );
    for (i, x) in [(1, -80.0_f64), (2, -30.0)] {
        assert!(
            relative(f64::from(values[i]), x.exp()) < 1e-5,
            "{}",
            values[i]
        );
        assert!(
            relative(f64::from(slopes[i]), x.exp()) < 1e-5,
            "{}",
            slopes[i]
        );
    }
}

#[test]
fn clamp_stops_the_tangent_outside() {
    check("clamp", normal([5, 6], 10), |x| x.clamp(-0.5, 0.8));
    check("clamp from below", normal([5, 6], 10), |x| {
        x.clamp(0.0, f64::INFINITY)
    });
    let x = tensor(vec![-2.0, -1.0, 0.0, 1.0, 2.0], [5]);
    let found = Dual::new(x.clone(), x.ones_like()).clamp(-1.0, 1.0);
    assert_eq!(numbers(&found.value), [-1.0, -1.0, 0.0, 1.0, 1.0]);
    assert_eq!(numbers(&found.tangent.unwrap()), [0.0, 1.0, 1.0, 1.0, 0.0]);
}
