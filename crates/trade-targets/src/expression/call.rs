//! The functions of the language.

use super::{
    density::DENSITIES,
    fault::{Fault, fault},
    graph::{Comparison, Function, Graph, Id},
    parse::{Argument, Value, shape},
};

/// The functions that are no densities, and the names of their arguments.
pub(super) const FUNCTIONS: [(&str, &[&str]); 29] = [
    ("exp", &["x"]),
    ("log", &["x"]),
    ("sqrt", &["x"]),
    ("tanh", &["x"]),
    ("sin", &["x"]),
    ("cos", &["x"]),
    ("tan", &["x"]),
    ("sinh", &["x"]),
    ("cosh", &["x"]),
    ("sign", &["x"]),
    ("abs", &["x"]),
    ("log1p", &["x"]),
    ("expm1", &["x"]),
    ("softplus", &["x"]),
    ("sigmoid", &["x"]),
    ("lgamma", &["x"]),
    ("max", &["a", "b"]),
    ("min", &["a", "b"]),
    ("where", &["condition", "a", "b"]),
    ("sum", &["x"]),
    ("mean", &["x"]),
    ("norm2", &["x"]),
    ("logsumexp", &["x"]),
    ("length", &["x"]),
    ("dot", &["x", "y"]),
    ("matvec", &["A", "x"]),
    ("roll", &["x", "k"]),
    ("roll_rows", &["x", "k", "width"]),
    ("pow", &["a", "b"]),
];

/// The names of a function's arguments, with commas; `None` for a name that no function has.
pub(super) fn arguments(name: &str) -> Option<String> {
    let mut all = FUNCTIONS.iter().chain(&DENSITIES);
    all.find(|(known, _)| *known == name)
        .map(|(_, arguments)| arguments.join(", "))
}

/// A scalar or vector; a matrix is refused.
pub(super) fn node(graph: &Graph, argument: Argument, what: &str) -> Result<Id, Fault> {
    match argument.value {
        Value::Node(id) => Ok(id),
        Value::Matrix(matrix) => {
            let matrix = graph.matrix(matrix);
            let reason = format!(
                "{what} takes scalars and vectors, but this is a matrix of {} × {}; write \
                 matvec(A, x), or A[i] for a row",
                matrix.rows, matrix.columns
            );
            fault(argument.column, reason)
        }
    }
}

/// A constant whole number.
pub(super) fn whole(graph: &Graph, argument: Argument) -> Result<i64, Fault> {
    let id = node(graph, argument, "an index")?;
    match graph.known(id) {
        Some(&[value]) if value.fract() == 0.0 && value.abs() < 1e15 => Ok(value as i64),
        Some(&[value]) => fault(
            argument.column,
            format!("expected a whole number, found {value}"),
        ),
        Some(values) => fault(
            argument.column,
            format!("expected a whole number, found {}", shape(values.len())),
        ),
        None => fault(
            argument.column,
            "expected a constant whole number; an index cannot depend on variables or controls",
        ),
    }
}

/// Arguments that are used entry by entry: their nodes and their common width.
pub(super) fn together(
    graph: &Graph,
    name: &str,
    arguments: &[Argument],
) -> Result<(Vec<Id>, usize), Fault> {
    let (mut ids, mut common) = (Vec::new(), 1);
    for argument in arguments {
        let id = node(graph, *argument, name)?;
        let width = graph.width(id);
        if common != 1 && width != 1 && width != common {
            let reason = format!(
                "{name} takes scalars and vectors of one length, but this argument is {} beside {}",
                shape(width),
                shape(common)
            );
            return fault(argument.column, reason);
        }
        common = common.max(width);
        ids.push(id);
    }
    Ok((ids, common))
}

/// Refuses counts that are no counts, where they are constant: a mass function of other numbers is no density of
/// anything.
fn counts(graph: &Graph, name: &str, arguments: &[Argument], ids: &[Id]) -> Result<(), Fault> {
    let (counted, what): (usize, _) = match name {
        "poisson_lpmf" => (1, "a whole number that is not negative"),
        "binomial_lpmf" => (2, "a whole number that is not negative"),
        "bernoulli_logit_lpmf" => (1, "0 or 1"),
        _ => return Ok(()),
    };
    let most = if name == "bernoulli_logit_lpmf" {
        1.0
    } else {
        f64::MAX
    };
    let counts = |value: f64| value >= 0.0 && value <= most && value.fract() == 0.0;
    for (argument, id) in arguments.iter().zip(ids).take(counted) {
        let known = graph.known(*id).unwrap_or_default();
        if let Some((i, value)) = known.iter().enumerate().find(|(_, v)| !counts(**v)) {
            let reason = format!("{name} takes {what}, found {value} at entry {i}");
            return fault(argument.column, reason);
        }
    }
    if let ("binomial_lpmf", &[k, n, _]) = (name, ids)
        && let (Some(k), Some(n)) = (graph.known(k), graph.known(n))
    {
        let of = |list: &[f64], i: usize| list[i.min(list.len() - 1)];
        let more = (0..k.len().max(n.len())).find(|i| of(k, *i) > of(n, *i));
        if let Some(i) = more {
            let (k, n) = (of(k, i), of(n, i));
            let reason = format!("binomial_lpmf has {k} of {n} at entry {i}");
            return fault(arguments[0].column, reason);
        }
    }
    Ok(())
}

