//! Location, scale and correlations of states at each of several conditions.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::layer::whiten::groups;

/// Values beyond so many half widths of the central 68 % about the median count as these, lest heavy tails have no
/// moments.
pub(super) const FAR: f64 = 4.0;
/// Fewer states at a condition say nothing there.
const LEAST_ROWS: usize = 50;
/// The correlation from which on two entries are turned together.
const LINKED: f64 = 0.2;
/// The least part of an entry's variance that others may leave of it; single precision resolves no less.
const FLOOR: f64 = 1e-10;

/// States at one condition.
pub(super) struct Station {
    /// The condition, after its preprocessing.
    pub(super) place: f64,
    /// Row-major `[n, d]`.
    pub(super) states: Vec<f64>,
}

impl Station {
    /// The stations of states `[n, d]` with the place of each, in increasing order.
    pub(super) fn of(states: &[f64], places: &[f64], d: usize) -> Vec<Self> {
        let mut order: Vec<usize> = (0..places.len())
            .filter(|&i| states[i * d..][..d].iter().all(|x| x.is_finite()))
            .collect();
        order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
        order
            .chunk_by(|&a, &b| places[a] == places[b])
            .map(|rows| Self {
                place: places[rows[0]],
                states: (rows.iter())
                    .flat_map(|&i| &states[i * d..][..d])
                    .copied()
                    .collect(),
            })
            .collect()
    }

    /// One of two parts of the states; equal states, such as a particle that was chosen twice, are in one part.
    pub(super) fn half(&self, second: bool, d: usize) -> Self {
        let in_half = |row: &&[f64]| {
            let mut hash = DefaultHasher::new();
            row.iter().for_each(|x| x.to_bits().hash(&mut hash));
            hash.finish().is_multiple_of(2) == second
        };
        Self {
            place: self.place,
            states: (self.states.chunks(d))
                .filter(in_half)
                .flatten()
                .copied()
                .collect(),
        }
    }
}

/// What brings the states at one condition to mean 0, deviation 1 and no correlation.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) place: f64,
    /// The negative logarithm of the deviation that the entries before leave to each, their location, and a strictly
    /// lower triangular matrix, row-major `[d, d]`.
    pub(super) values: Vec<f64>,
    /// The weight of each of these numbers: the inverse square of a change of it that is a deviation of the state.
    pub(super) weights: Vec<f64>,
}

/// The moments at each station; none where the states are too few or an entry does not vary. Without `turned`, entries
/// are taken one by one.
pub(super) fn along(stations: &[Station], d: usize, turned: bool) -> Vec<Moments> {
    let found = stations.iter().filter_map(|station| spread(station, d));
    let mut spreads: Vec<Spread> = found.collect();
    // The same entries are turned everywhere, so that nothing jumps along the condition.
    let linked = |i: usize, j: usize| {
        let correlated = |s: &Spread| {
            let of = |i: usize, j: usize| s.covariance[i * d + j];
            of(i, j).abs() > LINKED * (of(i, i) * of(j, j)).sqrt()
        };
        turned && spreads.iter().any(correlated)
    };
    let mut group = vec![0; d];
    for (number, entries) in groups(d, linked).into_iter().enumerate() {
        for i in entries {
            group[i] = number;
        }
    }
    for spread in &mut spreads {
        for (at, c) in spread.covariance.iter_mut().enumerate() {
            if group[at / d] != group[at % d] {
                *c = 0.0;
            }
        }
    }
    spreads.iter().map(|spread| spread.moments(d)).collect()
}

/// Location and covariance at one condition.
struct Spread {
    place: f64,
    location: Vec<f64>,
    covariance: Vec<f64>,
}

impl Spread {
    fn moments(&self, d: usize) -> Moments {
        let (log_scale, lower) = whitening(&self.covariance, d);
        let variance = |i: usize| self.covariance[i * d + i];
        let of_location = (0..d).map(|i| 1.0 / variance(i));
        let of_lower = (0..d * d).map(|at| (2.0 * log_scale[at / d]).exp() * variance(at % d));
        Moments {
            place: self.place,
            weights: vec![1.0; d]
                .into_iter()
                .chain(of_location)
                .chain(of_lower)
                .collect(),
            values: [&log_scale[..], &self.location, &lower].concat(),
        }
    }
}

fn spread(station: &Station, d: usize) -> Option<Spread> {
    let n = station.states.len() / d;
    if n < LEAST_ROWS {
        return None;
    }
    let mut columns = Vec::with_capacity(d);
    let mut location = Vec::with_capacity(d);
    for j in 0..d {
        let mut column: Vec<f64> = station.states.iter().skip(j).step_by(d).copied().collect();
        let mut sorted = column.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |p: f64| sorted[((n - 1) as f64 * p).round() as usize];
        let (median, half) = (quantile(0.5), 0.5 * (quantile(0.8413) - quantile(0.1587)));
        if half.is_nan() || half <= 0.0 {
            return None;
        }
        for x in &mut column {
            *x = x.clamp(median - FAR * half, median + FAR * half);
        }
        let mean = column.iter().sum::<f64>() / n as f64;
        for x in &mut column {
            *x -= mean;
        }
        location.push(mean);
        columns.push(column);
    }
    let mut covariance = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let products = columns[i].iter().zip(&columns[j]).map(|(x, y)| x * y);
            let c = products.sum::<f64>() / n as f64;
            (covariance[i * d + j], covariance[j * d + i]) = (c, c);
        }
    }
    Some(Spread {
        place: station.place,
        location,
        covariance,
    })
}

/// `s` and the strictly lower `N` with `e^s (1 + N)` whitening the covariance `C`: with `C = L D Lᵀ` they are
/// `−½ log D` and `L⁻¹ − 1`.
fn whitening(covariance: &[f64], d: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut l, mut inverse) = (vec![0.0; d * d], vec![0.0; d * d]);
    let mut variance = vec![0.0; d];
    for i in 0..d {
        let mut rest = covariance[i * d + i];
        for j in 0..i {
            let sum: f64 = (0..j)
                .map(|k| l[i * d + k] * l[j * d + k] * variance[k])
                .sum();
            let of = (covariance[i * d + j] - sum) / variance[j];
            l[i * d + j] = of;
            rest -= of * of * variance[j];
        }
        variance[i] = rest.max(FLOOR * covariance[i * d + i]);
        for j in 0..i {
            let sum: f64 = (j + 1..i).map(|k| l[i * d + k] * inverse[k * d + j]).sum();
            inverse[i * d + j] = -l[i * d + j] - sum;
        }
    }
    let log_scale = variance.iter().map(|v| -0.5 * v.ln()).collect();
    (log_scale, inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_covariance_is_whitened() {
        let c = [4.0, 1.0, 0.2, 1.0, 2.0, -0.3, 0.2, -0.3, 0.2];
        let (s, mut w) = whitening(&c, 3);
        for i in 0..3 {
            w[i * 3 + i] = 1.0;
            for j in 0..=i {
                w[i * 3 + j] *= s[i].exp();
            }
        }
        for i in 0..3 {
            for j in 0..3 {
                let pairs = (0..9).map(|at| (at / 3, at % 3));
                let sum: f64 = pairs
                    .map(|(k, l)| w[i * 3 + k] * c[k * 3 + l] * w[j * 3 + l])
                    .sum();
                let unit = f64::from(u8::from(i == j));
                assert!((sum - unit).abs() < 1e-12, "{i} {j} {sum}");
            }
        }
    }
}
