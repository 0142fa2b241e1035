//! `trade config`.

use anyhow::{Context, Result};
use trade::{Draft, examples, molecule, molecules::MoleculeConfig};

use super::{Session, print};
use crate::args::ConfigCommand;

pub(super) fn run(session: &Session, what: ConfigCommand) -> Result<()> {
    match what {
        ConfigCommand::Schema => {
            let schema = schemars::schema_for!(Draft);
            print(&(serde_json::to_string_pretty(&schema)? + "\n"))
        }
        ConfigCommand::Example { name } => {
            let example = examples::named(&name).with_context(|| {
                let known = examples::NAMES.join(", ");
                format!("no example `{name}`; there are {known}")
            })?;
            print(&example.to_json()?)
        }
        ConfigCommand::Molecule {
            system,
            pdb,
            data,
            temperature,
        } => {
            let target = MoleculeConfig::new(system, pdb, temperature);
            print(&molecule::config(target, data, session.seed())?.to_json()?)
        }
    }
}
