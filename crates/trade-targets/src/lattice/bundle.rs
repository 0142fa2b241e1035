//! Several hybrid Monte Carlo chains side by side.
//!
//! Duane, Kennedy, Pendleton and Roweth, Phys. Lett. B 195 (1987) 216. The state is stored as
//! `[site][chain]`, so that the innermost loops run over chains and vectorise.

use trade_core::random::Stream;

use super::acceleration::{Acceleration, Factor};
use super::{Couplings, Torus};

/// The chains of a bundle.
pub(crate) const LANES: usize = 8;

/// One number for each chain of a bundle.
pub(crate) type Lanes = [f64; LANES];

/// How a trajectory is integrated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Integrator {
    /// The mean step size; each trajectory changes it by up to 10 %.
    pub(crate) step: f64,
    /// The mean number of steps; each trajectory draws from `1..2·steps`, without the end.
    pub(crate) steps: usize,
}

/// What a trajectory did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// How many of the chains accepted.
    pub(crate) accepted: usize,
    /// `min(1, e^{−ΔH})`, averaged over the chains.
    pub(crate) probability: f64,
}

/// [`LANES`] chains at the same couplings.
#[derive(Debug, Clone)]
pub(crate) struct Bundle<'a> {
    torus: &'a Torus,
    couplings: Couplings,
    pub(crate) field: Vec<Lanes>,
    pub(crate) momentum: Vec<Lanes>,
    before: Vec<Lanes>,
    /// The action of each chain's field.
    pub(crate) action: Lanes,
    stream: Stream,
    /// The masses of the momenta, if they are not all one, and space for velocities.
    masses: Option<(Acceleration, Vec<Lanes>)>,
}

impl<'a> Bundle<'a> {
    /// Chains that start at the uniform field of least action, of either sign, plus `noise` times
    /// standard normal numbers.
    ///
    /// An ordered start is right in both phases: it decays fast in the symmetric one, and in the
    /// broken one it holds none of the domain walls that a hot start freezes in.
    pub(crate) fn new(torus: &'a Torus, couplings: Couplings, noise: f64, stream: Stream) -> Self {
        let sites = torus.sites();
        let mut bundle = Self {
            torus,
            couplings,
            field: vec![[couplings.classical_field(); LANES]; sites],
            momentum: vec![[0.0; LANES]; sites],
            before: vec![[0.0; LANES]; sites],
            action: [0.0; LANES],
            stream,
            masses: None,
        };
        bundle.draw_momentum();
        for (phi, xi) in bundle.field.iter_mut().zip(&bundle.momentum) {
            for (phi, xi) in phi.iter_mut().zip(xi) {
                *phi += noise * xi;
            }
        }
        bundle.flip();
        bundle.action = bundle.actions();
        bundle
    }

    /// From now on momenta have these masses.
    pub(crate) fn accelerate(&mut self, masses: Acceleration) {
        let velocities = vec![[0.0; LANES]; self.field.len()];
        self.masses = Some((masses, velocities));
    }

    /// One trajectory of each chain with its accept step, then a random global sign.
    pub(crate) fn advance(&mut self, integrator: Integrator) -> Outcome {
        let step = integrator.step * (0.9 + 0.2 * self.stream.uniform_one());
        let steps = 1 + self.stream.index(2 * integrator.steps.max(1) - 1);
        self.draw_momentum();
        self.before.copy_from_slice(&self.field);
        let mut delta = self.kinetic();
        self.leapfrog(step, steps);
        let (action, kinetic) = (self.actions(), self.kinetic());
        let mut outcome = Outcome {
            accepted: 0,
            probability: 0.0,
        };
        let mut keep = [true; LANES];
        for lane in 0..LANES {
            delta[lane] = action[lane] + kinetic[lane] - self.action[lane] - delta[lane];
            let probability = (-delta[lane]).exp().min(1.0);
            // A diverged trajectory has ΔH = ∞ or NaN: the comparison refuses both.
            keep[lane] = delta[lane] < f64::INFINITY && self.stream.uniform_one() < probability;
            if keep[lane] {
                self.action[lane] = action[lane];
                outcome.accepted += 1;
            }
            if !probability.is_nan() {
                outcome.probability += probability / LANES as f64;
            }
        }
        if outcome.accepted < LANES {
            for (phi, before) in self.field.iter_mut().zip(&self.before) {
                for lane in 0..LANES {
                    phi[lane] = if keep[lane] { phi[lane] } else { before[lane] };
                }
            }
        }
        self.flip();
        outcome
    }

