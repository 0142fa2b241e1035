//! The figure: a title, a legend and a grid of panels.

use crate::panel::Panel;

/// A grid of panels with a title and one legend above them.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The heading. It may be empty.
    pub title: String,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
    /// The number of panels in a row. Zero counts as one.
    pub columns: usize,
    /// The width and height of each panel's window in pixels, without its labels.
    pub window: (f64, f64),
}

impl Figure {
    /// Makes a figure of one column without panels, whose windows are 340 × 230 pixels.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            panels: vec![],
            columns: 1,
            window: (340.0, 230.0),
        }
    }

    /// Adds a panel after those that are there.
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
}
