//! Figures and tables of the mixture: divergences, mode weights and densities.

use anyhow::Result;
use trade_plot::{Axis, Colour, Figure, Mark, Panel, Series, Style, styles};
use trade_targets::exact::{ExactAt, GaussianMixture};

use super::study::{AtPower, CELLS, Measured, SHOWN, WINDOW, cells, powers};
use crate::{
    experiment::{Shown, Studied},
    report::{Plate, Section, Spread},
};

/// Divergences outside are drawn at the ends: a mode that is lost can cost any number of nats.
const DRAWN: (f64, f64) = (1e-3, 100.0);
/// Densities are shown over this many decades below the highest.
const DECADES: f64 = 4.0;
/// Shades a decade: neighbouring cells of one shade are one shape in the file.
const SHADES: f64 = 4.0;

/// A method with its measurements, one a seed, and its style.
struct Row<'a> {
    method: &'a Studied,
    seeds: Vec<Measured>,
    style: Style,
}

impl Row<'_> {
    /// Over the seeds, the largest value over the range.
    fn largest(&self, value: impl Fn(&AtPower) -> f64) -> Spread {
        Spread::of(self.seeds.iter().map(|seed| {
            let values = seed.at.iter().map(&value);
            values.reduce(worse).unwrap_or(f64::NAN)
        }))
    }

    /// The largest error of a mode's weight over modes and range.
    fn largest_weight_error(&self, exact: &[Vec<f64>]) -> Spread {
        Spread::of(self.seeds.iter().map(|seed| {
            let errors =
                seed.at.iter().zip(exact).flat_map(|(at, exact)| {
                    at.weights.iter().zip(exact).map(|(w, e)| (w - e).abs())
                });
            errors.reduce(worse).unwrap_or(f64::NAN)
        }))
    }
}

/// The larger of two; what is not a number is worst.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// All that the report shows of the measurements.
pub(super) fn shown(studied: &[Studied]) -> Result<Shown> {
    let names: Vec<&str> = studied.iter().map(|s| s.name.as_str()).collect();
    let rows = studied
        .iter()
        .zip(styles(&names))
        .map(|(method, style)| {
            Ok(Row {
                method,
                seeds: method.read()?,
                style,
            })
        })
        .collect::<Result<Vec<Row>>>()?;
    let mixture = GaussianMixture::six_modes()?;
    let weights = powers()
        .into_iter()
        .map(|beta| Ok(mixture.tempered(beta)?.mode_weights()?))
        .collect::<Result<Vec<_>>>()?;
    Ok(Shown {
        plates: vec![
            divergence(&rows),
            mode_weights(&rows, &mixture, &weights),
            densities(&rows, &mixture)?,
        ],
        sections: vec![table(&rows, &weights)],
    })
}

fn table(rows: &[Row<'_>], weights: &[Vec<f64>]) -> Section {
    let kl = |at: &AtPower| at.kl.unwrap_or(f64::NAN);
    let cells = |row: &Row<'_>| {
        vec![
            row.method.label.clone(),
            row.largest(|at| if at.beta < 1.0 { kl(at) } else { 0.0 })
                .text(4),
            row.largest(|at| if at.beta == 1.0 { kl(at) } else { 0.0 })
                .text(4),
            row.largest(|at| if at.beta > 1.0 { kl(at) } else { 0.0 })
                .text(4),
            row.largest(|at| at.total_variation.unwrap_or(f64::NAN))
                .text(4),
            row.largest_weight_error(weights).text(4),
        ]
    };
    let header = [
        "method",
        "max KL, β < 1",
        "KL, β = 1",
        "max KL, β > 1",
        "max TV",
        "max |Δ mode weight|",
    ];
    Section {
        title: "Over the whole range".into(),
        text: format!(
            "The largest KL(exact ‖ flow) in nats, total variation and error of a mode's weight at {} powers \
             from {} to {}. KL and total variation are sums over the nodes of the exact quadrature (over exact \
             samples for the volume-preserving flow, which knows its density as a mean over draws); the weights \
             of the modes are counted among samples of the flow.",
            powers().len(),
            SHOWN[0],
            SHOWN[4]
        ),
        header: header.map(String::from).to_vec(),
        rows: rows.iter().map(cells).collect(),
    }
}

/// Whole decades, so that both ends of the range have a labelled tick beside them.
fn power_axis() -> Axis {
    Axis::log("power β").from_to(0.1, 10.0)
}

/// A measure at a power.
type Reading = fn(&AtPower) -> Option<f64>;

