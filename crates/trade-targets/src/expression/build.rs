//! From the settings of an expression to its program, with every check.

use std::{collections::BTreeMap, ops::Bound, path::PathBuf};

use trade_core::{Interval, PowerFamily, Support};

use super::{
    call,
    config::{Constant, ExpressionConfig, Ordered, Supports},
    data,
    fault::Fault,
    graph::{Graph, Id, Matrix},
    parse::{Names, Value, parse, shape},
    power,
    target::Expression,
    token,
};
use crate::{Error, Result};

/// The most entries of a state.
pub(super) const WIDEST: usize = 1 << 20;

/// Where the settings stand in a configuration.
const ROOT: &str = "target.expression";

/// Names that the language has already.
const CONSTANTS: [(&str, f64); 2] = [("pi", std::f64::consts::PI), ("inf", f64::INFINITY)];

impl ExpressionConfig {
    /// The family that the text states.
    ///
    /// # Errors
    /// [`Error::Setting`] names the field and says what was expected; in a text it also names the
    /// column of the first mistake. A data file that cannot be read is an error of that file.
    pub fn init(&self) -> Result<Expression> {
        let (mut graph, mut names) = (Graph::default(), Names::default());
        let dim = self.declare(&mut graph, &mut names)?;
        add_parts(ROOT, &self.parts, &mut graph, &mut names)?;
        let field = format!("{ROOT}.log_density");
        let root = scalar(&self.log_density, &field, &mut graph, &names)?;
        let program = graph.program(root);
        let controls = self.controls.len();
        if let Some(k) = (0..controls).find(|&k| !program.reads_control(k)) {
            let reason = format!(
                "does not depend on {}; use it or remove it from `controls`",
                self.controls[k]
            );
            return Err(setting("log_density", reason));
        }
        let (support, mut domain) = (self.supports()?, self.domains()?);
        let points = power::points(&support, &domain);
        let power_family = power::family(self.power_family, &program, &points, controls)
            .map_err(|reason| setting("power_family", reason))?;
        // At the temperature 0 there is no density, and below it the integral of one that is proper
        // above diverges. The same holds of a power, unless the state is bounded.
        let bounded = |s: &Support| matches!(s, Support::Interval { .. } | Support::Angle);
        let positive = match power_family {
            Some(PowerFamily::Temperature) => true,
            Some(PowerFamily::Exponent) => !support.iter().all(bounded),
            None => false,
        };
        if positive {
            let declared = self.domain.contains_key(&self.controls[0]);
            match domain[0].low {
                Bound::Unbounded if declared => {}
                Bound::Unbounded | Bound::Included(0.0) => domain[0].low = Bound::Excluded(0.0),
                _ => {}
            }
        }
        let reference = power::reference(&program, &points);
        Ok(Expression {
            dim,
            variables: (self.variables.iter())
                .map(|(name, &length)| (name.to_owned(), length))
                .collect(),
            controls: self.controls.clone(),
            program,
            support,
            domain,
            power_family,
            reference,
            probes: points.states,
        })
    }

    /// Names the variables, controls, constants and data; the dimension of the state.
    fn declare(&self, graph: &mut Graph, names: &mut Names) -> Result<usize> {
        add_language(graph, names);
        let mut dim = 0_usize;
        for (name, &width) in self.variables.iter() {
            let field = format!("{ROOT}.variables.{name}");
            check_name(name, &field, names)?;
            if !(1..=WIDEST).contains(&width) || dim + width > WIDEST {
                let reason =
                    format!("a length is at least 1, and all together are at most {WIDEST}");
                return Err(Error::setting(field, format!("{reason}; found {width}")));
            }
            names.insert(name, Value::Node(graph.state(dim, width)));
            dim += width;
        }
        if dim == 0 {
            return Err(setting("variables", "at least one variable is needed"));
        }
        if self.controls.is_empty() {
            return Err(setting(
                "controls",
                "at least one control parameter is needed",
            ));
        }
        for (k, name) in self.controls.iter().enumerate() {
            check_name(name, &format!("{ROOT}.controls[{k}]"), names)?;
            names.insert(name, Value::Node(graph.control(k)));
        }
        add_known(ROOT, &self.constants, &self.data, graph, names)?;
        Ok(dim)
    }

