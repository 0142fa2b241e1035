//! Weighted fields, and runs that are kept.

use super::*;

#[test]
fn weights_carry_samples_to_other_couplings() {
    let source = config(8, 0.25, 0.02, 6000, 41);
    let target = config(8, 0.253, 0.021, 6000, 42);
    let torus = source.torus().unwrap();
    let samples = source.run().unwrap().samples;
    let fields = || samples.chunks_exact(64);
    let log_weights: Vec<f64> = fields()
        .map(|field| {
            let field: Vec<f64> = field.iter().map(|&x| f64::from(x)).collect();
            torus.log_density(&field, target.couplings())
                - torus.log_density(&field, source.couplings())
        })
        .collect();
    let resampling = Resampling::default();
    let measure = |weights| {
        Observables::measure(&torus, &samples, target.couplings(), weights, resampling).unwrap()
    };
    let (reweighted, raw) = (measure(Some(&log_weights)), measure(None));
    let direct = observe(&target);
    for (what, a, b) in [
        ("|m|", reweighted.magnetisation, direct.magnetisation),
        ("action", reweighted.action, direct.action),
        ("χ", reweighted.susceptibility, direct.susceptibility),
        ("U", reweighted.binder, direct.binder),
        ("C(4)", reweighted.correlator[4], direct.correlator[4]),
    ] {
        let error = a.error.hypot(b.error);
        assert!(
            (a.value - b.value).abs() < 4.5 * error,
            "{what}: {a:?} {b:?}"
        );
    }
    // The couplings differ by enough to see.
    let off = (raw.magnetisation.value - direct.magnetisation.value).abs();
    assert!(off > 4.5 * raw.magnetisation.error.hypot(direct.magnetisation.error));
}

#[test]
fn equal_weights_are_none_and_the_mean_has_its_textbook_error() {
    let config = config(4, 0.2, 0.1, 3000, 51);
    let torus = config.torus().unwrap();
    let samples = config.run().unwrap().samples;
    let (sevens, broken) = (vec![7.0; 3000], vec![f64::NAN; 3000]);
    let measure = |weights: Option<&[f64]>, block| {
        let resampling = Resampling {
            block,
            resamples: 1000,
            seed: 3,
        };
        Observables::measure(&torus, &samples, config.couplings(), weights, resampling)
    };
    let (none, equal) = (
        measure(None, 2).unwrap(),
        measure(Some(&sevens), 2).unwrap(),
    );
    for (a, b) in [(none.binder, equal.binder), (none.action, equal.action)] {
        assert!((a.value - b.value).abs() < 1e-12 && (a.error - b.error).abs() < 1e-12);
    }
    let moduli: Vec<f64> = samples
        .chunks_exact(16)
        .map(|field| f64::from(field.iter().sum::<f32>()).abs() / 16.0)
        .collect();
    let mean = Estimate::mean(&moduli).unwrap();
    assert!((none.magnetisation.value - mean.value).abs() < 1e-6);
    // 1500 blocks and 1000 resamples know the error to 3 %.
    let ratio = none.magnetisation.error / mean.error;
    assert!((ratio - 1.0).abs() < 0.15, "{ratio}");
    // Repeating every field four times changes no value, and blocks of four no error.
    let repeated: Vec<f32> = samples.chunks_exact(16).flat_map(|f| f.repeat(4)).collect();
    let resampling = Resampling {
        block: 8,
        resamples: 1000,
        seed: 3,
    };
    let blocked =
        Observables::measure(&torus, &repeated, config.couplings(), None, resampling).unwrap();
    assert!((blocked.action.value - none.action.value).abs() < 1e-12);
    assert!((blocked.action.error / none.action.error - 1.0).abs() < 1e-6);
    assert!(measure(None, 2000).is_err());
    assert!(measure(Some(&[0.0; 5]), 1).is_err());
    assert!(measure(Some(&broken), 1).is_err());
    let resampling = Resampling::default();
    let torn = &samples[..30];
    assert!(Observables::measure(&torus, torn, config.couplings(), None, resampling).is_err());
}

