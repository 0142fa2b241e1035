//! Training that is judged, goes on in rounds, and is taken up again where it diverged.

mod gaussian;

use std::{
    cell::RefCell,
    path::Path,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
};

use burn::tensor::Tensor;
use burn_flex::{Flex, FlexDevice};
use gaussian::{DIM, Gaussian, Training, values};
use trade_core::{
    Dataset, Error, Result,
    learning_rate::LearningRate,
    objective::{Nll, NllConfig, Objective, StepContext, Term},
    observe::{Observer, StepReport},
    parameters::parameters,
    ramp::Ramp,
    random::{Stream, Streams},
    train::{Judge, Judgement, TrainConfig, Trainer, WeightedObjective},
};

type Model = Gaussian<Training>;

fn data() -> Arc<Dataset> {
    Arc::new(Dataset::at(Stream::new(50, 0).normal(700 * DIM), DIM, &[1.0]).unwrap())
}

fn trainer(
    config: TrainConfig,
    objective: impl Objective<Training, Model> + 'static,
) -> Trainer<Training, Model> {
    let objective = WeightedObjective::new(objective, Ramp::constant(1.0), None);
    Trainer::new(
        config,
        Model::wrong(),
        vec![objective],
        Streams::new(5),
        FlexDevice,
    )
    .unwrap()
}

fn nll() -> Nll {
    Nll::new(
        NllConfig {
            batch: 64,
            ..NllConfig::default()
        },
        data(),
    )
    .unwrap()
}

/// Notes, steps and learning rates.
type Log = (Vec<String>, Vec<usize>, Vec<f64>);

/// What observers were told.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Log>>);

impl Observer for Told {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        self.0.borrow_mut().1.push(report.step);
        self.0.borrow_mut().2.push(report.learning_rate);
        Ok(())
    }

    fn note(&mut self, message: &str) -> Result<()> {
        self.0.borrow_mut().0.push(message.into());
        Ok(())
    }
}

/// Says in turn what it was given, and keeps the first parameter it saw each time.
struct Script {
    values: Vec<f64>,
    seen: Rc<RefCell<Vec<f64>>>,
    good: f64,
}

impl Judge<Training, Model> for Script {
    fn judge(&mut self, model: &Gaussian<Flex>) -> Result<Judgement> {
        let place = self.seen.borrow().len();
        let first = parameters(model)
            .into_values()
            .next()
            .map_or(0.0, |(_, v)| f64::from(v[0]));
        self.seen.borrow_mut().push(first);
        let value = self.values.get(place).copied().unwrap_or(0.0);
        Ok(Judgement {
            value,
            found: format!("measure {value}"),
            is_good: value >= self.good,
        })
    }
}

fn config(steps: usize, rounds: usize) -> TrainConfig {
    TrainConfig {
        steps,
        rounds,
        learning_rate: LearningRate::Constant { lr: 0.01 },
        checkpoint_every: 10,
        report_every: 1,
        ..TrainConfig::default()
    }
}

/// Runs with a script; the steps done, what observers were told, and the parameter at each measure.
fn judged(values: &[f64], good: f64, rounds: usize) -> (usize, Told, Vec<f64>, f64) {
    let (told, seen) = (Told::default(), Rc::new(RefCell::new(Vec::new())));
    let mut trainer = trainer(config(10, rounds), nll());
    trainer.judged_by(Script {
        values: values.to_vec(),
        seen: seen.clone(),
        good,
    });
    let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(told.clone())];
    trainer.run(None, &mut observers).unwrap();
    let last = parameters(trainer.model())
        .into_values()
        .next()
        .map_or(0.0, |(_, v)| f64::from(v[0]));
    let seen = seen.borrow().clone();
    (trainer.step(), told, seen, last)
}

