//! What measures say to their reader: over which part of the range the flow is fit for importance
//! weights, where it is not, and what to try next.

pub(crate) mod stretches;

use std::fmt::Write as _;

use trade_core::Family;
pub use trade_core::estimate::pareto::{LARGEST_RELIABLE_K, Tail};

use crate::{
    evaluate::{AtCondition, Evaluation},
    free_energy::PathPoint,
    run::Run,
};
use stretches::{Place, number, places, short};

/// So many effective samples an estimate needs before its error means something: the hundred for
/// each chain of Vehtari, Gelman, Simpson, Carpenter and Bürkner, *Rank-normalization, folding, and
/// localization: An improved R̂*, Bayesian Analysis 16 (2021).
pub const LEAST_EFFECTIVE: f64 = 100.0;
/// With a relative ESS above this a flow matches, but for a few weights.
const FEW_LARGE: f64 = 0.5;

/// The probability below which posteriors are not taken for calibrated.
const UNLIKELY: f64 = 1e-3;

/// More samples than this are no advice.
const MOST_SAMPLES: f64 = 1e6;

/// Estimates of one number that are further apart, in units of their errors, mark the condition.
pub(crate) const MOST_APART: f64 = 10.0;
/// The least error of such an estimate, relatively: sums of single precision have no less.
pub(crate) const ROUNDING: f64 = 1e-6;

/// Whether ESS, `log Z` and their errors mean something: the tail of the weights is harmless, see
/// [`Tail::is_harmless`], and relative ESS × samples is at least [`LEAST_EFFECTIVE`], with what no
/// weight has seen yet, see [`Tail::cautious`]. A tail that
/// is not determined, as of equal weights, leaves the decision to the ESS.
pub fn is_fit(tail: Option<Tail>, relative_ess: f64, samples: usize) -> bool {
    let least = tail.map_or(relative_ess, |tail| tail.cautious(relative_ess));
    tail.is_none_or(|tail| tail.is_harmless(relative_ess, samples))
        && least * samples as f64 >= LEAST_EFFECTIVE
}

/// Whether flow samples missed a part of the target, which their weights cannot tell but exact
/// samples can. By Jensen's inequality `KL(p‖p_θ) = E_p[log w] ≤ log E_p[w] = −log ESS`, so a larger
/// KL, by three errors of both, says that the ESS was measured without that part.
pub fn misses(kl: f64, kl_error: f64, ess: f64, ess_error: f64) -> bool {
    let least = ess - 3.0 * ess_error;
    least > 0.0 && kl - 3.0 * kl_error > -least.ln()
}

/// The word for a mark in a table.
pub fn word(fit: Option<bool>) -> &'static str {
    match fit {
        Some(true) => "ok",
        Some(false) => "unreliable",
        None => "–",
    }
}

/// Importance weights at one condition, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The condition.
    pub condition: Vec<f64>,
    /// The relative effective sample size.
    pub ess: f64,
    /// The Pareto shape of the weights, where it is determined.
    pub pareto_k: Option<f64>,
    /// Whether exact samples show a part of the target that flow samples missed, see [`misses`].
    pub misses: bool,
    /// Whether estimates mean something.
    pub fit: bool,
}

/// The verdict on an evaluation, one to three sentences.
pub fn of_evaluation(run: &Run, evaluation: &Evaluation) -> String {
    if !run.target.is_known() {
        let mut text =
            "The target's density is not known, so there are no importance weights: ESS and \
                log Z could not be measured, and the flow is known to fit only as far as the NLL \
                at its base conditions tells. Compare the NLL of several runs with `trade \
                compare`, and samples with what you know of the posterior."
                .to_string();
        let measured = evaluation.calibration.iter();
        let worst = measured.min_by(|a, b| a.least_p().total_cmp(&b.least_p()));
        if let Some(found) = worst.filter(|found| found.least_p() < UNLIKELY) {
            let _ = write!(
                text,
                " At {} the posteriors are not calibrated (p below {UNLIKELY}): they are off in place or width, so train \
                 longer, or give more pairs.",
                stretches::named(&evaluation.controls, &found.condition)
            );
        }
        return text;
    }
    if run.target.contexts() > 0 {
        return of_observations(evaluation);
    }
    let mut judged: Vec<Judged> = evaluation
        .at
        .iter()
        .filter_map(AtCondition::judged)
        .collect();
    let line = evaluation.controls.len() == 1;
    if line {
        judged.sort_by(|a, b| a.condition[0].total_cmp(&b.condition[0]));
    }
    let view = View {
        controls: &evaluation.controls,
        line,
        samples: evaluation.samples,
        setting: "`evaluate.samples`",
    };
    let bases = run.config.bases(&evaluation.controls).unwrap_or_default();
    let mut text = view.sentences(&judged, &bases);
    // The score does not see a wall that moves, and there is no length then.
    if let Some(length) = evaluation.path_length().filter(|length| *length > 0.01) {
        let _ = write!(
            text,
            " The measured range is S = {} long, in deviations of the condition score; a few is easy, tens are \
             hard.",
            short(length)
        );
    }
    let stray = evaluation.at.iter().filter_map(|at| Some((at, at.stray?)));
    let stray = stray.max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((at, share)) =
        stray.filter(|(at, share)| *share > 0.0 && at.outside != Some(*share))
    {
        let _ = write!(
            text,
            " At {} one of {:.0} samples lies where the target has next to no density: averages over raw samples may \
             be far off, so add `--reweight` or `--metropolis` to `trade sample`.",
            stretches::named(&evaluation.controls, &at.condition),
            share.recip()
        );
    }
    if judged.iter().all(|j| bases.contains(&j.condition)) {
        text += " Only base conditions were measured; add others to `evaluate.conditions` to learn \
                 about the rest of the range.";
    }
    text
}

