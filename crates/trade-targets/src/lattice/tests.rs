//! Simulated lattices against what is known of them by other means.

use trade_core::estimate::Estimate;
use trade_core::estimate::autocorrelation::Autocorrelation;
use trade_core::random::Stream;

use super::*;
use crate::exact::Line;

fn config(l: usize, kappa: f64, lambda: f64, samples: usize, seed: u64) -> SimulateConfig {
    SimulateConfig {
        l,
        kappa,
        lambda,
        samples,
        seed,
        chains: 16,
    }
}

fn observe(config: &SimulateConfig) -> Observables {
    let torus = config.torus().unwrap();
    let samples = config.run().unwrap().samples;
    let resampling = Resampling::default();
    Observables::measure(&torus, &samples, config.couplings(), None, resampling).unwrap()
}

/// Within four and a half standard errors, which must be below `share` of the value.
fn agrees(what: &str, found: Estimate, exact: f64, share: f64) {
    let Estimate { value, error } = found;
    assert!(
        (value - exact).abs() < 4.5 * error,
        "{what}: {value} ± {error}, exact {exact}"
    );
    assert!(error < share * exact.abs(), "{what}: {value} ± {error}");
}

#[test]
fn without_hopping_the_sites_are_independent() {
    let lambda = 0.3;
    let config = config(4, 0.0, lambda, 6000, 1);
    let found = observe(&config);
    let site = |phi: f64| -(1.0 - 2.0 * lambda) * phi * phi - lambda * phi.powi(4);
    let line = Line::tabulate(site, (-4.0, 4.0), 0.5).unwrap();
    let moment = |n: i32| line.expect(|phi| phi.powi(n));
    agrees("action", found.action, -line.mean_log_density(), 0.02);
    agrees("C(0)", found.correlator[0], moment(2), 0.02);
    for far in &found.correlator[1..] {
        assert!(far.value.abs() < 4.5 * far.error && far.error < 0.02 * moment(2));
    }
    let score = 16.0 * (2.0 * moment(2) - moment(4));
    agrees("∂_λ log q", found.lambda_score, score, 0.02);
    assert!(found.kappa_score.value.abs() < 4.5 * found.kappa_score.error);
    // Var 2 Σ φφ' over 2V bonds of variance ⟨φ²⟩².
    let curvature = 4.0 * 32.0 * moment(2).powi(2);
    agrees("curvature", found.kappa_curvature, curvature, 0.05);
    // Sums of V independent sites: ⟨M⁴⟩ = V ⟨φ⁴⟩ + 3 V (V − 1) ⟨φ²⟩².
    let binder = (3.0 * moment(2).powi(2) - moment(4)) / (16.0 * 3.0 * moment(2).powi(2));
    assert!((found.binder.value - binder).abs() < 4.5 * found.binder.error);
}

#[test]
fn without_a_quartic_term_the_field_is_free() {
    let kappas = [0.0, 0.06, 0.12, 0.18, 0.22];
    let mut along = Vec::new();
    for (i, &kappa) in kappas.iter().enumerate() {
        let config = config(6, kappa, 0.0, 5000, 2 + i as u64);
        let torus = config.torus().unwrap();
        let free = FreeField::new(&torus, kappa).unwrap();
        let found = observe(&config);
        agrees("action", found.action, free.mean_action() / 36.0, 0.02);
        for (t, found) in found.correlator.iter().enumerate() {
            let exact = free.correlator(t);
            assert!((found.value - exact).abs() < 4.5 * found.error, "C({t})");
        }
        agrees("C(0)", found.correlator[0], free.correlator(0), 0.05);
        if kappa > 0.1 {
            let exact = free.correlation_length();
            agrees("ξ", found.correlation_length, exact, 0.1);
            let score = 4.0 * 36.0 * free.two_point((0, 1));
            agrees("∂_κ log q", found.kappa_score, score, 0.05);
        }
        // M is Gaussian with variance V/A(0): ⟨|M|⟩² = 2/π ⟨M²⟩, U = 0.
        let square = 1.0 / free.inverse_propagator((0, 0));
        let chi = square * (1.0 - 2.0 / std::f64::consts::PI);
        agrees("χ", found.susceptibility, chi, 0.1);
        assert!(found.binder.value.abs() < 4.5 * found.binder.error);
        along.push(found);
    }
    let curve = log_z_over_kappa(&kappas, &along, 0).unwrap();
    let log_z = |kappa| {
        FreeField::new(&Torus::new(6).unwrap(), kappa)
            .unwrap()
            .log_z()
    };
    for (found, &kappa) in curve.iter().zip(&kappas).skip(1) {
        // Errors grow with κ; the fourth-order rule itself is off by less than 0.01 here.
        let exact = log_z(kappa) - log_z(0.0);
        let off = (found.value - exact).abs();
        assert!(off < 4.5 * found.error + 0.01, "{found:?} {exact}");
        assert!(found.error < 0.05);
    }
}

