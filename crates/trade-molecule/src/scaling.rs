//! Internal coordinates as the numbers of order one that a flow works on.

use std::f64::consts::{PI, TAU};

use super::internal::{InternalCoordinates, expect_length};
use super::system::{Angle, Bond, Constraint, System};
use super::zmatrix::ZMatrix;
use crate::Result;

/// Spread of a scaled bond or angle that moves by its standard deviation.
const SPREAD: f64 = 0.1;
/// The unit cube ends at so many deviations.
const REACH: f64 = 0.5 / SPREAD;
/// The share of its length that a bond may lose at most.
const MOST_SHORTENED: f64 = 0.9;

/// Affine map between internal coordinates and the latent unit cube, about a reference structure.
///
/// Latent coordinates are (free bonds, angles, torsions): `0.5 + (b − b_ref) 0.1/σ_b`,
/// `0.5 + (θ − θ_ref) 0.1/σ_θ` and `(τ + π)/2π`. Constrained bonds are left out on the way there
/// and take their fixed lengths on the way back. This is the scaling of the paper's alanine
/// dipeptide (arXiv 2410.19492), where `σ_b` = 0.005 nm and `σ_θ` = 0.15 rad. Softer bonds and angles have
/// deviations of their own, see [`softened`](Self::softened).
#[derive(Clone, Debug, PartialEq)]
pub struct InternalScaling {
    /// The fixed length of each bond coordinate, or none where it is free.
    fixed: Vec<Option<f64>>,
    bond_centres: Vec<f64>,
    angle_centres: Vec<f64>,
    bond_deviations: Vec<f64>,
    angle_deviations: Vec<f64>,
}

impl InternalScaling {
    /// `σ_b` of the paper, nm.
    pub const BOND_DEVIATION: f64 = 0.005;
    /// `σ_θ` of the paper, rad.
    pub const ANGLE_DEVIATION: f64 = 0.15;

    /// The scaling about a reference structure, with the paper's deviations.
    pub fn new(
        z_matrix: &ZMatrix,
        constraints: &[Constraint],
        centre: &InternalCoordinates,
    ) -> Self {
        let fixed: Vec<Option<f64>> = z_matrix
            .bond_pairs()
            .iter()
            .map(|[i, j]| {
                constraints
                    .iter()
                    .find(|c| c.atoms == [*i, *j] || c.atoms == [*j, *i])
                    .map(|c| c.distance)
            })
            .collect();
        let bond_centres: Vec<f64> = centre
            .bonds
            .iter()
            .zip(&fixed)
            .filter_map(|(bond, fixed)| fixed.is_none().then_some(*bond))
            .collect();
        Self {
            fixed,
            bond_deviations: vec![Self::BOND_DEVIATION; bond_centres.len()],
            bond_centres,
            angle_centres: centre.angles.clone(),
            angle_deviations: vec![Self::ANGLE_DEVIATION; centre.angles.len()],
        }
    }

    /// The scaling with room for soft springs: a bond or an angle whose own spring gives it a larger deviation
    /// `√(k_B T/k)` at the thermal energy `k_B T`, in kJ/mol, has that one. An angle without a spring
    /// may take every value. Bonds stay positive.
    #[must_use]
    pub fn softened(mut self, z_matrix: &ZMatrix, system: &System, thermal_energy: f64) -> Self {
        let deviation = |stiffness: f64| (thermal_energy / stiffness).sqrt();
        let pairs = z_matrix.bond_pairs();
        for (k, place) in self.free_bonds().into_iter().enumerate() {
            let [i, j] = pairs[place];
            let same = |b: &&Bond| b.atoms == [i, j] || b.atoms == [j, i];
            let stiffness: f64 = system.bonds.iter().filter(same).map(|b| b.stiffness).sum();
            let most = MOST_SHORTENED * self.bond_centres[k] / REACH;
            let own = deviation(stiffness).min(most);
            self.bond_deviations[k] = self.bond_deviations[k].max(own);
        }
        for (triple, own) in z_matrix
            .angle_triples()
            .iter()
            .zip(&mut self.angle_deviations)
        {
            let [i, j, k] = *triple;
            let same = |a: &&Angle| a.atoms == [i, j, k] || a.atoms == [k, j, i];
            let stiffness: f64 = system.angles.iter().filter(same).map(|a| a.stiffness).sum();
            *own = own.max(deviation(stiffness).min(PI / REACH));
        }
        self
    }

    /// How many bonds, angles and torsions are free.
    pub fn free(&self) -> [usize; 3] {
        let angles = self.angle_centres.len();
        [self.bond_centres.len(), angles, angles.saturating_sub(1)]
    }