#[test]
fn samples_depend_on_the_settings_alone_and_say_where_they_come_from() {
    let config = config(8, 0.27, 0.02, 4000, 61);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| config.run().unwrap())
    };
    let one = on(1);
    assert_eq!(one, on(3));
    assert_eq!(one.samples.len(), 4000 * 64);
    let from = &one.provenance;
    assert!((0.7..0.95).contains(&from.acceptance), "{from:?}");
    assert_eq!(from.trajectories, 250 * from.thinning);
    assert!(from.drift_action.abs() < 5.0 && from.drift_magnetisation.abs() < 5.0);
    for tau in [from.tau_action, from.tau_magnetisation, from.tau_square] {
        assert!(tau.value > 0.4 && tau.value < 50.0 && tau.error < 0.2 * tau.value);
        assert!(from.thinning as f64 >= 5.0 * tau.value);
    }
    // Decorrelated, and both signs equally often: ± 4σ of a fair coin.
    let left = from.tau_samples.unwrap();
    assert!((left.value - 0.5).abs() < 0.15, "{left:?}");
    let positive = one
        .samples
        .chunks_exact(64)
        .filter(|f| f.iter().sum::<f32>() > 0.0);
    assert!((positive.count() as f64 - 2000.0).abs() < 4.0 * 1000.0_f64.sqrt());
    // Another seed or another coupling is another run: signs agree half of the time.
    for other in [
        SimulateConfig {
            seed: 62,
            ..config.clone()
        },
        SimulateConfig {
            kappa: 0.27 + 1e-9,
            ..config.clone()
        },
    ] {
        let other = other.run().unwrap().samples;
        let pairs = one.samples.chunks_exact(64).zip(other.chunks_exact(64));
        let up = |field: &[f32]| field.iter().sum::<f32>() > 0.0;
        let agree = pairs.filter(|(a, b)| up(a) == up(b)).count() as f64;
        assert!((agree - 2000.0).abs() < 4.0 * 1000.0_f64.sqrt(), "{agree}");
    }
}

#[test]
fn runs_are_kept_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("new/cache");
    let config = config(4, 0.2, 0.1, 40, 71);
    let first = config.run_cached(&cache).unwrap();
    let path = config.cached(&cache);
    assert_eq!(Simulation::read(&path).unwrap(), first);
    let written = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let at = written();
    assert_eq!(config.run_cached(&cache).unwrap(), first);
    assert_eq!(written(), at, "it was not written again");
    // Each setting has its own file.
    let others = [
        SimulateConfig {
            l: 5,
            ..config.clone()
        },
        SimulateConfig {
            kappa: 0.2 + 1e-12,
            ..config.clone()
        },
        SimulateConfig {
            lambda: 0.2,
            ..config.clone()
        },
        SimulateConfig {
            samples: 41,
            ..config.clone()
        },
        SimulateConfig {
            seed: 72,
            ..config.clone()
        },
        SimulateConfig {
            chains: 24,
            ..config.clone()
        },
    ];
    assert!(others.iter().all(|other| other.cached(&cache) != path));
    // A torn file is replaced.
    std::fs::write(&path, b"torn").unwrap();
    assert!(Simulation::read(&path).is_err());
    assert_eq!(config.run_cached(&cache).unwrap(), first);
    assert_eq!(Simulation::read(&path).unwrap(), first);
    // Another simulation does not take its place, nor that of a file which is no record.
    for other in &others[1..3] {
        let message = other.run_kept(&path).unwrap_err().to_string();
        assert!(message.contains("other settings"), "{message}");
        assert!(message.contains("remove the file"), "{message}");
    }
    assert_eq!(Simulation::read(&path).unwrap(), first);
    let mine = folder.path().join("mine.json");
    std::fs::write(&mine, "{}").unwrap();
    let message = config.run_kept(mine.with_extension("npy")).unwrap_err();
    assert!(message.to_string().contains("mine.json"), "{message}");
    assert_eq!(std::fs::read(&mine).unwrap(), b"{}");
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let refused = |config: SimulateConfig| config.run().unwrap_err().to_string();
    let good = || config(4, 0.2, 0.1, 40, 71);
    for (config, name) in [
        (SimulateConfig { l: 1, ..good() }, "`l`"),
        (
            SimulateConfig {
                samples: usize::MAX,
                ..good()
            },
            "`samples`",
        ),
        (
            SimulateConfig {
                samples: 0,
                ..good()
            },
            "`samples`",
        ),
        (
            SimulateConfig {
                chains: 12,
                ..good()
            },
            "`chains`",
        ),
        (
            SimulateConfig {
                chains: 0,
                ..good()
            },
            "`chains`",
        ),
        (
            SimulateConfig {
                lambda: -0.1,
                ..good()
            },
            "lambda",
        ),
        (
            SimulateConfig {
                kappa: f64::INFINITY,
                ..good()
            },
            "kappa",
        ),
        (
            SimulateConfig {
                kappa: 0.26,
                lambda: 0.0,
                ..good()
            },
            "kappa",
        ),
    ] {
        let reason = refused(config);
        assert!(reason.contains(name), "{reason}");
    }
}
