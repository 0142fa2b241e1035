//! A one-dimensional density tabulated for integrals and for sampling.

use rand::{Rng, RngExt};

use super::quadrature::gauss_legendre;
use crate::{Error, Result};

/// Below `peak − DROP` the density is left out: a factor of 1e-20.
const DROP: f64 = 46.0;
/// Gauss–Legendre nodes a cell.
const NODES: usize = 5;
/// Cells at which a quadrature that has not converged is given up.
const MAX_CELLS: usize = 1 << 19;
/// Accepted change of `log Z` and of the mean log density when the cells are halved.
const TOLERANCE: f64 = 1e-10;
/// Accepted error of the interpolated cumulative distribution.
const CDF_TOLERANCE: f64 = 1e-7;

/// A density `f(x)/Z` on the real line, given by `log f`, as a table of equal cells with five
/// Gauss–Legendre nodes each.
///
/// Integrals are sums over the nodes. The cumulative distribution is exact at the cell edges and a
/// monotone cubic between them, with the density itself as its slopes; its error, measured against
/// the halved cells when the table is built, is below 1e-6.
#[derive(Debug, Clone)]
pub struct Line {
    log_z: f64,
    mean_log: f64,
    edges: Vec<f64>,
    cdf: Vec<f64>,
    /// Slopes of the cumulative distribution at both ends of each cell, in units of its secant.
    slopes: Vec<[f64; 2]>,
    points: Vec<f64>,
    mass: Vec<f64>,
}

impl Line {
    /// Tabulates the density with logarithm `log_f` (up to a constant; `−∞` is zero density).
    ///
    /// `support` is an interval outside of which the density only falls: it is widened or trimmed
    /// to where the density is `e^{−46}` of its peak, or to where it ends abruptly. `scale` is the width of the narrowest
    /// feature, for instance the smallest standard deviation of a mode; nothing narrower than it
    /// is looked for inside `support`.
    ///
    /// # Errors
    /// [`Error::Inexact`] if the density is nowhere positive, does not fall off, or is too rough
    /// for the quadrature to converge.
    pub fn tabulate(log_f: impl Fn(f64) -> f64, support: (f64, f64), scale: f64) -> Result<Self> {
        let (lo, hi, peak) = bracket(&log_f, support, scale)?;
        let mut cells = (2.0 * (hi - lo) / scale).ceil().clamp(128.0, 65_536.0) as usize;
        let mut coarse = Self::with_cells(&log_f, lo, hi, peak, cells)?;
        while cells < MAX_CELLS {
            cells *= 2;
            let fine = Self::with_cells(&log_f, lo, hi, peak, cells)?;
            let log_z = (fine.log_z - coarse.log_z).abs();
            let mean = (fine.mean_log - coarse.mean_log).abs();
            let cdf = (0..cells)
                .step_by(2)
                .map(|i| (coarse.cdf(fine.edges[i + 1]) - fine.cdf[i + 1]).abs())
                .fold(0.0, f64::max);
            // The interpolant is of fourth order, so half the cells have a 16th of this error.
            if log_z < TOLERANCE && mean < TOLERANCE && cdf < 16.0 * CDF_TOLERANCE {
                return Ok(fine);
            }
            coarse = fine;
        }
        Err(Error::inexact(
            "the one-dimensional integral",
            format!("the quadrature on [{lo}, {hi}] did not converge with {cells} cells"),
        ))
    }

