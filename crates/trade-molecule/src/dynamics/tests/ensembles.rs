//! Alanine dipeptide against the ensembles of an independent simulator.

use serde::Deserialize;
use trade_core::estimate::Estimate;

use super::super::basin::torsion_of;
use super::super::{AtTemperature, Basin, SimulateConfig};
use super::{Checked, alanine};

const ENSEMBLES: &str = include_str!("../../../data/alanine/ensembles.json");

#[derive(Deserialize)]
struct File {
    ensembles: Vec<Reference>,
}

/// What the reference found at a temperature.
#[derive(Deserialize)]
struct Reference {
    temperature: f64,
    frames: f64,
    energy_mean: f64,
    energy_error: f64,
    energy_spread: f64,
    minor: f64,
    minor_error: f64,
    inefficiency_frames: f64,
    phi: Vec<f64>,
    psi: Vec<f64>,
    ramachandran: Vec<Vec<f64>>,
}

fn references() -> serde_json::Result<Vec<Reference>> {
    Ok(serde_json::from_str::<File>(ENSEMBLES)?.ensembles)
}

/// The bin of an angle among `count` on `[−π, π]`.
fn bin(angle: f64, count: usize) -> usize {
    let share = (angle + std::f64::consts::PI) / std::f64::consts::TAU;
    ((share * count as f64) as usize).min(count - 1)
}

/// How many standard errors two estimates lie apart.
fn apart(a: Estimate, value: f64, error: f64) -> f64 {
    (a.value - value) / a.error.hypot(error)
}

/// The largest deviation of the populations of ten sectors of a torsion, in standard errors: of ours
/// from the spread between ladders, of the reference's from its statistical inefficiency.
fn sectors(angles: &[f64], ladders: usize, counts: &[f64], reference: &Reference) -> f64 {
    let each = (angles.len() / ladders) as f64;
    let mut worst = 0.0_f64;
    for sector in 0..10 {
        let mut shares = vec![0.0; ladders];
        for (row, angle) in angles.iter().enumerate() {
            if bin(*angle, 10) == sector {
                shares[row % ladders] += 1.0 / each;
            }
        }
        let p = counts[10 * sector..10 * (sector + 1)].iter().sum::<f64>() / reference.frames;
        let independent = reference.frames / reference.inefficiency_frames;
        // A sector that nobody visits counts as one visit in the error.
        let error = (p.max(1.0 / independent) / independent).sqrt();
        if let Ok(ours) = Estimate::mean(&shares) {
            let z = apart(ours, p, error);
            println!(
                "  sector {sector}: {:.5} ± {:.5}, reference {p:.5} ± {error:.5}, {z:+.1} σ",
                ours.value, ours.error
            );
            worst = worst.max(z.abs());
        }
    }
    worst
}

/// Counts of (φ, ψ) in 30 × 30 bins, row by row.
fn ramachandran(angles: &[[f64; 2]]) -> Vec<f64> {
    let mut counts = vec![0.0; 900];
    for [phi, psi] in angles {
        counts[30 * bin(*phi, 30) + bin(*psi, 30)] += 1.0;
    }
    counts
}

/// `KL(p ‖ q)` of two histograms, bins empty in either left out.
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    let [n, m] = [p, q].map(|counts| counts.iter().sum::<f64>());
    let pairs = p.iter().zip(q).filter(|(p, q)| **p > 0.0 && **q > 0.0);
    pairs.map(|(p, q)| p / n * (p * m / (q * n)).ln()).sum()
}

