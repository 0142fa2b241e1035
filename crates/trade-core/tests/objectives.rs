//! Loss terms on a problem that is solved exactly.

mod gaussian;

use std::{f64::consts::TAU, sync::Arc};

use burn::{
    module::AutodiffModule,
    tensor::{DType, ElementConversion},
};
use burn_flex::{Flex, FlexDevice};
use gaussian::{Bath, DIM, Gaussian, Training, gradient, moved, values};
use trade_core::{
    Dataset, Perturbation,
    causality::CausalityConfig,
    device_data::DeviceData,
    grid::Spacing,
    objective::{
        Clip, LogVariance, LogVarianceConfig, Nll, NllConfig, Objective, Problem, RefinedNll,
        RefinedNllConfig, ReverseKl, ReverseKlConfig, ReweightedNll, ReweightedNllConfig, Robust,
        StepContext, Term,
        trade::{
            Blur, Centre, EnergyOrigin, SampleOrigin, TradeConfig, TradeContinuous,
            TradeContinuousConfig, TradeGrid, TradeGridConfig,
        },
    },
    random::{Purpose, Stream, Streams},
    schedule::{DirectionMode, Schedule},
};

type Model = Gaussian<Training>;
type Boxed = Box<dyn Objective<Training, Model>>;

/// The seed of [`first`].
const SEED: u64 = 10;
const RANGE: (f64, f64) = (0.5, 1.5);
const UNIFORM: Schedule = Schedule::Uniform {
    spacing: Spacing::Linear,
};

/// Standard normal data at the base, which is what the target is there.
fn data(n: usize) -> Arc<Dataset> {
    Arc::new(Dataset::at(Stream::new(50, 0).normal(n * DIM), DIM, &[1.0]).unwrap())
}

fn problem(bath: Bath) -> Problem<Bath> {
    let moving = bath.moving;
    Problem {
        target: Arc::new(bath),
        bases: vec![if moving { vec![1.0, 0.0] } else { vec![1.0] }],
        ranges: if moving {
            vec![RANGE, (-1.0, 1.0)]
        } else {
            vec![RANGE]
        },
        data: (!moving).then(|| data(4096)),
    }
}

fn squared() -> TradeConfig {
    TradeConfig {
        penalty: Robust::Squared,
        ..TradeConfig::default()
    }
}

fn continuous(config: TradeContinuousConfig, bath: Bath) -> Boxed {
    Box::new(TradeContinuous::new(config, problem(bath)).unwrap())
}

/// One condition of the range and its own samples.
fn fresh(trade: TradeConfig, samples: usize) -> TradeContinuousConfig {
    TradeContinuousConfig {
        trade,
        schedule: UNIFORM,
        samples,
        ..TradeContinuousConfig::default()
    }
}

fn step(
    objective: &mut Boxed,
    model: &Model,
    frozen: &Gaussian<Flex>,
    streams: &mut Streams,
    step: usize,
) -> Term<Training> {
    let device = FlexDevice;
    let term = objective
        .evaluate(&mut StepContext {
            model,
            frozen,
            device: &device,
            precision: DType::F32,
            device_data: &mut DeviceData::default(),
            streams,
            step,
            total: 100,
        })
        .unwrap();
    // As the trainer does once it has read the step.
    objective.learn(&term.read().readback).unwrap();
    term
}

/// The first step of an objective with fresh random numbers.
fn first(mut objective: Boxed, model: &Model) -> Term<Training> {
    step(
        &mut objective,
        model,
        &model.valid(),
        &mut Streams::new(SEED),
        0,
    )
}

fn number(term: &Term<Training>) -> f64 {
    term.loss.clone().into_scalar().elem()
}

#[test]
fn trade_vanishes_at_the_solution() {
    // The residual is the error of ⟨g⟩ alone: Var[∂_T log q] = d/(2T²) ≤ 4 and Var[∂_μ log q] =
    // d/T ≤ 4 on this range, times at most 2.5 for the weights of a foreign proposal; the tangent
    // directions have components of at most 1 (T) and 2 (μ). Five standard errors.
    let n = 20_000;
    let bound = |origin, moving: bool| {
        let proposal = if matches!(origin, SampleOrigin::Flow) {
            1.0
        } else {
            2.5
        };
        25.0 * 4.0 * proposal * if moving { 4.0 } else { 1.0 } / n as f64
    };
    for origin in [
        SampleOrigin::Flow,
        SampleOrigin::FlowAtBase,
        SampleOrigin::Data,
        SampleOrigin::Normal,
    ] {
        let config = TradeConfig {
            points: origin,
            ..squared()
        };
        let mut objectives: Vec<(Boxed, bool)> = Vec::new();
        let with_origin = |config| TradeContinuousConfig {
            expectation_from: origin,
            ..fresh(config, n)
        };
        objectives.push((
            continuous(with_origin(config.clone()), Bath::default()),
            false,
        ));
        if !matches!(origin, SampleOrigin::Data) {
            for direction in [DirectionMode::Coordinate, DirectionMode::Sphere] {
                let config = TradeConfig {
                    direction,
                    ..config.clone()
                };
                let bath = Bath {
                    moving: true,
                    ..Bath::default()
                };
                objectives.push((continuous(with_origin(config), bath), true));
            }
        }
        let grid = TradeGridConfig {
            trade: config,
            points: 6,
            expectation_samples: n,
            expectation_from: origin,
            ..TradeGridConfig::default()
        };
        objectives.push((
            Box::new(TradeGrid::new(grid, problem(Bath::default())).unwrap()),
            false,
        ));
        for (objective, moving) in objectives {
            let name = objective.name();
            let term = first(objective, &Bath::default().solution());
            let loss = number(&term);
            // With μ ≠ 0 the standard normal and the base are too far off for small weights.
            let foreign = moving && !matches!(origin, SampleOrigin::Flow);
            let bound = bound(origin, moving) * if foreign { 10.0 } else { 1.0 };
            assert!(
                loss >= 0.0 && loss < bound,
                "{name} {origin:?} {moving}: {loss} of {bound}"
            );
            assert_eq!(
                (
                    term.read().statistics.non_finite,
                    term.read().statistics.clipped
                ),
                (0, 0)
            );
            let ess = term.read().statistics.ess.unwrap();
            if matches!(origin, SampleOrigin::Flow) {
                assert!((ess - 1.0).abs() < 1e-5, "{ess}");
            } else {
                assert!(ess > 0.01 && ess < 1.0 + 1e-9, "{ess}");
            }
        }
    }
}

