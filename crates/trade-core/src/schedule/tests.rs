use super::*;

const LOG: Spacing = Spacing::Log;
const LINEAR: Spacing = Spacing::Linear;

fn draws(
    schedule: &Schedule,
    progress: f64,
    ranges: &[(f64, f64)],
    bases: &[Vec<f64>],
    n: usize,
) -> Vec<Vec<f64>> {
    let mut stream = Stream::new(21, 0);
    (0..n)
        .map(|_| schedule.draw(progress, ranges, bases, &mut stream).unwrap())
        .collect()
}

/// The fraction of draws for which `holds`, checked against `p` at four sigma.
fn check(draws: &[Vec<f64>], p: f64, holds: impl Fn(&[f64]) -> bool) {
    let n = draws.len() as f64;
    let found = draws.iter().filter(|c| holds(c)).count() as f64 / n;
    let sigma = (p * (1.0 - p) / n).sqrt();
    assert!(
        (found - p).abs() <= 4.0 * sigma,
        "{found} against {p} ± {sigma}"
    );
}

#[test]
fn skewed_log_uniform_has_its_distribution() {
    // Base 1 in [1/4, 2]: log distances 2 and 1 (in ln 2), so 2/3 go down. At p = ½,
    // s = √(0.25 · 4) = 1: log-uniform. At the ends s = ¼ and 4.
    let schedule = Schedule::SkewedLogUniform {
        s_min: 0.25,
        s_max: 4.0,
    };
    for (progress, s) in [(0.0, 0.25), (0.5, 1.0), (1.0, 4.0)] {
        let c = draws(&schedule, progress, &[(0.25, 2.0)], &[vec![1.0]], 40_000);
        assert!(c.iter().all(|c| (0.25..=2.0).contains(&c[0])));
        check(&c, 2.0 / 3.0, |c| c[0] < 1.0);
        // P(1 − u^s < f) = 1 − (1 − f)^{1/s}, here f = ½ on either side.
        let near = 1.0 - 0.5_f64.powf(1.0 / s);
        check(&c, 2.0 / 3.0 * near, |c| (0.5..1.0).contains(&c[0]));
        check(&c, near / 3.0, |c| (1.0..2.0_f64.sqrt()).contains(&c[0]));
    }
}

#[test]
fn growing_interval_is_uniform_over_its_part() {
    // Base 1 in [0, 4]; at p = ½ uniform over [0.5, 2.5].
    let schedule = Schedule::GrowingInterval {
        spacing: LINEAR,
        until: 1.0,
    };
    let c = draws(&schedule, 0.5, &[(0.0, 4.0)], &[vec![1.0]], 40_000);
    assert!(c.iter().all(|c| (0.5..=2.5).contains(&c[0])));
    for (low, high) in [(0.5, 1.0), (1.0, 1.5), (2.0, 2.5)] {
        check(&c, 0.25, |c| (low..high).contains(&c[0]));
    }
    assert!(
        draws(&schedule, 0.0, &[(0.0, 4.0)], &[vec![1.0]], 9)
            .iter()
            .all(|c| c[0] == 1.0)
    );
    // Log scale: base 1 in [1/16, 4]; at p = ½ log-uniform over [1/4, 2].
    let schedule = Schedule::GrowingInterval {
        spacing: LOG,
        until: 1.0,
    };
    let c = draws(&schedule, 0.5, &[(0.0625, 4.0)], &[vec![1.0]], 40_000);
    assert!(c.iter().all(|c| (0.249_999..=2.000_001).contains(&c[0])));
    check(&c, 1.0 / 3.0, |c| c[0] < 0.5);
    check(&c, 1.0 / 3.0, |c| c[0] > 1.0);
}

