//! The update of Adam in one pass over memory of the host.
//!
//! A step in Burn's operations reads and writes each array some fourteen times. Here it is read and written once, by
//! the same arithmetic in the same order, so that the weights are the same to the last bit.

use burn::tensor::{DType, Element, TensorData, backend::Backend};
use trade_simd::{Job, widest_unfused};

use super::adam::Rates;

/// Whether tensors lie in memory of the host, where taking one that nobody else holds costs nothing.
pub(super) fn on_host<B: Backend>(device: &B::Device) -> bool {
    matches!(B::name(device).as_str(), "flex" | "ndarray")
}

/// The arrays of one parameter.
struct Step<'a, T> {
    theta: &'a mut [T],
    gradient: &'a [T],
    first: &'a mut [T],
    second: &'a mut [T],
    rates: Rates,
}

macro_rules! step {
    ($number:ty) => {
        impl Job for Step<'_, $number> {
            #[inline(always)]
            fn run(self) {
                let of = |x: f64| x as $number;
                let r = self.rates;
                let (clip, decay) = (of(r.clip), of(r.weight_decay));
                let (beta1, rest1) = (of(r.beta1), of(1.0 - r.beta1));
                let (beta2, rest2) = (of(r.beta2), of(1.0 - r.beta2));
                let (scale, unbiased, epsilon) = (of(r.scale), of(r.unbiased), of(r.epsilon));
                let moments = self.first.iter_mut().zip(self.second);
                let rows = self.theta.iter_mut().zip(self.gradient).zip(moments);
                for ((theta, gradient), (first, second)) in rows {
                    let mut g = gradient * clip;
                    if r.weight_decay > 0.0 {
                        g += *theta * decay;
                    }
                    *first = *first * beta1 + g * rest1;
                    *second = *second * beta2 + g * g * rest2;
                    let root = (*second / unbiased).sqrt() + epsilon;
                    *theta -= *first * scale / root;
                }
            }
        }
    };
}
step!(f32);
step!(f64);

/// Moves `θ` and both moments by one step; whether they were numbers of one of the two precisions.
pub(super) fn step(arrays: [&mut TensorData; 3], gradient: &TensorData, rates: Rates) -> bool {
    fn of<'a, T: Element>(
        [theta, first, second]: [&'a mut TensorData; 3],
        gradient: &'a TensorData,
        rates: Rates,
    ) -> Option<Step<'a, T>> {
        Some(Step {
            theta: theta.as_mut_slice().ok()?,
            gradient: gradient.as_slice().ok()?,
            first: first.as_mut_slice().ok()?,
            second: second.as_mut_slice().ok()?,
            rates,
        })
    }
    match gradient.dtype {
        DType::F32 => of::<f32>(arrays, gradient, rates).map(widest_unfused),
        DType::F64 => of::<f64>(arrays, gradient, rates).map(widest_unfused),
        _ => None,
    }
    .is_some()
}
