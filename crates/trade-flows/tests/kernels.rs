//! The kernels of `Flex` against the same formulas in plain tensor operations in f64: values,
//! tangents, and the gradients of both.

mod numeric;

use std::{env, process::Command, sync::Arc};

use burn::{
    backend::Autodiff,
    tensor::{DType, Tensor, TensorData},
};
use burn_flex::{Flex, FlexDevice};
use numeric::{numbers, rows};
use trade_core::{Dual, random::Stream};
use trade_flows::{
    Direction, FlowBackend, Network, NetworkLayer, Padding, Patches, RqsShape, Stacked, Tails,
    reference_network, reference_rqs,
};
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

const SHAPES: [RqsShape; 6] = [
    RqsShape {
        bins: 2,
        tails: Tails::Learnable,
    },
    RqsShape {
        bins: 8,
        tails: Tails::Learnable,
    },
    RqsShape {
        bins: 11,
        tails: Tails::Learnable,
    },
    RqsShape {
        bins: 2,
        tails: Tails::Identity { bound: 1.5 },
    },
    RqsShape {
        bins: 8,
        tails: Tails::Identity { bound: 4.0 },
    },
    RqsShape {
        bins: 10,
        tails: Tails::Identity { bound: 3.0 },
    },
];

/// Runs a check over all shapes, both directions, with and without tangents.
fn each(check: impl Fn(&str, RqsShape, Direction, bool)) {
    for shape in SHAPES {
        for direction in [Direction::Forward, Direction::Inverse] {
            for pair in [false, true] {
                check(
                    &format!("{shape:?} {direction:?} pair: {pair}"),
                    shape,
                    direction,
                    pair,
                );
            }
        }
    }
}

/// Arguments inside and far outside the knots under random parameters.
fn spline(shape: RqsShape, pair: bool, n: usize, d: usize, spread: f64) -> Inputs {
    let mut stream = Stream::new(1, 1);
    let mut x: Vec<f64> = stream.normal64(n * d).iter().map(|z| 2.0 * z).collect();
    for (x, far) in x.iter_mut().step_by(5).zip([1e3, -1e3, 40.0, -7.0]) {
        *x = far;
    }
    let p = d * shape.width();
    let mut parameters: Vec<f64> = stream.normal64(n * p).iter().map(|z| spread * z).collect();
    if pair {
        x.extend(stream.normal64(n * d));
        parameters.extend(stream.normal64(n * p));
    }
    Inputs {
        pair,
        left: (x, d),
        right: (parameters, p),
    }
}

fn kernel(shape: RqsShape, direction: Direction, inputs: &Inputs, dtype: DType) -> Output {
    run(inputs, dtype, |x, p| {
        Traced::rqs(&shape, direction, x, stacked(p, inputs.pair))
    })
}