#[test]
fn several_bases_share_the_range() {
    // Bases 1 and 3 in [0, 4] at p = 1: each base sees [0, 3] or [1, 4] uniformly.
    let schedule = Schedule::GrowingInterval {
        spacing: LINEAR,
        until: 1.0,
    };
    let c = draws(
        &schedule,
        1.0,
        &[(0.0, 4.0)],
        &[vec![3.0], vec![1.0]],
        40_000,
    );
    check(&c, 1.0 / 6.0, |c| c[0] < 1.0);
    check(&c, 2.0 / 3.0, |c| (1.0..3.0).contains(&c[0]));
    // From the first of them alone: [1, 4].
    let mut stream = Stream::new(22, 0);
    let bases = [vec![3.0], vec![1.0]];
    let mut from_first = || {
        let drawn = schedule.draw_from(Some(0), 1.0, &[(0.0, 4.0)], &bases, &mut stream);
        drawn.unwrap()
    };
    let c: Vec<_> = (0..40_000).map(|_| from_first()).collect();
    assert!(c.iter().all(|c| (1.0..=4.0).contains(&c[0])));
    check(&c, 1.0 / 3.0, |c| c[0] < 2.0);
    check(&c, 1.0 / 3.0, |c| c[0] > 3.0);
    // At p = ½: [0.5, 2] and [2, 3.5].
    let c = draws(
        &schedule,
        0.5,
        &[(0.0, 4.0)],
        &[vec![3.0], vec![1.0]],
        40_000,
    );
    assert!(c.iter().all(|c| (0.5..=3.5).contains(&c[0])));
    check(&c, 0.5, |c| c[0] < 2.0);
    // A base at each end sends everything inward.
    let c = draws(
        &schedule,
        0.25,
        &[(0.0, 4.0)],
        &[vec![0.0], vec![4.0]],
        4_000,
    );
    assert!(c.iter().all(|c| c[0] <= 1.0 || c[0] >= 3.0));
}

#[test]
fn several_parameters_move_along_a_scaled_direction() {
    let ranges = [(0.0, 1.0), (10.0, 30.0)];
    let schedule = Schedule::GrowingInterval {
        spacing: LINEAR,
        until: 1.0,
    };
    // From the centre at p = ½: half way to the boundary, a scaled box of half the width.
    let c = draws(&schedule, 0.5, &ranges, &[vec![0.5, 20.0]], 20_000);
    assert!(
        c.iter()
            .all(|c| (0.25..=0.75).contains(&c[0]) && (15.0..=25.0).contains(&c[1]))
    );
    check(&c, 0.5, |c| c[0] < 0.5);
    // A direction is equally likely to be steeper in either scaled parameter.
    check(&c, 0.5, |c| (c[0] - 0.5).abs() > (c[1] - 20.0).abs() / 20.0);
    // From a corner every draw moves into the box.
    let c = draws(&schedule, 1.0, &ranges, &[vec![0.0, 30.0]], 20_000);
    assert!(c.iter().all(|c| c[0] > 0.0 && c[1] < 30.0));
    check(&c, 0.5, |c| c[0] > (30.0 - c[1]) / 20.0);
    // tan of the angle is uniform-angled: P(ratio < tan 22.5°) = ¼.
    let tan = 2.0_f64.sqrt() - 1.0;
    check(&c, 0.25, |c| c[0] < tan * (30.0 - c[1]) / 20.0);
}

#[test]
fn the_way_leads_from_the_base_through_here() {
    let mut stream = Stream::new(23, 0);
    let mut through = |c: &[f64], base, ranges: &[(f64, f64)], bases: &[Vec<f64>]| -> Vec<_> {
        let mut one = || on_the_way(c, base, ranges, bases, LINEAR, &mut stream).unwrap();
        (0..40_000).map(|_| one()).collect()
    };
    let (range, bases) = ([(0.0, 4.0)], [vec![1.0], vec![3.0]]);
    // From 1 through 1.5 to the next base; through 0.5 to the end of the range.
    let c = through(&[1.5], 0, &range, &bases);
    assert!(c.iter().all(|c| (1.0..=3.0).contains(&c[0])));
    check(&c, 0.25, |c| c[0] < 1.5);
    let c = through(&[0.5], 0, &range, &bases);
    assert!(c.iter().all(|c| (0.0..=1.0).contains(&c[0])));
    check(&c, 0.25, |c| c[0] < 0.25);
    // At a base, to both sides: [0, 3].
    let c = through(&[1.0], 0, &range, &bases);
    assert!(c.iter().all(|c| (0.0..=3.0).contains(&c[0])));
    check(&c, 1.0 / 3.0, |c| c[0] < 1.0);
    check(&c, 1.0 / 3.0, |c| c[0] > 2.0);
    // Two parameters: along the line from the base, here a diagonal of the scaled box.
    let (ranges, bases) = ([(0.0, 1.0), (10.0, 30.0)], [vec![0.5, 20.0]]);
    let c = through(&[0.75, 15.0], 0, &ranges, &bases);
    assert!(c.iter().all(|c| {
        (0.5..=1.0).contains(&c[0]) && ((c[0] - 0.5) * 20.0 - (20.0 - c[1])).abs() < 1e-9
    }));
    check(&c, 0.5, |c| c[0] < 0.75);
}

