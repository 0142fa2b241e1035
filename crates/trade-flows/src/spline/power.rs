//! Powers of the density of a spline.

use burn::tensor::backend::Backend;
use trade_core::Dual;

use super::RqsShape;

/// Keeps logarithms finite.
const LEAST: f64 = 1e-10;

/// Parameters of a spline of `[0, 1]` whose density `h/w` is raised to the power `b` in each bin:
/// `w′ = w`, `h′ = w (h/w)^b/Z` with `Z = Σ w (h/w)^b`, `d′ = d^b`, or `d^b/Z` if `normalised`.
///
/// A power of the density of a rational-quadratic spline is none, so that neither form is exact.
///
/// # Shapes
/// `parameters`: `[n, d · P]`, `b`: `[n, 1]` → `[n, d · P]`
pub(crate) fn raised<B: Backend>(
    shape: &RqsShape,
    normalised: bool,
    parameters: Dual<B, 2>,
    b: Dual<B, 2>,
) -> Dual<B, 2> {
    let [n, columns] = parameters.dims();
    let (k, width) = (shape.bins, shape.width());
    let raw = parameters.reshape([n, columns / width, width]);
    let b = b.reshape([n, 1, 1]);
    let part = |from: usize, to: usize| raw.clone().slice_dim(2, from..to);
    let log_widths = part(0, k).softmax(2).add_scalar(LEAST).log();
    let log_heights = part(k, 2 * k).softmax(2).add_scalar(LEAST).log();
    let raised = (log_heights - log_widths.clone()) * b.clone() + log_widths.clone();
    let log_slopes = part(2 * k, width).softplus().add_scalar(LEAST).log() * b;
    let log_slopes = if normalised {
        // The largest term is taken out of the sum.
        let shift = Dual::constant(raised.value.clone().detach().max_dim(2));
        let sum = (raised.clone() - shift.clone()).exp().sum_dim(2);
        log_slopes - (sum.log() + shift)
    } else {
        log_slopes
    };
    let slopes = log_slopes.exp();
    // The inverse of softplus: y + ln(1 − e^{−y}).
    let rest = (-slopes.clone()).exp().mul_scalar(-1.0).add_scalar(1.0);
    let raw_slopes = slopes + rest.clamp(1e-37, 1.0).log();
    // Softmax takes logarithms of shares up to a constant.
    Dual::cat(vec![log_widths, raised, raw_slopes], 2).reshape([n, columns])
}
