//! The fields beside the text.

use std::{fs, path::Path};

use burn::tensor::DType;
use burn_flex::Flex;
use serde_json::json;
use trade_core::{Condition, Family, Interval, PowerFamily, Support, Target};

use super::{numbers, rows, target};
use crate::expression::ExpressionConfig;

fn message(text: &str) -> String {
    match serde_json::from_str::<ExpressionConfig>(text) {
        Ok(config) => config.init().expect_err(text).to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_state_has_the_order_of_the_text() {
    let text = r#"{"variables":{"z":2,"a":1},"controls":["T"],"let":{"q":"z[1]","b":"q + 10*a"},"log_density":"b*T"}"#;
    let config: ExpressionConfig = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&config).unwrap(), text);
    let target = config.init().unwrap();
    assert_eq!(target.dim(), 3);
    assert_eq!(target.log_density_at(&[1.0, 2.0, 3.0], &[1.0]), 32.0);
    let schema = schemars::schema_for!(ExpressionConfig).to_value();
    assert!(schema["properties"]["let"].is_object(), "{schema}");
}

#[test]
fn outside_of_the_support_there_is_no_density() {
    let target = target(
        r#"{ "variables": { "a": 1, "u": 2, "w": 1 }, "controls": ["T"],
            "support": { "a": "positive",
                         "u": ["real", { "interval": { "low": -1, "high": 2 } }], "w": "angle" },
            "domain": { "T": [0.1, null] },
            "log_density": "-(a + norm2(u) - cos(w))/T" }"#,
    );
    let interval = Support::Interval {
        low: -1.0,
        high: 2.0,
    };
    let support = [Support::Positive, Support::Real, interval, Support::Angle];
    assert_eq!(target.support(), support);
    assert_eq!(target.domain(), [Interval::at_least(0.1)]);
    assert_eq!(target.power_family(), Some(PowerFamily::Temperature));
    let points = [
        ([1.0, 0.5, 0.5, 9.0], true),
        ([-1.0, 0.5, 0.5, 9.0], false),
        ([1.0, 0.5, 2.5, 9.0], false),
        ([1.0, 0.5, -1.5, 9.0], false),
        ([1.0, -50.0, 1.5, 9.0], true),
    ];
    let x = rows::<Flex>(&points.map(|(x, _)| x).concat(), 4, DType::F64);
    let condition = Condition::uniform(&[0.5], points.len(), &x);
    let found = numbers(target.log_density(x, &condition));
    for (found, (x, inside)) in found.iter().zip(points) {
        assert_eq!(found.is_finite(), inside, "{x:?}");
        assert_eq!(
            target.log_density_at(&x, &[0.5]).is_finite(),
            inside,
            "{x:?}"
        );
    }
}