/// KL and total variation against the power.
fn divergence(rows: &[Row<'_>]) -> Plate {
    let beta = powers();
    let mut figure = Figure::new("Distance from the exact density").columns(2);
    let readings: [(&str, &str, Reading); 2] = [
        ("KL(exact ‖ flow)", "KL / nats", |at| at.kl),
        ("Total variation", "TV", |at| at.total_variation),
    ];
    for (title, label, read) in readings {
        let mut panel = Panel::new(power_axis(), Axis::log(label)).titled(title);
        let (mut bands, mut lines) = (vec![], vec![]);
        for row in rows {
            let spreads: Vec<Spread> = (0..beta.len())
                .map(|i| {
                    let values = row.seeds.iter().filter_map(|seed| seed.at.get(i));
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
                row.style.colour,
            ));
            let line = Series::styled(beta.clone(), edge(0.0), row.style);
            lines.push(line.labelled(&row.method.label));
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
fn mode_weights(rows: &[Row<'_>], mixture: &GaussianMixture, exact: &[Vec<f64>]) -> Plate {
    let beta = powers();
    let error = |row: &&Row<'_>| {
        let found = row.largest_weight_error(exact).mean;
        if found.is_nan() { f64::INFINITY } else { found }
    };
    let trade = rows.iter().find(|row| row.method.name == "trade-grid");
    let weakest = rows
        .iter()
        .filter(|row| !row.method.name.starts_with("trade"))
        .max_by(|a, b| error(a).total_cmp(&error(b)));
    let mut figure = Figure::new("Weights of the modes").columns(2);
    for row in trade.into_iter().chain(weakest) {
        let mut panel = Panel::new(power_axis(), Axis::new("probability").from_to(0.0, 1.0))
            .titled(&row.method.label)
            .with(Series::rules(vec![1.0]));
        for k in 0..mixture.len() {
            let colour = Colour::Hue(k);
            let weight = |weights: &Vec<f64>| weights.get(k).copied().unwrap_or(f64::NAN);
            let mean = mixture.mean(k);
            panel = panel.with(
                Series::line(beta.clone(), exact.iter().map(weight).collect(), colour)
                    .labelled(format!("mode at ({}, {})", mean[0], mean[1]).replace('-', "−")),
            );
            for seed in &row.seeds {
                let found = seed.at.iter().map(|at| weight(&at.weights)).collect();
                panel = panel.with(Series::dots(beta.clone(), found, None, colour));
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
fn densities(rows: &[Row<'_>], mixture: &GaussianMixture) -> Result<Plate> {
    let cells = cells();
    let exact = SHOWN
        .iter()
        .map(|&beta| {
            let at = mixture.tempered(beta)?;
            Ok(cells.iter().map(|x| at.log_prob(x)).collect())
        })
        .collect::<Result<Vec<Vec<f64>>>>()?;
    let mut figure = Figure::new("Densities").columns(SHOWN.len());
    figure.window = (150.0, 150.0);
    let mut row = |label: &str, maps: &[Vec<f64>]| {
        for ((map, beta), exact) in maps.iter().zip(SHOWN).zip(&exact) {
            let top = exact.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            figure
                .panels
                .push(panel(format!("{label}, β = {beta:.2}"), map, top));
        }
    };
    row("exact", &exact);
    for method in rows {
        let Some(seed) = method.seeds.first() else {
            continue;
        };
        let number = |l: &Option<f32>| l.map_or(f64::NAN, f64::from);
        let maps: Vec<Vec<f64>> = seed
            .maps
            .iter()
            .map(|map| map.iter().map(number).collect())
            .collect();
        row(&method.method.label, &maps);
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
    use super::*;

    fn measured(kl: Option<f64>, weight: f64) -> Measured {
        let at = |beta| AtPower {
            beta,
            kl,
            total_variation: Some(0.1),
            weights: vec![weight; 6],
        };
        Measured {
            at: powers().into_iter().map(at).collect(),
            maps: SHOWN.map(|_| vec![Some(-3.0); CELLS * CELLS]).into(),
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
        let shown = shown(&all).unwrap();
        let stems: Vec<&str> = shown.plates.iter().map(|plate| plate.stem).collect();
        assert_eq!(stems, ["divergence", "mode-weights", "densities"]);
        let titles: Vec<&str> = shown.plates[1]
            .figure
            .panels
            .iter()
            .map(|panel| panel.title.as_str())
            .collect();
        assert_eq!(titles, ["TRADE-GRID", "REVERSE-KL"]);
        assert_eq!(shown.plates[2].figure.panels.len(), 4 * SHOWN.len());
        // A divergence that is not finite anywhere has no largest value.
        let rows = &shown.sections[0].rows;
        assert_eq!(rows[0][1..5], ["0.0100", "0.0100", "0.0100", "0.1000"]);
        assert_eq!(rows[2][1], "–");
    }
}
