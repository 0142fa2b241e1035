//! A program of a user: trains ten steps on an energy of its own and keeps what it found.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use trade::prelude::*;

struct Spring;

impl Energy for Spring {
    fn dim(&self) -> usize {
        2
    }

    fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        x.square().sum_dim(1).squeeze_dim(1) * 0.5
    }
}

#[derive(Serialize)]
struct Found {
    temperature: f64,
    ess: f64,
}

fn main() -> anyhow::Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    // Sums of twelve uniform numbers are close to normal.
    let mut normal = || (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0;
    let samples: Vec<f64> = (0..400).map(|_| normal()).collect();
    let target = Tempered::temperature(Spring);
    let problem = Problem::new(target, [("temperature", [0.5, 1.5])])?.with_data(&[1.0], &samples)?;
    let flow = FlowConfig::spline(2).blocks(1).hidden(&[8]);
    let flow = Training::new(problem, flow).nll(32).trade(32).steps(10).run()?;
    let found = |&temperature: &f64| -> anyhow::Result<Found> {
        let samples = flow.at(&[temperature]).sample(200)?;
        let ess = samples.relative_ess()?.value;
        anyhow::ensure!(ess > 0.2, "the ESS at T = {temperature} is {ess}");
        Ok(Found { temperature, ess })
    };
    for temperature in &[0.5, 1.0, 1.5] {
        let Found { temperature, ess } = found(temperature)?;
        println!("T = {temperature}: relative ESS {ess:.3}");
    }
    Ok(())
}
