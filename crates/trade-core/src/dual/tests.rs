//! Values against the standard library, tangents against central differences, in f64.

use burn::tensor::{Bool, Int, TensorData, ops::ConvOptions};
use burn_flex::{Flex, FlexDevice};

use super::*;
use crate::random::Stream;

type D2 = Dual<Flex, 2>;

/// Step of the central differences: truncation about 1e-10, rounding about 1e-11.
const STEP: f64 = 1e-5;

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<Flex, D> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), (&FlexDevice, DType::F64));
    assert_eq!(tensor.dtype(), DType::F64);
    tensor
}

fn normal<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<Flex, D> {
    tensor(Stream::new(seed, 0).normal64(shape.iter().product()), shape)
}

fn numbers<const D: usize>(tensor: &Tensor<Flex, D>) -> Vec<f64> {
    assert_eq!(
        tensor.dtype(),
        DType::F64,
        "a test in double precision left it"
    );
    tensor.to_data().to_vec().unwrap()
}

fn assert_close(name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (f, e) in found.iter().zip(expected) {
        assert!(
            (f - e).abs() <= tolerance * (1.0 + e.abs()),
            "{name}: {f}, expected {e}"
        );
    }
}

/// Holds the tangent of `f` at `x` against differences, and checks that the value does not depend
/// on there being a tangent and that none comes out where none went in.
fn check<const D: usize, const E: usize>(
    name: &str,
    x: Tensor<Flex, D>,
    f: impl Fn(Dual<Flex, D>) -> Dual<Flex, E>,
) {
    let v = normal(x.dims(), 900);
    let found = f(Dual::new(x.clone(), v.clone()));
    let at = |step: f64| f(Dual::constant(x.clone() + v.clone().mul_scalar(step)));
    assert!(
        at(0.0).tangent.is_none(),
        "{name}: a tangent out of nothing"
    );
    assert_eq!(
        numbers(&found.value),
        numbers(&at(0.0).value),
        "{name}: values"
    );
    let expected = (at(STEP).value - at(-STEP).value).div_scalar(2.0 * STEP);
    let tangent = found.tangent.unwrap();
    assert_eq!(
        tangent.dims(),
        found.value.dims(),
        "{name}: shape of the tangent"
    );
    assert_close(name, &numbers(&tangent), &numbers(&expected), 1e-8);
}

/// [`check`] for two arguments, with a tangent on either or both.
fn check_pair<const D: usize, const E: usize>(
    name: &str,
    [x, y]: [Tensor<Flex, D>; 2],
    f: impl Fn(Dual<Flex, D>, Dual<Flex, D>) -> Dual<Flex, E>,
) {
    check(name, x.clone(), |x| f(x, Dual::constant(y.clone())));
    check(name, y.clone(), |y| f(Dual::constant(x.clone()), y));
    // Both move: the second along a direction that is a function of the first's.
    let (v, w) = (normal(x.dims(), 901), normal(y.dims(), 902));
    let at = |step: f64| {
        let shifted = |t: &Tensor<Flex, D>, v: &Tensor<Flex, D>| {
            Dual::constant(t.clone() + v.clone().mul_scalar(step))
        };
        f(shifted(&x, &v), shifted(&y, &w)).value
    };
    let found = f(
        Dual::new(x.clone(), v.clone()),
        Dual::new(y.clone(), w.clone()),
    );
    let expected = (at(STEP) - at(-STEP)).div_scalar(2.0 * STEP);
    let tangent = found.tangent.unwrap();
    assert_eq!(
        tangent.dims(),
        found.value.dims(),
        "{name}: shape of the tangent"
    );
    assert_close(name, &numbers(&tangent), &numbers(&expected), 1e-8);
}

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
fn sums_and_products_broadcast() {
    let full = || normal([4, 5], 2).abs().add_scalar(0.5);
    let pairs = [
        [full(), normal([4, 5], 3).abs().add_scalar(0.5)],
        [full(), normal([4, 1], 3).abs().add_scalar(0.5)],
        [normal([4, 1], 3).abs().add_scalar(0.5), full()],
        [full(), normal([1, 5], 3).abs().add_scalar(0.5)],
        [
            normal([4, 1], 3).abs().add_scalar(0.5),
            normal([1, 5], 4).abs().add_scalar(0.5),
        ],
    ];
    for pair in pairs {
        check_pair("add", pair.clone(), |x, y| x + y);
        check_pair("sub", pair.clone(), |x, y| x - y);
        check_pair("mul", pair.clone(), |x, y| x * y);
        check_pair("div", pair.clone(), |x, y| x / y);
    }
    check_pair("plus", [normal([6], 5), normal([6], 6)], Dual::plus);
}

