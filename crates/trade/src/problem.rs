//! The problem of a configuration: target, ranges, base conditions and data.

use trade_core::{Family, objective::Problem, random::Stream};
use trade_flows::FlowConfig;
use trade_targets::Drawn;

use crate::{
    config::{DataSource, ObjectiveConfig, RunConfig, ordered},
    device::AnyDevice,
    error::{Context, Result, ensure},
    states::read_samples,
    target::AnyTarget,
};

/// Assembles the problem of a configuration.
///
/// # Errors
/// If a part does not fit another, naming the field.
pub fn assemble(config: &RunConfig) -> Result<Problem<AnyTarget>> {
    let target = config.target.init().context("`target`")?;
    let names = target.controls();
    config.bases(&names)?;
    let ranges = config.ranges.iter().map(|(name, range)| (&**name, *range));
    let mut problem = Problem::new(target, ranges)?;
    for (i, entry) in config.data.iter().enumerate() {
        let place = format!("`data[{i}]`");
        let at = ordered(&entry.at, &names).with_context(|| format!("`data[{i}].at`"))?;
        let drawn = draw(config, &problem.target, i, &at).context(&place)?;
        problem = if drawn.contexts > 0 {
            problem.with_pairs(&at, &drawn.x, &drawn.context)
        } else {
            problem.with_data(&at, &drawn.x)
        }
        .context(&place)?;
    }
    for (i, entry) in config.bases.iter().enumerate() {
        let place = format!("`bases[{i}]`");
        let at = ordered(entry, &names).context(&place)?;
        problem = problem.with_base(&at).context(&place)?;
    }
    Ok(problem)
}

/// The samples of a data entry: drawn from the target, or read from a file.
fn draw(config: &RunConfig, target: &AnyTarget, entry: usize, at: &[f64]) -> Result<Drawn> {
    match &config.data[entry].from {
        DataSource::Exact(n) => {
            // A stream of its own for each data set, apart from those of training.
            let mut stream = Stream::new(config.seed, 1000 + entry as u64);
            Ok(target.draw(at, *n, &mut stream)?)
        }
        DataSource::File(path) => read_samples(path, target),
    }
}

/// Refuses a flow and a loss that do not fit a problem, naming the field.
///
/// # Errors
/// If a width differs, or a term needs what the target does not have.
pub fn fits<T: AnyDevice>(
    problem: &Problem<T>,
    flow: &FlowConfig,
    objectives: &[ObjectiveConfig],
) -> Result<()> {
    let target = &*problem.target;
    let names = target.controls();
    let dim = target.dim();
    ensure!(
        flow.dim == dim,
        "`flow.dim` is {}, but the target has {dim} dimensions",
        flow.dim
    );
    ensure!(
        flow.controls == names.len(),
        "`flow.controls` is {}, but the target has {} control parameters ({})",
        flow.controls,
        names.len(),
        names.join(", ")
    );
    ensure!(
        flow.context == target.contexts(),
        "`flow.context` is {}, but the target's observations have {} entries",
        flow.context,
        target.contexts()
    );
    ensure!(
        !problem.bases.is_empty(),
        "`data` or `bases`: at least one base condition is needed"
    );
    if !target.is_known() {
        for (i, objective) in objectives.iter().enumerate() {
            ensure!(
                !objective.loss.needs_density(),
                "`objectives[{i}]`: the target's density is not known; train from data (`nll`) and \
                 with the flow's own energy (`\"energy\": \"flow_at_base\"`)"
            );
        }
    }
    Ok(())
}
