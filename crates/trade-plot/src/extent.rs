//! What of a series can be shown, and the values that its axes must hold.

use crate::panel::Panel;
use crate::series::{Mark, Series};

impl Panel {
    /// The series of which anything can be drawn.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Series> {
        let log = self.y.log;
        self.content.iter().filter(move |s| s.is_visible(log))
    }
}

impl Series {
    /// The abscissae that the x axis must show.
    pub(crate) fn abscissae(&self) -> Vec<f64> {
        match &self.mark {
            Mark::Heat { nx, .. } => edges(&self.x, *nx),
            Mark::Steps { .. } => edges(&self.x, self.y.len()),
            Mark::Rules => self.x.clone(),
            _ => {
                let finite = self.x.iter().zip(&self.y).filter(|(_, y)| y.is_finite());
                finite.map(|(x, _)| *x).collect()
            }
        }
    }

    /// The ordinates that the y axis must show.
    pub(crate) fn ordinates(&self) -> Vec<f64> {
        let shown = &self.y[..self.y.len().min(self.x.len())];
        match &self.mark {
            Mark::Rules => vec![],
            Mark::Heat { ny, .. } => edges(&self.y, *ny),
            Mark::Band { upper } => shown.iter().chain(upper).copied().collect(),
            Mark::Dots {
                errors: Some(errors),
                ..
            } => {
                let bars = shown.iter().zip(errors);
                bars.flat_map(|(y, e)| [y - e, *y, y + e]).collect()
            }
            _ => shown.to_vec(),
        }
    }

    fn is_visible(&self, log_y: bool) -> bool {
        let has = |v: &[f64]| v.iter().any(|v| v.is_finite());
        let fits = |v: &f64| v.is_finite() && (!log_y || *v > 0.0);
        match &self.mark {
            Mark::Rules => has(&self.x),
            Mark::Heat { values, nx, ny, .. } => values.len() == nx * ny && has(values),
            _ => has(&self.abscissae()) && self.ordinates().iter().any(fits),
        }
    }
}

/// The edges of `n` bins: as given if there are `n + 1`, otherwise around the given centres.
pub(crate) fn edges(x: &[f64], n: usize) -> Vec<f64> {
    if n > 0 && x.len() == n + 1 {
        return x.to_vec();
    }
    let centres = &x[..n.min(x.len())];
    let [Some(first), Some(last)] = [centres.first(), centres.last()] else {
        return vec![];
    };
    let pairs = || centres.windows(2);
    let step = |pair: Option<&[f64]>| pair.map_or(1.0, |pair| pair[1] - pair[0]);
    let mut edges = vec![first - 0.5 * step(pairs().next())];
    edges.extend(pairs().map(|pair| 0.5 * (pair[0] + pair[1])));
    edges.push(last + 0.5 * step(pairs().next_back()));
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_lie_halfway_between_centres() {
        assert_eq!(edges(&[1.0, 2.0, 4.0], 3), [0.5, 1.5, 3.0, 5.0]);
        assert_eq!(edges(&[1.0, 3.0], 2), [0.0, 2.0, 4.0]);
        assert_eq!(edges(&[1.0, 2.0, 4.0], 2), [1.0, 2.0, 4.0]);
        assert_eq!(edges(&[7.0], 1), [6.5, 7.5]);
        assert!(edges(&[], 0).is_empty());
    }
}
