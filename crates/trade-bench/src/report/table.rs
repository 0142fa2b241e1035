//! The table of a report: a row for each method, in Markdown and in HTML.
#![allow(clippy::format_push_string, reason = "a page is written once")]

use super::model::{ConditionResult, Results, SeedResult};
use super::spread::Spread;
use trade_plot::escape;

/// A quantity, which has a column for each condition of the table or a single one.
struct Column {
    group: &'static str,
    /// Empty, or the condition.
    condition: String,
    cells: Vec<Spread>,
    decimals: usize,
    /// Larger is better.
    upward: bool,
}

/// Rows and columns with their texts made and the best of each column found.
pub(super) struct Table {
    columns: Vec<(&'static str, String)>,
    /// Label of the method, then text and whether it is the best of its column.
    rows: Vec<(String, Vec<(String, bool)>)>,
}

/// What each group of columns means, for the readers of a report.
pub(super) const EXPLANATIONS: [(&str, &str); 5] = [
    (
        "NLL",
        "mean of −log p(x | c) of the flow over exact samples at the condition, in nats; lower is better. \
         It is bounded below by the entropy of the target, so compare methods at one condition, not conditions.",
    ),
    (
        "KL",
        "KL(exact ‖ flow) in nats, the mean of log p − log p_flow over exact samples, difference by difference; \
         0 is perfect, lower is better.",
    ),
    (
        "relative ESS",
        "effective sample size (Σw)² / (n Σw²) of the importance weights of samples drawn from the flow; \
         1 is perfect, higher is better.",
    ),
    (
        "max |Δ log Z| error",
        "largest error over all conditions of log Z(c) − log Z(c₀) as estimated from the importance weights, \
         against the exact value; c₀ is the first base condition. Lower is better.",
    ),
    (
        "s / step",
        "mean wall time of a training step in seconds, on the machine named above.",
    ),
];

impl Table {
    pub(super) fn new(results: &Results) -> Self {
        let columns: Vec<Column> = columns(results)
            .into_iter()
            .filter(|c| c.cells.iter().any(|s| s.finite > 0))
            .collect();
        let best: Vec<Option<String>> = columns.iter().map(Column::best).collect();
        let rows = results.methods.iter().enumerate().map(|(i, method)| {
            let cells = columns.iter().zip(&best).map(|(column, best)| {
                let cell = &column.cells[i];
                let is_best = cell.finite > 0
                    && cell.finite == cell.seeds
                    && best.as_ref() == Some(&cell.mean_text(column.decimals));
                (cell.text(column.decimals), is_best)
            });
            (method.label.clone(), cells.collect())
        });
        Self {
            rows: rows.collect(),
            columns: columns
                .iter()
                .map(|c| (c.group, c.condition.clone()))
                .collect(),
        }
    }

