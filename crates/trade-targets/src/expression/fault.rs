//! What is wrong with an expression, and where.

/// A mistake in the text of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// The column of the mistake, from 1.
    pub(super) column: usize,
    /// What was found and what was expected.
    pub(super) reason: String,
}

/// A mistake as the result of a function.
pub(super) fn fault<T>(column: usize, reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        column,
        reason: reason.into(),
    })
}

/// The number of single-character changes between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// A sentence about a name that nobody knows: the nearest known name, and all of them.
pub(super) fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    // Long names would take long, and nothing is near to them.
    let near = (name.len() <= 40).then(|| {
        let near = known.iter().map(|k| (distance(name, k), *k)).min();
        near.filter(|(d, k)| *d <= 2 && *d < k.chars().count())
    });
    let hint = match near.flatten() {
        Some((_, near)) => format!("did you mean `{near}`? "),
        None => String::new(),
    };
    format!("{hint}known names are {}", known.join(", "))
}
