//! One step after the other.

use trade_core::random::Stream;

use super::super::super::lanes::{Lanes, SideBySide};
use super::super::super::system::Bond;
use super::super::start::relax;
use super::super::{BOLTZMANN, Langevin, Walkers};
use super::{Checked, alanine, free};

type Single = Lanes<f32, 16>;
type Double = Lanes<f64, 8>;

/// Walkers of alanine dipeptide, equilibrated at 300 K for a picosecond.
fn equilibrated<S: SideBySide>(friction: f64, step: f64) -> crate::Result<(Langevin, Walkers<S>)> {
    let (molecule, _) = alanine()?;
    let bath = Langevin::new(molecule.system(), 0.001, 10.0)?;
    let start = relax(&bath, molecule.start())?;
    let stream = Stream::new(7, 0);
    let mut walkers = Walkers::new(&bath, &start, &vec![300.0; S::WIDTH], stream);
    walkers.advance(&bath, 1000);
    let dynamics = Langevin::new(molecule.system(), step, friction)?;
    Ok((dynamics, walkers))
}

/// Potential and kinetic energy of every lane at the same time: velocities are half a kick behind.
fn total_energy<S: SideBySide>(dynamics: &Langevin, walkers: &Walkers<S>) -> Vec<f64> {
    let mut v = walkers.velocities().to_vec();
    for ((v, f), mass) in v.iter_mut().zip(walkers.forces()).zip(&dynamics.masses) {
        for axis in 0..3 {
            v[axis] += S::splat(0.5 * dynamics.step / mass) * f[axis];
        }
    }
    let constraints = &dynamics.constraints;
    constraints.velocities(walkers.positions(), &mut v, dynamics.step);
    (0..S::WIDTH)
        .map(|lane| {
            let square = |v: &[S; 3]| v.iter().map(|v| v.lane(lane).powi(2)).sum::<f64>();
            let terms = v.iter().zip(&dynamics.masses);
            let kinetic: f64 = terms.map(|(v, m)| 0.5 * m * square(v)).sum();
            walkers.energy().lane(lane) + kinetic
        })
        .collect()
}

#[test]
fn constraints_hold() -> Checked {
    let (dynamics, mut walkers) = equilibrated::<Single>(1.0, 0.002)?;
    for _ in 0..20 {
        walkers.advance(&dynamics, 100);
        let worst = dynamics.constraints.violation(walkers.positions());
        // The tolerance of the solution and the rounding of positions.
        assert!(worst < 2e-6, "{worst}");
    }
    let (dynamics, mut walkers) = equilibrated::<Double>(1.0, 0.002)?;
    walkers.advance(&dynamics, 500);
    let worst = dynamics.constraints.violation(walkers.positions());
    assert!(worst < 1.5e-10, "{worst}");
    Ok(())
}

#[test]
fn the_energy_error_falls_with_the_square_of_the_step() -> Checked {
    let mut spreads = Vec::new();
    for step in [0.001, 0.0005, 0.000_25] {
        let (dynamics, mut walkers) = equilibrated::<Double>(0.0, step)?;
        // Starts alike: half a kick behind, so that the first energies agree to second order.
        let mut sums = [0.0; 8];
        let mut squares = [0.0; 8];
        let samples = 400;
        for _ in 0..samples {
            walkers.advance(&dynamics, (0.001 / step) as usize);
            for (lane, h) in total_energy(&dynamics, &walkers).into_iter().enumerate() {
                // About a value near the mean, against cancellation.
                sums[lane] += h;
                squares[lane] += h * h;
            }
        }
        let n = f64::from(samples);
        let variance: f64 = (0..8).map(|l| squares[l] / n - (sums[l] / n).powi(2)).sum();
        spreads.push((variance / 8.0).sqrt());
    }
    println!("spread of the total energy, kJ/mol: {spreads:?}");
    for pair in spreads.windows(2) {
        let ratio = pair[0] / pair[1];
        assert!((ratio - 4.0).abs() < 0.5, "{spreads:?}");
    }
    Ok(())
}

#[test]
fn single_precision_conserves_the_energy_as_double_does() -> Checked {
    /// The slope of the total energy in time, kJ/mol/ps: mean and error over lanes.
    fn drift<S: SideBySide>() -> crate::Result<[f64; 2]> {
        let (dynamics, mut walkers) = equilibrated::<S>(0.0, 0.001)?;
        let (blocks, length) = (40, 500);
        let mut slopes = vec![0.0; S::WIDTH];
        let mut norm = 0.0;
        for block in 0..blocks {
            let t = (f64::from(block) - 0.5 * f64::from(blocks - 1)) * 0.5;
            norm += t * t;
            walkers.advance(&dynamics, length);
            for (slope, h) in slopes.iter_mut().zip(total_energy(&dynamics, &walkers)) {
                *slope += t * h;
            }
        }
        let n = slopes.len() as f64;
        let mean = slopes.iter().sum::<f64>() / (n * norm);
        let squares: f64 = slopes.iter().map(|s| (s / norm - mean).powi(2)).sum();
        Ok([mean, (squares / (n * (n - 1.0))).sqrt()])
    }
    let [single, error] = drift::<Single>()?;
    let [double, double_error] = drift::<Double>()?;
    println!("drift in kJ/mol/ps: f32 {single} ± {error}, f64 {double} ± {double_error}");
    assert!(double.abs() < 4.0 * double_error, "{double} {double_error}");
    // What rounding puts in, friction takes out at 2 γ E_kin, 135 kJ/mol/ps at 1/ps: the bound is
    // 0.05 K of temperature.
    assert!(single.abs() < 0.02, "{single} {error}");
    Ok(())
}

