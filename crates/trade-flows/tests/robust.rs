//! Flows on data as they are: in any units, far from the origin, with outliers, of one dimension,
//! and asked about points far outside of what they were trained on.

mod layer_cases;
mod numeric;

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    tensor::{DType, Tensor},
};
use burn_flex::{Flex, FlexDevice};
use layer_cases::{Batch, DIRECTIONS, each};
use numeric::{assert_close, map_values, numbers, rows};
use trade_core::{
    Condition, Density,
    random::Stream,
    train::{Adam, AdamConfig, Gradient},
};
use trade_flows::{Direction, Flow, FlowConfig, layer::LayerConfig};

type Tracked = Autodiff<Flex>;
const F32: DType = DType::F32;
const F64: DType = DType::F64;

/// A flow of two entries, normalised first, given two observed numbers.
fn normalised(seed: u64) -> Flow<Flex> {
    let mut config = FlowConfig::spline(2).context(2).blocks(2).hidden(&[16, 16]);
    config.layers[0].of.insert(0, LayerConfig::ActNorm);
    config.init(&FlexDevice, &mut Stream::new(seed, 7)).unwrap()
}

/// `(θ, y)` with `θ ~ N(0, 1)²` and `y = θ + 0.5 noise`, row by row.
fn simulations(n: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let theta = Stream::new(seed, 0).normal64(2 * n);
    let noise = Stream::new(seed, 1).normal64(2 * n);
    let y = theta.iter().zip(&noise).map(|(t, e)| t + 0.5 * e).collect();
    (theta, y)
}

#[test]
fn units_and_offsets_change_nothing_but_the_jacobian() {
    let (theta, y) = simulations(500, 1);
    let log_prob = |scale: f64, offset: f64, y_scale: f64, y_offset: f64| -> Vec<f64> {
        let map = |v: &[f64], a: f64, b: f64| v.iter().map(|v| a * v + b).collect::<Vec<_>>();
        let x = rows::<Flex>(&map(&theta, scale, offset), 2, F32);
        let y = rows::<Flex>(&map(&y, y_scale, y_offset), 2, F32);
        let condition = Condition::uniform(&[1.0], 500, &x).with_context(Some(y));
        let flow = normalised(3).initialised(x.clone(), &condition);
        let found = numbers(flow.log_prob(x, &condition).value, F32);
        found.iter().map(|l| l + 2.0 * scale.ln()).collect()
    };
    let plain = log_prob(1.0, 0.0, 1.0, 0.0);
    for unit in [1e-12, 1e-9, 1e-7, 1e-3, 1e4, 1e9] {
        assert_close("states", &log_prob(unit, 0.0, 1.0, 0.0), &plain, 2e-3);
        assert_close("observations", &log_prob(1.0, 0.0, unit, 0.0), &plain, 2e-3);
    }
    // Single precision resolves 0.004 at 10⁵.
    for offset in [-3e3_f64, 1e5] {
        let tolerance = 1e-6 * offset.abs();
        assert_close(
            "states",
            &log_prob(1.0, offset, 1.0, 0.0),
            &plain,
            tolerance,
        );
        assert_close(
            "observations",
            &log_prob(1.0, 0.0, 1.0, offset),
            &plain,
            tolerance,
        );
    }
}

