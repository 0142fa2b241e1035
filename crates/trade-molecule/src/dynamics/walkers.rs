//! Copies of a molecule that move side by side.

use trade_core::random::Stream;

use super::super::dispatch::{Job, widest};
use super::super::energy::Workspace;
use super::super::lanes::SideBySide;
use super::super::scalar::{Vec3, add_to, subtract_from};
use super::langevin::{BOLTZMANN, Langevin};
use super::noise::Noise;

/// Steps between moves of the molecules to the origin, which keep positions small, hence exact.
const RECENTRE: u64 = 256;

/// As many copies of a molecule as `S` has lanes, each at a temperature of its own.
///
/// Lanes know nothing of each other. Forces and energy always belong to the present positions.
#[derive(Clone, Debug)]
pub struct Walkers<S> {
    positions: Vec<Vec3<S>>,
    velocities: Vec<Vec3<S>>,
    forces: Vec<Vec3<S>>,
    /// How far the atoms move in the present step, nm.
    displacements: Vec<Vec3<S>>,
    energy: S,
    /// K.
    temperatures: Vec<f64>,
    /// `√(k_B T)`.
    thermal: S,
    noise: Noise<S>,
    steps: u64,
    work: Workspace<S>,
}

impl<S: SideBySide> Walkers<S> {
    /// Walkers that all start at `positions` (nm), which must satisfy the constraints, with
    /// velocities drawn at the `temperatures` (K), one for each lane.
    ///
    /// # Panics
    /// If there are not as many positions as atoms, or not as many temperatures as lanes.
    pub fn new(
        dynamics: &Langevin,
        positions: &[[f64; 3]],
        temperatures: &[f64],
        stream: Stream,
    ) -> Self {
        assert_eq!(positions.len(), dynamics.atoms(), "positions");
        assert_eq!(temperatures.len(), S::WIDTH, "temperatures");
        let zero = [S::splat(0.0); 3];
        let atoms = positions.len();
        let mut walkers = Self {
            positions: positions.iter().map(|x| x.map(S::splat)).collect(),
            velocities: vec![zero; atoms],
            forces: vec![zero; atoms],
            displacements: vec![zero; atoms],
            energy: zero[0],
            temperatures: temperatures.to_vec(),
            thermal: zero[0],
            noise: Noise::new(stream, 3 * atoms),
            steps: 0,
            work: dynamics.energy.workspace(),
        };
        for (lane, temperature) in temperatures.iter().enumerate() {
            let root = (BOLTZMANN * temperature).sqrt();
            walkers.thermal.set_lane(lane, root);
        }
        walkers.recentre();
        walkers.draw_velocities(dynamics);
        walkers.evaluate(dynamics);
        walkers
    }

    /// Draws velocities from Maxwell's distribution on the constraints.
    fn draw_velocities(&mut self, dynamics: &Langevin) {
        let normals = self.noise.draw();
        for (atom, v) in self.velocities.iter_mut().enumerate() {
            let scale = self.thermal * S::splat(dynamics.masses[atom].sqrt().recip());
            for axis in 0..3 {
                v[axis] = scale * normals[3 * atom + axis];
            }
        }
        // The projection is orthogonal in the masses' metric, so that it leaves Maxwell's
        // distribution of what it keeps.
        let (x, v) = (&self.positions, &mut self.velocities);
        dynamics.constraints.velocities(x, v, dynamics.step);
    }

    /// Forces and energy at the present positions.
    fn evaluate(&mut self, dynamics: &Langevin) {
        let (x, f) = (&self.positions, &mut self.forces);
        self.energy = dynamics.energy.evaluate_wide(x, f, &mut self.work).total();
    }

    /// Moves all walkers by `steps` time steps, with the widest instructions of the machine.
    pub fn advance(&mut self, dynamics: &Langevin, steps: usize) {
        widest(Advance {
            walkers: self,
            dynamics,
            steps,
        });
    }

