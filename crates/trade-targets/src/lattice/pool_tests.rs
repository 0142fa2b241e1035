//! `log Z(κ)` from one pool of fields drawn at several κ, against exact values, and its errors against
//! their own scatter.

use std::f64::consts::TAU;

use trade_core::{
    estimate::{Estimate, mixture::Mixture},
    random::Stream,
};

use super::{Couplings, FreeField, Torus};

/// A density of fields as a flow has it that is not quite right: independent Gaussian modes, of the
/// variance `stretch/(A(k) + mass)`.
struct Gaussian {
    l: usize,
    deviations: Vec<f64>,
}

impl Gaussian {
    fn new(torus: &Torus, kappa: f64, stretch: f64, mass: f64) -> Self {
        let l = torus.side();
        let free = FreeField::new(torus, 0.0).unwrap();
        // A(k) at κ from that at 0, which is 2: the mass may make up for κ ≥ ¼.
        let cosine = |n: usize| (TAU * n as f64 / l as f64).cos();
        let variance = |k: usize| {
            let hopping = 4.0 * kappa * (cosine(k / l) + cosine(k % l));
            stretch / (free.inverse_propagator((k / l, k % l)) - hopping + mass)
        };
        Self {
            l,
            deviations: (0..l * l).map(|k| variance(k).sqrt()).collect(),
        }
    }

    /// The real Fourier basis of a circle: cosines up to half of its momenta, sines beyond.
    fn wave(&self, n: usize, x: usize) -> f64 {
        let l = self.l as f64;
        let angle = TAU * (n * x % self.l) as f64 / l;
        let own = n == 0 || 2 * n == self.l;
        (if own { 1.0 } else { 2.0 } / l).sqrt()
            * if 2 * n <= self.l {
                angle.cos()
            } else {
                angle.sin()
            }
    }

    fn basis(&self, k: usize, x: usize) -> f64 {
        let l = self.l;
        self.wave(k / l, x / l) * self.wave(k % l, x % l)
    }

    fn sample(&self, n: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
        let sites = self.deviations.len();
        let field = |_| -> Vec<f64> {
            let noise = stream.normal64(sites);
            let modes: Vec<f64> = noise
                .iter()
                .zip(&self.deviations)
                .map(|(z, s)| z * s)
                .collect();
            let at = |x| (0..sites).map(|k| modes[k] * self.basis(k, x)).sum();
            (0..sites).map(at).collect()
        };
        (0..n).map(field).collect()
    }

    fn log_prob(&self, field: &[f64]) -> f64 {
        let sites = field.len();
        let term = |k: usize| {
            let mode: f64 = (0..sites).map(|x| self.basis(k, x) * field[x]).sum();
            let deviation = self.deviations[k];
            -0.5 * (mode / deviation).powi(2) - deviation.ln() - 0.5 * TAU.ln()
        };
        (0..sites).map(term).sum()
    }
}

/// `(found − exact)/error` of `log Z` at each κ, and of its difference to the first, of many seeds.
fn pulls(
    l: usize,
    lambda: f64,
    pooled: &[f64],
    kappas: &[f64],
    exact: &[f64],
) -> Vec<[Vec<f64>; 2]> {
    let torus = Torus::new(l).unwrap();
    let (samples, seeds) = (300, 150);
    let flows: Vec<Gaussian> = pooled
        .iter()
        .map(|kappa| Gaussian::new(&torus, *kappa, 1.1, 6.0 * lambda))
        .collect();
    let mut all = vec![[Vec::new(), Vec::new()]; kappas.len()];
    for seed in 0..seeds {
        let mut stream = Stream::new(seed, 0);
        let fields: Vec<Vec<f64>> = flows
            .iter()
            .flat_map(|flow| flow.sample(samples, &mut stream))
            .collect();
        let densities: Vec<Vec<f64>> = flows
            .iter()
            .map(|flow| fields.iter().map(|field| flow.log_prob(field)).collect())
            .collect();
        let pool = Mixture::new(&densities, &vec![samples; flows.len()]).unwrap();
        let log_q = |kappa: f64| -> Vec<f64> {
            let density = |field: &Vec<f64>| torus.log_density(field, Couplings { kappa, lambda });
            fields.iter().map(density).collect()
        };
        let first = log_q(kappas[0]);
        for (i, kappa) in kappas.iter().enumerate() {
            let density = log_q(*kappa);
            let pull = |found: Estimate, exact: f64| (found.value - exact) / found.error;
            all[i][0].push(pull(pool.log_z(&density).unwrap(), exact[i]));
            if i > 0 {
                let found = pool.log_z_difference(&first, &density).unwrap();
                all[i][1].push(pull(found, exact[i] - exact[0]));
            }
        }
    }
    all
}

/// Of 150 seeds a mean pull is known to 0.08 and a deviation to 6 %.
fn calibrated(all: &[[Vec<f64>; 2]]) {
    for (i, both) in all.iter().enumerate() {
        for pulls in both.iter().filter(|pulls| !pulls.is_empty()) {
            let n = pulls.len() as f64;
            let mean = pulls.iter().sum::<f64>() / n;
            let square = pulls.iter().map(|p| (p - mean).powi(2)).sum::<f64>();
            let deviation = (square / (n - 1.0)).sqrt();
            println!("κ {i}: {mean:+.2} {deviation:.2}");
            assert!(mean.abs() < 0.3, "κ {i}: mean {mean}");
            assert!(
                (0.8..1.2).contains(&deviation),
                "κ {i}: deviation {deviation}"
            );
        }
    }
}

#[test]
fn a_pool_knows_the_free_field_within_its_errors() {
    let torus = Torus::new(4).unwrap();
    let kappas = [0.1, 0.13, 0.16, 0.2];
    let exact = kappas.map(|kappa| FreeField::new(&torus, kappa).unwrap().log_z());
    calibrated(&pulls(4, 0.0, &[0.1, 0.15, 0.2], &kappas, &exact));
}

#[test]
fn a_pool_knows_four_interacting_sites_within_its_errors() {
    let lambda = 0.05;
    let kappas = [0.15, 0.2, 0.25];
    // Trapezoids of an analytic density that has fallen to nothing at the ends.
    let h = 0.35;
    let nodes: Vec<f64> = (-13..=13).map(|i| h * f64::from(i)).collect();
    let potential = |x: f64| (1.0 - 2.0 * lambda) * x * x + lambda * x.powi(4);
    let exact = kappas.map(|kappa| {
        let mut sum = 0.0;
        // The sites a b / c d: given a and d, both b and c are tied to a + d alone.
        for &a in &nodes {
            for &d in &nodes {
                let tied: f64 = nodes
                    .iter()
                    .map(|b| h * (4.0 * kappa * b * (a + d) - potential(*b)).exp())
                    .sum();
                sum += h * h * (-potential(a) - potential(d)).exp() * tied * tied;
            }
        }
        sum.ln()
    });
    calibrated(&pulls(2, lambda, &[0.15, 0.25], &kappas, &exact));
}