fn compare(at: &AtTemperature, frames: &[f32], ladders: usize, reference: &Reference) {
    println!("{at:#?}");
    let z = apart(at.energy, reference.energy_mean, reference.energy_error);
    println!(
        "energy {:.3} ± {:.3}: {z:+.2} σ",
        at.energy.value, at.energy.error
    );
    assert!(z.abs() < 4.0);
    // The spread's own error, from the energy's: sd(s)/s ≈ √(1/2n) with n independent values.
    let independent = (at.energy_spread / at.energy.error).powi(2);
    let ratio = at.energy_spread / reference.energy_spread;
    println!(
        "spread {:.3}, {ratio:.4} of the reference's",
        at.energy_spread
    );
    assert!((ratio - 1.0).abs() < 4.0 * (1.0 / independent).sqrt());
    let z = at.basin.map_or(f64::NAN, |b| {
        apart(b, reference.minor, reference.minor_error)
    });
    println!("minor mode {:?}: {z:+.2} σ", at.basin);
    assert!(z.abs() < 4.0);

    let angles: Vec<[f64; 2]> = frames
        .chunks_exact(66)
        .map(|x| [torsion_of(x, [4, 6, 8, 14]), torsion_of(x, [6, 8, 14, 16])])
        .collect();
    for (axis, counts) in [&reference.phi, &reference.psi].into_iter().enumerate() {
        let one: Vec<f64> = angles.iter().map(|a| a[axis]).collect();
        assert!(sectors(&one, ladders, counts, reference) < 4.5);
    }
    // The floor is what two parts of our own frames differ by; the reference has more frames than
    // the second part.
    let half = angles.len() / 2;
    let [first, second] = [&angles[..half], &angles[half..]].map(ramachandran);
    let floor = divergence(&first, &second);
    let kl = divergence(&first, &reference.ramachandran.concat());
    println!("KL of (φ, ψ): {kl:.5} from the reference, {floor:.5} between our halves");
    assert!(kl < 1.5 * floor, "{kl} {floor}");
}

/// Replica exchange at nine temperatures from 300 to 1200 K, of which 600 K is one.
///
/// Some three minutes of one core.
#[test]
#[ignore = "long; cargo test --release -p trade-molecule --lib ensembles -- --ignored --nocapture"]
fn replica_exchange_gives_the_reference_ensembles() -> Checked {
    let (molecule, topology) = alanine()?;
    let config = SimulateConfig {
        temperature: 300.0,
        replicas: 9,
        t_max: 1200.0,
        ns: 32.0,
        walkers: 16,
        equilibration_ps: 400.0,
        basin: Some(Basin::minor(topology.phi()[0])),
        trans: topology.omega(),
        ..SimulateConfig::default()
    };
    let simulation = config.run(&molecule)?;
    let provenance = &simulation.provenance;
    println!("exchange rates {:?}", provenance.exchange_rates);
    println!(
        "round trips {}, crossings {:?}, {:?} in a walker's ns",
        provenance.round_trips, provenance.transitions, provenance.transitions_per_ns
    );
    let mut compared = 0;
    for reference in references()? {
        for (at, frames) in provenance.temperatures.iter().zip(&simulation.frames) {
            if (at.temperature - reference.temperature).abs() < 1e-6 {
                compare(at, frames, config.walkers, &reference);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 2);
    Ok(())
}

/// Short, and without exchange: what it can resolve at 600 K.
#[test]
fn plain_dynamics_has_the_reference_energy() -> Checked {
    let (molecule, topology) = alanine()?;
    let config = SimulateConfig {
        temperature: 600.0,
        ns: 1.6,
        walkers: 32,
        equilibration_ps: 20.0,
        basin: Some(Basin::minor(topology.phi()[0])),
        ..SimulateConfig::default()
    };
    let simulation = config.run(&molecule)?;
    let at = &simulation.provenance.temperatures[0];
    println!("{at:#?}");
    let reference = references()?.into_iter().find(|r| r.temperature == 600.0);
    let reference = reference.ok_or("no reference at 600 K")?;
    let z = apart(at.energy, reference.energy_mean, reference.energy_error);
    assert!(at.energy.error < 1.5 && z.abs() < 4.0, "{z}");
    assert!((at.energy_spread / reference.energy_spread - 1.0).abs() < 0.1);
    let kinetic = at.kinetic_temperature;
    assert!(
        (kinetic.value - 600.0).abs() < 4.0 * kinetic.error + 3.0,
        "{kinetic:?}"
    );
    Ok(())
}
