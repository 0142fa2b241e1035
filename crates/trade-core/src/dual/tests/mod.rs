//! Values against the standard library, tangents against central differences, in f64.

mod algebra;
mod functions;

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
