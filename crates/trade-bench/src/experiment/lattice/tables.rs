//! The tables of the lattice.

use trade_core::estimate::Estimate;

use super::{
    findings::{Correction, Findings, root_mean_square},
    measured::Measured,
    quantity::{QUANTITIES, Quantity},
};
use crate::{
    experiment::study::{header, rows},
    report::{Section, largest},
};

/// All tables, after the common one.
pub(super) fn sections(findings: &Findings) -> Vec<Section> {
    vec![
        raw(findings),
        pulls(findings),
        efficiency(findings),
        free_energy(findings),
        references(findings),
    ]
}

/// The largest deviation along κ of a seed.
fn worst(
    measured: &Measured,
    findings: &Findings,
    quantity: &Quantity,
    correction: Correction,
) -> f64 {
    let deviations = measured.deviations(findings, quantity, correction);
    largest(deviations.iter().map(|e| e.value))
}

fn raw(findings: &Findings) -> Section {
    let samples = findings.methods.iter().flat_map(|m| &m.seeds);
    let samples = samples.map(|s| s.samples).max().unwrap_or(0);
    Section {
        title: "Raw observables".into(),
        text: format!(
            "Largest deviation over all κ of the observables of the flow as it is from hybrid Monte Carlo, from \
             {samples} samples at each κ; in percent, of the action in percent of ½ where it is smaller, of the \
             Binder cumulant the difference. Mean ± standard deviation over seeds."
        ),
        header: header(QUANTITIES.iter().map(|q| format!("max |{}|", q.in_unit()))),
        rows: rows(&findings.methods, |method| {
            let cell = |q: &Quantity| {
                let spread = method.spread(|m| worst(m, findings, q, Correction::Raw));
                spread.text(q.decimals())
            };
            QUANTITIES.iter().map(cell).collect()
        }),
    }
}

/// The pulls of a seed along κ.
fn along(
    measured: &Measured,
    findings: &Findings,
    quantity: &Quantity,
    correction: Correction,
) -> Vec<f64> {
    let pull = |(at, reference)| {
        let observables = correction.of(at);
        observables.map_or(f64::NAN, |flow| quantity.pull(flow, reference))
    };
    measured.beside(findings).map(pull).collect()
}

fn pulls(findings: &Findings) -> Section {
    let columns = [
        ("weights", Correction::Weights),
        ("Metropolis", Correction::Chain),
    ];
    let quantities = &QUANTITIES[..4];
    let names = columns.iter().flat_map(|(name, _)| {
        let each = quantities
            .iter()
            .map(move |q| format!("{}, {name}", q.symbol));
        each.chain([format!("rms, {name}")])
    });
    Section {
        title: "Corrected observables".into(),
        text: format!(
            "Largest deviation over all {} values of κ in standard errors of the difference, after correction by \
             importance weights and by independence Metropolis; and the root mean square over κ and the four \
             observables, 1 where the errors are right. Weights of a small effective sample size underestimate \
             their errors. Mean ± standard deviation over seeds.",
            findings.kappas.len()
        ),
        header: header(names),
        rows: rows(&findings.methods, |method| {
            let cells = columns.iter().flat_map(|&(_, correction)| {
                let each = quantities
                    .iter()
                    .map(move |q| method.spread(|m| largest(along(m, findings, q, correction))));
                let all = method.spread(|m| {
                    let each = quantities.iter();
                    root_mean_square(each.flat_map(|q| along(m, findings, q, correction)))
                });
                each.chain([all])
            });
            cells.map(|spread| spread.text(1)).collect()
        }),
    }
}