    /// One step of the scheme "middle" in its leapfrog form, as OpenMM's
    /// `LangevinMiddleIntegrator`: a kick, half a drift, friction and noise, half a drift, then the
    /// constraints. Zhang, Liu, Yan, Tuckerman and Liu, J. Phys. Chem. A 123, 6056 (2019).
    ///
    /// Its configurations are those of BAOAB (Leimkuhler and Matthews, Appl. Math. Res. Express
    /// 2013, 34): exact for harmonic forces at every stable step.
    #[inline(always)]
    fn step(&mut self, dynamics: &Langevin) {
        let dt = dynamics.step;
        let v = &mut self.velocities;
        for (atom, v) in v.iter_mut().enumerate() {
            let factor = S::splat(dt / dynamics.masses[atom]);
            for axis in 0..3 {
                v[axis] += factor * self.forces[atom][axis];
            }
        }
        dynamics.constraints.velocities(&self.positions, v, dt);

        let half = S::splat(0.5 * dt);
        if dynamics.decay < 1.0 {
            let decay = S::splat(dynamics.decay);
            let kick = self.thermal * S::splat((1.0 - dynamics.decay * dynamics.decay).sqrt());
            let normals = self.noise.draw();
            for (atom, v) in v.iter_mut().enumerate() {
                let scale = kick * S::splat(dynamics.masses[atom].sqrt().recip());
                for axis in 0..3 {
                    let before = v[axis];
                    let after = decay * before + scale * normals[3 * atom + axis];
                    self.displacements[atom][axis] = half * (before + after);
                    // What is left of the velocity after the drift is taken off; the drift with its
                    // constraints comes back below.
                    v[axis] = S::splat(0.5) * (after - before);
                }
            }
        } else {
            for (v, displacement) in v.iter_mut().zip(&mut self.displacements) {
                for axis in 0..3 {
                    displacement[axis] = S::splat(dt) * v[axis];
                    v[axis] = S::splat(0.0);
                }
            }
        }
        let displacements = &mut self.displacements;
        dynamics
            .constraints
            .positions(&self.positions, displacements);
        let rate = S::splat(dt.recip());
        for (atom, displacement) in displacements.iter().enumerate() {
            for axis in 0..3 {
                v[atom][axis] += rate * displacement[axis];
            }
            add_to(&mut self.positions[atom], *displacement);
        }
        self.steps += 1;
        if self.steps.is_multiple_of(RECENTRE) {
            self.recentre();
        }
        let (x, f) = (&self.positions, &mut self.forces);
        self.energy = dynamics.energy.evaluate(x, f, &mut self.work).total();
    }

    /// Moves each molecule's centre to the origin.
    #[inline(always)]
    fn recentre(&mut self) {
        let mut centre = [S::splat(0.0); 3];
        for x in &self.positions {
            add_to(&mut centre, *x);
        }
        let share = S::splat((self.positions.len() as f64).recip());
        let centre = centre.map(|sum| sum * share);
        for x in &mut self.positions {
            subtract_from(x, centre);
        }
    }

    /// Positions, nm, `[atom][axis]`, a lane for each walker.
    pub fn positions(&self) -> &[[S; 3]] {
        &self.positions
    }

    /// The fixed distance that is furthest off, and by how much relatively.
    pub(super) fn worst(&self, dynamics: &Langevin) -> Option<([usize; 2], f64)> {
        dynamics.constraints.worst(&self.positions)
    }

    /// Velocities, nm/ps, after the latest step's drift: half a kick behind the positions.
    pub fn velocities(&self) -> &[[S; 3]] {
        &self.velocities
    }

    /// Potential energy of each walker, kJ/mol.
    pub fn energy(&self) -> S {
        self.energy
    }

    /// Forces at the present positions, kJ/mol/nm.
    pub fn forces(&self) -> &[[S; 3]] {
        &self.forces
    }

    /// The temperature of the bath in a lane, K.
    pub fn temperature(&self, lane: usize) -> f64 {
        self.temperatures[lane]
    }

    /// Brings a walker into contact with a bath of another temperature, its velocities scaled by
    /// `√(T_new/T_old)`: so they are distributed as they must be after an accepted exchange.
    ///
    /// The velocities that do not know the positions are those at the same time. The walker's are half a kick behind
    /// them, which is not scaled: in stiff bonds it is no small part.
    pub fn set_temperature(&mut self, dynamics: &Langevin, lane: usize, temperature: f64) {
        let factor = (temperature / self.temperatures[lane]).sqrt();
        let atoms = self.velocities.iter_mut().zip(&self.forces);
        for ((v, force), mass) in atoms.zip(&dynamics.masses) {
            for (v, force) in v.iter_mut().zip(force) {
                let kick = 0.5 * dynamics.step / mass * force.lane(lane);
                v.set_lane(lane, factor * (v.lane(lane) + kick) - kick);
            }
        }
        self.temperatures[lane] = temperature;
        let root = (BOLTZMANN * temperature).sqrt();
        self.thermal.set_lane(lane, root);
    }

