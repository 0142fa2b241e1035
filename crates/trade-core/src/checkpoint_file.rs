//! Files that are either the old one or the new one, whenever the process is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Write `path` through `write`, so that at any instant it holds either what it held before or
/// all that is written here.
///
/// The bytes go to `.<name>.partial` in the same folder, which is flushed, synced and renamed onto
/// `path`; then the folder is synced, so that the new name survives a power cut too. A partial file
/// that a kill left behind is overwritten by the next write of the same name. Two writers of one
/// path at once are not provided for.
///
/// # Errors
/// If the folder does not exist, a system call fails, or `write` does; then `path` is as before.
pub fn write_atomically<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<T> {
    let partial = partial_path(path)?;
    let written = write_synced(&partial, write).and_then(|value| {
        fs::rename(&partial, path).map_err(|e| Error::io(path, e))?;
        Ok(value)
    });
    match written {
        Ok(value) => {
            sync_folder(path)?;
            Ok(value)
        }
        Err(error) => {
            // The first error is the one that tells; the leftover does no harm.
            fs::remove_file(&partial).ok();
            Err(error)
        }
    }
}

fn partial_path(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::file(path, "expected the name of a file"));
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(".partial");
    Ok(path.with_file_name(partial))
}

fn write_synced<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let mut writer = BufWriter::new(file);
    let value = write(&mut writer)?;
    let file = writer
        .into_inner()
        .map_err(|e| Error::io(path, e.into_error()))?;
    file.sync_all().map_err(|e| Error::io(path, e))?;
    Ok(value)
}

/// Only Unix lets a folder be opened and synced; elsewhere the rename has to be enough.
fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| Error::io(folder, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &'static str) -> impl FnOnce(&mut dyn Write) -> Result<usize> {
        move |writer| {
            writer
                .write_all(text.as_bytes())
                .map_err(|e| Error::io("test", e))?;
            Ok(text.len())
        }
    }

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    }

    #[test]
    fn the_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(
            write_atomically(&path, put("a longer first text")).unwrap(),
            19
        );
        assert_eq!(write_atomically(&path, put("second")).unwrap(), 6);
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomically(&path, put("good")).unwrap();
        let failed = write_atomically(&path, |writer| {
            put("half of it")(writer)?;
            Err::<(), _>(Error::Estimate("out of luck".into()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "out of luck");
        assert_eq!(fs::read_to_string(&path).unwrap(), "good");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn the_old_file_stands_until_the_new_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomically(&path, put("good")).unwrap();
        // What a kill in the middle of an earlier write leaves.
        fs::write(
            folder.path().join(".state.json.partial"),
            "torn and rather long",
        )
        .unwrap();
        let reader = path.clone();
        write_atomically(&path, |writer| {
            put("new")(writer)?;
            writer.flush().map_err(|e| Error::io("test", e))?;
            assert_eq!(fs::read_to_string(&reader).unwrap(), "good");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/x.json");
        let error = write_atomically(&missing, put("x"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("no/such/folder"), "{error}");
        assert!(write_atomically(Path::new("/"), put("x")).is_err());
        // A folder in the way of the rename.
        let blocked = folder.path().join("blocked");
        fs::create_dir_all(blocked.join("inside")).unwrap();
        assert!(write_atomically(&blocked, put("x")).is_err());
        assert_eq!(names(folder.path()), ["blocked"]);
    }
}
