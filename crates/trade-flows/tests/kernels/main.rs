//! The kernels of `Flex` against the same formulas in plain tensor operations in f64: values,
//! tangents, and the gradients of both.

mod networks;
#[path = "../numeric/mod.rs"]
mod numeric;
mod splines;

use std::{env, process::Command};

use burn::{
    backend::Autodiff,
    tensor::{DType, Tensor},
};
use burn_flex::Flex;
use numeric::{numbers, rows};
use trade_core::{Dual, random::Stream};
use trade_flows::{FlowBackend, Stacked};
use trade_simd::InstructionSet;

type Traced = Autodiff<Flex>;
const F32: DType = DType::F32;
const F64: DType = DType::F64;

/// Two arguments of an operation, each `[rows, width]`: values above tangents if `pair`.
#[derive(Clone)]
struct Inputs {
    pair: bool,
    left: (Vec<f64>, usize),
    right: (Vec<f64>, usize),
}

impl Inputs {
    /// The same numbers as single precision has them.
    fn rounded(mut self) -> Self {
        for values in [&mut self.left.0, &mut self.right.0] {
            for v in values.iter_mut() {
                *v = f64::from(*v as f32);
            }
        }
        self
    }
}

/// What came out, and the gradients of a random linear functional of it.
struct Output {
    values: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
}

fn stacked(tensor: Tensor<Traced, 2>, pair: bool) -> Stacked<Traced> {
    Stacked::from_dual(if pair {
        Dual::from_stacked(tensor)
    } else {
        Dual::constant(tensor)
    })
}

/// Runs an operation on stacked arguments and differentiates it.
fn run(
    inputs: &Inputs,
    dtype: DType,
    op: impl Fn(Stacked<Traced>, Tensor<Traced, 2>) -> Stacked<Traced>,
) -> Output {
    let leaf =
        |(values, width): &(Vec<f64>, usize)| rows::<Traced>(values, *width, dtype).require_grad();
    let (left, right) = (leaf(&inputs.left), leaf(&inputs.right));
    let output = op(stacked(left.clone(), inputs.pair), right.clone());
    assert_eq!(output.is_pair(), inputs.pair);
    let output = output.into_tensor();
    let [n, width] = output.dims();
    let weights = rows(&Stream::new(3, 3).normal64(n * width), width, dtype);
    let gradients = (output.clone() * weights).sum().backward();
    let numbers_of = |t: Option<Tensor<Flex, 2>>| numbers(t.unwrap(), dtype);
    Output {
        values: numbers(output, dtype),
        left: numbers_of(left.grad(&gradients)),
        right: numbers_of(right.grad(&gradients)),
    }
}

/// Compares two arrays, entry by entry relative to one plus the entry; NaN and infinities must
/// agree.
fn assert_same(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let same =
            f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= tolerance * (1.0 + e.abs());
        assert!(same, "{what}[{i}]: {f}, expected {e}");
    }
}

fn compare(what: &str, found: &Output, expected: &Output, tolerance: f64, gradient_tolerance: f64) {
    assert_same(
        &format!("{what}: values"),
        &found.values,
        &expected.values,
        tolerance,
    );
    assert_same(
        &format!("{what}: first gradient"),
        &found.left,
        &expected.left,
        gradient_tolerance,
    );
    assert_same(
        &format!("{what}: second gradient"),
        &found.right,
        &expected.right,
        gradient_tolerance,
    );
}

/// Runs the other tests of this file in processes of their own, each capped to an instruction set of this
/// machine.
#[test]
fn kernels_agree_on_each_instruction_set() {
    if env::var_os(trade_simd::VARIABLE).is_some() {
        return;
    }
    let program = env::current_exe().unwrap();
    let (mut sets, mut count) = (Vec::new(), None);
    for set in InstructionSet::available() {
        let output = Command::new(&program)
            .env(trade_simd::VARIABLE, set.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{set}: {said}");
        let ran = said.matches(" ... ok").count();
        assert!(
            ran > 10 && *count.get_or_insert(ran) == ran,
            "{set}: {said}"
        );
        sets.push(set);
    }
    assert!(sets.contains(&InstructionSet::Portable), "{sets:?}");
}

#[test]
fn the_variable_caps_the_instruction_set() {
    let chosen = InstructionSet::chosen();
    match env::var(trade_simd::VARIABLE) {
        Ok(name) => assert_eq!(chosen.to_string(), name),
        Err(_) => assert_eq!(Some(chosen), InstructionSet::available().next()),
    }
}

#[test]
fn flex_has_kernels() {
    assert!(Flex::kernels().is_some());
}
