//! Figures and tables of the mixture: divergences, mode weights and densities.

use anyhow::Result;
use trade_targets::exact::ExactAt;

use super::{
    MixtureStudy,
    measured::{AtPower, CELLS, Measured, WINDOW, cells},
};
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series};

use crate::{
    experiment::study::{Measurements, Studied, header, rows},
    report::{Plate, Section, Shown, Spread, largest},
};

/// Divergences outside are drawn at the ends: a mode that is lost can cost any number of nats.
const DRAWN: (f64, f64) = (1e-3, 100.0);
/// Densities are shown over this many decades below the highest.
const DECADES: f64 = 4.0;
/// Shades a decade: neighbouring cells of one shade are one shape in the file.
const SHADES: f64 = 4.0;

/// A method with what was measured of it.
type Method = Measurements<Measured>;

/// Over the seeds, the largest error of a mode's weight over modes and range.
fn weight_error(method: &Method, exact: &[Vec<f64>]) -> Spread {
    method.spread(|seed| {
        let all = seed.at.iter().zip(exact);
        let pairs = all.flat_map(|(at, exact)| at.weights.iter().zip(exact));
        largest(pairs.map(|(weight, exact)| weight - exact))
    })
}

/// All that the report shows of the measurements.
pub(super) fn shown(study: &MixtureStudy, studied: &[Studied]) -> Result<Shown> {
    let methods = Measurements::read(studied)?;
    let weights = study
        .powers
        .iter()
        .map(|&beta| Ok(study.mixture.tempered(beta)?.mode_weights()?))
        .collect::<Result<Vec<_>>>()?;
    Ok(Shown {
        plates: vec![
            divergence(study, &methods),
            mode_weights(study, &methods, &weights),
            densities(study, &methods)?,
        ],
        sections: vec![table(study, &methods, &weights)],
    })
}

fn table(study: &MixtureStudy, methods: &[Method], weights: &[Vec<f64>]) -> Section {
    let worst = |method: &Method, holds: fn(f64) -> bool, read: Reading| {
        let spread = method.spread(|seed| {
            let at = seed.at.iter().filter(|at| holds(at.beta));
            // Noise may take an estimate below zero; what is not a number stays so.
            largest(at.map(|at| read(at).map_or(f64::NAN, |value| value.clamp(0.0, f64::INFINITY))))
        });
        spread.text(4)
    };
    let cells = |method: &Method| {
        vec![
            worst(method, |beta| beta < 1.0, |at| at.kl),
            worst(method, |beta| beta == 1.0, |at| at.kl),
            worst(method, |beta| beta > 1.0, |at| at.kl),
            worst(method, |_| true, |at| at.total_variation),
            weight_error(method, weights).text(4),
        ]
    };
    let ends = [study.powers.first(), study.powers.last()];
    let [low, high] = ends.map(|end| end.copied().unwrap_or(f64::NAN));
    Section {
        title: "Over the whole range".into(),
        text: format!(
            "The largest KL(exact ‖ flow) in nats, total variation and error of a mode's weight at {} powers \
             from {low} to {high}. KL and total variation are sums over the nodes of the exact quadrature (over exact \
             samples for the volume-preserving flow, which knows its density as a mean over draws); the weights \
             of the modes are counted among samples of the flow.",
            study.powers.len(),
        ),
        header: header([
            "max KL, β < 1",
            "KL, β = 1",
            "max KL, β > 1",
            "max TV",
            "max |Δ mode weight|",
        ]),
        rows: rows(methods, cells),
    }
}

/// Whole decades, so that both ends of the range have a labelled tick beside them.
fn power_axis() -> Axis {
    Axis::log("power β").from_to(0.1, 10.0)
}

/// A measure at a power.
type Reading = fn(&AtPower) -> Option<f64>;

