//! What is shown of two moons.

use anyhow::Result;
use trade_targets::two_moons::TwoMoonsConfig;

use super::{
    TwoMoonsStudy,
    measured::{BETAS, Distance, Measured, OBSERVATION, SHOWN},
};
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series};

use crate::{
    experiment::study::{Measurements, Studied, header, rows},
    report::{Plate, Results, Section, Shown},
};

/// Cells of a density picture along each side.
const CELLS: usize = 240;
/// Half the side of the density pictures.
const HALF: f64 = 0.42;

/// A method with what was measured of it.
type Method = Measurements<Measured>;

pub(super) fn show(study: &TwoMoonsStudy, results: &Results, studied: &[Studied]) -> Result<Shown> {
    let methods = Measurements::read(studied)?;
    Ok(Shown {
        plates: vec![
            calibration(study, &methods),
            posteriors(&methods)?,
            divergence(study, results, &methods),
        ],
        sections: vec![
            coverage_table(study, &methods),
            distance_table(study, &methods),
        ],
    })
}

fn calibration(study: &TwoMoonsStudy, methods: &[Method]) -> Plate {
    let mut figure = Figure::new("Calibration of the radius").columns(SHOWN.len());
    figure.window = (250.0, 250.0);
    for (i, beta) in SHOWN.into_iter().enumerate() {
        let axis = |label: &str| Axis::new(label).from_to(0.0, 1.0);
        let mut panel = Panel::new(axis("nominal coverage"), axis("observed coverage"))
            .titled(format!("β = {beta}"))
            .with(Series::line(vec![0.0, 1.0], vec![0.0, 1.0], Colour::Muted));
        for method in methods {
            if let Some(first) = method.seeds.first() {
                let c = &first.calibration[i].coverage;
                let colour = method.style.colour;
                panel = panel.with(Series::band(
                    c.levels.clone(),
                    c.lower.clone(),
                    c.upper.clone(),
                    colour,
                ));
            }
        }
        for method in methods {
            for seed in &method.seeds {
                let c = &seed.calibration[i].coverage;
                panel = panel.with(
                    Series::styled(c.levels.clone(), c.coverage.clone(), method.style)
                        .labelled(&method.label),
                );
            }
        }
        figure = figure.with(panel);
    }
    Plate {
        stem: "calibration",
        caption: format!(
            "How often the central credible interval of the radius r holds the true one, over {} \
             observations with {} posterior samples each; a line for each seed, and for the first the 95 % \
             bootstrap band over observations. A line below the diagonal is a posterior too narrow.",
            study.observations, study.posterior_samples
        ),
        figure,
    }
}

/// The exact density at the shown observation beside samples of the first seed of each method.
fn posteriors(methods: &[Method]) -> Result<Plate> {
    let moons = TwoMoonsConfig::default().init()?;
    let mut figure = Figure::new("Posterior at y = (0, 0)").columns(methods.len() + 1);
    figure.window = (200.0, 200.0);
    let axes = || {
        let axis = |label: &str| Axis::new(label).from_to(-HALF, HALF);
        Panel::new(axis("ψ₁"), axis("ψ₂"))
    };
    let centres: Vec<f64> = (0..CELLS)
        .map(|i| HALF * (2.0 * (i as f64 + 0.5) / CELLS as f64 - 1.0))
        .collect();
    for (i, beta) in SHOWN.into_iter().enumerate() {
        let mut values = Vec::with_capacity(CELLS * CELLS);
        let mut largest = f64::NEG_INFINITY;
        for &second in &centres {
            for &first in &centres {
                let log = moons.log_density([first, second], OBSERVATION, beta);
                largest = largest.max(log);
                values.push(log);
            }
        }
        for value in &mut values {
            *value = (*value - largest).exp();
        }
        let heat = Mark::Heat {
            values,
            nx: CELLS,
            ny: CELLS,
            scale: Axis::new("p / max p").from_to(0.0, 1.0),
        };
        figure = figure.with(
            axes()
                .titled(format!("exact, β = {beta}"))
                .with(Series::new(
                    heat,
                    centres.clone(),
                    centres.clone(),
                    Colour::Ink,
                )),
        );
        for method in methods {
            let mut panel = axes().titled(&method.label);
            if let Some(seed) = method.seeds.first() {
                let column = |k: usize| -> Vec<f64> {
                    let samples = &seed.calibration[i].samples;
                    samples
                        .iter()
                        .skip(k)
                        .step_by(2)
                        .map(|&v| f64::from(v))
                        .collect()
                };
                let dots = Mark::Dots {
                    errors: None,
                    radius: 0.8,
                };
                panel = panel.with(Series::new(dots, column(0), column(1), method.style.colour));
            }
            figure = figure.with(panel);
        }
    }
    Ok(Plate {
        stem: "posterior",
        caption: "The exact density of the posterior, each picture on its own scale, and 3000 samples of \
                  each flow (first seed)."
            .into(),
        figure,
    })
}

