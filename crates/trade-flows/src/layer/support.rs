//! From bounded quantities to real numbers.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use burn::{
    module::Module,
    tensor::{Bool, Tensor, backend::Backend},
};
pub use trade_core::Support;
use trade_core::{Dual, Result, random::Stream};

#[cfg(doc)]
use super::GroupCoupling;
use super::{Recipe, Widths, torus::turned};
use crate::{
    FlowBackend, check,
    transform::{Features, Transform},
};

/// The closest that the share of an interval may come to its ends: single precision resolves no
/// more there.
const MARGIN: f64 = 1e-6;

/// Coefficients of [`normal_quantile`] by `0.425² − (p − ½)²`.
const CENTRAL: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_854e3,
    ],
];
/// Coefficients by `√(−log p) − 1.6`.
const TAIL: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
/// Coefficients by `√(−log p) − 5`.
const FAR_TAIL: [[f64; 8]; 2] = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

/// To the reals, and the log determinant; both `[n, 1]`.
fn forward<B: FlowBackend>(support: Support, x: Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>) {
    match support {
        Support::Real => {
            let [n, _] = x.dims();
            let zeros = x.zeros([n, 1]);
            (x, zeros)
        }
        Support::Angle => {
            let [n, _] = x.dims();
            let log_det = x.zeros([n, 1]).add_scalar(-TAU.ln());
            (turned(x.mul_scalar(1.0 / TAU).add_scalar(0.5)), log_det)
        }
        Support::Positive => {
            let outside = x.value.clone().lower_elem(0.0);
            let z = x.clamp(f64::from(f32::MIN_POSITIVE), f64::MAX).log();
            (z.clone(), nowhere(-z, outside))
        }
        Support::Interval { low, high } => {
            let width = high - low;
            let below = x.value.clone().lower_elem(low);
            let outside = below.bool_or(x.value.clone().greater_elem(high));
            let share = x.add_scalar(-low).mul_scalar(1.0 / width);
            let z = normal_quantile(share.clamp(MARGIN, 1.0 - MARGIN));
            let log_det = log_normal(z.clone()).mul_scalar(-1.0);
            (z, nowhere(log_det.add_scalar(-width.ln()), outside))
        }
    }
}

/// From the reals.
fn inverse<B: FlowBackend>(support: Support, z: Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>) {
    match support {
        Support::Real => {
            let [n, _] = z.dims();
            let zeros = z.zeros([n, 1]);
            (z, zeros)
        }
        Support::Angle => {
            let [n, _] = z.dims();
            let log_det = z.zeros([n, 1]).add_scalar(TAU.ln());
            (z.add_scalar(-0.5).mul_scalar(TAU), log_det)
        }
        Support::Positive => (z.clone().exp(), z),
        Support::Interval { low, high } => {
            let width = high - low;
            let log_det = log_normal(z.clone()).add_scalar(width.ln());
            // Far from the origin a number next to an end is rounded onto it.
            let inside = (above(low), -above(-high));
            let x = normal_share(z).mul_scalar(width).add_scalar(low);
            (x.clamp(inside.0, inside.1), log_det)
        }
    }
}

/// `log φ(z)` of the standard normal density.
fn log_normal<B: Backend>(z: Dual<B, 2>) -> Dual<B, 2> {
    z.square().add_scalar(TAU.ln()).mul_scalar(-0.5)
}

/// `Φ(z)` of the standard normal distribution.
fn normal_share<B: Backend>(z: Dual<B, 2>) -> Dual<B, 2> {
    let density = log_normal(Dual::constant(z.value.clone())).value.exp();
    Dual {
        value: z
            .value
            .mul_scalar(FRAC_1_SQRT_2)
            .erf()
            .add_scalar(1.0)
            .mul_scalar(0.5),
        tangent: z.tangent.map(|t| t * density),
    }
}