#[test]
fn four_sites_are_a_four_dimensional_integral() {
    let (kappa, lambda) = (0.25, 0.05);
    // Trapezoids of an analytic density that has fallen to nothing at the ends. Sites a b / c d:
    // each of the bonds ab, cd, ac, bd counts twice.
    let h = 0.3;
    let nodes: Vec<f64> = (-15..=15).map(|i| h * f64::from(i)).collect();
    let potential = |x: f64| (1.0 - 2.0 * lambda) * x * x + lambda * x.powi(4);
    let mut sums = [0.0; 7];
    for &a in &nodes {
        for &b in &nodes {
            for &c in &nodes {
                for &d in &nodes {
                    let bonds = 2.0 * (a * b + c * d + a * c + b * d);
                    let local = potential(a) + potential(b) + potential(c) + potential(d);
                    let action = local - 2.0 * kappa * bonds;
                    let m: f64 = a + b + c + d;
                    let weight = h.powi(4) * (-action).exp();
                    let quartic = [a, b, c, d].map(|x| 2.0 * x * x - x.powi(4));
                    let lambda_score: f64 = quartic.iter().sum();
                    for (sum, value) in sums.iter_mut().zip([
                        1.0,
                        m.abs(),
                        m * m,
                        m.powi(4),
                        action,
                        2.0 * bonds,
                        lambda_score,
                    ]) {
                        *sum += weight * value;
                    }
                }
            }
        }
    }
    let [modulus, square, fourth, action, kappa_score, lambda_score] =
        std::array::from_fn(|k| sums[k + 1] / sums[0]);
    let found = observe(&config(2, kappa, lambda, 20_000, 9));
    agrees("|m|", found.magnetisation, modulus / 4.0, 0.01);
    agrees("action", found.action, action / 4.0, 0.02);
    let chi = (square - modulus * modulus) / 4.0;
    agrees("χ", found.susceptibility, chi, 0.03);
    let binder = 1.0 - fourth / (3.0 * square * square);
    agrees("U", found.binder, binder, 0.05);
    agrees("∂_κ log q", found.kappa_score, kappa_score, 0.02);
    let error = found.lambda_score.error;
    assert!((found.lambda_score.value - lambda_score).abs() < 4.5 * error);
    // log Z from the exact one at κ = 0, where the sites part.
    let kappas = [0.0, 0.08, 0.16, kappa];
    let along: Vec<Observables> = (20..)
        .zip(kappas)
        .map(|(seed, kappa)| observe(&config(2, kappa, lambda, 5000, seed)))
        .collect();
    let site = Line::tabulate(|x| -potential(x), (-5.0, 5.0), 0.5).unwrap();
    let curve = log_z_over_kappa(&kappas, &along, 0).unwrap();
    let log_z = curve[3].value + 4.0 * site.log_z();
    let off = (log_z - sums[0].ln()).abs();
    assert!(off < 4.5 * curve[3].error + 0.002, "{log_z} {:?}", curve[3]);
}

