//! The normal distribution in tensor form: density, distribution function and quantiles, whole and
//! cut off.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, TAU};

use burn::tensor::{Tensor, backend::Backend};
use trade_core::Dual;

/// `1/√π`.
const FRAC_1_SQRT_PI: f64 = 0.5 * FRAC_2_SQRT_PI;
/// Where the approximations of [`upper_tail`] for `erfc y` meet.
const LEAST: f64 = 0.468_75;
/// See [`LEAST`].
const MOST: f64 = 4.0;
/// Coefficients of `e^{y²} erfc y` by `y` between the two.
const MIDDLE: [[f64; 9]; 2] = [
    [
        1.230_339_354_797_997_2e3,
        2.051_078_377_826_071_6e3,
        1.712_047_612_634_070_7e3,
        8.819_522_212_417_69e2,
        2.986_351_381_974_001e2,
        6.611_919_063_714_163e1,
        8.883_149_794_388_377,
        5.641_884_969_886_701e-1,
        2.153_115_354_744_038_3e-8,
    ],
    [
        1.230_339_354_803_749_5e3,
        3.439_367_674_143_721_6e3,
        4.362_619_090_143_247e3,
        3.290_799_235_733_459_7e3,
        1.621_389_574_566_690_3e3,
        5.371_811_018_620_099e2,
        1.176_939_508_913_125e2,
        1.574_492_611_070_983_5e1,
        1.0,
    ],
];
/// Coefficients of `y² (1/√π − y e^{y²} erfc y)` by `1/y²` beyond.
const BEYOND: [[f64; 6]; 2] = [
    [
        6.587_491_615_298_378e-4,
        1.608_378_514_874_227_5e-2,
        1.257_817_261_112_292_6e-1,
        3.603_448_999_498_044_5e-1,
        3.053_266_349_612_323_6e-1,
        1.631_538_713_730_209_7e-2,
    ],
    [
        2.335_204_976_268_691_8e-3,
        6.051_834_131_244_132e-2,
        5.279_051_029_514_285e-1,
        1.872_952_849_923_467_3,
        2.568_520_192_289_822,
        1.0,
    ],
];

/// Coefficients of [`quantile`] by `0.425² − (p − ½)²`.
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

/// `log φ(z)` of the standard normal density.
pub(crate) fn log_normal<B: Backend>(z: Dual<B, 2>) -> Dual<B, 2> {
    z.square().add_scalar(TAU.ln()).mul_scalar(-0.5)
}

/// The shares `Φ(z) − ½` above the median, and the smaller one of `Φ(z)` and `1 − Φ(z)`, of the standard
/// normal distribution. The first keeps its digits about the median, the second far out.
pub(crate) fn normal_shares<B: Backend>(z: Dual<B, 2>) -> [Dual<B, 2>; 2] {
    let constant = z.value.clone().detach();
    let density = log_normal(Dual::constant(constant.clone())).value.exp();
    let middle = constant
        .clone()
        .mul_scalar(FRAC_1_SQRT_2)
        .erf()
        .mul_scalar(0.5);
    let smaller = upper_tail(&constant.clone().abs());
    let sign = constant.clone().sign().neg();
    // Derivatives are those of the distribution and not of the approximations.
    let moved = z.value - constant;
    [(middle, density.clone()), (smaller, density * sign)].map(|(value, slope)| Dual {
        value: value + moved.clone() * slope.clone(),
        tangent: z.tangent.clone().map(|t| t * slope),
    })
}

/// `Φ⁻¹(½ + middle)`: the rational approximations of Wichura (algorithm AS 241, `PPND16`), which hold to
/// double precision. `smaller` is the smaller one of the two shares below and above, which the tails
/// take their precision from. Derivatives are `1/φ(z)` and not those of the approximation.
pub(crate) fn normal_quantile<B: Backend>(middle: Dual<B, 2>, smaller: Tensor<B, 2>) -> Dual<B, 2> {
    let constant = middle.value.clone().detach();
    let z = quantile(constant.clone(), smaller.detach());
    let slope = log_normal(Dual::constant(z.clone())).value.neg().exp();
    // The value is z, and its derivative that of the share times the slope.
    let moved = middle.value - constant;
    Dual {
        value: z + moved * slope.clone(),
        tangent: middle.tangent.map(|t| t * slope),
    }
}

/// `Φ⁻¹(½ + middle)`, where `smaller` is the smaller one of the two shares below and above, which
/// the tails take their precision from.
fn quantile<B: Backend>(middle: Tensor<B, 2>, smaller: Tensor<B, 2>) -> Tensor<B, 2> {
    let central = {
        let r = middle
            .clone()
            .square()
            .neg()
            .add_scalar(0.180_625)
            .clamp_min(0.0);
        middle.clone() * ratio(r, &CENTRAL)
    };
    let r = smaller.log().neg().sqrt();
    let far = r.clone().greater_elem(5.0);
    let tail = ratio(r.clone().sub_scalar(1.6), &TAIL);
    let tail = tail.mask_where(far, ratio(r.sub_scalar(5.0), &FAR_TAIL)) * middle.clone().sign();
    let near = middle.abs().lower_equal_elem(0.425);
    tail.mask_where(near, central)
}

