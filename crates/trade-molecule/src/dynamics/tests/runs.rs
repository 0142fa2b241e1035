//! Whole simulations.

use std::fs;

use trade_core::ranks::{self, Threads};

use super::super::super::system::{Angle, Bond, Constraint, Torsion};
use super::super::{BOLTZMANN, Basin, Molecule, Run, SimulateConfig, Simulation};
use super::{Checked, alanine, free};

/// Four atoms in a chain whose torsion has two wells, `φ` near ±π/2 with one deeper, 60 kJ/mol
/// apart by its barriers.
fn chain() -> crate::Result<Molecule> {
    let mut system = free(&[12.0; 4]);
    for atom in 0..3 {
        system.bonds.push(Bond {
            atoms: [atom, atom + 1],
            length: 0.15,
            stiffness: 1e5,
        });
    }
    for atom in 0..2 {
        system.angles.push(Angle {
            atoms: [atom, atom + 1, atom + 2],
            angle: 1.9,
            stiffness: 400.0,
        });
    }
    for (periodicity, phase, stiffness) in WAVES {
        system.torsions.push(Torsion {
            atoms: [0, 1, 2, 3],
            periodicity,
            phase,
            stiffness,
        });
    }
    let start = vec![
        [0.05, 0.14, 0.0],
        [0.0, 0.0, 0.0],
        [0.15, 0.0, 0.0],
        [0.2, 0.0, 0.14],
    ];
    Molecule::new(system, start)
}

/// Periodicity, phase and stiffness (kJ/mol) of the torsion's terms.
const WAVES: [(u32, f64, f64); 2] = [(2, 0.0, 30.0), (1, 1.4, 1.0)];

/// The probability of `0 < φ < π`: bonds and angles factor out, so it is that of `e^{−βU(φ)}`.
fn upper_well(temperature: f64) -> f64 {
    let density = |k: i32| {
        let phi = std::f64::consts::PI * (f64::from(k) + 0.5) / 20_000.0;
        let wave =
            |(n, delta, k): &(u32, f64, f64)| k * (1.0 + (f64::from(*n) * phi - delta).cos());
        let energy: f64 = WAVES.iter().map(wave).sum();
        (-energy / (BOLTZMANN * temperature)).exp()
    };
    let upper: f64 = (0..20_000).map(density).sum();
    let lower: f64 = (-20_000..0).map(density).sum();
    upper / (upper + lower)
}

fn tempering() -> SimulateConfig {
    SimulateConfig {
        temperature: 300.0,
        replicas: 6,
        t_max: 2400.0,
        ns: 8.0,
        walkers: 16,
        equilibration_ps: 100.0,
        spacing_ps: 1.0,
        exchange_ps: 0.2,
        basin: Some(Basin {
            atoms: [0, 1, 2, 3],
            from: 0.0,
            to: std::f64::consts::PI,
        }),
        ..SimulateConfig::default()
    }
}

#[test]
fn exchanges_carry_walkers_over_a_barrier_to_the_exact_populations() -> Checked {
    let molecule = chain()?;
    let mut config = tempering();
    let simulation = config.run(&molecule)?;
    let provenance = &simulation.provenance;
    println!("{:?}", provenance.exchange_rates);
    assert!(provenance.exchange_rates.iter().all(|rate| *rate > 0.2));
    assert!(provenance.round_trips > 100, "{}", provenance.round_trips);
    assert!(provenance.transitions > Some(100));
    for at in &provenance.temperatures {
        let basin = at.basin.ok_or("no basin")?;
        let exact = upper_well(at.temperature);
        println!("{} K: {basin:?}, exactly {exact}", at.temperature);
        assert!(basin.error < 0.05);
        assert!((basin.value - exact).abs() < 4.0 * basin.error);
        // ⟨E_kin⟩ of 12 degrees of freedom.
        let kinetic = at.kinetic_temperature;
        let bound = 4.0 * kinetic.error + 0.005 * at.temperature;
        assert!(
            (kinetic.value - at.temperature).abs() < bound,
            "{kinetic:?}"
        );
    }
    // Without exchange nothing crosses twenty thermal energies.
    config.replicas = 1;
    let stuck = config.run(&molecule)?.provenance;
    assert_eq!(stuck.transitions, Some(0));
    Ok(())
}