/// KL and total variation against the power.
fn divergence(study: &MixtureStudy, methods: &[Method]) -> Plate {
    let beta = &study.powers;
    let mut figure = Figure::new("Distance from the exact density").columns(2);
    let readings: [(&str, &str, Reading); 2] = [
        ("KL(exact ‖ flow)", "KL / nats", |at| at.kl),
        ("Total variation", "TV", |at| at.total_variation),
    ];
    for (title, label, read) in readings {
        let mut panel = Panel::new(power_axis(), Axis::log(label)).titled(title);
        let (mut bands, mut lines) = (vec![], vec![]);
        for method in methods {
            let spreads: Vec<Spread> = (0..beta.len())
                .map(|i| {
                    let values = method.seeds.iter().filter_map(|seed| seed.at.get(i));
                    Spread::of(values.map(|at| read(at).unwrap_or(f64::NAN)))
                })
                .collect();
            let edge = |sign: f64| -> Vec<f64> {
                let value =
                    |s: &Spread| (s.mean + sign * s.half_width(0.0)).clamp(DRAWN.0, DRAWN.1);
                spreads
                    .iter()
                    .map(|s| if s.mean.is_nan() { f64::NAN } else { value(s) })
                    .collect()
            };
            bands.push(Series::band(
                beta.clone(),
                edge(-1.0),
                edge(1.0),
                method.style.colour,
            ));
            let line = Series::styled(beta.clone(), edge(0.0), method.style);
            lines.push(line.labelled(&method.label));
        }
        panel.content = bands;
        panel
            .content
            .push(Series::rules(vec![1.0]).labelled("training data"));
        panel.content.extend(lines);
        figure = figure.with(panel);
    }
    Plate {
        stem: "divergence",
        caption: format!(
            "KL(exact ‖ flow) and total variation by quadrature against the power β, on logarithmic axes. Lines \
             are means over seeds, bands one standard deviation. Values below {} or above {} are drawn there.",
            DRAWN.0, DRAWN.1,
        ),
        figure,
    }
}

/// The weights of the modes of TRADE on a grid and of the baseline that is worst at them.
fn mode_weights(study: &MixtureStudy, methods: &[Method], exact: &[Vec<f64>]) -> Plate {
    let (beta, mixture) = (&study.powers, &study.mixture);
    let error = |method: &&Method| {
        let error = weight_error(method, exact).mean;
        if error.is_nan() { f64::INFINITY } else { error }
    };
    let trade = methods.iter().find(|method| method.name == "trade-grid");
    let weakest = methods
        .iter()
        .filter(|method| !method.name.starts_with("trade"))
        .max_by(|a, b| error(a).total_cmp(&error(b)));
    let mut figure = Figure::new("Weights of the modes").columns(2);
    for method in trade.into_iter().chain(weakest) {
        let mut panel = Panel::new(power_axis(), Axis::new("probability").from_to(0.0, 1.0))
            .titled(&method.label)
            .with(Series::rules(vec![1.0]));
        for k in 0..mixture.len() {
            let colour = Colour::Hue(k);
            let weight = |weights: &Vec<f64>| weights.get(k).copied().unwrap_or(f64::NAN);
            let mean = mixture.mean(k);
            panel = panel.with(
                Series::line(beta.clone(), exact.iter().map(weight).collect(), colour)
                    .labelled(format!("mode at ({}, {})", mean[0], mean[1]).replace('-', "−")),
            );
            for seed in &method.seeds {
                let shares = seed.at.iter().map(|at| weight(&at.weights)).collect();
                panel = panel.with(Series::dots(beta.clone(), shares, None, colour));
            }
        }
        figure = figure.with(panel);
    }
    Plate {
        stem: "mode-weights",
        caption: "The probability of each of the six modes against the power β: exact (lines) and among samples \
                  of the flow (dots, for every seed), of TRADE on a grid and of the baseline with the largest \
                  error."
            .into(),
        figure,
    }
}

