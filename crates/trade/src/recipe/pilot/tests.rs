//! The walkers against densities whose moments are known.

use super::*;
use trade_core::objective::WalkersConfig;

fn config(at: Vec<f64>) -> PilotConfig {
    PilotConfig {
        at,
        samples: 20_000,
        walkers: 400,
        burn_in: 600,
        thin: 10,
    }
}

/// Rows of one column.
fn column(x: &[f64], d: usize, j: usize) -> Vec<f64> {
    x.iter().skip(j).step_by(d).copied().collect()
}

fn mean_and_deviation(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (
        mean,
        (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt(),
    )
}

#[test]
fn walkers_need_no_units() {
    // A normal distribution in uneven units, correlated, away from the origin.
    let evaluate = |x: &[f32]| {
        let log = |row: &[f32]| {
            let (a, b) = (f64::from(row[0]) / 1e3 - 5.0, f64::from(row[1]) / 1e-2);
            -0.5 * (a * a - 1.8 * a * b + b * b) / (1.0 - 0.81)
        };
        x.chunks(2).map(log).collect()
    };
    let found = run(&config(vec![1.0]), &[Support::Real; 2], evaluate, 3).unwrap();
    let (mean, deviation) = mean_and_deviation(&column(&found.x, 2, 0));
    // 50 samples of each of 400 walkers, correlated over a few: errors of 2 %.
    assert!((mean / 5000.0 - 1.0).abs() < 0.03, "{mean}");
    assert!((deviation / 1e3 - 1.0).abs() < 0.1, "{deviation}");
    let (mean, deviation) = mean_and_deviation(&column(&found.x, 2, 1));
    assert!(
        mean.abs() < 1e-3 && (deviation / 1e-2 - 1.0).abs() < 0.1,
        "{mean} {deviation}"
    );
    assert!((0.1..0.9).contains(&found.accepted), "{}", found.accepted);
}

#[test]
fn bounded_entries_have_their_moments() {
    // An exponential, a uniform and a von Mises distribution of concentration 2.
    let support = [
        Support::Positive,
        Support::Interval {
            low: 2.0,
            high: 6.0,
        },
        Support::Angle,
    ];
    let evaluate = |x: &[f32]| {
        let log = |row: &[f32]| f64::from(-3.0 * row[0] + 2.0 * row[2].cos());
        x.chunks(3).map(log).collect()
    };
    let found = run(&config(vec![1.0]), &support, evaluate, 4).unwrap();
    let (mean, deviation) = mean_and_deviation(&column(&found.x, 3, 0));
    assert!(
        (3.0 * mean - 1.0).abs() < 0.08 && (3.0 * deviation - 1.0).abs() < 0.1,
        "{mean}"
    );
    let (mean, deviation) = mean_and_deviation(&column(&found.x, 3, 1));
    assert!(
        (mean - 4.0).abs() < 0.1 && (deviation - 4.0 / 12.0_f64.sqrt()).abs() < 0.08,
        "{mean}"
    );
    // ⟨cos a⟩ = I₁(2)/I₀(2).
    let cosines: Vec<f64> = column(&found.x, 3, 2).iter().map(|a| a.cos()).collect();
    assert!((mean_and_deviation(&cosines).0 - 0.697_774_658).abs() < 0.04);
}

#[test]
fn a_narrow_or_a_far_density_is_found() {
    for (centre, width) in [(0.0, 1e-9), (1e5, 1.0), (0.0, 1e9), (-3e3, 0.1)] {
        let evaluate = |x: &[f32]| {
            let log = |x: &f32| -0.5 * ((f64::from(*x) - centre) / width).powi(2);
            x.iter().map(log).collect()
        };
        let found = run(&config(vec![1.0]), &[Support::Real], evaluate, 6).unwrap();
        let (mean, deviation) = mean_and_deviation(&found.x);
        assert!(
            (mean - centre).abs() < 0.1 * width,
            "{centre} {width}: {mean}"
        );
        assert!(
            (deviation / width - 1.0).abs() < 0.1,
            "{centre} {width}: {deviation}"
        );
        assert!(
            found.accepted < 0.9 && found.drifting.is_none(),
            "{centre} {width}"
        );
    }
}

#[test]
fn walkers_that_never_arrive_are_noticed() {
    let densities: [fn(f64) -> f64; 3] = [|x| -x, |x| 0.0 * x, |x| -0.4 * (1.0 + x * x).ln()];
    for (i, density) in densities.into_iter().enumerate() {
        let evaluate = |x: &[f32]| x.iter().map(|x| density(f64::from(*x))).collect();
        match run(&config(vec![1.0]), &[Support::Real], evaluate, 7) {
            Ok(found) => assert_eq!(found.drifting, Some(0), "density {i}"),
            Err(error) => assert!(error.to_string().contains("ran off"), "{error}"),
        }
    }
    // A point, as far as single precision can tell.
    let evaluate = |x: &[f32]| {
        x.iter()
            .map(|x| -1e20 * (f64::from(*x) - 1.0).abs())
            .collect()
    };
    let error = run(&config(vec![1.0]), &[Support::Real], evaluate, 7).err();
    assert!(error.is_some_and(|error| error.to_string().contains("one value")));
}

#[test]
fn two_modes_far_apart_are_both_found() {
    let evaluate = |x: &[f32]| {
        let log = |x: &f32| {
            let mode = |m: f64| -0.5 * (f64::from(*x) - m).powi(2);
            (0.3 * mode(-20.0).exp() + 0.7 * mode(20.0).exp())
                .max(1e-300)
                .ln()
        };
        x.iter().map(log).collect()
    };
    let found = run(&config(vec![1.0]), &[Support::Real], evaluate, 5).unwrap();
    let share = found.x.iter().filter(|x| **x > 0.0).count() as f64 / found.x.len() as f64;
    assert!((share - 0.7).abs() < 0.1, "{share}");
}

/// A normal density of unit scale in `d` entries to the power `c`, moved by `shift · ln c` along the first.
#[derive(Debug)]
struct Moving {
    dim: usize,
    shift: f64,
}

impl Family for Moving {
    fn dim(&self) -> usize {
        self.dim
    }
    fn controls(&self) -> Vec<String> {
        vec!["c".into()]
    }
    fn power_family(&self) -> Option<PowerFamily> {
        None
    }
}

impl Moving {
    fn log_density(&self, x: &[f32], c: f64) -> Vec<f64> {
        let log = |row: &[f32]| {
            let squares = row.iter().enumerate().map(|(i, &x)| {
                let centre = if i == 0 { self.shift * c.ln() } else { 0.0 };
                (f64::from(x) - centre).powi(2)
            });
            -0.5 * c * squares.sum::<f64>()
        };
        x.chunks(self.dim).map(log).collect()
    }

    fn problem(self, samples: usize) -> Problem<Self> {
        let x = Stream::new(4, 0).normal64(samples * self.dim);
        let problem = Problem::new(self, [("c", [0.25, 4.0])]).unwrap();
        problem.with_data(&[1.0], &x).unwrap()
    }
}

#[test]
fn walkers_are_where_the_density_goes() {
    let problem = Moving { dim: 4, shift: 3.0 }.problem(6000);
    let evaluate = |x: &[f32], c: &[f64]| problem.target.log_density(x, c[0]);
    let found = walk(&WalkersConfig::default(), &problem, evaluate, 1).unwrap();
    assert!(
        found.said.contains("to c = 0.2500 in") && found.said.contains("to c = 4.0000 in"),
        "{}",
        found.said
    );
    for c in [0.25, 4.0] {
        let walked = found.states.as_ref().unwrap();
        let rows = walked.rows_of(&[c]);
        assert_eq!(rows.len(), 4000);
        let states = walked.states_of(&rows);
        let states: Vec<f64> = states.iter().map(|&x| f64::from(x)).collect();
        for j in 0..4 {
            let (mean, deviation) = mean_and_deviation(&column(&states, 4, j));
            let centre = if j == 0 { 3.0 * c.ln() } else { 0.0 };
            // Some hundred independent walkers: 5 % of a deviation, with four sigma.
            assert!((mean - centre).abs() * c.sqrt() < 0.2, "{c} {j} {mean}");
            assert!(
                (deviation * c.sqrt() - 1.0).abs() < 0.15,
                "{c} {j} {deviation}"
            );
        }
    }
}

#[test]
fn walkers_that_cannot_go_say_so() {
    let problem = Moving { dim: 4, shift: 3.0 }.problem(60);
    let evaluate = |x: &[f32], c: &[f64]| problem.target.log_density(x, c[0]);
    let error = walk(&WalkersConfig::default(), &problem, evaluate, 1)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("at least 100 samples"),
        "{error}"
    );
    // A density that is nothing but noise cannot be followed.
    let problem = Moving { dim: 2, shift: 0.0 }.problem(1000);
    let noise = |x: &[f32], c: &[f64]| -> Vec<f64> {
        let one = |row: &[f32]| 1e6 * (f64::from(row[0]) * 1e4 * c[0]).sin();
        x.chunks(2).map(one).collect()
    };
    let said = walk(&WalkersConfig::default(), &problem, noise, 1)
        .unwrap()
        .said;
    assert!(said.contains("only as far as"), "{said}");
}
