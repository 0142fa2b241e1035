//! Names, and calls of functions.

use super::{Argument, Parser, Value};
use crate::expression::{
    call::{self, FUNCTIONS},
    density::DENSITIES,
    fault::{Fault, fault, unknown},
    graph::Comparison,
    token::Kind,
};

impl Parser<'_> {
    pub(super) fn named(&self, name: &str, column: usize) -> Result<Value, Fault> {
        if let Some(value) = self.names.values.get(name) {
            return Ok(*value);
        }
        if let Some(arguments) = call::arguments(name) {
            let reason = format!("`{name}` is a function; write {name}({arguments})");
            return fault(column, reason);
        }
        let reason = format!(
            "unknown name `{name}`; {}",
            unknown(name, self.names.iter())
        );
        fault(column, reason)
    }

    pub(super) fn call(&mut self, name: &str, column: usize) -> Result<Value, Fault> {
        if call::arguments(name).is_none() {
            let reason = if self.names.contains(name) {
                format!(
                    "`{name}` is not a function; write {name}[0] for an entry, {name}*(…) for a product"
                )
            } else {
                let known = FUNCTIONS.iter().chain(&DENSITIES).map(|(known, _)| *known);
                format!("unknown function `{name}`; {}", unknown(name, known))
            };
            return fault(column, reason);
        }
        if name == "where" {
            return self.choice(column);
        }
        let arguments = self.list(")")?;
        call::call(self.graph, name, column, &arguments)
    }

    /// `where(left < right, yes, no)`, after its bracket.
    fn choice(&mut self, column: usize) -> Result<Value, Fault> {
        let start = self.peek().column;
        let left = self.expression()?;
        let token = self.next();
        let comparison = match token.kind {
            Kind::Mark("<") => Comparison::Less,
            Kind::Mark("<=") => Comparison::LessEqual,
            Kind::Mark(">") => Comparison::Greater,
            Kind::Mark(">=") => Comparison::GreaterEqual,
            _ => {
                let reason = format!(
                    "expected a comparison `<`, `<=`, `>` or `>=` in the first argument of where, \
                     found {}",
                    token.shown()
                );
                return fault(token.column, reason);
            }
        };
        let right_column = self.peek().column;
        let right = self.expression()?;
        self.expect(&[","])?;
        let rest = self.list(")")?;
        let &[yes, no] = &rest[..] else {
            let reason = format!(
                "where takes 3 arguments (condition, a, b), found {}",
                rest.len() + 1
            );
            return fault(column, reason);
        };
        let argument = |value, column| Argument { value, column };
        let all = [
            argument(left, start),
            argument(right, right_column),
            yes,
            no,
        ];
        let (ids, _) = call::together(self.graph, "where", &all)?;
        let compared = (ids[0], comparison, ids[1]);
        Ok(Value::Node(self.graph.choose(compared, ids[2], ids[3])))
    }
}
