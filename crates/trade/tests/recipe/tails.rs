//! Densities that fall like a power of the distance get a base that does, too.

use std::path::Path;

use trade::{Draft, core::random::Stream, flows::Base, recipe::Length};

use super::{DEVICE, draft};

#[test]
fn tails_that_are_powers_get_a_base_that_has_them() {
    let base = |controls: &str, log_density: &str, ranges: &str, at: &str| {
        let folder = tempfile::tempdir().unwrap();
        let target = format!(
            r#"{{ "expression": {{ "variables": {{ "x": 3 }}, "controls": {controls},
                "log_density": "{log_density}" }} }}"#
        );
        let x = Stream::new(2, 0).normal64(3 * 200);
        let draft = draft(folder.path(), &target, ranges, at, &x, 3);
        draft.complete(DEVICE, Length::Steps(1)).unwrap().flow.base
    };
    let of_temperature = |text| base(r#"["T"]"#, text, r#"{ "T": [0.7, 1.2] }"#, r#"{ "T": 1 }"#);
    let student = |text| match of_temperature(text) {
        Base::Student(student) => student,
        other => panic!("{text}: {other:?}"),
    };
    // (1 + r²/4)^{−3.5/T}, also away from the origin and with other scales, falls like r^{−7/T}.
    for text in [
        "-3.5*log1p(norm2(x)/4)/T",
        "-3.5*log1p(norm2(x - 2)/400)/T",
        "-3.5*log1p((x[0]^2 + (x[1] - x[0])^2 + x[2]^2)/4)/T",
    ] {
        let found = student(text);
        assert!(
            !found.independent && (found.inverse - 7.0).abs() < 0.01,
            "{found:?}"
        );
        assert_eq!([found.constant, found.linear], [0.0; 2]);
    }
    // Each entry by itself like |x|^{−5/T}; one of them alone beside normal ones; a power without the control.
    let found = student("-2.5*sum(log1p(x^2))/T");
    assert!(
        found.independent && (found.inverse - 5.0).abs() < 0.01,
        "{found:?}"
    );
    let found = student("(-2.5*log1p(x[0]^2) - x[1]^2 - x[2]^2)/T");
    assert!(
        found.independent && (found.inverse - 5.0).abs() < 0.01,
        "{found:?}"
    );
    let found = student("-3*log1p(norm2(x)) - T*exp(-norm2(x))");
    assert!(
        (found.constant - 6.0).abs() < 0.01 && found.inverse == 0.0,
        "{found:?}"
    );
    // Degrees of freedom as the control, and a prior beside a likelihood.
    let of = |text| base(r#"["c"]"#, text, r#"{ "c": [0, 6] }"#, r#"{ "c": 1 }"#);
    for text in [
        "-(c + 5)/2*log1p(norm2(x))",
        "-2.5*log1p(norm2(x)) - c/2*log1p(norm2(x)/9)",
    ] {
        let Base::Student(found) = of(text) else {
            panic!("{text}");
        };
        let parts = [found.constant - 5.0, found.linear - 1.0, found.inverse];
        assert!(parts.iter().all(|part| part.abs() < 0.05), "{found:?}");
    }
    // Normal, exponential and walled densities keep a normal base.
    for text in [
        "-norm2(x)/(2*T)",
        "-sqrt(1 + norm2(x))/T",
        "-sum(x^4)/T",
        "-norm2(log1p(x^2))/T",
    ] {
        assert!(
            matches!(of_temperature(text), Base::ControlOver(_)),
            "{text}"
        );
    }
}

/// Without data the unit and the origin of the state are not known.
#[test]
fn tails_without_data_are_found_in_any_unit() {
    for (centre, unit) in [("0", "1e-6"), ("1e5", "1"), ("0", "1e9"), ("-3e15", "1e14")] {
        let text = format!(
            r#"{{ "target": {{ "expression": {{ "variables": {{ "x": 3 }}, "controls": ["T"],
                "log_density": "-3.5*log1p(norm2((x - ({centre}))/{unit})/4)/T" }} }},
                "ranges": {{ "T": [0.7, 1.2] }} }}"#
        );
        let draft = Draft::parse(&text, Path::new(".")).unwrap();
        let config = draft.complete(DEVICE, Length::Steps(1)).unwrap();
        let Base::Student(found) = config.flow.base else {
            panic!("{centre}, {unit}: {:?}", config.flow.base);
        };
        assert!((found.inverse - 7.0).abs() < 0.01, "{found:?}");
    }
}

/// The likelihood of a posterior is counted, and its prior has the heaviest tails.
#[test]
fn the_tails_of_a_prior_are_those_of_the_base() {
    let base = |priors: &str| {
        let text = format!(
            r#"{{ "target": {{ "posterior": {{ "parameters": {priors},
                "log_likelihood": "normal_lpdf(y, a + b, 1)", "constants": {{ "y": [1.0, 2.0] }} }} }},
                "ranges": {{ "beta": [0, 1] }} }}"#
        );
        let draft = Draft::parse(&text, Path::new(".")).unwrap();
        draft.complete(DEVICE, Length::Steps(1)).unwrap().flow.base
    };
    let Base::Student(found) = base(r#"{ "a": "cauchy(0, 1)", "b": "cauchy(3, 20)" }"#) else {
        panic!("no Student");
    };
    assert!(
        found.independent && (found.constant - 2.0).abs() < 0.01,
        "{found:?}"
    );
    let normal = base(r#"{ "a": "normal(0, 1)", "b": "normal(3, 20)" }"#);
    assert!(!matches!(normal, Base::Student(_)), "{normal:?}");
}
