//! The figures of the lattice.

use trade_core::estimate::Estimate;

use super::{
    findings::{Correction, Findings, MethodFindings, NOTHING},
    measured::Measured,
    quantity::{QUANTITIES, Quantity},
};
use trade_plot::{Axis, Colour, Dash, Figure, Mark, Panel, Series};

use crate::report::Plate;

/// Deviations are drawn up to this many tolerances.
const SHOWN: f64 = 4.0;

/// All figures; those of the same name as a common one take its place.
pub(super) fn plates(findings: &Findings) -> Vec<Plate> {
    let raw = "Raw observables against hybrid Monte Carlo";
    let corrected = "Observables corrected by importance weights, against hybrid Monte Carlo";
    let mut plates = vec![
        observables(findings),
        deviations(findings, Correction::Raw, "deviations", raw),
        deviations(findings, Correction::Weights, "corrected", corrected),
        correlations(findings),
        acceptance(findings),
        free_energy(findings),
    ];
    plates.extend(pictures(findings));
    plates
}

fn kappa_axis() -> Axis {
    Axis::new("hopping parameter κ")
}

fn data_rules(findings: &Findings) -> Series {
    Series::rules(findings.bases.clone()).labelled("training data")
}

/// What a band means.
fn bands(findings: &Findings) -> &'static str {
    if findings.methods.iter().any(|m| m.seeds.len() > 1) {
        "Lines are means over seeds and bands one standard deviation."
    } else {
        "Bands are one standard error; there is a single seed."
    }
}

/// The curve of every method in a panel.
fn with_methods(
    mut panel: Panel,
    findings: &Findings,
    read: impl Fn(&Measured) -> Vec<Estimate>,
) -> Panel {
    for method in &findings.methods {
        panel = method.drawn(panel, method.curve(&findings.kappas, &read));
    }
    panel
}

/// The raw values of a quantity along κ.
fn raw(measured: &Measured, quantity: &Quantity) -> Vec<Estimate> {
    let at = measured.at.iter();
    at.map(|at| at.raw.as_ref().map_or(NOTHING, quantity.read))
        .collect()
}

/// The reference of a quantity: a dotted line with error bars, large dots where data were.
fn with_reference(panel: Panel, findings: &Findings, quantity: &Quantity) -> Panel {
    let of = |r: &super::reference::Reference| (quantity.read)(&r.observables);
    let estimates: Vec<Estimate> = findings.reference.iter().map(of).collect();
    let x = findings.kappas.clone();
    let y: Vec<f64> = estimates.iter().map(|e| e.value).collect();
    let errors = estimates.iter().map(|e| e.error).collect();
    let is_base = |kappa: f64| findings.bases.iter().any(|b| (b - kappa).abs() < 1e-9);
    let bases = x.iter().zip(&y).filter(|(x, _)| is_base(**x));
    let (at, value) = bases.map(|(x, y)| (*x, *y)).unzip();
    let line = Mark::Line { dash: Dash::Dotted };
    let points = Mark::Dots {
        errors: Some(errors),
        radius: 2.0,
    };
    let large = Mark::Dots {
        errors: None,
        radius: 5.0,
    };
    panel
        .with(Series::new(line, x.clone(), y.clone(), Colour::Ink).labelled("HMC"))
        .with(Series::new(points, x, y, Colour::Ink).labelled("HMC"))
        .with(Series::new(large, at, value, Colour::Ink).labelled("training data"))
}

/// The paper's figure 4.
fn observables(findings: &Findings) -> Plate {
    let mut figure = Figure::new("Observables of the flows as they are").columns(2);
    for quantity in &QUANTITIES[..4] {
        let panel = Panel::new(kappa_axis(), Axis::new(quantity.symbol)).titled(quantity.name);
        let panel = with_methods(panel, findings, |m| raw(m, quantity));
        figure = figure.with(with_reference(panel, findings, quantity));
    }
    Plate {
        stem: "observables",
        caption: format!(
            "Raw observables of samples of the flows, against hybrid Monte Carlo (dotted, with error bars; large \
             dots where there were training data). {}",
            bands(findings)
        ),
        figure,
    }
}

