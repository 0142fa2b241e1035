//! Losses of single elements.

use burn::tensor::{Tensor, backend::Backend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The penalty `ℓ(r)` on a residual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Robust {
    /// `r²`.
    Squared,
    /// `|r|`.
    Absolute,
    /// `r²/2` for `|r| < δ`, else `δ(|r| − δ/2)`.
    Huber(f64),
    /// The same divided by `δ`.
    SmoothL1(f64),
}

impl Robust {
    /// `ℓ(r)` of each element.
    pub fn apply<B: Backend>(self, residual: Tensor<B, 1>) -> Tensor<B, 1> {
        match self {
            Self::Squared => residual.square(),
            Self::Absolute => residual.abs(),
            Self::Huber(delta) => huber(residual.abs(), delta),
            Self::SmoothL1(delta) => huber(residual.abs(), delta).div_scalar(delta),
        }
    }
}

/// `m(a − m/2)` with `m = min(a, δ)`: both branches in one, with the right gradient in each.
fn huber<B: Backend>(a: Tensor<B, 1>, delta: f64) -> Tensor<B, 1> {
    let m = a.clone().clamp_max(delta);
    m.clone() * (a - m.mul_scalar(0.5))
}

/// Limits on the loss of a single element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Clip {
    /// No element counts more than this; NaN counts as this.
    pub clip: Option<f64>,
    /// Above this, `log(1 + ℓ − log_clip) + log_clip`.
    pub log_clip: Option<f64>,
}

impl Clip {
    /// Clips each element and counts, all on the device. Without a `clip`, elements that are not
    /// finite are left out of the mean.
    pub fn apply<B: Backend>(self, loss: Tensor<B, 1>) -> Clipped<B> {
        let bad = loss.clone().is_finite().bool_not();
        let non_finite = count(bad.clone(), &loss);
        // The fill keeps the branch finite; its gradient is zero.
        let mut loss = loss.mask_fill(bad, self.clip.unwrap_or(0.0));
        let mut clipped = non_finite.zeros_like();
        if let Some(limit) = self.log_clip {
            let above = loss.clone().greater_elem(limit);
            clipped = clipped + count(above.clone(), &loss);
            let excess = loss.clone().sub_scalar(limit).clamp_min(0.0);
            loss = loss.mask_where(above, excess.log1p().add_scalar(limit));
        }
        if let Some(limit) = self.clip {
            clipped = clipped + count(loss.clone().greater_elem(limit), &loss);
            loss = loss.clamp_max(limit);
        }
        let left_out = if self.clip.is_none() {
            non_finite.clone()
        } else {
            non_finite.zeros_like()
        };
        Clipped {
            loss,
            left_out,
            clipped,
            non_finite,
        }
    }
}

/// See [`Clip::apply`].
#[allow(clippy::struct_field_names)] // the count is of what the struct is named for
pub struct Clipped<B: Backend> {
    loss: Tensor<B, 1>,
    left_out: Tensor<B, 1>,
    /// How many elements were clipped, `[1]`.
    pub clipped: Tensor<B, 1>,
    /// How many elements were not finite, `[1]`.
    pub non_finite: Tensor<B, 1>,
}

impl<B: Backend> Clipped<B> {
    /// Leaves `count` more elements, `[1]`, out of the mean, whose loss was set to 0.
    #[must_use]
    pub(super) fn without(mut self, count: Tensor<B, 1>) -> Self {
        self.left_out = self.left_out + count.clone();
        self.non_finite = self.non_finite + count;
        self
    }

    /// The mean over the elements that count, `[1]`; NaN if none does, so that the trainer sees a
    /// step without a loss.
    pub fn mean(self) -> Tensor<B, 1> {
        let n = self.loss.dims()[0];
        self.loss.sum() / self.left_out.neg().add_scalar(n as f64)
    }
}

/// How many entries of a mask are set, `[1]`, as a number of the same precision as `like`: on the
/// device, where a count that the host reads would wait for all work that was asked for before.
pub(super) fn count<B: Backend>(
    mask: Tensor<B, 1, burn::tensor::Bool>,
    like: &Tensor<B, 1>,
) -> Tensor<B, 1> {
    mask.float().cast(like.dtype()).sum()
}

#[cfg(test)]
mod tests {
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    fn apply(robust: Robust, values: [f32; 4]) -> Vec<f32> {
        let r = Tensor::<Flex, 1>::from_floats(values, &FlexDevice);
        robust.apply(r).into_data().to_vec().unwrap()
    }

    #[test]
    fn penalties_have_their_textbook_values() {
        let r = [-3.0, -0.5, 0.25, 2.0];
        assert_eq!(apply(Robust::Squared, r), [9.0, 0.25, 0.0625, 4.0]);
        assert_eq!(apply(Robust::Absolute, r), [3.0, 0.5, 0.25, 2.0]);
        assert_eq!(apply(Robust::Huber(1.0), r), [2.5, 0.125, 0.03125, 1.5]);
        assert_eq!(
            apply(Robust::SmoothL1(0.5), [-3.0, 0.25, 0.0, 1.0]),
            [2.75, 0.0625, 0.0, 0.75]
        );
    }

    #[test]
    fn clips_count_and_nan_counts_as_the_clip() {
        let loss = Tensor::<Flex, 1>::from_floats([1.0, 20.0, f32::NAN, 1e9], &FlexDevice);
        let clipped = Clip {
            clip: Some(100.0),
            log_clip: Some(10.0),
        }
        .apply(loss.clone());
        let counts = [clipped.clipped.clone(), clipped.non_finite.clone()];
        assert_eq!(counts.map(Tensor::into_scalar), [3.0, 1.0]);
        let mean: f32 = clipped.mean().into_scalar();
        let expected =
            (1.0 + (11.0_f64.ln() + 10.0) + (91.0_f64.ln() + 10.0) + ((1e9 - 9.0_f64).ln() + 10.0))
                / 4.0;
        assert!(
            (f64::from(mean) - expected).abs() < 1e-4,
            "{mean} {expected}"
        );
        let left_out = Clip::default().apply(loss.slice(0..3));
        assert!((left_out.mean().into_scalar() - 10.5).abs() < 1e-6);
    }
}
