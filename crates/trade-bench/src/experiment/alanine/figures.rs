//! The figures of the molecule.

use std::f64::consts::PI;

use anyhow::Result;
use trade_core::estimate::Estimate;

use super::{
    findings::{AtTemperature, Findings, Measured, Method},
    histogram::{Densities, FINE},
    reference::{BASE, Ensemble, MEASURED, temperature},
};
use trade_plot::{Axis, Colour, Dash, Figure, Mark, Panel, Series};

use crate::report::{Plate, Results, curve};

/// The rungs that pictures show: 300 and 600 K.
const SHOWN: [usize; 2] = [0, MEASURED - 1];
/// Free energies are shown so far below and above those of the reference, kT.
const MARGIN: f64 = 1.5;
/// The name of the reference in legends.
const TRUTH: &str = "replica exchange";

/// A free energy of a run at a temperature.
type Reading = fn(&AtTemperature) -> Option<Estimate>;

/// All figures; those of the same name as a common one take its place.
pub(super) fn plates(findings: &Findings, results: &Results) -> Result<Vec<Plate>> {
    let truth = SHOWN
        .iter()
        .map(|rung| findings.reference.densities(*rung))
        .collect::<Result<Vec<_>>>()?;
    Ok(vec![
        ramachandran(findings, &truth),
        marginal(findings, &truth),
        energies(findings, &truth),
        quality(findings, results),
        free_energy(findings),
    ])
}

fn kelvin(rung: usize) -> f64 {
    (BASE * temperature(rung)).round()
}

fn kelvin_axis() -> Axis {
    Axis::new("temperature / K")
}

/// Histograms of `(φ, ψ)` of the first seed of each method, and of the reference.
fn ramachandran(findings: &Findings, truth: &[Densities]) -> Plate {
    let mut figure = Figure::new("Ramachandran plots").columns(findings.methods.len() + 1);
    figure.window = (170.0, 170.0);
    for (rung, truth) in SHOWN.into_iter().zip(truth) {
        for method in &findings.methods {
            if let Some(at) = method.seeds.first().and_then(|seed| seed.at.get(rung)) {
                let panel = plane(&method.label, rung, &at.densities.plane);
                figure = figure.with(panel);
            }
        }
        figure = figure.with(plane(TRUTH, rung, &truth.plane));
    }
    Plate {
        stem: "ramachandran",
        caption: format!(
            "−ln p of (φ, ψ), with p in 1/rad², in {FINE} × {FINE} bins: of {} samples of the first seed of each \
             method, and of all frames of replica exchange. White bins are empty.",
            findings.samples
        ),
        figure,
    }
}

fn plane(name: &str, rung: usize, counts: &[f64]) -> Panel {
    let total: f64 = counts.iter().sum();
    let area = (2.0 * PI / FINE as f64).powi(2);
    let values = counts
        .iter()
        .map(|n| {
            if *n > 0.0 {
                (n / total / area).ln()
            } else {
                f64::NAN
            }
        })
        .collect();
    let edges = || -> Vec<f64> {
        let edge = |i: usize| PI * (2.0 * i as f64 / FINE as f64 - 1.0);
        (0..=FINE).map(edge).collect()
    };
    let heat = Mark::Heat {
        values,
        nx: FINE,
        ny: FINE,
        scale: Axis::new("ln p").from_to(-9.0, 1.5),
    };
    let axis = |label: &str| Axis::new(label).from_to(-PI, PI);
    Panel::new(axis("φ"), axis("ψ"))
        .titled(format!("{name}, {} K", kelvin(rung)))
        .with(Series::new(heat, edges(), edges(), Colour::Ink))
}