/// The inverse of [`normal_share`], for shares in `(0, 1)`: the rational approximations of Wichura
/// (algorithm AS 241, `PPND16`), which hold to double precision. Derivatives are `1/φ(z)` and not
/// those of the approximation.
fn normal_quantile<B: Backend>(share: Dual<B, 2>) -> Dual<B, 2> {
    let constant = share.value.clone().detach();
    let middle = constant.clone().sub_scalar(0.5);
    let central = {
        let r = middle
            .clone()
            .square()
            .neg()
            .add_scalar(0.180_625)
            .clamp_min(0.0);
        middle.clone() * ratio(r, &CENTRAL)
    };
    let smaller = constant.clone().min_pair(constant.neg().add_scalar(1.0));
    let r = smaller.log().neg().sqrt();
    let far = r.clone().greater_elem(5.0);
    let tail = ratio(r.clone().sub_scalar(1.6), &TAIL);
    let tail = tail.mask_where(far, ratio(r.sub_scalar(5.0), &FAR_TAIL)) * middle.clone().sign();
    let near = middle.abs().lower_equal_elem(0.425);
    let z = tail.mask_where(near, central);
    let slope = log_normal(Dual::constant(z.clone())).value.neg().exp();
    // The value is z, and its derivative that of the share times the slope.
    let moved = share.value.clone() - share.value.detach();
    Dual {
        value: z + moved * slope.clone(),
        tangent: share.tangent.map(|t| t * slope),
    }
}

/// A ratio of two polynomials, coefficients from the constant on.
fn ratio<B: Backend>(r: Tensor<B, 2>, [above, below]: &[[f64; 8]; 2]) -> Tensor<B, 2> {
    let polynomial = |coefficients: &[f64; 8]| {
        let zeros = r.zeros_like();
        (coefficients.iter().rev()).fold(zeros, |sum, c| (sum * r.clone()).add_scalar(*c))
    };
    polynomial(above) / polynomial(below)
}

/// The log determinant, with a density of zero at some rows.
fn nowhere<B: FlowBackend>(log_det: Dual<B, 2>, outside: Tensor<B, 2, Bool>) -> Dual<B, 2> {
    Dual {
        value: log_det.value.mask_fill(outside.clone(), f64::NEG_INFINITY),
        tangent: log_det.tangent.map(|t| t.mask_fill(outside, 0.0)),
    }
}

/// The smallest number of single precision above a bound.
fn above(bound: f64) -> f64 {
    let single = bound as f32;
    let next = if f64::from(single) > bound {
        single
    } else {
        single.next_up()
    };
    f64::from(next)
}

impl Recipe for Vec<Support> {
    type Layer<B: Backend> = Supports;

    fn validate(&self, widths: Widths, field: &str) -> Result<()> {
        let (dim, found) = (widths.dim, self.len());
        let reason = format!("needs one support for each of {dim} entries, found {found}");
        check::require(found == dim, field, "", reason)?;
        for (i, support) in self.iter().enumerate() {
            if let Support::Interval { low, high } = support {
                let field = format!("{field}[{i}].interval");
                check::finite(*low, &field, "low")?;
                check::finite(*high, &field, "high")?;
                let reason = format!("must be above `low`, {low}, and is {high}");
                check::require(low < high, &field, "high", reason)?;
            }
        }
        Ok(())
    }

    fn init<B: Backend>(&self, _: Widths, _: &B::Device, _: &mut Stream) -> Supports {
        Supports::new(self.clone())
    }
}

/// Takes each entry of the state from its [`Support`] to the reals: as it is, by `log x`, or by the
/// quantile `Φ⁻¹(u)` of the standard normal distribution at the share `u` of the interval, which
/// makes a uniform density normal: one that is finite at the ends has the tails that the flow's base
/// has. An angle goes to its share of a turn, `[0, 1)`, which is for a [`GroupCoupling`] with a base
/// [`Torus`](crate::Base::Torus). What the flow samples then never leaves the supports. Nothing is learned. Shares nearer than
/// `1e−6` to an end are taken for that.
#[derive(Module, Debug, Clone)]
pub struct Supports {
    #[module(skip)]
    supports: Vec<Support>,
}

impl Supports {
    pub(crate) fn new(supports: Vec<Support>) -> Self {
        Self { supports }
    }