    /// The support of each entry of the state.
    fn supports(&self) -> Result<Vec<Support>> {
        let known: Vec<&str> = self.variables.iter().map(|(name, _)| name).collect();
        if let Some(name) = self.support.keys().find(|name| !known.contains(&&***name)) {
            return Err(unknown("support", name, &known));
        }
        let mut all = Vec::new();
        for (name, &width) in self.variables.iter() {
            let field = format!("{ROOT}.support.{name}");
            match self.support.get(name) {
                None => all.extend(vec![Support::Real; width]),
                Some(Supports::All(support)) => all.extend(vec![*support; width]),
                Some(Supports::Each(each)) if each.len() == width => all.extend(each),
                Some(Supports::Each(each)) => {
                    let reason = format!("expected {width} entries, found {}", each.len());
                    return Err(Error::setting(field, reason));
                }
            }
            for support in &all[all.len() - width..] {
                if let Support::Interval { low, high } = *support
                    && !(low < high && low.is_finite() && high.is_finite())
                {
                    let reason = format!("({low}, {high}) is not an interval of finite numbers");
                    return Err(Error::setting(field, reason));
                }
            }
        }
        Ok(all)
    }

    /// The domain of each control parameter.
    fn domains(&self) -> Result<Vec<Interval>> {
        let known: Vec<&str> = self.controls.iter().map(String::as_str).collect();
        if let Some(name) = self.domain.keys().find(|name| !known.contains(&&***name)) {
            return Err(unknown("domain", name, &known));
        }
        let each = self.controls.iter().map(|name| {
            let Some(&[low, high]) = self.domain.get(name) else {
                return Ok(Interval::REAL);
            };
            let ends = (low.unwrap_or(f64::MIN), high.unwrap_or(f64::MAX));
            if !(ends.0 < ends.1 && ends.0.is_finite() && ends.1.is_finite()) {
                let shown = |end: Option<f64>| end.map_or("null".into(), |end| end.to_string());
                let reason = format!("[{}, {}] is not a range", shown(low), shown(high));
                return Err(setting(&format!("domain.{name}"), reason));
            }
            let bound = |end: Option<f64>| end.map_or(Bound::Unbounded, Bound::Included);
            Ok(Interval {
                low: bound(low),
                high: bound(high),
            })
        });
        each.collect()
    }
}

/// Names the constants of the language.
pub(super) fn add_language(graph: &mut Graph, names: &mut Names) {
    for (name, value) in CONSTANTS {
        let id = graph.number(value);
        names.insert(name, Value::Node(id));
    }
}

/// Names constants and data; `root` is where their settings stand in a configuration.
pub(super) fn add_known(
    root: &str,
    constants: &BTreeMap<String, Constant>,
    data: &BTreeMap<String, PathBuf>,
    graph: &mut Graph,
    names: &mut Names,
) -> Result<()> {
    for (name, constant) in constants {
        let field = format!("{root}.constants.{name}");
        check_name(name, &field, names)?;
        let (shape, values) = flat(constant, &field)?;
        names.insert(name, known(graph, &shape, values, &field)?);
    }
    for (name, path) in data {
        let field = format!("{root}.data.{name}");
        check_name(name, &field, names)?;
        let array = data::read(path, &field)?;
        let shape = array.shape().to_vec();
        names.insert(name, known(graph, &shape, array.into_data(), &field)?);
    }
    Ok(())
}

