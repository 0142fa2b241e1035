//! Samples to train on, and their order.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};

use crate::{
    Condition,
    error::{Error, Result},
    random::{Purpose, Stream, Streams},
};

/// Samples with the conditions they were drawn at.
///
/// # Shapes
/// `x`: `[n, dim]`, `context`: `[n, m]`, row-major; one control row `[k]` for each segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    x: Vec<f32>,
    dim: usize,
    /// Rows of one condition stand together.
    segments: Vec<Segment>,
    context: Vec<f32>,
    contexts: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Segment {
    control: Vec<f32>,
    end: usize,
}

impl Dataset {
    /// Samples that were all drawn at one condition.
    ///
    /// # Errors
    /// If there are none, if `x` is no multiple of `dim`, or if a value is not finite.
    pub fn at(x: Vec<f32>, dim: usize, control: &[f64]) -> Result<Self> {
        let n = x.len().checked_div(dim).unwrap_or(0);
        if n == 0 || n * dim != x.len() {
            return Err(Error::Shape {
                what: "dataset".into(),
                expected: format!("[n ≥ 1, {dim}]"),
                found: format!("{} numbers", x.len()),
            });
        }
        if let Some(row) = x.iter().position(|v| !v.is_finite()) {
            return Err(Error::Estimate(format!(
                "dataset: row {} is not finite",
                row / dim
            )));
        }
        let control = control.iter().map(|&c| c as f32).collect();
        Ok(Self {
            x,
            dim,
            segments: vec![Segment { control, end: n }],
            context: Vec::new(),
            contexts: 0,
        })
    }

    /// The same samples, each with its context (`[n, m]`, row-major).
    ///
    /// # Errors
    /// If the number of rows differs or a value is not finite.
    pub fn with_context(mut self, context: Vec<f32>, contexts: usize) -> Result<Self> {
        if contexts == 0 || context.len() != self.len() * contexts {
            return Err(Error::Shape {
                what: "context of the dataset".into(),
                expected: format!("[{}, {contexts}]", self.len()),
                found: format!("{} numbers", context.len()),
            });
        }
        if let Some(row) = context.iter().position(|v| !v.is_finite()) {
            return Err(Error::Estimate(format!(
                "context: row {} is not finite",
                row / contexts
            )));
        }
        (self.context, self.contexts) = (context, contexts);
        Ok(self)
    }

    /// Both sets, one after the other.
    ///
    /// # Errors
    /// If the widths differ.
    pub fn joined(mut self, other: &Self) -> Result<Self> {
        let widths = |d: &Self| [d.dim, d.segments[0].control.len(), d.contexts];
        if widths(&self) != widths(other) {
            return Err(Error::Shape {
                what: "dataset to be joined (dim, controls, context)".into(),
                expected: format!("{:?}", widths(&self)),
                found: format!("{:?}", widths(other)),
            });
        }
        let start = self.len();
        self.x.extend(&other.x);
        self.segments
            .extend(other.segments.iter().map(|segment| Segment {
                control: segment.control.clone(),
                end: start + segment.end,
            }));
        self.context.extend(&other.context);
        Ok(self)
    }

    /// Every `every`-th sample on its own: the others, and those. `None` where a condition would keep no
    /// sample on one of the sides.
    pub fn held_out(&self, every: usize) -> Option<(Self, Self)> {
        let part = |held: bool| {
            let wanted = |row: &usize| (row % every.max(2) == every.max(2) - 1) == held;
            let rows: Vec<usize> = (0..self.len()).filter(wanted).collect();
            let before = |end: usize| rows.partition_point(|row| *row < end);
            let ends = self.segments.iter().map(|s| (s, before(s.end)));
            let segments: Vec<Segment> = ends
                .map(|(s, end)| Segment {
                    control: s.control.clone(),
                    end,
                })
                .collect();
            let starts = std::iter::once(0).chain(segments.iter().map(|s| s.end));
            let filled = starts.zip(&segments).all(|(start, s)| s.end > start);
            filled.then(|| Self {
                x: pick(&self.x, self.dim, &rows),
                dim: self.dim,
                context: pick(&self.context, self.contexts, &rows),
                contexts: self.contexts,
                segments,
            })
        };
        Some((part(false)?, part(true)?))
    }

