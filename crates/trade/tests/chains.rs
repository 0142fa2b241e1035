//! Markov chains make samples of the target out of those of a flow that has another density.

use trade::{
    TrainedFlow,
    chains::ChainState,
    flows::{Base, PreprocessConfig, Stage},
    prelude::*,
};

/// Springs along two axes, of stiffness 1 and ¼ at T = 1.
struct Springs;

impl Energy for Springs {
    fn dim(&self) -> usize {
        2
    }

    fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        let (a, b) = (x.clone().narrow(1, 0, 1), x.narrow(1, 1, 1));
        (a.square() * 0.5 + b.square() * 0.125).squeeze_dim(1)
    }
}

/// A flow that is the identity: `N(0, I)` at every temperature, or twice as broad.
fn identity(base: Base) -> TrainedFlow {
    let samples = Stream::new(1, 0).normal64(2000);
    let target = Tempered::temperature(Springs);
    let problem = Problem::new(target, [("temperature", [0.2, 1.2])]).unwrap();
    let problem = problem.with_data(&[1.0], &samples).unwrap();
    let layer = serde_json::from_str(r#"{ "conditional_affine": {} }"#).unwrap();
    let flow = FlowConfig {
        preprocess: PreprocessConfig::Log,
        layers: vec![Stage {
            repeat: 1,
            of: vec![layer],
        }],
        base,
        ..FlowConfig::spline(2)
    };
    let training = Training::new(problem, flow).nll(64).steps(1);
    training.learning_rate(1e-12).run().unwrap()
}

/// The largest distance between the distribution of values and that of `N(0, variance)`.
fn distance(mut values: Vec<f64>, variance: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let step = 1e-3;
    let mut below = 0;
    let mut share = 0.0;
    let mut largest: f64 = 0.0;
    let mut x: f64 = -12.0;
    while x < 12.0 {
        share += step * (-0.5 * (x + 0.5 * step).powi(2) / variance).exp()
            / (std::f64::consts::TAU * variance).sqrt();
        x += step;
        below += values[below..].iter().take_while(|v| **v <= x).count();
        largest = largest.max((below as f64 / n - share).abs());
    }
    largest
}

#[test]
fn chains_have_the_target_where_the_flow_does_not() {
    let flow = identity(Base::ControlOver(0.25));
    // The flow has the variance 2 along both axes, the target ½ and 2.
    let at = flow.at(&[0.5]);
    let mut state = ChainState::new(50, 2, 3);
    let walked = state.walk_on(&at, 60, 800).unwrap();
    assert_eq!(walked.x.len(), 2 * 50 * 800);
    let axis = |x: &[f32], i: usize| -> Vec<f64> { x.chunks(2).map(|x| f64::from(x[i])).collect() };
    let wrong = at.seed(9).sample(40_000).unwrap();
    assert!(distance(axis(&wrong.x, 0), 0.5) > 0.1);
    for (i, variance) in [0.5, 2.0].into_iter().enumerate() {
        // As of 40 000/2τ independent values; the distance exceeds 2/√n once in 1500 times.
        let independent = 40_000.0 / (2.0 * walked.tau);
        let found = distance(axis(&walked.x, i), variance);
        assert!(
            found < 2.0 / independent.sqrt(),
            "{i}: {found}, τ {}",
            walked.tau
        );
    }
    // The weight is ∝ exp(−¾ a²) with a of variance ½ under the target and 2 under the flow; the mean of
    // min(1, w'/w) over both, by the trapezoidal rule.
    let (mut accepted, step) = (0.0, 0.02);
    let nodes = |scale: f64| (-300..=300).map(move |i| f64::from(i) * step * scale);
    let normal = |x: f64, v: f64| (-0.5 * x * x / v).exp() / (std::f64::consts::TAU * v).sqrt();
    for a in nodes(1.0) {
        for b in nodes(2.0) {
            let ratio = (0.75 * (a * a - b * b)).exp().min(1.0);
            accepted += step * 2.0 * step * normal(a, 0.5) * normal(b, 2.0) * ratio;
        }
    }
    assert!(
        (walked.acceptance - accepted).abs() < 0.01,
        "{} {accepted}",
        walked.acceptance
    );
}

#[test]
fn steps_are_the_same_in_one_call_and_in_many() {
    let flow = identity(Base::ControlOver(0.25));
    let at = flow.at(&[0.5]);
    let mut whole = ChainState::new(30, 2, 5);
    let all = whole.walk(&at, 400).unwrap();
    let mut parts = ChainState::new(30, 2, 5);
    let (mut x, mut log_prob) = (Vec::new(), Vec::new());
    for steps in [0, 1, 136, 137, 126] {
        let part = parts.walk(&at, steps).unwrap();
        x.extend(part.x);
        log_prob.extend(part.log_prob);
    }
    assert_eq!((x, log_prob), (all.x, all.log_prob));
    assert_eq!(parts, whole);
    let mut other = ChainState::new(30, 2, 6);
    assert_ne!(
        other.walk(&at, 400).unwrap().x,
        parts.walk(&at, 400).unwrap().x
    );
}

#[test]
fn hopeless_chains_are_refused() {
    // A flow that is a thousand times too broad along both axes.
    let flow = identity(Base::ControlOver(1e-6));
    let mut state = ChainState::new(20, 2, 1);
    let error = state
        .walk_on(&flow.at(&[0.5]), 200, 200)
        .unwrap_err()
        .to_string();
    assert!(error.contains("too far from the target"), "{error}");
    // One that is right but for a burn-in that is too short.
    let flow = identity(Base::ControlOver(0.25));
    let mut state = ChainState::new(20, 2, 1);
    let error = state
        .walk_on(&flow.at(&[0.5]), 1, 200)
        .unwrap_err()
        .to_string();
    assert!(error.contains("burn-in of at least"), "{error}");
}
