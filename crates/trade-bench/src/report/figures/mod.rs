//! The figures every experiment on a one-dimensional range of conditions shares.

mod curves;
mod marginals;
mod training;

use super::model::{MethodResult, Results};
use trade_plot::{Figure, Style, styles};

/// A figure with its file name (without extension) and its caption.
pub struct Plate {
    /// File name without extension.
    pub stem: &'static str,
    /// Explanation under the figure.
    pub caption: String,
    /// The figure.
    pub figure: Figure,
}

/// All figures for which there are data.
#[must_use]
pub fn plates(results: &Results) -> Vec<Plate> {
    let plates = [
        marginals::marginals(results),
        curves::quality(results),
        curves::log_z(results),
        training::training(results),
    ];
    plates.into_iter().flatten().collect()
}

/// Each method with the style it has in every figure.
fn dressed(results: &Results) -> Vec<(&MethodResult, Style)> {
    let names: Vec<&str> = results.methods.iter().map(|m| m.name.as_str()).collect();
    results.methods.iter().zip(styles(&names)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_data_there_are_no_figures() {
        assert!(plates(&Results::default()).is_empty());
    }
}
