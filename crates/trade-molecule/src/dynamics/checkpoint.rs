//! The whole of a run in one file.
//!
//! Eight bytes of magic, the length of a JSON header as `u64`, the header, then arrays of numbers,
//! everything little-endian: for each bundle positions and velocities (f32), for each temperature
//! frames (f32), energies and kinetic temperatures (f64).

use std::path::Path;

use serde::{Deserialize, Serialize};
use trade_core::{file::write_atomically, ranks::read_first};

use super::super::lanes::SideBySide;
use super::config::SimulateConfig;
use super::molecule::Molecule;
use super::run::{Run, Wide};
use super::walkers::{Walkers, WalkersState};
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"TRADE-MD";

/// What is not an array.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    config: SimulateConfig,
    version: u32,
    molecule: String,
    spacings: u64,
    /// Rows recorded at each temperature.
    rows: usize,
    /// Place in the random numbers, decimal because it has more than 64 bits, and steps.
    bundles: Vec<(String, u64)>,
    exchanges: String,
    rungs: Vec<usize>,
    rounds: u64,
    attempts: Vec<u64>,
    accepted: Vec<u64>,
    risen: Vec<bool>,
    round_trips: u64,
    sides: Vec<Option<bool>>,
    transitions: u64,
}

impl Run {
    /// Goes on from the checkpoint that [`save`](Self::save) wrote of a run with these settings, to
    /// the same end, bit for bit, as without the interruption and on any number of ranks. Rank 0 reads the file.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Io`] and [`Error::File`] where the checkpoint cannot be read,
    /// is damaged, or is of other settings or another molecule.
    pub fn resume(
        config: &SimulateConfig,
        molecule: &Molecule,
        path: impl AsRef<Path>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let mut run = Self::new(config, molecule)?;
        let bytes = read_first(path)?;
        restore(&mut run, &bytes).map_err(|reason| Error::file(path, reason))?;
        Ok(run)
    }

    /// Writes everything that is needed to go on.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written; then an older one is as before.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(self, path.as_ref())
    }
}

fn write(run: &Run, path: &Path) -> Result<()> {
    let states: Vec<WalkersState> = run.bundles.iter().map(Walkers::state).collect();
    let (tempering, record) = (&run.tempering, &run.record);
    let header = Header {
        config: run.config.clone(),
        version: run.config.version(),
        molecule: run.fingerprint.clone(),
        spacings: run.spacings,
        rows: record.energies.first().map_or(0, Vec::len),
        bundles: states
            .iter()
            .map(|s| (s.noise.to_string(), s.steps))
            .collect(),
        exchanges: tempering.stream.position().to_string(),
        rungs: tempering.rungs.clone(),
        rounds: tempering.rounds,
        attempts: tempering.attempts.clone(),
        accepted: tempering.accepted.clone(),
        risen: tempering.risen.clone(),
        round_trips: tempering.round_trips,
        sides: record.sides.clone(),
        transitions: record.transitions,
    };
    let header = serde_json::to_vec(&header).map_err(|e| Error::file(path, e.to_string()))?;
    write_atomically(path, |writer| {
        let mut put = |bytes: &[u8]| {
            writer
                .write_all(bytes)
                .map_err(|e| trade_core::Error::io(path, e))
        };
        put(MAGIC)?;
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        for state in &states {
            for x in state.positions.iter().chain(&state.velocities) {
                put(&(*x as f32).to_le_bytes())?;
            }
        }
        for rung in 0..record.frames.len() {
            for x in &record.frames[rung] {
                put(&x.to_le_bytes())?;
            }
            for x in record.energies[rung].iter().chain(&record.kinetic[rung]) {
                put(&x.to_le_bytes())?;
            }
        }
        Ok(())
    })
    .map_err(|e| Error::file(path, e.to_string()))
}

