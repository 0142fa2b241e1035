//! Checks of output files before work begins.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

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
    let special = fs::metadata(path).is_ok_and(|file| !file.is_file());
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
    let place = |path: &Path| {
        fs::canonicalize(path).ok().or_else(|| {
            let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
            Some(folder.join(path.file_name()?))
        })
    };
    a == b || place(a).is_some_and(|place_a| place(b) == Some(place_a))
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
