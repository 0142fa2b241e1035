//! How smooth the moments are along the condition: as smooth as states that they were not taken from want them.

use super::{
    curve::Curve,
    moments::{FAR, Moments, Station, along},
};

/// States of a station by which curves are judged.
const JUDGED: usize = 400;
/// From which factor of narrowing on, as a logarithm, layers that are trained cannot follow in time. Up to there they do
/// as well as these curves, and better where a distribution is far from normal.
const NARROW: f64 = 4.0;

/// Moments as curves of the condition.
pub(super) struct Curves {
    curve: Curve,
    /// The coefficients of each number.
    coefficients: Vec<Vec<f64>>,
}

impl Curves {
    /// Curves of a number of knots through moments at stations.
    fn fitted(moments: &[Moments], knots: usize) -> Self {
        let curve = Curve::new(knots);
        let places: Vec<f64> = moments.iter().map(|m| m.place).collect();
        let width = moments.first().map_or(0, |m| m.values.len());
        let column = |k: usize| {
            let values: Vec<f64> = moments.iter().map(|m| m.values[k]).collect();
            let weights: Vec<f64> = moments.iter().map(|m| m.weights[k]).collect();
            curve.fitted(&places, &values, &weights)
        };
        Self {
            curve,
            coefficients: (0..width).map(column).collect(),
        }
    }

    /// The numbers at a place.
    pub(super) fn at(&self, place: f64) -> Vec<f64> {
        let value = |c: &Vec<f64>| self.curve.value(c, place);
        self.coefficients.iter().map(value).collect()
    }

    /// The mean log density, but for a constant, of states that are normal after whitening by these curves.
    fn score(&self, stations: &[Station], d: usize) -> f64 {
        let (mut sum, mut count) = (0.0, 0);
        for station in stations {
            let numbers = self.at(station.place);
            let (log_scale, rest) = numbers.split_at(d);
            let (location, lower) = rest.split_at(d);
            let volume: f64 = log_scale.iter().sum();
            for row in station.states.chunks(d).take(JUDGED) {
                let y: Vec<f64> = row.iter().zip(location).map(|(x, m)| x - m).collect();
                let square = (0..d).map(|i| {
                    let mixed = lower[i * d..][..i].iter().zip(&y).map(|(n, y)| n * y);
                    let z = (y[i] + mixed.sum::<f64>()) * log_scale[i].exp();
                    z.clamp(-FAR, FAR).powi(2)
                });
                sum += volume - 0.5 * square.sum::<f64>();
                count += 1;
            }
        }
        sum / f64::from(count.max(1))
    }
}

/// The curves through the moments of stations that describe other states best: those of one half are judged by the other.
/// None where no curves are better than none at all, or where no entry narrows [`NARROW`]ly.
pub(super) fn chosen(stations: &[Station], d: usize, most: usize) -> Option<Curves> {
    let halves = [false, true].map(|second| {
        let half = stations.iter().map(|station| station.half(second, d));
        half.collect::<Vec<_>>()
    });
    let identity = Curves {
        curve: Curve::new(2),
        coefficients: vec![vec![0.0; 4]; d * (d + 2)],
    };
    let score = |of: [&Curves; 2]| of[0].score(&halves[1], d) + of[1].score(&halves[0], d);
    let mut best = (score([&identity; 2]), None);
    for turned in [false, true] {
        let moments = halves.each_ref().map(|half| along(half, d, turned));
        let least = moments.iter().map(Vec::len).min().unwrap_or(0);
        for knots in sizes(most).filter(|&knots| knots + 2 <= least) {
            let curves = moments.each_ref().map(|m| Curves::fitted(m, knots));
            let found = score([&curves[0], &curves[1]]);
            if found > best.0 {
                best = (found, Some((turned, knots)));
            }
        }
    }
    let (turned, knots) = best.1?;
    let moments = along(stations, d, turned);
    let log_scales = moments.iter().flat_map(|m| &m.values[..d]);
    let narrows = log_scales.fold(f64::NEG_INFINITY, |most, s| most.max(*s)) > NARROW;
    narrows.then(|| Curves::fitted(&moments, knots))
}

/// The numbers of knots up to the most whose curves are curves of the most, too.
fn sizes(most: usize) -> impl Iterator<Item = usize> {
    let intervals = most - 1;
    let divides = move |of: &usize| intervals.is_multiple_of(*of);
    (1..=intervals).filter(divides).map(|of| of + 1)
}
