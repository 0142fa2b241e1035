//! What a trained flow of the lattice leaves of the TRADE equation, κ by κ.
//!
//! ```sh
//! cargo run --release -p trade-bench --example lattice_residual -- reports/lattice/desktop/runs/trade-grid/seed-0
//! ```
//!
//! The residual at a field is `r = ∂_κ log p_θ − (g − ⟨g⟩)` with `⟨g⟩` from hybrid Monte Carlo. Over
//! samples of a flow the mean of `∂_κ log p_θ` is zero, so the mean of `r` says how far the flow's
//! own `⟨g⟩` is off, that is, how far it is from the target as a whole. The deviation of `r` says how
//! well the flow follows κ from where it is.

use std::env;

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use trade::target::{AnyTarget, TargetConfig};
use trade::{
    device::{self, Action, DeviceName},
    model::{self, Given},
    run::RunFolder,
};
use trade_core::{Condition, Density, Target, estimate::snis::Weights, random::Stream, upload};
use trade_flows::{Flow, FlowBackend};

/// Fields at each κ, of the flow and of the reference.
const FIELDS: usize = 2000;

struct Residual(RunFolder);

/// Mean and standard deviation.
fn spread(values: &[f64]) -> (f64, f64) {
    let mean = |v: &mut dyn Iterator<Item = f64>| v.sum::<f64>() / values.len() as f64;
    let centre = mean(&mut values.iter().copied());
    let variance = mean(&mut values.iter().map(|v| (v - centre).powi(2)));
    (centre, variance.sqrt())
}

/// What is needed of one field: `∂_κ log p_θ`, `g` and `log q − log p_θ`.
struct Scores {
    own: Vec<f64>,
    target_score: Vec<f64>,
    log_weights: Vec<f64>,
}

fn scores<B: FlowBackend>(
    flow: &Flow<B>,
    target: &AnyTarget,
    x: Vec<f32>,
    kappa: f64,
    device: &B::Device,
) -> Scores {
    let x: Tensor<B, 2> = upload(x, flow.dim(), device);
    let n = x.dims()[0];
    let condition = Condition::uniform(&[kappa], n, &x);
    let numbers = |t: Tensor<B, 1>| -> Vec<f64> { t.into_data().iter::<f64>().collect() };
    let log_q = numbers(Target::<B>::log_density(target, x.clone(), &condition));
    let score = Target::<B>::condition_score(target, x.clone(), &condition);
    let log_prob = flow.log_prob(x, &condition.along(upload(vec![1.0; n], 1, device)));
    let own = numbers(log_prob.tangent_or_zeros());
    let log_p = numbers(log_prob.value);
    Scores {
        own,
        target_score: numbers(score.squeeze_dim::<1>(1)),
        log_weights: log_q.iter().zip(log_p).map(|(q, p)| q - p).collect(),
    }
}

impl Action for Residual {
    type Output = Result<()>;

    fn run<B: FlowBackend>(self, device: B::Device) -> Result<()> {
        let config = self.0.read_config()?;
        let (_, flow) = model::read::<B>(&self.0, &device)?;
        let target = config.target.init()?;
        let TargetConfig::Phi4(lattice) = &config.target else {
            bail!("this is of the φ⁴ lattice alone");
        };
        let lattice = lattice.init()?;
        println!("| κ | ESS | deviation of log w | mean r | deviation of r | of g |");
        println!("|--:|--:|--:|--:|--:|--:|");
        for c in config.evaluate.conditions.iter().step_by(2) {
            let kappa = c[0];
            let fields = lattice.simulate(c, FIELDS, 77)?;
            let fields = fields.into_iter().map(|phi| phi as f32).collect();
            let (truth, fluctuation) =
                spread(&scores(&flow, &target, fields, kappa, &device).target_score);
            let stream = &mut Stream::new(5, 0);
            let own = model::sample(&flow, c, &Given::Nothing, FIELDS, stream, &device);
            let Scores {
                own,
                target_score,
                log_weights,
            } = scores(&flow, &target, own.x, kappa, &device);
            let residual: Vec<f64> = own
                .iter()
                .zip(&target_score)
                .map(|(own, g)| own - (g - truth))
                .collect();
            let (mean, deviation) = spread(&residual);
            println!(
                "| {kappa:.2} | {:.3} | {:.2} | {mean:.1} | {deviation:.1} | {fluctuation:.0} |",
                Weights::from_log(&log_weights)?.relative_ess(),
                spread(&log_weights).1,
            );
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let run = env::args().nth(1).context("which run?")?;
    device::on(DeviceName::default(), Residual(RunFolder::new(run)))?
}
