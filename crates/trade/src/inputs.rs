//! The files that a run was started from: where they are, and whether they are still the same.
//!
//! `config.json` names them relative to the run's folder, so that a project can be moved. Beside it
//! `inputs.json` says what each file held. Files of the target are copied into the run too, because the
//! run does not open without them.

use std::{
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use trade_core::file::write_atomic;
use trade_targets::expression::split_key;
use xxhash_rust::xxh3::Xxh3;

use crate::{
    config::{NamesFiles, Use},
    error::{Context, Result, bail},
    run::{RunFolder, write_file},
};

/// The largest file that is copied into a run, in bytes.
const COPIED: u64 = 64 << 20;

/// What a file held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    bytes: u64,
    /// The 128 bits of XXH3, in hexadecimal digits.
    xxh3: String,
}

impl Content {
    /// Reads a file through; `None` for a pipe or a device, which can be read once only.
    fn of(path: &Path) -> Result<Option<Self>> {
        let failed = || path.display().to_string();
        if !fs::metadata(path).with_context(failed)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path).with_context(failed)?;
        let (mut hash, mut bytes) = (Xxh3::new(), 0);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.read(&mut buffer).with_context(failed)?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            bytes += n as u64;
        }
        let xxh3 = format!("{:032x}", hash.digest128());
        Ok(Some(Self { bytes, xxh3 }))
    }

    /// Whether a file holds this; it is read only where its length agrees.
    fn is_in(&self, path: &Path) -> Result<bool> {
        let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
        Ok(metadata.len() == self.bytes && Self::of(path)?.as_ref() == Some(self))
    }
}

/// A file that a run was started from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    needed_for: Use,
    /// Where the file was when the run was started, if that is Unicode.
    was_at: Option<String>,
    content: Content,
    /// The copy, relative to the run.
    copy: Option<String>,
}

impl Input {
    /// Where the file is: the first of the places that holds it as it was. If an earlier place holds
    /// something else, a sentence says so, which is the error where no place is left.
    fn find(&self, folder: &RunFolder, place: &Path) -> Result<(PathBuf, Option<String>)> {
        let was_at = self.was_at.as_ref().map(PathBuf::from);
        let copy = self.copy.as_ref().map(|copy| folder.path().join(copy));
        let places = [Some(place), was_at.as_deref(), copy.as_deref()];
        let run = folder.path().display();
        let next = "put the earlier file back, or train anew in another folder";
        let mut changed = None;
        for place in places.into_iter().flatten().filter(|place| place.is_file()) {
            if self.content.is_in(place)? {
                let used = |what| format!("{what}; {} is used here", place.display());
                return Ok((canonical(place)?, changed.map(used)));
            }
            changed.get_or_insert(self.change(place, folder));
        }
        match changed {
            Some(what) => bail!("{what}; {next}"),
            None => bail!(
                "{}, which {run} was started from, is missing; {next}",
                place.display()
            ),
        }
    }

    /// In what a file differs.
    fn change(&self, place: &Path, folder: &RunFolder) -> String {
        let now = fs::metadata(place).map_or(0, |metadata| metadata.len());
        let before = self.content.bytes;
        let what = if before == now {
            format!("its {now} bytes are others now")
        } else {
            format!("it had {before} bytes and has {now} now")
        };
        let (place, run) = (place.display(), folder.path().display());
        format!("{place} has changed since {run} was started from it: {what}")
    }

    /// This file, if nothing but the place itself is looked at.
    fn alone(&self) -> Self {
        Self {
            was_at: None,
            copy: None,
            ..self.clone()
        }
    }
}

/// What was found of a file.
pub(crate) struct Finding {
    pub(crate) needed_for: Use,
    /// The file as it was is nowhere.
    pub(crate) is_lost: bool,
    /// What is missing or has changed, and what to do or what was done.
    pub(crate) sentence: String,
}

/// The files of a run in the order of [`NamesFiles::files`]; `None` for what is no regular file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    files: Vec<Option<Input>>,
}

