//! Damaged files end in a sentence, never in a panic.

use trade_core::random::Stream;

use super::super::{System, Topology, write_dcd};
use super::{Checked, PDB, SYSTEM};
use crate::dcd;

/// How many damaged files of each kind are read.
const FILES: usize = 3000;

/// What is put into files beside random bytes.
const WORDS: [&[u8]; 12] = [
    b"",
    b"-1",
    b"NaN",
    b"1e400",
    b"99999999999999999999",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\0",
    b"\"",
    b"<",
    b"\n",
    b"\xc3\xa9",
    b"ATOM  ",
];

/// The bytes after a few random changes: a byte, a word instead of some bytes or of a value, a part
/// left out, a part twice, or the end cut off.
fn damaged(bytes: &[u8], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let changes = 1 + below(4, stream);
    for _ in 0..changes {
        let at = below(bytes.len() + 1, stream);
        let end = (at + below(40, stream)).min(bytes.len());
        match below(8, stream) {
            0 if at < bytes.len() => bytes[at] = below(256, stream) as u8,
            1 => {
                let word = WORDS[below(WORDS.len(), stream)];
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word.iter().copied());
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let word = WORDS[below(WORDS.len(), stream)];
                bytes.splice(at..at, word.iter().copied());
            }
            5 => bytes.truncate(at.max(bytes.len() / 2)),
            _ => replace_value(&mut bytes, at, WORDS[below(WORDS.len(), stream)]),
        }
    }
    bytes
}

/// Puts a word between the next two quotation marks after a place, where an attribute of XML has its
/// value.
fn replace_value(bytes: &mut Vec<u8>, at: usize, word: &[u8]) {
    let next = |from: usize| Some(from + bytes[from..].iter().position(|b| *b == b'"')?);
    let Some(start) = next(at) else { return };
    if let Some(end) = next(start + 1) {
        bytes.splice(start + 1..end, word.iter().copied());
    }
}

fn below(n: usize, stream: &mut Stream) -> usize {
    (stream.uniform_one() * n as f64) as usize % n
}

#[test]
fn damaged_pdb_files_do_not_panic() {
    let mut stream = Stream::new(1, 0);
    let mut read = 0;
    for _ in 0..FILES {
        let bytes = damaged(PDB.as_bytes(), &mut stream);
        if let Ok(topology) = Topology::parse(&bytes, "x.pdb") {
            read += 1;
            // Nothing that is asked of what was read panics either.
            let _ = (topology.phi(), topology.psi(), topology.omega());
            let _ = topology.describe(0);
        }
    }
    assert!((FILES / 20..FILES).contains(&read), "{read}");
}

#[test]
fn damaged_systems_do_not_panic() -> Checked {
    let mut stream = Stream::new(2, 0);
    let mut read = 0;
    for _ in 0..FILES {
        let bytes = damaged(SYSTEM.as_bytes(), &mut stream);
        let text = String::from_utf8_lossy(&bytes);
        match System::parse(&text, "x.xml") {
            Ok(system) => {
                read += 1;
                let _ = crate::PotentialEnergy::new(&system);
                let mut topology = Topology::parse(PDB.as_bytes(), "x.pdb")?;
                topology.atoms.truncate(system.atoms());
                if topology.atoms.len() == system.atoms() {
                    let _ = crate::elements::assign(&system, &mut topology);
                    let skeleton = crate::skeleton::Skeleton::new(&system, &topology);
                    let _ = skeleton.map(|s| s.check(&topology.positions(), &topology, "nm"));
                }
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
    assert!((FILES / 50..FILES).contains(&read), "{read}");
    // Deep nesting and many entries.
    let deep = "<System>".repeat(100_000);
    assert!(System::parse(&deep, "x.xml").is_err());
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><System>&b;</System>";
    assert!(System::parse(bomb, "x.xml").is_err());
    Ok(())
}

#[test]
fn damaged_trajectories_do_not_panic() -> Checked {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.dcd");
    let frames: Vec<f32> = (0..5 * 4 * 3).map(|k| 0.01 * k as f32).collect();
    write_dcd(&path, 4, &frames, 1.0)?;
    let bytes = std::fs::read(&path)?;
    let mut stream = Stream::new(3, 0);
    let mut read = 0;
    for _ in 0..FILES {
        read += usize::from(dcd::parse(&damaged(&bytes, &mut stream)).is_ok());
    }
    assert!((FILES / 200..FILES).contains(&read), "{read}");
    // A header that promises more atoms than memory holds.
    let mut huge = bytes;
    let at = 84 + 8 + 84 + 8 + 4;
    huge[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(dcd::parse(&huge).is_err());
    Ok(())
}
