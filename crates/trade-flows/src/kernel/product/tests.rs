//! Tile products against sums written out.

use super::super::noise::uniform;
use super::*;

fn compare<const ROWS: usize>() {
    let rows = uniform(ROWS, 4, 2.0);
    for onto in [Onto::Itself, Onto::Zero, Onto::Rows(&rows)] {
        for count in 1..=VECTORS {
            compare_onto::<ROWS>(onto, count);
        }
    }
}

fn compare_onto<const ROWS: usize>(onto: Onto<f64>, count: usize) {
    let starts = [(0, 3), (9, 70), (4, 0)].map(|(left, right)| Start { left, right });
    let sum = (&starts[..], 8);
    let vectors = Vectors {
        count,
        right: 135,
        out: 80,
        row: 9,
    };
    let (left, right) = (
        uniform(17 * ROWS + 130, 1, 2.0),
        uniform(135 * count, 2, 2.0),
    );
    let begin = uniform(80 * count, 3, 2.0);
    for instructions in Instructions::all() {
        // Both ways a factor is laid out.
        let (mut aside, mut apart) = (begin.clone(), begin.clone());
        f64::accumulate::<ROWS>(instructions, sum, &left, &right, onto, &mut aside, vectors);
        f64::accumulate_apart::<ROWS>(instructions, sum, &left, &right, onto, &mut apart, vectors);
        let lanes = (0..8 * count).map(|i| (i / 8, i % 8));
        for (m, (v, lane)) in (0..ROWS).flat_map(|m| lanes.clone().map(move |l| (m, l))) {
            let at = m * 9 + v * 80 + lane;
            let begin = match onto {
                Onto::Itself => begin[at],
                Onto::Zero => 0.0,
                Onto::Rows(rows) => rows[m],
            };
            let (mut one, mut other) = (begin, begin);
            for start in starts {
                for i in 0..8 {
                    let right = right[start.right + v * 135 + i * 8 + lane];
                    one += left[(start.left + i) * ROWS + m] * right;
                    other += left[start.left + i + m * 8] * right;
                }
            }
            let close = |found: f64, expected: f64| (found - expected).abs() < 1e-13;
            assert!(close(aside[at], one), "{instructions:?}");
            assert!(close(apart[at], other), "{instructions:?}");
        }
    }
}

#[test]
fn tiles_are_sums_of_products() {
    compare::<4>();
    compare::<6>();
    compare::<8>();
}

#[test]
fn single_precision_agrees_with_double() {
    let starts = [Start { left: 0, right: 0 }];
    let (left, right) = (uniform(800, 1, 2.0), uniform(800, 2, 2.0));
    let single = |v: &[f64]| v.iter().map(|v| *v as f32).collect::<Vec<_>>();
    let (left32, right32) = (single(&left), single(&right));
    for instructions in Instructions::all() {
        let mut out = vec![0.0_f32; 128];
        let sum = (&starts[..], 50);
        let vectors = Vectors {
            count: 1,
            right: 0,
            out: 0,
            row: 16,
        };
        let onto = Onto::Zero;
        f32::accumulate::<8>(
            instructions,
            sum,
            &left32,
            &right32,
            onto,
            &mut out,
            vectors,
        );
        for (at, value) in out.iter().enumerate() {
            let exact: f64 = (0..50)
                .map(|i| left[i * 8 + at / 16] * right[i * 16 + at % 16])
                .sum();
            assert!((f64::from(*value) - exact).abs() < 1e-4, "{instructions:?}");
        }
    }
}

/// Starts far outside of all slices: with an empty inner loop nothing is read, and with one that is
/// not empty the product panics before it reads.
#[test]
fn starts_outside_are_never_read() {
    for instructions in Instructions::all() {
        for left in [1_000_000, usize::MAX / 2, usize::MAX] {
            let starts = [Start { left, right: left }];
            let vectors = Vectors {
                count: 2,
                right: 8,
                out: 8,
                row: 16,
            };
            let run = |inner: usize, out: &mut [f64]| {
                let sum = (&starts[..], inner);
                let (left, right) = ([1.0; 8], [1.0; 16]);
                f64::accumulate::<8>(instructions, sum, &left, &right, Onto::Zero, out, vectors);
            };
            let mut out = vec![7.0; 128];
            run(0, &mut out);
            assert!(out.iter().all(|v| *v == 0.0), "{instructions:?}");
            let read = std::panic::catch_unwind(|| run(1, &mut vec![7.0; 128]));
            assert!(read.is_err(), "{instructions:?} {left}");
        }
    }
}
