//! Numbers and the marks that draw them.

use crate::axis::Axis;
use crate::colour::Colour;
use crate::style::{Dash, Style};

/// Numbers and how they are drawn.
///
/// `x` and `y` are used up to the length of the shorter one, except where [`Mark`] says otherwise.
#[derive(Debug, Clone)]
pub struct Series {
    /// The entry in the legend. Series with the same label share one entry, and a series without a
    /// label has none.
    pub label: Option<String>,
    /// The colour. [`Mark::Heat`] does not use it.
    pub colour: Colour,
    /// The kind of drawing.
    pub mark: Mark,
    /// The abscissae.
    pub x: Vec<f64>,
    /// The ordinates.
    pub y: Vec<f64>,
}

/// The kinds of drawing.
#[derive(Debug, Clone)]
pub enum Mark {
    /// A line through the points.
    Line {
        /// How the line is interrupted.
        dash: Dash,
    },
    /// A translucent area from `y` up to `upper`.
    Band {
        /// The upper edge, as long as `y`.
        upper: Vec<f64>,
    },
    /// A dot for each point.
    Dots {
        /// The half lengths of vertical error bars, as long as `y`.
        errors: Option<Vec<f64>>,
        /// The radius in pixels. A radius of 3 is usual, and 1 suits thousands of samples.
        radius: f64,
    },
    /// The outline of a histogram. `x` holds the `y.len() + 1` edges of its bins, or their centres
    /// if it is as long as `y`.
    Steps {
        /// Whether the area below the outline is painted too.
        filled: bool,
    },
    /// A vertical dotted rule at each `x`. `y` is not used.
    Rules,
    /// A coloured cell for each pair of an `x` and a `y`, which hold the centres of evenly spaced
    /// cells, or their edges if they are longer by one. A cell that is not finite stays empty.
    Heat {
        /// The values row by row. The first row lies at the first `y`.
        values: Vec<f64>,
        /// The number of cells along x.
        nx: usize,
        /// The number of cells along y.
        ny: usize,
        /// The label, kind and range of the colour scale. Panels do not share it.
        scale: Axis,
    },
}

impl Series {
    /// Makes a series of any mark without a label.
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

    /// Makes a solid line.
    #[must_use]
    pub fn line(x: Vec<f64>, y: Vec<f64>, colour: Colour) -> Self {
        Self::new(Mark::Line { dash: Dash::Solid }, x, y, colour)
    }

    /// Makes a line in the colour and dash of a style.
    #[must_use]
    pub fn styled(x: Vec<f64>, y: Vec<f64>, style: Style) -> Self {
        Self::new(Mark::Line { dash: style.dash }, x, y, style.colour)
    }

    /// Makes a translucent area between two curves.
    #[must_use]
    pub fn band(x: Vec<f64>, lower: Vec<f64>, upper: Vec<f64>, colour: Colour) -> Self {
        Self::new(Mark::Band { upper }, x, lower, colour)
    }

    /// Makes dots of the usual size, with error bars where half lengths are given.
    #[must_use]
    pub fn dots(x: Vec<f64>, y: Vec<f64>, errors: Option<Vec<f64>>, colour: Colour) -> Self {
        let radius = 3.0;
        Self::new(Mark::Dots { errors, radius }, x, y, colour)
    }

    /// Makes vertical rules.
    #[must_use]
    pub fn rules(x: Vec<f64>) -> Self {
        Self::new(Mark::Rules, x, vec![], Colour::Muted)
    }

    /// Gives the series an entry in the legend.
    #[must_use]
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}
