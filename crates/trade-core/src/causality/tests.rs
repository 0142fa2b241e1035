use super::*;
use crate::grid::{GridConfig, Spacing};

fn grid(points: usize, bases: &[f64]) -> Grid {
    let max = (points - 1) as f64;
    GridConfig {
        min: 0.0,
        max,
        points,
        spacing: Spacing::Linear,
    }
    .init(bases)
    .unwrap()
}

fn with_losses(config: CausalityConfig, grid: &Grid, losses: &[f64]) -> Causality {
    let config = CausalityConfig {
        retain: 0.0,
        ..config
    };
    let mut causality = config.init(grid).unwrap();
    let indices: Vec<usize> = (0..losses.len()).collect();
    causality.update(&indices, losses).unwrap();
    causality
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-12, "{found:?} against {expected:?}");
    }
}

#[test]
fn outside_the_bases_the_losses_add_up_from_the_base() {
    let config = CausalityConfig {
        epsilon: 2.0,
        ..CausalityConfig::default()
    };
    let mut causality = with_losses(config, &grid(5, &[1.0]), &[0.5, 0.1, 0.2, 0.3, 9.0]);
    causality.refresh(0, 100);
    // Left: base only. Right: 0.1, then 0.1 + 0.2, then 0.1 + 0.2 + 0.3; times −2.
    close(causality.log_weights(), &[-0.2, 0.0, -0.2, -0.6, -1.2]);
}

#[test]
fn between_bases_the_weights_are_combined() {
    // Bases 0 and 4: D = 4; points 1, 2, 3 have d = 3, 2, 1 and k = 1, ½, 0.
    let config = CausalityConfig {
        epsilon: 2.0,
        between_factor: 0.5,
        ..CausalityConfig::default()
    };
    let mut causality = with_losses(
        config,
        &grid(6, &[0.0, 4.0]),
        &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2],
    );
    causality.refresh(0, 100);
    // ε between = 1: s from base 0 at point 2 is 0.3; from base 4 it is 0.8 + 1.6 = 2.4.
    let middle = f64::midpoint((-0.3_f64).exp(), (-2.4_f64).exp()).ln();
    close(
        causality.log_weights(),
        &[0.0, -0.1, middle, -1.6, 0.0, -3.2],
    );
}

#[test]
fn a_single_point_between_bases_takes_the_plain_average() {
    let mut causality = with_losses(
        CausalityConfig::default(),
        &grid(3, &[0.0, 2.0]),
        &[0.1, 5.0, 0.7],
    );
    causality.refresh(0, 1);
    let average = f64::midpoint((-0.1_f64).exp(), (-0.7_f64).exp()).ln();
    close(causality.log_weights(), &[0.0, average, 0.0]);
}

#[test]
fn losses_may_be_weighted_by_the_spacing() {
    let log = GridConfig {
        min: 1.0,
        max: 8.0,
        points: 4,
        spacing: Spacing::Log,
    };
    let config = CausalityConfig {
        weight_by_spacing: true,
        ..CausalityConfig::default()
    };
    let losses = [0.5, 0.25, 0.1, 0.2];
    let mut causality = with_losses(config.clone(), &log.init(&[1.0]).unwrap(), &losses);
    causality.refresh(0, 1);
    // 0.5 · 1, then 0.25 · 2 and 0.1 · 4 more.
    close(causality.log_weights(), &[0.0, -0.5, -1.0, -1.4]);
    let mut causality = with_losses(config, &log.init(&[8.0]).unwrap(), &losses);
    causality.refresh(0, 1);
    // From above: 0.2 · 4, then 0.1 · 2 and 0.25 · 1 more.
    close(causality.log_weights(), &[-1.25, -1.0, -0.8, 0.0]);
}

#[test]
fn running_losses_follow_the_update_rule() {
    let config = CausalityConfig {
        retain: 0.5,
        ..CausalityConfig::default()
    };
    let mut causality = config.init(&grid(3, &[0.0])).unwrap();
    causality.update(&[1, 1, 2], &[1.0, 3.0, 8.0]).unwrap();
    close(causality.losses(), &[0.0, 1.0, 4.0]);
    causality.update(&[1, 2], &[0.0, f64::NAN]).unwrap();
    close(causality.losses(), &[0.0, 0.5, 4.0]);

    let config = CausalityConfig {
        retain_per_hit: true,
        ..config
    };
    let mut causality = config.init(&grid(3, &[0.0])).unwrap();
    // 1 − 0.5² = 0.75 and 1 − 0.5¹; the infinite loss is no hit.
    causality
        .update(&[1, 1, 2, 2], &[1.0, 3.0, 8.0, f64::INFINITY])
        .unwrap();
    close(causality.losses(), &[0.0, 1.5, 4.0]);
    assert!(causality.update(&[3], &[1.0]).is_err());
    assert!(causality.update(&[0, 1], &[1.0]).is_err());
}

