//! Frames of a molecule as states, and states as positions.

use rayon::prelude::*;
use trade_core::random::Stream;
use trade_data::Array;

use super::dynamics::{self, SimulateConfig};
use super::target::Molecule;
use crate::{Error, Result};

impl Molecule {
    /// Scaled internal coordinates of frames, row-major `[n, dim]`, from positions in nm,
    /// row-major `[n, atoms, 3]`. Position, orientation and constrained bonds are dropped.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers do not make whole frames.
    pub fn states(&self, frames: &[f64]) -> Result<Vec<f64>> {
        let (points, rest) = frames.as_chunks::<3>();
        let atoms = self.z_matrix().atoms();
        if !rest.is_empty() || !points.len().is_multiple_of(atoms) {
            let expected = format!("[n, {atoms}, 3]");
            let found = format!("{} numbers", frames.len());
            return Err(Error::shape("frames", expected, found));
        }
        let states: Vec<Vec<f64>> = points
            .par_chunks(atoms)
            .map(|frame| {
                self.scaling()
                    .to_latent(&self.z_matrix().to_internal(frame)?)
            })
            .collect::<Result<_>>()?;
        Ok(states.concat())
    }

    /// The states of an array: the array itself if it is `[n, dim]`, else those of its frames,
    /// `[n, atoms, 3]` in nm, which are made whole over the periodic box first.
    ///
    /// # Errors
    /// [`Error::Shape`] where the array has neither shape; [`Error::Setting`] where frames cannot be
    /// those of this molecule, see [`checked_states`](Self::checked_states).
    pub fn states_of(&self, array: &Array) -> Result<Vec<f64>> {
        self.checked_states(array).map(|(states, _)| states)
    }

    /// As [`states_of`](Self::states_of), with warnings, a sentence each: frames that were broken
    /// over the periodic box, constrained bonds of another length than the System's, and numbers
    /// beyond the reach of the coordinates.
    ///
    /// # Errors
    /// [`Error::Shape`] where the array has neither shape; [`Error::Setting`] where bonds of the
    /// frames are not as long as bonds are: frames in ångström, with the atoms in another order, or
    /// broken over a box that is not known; and where a coordinate is not finite.
    pub fn checked_states(&self, array: &Array) -> Result<(Vec<f64>, Vec<String>)> {
        let atoms = self.z_matrix().atoms();
        let (states, mut warnings) = match *array.shape() {
            [_, found, 3] if found == atoms => {
                let frames = array.data().as_chunks::<3>().0;
                let (whole, warnings) = self
                    .skeleton()
                    .check_frames(frames, self.topology())
                    .map_err(|reason| Error::setting("data", reason))?;
                (self.states(whole.as_flattened())?, warnings)
            }
            [_, dim] if dim == self.dimension() => (array.data().to_vec(), Vec::new()),
            _ => {
                return Err(Error::shape(
                    "states",
                    format!("[n, {}] or [n, {atoms}, 3]", self.dimension()),
                    format!("{:?}", array.shape()),
                ));
            }
        };
        warnings.extend(self.beyond(&states));
        Ok((states, warnings))
    }

    /// A warning where bonds or angles lie outside the unit cube, which is all that a flow can reach.
    fn beyond(&self, states: &[f64]) -> Option<String> {
        let [bonds, angles, _] = self.scaling().free();
        let rows = || states.chunks_exact(self.dimension()).enumerate();
        let outside = |x: &f64| !(0.0..=1.0).contains(x);
        let count = |entry: usize| rows().filter(|(_, row)| outside(&row[entry])).count();
        let (entry, worst) = (0..bonds + angles)
            .map(|entry| (entry, count(entry)))
            .max_by_key(|(_, count)| *count)?;
        let (frame, row) = rows().find(|(_, row)| outside(&row[entry]))?;
        let unit = self.scaling().units().concat()[entry];
        let ((what, atoms), centre, unit_name) = if entry < bonds {
            let pair = self.z_matrix().bond_pairs()[self.scaling().free_bonds()[entry]];
            (
                ("bond", self.topology().list(&pair)),
                self.scaling().bond_centres()[entry],
                "nm",
            )
        } else {
            let triple = self.z_matrix().angle_triples()[entry - bonds];
            let centre = self.scaling().angle_centres()[entry - bonds];
            (("angle", self.topology().list(&triple)), centre, "rad")
        };
        Some(format!(
            "the {what} of {atoms} is {:.4} {unit_name} in frame {frame}, beyond the {:.4} to {:.4} {unit_name} that \
             the coordinates reach about the reference, as in {worst} of {} frames; set `reference` \
             to a structure nearer to the middle of the data",
            centre + (row[entry] - 0.5) * unit,
            centre - 0.5 * unit,
            centre + 0.5 * unit,
            rows().len()
        ))
    }