#[test]
fn a_wrong_model_is_seen() {
    // σ² = T^b with b = 0.6: the score differs by (b − 1)/(2T) · Σ(z² − 1), variance (b − 1)²/T².
    let model = Model::new(false, [0.0; DIM], [0.6; DIM], [0.0; DIM], [1.0; DIM]);
    let loss = number(&first(
        continuous(fresh(squared(), 20_000), Bath::default()),
        &model,
    ));
    assert!(loss > 0.16 / 1.5_f64.powi(2) * 0.5, "{loss}");
}

#[test]
fn residuals_along_the_logarithm_and_widths_by_the_root_scale_with_the_condition() {
    let model = Model::new(false, [0.0; DIM], [0.6; DIM], [0.0; DIM], [1.0; DIM]);
    let c = first_condition();
    assert!((c - 1.0).abs() > 0.2, "{c}");
    let loss = |logarithmic, blur| {
        let config = TradeConfig {
            logarithmic,
            blur,
            ..squared()
        };
        number(&first(
            continuous(fresh(config, 4096), Bath::default()),
            &model,
        ))
    };
    let assert_same = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-4, "{a} {b}");
    let none = Blur::default();
    // c ∂_c = ∂_{log c}, squared.
    assert_same(loss(true, none), c * c * loss(false, none));
    let of_width = |width| Blur { width, ..none };
    let wider = Blur {
        scale_by_root: true,
        ..of_width(0.5)
    };
    let narrower = Blur {
        scale_by_inverse_root: true,
        ..of_width(0.5)
    };
    assert_same(loss(false, wider), loss(false, of_width(0.5 * c.sqrt())));
    assert_same(loss(false, narrower), loss(false, of_width(0.5 / c.sqrt())));
    assert!((loss(false, narrower) / loss(false, none) - 1.0).abs() > 0.01);
    // Widths between two that are the same are that width; between none and one, the loss lies
    // between those of both.
    let between = |width, widest| Blur {
        widest: Some(widest),
        ..of_width(width)
    };
    assert_same(loss(false, between(0.5, 0.5)), loss(false, of_width(0.5)));
    let (low, mid, high) = (
        loss(false, none),
        loss(false, between(0.0, 0.5)),
        loss(false, of_width(0.5)),
    );
    assert!(
        low.min(high) < mid && mid < low.max(high),
        "{low} {mid} {high}"
    );
    let both = TradeConfig {
        blur: Blur {
            scale_by_root: true,
            ..narrower
        },
        ..squared()
    };
    let error = trade_core::objective::ValidateOver::validate_over(&both, &[(0.5, 1.0)], "trade")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("trade.blur.scale_by_inverse_root"),
        "{error}"
    );
}

#[test]
fn energy_free_routes_agree_with_the_target() {
    let loss = |energy, likelihood: bool, model: &Model| {
        let bath = Bath {
            likelihood,
            ..Bath::default()
        };
        let config = fresh(
            TradeConfig {
                energy,
                ..squared()
            },
            4096,
        );
        let term = first(continuous(config, bath), model);
        (number(&term), term.read().statistics.ess.unwrap())
    };
    let assert_same = |a: (f64, f64), b: (f64, f64)| {
        assert!((a.0 - b.0).abs() < 1e-3 * a.0.abs() + 1e-8, "{a:?} {b:?}");
        assert!((a.1 - b.1).abs() < 1e-4, "{a:?} {b:?}");
    };
    // Far from the base, where the energies of a wrong model differ.
    assert!(
        (first_condition() - 1.0).abs() > 0.2,
        "{}",
        first_condition()
    );
    for likelihood in [false, true] {
        let bath = Bath {
            likelihood,
            ..Bath::default()
        };
        // The exact model: all three are the target's score up to a constant.
        let exact = bath.solution();
        let truth = loss(EnergyOrigin::GroundTruth, likelihood, &exact);
        assert_same(truth, loss(EnergyOrigin::FlowAtBase, likelihood, &exact));
        assert_same(
            truth,
            loss(EnergyOrigin::FlowAtCondition, likelihood, &exact),
        );
        // Exact at the base, wrong elsewhere: the base knows the energy, the condition does not.
        // For the likelihood, τ = 2 at the base: a = −½ log 2 + ½ · 0.4 · log 2 with b = −0.4.
        let (log_scale, power) = if likelihood {
            (-0.3 * 2_f64.ln(), -0.4)
        } else {
            (0.0, 0.5)
        };
        let wrong = Model::new(
            likelihood,
            [log_scale; DIM],
            [power; DIM],
            [0.0; DIM],
            [1.0; DIM],
        );
        let truth = loss(EnergyOrigin::GroundTruth, likelihood, &wrong);
        assert!(truth.0 > 1e-3, "{truth:?}");
        assert_same(truth, loss(EnergyOrigin::FlowAtBase, likelihood, &wrong));
        let own = loss(EnergyOrigin::FlowAtCondition, likelihood, &wrong);
        assert!((own.0 / truth.0 - 1.0).abs() > 0.1, "{own:?} {truth:?}");
    }
}

