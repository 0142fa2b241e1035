//! Mistakes and what is said of them.

use serde_json::json;

use super::{standard, with_parts};

#[test]
fn every_mistake_has_its_column_and_a_sentence() {
    let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
    let signs = format!("{}a", "-".repeat(5000));
    let cases = [
        ("", 1, "empty"),
        ("   ", 1, "empty"),
        (
            "a +",
            4,
            "expected a number, a name, `(` or `[`, found the end of the text",
        ),
        ("(a", 3, "expected an operator or `)`, found the end"),
        (
            "a)",
            2,
            "expected an operator or the end of the text, found `)`",
        ),
        (
            "a + bernoulli_logit_lpmf([1, 2], a)",
            26,
            "takes 0 or 1, found 2 at entry 1",
        ),
        (
            "a + poisson_lpmf([2, 0.5], 1)",
            18,
            "takes a whole number that is not negative, found 0.5 at entry 1",
        ),
        ("a + binomial_lpmf(5, 3, 0.5)", 19, "has 5 of 3 at entry 0"),
        ("a b", 3, "found `b`"),
        ("2a", 2, "found `a`"),
        ("a ** 2", 3, "written `^`"),
        ("a = 2", 3, "under `let`"),
        ("a $ 2", 3, "`$` has no meaning"),
        ("1.2.3", 1, "expected a number such as"),
        ("1e999", 1, "too large"),
        ("a < T", 3, "where(condition, a, b)"),
        ("sum(a < T)", 7, "where(condition, a, b)"),
        ("where(a, 1, 2)", 8, "expected a comparison"),
        (
            "where(a < 1, 2)",
            1,
            "where takes 3 arguments (condition, a, b), found 2",
        ),
        ("where(x < y, 1, 2)", 11, "vector of 2 beside a vector of 3"),
        ("q + 1", 1, "unknown name `q`; "),
        (
            "a + temperature",
            5,
            "known names are pi, inf, a, x, y, T, A, s, v",
        ),
        (
            "a + lenght(x)",
            5,
            "unknown function `lenght`; did you mean `length`?",
        ),
        (
            "x + y",
            3,
            "`+` stands between a vector of 3 and a vector of 2",
        ),
        ("a*(x - y)", 6, "`-` stands between"),
        ("x^y", 2, "`^` stands between"),
        (
            "x/T",
            1,
            "must be a scalar, but it is a vector of 3; did you mean sum",
        ),
        (
            "x[3]",
            2,
            "index 3 is out of range; there are 3 entries, numbered from 0 to 2",
        ),
        ("x[-4]", 2, "index -4 is out of range"),
        ("x[1.5]", 3, "expected a whole number, found 1.5"),
        ("x[a]", 3, "cannot depend on variables"),
        ("x[v]", 3, "found a vector of 3"),
        ("x[1e300]", 3, "whole number"),
        ("x[2:1]", 2, "has no entries"),
        ("x[1:9]", 2, "leaves the range"),
        ("x[1:2:3]", 6, "`]`"),
        ("A[2]", 2, "there are 2 rows"),
        ("A + 1", 3, "matrix of 2 × 3"),
        ("A", 1, "matrix of 2 × 3"),
        ("-A", 1, "matrix of 2 × 3"),
        ("exp(A)", 5, "matvec(A, x)"),
        (
            "matvec(A, y)",
            11,
            "a matrix of 2 × 3 takes a vector of 3, found a vector of 2",
        ),
        ("matvec(x, x)", 8, "constant matrix first"),
        ("exp(1, 2)", 1, "exp takes 1 argument (x), found 2"),
        (
            "normal_lpdf(x, 0)",
            1,
            "normal_lpdf takes 3 arguments (x, mu, sigma), found 2",
        ),
        (
            "normal_lpdf(x, y, 1)",
            16,
            "this argument is a vector of 2 beside a vector of 3",
        ),
        ("exp", 1, "`exp` is a function; write exp(x)"),
        ("x(0)", 1, "`x` is not a function; write x[0]"),
        ("roll(x, a)", 9, "constant whole number"),
        ("roll_rows(x, 1, 2)", 17, "divides the 3 entries"),
        (
            "[x, a]",
            2,
            "a list holds scalars, but this entry is a vector of 3",
        ),
        ("[]", 1, "at least one entry"),
        ("[a, T", 6, "expected an operator or `,` or `]`"),
        ("sum(", 5, "found the end of the text"),
        (&deep, 101, "nested more than 100 deep"),
        (&signs, 101, "nested more than 100 deep"),
        ("θ + 1", 1, "unknown name `θ`"),
        ("a + θθ + é", 5, "unknown name `θθ`"),
    ];
    for (text, column, says) in cases {
        let message = standard(text).expect_err(text).to_string();
        let scalar = says.starts_with("must be a scalar");
        let place = format!("setting `target.expression.log_density`: column {column}: ");
        assert!(scalar || message.starts_with(&place), "{text}: {message}");
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn mistakes_in_a_part_name_the_part() {
    let message = |parts, text| with_parts(&parts, text).unwrap_err().to_string();
    let found = message(json!({ "u": "x + y" }), "-u/T");
    assert!(
        found.starts_with("setting `target.expression.let.u`: column 3: "),
        "{found}"
    );
    let found = message(json!({ "energy": "norm2(x)" }), "-enrgy/T");
    assert!(found.contains("did you mean `energy`?"), "{found}");
    let found = message(json!({ "x": "1" }), "-T");
    assert!(
        found.contains("let.x") && found.contains("given twice"),
        "{found}"
    );
    let found = message(json!({ "b": "norm2(x)", "c": "b + d", "d": "1" }), "-c/T");
    assert!(
        found.contains("let.c") && found.contains("unknown name `d`"),
        "{found}"
    );
    let found = message(json!({}), "-norm2(x)");
    assert!(found.contains("does not depend on T"), "{found}");
}