/// A small simulation of alanine dipeptide: 24 walkers, so that lanes are left over.
/// Atoms with a fixed distance between every two.
fn rigid(start: Vec<[f64; 3]>) -> crate::Result<Molecule> {
    let mut system = free(&vec![12.0; start.len()]);
    for j in 0..start.len() {
        for i in 0..j {
            system.constraints.push(Constraint {
                atoms: [i, j],
                distance: crate::internal::distance(start[i], start[j]),
            });
        }
    }
    Molecule::new(system, start)
}

/// A bond between an oxygen and a hydrogen, whose period is nine time steps, under many exchanges: its energy is that of
/// `r² exp(−βU)` at each temperature.
#[test]
fn exchanges_keep_stiff_bonds_at_their_temperatures() -> Checked {
    let mut system = free(&[16.0, 1.008]);
    let (length, stiffness) = (0.0957, 462_750.0);
    system.bonds.push(Bond {
        atoms: [0, 1],
        length,
        stiffness,
    });
    let molecule = Molecule::new(system, vec![[0.0; 3], [length, 0.0, 0.0]])?;
    let config = SimulateConfig {
        temperature: 100.0,
        replicas: 6,
        t_max: 1000.0,
        walkers: 64,
        exchange_ps: 0.2,
        spacing_ps: 1.0,
        equilibration_ps: 10.0,
        ..plain(6.4)
    };
    let simulation = config.run(&molecule)?;
    for (at, frames) in simulation
        .provenance
        .temperatures
        .iter()
        .zip(&simulation.frames)
    {
        let thermal = BOLTZMANN * at.temperature;
        let energy = |r: f64| 0.5 * stiffness * (r - length).powi(2);
        let mean = |f: &dyn Fn(f64) -> f64| {
            let weight = |k: i32| {
                let r = 2.0 * length * f64::from(k) / 20_000.0;
                (r, r * r * (-energy(r) / thermal).exp())
            };
            let all = || (1..20_000).map(weight);
            all().map(|(r, w)| f(r) * w).sum::<f64>() / all().map(|(_, w)| w).sum::<f64>()
        };
        let exact = mean(&energy);
        let spread = (mean(&|r| energy(r).powi(2)) - exact * exact).sqrt();
        let found = frames.chunks(6).map(|x| {
            let square: f64 = (0..3).map(|k| f64::from(x[k] - x[k + 3]).powi(2)).sum();
            energy(square.sqrt())
        });
        let n = (frames.len() / 6) as f64;
        let found = found.sum::<f64>() / n;
        println!("{} K: {found}, exactly {exact}", at.temperature);
        // Frames 1 ps apart at a friction of 10/ps do not know each other.
        assert!(
            (found - exact).abs() < 5.0 * spread / n.sqrt(),
            "{found}, exactly {exact}"
        );
    }
    Ok(())
}

/// A short simulation of a few atoms without torsions.
fn plain(ns: f64) -> SimulateConfig {
    SimulateConfig {
        replicas: 1,
        ns,
        friction: 10.0,
        basin: None,
        trans: Vec::new(),
        ..small()
    }
}

/// Ten distances of five atoms fix nine coordinates.
#[test]
fn constraints_that_follow_from_others_count_once() -> Checked {
    let (side, height) = (0.1, 0.13);
    let [cos, sin] = [-0.5, 0.75_f64.sqrt()];
    let molecule = rigid(vec![
        [side, 0.0, 0.0],
        [side * cos, side * sin, 0.0],
        [side * cos, -side * sin, 0.0],
        [0.0, 0.0, height],
        [0.0, 0.0, -height],
    ])?;
    let config = plain(3.2);
    let provenance = config.run(&molecule)?.provenance;
    assert_eq!(provenance.degrees_of_freedom, 15 - 9);
    let kinetic = provenance.temperatures[0].kinetic_temperature;
    println!("{kinetic:?}");
    let bound = 4.0 * kinetic.error + 0.005 * config.temperature;
    assert!(kinetic.error < 0.02 * config.temperature);
    assert!((kinetic.value - config.temperature).abs() < bound);
    Ok(())
}

