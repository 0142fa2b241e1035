//! A progress bar on the terminal: step, rate, time left, losses.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Observer, StepReport};
use crate::error::Result;

const TEMPLATE: &str =
    "{bar:30} {pos}/{len} {per_sec} elapsed {elapsed_precise} left {eta_precise}  {msg}";

/// Draws a bar on standard error; nothing is drawn where that is not a terminal, or if quiet.
///
/// Notes appear above the bar; without a terminal they are plain lines on standard error, and a
/// quiet observer drops them.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
    begun: bool,
}

impl Progress {
    /// A bar that appears at the first step.
    pub fn new(quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self {
            bar,
            quiet,
            begun: false,
        }
    }
}

impl Observer for Progress {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        if !self.begun {
            self.begun = true;
            self.bar.set_length(report.total as u64);
            // A resumed run does not count the steps of its predecessor into its rate.
            self.bar.set_position(report.step as u64);
            self.bar.reset_eta();
            self.bar.reset_elapsed();
        }
        if self.bar.length() != Some(report.total as u64) {
            self.bar.set_length(report.total as u64);
        }
        // The bar draws at its own pace; the text is for those times only.
        if !self.bar.is_hidden() {
            self.bar.set_message(losses(report));
        }
        self.bar.set_position(report.step as u64 + 1);
        Ok(())
    }

    fn note(&mut self, message: &str) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        if self.bar.is_hidden() {
            eprintln!("{message}");
        } else {
            self.bar.println(message);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.bar.abandon();
        Ok(())
    }
}

/// The loss and its terms in one line, such as `loss 1.234  nll 1.1  trade 0.268 (ESS 0.75)`.
fn losses(report: &StepReport) -> String {
    let mut line = format!("loss {:.4}", report.loss);
    for term in &report.terms {
        // Writing to a string cannot fail.
        let _ = write!(line, "  {} {:.4}", term.name, term.loss);
        if let Some(ess) = term.ess {
            let _ = write!(line, " (ESS {ess:.2})");
        }
        if term.non_finite > 0 {
            let _ = write!(line, " ({} not finite)", term.non_finite);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_line_names_every_term() {
        let mut report = report(3, 0.5);
        assert_eq!(losses(&report), "loss 0.5000  trade 1.0000 (ESS 0.75)");
        report.terms[0].ess = None;
        report.terms[0].non_finite = 2;
        assert_eq!(losses(&report), "loss 0.5000  trade 1.0000 (2 not finite)");
    }

    #[test]
    fn the_bar_follows_the_steps() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let mut progress = Progress::new(true);
        assert!(progress.bar.is_hidden());
        progress.step(&report(40, 0.5)).unwrap();
        assert_eq!(
            (progress.bar.position(), progress.bar.length()),
            (41, Some(100))
        );
        progress.step(&report(41, 0.5)).unwrap();
        assert_eq!(progress.bar.position(), 42);
        progress.note("quiet").unwrap();
        progress.finish().unwrap();
        assert!(progress.bar.is_finished());
        assert_eq!(progress.bar.position(), 42);
    }
}
