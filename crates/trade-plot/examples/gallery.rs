//! Draws a figure with every kind of mark and writes it as `gallery.svg` and `gallery.png`.
//!
//! Run it with `cargo run -p trade-plot --example gallery -- some-folder`. The folder is made when
//! it does not exist, and is the current folder by default.

use std::path::PathBuf;
use trade_plot::{Axis, Colour, Dash, Figure, Mark, Panel, Series, styles};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(PathBuf::new, PathBuf::from);
    let figure = Figure::new("Every mark: lines, bands, dots, steps, rules and heat maps")
        .with(lines())
        .with(dots())
        .with(histograms())
        .with(scaling())
        .with(heat(Axis::new("energy / kT")))
        .with(heat(Axis::log("density p(φ, ψ)")))
        .columns(2);
    figure.save(&folder, "gallery")?;
    Ok(())
}

fn grid(n: usize, low: f64, high: f64) -> Vec<f64> {
    (0..n)
        .map(|i| low + (high - low) * i as f64 / (n - 1) as f64)
        .collect()
}

fn lines() -> Panel {
    let names = ["trade-grid", "trade-continuous", "method-7"];
    let x = grid(120, 0.2, 0.34);
    let mut panel = Panel::new(Axis::new("κ"), Axis::new("⟨|M|⟩ and χ² of x₁ − x₂ ± 1"))
        .titled("Lines with bands")
        .with(Series::rules(vec![0.22, 0.27, 0.32]).labelled("training data"));
    for (i, (name, style)) in names.iter().zip(styles(&names)).enumerate() {
        let shift = i as f64;
        let y: Vec<f64> = x
            .iter()
            .map(|x| (60.0 * x + shift).sin() * (1.0 - shift / 4.0) + shift)
            .collect();
        let edge = |sign: f64| y.iter().map(|y| y + 0.25 * sign).collect();
        panel = panel
            .with(Series::band(x.clone(), edge(-1.0), edge(1.0), style.colour))
            .with(Series::styled(x.clone(), y, style).labelled(*name));
    }
    panel
}

fn dots() -> Panel {
    let x = grid(12, 1.0, 12.0);
    let y = x.iter().map(|x| 0.1 * x * x).collect();
    let errors = x.iter().map(|x| 0.2 * x).collect();
    // The golden ratio and the square root of two fill the square evenly.
    let spread = |step: f64, span: f64| -> Vec<f64> {
        (0..1500)
            .map(|i| (f64::from(i) * step).fract() * span)
            .collect()
    };
    let samples = Mark::Dots {
        errors: None,
        radius: 1.0,
    };
    let cloud = Series::new(
        samples,
        spread(0.618_034, 12.0),
        spread(0.414_214, 16.0),
        Colour::Hue(5),
    );
    Panel::new(Axis::new("β / Å⁻¹"), Axis::new("ΔF / nats"))
        .titled("Dots with errors, and samples")
        .with(cloud.labelled("samples"))
        .with(Series::dots(x, y, Some(errors), Colour::Hue(4)).labelled("measured"))
}

fn histograms() -> Panel {
    let edges = grid(25, -3.0, 3.0);
    let bell = |centre: f64| {
        let density = |x: &f64| (-0.5 * (x - centre).powi(2)).exp() / std::f64::consts::TAU.sqrt();
        edges[1..].iter().map(density).collect()
    };
    let steps = |filled| Mark::Steps { filled };
    Panel::new(Axis::new("φ / rad"), Axis::new("density"))
        .titled("Histograms")
        .with(
            Series::new(steps(true), edges.clone(), bell(-0.5), Colour::Hue(2)).labelled("filled"),
        )
        .with(Series::new(steps(false), edges.clone(), bell(0.7), Colour::Hue(6)).labelled("open"))
}

fn scaling() -> Panel {
    let x: Vec<f64> = grid(60, 0.0, 4.0).iter().map(|x| 10f64.powf(*x)).collect();
    let y = |power: f64| x.iter().map(|x| 3e-6 * x.powf(power)).collect();
    let line =
        |dash, power, hue| Series::new(Mark::Line { dash }, x.clone(), y(power), Colour::Hue(hue));
    Panel::new(Axis::log("samples n"), Axis::log("KL(p ‖ q)"))
        .titled("Logarithmic axes")
        .with(line(Dash::Solid, 1.0, 0).labelled("∝ n"))
        .with(line(Dash::Dashed, 0.5, 1).labelled("∝ √n"))
        .with(line(Dash::Dotted, -0.5, 3).labelled("∝ 1/√n"))
}

fn heat(scale: Axis) -> Panel {
    let axis = grid(48, -180.0, 180.0);
    let wave = |x: f64, y: f64| (x.to_radians().cos() + (2.0 * y).to_radians().sin()).exp();
    let values = axis
        .iter()
        .flat_map(|&y| {
            axis.iter()
                .map(move |&x| if y < -150.0 { f64::NAN } else { wave(x, y) })
        })
        .collect();
    let mark = Mark::Heat {
        values,
        nx: axis.len(),
        ny: axis.len(),
        scale,
    };
    Panel::new(Axis::new("φ / degrees"), Axis::new("ψ / degrees"))
        .titled("Heat map")
        .with(Series::new(mark, axis.clone(), axis, Colour::Ink))
}