    fn each<B: FlowBackend>(
        &self,
        x: Dual<B, 2>,
        map: impl Fn(Support, Dual<B, 2>) -> (Dual<B, 2>, Dual<B, 2>),
    ) -> (Dual<B, 2>, Dual<B, 1>) {
        let (columns, log_dets): (Vec<_>, Vec<_>) = self
            .supports
            .iter()
            .enumerate()
            .map(|(i, support)| map(*support, x.clone().slice_dim(1, i..i + 1)))
            .unzip();
        (Dual::cat(columns, 1), Dual::cat(log_dets, 1).sum_columns())
    }
}

impl<B: FlowBackend> Transform<B> for Supports {
    fn forward(&self, x: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.each(x, forward)
    }

    fn inverse(&self, z: Dual<B, 2>, _: &Features<B>) -> (Dual<B, 2>, Dual<B, 1>) {
        self.each(z, inverse)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Tensor, TensorData};
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    fn column(values: &[f64]) -> Tensor<Flex, 2> {
        let data = TensorData::new(values.to_vec(), [values.len(), 1]);
        Tensor::from_data(data, (&FlexDevice, DType::F64))
    }

    fn host(tensor: Tensor<Flex, 2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    #[test]
    fn supports_map_there_and_back_with_their_derivatives() {
        let interval = Support::Interval {
            low: -1.5,
            high: 2.0,
        };
        for (support, x) in [
            (Support::Real, [-3.0, 0.1, 7.0]),
            (Support::Positive, [1e-3, 0.4, 30.0]),
            (interval, [-1.49, 0.3, 1.9]),
        ] {
            let h = 1e-6;
            let ones = column(&[1.0; 3]);
            let dual = Dual::new(column(&x), ones);
            let (z, log_det) = forward(support, dual);
            let at = |step: f64| {
                let moved = x.map(|x| x + step * x.abs().min(0.01));
                host(forward(support, Dual::constant(column(&moved))).0.value)
            };
            let (up, down) = (at(h), at(-h));
            let tangent = host(z.tangent_or_zeros());
            for (i, (x, log_det)) in x.iter().zip(host(log_det.value.clone())).enumerate() {
                let slope = (up[i] - down[i]) / (2.0 * h * x.abs().min(0.01));
                assert!((slope / tangent[i] - 1.0).abs() < 1e-6, "{support:?} {x}");
                assert!((slope.ln() - log_det).abs() < 1e-6, "{support:?} {x}");
            }
            let (back, inverse) = inverse(support, Dual::constant(z.value));
            let total = host(log_det.value + inverse.value);
            assert!(total.iter().all(|t| t.abs() < 1e-9), "{support:?}");
            for (x, back) in x.iter().zip(host(back.value)) {
                assert!((x - back).abs() < 1e-9 * (1.0 + x.abs()), "{support:?} {x}");
            }
        }
    }

    #[test]
    fn what_lies_at_the_ends_stays_finite() {
        let interval = Support::Interval {
            low: 0.0,
            high: 1.0,
        };
        let (z, log_det) = forward(interval, Dual::constant(column(&[0.0, 1.0])));
        assert!(
            host(z.value)
                .into_iter()
                .chain(host(log_det.value))
                .all(f64::is_finite)
        );
        let (x, _) = inverse(interval, Dual::constant(column(&[-1e4, 1e4])));
        assert!(host(x.value).into_iter().all(|x| x > 0.0 && x < 1.0));
    }

    #[test]
    fn there_is_no_density_outside_and_no_sample_on_an_end() {
        let interval = |low, high| Support::Interval { low, high };
        for (support, x) in [
            (interval(-1.0, 2.0), [-1.001, 2.001, 1e30]),
            (Support::Positive, [-1e-30, -1.0, f64::MIN]),
        ] {
            let (_, log_det) = forward(support, Dual::constant(column(&x)));
            let log_det = host(log_det.value);
            assert!(
                log_det.iter().all(|l| *l == f64::NEG_INFINITY),
                "{log_det:?}"
            );
        }
        // Single precision has a number every 0.001 here.
        let far = interval(1e4, 1e4 + 1.0);
        let z = Dual::constant(column(&[-1e4, -8.0, 8.0, 1e4]));
        for x in host(inverse(far, z).0.value) {
            let single = x as f32;
            assert!(single > 1e4 && single < 1e4 + 1.0, "{x}");
        }
    }
}
