//! A panel: two axes and what is drawn on them.

use crate::axis::Axis;
use crate::series::{Mark, Series};
use crate::style::Style;

/// Two axes and the series that are drawn on them.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// The heading of the panel. It may be empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The series in the order in which they are drawn. Later ones lie on top.
    pub content: Vec<Series>,
}

impl Panel {
    /// Makes a panel without a heading and without series.
    #[must_use]
    pub fn new(x: Axis, y: Axis) -> Self {
        Self {
            x,
            y,
            ..Self::default()
        }
    }

    /// Makes a panel that leaves its place in the grid free.
    #[must_use]
    pub fn free() -> Self {
        Self::default()
    }

    /// Whether nothing was declared, neither axes nor content.
    pub(crate) fn is_free(&self) -> bool {
        let axis = |axis: &Axis| axis.label.is_empty() && axis.range.is_none();
        self.title.is_empty() && axis(&self.x) && axis(&self.y) && self.content.is_empty()
    }

    /// Sets the heading.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Adds a series on top of those that are there.
    #[must_use]
    pub fn with(mut self, series: Series) -> Self {
        self.content.push(series);
        self
    }

    /// Adds a labelled line with the band `y ± half_width` around it, both in the same style. The
    /// curve holds `x`, `y` and the half widths, point by point.
    #[must_use]
    pub fn with_band(self, curve: [Vec<f64>; 3], style: Style, label: impl Into<String>) -> Self {
        let [x, y, half] = curve;
        let edge = |sign: f64| y.iter().zip(&half).map(|(y, h)| y + sign * h).collect();
        let band = Series::band(x.clone(), edge(-1.0), edge(1.0), style.colour);
        self.with(band)
            .with(Series::styled(x, y, style).labelled(label))
    }

    /// Moves all bands below the other series, so that no line is tinted by the band of another.
    pub fn areas_first(&mut self) {
        self.content
            .sort_by_key(|series| !matches!(series.mark, Mark::Band { .. }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::styles;

    #[test]
    fn a_band_surrounds_its_line_and_lies_below_all_lines() {
        let curve = || [vec![1.0, 2.0], vec![5.0, 6.0], vec![0.5, 1.0]];
        let styles = styles(&["nll", "tsf"]);
        let panel = Panel::default().with_band(curve(), styles[0], "a");
        let mut panel = panel.with_band(curve(), styles[1], "b");
        panel.areas_first();
        let [
            Mark::Band { upper },
            Mark::Band { .. },
            Mark::Line { .. },
            Mark::Line { .. },
        ] = [0, 1, 2, 3].map(|i| &panel.content[i].mark)
        else {
            panic!("two bands, then two lines");
        };
        assert_eq!(
            (&panel.content[0].y, upper),
            (&vec![4.5, 5.0], &vec![5.5, 7.0])
        );
        let labels = panel.content.iter().filter_map(|s| s.label.as_deref());
        assert_eq!(labels.collect::<Vec<_>>(), ["a", "b"]);
    }
}