impl Inputs {
    /// Makes the paths of a configuration relative to a run, and writes down there what the files hold.
    /// Small files of the target are copied.
    ///
    /// # Errors
    /// If a file cannot be read, or the run not be written.
    pub(crate) fn keep(folder: &RunFolder, config: &mut impl NamesFiles) -> Result<()> {
        let home = canonical(folder.path())?;
        let mut inputs: Vec<Option<Input>> = Vec::new();
        for (needed_for, path) in config.files() {
            let (file, key) = split_key(path);
            // A file that cannot be read is named by its reader.
            let file = file.canonicalize().unwrap_or(file);
            let content = if file.is_file() {
                Content::of(&file)?
            } else {
                None
            };
            let Some(content) = content else {
                inputs.push(None);
                continue;
            };
            *path = with_key(&relative(&home, &file), key);
            let same = inputs
                .iter()
                .flatten()
                .find(|input| input.content == content);
            let copy = match same.and_then(|input| input.copy.clone()) {
                Some(copy) => Some(copy),
                None if needed_for == Use::Target && content.bytes <= COPIED => {
                    Some(copied(&home, &file, inputs.len())?)
                }
                None => None,
            };
            let was_at = file.to_str().map(str::to_owned);
            inputs.push(Some(Input {
                needed_for,
                was_at,
                content,
                copy,
            }));
        }
        if inputs.iter().all(Option::is_none) {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&Self { files: inputs })?;
        write_file(&folder.inputs(), &(text + "\n"))
    }

    /// What a run says of its files; nothing where it was started by an earlier version, or from none.
    ///
    /// # Errors
    /// If `inputs.json` is damaged.
    pub(crate) fn read(folder: &RunFolder) -> Result<Self> {
        let path = folder.inputs();
        if !path.is_file() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let place = path.display();
        serde_json::from_str(&text).with_context(|| {
            format!("{place} is damaged; remove it to open the run without a check of its files")
        })
    }

    /// Whether nothing is known of any file.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Sets the paths of a run's configuration to where the files are now: where the configuration has
    /// them, or where they were when the run was started, or the copy in the run. The path of a file that
    /// is lost stays.
    pub(crate) fn locate(&self, folder: &RunFolder, config: &mut impl NamesFiles) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((needed_for, path), input) in config.files().into_iter().zip(&self.files) {
            let (file, key) = split_key(path);
            let Some(input) = input else { continue };
            let (is_lost, sentence) = match input.find(folder, &file) {
                Ok((found, said)) => {
                    *path = with_key(&found, key);
                    (false, said)
                }
                Err(error) => (true, Some(error.to_string())),
            };
            findings.extend(sentence.map(|sentence| Finding {
                needed_for,
                is_lost,
                sentence,
            }));
        }
        findings
    }

    /// Checks that the files of another configuration of the same run hold what those of the run did, so
    /// that training may go on; where one is missing, the run's own is taken.
    ///
    /// # Errors
    /// If a file is missing everywhere, or has changed, in one sentence.
    pub(crate) fn admit(&self, folder: &RunFolder, config: &mut impl NamesFiles) -> Result<()> {
        for ((_, path), input) in config.files().into_iter().zip(&self.files) {
            let (file, key) = split_key(path);
            let Some(input) = input else { continue };
            if file.is_file() && !input.content.is_in(&file)? {
                // The earlier file may be elsewhere, but this one is meant.
                input.alone().find(folder, &file)?;
            }
            *path = with_key(&input.find(folder, &file)?.0, key);
        }
        Ok(())
    }
}

/// A configuration with the names of its files alone, to compare what else it says.
pub(crate) fn without_folders<C: NamesFiles>(mut config: C) -> C {
    for (_, path) in config.files() {
        let (file, key) = split_key(path);
        *path = with_key(Path::new(file.file_name().unwrap_or_default()), key);
    }
    config
}

fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| path.display().to_string())
}

/// Puts the name of an array back behind its file.
fn with_key(file: &Path, key: Option<String>) -> PathBuf {
    let Some(key) = key else {
        return file.to_owned();
    };
    let mut path = file.as_os_str().to_owned();
    path.push(":");
    path.push(key);
    path.into()
}

/// The way from a folder to a file, both absolute and without links. Where they share nothing but the
/// root, the file's own path is clearer and is kept.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let shared = folder.components().zip(file.components());
    let shared: Vec<Component> = shared.take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    if !shared
        .iter()
        .any(|part| matches!(part, Component::Normal(_)))
    {
        return file.to_owned();
    }
    let up = folder.components().skip(shared.len());
    let down = file.components().skip(shared.len());
    up.map(|_| Component::ParentDir).chain(down).collect()
}

/// Copies a file into a run under its own name; gives the copy's path there.
fn copied(home: &Path, file: &Path, number: usize) -> Result<String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let copy = format!("inputs/{number}/{name}");
    let place = home.join(&copy);
    if place == file {
        return Ok(copy);
    }
    let parent = place.parent().unwrap_or(home);
    fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    write_atomic(&place, bytes)?;
    Ok(copy)
}