#[test]
fn an_expectation_belongs_to_one_context() {
    // The context shifts the energy, so that scores of different contexts differ by constants of
    // order Var[Σy]/(2T²)² ~ 1; within a context they cancel.
    let n = 5000;
    let contexts = Stream::new(51, 0).normal(4096);
    let with_context = Dataset::clone(&data(4096))
        .with_context(contexts, 1)
        .unwrap();
    let problem = Problem {
        data: Some(Arc::new(with_context)),
        ..problem(Bath::default())
    };
    for origin in [SampleOrigin::Flow, SampleOrigin::Normal] {
        let config = TradeContinuousConfig {
            contexts: 8,
            conditions: 2,
            expectation_from: origin,
            ..fresh(squared(), n)
        };
        let objective = TradeContinuous::new(config, problem.clone()).unwrap();
        let term = first(Box::new(objective), &Bath::default().solution());
        // Five standard errors; a foreign proposal has weights of its own in each group.
        let proposal = if origin == SampleOrigin::Flow {
            1.0
        } else {
            2.5
        };
        let bound = 25.0 * 4.0 * proposal / n as f64;
        assert!(number(&term) < bound, "{origin:?} {}", number(&term));
        let uniform = (term.read().statistics.ess.unwrap() - 1.0).abs() < 1e-5;
        assert_eq!(uniform, origin == SampleOrigin::Flow);
    }
}

#[test]
fn grid_expectations_are_moving_averages() {
    let run = |retain: f64| -> Vec<Vec<f64>> {
        let config = TradeGridConfig {
            trade: TradeConfig {
                points: SampleOrigin::Normal,
                ..squared()
            },
            points: 2,
            expectation_from: SampleOrigin::Normal,
            expectation_samples: 50,
            expectation_every: 1,
            expectation_retain: retain,
            causality: CausalityConfig {
                enabled: false,
                ..CausalityConfig::default()
            },
            ..TradeGridConfig::default()
        };
        let mut objective: Boxed =
            Box::new(TradeGrid::new(config, problem(Bath::default())).unwrap());
        let model = Model::wrong();
        let mut streams = Streams::new(SEED);
        let means = |at| {
            step(&mut objective, &model, &model.valid(), &mut streams, at);
            let state = objective.state();
            let entries = state["expectations"].as_array().unwrap();
            entries
                .iter()
                .map(|e| e["mean"].as_f64().unwrap())
                .collect()
        };
        (0..6).map(means).collect()
    };
    // Without memory each refresh shows the new estimate alone.
    let fresh = run(0.0);
    let mut expected = fresh[0].clone();
    for (at, found) in run(0.75).iter().enumerate() {
        for (k, e) in expected.iter_mut().enumerate() {
            if at > 0 {
                *e = 0.75 * *e + 0.25 * fresh[at][k];
            }
            assert!((found[k] - *e).abs() < 1e-12, "{at} {k}: {} {e}", found[k]);
        }
    }
    // ⟨∂_T log q⟩ = d/(2T) at T = 0.5, 1, 1.5, from 50 samples.
    for (k, t) in [0.5, 1.0, 1.5].into_iter().enumerate() {
        let mean = fresh.iter().map(|m| m[k]).sum::<f64>() / 6.0;
        assert!((mean * t - 1.0).abs() < 0.4, "{t}: {mean}");
    }
}

/// One Gaussian entry of the model on the host: `log σ`, `z`.
struct Host {
    a: [f64; DIM],
    b: [f64; DIM],
    t: [f64; DIM],
}

impl Host {
    /// The parameters of [`Gaussian::wrong`].
    fn wrong() -> Self {
        let v = values(&Gaussian::<Flex>::wrong());
        Self {
            a: [v[0], v[1]],
            b: [v[2], v[3]],
            t: [v[4], v[5]],
        }
    }

    fn log_prob(&self, x: &[f64], temperature: f64) -> f64 {
        let entry = |i: usize| {
            let log_sigma = self.a[i] + 0.5 * self.b[i] * temperature.ln();
            let z = (x[i] - self.t[i]) / log_sigma.exp();
            -0.5 * z * z - log_sigma - 0.5 * TAU.ln()
        };
        (0..DIM).map(entry).sum()
    }

