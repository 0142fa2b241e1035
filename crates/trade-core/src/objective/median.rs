//! Medians of groups of rows.

use burn::tensor::{Tensor, backend::Backend};

use super::trade::host;
use crate::dataset::upload_as;

/// The median of each group of `group` rows, `[n / group]`: of the finite rows that count, a constant; 0 for a
/// group without any. It is found on the host, since sorting is wrong on `wgpu` (Burn 0.21).
pub(super) fn medians<B: Backend>(
    rows: Tensor<B, 1>,
    counts: Tensor<B, 1>,
    group: usize,
) -> Tensor<B, 1> {
    let (device, dtype) = (rows.device(), rows.dtype());
    let (values, counts) = (host(rows), host(counts));
    let medians = values
        .chunks(group)
        .zip(counts.chunks(group))
        .map(|(values, counts)| {
            let counted = values
                .iter()
                .zip(counts)
                .filter(|(v, c)| **c > 0.0 && v.is_finite());
            let mut sorted: Vec<f64> = counted.map(|(v, _)| *v).collect();
            sorted.sort_by(f64::total_cmp);
            let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
            match sorted.len() {
                0 => 0.0,
                _ => (0.5 * (sorted[low] + sorted[high])) as f32,
            }
        });
    let column: Tensor<B, 2> = upload_as(medians.collect(), 1, &device, dtype);
    column.squeeze_dim::<1>(1)
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    #[test]
    fn a_median_is_that_of_the_rows_of_a_group_that_count() {
        let of = |values: &[f32], counts: &[f32], group: usize| -> Vec<f32> {
            let tensor = |of| Tensor::<Flex, 1>::from_floats(of, &FlexDevice);
            let found = medians(tensor(values), tensor(counts), group);
            found.into_data().to_vec().unwrap()
        };
        let values = [5.0, 0.0, 9.0, 0.0, 7.0];
        assert_eq!(of(&values, &[1.0, 0.0, 1.0, 0.0, 1.0], 5), [7.0]);
        assert_eq!(of(&values, &[1.0; 5], 5), [5.0]);
        assert_eq!(of(&values[..4], &[1.0; 4], 4), [2.5]);
        assert_eq!(of(&[-3.0, f32::NAN], &[1.0; 2], 2), [-3.0]);
        assert_eq!(of(&[4.0], &[0.0], 1), [0.0]);
        let two = [5.0, 0.0, 9.0, 1.0, 2.0, 3.0];
        assert_eq!(of(&two, &[1.0, 0.0, 1.0, 1.0, 1.0, 1.0], 3), [7.0, 2.0]);
    }
}