fn efficiency(findings: &Findings) -> Section {
    let columns = [
        "mean ESS",
        "least ESS",
        "spread of ESS over seeds",
        "mean acceptance",
        "least acceptance",
        "mean τ",
        "largest τ",
        "samples lost",
    ];
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let least = |values: Vec<f64>| values.into_iter().fold(f64::INFINITY, f64::min);
    let ess = |m: &Measured| m.at.iter().map(|at| at.ess).collect::<Vec<_>>();
    let rate = |m: &Measured| {
        let at = m.at.iter();
        at.map(|at| at.acceptance.unwrap_or(0.0))
            .collect::<Vec<_>>()
    };
    let time = |m: &Measured| {
        let at = m.at.iter();
        at.map(|at| at.tau.map_or(f64::NAN, |tau| tau.value))
            .collect::<Vec<_>>()
    };
    Section {
        title: "Efficiency".into(),
        text: "Relative effective sample size and independence Metropolis over the whole range of κ. The spread \
               is the standard deviation over seeds, averaged over κ; τ is the longer of the integrated \
               autocorrelation times of |M| and of the action, in proposals."
            .into(),
        header: header(columns),
        rows: rows(&findings.methods, |method| {
            let spreads: Vec<f64> = (0..findings.kappas.len())
                .filter_map(|i| method.spread(|m| m.at[i].ess).std)
                .collect();
            let spread = if spreads.is_empty() {
                "–".into()
            } else {
                format!("{:.3}", mean(spreads))
            };
            vec![
                method.spread(|m| mean(ess(m))).text(3),
                method.spread(|m| least(ess(m))).text(3),
                spread,
                method.spread(|m| mean(rate(m))).text(3),
                method.spread(|m| least(rate(m))).text(3),
                method.spread(|m| mean(time(m))).text(2),
                method.spread(|m| largest(time(m))).text(1),
                method
                    .spread(|m| m.at.iter().map(|at| at.lost as f64).sum())
                    .text(0),
            ]
        }),
    }
}

fn free_energy(findings: &Findings) -> Section {
    Section {
        title: "Free energy".into(),
        text: format!(
            "Deviation of log Z(κ) − log Z({}) by the mean importance weight from thermodynamic integration of the \
             reference: largest over κ, in nats and in standard errors of the difference. The integral's own error \
             is at most {:.4}.",
            findings.kappas[findings.origin],
            largest(findings.integral.iter().map(|e| e.error))
        ),
        header: header(["max |Δ|", "max |Δ| / σ"]),
        rows: rows(&findings.methods, |method| {
            let values = |m: &Measured| {
                let errors = m.free_energy_errors(findings);
                largest(errors.iter().map(|e| e.value))
            };
            let pulls = |m: &Measured| {
                let errors = m.free_energy_errors(findings);
                let pulls = errors.iter().zip(&findings.integral).enumerate();
                let others = pulls.filter(|(i, _)| *i != findings.origin);
                largest(others.map(|(_, (e, i))| e.value / e.error.hypot(i.error)))
            };
            vec![method.spread(values).text(4), method.spread(pulls).text(1)]
        }),
    }
}

fn references(findings: &Findings) -> Section {
    let seconds: f64 = findings.reference.iter().map(|r| r.seconds).sum();
    let samples = findings
        .reference
        .iter()
        .map(|r| r.provenance.config.samples);
    let mut header = vec!["κ".to_string()];
    header.extend(QUANTITIES.iter().map(|q| q.symbol.to_string()));
    header.extend(["acceptance", "τ", "between samples", "τ left"].map(String::from));
    let rows = findings.reference.iter().map(|reference| {
        let from = &reference.provenance;
        let mut row = vec![from.config.kappa.to_string()];
        row.extend(QUANTITIES.iter().map(|q| {
            let Estimate { value, error } = (q.read)(&reference.observables);
            format!("{value:.4} ± {error:.4}")
        }));
        let times = [from.tau_action, from.tau_magnetisation, from.tau_square];
        row.push(format!("{:.3}", from.acceptance));
        row.push(format!("{:.1}", largest(times.map(|tau| tau.value))));
        row.push(from.thinning.to_string());
        row.push(from.tau_samples.map_or("–".into(), |tau| {
            format!("{:.2} ± {:.2}", tau.value, tau.error)
        }));
        row
    });
    Section {
        title: "Reference".into(),
        text: format!(
            "Hybrid Monte Carlo, {} decorrelated fields at each κ from {} chains; all of it took {seconds:.0} s. \
             Times are in trajectories, the last in samples (½ if they are independent).",
            samples.max().unwrap_or(0),
            findings
                .reference
                .first()
                .map_or(0, |r| r.provenance.config.chains)
        ),
        header,
        rows: rows.collect(),
    }
}
