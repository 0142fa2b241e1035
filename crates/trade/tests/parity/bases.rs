//! Every base distribution: log densities with their tangents, and samples.

use burn::tensor::DType;
use trade_core::{Dual, random::Stream};
use trade_flows::{Base, FlowBackend, Student};

use crate::{
    Quantity,
    numeric::{numbers, rows},
};

/// States of a cube have an error of 3·10⁻⁸, which is 3·10⁻⁵ of the deviation at the lowest
/// temperature.
pub(crate) const TOLERANCE: f64 = 1e-4;

/// Entries of a state.
const DIM: usize = 3;
/// First control parameters.
const CONTROLS: [f64; 6] = [1.5, 1.0, 0.5, 0.1, 0.01, 1e-4];

/// A base distribution.
pub(crate) struct BaseCheck(pub(crate) Base);

/// Each kind once.
pub(crate) fn all() -> Vec<BaseCheck> {
    [
        Base::One,
        Base::Control,
        Base::InverseControl,
        Base::ControlOver(0.3),
        Base::OverControl(0.3),
        Base::UnitCube { normal: 2 },
        Base::UnitCube { normal: 0 },
        Base::UnitCube { normal: DIM },
        Base::Torus { angles: 1 },
        Base::Student(Student {
            constant: 5.0,
            linear: 2.0,
            ..Student::default()
        }),
        Base::Student(Student {
            constant: 3.0,
            inverse: 1e-3,
            independent: true,
            ..Student::default()
        }),
    ]
    .map(BaseCheck)
    .into()
}

impl BaseCheck {
    pub(crate) fn compute<B: FlowBackend>(&self, dtype: DType) -> Vec<Quantity> {
        let Self(base) = *self;
        let mut found = Vec::new();
        for (i, control) in CONTROLS.into_iter().enumerate() {
            let n = 40;
            let noise = Stream::new(61, i as u64).normal64(n * DIM);
            let control = rows::<B>(&vec![control; n], 1, dtype);
            let control = Dual::new(control.clone(), control.ones_like());
            let z = base.scale(rows(&noise, DIM, dtype), &control);
            let log_prob = base.log_prob(Dual::constant(z.clone()), &control);
            let tangent = numbers(log_prob.tangent_or_zeros(), dtype);
            found.push((format!("{i}: samples"), numbers(z, dtype)));
            found.push((format!("{i}: log density"), numbers(log_prob.value, dtype)));
            found.push((format!("{i}: tangent"), tangent));
        }
        found
    }
}
