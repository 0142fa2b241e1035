//! A molecule as a target: the Boltzmann distribution of its scaled internal coordinates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trade_core::{Condition, Family, Interval, Perturbation, PowerFamily, Target, random::Stream};

use super::dynamics::{self, BOLTZMANN, SimulateConfig};
use super::tensor::TensorEnergy;
use super::tensor_internal::TensorPlacement;
use super::{InternalScaling, Lanes, PotentialEnergy, System, Topology, ZMatrix, ZMatrixRow};
use crate::dataset::{Array, read_npy};
use crate::{Error, Result};

/// How many conformations the host evaluates side by side.
const WIDTH: usize = 8;

/// Which atoms define the internal coordinates; see [`ZMatrix::new`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZMatrixConfig {
    /// The three atoms of position and orientation.
    pub base: [usize; 3],
    /// `[atom, bond, angle, torsion]` of each further atom, numbered from 0.
    pub rows: Vec<[usize; 4]>,
}

/// The settings of a molecule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoleculeConfig {
    /// OpenMM's `System` as XML; a relative path starts at the config's folder.
    pub system: PathBuf,
    /// The atoms' names, and positions for want of a `reference`, as PDB.
    pub pdb: PathBuf,
    /// The structure in the middle of the scaling, npy `[atoms, 3]` in nm; that of the PDB file
    /// unless told.
    #[serde(default)]
    pub reference: Option<PathBuf>,
    /// The internal coordinates; along the bonds unless told.
    #[serde(default)]
    pub zmatrix: Option<ZMatrixConfig>,
    /// The temperature, K, that the control parameter 1 stands for; 600 unless told.
    #[serde(default = "reference_temperature")]
    pub temperature: f64,
    /// Where `U/k_B T` at that temperature goes over from linear to logarithmic, so that clashes
    /// have finite densities and gradients; 1000 unless told.
    #[serde(default = "linear_up_to")]
    pub linear_up_to: f64,
}

fn reference_temperature() -> f64 {
    600.0
}

fn linear_up_to() -> f64 {
    1e3
}

impl MoleculeConfig {
    /// The files of the settings, for a caller that resolves relative paths.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.system, &mut self.pdb]
            .into_iter()
            .chain(&mut self.reference)
    }

    /// Reads the molecule.
    ///
    /// # Errors
    /// Where a file cannot be read, or the parts do not fit each other.
    pub fn init(&self) -> Result<Molecule> {
        let positive = [
            ("molecule.temperature", self.temperature),
            ("molecule.linear_up_to", self.linear_up_to),
        ];
        for (field, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(field, format!("{value} is not positive")));
            }
        }
        let system = System::read(&self.system)?;
        let topology = Topology::read(&self.pdb)?;
        let atoms = system.atoms();
        if topology.atoms.len() != atoms {
            let reason = format!("has {} atoms, the system {atoms}", topology.atoms.len());
            return Err(Error::file(&self.pdb, reason));
        }
        let z_matrix = match &self.zmatrix {
            Some(table) => {
                let rows = table.rows.iter().copied().map(ZMatrixRow::from);
                ZMatrix::new(table.base, rows.collect())?
            }
            None => ZMatrix::from_bonds(atoms, &system.bonded_pairs())?,
        };
        let centre = match &self.reference {
            Some(path) => positions(path, atoms)?,
            None => topology.positions(),
        };
        let scaling = InternalScaling::new(
            &z_matrix,
            &system.constraints,
            &z_matrix.to_internal(&centre)?,
        );
        Ok(Molecule {
            parts: Arc::new(Parts {
                energy: PotentialEnergy::new(&system),
                tensor: TensorEnergy::new(&system),
                placement: TensorPlacement::new(&z_matrix, &scaling),
                system,
                config: self.clone(),
                topology,
                z_matrix,
                scaling,
            }),
        })
    }
}

fn positions(path: &Path, atoms: usize) -> Result<Vec<[f64; 3]>> {
    let array = read_npy(path)?;
    if array.shape() != [atoms, 3] {
        let reason = format!("expected shape [{atoms}, 3], found {:?}", array.shape());
        return Err(Error::file(path, reason));
    }
    Ok(array.data().as_chunks::<3>().0.to_vec())
}

#[derive(Debug)]
struct Parts {
    config: MoleculeConfig,
    system: System,
    topology: Topology,
    z_matrix: ZMatrix,
    scaling: InternalScaling,
    energy: PotentialEnergy,
    tensor: TensorEnergy,
    placement: TensorPlacement,
}