    fn score(&self, x: &[f64], temperature: f64) -> f64 {
        let step = 1e-5;
        (self.log_prob(x, temperature + step) - self.log_prob(x, temperature - step)) / (2.0 * step)
    }
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// The uniform schedule's first condition in [`first`].
fn first_condition() -> f64 {
    RANGE.0 + (RANGE.1 - RANGE.0) * Streams::new(SEED).get(Purpose::Condition).uniform_one()
}

#[test]
fn trade_is_what_the_formula_says_and_leaves_out_what_has_no_density() {
    // Points and samples from N(0, 1): everything can be done again on the host.
    let n = 600;
    let wall = 0.8;
    let cases = [
        (None, Centre::Expectation, Robust::Squared),
        (Some(wall), Centre::Expectation, Robust::Squared),
        (None, Centre::Points, Robust::Squared),
        (Some(wall), Centre::Points, Robust::Squared),
        (None, Centre::Points, Robust::Absolute),
        (Some(wall), Centre::Points, Robust::Absolute),
    ];
    for (wall, centre, penalty) in cases {
        let config = TradeContinuousConfig {
            expectation_from: SampleOrigin::Normal,
            ..fresh(
                TradeConfig {
                    points: SampleOrigin::Normal,
                    centre,
                    penalty,
                    ..squared()
                },
                n,
            )
        };
        let bath = Bath {
            wall,
            ..Bath::default()
        };
        let model = Model::wrong();
        let term = first(continuous(config, bath), &model);

        let t = first_condition();
        let noise = Streams::new(SEED).get(Purpose::Expectation).normal(n * DIM);
        let noise: Vec<f64> = noise.into_iter().map(f64::from).collect();
        let points: Vec<&[f64]> = noise
            .chunks(DIM)
            .filter(|x| wall.is_none_or(|wall| x[0] <= wall))
            .collect();
        let weight = |x: &[f64]| (-square(x) / (2.0 * t) + square(x) / 2.0).exp();
        let g = |x: &[f64]| square(x) / (2.0 * t * t);
        let total: f64 = points.iter().map(|x| weight(x)).sum();
        let mean = points.iter().map(|x| weight(x) * g(x)).sum::<f64>() / total;
        let squares: f64 = points.iter().map(|x| weight(x).powi(2)).sum();
        let host = Host::wrong();
        let residual = |x: &&[f64]| host.score(x, t) - (g(x) - mean);
        let mut residuals: Vec<f64> = points.iter().map(residual).collect();
        residuals.sort_by(f64::total_cmp);
        let n_points = points.len();
        let about = match (centre, penalty) {
            (Centre::Expectation, _) => 0.0,
            (_, Robust::Squared) => residuals.iter().sum::<f64>() / n_points as f64,
            _ => f64::midpoint(residuals[(n_points - 1) / 2], residuals[n_points / 2]),
        };
        let each = |r: &f64| match penalty {
            Robust::Squared => (r - about).powi(2),
            _ => (r - about).abs(),
        };
        let loss = residuals.iter().map(each).sum::<f64>() / n_points as f64;
        assert!(
            (number(&term) / loss - 1.0).abs() < 1e-4,
            "{} {loss}",
            number(&term)
        );
        let ess = total * total / (n as f64 * squares);
        assert!((term.read().statistics.ess.unwrap() - ess).abs() < 1e-5);
        assert_eq!(term.read().statistics.non_finite, n - points.len());
        assert_eq!(wall.is_some(), points.len() < n);
        assert!(gradient(term.loss, &model).iter().all(|g| g.is_finite()));
    }
}

/// Sixteen points a condition: enough for a centre, far too few for an expectation.
fn centred(penalty: Robust) -> [Boxed; 2] {
    let trade = TradeConfig {
        centre: Centre::Points,
        penalty,
        ..squared()
    };
    let config = TradeContinuousConfig {
        conditions: 4,
        ..fresh(trade.clone(), 16)
    };
    let grid = TradeGridConfig {
        trade,
        points: 6,
        batch: 64,
        points_per_condition: 16,
        ..TradeGridConfig::default()
    };
    let grid = TradeGrid::new(grid, problem(Bath::default())).unwrap();
    [continuous(config, Bath::default()), Box::new(grid)]
}

#[test]
fn a_residual_centred_over_its_points_vanishes_at_the_solution_with_few_of_them() {
    let solution = Bath::default().solution();
    for penalty in [Robust::Squared, Robust::Absolute] {
        for objective in centred(penalty) {
            let loss = number(&first(objective, &solution));
            assert!((0.0..1e-5).contains(&loss), "{penalty:?} {loss}");
        }
    }
    // The variance of the score's error, (b − 1)²/T² with b = 0.6, over T from 0.5 to 1.5: between
    // 0.07 and 0.64, and a few of 16 points make of it.
    let wrong = Model::new(false, [0.0; DIM], [0.6; DIM], [0.0; DIM], [1.0; DIM]);
    for objective in centred(Robust::Squared) {
        let loss = number(&first(objective, &wrong));
        assert!((0.02..2.0).contains(&loss), "{loss}");
    }
}

#[test]
fn the_gradient_of_a_centred_residual_is_that_of_differences() {
    for penalty in [Robust::Squared] {
        let term = |model: &Model| {
            let trade = TradeConfig {
                centre: Centre::Points,
                points: SampleOrigin::Normal,
                penalty,
                ..squared()
            };
            let config = TradeContinuousConfig {
                conditions: 3,
                expectation_from: SampleOrigin::Normal,
                ..fresh(trade, 15)
            };
            first(continuous(config, Bath::default()), model)
        };
        let model = Model::wrong();
        let found = gradient(term(&model).loss, &model);
        let step = 2e-3;
        for (which, found) in found.into_iter().enumerate() {
            let at = |step| number(&term(&moved(model.clone(), which, step)));
            let expected = (at(step) - at(-step)) / (2.0 * step);
            // The median is a constant to the gradient, but one of the residuals in a difference.
            let tolerance = if penalty == Robust::Squared {
                0.02
            } else {
                0.5
            };
            assert!(
                (found - expected).abs() < tolerance * expected.abs().max(0.05),
                "{penalty:?} {which}: {found} {expected}"
            );
        }
    }
}

#[test]
fn every_term_checks_its_own_settings() {
    let refusals = [
        Nll::new(
            NllConfig {
                batch: 0,
                ..NllConfig::default()
            },
            data(10),
        )
        .err(),
        ReverseKl::new(
            ReverseKlConfig {
                batch: 0,
                ..ReverseKlConfig::default()
            },
            problem(Bath::default()),
        )
        .err(),
        LogVariance::new(
            LogVarianceConfig {
                batch: 1,
                ..LogVarianceConfig::default()
            },
            problem(Bath::default()),
        )
        .err(),
        ReweightedNll::new(
            ReweightedNllConfig {
                batch: 0,
                ..ReweightedNllConfig::default()
            },
            problem(Bath::default()),
            data(10),
        )
        .err(),
        RefinedNll::new(
            RefinedNllConfig {
                batch: 0,
                ..RefinedNllConfig::default()
            },
            problem(Bath::default()),
        )
        .err(),
    ];
    for error in refusals {
        let error = error.unwrap().to_string();
        assert!(
            error.contains(".batch") || error.contains("batch`"),
            "{error}"
        );
    }
}

#[test]
fn weights_of_a_likelihood_need_a_positive_exponent() {
    // The target says nothing of its domain, and a linear spacing takes no logarithm.
    for range in [(0.0, 1.5), (-0.5, 1.5)] {
        let problem = Problem {
            ranges: vec![range],
            ..problem(Bath::default())
        };
        let config = ReweightedNllConfig {
            conditions: UNIFORM,
            ..ReweightedNllConfig::default()
        };
        let error = ReweightedNll::new(config, problem, data(10)).err().unwrap();
        let error = error.to_string();
        let found = format!("found {}", range.0);
        assert!(
            error.contains("positive") && error.contains(&found),
            "{error}"
        );
    }
}

#[test]
fn a_centre_needs_two_points() {
    let trade = TradeConfig {
        centre: Centre::Points,
        ..squared()
    };
    let grid = TradeGridConfig {
        trade: trade.clone(),
        ..TradeGridConfig::default()
    };
    let error = TradeGrid::new(grid, problem(Bath::default()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("points_per_condition"));
    let config = TradeContinuousConfig {
        evaluation_points: Some(1),
        ..fresh(trade, 16)
    };
    let error = TradeContinuous::new(config, problem(Bath::default()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("evaluation_points"));
}

#[test]
fn what_is_not_finite_is_left_out_of_every_term() {
    // Behind the wall log q = −∞. The sampled terms keep the other points.
    let wall = 0.8;
    let n = 600;
    let model = Model::wrong();
    let bath = || Bath {
        wall: Some(wall),
        ..Bath::default()
    };
    let host = Host::wrong();
    let noise = Streams::new(SEED).get(Purpose::Latent).normal(n * DIM);
    let at = |z: &[f32], t: f64| -> Vec<f64> {
        let sigma = |i: usize| (host.a[i] + 0.5 * host.b[i] * t.ln()).exp();
        (0..DIM)
            .map(|i| host.t[i] + sigma(i) * f64::from(z[i]))
            .collect()
    };
    let log_ratio = |x: &[f64], t: f64| host.log_prob(x, t) + square(x) / (2.0 * t);
    let inside = |t: f64| -> Vec<f64> {
        let points = noise.chunks(DIM).map(|z| at(z, t)).filter(|x| x[0] <= wall);
        points.map(|x| log_ratio(&x, t)).collect()
    };
    let check = |term: Term<Training>, kept: usize, loss: f64| {
        assert!(
            (number(&term) - loss).abs() < 1e-4 * loss.abs(),
            "{} {loss}",
            number(&term)
        );
        assert_eq!(term.read().statistics.non_finite, n - kept);
        assert!(kept < n && gradient(term.loss, &model).iter().all(|g| g.is_finite()));
    };

    let config = ReverseKlConfig {
        batch: n,
        conditions: None,
        ..ReverseKlConfig::default()
    };
    let kept = inside(1.0);
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    check(
        first(
            Box::new(ReverseKl::new(config, problem(bath())).unwrap()),
            &model,
        ),
        kept.len(),
        mean,
    );

    let config = LogVarianceConfig {
        batch: n,
        conditions: UNIFORM,
        ..LogVarianceConfig::default()
    };
    let kept = inside(first_condition());
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    let variance = kept.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / kept.len() as f64;
    check(
        first(
            Box::new(LogVariance::new(config, problem(bath())).unwrap()),
            &model,
        ),
        kept.len(),
        variance,
    );
}

#[test]
fn sampled_terms_at_the_solution() {
    let solution = || Bath::default().solution();
    let config = LogVarianceConfig {
        conditions: UNIFORM,
        ..LogVarianceConfig::default()
    };
    let loss = number(&first(
        Box::new(LogVariance::new(config, problem(Bath::default())).unwrap()),
        &solution(),
    ));
    assert!((0.0..1e-10).contains(&loss), "{loss}");
    // log p − log q = −log Z = −log 2πT at every point of the base T = 1.
    let config = ReverseKlConfig {
        conditions: None,
        ..ReverseKlConfig::default()
    };
    let loss = number(&first(
        Box::new(ReverseKl::new(config, problem(Bath::default())).unwrap()),
        &solution(),
    ));
    assert!((loss + TAU.ln()).abs() < 1e-5, "{loss}");
}

#[test]
fn log_variance_at_the_base_sees_what_lies_beyond_the_data() {
    let loss = |points, widest, model: &Model| {
        let config = LogVarianceConfig {
            batch: 4096,
            conditions: Schedule::Bases,
            points,
            blur: Blur {
                widest,
                ..Blur::default()
            },
            ..LogVarianceConfig::default()
        };
        number(&first(
            Box::new(LogVariance::new(config, problem(Bath::default())).unwrap()),
            model,
        ))
    };
    let solution = Bath::default().solution();
    // A base as wide as √e too wide: log p − log q = (1 − 1/e)|x|²/2 + const. At points of N(0, v)
    // its variance is (1 − 1/e)² v² d/2, and v grows with the points' spread.
    let wrong = Model::new(false, [0.5; DIM], [1.0; DIM], [0.0; DIM], [0.0; DIM]);
    let coefficient = (1.0 - (-1.0_f64).exp()).powi(2) * 0.5 * DIM as f64;
    let data = loss(SampleOrigin::Data, None, &wrong);
    // 4096 rows of 4096, with repeats; the relative error of a variance of squares is below 10 %.
    assert!(
        (data / coefficient - 1.0).abs() < 0.3,
        "{data} {coefficient}"
    );
    let wide = loss(SampleOrigin::Data, Some(3.0), &wrong);
    assert!(wide > 5.0 * data, "{wide} {data}");
    let range = loss(SampleOrigin::FlowOverRange, None, &wrong);
    let own = loss(SampleOrigin::Flow, None, &wrong);
    // Temperatures from 0.5 to 1.5, even in the logarithm: E[T²] + Var[T] = 0.99.
    assert!(
        range != own && (range / own - 0.99).abs() < 0.3,
        "{range} {own}"
    );
    // From the one base on, the temperatures are even in the logarithm too.
    let along = loss(SampleOrigin::FlowAlong, None, &wrong);
    assert!(
        along != own && (along / own - 0.99).abs() < 0.3,
        "{along} {own}"
    );
    for (points, widest) in [
        (SampleOrigin::Data, Some(3.0)),
        (SampleOrigin::FlowAlong, None),
        (SampleOrigin::FlowOverRange, None),
    ] {
        let none = loss(points, widest, &solution);
        assert!((0.0..1e-8).contains(&none), "{none}");
    }
}

#[test]
fn likelihood_terms_are_what_the_formulas_say() {
    let n = 300;
    let model = Model::wrong();
    let host = Host::wrong();
    let x: Vec<f64> = Stream::new(50, 0)
        .normal(n * DIM)
        .into_iter()
        .map(f64::from)
        .collect();
    let mean = |f: &dyn Fn(&[f64]) -> f64| x.chunks(DIM).map(f).sum::<f64>() / n as f64;

    let config = NllConfig {
        batch: n,
        ..NllConfig::default()
    };
    let loss = number(&first(Box::new(Nll::new(config, data(n)).unwrap()), &model));
    let expected = mean(&|x| -host.log_prob(x, 1.0));
    assert!((loss / expected - 1.0).abs() < 1e-5, "{loss} {expected}");

    // With noise in the target's own coordinates: here all states are drawn in by the width.
    let config = NllConfig {
        batch: n,
        noise: 0.25,
        ..NllConfig::default()
    };
    let drawn_in: Perturbation = Arc::new(|states, widths, _| {
        let rows = states.chunks(DIM).zip(widths);
        rows.flat_map(|(row, width)| row.iter().map(|x| x * *width as f32).collect::<Vec<_>>())
            .collect()
    });
    let nll = Nll::new(config, data(n))
        .unwrap()
        .perturbed_by(Some(drawn_in));
    let loss = number(&first(Box::new(nll), &model));
    let expected = mean(&|x| {
        let near: Vec<f64> = x.iter().map(|x| 0.25 * x).collect();
        -host.log_prob(&near, 1.0)
    });
    assert!((loss / expected - 1.0).abs() < 1e-5, "{loss} {expected}");

    // One temperature for all, by a range of no width; every row once, in random order.
    for t in [0.5, 1.4] {
        let problem = Problem {
            ranges: vec![(t, t * (1.0 + 1e-12))],
            ..problem(Bath::default())
        };
        let config = ReweightedNllConfig {
            batch: n,
            conditions: UNIFORM,
            ..ReweightedNllConfig::default()
        };
        let loss = number(&first(
            Box::new(ReweightedNll::new(config, problem, data(n)).unwrap()),
            &model,
        ));
        let reference = |x: &[f64]| -host.log_prob(x, 1.0);
        let least = x.chunks(DIM).map(reference).fold(f64::INFINITY, f64::min);
        let weight = |x: &[f64]| ((-reference(x) + least) * (1.0 / t - 1.0)).exp();
        let expected = mean(&|x| -host.log_prob(x, t) * weight(x));
        assert!(
            (loss / expected - 1.0).abs() < 1e-4,
            "{t}: {loss} {expected}"
        );
    }
}

/// `E[−log p_θ]` of the wrong model at the temperature `t` under independent entries with these first
/// and second moments.
fn cross_entropy(t: f64, moments: [[f64; 2]; DIM]) -> f64 {
    let host = Host::wrong();
    let entry = |(i, [first, second]): (usize, [f64; 2])| {
        let log_sigma = host.a[i] + 0.5 * host.b[i] * t.ln();
        let mean = host.t[i];
        let square = second - 2.0 * mean * first + mean * mean;
        0.5 * TAU.ln() + log_sigma + 0.5 * square * (-2.0 * log_sigma).exp()
    };
    moments.into_iter().enumerate().map(entry).sum()
}

#[test]
fn a_refined_likelihood_is_that_of_the_target() {
    let n = 40_000;
    let refined = |t: f64, bath: Bath, contexts: bool| {
        let mut problem = Problem {
            ranges: vec![(t, t * (1.0 + 1e-12))],
            ..problem(bath)
        };
        if contexts {
            let observed = Stream::new(51, 0).normal(4096);
            let data = Dataset::clone(&data(4096)).with_context(observed, 1);
            problem.data = Some(Arc::new(data.unwrap()));
        }
        let config = RefinedNllConfig {
            batch: n,
            buffer: n,
            draws: n,
            kept: n,
            conditions: UNIFORM,
            ..RefinedNllConfig::default()
        };
        first(
            Box::new(RefinedNll::new(config, problem).unwrap()),
            &Model::wrong(),
        )
    };
    // The deviation of −log p_θ is about 1; it is averaged over the draws with their weights, over what is
    // kept of them and over the batch. Four standard errors of 2/√n.
    let close = |term: &Term<Training>, expected: f64| {
        let loss = number(term);
        assert!((loss - expected).abs() < 0.04, "{loss} {expected}");
        let ess = term.read().statistics.ess.unwrap();
        assert!(ess > 0.3 && ess < 0.99, "{ess}");
    };
    for t in [0.5, 1.0, 1.4] {
        let exact = cross_entropy(t, [[0.0, t]; DIM]);
        close(&refined(t, Bath::default(), false), exact);
        // Its own samples, of another distribution, have another mean.
        let host = Host::wrong();
        let own = std::array::from_fn(|i| {
            let variance = (2.0 * host.a[i] + host.b[i] * t.ln()).exp();
            [host.t[i], variance + host.t[i].powi(2)]
        });
        let own = cross_entropy(t, own);
        assert!((own - exact).abs() > 0.1, "{own} {exact}");
    }
    close(
        &refined(1.0, Bath::default(), true),
        cross_entropy(1.0, [[0.0, 1.0]; DIM]),
    );
    // Without density beyond 0.8 the first entry is a normal number that is cut off there.
    let bath = Bath {
        wall: Some(0.8),
        ..Bath::default()
    };
    let ratio = 0.289_691_552_761_483 / 0.788_144_601_416_603;
    let cut = [-ratio, 1.0 - 0.8 * ratio];
    close(
        &refined(1.0, bath, false),
        cross_entropy(1.0, [cut, [0.0, 1.0]]),
    );
}

#[test]
fn a_flow_that_misses_the_target_is_not_moved_by_its_refinement() {
    let bath = Bath {
        wall: Some(-1e6),
        ..Bath::default()
    };
    let term = first(
        Box::new(RefinedNll::new(refined(), problem(bath)).unwrap()),
        &Model::wrong(),
    );
    let statistics = term.read().statistics;
    assert_eq!((number(&term), statistics.ess), (0.0, Some(0.0)));
    let moved = gradient(term.loss, &Model::wrong());
    assert!(moved.iter().all(|g| *g == 0.0), "{moved:?}");
}

/// Every objective in several settings, built anew for each evaluation.
fn all() -> Vec<(String, Box<dyn Fn() -> Boxed>)> {
    let mut all: Vec<(String, Box<dyn Fn() -> Boxed>)> = Vec::new();
    let mut add = |name: String, build: Box<dyn Fn() -> Boxed>| all.push((name, build));
    let moving = || Bath {
        moving: true,
        ..Bath::default()
    };
    for energy in [
        EnergyOrigin::GroundTruth,
        EnergyOrigin::FlowAtBase,
        EnergyOrigin::FlowAtCondition,
    ] {
        let config = move || {
            fresh(
                TradeConfig {
                    energy,
                    ..squared()
                },
                200,
            )
        };
        add(
            format!("continuous {energy:?}"),
            Box::new(move || continuous(config(), Bath::default())),
        );
    }
    let clips = [
        (Robust::Huber(0.7), Clip::default()),
        (
            Robust::SmoothL1(0.7),
            Clip {
                clip: Some(50.0),
                log_clip: Some(0.05),
            },
        ),
    ];
    for (penalty, clip) in clips {
        let trade = TradeConfig {
            penalty,
            clip,
            direction: DirectionMode::Sphere,
            ..TradeConfig::default()
        };
        let config = move || TradeContinuousConfig {
            conditions: 3,
            ..fresh(trade.clone(), 100)
        };
        add(
            format!("continuous {penalty:?}"),
            Box::new(move || continuous(config(), moving())),
        );
    }
    add(
        "grid".into(),
        Box::new(|| {
            let config = TradeGridConfig {
                trade: squared(),
                points: 5,
                batch: 200,
                expectation_samples: 300,
                ..TradeGridConfig::default()
            };
            Box::new(TradeGrid::new(config, problem(Bath::default())).unwrap())
        }),
    );
    add(
        "nll".into(),
        Box::new(|| {
            let config = NllConfig {
                batch: 200,
                noise: 0.3,
                ..NllConfig::default()
            };
            Box::new(Nll::new(config, data(500)).unwrap())
        }),
    );
    for conditions in [None, Some(UNIFORM)] {
        add(
            format!("reverse KL {conditions:?}"),
            Box::new(move || {
                let config = ReverseKlConfig {
                    batch: 200,
                    conditions: conditions.clone(),
                    ..ReverseKlConfig::default()
                };
                Box::new(
                    ReverseKl::new(
                        config,
                        problem(Bath {
                            moving: true,
                            ..Bath::default()
                        }),
                    )
                    .unwrap(),
                )
            }),
        );
    }
    add(
        "log variance".into(),
        Box::new(|| {
            let config = LogVarianceConfig {
                batch: 200,
                conditions: UNIFORM,
                ..LogVarianceConfig::default()
            };
            Box::new(LogVariance::new(config, problem(Bath::default())).unwrap())
        }),
    );
    add(
        "reweighted".into(),
        Box::new(|| {
            let config = ReweightedNllConfig {
                batch: 200,
                conditions: UNIFORM,
                ..ReweightedNllConfig::default()
            };
            Box::new(ReweightedNll::new(config, problem(Bath::default()), data(500)).unwrap())
        }),
    );
    add(
        "refined".into(),
        Box::new(|| Box::new(RefinedNll::new(refined(), problem(Bath::default())).unwrap())),
    );
    all
}

/// A buffer of few draws, which turns over within the steps of a test.
fn refined() -> RefinedNllConfig {
    RefinedNllConfig {
        batch: 200,
        buffer: 300,
        draws: 400,
        kept: 100,
        every: 3,
        conditions: UNIFORM,
        ..RefinedNllConfig::default()
    }
}

#[test]
fn gradients_are_differences_of_the_loss() {
    // Five-point differences in single precision: truncation about 1e-6, rounding about 1e-5.
    const STEP: f64 = 0.05;
    let model = Model::wrong();
    let frozen = model.valid();
    for (name, build) in all() {
        // What is constant in a step sees the frozen model; only the model moves.
        let term = |model: &Model| step(&mut build(), model, &frozen, &mut Streams::new(SEED), 3);
        let found = gradient(term(&model).loss, &model);
        assert!(
            found.iter().filter(|g| g.abs() > 1e-3).count() >= 4,
            "{name}: {found:?}"
        );
        for (i, found) in found.iter().enumerate() {
            let at = |steps: f64| number(&term(&moved(model.clone(), i, steps * STEP)));
            let expected = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP);
            let error = (found - expected).abs();
            assert!(
                error < 2e-3 * (1.0 + expected.abs()),
                "{name} {i}: {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn objectives_go_on_from_their_state() {
    let model = Model::wrong();
    let frozen = model.valid();
    for (name, build) in all() {
        let mut streams = Streams::new(12);
        let mut objective = build();
        for at in 0..7 {
            step(&mut objective, &model, &frozen, &mut streams, at);
        }
        let state = serde_json::to_string(&objective.state()).unwrap();
        let mut resumed = build();
        resumed
            .restore(serde_json::from_str(&state).unwrap())
            .unwrap();
        let mut resumed_streams = Streams::restore(&streams.state()).unwrap();
        for at in 7..20 {
            let expected = number(&step(&mut objective, &model, &frozen, &mut streams, at));
            let found = number(&step(
                &mut resumed,
                &model,
                &frozen,
                &mut resumed_streams,
                at,
            ));
            assert_eq!(found.to_bits(), expected.to_bits(), "{name} {at}");
        }
        assert_eq!(streams.state(), resumed_streams.state());
    }
}

#[test]
fn a_foreign_state_is_refused() {
    let build = |points: usize| -> Boxed {
        let config = TradeGridConfig {
            points,
            ..TradeGridConfig::default()
        };
        Box::new(TradeGrid::new(config, problem(Bath::default())).unwrap())
    };
    let error = build(5).restore(build(7).state()).unwrap_err().to_string();
    assert!(error.contains("trade_grid"), "{error}");
    assert!(build(5).restore(serde_json::json!({ "drawn": 3 })).is_err());
    let state = |rows: &str| serde_json::json!({ "rows": rows, "next": 0, "ess": null, "wait": 1 });
    let refinement =
        || -> Boxed { Box::new(RefinedNll::new(refined(), problem(Bath::default())).unwrap()) };
    refinement().restore(state(&"3f800000".repeat(3))).unwrap();
    for rows in [
        "3f800000",
        "3f80000x3f8000003f800000",
        &"3f800000".repeat(903),
    ] {
        let error = refinement().restore(state(rows)).unwrap_err().to_string();
        assert!(
            error.contains("refined_nll") && error.contains("300 rows of 3"),
            "{error}"
        );
    }
}