fn deviations(
    findings: &Findings,
    correction: Correction,
    stem: &'static str,
    title: &str,
) -> Plate {
    let mut figure = Figure::new(title).columns(2);
    for quantity in &QUANTITIES[..4] {
        let limit = quantity.tolerance();
        let y = Axis::new(quantity.in_unit()).from_to(-SHOWN * limit, SHOWN * limit);
        let mut panel = Panel::new(kappa_axis(), y).titled(quantity.name);
        panel = panel.with(data_rules(findings));
        panel = with_methods(panel, findings, |m| {
            m.deviations(findings, quantity, correction)
        });
        let ends = vec![
            findings.kappas[0],
            findings.kappas[findings.kappas.len() - 1],
        ];
        for level in [-limit, 0.0, limit] {
            let dash = Mark::Line { dash: Dash::Dotted };
            panel = panel.with(Series::new(dash, ends.clone(), vec![level; 2], Colour::Ink));
        }
        figure = figure.with(panel);
    }
    Plate {
        stem,
        caption: format!(
            "{title}: deviations in percent (the action in percent of ½ where it is smaller; the Binder cumulant as the \
             difference). The black dotted lines are at 0 and ±3 %, or ±0.02; the axes are cut. {}",
            bands(findings)
        ),
        figure,
    }
}

/// Correlation length, and the two-point function at three values of κ.
fn correlations(findings: &Findings) -> Plate {
    let length = &QUANTITIES[4];
    let panel = Panel::new(kappa_axis(), Axis::new("ξ / sites")).titled(length.name);
    let panel = with_methods(panel, findings, |m| raw(m, length));
    let mut figure = Figure::new("Correlations of the flows as they are").columns(2);
    figure = figure.with(with_reference(panel, findings, length));
    let last = findings.kappas.len() - 1;
    for i in [0, last / 2, last] {
        let y = Axis::new("C(t)");
        let title = format!("two-point function, κ = {}", findings.kappas[i]);
        let mut panel = Panel::new(Axis::new("distance t of time slices"), y).titled(title);
        let reference = &findings.reference[i].observables.correlator;
        let t: Vec<f64> = (0..reference.len()).map(|t| t as f64).collect();
        for method in &findings.methods {
            let along = |measured: &Measured| {
                let raw = measured.at[i].raw.as_ref();
                raw.map_or(vec![NOTHING; t.len()], |o| o.correlator.clone())
            };
            panel = method.drawn(panel, method.curve(&t, along));
        }
        let value = reference.iter().map(|e| e.value).collect();
        let errors = Some(reference.iter().map(|e| e.error).collect());
        let dots = Series::dots(t, value, errors, Colour::Ink).labelled("HMC");
        figure = figure.with(panel.with(dots));
    }
    Plate {
        stem: "correlations",
        caption: format!(
            "Second-moment correlation length, and the correlator of time slices \
             C(t) = Σ⟨φφ'⟩/V, from which nothing is subtracted. Raw samples of the flows. {}",
            bands(findings)
        ),
        figure,
    }
}

/// Independence Metropolis.
fn acceptance(findings: &Findings) -> Plate {
    let exactly = |value: f64| Estimate { value, error: 0.0 };
    let rate = Panel::new(kappa_axis(), Axis::new("acceptance").from_to(0.0, 1.03))
        .titled("Acceptance")
        .with(data_rules(findings));
    let rate = with_methods(rate, findings, |m| {
        let at = m.at.iter();
        at.map(|at| at.acceptance.map_or(NOTHING, exactly))
            .collect()
    });
    let time = Panel::new(kappa_axis(), Axis::log("τ / proposals"))
        .titled("Autocorrelation time")
        .with(data_rules(findings));
    let time = with_methods(time, findings, |m| {
        m.at.iter().map(|at| at.tau.unwrap_or(NOTHING)).collect()
    });
    Plate {
        stem: "acceptance",
        caption: format!(
            "Independence Metropolis with the flow as its proposal: the fraction accepted, and the longer of the \
             integrated autocorrelation times of |M| and of the action (½ for independent samples). {}",
            bands(findings)
        ),
        figure: Figure::new("The flows as proposals of a Markov chain")
            .with(rate)
            .with(time)
            .columns(2),
    }
}

