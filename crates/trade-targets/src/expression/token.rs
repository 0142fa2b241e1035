//! The words of an expression, each with its column.

use super::fault::{Fault, fault};

/// What a word is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A number without a sign.
    Number(f64),
    /// A name of a variable, a constant or a function.
    Name(String),
    /// An operator, a bracket or a separator.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// A word and the column of its first character, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) column: usize,
}

impl Token {
    /// The word as an error message shows it.
    pub(super) fn shown(&self) -> String {
        match &self.kind {
            Kind::Number(value) => format!("the number {value}"),
            Kind::Name(name) => format!("`{name}`"),
            Kind::Mark(mark) => format!("`{mark}`"),
            Kind::End => "the end of the text".into(),
        }
    }
}

/// Marks of two characters stand first, so that `<=` is not read as `<`.
const MARKS: [&str; 15] = [
    "<=", ">=", "<", ">", "+", "-", "*", "/", "^", "(", ")", "[", "]", ",", ":",
];

/// Whether a name can start with this character.
pub(super) fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a name can go on with this character.
pub(super) fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Cuts a text into words; the last one is [`Kind::End`].
///
/// # Errors
/// At a character that no expression has, and at a number that cannot be read.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let text: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (start, c) = (at, text[at]);
        let column = start + 1;
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let kind = if c.is_ascii_digit() || c == '.' {
            at = number_end(&text, at);
            let word: String = text[start..at].iter().collect();
            match word.parse::<f64>() {
                Ok(value) if value.is_finite() => Kind::Number(value),
                Ok(_) => return fault(column, format!("the number {word} is too large")),
                Err(_) => {
                    return fault(
                        column,
                        format!("expected a number such as 0.5 or 1e-3, found `{word}`"),
                    );
                }
            }
        } else if starts_name(c) {
            while at < text.len() && continues_name(text[at]) {
                at += 1;
            }
            Kind::Name(text[start..at].iter().collect())
        } else {
            let mark = mark(&text[at..], column)?;
            at += mark.len();
            Kind::Mark(mark)
        };
        found.push(Token { kind, column });
    }
    found.push(Token {
        kind: Kind::End,
        column: text.len() + 1,
    });
    Ok(found)
}

/// Where the number that starts at `at` ends: digits, a point, digits, an exponent.
fn number_end(text: &[char], mut at: usize) -> usize {
    let is_digit = |at: usize| text.get(at).is_some_and(char::is_ascii_digit);
    while is_digit(at) || text.get(at) == Some(&'.') {
        at += 1;
    }
    if matches!(text.get(at), Some('e' | 'E')) {
        let signed = usize::from(matches!(text.get(at + 1), Some('+' | '-')));
        if is_digit(at + 1 + signed) {
            at += 1 + signed;
            while is_digit(at) {
                at += 1;
            }
        }
    }
    at
}

/// The mark that the text starts with.
fn mark(text: &[char], column: usize) -> Result<&'static str, Fault> {
    if text.starts_with(&['*', '*']) {
        return fault(column, "found `**`; a power is written `^`, as in x^2");
    }
    let is_at = |mark: &&str| mark.chars().zip(text).all(|(m, &t)| m == t);
    let fits = |mark: &&str| mark.len() <= text.len() && is_at(mark);
    match MARKS.into_iter().find(|mark| fits(mark)) {
        Some(mark) => Ok(mark),
        None if text[0] == '=' => fault(
            column,
            "found `=`; name a part of the expression under `let` instead",
        ),
        None if text[0] == '|' => fault(column, "found `|`; a size is written abs(x)"),
        None => fault(
            column,
            format!("the character `{}` has no meaning here", text[0]),
        ),
    }
}