    /// Positions of the free bonds among all bond coordinates.
    pub fn free_bonds(&self) -> Vec<usize> {
        let free = |(k, fixed): (usize, &Option<f64>)| fixed.is_none().then_some(k);
        self.fixed.iter().enumerate().filter_map(free).collect()
    }

    /// Positions of the constrained bonds among all bond coordinates.
    pub(super) fn fixed_bonds(&self) -> Vec<usize> {
        let fixed = |(k, fixed): (usize, &Option<f64>)| fixed.is_some().then_some(k);
        self.fixed.iter().enumerate().filter_map(fixed).collect()
    }

    /// Their lengths, nm.
    pub(super) fn fixed_lengths(&self) -> Vec<f64> {
        self.fixed.iter().copied().flatten().collect()
    }

    /// What one unit of each latent bond (nm) and of each latent angle (rad) is.
    pub(super) fn units(&self) -> [Vec<f64>; 2] {
        let units = |deviations: &[f64]| deviations.iter().map(|d| d / SPREAD).collect();
        [units(&self.bond_deviations), units(&self.angle_deviations)]
    }

    /// How many latent coordinates there are.
    pub fn dimension(&self) -> usize {
        self.free().iter().sum()
    }

    /// Bond lengths the latent value 0.5 stands for, nm, the free ones only.
    pub fn bond_centres(&self) -> &[f64] {
        &self.bond_centres
    }

    /// Angles the latent value 0.5 stands for, rad.
    pub fn angle_centres(&self) -> &[f64] {
        &self.angle_centres
    }

    /// `ln |det|` of the map from latent coordinates to bonds (nm), angles and torsions (rad): a
    /// constant.
    ///
    /// With [`InternalCoordinates::log_det`] it gives the change of density from the latent cube
    /// to Cartesian positions. bgflow, which keeps the two azimuths of the orientation in units of
    /// a turn, has `2 ln 2π` more.
    pub fn log_det(&self) -> f64 {
        let [bonds, angles] = self.units();
        let units = bonds.iter().chain(&angles);
        let [_, _, torsions] = self.free();
        units.map(|unit| unit.ln()).sum::<f64>() + torsions as f64 * TAU.ln()
    }

    /// Latent coordinates of a conformation; constrained bonds, position and orientation are
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the numbers of coordinates differ from the reference structure's.
    pub fn to_latent(&self, internal: &InternalCoordinates) -> Result<Vec<f64>> {
        let [_, angles, torsions] = self.free();
        for (what, found, expected) in [
            ("bonds", internal.bonds.len(), self.fixed.len()),
            ("angles", internal.angles.len(), angles),
            ("torsions", internal.torsions.len(), torsions),
        ] {
            expect_length(what, found, expected)?;
        }
        let mut latent = Vec::with_capacity(self.dimension());
        for (k, position) in self.free_bonds().into_iter().enumerate() {
            let offset = internal.bonds[position] - self.bond_centres[k];
            latent.push(0.5 + offset * SPREAD / self.bond_deviations[k]);
        }
        for (k, angle) in internal.angles.iter().enumerate() {
            let offset = angle - self.angle_centres[k];
            latent.push(0.5 + offset * SPREAD / self.angle_deviations[k]);
        }
        latent.extend(internal.torsions.iter().map(|t| (t + PI) / TAU));
        Ok(latent)
    }

    /// The conformation of latent coordinates, with constrained bonds at their lengths, at the
    /// origin and in the orientation `(0, 0.5, 0)` of the paper.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where there are not [`dimension`](Self::dimension) numbers.
    pub fn to_internal(&self, latent: &[f64]) -> Result<InternalCoordinates> {
        expect_length("latent coordinates", latent.len(), self.dimension())?;
        let [free, angles, _] = self.free();
        let bond =
            |k: usize| self.bond_centres[k] + (latent[k] - 0.5) * self.bond_deviations[k] / SPREAD;
        let angle = |k: usize| {
            let offset = (latent[free + k] - 0.5) * self.angle_deviations[k] / SPREAD;
            self.angle_centres[k] + offset
        };
        let mut free_bonds = (0..free).map(bond);
        let bonds = self
            .fixed
            .iter()
            .filter_map(|fixed| fixed.or_else(|| free_bonds.next()))
            .collect();
        Ok(InternalCoordinates {
            bonds,
            angles: (0..angles).map(angle).collect(),
            torsions: latent[free + angles..]
                .iter()
                .map(|u| u * TAU - PI)
                .collect(),
            origin: [0.0; 3],
            orientation: [0.0, 0.5, 0.0],
        })
    }
}
