//! Densities, samples and their derivatives.

use burn::{
    backend::Autodiff,
    module::AutodiffModule,
    tensor::{DType, Tensor},
};
use burn_flex::Flex;
use trade_core::{Condition, Density};
use trade_flows::{Base, Flow, FlowBackend, PreprocessConfig, Student};

use super::{
    Conditions, F64, config, configs, flow, normal,
    numeric::{Noise, assert_close, check_gradient, gradient, numbers, rows},
};

#[test]
fn samples_have_the_density_that_comes_with_them() {
    for config in configs() {
        for (dtype, tolerance) in [(F64, 1e-10), (DType::F32, 1e-4)] {
            let flow = flow::<Flex>(&config, Noise::moderate(dtype));
            let condition = Conditions::new(&config, 50).at(0.0, dtype);
            let (x, log_prob) = flow.sample(normal(50, 3, 1, dtype), &condition);
            assert_eq!((x.dims(), log_prob.dims()), ([50, 3], [50]));
            let again = numbers(flow.log_prob(x, &condition).value, dtype);
            assert_close(
                &format!("{config:?}"),
                &again,
                &numbers(log_prob, dtype),
                tolerance,
            );
        }
    }
}

#[test]
fn condition_scores_are_derivatives() {
    const STEP: f64 = 1e-6;
    for config in configs() {
        let flow = flow::<Flex>(&config, Noise::moderate(F64));
        let conditions = Conditions::new(&config, 40);
        let x = normal(40, 3, 2, F64);
        let at = |step| {
            numbers(
                flow.log_prob(x.clone(), &conditions.at(step, F64)).value,
                F64,
            )
        };
        let expected: Vec<f64> = at(STEP)
            .iter()
            .zip(at(-STEP))
            .map(|(up, down)| (up - down) / (2.0 * STEP))
            .collect();
        let found = flow.log_prob(x.clone(), &conditions.along());
        assert_close("value", &numbers(found.value, F64), &at(0.0), 1e-13);
        let tangent = numbers(found.tangent.unwrap(), F64);
        assert_close(&format!("{config:?}"), &tangent, &expected, 1e-6);
    }
}

#[test]
fn scores_and_samples_are_differentiated_in_the_parameters() {
    fn score<B: FlowBackend>(flow: &Flow<B>, conditions: &Conditions) -> Tensor<B, 1> {
        let log_prob = flow.log_prob(normal(20, 3, 2, F64), &conditions.along());
        // The shape of the TRADE loss: a square of the tangent.
        (log_prob.tangent.unwrap().add_scalar(0.3).square() + log_prob.value.mul_scalar(0.5)).mean()
    }
    fn sampled<B: FlowBackend>(flow: &Flow<B>, conditions: &Conditions) -> Tensor<B, 1> {
        let (x, log_prob) = flow.sample(normal(20, 3, 3, F64), &conditions.at(0.0, F64));
        (log_prob + x.square().sum_dim(1).squeeze_dim::<1>(1).mul_scalar(0.7)).mean()
    }
    for config in configs() {
        let flow = flow::<Autodiff<Flex>>(&config, Noise::moderate(F64));
        let conditions = Conditions::new(&config, 20);
        let found = gradient(score(&flow, &conditions), &flow);
        let loss = |flow: &Flow<Flex>| numbers(score(flow, &conditions), F64)[0];
        check_gradient(
            &format!("score {config:?}"),
            &found,
            &flow.valid(),
            loss,
            1e-5,
        );
        let found = gradient(sampled(&flow, &conditions), &flow);
        let loss = |flow: &Flow<Flex>| numbers(sampled(flow, &conditions), F64)[0];
        check_gradient(
            &format!("sample {config:?}"),
            &found,
            &flow.valid(),
            loss,
            1e-6,
        );
    }
}

/// The trapezoid rule on `[−reach, reach]`: points and the weight of each.
pub(super) fn line(reach: f64, count: usize) -> (Vec<f64>, f64) {
    let step = 2.0 * reach / (count - 1) as f64;
    ((0..count).map(|i| -reach + step * i as f64).collect(), step)
}

#[test]
fn densities_integrate_to_one() {
    let student = Student {
        constant: 12.0,
        inverse: 2.0,
        ..Student::default()
    };
    for base in [Base::One, Base::Control, Base::Student(student)] {
        let config = config(2, 1, PreprocessConfig::Log, base);
        let flow = flow::<Flex>(&config, Noise::moderate(F64));
        let (points, step) = line(10.0, 300);
        let plane: Vec<f64> = points
            .iter()
            .flat_map(|&a| points.iter().flat_map(move |&b| [a, b]))
            .collect();
        let x = rows(&plane, 2, F64);
        for c in [0.5, 1.4] {
            let condition = Condition::uniform(&[c], plane.len() / 2, &x);
            let log_prob = numbers(flow.log_prob(x.clone(), &condition).value, F64);
            let total: f64 = log_prob.iter().map(|l| l.exp() * step * step).sum();
            // Second derivatives jump at the knots, so the rule converges with the square of 0.067.
            assert!((total - 1.0).abs() < 2e-3, "{base:?} {c}: {total}");
        }
    }
}
