//! The page of the battery.

use std::fmt::Write;

use trade::recipe::Length;

use super::{Outcome, problems::Problem};

/// What a run says of itself.
struct Summary {
    /// The lowest relative ESS, and where.
    lowest: (f64, Vec<f64>),
    /// `(found − exact)/error` of `log Z` at every condition where the exact value is known.
    deviations: Vec<f64>,
    /// How many conditions are marked as unreliable.
    unreliable: usize,
}

fn summary(problem: &Problem, outcome: &Outcome) -> Summary {
    let mut summary = Summary {
        lowest: (f64::INFINITY, Vec::new()),
        deviations: Vec::new(),
        unreliable: 0,
    };
    for at in &outcome.evaluation.at {
        let ess = at.ess.unwrap_or(0.0);
        if ess < summary.lowest.0 {
            summary.lowest = (ess, at.condition.clone());
        }
        let exact = match &problem.log_z {
            Some(log_z) => Some(log_z(&at.condition)),
            None => at.exact_log_z,
        };
        if let (Some(exact), Some(found), Some(error)) = (exact, at.log_z, at.log_z_error) {
            summary.deviations.push((found - exact) / error);
        }
        summary.unreliable += usize::from(at.fit == Some(false));
    }
    summary
}

/// A line about one run for the terminal.
pub(super) fn line(problem: &Problem, outcome: &Outcome) -> String {
    let found = summary(problem, outcome);
    let worst = found
        .deviations
        .iter()
        .fold(0.0, |most: f64, z| most.max(z.abs()));
    format!(
        "{} seed {}: {:.0} s, lowest ESS {:.3} at {:?}, log Z within {worst:.1} errors",
        problem.name, outcome.seed, outcome.seconds, found.lowest.0, found.lowest.1
    )
}

/// How long the trainings were, as a sentence.
fn told(length: Length) -> String {
    match length {
        Length::Within(budget) => format!("Each training could take {} minutes.", budget.minutes),
        Length::Steps(steps) => format!("Each training had {steps} steps."),
        Length::Rounds(rounds) => format!("Each training had {rounds} rounds at most."),
    }
}

/// The page in Markdown.
pub(super) fn write(
    problems: &[Problem],
    outcomes: &[Outcome],
    failures: &[String],
    length: Length,
) -> String {
    let mut page = String::from(
        "| problem | d | aim | lowest ESS, mean of seeds | of each seed | log Z within 3 errors | largest | marked | seconds |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let (mut within, mut all) = (0, 0);
    for problem in problems {
        let runs: Vec<&Outcome> = outcomes
            .iter()
            .filter(|o| o.problem == problem.name)
            .collect();
        if runs.is_empty() {
            continue;
        }
        let found: Vec<Summary> = runs.iter().map(|run| summary(problem, run)).collect();
        let lowest: Vec<f64> = found.iter().map(|s| s.lowest.0).collect();
        let mean = lowest.iter().sum::<f64>() / lowest.len() as f64;
        let deviations: Vec<f64> = found.iter().flat_map(|s| s.deviations.clone()).collect();
        let inside = deviations.iter().filter(|z| z.abs() <= 3.0).count();
        (within, all) = (within + inside, all + deviations.len());
        let worst = deviations
            .iter()
            .fold(0.0, |most: f64, z| most.max(z.abs()));
        let truth = if deviations.is_empty() {
            ("not known".into(), "–".into())
        } else {
            (
                format!("{inside} of {}", deviations.len()),
                format!("{worst:.1}"),
            )
        };
        let each: Vec<String> = lowest.iter().map(|ess| format!("{ess:.3}")).collect();
        let seconds: Vec<String> = runs
            .iter()
            .map(|run| format!("{:.0}", run.seconds))
            .collect();
        let _ = writeln!(
            page,
            "| {}: {} | {} | {} | {mean:.3} | {} | {} | {} | {} | {} |",
            problem.name,
            problem.what,
            problem.dim,
            problem.aim,
            each.join(", "),
            truth.0,
            truth.1,
            found.iter().map(|s| s.unreliable).sum::<usize>(),
            seconds.join(", ")
        );
    }
    let _ = writeln!(
        page,
        "\nOf all conditions where the exact normaliser is known, log Z lies within three of its own errors in \
         {within} of {all}. {}",
        told(length)
    );
    for failure in failures {
        let _ = writeln!(page, "\nFailed: {failure}");
    }
    page
}