/// Of a target with observations only the mean ESS is measured.
fn of_observations(evaluation: &Evaluation) -> String {
    let ess = evaluation.at.iter().filter_map(|a| Some((a, a.ess?)));
    let lowest = ess.min_by(|a, b| a.1.total_cmp(&b.1));
    let found = lowest.map_or(String::new(), |(a, ess)| {
        let at = stretches::named(&evaluation.controls, &a.condition);
        format!(" The lowest mean relative ESS is {} at {at}.", short(ess))
    });
    format!(
        "Each observation has weights of its own, so the Pareto shape and log Z were not measured; \
         the relative ESS is a mean over some observations.{found} For one observation, check the \
         ESS that `trade sample --given … --reweight` reports."
    )
}

/// The verdict on the weights along a path of conditions, in the order of the path.
pub fn of_path(
    controls: &[String],
    points: &[PathPoint],
    samples: usize,
    bases: &[Vec<f64>],
) -> String {
    let judged: Vec<Judged> = points.iter().map(PathPoint::judged).collect();
    let view = View {
        controls,
        line: true,
        samples,
        setting: "`--samples`",
    };
    let mut text = view.sentences(&judged, bases);
    if judged.first().is_some_and(|start| !start.fit) {
        text += " The path starts where the weights are unreliable, and so every difference is.";
    } else if judged.iter().any(|j| !j.fit) {
        text += " The integral uses the same weights on its way, so it does not check them there.";
    }
    if points.iter().any(PathPoint::is_apart) {
        let marks: Vec<(&[f64], bool)> = (points.iter())
            .map(|point| (&point.condition[..], point.is_apart()))
            .collect();
        let sentence = format!(
            " Weights and integral differ by more than {MOST_APART} of their errors {}: one misses a part of the \
             density, or the density jumps where its derivative shows nothing, as at a wall that moves. In \
             the second case the weights are right, and no number of samples mends the integral.",
            places(controls, &marks, true)
        );
        text += &sentence;
    }
    text
}

/// What sentences need to know beside the judged conditions.
struct View<'a> {
    controls: &'a [String],
    /// Whether neighbours in the list are neighbours in the range.
    line: bool,
    samples: usize,
    /// The name of the setting that holds the number of samples.
    setting: &'a str,
}

