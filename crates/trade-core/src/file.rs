//! The one way in which a program of this workspace writes a file.
//!
//! A regular file is either the old one or the new one, whenever the process is killed. A pipe or a
//! device is written through.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::hash::fnv;

/// The first bytes of a file that gzip has compressed.
pub const GZIP: &[u8] = b"\x1f\x8b";

/// The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one, as `PowerShell` writes
/// it.
///
/// # Errors
/// What the file is instead, with the next step, to be put after the file's name.
pub fn text(bytes: Vec<u8>) -> std::result::Result<String, &'static str> {
    if bytes.starts_with(GZIP) {
        return Err("is compressed by gzip; unpack it first");
    }
    let wide = |order: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes[2..].as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| order(*unit)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    let text = match bytes[..] {
        // UTF-32 begins like UTF-16, with a zero after the mark.
        [0xFF, 0xFE, 0, 0, ..] => None,
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, ref rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        // Text has no zero bytes, unless it is UTF-16.
        _ if bytes.contains(&0) => None,
        _ => String::from_utf8(bytes).ok(),
    };
    text.ok_or("is neither UTF-8 nor UTF-16 with a byte order mark; save it as UTF-8")
}

/// Writes bytes to a file; see [`write_atomically`].
///
/// # Errors
/// If the file cannot be written; a regular file is then as before.
pub fn write_atomic(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_atomically(path, |writer| {
        let written = writer.write_all(bytes.as_ref());
        written.map_err(|error| Error::io(path, error))
    })
}

/// Writes `path` through `write`, so that at any instant it holds either what it held before or all
/// that is written here.
///
/// The bytes go to `.<name>.partial` in the same folder. That file is synced, takes the permissions
/// of the file it replaces, and is renamed onto it; then the folder is synced, so that the new name
/// survives a power cut. A partial file that a kill left behind is overwritten by the next write of
/// the same name. Of two writers of one path the second waits until the first is done, on file systems
/// that have locks; so the file is always all of one of them.
///
/// A symbolic link stays a link: the file it points to is replaced. A named pipe, a terminal or
/// another device, and every path below `/dev` and `/proc`, is opened and written directly.
///
/// # Errors
/// If the folder does not exist, the path names a folder, a system call fails, or `write` does. A
/// regular file is then as before, and no partial file is left.
pub fn write_atomically<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<T> {
    let failed = |error| Error::io(path, error);
    let existing = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(Error::file(
                path,
                "this is a folder; give the name of a file",
            ));
        }
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let Some(path) = regular(path, existing.as_ref()).map_err(failed)? else {
        let mut file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        return write_through(path, &mut file, write);
    };
    let mut partial = Partial::beside(&path)?;
    let value = write_through(&path, &mut partial.file, write)?;
    let replace = || {
        partial.file.sync_all()?;
        if let Some(metadata) = existing {
            partial.file.set_permissions(metadata.permissions())?;
        }
        fs::rename(&partial.name, &path)?;
        partial.renamed = true;
        sync_folder(&path)
    };
    replace().map_err(|error| Error::io(&path, error))?;
    Ok(value)
}

