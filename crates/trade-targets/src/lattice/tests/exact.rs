//! Simulated fields against closed forms and integrals.

use super::*;

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