/// The family `q(u|T) = |det ∂x/∂u| e^{−U(x(u))/(k_B T T_ref)}` over scaled internal coordinates
/// `u` (free bonds, angles, torsions; [`InternalScaling`]), with the temperature `T` relative to
/// `T_ref` as control parameter.
///
/// The host evaluates energies, several side by side and on all cores, but where automatic
/// differentiation is at work: there the [`TensorEnergy`] does.
#[derive(Clone, Debug)]
pub struct Molecule {
    parts: Arc<Parts>,
}

/// What the host finds for a batch of states.
#[derive(Clone, Debug, PartialEq)]
pub struct StateEnergies {
    /// `U`, kJ/mol, not clipped.
    pub energy: Vec<f64>,
    /// `ln |det ∂x/∂u|`, nm and rad.
    pub log_det: Vec<f64>,
}

impl Molecule {
    /// The settings it was made from.
    pub fn config(&self) -> &MoleculeConfig {
        &self.parts.config
    }

    /// The atoms.
    pub fn topology(&self) -> &Topology {
        &self.parts.topology
    }

    /// The internal coordinates.
    pub fn z_matrix(&self) -> &ZMatrix {
        &self.parts.z_matrix
    }

    /// The scaling of internal coordinates.
    pub fn scaling(&self) -> &InternalScaling {
        &self.parts.scaling
    }

    /// The dimension of a state.
    pub fn dimension(&self) -> usize {
        self.parts.scaling.dimension()
    }

    /// `k_B T_ref`, kJ/mol.
    pub fn thermal_energy(&self) -> f64 {
        BOLTZMANN * self.parts.config.temperature
    }

    /// Scaled internal coordinates of frames, row-major `[n, dim]`, from positions in nm,
    /// row-major `[n, atoms, 3]`. Position, orientation and constrained bonds are dropped.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers do not make whole frames.
    pub fn states(&self, frames: &[f64]) -> Result<Vec<f64>> {
        let (points, rest) = frames.as_chunks::<3>();
        let atoms = self.parts.z_matrix.atoms();
        if !rest.is_empty() || !points.len().is_multiple_of(atoms) {
            let expected = format!("[n, {atoms}, 3]");
            let found = format!("{} numbers", frames.len());
            return Err(Error::shape("frames", expected, found));
        }
        let states: Vec<Vec<f64>> = points
            .par_chunks(atoms)
            .map(|frame| {
                self.parts
                    .scaling
                    .to_latent(&self.parts.z_matrix.to_internal(frame)?)
            })
            .collect::<Result<_>>()?;
        Ok(states.concat())
    }