impl View<'_> {
    fn sentences(&self, judged: &[Judged], bases: &[Vec<f64>]) -> String {
        if judged.is_empty() {
            return "No importance weights were measured.".into();
        }
        let good = judged.iter().filter(|j| j.fit);
        let bad: Vec<&Judged> = judged.iter().filter(|j| !j.fit).collect();
        let lowest = good.min_by(|a, b| a.ess.total_cmp(&b.ess));
        let Some(lowest) = lowest else {
            return format!(
                "The flow is not fit for importance weights at any of the measured conditions \
                 ({}). {}",
                self.found(&bad),
                self.advice(judged, &bad, bases)
            );
        };
        let mut text = format!(
            "The flow is fit for importance weights {} (lowest relative ESS {} at {}).",
            self.places(judged, true),
            short(lowest.ess),
            stretches::named(self.controls, &lowest.condition)
        );
        if !bad.is_empty() {
            let _ = write!(
                text,
                " It is unreliable {} ({}); ESS, log Z and their errors mean little there. {}",
                self.places(judged, false),
                self.found(&bad),
                self.advice(judged, &bad, bases)
            );
        }
        text
    }

    fn places(&self, judged: &[Judged], fit: bool) -> String {
        let marks: Vec<(&[f64], bool)> = judged
            .iter()
            .map(|j| (&j.condition[..], j.fit == fit))
            .collect();
        places(self.controls, &marks, self.line)
    }

    /// The worst numbers among unreliable conditions.
    fn found(&self, bad: &[&Judged]) -> String {
        let ess = bad.iter().map(|j| j.ess).fold(f64::INFINITY, f64::min);
        let effective = ess * self.samples as f64;
        let shape = bad.iter().filter_map(|j| j.pareto_k);
        let shape = shape.fold(f64::NEG_INFINITY, f64::max);
        let mut parts = Vec::new();
        if shape > LARGEST_RELIABLE_K {
            parts.push(format!(
                "Pareto k up to {}, at most {LARGEST_RELIABLE_K} is reliable",
                short(shape)
            ));
        }
        if bad.iter().any(|j| j.misses) {
            parts.push(
                "the exact KL is larger than −log ESS, so the flow's samples miss a part of the \
                 target"
                    .into(),
            );
        }
        let few = if effective < LEAST_EFFECTIVE {
            format!(
                ", worth {effective:.0} of {} samples where {LEAST_EFFECTIVE} are needed",
                self.samples
            )
        } else {
            String::new()
        };
        parts.push(format!("relative ESS down to {}{few}", short(ess)));
        parts.join("; ")
    }

    /// The next step, by what was found.
    fn advice(&self, judged: &[Judged], bad: &[&Judged], bases: &[Vec<f64>]) -> String {
        let ess = bad.iter().map(|j| j.ess).fold(f64::INFINITY, f64::min);
        let light = bad
            .iter()
            .all(|j| !j.misses && j.pareto_k.is_none_or(|k| k <= LARGEST_RELIABLE_K));
        // Weights that are worth enough, but for a few large ones, need several times as many.
        let wanted = (1.5 * LEAST_EFFECTIVE / ess).max(4.0 * self.samples as f64);
        if light && wanted <= MOST_SAMPLES {
            let round = 10_f64.powf(wanted.log10().floor());
            let wanted = (wanted / round).ceil() * round;
            return format!(
                "The weights have no heavy tail: set {} to {wanted} or more.",
                self.setting
            );
        }
        if !near_a_base(judged, bases) {
            let next = "train longer (`train.steps`), or give the flow more layers.";
            return if ess > FEW_LARGE {
                format!(
                    "Even near the base condition a few weights are far above the others: {next}"
                )
            } else {
                format!(
                    "Even near the base condition the flow does not match the target yet: {next}"
                )
            };
        }
        let far = bad
            .iter()
            .max_by(|a, b| distance(a, bases).total_cmp(&distance(b, bases)));
        let far = far.map_or(String::new(), |j| {
            stretches::named(self.controls, &j.condition)
        });
        let range = match (self.controls, fit_stretch(judged)) {
            ([name], Some((low, high))) => format!(
                ", or narrow the range to {name} from {} to {}",
                number(low),
                number(high)
            ),
            _ => ", or narrow the range".into(),
        };
        format!("Next, train longer, give data at a base condition nearer to {far}{range}.")
    }
}

/// The longest stretch of fit conditions of a single control parameter.
fn fit_stretch(judged: &[Judged]) -> Option<(f64, f64)> {
    let marks: Vec<(&[f64], bool)> = judged.iter().map(|j| (&j.condition[..], j.fit)).collect();
    let found = stretches::stretches(&marks).into_iter();
    let ends = found.filter_map(|place| match place {
        Place::Between(a, b) => Some((a[0].min(b[0]), a[0].max(b[0]))),
        Place::At(_) => None,
    });
    ends.max_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)))
}

/// Whether the measured condition nearest to some base condition is fit. Without a base condition
/// that is known, the first assumption is that training went well.
fn near_a_base(judged: &[Judged], bases: &[Vec<f64>]) -> bool {
    let nearest = |base: &Vec<f64>| {
        let all = judged.iter().min_by(|a, b| {
            let one = std::slice::from_ref(base);
            distance(a, one).total_cmp(&distance(b, one))
        });
        all.is_some_and(|j| j.fit)
    };
    bases.is_empty() || bases.iter().any(nearest)
}

