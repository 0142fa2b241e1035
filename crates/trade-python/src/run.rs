//! A trained run, for Python.

use std::{path::PathBuf, sync::Arc};

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use trade::{
    FlowAt, Run, RunFolder,
    config::RunConfig,
    device::DeviceName,
    evaluate::{Evaluation, evaluate},
    evidence::{EvidenceConfig, evidence},
    free_energy::{PathConfig, free_energy},
    plot::plots,
    verdict,
};

use crate::{boundary::refused, callback, threads};

/// States, their log density and their log weights.
type Drawn<'py> = (
    Bound<'py, PyArray2<f32>>,
    Bound<'py, PyArray1<f64>>,
    Option<Bound<'py, PyArray1<f64>>>,
);

/// A trained run.
#[pyclass(frozen, module = "tradeflow._native")]
pub(crate) struct NativeRun {
    run: Arc<Run>,
}

impl NativeRun {
    pub(crate) fn open_as(
        folder: &RunFolder,
        config: RunConfig,
        device: DeviceName,
    ) -> trade::Result<Self> {
        let run = Arc::new(Run::open_as(folder, config, device)?);
        Ok(Self { run })
    }

    /// Computes with the run on threads of its own; Ctrl-C ends it before the next batch.
    fn compute<T: Send + 'static>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&Run) -> trade::Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let run = self.run.clone();
        threads::compute(py, &Arc::default(), move || work(&run))
    }
}

fn at<'a>(run: &'a Run, c: &[f64], given: Option<&[f64]>, seed: u64) -> FlowAt<'a> {
    let at = run.at(c).seed(seed);
    match given {
        Some(observation) => at.given(observation),
        None => at,
    }
}

/// Opens a run, with the object that computes its target if that is a function.
#[pyfunction]
#[pyo3(signature = (path, target, device))]
pub(crate) fn open(
    py: Python<'_>,
    path: PathBuf,
    target: Option<Py<PyAny>>,
    device: &str,
) -> PyResult<NativeRun> {
    let device: DeviceName = device.parse().map_err(refused)?;
    let folder = RunFolder::new(path);
    threads::compute(py, &Arc::default(), move || {
        let Some(target) = target else {
            let run = Arc::new(Run::open(&folder, device)?);
            return Ok(NativeRun { run });
        };
        let mut config = folder.read_config()?;
        callback::attach(&mut config.target, Some(target));
        NativeRun::open_as(&folder, config, device)
    })
}

#[pymethods]
impl NativeRun {
    /// The complete configuration as JSON.
    fn config(&self) -> PyResult<String> {
        self.run.config.to_json().map_err(refused)
    }

    /// The names of the control parameters.
    fn controls(&self) -> Vec<String> {
        self.run.family().controls()
    }

    /// Whether the target's density can be evaluated here.
    fn is_known(&self) -> bool {
        self.run.family().is_known()
    }

    /// The trained range of each control parameter.
    fn ranges(&self) -> Vec<(f64, f64)> {
        self.run.ranges().to_vec()
    }

    /// A sentence if a condition lies outside of the trained range.
    fn warning(&self, c: Vec<f64>) -> Option<String> {
        self.run.at(&c).warning()
    }

    /// Draws states with their log density and, where the target's is known, their log weights.
    fn sample<'py>(
        &self,
        py: Python<'py>,
        c: Vec<f64>,
        given: Option<Vec<f64>>,
        n: usize,
        seed: u64,
    ) -> PyResult<Drawn<'py>> {
        let samples = self.compute(py, move |run| at(run, &c, given.as_deref(), seed).sample(n))?;
        let rows = [samples.len(), samples.dim];
        let x = samples.x.into_pyarray(py).reshape(rows)?;
        let log_weight = samples.log_weight.map(|w| w.into_pyarray(py));
        Ok((x, samples.log_prob.into_pyarray(py), log_weight))
    }

    /// `log p` of states, row-major.
    fn log_prob<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray1<'py, f32>,
        c: Vec<f64>,
        given: Option<Vec<f64>>,
        seed: u64,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let x = x.as_slice()?.to_vec();
        let found = self.compute(py, move |run| {
            at(run, &c, given.as_deref(), seed).log_prob(&x)
        })?;
        Ok(found.into_pyarray(py))
    }

    /// `log q` of the target at states, row-major.
    fn log_density<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray1<'py, f32>,
        c: Vec<f64>,
        given: Option<Vec<f64>>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let x = x.as_slice()?.to_vec();
        let found = self.compute(py, move |run| {
            at(run, &c, given.as_deref(), 0).log_density(&x)
        })?;
        Ok(found.into_pyarray(py))
    }

    /// Measures the run, writes its report, and gives the measures as JSON with the verdict.
    fn evaluate(&self, py: Python<'_>, seed: u64) -> PyResult<(String, String)> {
        self.compute(py, move |run| {
            let evaluation = evaluate(run, seed)?;
            let verdict = verdict::of_evaluation(run, &evaluation);
            evaluation.write(&run.folder)?;
            Ok((serde_json::to_string(&evaluation)?, verdict))
        })
    }

    /// Free-energy differences along a path, as JSON.
    fn free_energy(
        &self,
        py: Python<'_>,
        from: Vec<f64>,
        to: Vec<f64>,
        points: usize,
        samples: usize,
        seed: u64,
    ) -> PyResult<String> {
        let config = PathConfig {
            points,
            samples,
            seed,
            ..PathConfig::default()
        };
        self.compute(py, move |run| {
            let path = free_energy(run, &from, &to, config)?;
            Ok(serde_json::to_string(&path)?)
        })
    }

    /// The evidence at every power of a posterior, as JSON.
    fn evidence(
        &self,
        py: Python<'_>,
        at: Vec<f64>,
        points: usize,
        samples: usize,
        seed: u64,
    ) -> PyResult<String> {
        let config = EvidenceConfig {
            points,
            at,
            samples,
            seed,
        };
        self.compute(py, move |run| {
            let found = evidence(run, &config)?;
            Ok(serde_json::to_string(&found)?)
        })
    }

    /// The tool's figures: stems of file names, each with its SVG.
    fn plots(&self, py: Python<'_>, seed: u64) -> PyResult<Vec<(String, String)>> {
        self.compute(py, move |run| {
            let evaluation = if run.folder.evaluation().is_file() {
                Evaluation::read(&run.folder)?
            } else {
                evaluate(run, seed)?
            };
            let plots = plots(run, &evaluation, seed)?;
            let figures = plots.figures.into_iter();
            Ok(figures
                .map(|(stem, figure)| (stem, figure.to_svg()))
                .collect())
        })
    }
}
