//! The problem of a configuration: target, ranges, base conditions and data.

use std::collections::BTreeMap;

use trade_core::{Family, PowerFamily, Support, objective::Problem, random::Stream};
use trade_data::inspect;
use trade_flows::{Base, FlowConfig, Stage, layer::LayerConfig};
use trade_molecule::Molecule;
use trade_targets::Drawn;

use crate::{
    condition::{describe, within_domain},
    config::{DataConfig, DataSource, LossConfig, ObjectiveConfig, RunConfig, ordered},
    device::AnyDevice,
    error::{Context, Error, Result, bail, ensure},
    plausible,
    recipe::Draft,
    recorded,
    resolution::unresolved,
    stated,
    states::read_samples,
    support::{contradiction, outside},
    target::{AnyTarget, TargetConfig},
};

/// What a configuration says of its problem.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    seed: u64,
    target: &'a TargetConfig,
    ranges: &'a BTreeMap<String, [f64; 2]>,
    data: &'a [DataConfig],
    bases: &'a [BTreeMap<String, f64>],
}

macro_rules! parts_of {
    ($config:ty) => {
        impl<'a> From<&'a $config> for Parts<'a> {
            fn from(config: &'a $config) -> Self {
                Self {
                    seed: config.seed,
                    target: &config.target,
                    ranges: &config.ranges,
                    data: &config.data,
                    bases: &config.bases,
                }
            }
        }
    };
}
parts_of!(RunConfig);
parts_of!(Draft);

