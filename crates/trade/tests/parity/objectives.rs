//! Every objective: its value, what it says about itself, and its gradient.

use burn::{backend::Autodiff, tensor::DType};
use serde_json::{Value, json};
use trade::{
    config::RunConfig,
    problem::assemble,
    training::{Known, objectives},
};
use trade_core::{
    random::{Purpose, Streams},
    train::Trainer,
};
use trade_flows::{Flow, FlowBackend};

use crate::{Quantity, numeric::Noise};

/// A loss in the first step of a training.
pub(crate) struct ObjectiveCheck {
    pub(crate) name: &'static str,
    loss: Value,
    pub(crate) tolerance: f64,
}

pub(crate) fn all() -> Vec<ObjectiveCheck> {
    let uniform = json!({ "uniform": { "spacing": "log" } });
    let trade = |more: Value| {
        let mut trade = json!({ "penalty": { "huber": 1.0 }, "blur": { "width": 0.1 } });
        let fields = trade.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        trade
    };
    let grid = |more| {
        json!({ "trade_grid": { "trade": trade(more), "points": 4, "batch": 32,
                "points_per_condition": 4, "expectation_samples": 32 } })
    };
    let continuous = |more| {
        json!({ "trade_continuous": { "trade": trade(more), "schedule": uniform, "conditions": 2,
                "samples": 32, "evaluation_points": 24 } })
    };
    let table = [
        ("nll", json!({ "nll": { "batch": 32, "noise": 0.05 } })),
        (
            "nll, clipped",
            json!({ "nll": { "batch": 32, "clip": { "clip": 4.0, "log_clip": 2.5 } } }),
        ),
        (
            "reverse KL",
            json!({ "reverse_kl": { "batch": 32, "conditions": uniform } }),
        ),
        (
            "reweighted nll",
            json!({ "reweighted_nll": { "batch": 32, "conditions": uniform } }),
        ),
        (
            "log variance",
            json!({ "log_variance": { "batch": 32, "conditions": uniform } }),
        ),
        (
            "log variance about the median",
            json!({ "log_variance": { "batch": 32, "conditions": uniform, "clip": { "clip": 50.0 } } }),
        ),
        ("TRADE, fresh conditions", continuous(json!({}))),
        (
            "TRADE, the flow's own energy",
            continuous(json!({ "energy": "flow_at_base", "penalty": "squared" })),
        ),
        (
            "TRADE, along the logarithm",
            continuous(json!({ "logarithmic": true })),
        ),
        (
            "refined likelihood",
            json!({ "refined_nll": { "batch": 16, "buffer": 32, "draws": 32, "kept": 16 } }),
        ),
        ("TRADE, grid", grid(json!({}))),
        (
            "TRADE, grid, centred mean",
            grid(json!({ "centre": "points", "penalty": "squared" })),
        ),
        (
            "TRADE, grid, centred median",
            grid(json!({ "centre": "points" })),
        ),
        (
            "TRADE, grid, clipped",
            grid(json!({ "clip": { "clip": 1.0, "log_clip": 0.5 } })),
        ),
    ];
    table
        .into_iter()
        .map(|(name, loss)| ObjectiveCheck {
            name,
            loss,
            // Values of order ten in sums of 32 terms behind a flow of five layers.
            tolerance: 1e-4,
        })
        .collect()
}

impl ObjectiveCheck {
    pub(crate) fn compute<B: FlowBackend>(&self, dtype: DType) -> Vec<Quantity> {
        // Without its memory the first moment is the gradient itself.
        let adam = json!({ "beta1": 0.0, "clip_norm": null });
        let mut trainer = trainer::<B>(json!([{ "loss": self.loss }]), adam, dtype);
        let report = trainer.advance().expect("a step");
        let term = &report.terms[0];
        let counts = [term.clipped, term.non_finite].map(|count| count as f64);
        let moments = trainer.checkpoint().moments;
        let gradient = moments.iter().filter(|(name, _)| name.starts_with("first"));
        let gradient = gradient
            .flat_map(|(_, (_, values))| values)
            .copied()
            .map(f64::from);
        vec![
            ("value".into(), vec![term.loss]),
            ("ESS".into(), term.ess.into_iter().collect()),
            ("counts".into(), counts.to_vec()),
            ("gradient".into(), gradient.collect()),
        ]
    }
}

/// A trainer of a flow that is as small as a flow with every trait can be: on a software GPU each
/// kernel is compiled on the CPU at first use.
pub(crate) fn trainer<B: FlowBackend>(
    losses: Value,
    adam: Value,
    dtype: DType,
) -> Trainer<Autodiff<B>, Flow<Autodiff<B>>> {
    let conditioner = json!({ "hidden": [6] });
    let coupling = json!({ "rqs_coupling": { "bins": 4, "conditioner": conditioner } });
    let affine = json!({ "affine_coupling": { "conditioner": conditioner } });
    let last = json!({ "conditional_affine": { "conditioner": conditioner } });
    let config = json!({
        "seed": 3,
        "target": { "double_well": {} },
        "ranges": { "temperature": [0.5, 1.1] },
        "data": [ { "at": { "temperature": 1.0 }, "from": { "exact": 256 } } ],
        "flow": {
            "dim": 2, "preprocess": "log", "base": "control",
            "layers": [ { "of": ["act_norm", coupling, { "permutation": "soft" }, affine, last] } ]
        },
        "objectives": losses,
        "train": { "steps": 10, "adam": adam, "learning_rate": { "constant": { "lr": 0.003 } } },
    });
    let config: RunConfig = serde_json::from_value(config).expect("a configuration");
    let (problem, _) = assemble(&config).expect("a problem");
    let device = B::Device::default();
    let mut streams = Streams::new(config.seed);
    let flow = config
        .flow
        .init::<Autodiff<B>>(&device, streams.get(Purpose::Init));
    let flow = Noise::moderate(dtype).apply(flow.expect("a flow"));
    let objectives =
        objectives(&config.objectives, &problem, &Known::default()).expect("objectives");
    Trainer::new(config.train, flow, objectives, streams, device).expect("a trainer")
}