/// Brings a fresh run of the same settings to where the bytes left off.
fn restore(run: &mut Run, bytes: &[u8]) -> Result<(), String> {
    let mut rest = bytes;
    if take(&mut rest, MAGIC.len())? != MAGIC {
        return Err("is not a checkpoint of a simulation".into());
    }
    let length = take(&mut rest, 8)?
        .first_chunk()
        .map(|l| u64::from_le_bytes(*l));
    let header = take(&mut rest, length.unwrap_or(0) as usize)?;
    let header: Header = serde_json::from_slice(header).map_err(|e| e.to_string())?;
    if header.config != run.config || header.version != run.config.version() {
        return Err("is a checkpoint of other settings; start anew or restore the settings".into());
    }
    if header.molecule != run.fingerprint {
        return Err("is a checkpoint of another molecule".into());
    }
    let (walkers, rungs) = (run.tempering.rungs.len(), run.temperatures.len());
    let lengths = [
        (header.bundles.len(), run.bundles.len()),
        (header.rungs.len(), walkers),
        (header.risen.len(), walkers),
        (header.sides.len(), walkers),
        (header.attempts.len(), rungs - 1),
        (header.accepted.len(), rungs - 1),
    ];
    let mut sorted = header.rungs.clone();
    sorted.sort_unstable();
    let mut expected = run.tempering.rungs.clone();
    expected.sort_unstable();
    if lengths.iter().any(|(found, expected)| found != expected) || sorted != expected {
        return Err("the header contradicts itself".into());
    }
    let position = |text: &str| {
        text.parse::<u128>()
            .map_err(|_| format!("`{text}` is no place in the random numbers"))
    };

    let count = 3 * run.dynamics.atoms() * Wide::WIDTH;
    for (bundle, (noise, steps)) in header.bundles.iter().enumerate() {
        let mut wide = || numbers(&mut rest, count, |x| f64::from(f32::from_le_bytes(x)));
        let state = WalkersState {
            positions: wide()?,
            velocities: wide()?,
            noise: position(noise)?,
            steps: *steps,
        };
        let lanes = bundle * Wide::WIDTH..(bundle + 1) * Wide::WIDTH;
        let at: Vec<f64> = lanes
            .map(|w| run.temperatures[header.rungs.get(w).copied().unwrap_or(0)])
            .collect();
        run.bundles[bundle].restore(&run.dynamics, &state, &at);
    }
    let row = 3 * run.dynamics.atoms();
    for rung in 0..rungs {
        let count = header.rows.checked_mul(row).ok_or("too many frames")?;
        run.record.frames[rung] = numbers(&mut rest, count, f32::from_le_bytes)?;
        run.record.energies[rung] = numbers(&mut rest, header.rows, f64::from_le_bytes)?;
        run.record.kinetic[rung] = numbers(&mut rest, header.rows, f64::from_le_bytes)?;
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes are left over at the end", rest.len()));
    }

    let tempering = &mut run.tempering;
    tempering.stream.set_position(position(&header.exchanges)?);
    tempering.rungs = header.rungs;
    tempering.rounds = header.rounds;
    tempering.attempts = header.attempts;
    tempering.accepted = header.accepted;
    tempering.risen = header.risen;
    tempering.round_trips = header.round_trips;
    run.record.sides = header.sides;
    run.record.transitions = header.transitions;
    run.spacings = header.spacings;
    Ok(())
}

/// Takes bytes off the front.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, after) = rest
        .split_at_checked(count)
        .ok_or("the file is cut short")?;
    *rest = after;
    Ok(taken)
}

/// Takes numbers of `N` bytes off the front.
fn numbers<const N: usize, T>(
    rest: &mut &[u8],
    count: usize,
    read: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, String> {
    let size = count.checked_mul(N).ok_or("the file is cut short")?;
    let chunks = take(rest, size)?.as_chunks::<N>().0;
    Ok(chunks.iter().map(|bytes| read(*bytes)).collect())
}
