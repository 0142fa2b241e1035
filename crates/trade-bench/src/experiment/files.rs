//! The files under `experiments/`, which are compiled into the program, and how they make a run.
//!
//! The configuration of a method is `base.json`, changed by `presets/<preset>.json` and then by the
//! `patch` of the method in `methods.json`. Both changes are JSON merge patches (RFC 7386). An
//! experiment that extends another starts from the other's base and preset. Afterwards each text
//! `"$name"` is replaced by the entry `name` of the section `let`, and `"$name.field"` by a field of
//! it, so that methods list the terms of a loss by name and a preset changes a size in one place.
//! `"$none"` stands for `null`, which a merge patch cannot set.
//!
//! A method that removes `flow`, `objectives` or `train` gets what the recipe chooses.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use trade::{Draft, config::RunConfig, device::DeviceName, recipe::Length, target::TargetConfig};

use super::{molecule_flow, preset::Preset};

/// Rounds of a training whose length is not stated.
const ROUNDS: usize = 2;
/// Steps of one at the smoke preset.
const SMOKE_STEPS: usize = 40;

/// References may go through so many others, which is more than any that ends.
const DEPTH: usize = 32;

/// The files of one experiment.
pub(super) struct Files {
    /// The name of the folder and of the experiment.
    pub(super) name: &'static str,
    extends: Option<&'static Files>,
    about: &'static str,
    base: &'static str,
    methods: &'static str,
    presets: [&'static str; 3],
}

macro_rules! file {
    ($name:literal, $file:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            concat!("/../../experiments/", $name, "/", $file)
        ))
    };
}

macro_rules! files {
    ($name:literal, $extends:expr) => {
        Files {
            name: $name,
            extends: $extends,
            about: file!($name, "experiment.json"),
            base: file!($name, "base.json"),
            methods: file!($name, "methods.json"),
            presets: [
                file!($name, "presets/smoke.json"),
                file!($name, "presets/desktop.json"),
                file!($name, "presets/paper.json"),
            ],
        }
    };
}

static LATTICE: Files = files!("lattice", None);

/// The files of all experiments.
pub(super) static ALL: [&Files; 6] = [
    &files!("multi-well", None),
    &files!("two-moons", None),
    &files!("gmm", None),
    &LATTICE,
    &files!("lattice-plane", Some(&LATTICE)),
    &files!("alanine", None),
];

/// What `experiment.json` holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    pub(super) title: String,
    pub(super) control: Control,
    pub(super) bases: Vec<f64>,
    pub(super) table_conditions: Vec<f64>,
}

/// The control parameter: its symbol, and its name in words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Control {
    pub(super) symbol: String,
    pub(super) label: String,
}

/// An entry of `methods.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) label: String,
    #[serde(default)]
    pub(super) further: bool,
    #[serde(default)]
    patch: Map<String, Value>,
}

impl Files {
    /// What is said of the experiment as a whole.
    pub(super) fn about(&self) -> Result<About> {
        self.parse("experiment.json", self.about)
    }

    /// All methods, in the order of the tables.
    pub(super) fn methods(&self) -> Result<Vec<Entry>> {
        self.parse("methods.json", self.methods)
    }

    /// The run of a method and the settings of the experiment's own measurements.
    pub(super) fn run(&self, preset: Preset, method: &Entry) -> Result<(RunConfig, Value)> {
        let mut root = self.unpatched(preset)?;
        merge(&mut root, &Value::Object(method.patch.clone()));
        self.finish(root, preset).with_context(|| {
            format!(
                "experiments/{}: base.json with presets/{}.json and the method `{}` of methods.json",
                self.name,
                preset.name(),
                method.name
            )
        })
    }

    fn unpatched(&self, preset: Preset) -> Result<Value> {
        let base = self.parse("base.json", self.base)?;
        let mut root = match self.extends {
            None => base,
            Some(other) => {
                let mut root = other.unpatched(preset)?;
                merge(&mut root, &base);
                root
            }
        };
        let file = format!("presets/{}.json", preset.name());
        merge(
            &mut root,
            &self.parse(&file, self.presets[preset as usize])?,
        );
        Ok(root)
    }