    /// Groups of columns that the table shows, in order.
    pub(super) fn groups(&self) -> Vec<(&'static str, usize)> {
        let mut groups: Vec<(&'static str, usize)> = vec![];
        for (group, _) in &self.columns {
            match groups.last_mut() {
                Some((last, count)) if last == group => *count += 1,
                _ => groups.push((group, 1)),
            }
        }
        groups
    }

    /// A pipe table; the best of a column in bold.
    pub(super) fn markdown(&self) -> String {
        let plain = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
        let heading = |(group, condition): &(&str, String)| match condition.as_str() {
            "" => plain(group),
            condition => plain(&format!("{group}, {condition}")),
        };
        let headings: Vec<String> = self.columns.iter().map(heading).collect();
        let mut out = format!("| method | {} |\n", headings.join(" | "));
        out += &format!("|:--|{}\n", "--:|".repeat(headings.len()));
        for (label, cells) in &self.rows {
            let cells: Vec<String> = cells
                .iter()
                .map(|(text, best)| {
                    if *best {
                        format!("**{text}**")
                    } else {
                        text.clone()
                    }
                })
                .collect();
            out += &format!("| {} | {} |\n", plain(label), cells.join(" | "));
        }
        out
    }

    /// A `<table>` with the conditions under their quantity; the best of a column in `<strong>`.
    pub(super) fn html(&self) -> String {
        let mut out = String::from("<table>\n<thead>\n<tr><th rowspan=\"2\">method</th>");
        for (group, count) in self.groups() {
            let alone = self
                .columns
                .iter()
                .any(|(g, condition)| *g == group && condition.is_empty());
            let span = if alone {
                " rowspan=\"2\"".into()
            } else {
                format!(" colspan=\"{count}\"")
            };
            out += &format!("<th class=\"group\"{span}>{}</th>", escape(group));
        }
        out += "</tr>\n<tr>";
        for (_, condition) in self.columns.iter().filter(|(_, c)| !c.is_empty()) {
            out += &format!("<th>{}</th>", escape(condition));
        }
        out += "</tr>\n</thead>\n<tbody>\n";
        for (label, cells) in &self.rows {
            out += &format!("<tr><th scope=\"row\">{}</th>", escape(label));
            for (text, best) in cells {
                let text = escape(text);
                out += &if *best {
                    format!("<td><strong>{text}</strong></td>")
                } else {
                    format!("<td>{text}</td>")
                };
            }
            out += "</tr>\n";
        }
        out + "</tbody>\n</table>\n"
    }
}

impl Column {
    /// The best mean as the table shows it, among methods none of whose seeds failed.
    fn best(&self) -> Option<String> {
        let whole = self
            .cells
            .iter()
            .filter(|c| c.finite > 0 && c.finite == c.seeds);
        let sign = if self.upward { -1.0 } else { 1.0 };
        let best = whole.min_by(|a, b| (sign * a.mean).total_cmp(&(sign * b.mean)))?;
        Some(best.mean_text(self.decimals))
    }
}

/// A measurement of a run at a condition.
type Value = fn(&ConditionResult) -> f64;

fn columns(results: &Results) -> Vec<Column> {
    let over_seeds = |value: &dyn Fn(&SeedResult) -> f64| -> Vec<Spread> {
        results
            .methods
            .iter()
            .map(|m| Spread::of(m.seeds.iter().map(value)))
            .collect()
    };
    let measured: [(&'static str, Value, usize, bool); 3] = [
        ("NLL", |at| at.nll, 3, false),
        ("KL", |at| at.kl.unwrap_or(f64::NAN), 4, false),
        ("relative ESS", |at| at.ess, 3, true),
    ];
    let mut columns = vec![];
    for (group, value, decimals, upward) in measured {
        for &condition in &results.table_conditions {
            let cells = over_seeds(&|seed| seed.measured_at(condition).map_or(f64::NAN, value));
            columns.push(Column {
                group,
                condition: results.named(condition),
                cells,
                decimals,
                upward,
            });
        }
    }
    let single = |group, cells, decimals| Column {
        group,
        condition: String::new(),
        cells,
        decimals,
        upward: false,
    };
    columns.push(single(
        EXPLANATIONS[3].0,
        over_seeds(&|seed| log_z_error(results, seed)),
        4,
    ));
    columns.push(single(
        EXPLANATIONS[4].0,
        over_seeds(&|seed| seed.seconds_per_step),
        4,
    ));
    columns
}

/// Largest error of the relative log Z over the conditions where the truth is known; NaN if none
/// is, or if any estimate failed.
fn log_z_error(results: &Results, seed: &SeedResult) -> f64 {
    let errors = seed
        .at
        .iter()
        .filter_map(|at| Some((at.log_z - results.exact_log_z(at.condition)?).abs()));
    errors
        .reduce(|a, b| {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else {
                a.max(b)
            }
        })
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::super::model::{ExactCurves, MethodResult};
    use super::*;

    fn run(condition: f64, ess: f64, kl: f64, log_z: f64, seconds: f64) -> SeedResult {
        let at = |condition, log_z| ConditionResult {
            condition,
            nll: 1.0 + kl,
            kl: Some(kl),
            ess,
            log_z,
            ..ConditionResult::default()
        };
        SeedResult {
            seconds_per_step: seconds,
            at: vec![at(condition, log_z), at(1.0, 0.01)],
            ..SeedResult::default()
        }
    }

    fn results() -> Results {
        let method = |name: &str, seeds| MethodResult {
            name: name.into(),
            label: name.into(),
            seeds,
        };
        Results {
            control: "T".into(),
            conditions: vec![0.5, 1.0],
            table_conditions: vec![0.5],
            exact: Some(ExactCurves {
                log_z: vec![-2.0, 0.0],
                marginals: vec![],
            }),
            methods: vec![
                // ESS: mean 0.9, std √(0.02)/1 = 0.1414; KL: 0.02, 0.04 -> 0.03 ± 0.0141;
                // log Z errors: 0.3 and 0.1 -> 0.2 ± 0.1414; steps: 0.1 ± 0.
                method(
                    "a|<b>",
                    vec![
                        run(0.5, 0.8, 0.02, -2.3, 0.1),
                        run(0.5, 1.0, 0.04, -1.9, 0.1),
                    ],
                ),
                method(
                    "c",
                    vec![
                        run(0.5, 0.5, 0.5, -2.05, 0.2),
                        run(0.5, 0.5, f64::NAN, -2.05, 0.2),
                    ],
                ),
            ],
            ..Results::default()
        }
    }

    #[test]
    fn markdown_shows_means_deviations_and_the_best() {
        let expected = "\
| method | NLL, T = 0.5 | KL, T = 0.5 | relative ESS, T = 0.5 | max \\|Δ log Z\\| error | s / step |
|:--|--:|--:|--:|--:|--:|
| a\\|<b> | **1.030 ± 0.014** | **0.0300 ± 0.0141** | **0.900 ± 0.141** | 0.2000 ± 0.1414 | **0.1000 ± 0.0000** |
| c | 1.500 (1 of 2 seeds) | 0.5000 (1 of 2 seeds) | 0.500 ± 0.000 | **0.0500 ± 0.0000** | 0.2000 ± 0.0000 |
";
        assert_eq!(Table::new(&results()).markdown(), expected);
    }

    #[test]
    fn html_groups_conditions_and_escapes_labels() {
        let html = Table::new(&results()).html();
        assert!(html.contains("<th scope=\"row\">a|&lt;b&gt;</th>"));
        assert!(html.contains("<td><strong>0.0300 ± 0.0141</strong></td>"));
        assert!(html.contains("<th class=\"group\" colspan=\"1\">NLL</th>"));
        assert!(html.contains("<th class=\"group\" rowspan=\"2\">s / step</th>"));
    }

    #[test]
    fn columns_without_any_number_are_left_out() {
        let mut results = results();
        results.exact = None;
        results
            .methods
            .iter_mut()
            .flat_map(|m| &mut m.seeds)
            .flat_map(|s| &mut s.at)
            .for_each(|at| at.kl = None);
        let table = Table::new(&results).markdown();
        assert!(!table.contains("KL") && !table.contains("log Z") && table.contains("NLL"));
        assert_eq!(
            Table::new(&Results::default()).markdown().lines().count(),
            2
        );
    }
}
