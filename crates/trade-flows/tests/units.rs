//! Flows that do not depend on the units of states: supports, whitening, angles.

mod numeric;

use std::f64::consts::TAU;

use burn::tensor::DType;
use burn_flex::{Flex, FlexDevice};
use numeric::{Noise, assert_close, log_abs_det, numbers, rows};
use trade_core::{
    Condition, Density, Dual,
    random::{Purpose, Stream, Streams},
};
use trade_flows::{
    Base, Features, Flow, FlowConfig, Stage, Transform,
    layer::{ConditionalWhitenConfig, LayerConfig, WhitenConfig},
};

const F64: DType = DType::F64;

/// Correlated data of deviation about 1, `[n, 3]`.
fn data(n: usize) -> Vec<f64> {
    let noise = Stream::new(3, 0).normal64(3 * n);
    let row = |z: &[f64]| [z[0] + 2.0, 0.99 * z[0] + 0.1 * z[1], z[2]];
    noise.chunks(3).flat_map(row).collect()
}

fn whitened() -> FlowConfig {
    let mut config = FlowConfig::spline(3).blocks(2).hidden(&[8]);
    let whiten = vec![LayerConfig::Whiten(WhitenConfig::default())];
    config.layers.insert(
        0,
        Stage {
            repeat: 1,
            of: whiten,
        },
    );
    config
}

/// A flow in double precision after a first batch, and the log density of that batch.
fn after_a_batch(config: &FlowConfig, batch: &[f64]) -> (Flow<Flex>, Vec<f64>) {
    let mut streams = Streams::new(1);
    let flow = config
        .init::<Flex>(&FlexDevice, streams.get(Purpose::Init))
        .unwrap();
    // In double precision, with the weights as they are.
    let flow = Noise {
        weights: 0.0,
        biases: 0.0,
        dtype: F64,
    }
    .apply(flow);
    let x = rows::<Flex>(batch, config.dim, F64);
    let condition = Condition::uniform(&[0.7], batch.len() / config.dim, &x);
    let flow = flow.initialised(x.clone(), &condition);
    let log_prob = numbers(flow.log_prob(x, &condition).value, F64);
    (flow, log_prob)
}

/// A correlated normal distribution that moves and narrows by `e^{−6 (u + 1)/2}` from `u = −1` to 1, at 40 places.
#[test]
fn a_narrowing_density_is_whitened_at_each_condition() {
    let mut config = whitened();
    config.layers = vec![Stage {
        repeat: 1,
        of: vec![LayerConfig::ConditionalWhiten(ConditionalWhitenConfig {
            knots: 12,
        })],
    }];
    let mut noise = Stream::new(5, 0);
    let row = |u: f64, z: &[f64]| {
        let width = f64::exp(-3.0 * (u + 1.0));
        let along = 0.5 * u * u + width * z[0];
        [along, 3.0 - u + width * (2.0 * z[0] + 0.1 * z[1]), z[2]]
    };
    let mut batch = |places: &[f64], each: usize| {
        let mut x = Vec::new();
        for &u in places {
            let z = noise.normal64(3 * each);
            x.extend(z.chunks(3).flat_map(|z| row(u, z)));
        }
        let control: Vec<f64> = places.iter().flat_map(|&u| vec![u; each]).collect();
        let control = rows::<Flex>(&control, 1, F64);
        (rows::<Flex>(&x, 3, F64), Condition::new(control))
    };
    let places: Vec<f64> = (0..40).map(|k| -1.0 + 2.0 * f64::from(k) / 39.0).collect();
    let flow = config
        .init::<Flex>(&FlexDevice, &mut Stream::new(1, 0))
        .unwrap();
    let flow = Noise {
        weights: 0.0,
        biases: 0.0,
        dtype: F64,
    }
    .apply(flow);
    let (x, condition) = batch(&places, 2000);
    let flow = flow.initialised_along(x, &condition);
    // Between the stations, too; the mean log density of a normal distribution is its negative entropy.
    for u in [-0.99, -0.51, 0.013, 0.7, 1.0] {
        let (x, condition) = batch(&[u], 20_000);
        let log_prob = numbers(flow.log_prob(x, &condition).value, F64);
        let mean = log_prob.iter().sum::<f64>() / 20_000.0;
        let entropy = 1.5 * (TAU.ln() + 1.0) - 6.0 * (u + 1.0) + f64::ln(0.1);
        // Moments of 2000 states cost 9 parameters/(2 · 2000) nats, and the mean has an error of √(3/2/20 000).
        assert!((mean + entropy).abs() < 0.03, "{u}: {mean} {entropy}");
    }
}