/// The distance to the nearest base condition, in the units of the control parameters.
fn distance(judged: &Judged, bases: &[Vec<f64>]) -> f64 {
    let squared = |base: &Vec<f64>| {
        let pairs = base.iter().zip(&judged.condition);
        pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
    };
    bases.iter().map(squared).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of which much is unseen.
    fn tail(k: f64) -> Tail {
        Tail {
            k,
            unseen: 1.0,
            unseen_square: 0.0,
        }
    }

    fn judged(found: &[(f64, f64, f64)]) -> Vec<Judged> {
        let one = |&(c, ess, k): &(f64, f64, f64)| Judged {
            condition: vec![c],
            ess,
            pareto_k: Some(k),
            misses: false,
            fit: is_fit(Some(tail(k)), ess, 10_000),
        };
        found.iter().map(one).collect()
    }

    fn said(found: &[(f64, f64, f64)]) -> String {
        let controls = ["T".to_string()];
        let view = View {
            controls: &controls,
            line: true,
            samples: 10_000,
            setting: "`evaluate.samples`",
        };
        view.sentences(&judged(found), &[vec![1.0]])
    }

    #[test]
    fn the_limits() {
        let fit = |k, ess, n| is_fit(Some(tail(k)), ess, n);
        assert!(fit(0.7, 0.01, 10_000) && !fit(0.71, 0.9, 10_000) && !fit(0.1, 0.0099, 10_000));
        assert!(is_fit(None, 1.0, 100) && !is_fit(None, 1.0, 99));
        assert!(fit(f64::NEG_INFINITY, 1.0, 100) && !fit(f64::NAN, 1.0, 100));
        // A heavy tail counts only if the error does not cover what it hides: √((1/0.9 − 1)/10⁴) = 0.0033.
        let hides = |unseen| {
            is_fit(
                Some(Tail {
                    unseen,
                    ..tail(0.9)
                }),
                0.9,
                10_000,
            )
        };
        assert!(hides(0.003) && !hides(0.004) && !hides(f64::INFINITY));
    }

    #[test]
    fn a_missed_half_is_noticed_by_exact_samples() {
        // A flow with one of two equal modes has equal weights, but an infinite KL; one that has
        // 1 % of the second has KL = ½ ln(0.5/0.99) + ½ ln(0.5/0.01) = 1.61 > −ln 1.
        assert!(misses(1.61, 0.05, 1.0, 0.0));
        // log-normal weights of spread s: KL = s²/2, −log ESS = s².
        assert!(!misses(0.5, 0.01, (-1.0_f64).exp(), 0.01));
        assert!(!misses(0.05, 0.02, 0.99, 0.001) && !misses(5.0, 0.1, 0.01, 0.004));
    }

    #[test]
    fn a_flow_that_fits_everywhere() {
        assert_eq!(
            said(&[(0.4, 0.91, 0.1), (0.7, 0.95, 0.0), (1.1, 0.97, -0.1)]),
            "The flow is fit for importance weights for T from 0.4 to 1.1 (lowest relative ESS \
             0.91 at T = 0.4)."
        );
    }

    #[test]
    fn one_that_fails_far_from_its_base() {
        let text = said(&[
            (0.2, 0.002, 1.3),
            (0.3, 0.05, 0.8),
            (0.5, 0.6, 0.4),
            (1.0, 0.9, 0.1),
        ]);
        for part in [
            "fit for importance weights for T from 0.5 to 1 (lowest relative ESS 0.6 at T = 0.5)",
            "unreliable for T from 0.2 to 0.3 (Pareto k up to 1.3, at most 0.7 is reliable; \
             relative ESS down to 0.002, worth 20 of 10000 samples where 100 are needed)",
            "nearer to T = 0.2, or narrow the range to T from 0.5 to 1.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_next_step_depends_on_what_was_found() {
        // Uneven weights without a heavy tail need more samples: 1.5 · 100/0.004.
        let text = said(&[(0.5, 0.004, 0.3), (1.0, 0.9, 0.1)]);
        assert!(text.contains("set `evaluate.samples` to 40000"), "{text}");
        let text = said(&[(0.5, 0.001, 2.0), (1.0, 0.002, 1.5)]);
        assert!(text.contains("not fit") && text.contains("train longer (`train.steps`)"));
        // Fit at one end only, and not at the base.
        let text = said(&[(0.5, 0.9, 0.1), (1.0, 0.3, 0.9)]);
        assert!(text.contains("Even near the base condition"), "{text}");
        assert!(text.contains("weights at T = 0.5") && text.contains("unreliable at T = 1"));
    }
}