    /// `n` states of plain dynamics at the temperature `t`, relative to `T_ref`, from the PDB file's
    /// structure: 16 walkers, frames 1 ps apart after 200 ps, those with a cis peptide bond left
    /// out. Each time step counts as an energy. Neighbours in time are correlated, and barriers of many `k_B T` are not crossed; what is
    /// to be a reference at a low temperature needs replica exchange.
    ///
    /// # Errors
    /// [`Error::Condition`] for a temperature that is not positive; where the simulation fails, or
    /// loses more than every other frame to cis peptides.
    pub fn simulate(&self, t: f64, n: usize, seed: u64) -> Result<Vec<f64>> {
        if !(t.is_finite() && t > 0.0) {
            let reason = "temperatures are positive";
            return Err(Error::condition("temperature", t, reason));
        }
        let molecule = dynamics::Molecule::new(self.system().clone(), self.topology().positions())?;
        let mut config = SimulateConfig {
            temperature: t * self.config().temperature,
            seed,
            trans: self.topology().omega(),
            ..SimulateConfig::default()
        };
        let numbers = n * 3 * self.z_matrix().atoms();
        for share in [1, 2] {
            // At least so many frames a walker that their correlation can be measured.
            let frames = (share * n).div_ceil(config.walkers).max(8) * config.walkers;
            config.ns = frames as f64 * config.spacing_ps * 1e-3;
            let simulation = config.run(&molecule)?;
            let recorded = config.ns * 1e3 / config.walkers as f64;
            let each = (recorded + config.equilibration_ps) * 1e3 / config.step_fs;
            self.count(config.walkers * each.round() as usize);
            if let Some(kept) = simulation.frames.first().and_then(|f| f.get(..numbers)) {
                let kept: Vec<f64> = kept.iter().map(|x| f64::from(*x)).collect();
                return self.states(&kept);
            }
        }
        let reason = "every other frame has a cis peptide bond; use files of frames";
        Err(Error::condition("temperature", t, reason))
    }

    /// Positions, nm, of one state.
    ///
    /// # Errors
    /// [`Error::Shape`] where it has another dimension.
    pub fn positions(&self, state: &[f64]) -> Result<Vec<[f64; 3]>> {
        let internal = self.scaling().to_internal(state)?;
        self.z_matrix().to_cartesian(&internal)
    }

    /// States after Gaussian noise on the positions of all atoms, of a width in nm for each state. The
    /// noise reaches constrained bonds too, which a state does not have; a state whose moved atoms
    /// have no internal coordinates stays as it is.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers do not make whole states.
    pub fn perturbed(
        &self,
        states: &[f64],
        widths: &[f64],
        stream: &mut Stream,
    ) -> Result<Vec<f64>> {
        let mut moved = Vec::with_capacity(states.len());
        for (state, width) in states.chunks(self.dimension()).zip(widths) {
            let mut positions = self.positions(state)?;
            let coordinates = positions.as_flattened_mut();
            let noise = stream.normal(coordinates.len());
            for (x, noise) in coordinates.iter_mut().zip(noise) {
                *x += width * f64::from(noise);
            }
            let found = self.states(positions.as_flattened());
            moved.extend(found.unwrap_or_else(|_| state.to_vec()));
        }
        Ok(moved)
    }
}