/// Calls a function by its name, other than `where`.
///
/// # Errors
/// If the number or the shapes of the arguments do not fit; `column` is where the name starts.
pub(super) fn call(
    graph: &mut Graph,
    name: &str,
    column: usize,
    arguments: &[Argument],
) -> Result<Value, Fault> {
    let all = FUNCTIONS.iter().chain(&DENSITIES);
    let taken = all.clone().find(|(known, _)| *known == name);
    let taken = taken.map_or(&[][..], |(_, arguments)| arguments);
    if arguments.len() != taken.len() {
        let plural = if taken.len() == 1 { "" } else { "s" };
        let reason = format!(
            "{name} takes {} argument{plural} ({}), found {}",
            taken.len(),
            taken.join(", "),
            arguments.len()
        );
        return fault(column, reason);
    }
    let id = match name {
        "matvec" => mat_vec(graph, arguments[0], arguments[1])?,
        "length" => {
            let length = match arguments[0].value {
                Value::Node(id) => graph.width(id),
                Value::Matrix(matrix) => graph.matrix(matrix).rows,
            };
            graph.number(length as f64)
        }
        "roll" | "roll_rows" => roll(graph, arguments)?,
        _ => {
            let (ids, width) = together(graph, name, arguments)?;
            counts(graph, name, arguments, &ids)?;
            match (function(name), &ids[..]) {
                (Some(function), &[a]) => graph.apply(function, a),
                _ => match composed(graph, name, &ids, width) {
                    Some(id) => id,
                    None => return fault(column, format!("unknown function `{name}`")),
                },
            }
        }
    };
    Ok(Value::Node(id))
}

/// The elementary function of a name.
fn function(name: &str) -> Option<Function> {
    Some(match name {
        "exp" => Function::Exp,
        "log" => Function::Log,
        "sqrt" => Function::Sqrt,
        "tanh" => Function::Tanh,
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "abs" => Function::Abs,
        "log1p" => Function::Log1p,
        "softplus" => Function::Softplus,
        "sigmoid" => Function::Sigmoid,
        _ => return None,
    })
}

/// A function that is made of elementary ones.
fn composed(graph: &mut Graph, name: &str, ids: &[Id], width: usize) -> Option<Id> {
    Some(match (name, ids) {
        ("expm1", &[x]) => graph.exp_m1(x),
        ("lgamma", &[x]) => graph.log_gamma(x),
        ("tan", &[x]) => {
            let [sin, cos] = [Function::Sin, Function::Cos].map(|f| graph.apply(f, x));
            graph.div(sin, cos)
        }
        // Near 0 the difference of the exponentials would have no digits.
        ("sinh", &[x]) => {
            let minus = graph.neg(x);
            let [up, down] = [x, minus].map(|x| graph.exp_m1(x));
            let (twice, two) = (graph.sub(up, down), graph.number(2.0));
            graph.div(twice, two)
        }
        ("cosh", &[x]) => {
            let minus = graph.neg(x);
            let [up, down] = [x, minus].map(|x| graph.apply(Function::Exp, x));
            let (twice, two) = (graph.add(up, down), graph.number(2.0));
            graph.div(twice, two)
        }
        ("sign", &[x]) => {
            let [minus, zero, one] = [-1.0, 0.0, 1.0].map(|end| graph.number(end));
            let above = graph.choose((x, Comparison::Greater, zero), one, zero);
            graph.choose((x, Comparison::Less, zero), minus, above)
        }
        ("max", &[a, b]) => graph.larger(a, b),
        ("min", &[a, b]) => graph.smaller(a, b),
        ("pow", &[a, b]) => graph.power(a, b),
        ("sum", &[x]) => graph.sum(x),
        ("mean", &[x]) => {
            let (sum, n) = (graph.sum(x), graph.number(width as f64));
            graph.div(sum, n)
        }
        ("norm2", &[x]) => {
            let squares = graph.mul(x, x);
            graph.sum(squares)
        }
        ("logsumexp", &[x]) => graph.log_sum_exp(x),
        ("dot", &[x, y]) => {
            let products = graph.mul(x, y);
            graph.sum(products)
        }
        _ => return graph.density(name, ids, width),
    })
}

/// `A x`.
fn mat_vec(graph: &mut Graph, matrix: Argument, vector: Argument) -> Result<Id, Fault> {
    let Value::Matrix(number) = matrix.value else {
        return fault(
            matrix.column,
            "matvec takes a constant matrix first, from `constants` or `data`",
        );
    };
    let id = node(graph, vector, "the second argument of matvec")?;
    let (width, known) = (graph.width(id), graph.matrix(number));
    if width != known.columns {
        let reason = format!(
            "a matrix of {} × {} takes a vector of {}, found {}",
            known.rows,
            known.columns,
            known.columns,
            shape(width)
        );
        return fault(vector.column, reason);
    }
    Ok(graph.mat_vec(number, id))
}

/// Entry `i` of the result is entry `i − k` of `x`, cyclically; with a width, in each row of that width.
fn roll(graph: &mut Graph, arguments: &[Argument]) -> Result<Id, Fault> {
    let id = node(graph, arguments[0], "roll")?;
    let (length, shift) = (graph.width(id), whole(graph, arguments[1])?);
    let row = match arguments.get(2) {
        None => length,
        Some(argument) => match usize::try_from(whole(graph, *argument)?) {
            Ok(row) if row > 0 && length % row == 0 => row,
            _ => {
                let reason =
                    format!("expected a width that divides the {length} entries into rows");
                return fault(argument.column, reason);
            }
        },
    };
    let shift = shift.rem_euclid(row.cast_signed() as i64) as usize;
    let from = |i: usize| i / row * row + (i % row + row - shift) % row;
    Ok(graph.pick(id, (0..length).map(from).collect()))
}