    /// `n` states of plain dynamics at the temperature `t`, relative to `T_ref`, from the PDB file's
    /// structure: 16 walkers, frames 1 ps apart after 200 ps, those with a cis peptide bond left
    /// out. Neighbours in time are correlated, and barriers of many `k_B T` are not crossed; what is
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
        let parts = &self.parts;
        let molecule = dynamics::Molecule::new(parts.system.clone(), parts.topology.positions())?;
        let mut config = SimulateConfig {
            temperature: t * parts.config.temperature,
            seed,
            trans: parts.topology.omega(),
            ..SimulateConfig::default()
        };
        let numbers = n * 3 * parts.z_matrix.atoms();
        for share in [1, 2] {
            // At least so many frames a walker that their correlation can be measured.
            let frames = (share * n).div_ceil(config.walkers).max(8) * config.walkers;
            config.ns = frames as f64 * config.spacing_ps * 1e-3;
            let simulation = config.run(&molecule)?;
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
        let internal = self.parts.scaling.to_internal(state)?;
        self.parts.z_matrix.to_cartesian(&internal)
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

    /// The states of an array: itself if `[n, dim]`, else those of its frames, `[n, atoms, 3]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where it is neither.
    pub fn states_of(&self, array: &Array) -> Result<Vec<f64>> {
        let atoms = self.parts.z_matrix.atoms();
        match *array.shape() {
            [_, found, 3] if found == atoms => self.states(array.data()),
            [_, dim] if dim == self.dimension() => Ok(array.data().to_vec()),
            _ => Err(Error::shape(
                "states",
                format!("[n, {}] or [n, {atoms}, 3]", self.dimension()),
                format!("{:?}", array.shape()),
            )),
        }
    }

    /// Energies and log determinants of states, row-major `[n, dim]`, on all cores.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers do not make whole states.
    pub fn energies(&self, states: &[f64]) -> Result<StateEnergies> {
        let dim = self.dimension();
        if !states.len().is_multiple_of(dim) {
            let found = format!("{} numbers", states.len());
            return Err(Error::shape("states", format!("[n, {dim}]"), found));
        }
        let blocks: Vec<Vec<(f64, f64)>> = states
            .par_chunks(dim * WIDTH)
            .map(|block| self.block(block))
            .collect::<Result<_>>()?;
        let (energy, log_det) = blocks.into_iter().flatten().unzip();
        Ok(StateEnergies { energy, log_det })
    }

    /// Up to [`WIDTH`] states.
    fn block(&self, states: &[f64]) -> Result<Vec<(f64, f64)>> {
        type Wide = Lanes<f64, WIDTH>;
        let parts = &self.parts;
        let zero = Lanes([0.0; WIDTH]);
        let mut x: Vec<[Wide; 3]> = vec![[zero; 3]; parts.energy.atoms()];
        let mut log_dets = Vec::with_capacity(WIDTH);
        let rows = states.chunks(self.dimension());
        let count = rows.len();
        // Lanes left over hold the first state again.
        for (lane, state) in rows
            .chain(states.chunks(self.dimension()).cycle())
            .take(WIDTH)
            .enumerate()
        {
            let internal = parts.scaling.to_internal(state)?;
            if lane < count {
                log_dets.push(internal.log_det() + parts.scaling.log_det());
            }
            for (to, from) in x.iter_mut().zip(parts.z_matrix.to_cartesian(&internal)?) {
                for (to, from) in to.iter_mut().zip(from) {
                    to.0[lane] = from;
                }
            }
        }
        let mut forces = x.clone();
        let mut work = parts.energy.workspace();
        let energy = parts
            .energy
            .evaluate_wide(&x, &mut forces, &mut work)
            .total();
        Ok(energy.0.into_iter().zip(log_dets).collect())
    }

    /// `u = U/k_B T_ref` beyond `linear_up_to` as a logarithm; what is not finite as the largest.
    fn reduced(&self, energy: f64) -> f64 {
        let cut = self.parts.config.linear_up_to;
        let u = energy / self.thermal_energy();
        if u <= cut {
            u
        } else if u.is_finite() {
            cut + (u - cut).ln_1p()
        } else {
            cut + f64::from(f32::MAX).ln()
        }
    }

    /// Reduced energies and log determinants, `[n]` each, from the host.
    fn on_host<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 1>; 2] {
        let states: Vec<f64> = x.to_data().iter::<f64>().collect();
        let n = x.dims()[0];
        let found = self.energies(&states).unwrap_or_else(|_| StateEnergies {
            energy: vec![f64::NAN; n],
            log_det: vec![f64::NAN; n],
        });
        let reduced = found.energy.into_iter().map(|u| self.reduced(u)).collect();
        [reduced, found.log_det].map(|values: Vec<f64>| {
            Tensor::from_data(TensorData::new(values, [n]), (&x.device(), x.dtype()))
        })
    }

    /// The same in tensor form, differentiable in `x`.
    fn in_tensors<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 1>; 2] {
        let cut = self.parts.config.linear_up_to;
        let (positions, log_det) = self.parts.placement.place(x);
        let energy = self.parts.tensor.energy(&positions);
        let u = energy.div_scalar(self.thermal_energy());
        let above = u.clone().clamp_min(cut).sub_scalar(cut).log1p();
        [u.clamp_max(cut) + above, log_det]
    }

    fn parts_of<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 1>; 2] {
        if B::ad_enabled(&x.device()) {
            self.in_tensors(x)
        } else {
            self.on_host(x)
        }
    }
}

impl Family for Molecule {
    fn dim(&self) -> usize {
        self.dimension()
    }

    fn controls(&self) -> Vec<String> {
        vec!["temperature".into()]
    }

    fn domain(&self) -> Vec<Interval> {
        vec![Interval::above(0.0)]
    }

    fn power_family(&self) -> Option<PowerFamily> {
        Some(PowerFamily::Temperature)
    }

    fn perturbation(&self) -> Option<Perturbation> {
        let molecule = self.clone();
        Some(Arc::new(move |states, widths, stream| {
            let exact: Vec<f64> = states.iter().map(|x| f64::from(*x)).collect();
            match molecule.perturbed(&exact, widths, stream) {
                Ok(moved) => moved.into_iter().map(|x| x as f32).collect(),
                Err(_) => states.to_vec(),
            }
        }))
    }
}

impl<B: Backend> Target<B> for Molecule {
    fn log_density(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 1> {
        let [u, log_det] = self.parts_of(&x);
        log_det - u / condition.control.value.clone().squeeze_dim::<1>(1)
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let [u, _] = self.on_host(&x);
        u.unsqueeze_dim(1) / condition.control.value.clone().square()
    }

    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        Some(self.parts_of(x)[1].clone())
    }
}
