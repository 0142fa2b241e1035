//! Figures of the reports: what is to be seen is declared here, how it looks is decided once.
//!
//! A [`Figure`] is a grid of [`Panel`]s with one legend; a panel holds [`Series`], each a [`Mark`]
//! on numbers. [`Figure::save`] writes SVG and PNG. Values that are not finite, or not positive on
//! a logarithmic axis, leave a gap; a series without any is left out; nothing panics on data.
//!
//! ```
//! use trade_bench::figure::{Axis, Colour, Figure, Panel, Series};
//!
//! let x: Vec<f64> = (0..100).map(|i| 0.1 * f64::from(i)).collect();
//! let y = x.iter().map(|x| x.sin()).collect();
//! let figure = Figure::new("A wave").with(
//!     Panel::new(Axis::new("time"), Axis::new("height"))
//!         .with(Series::line(x, y, Colour::Hue(0)).labelled("sin t")),
//! );
//! assert!(figure.to_svg().contains("sin t"));
//! ```

mod colour;
mod layout;
mod legend;
mod marks;
mod panel;
mod raster;
mod scene;
mod svg;
mod ticks;
mod typeface;

pub use colour::{Colour, Dash, Style, dark_rules, heat, styles};
pub use svg::escape;
pub(crate) use ticks::scientific;

use anyhow::{Context, Result};
use std::path::Path;

/// A grid of panels with a title and one legend above them.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Heading; may be empty.
    pub title: String,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
    /// Panels in a row; 0 counts as 1.
    pub columns: usize,
    /// Width and height in pixels of the window of each panel, without labels.
    pub window: (f64, f64),
}

/// Two axes and what is drawn on them.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// Heading of the panel; may be empty.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Drawn in this order, later ones on top.
    pub content: Vec<Series>,
}

/// An axis of a panel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// Quantity and unit; may be empty.
    pub label: String,
    /// Logarithmic.
    pub log: bool,
    /// Lowest and highest value; found from the data if none.
    pub range: Option<(f64, f64)>,
}

/// Numbers and how they are drawn.
///
/// `x` and `y` are used up to the shorter of the two, except where [`Mark`] says otherwise.
#[derive(Debug, Clone)]
pub struct Series {
    /// Entry in the legend. Series of the same label share one; a series without is not listed.
    pub label: Option<String>,
    /// Colour; [`Mark::Heat`] has its own scale.
    pub colour: Colour,
    /// The kind of drawing.
    pub mark: Mark,
    /// Abscissae.
    pub x: Vec<f64>,
    /// Ordinates.
    pub y: Vec<f64>,
}

/// Kinds of drawing.
#[derive(Debug, Clone)]
pub enum Mark {
    /// A line through the points.
    Line {
        /// Its dash.
        dash: Dash,
    },
    /// A translucent area from `y` up to `upper`.
    Band {
        /// Upper edge, as long as `y`.
        upper: Vec<f64>,
    },
    /// A dot for each point.
    Dots {
        /// Half lengths of vertical error bars, as long as `y`.
        errors: Option<Vec<f64>>,
        /// Radius in pixels; 3 is usual, 1 suits thousands of samples.
        radius: f64,
    },
    /// A histogram's outline: `x` holds the `y.len() + 1` edges, or the centres if as many as `y`.
    Steps {
        /// Paint the area under it as well.
        filled: bool,
    },
    /// A vertical dotted rule at each `x`; `y` is not used.
    Rules,
    /// A coloured cell for each pair of an `x` and a `y`, which are cell centres (evenly spaced) or
    /// the one more edges. Cells that are not finite stay empty.
    Heat {
        /// Row by row, the first row at the first `y`.
        values: Vec<f64>,
        /// Cells along x.
        nx: usize,
        /// Cells along y.
        ny: usize,
        /// What the colours mean: label, logarithmic, range. Panels do not share it.
        scale: Axis,
    },
}

impl Figure {
    /// A figure of one column without panels.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            panels: vec![],
            columns: 1,
            window: (340.0, 230.0),
        }
    }

    /// Adds a panel.
    #[must_use]
    pub fn with(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Sets the number of panels in a row.
    #[must_use]
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = columns;
        self
    }

    /// The figure as one `<svg>` element, fit for a file or for a page. Its classes let the page
    /// apply [`dark_rules`].
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::document(&layout::arrange(self), &self.title)
    }

    /// Writes `stem.svg` and, at twice the size in pixels, `stem.png` into `dir`, which is made if
    /// need be.
    ///
    /// # Errors
    /// If the folder or a file cannot be written.
    pub fn save(&self, dir: &Path, stem: &str) -> Result<()> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("making the folder {}", dir.display()))?;
        let scene = layout::arrange(self);
        let file = dir.join(format!("{stem}.svg"));
        std::fs::write(&file, svg::document(&scene, &self.title))
            .with_context(|| format!("writing the figure {}", file.display()))?;
        raster::write(&scene, &dir.join(format!("{stem}.png")))
    }
}

impl Panel {
    /// An empty panel.
    #[must_use]
    pub fn new(x: Axis, y: Axis) -> Self {
        Self {
            x,
            y,
            ..Self::default()
        }
    }

