//! The tables of the molecule.

use trade_core::estimate::Estimate;

use super::{
    findings::{AtTemperature, Findings, Method},
    reference::{BASE, temperature},
};
use crate::{
    experiment::study::{header, rows},
    report::{Results, Section, Spread},
};

/// The rungs that have a table: 300, 424 and 600 K.
const TABLES: [usize; 3] = [0, 2, 4];

/// All tables.
pub(super) fn sections(findings: &Findings, results: &Results) -> Vec<Section> {
    let mut sections: Vec<Section> = TABLES
        .iter()
        .map(|rung| backbone(findings, *rung))
        .collect();
    sections.push(minor_mode(findings));
    sections.push(cost(findings, results));
    sections
}

/// A number of each seed at a rung, as mean and spread.
fn cell(method: &Method, rung: usize, read: impl Fn(&AtTemperature) -> f64) -> Spread {
    let at = method.seeds.iter().filter_map(|seed| seed.at.get(rung));
    Spread::of(at.map(read))
}

fn kelvin(rung: usize) -> String {
    format!("{:.0} K", BASE * temperature(rung))
}

/// What samples are like at one temperature.
fn backbone(findings: &Findings, rung: usize) -> Section {
    let dim = findings.reference.molecule.dimension();
    let (floor, published) = findings.reference.at[rung].floor(dim, findings.samples);
    let columns = [
        "NLL",
        "relative ESS, all conformations",
        "relative ESS, trans L-alanine",
        "KL of (φ, ψ)",
        "the same, published form",
        "cis",
        "D-alanine",
        "outside",
    ];
    let cells = |method: &Method| {
        let text = |read: &dyn Fn(&AtTemperature) -> f64| cell(method, rung, read).text(4);
        vec![
            text(&|a| a.nll),
            text(&|a| a.ess.value),
            text(&|a| a.restricted_ess.value),
            text(&|a| a.divergence),
            text(&|a| a.published_divergence),
            text(&|a| a.raw.cis),
            text(&|a| a.raw.mirrored),
            text(&|a| a.raw.outside),
        ]
    };
    Section {
        title: format!("Samples at {}", kelvin(rung)),
        text: format!(
            "NLL of frames of replica exchange in the 48 scaled coordinates, without the log determinant to \
             positions; relative ESS of the importance weights of {} samples, over all conformations, and with a target that is \
             restricted to trans peptides of L-alanine, where other samples weigh nothing; `Σ P ln(P/Q)` over 30 × 30 bins of \
             [−π, π]² against as many frames, with half a count in each bin, and in the published form, without the \
             bins that either leaves empty; shares of samples with a cis peptide bond, of D-alanine, and outside of the restricted target. The second \
             half of the reference against the first has a KL of {floor:.4}, in the published form {published:.4}. \
             Mean ± standard deviation over seeds.",
            findings.samples
        ),
        header: header(columns),
        rows: rows(&findings.methods, cells),
    }
}

/// The free energy of the minor mode at each table's temperature, raw and reweighted.
fn minor_mode(findings: &Findings) -> Section {
    let mut header = vec!["ΔF/kT".to_string()];
    for rung in TABLES {
        header.push(kelvin(rung));
        header.push(format!("{}, reweighted", kelvin(rung)));
    }
    let value = |estimate: &Option<Estimate>| estimate.map_or(f64::NAN, |e| e.value);
    let mut rows = rows(&findings.methods, |method| {
        let both = |rung| {
            [
                cell(method, rung, |a| value(&a.free_energy)).text(2),
                cell(method, rung, |a| value(&a.free_energy_reweighted)).text(2),
            ]
        };
        TABLES.into_iter().flat_map(both).collect()
    });
    let exact = TABLES.into_iter().flat_map(|rung| {
        let Estimate { value, error } = findings.reference.at[rung].free_energy();
        [format!("{value:.2} ± {error:.2}"), String::new()]
    });
    rows.push(
        ["replica exchange".into()]
            .into_iter()
            .chain(exact)
            .collect(),
    );
    Section {
        title: "Free energy of the minor mode".into(),
        text: "−ln(p/(1 − p)) of the share p with 0 < φ < 2.5, among trans peptides of L-alanine; of samples as they \
               are and with importance weights. Mean ± standard deviation over seeds; for replica exchange the \
               standard error from independent ladders."
            .into(),
        header,
        rows,
    }
}

/// What the training of each method cost.
fn cost(findings: &Findings, results: &Results) -> Section {
    let cells = |method: &Method| {
        let timed = results.methods.iter().find(|m| m.name == method.name);
        let seeds = timed.map_or(&[][..], |m| &m.seeds);
        vec![
            Spread::of(seeds.iter().map(|s| s.steps as f64)).mean_text(0),
            Spread::of(seeds.iter().map(|s| s.train_seconds)).text(0),
            format!("{:.0}", method.spread(|seed| seed.energies).mean / 1000.0),
        ]
    };
    Section {
        title: "Cost of training".into(),
        text: "Wall time on one thread, and the states at which the training asked for the energy: points of each \
               step and samples behind expectations. Reverse KL needs its gradient in the coordinates too. The \
               dynamics that made the data are not counted; they are the same for all methods."
            .into(),
        header: header(["steps", "seconds", "1000 energies"]),
        rows: rows(&findings.methods, cells),
    }
}
