//! Every layer: both directions, log determinants, tangents, and gradients of all of these.

use burn::{backend::Autodiff, module::Module, tensor::DType};
use trade_flows::{FlowBackend, layer::Widths};

use crate::{
    Quantity,
    layer_cases::{Batch, Case, DIRECTIONS, cases, functional, layer},
    numeric::{Noise, gradient, numbers},
};

/// A layer with its options, on states of one width.
pub(crate) struct LayerCheck {
    case: Case,
    widths: Widths,
}

/// Each case once; the widths take turns.
pub(crate) fn all() -> Vec<LayerCheck> {
    let turns = [(1, 0), (2, 0), (1, 2), (2, 3)];
    let check = |(i, case): (usize, Case)| {
        let (controls, context) = turns[i % turns.len()];
        let dim = case.dims[i % case.dims.len()];
        let widths = Widths {
            dim,
            controls,
            context,
        };
        LayerCheck { case, widths }
    };
    cases().into_iter().enumerate().map(check).collect()
}

impl LayerCheck {
    pub(crate) fn name(&self) -> String {
        format!("{:?} {:?}", self.case.config, self.widths)
    }

    /// Sums of some ten terms of order one, each with a rounding of 6·10⁻⁸, through two matrix
    /// products; bins of the unit cube may be as narrow as 10⁻³.
    pub(crate) fn tolerance(&self) -> f64 {
        if self.case.unit { 1e-3 } else { 3e-5 }
    }

    pub(crate) fn compute<B: FlowBackend>(&self, dtype: DType) -> Vec<Quantity> {
        let plain = layer::<B>(&self.case, self.widths, Noise::moderate(dtype));
        let tracked = layer::<Autodiff<B>>(&self.case, self.widths, Noise::moderate(dtype));
        let batch = Batch::moderate(&self.case, self.widths);
        let mut found = Vec::new();
        for direction in DIRECTIONS {
            let (y, log_det) = batch.through(&plain, direction, true, dtype);
            for (name, values) in [
                ("tangent", numbers(y.tangent_or_zeros(), dtype)),
                ("image", numbers(y.value, dtype)),
                (
                    "log-det tangent",
                    numbers(log_det.tangent_or_zeros(), dtype),
                ),
                ("log-det", numbers(log_det.value, dtype)),
            ] {
                found.push((format!("{direction:?} {name}"), values));
            }
            if tracked.num_params() > 0 {
                let loss = functional(&tracked, &batch, direction, true, dtype);
                let values = gradient(loss, &tracked).concat();
                found.push((format!("{direction:?} gradient"), values));
            }
        }
        found
    }
}
