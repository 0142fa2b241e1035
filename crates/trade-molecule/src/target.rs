//! A molecule as a target: the Boltzmann distribution of its scaled internal coordinates.

use std::f64::consts::PI;
use std::path::Path;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;
use trade_core::{Condition, Family, Interval, Perturbation, PowerFamily, Target, random::Stream};
use trade_data::read_npy;

use super::config::MoleculeConfig;
use super::dynamics::BOLTZMANN;
use super::ensemble::Ensemble;
use super::fit::{fit, strained, unheld};
use super::methyl::{rotors, shuffle};
use super::skeleton::Skeleton;
use super::tensor::TensorEnergy;
use super::tensor_internal::TensorPlacement;
use super::{
    InternalCoordinates, InternalScaling, Lanes, PotentialEnergy, System, Topology, ZMatrix,
};
use crate::{Error, Result};

/// How many conformations the host evaluates side by side.
const WIDTH: usize = 8;

impl MoleculeConfig {
    /// Reads the molecule. [`Molecule::warnings`] says what is doubtful about it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::File`] where a file cannot be read, or does not fit the others: the
    /// atoms are in another order, lengths are in another unit, atoms overlap, or a constraint is no
    /// bond of the internal coordinates; [`Error::Setting`] where a setting makes no sense.
    pub fn init(&self) -> Result<Molecule> {
        self.check()?;
        let system = System::read(&self.system)?;
        let (topology, skeleton, mut warnings) = fit(&system, &self.system, &self.pdb)?;
        if let Some(atom) = system.masses.iter().position(|m| *m <= 0.0) {
            let reason = format!(
                "{} has no mass, and is held in place by OpenMM; the flow moves every atom, so give it a mass",
                topology.describe(atom)
            );
            return Err(Error::file(&self.system, reason));
        }
        let z_matrix = match &self.zmatrix {
            Some(table) => table.init()?,
            None => ZMatrix::from_bonds(system.atoms(), &skeleton.pairs())?,
        };
        if z_matrix.atoms() != system.atoms() {
            let reason = format!("places {} atoms of {}", z_matrix.atoms(), system.atoms());
            return Err(Error::setting("molecule.zmatrix", reason));
        }
        if let Some(reason) = unheld(&system, &z_matrix, &topology) {
            return Err(Error::file(&self.system, reason));
        }
        let centre = match &self.reference {
            Some(path) => {
                let x = skeleton.whole(&positions(path, system.atoms())?);
                let strained = skeleton
                    .check(&x, &topology, "nm")
                    .map_err(|reason| Error::file(path, reason))?;
                warnings = strained
                    .iter()
                    .map(|w| format!("{}: {w}", path.display()))
                    .collect();
                x
            }
            None => topology.positions(),
        };
        let ensemble = Ensemble::new(self.restrict.unwrap_or_default(), &topology, &centre)
            .map_err(|(field, reason)| {
                Error::setting(format!("molecule.restrict.{field}"), reason)
            })?;
        let energy = PotentialEnergy::new(&system);
        let thermal_energy = BOLTZMANN * self.temperature;
        let (mut forces, mut work) = (centre.clone(), energy.workspace());
        let reduced = energy.evaluate(&centre, &mut forces, &mut work).total() / thermal_energy;
        if reduced > self.linear_up_to {
            let reason = format!(
                "is {}, and the energy of the reference structure is {reduced:.0} k_B T_ref, where the target \
                 would be flat; set it to {:.0} or more, or give a relaxed reference",
                self.linear_up_to,
                reduced + self.linear_up_to
            );
            return Err(Error::setting("molecule.linear_up_to", reason));
        }
        let rotors = rotors(&skeleton.pairs(), &system.masses, &energy, &centre);
        let centre = z_matrix.to_internal(&centre)?;
        let scaling = InternalScaling::new(&z_matrix, &system.constraints, &centre).softened(
            &z_matrix,
            &system,
            thermal_energy,
        );
        warnings.extend(strained(&system, &z_matrix, &scaling, &centre, &topology));
        Ok(Molecule {
            parts: Arc::new(Parts {
                energy,
                tensor: TensorEnergy::new(&system),
                placement: TensorPlacement::new(&z_matrix, &scaling),
                system,
                config: self.clone(),
                topology,
                skeleton,
                z_matrix,
                scaling,
                ensemble,
                rotors,
                warnings,
                evaluated: AtomicU64::new(0),
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
    skeleton: Skeleton,
    z_matrix: ZMatrix,
    scaling: InternalScaling,
    energy: PotentialEnergy,
    tensor: TensorEnergy,
    placement: TensorPlacement,
    ensemble: Ensemble,
    /// Three equivalent hydrogen atoms each.
    rotors: Vec<[usize; 3]>,
    warnings: Vec<String>,
    /// States whose energy was evaluated.
    evaluated: AtomicU64,
}

/// The family `q(u|T) = |det ∂x/∂u| e^{−U(x(u))/(k_B T T_ref)}` over scaled internal coordinates
/// `u` (free bonds, angles, torsions; [`InternalScaling`]), with the temperature `T` relative to
/// `T_ref` as control parameter. Outside of the ensemble that [`MoleculeConfig::restrict`] names, and
/// where an angle is not between 0 and `π` or a bond not positive, it is zero.
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
    /// `ln |det ∂x/∂u|`, nm and rad; `−∞` where an angle is not between 0 and `π`, or a bond not
    /// positive.
    pub log_det: Vec<f64>,
    /// Whether the conformation belongs to the ensemble.
    pub inside: Vec<bool>,
}

/// What the host finds for one state: energy, log determinant, whether it is inside.
type Found = (f64, f64, bool);

impl Molecule {
    /// The settings that the molecule was made from.
    pub fn config(&self) -> &MoleculeConfig {
        &self.parts.config
    }

    /// What is doubtful about the files, a sentence each: a strained structure, or one that was
    /// broken over the periodic box.
    pub fn warnings(&self) -> &[String] {
        &self.parts.warnings
    }

    /// The parameters of the force field.
    pub fn system(&self) -> &System {
        &self.parts.system
    }

    pub(super) fn skeleton(&self) -> &Skeleton {
        &self.parts.skeleton
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
        let blocks: Vec<Vec<Found>> = states
            .par_chunks(dim * WIDTH)
            .map(|block| self.block(block))
            .collect::<Result<_>>()?;
        let found = || blocks.iter().flatten();
        self.count(states.len() / dim);
        Ok(StateEnergies {
            energy: found().map(|f| f.0).collect(),
            log_det: found().map(|f| f.1).collect(),
            inside: found().map(|f| f.2).collect(),
        })
    }

    /// Whether states, row-major `[n, dim]`, belong to the ensemble that
    /// [`MoleculeConfig::restrict`] names.
    ///
    /// # Errors
    /// [`Error::Shape`] where the numbers do not make whole states.
    pub fn inside(&self, states: &[f64]) -> Result<Vec<bool>> {
        states
            .chunks(self.dimension())
            .map(|state| Ok(self.parts.ensemble.contains(&self.positions(state)?)))
            .collect()
    }

    /// Takes note of states whose energy was evaluated.
    pub(super) fn count(&self, states: usize) {
        self.parts
            .evaluated
            .fetch_add(states as u64, Ordering::Relaxed);
    }

    /// Up to [`WIDTH`] states.
    fn block(&self, states: &[f64]) -> Result<Vec<Found>> {
        type Wide = Lanes<f64, WIDTH>;
        let parts = &self.parts;
        let zero = Lanes([0.0; WIDTH]);
        let mut x: Vec<[Wide; 3]> = vec![[zero; 3]; parts.energy.atoms()];
        let mut geometry = Vec::with_capacity(WIDTH);
        let rows = states.chunks(self.dimension());
        let count = rows.len();
        // Lanes left over hold the first state again.
        for (lane, state) in rows
            .chain(states.chunks(self.dimension()).cycle())
            .take(WIDTH)
            .enumerate()
        {
            let internal = parts.scaling.to_internal(state)?;
            let positions = parts.z_matrix.to_cartesian(&internal)?;
            if lane < count {
                let inside = parts.ensemble.contains(&positions);
                geometry.push((log_det(&internal) + parts.scaling.log_det(), inside));
            }
            for (to, from) in x.iter_mut().zip(positions) {
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
        let found = energy.0.into_iter().zip(geometry);
        Ok(found
            .map(|(energy, (log_det, inside))| (energy, log_det, inside))
            .collect())
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

    /// Reduced energies, log determinants, and the logarithms of the indicator of the ensemble, `[n]`
    /// each, from the host.
    fn on_host<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 1>; 3] {
        let states: Vec<f64> = x.to_data().iter::<f64>().collect();
        let n = x.dims()[0];
        let found = self.energies(&states).unwrap_or_else(|_| StateEnergies {
            energy: vec![f64::NAN; n],
            log_det: vec![f64::NAN; n],
            inside: vec![true; n],
        });
        let indicator = |inside: bool| if inside { 0.0 } else { f64::NEG_INFINITY };
        let inside = found.inside.into_iter().map(indicator).collect();
        let reduced = found.energy.into_iter().map(|u| self.reduced(u)).collect();
        [reduced, found.log_det, inside].map(|values: Vec<f64>| {
            Tensor::from_data(TensorData::new(values, [n]), (&x.device(), x.dtype()))
        })
    }

    /// The same in tensor form, differentiable in `x`.
    fn in_tensors<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 1>; 3] {
        let cut = self.parts.config.linear_up_to;
        let (positions, log_det) = self.parts.placement.place(x);
        let energy = self.parts.tensor.energy(&positions);
        self.count(x.dims()[0]);
        let u = energy.div_scalar(self.thermal_energy());
        let above = u.clone().clamp_min(cut).sub_scalar(cut).log1p();
        let inside = self.parts.ensemble.log_inside(&positions);
        [u.clamp_max(cut) + above, log_det, inside]
    }

    fn parts_of<B: Backend>(&self, x: &Tensor<B, 2>) -> [Tensor<B, 1>; 3] {
        if B::ad_enabled(&x.device()) {
            self.in_tensors(x)
        } else {
            self.on_host(x)
        }
    }
}

/// The log determinant of internal coordinates, `−∞` where they are none.
fn log_det(internal: &InternalCoordinates) -> f64 {
    let bent = internal
        .angles
        .iter()
        .all(|angle| *angle > 0.0 && *angle < PI);
    if bent && internal.bonds.iter().all(|bond| *bond > 0.0) {
        internal.log_det()
    } else {
        f64::NEG_INFINITY
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

    fn calls(&self) -> Option<u64> {
        Some(self.parts.evaluated.load(Ordering::Relaxed))
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
        let [u, log_det, inside] = self.parts_of(&x);
        log_det + inside - u / condition.control.value.clone().squeeze_dim::<1>(1)
    }

    fn condition_score(&self, x: Tensor<B, 2>, condition: &Condition<B>) -> Tensor<B, 2> {
        let [u, _, _] = self.on_host(&x);
        u.unsqueeze_dim(1) / condition.control.value.clone().square()
    }

    /// Exchanges the hydrogen atoms of each methyl group, or another group of three equivalent ones, in a
    /// circle, as often as chance has it.
    fn symmetrise(&self, x: Tensor<B, 2>, stream: &mut Stream) -> Tensor<B, 2> {
        if self.parts.rotors.is_empty() {
            return x;
        }
        let states: Vec<f64> = x.to_data().iter::<f64>().collect();
        let turned = states.chunks(self.dimension()).map(|state| {
            let mut positions = self.positions(state)?;
            shuffle(&mut positions, &self.parts.rotors, stream);
            Ok(positions)
        });
        let turned = turned.collect::<Result<Vec<_>>>();
        match turned.and_then(|frames| self.states(frames.concat().as_flattened())) {
            Ok(states) => {
                let data = TensorData::new(states, x.dims());
                Tensor::from_data(data, (&x.device(), x.dtype()))
            }
            // The shapes are those of the molecule.
            Err(_) => x,
        }
    }

    /// The log determinant; the indicator of the ensemble is no part of it, so that it is finite.
    fn log_prior(&self, x: &Tensor<B, 2>) -> Option<Tensor<B, 1>> {
        Some(self.parts_of(x)[1].clone())
    }
}