fn divergence(study: &TwoMoonsStudy, results: &Results, methods: &[Method]) -> Plate {
    let panel = |label: &str| Panel::new(Axis::log(&results.control_label), Axis::log(label));
    let mut kl = panel("KL / nats").titled("KL(exact ‖ flow)");
    let mut wasserstein = panel("distance").titled("Sliced Wasserstein distance");
    kl = kl.with(Series::rules(results.bases.clone()).labelled("training data"));
    wasserstein = wasserstein.with(Series::rules(results.bases.clone()));
    let mut floor = None;
    for method in methods {
        kl = method.drawn(kl, over_powers(method, kl_of));
        wasserstein = method.drawn(wasserstein, over_powers(method, |d| d.wasserstein));
        let [x, mean, _] = over_powers(method, |d| d.wasserstein_floor);
        floor = Some((x, mean));
    }
    if let Some((x, mean)) = floor {
        wasserstein = wasserstein
            .with(Series::line(x, mean, Colour::Ink).labelled("exact against exact samples"));
    }
    Plate {
        stem: "divergence",
        caption: format!(
            "Means over {} observations, {} samples each; bands are one standard deviation over seeds.",
            study.exact_observations, study.exact_samples
        ),
        figure: Figure::new("Distance from the exact posteriors")
            .columns(2)
            .with(kl)
            .with(wasserstein),
    }
}

fn kl_of(distance: &Distance) -> f64 {
    distance.kl.map_or(f64::NAN, |kl| kl.value)
}

/// Powers, means over seeds and half widths of the band.
fn over_powers(method: &Method, read: impl Fn(&Distance) -> f64) -> [Vec<f64>; 3] {
    let first = method.seeds.iter().take(1);
    let powers: Vec<f64> = first.flat_map(|s| &s.distances).map(|d| d.beta).collect();
    method.plain_curve(&powers, |seed| seed.distances.iter().map(&read).collect())
}

fn coverage_table(study: &TwoMoonsStudy, methods: &[Method]) -> Section {
    let columns = SHOWN.into_iter();
    let columns =
        columns.flat_map(|beta| [format!("ECE, β = {beta}"), format!("bias, β = {beta}")]);
    let cells = |method: &Method| {
        let of = |i: usize| {
            let error = method.spread(|s| s.calibration[i].coverage.expected_error.value);
            let bias = method.spread(|s| s.calibration[i].coverage.bias.value);
            [error.text(3), bias.text(3)]
        };
        (0..SHOWN.len()).flat_map(of).collect()
    };
    Section {
        title: "Calibration of the radius".into(),
        text: format!(
            "Expected coverage error, the mean over levels of |coverage − nominal|, and its signed mean \
             (negative: too narrow), over {} observations; a perfect posterior has an ECE of about {:.3} by \
             chance. Mean ± standard deviation over seeds.",
            study.observations,
            // The mean over levels of √(2α(1−α)/πn) is π/8·√(2/π) / √n.
            0.313 / (study.observations as f64).sqrt()
        ),
        header: header(columns),
        rows: rows(methods, cells),
    }
}

fn distance_table(study: &TwoMoonsStudy, methods: &[Method]) -> Section {
    let cells = |method: &Method| {
        let of = |i: usize| method.spread(|s| kl_of(&s.distances[i])).text(3);
        (0..BETAS.len()).map(of).collect()
    };
    Section {
        title: "KL(exact ‖ flow) in nats".into(),
        text: format!(
            "Means over {} observations with {} exact samples each.",
            study.exact_observations, study.exact_samples
        ),
        header: header(BETAS.map(|beta| format!("KL, β = {beta}"))),
        rows: rows(methods, cells),
    }
}