fn reference(shape: RqsShape, direction: Direction, inputs: &Inputs) -> Output {
    run(inputs, F64, |x, p| {
        reference_rqs(&shape, direction, x, stacked(p, inputs.pair))
    })
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

#[test]
fn splines_agree() {
    each(|what, shape, direction, pair| {
        for d in [1, 3] {
            let inputs = spline(shape, pair, 30, d, 0.8);
            let expected = reference(shape, direction, &inputs);
            compare(
                what,
                &kernel(shape, direction, &inputs, F64),
                &expected,
                1e-9,
                1e-8,
            );

            let inputs = inputs.rounded();
            let (found, expected) = (
                kernel(shape, direction, &inputs, F32),
                reference(shape, direction, &inputs),
            );
            // Derivatives of a spline grow like 1/w and 1/w², and so does what rounding does to them;
            // measured: 4e-5 and 4e-4 at most.
            let (tolerance, gradient_tolerance) = if shape.bins == 2 {
                (5e-6, 3e-5)
            } else {
                (1e-4, 1e-3)
            };
            compare(what, &found, &expected, tolerance, gradient_tolerance);
        }
    });
}

#[test]
fn splines_agree_under_extreme_parameters() {
    each(|what, shape, direction, pair| {
        let inputs = spline(shape, pair, 40, 2, 6.0);
        let expected = reference(shape, direction, &inputs);
        let found = kernel(shape, direction, &inputs, F64);
        // Slopes of 1e-8 and less amplify every rounding: relative to the largest of the array.
        for (found, expected) in [
            (&found.values, &expected.values),
            (&found.left, &expected.left),
            (&found.right, &expected.right),
        ] {
            let size = expected.iter().fold(1.0, |size: f64, e| size.max(e.abs()));
            for (f, e) in found.iter().zip(expected) {
                assert!((f - e).abs() <= 1e-6 * size, "{what}: {f}, expected {e}");
            }
        }
        let single = kernel(shape, direction, &inputs.rounded(), F32);
        let all = single
            .values
            .iter()
            .chain(&single.left)
            .chain(&single.right);
        assert!(pair || all.into_iter().all(|v| v.is_finite()), "{what}");
    });
}

#[test]
fn splines_agree_on_the_knots() {
    each(|what, shape, direction, pair| {
        // Zero parameters put the knots at equal distances.
        let bound = if let Tails::Identity { bound } = shape.tails {
            bound
        } else {
            3.0
        };
        let knot = |k: usize| -bound + 2.0 * bound * k as f64 / shape.bins as f64;
        let mut x: Vec<f64> = (0..=shape.bins).map(knot).collect();
        let n = x.len();
        let (mut parameters, p) = (vec![0.0; n * shape.width()], shape.width());
        if pair {
            let mut stream = Stream::new(4, 4);
            x.extend(stream.normal64(n));
            parameters.extend(stream.normal64(n * p));
        }
        let inputs = Inputs {
            pair,
            left: (x, 1),
            right: (parameters, p),
        };
        let found = kernel(shape, direction, &inputs, F64).values;
        let expected = reference(shape, direction, &inputs).values;
        // On a knot the derivative of the log derivative has two values; all else is continuous.
        for (at, (f, e)) in found.chunks(2).zip(expected.chunks(2)).enumerate() {
            let compared = if at < n { 2 } else { 1 };
            assert_same(what, &f[..compared], &e[..compared], 1e-9);
        }
    });
}

#[test]
fn splines_agree_on_what_is_not_finite() {
    each(|what, shape, direction, pair| {
        let mut inputs = spline(shape, pair, 12, 1, 0.8);
        inputs.left.0[..3].copy_from_slice(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        let kernel = Traced::rqs(
            &shape,
            direction,
            argument(&inputs, 0),
            argument(&inputs, 1),
        );
        let plain = reference_rqs(
            &shape,
            direction,
            argument(&inputs, 0),
            argument(&inputs, 1),
        );
        let (found, expected) = (
            numbers(kernel.into_tensor(), F64),
            numbers(plain.into_tensor(), F64),
        );
        for row in 0..12 {
            let row = 2 * row..2 * row + 2;
            assert_same(what, &found[row.clone()], &expected[row], 1e-9);
        }
        assert!(found[0].is_nan() && found[1].is_nan());
        assert_eq!((found[2], found[4]), (f64::INFINITY, f64::NEG_INFINITY));
    });
}

fn argument(inputs: &Inputs, which: usize) -> Stacked<Traced> {
    let (values, width) = if which == 0 {
        &inputs.left
    } else {
        &inputs.right
    };
    stacked(rows(values, *width, F64), inputs.pair)
}

#[test]
fn splines_agree_in_batches_that_are_cut_for_threads() {
    let shape = RqsShape {
        bins: 8,
        tails: Tails::Learnable,
    };
    for direction in [Direction::Forward, Direction::Inverse] {
        let inputs = spline(shape, true, 4001, 3, 0.5);
        let expected = reference(shape, direction, &inputs);
        let found = kernel(shape, direction, &inputs, F64);
        compare(&format!("{direction:?}"), &found, &expected, 1e-8, 1e-6);
    }
}

#[test]
fn one_tangent_is_enough() {
    // A constant argument under parameters that move, and the reverse.
    let shape = RqsShape {
        bins: 6,
        tails: Tails::Learnable,
    };
    let [plain, pair] = [false, true].map(|pair| spline(shape, pair, 20, 2, 0.8));
    for (x, p) in [(&plain, &pair), (&pair, &plain)] {
        for direction in [Direction::Forward, Direction::Inverse] {
            let found = Traced::rqs(&shape, direction, argument(x, 0), argument(p, 1));
            let expected = reference_rqs(&shape, direction, argument(x, 0), argument(p, 1));
            assert!(found.is_pair() && expected.is_pair());
            let expected = numbers(expected.into_tensor(), F64);
            assert_same(
                "tangent",
                &numbers(found.into_tensor(), F64),
                &expected,
                1e-9,
            );
        }
    }
}

#[test]
fn one_bin_is_a_spline_too() {
    for tails in [Tails::Learnable, Tails::Identity { bound: 2.0 }] {
        let shape = RqsShape { bins: 1, tails };
        for direction in [Direction::Forward, Direction::Inverse] {
            let inputs = spline(shape, true, 20, 2, 0.8);
            let expected = reference(shape, direction, &inputs);
            compare(
                "one bin",
                &kernel(shape, direction, &inputs, F64),
                &expected,
                1e-9,
                1e-8,
            );
        }
    }
}

/// Networks of several kinds: a linear layer, a perceptron, one whose input is yet to be activated,
/// and one with residual blocks; widths below, at and beyond whole vectors and tiles.
fn networks() -> Vec<Network> {
    let mut residual = Network::plain(7, &[20, 33, 20, 12, 20, 9]);
    residual.layers[2].skip = Some(1);
    residual.layers[4].skip = Some(3);
    residual.layers[5].activated = false;
    let mut activated = Network::plain(33, &[40, 70, 17, 3]);
    activated.layers[0].activated = true;
    let all: Vec<usize> = (0..16).collect();
    let odd: Vec<usize> = all
        .iter()
        .copied()
        .filter(|x| (x / 4 + x % 4) % 2 == 1)
        .collect();
    let torus = Patches::new(4, 3, Padding::Circular, &all, &all);
    let plane = Patches::new(4, 3, Padding::Zero, &odd, &all).with_input(|output| output > 3);
    let fewer = Patches::new(4, 3, Padding::Zero, &all, &odd);
    let mut convolutions = Network::plain(3, &[21, 16, 16, 5]);
    convolutions.sites = 9;
    convolutions.layers[0].patches = Some(Arc::new(plane));
    convolutions.layers[1].patches = Some(Arc::new(torus));
    convolutions.layers[2].patches = Some(Arc::new(fewer));
    vec![
        convolutions,
        Network::plain(1, &[1]),
        Network::plain(5, &[16, 16, 50]),
        // Whole vectors at both ends: nothing is left beside squares that are transposed.
        Network::plain(16, &[20, 32]),
        activated,
        residual,
    ]
}

/// A network's parameters, cut from one row.
fn parameters<B: FlowBackend>(
    network: &Network,
    row: &Tensor<B, 2>,
) -> Vec<(Tensor<B, 2>, Tensor<B, 1>)> {
    let (mut inputs, mut at) = (network.inputs, 0);
    let layer = |layer: &NetworkLayer| {
        let outputs = layer.outputs;
        inputs *= layer.patches.as_ref().map_or(1, |patches| patches.taps());
        let weight = row.clone().narrow(1, at, inputs * outputs);
        let bias = row.clone().narrow(1, at + inputs * outputs, outputs);
        at += (inputs + 1) * outputs;
        let pair = (
            weight
                .reshape([inputs, outputs])
                .mul_scalar((inputs as f64).powf(-0.5)),
            bias.reshape([outputs]),
        );
        inputs = outputs;
        pair
    };
    network.layers.iter().map(layer).collect()
}

/// How many parameters a network has.
fn count(network: &Network) -> usize {
    let mut inputs = network.inputs;
    let layer = |layer: &NetworkLayer| {
        let taps = layer.patches.as_ref().map_or(1, |patches| patches.taps());
        let count = (taps * inputs + 1) * layer.outputs;
        inputs = layer.outputs;
        count
    };
    network.layers.iter().map(layer).sum()
}

#[test]
fn networks_agree() {
    for network in networks() {
        let count = count(&network);
        for n in [1, 16, 75, 300] {
            for pair in [false, true] {
                let mut stream = Stream::new(8, 8);
                let rows = n * network.sites * if pair { 2 } else { 1 };
                let inputs = Inputs {
                    pair,
                    left: (stream.normal64(rows * network.inputs), network.inputs),
                    right: (stream.normal64(count), count),
                };
                for (dtype, inputs, tolerance) in
                    [(F64, inputs.clone(), 1e-12), (F32, inputs.rounded(), 2e-5)]
                {
                    let found = run(&inputs, dtype, |x, p| {
                        Traced::network(&network, x, parameters(&network, &p))
                    });
                    let expected = run(&inputs, F64, |x, p| {
                        reference_network(&network, x, parameters(&network, &p))
                    });
                    let what = format!("{network:?} {n} {pair} {dtype:?}");
                    // Gradients of the parameters are sums over rows.
                    let sums = tolerance * (1.0 + (n as f64).sqrt());
                    compare(&what, &found, &expected, tolerance, sums);
                    let plain = without_gradient(&network, &inputs, dtype);
                    assert_same(&what, &plain, &found.values, 1e-15);
                }
            }
        }
    }
}

/// The same values from the pass that records nothing.
fn without_gradient(network: &Network, inputs: &Inputs, dtype: DType) -> Vec<f64> {
    let x = rows::<Flex>(&inputs.left.0, inputs.left.1, dtype);
    let x = Stacked::from_dual(if inputs.pair {
        Dual::from_stacked(x)
    } else {
        Dual::constant(x)
    });
    let row = rows::<Flex>(&inputs.right.0, inputs.right.1, dtype);
    numbers(
        Flex::network(network, x, parameters(network, &row)).into_tensor(),
        dtype,
    )
}

/// Sums over rows are cut at fixed places, so that a run does not depend on the threads.
#[test]
fn gradients_of_networks_do_not_depend_on_threads() {
    let network = Network::plain(9, &[128, 128, 30]);
    let count = count(&network);
    let mut stream = Stream::new(9, 9);
    let inputs = Inputs {
        pair: true,
        left: (stream.normal64(2 * 700 * 9), 9),
        right: (stream.normal64(count), count),
    };
    let [one, three] = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let output = run(&inputs, F32, |x, p| {
                Traced::network(&network, x, parameters(&network, &p))
            });
            [output.values, output.left, output.right]
        })
    });
    assert_eq!(one, three);
}