#[test]
fn other_units_give_the_same_density() {
    let batch = data(500);
    let (_, plain) = after_a_batch(&whitened(), &batch);
    for (scale, shift) in [(100.0, 0.0), (1e-9, 0.0), (1.0, 50.0), (1e7, -3e9)] {
        let moved: Vec<f64> = batch.iter().map(|x| x * scale + shift).collect();
        let (_, other) = after_a_batch(&whitened(), &moved);
        let expected: Vec<f64> = plain.iter().map(|l| l - 3.0 * f64::ln(scale)).collect();
        assert_close("log density", &other, &expected, 1e-6);
    }
    // One entry in large units, another in small ones.
    let units = [1000.0, 1e-3, 1.0];
    let moved: Vec<f64> = (batch.iter().enumerate())
        .map(|(i, x)| x * units[i % 3])
        .collect();
    let (_, other) = after_a_batch(&whitened(), &moved);
    assert_close("log density", &other, &plain, 1e-6);
}

#[test]
fn whitened_data_have_unit_covariance() {
    let batch = data(2000);
    let (flow, _) = after_a_batch(&whitened(), &batch);
    let x = rows::<Flex>(&batch, 3, F64);
    let features = flow.features(&Condition::uniform(&[0.7], 2000, &x));
    let (z, log_det) = flow.layers()[0].forward(Dual::constant(x.clone()), &features);
    let (back, inverse) = flow.layers()[0].inverse(z.clone(), &features);
    assert_close("there and back", &numbers(back.value, F64), &batch, 1e-10);
    let total = numbers(log_det.value.clone() + inverse.value, F64);
    assert_close("log determinants", &total, &vec![0.0; 2000], 1e-10);
    let z = numbers(z.value, F64);
    let covariance = |i: usize, j: usize| {
        let products = z.chunks(3).map(|row| row[i] * row[j]);
        products.sum::<f64>() / 2000.0
    };
    for (i, j) in [(0, 0), (0, 1), (1, 1), (2, 2)] {
        let (found, expected) = (covariance(i, j), if i == j { 1.0 } else { 0.0 });
        assert!((found - expected).abs() < 1e-9, "{i} {j}: {found}");
    }
    // The third entry, which correlates with no other, only has its mean and deviation taken out.
    let third: Vec<f64> = batch.iter().skip(2).step_by(3).copied().collect();
    let mean = third.iter().sum::<f64>() / 2000.0;
    let deviation = (third.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2000.0).sqrt();
    let expected: Vec<f64> = third.iter().map(|x| (x - mean) / deviation).collect();
    let found: Vec<f64> = z.iter().skip(2).step_by(3).copied().collect();
    assert_close("the third entry", &found, &expected, 1e-10);
}

/// A flow of a real, a positive and a bounded entry and two angles.
fn with_angles() -> FlowConfig {
    serde_json::from_str(
        r#"{ "dim": 5, "base": { "torus": { "angles": 2 } }, "layers": [
            { "of": [
                { "support": ["angle", "real", "positive", { "interval": { "low": -1.0, "high": 3.0 } }, "angle"] },
                { "fixed_permutation": { "order": [1, 2, 3, 0, 4] } },
                { "whiten": { "except_last": 2 } } ] },
            { "repeat": 2, "of": [
                { "group_coupling": { "moved": [2, 5], "given": [0, 2], "circular": [3, 5], "real": true,
                    "map": { "spline": { "bins": 5 } }, "conditioner": { "hidden": [8] } } },
                { "group_coupling": { "moved": [0, 2], "given": [2, 5], "circular": [3, 5], "real": true,
                    "map": { "spline": { "bins": 5 } }, "conditioner": { "hidden": [8] } } },
                { "circular_shift": { "entries": [3, 5], "by": 0.38, "learnable": true } } ] } ] }"#,
    )
    .unwrap()
}

