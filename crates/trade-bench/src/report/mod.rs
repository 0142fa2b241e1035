//! Reports: an experiment's results as a page, a table, figures and numbers.

mod figures;
mod html;
mod model;
mod rows;
mod section;
mod spread;
mod table;

pub use figures::{Plate, plates};
pub use model::{
    ConditionResult, Curve, ExactCurves, MethodResult, Results, SeedResult, TrainPoint,
};
pub use section::Section;
pub(crate) use spread::{Spread, curve, largest};

use anyhow::{Context, Result};
use std::path::Path;
use table::Table;

/// What a report shows of one experiment alone.
#[derive(Default)]
pub struct Shown {
    /// Figures, which come before the common ones.
    pub plates: Vec<Plate>,
    /// Tables, which come after the common one.
    pub sections: Vec<Section>,
}

/// Writes `report.html`, `table.md`, `results.json` and each figure as SVG and PNG into `dir`,
/// which is made if need be.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write(results: &Results, dir: &Path) -> Result<()> {
    write_with(results, Shown::default(), dir)
}

/// As [`write()`], with the experiment's own figures before the common ones, of which it replaces
/// those of the same file name, and its own tables after the common one.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write_with(results: &Results, shown: Shown, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("making the folder {}", dir.display()))?;
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let Shown {
        mut plates,
        sections,
    } = shown;
    for common in self::plates(results) {
        if plates.iter().all(|own| own.stem != common.stem) {
            plates.push(common);
        }
    }
    for plate in &plates {
        plate.figure.save(dir, plate.stem)?;
    }
    let table = Table::new(results);
    put("table.md", markdown(results, &sections))?;
    put(
        "results.json",
        serde_json::to_string(results).context("encoding the results")? + "\n",
    )?;
    put(
        "report.html",
        html::page(results, &table, &sections, &plates),
    )
}

/// The Markdown tables that [`write()`] puts into `table.md`, for a terminal.
#[must_use]
pub fn markdown(results: &Results, sections: &[Section]) -> String {
    let mut text = Table::new(results).markdown();
    for section in sections {
        text += &section.markdown();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(value: f64) -> Results {
        let conditions = vec![0.5, 0.7, 1.0];
        let curve = Curve {
            condition: 0.5,
            axis: "x₁".into(),
            x: vec![0.0, 1.0, 2.0],
            y: vec![0.5, value, 0.5],
        };
        let at = conditions.iter().map(|&condition| ConditionResult {
            condition,
            nll: value,
            kl: Some(value),
            ess: value,
            log_z: value,
            ..ConditionResult::default()
        });
        let training = (0..20).map(|step| TrainPoint {
            step,
            terms: [("NLL".to_owned(), value / (1.0 + step as f64))].into(),
            ..TrainPoint::default()
        });
        let seed = SeedResult {
            at: at.collect(),
            marginals: vec![curve.clone()],
            training: training.collect(),
            ..SeedResult::default()
        };
        Results {
            title: "Wells & <springs>".into(),
            control: "T".into(),
            control_label: "temperature T".into(),
            table_conditions: conditions.clone(),
            bases: vec![1.0],
            exact: Some(ExactCurves {
                log_z: vec![-1.0, -0.5, 0.0],
                marginals: vec![curve],
            }),
            conditions,
            methods: vec![MethodResult {
                name: "nll".into(),
                label: "NLL".into(),
                seeds: vec![seed],
            }],
            ..Results::default()
        }
    }

    #[test]
    fn a_report_has_all_its_files() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let results = results(0.8);
        write(&results, &dir.path().join("a/b")).expect("a writable folder");
        let read = |name: &str| std::fs::read(dir.path().join("a/b").join(name)).expect("written");
        for stem in ["marginals", "quality", "log-z", "training"] {
            assert!(read(&format!("{stem}.png")).len() > 5000, "{stem}");
            assert!(read(&format!("{stem}.svg")).starts_with(b"<svg "), "{stem}");
        }
        let back: Results = serde_json::from_slice(&read("results.json")).expect("valid JSON");
        assert_eq!(back, results);
        let page = String::from_utf8(read("report.html")).expect("UTF-8");
        assert_eq!(page.matches("<svg ").count(), 4);
        assert!(page.contains("Wells &amp; &lt;springs&gt;") && !page.contains("<springs>"));
    }

    #[test]
    fn a_figure_of_the_experiment_replaces_the_common_one() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let own = Plate {
            stem: "log-z",
            caption: "against an integral".into(),
            figure: trade_plot::Figure::new("Free energy"),
        };
        let shown = Shown {
            plates: vec![own],
            sections: vec![],
        };
        write_with(&results(0.8), shown, dir.path()).expect("a writable folder");
        let page = std::fs::read_to_string(dir.path().join("report.html")).expect("written");
        assert_eq!(page.matches("id=\"log-z\"").count(), 1);
        assert!(page.contains("against an integral"));
    }

    #[test]
    fn a_failed_run_still_makes_a_report() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write(&results(f64::NAN), dir.path()).expect("a writable folder");
        let table = std::fs::read_to_string(dir.path().join("table.md")).expect("written");
        assert!(table.contains("NLL") && !table.contains("NaN"));
        let page = std::fs::read_to_string(dir.path().join("report.html")).expect("written");
        assert!(!page.contains("NaN"));
        write(&Results::default(), dir.path()).expect("even nothing can be reported");
    }
}
