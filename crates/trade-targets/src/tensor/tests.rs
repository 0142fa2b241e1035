//! The tensor forms against the host forms, and condition scores against differences.

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use trade_core::{Condition, Family, Target, random::Stream};

use crate::exact::{
    DoubleWellConfig, Exact, GaussianMixture, GaussianMixtureConfig, MultiWellConfig, WellControl,
};

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

#[test]
fn single_precision_serves_in_units_of_a_ten_millionth() {
    let mut config = GaussianMixtureConfig::six_modes();
    let scale = 1e-7;
    config.means.iter_mut().flatten().for_each(|x| *x *= scale);
    let entries = config.covariances.iter_mut().flatten().flatten();
    entries.for_each(|x| *x *= scale * scale);
    let (small, unit) = (
        config.init().unwrap(),
        GaussianMixture::six_modes().unwrap(),
    );
    let points = Stream::new(4, 0).normal64(400);
    let scaled: Vec<f64> = points.iter().map(|x| x * scale).collect();
    let x = tensor(&scaled, 2).cast(DType::F32);
    let condition = Condition::<Flex>::uniform(&[1.0], 200, &x);
    let found = Target::log_density(&small, x, &condition);
    assert_eq!(found.dtype(), DType::F32);
    let found: Vec<f32> = found.into_data().to_vec().unwrap();
    for (row, found) in points.chunks(2).zip(found) {
        let expected = unit.log_mixture(row) - 2.0 * scale.ln();
        let error = (f64::from(found) - expected).abs();
        assert!(error < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
    }
}

#[test]
fn conditions_outside_of_the_domain_have_no_truth_and_say_why() {
    use WellControl::{A, B, C, Temperature};
    let wells = |controls: &[WellControl], c| {
        let controls = controls.to_vec();
        let config = MultiWellConfig {
            controls,
            c,
            ..Default::default()
        };
        config.init().unwrap()
    };
    for (controls, fixed, bad, name) in [
        (&[Temperature][..], 1.0, vec![0.0], "temperature"),
        (&[Temperature], 1.0, vec![-1.0], "temperature"),
        (&[Temperature], 1.0, vec![f64::NAN], "temperature"),
        (&[A, C], 1.0, vec![0.0, -0.5], "condition c"),
        (&[A, C], 1.0, vec![0.0, 0.0], "condition c"),
        (&[B], 0.0, vec![-1.0], "b > 0"),
    ] {
        let family = wells(controls, fixed);
        let outside = family
            .domain()
            .iter()
            .zip(&bad)
            .any(|(d, &c)| !d.contains(c));
        assert!(outside, "{controls:?} {bad:?}");
        let message = Exact::at(&family, &bad).err().unwrap().to_string();
        assert!(message.contains(name), "{message}");
        assert!(Exact::sample(&family, &bad, 3, &mut Stream::new(0, 0)).is_err());
    }
    // Extreme settings end with numbers or with a sentence.
    for value in [-1e30, -1.0, 0.0, 1e-30, 1e30] {
        for control in 0..4 {
            let mut c = [0.7, 0.1, -4.0, 1.0];
            c[control] = value;
            let family = wells(&[Temperature, A, B, C], 1.0);
            if let Ok(at) = Exact::at(&family, &c) {
                assert!(at.log_z().is_finite(), "{c:?}");
            }
        }
    }
}