#[test]
fn the_best_weights_are_kept_and_not_the_last() {
    let (steps, told, seen, kept) = judged(&[0.1, 0.9, 0.4, 0.3], 2.0, 1);
    assert_eq!((steps, seen.len()), (10, 4));
    assert_eq!(kept, seen[1], "the second measure was the best");
    let notes = told.0.borrow().0.clone();
    assert!(
        notes
            .last()
            .is_some_and(|n| n.contains("after 8 steps") && n.contains("0.9")),
        "{notes:?}"
    );
    // A measure that is not a number is no best.
    let (_, _, seen, kept) = judged(&[f64::NAN, 0.2, f64::NAN, f64::NAN], 2.0, 1);
    assert_eq!(kept, seen[1]);
}

#[test]
fn rounds_follow_while_the_measure_grows() {
    // 10 steps; it grew: 20 more; it did not: the end.
    let growing = [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6];
    let (steps, told, ..) = judged(&growing, 2.0, 5);
    assert_eq!(steps, 10 + 20 + 40);
    let told = told.0.borrow();
    assert_eq!(told.1, (0..70).collect::<Vec<_>>(), "each step once");
    assert_eq!((told.2[9], told.2[29], told.2[69]), (0.01, 0.005, 0.0025));
    // Good enough, or no further rounds allowed.
    assert_eq!(judged(&growing, 0.4, 5).0, 10);
    assert_eq!(judged(&growing, 2.0, 2).0, 30);
}

/// Asks for a stop after a step.
struct Stop(Arc<AtomicBool>, usize);
impl Observer for Stop {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        if report.step == self.1 {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn a_judged_run_resumes_bit_for_bit() {
    let growing = [0.1, 0.2, 0.3, 0.4, 0.35, 0.5, 0.45, 0.45];
    let folder = tempfile::tempdir().unwrap();
    let script = |from: usize| Script {
        values: growing[from..].to_vec(),
        seen: Rc::default(),
        good: 2.0,
    };
    let whole = {
        let mut trainer = trainer(config(10, 2), nll());
        trainer.judged_by(script(0));
        trainer.run(None, &mut []).unwrap();
        values(trainer.model())
    };
    // Stopped after step 13, in the second round, when four measures were taken.
    let stop = Arc::new(AtomicBool::new(false));
    let mut first = trainer(config(10, 2), nll());
    first.judged_by(script(0));
    first.stop_on(stop.clone());
    let error = first
        .run(Some(folder.path()), &mut [Box::new(Stop(stop, 12))])
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted { step: 13 }), "{error}");
    let mut second = trainer(config(10, 2), nll());
    second.judged_by(script(4));
    second.resume(folder.path()).unwrap();
    assert_eq!(second.step(), 13);
    second.run(Some(folder.path()), &mut []).unwrap();
    assert_eq!(values(second.model()), whole);
    // A finished training gives the same weights once more.
    let mut third = trainer(config(10, 2), nll());
    third.resume(folder.path()).unwrap();
    third.run(None, &mut []).unwrap();
    assert_eq!((third.step(), values(third.model())), (30, whole));
}

/// A likelihood that tears the model from a step on for a while.
struct Tearing {
    nll: Nll,
    from: usize,
    broken: bool,
    /// What is added to the loss.
    rise: f64,
    /// Steps that are not finite.
    lasting: usize,
}

impl Objective<Training, Model> for Tearing {
    fn name(&self) -> &'static str {
        "nll"
    }

    fn is_in_nats(&self) -> bool {
        true
    }

    fn evaluate(&mut self, step: &mut StepContext<'_, Training, Model>) -> Result<Term<Training>> {
        let mut term = self.nll.evaluate(step)?;
        if step.step >= self.from
            && step.step < self.from + if self.broken { self.lasting } else { 60 }
        {
            let wrong = if self.broken { f64::NAN } else { self.rise };
            term.loss = term.loss + Tensor::from_inner(term.clipped.zeros_like().add_scalar(wrong));
        }
        Ok(term)
    }

    fn state(&self) -> serde_json::Value {
        Objective::<Training, Model>::state(&self.nll)
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<()> {
        Objective::<Training, Model>::restore(&mut self.nll, state)
    }
}

