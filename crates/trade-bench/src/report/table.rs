//! The table of a report: a row for each method, in Markdown and in HTML.
#![allow(clippy::format_push_string, reason = "a page is written once")]

use super::model::{ConditionResult, Results, SeedResult};
use super::rows;
use super::spread::Spread;
use trade_plot::escape;

/// A quantity of the table.
pub(super) struct Quantity {
    pub(super) name: &'static str,
    /// What it means, for the readers of a report.
    pub(super) meaning: &'static str,
    decimals: usize,
    /// Whether larger is better.
    upward: bool,
    read: Read,
}

/// Where a quantity is found.
enum Read {
    /// At each condition of the table, which has a column.
    At(fn(&ConditionResult) -> f64),
    /// In the run as a whole, which has a single column.
    Run(fn(&Results, &SeedResult) -> f64),
}

static QUANTITIES: [Quantity; 5] = [
    Quantity {
        name: "NLL",
        meaning: "mean of −log p(x | c) of the flow over exact samples at the condition, in nats; lower is better. \
                  It is bounded below by the entropy of the target, so compare methods at one condition, not conditions.",
        decimals: 3,
        upward: false,
        read: Read::At(|at| at.nll),
    },
    Quantity {
        name: "KL",
        meaning: "KL(exact ‖ flow) in nats, the mean of log p − log p_flow over exact samples, difference by difference; \
                  0 is perfect, lower is better.",
        decimals: 4,
        upward: false,
        read: Read::At(|at| at.kl.unwrap_or(f64::NAN)),
    },
    Quantity {
        name: "relative ESS",
        meaning: "effective sample size (Σw)² / (n Σw²) of the importance weights of samples drawn from the flow; \
                  1 is perfect, higher is better.",
        decimals: 3,
        upward: true,
        read: Read::At(|at| at.ess),
    },
    Quantity {
        name: "max |Δ log Z| error",
        meaning: "largest error over all conditions of log Z(c) − log Z(c₀) as estimated from the importance weights, \
                  against the exact value; c₀ is the first base condition. Lower is better.",
        decimals: 4,
        upward: false,
        read: Read::Run(log_z_error),
    },
    Quantity {
        name: "s / step",
        meaning: "mean wall time of a training step in seconds, on the machine named above.",
        decimals: 4,
        upward: false,
        read: Read::Run(|_, seed| seed.seconds_per_step),
    },
];

/// A quantity at a condition, or in a run as a whole.
struct Column {
    quantity: &'static Quantity,
    /// The condition in words. It is empty for a run as a whole.
    condition: String,
    /// A cell for each method.
    cells: Vec<Spread>,
}

/// Rows and columns with their texts made and the best of each column found.
pub(super) struct Table {
    columns: Vec<Column>,
    /// The label of the method, then its cells, with a mark on those that are the best of their
    /// column.
    rows: Vec<Vec<(String, bool)>>,
}

impl Table {
    pub(super) fn new(results: &Results) -> Self {
        let mut columns: Vec<Column> = vec![];
        let mut add = |quantity, condition, value: &dyn Fn(&SeedResult) -> f64| {
            let spreads = results
                .methods
                .iter()
                .map(|m| Spread::of(m.seeds.iter().map(value)));
            let cells: Vec<Spread> = spreads.collect();
            if cells.iter().any(|cell| cell.finite > 0) {
                columns.push(Column {
                    quantity,
                    condition,
                    cells,
                });
            }
        };
        for quantity in &QUANTITIES {
            match quantity.read {
                Read::At(read) => {
                    for &condition in &results.table_conditions {
                        let value =
                            |seed: &SeedResult| seed.measured_at(condition).map_or(f64::NAN, read);
                        add(quantity, results.named(condition), &value);
                    }
                }
                Read::Run(read) => add(quantity, String::new(), &|seed| read(results, seed)),
            }
        }
        let best: Vec<Option<String>> = columns.iter().map(Column::best).collect();
        let rows = results.methods.iter().enumerate().map(|(i, method)| {
            let cells = columns.iter().zip(&best).map(|(column, best)| {
                let (cell, decimals) = (column.cells[i], column.quantity.decimals);
                let is_best = cell.is_whole() && best.as_ref() == Some(&cell.mean_text(decimals));
                (cell.text(decimals), is_best)
            });
            std::iter::once((method.label.clone(), false))
                .chain(cells)
                .collect()
        });
        Self {
            rows: rows.collect(),
            columns,
        }
    }

    /// The quantities that the table shows, in order.
    pub(super) fn quantities(&self) -> impl Iterator<Item = &'static Quantity> {
        let groups = self
            .columns
            .chunk_by(|a, b| a.quantity.name == b.quantity.name);
        groups.map(|group| group[0].quantity)
    }

    /// A pipe table; the best of a column in bold.
    pub(super) fn markdown(&self) -> String {
        let heading = |column: &Column| match (column.quantity.name, &column.condition) {
            (name, condition) if condition.is_empty() => name.into(),
            (name, condition) => format!("{name}, {condition}"),
        };
        let header: Vec<String> = std::iter::once("method".into())
            .chain(self.columns.iter().map(heading))
            .collect();
        let cell = |(text, best): &(String, bool)| match best {
            true => format!("**{text}**"),
            false => text.clone(),
        };
        let rows = self
            .rows
            .iter()
            .map(|cells| cells.iter().map(cell).collect());
        rows::markdown(&header, &rows.collect::<Vec<_>>())
    }

    /// A `<table>` with the conditions under their quantity; the best of a column in `<strong>`.
    pub(super) fn html(&self) -> String {
        let mut head = String::from("\n<tr><th rowspan=\"2\">method</th>");
        let mut conditions = String::new();
        for group in self
            .columns
            .chunk_by(|a, b| a.quantity.name == b.quantity.name)
        {
            let span = if group[0].condition.is_empty() {
                "rowspan=\"2\"".into()
            } else {
                format!("colspan=\"{}\"", group.len())
            };
            let name = escape(group[0].quantity.name);
            head += &format!("<th class=\"group\" {span}>{name}</th>");
            for column in group.iter().filter(|column| !column.condition.is_empty()) {
                conditions += &format!("<th>{}</th>", escape(&column.condition));
            }
        }
        rows::html(&format!("{head}</tr>\n<tr>{conditions}</tr>\n"), &self.rows)
    }
}

impl Column {
    /// The best mean as the table shows it, among methods none of whose seeds failed.
    fn best(&self) -> Option<String> {
        let sign = if self.quantity.upward { -1.0 } else { 1.0 };
        let whole = self.cells.iter().filter(|cell| cell.is_whole());
        let best = whole.min_by(|a, b| (sign * a.mean).total_cmp(&(sign * b.mean)))?;
        Some(best.mean_text(self.quantity.decimals))
    }
}

/// The largest error of the relative log Z over the conditions where the truth is known; NaN if none
/// is, or if any estimate failed.
fn log_z_error(results: &Results, seed: &SeedResult) -> f64 {
    let error = |at: &ConditionResult| Some((at.log_z - results.exact_log_z(at.condition)?).abs());
    let worse = |a: f64, b: f64| if b.is_nan() || b > a { b } else { a };
    let largest = seed.at.iter().filter_map(error).reduce(worse);
    largest.unwrap_or(f64::NAN)
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
