//! Algorithms and seeds against each other.

use super::*;

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