#[test]
fn power_families_are_found_and_checked() {
    use PowerFamily::{Exponent, Temperature};

    let family = |stated: Option<&str>, text: &str| {
        let mut config = json!({ "variables": { "x": 2 }, "controls": ["c"], "log_density": text });
        if let Some(stated) = stated {
            config["power_family"] = json!(stated);
        }
        let config: ExpressionConfig = serde_json::from_value(config).unwrap();
        let target = config.init().map_err(|error| error.to_string());
        target.map(|target| target.power_family())
    };
    for (text, expected) in [
        ("-norm2(x)/c", Some(Temperature)),
        ("-norm2(x)*c", Some(Exponent)),
        ("-sum(x^4 - x^2)/c - norm2(x)/(2*c)", Some(Temperature)),
        ("-norm2(x)/2 - c*x[0]^4", None),
        ("-norm2(x)/c - log(c)", None),
        ("-norm2(x)/c^2", None),
        ("-norm2(x)*c^2", None),
        ("where(x[0] > 0, -x[0], -inf)*c - c*x[1]^2", Some(Exponent)),
        ("log(-1)*c", None),
    ] {
        assert_eq!(family(None, text), Ok(expected), "{text}");
        for (stated, name) in [(Temperature, "temperature"), (Exponent, "exponent")] {
            let found = family(Some(name), text);
            if expected == Some(stated) {
                assert_eq!(found, Ok(expected), "{text}");
            } else {
                let message = found.unwrap_err();
                assert!(
                    message.contains("target.expression.power_family"),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn power_families_have_positive_controls() {
    let domain = |more: serde_json::Value, text: &str| {
        let mut config = json!({ "variables": { "x": 2 }, "controls": ["c"], "log_density": text });
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let config: ExpressionConfig = serde_json::from_value(config).unwrap();
        config.init().unwrap().domain()[0].to_string()
    };
    let box_ = json!({ "support": { "x": { "interval": { "low": 0, "high": 1 } } } });
    assert_eq!(domain(json!({}), "-norm2(x)/c"), "above 0");
    assert_eq!(domain(json!({}), "-norm2(x)*c"), "above 0");
    assert_eq!(domain(box_.clone(), "-norm2(x)/c"), "above 0");
    // A bounded state has a density at every power.
    assert_eq!(domain(box_, "-norm2(x)*c"), "a finite number");
    assert_eq!(
        domain(json!({}), "-norm2(x)/2 - c*x[0]^4"),
        "a finite number"
    );
    // What is declared holds, but there is no temperature 0.
    assert_eq!(
        domain(json!({ "domain": { "c": [0, 5] } }), "-norm2(x)/c"),
        "above 0 and at most 5"
    );
    assert_eq!(
        domain(json!({ "domain": { "c": [null, -1] } }), "norm2(x)/c"),
        "at most -1"
    );
}

#[test]
fn data_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("counts.csv"), "time,count\n0.5,3\n1.5,4\n2.5,9\n").unwrap();
    fs::write(place("holes.csv"), "time\n1\nNaN\n").unwrap();
    trade_data::write_npy_f64(place("v.npy"), &[3], &[1.0, 2.0, 3.0]).unwrap();
    let config = |path: &Path, text: &str| {
        let config = json!({ "variables": { "x": 2 }, "controls": ["beta"],
            "data": { "d": path }, "log_density": text });
        serde_json::from_value::<ExpressionConfig>(config)
            .unwrap()
            .init()
    };
    let x = [0.3, 0.2];
    let value = |name: &str, text: &str| {
        let target = config(&place(name), text).unwrap_or_else(|error| panic!("{error}"));
        target.log_density_at(&x, &[1.0])
    };
    assert_eq!(value("counts.csv:count", "beta*sum(d) + x[0]*0"), 16.0);
    assert_eq!(
        value("counts.csv", "beta*sum(matvec(d, [0, 1])) + length(d)"),
        19.0
    );
    assert_eq!(value("v.npy", "beta*d[2]"), 3.0);
    for (name, says) in [
        (
            "counts.csv:hour",
            "has no column `hour`; its columns are time, count",
        ),
        ("missing.npy", "missing.npy"),
        ("holes.csv:time", "1 of the 2 numbers"),
        ("v.txt", "ends in .npy, .npz or .csv"),
        ("v.npz", "name the array, as in"),
    ] {
        let message = config(&place(name), "beta*sum(d)").unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (text, says) in [
        (
            r#"{"variables":{},"controls":["T"],"log_density":"T"}"#,
            "at least one variable",
        ),
        (
            r#"{"variables":{"x":1},"controls":[],"log_density":"x"}"#,
            "at least one control",
        ),
        (
            r#"{"variables":{"x":0},"controls":["T"],"log_density":"T"}"#,
            "variables.x`: a length",
        ),
        (
            r#"{"variables":{"x":18446744073709551615},"controls":["T"],"log_density":"T"}"#,
            "variables.x`: a length",
        ),
        (
            r#"{"variables":{"x":1,"x":2},"controls":["T"],"log_density":"T"}"#,
            "`x` stands twice",
        ),
        (
            r#"{"variables":{"x":1},"controls":["x"],"log_density":"T"}"#,
            "controls[0]`: the name",
        ),
        (
            r#"{"variables":{"exp":1},"controls":["T"],"log_density":"T"}"#,
            "name of a function",
        ),
        (
            r#"{"variables":{"pi":1},"controls":["T"],"log_density":"T"}"#,
            "constant of the language",
        ),
        (
            r#"{"variables":{"1x":1},"controls":["T"],"log_density":"T"}"#,
            "is not a name",
        ),
        (
            r#"{"variables":{"":1},"controls":["T"],"log_density":"T"}"#,
            "is not a name",
        ),
        (
            r#"{"variables":{"x":1},"controls":["T"],"constants":{"A":[[1],[1,2]]},"log_density":"T"}"#,
            "row 1 has 2 entries",
        ),
        (
            r#"{"variables":{"x":1},"controls":["T"],"constants":{"A":[]},"log_density":"T"}"#,
            "no numbers",
        ),
        (
            r#"{"variables":{"x":1},"controls":["T"],"constants":{"A":"b"},"log_density":"T"}"#,
            "a list of numbers",
        ),
        (
            r#"{"variables":{"x":2},"controls":["T"],"support":{"x":["real"]},"log_density":"T"}"#,
            "support.x`: expected 2 entries, found 1",
        ),
        (
            r#"{"variables":{"x":2},"controls":["T"],"support":{"X":"real"},"log_density":"T"}"#,
            "unknown name `X`",
        ),
        (
            r#"{"variables":{"x":2},"controls":["T"],"support":{"x":{"interval":{"low":2,"high":1}}},"log_density":"T"}"#,
            "is not an interval",
        ),
        (
            r#"{"variables":{"x":2},"controls":["T"],"domain":{"T":[2,1]},"log_density":"T"}"#,
            "domain.T`: [2, 1] is not a range",
        ),
        (
            r#"{"variables":{"x":2},"controls":["T"],"domain":{"t":[1,2]},"log_density":"T"}"#,
            "unknown name `t`",
        ),
        (
            r#"{"variables":{"x":2},"controls":["T","U"],"power_family":"exponent","log_density":"T*U"}"#,
            "exactly one control",
        ),
    ] {
        let message = message(text);
        assert!(message.contains(says), "{text}: {message}");
    }
}