/// A network that is one activation: its limits, with tangents, against the formula.
#[test]
fn activations_have_their_limits() {
    let mut network = Network::plain(1, &[1]);
    network.layers[0].activated = true;
    let (x, tangent) = ([1e30, -1e30, f64::NAN, -200.0, 30.0, -30.0, 0.0, 1.5], 1.0);
    for dtype in [F32, F64] {
        let argument = Dual {
            value: rows::<Flex>(&x, 1, dtype),
            tangent: Some(rows(&[tangent; 8], 1, dtype)),
        };
        let one = vec![(rows(&[1.0], 1, dtype), rows(&[0.0], 1, dtype).reshape([1]))];
        let found = Flex::network(&network, Stacked::from_dual(argument), one);
        let found = numbers(found.into_tensor(), dtype);
        for (i, x) in x.into_iter().enumerate() {
            let gate = 1.0 / (1.0 + (-x).exp());
            let expected = [x * gate, gate * (1.0 + x * (1.0 - gate))];
            let expected = if x == 1e30 { [x, 1.0] } else { expected };
            assert_same("silu", &[found[i]], &expected[..1], 3e-6);
            assert_same("slope", &[found[8 + i]], &expected[1..], 3e-6);
        }
    }
}

/// The patches of `plane` by hand: a sum over all four neighbours and the site itself.
#[test]
fn a_convolution_is_a_sum_over_neighbours() {
    let all: Vec<usize> = (0..9).collect();
    let patches = Arc::new(Patches::new(3, 3, Padding::Zero, &all, &all));
    let field = Stream::new(6, 6).normal64(9);
    // Taps by rows of the 3×3 square: a cross.
    let cross = [0.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0, 1.0, 0.0];
    let x = Stacked::from_dual(Dual::constant(rows::<Flex>(&field, 1, F64)));
    let mut network = Network::plain(1, &[1]);
    network.sites = 9;
    network.layers[0].patches = Some(patches);
    let parameters = vec![(rows(&cross, 1, F64), rows(&[0.0], 1, F64).reshape([1]))];
    let found = Flex::network(&network, x, parameters).into_tensor();
    let at = |t: isize, s: isize| {
        let inside = (0..3).contains(&t) && (0..3).contains(&s);
        if inside {
            field[(3 * t + s) as usize]
        } else {
            0.0
        }
    };
    let expected: Vec<f64> = (0..9_isize)
        .map(|x| (x / 3, x % 3))
        .map(|(t, s)| 2.0 * at(t, s) + at(t - 1, s) + at(t + 1, s) + at(t, s - 1) + at(t, s + 1))
        .collect();
    assert_same("cross", &numbers(found, F64), &expected, 1e-14);
}