    /// Sets the heading.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a series.
    #[must_use]
    pub fn with(mut self, series: Series) -> Self {
        self.content.push(series);
        self
    }
}

impl Axis {
    /// A linear axis.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// A logarithmic axis.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            log: true,
            range: None,
        }
    }

    /// Fixes the range.
    #[must_use]
    pub fn from_to(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
}

impl Series {
    /// Any mark.
    #[must_use]
    pub fn new(mark: Mark, x: Vec<f64>, y: Vec<f64>, colour: Colour) -> Self {
        Self {
            label: None,
            colour,
            mark,
            x,
            y,
        }
    }

    /// A solid line.
    #[must_use]
    pub fn line(x: Vec<f64>, y: Vec<f64>, colour: Colour) -> Self {
        Self::new(Mark::Line { dash: Dash::Solid }, x, y, colour)
    }

    /// A line in a method's colour and dash.
    #[must_use]
    pub fn styled(x: Vec<f64>, y: Vec<f64>, style: Style) -> Self {
        Self::new(Mark::Line { dash: style.dash }, x, y, style.colour)
    }

    /// An area between two curves.
    #[must_use]
    pub fn band(x: Vec<f64>, lower: Vec<f64>, upper: Vec<f64>, colour: Colour) -> Self {
        Self::new(Mark::Band { upper }, x, lower, colour)
    }

    /// Dots of the usual size, with error bars if given.
    #[must_use]
    pub fn dots(x: Vec<f64>, y: Vec<f64>, errors: Option<Vec<f64>>, colour: Colour) -> Self {
        Self::new(
            Mark::Dots {
                errors,
                radius: 3.0,
            },
            x,
            y,
            colour,
        )
    }

    /// Vertical rules.
    #[must_use]
    pub fn rules(x: Vec<f64>) -> Self {
        Self::new(Mark::Rules, x, vec![], Colour::Muted)
    }

    /// Lists the series in the legend.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_mark(values: Vec<f64>) -> Figure {
        let x: Vec<f64> = (0..values.len()).map(|i| i as f64).collect();
        let upper: Vec<f64> = values.iter().map(|v| v + 0.5).collect();
        let errors = Some(vec![0.2; values.len()]);
        let heat = Mark::Heat {
            values: values.clone(),
            nx: values.len(),
            ny: 1,
            scale: Axis::new("heat"),
        };
        let panel = |log| {
            Panel::new(
                Axis::new("x"),
                Axis {
                    label: "y".into(),
                    log,
                    range: None,
                },
            )
            .with(Series::band(
                x.clone(),
                values.clone(),
                upper.clone(),
                Colour::Hue(0),
            ))
            .with(Series::line(x.clone(), values.clone(), Colour::Hue(0)).labelled("line"))
            .with(Series::dots(
                x.clone(),
                values.clone(),
                errors.clone(),
                Colour::Hue(1),
            ))
            .with(Series::new(
                Mark::Steps { filled: true },
                x.clone(),
                values.clone(),
                Colour::Hue(2),
            ))
            .with(Series::rules(x.clone()))
        };
        let heat = Panel::new(Axis::new("x"), Axis::new("y")).with(Series::new(
            heat,
            x.clone(),
            vec![0.0],
            Colour::Ink,
        ));
        Figure::new("All & every")
            .with(panel(false))
            .with(panel(true))
            .with(heat)
            .columns(2)
    }

    #[test]
    fn any_data_makes_a_well_formed_figure() {
        for values in [
            vec![],
            vec![f64::NAN; 3],
            vec![1.0],
            vec![0.0, 0.0],
            vec![-1.0, f64::INFINITY, 2.0, f64::NAN, 3.0],
            vec![1e300, -1e300, 1e-300],
            vec![f64::MAX, f64::MIN],
        ] {
            let svg = every_mark(values.clone()).to_svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        }
        assert!(Figure::new("").columns(0).to_svg().ends_with("</svg>\n"));
    }

    #[test]
    fn a_series_without_data_is_not_in_the_legend() {
        let svg = every_mark(vec![f64::NAN; 3]).to_svg();
        assert!(!svg.contains(">line<"));
        assert!(every_mark(vec![1.0, 2.0]).to_svg().contains(">line<"));
    }

    #[test]
    fn files_hold_the_picture() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let figure = every_mark(vec![1.0, 3.0, 2.0]);
        figure
            .save(&dir.path().join("new"), "all")
            .expect("a writable folder");
        let svg = std::fs::read_to_string(dir.path().join("new/all.svg")).expect("written");
        assert!(svg.contains("All &amp; every"));
        let png = std::fs::read(dir.path().join("new/all.png")).expect("written");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let side = |at| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
        let image =
            raster::paint(&layout::arrange(&figure)).expect("the font is part of the program");
        assert_eq!(
            (side(16) as usize, side(20) as usize),
            (image.width, image.height)
        );
        assert!(image.pixels.iter().filter(|c| **c < 100).count() > 1000);
        // The end chunk: the file is whole.
        assert_eq!(&png[png.len() - 8..png.len() - 4], b"IEND");
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("writable");
        let error = Figure::new("x")
            .save(&file.join("sub"), "x")
            .expect_err("a file is no folder");
        assert!(format!("{error:#}").contains("sub"));
    }
}
