//! Targets as text: log density, condition score and the gradient in x.

use burn::{backend::Autodiff, tensor::DType};
use serde_json::json;
use trade::target::TargetConfig;
use trade_core::{Condition, Target, random::Stream};
use trade_flows::FlowBackend;

use crate::{
    Quantity,
    numeric::{numbers, rows},
};

/// A log density of x (three entries) and of T.
#[derive(Clone, Copy)]
pub(crate) struct TextCheck {
    pub(crate) log_density: &'static str,
}

/// One check for each text.
pub(crate) fn all() -> Vec<TextCheck> {
    TEXTS.map(|log_density| TextCheck { log_density }).to_vec()
}

/// What users write: every function, both kinds of vectors, data and densities.
const TEXTS: [&str; 6] = [
    "-(x[0]^2/2 + (x[1] - x[0]^2)^2/0.18 + x[2]^4)/T",
    "-norm2(matvec(A, x))/T + dot(x, roll(x, 1)) + T*(sum(cos(x)) + sum(sin(x[1:])))",
    "logsumexp([-(x[0] - 1)^2, -(x[1] + T)^2, x[2]*T]) - mean(abs(x)) + sum(tanh(x))",
    "sum(where(x > 0, log1p(x*T), x*x)) - sum(softplus(x)) + sigmoid(x[0]) - max(x[1], x[2])^2",
    "normal_lpdf(x, 0.2, exp(T/4)) + student_t_lpdf(x[0], 4, 0, T) + sum(sqrt(x^2 + T)) - expm1(x[1]/T)",
    "poisson_lpmf(counts, exp(x[0] + x[1]*T/9)) + gamma_lpdf(exp(x[2]), T, 2) + bernoulli_logit_lpmf([1, 0], x[:2])",
];

impl TextCheck {
    pub(crate) fn compute<B: FlowBackend>(self, dtype: DType) -> Vec<Quantity> {
        const N: usize = 40;
        let config = json!({ "expression": {
            "variables": { "x": 3 }, "controls": ["T"],
            "constants": { "A": [[1.0, 0.3, 0.0], [-0.2, 0.8, 0.1], [0.5, 0.0, 1.2]],
                           "counts": [0, 3, 1, 7] },
            "log_density": self.log_density
        } });
        let config: TargetConfig = serde_json::from_value(config).expect("a configuration");
        let target = config.init().expect("a target");
        let x = rows::<Autodiff<B>>(&Stream::new(32, 0).normal64(3 * N), 3, dtype).require_grad();
        let temperatures: Vec<f64> = (0..N).map(|i| 0.5 + 0.05 * i as f64).collect();
        let condition = Condition::new(rows(&temperatures, 1, dtype));
        let density = target.log_density(x.clone(), &condition);
        let score = target.condition_score(x.clone(), &condition);
        let gradients = density.clone().sum().backward();
        let gradient = x.grad(&gradients).expect("a gradient");
        vec![
            ("log density".into(), numbers(density, dtype)),
            ("condition score".into(), numbers(score, dtype)),
            ("gradient in x".into(), numbers(gradient, dtype)),
        ]
    }
}
