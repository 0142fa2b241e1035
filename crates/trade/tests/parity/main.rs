//! One table of checks, computed in double precision on flex and then in single precision on every
//! backend that is built in: what a device gives must be what the reference gives, up to a rounding
//! that each check states.
//!
//! Where a backend needs a device that the machine lacks, its test says so on the terminal and ends.
//! With `TRADE_PARITY_OUT=<folder>`, the errors that were found are written there, a file for each
//! backend.

#[path = "../../../trade-flows/tests/layer_cases/mod.rs"]
mod layer_cases;
#[path = "../../../trade-flows/tests/numeric/mod.rs"]
mod numeric;

mod bases;
mod layers;
mod objectives;
mod texts;
mod training;
mod traps;

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{Write as _, stderr},
    path::Path,
    sync::OnceLock,
    time::Instant,
};

use anyhow::{Context, Result};
use burn::tensor::DType;
use burn_flex::Flex;
use trade::device::{self, Action, DeviceName};
use trade_flows::FlowBackend;

/// A named array of numbers.
type Quantity = (String, Vec<f64>);

/// Something to compute on any backend in either precision.
enum Computation {
    Base(bases::BaseCheck),
    Layer(layers::LayerCheck),
    Objective(objectives::ObjectiveCheck),
    Text(texts::TextCheck),
    Training,
    Trap(traps::Trap),
}

/// A line of the table.
struct Check {
    name: String,
    computation: Computation,
    /// The greatest error of an entry allowed in single precision, relative to one plus the largest
    /// entry of its array.
    tolerance: f64,
}

impl Check {
    fn compute<B: FlowBackend>(&self, dtype: DType) -> Vec<Quantity> {
        match &self.computation {
            Computation::Base(check) => check.compute::<B>(dtype),
            Computation::Layer(check) => check.compute::<B>(dtype),
            Computation::Objective(check) => check.compute::<B>(dtype),
            Computation::Text(check) => check.compute::<B>(dtype),
            Computation::Training => training::compute::<B>(dtype),
            Computation::Trap(trap) => trap.compute::<B>(dtype),
        }
    }
}

fn table() -> Vec<Check> {
    let traps = traps::ALL.into_iter().map(|trap| Check {
        name: format!("trap: {}", trap.name()),
        tolerance: trap.tolerance(),
        computation: Computation::Trap(trap),
    });
    let layers = layers::all().into_iter().map(|layer| Check {
        name: format!("layer: {}", layer.name()),
        tolerance: layer.tolerance(),
        computation: Computation::Layer(layer),
    });
    let bases = bases::all().into_iter().map(|base| Check {
        name: format!("base: {:?}", base.0),
        tolerance: bases::TOLERANCE,
        computation: Computation::Base(base),
    });
    let objectives = objectives::all().into_iter().map(|objective| Check {
        name: format!("objective: {}", objective.name),
        tolerance: objective.tolerance,
        computation: Computation::Objective(objective),
    });
    let texts = texts::all().into_iter().map(|text| Check {
        name: format!("text: {}", text.log_density),
        // Sums of a dozen terms of order ten.
        tolerance: 3e-5,
        computation: Computation::Text(text),
    });
    let training = Check {
        name: "ten Adam steps".into(),
        computation: Computation::Training,
        tolerance: training::TOLERANCE,
    };
    traps
        .chain(bases)
        .chain(layers)
        .chain(objectives)
        .chain(texts)
        .chain([training])
        .collect()
}

/// The reference: the table in double precision on flex.
fn reference() -> &'static [Vec<Quantity>] {
    static REFERENCE: OnceLock<Vec<Vec<Quantity>>> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        table()
            .iter()
            .map(|check| check.compute::<Flex>(DType::F64))
            .collect()
    })
}

/// The greatest error of an array, relative to one plus the largest entry of the expected one. What
/// is not finite must be the same in both.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = |v: &f64| if v.is_finite() { v.abs() } else { 0.0 };
    let largest = expected.iter().map(size).fold(0.0, f64::max);
    let each = found.iter().zip(expected).map(|(f, e)| {
        if f.is_finite() && e.is_finite() {
            (f - e).abs() / (1.0 + largest)
        } else if f == e || f.is_nan() && e.is_nan() {
            0.0
        } else {
            f64::INFINITY
        }
    });
    each.fold(0.0, f64::max)
}

/// Holds a backend to the reference, line by line; gives the lines that fail.
struct Compare {
    device: DeviceName,
}

impl Action for Compare {
    type Output = Result<Vec<String>>;

    fn run<B: FlowBackend>(self, _: B::Device) -> Result<Vec<String>> {
        let mut failures = Vec::new();
        let mut report = format!(
            "# {}\n\n| check | quantity | error | bound |\n|---|---|--:|--:|\n",
            self.device
        );
        for (check, expected) in table().iter().zip(reference()) {
            let start = Instant::now();
            let found = check.compute::<B>(DType::F32);
            let seconds = start.elapsed().as_secs_f64();
            if seconds > 1.0 {
                say(&format!("{} {seconds:.1} s: {}", self.device, check.name));
            }
            assert_eq!(found.len(), expected.len(), "{}", check.name);
            for ((quantity, found), (_, expected)) in found.iter().zip(expected) {
                let error = error(found, expected);
                let bound = check.tolerance;
                let name = &check.name;
                writeln!(
                    report,
                    "| {name} | {quantity} | {error:.1e} | {bound:.0e} |"
                )?;
                if error > bound {
                    failures.push(format!(
                        "{name}, {quantity}: error {error:.1e}, bound {bound:.0e}"
                    ));
                }
            }
        }
        if let Some(folder) = env::var_os("TRADE_PARITY_OUT") {
            let file = Path::new(&folder).join(format!("parity-{}.md", self.device.feature()));
            fs::write(&file, report).with_context(|| file.display().to_string())?;
        }
        Ok(failures)
    }
}

/// Writes a line to the terminal, past the harness, which keeps what tests print.
fn say(line: &str) {
    stderr()
        .write_all(format!("{line}\n").as_bytes())
        .expect("a terminal");
}

fn hold(device: DeviceName) {
    let failures = device::on(device, Compare { device }).expect("a device");
    let failures = failures.expect("the device computes");
    assert!(failures.is_empty(), "on {device}:\n{}", failures.join("\n"));
}

/// Says on the terminal that a test did not run.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn hold_if_there(device: DeviceName) {
    struct Nothing;
    impl Action for Nothing {
        type Output = ();
        fn run<B: FlowBackend>(self, _: B::Device) {}
    }
    match device::on(device, Nothing) {
        Ok(()) => hold(device),
        Err(why) => say(&format!("parity on {device} was SKIPPED: {why:#}")),
    }
}

#[test]
fn flex_in_single_precision() {
    hold(DeviceName::Flex);
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray() {
    hold(DeviceName::NdArray);
}

#[cfg(feature = "wgpu")]
#[test]
fn wgpu() {
    hold_if_there(DeviceName::Wgpu(0));
}

#[cfg(feature = "cuda")]
#[test]
fn cuda() {
    hold_if_there(DeviceName::Cuda(0));
}