/// A panel with the curve of every method and the reference over it.
fn densities(
    findings: &Findings,
    axes: [Axis; 2],
    edges: &[f64],
    truth: &[f64],
    read: impl Fn(&Measured) -> Vec<f64>,
) -> Panel {
    let centres: Vec<f64> = edges.windows(2).map(|e| 0.5 * (e[0] + e[1])).collect();
    let [x, y] = axes;
    let mut panel = Panel::new(x, y);
    for method in &findings.methods {
        panel = method.drawn(panel, method.plain_curve(&centres, &read));
    }
    let line = Mark::Line { dash: Dash::Dotted };
    panel.with(Series::new(line, centres, truth.to_vec(), Colour::Ink).labelled(TRUTH))
}

/// The marginal of `φ` on a logarithmic scale, as sampled and reweighted.
fn marginal(findings: &Findings, truth: &[Densities]) -> Plate {
    let mut figure = Figure::new("Density of φ").columns(2);
    let edges = Densities::phi_edges();
    for (rung, truth) in SHOWN.into_iter().zip(truth) {
        for reweighted in [false, true] {
            let axes = || {
                let x = Axis::new("φ / rad").from_to(-PI, PI);
                [x, Axis::log("density / rad⁻¹").from_to(1e-4, 2.0)]
            };
            let read = |seed: &Measured| {
                let densities = &seed.at[rung].densities;
                if reweighted {
                    densities.phi_reweighted.clone()
                } else {
                    densities.phi.clone()
                }
            };
            let how = if reweighted {
                "reweighted"
            } else {
                "as sampled"
            };
            let panel = densities(findings, axes(), &edges, &truth.phi, read)
                .titled(format!("{} K, {how}", kelvin(rung)))
                .with(Series::rules(vec![0.0, 2.5]).labelled("minor mode"));
            figure = figure.with(panel);
        }
    }
    Plate {
        stem: "phi",
        caption: "The marginal density of φ on a logarithmic scale, of samples as they are and with importance \
                  weights, and of replica exchange. The dotted rules bound the minor mode. Lines are means over \
                  seeds and bands one standard deviation."
            .into(),
        figure,
    }
}

/// Histograms of the potential energy.
fn energies(findings: &Findings, truth: &[Densities]) -> Plate {
    let mut figure = Figure::new("Potential energy").columns(2);
    let edges = Densities::energy_edges();
    for (rung, truth) in SHOWN.into_iter().zip(truth) {
        let axes = [Axis::new("U / (kJ/mol)"), Axis::new("density / (mol/kJ)")];
        let read = |seed: &Measured| seed.at[rung].densities.energy.clone();
        let panel = densities(findings, axes, &edges, &truth.energy, read)
            .titled(format!("{} K", kelvin(rung)));
        figure = figure.with(panel);
    }
    Plate {
        stem: "energies",
        caption: "The potential energy of samples as they are. Densities are of all samples, those beyond the axis \
                  included. Lines are means over seeds and bands one standard deviation."
            .into(),
        figure,
    }
}

/// Effective sample size and divergence against the temperature.
fn quality(findings: &Findings, results: &Results) -> Plate {
    let bases: Vec<f64> = results.bases.iter().map(|t| t * BASE).collect();
    let mut ess = Panel::new(kelvin_axis(), Axis::new("relative ESS"))
        .titled("Effective sample size")
        .with(Series::rules(bases.clone()).labelled("training data"));
    let temperatures: Vec<f64> = results.conditions.iter().map(|t| t * BASE).collect();
    for (evaluated, method) in results.methods.iter().zip(&findings.methods) {
        let at = |i: usize| {
            evaluated
                .seeds
                .iter()
                .filter_map(move |seed| seed.at.get(i))
        };
        let estimate = |value, error| Estimate { value, error };
        let ess_of = curve(temperatures.clone(), |i| {
            at(i).map(|a| estimate(a.ess, a.ess_error)).collect()
        });
        ess = method.drawn(ess, ess_of);
    }
    let rungs: Vec<f64> = (0..MEASURED).map(kelvin).collect();
    let mut kl = Panel::new(kelvin_axis(), Axis::log("KL / nats"))
        .titled("KL of the (φ, ψ) histogram")
        .with(Series::rules(bases));
    for method in &findings.methods {
        let read = |seed: &Measured| seed.at.iter().map(|a| a.divergence).collect();
        kl = method.drawn(kl, method.plain_curve(&rungs, read));
    }
    let dim = findings.reference.molecule.dimension();
    let floor = |at: &Ensemble| at.floor(dim, findings.samples).0;
    let floors = findings.reference.at.iter().map(floor).collect();
    let line = Mark::Line { dash: Dash::Dotted };
    let floor = Series::new(line, rungs, floors, Colour::Ink).labelled("halves of the reference");
    Plate {
        stem: "quality",
        caption: "Left: relative effective sample size from honest importance weights. Right: divergence of the \
                  (φ, ψ) histogram of samples as they are from that of as many frames of replica exchange, and of \
                  the reference's second half from its first. Lines are means over seeds and bands one standard \
                  deviation."
            .into(),
        figure: Figure::new("Quality against the temperature")
            .columns(2)
            .with(ess)
            .with(kl.with(floor)),
    }
}