/// `Q(x) = 1 − Φ(x)` of numbers that are not negative, with the relative precision of the element
/// type: the rational approximations of Cody (Math. Comp. 23, 1969) for the complement of the error
/// function. Below the smallest number of single precision it is 0.
pub(crate) fn upper_tail<B: Backend>(x: &Tensor<B, 2>) -> Tensor<B, 2> {
    let y = x.clone().mul_scalar(FRAC_1_SQRT_2);
    let near = y.clone().erf().neg().add_scalar(1.0);
    // The formulas of both ranges are clipped to them, so that no branch overflows.
    let middle = y.clone().clamp(LEAST, MOST);
    let middle = ratio(middle, &MIDDLE);
    let beyond = y.clone().clamp(MOST, 1e15);
    let inverse = beyond.clone().square().recip();
    let far = (inverse.clone() * ratio(inverse, &BEYOND))
        .neg()
        .add_scalar(FRAC_1_SQRT_PI)
        / beyond;
    let scaled = middle.mask_where(y.clone().greater_elem(MOST), far);
    let tail = y.clone().clamp(0.0, 1e15).square().neg().exp() * scaled;
    let complement = tail.mask_where(y.lower_elem(LEAST), near);
    complement.mul_scalar(0.5)
}

/// The number `z` from standard normal noise `x` that has the normal distribution cut off beyond
/// `±a`: the inverse of its distribution function at the share `Φ(x)`. With `K = 1 − 2 Q(a)` its
/// upper tail is `Q(z) = K Q(|x|) + Q(a)`, which loses no precision far out.
///
/// # Shapes
/// `x`: `[n, d]`, `a`: `[n, 1]`, positive → `[n, d]`
pub(crate) fn truncated<B: Backend>(x: Tensor<B, 2>, a: Tensor<B, 2>) -> Tensor<B, 2> {
    let cut = upper_tail(&a);
    let kept = cut.clone().mul_scalar(-2.0).add_scalar(1.0);
    let tail = upper_tail(&x.clone().abs()) * kept + cut;
    // The smallest normal number of single precision is 1.2·10⁻³⁸.
    let tail = tail.clamp(1e-37, 0.5);
    let size = quantile(tail.clone().neg().add_scalar(0.5), tail);
    // Rounding must not leave the range.
    let most = a.expand(size.shape());
    size.min_pair(most) * x.sign()
}

/// A ratio of two polynomials, coefficients from the constant on.
fn ratio<B: Backend, const N: usize>(
    r: Tensor<B, 2>,
    [above, below]: &[[f64; N]; 2],
) -> Tensor<B, 2> {
    let polynomial = |coefficients: &[f64; N]| {
        let zeros = r.zeros_like();
        (coefficients.iter().rev()).fold(zeros, |sum, c| (sum * r.clone()).add_scalar(*c))
    };
    polynomial(above) / polynomial(below)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    fn column(values: &[f64], dtype: DType) -> Tensor<Flex, 2> {
        let data = TensorData::new(values.to_vec(), [values.len(), 1]);
        Tensor::from_data(data, (&FlexDevice, dtype))
    }

    fn host(tensor: Tensor<Flex, 2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    /// `Q(x) = φ(x)/(x + 1/(x + 2/(x + 3/(x + …))))`, the continued fraction of Laplace.
    fn tail_of_laplace(x: f64) -> f64 {
        let fraction = (1..=4000).rev().fold(x, |sum, k| x + f64::from(k) / sum);
        (-0.5 * x * x).exp() / TAU.sqrt() / fraction
    }

    #[test]
    fn tails_are_those_of_the_continued_fraction() {
        let x: Vec<f64> = (0..340).map(|i| 0.5 + 0.05 * f64::from(i)).collect();
        for (dtype, tolerance) in [(DType::F64, 3e-13), (DType::F32, 3e-5)] {
            for (x, found) in x.iter().zip(host(upper_tail(&column(&x, dtype)))) {
                let exact = tail_of_laplace(*x);
                // The square of 12 has an error of 10⁻⁵ in single precision.
                if dtype == DType::F64 || *x < 12.0 {
                    assert!(
                        (found / exact - 1.0).abs() < tolerance,
                        "{x}: {found} {exact}"
                    );
                }
            }
        }
        let ends = host(upper_tail(&column(&[0.0, 1e3, 1e30], DType::F32)));
        assert_eq!(ends, [0.5, 0.0, 0.0]);
    }

    #[test]
    fn truncated_numbers_have_the_share_of_their_noise() {
        let x: Vec<f64> = (0..=160).map(|i| -8.0 + 0.1 * f64::from(i)).collect();
        let lower = |z: f64| {
            let tail = if z.abs() < 0.5 {
                host(upper_tail(&column(&[z.abs()], DType::F64)))[0]
            } else {
                tail_of_laplace(z.abs())
            };
            if z < 0.0 { tail } else { 1.0 - tail }
        };
        for a in [0.3, 2.0, 4.0, 5.0, 30.0, 500.0] {
            let z = host(truncated(
                column(&x, DType::F64),
                column(&vec![a; x.len()], DType::F64),
            ));
            let single = host(truncated(
                column(&x, DType::F32),
                column(&vec![a; x.len()], DType::F32),
            ));
            let kept = lower(a) - lower(-a);
            for ((x, z), single) in x.iter().zip(z).zip(single) {
                assert!(z.abs() <= a, "{a} {x}: {z}");
                let found = (lower(z) - lower(-a)) / kept;
                assert!((found - lower(*x)).abs() < 1e-13, "{a} {x}: {z} {found}");
                assert!(
                    (single - z).abs() < 2e-5 * (1.0 + z.abs()),
                    "{a} {x}: {z} {single}"
                );
            }
        }
    }
}