    /// The numbers of all rows at a condition.
    pub fn rows_of(&self, condition: &[f64]) -> Vec<usize> {
        let same = |s: &Segment| {
            let mut pairs = s.control.iter().zip(condition);
            s.control.len() == condition.len() && pairs.all(|(a, b)| *a == *b as f32)
        };
        let starts = std::iter::once(0).chain(self.segments.iter().map(|s| s.end));
        let sets = starts.zip(&self.segments).filter(|(_, s)| same(s));
        sets.flat_map(|(start, s)| start..s.end).collect()
    }

    /// The states with these numbers, row-major.
    pub fn states_of(&self, rows: &[usize]) -> Vec<f32> {
        let states = rows
            .iter()
            .flat_map(|&i| &self.x[i * self.dim..][..self.dim]);
        states.copied().collect()
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.x.len() / self.dim
    }

    /// Whether there are none; never true for a set built by [`at`](Self::at).
    pub fn is_empty(&self) -> bool {
        self.x.is_empty()
    }

    /// The width of the context; 0 without one.
    pub fn contexts(&self) -> usize {
        self.contexts
    }

    /// The length of a state.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// All states, `[n, dim]`.
    pub(crate) fn states(&self) -> &[f32] {
        &self.x
    }

    /// All contexts, `[n, m]`.
    pub fn context(&self) -> &[f32] {
        &self.context
    }

    /// The control parameters of every row, `[n, k]`, and `k`.
    pub(crate) fn controls(&self) -> (Vec<f32>, usize) {
        let mut controls = Vec::new();
        let mut start = 0;
        for segment in &self.segments {
            controls.extend(segment.control.repeat(segment.end - start));
            start = segment.end;
        }
        (controls, self.segments[0].control.len())
    }

    /// The chosen rows, gathered on the host and sent to a device.
    pub fn rows<B: Backend>(
        &self,
        rows: &[usize],
        device: &B::Device,
    ) -> (Tensor<B, 2>, Condition<B>) {
        let x = upload(pick(&self.x, self.dim, rows), self.dim, device);
        let segment = |row| &self.segments[self.segments.partition_point(|s| s.end <= row)].control;
        let control = rows.iter().flat_map(|&row| segment(row)).copied().collect();
        let control = upload(control, self.segments[0].control.len(), device);
        (
            x,
            Condition::new(control).with_context(self.context_rows(rows, device)),
        )
    }

    /// A random row for each of the given conditions (`[n, k]`, row-major), from all samples that were
    /// drawn there, whichever set they came in.
    ///
    /// # Errors
    /// If there are no samples at one of them.
    pub fn rows_at(&self, conditions: &[f32], stream: &mut Stream) -> Result<Vec<usize>> {
        let k = self.segments[0].control.len();
        let pick = |c: &[f32]| {
            let starts = std::iter::once(0).chain(self.segments.iter().map(|s| s.end));
            let sets = starts.zip(&self.segments).filter(|(_, s)| s.control == c);
            let count: usize = sets.clone().map(|(start, s)| s.end - start).sum();
            if count == 0 {
                let reason = format!("there are no samples at the base condition {c:?}");
                return Err(Error::Estimate(reason));
            }
            let mut left = stream.index(count);
            for (start, set) in sets {
                let len = set.end - start;
                if left < len {
                    return Ok(start + left);
                }
                left -= len;
            }
            Ok(self.len() - 1)
        };
        conditions.chunks(k).map(pick).collect()
    }

    /// The contexts of the chosen rows; `None` without contexts.
    pub fn context_rows<B: Backend>(
        &self,
        rows: &[usize],
        device: &B::Device,
    ) -> Option<Tensor<B, 2>> {
        (self.contexts > 0).then(|| {
            upload(
                pick(&self.context, self.contexts, rows),
                self.contexts,
                device,
            )
        })
    }
}

fn pick(table: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter()
        .flat_map(|&r| &table[r * width..(r + 1) * width])
        .copied()
        .collect()
}

/// Rows of numbers on a device, `[len/width, width]`, in single precision.
pub fn upload<B: Backend>(values: Vec<f32>, width: usize, device: &B::Device) -> Tensor<B, 2> {
    upload_as(values, width, device, DType::F32)
}