#[test]
fn a_product_with_itself_has_both_tangents() {
    check("x · x", normal([3, 4], 7), |x| x.clone() * x);
    check("x / (1 + x²)", normal([3, 4], 7), |x| {
        x.clone() / x.square().add_scalar(1.0)
    });
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

#[test]
fn moves_and_selections() {
    let x = || normal([3, 4], 11);
    check("reshape", x(), |x| x.reshape([2, 3, 2]));
    check("swap_dims", x(), |x| x.swap_dims(0, 1));
    check("slice_dim", x(), |x| x.slice_dim(1, 1..3));
    check("repeat_dim", normal([3, 1], 11), |x| x.repeat_dim(1, 4));
    check("into_column", normal([3], 11), Dual::into_column);
    check("linear", x(), |x| {
        x.linear(|t| t.mul_scalar(3.0).sum_dim(0))
    });
    let device = FlexDevice;
    let columns = Tensor::<Flex, 1, Int>::from_ints([3, 0, 0], &device);
    check("select", x(), |x| x.select(1, columns.clone()));
    let indices = Tensor::<Flex, 2, Int>::from_ints([[1, 0], [3, 3], [2, 1]], &device);
    check("gather", x(), |x| x.gather(1, indices.clone()));
    let gathered =
        D2::constant(tensor((0..12).map(f64::from).collect(), [3, 4])).gather(1, indices);
    assert_eq!(numbers(&gathered.value), [1.0, 0.0, 7.0, 7.0, 10.0, 9.0]);
}

#[test]
fn mask_where_takes_value_and_tangent_from_one_side() {
    let device = FlexDevice;
    let mask =
        Tensor::<Flex, 2, Bool>::from_data([[true, false, true], [false, false, true]], &device);
    let pair = [normal([2, 3], 12), normal([2, 3], 13)];
    check_pair("mask_where", pair.clone(), |x, y| {
        x.mask_where(mask.clone(), y)
    });
    let [x, y] = pair;
    let nan = x.zeros_like().add_scalar(f64::NAN);
    // What is not taken may be anything.
    let left = Dual::new(x.clone().mask_where(mask.clone(), nan.clone()), nan.clone());
    let taken = left.mask_where(mask.clone(), Dual::constant(y.clone()));
    let tangent = numbers(&taken.tangent.unwrap());
    assert_eq!(
        numbers(&taken.value),
        numbers(&x.mask_where(mask.clone(), y))
    );
    let expected = [0.0, f64::NAN, 0.0, f64::NAN, f64::NAN, 0.0];
    assert!(
        tangent
            .iter()
            .zip(expected)
            .all(|(t, e)| t.is_nan() == e.is_nan() && (t.is_nan() || *t == e))
    );
}

#[test]
fn cat_fills_missing_tangents_with_zeros() {
    for dim in 0..2 {
        let middle = normal([3, 3], 15);
        let join = |x, y| Dual::cat(vec![x, Dual::constant(middle.clone()), y], dim);
        check_pair("cat", [normal([3, 3], 14), normal([3, 3], 16)], join);
    }
    let parts = || {
        vec![
            D2::constant(normal([2, 2], 1)),
            Dual::constant(normal([2, 3], 2)),
        ]
    };
    assert!(Dual::cat(parts(), 1).tangent.is_none());
}

#[test]
fn stacked_and_back() {
    let dual = Dual::new(normal([3, 4], 17), normal([3, 4], 18));
    let stacked = dual.stacked().unwrap();
    assert_eq!(stacked.dims(), [6, 4]);
    let back = D2::from_stacked(stacked);
    assert_eq!(numbers(&back.value), numbers(&dual.value));
    assert_eq!(
        numbers(&back.tangent.unwrap()),
        numbers(&dual.tangent.clone().unwrap())
    );
    assert!(D2::constant(dual.value).stacked().is_none());
}

#[test]
fn zeros_follow_the_precision() {
    let dual = D2::new(normal([3, 4], 19), normal([3, 4], 20));
    let zeros = dual.zeros([2, 2, 2]);
    assert_eq!((zeros.dtype(), zeros.dims()), (DType::F64, [2, 2, 2]));
    assert!(zeros.tangent.is_none());
    assert_eq!(numbers(&zeros.tangent_or_zeros()), [0.0; 8]);
    assert_eq!(
        numbers(&dual.tangent_or_zeros()),
        numbers(&dual.tangent.unwrap())
    );
}

#[test]
fn matrix_products() {
    let pair = [normal([3, 4], 21), normal([4, 5], 22)];
    check_pair("matmul", pair.clone(), Dual::matmul);
    let [a, b] = pair;
    let (a, b) = (numbers(&a), numbers(&b));
    let entry = |i: usize, j: usize| (0..4).map(|k| a[i * 4 + k] * b[k * 5 + j]).sum::<f64>();
    let expected: Vec<f64> = (0..15).map(|at| entry(at / 5, at % 5)).collect();
    let product =
        D2::constant(tensor(a.clone(), [3, 4])).matmul(Dual::constant(tensor(b.clone(), [4, 5])));
    assert_close("matmul", &numbers(&product.value), &expected, 1e-14);
}

#[test]
fn convolutions() {
    let weight = normal([4, 3, 3, 3], 23);
    for (padding, bias) in [([1, 1], Some(normal([4], 24))), ([0, 1], None)] {
        let options = ConvOptions::new([1, 1], padding, [1, 1], 1);
        check("conv2d", normal([2, 3, 4, 5], 25), |x| {
            x.conv2d(weight.clone(), bias.clone(), options.clone())
        });
    }
    // Where the kernel covers the whole image: one inner product with the weights, plus the bias.
    let image = normal([1, 3, 3, 3], 26);
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let found =
        Dual::constant(image.clone()).conv2d(weight.clone(), Some(normal([4], 24)), options);
    let (image, weight, bias) = (numbers(&image), numbers(&weight), numbers(&normal([4], 24)));
    let inner = |w: &[f64]| w.iter().zip(&image).map(|(a, b)| a * b).sum::<f64>();
    let expected: Vec<f64> = weight
        .chunks(27)
        .zip(bias)
        .map(|(w, b)| inner(w) + b)
        .collect();
    assert_close("conv2d", &numbers(&found.value), &expected, 1e-14);
}
