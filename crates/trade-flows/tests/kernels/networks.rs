//! Networks against tensor operations.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use trade_core::{Dual, random::Stream};
use trade_flows::{
    Direction, FlowBackend, Network, NetworkLayer, Padding, Patches, RqsShape, Stacked, Tails,
    reference_network,
};

use super::{
    F32, F64, Inputs, Traced, assert_same, compare,
    numeric::{numbers, rows},
    run,
    splines::{reference, spline},
};

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