/// Names parts of an expression, each of which may use those before it.
pub(super) fn add_parts(
    root: &str,
    parts: &Ordered<String>,
    graph: &mut Graph,
    names: &mut Names,
) -> Result<()> {
    for (name, text) in parts.iter() {
        let field = format!("{root}.let.{name}");
        check_name(name, &field, names)?;
        let value = parse(text, graph, names).map_err(|fault| at(&field, fault))?;
        names.insert(name, value);
    }
    Ok(())
}

/// The node of a text that must be a scalar.
pub(super) fn scalar(text: &str, field: &str, graph: &mut Graph, names: &Names) -> Result<Id> {
    let value = parse(text, graph, names).map_err(|fault| at(field, fault))?;
    let argument = super::parse::Argument { value, column: 1 };
    let what = field.rsplit('.').next().unwrap_or(field);
    let root = call::node(graph, argument, what).map_err(|fault| at(field, fault))?;
    let width = graph.width(root);
    if width == 1 {
        return Ok(root);
    }
    let reason = format!(
        "must be a scalar, but it is {}; did you mean sum(…)?",
        shape(width)
    );
    Err(Error::setting(field, reason))
}

/// A mistake in one of the settings.
fn setting(field: &str, reason: impl Into<String>) -> Error {
    Error::setting(format!("{ROOT}.{field}"), reason)
}

/// A mistake in a text.
pub(super) fn at(field: &str, fault: Fault) -> Error {
    Error::setting(field, format!("column {}: {}", fault.column, fault.reason))
}

/// A name in one of the settings that nothing has.
fn unknown(field: &str, name: &str, known: &[&str]) -> Error {
    let hint = super::fault::unknown(name, known.iter().copied());
    setting(field, format!("unknown name `{name}`; {hint}"))
}

/// Refuses a name that is no name, or that is taken.
pub(super) fn check_name(name: &str, field: &str, names: &Names) -> Result<()> {
    let mut letters = name.chars();
    let is_name =
        letters.next().is_some_and(token::starts_name) && letters.all(token::continues_name);
    let reason = if !is_name {
        format!("`{name}` is not a name; expected a letter, then letters, digits and `_`")
    } else if call::arguments(name).is_some() {
        format!("`{name}` is the name of a function; choose another one")
    } else if CONSTANTS.iter().any(|(known, _)| *known == name) {
        format!("`{name}` is a constant of the language; choose another name")
    } else if names.contains(name) {
        format!("the name `{name}` is given twice; choose another one")
    } else {
        return Ok(());
    };
    Err(Error::setting(field, reason))
}

/// The shape and the numbers of a constant.
fn flat(constant: &Constant, field: &str) -> Result<(Vec<usize>, Vec<f64>)> {
    let (shape, values) = match constant {
        Constant::Number(value) => (vec![], vec![*value]),
        Constant::Vector(values) => (vec![values.len()], values.clone()),
        Constant::Matrix(rows) => {
            let columns = rows.first().map_or(0, Vec::len);
            if let Some(row) = rows.iter().position(|row| row.len() != columns) {
                let reason = format!(
                    "row {row} has {} entries, and row 0 has {columns}",
                    rows[row].len()
                );
                return Err(Error::setting(field, reason));
            }
            (vec![rows.len(), columns], rows.concat())
        }
    };
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::setting(field, format!("{value} is not finite"))),
        None => Ok((shape, values)),
    }
}

/// An array as a value of the language.
fn known(graph: &mut Graph, shape: &[usize], values: Vec<f64>, field: &str) -> Result<Value> {
    if values.is_empty() {
        return Err(Error::setting(field, "there are no numbers"));
    }
    match *shape {
        [] | [_] => Ok(Value::Node(graph.constant(values))),
        [rows, columns] => Ok(Value::Matrix(graph.keep(Matrix {
            rows,
            columns,
            entries: values.into(),
        }))),
        _ => Err(Error::setting(
            field,
            format!("expected a number, a vector or a matrix, found the shape {shape:?}"),
        )),
    }
}
