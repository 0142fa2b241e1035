//! Quartic wells in tensor form.

use burn::tensor::{Tensor, backend::Backend};
use trade_core::{Condition, Family, Interval, PowerFamily, Target, random::Stream};

use super::constant;
use crate::exact::{Exact, WellControl, Wells};

/// The parameters of the wells for each row, `[n, 1]`.
struct Rows<B: Backend> {
    temperature: Tensor<B, 2>,
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    c: Tensor<B, 2>,
}

impl Wells {
    fn rows<B: Backend>(&self, condition: &Condition<B>) -> Rows<B> {
        let control = &condition.control.value;
        let n = control.dims()[0];
        let fixed = self.parameters(&[]);
        let column = |which: WellControl, fixed: f64| match self
            .control_parameters()
            .iter()
            .position(|&c| c == which)
        {
            Some(i) => control.clone().narrow(1, i, 1),
            None => constant(&[fixed], [1, 1], control).expand([n, 1]),
        };
        Rows {
            temperature: column(WellControl::Temperature, fixed.temperature),
            a: column(WellControl::A, fixed.a),
            b: column(WellControl::B, fixed.b),
            c: column(WellControl::C, fixed.c),
        }
    }

    /// `Σ x`, `Σ x²` and `Σ x⁴` over the quartic coordinates, `[n, 1]` each.
    fn moments<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 2>; 3] {
        let x = x.clone().narrow(1, 0, self.quartic());
        let square = x.clone().square();
        [
            x.sum_dim(1),
            square.clone().sum_dim(1),
            square.square().sum_dim(1),
        ]
    }

    /// `u(x)`, `[n, 1]`.
    fn energies<B: Backend>(&self, x: &Tensor<B, 2>, rows: &Rows<B>) -> Tensor<B, 2> {
        let [first, second, fourth] = self.moments(x);
        let wells = rows.c.clone() * fourth + rows.b.clone() * second + rows.a.clone() * first;
        match self.harmonic() {
            0 => wells,
            m => {
                wells
                    + x.clone()
                        .narrow(1, self.quartic(), m)
                        .square()
                        .sum_dim(1)
                        .mul_scalar(0.5)
            }
        }
    }
}

impl Family for Wells {
    fn dim(&self) -> usize {
        Exact::dim(self)
    }

    fn controls(&self) -> Vec<String> {
        self.control_parameters()
            .iter()
            .map(|c| c.name().to_string())
            .collect()
    }

    fn domain(&self) -> Vec<Interval> {
        let gaussian =
            self.parameters(&[]).c == 0.0 && !self.control_parameters().contains(&WellControl::C);
        let each = self
            .control_parameters()
            .iter()
            .map(|control| match control {
                // Without a quartic term the quadratic one is the wall.
                WellControl::B if gaussian => Interval::above(0.0),
                // Without a quartic term above zero there are no walls.
                WellControl::Temperature | WellControl::C => Interval::above(0.0),
                WellControl::A | WellControl::B => Interval::REAL,
            });
        each.collect()
    }

    fn power_family(&self) -> Option<PowerFamily> {
        (self.control_parameters() == [WellControl::Temperature])
            .then_some(PowerFamily::Temperature)
    }
}

impl<B: Backend> Target<B> for Wells {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let rows = self.rows(condition);
        (self.energies(&x, &rows) / rows.temperature)
            .neg()
            .squeeze_dim(1)
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let rows = self.rows(condition);
        let [first, second, fourth] = self.moments(&x);
        let scores = self
            .control_parameters()
            .iter()
            .map(|control| match control {
                WellControl::Temperature => {
                    self.energies(&x, &rows) / rows.temperature.clone().square()
                }
                WellControl::A => first.clone().neg() / rows.temperature.clone(),
                WellControl::B => second.clone().neg() / rows.temperature.clone(),
                WellControl::C => fourth.clone().neg() / rows.temperature.clone(),
            })
            .collect();
        Tensor::cat(scores, 1)
    }

    /// A random sign for each coordinate, where the wells are even in it.
    fn symmetrise(&self, x: Tensor<B, 2>, stream: &mut Stream) -> Tensor<B, 2> {
        let [n, d] = x.dims();
        let tilted =
            self.control_parameters().contains(&WellControl::A) || self.parameters(&[]).a != 0.0;
        let even = |axis: usize| axis >= self.quartic() || !tilted;
        let signs: Vec<f64> = (0..n * d)
            .map(|i| {
                if stream.uniform_one() < 0.5 && even(i % d) {
                    -1.0
                } else {
                    1.0
                }
            })
            .collect();
        let signs = constant(&signs, [n, d], &x);
        x * signs
    }
}
