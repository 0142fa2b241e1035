//! Thousands of damaged expressions: each has a value or an error, and none ends the program.

use trade_core::random::Stream;

use super::standard;

const VALID: [&str; 8] = [
    "-(x[0]^2/2 + (x[1]-x[0]^2)^2/(2*s^2))/T",
    "sum(where(x > 0, log(x)*T, x*x)) + a",
    "norm2(matvec(A, x[0:3])/T - y) + dot(A[1], x)",
    "logsumexp([-(a - 1)^2, -(a + T)^2, -inf])",
    "normal_lpdf(x, a, softplus(T)) + normal_lpdf(y, [0.1, 0.2], s)",
    "student_t_lpdf(x, 2 + T, a, 0.7) + roll_rows(x, 1, 3)[-1]",
    "binomial_lpmf([0, 3, 7], 7, sigmoid(x*T)) - lgamma(1 + exp(a))",
    "T*mean(roll(x, -2)[1:]) + length(y)*max(a, pi) - 1e-3*expm1(y[0])^2.5",
];

/// Words that may stand for one another, so that many of the damaged texts are still expressions.
const KINDS: [&[&str]; 5] = [
    &["+", "-", "*", "/", "^"],
    &["x", "y", "a", "T", "s", "v", "A", "pi", "inf", "q"],
    &["0", "1", "-1", "2", "0.5", "1e308", "4294967295", "9e15"],
    &[
        "exp(",
        "log(",
        "sqrt(",
        "lgamma(",
        "sum(",
        "logsumexp(",
        "expm1(",
        "mean(",
        "length(",
        "abs(",
    ],
    &[
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        "<",
        ">=",
        " ",
        "é",
        "$",
        "where(",
        "roll(",
        "matvec(",
        "normal_lpdf(",
        "beta_lpdf(",
    ],
];

/// The words of a text; the name of a function keeps its bracket.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in text.chars() {
        let joins = |word: &String| {
            let last = word.chars().next_back().unwrap_or(' ');
            let letter = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            letter(last)
                && (letter(c) || (c == '(' && !word.starts_with(|c: char| c.is_ascii_digit())))
        };
        match words.last_mut().filter(|word| joins(word)) {
            Some(word) => word.push(c),
            None => words.push(c.into()),
        }
    }
    words
}

#[test]
fn no_text_reaches_a_panic() {
    let mut stream = Stream::new(17, 0);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..8000 {
        let mut words = words(VALID[round % VALID.len()]);
        for _ in 0..=stream.index(3) {
            let at = stream.index(words.len());
            let like = KINDS.iter().find(|kind| kind.contains(&&*words[at]));
            // One time in four anything may come, in the place of up to three words.
            let (kind, until) = match like {
                Some(kind) if stream.index(4) > 0 => (*kind, at + 1),
                _ => {
                    let until = (at + stream.index(4)).min(words.len());
                    (KINDS[stream.index(KINDS.len())], until)
                }
            };
            words.splice(at..until, [kind[stream.index(kind.len())].to_owned()]);
        }
        let text = words.concat();
        match standard(&text) {
            Ok(target) => {
                accepted += 1;
                let value = target.log_density_at(&[0.3, -0.2, 0.1, 1.4, -0.6, 0.9], &[0.7]);
                assert!(!value.is_nan(), "{text}");
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().len() > 40, "{text}: {error}");
            }
        }
    }
    assert!(accepted > 300 && refused > 300, "{accepted} {refused}");
}