/// Three atoms in a line cannot be bent by forces along the line.
#[test]
fn constraints_that_do_not_hold_are_named() -> Checked {
    let molecule = rigid(vec![[0.0; 3], [0.116, 0.0, 0.0], [-0.116, 0.0, 0.0]])?;
    let message = plain(0.008).run(&molecule).map_or_else(
        |error| error.to_string(),
        |found| format!("{:?}", found.provenance.temperatures),
    );
    assert!(message.contains("the fixed distance of atoms"), "{message}");
    Ok(())
}

fn small() -> SimulateConfig {
    SimulateConfig {
        temperature: 300.0,
        replicas: 3,
        t_max: 450.0,
        ns: 0.008,
        walkers: 8,
        equilibration_ps: 0.4,
        spacing_ps: 0.2,
        exchange_ps: 0.1,
        basin: Some(Basin::minor([4, 6, 8, 14])),
        trans: vec![[1, 4, 6, 8], [8, 14, 16, 18]],
        ..SimulateConfig::default()
    }
}

#[test]
fn threads_do_not_change_a_bit() -> Checked {
    let (molecule, _) = alanine()?;
    let on = |threads| -> Result<Simulation, Box<dyn std::error::Error>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()?;
        Ok(pool.install(|| small().run(&molecule))?)
    };
    let one = on(1)?;
    assert_eq!(one, on(3)?);
    assert_eq!(one.frames[0].len(), 8 * 5 * 66);
    let other = SimulateConfig { seed: 1, ..small() }.run(&molecule)?;
    assert_ne!(one.frames, other.frames);
    Ok(())
}

#[test]
fn ranks_do_not_change_a_bit() -> Checked {
    let (molecule, _) = alanine()?;
    // With exchanges within a spacing, with more ranks than bundles, and at one temperature.
    let plain = SimulateConfig {
        replicas: 1,
        walkers: 40,
        ns: 0.04,
        ..small()
    };
    for config in [small(), plain] {
        let one = config.run(&molecule)?;
        for size in [2, 3] {
            for other in Threads::run(size, || config.run(&molecule)) {
                assert!(other? == one, "{size}");
            }
        }
    }
    // What two ranks saved goes on with one and with three.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.checkpoint");
    let saved = Threads::run(2, || -> crate::Result<()> {
        let mut run = Run::new(&small(), &molecule)?;
        for _ in 0..3 {
            run.advance()?;
        }
        if ranks::is_first() {
            run.save(&path)?;
        }
        Ok(())
    });
    saved.into_iter().collect::<crate::Result<Vec<()>>>()?;
    let whole = small().run(&molecule)?;
    for size in [1, 3] {
        let resumed = Threads::run(size, || {
            let mut run = Run::resume(&small(), &molecule, &path)?;
            while !run.progress().is_finished() {
                run.advance()?;
            }
            run.finish()
        });
        for other in resumed {
            assert!(other? == whole, "{size}");
        }
    }
    Ok(())
}

#[test]
fn a_resumed_run_ends_as_an_uninterrupted_one() -> Checked {
    let (molecule, _) = alanine()?;
    let whole = small().run(&molecule)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.checkpoint");
    // Within equilibration, at its end, and while recording.
    for spacings in [1, 2, 5] {
        let mut run = Run::new(&small(), &molecule)?;
        for _ in 0..spacings {
            run.advance()?;
        }
        run.save(&path)?;
        let mut resumed = Run::resume(&small(), &molecule, &path)?;
        assert_eq!(resumed.progress(), run.progress());
        while !resumed.progress().is_finished() {
            resumed.advance()?;
        }
        assert_eq!(resumed.finish()?, whole);
        assert!(run.finish().is_err());
    }

    let message = |config: &SimulateConfig| {
        let resumed = Run::resume(config, &molecule, &path);
        resumed.map_or_else(|e| e.to_string(), |_| String::new())
    };
    let other = SimulateConfig { seed: 9, ..small() };
    assert!(message(&other).contains("other settings"));
    let bytes = fs::read(&path)?;
    for cut in [0, 5, 12, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut])?;
        assert!(message(&small()).contains("run.checkpoint"), "{cut}");
    }
    Ok(())
}