    fn with_cells(
        log_f: impl Fn(f64) -> f64,
        lo: f64,
        hi: f64,
        peak: f64,
        cells: usize,
    ) -> Result<Self> {
        let rule = gauss_legendre(NODES);
        let width = (hi - lo) / cells as f64;
        let edge = |i: usize| (lo + width * i as f64).min(hi);
        let mut points = Vec::with_capacity(NODES * cells);
        let mut mass = Vec::with_capacity(NODES * cells);
        let (mut total, mut log_sum) = (0.0, 0.0);
        let mut cdf = Vec::with_capacity(cells + 1);
        cdf.push(0.0);
        for i in 0..cells {
            let mut cell = 0.0;
            for &(t, w) in &rule {
                let x = edge(i) + width * t;
                let log = log_f(x) - peak;
                let m = w * width * log.exp();
                if m > 0.0 {
                    log_sum += m * log;
                }
                cell += m;
                points.push(x);
                mass.push(m);
            }
            total += cell;
            cdf.push(total);
        }
        if !total.is_finite() || total <= 0.0 {
            return Err(Error::inexact(
                "the one-dimensional integral",
                format!("the log density is not a number somewhere on [{lo}, {hi}]"),
            ));
        }
        let edges: Vec<f64> = (0..=cells).map(edge).collect();
        let density: Vec<f64> = edges.iter().map(|&x| (log_f(x) - peak).exp()).collect();
        let slopes = (0..cells)
            .map(|i| {
                let secant = (cdf[i + 1] - cdf[i]) / width;
                // Slopes up to three secants keep a cubic monotone (Fritsch & Carlson 1980).
                let scaled = |f: f64| {
                    if secant > 0.0 {
                        (f / secant).min(3.0)
                    } else {
                        1.0
                    }
                };
                [scaled(density[i]), scaled(density[i + 1])]
            })
            .collect();
        mass.iter_mut().chain(&mut cdf).for_each(|m| *m /= total);
        let (log_z, mean_log) = (peak + total.ln(), peak + log_sum / total);
        Ok(Self {
            log_z,
            mean_log,
            edges,
            cdf,
            slopes,
            points,
            mass,
        })
    }

    /// `log ∫ f dx`.
    pub fn log_z(&self) -> f64 {
        self.log_z
    }

    /// `E[log f]`, of the unnormalised density.
    pub fn mean_log_density(&self) -> f64 {
        self.mean_log
    }

    /// Differential entropy `log Z − E[log f]` in nats.
    pub fn entropy(&self) -> f64 {
        self.log_z - self.mean_log
    }

    /// The interval on which the density is tabulated.
    pub fn interval(&self) -> (f64, f64) {
        (self.edges[0], self.edges[self.edges.len() - 1])
    }

    /// The quadrature nodes with their probabilities, which sum to 1.
    pub fn nodes(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.points.iter().copied().zip(self.mass.iter().copied())
    }

    /// `E[g(x)]`.
    pub fn expect(&self, g: impl Fn(f64) -> f64) -> f64 {
        self.nodes().map(|(x, m)| m * g(x)).sum()
    }

    /// The probability of values below `x`.
    pub fn cdf(&self, x: f64) -> f64 {
        let (lo, hi) = self.interval();
        if x.is_nan() {
            return x;
        }
        if x <= lo {
            return 0.0;
        }
        if x >= hi {
            return 1.0;
        }
        let cell = self
            .edges
            .partition_point(|&e| e <= x)
            .clamp(1, self.slopes.len())
            - 1;
        let t = (x - self.edges[cell]) / (self.edges[cell + 1] - self.edges[cell]);
        let (share, _) = cubic(t, self.slopes[cell]);
        self.cdf[cell] + share * (self.cdf[cell + 1] - self.cdf[cell])
    }

    /// The value below which a share `u ∈ [0, 1]` of the probability lies.
    pub fn quantile(&self, u: f64) -> f64 {
        let cell = self
            .cdf
            .partition_point(|&p| p <= u)
            .clamp(1, self.slopes.len())
            - 1;
        let (left, right) = (self.edges[cell], self.edges[cell + 1]);
        let probability = self.cdf[cell + 1] - self.cdf[cell];
        if probability <= 0.0 {
            return if u <= self.cdf[cell] { left } else { right };
        }
        let target = ((u - self.cdf[cell]) / probability).clamp(0.0, 1.0);
        left + (right - left) * invert(target, self.slopes[cell])
    }