#[test]
fn strided_tensors_are_read_in_their_own_order() {
    let shape = RqsShape {
        bins: 4,
        tails: Tails::Learnable,
    };
    let (n, d) = (9, 2);
    let inputs = spline(shape, false, n, d, 0.8);
    let expected = reference(shape, Direction::Forward, &inputs).values;
    // The same matrices as transposes and as slices of larger ones.
    let turned = |(values, width): &(Vec<f64>, usize)| -> Tensor<Flex, 2> {
        let rows = values.len() / width;
        let columns: Vec<f64> = (0..values.len())
            .map(|i| values[i % rows * width + i / rows])
            .collect();
        let data = TensorData::new(columns, [*width, rows]);
        Tensor::from_data(data, (&FlexDevice, F64)).transpose()
    };
    let cut = |(values, width): &(Vec<f64>, usize)| {
        let inner = rows::<Flex>(values, *width, F64);
        let edge = inner.ones_like().mul_scalar(77.0);
        Tensor::cat(vec![edge.clone(), inner, edge], 1).narrow(1, *width, *width)
    };
    for (x, p) in [
        (turned(&inputs.left), turned(&inputs.right)),
        (cut(&inputs.left), cut(&inputs.right)),
    ] {
        let plain = |t: Tensor<Flex, 2>| Stacked::from_dual(Dual::constant(t));
        let found = Flex::rqs(&shape, Direction::Forward, plain(x.clone()), plain(p));
        assert_same(
            "strided",
            &numbers(found.into_tensor(), F64),
            &expected,
            1e-10,
        );
        // The weights of a network as a transpose and as a slice, too.
        let network = Network::plain(2, &[3]);
        let weight = rows::<Flex>(&[0.5, -1.0, 2.0, 0.25, 3.0, -0.5], 2, F64).transpose();
        let bias = rows::<Flex>(&[9.0, 0.5, -0.25, 1.0, 9.0], 5, F64);
        let bias = bias.narrow(1, 1, 3).reshape([3]);
        let parameters = vec![(weight.clone(), bias.clone())];
        let found = Flex::network(&network, plain(x.clone()), parameters).into_tensor();
        let expected = x.matmul(weight) + bias.unsqueeze_dim::<2>(0);
        assert_same(
            "linear",
            &numbers(found, F64),
            &numbers(expected, F64),
            1e-14,
        );
    }
}
