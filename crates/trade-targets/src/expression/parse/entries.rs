//! Entries, rows and slices: what stands behind an atom in square brackets.

use super::{Argument, Parser, Value};
use crate::expression::{
    call,
    fault::{Fault, fault},
    token::Kind,
};

impl Parser<'_> {
    pub(super) fn entry(&mut self) -> Result<Value, Fault> {
        let mut value = self.atom()?;
        loop {
            let column = self.peek().column;
            if !self.take("[") {
                return Ok(value);
            }
            let start = match self.peek().kind {
                Kind::Mark(":") => None,
                _ => Some(self.whole()?),
            };
            if start.is_some() && self.take("]") {
                value = self.index(value, start.unwrap_or_default(), column)?;
                continue;
            }
            self.expect(&[":", "]"])?;
            let end = match self.peek().kind {
                Kind::Mark("]") => None,
                _ => Some(self.whole()?),
            };
            self.expect(&["]"])?;
            value = self.slice(value, start, end, column)?;
        }
    }

    /// A constant whole number.
    fn whole(&mut self) -> Result<i64, Fault> {
        let column = self.peek().column;
        let value = self.expression()?;
        call::whole(self.graph, Argument { value, column })
    }

    /// One entry of a vector, or one row of a matrix; negative numbers count from the end.
    fn index(&mut self, value: Value, index: i64, column: usize) -> Result<Value, Fault> {
        let (length, what) = match value {
            Value::Node(id) => (self.graph.width(id), "entries"),
            Value::Matrix(matrix) => (self.graph.matrix(matrix).rows, "rows"),
        };
        let signed = length.cast_signed() as i64;
        if !(-signed..signed).contains(&index) {
            let reason = format!(
                "index {index} is out of range; there are {length} {what}, numbered from 0 to {} \
                 (or from -{length} to -1)",
                length - 1
            );
            return fault(column, reason);
        }
        let index = index.rem_euclid(signed) as usize;
        Ok(Value::Node(match value {
            Value::Node(id) => self.graph.pick(id, vec![index]),
            Value::Matrix(matrix) => {
                let matrix = self.graph.matrix(matrix);
                let row = matrix.entries.chunks_exact(matrix.columns).nth(index);
                let row = row.unwrap_or_default().to_vec();
                self.graph.constant(row)
            }
        }))
    }

    /// The entries from `start` to before `end`.
    fn slice(
        &mut self,
        value: Value,
        start: Option<i64>,
        end: Option<i64>,
        column: usize,
    ) -> Result<Value, Fault> {
        let id = self.node(value, column, "a slice")?;
        let length = self.graph.width(id).cast_signed() as i64;
        let from_start = |i: i64| if i < 0 { i.saturating_add(length) } else { i };
        let (from, to) = (
            from_start(start.unwrap_or(0)),
            from_start(end.unwrap_or(length)),
        );
        if from < 0 || to > length || from >= to {
            let shown = |i: Option<i64>| i.map_or(String::new(), |i| i.to_string());
            let reason = format!(
                "the slice [{}:{}] has no entries or leaves the range; there are {length} entries",
                shown(start),
                shown(end)
            );
            return fault(column, reason);
        }
        let indices = (from as usize..to as usize).collect();
        Ok(Value::Node(self.graph.pick(id, indices)))
    }
}