#[test]
fn epsilon_decays_and_weights_wait_for_their_refresh() {
    let config = CausalityConfig {
        final_ratio: 0.01,
        ..CausalityConfig::default()
    };
    let mut causality = config.init(&grid(2, &[0.0])).unwrap();
    causality.refresh(0, 200);
    causality.update(&[0], &[10.0]).unwrap();
    close(causality.losses(), &[1.0, 0.0]);
    for step in 1..50 {
        causality.refresh(step, 200);
        close(causality.log_weights(), &[0.0, 0.0]);
    }
    causality.refresh(50, 200);
    close(causality.log_weights(), &[0.0, -(0.01_f64.powf(0.25))]);
    // A step that skips the exact multiple still refreshes.
    causality.refresh(101, 200);
    close(
        causality.log_weights(),
        &[0.0, -(0.01_f64.powf(101.0 / 200.0))],
    );
}

#[test]
fn draws_are_uniform_at_first_and_follow_the_weights_later() {
    let config = CausalityConfig {
        epsilon: 1.0,
        ..CausalityConfig::default()
    };
    let mut causality = config.init(&grid(3, &[0.0])).unwrap();
    let mut stream = Stream::new(1, 0);
    let n = 30_000;
    let mut frequencies = |causality: &Causality| {
        let mut counts = [0.0_f64; 3];
        for _ in 0..n {
            counts[causality.draw(&mut stream)] += 1.0 / n as f64;
        }
        counts
    };
    causality.refresh(0, 100);
    // Four sigma of a frequency at most ½.
    let bound = 4.0 * (0.25 / n as f64).sqrt();
    for f in frequencies(&causality) {
        assert!((f - 1.0 / 3.0).abs() < bound);
    }
    // log ω = 0, −ln 2, −ln 4: probabilities 4/7, 2/7, 1/7.
    let half = 2.0_f64.ln() / 0.1;
    causality.update(&[0, 1], &[half, half]).unwrap();
    causality.refresh(50, 100);
    for (f, p) in frequencies(&causality)
        .iter()
        .zip([4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0])
    {
        assert!((f - p).abs() < bound);
    }
}

#[test]
fn switched_off_it_stays_uniform() {
    let config = CausalityConfig {
        enabled: false,
        ..CausalityConfig::default()
    };
    let mut causality = with_losses(config, &grid(4, &[0.0]), &[5.0; 4]);
    causality.refresh(0, 100);
    close(causality.log_weights(), &[0.0; 4]);
}

#[test]
fn state_survives_json_bit_by_bit() {
    let config = CausalityConfig {
        epsilon: 1e300,
        ..CausalityConfig::default()
    };
    let losses = [0.1, 1e200, 1.0 / 3.0];
    let mut causality = with_losses(config.clone(), &grid(3, &[0.0]), &losses);
    causality.refresh(3, 100);
    let text = serde_json::to_string(causality.state()).unwrap();
    let mut resumed = config.init(&grid(3, &[0.0])).unwrap();
    resumed
        .restore(serde_json::from_str(&text).unwrap())
        .unwrap();
    assert_eq!(resumed.state(), causality.state());
    let mut other = config.init(&grid(4, &[0.0])).unwrap();
    assert!(other.restore(causality.state().clone()).is_err());
}

#[test]
fn settings_are_checked_and_named() {
    let named = |config: CausalityConfig| config.validate("c").unwrap_err().to_string();
    let default = CausalityConfig::default;
    assert!(
        named(CausalityConfig {
            epsilon: -1.0,
            ..default()
        })
        .contains("c.epsilon")
    );
    assert!(
        named(CausalityConfig {
            retain: 1.0,
            ..default()
        })
        .contains("c.retain")
    );
    assert!(
        named(CausalityConfig {
            refresh: 0,
            ..default()
        })
        .contains("c.refresh")
    );
    assert!(
        named(CausalityConfig {
            final_ratio: 0.0,
            ..default()
        })
        .contains("c.final_ratio")
    );
    assert!(default().validate("c").is_ok());
}