#[test]
fn a_density_on_mixed_supports_is_that_of_its_samples() {
    let config = with_angles();
    config.validate("flow").unwrap();
    let flow = config
        .init::<Flex>(&FlexDevice, &mut Stream::new(8, 0))
        .unwrap();
    let flow = Noise {
        weights: 0.3,
        biases: 0.1,
        dtype: F64,
    }
    .apply(flow);
    // The batch makes whitening and its inverse fit each other again.
    let n = 400;
    let noise = Stream::new(2, 0).normal64(5 * n);
    let row = |z: &[f64]| [z[0], 30.0 + z[1], z[2].exp(), 1.0 + z[3].tanh(), 2.0 * z[4]];
    let batch: Vec<f64> = noise.chunks(5).flat_map(row).collect();
    let x = rows::<Flex>(&batch, 5, F64);
    let flow = flow.initialised(x.clone(), &Condition::uniform(&[0.7], n, &x));

    let noise = rows::<Flex>(&Stream::new(4, 0).normal64(5 * 64), 5, F64);
    let condition = Condition::uniform(&[0.7], 64, &noise);
    let (x, sampled) = flow.sample(noise, &condition);
    let evaluated = flow.log_prob(x.clone(), &condition).value;
    assert_close(
        "density of samples",
        &numbers(evaluated.clone(), F64),
        &numbers(sampled, F64),
        1e-6,
    );
    let points = numbers(x, F64);
    for row in points.chunks(5) {
        assert!(row[2] > 0.0 && (-1.0..3.0).contains(&row[3]), "{row:?}");
        assert!(
            row[0].abs() <= TAU / 2.0 && row[4].abs() <= TAU / 2.0,
            "{row:?}"
        );
    }
    // A full turn changes nothing.
    let turned: Vec<f64> = points
        .chunks(5)
        .flat_map(|r| [r[0] + TAU, r[1], r[2], r[3], r[4] - 2.0 * TAU])
        .collect();
    let again = flow
        .log_prob(rows::<Flex>(&turned, 5, F64), &condition)
        .value;
    assert_close(
        "density after a turn",
        &numbers(again, F64),
        &numbers(evaluated, F64),
        1e-6,
    );
}

#[test]
fn log_determinants_of_supports_are_those_of_differences() {
    let config = with_angles();
    let flow = config
        .init::<Flex>(&FlexDevice, &mut Stream::new(8, 0))
        .unwrap();
    let point = [0.3, 2.0, 0.4, 1.7, -2.0];
    let x = rows::<Flex>(&point, 5, F64);
    let features: Features<Flex> = flow.features(&Condition::uniform(&[0.7], 1, &x));
    let layer = &flow.layers()[0];
    let (_, log_det) = layer.forward(Dual::constant(x), &features);
    let image = |at: &[f64]| {
        let x = rows::<Flex>(at, 5, F64);
        numbers(layer.forward(Dual::constant(x), &features).0.value, F64)
    };
    let h = 1e-6;
    let mut jacobian = Vec::new();
    for i in 0..5 {
        let at = |step: f64| {
            let mut moved = point;
            moved[i] += step;
            image(&moved)
        };
        let pairs = at(h).into_iter().zip(at(-h));
        jacobian.push(pairs.map(|(up, down)| (up - down) / (2.0 * h)).collect());
    }
    let expected = log_abs_det(jacobian);
    assert_close(
        "log determinant",
        &numbers(log_det.value, F64),
        &[expected],
        1e-6,
    );
}

#[test]
fn the_base_of_angles_is_normal_and_uniform() {
    let z = rows::<Flex>(&[1.0, -2.0, 0.3, 0.9], 4, F64);
    let control = Dual::constant(rows::<Flex>(&[0.7], 1, F64));
    let found = Base::Torus { angles: 2 }.log_prob(Dual::constant(z.clone()), &control);
    let expected = -0.5 * (1.0 + 4.0) - TAU.ln();
    assert_close(
        "log density",
        &numbers(found.value, F64),
        &[expected],
        1e-12,
    );
    let drawn = numbers(Base::Torus { angles: 2 }.scale(z, &control), F64);
    assert_close(
        "noise",
        &drawn,
        &[1.0, -2.0, 0.617_911_422, 0.815_939_875],
        1e-7,
    );
    assert!(
        Base::Torus { angles: 4 }
            .log_prob(Dual::constant(rows::<Flex>(&[0.5; 4], 4, F64)), &control)
            .value
            .into_scalar()
            == 0.0
    );
}
