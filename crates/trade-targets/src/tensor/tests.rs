//! The tensor forms against the host forms, and condition scores against differences.

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use trade_core::{Condition, Family, Target, random::Stream};

use crate::{
    TargetConfig,
    exact::{DoubleWellConfig, GaussianMixtureConfig, MultiWellConfig, WellControl},
};

fn tensor(values: &[f64], width: usize) -> Tensor<Flex, 2> {
    let data = TensorData::new(values.to_vec(), [values.len() / width, width]);
    Tensor::from_data(data, (&FlexDevice, DType::F64))
}

fn targets() -> Vec<(TargetConfig, Vec<f64>)> {
    use WellControl::{A, B, C, Temperature};
    let all = vec![Temperature, A, B, C];
    vec![
        (
            TargetConfig::MultiWell(MultiWellConfig::default()),
            vec![0.7],
        ),
        (
            TargetConfig::MultiWell(MultiWellConfig {
                dim: 3,
                controls: all.clone(),
                ..Default::default()
            }),
            vec![0.6, 0.3, -3.0, 1.2],
        ),
        (
            TargetConfig::DoubleWell(DoubleWellConfig {
                controls: vec![C, Temperature],
                ..Default::default()
            }),
            vec![0.8, 1.3],
        ),
        (
            TargetConfig::GaussianMixture(GaussianMixtureConfig::six_modes()),
            vec![0.4],
        ),
    ]
}

#[test]
fn tensor_and_host_agree_and_scores_are_differences() {
    for (config, c) in targets() {
        let target = config.init().unwrap();
        let exact = target.exact().unwrap();
        let (n, d, k) = (40, exact.dim(), c.len());
        let x: Vec<f64> = Stream::new(3, 0)
            .normal64(n * d)
            .iter()
            .map(|z| 1.7 * z)
            .collect();
        let points = tensor(&x, d);
        assert_eq!(points.dtype(), DType::F64);
        let at = |c: &[f64]| Condition::<Flex>::uniform(c, n, &points);
        let values = |c: &[f64]| -> Vec<f64> {
            target
                .log_density(points.clone(), &at(c))
                .into_data()
                .to_vec()
                .unwrap()
        };
        let density = values(&c);
        let score: Vec<f64> = target
            .condition_score(points.clone(), &at(&c))
            .into_data()
            .to_vec()
            .unwrap();
        let mut host = vec![0.0; k];
        for i in 0..n {
            let row = &x[i * d..(i + 1) * d];
            let expected = exact.log_density(row, &c);
            assert!((density[i] - expected).abs() < 1e-12 * (1.0 + expected.abs()));
            exact.condition_score(row, &c, &mut host);
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
                    "{config:?} {found} {difference}"
                );
            }
        }
        assert_eq!(target.controls().len(), k);
    }
}

#[test]
fn symmetries_leave_the_density_alone() {
    for (config, c) in targets() {
        let target = config.init().unwrap();
        let d = target.dim();
        let points = tensor(&Stream::new(5, 0).normal64(60 * d), d);
        let condition = Condition::<Flex>::uniform(&c, 60, &points);
        let moved = target.symmetrise(points.clone(), &mut Stream::new(6, 0));
        let before: Vec<f64> = target
            .log_density(points, &condition)
            .into_data()
            .to_vec()
            .unwrap();
        let after: Vec<f64> = target
            .log_density(moved, &condition)
            .into_data()
            .to_vec()
            .unwrap();
        for (b, a) in before.iter().zip(after) {
            assert!((a - b).abs() < 1e-12 * (1.0 + b.abs()));
        }
    }
}
