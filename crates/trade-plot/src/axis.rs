//! An axis as the caller declares it.

/// An axis of a panel, or the colour scale of a heat map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// The quantity and its unit. It may be empty.
    pub label: String,
    /// Whether the axis is logarithmic.
    pub log: bool,
    /// The lowest and the highest value. The data decide where it is `None`.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// Makes a linear axis whose range is found from the data.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// Makes a logarithmic axis whose range is found from the data.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self {
            log: true,
            ..Self::new(label)
        }
    }

    /// Fixes the range.
    #[must_use]
    pub fn from_to(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
}
