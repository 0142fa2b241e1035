//! Configurations to start from: `examples/*.json`, which are compiled into the program.

use crate::config::RunConfig;

/// The names of the examples.
pub const NAMES: [&str; 5] = [
    "multi-well",
    "double-well",
    "gaussian-mixture",
    "tilted-wells",
    "phi4",
];

/// An example as it is written, without what has a default.
pub fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        "multi-well" => include_str!("examples/multi-well.json"),
        "double-well" => include_str!("examples/double-well.json"),
        "gaussian-mixture" => include_str!("examples/gaussian-mixture.json"),
        "tilted-wells" => include_str!("examples/tilted-wells.json"),
        "phi4" => include_str!("examples/phi4.json"),
        _ => return None,
    })
}

/// A complete configuration by name.
pub fn named(name: &str) -> Option<RunConfig> {
    serde_json::from_str(text(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{assemble, fits};

    #[test]
    fn examples_are_complete_and_survive_json() {
        for name in NAMES {
            let config: RunConfig = serde_json::from_str(text(name).unwrap())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let back: RunConfig = serde_json::from_str(&config.to_json().unwrap()).unwrap();
            assert_eq!(back, config, "{name}");
            assert!(config.flow.validate("flow").is_ok());
            let (problem, warnings) = assemble(&config).unwrap();
            assert!(warnings.is_empty(), "{name}: {warnings:?}");
            fits(&problem, &config.flow, &config.objectives).unwrap();
        }
        assert!(text("phi5").is_none());
    }
}