    fn finish(&self, mut root: Value, preset: Preset) -> Result<(RunConfig, Value)> {
        let fields = root.as_object_mut().context("an object is expected")?;
        let names = fields.remove("let").unwrap_or_default();
        let mut root = resolved(&root, &names, "", 0)?;
        let fields = root.as_object_mut().context("an object is expected")?;
        let study = fields.remove("study").unwrap_or_default();
        if let Some(recipe) = fields.get_mut("flow").and_then(|f| f.get_mut("molecule")) {
            let flow = molecule_flow::of(typed(recipe.take()).context("in `flow.molecule`")?);
            fields.insert("flow".into(), serde_json::to_value(flow)?);
        }
        let stated = ["flow", "objectives", "train"];
        let mut config: RunConfig = if stated.iter().all(|field| root.get(field).is_some()) {
            typed(root)?
        } else {
            let length = match preset {
                Preset::Smoke => Length::Steps(SMOKE_STEPS),
                Preset::Desktop | Preset::Paper => Length::Rounds(ROUNDS),
            };
            typed::<Draft>(root)?.complete(DeviceName::default(), length)?
        };
        if let TargetConfig::Molecule(molecule) = &mut config.target {
            let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments"));
            for file in molecule.files() {
                let path = folder.join(self.name).join(&*file);
                *file = path.canonicalize().unwrap_or(path);
            }
        }
        Ok((config, study))
    }

    fn parse<T: DeserializeOwned>(&self, file: &str, text: &str) -> Result<T> {
        let value = serde_json::from_str(text).map_err(|error| anyhow!(error));
        value
            .and_then(typed)
            .with_context(|| format!("experiments/{}/{file}", self.name))
    }
}

/// A value of a type, or which field is wrong and why.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| anyhow!("field `{}`: {}", error.path(), error.inner()))
}

/// Applies a merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// The value with every reference replaced; `field` is its path, for messages.
fn resolved(value: &Value, names: &Value, field: &str, depth: usize) -> Result<Value> {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            None => Ok(value.clone()),
            Some("none") => Ok(Value::Null),
            Some(name) => {
                ensure!(depth < DEPTH, "field `{field}`: `${name}` refers to itself");
                let entry = names.pointer(&format!("/{}", name.replace('.', "/")));
                let entry = entry
                    .with_context(|| format!("field `{field}`: `let` has no entry `{name}`"))?;
                resolved(entry, names, field, depth + 1)
            }
        },
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| resolved(item, names, &format!("{field}[{i}]"), depth))
            .collect(),
        Value::Object(items) => items
            .iter()
            .map(|(key, item)| {
                let field = format!("{field}{}{key}", if field.is_empty() { "" } else { "." });
                Ok((key.clone(), resolved(item, names, &field, depth)?))
            })
            .collect(),
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_are_those_of_the_standard() {
        // From the examples of RFC 7386, appendix A.
        for [target, patch, expected] in [
            [r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#],
            [r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#],
            [r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#],
            [r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#],
            [r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#],
            [r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#],
            ["[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#],
            ["{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#],
        ] {
            let mut value = serde_json::from_str(target).unwrap();
            merge(&mut value, &serde_json::from_str(patch).unwrap());
            assert_eq!(value.to_string(), expected);
        }
    }

    #[test]
    fn references_are_replaced_and_wrong_ones_are_named() {
        let names = json!({"batch": 3, "grid": {"points": "$batch"}, "loop": ["$loop"]});
        let all = |value| resolved(&value, &names, "", 0);
        let value = all(json!({"a": ["$grid", "$grid.points", "$none", "plain"]})).unwrap();
        assert_eq!(value, json!({"a": [{"points": 3}, 3, null, "plain"]}));
        let error = all(json!({"a": [{"b": "$steps"}]}))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "field `a[0].b`: `let` has no entry `steps`");
        let error = all(json!({"a": "$loop"})).unwrap_err().to_string();
        assert!(error.contains("refers to itself"), "{error}");
    }

    #[test]
    fn an_error_names_files_and_field() {
        let patch = json!({"train": {"steps": "many"}});
        let method = Entry {
            name: "slow".into(),
            label: String::new(),
            further: false,
            patch: patch.as_object().unwrap().clone(),
        };
        let error = ALL[2].run(Preset::Smoke, &method).unwrap_err();
        let error = format!("{error:#}");
        for part in [
            "experiments/gmm",
            "smoke.json",
            "`slow`",
            "`train.steps`",
            "many",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn nothing_is_defined_in_vain() {
        for files in ALL {
            let own = [files.base, files.methods].into_iter().chain(files.presets);
            let extended = files.extends.map_or("", |other| other.base);
            let text: String = own.chain([extended]).collect();
            let root: Value = serde_json::from_str(files.base).unwrap();
            for name in root["let"].as_object().unwrap().keys() {
                let used =
                    text.contains(&format!("\"${name}\"")) || text.contains(&format!("\"${name}."));
                assert!(used, "{}: {name}", files.name);
            }
        }
    }
}