/// The regular file behind a path, with all links followed, which need not exist yet; `None` where
/// the path leads to a pipe or a device.
fn regular(path: &Path, existing: Option<&fs::Metadata>) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_path_buf();
    // Linux follows 40 links before it refuses.
    for _ in 0..=40 {
        let of_the_system = path.starts_with("/dev") || path.starts_with("/proc");
        if of_the_system || existing.is_some_and(|metadata| !metadata.is_file()) {
            return Ok(None);
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(link);
            }
            _ => return Ok(Some(path)),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn write_through<T>(
    path: &Path,
    file: &mut File,
    write: impl FnOnce(&mut dyn Write) -> Result<T>,
) -> Result<T> {
    let mut writer = BufWriter::new(file);
    let value = write(&mut writer)?;
    writer.flush().map_err(|error| Error::io(path, error))?;
    Ok(value)
}

/// The end of the name of a partial file.
const ENDING: &str = ".partial";
/// The bytes that a name may have on most file systems.
const LONGEST_NAME: usize = 255;

/// An empty file under its temporary name, which this writer alone has. Unless it was renamed, it is
/// removed when it goes out of scope.
struct Partial {
    name: PathBuf,
    /// Holds the lock. It is closed after the file is removed, never before.
    file: File,
    /// After the rename the name may be that of the next writer.
    renamed: bool,
}

impl Partial {
    /// The name of the partial file of a file. One that has no room for more gets a short name of its own.
    fn name(of: &OsStr) -> OsString {
        let mut name = OsString::from(".");
        if of.len() + ENDING.len() < LONGEST_NAME {
            name.push(of);
        } else {
            name.push(format!(
                "{:016x}",
                fnv(of.as_encoded_bytes().iter().copied())
            ));
        }
        name.push(ENDING);
        name
    }

    fn beside(path: &Path) -> Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(Error::file(path, "expected the name of a file"));
        };
        let name = path.with_file_name(Self::name(name));
        let file = Self::claim(&name).map_err(|error| Error::io(path, error))?;
        Ok(Self {
            name,
            file,
            renamed: false,
        })
    }

    /// Opens the file and waits for its lock. Meanwhile another writer may have renamed or removed it;
    /// then the name is free again.
    fn claim(name: &Path) -> io::Result<File> {
        loop {
            let mut open = OpenOptions::new();
            let file = open.write(true).create(true).truncate(false).open(name)?;
            // A file system without locks cannot tell.
            file.lock().ok();
            if is_at(&file, name)? {
                file.set_len(0)?;
                return Ok(file);
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.renamed {
            fs::remove_file(&self.name).ok();
        }
    }
}

/// Whether an open file is the one that a name leads to. Only Unix tells, and only there can an open
/// file lose its name.
#[cfg(unix)]
fn is_at(file: &File, name: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::metadata(name) {
        Ok(found) => Ok(identity(found) == identity(file.metadata()?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Syncs the folder of a file. Only Unix lets a folder be opened and synced; elsewhere the rename
/// has to be enough.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn text_is_read_as_editors_and_shells_write_it() {
        let wide = |order: fn(u16) -> [u8; 2], mark: u16| {
            let units = std::iter::once(mark).chain("π{}".encode_utf16());
            units.flat_map(order).collect::<Vec<u8>>()
        };
        for bytes in [
            "π{}".as_bytes().to_vec(),
            "\u{feff}π{}".as_bytes().to_vec(),
            wide(u16::to_le_bytes, 0xFEFF),
            wide(u16::to_be_bytes, 0xFEFF),
        ] {
            assert_eq!(text(bytes).unwrap(), "π{}");
        }
        let utf32 = b"\xff\xfe\0\0{\0\0\0".to_vec();
        let odd = b"\xff\xfe{\0}".to_vec();
        for bytes in [utf32, odd, b"{\0}\0".to_vec(), b"\xe9".to_vec()] {
            assert!(text(bytes).unwrap_err().contains("UTF-8"));
        }
        assert!(text(b"\x1f\x8b\x08".to_vec()).unwrap_err().contains("gzip"));
    }

    #[test]
    fn the_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic(&path, "a longer first text").unwrap();
        // What a kill in the middle of an earlier write leaves.
        fs::write(
            folder.path().join(".state.json.partial"),
            "torn and rather long",
        )
        .unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        let written = write_atomically(&path, |writer| {
            writer.write_all(b"second").unwrap();
            writer.flush().unwrap();
            assert_eq!(read(), "a longer first text");
            Ok(6)
        });
        assert_eq!((written.unwrap(), read().as_str()), (6, "second"));
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write_atomic(&path, "good").unwrap();
        let failed = write_atomically(&path, |writer| {
            writer.write_all(b"half of it").unwrap();
            Err::<(), _>(Error::Estimate("out of luck".into()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "out of luck");
        assert_eq!(fs::read_to_string(&path).unwrap(), "good");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn of_many_writers_at_once_each_file_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shared");
        let writers = 8;
        let text = |writer: usize| vec![b'a' + writer as u8; 100_000 + 1000 * writer];
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..30 {
                        write_atomic(path, text(writer)).unwrap();
                        let read = fs::read(path).unwrap();
                        assert_eq!(read, text(usize::from(read[0] - b'a')));
                    }
                });
            }
        });
        assert_eq!(names(folder.path()), ["shared"]);
    }

    #[test]
    fn errors_name_the_path_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/folder/x.json");
        for path in [&missing, Path::new("/"), folder.path()] {
            let error = write_atomic(path, "x").unwrap_err();
            let mut text = error.to_string();
            // The way in which a program prints the causes of an error.
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text.extend([": ".to_string(), error.to_string()]);
                cause = error.source();
            }
            let whole = path.display().to_string();
            assert!(text.starts_with(&whole), "{text}");
            let parts: Vec<&str> = text.split(": ").collect();
            let distinct: std::collections::BTreeSet<_> = parts.iter().collect();
            assert_eq!(parts.len(), distinct.len(), "{text}");
        }
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    mod unix {
        use std::io::Read;
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

        use super::*;

        #[test]
        fn links_stay_links_and_permissions_stay() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::create_dir(at("real")).unwrap();
            fs::write(at("real/data"), "old").unwrap();
            fs::set_permissions(at("real/data"), fs::Permissions::from_mode(0o640)).unwrap();
            symlink("real/data", at("first")).unwrap();
            symlink("first", at("second")).unwrap();
            write_atomic(&at("second"), "new").unwrap();
            assert_eq!(fs::read_to_string(at("real/data")).unwrap(), "new");
            let mode = fs::metadata(at("real/data")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
            assert!(at("second").is_symlink() && at("first").is_symlink());
            // A link to a file that does not exist yet.
            symlink("real/later", at("third")).unwrap();
            write_atomic(&at("third"), "made").unwrap();
            assert_eq!(fs::read_to_string(at("real/later")).unwrap(), "made");
            assert_eq!(names(&at("real")), ["data", "later"]);
            symlink("loop", at("loop")).unwrap();
            assert!(write_atomic(&at("loop"), "x").is_err());
        }

        #[test]
        fn pipes_and_devices_are_written_through() {
            let folder = tempfile::tempdir().unwrap();
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            if made.is_ok_and(|status| status.success()) {
                let reader = pipe.clone();
                let reader = std::thread::spawn(move || {
                    let mut text = String::new();
                    File::open(reader)
                        .unwrap()
                        .read_to_string(&mut text)
                        .unwrap();
                    text
                });
                write_atomic(&pipe, "through").unwrap();
                assert_eq!(reader.join().unwrap(), "through");
                let kind = fs::metadata(&pipe).unwrap().file_type();
                assert!(kind.is_fifo());
                assert_eq!(names(folder.path()), ["pipe"]);
            }
            write_atomic(Path::new("/dev/null"), "gone").unwrap();
            let kind = fs::metadata("/dev/null").unwrap().file_type();
            assert!(kind.is_char_device());
            if Path::new("/dev/full").exists() {
                let error = write_atomic(Path::new("/dev/full"), "x").unwrap_err();
                let text = error.to_string();
                assert_eq!(text.matches("No space left").count(), 1, "{text}");
                assert!(std::error::Error::source(&error).is_none());
            }
        }
    }
}