/// The free energy of the minor mode against the temperature, as sampled and reweighted.
fn free_energy(findings: &Findings) -> Plate {
    let read: [(&str, Reading); 2] = [
        ("as sampled", |a| a.free_energy),
        ("reweighted", |a| a.free_energy_reweighted),
    ];
    let reference = findings.reference.at.iter();
    let exact: Vec<Estimate> = reference.map(Ensemble::free_energy).collect();
    let values = || exact.iter().map(|e| e.value);
    let low = values().fold(f64::INFINITY, f64::min) - MARGIN;
    let high = values().fold(f64::NEG_INFINITY, f64::max) + MARGIN;
    let x: Vec<f64> = (0..MEASURED).map(kelvin).collect();
    let mut figure = Figure::new("Free energy of the minor mode of φ").columns(2);
    for (how, read) in read {
        let y = Axis::new("ΔF / kT").from_to(low, high);
        let edge = |sign: f64| exact.iter().map(|e| e.value + sign * e.error).collect();
        let mut panel = Panel::new(kelvin_axis(), y)
            .titled(how)
            .with(Series::band(x.clone(), edge(-1.0), edge(1.0), Colour::Ink))
            .with(Series::line(x.clone(), edge(0.0), Colour::Ink).labelled(TRUTH));
        for (place, method) in findings.methods.iter().enumerate() {
            panel = with_bars(panel, findings, place, method, &x, read);
        }
        figure = figure.with(panel);
    }
    Plate {
        stem: "free-energy",
        caption: "−ln(p/(1 − p)) of the share p with 0 < φ < 2.5 among trans peptides of L-alanine. Lines and dots \
                  are means over seeds, bars one standard deviation (for a single seed the bootstrap error); the \
                  band of replica exchange is one standard error from independent ladders. Dots stand side by side \
                  at 300, 357, 424, 505 and 600 K. The axis is cut."
            .into(),
        figure,
    }
}

/// The line of a method with error bars, set aside a little so that bars do not cover each other.
fn with_bars(
    panel: Panel,
    findings: &Findings,
    place: usize,
    method: &Method,
    x: &[f64],
    read: Reading,
) -> Panel {
    let middle = 0.5 * (findings.methods.len() as f64 - 1.0);
    let x: Vec<f64> = x
        .iter()
        .map(|x| x + 4.0 * (place as f64 - middle))
        .collect();
    let nothing = Estimate {
        value: f64::NAN,
        error: f64::NAN,
    };
    let [x, y, bars] = method.curve(&x, |seed| {
        let at = seed.at.iter().take(MEASURED);
        at.map(|a| read(a).unwrap_or(nothing)).collect()
    });
    let dots = Series::dots(x.clone(), y.clone(), Some(bars), method.style.colour);
    panel
        .with(dots)
        .with(Series::styled(x, y, method.style).labelled(&method.label))
}