    /// One sample, by inversion.
    pub fn sample(&self, rng: &mut dyn Rng) -> f64 {
        self.quantile(rng.random())
    }
}

/// The interval that holds the density, and the largest `log f` seen in it.
fn bracket(
    log_f: impl Fn(f64) -> f64,
    (mut lo, mut hi): (f64, f64),
    scale: f64,
) -> Result<(f64, f64, f64)> {
    let failed = |reason: String| Error::inexact("the one-dimensional integral", reason);
    if !(lo <= hi && scale > 0.0 && (hi - lo + scale).is_finite()) {
        return Err(failed(format!(
            "no interval [{lo}, {hi}] with features of width {scale}"
        )));
    }
    if hi - lo < scale {
        (lo, hi) = (f64::midpoint(lo, hi) - scale, f64::midpoint(lo, hi) + scale);
    }
    let steps = (2.0 * (hi - lo) / scale).ceil().clamp(64.0, 1e6) as usize;
    let at = |i: usize| lo + (hi - lo) * i as f64 / steps as f64;
    let scan: Vec<f64> = (0..=steps).map(|i| log_f(at(i))).collect();
    let peak = scan.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !peak.is_finite() {
        return Err(failed(format!(
            "the log density has no finite value on [{lo}, {hi}]"
        )));
    }
    let first = scan.iter().position(|&l| l > peak - DROP).unwrap_or(0);
    let last = scan.iter().rposition(|&l| l > peak - DROP).unwrap_or(steps);
    let walk = |start: f64, direction: f64| {
        let (mut end, mut step) = (start, direction * scale);
        while end.is_finite() && log_f(end) > peak - DROP {
            end += step;
            step *= 1.3;
        }
        end
    };
    let left = if first > 0 {
        at(first - 1)
    } else {
        walk(lo, -1.0)
    };
    let right = if last < steps {
        at(last + 1)
    } else {
        walk(hi, 1.0)
    };
    if !(left.is_finite() && right.is_finite()) {
        return Err(failed("the density does not fall off".into()));
    }
    Ok((
        inner_end(&log_f, left, at(first)),
        inner_end(&log_f, right, at(last)),
        peak,
    ))
}

/// `outer`, or where the density drops to zero between `outer` and `inner` the end of its support.
fn inner_end(log_f: impl Fn(f64) -> f64, mut outer: f64, mut inner: f64) -> f64 {
    if log_f(outer) > f64::NEG_INFINITY {
        return outer;
    }
    loop {
        let middle = f64::midpoint(outer, inner);
        if middle == outer || middle == inner {
            return inner;
        }
        if log_f(middle) > f64::NEG_INFINITY {
            inner = middle;
        } else {
            outer = middle;
        }
    }
}

/// The cubic from (0, 0) to (1, 1) with the given end slopes, and its derivative.
fn cubic(t: f64, [a, b]: [f64; 2]) -> (f64, f64) {
    let s = 1.0 - t;
    let value = t * t * (3.0 - 2.0 * t) + a * t * s * s - b * t * t * s;
    let slope = 6.0 * t * s + a * s * (1.0 - 3.0 * t) + b * t * (3.0 * t - 2.0);
    (value, slope)
}

/// Solves `cubic(t) = target`; Newton's method, bisecting where it would leave the bracket.
fn invert(target: f64, slopes: [f64; 2]) -> f64 {
    let (mut lo, mut hi, mut t) = (0.0, 1.0, target);
    for _ in 0..60 {
        let (value, slope) = cubic(t, slopes);
        let excess = value - target;
        if excess.abs() < 1e-13 {
            break;
        }
        if excess > 0.0 {
            hi = t;
        } else {
            lo = t;
        }
        let newton = t - excess / slope;
        t = if newton > lo && newton < hi {
            newton
        } else {
            f64::midpoint(lo, hi)
        };
    }
    t
}

#[cfg(test)]
mod tests;
