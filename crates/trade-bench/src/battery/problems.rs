//! The problems of the battery.

use std::f64::consts::TAU;

use anyhow::Result;
use trade::{core::random::Stream, target::TargetConfig};

use super::{
    draw::{on_a_line, rejected, rows},
    truth,
};

type Draw = Box<dyn Fn(&mut Stream, usize) -> Result<Vec<f64>>>;
type Truth = Box<dyn Fn(&[f64]) -> f64>;

/// Where the samples at the base come from.
pub(super) enum Data {
    /// There are none: the energy alone.
    None,
    /// The target of the library draws them.
    Exact,
    /// They are drawn here.
    Drawn(Draw),
}

/// A problem as a user would state it.
pub(super) struct Problem {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) dim: usize,
    /// JSON of the target, the ranges, the base and what is evaluated.
    pub(super) target: String,
    pub(super) ranges: &'static str,
    pub(super) at: &'static str,
    pub(super) evaluate: String,
    pub(super) data: Data,
    /// `log Z`, up to a constant of the target's own; the library's is used where there is none.
    pub(super) log_z: Option<Truth>,
    /// The ESS that is aimed at over the whole range.
    pub(super) aim: f64,
}

fn problem(
    name: &'static str,
    what: &'static str,
    dim: usize,
    target: impl Into<String>,
) -> Problem {
    Problem {
        name,
        what,
        dim,
        target: target.into(),
        ranges: r#"{ "T": [0.5, 2.0] }"#,
        at: r#"{ "T": 1.0 }"#,
        evaluate: "{}".into(),
        data: Data::None,
        log_z: None,
        aim: if dim <= 5 { 0.9 } else { 0.8 },
    }
}

impl Problem {
    fn over(mut self, ranges: &'static str, at: &'static str) -> Self {
        (self.ranges, self.at) = (ranges, at);
        self
    }

    fn exact(mut self) -> Self {
        self.data = Data::Exact;
        self
    }

    fn drawn(mut self, draw: impl Fn(&mut Stream, usize) -> Result<Vec<f64>> + 'static) -> Self {
        self.data = Data::Drawn(Box::new(draw));
        self
    }

    fn truth(mut self, log_z: impl Fn(&[f64]) -> f64 + 'static) -> Self {
        self.log_z = Some(Box::new(log_z));
        self
    }

    fn aim(mut self, aim: f64) -> Self {
        self.aim = aim;
        self
    }
}

const POWERS: (&str, &str) = (r#"{ "beta": [0.25, 4.0] }"#, r#"{ "beta": 1.0 }"#);
const WELLS: (&str, &str) = (
    r#"{ "temperature": [0.4, 1.1] }"#,
    r#"{ "temperature": 1.0 }"#,
);

const VALLEY: &str = r#"{ "expression": { "variables": { "x": 2 }, "controls": ["T"], "constants": { "s": 0.3 },
    "log_density": "-(x[0]^2/2 + (x[1]-x[0]^2)^2/(2*s^2))/T" } }"#;

/// Four modes of the plane, with units of both entries and a shift.
fn mixture([u, v]: [f64; 2], shift: f64) -> String {
    let mean = |x: f64, y: f64| format!("[{}, {}]", u * x + shift, v * y + shift);
    let covariance = |a: f64, b: f64, c: f64| {
        format!(
            "[[{}, {}], [{}, {}]]",
            a * u * u,
            b * u * v,
            b * u * v,
            c * v * v
        )
    };
    format!(
        r#"{{ "gaussian_mixture": {{ "weights": [0.4, 0.3, 0.2, 0.1], "means": [{}], "covariances": [{}] }} }}"#,
        [
            mean(2.0, 2.0),
            mean(-2.0, 2.0),
            mean(-2.0, -2.0),
            mean(2.0, -2.0)
        ]
        .join(", "),
        [
            covariance(0.3, 0.1, 0.2),
            covariance(0.2, 0.0, 0.5),
            covariance(0.1, 0.02, 0.3),
            covariance(0.4, -0.2, 0.3)
        ]
        .join(", ")
    )
}

