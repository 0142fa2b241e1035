//! `trade init`: the smallest configuration, to be completed by hand or by defaults.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Session;
use crate::args::InitArgs;

pub(super) fn run(session: &Session, typed: InitArgs) -> Result<()> {
    let text = serde_json::to_string_pretty(&config(&typed)?)? + "\n";
    let shown = typed.file.display();
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&typed.file);
    match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{shown} exists already; choose another name or remove it first")
        }
        other => other
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {shown}"))?,
    }
    session.say(format!("wrote {shown}"));
    Ok(())
}

/// The smallest configuration: target, ranges, and data or a base condition without.
#[derive(Serialize)]
struct Smallest {
    target: Value,
    ranges: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bases: Option<Value>,
}

fn config(typed: &InitArgs) -> Result<Smallest> {
    let mut ranges = Map::new();
    for text in &typed.range {
        let (name, range) = range(text)?;
        ensure!(
            ranges.insert(name.clone(), json!(range)).is_none(),
            "--range: `{name}` is given twice"
        );
    }
    let mut at = Map::new();
    ensure!(
        typed.at.is_some() || typed.data.is_none(),
        "--data needs --at, the condition that the samples were drawn at, e.g. --at {}=1",
        ranges.keys().next().map_or("temperature", String::as_str)
    );
    for part in typed.at.iter().flat_map(|at| at.split(',')) {
        let (name, value) = pair(part, "--at")?;
        let value = number(value, "--at", part)?;
        ensure!(
            at.insert(name.into(), json!(value)).is_none(),
            "--at: `{name}` is given twice"
        );
    }
    let missing = ranges.keys().find(|name| !at.contains_key(*name));
    if let Some(name) = missing.filter(|_| typed.at.is_some()) {
        bail!("--at gives no value for `{name}`, which has a range; add {name}=VALUE");
    }
    if let Some(name) = at.keys().find(|name| !ranges.contains_key(*name)) {
        bail!("`{name}` has a value in --at but no range; add --range {name}=LOW,HIGH");
    }
    let (mut data, mut bases) = (None, None);
    match &typed.data {
        Some(file) => data = Some(json!([{ "at": at, "from": { "file": beside(typed, file)? } }])),
        None if typed.at.is_none() => {}
        None => bases = Some(json!([at])),
    }
    Ok(Smallest {
        target: target(typed)?,
        ranges,
        data,
        bases,
    })
}

/// The path of the data as the configuration needs it, where a relative path starts at the folder of
/// the configuration.
fn beside(typed: &InitArgs, file: &Path) -> Result<PathBuf> {
    let here = typed.file.parent().is_none_or(|p| p.as_os_str().is_empty());
    if here {
        return Ok(file.to_owned());
    }
    std::path::absolute(file).with_context(|| format!("--data: {}", file.display()))
}

fn target(typed: &InitArgs) -> Result<Value> {
    let Some(formula) = &typed.expression else {
        let kind = typed.target.as_deref().unwrap_or_default();
        let kind = kind.replace('-', "_");
        let mut settings = Map::new();
        if let Some(dim) = typed.dim {
            settings.insert("dim".into(), json!(dim));
        }
        return Ok(json!({ kind: settings }));
    };
    let mut variables = Map::new();
    for text in &typed.variables {
        let (name, dim) = pair(text, "--variables")?;
        let dim: usize = dim.parse().ok().filter(|n| *n > 0).with_context(|| {
            format!("--variables: `{text}`: expected a dimension, e.g. {name}=2")
        })?;
        variables.insert(name.into(), json!(dim));
    }
    Ok(json!({ "expression": {
        "variables": variables,
        "controls": typed.controls,
        "log_density": formula,
    } }))
}

/// `NAME=LOW,HIGH`.
fn range(text: &str) -> Result<(String, [f64; 2])> {
    let (name, ends) = pair(text, "--range")?;
    let (low, high) = ends
        .split_once(',')
        .with_context(|| format!("--range: `{text}`: expected {name}=LOW,HIGH"))?;
    let (low, high) = (
        number(low, "--range", text)?,
        number(high, "--range", text)?,
    );
    ensure!(
        low < high,
        "--range: `{text}`: the first number must be the smaller one"
    );
    Ok((name.into(), [low, high]))
}

/// `NAME=VALUE`.
fn pair<'a>(text: &'a str, option: &str) -> Result<(&'a str, &'a str)> {
    let split = text.split_once('=');
    let (name, value) =
        split.with_context(|| format!("{option}: `{text}`: expected NAME=VALUE"))?;
    ensure!(
        !name.trim().is_empty(),
        "{option}: `{text}`: the name is missing"
    );
    Ok((name.trim(), value.trim()))
}

fn number(value: &str, option: &str, text: &str) -> Result<f64> {
    let number: Option<f64> = value.trim().parse().ok().filter(|v: &f64| v.is_finite());
    number.with_context(|| format!("{option}: `{text}`: `{value}` is not a finite number"))
}
