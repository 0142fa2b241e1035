use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use burn_autodiff::Autodiff;
use burn_flex::Flex;
use trade_core::train::Checkpoint;

use super::*;
use crate::{
    Draft, RunFolder, TrainOptions, config::RunConfig, recipe::Length, target::TargetConfig, train,
};

/// A normal distribution of variance `c`, `log q = −x²/2c`, that counts its calls and may fail at one.
#[derive(Default)]
struct Normal {
    calls: AtomicUsize,
    fails_at: AtomicUsize,
    with_gradient: AtomicBool,
}

impl Function for Normal {
    fn evaluate(&self, x: &[f64], c: &[f64]) -> Values {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if call == self.fails_at.load(Ordering::Relaxed) {
            std::panic::resume_unwind(Box::new("the function failed"));
        }
        let pairs = || x.iter().zip(c);
        Values {
            value: pairs().map(|(x, c)| -0.5 * x * x / c).collect(),
            score: pairs().map(|(x, c)| 0.5 * x * x / (c * c)).collect(),
        }
    }

    fn gradient(&self, x: &[f64], c: &[f64]) -> Option<Vec<f64>> {
        let with = self.with_gradient.load(Ordering::Relaxed);
        with.then(|| x.iter().zip(c).map(|(x, c)| -x / c).collect())
    }
}

fn config(form: Form, function: Arc<dyn Function>) -> ExternalConfig {
    let mut config = ExternalConfig {
        name: "normal".into(),
        dim: 1,
        controls: vec!["T".into()],
        form,
        support: Vec::new(),
        differentiable: false,
        source: "1".into(),
        function: Attached::default(),
    };
    config.attach(function);
    config
}

fn tensor<B: Backend>(values: &[f64]) -> Tensor<B, 2>
where
    B::Device: Default,
{
    Tensor::from_data(
        TensorData::new(values.to_vec(), [values.len(), 1]),
        &B::Device::default(),
    )
}

fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[test]
fn density_and_score_of_a_batch_are_one_call() {
    let function = Arc::new(Normal::default());
    let target = config(Form::Density, function.clone()).init().unwrap();
    let (x, c) = (tensor::<Flex>(&[1.0, -2.0]), tensor::<Flex>(&[0.5, 2.0]));
    let condition = Condition::new(c);
    assert_eq!(
        host(target.log_density(x.clone(), &condition)),
        [-1.0, -1.0]
    );
    assert_eq!(
        host(target.condition_score(x.clone(), &condition)),
        [2.0, 0.5]
    );
    assert_eq!(function.calls.load(Ordering::Relaxed), 1);
    let other = Condition::new(tensor::<Flex>(&[1.0, 1.0]));
    assert_eq!(host(target.log_density(x, &other)), [-0.5, -2.0]);
    assert_eq!(function.calls.load(Ordering::Relaxed), 2);
}