/// log Z from the weights against the integral of the reference.
fn free_energy(findings: &Findings) -> Plate {
    let kappa_0 = findings.kappas[findings.origin];
    let name = format!("log Z(κ) − log Z({kappa_0})");
    let x = &findings.kappas;
    let integral: Vec<f64> = findings.integral.iter().map(|e| e.value).collect();
    let errors: Vec<f64> = findings.integral.iter().map(|e| e.error).collect();
    let lower = errors.iter().map(|e| -e).collect();
    let mut error = Panel::new(kappa_axis(), Axis::new("flow − integral"))
        .titled("Difference")
        .with(data_rules(findings))
        .with(
            Series::band(x.clone(), lower, errors.clone(), Colour::Ink).labelled("integral of HMC"),
        );
    error = with_methods(error, findings, |m| m.free_energy_errors(findings));
    let zero = Series::line(x.clone(), vec![0.0; x.len()], Colour::Ink);
    error = error.with(zero);
    error.y.range = cut(findings, &errors);
    let whole = Panel::new(kappa_axis(), Axis::new(&name))
        .titled("Estimate")
        .with(data_rules(findings));
    let whole = with_methods(whole, findings, |m| {
        let errors = m.free_energy_errors(findings);
        let values = errors.into_iter().zip(&integral);
        values
            .map(|(e, integral)| Estimate {
                value: e.value + integral,
                error: e.error,
            })
            .collect()
    })
    .with(Series::line(x.clone(), integral.clone(), Colour::Ink).labelled("integral of HMC"));
    Plate {
        stem: "log-z",
        caption: format!(
            "{name} from the mean importance weight of the flow, against thermodynamic integration of \
             ⟨∂ log q/∂κ⟩ over the hybrid Monte Carlo reference, whose error is the grey band. {} The axis of the \
             difference is cut where the worst methods leave it.",
            bands(findings)
        ),
        figure: Figure::new("Free energy over the range")
            .with(error)
            .with(whole)
            .columns(2),
    }
}

/// A range for differences of log Z that the worst methods do not blow up.
fn cut(findings: &Findings, errors: &[f64]) -> Option<(f64, f64)> {
    let size = |method: &MethodFindings| {
        let [_, mean, half] = method.curve(&findings.kappas, |m| m.free_energy_errors(findings));
        mean.iter()
            .zip(&half)
            .map(|(m, h)| m.abs() + h)
            .fold(0.0, f64::max)
    };
    let sizes = findings.methods.iter().map(size);
    let least = sizes.filter(|s| *s > 0.0).fold(f64::INFINITY, f64::min);
    let own = errors.iter().copied().fold(0.0, f64::max);
    let limit = (3.0 * least).max(2.0 * own);
    (limit.is_finite() && limit > 0.0).then_some((-limit, limit))
}

/// Fields of the reference above fields of one method.
fn pictures(findings: &Findings) -> Option<Plate> {
    let best = |m: &&MethodFindings| m.name.starts_with("trade");
    let method = findings.methods.iter().find(best);
    let method = method.or(findings.methods.last())?;
    let measured = method.seeds.first()?;
    let last = findings.kappas.len() - 1;
    let columns = [0, last / 2, last];
    let reference = |i: usize| &findings.reference[i].fields;
    let flow = |i: usize| &measured.at[i].fields;
    let shown = || {
        columns
            .iter()
            .flat_map(|&i| reference(i).iter().chain(flow(i)))
    };
    let limit = shown()
        .flatten()
        .map(|phi| f64::from(phi.abs()))
        .filter(|v| v.is_finite())
        .fold(0.0, f64::max);
    let mut figure = Figure::new("Fields").columns(2 * columns.len());
    figure.window = (112.0, 112.0);
    for (row, name) in ["HMC", method.label.as_str()].into_iter().enumerate() {
        for &i in &columns {
            let fields = if row == 0 { reference(i) } else { flow(i) };
            for k in 0..2 {
                let title = format!("{name}, κ = {}", findings.kappas[i]);
                let mut panel = Panel::new(Axis::new(""), Axis::new("")).titled(title);
                if let Some(field) = fields.get(k) {
                    panel = panel.with(picture(field, limit));
                }
                figure = figure.with(panel);
            }
        }
    }
    Some(Plate {
        stem: "fields",
        caption: format!(
            "Two fields each of hybrid Monte Carlo (above) and of the flow trained by {} (below), the same colours \
             everywhere.",
            method.label
        ),
        figure,
    })
}

fn picture(field: &[f32], limit: f64) -> Series {
    let l = field.len().isqrt();
    let sites: Vec<f64> = (0..l).map(|i| i as f64).collect();
    let mark = Mark::Heat {
        values: field.iter().map(|&phi| f64::from(phi)).collect(),
        nx: l,
        ny: l,
        scale: Axis::new("").from_to(-limit, limit),
    };
    Series::new(mark, sites.clone(), sites, Colour::Ink)
}