    /// `steps` leapfrog steps of size `step`: half a kick, drifts and kicks in turn, half a kick.
    pub(crate) fn leapfrog(&mut self, step: f64, steps: usize) {
        self.kick(0.5 * step);
        for i in 0..steps {
            let velocities = velocities(&mut self.masses, &self.momentum);
            for (phi, velocity) in self.field.iter_mut().zip(velocities) {
                for lane in 0..LANES {
                    phi[lane] += step * velocity[lane];
                }
            }
            self.kick(if i + 1 < steps { step } else { 0.5 * step });
        }
    }

    /// Moves the momenta along the force of [`Torus::force`].
    fn kick(&mut self, step: f64) {
        let Couplings { kappa, lambda } = self.couplings;
        let hop = 2.0 * kappa * step;
        let linear = 2.0 * (1.0 - 2.0 * lambda) * step;
        let cubic = 4.0 * lambda * step;
        let field = &self.field;
        let sites = field.iter().zip(self.torus.neighbours());
        for (momentum, (phi, around)) in self.momentum.iter_mut().zip(sites) {
            let [a, b, c, d] = around.map(|y| &field[y as usize]);
            for lane in 0..LANES {
                let sum = (a[lane] + b[lane]) + (c[lane] + d[lane]);
                let slope = linear + cubic * phi[lane] * phi[lane];
                momentum[lane] += hop * sum - slope * phi[lane];
            }
        }
    }

    fn draw_momentum(&mut self) {
        let normals = self.stream.normal64(LANES * self.momentum.len());
        for (momentum, normals) in self.momentum.iter_mut().zip(normals.chunks_exact(LANES)) {
            momentum.copy_from_slice(normals);
        }
        if let Some((masses, momentum)) = &mut self.masses {
            masses.multiply(Factor::Root, &self.momentum, momentum);
            self.momentum.copy_from_slice(momentum);
        }
    }

    /// Changes the sign of each chain's field with probability ½; the action does not change.
    fn flip(&mut self) {
        let bits = self.stream.index(1 << LANES);
        let mut sign = [1.0; LANES];
        for (lane, sign) in sign.iter_mut().enumerate() {
            if bits >> lane & 1 == 1 {
                *sign = -1.0;
            }
        }
        for phi in &mut self.field {
            for lane in 0..LANES {
                phi[lane] *= sign[lane];
            }
        }
    }

    /// The kinetic energies `½ Σ_k |π_k|²/M(k)`.
    pub(crate) fn kinetic(&mut self) -> Lanes {
        let mut sum = [0.0; LANES];
        let velocities = velocities(&mut self.masses, &self.momentum);
        for (momentum, velocity) in self.momentum.iter().zip(velocities) {
            for lane in 0..LANES {
                sum[lane] += 0.5 * momentum[lane] * velocity[lane];
            }
        }
        sum
    }

    /// The actions of the present fields.
    pub(crate) fn actions(&self) -> Lanes {
        let hop = 2.0 * self.couplings.kappa;
        let mut sum = [0.0; LANES];
        for (phi, [a, b, ..]) in self.field.iter().zip(self.torus.neighbours()) {
            let (a, b) = (&self.field[*a as usize], &self.field[*b as usize]);
            for lane in 0..LANES {
                sum[lane] +=
                    self.couplings.potential(phi[lane]) - hop * phi[lane] * (a[lane] + b[lane]);
            }
        }
        sum
    }

    /// `|Σ_x φ_x|` of each chain.
    pub(crate) fn magnetisations(&self) -> Lanes {
        let mut sum = [0.0; LANES];
        for phi in &self.field {
            for lane in 0..LANES {
                sum[lane] += phi[lane];
            }
        }
        sum.map(f64::abs)
    }
}

/// What the momenta move the field by: themselves, if all masses are one.
fn velocities<'a>(
    masses: &'a mut Option<(Acceleration, Vec<Lanes>)>,
    momentum: &'a [Lanes],
) -> &'a [Lanes] {
    match masses {
        Some((masses, velocities)) => {
            masses.multiply(Factor::Inverse, momentum, velocities);
            velocities
        }
        None => momentum,
    }
}

#[cfg(test)]
mod tests {
    use super::super::acceleration::Propagator;
    use super::*;

    const PUBLISHED: Couplings = Couplings {
        kappa: 0.29,
        lambda: 0.02,
    };

