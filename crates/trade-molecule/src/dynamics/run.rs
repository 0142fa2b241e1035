//! A simulation under way.

use std::ops::Range;

use rayon::prelude::*;
use trade_core::{
    random::Stream,
    ranks::{self, share_of},
};

use super::super::lanes::{Lanes, SideBySide};
use super::config::{Schedule, SimulateConfig};
use super::langevin::Langevin;
use super::molecule::Molecule;
use super::record::Record;
use super::start::relax;
use super::tempering::Tempering;
use super::walkers::{Walkers, WalkersState};
use crate::{Error, Result};

/// The relative error of a fixed distance from which on the constraints do not hold.
const HELD: f64 = 1e-4;

/// What the walkers are computed in.
pub(super) type Wide = Lanes<f32, 16>;

/// How far a [`Run`] has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Time that each walker has moved, equilibration included, ps.
    pub done_ps: f64,
    /// Time that it is to move, ps.
    pub total_ps: f64,
    /// Time that all walkers at all temperatures have moved together, ns.
    pub walkers_ns: f64,
    finished: bool,
}

impl Progress {
    /// Whether all is recorded.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
}

/// A simulation under way: made by [`new`](Self::new) or [`resume`](Self::resume), moved on by
/// [`advance`](Self::advance), turned into a [`Simulation`](super::Simulation) by
/// [`finish`](Self::finish).
///
/// Where the calling thread has [`ranks`], all of them call the same methods, and each moves some of the bundles of
/// walkers, which have random streams of their own. Between the calls every rank knows all walkers.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) config: SimulateConfig,
    pub(super) fingerprint: String,
    pub(super) dynamics: Langevin,
    schedule: Schedule,
    pub(super) temperatures: Vec<f64>,
    /// Walker `w` is lane `w mod 16` of bundle `w/16`; lanes left over move unwatched.
    pub(super) bundles: Vec<Walkers<Wide>>,
    pub(super) tempering: Tempering,
    pub(super) record: Record,
    /// Frame spacings done, equilibration included.
    pub(super) spacings: u64,
}

impl Run {
    /// All walkers at the molecule's start, relaxed.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that make no sense and for a start with overlapping atoms.
    pub fn new(config: &SimulateConfig, molecule: &Molecule) -> Result<Self> {
        let schedule = config.schedule(molecule.atoms())?;
        let dynamics = Langevin::new(molecule.system(), 1e-3 * config.step_fs, config.friction)?;
        let start = relax(&dynamics, molecule.start())?;
        let temperatures = config.temperatures();
        let seed = config.hash(molecule);
        let tempering = Tempering::new(&temperatures, config.walkers, Stream::new(seed, 0));
        let walkers = tempering.rungs.len();
        let bundles = (0..walkers.div_ceil(Wide::WIDTH))
            .into_par_iter()
            .map(|bundle| {
                let lanes = bundle * Wide::WIDTH..(bundle + 1) * Wide::WIDTH;
                let at: Vec<f64> = lanes
                    .map(|w| temperatures[tempering.rungs.get(w).copied().unwrap_or(0)])
                    .collect();
                Walkers::new(&dynamics, &start, &at, Stream::new(seed, 1 + bundle as u64))
            })
            .collect();
        Ok(Self {
            config: config.clone(),
            fingerprint: molecule.fingerprint(),
            dynamics,
            schedule,
            record: Record::new(config.replicas, config.walkers),
            temperatures,
            bundles,
            tempering,
            spacings: 0,
        })
    }

    /// How far the simulation has come.
    pub fn progress(&self) -> Progress {
        let total = self.schedule.equilibration + self.schedule.frames;
        let done_ps = self.spacings as f64 * self.config.spacing_ps;
        Progress {
            done_ps,
            total_ps: total as f64 * self.config.spacing_ps,
            walkers_ns: 1e-3 * done_ps * self.tempering.rungs.len() as f64,
            finished: self.spacings >= total,
        }
    }