/// Five modes in four dimensions, means and covariances drawn once.
fn five_modes() -> String {
    let mut stream = Stream::new(3, 0);
    let numbers = |values: &[f64]| {
        format!(
            "[{}]",
            values
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let (mut means, mut covariances) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mean: Vec<f64> = stream.normal64(4).iter().map(|z| 3.0 * z).collect();
        means.push(numbers(&mean));
        let a: Vec<f64> = stream.normal64(16).iter().map(|z| 0.4 * z).collect();
        let entry = |i: usize, j: usize| {
            let dot: f64 = (0..4).map(|k| a[4 * i + k] * a[4 * j + k]).sum();
            dot + if i == j { 0.15 } else { 0.0 }
        };
        let row = |i: usize| numbers(&(0..4).map(|j| entry(i, j)).collect::<Vec<_>>());
        covariances.push(format!(
            "[{}]",
            (0..4).map(row).collect::<Vec<_>>().join(", ")
        ));
    }
    format!(
        r#"{{ "gaussian_mixture": {{ "weights": [0.2, 0.2, 0.2, 0.2, 0.2], "means": [{}], "covariances": [{}] }} }}"#,
        means.join(", "),
        covariances.join(", ")
    )
}

/// Standard normal rows in the frame of a random rotation, and the precision matrix whose eigenvalues
/// go from 1 to 10⁴.
struct Stretched {
    axes: Vec<Vec<f64>>,
    eigenvalues: Vec<f64>,
}

impl Stretched {
    fn new(d: usize) -> Self {
        let mut stream = Stream::new(5, 0);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let mut axes: Vec<Vec<f64>> = Vec::new();
        while axes.len() < d {
            let mut row = stream.normal64(d);
            for _ in 0..2 {
                for other in &axes {
                    let overlap = dot(&row, other);
                    row.iter_mut()
                        .zip(other)
                        .for_each(|(x, y)| *x -= overlap * y);
                }
            }
            let norm = dot(&row, &row).sqrt();
            axes.push(row.iter().map(|x| x / norm).collect());
        }
        let eigenvalue = |i: usize| 10.0_f64.powf(4.0 * i as f64 / (d - 1) as f64);
        Self {
            axes,
            eigenvalues: (0..d).map(eigenvalue).collect(),
        }
    }

    fn precision(&self) -> String {
        let d = self.axes.len();
        let entry = |i: usize, j: usize| -> String {
            let terms = self.axes.iter().zip(&self.eigenvalues);
            terms
                .map(|(axis, e)| axis[i] * e * axis[j])
                .sum::<f64>()
                .to_string()
        };
        let row = |i: usize| {
            format!(
                "[{}]",
                (0..d).map(|j| entry(i, j)).collect::<Vec<_>>().join(", ")
            )
        };
        format!("[{}]", (0..d).map(row).collect::<Vec<_>>().join(", "))
    }

    fn row(&self, stream: &mut Stream) -> Vec<f64> {
        let d = self.axes.len();
        let z = stream.normal64(d);
        let along =
            |(k, axis): (usize, &Vec<f64>), j: usize| axis[j] * z[k] / self.eigenvalues[k].sqrt();
        (0..d)
            .map(|j| {
                self.axes
                    .iter()
                    .enumerate()
                    .map(|axis| along(axis, j))
                    .sum()
            })
            .collect()
    }
}

/// All problems.
pub(super) fn all() -> Vec<Problem> {
    let mixed = |name, what, units, shift| {
        problem(name, what, 2, mixture(units, shift))
            .over(POWERS.0, POWERS.1)
            .exact()
    };
    let stretched = Stretched::new(20);
    let log_determinant = stretched.eigenvalues.iter().map(|e| e.ln()).sum::<f64>();
    let wells = |name, what, dim: usize| {
        let target = format!(r#"{{ "multi_well": {{ "dim": {dim}, "a": 0.5 }} }}"#);
        problem(name, what, dim, target).over(WELLS.0, WELLS.1)
    };
    vec![
        mixed("mixture", "four normal modes in the plane", [1.0, 1.0], 0.0),
        mixed("mixture-x100", "the same times 100", [100.0, 100.0], 0.0),
        mixed("mixture-x0.001", "the same times 0.001", [1e-3, 1e-3], 0.0),
        mixed("mixture+50", "the same moved by 50", [1.0, 1.0], 50.0),
        mixed("mixture-uneven", "the same, one entry times 1000, the other times 0.001", [1e3, 1e-3], 0.0),
        problem("mixture-4d", "five normal modes in four dimensions", 4, five_modes())
            .over(POWERS.0, POWERS.1)
            .exact(),
        wells("wells-5d", "five tilted double wells", 5).exact(),
        wells("wells-10d", "ten tilted double wells", 10).exact(),
        problem("valley", "a curved valley", 2, VALLEY)
            .drawn(|stream, n| {
                Ok(rows(n, || {
                    let z = stream.normal64(2);
                    vec![z[0], z[0] * z[0] + 0.3 * z[1]]
                }))
            })
            .truth(|c| truth::valley(c[0], 0.3)),
        problem(
            "funnel",
            "Neal's funnel of five entries, powers 0.5 to 2",
            5,
            r#"{ "expression": { "variables": { "v": 1, "x": 4 }, "controls": ["beta"],
                "log_density": "beta*(normal_lpdf(v, 0, 3) + normal_lpdf(x, 0, exp(v/2)))" } }"#,
        )
        .over(r#"{ "beta": [0.5, 2.0] }"#, r#"{ "beta": 1.0 }"#)
        .drawn(|stream, n| {
            Ok(rows(n, || {
                let z = stream.normal64(5);
                let width = (1.5 * z[0]).exp();
                vec![3.0 * z[0], width * z[1], width * z[2], width * z[3], width * z[4]]
            }))
        })
        .truth(|c| truth::funnel(c[0], 4.0))
        .aim(0.8),
        problem(
            "student",
            "Student's t with 4 degrees of freedom in three dimensions",
            3,
            r#"{ "expression": { "variables": { "x": 3 }, "controls": ["T"],
                "log_density": "-3.5*log1p(norm2(x)/4)/T" } }"#,
        )
        .over(r#"{ "T": [0.7, 1.2] }"#, r#"{ "T": 1.0 }"#)
        .drawn(|stream, n| {
            Ok(rows(n, || {
                let z = stream.normal64(7);
                let width = (z[3..].iter().map(|z| z * z).sum::<f64>() / 4.0).sqrt();
                z[..3].iter().map(|z| z / width).collect()
            }))
        })
        .truth(|c| truth::student(c[0], 4.0, 3.0))
        .aim(0.8),
        problem(
            "walls",
            "a density with hard walls on a cube",
            3,
            r#"{ "expression": { "variables": { "x": 3 }, "controls": ["beta"],
                "support": { "x": { "interval": { "low": 0, "high": 1 } } },
                "log_density": "beta*(3*x[0] + 2*sin(6*x[1]) - 4*(x[0]-x[2])^2)" } }"#,
        )
        .over(r#"{ "beta": [0.3, 3.0] }"#, r#"{ "beta": 1.0 }"#)
        .drawn(|stream, n| {
            let propose = |stream: &mut Stream| stream.uniform(3);
            rejected(stream, n, propose, |x| {
                3.0 * x[0] + 2.0 * (6.0 * x[1]).sin() - 4.0 * (x[0] - x[2]).powi(2) - 5.0
            })
        })
        .truth(|c| truth::walls(c[0]))
        .aim(0.8),
        problem(
            "angles",
            "a closed chain of four angles (XY)",
            4,
            r#"{ "expression": { "variables": { "a": 4 }, "controls": ["beta"], "support": { "a": "angle" },
                "log_density": "beta*sum(cos(a - roll(a, 1)))" } }"#,
        )
        .over(r#"{ "beta": [0.2, 3.0] }"#, r#"{ "beta": 1.0 }"#)
        .drawn(|stream, n| {
            let propose = |stream: &mut Stream| stream.uniform(4).iter().map(|u| TAU * (u - 0.5)).collect();
            rejected(stream, n, propose, |a| {
                (0..4).map(|i| (a[i] - a[(i + 1) % 4]).cos()).sum::<f64>() - 4.0
            })
        })
        .truth(|c| truth::chain(c[0], 4)),
        problem(
            "ring",
            "a thin ring",
            2,
            r#"{ "expression": { "variables": { "x": 2 }, "controls": ["T"],
                "log_density": "-(sqrt(norm2(x)) - 3)^2/(2*0.01)/T" } }"#,
        )
        .drawn(|stream, n| {
            let radius = on_a_line(stream, n, (1.8, 4.2), |r| r.ln() - 50.0 * (r - 3.0).powi(2));
            let place = |r: f64| {
                let (sin, cos) = (TAU * stream.uniform_one()).sin_cos();
                [r * cos, r * sin]
            };
            Ok(radius.into_iter().flat_map(place).collect())
        })
        .truth(|c| truth::ring(c[0], 3.0, 0.1))
        .aim(0.8),
        problem(
            "normal-20d",
            "a normal distribution of 20 entries, condition number 10⁴",
            20,
            format!(
                r#"{{ "expression": {{ "variables": {{ "x": 20 }}, "controls": ["T"], "constants": {{ "P": {} }},
                    "log_density": "-dot(x, matvec(P, x))/2/T" }} }}"#,
                stretched.precision()
            ),
        )
        .drawn(move |stream, n| Ok(rows(n, || stretched.row(stream))))
        .truth(move |c| truth::normal(c[0], 20.0, log_determinant)),
        problem(
            "two-controls",
            "a well with temperature and barrier as control parameters",
            2,
            r#"{ "expression": { "variables": { "x": 2 }, "controls": ["T", "b"],
                "log_density": "-(x[0]^4 - b*x[0]^2 + x[1]^2/2)/T" } }"#,
        )
        .over(r#"{ "T": [0.5, 2.0], "b": [0.5, 3.0] }"#, r#"{ "T": 1.0, "b": 2.0 }"#)
        .drawn(|stream, n| {
            let first = on_a_line(stream, n, (-4.0, 4.0), |x| -(x.powi(4) - 2.0 * x * x));
            Ok(first.into_iter().flat_map(|x| [x, stream.normal64(1)[0]]).collect())
        })
        .truth(|c| truth::well(c[0], c[1]))
        .corners(),
        problem(
            "phi4-text",
            "the φ⁴ field on a 4×4 lattice, stated as text",
            16,
            r#"{ "expression": { "variables": { "phi": 16 }, "controls": ["kappa"], "constants": { "lambda": 0.02 },
                "log_density": "2*kappa*(dot(phi, roll_rows(phi, 1, 4)) + dot(phi, roll(phi, 4))) - (1 - 2*lambda)*norm2(phi) - lambda*sum(phi^4)" } }"#,
        )
        .over(r#"{ "kappa": [0.15, 0.3] }"#, r#"{ "kappa": 0.25 }"#)
        .drawn(|stream, n| {
            let lattice: TargetConfig = serde_json::from_str(r#"{ "phi4": { "l": 4 } }"#)?;
            Ok(lattice.init()?.draw(&[0.25], n, stream)?.x)
        }),
        problem("mixture-energy", "the four modes from the energy alone", 2, mixture([1.0, 1.0], 0.0))
            .over(POWERS.0, POWERS.1),
        problem("valley-energy", "the valley from the energy alone", 2, VALLEY)
            .truth(|c| truth::valley(c[0], 0.3)),
        wells("wells-energy", "five tilted wells from the energy alone", 5),
    ]
}

impl Problem {
    /// Measures two control parameters at the corners and the middle of their ranges.
    fn corners(mut self) -> Self {
        self.evaluate = r#"{ "conditions": [[0.5, 0.5], [2.0, 0.5], [0.5, 3.0], [2.0, 3.0], [1.0, 1.5], [1.0, 2.0]] }"#.into();
        self
    }
}
