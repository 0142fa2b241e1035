//! A flow for an energy of one's own, in forty lines.

use trade::prelude::*;

/// A curved valley: U(x, y) = x²/2 + 2 (y − x²)².
struct Valley;

impl Energy for Valley {
    fn dim(&self) -> usize {
        2
    }

    fn energy<B: Backend>(&self, x: Tensor<B, 2>) -> Tensor<B, 1> {
        let (along, across) = (x.clone().narrow(1, 0, 1), x.narrow(1, 1, 1));
        let square = along.square();
        let energy = square.clone() * 0.5 + (across - square).square() * 2.0;
        energy.squeeze_dim(1)
    }
}

fn main() -> trade::Result<()> {
    let noise = Stream::new(1, 0).normal64(20_000);
    let point = |z: &[f64]| [z[0], z[0] * z[0] + 0.5 * z[1]];
    let samples: Vec<f64> = noise.chunks(2).flat_map(point).collect();
    let target = Tempered::temperature(Valley);
    let problem =
        Problem::new(target, [("temperature", [0.4, 1.2])])?.with_data(&[1.0], &samples)?;
    let training = Training::new(problem, FlowConfig::spline(2));
    let flow = training.nll(256).trade(256).steps(300).run()?;
    for t in [0.4, 0.7, 1.2] {
        let samples = flow.at(&[t]).sample(10_000)?;
        let (ess, log_z) = (samples.relative_ess()?, samples.log_z()?);
        let exact = (std::f64::consts::PI * t).ln();
        println!(
            "T = {t}: ESS {:.3}, log Z {:.3}, exact {exact:.3}",
            ess.value, log_z.value
        );
    }
    Ok(())
}