/// Assembles the problem of a configuration; with it come warnings about the data, a sentence each.
///
/// # Errors
/// If a part does not fit another, naming the field.
pub fn assemble<'a>(config: impl Into<Parts<'a>>) -> Result<(Problem<AnyTarget>, Vec<String>)> {
    let config = config.into();
    let target = config.target.init().context("`target`")?;
    if let AnyTarget::External(external) = &target {
        external.attached().context("`target`")?;
    }
    let names = target.controls();
    let ranges = config.ranges.iter().map(|(name, range)| (&**name, *range));
    let mut problem = Problem::new(target, ranges)?;
    let mut warnings = Vec::new();
    for (i, entry) in config.data.iter().enumerate() {
        let place = format!("`data[{i}]`");
        let at = ordered(&entry.at, &names).with_context(|| format!("`data[{i}].at`"))?;
        let (mut drawn, said) = draw(&config, &problem.target, i, &at).context(&place)?;
        warnings.extend(said);
        if let AnyTarget::Molecule(molecule) = &*problem.target {
            warnings.extend(keep_inside(&mut drawn, molecule).context(&place)?);
        }
        if let Some(reason) = outside(&drawn.x, &problem.target.support()) {
            bail!("{place}: {reason}");
        }
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
    stated::normalisable(&problem)?;
    warnings.extend(stated::warnings(&problem));
    Ok((problem, warnings))
}

/// Leaves out the states that lie outside of the ensemble that a molecule is restricted to, with a
/// sentence that counts them.
fn keep_inside(drawn: &mut Drawn, molecule: &Molecule) -> Result<Option<String>> {
    let inside = molecule.inside(&drawn.x)?;
    let (n, kept) = (inside.len(), inside.iter().filter(|i| **i).count());
    if kept == n {
        return Ok(None);
    }
    let outside = n - kept;
    ensure!(
        2 * kept >= n,
        "{outside} of {n} states lie outside of `target.molecule.restrict`; give data of this ensemble, or \
         another restriction"
    );
    let rows = drawn.x.chunks(molecule.dimension()).zip(inside);
    let rows = rows.filter_map(|(row, inside)| inside.then_some(row));
    drawn.x = rows.flatten().copied().collect();
    Ok(Some(format!(
        "{outside} of {n} states lie outside of `target.molecule.restrict` and are left out"
    )))
}

/// The samples of a data entry: drawn from the target, or read from a file.
fn draw(
    config: &Parts<'_>,
    target: &AnyTarget,
    entry: usize,
    at: &[f64],
) -> Result<(Drawn, Vec<String>)> {
    match &config.data[entry].from {
        DataSource::Exact(n) => {
            within_domain(at, target)?;
            // A stream of its own for each data set, apart from those of training.
            let mut stream = Stream::new(config.seed, 1000 + entry as u64);
            let drawn = target.draw(at, *n, &mut stream)?;
            let what = format!("samples of the target for `data[{entry}]`");
            // A prior has the tails that it has.
            let warnings = match target {
                AnyTarget::Posterior(_) | AnyTarget::External(_) => {
                    if let Some(reason) = unresolved(&drawn.x, &target.support()) {
                        bail!("`target`: {reason}");
                    }
                    Vec::new()
                }
                _ => inspect(&drawn.x, target.dim(), &what)?,
            };
            Ok((drawn, warnings))
        }
        DataSource::File(path) => {
            if let Some(reason) = recorded::contradiction(path, target, at) {
                bail!("{}: {reason}", path.display());
            }
            let (drawn, mut warnings) = read_samples(path, target)?;
            if let AnyTarget::Expression(expression) = target {
                let log_density = |x: &[f64]| expression.log_density_at(x, at);
                let mismatch = plausible::mismatch(&drawn.x, &target.support(), log_density);
                warnings.extend(mismatch.map(|what| {
                    let (file, at) = (path.display(), describe(at, &target.controls()));
                    format!("{file}: {what} at {at}; check the units and the formula")
                }));
            }
            Ok((drawn, warnings))
        }
    }
}

/// The configuration with what follows from its target: where the state is bounded, the flow gets a
/// `support` layer, with a sentence that says so.
///
/// # Errors
/// If the target makes no sense, if a `support` layer contradicts it, or if it has angles and the flow
/// no circles for them.
pub fn complete(config: &RunConfig) -> Result<(RunConfig, Vec<String>)> {
    let mut config = config.clone();
    let said = bound(&config.target, &mut config.flow)?;
    Ok((config, said.into_iter().collect()))
}

/// Gives a flow the `support` layer of its target where it needs one; the sentence says so.
pub(crate) fn bound(target: &TargetConfig, flow: &mut FlowConfig) -> Result<Option<String>> {
    let target = target.init().context("`target`")?;
    let supports = target.support();
    let mut layers = flow.layers.iter().flat_map(|stage| &stage.of);
    let own = layers.find_map(|layer| match layer {
        LayerConfig::Support(supports) => Some(&supports[..]),
        _ => None,
    });
    let circles = matches!(flow.base, Base::Torus { .. });
    let angle = supports.iter().position(|s| *s == Support::Angle);
    if let Some(entry) = angle.filter(|_| !circles) {
        bail!(
            "`flow`: entry {entry} of the state is an angle, and the flow's base is no `torus`; leave out \
             `flow`, which chooses one that is periodic, or declare the angle as an interval"
        );
    }
    let real = supports.iter().all(|s| *s == Support::Real);
    if own.is_some() || real {
        // A density that is real by default may vanish where the user's own layer does not go.
        let own = own.filter(|_| !real || !target.is_known());
        let contradiction = own.and_then(|own| contradiction(Some(own), &supports));
        return match contradiction {
            Some(reason) => Err(Error::refused(format!("`flow.layers`: {reason}"))),
            None => Ok(None),
        };
    }
    let first = Stage {
        repeat: 1,
        of: vec![LayerConfig::Support(supports)],
    };
    flow.layers.insert(0, first);
    let said = "the state is bounded: the flow got a `support` layer first, so that it samples where the \
                target has density and only there";
    Ok(Some(said.into()))
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
    flow.validate_over(&problem.ranges, "flow")?;
    for (i, objective) in objectives.iter().enumerate() {
        let field = format!("objectives[{i}].loss");
        objective.loss.validate_over(&problem.ranges, &field)?;
    }
    for (i, objective) in objectives.iter().enumerate() {
        ensure!(
            target.is_differentiable() || !matches!(objective.loss, LossConfig::ReverseKl(_)),
            "`objectives[{i}]`: the reverse KL divergence needs the derivative of the target's log density in \
             the state, which this target does not give; give it (in Python: `grad`), or train from data \
             (`nll`) or without tuning"
        );
    }
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

/// Where an energy that is the flow's own must reach further than the samples at the base conditions
/// can tell, in sentences: a power far below that of the nearest base has tails that no sample shows.
///
/// # Errors
/// If the range holds the power 0, where the family has no likelihood at all, and no base lies there.
pub fn reach<T: AnyDevice>(
    problem: &Problem<T>,
    objectives: &[ObjectiveConfig],
) -> Result<Vec<String>> {
    let own = objectives
        .iter()
        .any(|objective| objective.loss.needs_own_energy());
    let (Some(family), true) = (problem.target.power_family(), own) else {
        return Ok(Vec::new());
    };
    let power = |c: f64| match family {
        PowerFamily::Temperature => 1.0 / c,
        PowerFamily::Exponent => c,
    };
    let name = &problem.target.controls()[0];
    let (low, high) = problem.ranges[0];
    let least = [low, high]
        .into_iter()
        .min_by(|a, b| power(*a).total_cmp(&power(*b)));
    let least = least.unwrap_or(low);
    let bases = problem.bases.iter().map(|base| power(base[0]));
    let base = bases.fold(f64::INFINITY, f64::min);
    let how = "the flow's own energy is known only where the base has samples";
    ensure!(
        power(least) > 0.0 || base <= 0.0,
        "`ranges.{name}`: {how}, which says nothing of the prior's tails at {name} = {least}; start the \
         range above it, or give pairs at {name} = {least} as a second base condition"
    );
    if power(least) < 0.1 * base {
        return Ok(vec![format!(
            "`ranges.{name}`: {how}, and {name} = {least} is {:.0} times as broad in its power; check \
             the samples there, or add a base condition nearer to it",
            base / power(least)
        )]);
    }
    Ok(Vec::new())
}
