//! Ten steps of Adam.

use burn::tensor::DType;
use serde_json::json;
use trade_flows::FlowBackend;

use crate::{Quantity, objectives::trainer};

/// The errors of ten steps, each of which divides by the root of a second moment.
pub(crate) const TOLERANCE: f64 = 2e-4;

pub(crate) fn compute<B: FlowBackend>(dtype: DType) -> Vec<Quantity> {
    let losses = json!([
        { "loss": { "nll": { "batch": 32 } } },
        { "loss": { "trade_grid": { "trade": { "penalty": { "huber": 1.0 } }, "points": 3,
            "batch": 32, "expectation_samples": 32, "expectation_every": 4 } },
          "weight": { "start": 0.0, "end": 1.0, "pct_start": 0.2 },
          "adaptive": { "every": 3, "initial": 0.5 } }
    ]);
    // A coarse ε: a gradient that is zero up to rounding would else move a weight by a whole step.
    let mut trainer = trainer::<B>(losses, json!({ "epsilon": 1e-2 }), dtype);
    let (mut values, mut norms) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let report = trainer.advance().expect("a step");
        values.push(report.loss);
        norms.push(report.grad_norm);
    }
    let weights = trainer.checkpoint().model.into_values();
    let weights = weights.flat_map(|(_, values)| values).map(f64::from);
    vec![
        ("losses".into(), values),
        ("gradient norms".into(), norms),
        ("weights".into(), weights.collect()),
    ]
}
