//! `metrics.jsonl`: one JSON object a line, for every recorded step and every note.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Observer, StepReport};
use crate::error::{Error, Result};

/// Writes [`StepReport`]s as lines of JSON; each line is handed to the system at once, so that a
/// kill loses none.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    writer: BufWriter<File>,
    every: usize,
    step: usize,
}

/// A line that holds a note, with the step it was made at.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    step: usize,
    note: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Note(Note),
    Step(StepReport),
}

impl Line {
    fn step(&self) -> usize {
        match self {
            Self::Note(note) => note.step,
            Self::Step(report) => report.step,
        }
    }
}

impl JsonLines {
    /// Start an empty file at `path`; record every `every`-th step and the last one.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path, every: usize) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io(path, e))?;
        Ok(Self::over(path, file, every, 0))
    }

    /// Continue a file from a checkpoint whose next step is `step`: lines of that step and later
    /// ones are cut off, and so is a last line that a kill left torn. A file that is missing is
    /// created.
    ///
    /// # Errors
    /// If the file cannot be read or written, or a line before the last is not one of ours.
    pub fn resume(path: &Path, step: usize, every: usize) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| Error::io(path, e))?;
        let mut keep = 0;
        for_each_line(path, &file, |line, end| {
            let before = line.step() < step;
            if before {
                keep = end;
            }
            before
        })?;
        file.set_len(keep).map_err(|e| Error::io(path, e))?;
        file.seek(SeekFrom::Start(keep))
            .map_err(|e| Error::io(path, e))?;
        Ok(Self::over(path, file, every, step))
    }

    fn over(path: &Path, file: File, every: usize, step: usize) -> Self {
        let writer = BufWriter::new(file);
        Self {
            path: path.to_path_buf(),
            writer,
            every: every.max(1),
            step,
        }
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        serde_json::to_writer(&mut self.writer, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.writer.write_all(b"\n"))
            .and_then(|()| self.writer.flush())
            .map_err(|e| Error::io(&self.path, e))
    }
}

impl Observer for JsonLines {
    fn step(&mut self, report: &StepReport) -> Result<()> {
        self.step = report.step;
        if report.step.is_multiple_of(self.every) || report.step + 1 == report.total {
            self.write(&Line::Step(report.clone()))?;
        }
        Ok(())
    }

    fn note(&mut self, message: &str) -> Result<()> {
        self.write(&Line::Note(Note {
            step: self.step,
            note: message.to_owned(),
        }))
    }

    fn finish(&mut self) -> Result<()> {
        self.writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all())
            .map_err(|e| Error::io(&self.path, e))
    }
}

/// The recorded steps of a `metrics.jsonl`, in order, without notes.
///
/// # Errors
/// If the file cannot be read, or a line before the last is not one of ours.
pub fn read_metrics(path: &Path) -> Result<Vec<StepReport>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reports = Vec::new();
    for_each_line(path, &file, |line, _| {
        if let Line::Step(report) = line {
            reports.push(report);
        }
        true
    })?;
    Ok(reports)
}

/// Hand each line and the offset of its end to `visit` until that says false. A last line without
/// its line break is torn and not visited.
fn for_each_line(path: &Path, file: &File, mut visit: impl FnMut(Line, u64) -> bool) -> Result<()> {
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    let mut end = 0;
    for number in 1_usize.. {
        bytes.clear();
        let read = reader
            .read_until(b'\n', &mut bytes)
            .map_err(|e| Error::io(path, e))?;
        if bytes.last() != Some(&b'\n') {
            break;
        }
        end += read as u64;
        let line = serde_json::from_slice(&bytes).map_err(|_| {
            Error::file(
                path,
                format!("line {number} is neither a step report nor a note"),
            )
        })?;
        if !visit(line, end) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;
    use std::fs;

    fn steps(path: &Path) -> Vec<usize> {
        read_metrics(path).unwrap().iter().map(|r| r.step).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = JsonLines::create(&path, 1).unwrap();
        for step in 0..3 {
            lines.step(&report(step, 0.1 * step as f64)).unwrap();
            // Readable while training still runs.
            assert_eq!(steps(&path).len(), step + 1);
        }
        lines.note("a \"checkpoint\"\nwas written").unwrap();
        lines.finish().unwrap();
        let read = read_metrics(&path).unwrap();
        assert_eq!(
            read,
            (0..3)
                .map(|s| report(s, 0.1 * s as f64))
                .collect::<Vec<_>>()
        );
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
    }

    #[test]
    fn resuming_cuts_what_will_be_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = JsonLines::create(&path, 1).unwrap();
        for step in 0..5 {
            lines.step(&report(step, 1.0)).unwrap();
            lines.note("done").unwrap();
        }
        drop(lines);
        // A kill in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"step":5,"tot"#).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 3, 4]);

        let mut lines = JsonLines::resume(&path, 3, 1).unwrap();
        assert_eq!(steps(&path), [0, 1, 2]);
        lines.step(&report(3, 2.0)).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 3]);
        assert_eq!(read_metrics(&path).unwrap()[3].loss, 2.0);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 7);
        drop(lines);

        // Later than all there is: only the torn end goes.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{").unwrap();
        let mut lines = JsonLines::resume(&path, 50, 1).unwrap();
        lines.step(&report(50, 1.0)).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 3, 50]);
    }

    #[test]
    fn steps_may_be_thinned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = JsonLines::create(&path, 40).unwrap();
        for step in 0..100 {
            lines.step(&report(step, 1.0)).unwrap();
        }
        assert_eq!(steps(&path), [0, 40, 80, 99]);
    }

    #[test]
    fn a_foreign_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "step,loss\n1,2\n").unwrap();
        let error = JsonLines::resume(&path, 1, 1).unwrap_err().to_string();
        assert!(
            error.contains("metrics.jsonl") && error.contains("line 1"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "step,loss\n1,2\n");
        let missing = folder.path().join("new.jsonl");
        JsonLines::resume(&missing, 7, 1).unwrap();
        assert!(steps(&missing).is_empty());
    }
}
