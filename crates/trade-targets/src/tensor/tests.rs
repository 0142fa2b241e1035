//! The tensor forms against the host forms, and condition scores against differences.

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use trade_core::{Condition, Family, Target, random::Stream};

use crate::exact::{DoubleWellConfig, Exact, GaussianMixtureConfig, MultiWellConfig, WellControl};

/// A target with its exact truth.
trait Known: Exact + Target<Flex> {}
impl<T: Exact + Target<Flex>> Known for T {}

fn tensor(values: &[f64], width: usize) -> Tensor<Flex, 2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::from_data(data, (&FlexDevice, DType::F64))
}

fn targets() -> Vec<(Box<dyn Known>, Vec<f64>)> {
    use WellControl::{A, B, C, Temperature};
    let wells = MultiWellConfig {
        dim: 3,
        controls: vec![Temperature, A, B, C],
        ..Default::default()
    };
    let double = DoubleWellConfig {
        controls: vec![C, Temperature],
        ..Default::default()
    };
    vec![
        (
            Box::new(MultiWellConfig::default().init().unwrap()),
            vec![0.7],
        ),
        (Box::new(wells.init().unwrap()), vec![0.6, 0.3, -3.0, 1.2]),
        (Box::new(double.init().unwrap()), vec![0.8, 1.3]),
        (
            Box::new(GaussianMixtureConfig::six_modes().init().unwrap()),
            vec![0.4],
        ),
    ]
}

#[test]
fn tensor_and_host_agree_and_scores_are_differences() {
    for (target, c) in targets() {
        let exact: &dyn Known = &*target;
        let (n, d, k) = (40, Family::dim(exact), c.len());
        let x: Vec<f64> = Stream::new(3, 0)
            .normal64(n * d)
            .iter()
            .map(|z| 1.7 * z)
            .collect();
        let points = tensor(&x, d);
        assert_eq!(points.dtype(), DType::F64);
        let at = |c: &[f64]| Condition::<Flex>::uniform(c, n, &points);
        let values = |c: &[f64]| -> Vec<f64> {
            Target::log_density(exact, points.clone(), &at(c))
                .into_data()
                .to_vec()
                .unwrap()
        };
        let density = values(&c);
        let score: Vec<f64> = Target::condition_score(exact, points.clone(), &at(&c))
            .into_data()
            .to_vec()
            .unwrap();
        let mut host = vec![0.0; k];
        for i in 0..n {
            let row = &x[i * d..(i + 1) * d];
            let expected = Exact::log_density(exact, row, &c);
            assert!((density[i] - expected).abs() < 1e-12 * (1.0 + expected.abs()));
            Exact::condition_score(exact, row, &c, &mut host);
            for j in 0..k {
                assert!((score[i * k + j] - host[j]).abs() < 1e-11 * (1.0 + host[j].abs()));
            }
        }
        for j in 0..k {
            let step = 1e-5;
            let (mut up, mut down) = (c.clone(), c.clone());
            up[j] += step;
            down[j] -= step;
            for (i, (u, l)) in values(&up).iter().zip(values(&down)).enumerate() {
                let difference = (u - l) / (2.0 * step);
                let found = score[i * k + j];
                assert!(
                    (found - difference).abs() < 1e-6 * (1.0 + found.abs()),
                    "{:?} {found} {difference}",
                    Family::controls(exact)
                );
            }
        }
        assert_eq!(Family::controls(exact).len(), k);
        assert_eq!(exact.domain().len(), k);
    }
}

#[test]
fn symmetries_leave_the_density_alone() {
    for (target, c) in targets() {
        let d = Family::dim(&*target);
        let points = tensor(&Stream::new(5, 0).normal64(60 * d), d);
        let condition = Condition::<Flex>::uniform(&c, 60, &points);
        let moved = target.symmetrise(points.clone(), &mut Stream::new(6, 0));
        let before: Vec<f64> = Target::log_density(&*target, points, &condition)
            .into_data()
            .to_vec()
            .unwrap();
        let after: Vec<f64> = Target::log_density(&*target, moved, &condition)
            .into_data()
            .to_vec()
            .unwrap();
        for (b, a) in before.iter().zip(after) {
            assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()));
        }
    }
}