    /// Moves all walkers by the spacing of frames, with the exchanges that fall into it, and records
    /// a frame of each once they are equilibrated.
    ///
    /// # Errors
    /// [`Error::Setting`] if a walker has flown apart, or its constraints do not hold, which a shorter time step
    /// prevents.
    pub fn advance(&mut self) -> Result<()> {
        if self.spacings == self.schedule.equilibration {
            self.tempering.reset_counts();
        }
        for _ in 0..self.schedule.rounds {
            let (dynamics, steps) = (&self.dynamics, self.schedule.steps);
            let own = own(self.bundles.len());
            self.bundles[own]
                .par_iter_mut()
                .for_each(|walkers| walkers.advance(dynamics, steps));
            if self.temperatures.len() > 1 {
                self.exchange();
            }
        }
        self.spacings += 1;
        self.meet()?;
        if let Some(walker) = self.energies().iter().position(|e| !e.is_finite()) {
            let reason = format!(
                "walker {walker} flew apart within {} ps; take a shorter step than {} fs",
                self.progress().done_ps,
                self.config.step_fs
            );
            return Err(Error::setting("step_fs", reason));
        }
        let worst = self.bundles.iter().map(|b| b.worst(&self.dynamics));
        let worst = worst.flatten().max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some(([i, j], error)) = worst.filter(|(_, error)| *error > HELD) {
            let reason = format!(
                "the fixed distance of atoms {i} and {j} is off by {:.2} % after {} ps; take a shorter step than {} \
                 fs, or leave out constraints that others imply or contradict",
                100.0 * error,
                self.progress().done_ps,
                self.config.step_fs
            );
            return Err(Error::setting("step_fs", reason));
        }
        if self.spacings > self.schedule.equilibration {
            self.write_down();
        }
        Ok(())
    }

    /// The potential energies of the walkers of all ranks, kJ/mol.
    fn energies(&self) -> Vec<f64> {
        let walkers = self.tempering.rungs.len();
        let own = self.bundles[own(self.bundles.len())].iter();
        let bytes: Vec<u8> = own
            .flat_map(|b| b.energy().0)
            .flat_map(f32::to_le_bytes)
            .collect();
        let all = ranks::current().gather(&bytes).concat();
        let lanes = all.as_chunks::<4>().0.iter().take(walkers);
        lanes
            .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
            .collect()
    }

    /// Tells every rank where the walkers of the others are.
    fn meet(&mut self) -> Result<()> {
        let ranks = ranks::current();
        if ranks.size() == 1 {
            return Ok(());
        }
        let count = self.bundles.len();
        let states = self.bundles[own(count)].iter().map(|b| b.state().write());
        let all = ranks.gather(&states.collect::<Vec<_>>().concat());
        let size = WalkersState::bytes(3 * self.dynamics.atoms() * Wide::WIDTH);
        for (rank, bytes) in all.iter().enumerate() {
            let of_rank = share_of(rank, ranks.size(), count);
            if bytes.len() != size * of_rank.len() {
                return Err(Error::Ranks(format!("rank {rank} sent half a walker")));
            }
            if rank == ranks.rank() {
                continue;
            }
            for (bundle, bytes) in self.bundles[of_rank].iter_mut().zip(bytes.chunks(size)) {
                let at: Vec<f64> = (0..Wide::WIDTH).map(|l| bundle.temperature(l)).collect();
                bundle.restore(&self.dynamics, &WalkersState::read(bytes), &at);
            }
        }
        Ok(())
    }

    /// Attempts exchanges between the rungs, and tells the walkers their temperatures.
    fn exchange(&mut self) {
        let energies = self.energies();
        for walker in self.tempering.exchange(&energies) {
            let temperature = self.temperatures[self.tempering.rungs[walker]];
            let bundle = &mut self.bundles[walker / Wide::WIDTH];
            bundle.set_temperature(&self.dynamics, walker % Wide::WIDTH, temperature);
        }
    }

    /// Records a frame of every walker.
    fn write_down(&mut self) {
        let kinetic: Vec<f64> = self
            .bundles
            .iter()
            .flat_map(|walkers| walkers.kinetic_temperatures(&self.dynamics))
            .collect();
        let energies = self.energies();
        let mut frame = vec![0.0_f32; 3 * self.dynamics.atoms()];
        for ladder in 0..self.config.walkers {
            for rung in 0..self.temperatures.len() {
                let walker = self.tempering.walker(ladder, rung);
                let positions = self.bundles[walker / Wide::WIDTH].positions();
                for (to, from) in frame.iter_mut().zip(positions.as_flattened()) {
                    *to = from.0[walker % Wide::WIDTH];
                }
                self.record.watch(&self.config, walker, &frame);
                self.record.frames[rung].extend_from_slice(&frame);
                self.record.energies[rung].push(energies[walker]);
                self.record.kinetic[rung].push(kinetic[walker]);
            }
        }
    }
}

/// The bundles that this rank moves.
fn own(bundles: usize) -> Range<usize> {
    let ranks = ranks::current();
    share_of(ranks.rank(), ranks.size(), bundles)
}