    fn equilibrated(torus: &Torus) -> Bundle<'_> {
        let mut bundle = Bundle::new(torus, PUBLISHED, 0.5, Stream::new(5, 0));
        for _ in 0..50 {
            bundle.advance(Integrator {
                step: 0.2,
                steps: 8,
            });
        }
        bundle
    }

    #[test]
    fn bundled_chains_have_the_action_and_force_of_single_fields() {
        let torus = Torus::new(5).unwrap();
        let bundle = equilibrated(&torus);
        for lane in 0..LANES {
            let field: Vec<f64> = bundle.field.iter().map(|phi| phi[lane]).collect();
            let action = torus.action(&field, PUBLISHED);
            assert!((bundle.actions()[lane] - action).abs() < 1e-11);
            // Kept over accepted, refused and flipped trajectories.
            assert!((bundle.action[lane] - action).abs() < 1e-11);
            let sum: f64 = field.iter().sum();
            assert!((bundle.magnetisations()[lane] - sum.abs()).abs() < 1e-12);
            let mut kicked = bundle.clone();
            kicked.kick(0.3);
            let mut force = vec![0.0; 25];
            torus.force(&field, PUBLISHED, &mut force);
            for (x, force) in force.iter().enumerate() {
                let change = kicked.momentum[x][lane] - bundle.momentum[x][lane];
                assert!((change - 0.3 * force).abs() < 1e-12);
            }
        }
    }

    /// Chains with masses of one, and with masses by momentum.
    fn both(torus: &Torus) -> [Bundle<'_>; 2] {
        let plain = equilibrated(torus);
        let mut accelerated = plain.clone();
        let inverse = Propagator {
            zero: 0.2,
            lowest: 0.5,
        };
        accelerated.accelerate(Acceleration::new(torus, PUBLISHED.kappa, inverse));
        [plain, accelerated]
    }

    #[test]
    fn trajectories_run_backwards() {
        let torus = Torus::new(8).unwrap();
        for bundle in both(&torus) {
            runs_backwards(bundle);
        }
    }

    fn runs_backwards(mut bundle: Bundle) {
        bundle.draw_momentum();
        let (field, momentum) = (bundle.field.clone(), bundle.momentum.clone());
        let reverse = |bundle: &mut Bundle| {
            for momentum in bundle.momentum.as_flattened_mut() {
                *momentum = -*momentum;
            }
        };
        bundle.leapfrog(0.2, 20);
        assert!((bundle.field[0][0] - field[0][0]).abs() > 1e-2);
        reverse(&mut bundle);
        bundle.leapfrog(0.2, 20);
        reverse(&mut bundle);
        let back = bundle.field.as_flattened().iter().zip(field.as_flattened());
        let also = bundle
            .momentum
            .as_flattened()
            .iter()
            .zip(momentum.as_flattened());
        for (found, start) in back.chain(also) {
            assert!((found - start).abs() < 1e-10, "{found} {start}");
        }
    }

    #[test]
    fn the_energy_error_falls_with_the_square_of_the_step() {
        let torus = Torus::new(8).unwrap();
        for start in both(&torus) {
            falls_with_the_square(start);
        }
    }

    fn falls_with_the_square(mut start: Bundle) {
        start.draw_momentum();
        let error = |step: f64, steps: usize| {
            let mut bundle = start.clone();
            let energy = |b: &mut Bundle| {
                let (action, kinetic) = (b.actions(), b.kinetic());
                std::array::from_fn::<f64, LANES, _>(|lane| action[lane] + kinetic[lane])
            };
            let before = energy(&mut bundle);
            bundle.leapfrog(step, steps);
            let after = energy(&mut bundle);
            let squares = before.iter().zip(after).map(|(b, a)| (a - b).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let (coarse, middle, fine) = (error(0.08, 20), error(0.04, 40), error(0.02, 80));
        for ratio in [coarse / middle, middle / fine] {
            assert!((ratio - 4.0).abs() < 0.2, "{coarse} {middle} {fine}");
        }
    }

    #[test]
    fn diverging_trajectories_are_refused() {
        let torus = Torus::new(4).unwrap();
        let mut bundle = equilibrated(&torus);
        let (field, action) = (bundle.field.clone(), bundle.action);
        let outcome = bundle.advance(Integrator {
            step: 50.0,
            steps: 40,
        });
        assert_eq!((outcome.accepted, bundle.action), (0, action));
        for (now, before) in bundle.field.as_flattened().iter().zip(field.as_flattened()) {
            assert_eq!(now.abs(), before.abs());
        }
    }
}