#[test]
fn uniform_covers_the_range() {
    let c = draws(
        &Schedule::Uniform { spacing: LINEAR },
        0.0,
        &[(1.0, 5.0)],
        &[],
        40_000,
    );
    check(&c, 0.25, |c| c[0] < 2.0);
    let c = draws(
        &Schedule::Uniform { spacing: LOG },
        0.0,
        &[(1.0, 16.0)],
        &[],
        40_000,
    );
    check(&c, 0.25, |c| c[0] < 2.0);
}

#[test]
fn bases_are_drawn_alike_and_as_they_are() {
    let bases = [vec![0.3, -1.0], vec![0.7, 2.0]];
    let ranges = [(0.1, 1.0), (-2.0, 2.0)];
    let c = draws(&Schedule::Bases, 0.3, &ranges, &bases, 10_000);
    assert!(c.iter().all(|c| bases.contains(c)));
    check(&c, 0.5, |c| c[0] < 0.5);
    let none = Schedule::Bases.draw(0.0, &ranges, &[], &mut Stream::new(1, 0));
    assert!(none.is_err());
}

#[test]
fn wrong_ranges_and_bases_are_refused() {
    let mut stream = Stream::new(1, 0);
    let mut refused = |schedule: &Schedule, range, base: &[f64]| {
        schedule
            .draw(0.5, &[range], &[base.to_vec()], &mut stream)
            .is_err()
    };
    let skewed = Schedule::default();
    assert!(refused(&skewed, (0.0, 1.0), &[0.5]));
    assert!(refused(&skewed, (1.0, 1.0), &[1.0]));
    assert!(refused(&skewed, (1.0, 2.0), &[3.0]));
    assert!(refused(&skewed, (1.0, 2.0), &[1.0, 1.0]));
    assert!(!refused(&skewed, (1.0, 2.0), &[1.0]));
    assert!(!refused(
        &Schedule::GrowingInterval {
            spacing: LINEAR,
            until: 1.0
        },
        (-1.0, 1.0),
        &[0.0]
    ));
    let wrong = Schedule::SkewedLogUniform {
        s_min: 0.0,
        s_max: 1.0,
    };
    assert!(
        wrong
            .validate("s")
            .unwrap_err()
            .to_string()
            .contains("s_min")
    );
}

#[test]
fn directions_are_scaled_by_the_ranges() {
    let mut stream = Stream::new(2, 0);
    let ranges = [(0.0, 2.0), (1.0, 11.0), (-1.0, 1.0)];
    let mut counts = [0_usize; 3];
    let n = 9_000;
    for _ in 0..n {
        let v = direction(&ranges, DirectionMode::Coordinate, &mut stream);
        let at = v.iter().position(|&x| x != 0.0).unwrap();
        counts[at] += 1;
        let mut expected = vec![0.0; 3];
        expected[at] = [2.0, 10.0, 2.0][at];
        assert_eq!(v, expected);
    }
    for count in counts {
        assert!(
            (count as f64 - 3_000.0).abs() < 4.0 * 2000.0_f64.sqrt(),
            "{counts:?}"
        );
    }
    let mut second = 0.0;
    for _ in 0..n {
        let v = direction(&ranges, DirectionMode::Sphere, &mut stream);
        let unit = [v[0] / 2.0, v[1] / 10.0, v[2] / 2.0];
        assert!((unit.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
        second += unit[1] * unit[1] / n as f64;
    }
    // E[u²] = 1/3, Var[u²] = 1/5 − 1/9 on the sphere in three dimensions.
    assert!((second - 1.0 / 3.0).abs() < 4.0 * ((1.0 / 5.0 - 1.0 / 9.0) / n as f64).sqrt());
    let before = stream.position();
    assert_eq!(
        direction(&[(3.0, 9.0)], DirectionMode::Sphere, &mut stream),
        [1.0]
    );
    assert_eq!(stream.position(), before);
}