/// Density maps: a row for the exact density and for the first seed of each method.
fn densities(study: &MixtureStudy, methods: &[Method]) -> Result<Plate> {
    let cells = cells();
    let exact = study
        .shown
        .iter()
        .map(|&beta| {
            let at = study.mixture.tempered(beta)?;
            Ok(cells.iter().map(|x| at.log_prob(x)).collect())
        })
        .collect::<Result<Vec<Vec<f64>>>>()?;
    let mut figure = Figure::new("Densities").columns(study.shown.len());
    figure.window = (150.0, 150.0);
    let mut row = |label: &str, maps: &[Vec<f64>]| {
        for ((map, beta), exact) in maps.iter().zip(&study.shown).zip(&exact) {
            let top = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            figure
                .panels
                .push(panel(format!("{label}, β = {beta:.2}"), map, top));
        }
    };
    row("exact", &exact);
    for method in methods {
        let Some(seed) = method.seeds.first() else {
            continue;
        };
        let number = |l: &Option<f32>| l.map_or(f64::NAN, f64::from);
        let maps: Vec<Vec<f64>> = seed
            .maps
            .iter()
            .map(|map| map.iter().map(number).collect())
            .collect();
        row(&method.label, &maps);
    }
    Ok(Plate {
        stem: "densities",
        caption: format!(
            "Densities at five powers on a logarithmic scale of colour over {DECADES} decades below the highest \
             exact value in each column: exact, and of the first seed of each method."
        ),
        figure,
    })
}

/// One density map, from `top` down.
fn panel(title: String, log_density: &[f64], top: f64) -> Panel {
    let ten = std::f64::consts::LN_10;
    let shade = |l: &f64| {
        let below = ((top - l) / ten).clamp(0.0, DECADES);
        10.0_f64.powf((top / ten) - (below * SHADES).round() / SHADES)
    };
    let axis = |(low, high): (f64, f64)| -> Vec<f64> {
        let edge = |i: usize| low + (high - low) * i as f64 / CELLS as f64;
        (0..=CELLS).map(edge).collect()
    };
    let (low, high) = (10.0_f64.powf(top / ten - DECADES), top.exp());
    let heat = Mark::Heat {
        values: log_density.iter().map(shade).collect(),
        nx: CELLS,
        ny: CELLS,
        scale: Axis::log("").from_to(low, high),
    };
    let series = Series::new(heat, axis(WINDOW[0]), axis(WINDOW[1]), Colour::Ink);
    Panel::new(Axis::new(""), Axis::new(""))
        .titled(title)
        .with(series)
}

#[cfg(test)]
mod tests {
    use trade_targets::exact::GaussianMixture;

    use super::*;

    fn study() -> MixtureStudy {
        MixtureStudy {
            mixture: GaussianMixture::six_modes().unwrap(),
            powers: vec![0.16238, 0.5, 1.0, 2.0, 6.15848],
            shown: vec![0.4, 1.0],
        }
    }

    fn measured(kl: Option<f64>, weight: f64) -> Measured {
        let at = |beta| AtPower {
            beta,
            kl,
            total_variation: Some(0.1),
            weights: vec![weight; 6],
        };
        Measured {
            at: study().powers.into_iter().map(at).collect(),
            maps: vec![vec![Some(-3.0); CELLS * CELLS]; 2],
        }
    }

    fn studied(name: &str, measured: &Measured) -> Studied {
        Studied {
            name: name.into(),
            label: name.to_uppercase(),
            seeds: vec![serde_json::to_value(measured).unwrap()],
        }
    }

    #[test]
    fn the_weakest_baseline_is_shown_beside_trade() {
        let all = [
            studied("trade-grid", &measured(Some(0.01), 1.0 / 6.0)),
            studied("nll", &measured(Some(0.5), 0.2)),
            studied("reverse-kl", &measured(None, 0.9)),
        ];
        let shown = shown(&study(), &all).unwrap();
        let stems: Vec<&str> = shown.plates.iter().map(|plate| plate.stem).collect();
        assert_eq!(stems, ["divergence", "mode-weights", "densities"]);
        let titles: Vec<&str> = shown.plates[1]
            .figure
            .panels
            .iter()
            .map(|panel| panel.title.as_str())
            .collect();
        assert_eq!(titles, ["TRADE-GRID", "REVERSE-KL"]);
        assert_eq!(shown.plates[2].figure.panels.len(), 4 * 2);
        // A divergence that is not finite anywhere has no largest value.
        let rows = &shown.sections[0].rows;
        assert_eq!(rows[0][1..5], ["0.0100", "0.0100", "0.0100", "0.1000"]);
        assert_eq!(rows[2][1], "–");
    }
}
