//! Flows with augmenting entries.

use std::f64::consts::TAU;

use burn_flex::Flex;
use trade_core::{Condition, Density, random::Stream};
use trade_flows::{Base, Flow, FlowConfig, PreprocessConfig};

use super::{
    Conditions, F64, config,
    density::line,
    flow, normal,
    numeric::{Noise, assert_close, numbers, rows},
};

/// Mean and its standard error.
pub(super) fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn an_augmented_identity_is_its_base() {
    for (base, power, over) in [
        (Base::One, 0.0, 1.0),
        (Base::Control, 1.0, 1.0),
        (Base::InverseControl, -1.0, 1.0),
        (Base::ControlOver(300.0), 1.0, 300.0),
        (Base::OverControl(1e-9), -1.0, 1e-9),
    ] {
        let mut config = config(2, 1, PreprocessConfig::Identity, base);
        config.augmentation = 3;
        let flow = flow::<Flex>(
            &config,
            Noise {
                weights: 0.0,
                biases: 0.0,
                dtype: F64,
            },
        );
        assert_eq!(
            (flow.dim(), flow.augmentation(), flow.noise_dim()),
            (2, 3, 5)
        );
        let conditions = Conditions::new(&config, 30);
        let x = normal::<Flex>(30, 5, 5, F64);
        let found = flow.log_prob(x.clone(), &conditions.along());
        let squares: Vec<f64> = numbers(x, F64)
            .chunks(5)
            .map(|row| row[0] * row[0] + row[1] * row[1])
            .collect();
        let (mut values, mut scores) = (Vec::new(), Vec::new());
        for ((r, c), v) in squares.iter().zip(&conditions.control).zip(&conditions.way) {
            let variance = (c / over).powf(power);
            values.push(-(TAU * variance).ln() - r / (2.0 * variance));
            scores.push(v * power / c * (r / (2.0 * variance) - 1.0));
        }
        assert_close("bound", &numbers(found.value.clone(), F64), &values, 1e-13);
        assert_close(
            "score",
            &numbers(found.tangent_or_zeros(), F64),
            &scores,
            1e-13,
        );
    }
}

/// An augmented flow in one state dimension and one more, and the flow of both together as a plain
/// density, with the same weights.
fn augmented_and_joint() -> (Flow<Flex>, Flow<Flex>) {
    // Near the identity, so that ratios of densities have a variance.
    let noise = || Noise {
        weights: 0.1,
        biases: 0.1,
        dtype: F64,
    };
    let joint = config(3, 1, PreprocessConfig::Log, Base::Control);
    let augmented = FlowConfig {
        dim: 2,
        augmentation: 1,
        ..joint.clone()
    };
    (flow(&augmented, noise()), flow(&joint, noise()))
}

#[test]
fn the_augmented_bound_averages_to_the_marginal_density() {
    let (augmented, joint) = augmented_and_joint();
    let n = 20_000;
    for (state, c) in [([0.3, -0.8], 0.6), ([-1.5, 0.4], 1.3)] {
        let noise = Stream::new(6, 0).normal64(n);
        let x: Vec<f64> = noise
            .iter()
            .flat_map(|u| [state[0], state[1], *u])
            .collect();
        let x = rows(&x, 3, F64);
        let condition = Condition::uniform(&[c], n, &x);
        let bound = numbers(augmented.log_prob(x, &condition).value, F64);
        let (found, error) = mean(&bound.iter().map(|b| b.exp()).collect::<Vec<_>>());

        let (points, step) = line(10.0, 4000);
        let x: Vec<f64> = points
            .iter()
            .flat_map(|a| [state[0], state[1], *a])
            .collect();
        let x = rows(&x, 3, F64);
        let condition = Condition::uniform(&[c], points.len(), &x);
        let log_prob = numbers(joint.log_prob(x, &condition).value, F64);
        let expected: f64 = log_prob.iter().map(|l| l.exp() * step).sum();
        assert!(
            (found - expected).abs() < 4.0 * error,
            "{found} ± {error}, expected {expected}"
        );
        assert!(
            error < 0.02 * expected,
            "a blunt test: {error} of {expected}"
        );
        // A bound of the log density in the mean.
        assert!(mean(&bound).0 < expected.ln());
    }
}

#[test]
fn augmented_scores_hold_the_noise_fixed() {
    const STEP: f64 = 1e-6;
    let (augmented, _) = augmented_and_joint();
    let config = FlowConfig {
        dim: 2,
        ..config(3, 1, PreprocessConfig::Log, Base::Control)
    };
    let conditions = Conditions::new(&config, 30);
    let x = Stream::new(8, 0).normal64(90);
    let at = |step: f64| {
        let mut x = x.clone();
        for (row, (c, v)) in x
            .chunks_mut(3)
            .zip(conditions.control.iter().zip(&conditions.way))
        {
            row[2] *= (c / (c + step * v)).sqrt();
        }
        numbers(
            augmented
                .log_prob(rows(&x, 3, F64), &conditions.at(step, F64))
                .value,
            F64,
        )
    };
    let expected: Vec<f64> = at(STEP)
        .iter()
        .zip(at(-STEP))
        .map(|(up, down)| (up - down) / (2.0 * STEP))
        .collect();
    let found = augmented
        .log_prob(rows(&x, 3, F64), &conditions.along())
        .tangent
        .unwrap();
    assert_close("score", &numbers(found, F64), &expected, 1e-6);
}

#[test]
fn augmented_samples_carry_an_unbiased_density() {
    // Over samples of p(x, a): E[φ(x) N(a; 0, T) / p(x, a)] = 1 for every density φ.
    let (augmented, _) = augmented_and_joint();
    let n = 20_000;
    let noise = normal::<Flex>(n, 3, 7, F64);
    for c in [0.6, 1.3] {
        let condition = Condition::uniform(&[c], n, &noise);
        let (x, log_prob) = augmented.sample(noise.clone(), &condition);
        assert_eq!(x.dims(), [n, 2]);
        let width: f64 = 0.5;
        let density = |x: &[f64]| {
            let r = x.iter().map(|x| x * x).sum::<f64>();
            (-r / (2.0 * width * width)).exp() / (TAU * width * width)
        };
        let ratios: Vec<f64> = numbers(x, F64)
            .chunks(2)
            .zip(numbers(log_prob, F64))
            .map(|(x, l)| density(x) / l.exp())
            .collect();
        let (found, error) = mean(&ratios);
        assert!(
            (found - 1.0).abs() < 4.0 * error && error < 0.05,
            "{found} ± {error}"
        );
    }
}