#[test]
fn far_states_are_scaled_about_their_centre() {
    let x: Vec<f64> = Stream::new(5, 0)
        .normal64(800)
        .iter()
        .map(|z| 1e5 + 2.0 * z)
        .collect();
    let x = rows::<Flex>(&x, 2, F32);
    let condition = Condition::uniform(&[1.0], 400, &x);
    let mut config = FlowConfig::spline(2);
    config.layers.truncate(0);
    config
        .layers
        .push(serde_json::from_str(r#"{ "of": ["act_norm"] }"#).unwrap());
    let flow: Flow<Flex> = config.init(&FlexDevice, &mut Stream::new(1, 7)).unwrap();
    let flow = flow.initialised(x, &condition);
    // A larger log scale, as a training step may make it, narrows the samples about their mean.
    let flow = map_values(flow, F32, |place, _, values| {
        if place == 0 {
            for s in values {
                *s += 0.1;
            }
        }
    });
    let noise = rows::<Flex>(&Stream::new(6, 0).normal64(800), 2, F32);
    let sampled = numbers(flow.sample(noise, &condition).0, F32);
    let mean = sampled.iter().sum::<f64>() / 800.0;
    assert!((mean - 1e5).abs() < 0.3, "{mean}");
    let deviation = (sampled.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 800.0).sqrt();
    assert!(
        (deviation - 2.0 * (-0.1_f64).exp()).abs() < 0.15,
        "{deviation}"
    );
}

#[test]
fn observations_that_are_constant_rare_or_heavy_tailed_stay_within_reach() {
    let n = 4096;
    let uniform = Stream::new(7, 0).uniform(n);
    let cauchy = |u: f64| 100.0 * (std::f64::consts::PI * (u - 0.5)).tan();
    let columns: [Vec<f64>; 4] = [
        vec![300.0; n],
        (0..n).map(|i| if i == 77 { 1000.0 } else { 0.0 }).collect(),
        uniform.iter().map(|u| cauchy(*u)).collect(),
        Stream::new(7, 1).normal64(n),
    ];
    let y: Vec<f64> = (0..n)
        .flat_map(|i| columns.iter().map(move |c| c[i]))
        .collect();
    let x = rows::<Flex>(&Stream::new(7, 2).normal64(n), 1, F32);
    let condition = Condition::uniform(&[1.0], n, &x).with_context(Some(rows(&y, 4, F32)));
    let config = FlowConfig::spline(1).context(4);
    let flow: Flow<Flex> = config.init(&FlexDevice, &mut Stream::new(1, 7)).unwrap();
    let flow = flow.initialised(x, &condition);
    let seen =
        |condition: &Condition<Flex>| numbers(flow.features(condition).context.unwrap(), F32);
    let column =
        |seen: &[f64], j: usize| seen.iter().skip(j).step_by(4).copied().collect::<Vec<_>>();
    let found = seen(&condition);
    assert!(column(&found, 0).iter().all(|v| *v == 0.0));
    assert!(found.iter().all(|v| v.abs() < 16.0));
    // One to one: order is kept, also of what is beyond.
    let (before, after) = (&columns[2], column(&found, 2));
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| before[*a].total_cmp(&before[*b]));
    assert!(order.windows(2).all(|w| after[w[0]] <= after[w[1]]));
    // Ordinary observations are as they always were: mean 0, deviation 1.
    let plain = column(&found, 3);
    let mean = plain.iter().sum::<f64>() / n as f64;
    let square = plain.iter().map(|v| v * v).sum::<f64>() / n as f64;
    assert!(
        mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-4,
        "{mean} {square}"
    );
    // What was never seen is finite, however large.
    let far = [3e38, -3e38, 3e38, -3e38];
    let condition = Condition::uniform(&[1.0], 1, &rows::<Flex>(&[0.0], 1, F32));
    let far = seen(&condition.with_context(Some(rows(&far, 4, F32))));
    assert!(
        far.iter().all(|v| v.is_finite() && v.abs() < 120.0),
        "{far:?}"
    );
}

/// `θ ~ N(0, 1)` and `y = θ + noise/2`, so that under the power β of the likelihood the posterior is
/// normal, with precision `1 + 4β` and mean `4βy/(1 + 4β)`.
#[test]
fn a_posterior_of_one_parameter_is_learned_without_augmentation() {
    let config = FlowConfig::spline(1).context(1).blocks(2).hidden(&[32, 32]);
    let flow: Flow<Tracked> = config.init(&FlexDevice, &mut Stream::new(1, 7)).unwrap();
    let draw = |seed: u64, n: usize| {
        let theta = Stream::new(seed, 0).normal64(n);
        let noise = Stream::new(seed, 1).normal64(n);
        let y: Vec<f64> = theta.iter().zip(&noise).map(|(t, e)| t + 0.5 * e).collect();
        let x = rows::<Tracked>(&theta, 1, F32);
        let condition = Condition::uniform(&[1.0], n, &x).with_context(Some(rows(&y, 1, F32)));
        (x, condition)
    };
    let (x, condition) = draw(100, 2048);
    let mut flow = flow.initialised(x, &condition);
    let mut adam = Adam::new(AdamConfig::default());
    for step in 0..400 {
        let (x, condition) = draw(200 + step, 256);
        let loss = flow.log_prob(x, &condition).value.mean().neg();
        let gradient = Gradient::of(loss, &flow);
        let norm = gradient.norm();
        let rate = 5e-3 * (1.0 - step as f64 / 400.0);
        flow = adam.step(flow, gradient, norm, rate);
    }
    let flow = flow.valid();
    for y in [-0.8, 0.3, 1.5] {
        let n = 4000;
        let noise = rows::<Flex>(&Stream::new(9, 0).normal64(n), 1, F32);
        let context: Tensor<Flex, 2> = rows(&vec![y; n], 1, F32);
        let condition = Condition::uniform(&[1.0], n, &noise).with_context(Some(context));
        let (x, log_prob) = flow.sample(noise, &condition);
        let theta = numbers(x.clone(), F32);
        let mean = theta.iter().sum::<f64>() / n as f64;
        let deviation = (theta.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        let (exact_mean, exact) = (4.0 * y / 5.0, 0.2_f64.sqrt());
        assert!(
            (mean - exact_mean).abs() < 0.25 * exact,
            "{y}: {mean} {exact_mean}"
        );
        assert!(
            (deviation / exact - 1.0).abs() < 0.2,
            "{y}: {deviation} {exact}"
        );
        let again = numbers(flow.log_prob(x, &condition).value, F32);
        assert_close("log p", &again, &numbers(log_prob, F32), 1e-4);
    }
}

/// A flow with noise on its weights, twice as much on its biases.
fn of_size(config: &FlowConfig, seed: u64, size: f64) -> Flow<Flex> {
    let flow: Flow<Flex> = config.init(&FlexDevice, &mut Stream::new(seed, 7)).unwrap();
    let mut stream = Stream::new(seed, 8);
    map_values(flow, F32, |_, rank, values| {
        let scale = if rank == 2 { size } else { 2.0 * size };
        let noise = stream.normal64(values.len());
        values
            .iter_mut()
            .zip(noise)
            .for_each(|(v, z)| *v += scale * z);
    })
}

/// Weights as large as a training that fails may leave them.
fn wild(config: &FlowConfig, seed: u64) -> Flow<Flex> {
    of_size(config, seed, 0.15)
}

#[test]
fn densities_far_out_are_numbers_that_fall_along_rays() {
    let radii = [1e4, 1e6, 1e12, 1e18, 1e25, 1e38];
    for seed in 0..6 {
        for mix in ["hard", "soft"] {
            let mut config = FlowConfig::spline(4).blocks(8).bins(32);
            config.layers[0].of[1] = LayerConfig::Permutation(match mix {
                "hard" => trade_flows::layer::PermutationKind::Hard,
                _ => trade_flows::layer::PermutationKind::Soft,
            });
            let flow = wild(&config, seed);
            let rays = 40;
            let directions = Stream::new(seed, 9).normal64(4 * rays);
            let mut before = vec![f64::INFINITY; rays];
            for radius in radii {
                let x: Vec<f64> = directions
                    .chunks(4)
                    .flat_map(|d| {
                        let norm = d.iter().map(|d| d * d).sum::<f64>().sqrt();
                        d.iter().map(move |d| radius * d / norm)
                    })
                    .collect();
                let x = rows::<Flex>(&x, 4, F32);
                let condition = Condition::uniform(&[0.6], rays, &x);
                let here = numbers(flow.log_prob(x, &condition).value, F32);
                for (here, before) in here.iter().zip(&mut before) {
                    assert!(
                        !here.is_nan() && *here < f64::INFINITY,
                        "{radius:e}: {here}"
                    );
                    assert!(*here <= *before, "{radius:e}: {here} after {before}");
                    *before = *here;
                }
            }
        }
    }
    // What is no number has no density.
    let flow = wild(&FlowConfig::spline(2), 1);
    let x = rows::<Flex>(&[f64::NAN, 0.0], 2, F32);
    let condition = Condition::uniform(&[1.0], 1, &x);
    assert!(numbers(flow.log_prob(x, &condition).value, F32)[0].is_nan());
}

#[test]
fn the_density_of_a_sample_is_that_of_its_point() {
    let n = 20_000;
    let config = FlowConfig::spline(4).blocks(8).bins(32);
    for seed in 0..3 {
        let flow = of_size(&config, seed, 0.05);
        let noise = rows::<Flex>(&Stream::new(seed, 9).normal64(4 * n), 4, F32);
        let condition = Condition::uniform(&[0.4], n, &noise);
        let (x, log_prob) = flow.sample(noise, &condition);
        let again = numbers(flow.log_prob(x, &condition).value, F32);
        let log_prob = numbers(log_prob, F32);
        let mut errors: Vec<f64> = again
            .iter()
            .zip(&log_prob)
            .map(|(a, b)| (a - b).abs())
            .collect();
        errors.sort_by(f64::total_cmp);
        let (most, rare) = (errors[n - 1], errors[n - n / 1000]);
        assert!(
            rare < 0.05 && most < 1.0,
            "{seed}: 99.9 % {rare}, worst {most}"
        );
    }
}

/// Random weights of many sizes, and states of many sizes up to 10⁶.
#[test]
fn layers_with_random_weights_are_finite_and_invertible() {
    for seed in 0..4 {
        let size = [0.03, 0.2, 1.0, 3.0][seed as usize];
        each(|what, case, widths| {
            let layer = |dtype| {
                let mut stream = Stream::new(seed, 3);
                let layer =
                    case.config
                        .init::<Flex>(widths, &FlexDevice, &mut Stream::new(seed, 7));
                map_values(layer, dtype, |_, _, values| {
                    let noise = stream.normal64(values.len());
                    values
                        .iter_mut()
                        .zip(noise)
                        .for_each(|(v, z)| *v += size * z);
                })
            };
            let moderate = Batch::moderate(case, widths);
            let exponents = Stream::new(seed, 4).uniform(moderate.x.len());
            let batch = if case.unit {
                moderate
            } else {
                let far = |(x, u): (&f64, &f64)| (x * 10_f64.powf(8.0 * u - 2.0)).clamp(-1e6, 1e6);
                Batch::new(widths, moderate.x.iter().zip(&exponents).map(far).collect())
            };
            for dtype in [F32, F64] {
                let layer = layer(dtype);
                for direction in DIRECTIONS {
                    let (y, log_det) = batch.through(&layer, direction, true, dtype);
                    for values in [
                        numbers(y.value.clone(), dtype),
                        numbers(y.tangent_or_zeros(), dtype),
                        numbers(log_det.value.clone(), dtype),
                        numbers(log_det.tangent_or_zeros(), dtype),
                    ] {
                        assert!(
                            values.iter().all(|v| v.is_finite()),
                            "{what} {direction:?} {dtype:?} {size}"
                        );
                    }
                }
            }
            // There and back, and the sum of both log determinants, in double precision. Splines of
            // larger weights are flat and steep by turns, and no precision inverts them far out.
            if size > 0.5 {
                return;
            }
            let layer = layer(F64);
            let (z, log_det) = batch.values(&layer, Direction::Forward, F64);
            let image = Batch {
                x: z,
                ..batch.clone()
            };
            let (back, inverse) = image.values(&layer, Direction::Inverse, F64);
            let rows = batch.x.chunks(widths.dim).zip(image.x.chunks(widths.dim));
            let scales = rows.flat_map(|(x, z)| {
                let most = x.iter().chain(z).fold(1.0, |m: f64, v| m.max(v.abs()));
                vec![most; widths.dim]
            });
            for ((x, back), scale) in batch.x.iter().zip(&back).zip(scales) {
                assert!(
                    (x - back).abs() <= 1e-7 * scale,
                    "{what} {size}: {x} {back}"
                );
            }
            let negated: Vec<f64> = inverse.iter().map(|l| -l).collect();
            assert_close(what, &negated, &log_det, 1e-5);
        });
    }
}