#[test]
fn single_precision_follows_double() -> Checked {
    let (molecule, _) = alanine()?;
    let dynamics = Langevin::new(molecule.system(), 0.002, 0.0)?;
    let start = relax(&dynamics, molecule.start())?;
    let temperatures = vec![300.0; 16];
    let mut single = Walkers::<Single>::new(&dynamics, &start, &temperatures, Stream::new(1, 0));
    let mut double =
        Walkers::<Double>::new(&dynamics, &start, &temperatures[..8], Stream::new(1, 0));
    // The same velocities in both.
    let mut state = double.state();
    let narrow = single.state();
    for (component, values) in state.velocities.chunks_exact_mut(8).enumerate() {
        values.copy_from_slice(&narrow.velocities[16 * component..][..8]);
    }
    double.restore(&dynamics, &state, &temperatures[..8]);
    // 50 fs: a few periods of the fastest motion, before chaos parts them.
    single.advance(&dynamics, 25);
    double.advance(&dynamics, 25);
    let mut worst = 0.0_f64;
    for (a, b) in single.positions().iter().zip(double.positions()) {
        for (a, b) in a.iter().zip(b) {
            for lane in 0..8 {
                worst = worst.max((a.lane(lane) - b.lane(lane)).abs());
            }
        }
    }
    println!("after 50 fs positions differ by {worst:e} nm");
    assert!(worst < 2e-5, "{worst}");
    Ok(())
}

#[test]
fn lanes_know_nothing_of_each_other() -> Checked {
    let (molecule, _) = alanine()?;
    let dynamics = Langevin::new(molecule.system(), 0.002, 1.0)?;
    let start = relax(&dynamics, molecule.start())?;
    let run = |others: f64| {
        let mut temperatures = vec![others; 16];
        temperatures[3] = 300.0;
        let mut walkers =
            Walkers::<Single>::new(&dynamics, &start, &temperatures, Stream::new(2, 0));
        walkers.advance(&dynamics, 300);
        let positions = walkers.positions().as_flattened().iter();
        positions.map(|x| x.0[3]).collect::<Vec<f32>>()
    };
    assert_eq!(run(100.0), run(900.0));
    Ok(())
}

#[test]
fn kinetic_temperatures_are_the_baths() -> Checked {
    let (dynamics, mut walkers) = equilibrated::<Single>(5.0, 0.002)?;
    assert_eq!(dynamics.degrees_of_freedom(), 66 - 12);
    for (lane, temperature) in [300.0, 600.0].iter().cycle().enumerate().take(16) {
        walkers.set_temperature(&dynamics, lane, *temperature);
    }
    walkers.advance(&dynamics, 2000);
    let samples = 1000;
    let mut sums = [0.0; 2];
    for _ in 0..samples {
        // 0.2 ps, the time in which friction forgets a kinetic energy twice over.
        walkers.advance(&dynamics, 100);
        for (lane, t) in walkers.kinetic_temperatures(&dynamics).iter().enumerate() {
            sums[lane % 2] += t / f64::from(8 * samples);
        }
    }
    println!("kinetic temperatures {sums:?}");
    for (mean, temperature) in sums.iter().zip([300.0, 600.0]) {
        // The relative spread of one value is √(2/54); values are nearly independent.
        let sigma = temperature * (2.0_f64 / 54.0 / f64::from(8 * samples)).sqrt();
        // 2 fs is a seventh of the fastest period: the step's error is below half a percent.
        let bound = 5.0 * sigma + 0.005 * temperature;
        assert!((mean - temperature).abs() < bound, "{sums:?}");
    }
    Ok(())
}

/// Two atoms on a spring of length 0: their distance is a three-dimensional oscillator, whose
/// configurations the scheme samples exactly at every stable step.
#[test]
fn a_harmonic_oscillator_has_its_boltzmann_variance() -> Checked {
    let mut system = free(&[2.0, 6.0]);
    let stiffness = 600.0;
    system.bonds.push(Bond {
        atoms: [0, 1],
        length: 0.0,
        stiffness,
    });
    // ω = √(k/μ) = 20/ps: ω Δt = 1, where velocity Verlet's variance would be off by a third.
    let dynamics = Langevin::new(&system, 0.05, 8.0)?;
    let temperatures: Vec<f64> = (0..16)
        .map(|lane| 100.0 * f64::from(1 + lane % 4))
        .collect();
    let start = [[0.0; 3], [0.1, 0.0, 0.0]];
    let mut walkers = Walkers::<Single>::new(&dynamics, &start, &temperatures, Stream::new(3, 0));
    walkers.advance(&dynamics, 200);
    let (samples, apart) = (20_000, 10);
    let mut squares = [0.0; 4];
    for _ in 0..samples {
        walkers.advance(&dynamics, apart);
        let x = walkers.positions();
        for axis in 0..3 {
            for lane in 0..16 {
                let d = x[0][axis].lane(lane) - x[1][axis].lane(lane);
                squares[lane % 4] += d * d;
            }
        }
    }
    let n = f64::from(samples * 3 * 4);
    for (k, square) in squares.iter().enumerate() {
        let exact = BOLTZMANN * 100.0 * (k + 1) as f64 / stiffness;
        let ratio = square / n / exact;
        println!("variance over its exact value: {ratio}");
        // Half a picosecond apart, samples are independent.
        assert!((ratio - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{ratio}");
    }
    Ok(())
}
