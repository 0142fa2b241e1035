//! The grammar: a recursive descent that builds the graph as it reads.
//!
//! ```text
//! expression = term { (+ | -) term }
//! term       = factor { (* | /) factor }
//! factor     = (- | +) factor | entry [ ^ factor ]
//! entry      = atom { [ index ] | [ index? : index? ] }
//! atom       = number | name | name ( expression, … ) | ( expression ) | [ expression, … ]
//! ```

mod entries;
mod names;

use std::collections::HashMap;

use super::{
    call,
    fault::{Fault, fault},
    graph::{Graph, Id, Operation},
    token::{Kind, Token, tokens},
};

/// How deeply brackets and signs may be nested.
const DEEPEST: usize = 100;

/// What a name or a part of an expression stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// A scalar or a vector.
    Node(Id),
    /// A constant matrix, by its number.
    Matrix(usize),
}

/// What names stand for. The order is that in which an error lists them.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    values: HashMap<String, Value>,
    order: Vec<String>,
}

impl Names {
    /// Gives a value a name; an earlier value of that name is replaced.
    pub(super) fn insert(&mut self, name: &str, value: Value) {
        if self.values.insert(name.to_owned(), value).is_none() {
            self.order.push(name.to_owned());
        }
    }

    /// Whether a name is taken.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }
}

/// An argument of a function with the column where it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argument {
    pub(super) value: Value,
    pub(super) column: usize,
}

/// Reads a text and adds it to the graph.
///
/// # Errors
/// At the first mistake.
pub(super) fn parse(text: &str, graph: &mut Graph, names: &Names) -> Result<Value, Fault> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        position: 0,
        depth: 0,
        graph,
        names,
    };
    if parser.peek().kind == Kind::End {
        return fault(1, "the text is empty; expected an expression");
    }
    let value = parser.expression()?;
    let next = parser.peek();
    match &next.kind {
        Kind::End => Ok(value),
        Kind::Mark(mark @ ("<" | "<=" | ">" | ">=")) => {
            fault(next.column, format!("{COMPARISON} found `{mark}`"))
        }
        _ => fault(
            next.column,
            format!(
                "expected an operator or the end of the text, found {}",
                next.shown()
            ),
        ),
    }
}

/// Reads a text of the form `name(argument, …)`: the name and its arguments.
///
/// # Errors
/// At the first mistake.
pub(super) fn parse_call(
    text: &str,
    graph: &mut Graph,
    names: &Names,
) -> Result<(String, Vec<Argument>), Fault> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        position: 0,
        depth: 0,
        graph,
        names,
    };
    let first = parser.next();
    let Kind::Name(name) = first.kind else {
        let reason = format!(
            "expected a distribution, as in normal(0, 1), found {}",
            first.shown()
        );
        return fault(first.column, reason);
    };
    parser.expect(&["("])?;
    let arguments = parser.list(")")?;
    let next = parser.peek();
    if next.kind == Kind::End {
        return Ok((name, arguments));
    }
    let reason = format!("expected the end of the text, found {}", next.shown());
    fault(next.column, reason)
}

const COMPARISON: &str =
    "a comparison stands only in the first argument of where(condition, a, b);";

