//! Checks of output files before work begins.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// A file behind more links than this cannot be found.
const MOST_LINKS: usize = 40;

/// Refuses a path that is a folder, or whose ending is not among those an option takes. A pipe or a
/// device needs no ending.
pub(crate) fn expect(path: &Path, option: &str, endings: &[&str]) -> Result<()> {
    let shown = path.display();
    ensure!(
        !path.as_os_str().is_empty(),
        "{option}: a file name is needed"
    );
    ensure!(
        !path.is_dir(),
        "{option}: {shown} is a folder; name a file in it"
    );
    let ending = path.extension().and_then(|ending| ending.to_str());
    let fits = ending.is_some_and(|ending| endings.contains(&ending));
    // A file that takes the place of the standard output is no file to replace.
    let special = path.starts_with("/dev")
        || path.starts_with("/proc")
        || fs::metadata(path).is_ok_and(|file| !file.is_file());
    ensure!(
        fits || special,
        "{option}: {shown} should end with .{}",
        endings.join(", .")
    );
    Ok(())
}

/// Refuses a path whose folder does not exist, before work is done for it.
pub(crate) fn expect_folder(path: &Path, option: &str) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        ensure!(
            folder.is_dir(),
            "{option}: the folder {} does not exist; make it first",
            folder.display()
        );
    }
    Ok(())
}

/// Whether two paths lead to one file, be it there already or not.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    a == b || place(a).is_some_and(|place_a| place(b) == Some(place_a))
}

/// Where a path leads: through all links, also where the file at their end is not there yet.
fn place(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(found) = fs::canonicalize(&path) {
            return Some(found);
        }
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        let here = folder.join(path.file_name()?);
        match fs::read_link(&here) {
            Ok(end) => path = folder.join(end),
            Err(_) => return Some(here),
        }
    }
    None
}

/// Refuses to overwrite the data of a simulation, whose record beside them would then be of other data.
pub(crate) fn keep_simulation(path: &Path, option: &str) -> Result<()> {
    let record = path.with_extension("json");
    if path.extension().is_none_or(|ending| ending == "json") || !path.is_file() {
        return Ok(());
    }
    let text = fs::read(&record).unwrap_or_default();
    let found: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let recorded = found["config"].is_object() && found["version"].is_u64();
    ensure!(
        !recorded,
        "{option}: {} holds a simulation, which {} records; choose another name",
        path.display(),
        record.display()
    );
    Ok(())
}

/// Renames a file and the record beside it to the first free `NAME.1.npy`, `NAME.2.npy`, …, so that a
/// script that uses the name again loses nothing.
pub(crate) fn keep_aside(path: &Path) -> Result<()> {
    let named = |n: usize, ending: &str| path.with_extension(format!("{n}.{ending}"));
    let taken = |n: usize| named(n, "npy").exists() || named(n, "json").exists();
    let n = (1..10_000).find(|&n| !taken(n));
    let n = n.with_context(|| format!("{} was kept aside 9999 times", path.display()))?;
    for ending in ["npy", "json"] {
        let from = path.with_extension(ending);
        if from.exists() {
            fs::rename(&from, named(n, ending))
                .with_context(|| format!("cannot rename {}", from.display()))?;
        }
    }
    Ok(())
}