#[test]
fn simulations_are_kept_and_found_again() -> Checked {
    let (molecule, _) = alanine()?;
    let folder = tempfile::tempdir()?;
    let config = small();
    let first = config.run_cached(&molecule, folder.path())?;
    let path = config.cached(&molecule, folder.path());
    let frames = Simulation::frames_path(&path, &config, 2);
    // Temperatures that are close have names of their own.
    let close = SimulateConfig {
        temperature: 300.0,
        t_max: 300.2,
        replicas: 5,
        ..config.clone()
    };
    let mut names: Vec<_> = (0..5)
        .map(|rung| Simulation::frames_path(&path, &close, rung))
        .collect();
    names.dedup();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(
        frames.to_string_lossy().ends_with("-450.0K.npy"),
        "{frames:?}"
    );
    let written = fs::metadata(&frames)?.modified()?;
    assert_eq!(config.run_cached(&molecule, folder.path())?, first);
    assert_eq!(fs::metadata(&frames)?.modified()?, written);
    // Another simulation may not be written over it.
    config.may_write(&molecule, &path)?;
    let other = SimulateConfig { seed: 9, ..small() };
    let message = other.may_write(&molecule, &path);
    let message = message.map_or_else(|e| e.to_string(), |()| String::new());
    assert!(message.contains("other settings"), "{message}");
    // Nor may one be written over frames of someone else.
    let own = folder.path().join("own.npy");
    fs::write(Simulation::frames_path(&own, &config, 1), b"frames")?;
    let message = config.may_write(&molecule, &own);
    let message = message.map_or_else(|e| e.to_string(), |()| String::new());
    assert!(message.contains("without the record"), "{message}");
    // A damaged one is replaced.
    fs::write(&frames, b"nothing")?;
    assert_eq!(config.run_cached(&molecule, folder.path())?, first);
    assert_eq!(Simulation::read(&path)?, first);
    // Another start is another molecule.
    let mut start = molecule.start().to_vec();
    start[0][0] += 1e-9;
    let other = Molecule::new(molecule.system().clone(), start)?;
    assert_ne!(config.cached(&other, folder.path()), path);
    Ok(())
}

type Change = fn(&mut SimulateConfig);

#[test]
fn settings_that_make_no_sense_are_named() -> Checked {
    let (molecule, _) = alanine()?;
    let cases: [(&str, Change); 14] = [
        ("temperature", |c| c.temperature = -1.0),
        ("t_max", |c| c.t_max = 200.0),
        ("walkers", |c| c.walkers = 0),
        ("replicas", |c| c.replicas = 0),
        ("spacing_ps", |c| c.spacing_ps = 0.25),
        ("exchange_ps", |c| c.exchange_ps = 0.0011),
        ("step_fs", |c| c.step_fs = f64::NAN),
        ("friction", |c| c.friction = -1.0),
        ("friction", |c| c.friction = 0.0),
        ("equilibration_ps", |c| c.equilibration_ps = -1.0),
        ("ns", |c| c.ns = 1e-3),
        ("ns", |c| c.ns = 1e9),
        ("trans", |c| c.trans = vec![[0, 1, 2, 22]]),
        // Flies apart.
        ("step_fs", |c| (c.step_fs, c.spacing_ps) = (20.0, 0.2)),
    ];
    for (field, change) in cases {
        let mut config = small();
        change(&mut config);
        let message = config
            .run(&molecule)
            .map_or_else(|e| e.to_string(), |_| String::new());
        assert!(message.contains(field), "{field}: {message}");
    }
    Ok(())
}
