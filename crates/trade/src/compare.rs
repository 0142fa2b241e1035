//! Several runs side by side, from their evaluations.

use std::fmt::Write as _;

use trade_plot::{Axis, Colour, Dash, Figure, Panel, Series, Style};

use crate::{
    condition,
    error::{Result, bail, ensure},
    evaluate::{AtCondition, Evaluation},
    verdict::word,
};

/// Conditions nearer than this, relative to their size, are the same.
const SAME: f64 = 1e-9;

/// A value and its error at a condition.
type Reading = fn(&AtCondition) -> Option<(f64, f64)>;

const ESS: Reading = |a| Some((a.ess?, a.ess_error?));
const LOG_Z: Reading = |a| Some((a.log_z?, a.log_z_error?));
const ERROR: Reading = |a| Some((a.log_z? - a.exact_log_z?, a.log_z_error?));
const NLL: Reading = |a| Some((a.nll?, a.nll_error?));

/// The evaluations of several runs of the same control parameters.
#[derive(Clone, Debug)]
pub struct Comparison {
    controls: Vec<String>,
    /// The name of each run with its evaluation.
    runs: Vec<(String, Evaluation)>,
    /// All measured conditions, in rising order.
    conditions: Vec<Vec<f64>>,
}

impl Comparison {
    /// Compares runs by the names they are shown with.
    ///
    /// # Errors
    /// If there are fewer than two runs, or their control parameters differ.
    pub fn new(runs: Vec<(String, Evaluation)>) -> Result<Self> {
        ensure!(
            runs.len() >= 2,
            "a comparison needs two runs or more; name their folders"
        );
        let controls = runs[0].1.controls.clone();
        if let Some((name, other)) = runs.iter().find(|(_, e)| e.controls != controls) {
            bail!(
                "{} has the control parameters {}, but {name} has {}; compare runs of one target",
                runs[0].0,
                controls.join(", "),
                other.controls.join(", ")
            );
        }
        let all = runs.iter().flat_map(|(_, e)| &e.at);
        let mut conditions: Vec<Vec<f64>> = all.map(|a| a.condition.clone()).collect();
        conditions.sort_by(|a, b| {
            let pairs = a.iter().zip(b).map(|(a, b)| a.total_cmp(b));
            pairs.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        conditions.dedup_by(|a, b| same(a, b));
        Ok(Self {
            controls,
            runs,
            conditions,
        })
    }

    /// A row for each condition and run: ESS, `log Z` and, where it was measured, NLL, with errors.
    pub fn table(&self) -> String {
        let with_nll = self.measured(NLL);
        let names = self.runs.iter().map(|(name, _)| name.chars().count());
        let width = names.max().unwrap_or(0).max(3);
        let mut text = format!(
            "{:>24}  {:>width$}  {:>18}  {:>20}",
            self.controls.join(", "),
            "run",
            "relative ESS",
            "log Z"
        );
        text += if with_nll {
            "                 NLL     weights\n"
        } else {
            "     weights\n"
        };
        let pair = |found: Option<(f64, f64)>| {
            found.map_or("–".to_string(), |(v, e)| format!("{v:.4} ± {e:.4}"))
        };
        for c in &self.conditions {
            for (i, (name, evaluation)) in self.runs.iter().enumerate() {
                let at = find(evaluation, c);
                let read = |reading: Reading| pair(at.and_then(reading));
                let numbers: Vec<String> = c.iter().map(|c| condition::number(*c)).collect();
                // The condition stands at the first of its rows.
                let condition = if i == 0 {
                    numbers.join(", ")
                } else {
                    String::new()
                };
                let _ = write!(
                    text,
                    "{condition:>24}  {name:>width$}  {:>18}  {:>20}",
                    read(ESS),
                    read(LOG_Z)
                );
                if with_nll {
                    let _ = write!(text, "  {:>18}", read(NLL));
                }
                let _ = writeln!(text, "  {:>10}", word(at.and_then(|a| a.fit)));
            }
        }
        text
    }

    /// Which run has the largest ESS where, in a sentence; none if no ESS was measured in all runs.
    pub fn summary(&self) -> Option<String> {
        let means: Vec<(&str, f64)> = self
            .runs
            .iter()
            .filter_map(|(name, e)| {
                let shared = self.conditions.iter().filter(|c| {
                    let measured =
                        |(_, e): &(String, Evaluation)| find(e, c).and_then(ESS).is_some();
                    self.runs.iter().all(measured)
                });
                let found: Vec<f64> = shared.filter_map(|c| find(e, c)?.ess).collect();
                let mean = found.iter().sum::<f64>() / found.len() as f64;
                mean.is_finite().then_some((&**name, mean))
            })
            .collect();
        let (best, mean) = means.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(format!(
            "{best} has the largest mean relative ESS, {mean:.3}, over the conditions that all \
             runs were measured at."
        ))
    }

    /// ESS and `log Z` along the range, a line for each run.
    ///
    /// # Errors
    /// If there are several control parameters, or nothing to draw.
    pub fn figure(&self) -> Result<Figure> {
        let [control] = &self.controls[..] else {
            bail!(
                "a figure needs a single control parameter, and these runs have {}; leave out \
                 --output for the table",
                self.controls.join(", ")
            );
        };
        ensure!(
            self.measured(ESS),
            "no effective sample size was measured in these runs, so there is nothing to draw"
        );
        let ess = Axis::new("relative ESS").from_to(0.0, 1.03);
        let ess = self
            .panel(control, ess, ESS)
            .titled("Relative effective sample size");
        let mut figure = Figure::new("Comparison of runs").with(ess).columns(2);
        if self.measured(LOG_Z) {
            let exact = self.conditions.iter().filter_map(|c| {
                let mut found = self
                    .runs
                    .iter()
                    .filter_map(|(_, e)| find(e, c)?.exact_log_z);
                Some((c[0], found.next()?))
            });
            let (x, y): (Vec<f64>, Vec<f64>) = exact.unzip();
            // Dashed, for a run may agree with it.
            let style = Style {
                colour: Colour::Ink,
                dash: Dash::Dashed,
            };
            let zero = Series::styled(x.clone(), vec![0.0; x.len()], style);
            let exact = Series::styled(x, y, style).labelled("exact");
            let log_z = self.panel(control, Axis::new("log Z"), LOG_Z);
            figure = figure.with(log_z.titled("log Z").with(exact));
            if self.measured(ERROR) {
                let error = self.panel(control, Axis::new("log Z − exact"), ERROR);
                let error = error.with(zero).titled("Error of log Z");
                figure = figure.with(error).columns(3);
            }
        }
        Ok(figure)
    }

    fn panel(&self, control: &str, y: Axis, read: Reading) -> Panel {
        let mut panel = Panel::new(Axis::new(control), y);
        for (i, (name, evaluation)) in self.runs.iter().enumerate() {
            let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted][i / 8 % 3];
            let colour = Colour::Hue(i);
            let style = Style { colour, dash };
            let at = self.conditions.iter().filter_map(|c| find(evaluation, c));
            let found = at.filter_map(|a| Some((a.condition[0], read(a)?)));
            let (x, pairs): (Vec<f64>, Vec<(f64, f64)>) = found.unzip();
            let (y, errors) = pairs.into_iter().unzip();
            panel = panel.with_band([x, y, errors], style, name);
        }
        panel.areas_first();
        panel
    }

    fn measured(&self, read: Reading) -> bool {
        let mut all = self.runs.iter().flat_map(|(_, e)| &e.at);
        all.any(|a| read(a).is_some())
    }
}

fn same(a: &[f64], b: &[f64]) -> bool {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= SAME * a.abs().max(b.abs()).max(1e-300);
    a.len() == b.len() && a.iter().zip(b).all(close)
}

fn find<'a>(evaluation: &'a Evaluation, c: &[f64]) -> Option<&'a AtCondition> {
    evaluation.at.iter().find(|a| same(&a.condition, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(control: &str, found: &[(f64, f64)]) -> Evaluation {
        let at = found.iter().map(|&(c, ess)| {
            let mut at = AtCondition::empty(&[c]);
            (at.ess, at.ess_error, at.fit) = (Some(ess), Some(0.01), Some(true));
            at
        });
        Evaluation {
            calibration: Vec::new(),
            two_samples: Vec::new(),
            controls: vec![control.into()],
            at: at.collect(),
            marginals: vec![],
            samples: 1000,
            seconds: 0.0,
        }
    }

    #[test]
    fn conditions_of_all_runs_are_joined() {
        let a = evaluation("T", &[(0.5, 0.9), (1.0, 0.8)]);
        let b = evaluation("T", &[(1.0 + 1e-12, 0.7), (0.75, 0.6)]);
        let both = Comparison::new(vec![("a".into(), a), ("b".into(), b)]).unwrap();
        let table = both.table();
        assert_eq!(table.lines().count(), 7, "{table}");
        assert!(!table.contains("NLL") && table.contains("0.7000 ± 0.0100"));
        let summary = both.summary().unwrap();
        assert!(summary.starts_with("a has the largest") && summary.contains("0.800"));
        assert_eq!(both.figure().unwrap().panels.len(), 1);
    }

    #[test]
    fn runs_of_other_control_parameters_are_refused() {
        let run = |name: &str| (name.to_string(), evaluation(name, &[(0.5, 0.9)]));
        let error = Comparison::new(vec![run("T"), run("kappa")]).unwrap_err();
        assert!(error.to_string().contains("compare runs of one target"));
        assert!(Comparison::new(vec![run("T")]).is_err());
    }
}