/// All observables of two simulations within four and a half standard errors.
fn agree(a: &Observables, b: &Observables) {
    for (what, a, b) in [
        ("|m|", a.magnetisation, b.magnetisation),
        ("action", a.action, b.action),
        ("χ", a.susceptibility, b.susceptibility),
        ("U", a.binder, b.binder),
        ("ξ", a.correlation_length, b.correlation_length),
        ("∂_κ log q", a.kappa_score, b.kappa_score),
    ] {
        let error = a.error.hypot(b.error);
        assert!(
            (a.value - b.value).abs() < 4.5 * error,
            "{what}: {a:?} {b:?}"
        );
        assert!(a.value != b.value && a.error > 0.0, "{what}");
    }
}

#[test]
fn two_seeds_agree_at_published_couplings() {
    for kappa in [0.25, 0.29] {
        let [a, b] = [31, 32].map(|seed| observe(&config(8, kappa, 0.02, 4000, seed)));
        agree(&a, &b);
    }
}

#[test]
fn fourier_acceleration_samples_the_same_fields() {
    for l in [8, 16] {
        let config = config(l, 0.27, 0.02, 2000, 33);
        let torus = config.torus().unwrap();
        let [accelerated, plain] = [true, false].map(|accelerated| {
            let run = hmc::run_with(&config, &torus, accelerated).unwrap();
            assert_eq!(run.provenance.inverse_propagator.is_some(), accelerated);
            let observed = Observables::measure(
                &torus,
                &run.samples,
                config.couplings(),
                None,
                Resampling::default(),
            );
            observed.unwrap()
        });
        agree(&accelerated, &plain);
    }
}

#[test]
fn a_large_free_field_is_exact() {
    // Large enough for Fourier acceleration, and near the end of the symmetric phase.
    let config = config(16, 0.245, 0.0, 4000, 34);
    let free = FreeField::new(&config.torus().unwrap(), config.kappa).unwrap();
    let run = config.run().unwrap();
    // The propagator that the masses follow is known: A(1, 0).
    let exact = free.inverse_propagator((1, 0));
    let [_, found] = run.provenance.inverse_propagator.unwrap();
    assert!((found - exact).abs() < 0.15 * exact, "{found} {exact}");
    let found = observe(&config);
    agrees("action", found.action, free.mean_action() / 256.0, 0.02);
    agrees("C(0)", found.correlator[0], free.correlator(0), 0.05);
    agrees(
        "ξ",
        found.correlation_length,
        free.correlation_length(),
        0.1,
    );
}

#[test]
fn an_algorithm_of_another_kind_agrees() {
    // Metropolis site by site from a hot start, errors from its own autocorrelation.
    let config = config(4, 0.27, 0.02, 8000, 35);
    let (l, couplings) = (4, config.couplings());
    let torus = config.torus().unwrap();
    let mut stream = Stream::new(36, 0);
    let mut field = stream.normal64(l * l);
    let (mut moduli, mut actions) = (Vec::new(), Vec::new());
    for sweep in 0..60_000 {
        for x in 0..l * l {
            let (t, s) = (x / l, x % l);
            let around = field[(t + 1) % l * l + s]
                + field[(t + l - 1) % l * l + s]
                + field[t * l + (s + 1) % l]
                + field[t * l + (s + l - 1) % l];
            let local = |phi: f64| {
                let square = phi * phi;
                0.96 * square + 0.02 * square * square - 0.54 * phi * around
            };
            let new = field[x] + 3.0 * (stream.uniform_one() - 0.5);
            if stream.uniform_one() < (local(field[x]) - local(new)).exp() {
                field[x] = new;
            }
        }
        if sweep >= 1000 {
            moduli.push(field.iter().sum::<f64>().abs() / 16.0);
            actions.push(torus.action(&field, couplings) / 16.0);
        }
    }
    let found = observe(&config);
    for (found, series) in [(found.magnetisation, moduli), (found.action, actions)] {
        let exact = Autocorrelation::new(&series).unwrap().mean;
        let error = found.error.hypot(exact.error);
        assert!(
            (found.value - exact.value).abs() < 4.5 * error,
            "{found:?} {exact:?}"
        );
        assert!(error < 0.03 * exact.value, "{found:?} {exact:?}");
    }
}

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
