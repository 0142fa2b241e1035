//! What is to be known of one column.

/// Interquartile ranges from the median beyond which a number is an outlier.
const FAR: f64 = 1e3;
/// Steps of single precision within a deviation below which its rounding is seen.
const STEPS: f64 = 100.0;
/// A number that one in so many rows has is no accident.
const MASSIVE: usize = 100;

/// What is known of a column.
pub(super) struct Column {
    pub(super) rows: usize,
    pub(super) least: f64,
    pub(super) largest: f64,
    /// The median.
    pub(super) middle: f64,
    /// The interquartile range.
    pub(super) range: f64,
    /// The standard deviation.
    pub(super) spread: f64,
    /// The row farthest from the median, and its number.
    pub(super) farthest: usize,
    pub(super) extreme: f64,
    /// The rows that differ from the median.
    pub(super) elsewhere: usize,
    /// The number that most rows have, and how many.
    pub(super) commonest: (f64, usize),
    /// How many numbers there are without repetition.
    pub(super) distinct: usize,
    pub(super) whole: bool,
}

impl Column {
    pub(super) fn of(x: &[f64], dim: usize, k: usize) -> Self {
        let values = || x[k..].iter().step_by(dim).copied();
        let mut sorted: Vec<f64> = values().collect();
        let rows = sorted.len();
        let quantile = |sorted: &mut [f64], quarter: usize| {
            let at = (rows - 1) * quarter / 4;
            *sorted.select_nth_unstable_by(at, f64::total_cmp).1
        };
        let [low, middle, high] = [1, 2, 3].map(|quarter| quantile(&mut sorted, quarter));
        sorted.sort_unstable_by(f64::total_cmp);
        let alike = || sorted.chunk_by(|a, b| a == b);
        let distinct = alike().count();
        let commonest = alike().max_by_key(|chunk| chunk.len());
        let commonest = commonest.map_or((middle, 0), |chunk| (chunk[0], chunk.len()));
        let (farthest, extreme) = values().enumerate().fold((0, middle), |far, (row, value)| {
            if (value - middle).abs() > (far.1 - middle).abs() {
                (row, value)
            } else {
                far
            }
        });
        // Scaled by the largest distance, so that squares neither vanish nor overflow.
        let scale = (extreme - middle).abs();
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let share = |value: f64| (value - middle) / scale;
        let mean = values().map(share).sum::<f64>() / rows as f64;
        let variance = values().map(|v| (share(v) - mean).powi(2)).sum::<f64>() / rows as f64;
        Self {
            rows,
            least: values().fold(f64::INFINITY, f64::min),
            largest: values().fold(f64::NEG_INFINITY, f64::max),
            middle,
            range: high - low,
            spread: scale * variance.sqrt(),
            farthest,
            extreme,
            elsewhere: values().filter(|&value| value != middle).count(),
            commonest,
            distinct,
            whole: values().all(|value| value.fract() == 0.0),
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        self.least == self.largest
    }

    pub(super) fn is_spiked(&self) -> bool {
        !self.is_constant() && 100 * self.elsewhere <= self.rows
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole && !self.is_constant() && !self.is_spiked()
    }

    /// Whether one number has a probability of its own, as what was cut off at a bound has.
    pub(super) fn is_massive(&self) -> bool {
        let (_, count) = self.commonest;
        let apart = !self.is_constant() && !self.is_spiked() && !self.is_whole();
        // Numbers that are all rounded alike have no such one among them.
        let continuous = 4 * self.distinct >= self.rows - count;
        apart && continuous && count >= 20 && count * MASSIVE >= self.rows
    }

    pub(super) fn is_outlier(&self, value: f64) -> bool {
        self.range > 0.0 && (value - self.middle).abs() > FAR * self.range
    }

    pub(super) fn has_outlier(&self) -> bool {
        self.is_outlier(self.extreme)
    }

    /// The deviation of most rows: 1.349 of it are the interquartile range of a normal.
    pub(super) fn deviation(&self) -> f64 {
        if self.range > 0.0 {
            self.range / 1.349
        } else {
            self.spread
        }
    }

    /// The steps of single precision in a deviation.
    pub(super) fn steps(&self) -> f64 {
        self.deviation() / (self.middle.abs() * f64::from(f32::EPSILON))
    }

    pub(super) fn is_coarse(&self) -> bool {
        !self.is_constant() && self.steps() < STEPS
    }
}