/// [`upload`] in another precision.
pub fn upload_as<B: Backend>(
    values: Vec<f32>,
    width: usize,
    device: &B::Device,
    precision: DType,
) -> Tensor<B, 2> {
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), (device, precision))
}

/// The order in which batches run through a dataset: a new random order each epoch, which depends
/// on the seed and the epoch alone, so that two numbers are all there is to resume from.
#[derive(Clone, Debug, Default)]
pub struct DataOrder {
    drawn: usize,
    epoch: usize,
    order: Vec<usize>,
}

impl DataOrder {
    /// The next `count` row numbers of a set of `len` rows.
    pub fn next(&mut self, count: usize, len: usize, seed: u64) -> Vec<usize> {
        let mut rows = Vec::with_capacity(count);
        while rows.len() < count {
            let epoch = self.drawn / len;
            if self.order.len() != len || self.epoch != epoch {
                self.epoch = epoch;
                // Epochs of one run are streams of their own, far from those of nearby seeds.
                let key = seed ^ (epoch as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                self.order = Streams::new(key).get(Purpose::DataOrder).permutation(len);
            }
            let from = self.drawn % len;
            let take = (count - rows.len()).min(len - from);
            rows.extend(&self.order[from..from + take]);
            self.drawn += take;
        }
        rows
    }

    /// How many rows have been drawn: the state.
    pub fn drawn(&self) -> usize {
        self.drawn
    }

    /// Continues after `drawn` rows.
    pub fn restore(&mut self, drawn: usize) {
        *self = Self {
            drawn,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_holds_every_row_once_and_a_restored_order_goes_on() {
        let mut order = DataOrder::default();
        let mut first: Vec<usize> = (0..5).flat_map(|_| order.next(3, 15, 7)).collect();
        let mut resumed = DataOrder::default();
        resumed.restore(order.drawn());
        assert_eq!(order.next(20, 15, 7), resumed.next(20, 15, 7));
        first.sort_unstable();
        assert!(first.into_iter().eq(0..15));
    }

    #[test]
    fn all_sets_at_a_base_condition_count() {
        let set = |start: f32, c: f64| {
            Dataset::at((0..4).map(|i| start + i as f32).collect(), 1, &[c]).unwrap()
        };
        let data = set(0.0, 1.0).joined(&set(10.0, 2.0)).unwrap();
        let data = data.joined(&set(20.0, 1.0)).unwrap();
        let rows = data.rows_at(&[1.0; 200], &mut Stream::new(1, 0)).unwrap();
        for row in [0, 1, 2, 3, 8, 9, 10, 11] {
            // 200 draws miss one of eight rows with a probability of 3e-12.
            assert!(rows.contains(&row), "{row}");
        }
        assert!(rows.iter().all(|row| !(4..8).contains(row)));
    }

    #[test]
    fn held_out_samples_are_in_neither_both_nor_none() {
        let set = |from: u16, c: f64| {
            let x: Vec<f32> = (from..from + 10).map(f32::from).collect();
            Dataset::at(x.clone(), 1, &[c])
                .unwrap()
                .with_context(x, 1)
                .unwrap()
        };
        let data = set(0, 1.0).joined(&set(10, 2.0)).unwrap();
        let (rest, held) = data.held_out(4).unwrap();
        assert_eq!(held.x, [3.0, 7.0, 11.0, 15.0, 19.0]);
        assert_eq!((rest.len(), held.context.clone()), (15, held.x.clone()));
        assert_eq!(held.rows_of(&[2.0]), [2, 3, 4]);
        assert_eq!(rest.rows_of(&[1.0]).len(), 8);
        assert!(rest.rows_of(&[3.0]).is_empty());
        assert!(data.held_out(15).is_none());
    }

    #[test]
    fn rows_of_the_wrong_width_and_nan_are_refused() {
        assert!(Dataset::at(vec![0.0; 5], 2, &[1.0]).is_err());
        assert!(Dataset::at(vec![0.0, f32::NAN], 2, &[1.0]).is_err());
        let one = Dataset::at(vec![0.0; 4], 2, &[1.0]).unwrap();
        assert!(one.clone().with_context(vec![0.0; 3], 1).is_err());
        assert_eq!(one.clone().joined(&one).unwrap().len(), 4);
    }
}
