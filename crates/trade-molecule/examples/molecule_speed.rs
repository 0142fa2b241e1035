//! How fast alanine dipeptide is simulated on one core, in the format of the peer
//! `openmm_speed.py` of `trade-bench`: the fastest of several repeats.

use std::time::Instant;

use trade_core::random::Stream;
use trade_molecule::{
    Lanes,
    dynamics::{Langevin, Molecule, Walkers},
};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/alanine/");
const WALKERS: usize = 16;
const STEPS: usize = 2000;
const REPEATS: usize = 20;

fn fastest(mut action: impl FnMut()) -> f64 {
    (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            action();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() -> trade_molecule::Result<()> {
    let (system, pdb) = (format!("{DATA}system.xml"), format!("{DATA}topology.pdb"));
    let (molecule, _) = Molecule::read(system, pdb)?;
    let dynamics = Langevin::new(molecule.system(), 0.002, 1.0)?;
    let mut walkers = Walkers::<Lanes<f32, WALKERS>>::new(
        &dynamics,
        molecule.start(),
        &[300.0; WALKERS],
        Stream::new(1, 0),
    );
    walkers.advance(&dynamics, STEPS);
    let moving = fastest(|| walkers.advance(&dynamics, STEPS));

    let positions = walkers.positions().to_vec();
    let mut forces = positions.clone();
    let mut work = dynamics.energy().workspace();
    let mut sum = 0.0;
    let evaluating = fastest(|| {
        for _ in 0..STEPS {
            let terms = dynamics
                .energy()
                .evaluate_wide(&positions, &mut forces, &mut work);
            sum += terms.total().0[0];
        }
    });
    assert!(sum.is_finite(), "the energy is {sum}");

    let count = (WALKERS * STEPS) as f64;
    println!(
        "{{\"peer\": \"trade\", \"threads\": 1, \"walkers\": {WALKERS}, \"steps_per_s\": {:.0}, \
         \"ns_per_day\": {:.1}, \"evaluations_per_s\": {:.0}}}",
        count / moving,
        count / moving * 2e-6 * 86_400.0,
        count / evaluating
    );
    Ok(())
}
