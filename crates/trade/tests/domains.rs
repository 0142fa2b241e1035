//! Problems out of reach of the density or of single precision, each refused in a sentence before the first step.

use std::path::Path;

use trade::{Draft, device::DeviceName, recipe::Length, train_unsaved};

const DEVICE: DeviceName = DeviceName::Flex;

/// What is said of a problem, from its text to the end of one step; nothing if that comes.
fn said(target: &str, ranges: &str, data: &str) -> String {
    let text = format!(r#"{{ "target": {target}, "ranges": {ranges}, {data} }}"#);
    let draft = Draft::parse(&text, Path::new(".")).expect("a configuration");
    let result = draft.complete(DEVICE, Length::Steps(1));
    let result = result.and_then(|config| train_unsaved(&config, DEVICE));
    result.map_or_else(|error| format!("{error:#}"), |_| String::new())
}

#[test]
fn conditions_without_a_density_are_refused() {
    let at = |name: &str, c: f64| {
        format!(r#""data": [ {{ "at": {{ "{name}": {c} }}, "from": {{ "exact": 200 }} }} ]"#)
    };
    let mixture =
        r#"{ "gaussian_mixture": { "weights": [1], "means": [[0]], "covariances": [[[1]]] } }"#;
    let free = r#"{ "phi4": { "l": 4, "lambda": 0 } }"#;
    for (target, ranges, data, says) in [
        (
            r#"{ "double_well": {} }"#,
            r#"{ "temperature": [-0.5, 1] }"#,
            at("temperature", 1.0),
            "only where temperature is above 0",
        ),
        (
            mixture,
            r#"{ "beta": [0, 1] }"#,
            at("beta", 1.0),
            "only where beta is above 0",
        ),
        (
            free,
            r#"{ "kappa": [0.1, 0.3] }"#,
            at("kappa", 0.2),
            "only where kappa is",
        ),
        (
            r#"{ "expression": { "variables": { "x": 1 }, "controls": ["a"], "log_density": "x - a*x^2" } }"#,
            r#"{ "a": [-1, 1] }"#,
            r#""data": []"#.to_string(),
            "has no density at a = -1",
        ),
        // Good at both ends.
        (
            r#"{ "expression": { "variables": { "x": 1 }, "controls": ["a"], "log_density": "-x^2*(a^2 - 0.1)" } }"#,
            r#"{ "a": [-1, 1] }"#,
            r#""data": []"#.to_string(),
            "has no density at a = ",
        ),
        (
            r#"{ "expression": { "variables": { "x": 1 }, "controls": ["a"], "log_density": "-x^2/abs(a - 2)" } }"#,
            r#"{ "a": [1, 3] }"#,
            r#""data": []"#.to_string(),
            "has no density at a = 2",
        ),
    ] {
        let said = said(target, ranges, &data);
        assert!(said.contains(says), "{target}: {said}");
    }
}

#[test]
fn what_single_precision_rounds_away_is_refused() {
    let text = |log_density: &str| {
        format!(
            r#"{{ "expression": {{ "variables": {{ "x": 1 }}, "controls": ["t"], "log_density": "{log_density}" }} }}"#
        )
    };
    // A time since 1970 as a control, in seconds.
    let said_of = |target: &str, ranges: &str| said(target, ranges, r#""data": []"#);
    let moving = said_of(
        &text("-(x - (t - 1e9))^2/2"),
        r#"{ "t": [1000000000, 1000000001] }"#,
    );
    assert!(
        moving.contains("`ranges.t`") && moving.contains("subtract"),
        "{moving}"
    );
    // The total energy of a system.
    let constant = said_of(&text("-(x^2/2 - 123456789)/t"), r#"{ "t": [0.5, 2] }"#);
    assert!(
        constant.contains("leave out of the energy what does not depend"),
        "{constant}"
    );
    assert_eq!(
        said_of(&text("-(x^2/2 - 100)/t"), r#"{ "t": [0.5, 2] }"#),
        ""
    );
    // A Julian date.
    let date = |prior: &str| {
        let target = format!(
            r#"{{ "posterior": {{ "parameters": {{ "t0": "{prior}" }},
                "log_likelihood": "normal_lpdf(0.11, t0, 0.2)" }} }}"#
        );
        said_of(&target, r#"{ "beta": [0, 1] }"#)
    };
    let found = date("normal(2458849.5, 0.3)");
    assert!(found.contains("as a difference from 2458849"), "{found}");
    assert_eq!(date("normal(0.5, 0.3)"), "");
}