#[test]
fn a_torn_model_is_taken_back() {
    for broken in [false, true] {
        let told = Told::default();
        let objective = Tearing {
            nll: nll(),
            from: 100,
            broken,
            rise: 100.0,
            lasting: 25,
        };
        let mut trainer = trainer(
            TrainConfig {
                max_non_finite: 20,
                ..config(400, 1)
            },
            objective,
        );
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(told.clone())];
        trainer.run(None, &mut observers).unwrap();
        let told = told.0.borrow();
        assert!(
            told.0[0].contains("diverged") && told.0[0].contains("0.5"),
            "{:?}",
            told.0
        );
        assert!(values(trainer.model()).iter().all(|v| v.is_finite()));
        assert!(
            told.1.windows(2).all(|pair| pair[1] > pair[0]),
            "steps go forward"
        );
        assert_eq!(trainer.step(), 400);
    }
}

#[test]
fn a_torn_model_goes_back_to_a_late_state_also_after_a_stop() {
    let tearing = || Tearing {
        nll: nll(),
        from: 100,
        broken: false,
        rise: 100.0,
        lasting: 0,
    };
    // Checkpoints that are rarer than the training is long.
    let config = || TrainConfig {
        checkpoint_every: 500,
        ..config(400, 1)
    };
    let told = Told::default();
    let whole = {
        let mut trainer = trainer(config(), tearing());
        trainer.run(None, &mut [Box::new(told.clone())]).unwrap();
        values(trainer.model())
    };
    let notes = told.0.borrow().0.clone();
    assert!(
        notes[0].contains("from the state after 80 steps"),
        "{notes:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    for stopped in [95, 96, 97] {
        let stop = Arc::new(AtomicBool::new(false));
        let mut trainer = trainer(config(), tearing());
        trainer.resume(folder.path()).unwrap();
        trainer.stop_on(stop.clone());
        let observers: &mut [Box<dyn Observer>] = &mut [Box::new(Stop(stop, stopped))];
        assert!(trainer.run(Some(folder.path()), observers).is_err());
    }
    let mut last = trainer(config(), tearing());
    last.resume(folder.path()).unwrap();
    last.run(Some(folder.path()), &mut []).unwrap();
    assert_eq!(values(last.model()), whole);
}

#[test]
fn a_model_that_got_worse_in_the_end_is_not_kept() {
    let run = |rise: f64| {
        let told = Told::default();
        let objective = Tearing {
            nll: nll(),
            from: 150,
            broken: false,
            rise,
            lasting: 0,
        };
        let mut trainer = trainer(config(200, 1), objective);
        let folder = tempfile::tempdir().unwrap();
        let observers: &mut [Box<dyn Observer>] = &mut [Box::new(told.clone())];
        trainer.run(Some(folder.path()), observers).unwrap();
        let notes = told.0.borrow().0.clone();
        (values(trainer.model()), notes)
    };
    // Of seven nats, which the two entries of the state may have, half are a fault.
    assert!(run(3.0).1.is_empty());
    let (kept, notes) = run(6.0);
    assert!(
        notes[0].contains("weights after 150 steps are kept"),
        "{notes:?}"
    );
    let mut short = trainer(config(200, 1), nll());
    for _ in 0..150 {
        short.advance().unwrap();
    }
    assert_eq!(kept, values(short.model()));
}

#[test]
fn what_diverges_at_every_rate_is_an_error() {
    let forever = Tearing {
        nll: nll(),
        from: 100,
        broken: true,
        rise: 0.0,
        lasting: 400,
    };
    let mut trainer = trainer(
        TrainConfig {
            max_non_finite: 5,
            retries: 2,
            ..config(400, 1)
        },
        forever,
    );
    // Not one step is finite after the first retry, so no other follows.
    let error = trainer.run(None, &mut []).unwrap_err();
    assert!(matches!(error, Error::NonFinite { .. }), "{error}");
    let path = Path::new("nowhere");
    assert!(trainer.resume(path).is_ok(), "a folder without checkpoints");
}
