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

const WORDS: [&str; 44] = [
    "+",
    "-",
    "*",
    "/",
    "^",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "<",
    ">=",
    "0",
    "1",
    "-1",
    "3",
    "1e308",
    "4294967295",
    "9e15",
    "0.5",
    "x",
    "y",
    "a",
    "T",
    "s",
    "v",
    "A",
    "pi",
    "inf",
    "sum(",
    "exp(",
    "log(",
    "where(",
    "roll(",
    "matvec(",
    "lgamma(",
    "normal_lpdf(",
    "logsumexp(",
    "length(",
    "é",
    "$",
    " ",
    "beta_lpdf(",
];

#[test]
fn no_text_reaches_a_panic() {
    let mut stream = Stream::new(17, 0);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..6000 {
        let mut text: Vec<char> = VALID[round % VALID.len()].chars().collect();
        for _ in 0..=stream.index(4) {
            let at = stream.index(text.len() + 1);
            let until = (at + stream.index(4)).min(text.len());
            let word = WORDS[stream.index(WORDS.len())];
            text.splice(at..until, word.chars());
        }
        let text: String = text.into_iter().collect();
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