#[test]
fn powers_follow_from_an_energy_or_a_likelihood() {
    // Of the function, −x²/2c at c, both forms use the value alone.
    let condition = Condition::new(tensor::<Flex>(&[0.5, 2.0]));
    let x = tensor::<Flex>(&[1.0, -2.0]);
    let values = [-1.0, -1.0];
    let init = |form| config(form, Arc::new(Normal::default())).init().unwrap();
    let target = init(Form::Temperature);
    assert_eq!(host(target.log_density(x.clone(), &condition)), [2.0, 0.5]);
    assert_eq!(
        host(target.condition_score(x.clone(), &condition)),
        [-4.0, -0.25]
    );
    let target = init(Form::Beta);
    assert_eq!(host(target.log_density(x.clone(), &condition)), [0.5, 2.0]);
    assert_eq!(
        host(target.condition_score(x.clone(), &condition)),
        [1.0, 1.0]
    );
    let prior = Prior::Normal {
        mean: 1.0,
        std: 3.0,
    };
    let target = init(Form::Likelihood(vec![prior]));
    let log_prior =
        |x: f64| -0.5 * ((x - 1.0) / 3.0_f64).powi(2) - (18.0 * std::f64::consts::PI).ln() / 2.0;
    let expected = [log_prior(1.0) - 0.5, log_prior(-2.0) - 2.0];
    for (found, expected) in host(target.log_density(x.clone(), &condition))
        .iter()
        .zip(expected)
    {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(host(target.condition_score(x, &condition)), values);
}

#[test]
fn a_gradient_of_the_function_reaches_the_state() {
    let function = Arc::new(Normal::default());
    function.with_gradient.store(true, Ordering::Relaxed);
    let target = config(Form::Beta, function).init().unwrap();
    let x = tensor::<Autodiff<Flex>>(&[1.0, -2.0]).require_grad();
    let condition = Condition::new(tensor(&[0.5, 2.0]));
    let log_q = target.log_density(x.clone(), &condition);
    assert_eq!(host(log_q.clone()), [0.5, 2.0]);
    let gradients = log_q.sum().backward();
    let found = host(x.grad(&gradients).unwrap());
    // log q = −β·f, and the function gives f' = −x/c.
    assert_eq!(found, [1.0, -2.0]);
}

#[test]
fn misfits_are_named() {
    let function = || Arc::new(Normal::default());
    let mut controls = config(Form::Temperature, function());
    controls.controls.push("a".into());
    let mut support = config(Form::Density, function());
    support.support = vec![Support::Positive; 2];
    let cases = [
        (controls, "`external.controls`: expected 1 entries, found 2"),
        (support, "`external.support`: expected 1 entries, found 2"),
        (
            config(Form::Likelihood(Vec::new()), function()),
            "`external.form.likelihood`",
        ),
    ];
    for (config, says) in cases {
        let error = config.init().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// A training of 12 steps on the normal distribution, with checkpoints far apart.
fn run_config(function: Arc<dyn Function>) -> RunConfig {
    let json = serde_json::json!({
        "target": { "external": config(Form::Density, function.clone()) },
        "ranges": { "T": [0.5, 2.0] },
        "pilot": { "at": [2.0], "samples": 500, "walkers": 50, "burn_in": 10, "thin": 1 },
        "train": { "steps": 12, "checkpoint_every": 1000 },
        "selection": {}
    });
    let mut draft: Draft = serde_json::from_value(json).unwrap();
    if let TargetConfig::External(config) = &mut draft.target {
        config.attach(function);
    }
    draft.bases = vec![[("T".to_string(), 2.0)].into()];
    draft
        .complete(crate::device::DeviceName::Flex, Length::Steps(12))
        .unwrap()
}

#[test]
fn a_function_that_fails_loses_no_step() {
    let folder = tempfile::tempdir().unwrap();
    let folder = |name: &str| RunFolder::new(folder.path().join(name));
    let whole = folder("whole");
    let function = Arc::new(Normal::default());
    let config = run_config(function.clone());
    function.calls.store(0, Ordering::Relaxed);
    train(&config, &whole, TrainOptions::default()).unwrap();
    let calls = function.calls.load(Ordering::Relaxed);

    let weights = |folder: &RunFolder| std::fs::read(folder.weights()).unwrap();
    let options = || TrainOptions {
        resume: true,
        ..TrainOptions::default()
    };
    // The last call judges the last step; the one in the middle belongs to another step or judgement.
    for fails_at in [calls, calls - 40, calls / 2] {
        let broken = folder(&format!("broken-{fails_at}"));
        function.calls.store(0, Ordering::Relaxed);
        function.fails_at.store(fails_at, Ordering::Relaxed);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            train(&config, &broken, TrainOptions::default()).map(|_| ())
        }));
        let payload = failed.unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"the function failed"));
        let newest = Checkpoint::newest(&broken.checkpoints()).unwrap().unwrap();
        let step = Checkpoint::read(&newest).unwrap().state.step;
        assert!(step == 11 || fails_at < calls, "{step}");
        train(&config, &broken, options()).unwrap();
        assert_eq!(weights(&whole), weights(&broken), "call {fails_at}");
    }
}

#[test]
fn a_run_opens_without_the_function_and_is_not_trained_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(folder.path().join("run"));
    let config = run_config(Arc::new(Normal::default()));
    train(&config, &folder, TrainOptions::default()).unwrap();

    let run = crate::Run::open(&folder, crate::device::DeviceName::Flex).unwrap();
    let samples = run.at(&[1.0]).sample(50).unwrap();
    assert!(samples.log_weight.is_none());
    assert!(samples.log_prob.iter().all(|l| l.is_finite()));
    let with = crate::Run::open_as(&folder, config, crate::device::DeviceName::Flex).unwrap();
    let weighted = with.at(&[1.0]).sample(50).unwrap();
    assert_eq!(weighted.x, samples.x);
    // log q = −x²/2 at c = 1.
    for ((x, log_p), w) in
        (weighted.x.iter().zip(&weighted.log_prob)).zip(weighted.weights().unwrap())
    {
        let expected = -0.5 * f64::from(*x).powi(2) - log_p;
        assert!((w - expected).abs() < 1e-5, "{w} {expected}");
    }
    let again = train(
        &folder.read_config().unwrap(),
        &folder,
        TrainOptions {
            resume: true,
            ..TrainOptions::default()
        },
    );
    let error = again.err().unwrap().to_string();
    assert!(
        error.contains("`normal` is a function of the program"),
        "{error}"
    );
}