/// A width in words.
pub(super) fn shape(width: usize) -> String {
    match width {
        1 => "a scalar".into(),
        n => format!("a vector of {n}"),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
    graph: &'a mut Graph,
    names: &'a Names,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // The last token is `End`, and nothing reads past it.
        &self.tokens[self.position.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    /// Reads a mark if it comes next.
    fn take(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek().kind, Kind::Mark(next) if next == mark);
        self.position += usize::from(found);
        found
    }

    /// Reads a mark that must come next.
    fn expect(&mut self, marks: &[&str]) -> Result<&'static str, Fault> {
        let token = self.next();
        match token.kind {
            Kind::Mark(mark) if marks.contains(&mark) => Ok(mark),
            Kind::Mark(mark @ ("<" | "<=" | ">" | ">=")) => {
                fault(token.column, format!("{COMPARISON} found `{mark}`"))
            }
            _ => {
                let wanted: Vec<String> = marks.iter().map(|mark| format!("`{mark}`")).collect();
                let reason = format!(
                    "expected an operator or {}, found {}",
                    wanted.join(" or "),
                    token.shown()
                );
                fault(token.column, reason)
            }
        }
    }

    fn expression(&mut self) -> Result<Value, Fault> {
        let mut left = self.term()?;
        loop {
            let column = self.peek().column;
            let operation = if self.take("+") {
                Operation::Add
            } else if self.take("-") {
                Operation::Sub
            } else {
                return Ok(left);
            };
            let right = self.term()?;
            left = self.join(operation, column, left, right)?;
        }
    }

    fn term(&mut self) -> Result<Value, Fault> {
        let mut left = self.factor()?;
        loop {
            let column = self.peek().column;
            let operation = if self.take("*") {
                Operation::Mul
            } else if self.take("/") {
                Operation::Div
            } else {
                return Ok(left);
            };
            let right = self.factor()?;
            left = self.join(operation, column, left, right)?;
        }
    }

    /// Every way into a deeper level leads through here.
    fn factor(&mut self) -> Result<Value, Fault> {
        self.depth += 1;
        let column = self.peek().column;
        if self.depth > DEEPEST {
            let reason = format!("brackets and signs are nested more than {DEEPEST} deep");
            return fault(column, reason);
        }
        let value = if self.take("-") {
            let a = self.factor()?;
            let a = self.node(a, column, "`-`")?;
            Value::Node(self.graph.neg(a))
        } else if self.take("+") {
            self.factor()?
        } else {
            let base = self.entry()?;
            let column = self.peek().column;
            if self.take("^") {
                let power = self.factor()?;
                let [a, b] = self.pair("^", column, base, power)?;
                Value::Node(self.graph.power(a, b))
            } else {
                base
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    fn atom(&mut self) -> Result<Value, Fault> {
        let token = self.next();
        match &token.kind {
            Kind::Number(value) => Ok(Value::Node(self.graph.number(*value))),
            Kind::Mark("(") => {
                let value = self.expression()?;
                self.expect(&[")"])?;
                Ok(value)
            }
            Kind::Mark("[") => {
                let mut parts = Vec::new();
                for Argument { value, column } in self.list("]")? {
                    let id = self.node(value, column, "a list")?;
                    let width = self.graph.width(id);
                    if width != 1 {
                        let reason =
                            format!("a list holds scalars, but this entry is {}", shape(width));
                        return fault(column, reason);
                    }
                    parts.push(id);
                }
                if parts.is_empty() {
                    return fault(token.column, "a list needs at least one entry");
                }
                Ok(Value::Node(self.graph.stack(parts)))
            }
            Kind::Name(name) if self.take("(") => self.call(name, token.column),
            Kind::Name(name) => self.named(name, token.column),
            _ => {
                let reason = format!(
                    "expected a number, a name, `(` or `[`, found {}",
                    token.shown()
                );
                fault(token.column, reason)
            }
        }
    }

    /// Expressions with commas between them, up to the closing bracket.
    fn list(&mut self, close: &'static str) -> Result<Vec<Argument>, Fault> {
        let mut found = Vec::new();
        if self.take(close) {
            return Ok(found);
        }
        loop {
            let column = self.peek().column;
            let value = self.expression()?;
            found.push(Argument { value, column });
            if self.expect(&[",", close])? == close {
                return Ok(found);
            }
        }
    }

    /// A scalar or vector; a matrix is refused.
    fn node(&self, value: Value, column: usize, what: &str) -> Result<Id, Fault> {
        call::node(self.graph, Argument { value, column }, what)
    }

    /// Both sides of an operator, with widths that fit.
    fn pair(&self, mark: &str, column: usize, left: Value, right: Value) -> Result<[Id; 2], Fault> {
        let what = format!("`{mark}`");
        let [a, b] = [
            self.node(left, column, &what)?,
            self.node(right, column, &what)?,
        ];
        let (left, right) = (self.graph.width(a), self.graph.width(b));
        if left != right && left != 1 && right != 1 {
            let reason = format!(
                "{what} stands between {} and {}; expected equal lengths, or a scalar on one side",
                shape(left),
                shape(right)
            );
            return fault(column, reason);
        }
        Ok([a, b])
    }

    fn join(
        &mut self,
        operation: Operation,
        column: usize,
        left: Value,
        right: Value,
    ) -> Result<Value, Fault> {
        let mark = match operation {
            Operation::Add => "+",
            Operation::Sub => "-",
            Operation::Mul => "*",
            Operation::Div => "/",
        };
        let [a, b] = self.pair(mark, column, left, right)?;
        Ok(Value::Node(self.graph.join(operation, a, b)))
    }
}
