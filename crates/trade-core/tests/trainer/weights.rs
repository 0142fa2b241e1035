//! The weights of the terms.

use std::path::Path;

use burn_flex::FlexDevice;
use trade_core::{
    Result,
    objective::{Nll, NllConfig, ReverseKl, ReverseKlConfig},
    ramp::Ramp,
    random::Streams,
    train::{AdaptiveConfig, AdaptiveRule, TrainConfig, Trainer, WeightedObjective},
};

use super::{
    Fixed, Model, bits, constant, data,
    gaussian::{Bath, Training},
    problem,
    resume::advance,
    trainer,
};

/// Two likelihoods, one of them with noise and a weight that follows that of a term.
fn named(names: [Option<&str>; 2], reference: Option<&str>) -> Result<Trainer<Training, Model>> {
    let likelihood = |noise: f64| {
        let config = NllConfig {
            batch: 64,
            noise,
            ..NllConfig::default()
        };
        Nll::new(config, data()).unwrap()
    };
    let adaptive = AdaptiveConfig {
        rule: AdaptiveRule::Relative(0.5),
        every: 1,
        rate: 1.0,
        reference: reference.map(str::to_string),
        ..AdaptiveConfig::default()
    };
    let terms = [
        constant(ReverseKl::new(ReverseKlConfig::default(), problem(Bath::default())).unwrap()),
        constant(likelihood(0.0)),
        WeightedObjective::new(likelihood(0.5), Ramp::constant(1.0), Some(adaptive)),
    ];
    let names = [None].into_iter().chain(names);
    let terms = terms.into_iter().zip(names).map(|(term, name)| match name {
        Some(name) => term.named(name),
        None => term,
    });
    Trainer::new(
        TrainConfig::default(),
        Model::wrong(),
        terms.collect(),
        Streams::new(5),
        FlexDevice,
    )
}

#[test]
fn terms_of_one_kind_need_names() {
    let same = named([None, None], None).err().unwrap().to_string();
    assert!(
        same.contains("objectives[2]") && same.contains("`nll`"),
        "{same}"
    );
    let mut trainer = named([None, Some("noisy")], None).unwrap();
    let report = trainer.advance().unwrap();
    let names: Vec<&str> = report.terms.iter().map(|term| &*term.name).collect();
    assert_eq!(names, ["reverse_kl", "nll", "noisy"]);
    assert_ne!(
        report.terms[1].loss.to_bits(),
        report.terms[2].loss.to_bits()
    );
    // Each has its own cache and factor in a checkpoint.
    trainer.advance().unwrap();
    let state = trainer.checkpoint();
    assert_eq!(state.state.objectives.len(), 3);
    let mut again = named([None, Some("noisy")], None).unwrap();
    again.restore(state, Path::new("x")).unwrap();
    assert_eq!(advance(&mut again, 5), advance(&mut trainer, 5));
    // A term of another name is another term; the model stays as it was.
    let mut other = named([None, Some("noisier")], None).unwrap();
    let before = bits(&other);
    let error = other
        .restore(again.checkpoint(), Path::new("x"))
        .unwrap_err();
    assert!(error.to_string().contains("noisier"), "{error}");
    assert_eq!(bits(&other), before);
}

#[test]
fn a_relative_weight_follows_the_term_that_is_named() {
    let unknown = named([None, Some("noisy")], Some("nil")).err().unwrap();
    let unknown = unknown.to_string();
    assert!(
        unknown.contains("objectives[2].adaptive.reference")
            && unknown.contains("reverse_kl, nll, noisy"),
        "{unknown}"
    );
    let factor = |reference| {
        let mut trainer = named([None, Some("noisy")], reference).unwrap();
        trainer.advance().unwrap();
        trainer.checkpoint().state.adaptive["noisy"]
    };
    assert_eq!(factor(None), factor(Some("reverse_kl")));
    assert_eq!(factor(Some("noisy")), 0.5);
    assert_ne!(factor(Some("nll")), factor(None));
}

#[test]
fn steps_without_any_weight_change_nothing() {
    let fixed = Fixed {
        x: vec![0.5, -1.0],
        broken: Vec::new(),
    };
    let late = Ramp {
        before: Some(0.0),
        pct_start: 0.5,
        ..Ramp::constant(1.0)
    };
    let config = TrainConfig {
        steps: 10,
        ..TrainConfig::default()
    };
    let mut trainer = trainer(config, vec![WeightedObjective::new(fixed, late, None)]);
    let before = bits(&trainer);
    for _ in 0..5 {
        let report = trainer.advance().unwrap();
        assert_eq!(
            (report.loss, report.grad_norm, report.terms.len()),
            (0.0, 0.0, 0)
        );
    }
    assert_eq!(bits(&trainer), before);
    trainer.advance().unwrap();
    assert_ne!(bits(&trainer), before);
}
