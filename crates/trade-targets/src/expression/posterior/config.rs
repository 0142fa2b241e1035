//! The settings of a posterior, and the way from them to its programs.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Interval, Support};

use super::{
    super::{
        build::{WIDEST, add_known, add_language, add_parts, at, check_name, scalar},
        call,
        config::{Constant, Ordered},
        graph::{Graph, Id, Operation, Program},
        parse::{Argument, Names, Value, parse_call, shape},
        power,
        target::Expression,
    },
    Posterior,
    law::Law,
};
use crate::{Error, Result};

/// Where the settings stand in a configuration.
const ROOT: &str = "target.posterior";

/// The settings of a posterior whose prior and likelihood are stated as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PosteriorConfig {
    /// The parameters with their priors, in order; an argument of a prior may be an expression in
    /// constants, data and earlier parameters. The state is their concatenation.
    pub parameters: Ordered<Parameter>,
    /// Numbers, vectors and matrices by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constants: BTreeMap<String, Constant>,
    /// Arrays in files by name: `file.npy`, `file.npz:key` or `file.csv:column`; a relative path
    /// starts at the config's folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, PathBuf>,
    /// Parts of the log likelihood by name; each may use those before it.
    #[serde(default, rename = "let", skip_serializing_if = "Ordered::is_empty")]
    pub parts: Ordered<String>,
    /// The log likelihood of the data, with its constants.
    pub log_likelihood: String,
    /// The name of the control parameter, the power of the likelihood.
    #[serde(default = "beta", skip_serializing_if = "is_beta")]
    pub control: String,
}

fn beta() -> String {
    "beta".into()
}

fn is_beta(name: &String) -> bool {
    *name == beta()
}

/// A parameter of a posterior.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a prior such as \"normal(0, 1)\", or {\"prior\": \"normal(0, 1)\", \
                 \"length\": 8}"
)]
pub enum Parameter {
    /// One number with this prior.
    Number(String),
    /// Several numbers, independent given the earlier parameters.
    Vector {
        /// The prior of each of them.
        prior: String,
        /// How many there are.
        length: usize,
    },
}

impl Parameter {
    fn parts(&self) -> (&str, usize) {
        match self {
            Self::Number(prior) => (prior, 1),
            Self::Vector { prior, length } => (prior, *length),
        }
    }
}

/// How a parameter is drawn from its prior.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    pub(super) law: Law,
    pub(super) length: usize,
    pub(super) arguments: Vec<Program>,
}

impl PosteriorConfig {
    /// The files of the settings, for a caller that resolves relative paths.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.data.values_mut()
    }

    /// The posteriors that the settings state.
    ///
    /// # Errors
    /// [`Error::Setting`] names the field and says what was expected; in a text it also names the
    /// column of the first mistake. A data file that cannot be read is an error of that file.
    pub fn init(&self) -> Result<Posterior> {
        let (mut graph, mut names) = (Graph::default(), Names::default());
        add_language(&mut graph, &mut names);
        check_name(&self.control, &format!("{ROOT}.control"), &names)?;
        add_known(ROOT, &self.constants, &self.data, &mut graph, &mut names)?;
        let mut support = Vec::new();
        let mut draws = Vec::new();
        let mut log_prior = graph.number(0.0);
        for (name, parameter) in self.parameters.iter() {
            let field = format!("{ROOT}.parameters.{name}");
            check_name(name, &field, &names)?;
            let (text, length) = parameter.parts();
            if !(1..=WIDEST).contains(&length) || support.len() + length > WIDEST {
                let reason =
                    format!("a length is at least 1, and all together are at most {WIDEST}");
                return Err(Error::setting(field, format!("{reason}; found {length}")));
            }
            let (law, ids) = prior(text, length, &field, &mut graph, &names)?;
            let state = graph.state(support.len(), length);
            let arguments: Vec<Id> = [state].into_iter().chain(ids.iter().copied()).collect();
            let Some(density) = graph.density(law.density(), &arguments, length) else {
                return Err(Error::setting(field, "has no density"));
            };
            log_prior = graph.add(log_prior, density);
            support.extend(vec![law.support(&graph, &ids); length]);
            draws.push(Draw {
                law,
                length,
                arguments: ids.iter().map(|&id| graph.program(id)).collect(),
            });
            names.insert(name, Value::Node(state));
        }
        if support.is_empty() {
            let field = format!("{ROOT}.parameters");
            return Err(Error::setting(field, "at least one parameter is needed"));
        }
        if names.contains(&self.control) {
            let reason = format!("the name `{}` is given twice; choose another", self.control);
            return Err(Error::setting(format!("{ROOT}.control"), reason));
        }
        add_parts(ROOT, &self.parts, &mut graph, &mut names)?;
        let field = format!("{ROOT}.log_likelihood");
        let likelihood = scalar(&self.log_likelihood, &field, &mut graph, &names)?;
        if graph.known(likelihood).is_some() {
            return Err(Error::setting(field, "depends on no parameter"));
        }
        let control = graph.control(0);
        let tempered = graph.join(Operation::Mul, control, likelihood);
        let joint = graph.add(log_prior, tempered);
        let domain = vec![Interval::at_least(0.0)];
        let variables: Vec<(String, usize)> = (self.parameters.iter())
            .map(|(name, parameter)| (name.to_owned(), parameter.parts().1))
            .collect();
        let expression = |root: Id| {
            let program = graph.program(root);
            let points = power::points(&support, &domain);
            Expression {
                dim: support.len(),
                variables: variables.clone(),
                controls: vec![self.control.clone()],
                reference: power::reference(&program, &points),
                probes: points.states,
                program,
                support: support.clone(),
                domain: domain.clone(),
                power_family: None,
            }
        };
        Ok(Posterior {
            joint: expression(joint),
            prior: expression(log_prior),
            likelihood: expression(likelihood),
            draws,
            calls: Arc::new(AtomicU64::new(0)),
        })
    }
}

/// Reads a prior: its law and the nodes of its arguments.
fn prior(
    text: &str,
    length: usize,
    field: &str,
    graph: &mut Graph,
    names: &Names,
) -> Result<(Law, Vec<Id>)> {
    let (name, arguments) = parse_call(text, graph, names).map_err(|fault| at(field, fault))?;
    let law = Law::named(&name).map_err(|reason| Error::setting(field, reason))?;
    let wanted = law.arguments();
    if arguments.len() != wanted.len() {
        let reason = format!(
            "{name} takes {} ({}), found {}",
            wanted.len(),
            wanted.join(", "),
            arguments.len()
        );
        return Err(Error::setting(field, reason));
    }
    let node = |argument: &Argument| {
        let id = call::node(graph, *argument, &name).map_err(|fault| at(field, fault))?;
        match graph.width(id) {
            width if width == 1 || width == length => Ok(id),
            width => {
                let reason = format!(
                    "column {}: an argument is {} for a parameter of length {length}",
                    argument.column,
                    shape(width)
                );
                Err(Error::setting(field, reason))
            }
        }
    };
    let ids = arguments.iter().map(node).collect::<Result<Vec<_>>>()?;
    law.check(graph, &ids)
        .map_err(|reason| Error::setting(field, reason))?;
    Ok((law, ids))
}

/// The support of a parameter that is uniform between two constants.
pub(super) fn between(graph: &Graph, low: Id, high: Id) -> Option<Support> {
    match (graph.known(low), graph.known(high)) {
        (Some(&[low]), Some(&[high])) => Some(Support::Interval { low, high }),
        _ => None,
    }
}
