//! Internal coordinates as the numbers of order one that a flow works on.

use std::f64::consts::{PI, TAU};

use super::internal::{InternalCoordinates, expect_length};
use super::system::Constraint;
use super::zmatrix::ZMatrix;
use crate::Result;

/// Spread of a scaled bond or angle that moves by its standard deviation.
const SPREAD: f64 = 0.1;

/// Affine map between internal coordinates and the latent unit cube, about a reference structure.
///
/// Latent coordinates are (free bonds, angles, torsions): `0.5 + (b − b_ref) 0.1/σ_b`,
/// `0.5 + (θ − θ_ref) 0.1/σ_θ` and `(τ + π)/2π`. Constrained bonds are left out on the way there
/// and take their fixed lengths on the way back. This is the scaling of the paper's alanine
/// dipeptide (arXiv 2410.19492), where `σ_b` = 0.005 nm and `σ_θ` = 0.15 rad.
#[derive(Clone, Debug, PartialEq)]
pub struct InternalScaling {
    /// The fixed length of each bond coordinate, or none where it is free.
    fixed: Vec<Option<f64>>,
    bond_centres: Vec<f64>,
    angle_centres: Vec<f64>,
    bond_deviation: f64,
    angle_deviation: f64,
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
        let bond_centres = centre
            .bonds
            .iter()
            .zip(&fixed)
            .filter_map(|(bond, fixed)| fixed.is_none().then_some(*bond))
            .collect();
        Self {
            fixed,
            bond_centres,
            angle_centres: centre.angles.clone(),
            bond_deviation: Self::BOND_DEVIATION,
            angle_deviation: Self::ANGLE_DEVIATION,
        }
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

    /// What one unit of a latent bond (nm) and of a latent angle (rad) is.
    pub(super) fn units(&self) -> [f64; 2] {
        [self.bond_deviation, self.angle_deviation].map(|deviation| deviation / SPREAD)
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
        let [bonds, angles, torsions] = self.free().map(|n| n as f64);
        bonds * (self.bond_deviation / SPREAD).ln()
            + angles * (self.angle_deviation / SPREAD).ln()
            + torsions * TAU.ln()
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
        for (position, centre) in self.free_bonds().iter().zip(&self.bond_centres) {
            let offset = internal.bonds[*position] - centre;
            latent.push(0.5 + offset * SPREAD / self.bond_deviation);
        }
        for (angle, centre) in internal.angles.iter().zip(&self.angle_centres) {
            latent.push(0.5 + (angle - centre) * SPREAD / self.angle_deviation);
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
        let mut free_bonds = latent[..free]
            .iter()
            .zip(&self.bond_centres)
            .map(|(u, centre)| centre + (u - 0.5) * self.bond_deviation / SPREAD);
        let bonds = self
            .fixed
            .iter()
            .filter_map(|fixed| fixed.or_else(|| free_bonds.next()))
            .collect();
        Ok(InternalCoordinates {
            bonds,
            angles: latent[free..free + angles]
                .iter()
                .zip(&self.angle_centres)
                .map(|(u, centre)| centre + (u - 0.5) * self.angle_deviation / SPREAD)
                .collect(),
            torsions: latent[free + angles..]
                .iter()
                .map(|u| u * TAU - PI)
                .collect(),
            origin: [0.0; 3],
            orientation: [0.0, 0.5, 0.0],
        })
    }
}