    /// Kinetic temperature `2 E_kin/(k_B f)` of each walker, K, of the velocities along the
    /// constraints, with `f` [degrees of freedom](Langevin::degrees_of_freedom).
    pub fn kinetic_temperatures(&self, dynamics: &Langevin) -> Vec<f64> {
        let mut v = self.velocities.clone();
        let constraints = &dynamics.constraints;
        constraints.velocities(&self.positions, &mut v, dynamics.step);
        let mut twice = vec![0.0; S::WIDTH];
        for (mass, v) in dynamics.masses.iter().zip(&v) {
            for (lane, twice) in twice.iter_mut().enumerate() {
                for component in v {
                    *twice += mass * component.lane(lane).powi(2);
                }
            }
        }
        let scale = (BOLTZMANN * dynamics.degrees_of_freedom() as f64).recip();
        twice.into_iter().map(|twice| twice * scale).collect()
    }

    /// The state that determines everything to come: of each lane positions and velocities, and the
    /// place in the random numbers and in time.
    pub(super) fn state(&self) -> WalkersState {
        let lanes = |list: &[Vec3<S>]| {
            let flat = list.as_flattened().iter();
            flat.flat_map(|s| (0..S::WIDTH).map(|lane| s.lane(lane)))
                .collect()
        };
        WalkersState {
            positions: lanes(&self.positions),
            velocities: lanes(&self.velocities),
            noise: self.noise.position(),
            steps: self.steps,
        }
    }

    /// Goes on from a [`state`](Self::state) of walkers of the same molecule and width, at these
    /// temperatures.
    pub(super) fn restore(
        &mut self,
        dynamics: &Langevin,
        state: &WalkersState,
        temperatures: &[f64],
    ) {
        for (list, values) in [
            (&mut self.positions, &state.positions),
            (&mut self.velocities, &state.velocities),
        ] {
            let values = values.chunks_exact(S::WIDTH);
            for (s, values) in list.as_flattened_mut().iter_mut().zip(values) {
                for (lane, value) in values.iter().enumerate() {
                    s.set_lane(lane, *value);
                }
            }
        }
        self.noise.set_position(state.noise);
        self.steps = state.steps;
        for (lane, temperature) in temperatures.iter().enumerate() {
            self.temperatures[lane] = *temperature;
            let root = (BOLTZMANN * temperature).sqrt();
            self.thermal.set_lane(lane, root);
        }
        self.evaluate(dynamics);
    }
}

/// What [`Walkers`] are, without what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WalkersState {
    /// nm, `[atom][axis][lane]`.
    pub(super) positions: Vec<f64>,
    /// nm/ps, in the same order.
    pub(super) velocities: Vec<f64>,
    /// Random words drawn.
    pub(super) noise: u128,
    /// Time steps made.
    pub(super) steps: u64,
}

impl WalkersState {
    /// The number of bytes of a state with so many coordinates.
    pub(super) fn bytes(coordinates: usize) -> usize {
        16 + 8 + 2 * 8 * coordinates
    }

    /// The numbers as bytes, for other ranks.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = self.noise.to_le_bytes().to_vec();
        bytes.extend(self.steps.to_le_bytes());
        for value in self.positions.iter().chain(&self.velocities) {
            bytes.extend(value.to_le_bytes());
        }
        bytes
    }

    /// The state that another rank [wrote](Self::write). Bytes that are missing count as zeros.
    pub(super) fn read(bytes: &[u8]) -> Self {
        fn first<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
            let (taken, after) = rest.split_first_chunk().unwrap_or((&[0; N], &[]));
            *rest = after;
            *taken
        }
        let mut rest = bytes;
        let noise = u128::from_le_bytes(first(&mut rest));
        let steps = u64::from_le_bytes(first(&mut rest));
        let numbers = rest.as_chunks::<8>().0.iter();
        let mut positions: Vec<f64> = numbers.map(|eight| f64::from_le_bytes(*eight)).collect();
        let velocities = positions.split_off(positions.len() / 2);
        Self {
            positions,
            velocities,
            noise,
            steps,
        }
    }
}

/// Some steps, to be compiled for each instruction set.
struct Advance<'a, S> {
    walkers: &'a mut Walkers<S>,
    dynamics: &'a Langevin,
    steps: usize,
}

impl<S: SideBySide> Job for Advance<'_, S> {
    #[inline(always)]
    fn run(self) {
        for _ in 0..self.steps {
            self.walkers.step(self.dynamics);
        }
    }
}
