//! From the numbers that a flow works on to Cartesian positions, in tensor form.

use burn::tensor::{Tensor, backend::Backend};

use super::scaling::InternalScaling;
use super::tensor::{Positions, atoms, columns, cross, difference, dot, row};
use super::zmatrix::ZMatrix;

/// How near an angle may come to 0 and `π`, rad, and the least length, nm.
const LEAST: f64 = 1e-3;

/// The internal coordinates of a batch: bonds (nm), angles and torsions (rad), all of them.
struct Internal<B: Backend> {
    bonds: Tensor<B, 2>,
    angles: Tensor<B, 2>,
    torsions: Tensor<B, 2>,
}

fn scaled<B: Backend>(v: Positions<B>, factor: &Tensor<B, 2>) -> Positions<B> {
    v.map(|axis| axis * factor.clone())
}

fn direction<B: Backend>(v: Positions<B>) -> Positions<B> {
    let inverse = dot(&v, &v).clamp_min(1e-14).sqrt().recip();
    scaled(v, &inverse)
}

/// `to_cartesian` of a [`ZMatrix`] after `to_internal` of an [`InternalScaling`], for a batch and
/// differentiable by Burn.
#[derive(Clone, Debug)]
pub struct TensorPlacement {
    scaling: InternalScaling,
    /// Rows that can be placed at once, with the places of their references among the atoms placed
    /// before.
    levels: Vec<Level>,
    /// Where each atom stands in the order of placement.
    order: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Level {
    rows: Vec<usize>,
    references: [Vec<usize>; 3],
}

impl TensorPlacement {
    /// Prepares the order of placement.
    pub fn new(z_matrix: &ZMatrix, scaling: &InternalScaling) -> Self {
        let base = z_matrix.base();
        let mut order = vec![usize::MAX; z_matrix.atoms()];
        for (place, atom) in base.into_iter().enumerate() {
            order[atom] = place;
        }
        let mut placed = base.len();
        let mut waiting: Vec<usize> = z_matrix.placement_order().to_vec();
        let mut levels = Vec::new();
        // A z-matrix can be placed: each round places at least one row.
        while !waiting.is_empty() {
            let mut level = Level::default();
            waiting.retain(|index| {
                let row = z_matrix.rows()[*index];
                let places = [row.bond, row.angle, row.torsion].map(|atom| order[atom]);
                let ready = places.iter().all(|place| *place < placed);
                if ready {
                    level.rows.push(*index);
                    for (list, place) in level.references.iter_mut().zip(places) {
                        list.push(place);
                    }
                }
                !ready
            });
            for index in &level.rows {
                order[z_matrix.rows()[*index].atom] = placed;
                placed += 1;
            }
            levels.push(level);
        }
        Self {
            scaling: scaling.clone(),
            levels,
            order,
        }
    }

    /// Positions, nm, and `ln |det|` of the map from the scaled coordinates to positions.
    ///
    /// Angles nearer than 0.001 to 0 or `π`, and bonds shorter than 0.001 nm, count as that.
    ///
    /// # Shapes
    /// `state`: `[n, dim]` → `[n, atoms]` for each axis, `[n]`
    pub fn place<B: Backend>(&self, state: &Tensor<B, 2>) -> (Positions<B>, Tensor<B, 1>) {
        let internal = self.internal(state);
        let log_det = internal.bonds.clone().log().mul_scalar(2.0).sum_dim(1)
            + internal.angles.clone().sin().log().sum_dim(1);
        let log_det = log_det.squeeze_dim(1).add_scalar(self.scaling.log_det());
        let mut x = Self::first_three(&internal);
        for level in &self.levels {
            let [j, k, l] = [0, 1, 2].map(|end| atoms(&x, &level.references[end]));
            let part = |of: &Tensor<B, 2>, offset: usize| {
                let list: Vec<usize> = level.rows.iter().map(|row| row + offset).collect();
                columns(of, &list)
            };
            let r = part(&internal.bonds, 2);
            let angle = part(&internal.angles, 1);
            let torsion = part(&internal.torsions, 0);
            let e = direction(difference(&j, &k));
            let n = direction(cross(&difference(&k, &l), &e));
            let m = cross(&n, &e);
            let across = r.clone() * angle.clone().sin();
            let along = r * angle.cos();
            let by_m = across.clone() * torsion.clone().cos();
            let by_n = across * torsion.sin();
            x = [0, 1, 2].map(|axis| {
                let new = j[axis].clone() - along.clone() * e[axis].clone()
                    + by_m.clone() * m[axis].clone()
                    + by_n.clone() * n[axis].clone();
                Tensor::cat(vec![x[axis].clone(), new], 1)
            });
        }
        (atoms(&x, &self.order), log_det)
    }

    /// All internal coordinates, constrained bonds at their lengths.
    fn internal<B: Backend>(&self, state: &Tensor<B, 2>) -> Internal<B> {
        let [bonds, angles, torsions] = self.scaling.free();
        let [bond_units, angle_units] = self.scaling.units();
        let n = state.dims()[0];
        let part = |from: usize, len: usize| state.clone().narrow(1, from, len);
        // Constrained bonds, then free ones; then into their order.
        let mut all = Vec::new();
        let mut places = self.scaling.fixed_bonds();
        if !places.is_empty() {
            let lengths = row(&self.scaling.fixed_lengths(), state);
            all.push(lengths.expand([n, places.len()]));
        }
        if bonds > 0 {
            let free = part(0, bonds).sub_scalar(0.5) * row(&bond_units, state);
            all.push(free + row(self.scaling.bond_centres(), state));
            places.extend(self.scaling.free_bonds());
        }
        let all = Tensor::cat(all, 1);
        let mut inverse = vec![0; places.len()];
        for (at, place) in places.iter().enumerate() {
            inverse[*place] = at;
        }
        let turned = part(bonds, angles).sub_scalar(0.5) * row(&angle_units, state);
        let tau = std::f64::consts::TAU;
        Internal {
            bonds: columns(&all, &inverse).clamp_min(LEAST),
            angles: (turned + row(self.scaling.angle_centres(), state))
                .clamp(LEAST, std::f64::consts::PI - LEAST),
            torsions: part(bonds + angles, torsions)
                .mul_scalar(tau)
                .sub_scalar(std::f64::consts::PI),
        }
    }

    /// The base atoms in the frame where the first is the origin and the second on the axis z.
    fn first_three<B: Backend>(internal: &Internal<B>) -> Positions<B> {
        let bond = |at: usize| internal.bonds.clone().narrow(1, at, 1);
        let angle = internal.angles.clone().narrow(1, 0, 1);
        let zero = bond(0).zeros_like();
        let x = bond(1) * angle.clone().sin();
        let z = bond(0) - bond(1) * angle.cos();
        [
            Tensor::cat(vec![zero.clone(), zero.clone(), x], 1),
            Tensor::cat(vec![zero.clone(); 3], 1),
            Tensor::cat(vec![zero, bond(0), z], 1),
        ]
    }
}
