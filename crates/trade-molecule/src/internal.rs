//! Bonds, angles and torsions instead of Cartesian coordinates.

use super::scalar::{Vec3, cross, difference, dot, scaled};
use super::zmatrix::ZMatrix;
use crate::{Error, Result};

/// A conformation in internal coordinates, with its place and orientation in space.
#[derive(Clone, Debug, PartialEq)]
pub struct InternalCoordinates {
    /// Bond lengths, nm, as in [`ZMatrix::bond_pairs`].
    pub bonds: Vec<f64>,
    /// Angles in `[0, π]`, rad, as in [`ZMatrix::angle_triples`].
    pub angles: Vec<f64>,
    /// Torsions in `[−π, π]`, rad, IUPAC sign, one for each row.
    pub torsions: Vec<f64>,
    /// Position of the first base atom, nm.
    pub origin: [f64; 3],
    /// Euler angles `(α, cos β, γ)` of the base in the convention z-x-z.
    pub orientation: [f64; 3],
}

impl InternalCoordinates {
    /// `ln |det ∂x/∂q|` for `q` = (origin, `α`, `cos β`, `γ`, bonds, angles, torsions), in nm and
    /// rad: `Σ_rows (2 ln r + ln sin θ) + 2 ln d_ab + 2 ln d_bc + ln sin θ_abc`.
    ///
    /// Not finite where an angle is 0 or `π`.
    pub fn log_det(&self) -> f64 {
        let bonds: f64 = self.bonds.iter().map(|r| 2.0 * r.ln()).sum();
        let angles: f64 = self.angles.iter().map(|a| a.sin().ln()).sum();
        bonds + angles
    }
}

/// Fails unless a list has the length that it should.
pub(super) fn expect_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::shape(
        what,
        format!("[{expected}]"),
        format!("[{found}]"),
    ))
}

/// `a` at unit length.
fn direction(a: Vec3<f64>) -> Vec3<f64> {
    scaled(a, dot(a, a).sqrt().recip())
}

/// The angle at `j`, in `[0, π]`.
fn angle(i: Vec3<f64>, j: Vec3<f64>, k: Vec3<f64>) -> f64 {
    let (a, b) = (difference(i, j), difference(k, j));
    let normal = cross(a, b);
    dot(normal, normal).sqrt().atan2(dot(a, b))
}

/// The distance of two points.
pub(super) fn distance(i: Vec3<f64>, j: Vec3<f64>) -> f64 {
    let d = difference(i, j);
    dot(d, d).sqrt()
}

/// The torsion `(i, j, k, l)` in `(−π, π]` with the sign of IUPAC.
pub(super) fn torsion(i: Vec3<f64>, j: Vec3<f64>, k: Vec3<f64>, l: Vec3<f64>) -> f64 {
    let (f, g, h) = (difference(i, j), difference(j, k), difference(l, k));
    let (a, b) = (cross(f, g), cross(h, g));
    let length = dot(g, g).sqrt();
    (dot(cross(b, a), g) / length).atan2(dot(a, b))
}

impl ZMatrix {
    /// Internal coordinates of a conformation, `positions` in nm.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of atoms is another.
    pub fn to_internal(&self, positions: &[[f64; 3]]) -> Result<InternalCoordinates> {
        if positions.len() != self.atoms() {
            return Err(Error::shape(
                "positions",
                format!("{} atoms", self.atoms()),
                format!("{} atoms", positions.len()),
            ));
        }
        let x = positions;
        let bonds = self
            .bond_pairs()
            .into_iter()
            .map(|[i, j]| distance(x[i], x[j]));
        let angles = self
            .angle_triples()
            .into_iter()
            .map(|[i, j, k]| angle(x[i], x[j], x[k]));
        let torsions = self
            .rows()
            .iter()
            .map(|r| torsion(x[r.atom], x[r.bond], x[r.angle], x[r.torsion]));

        let [a, b, c] = self.base().map(|atom| x[atom]);
        let up = direction(difference(b, a));
        let across = difference(c, b);
        let across = direction(difference(across, scaled(up, dot(across, up))));
        let aside = cross(up, across);
        // The columns of R = R_z(α) R_x(β) R_z(γ) are `across`, `aside` and `up`.
        Ok(InternalCoordinates {
            bonds: bonds.collect(),
            angles: angles.collect(),
            torsions: torsions.collect(),
            origin: a,
            orientation: [up[0].atan2(-up[1]), up[2], across[2].atan2(aside[2])],
        })
    }

    /// Positions, nm, of a conformation in internal coordinates.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are not as many coordinates as the z-matrix defines.
    pub fn to_cartesian(&self, internal: &InternalCoordinates) -> Result<Vec<[f64; 3]>> {
        let rows = self.rows().len();
        for (what, found, expected) in [
            ("bonds", internal.bonds.len(), rows + 2),
            ("angles", internal.angles.len(), rows + 1),
            ("torsions", internal.torsions.len(), rows),
        ] {
            expect_length(what, found, expected)?;
        }
        let mut x = vec![[0.0; 3]; self.atoms()];
        let [first, second] = [internal.bonds[0], internal.bonds[1]];
        let (sine, cosine) = internal.angles[0].sin_cos();
        let turn = rotation(internal.orientation);
        let place = |p: [f64; 3]| [0, 1, 2].map(|axis| dot(turn[axis], p) + internal.origin[axis]);
        let [a, b, c] = self.base();
        x[a] = internal.origin;
        x[b] = place([0.0, 0.0, first]);
        x[c] = place([second * sine, 0.0, first - second * cosine]);
        for index in self.placement_order() {
            let row = self.rows()[*index];
            let r = internal.bonds[index + 2];
            let (sine, cosine) = internal.angles[index + 1].sin_cos();
            let (sine_torsion, cosine_torsion) = internal.torsions[*index].sin_cos();
            let (j, k, l) = (x[row.bond], x[row.angle], x[row.torsion]);
            let e = direction(difference(j, k));
            let n = direction(cross(difference(k, l), e));
            let m = cross(n, e);
            x[row.atom] = [0, 1, 2].map(|axis| {
                j[axis]
                    + r * (sine * (cosine_torsion * m[axis] + sine_torsion * n[axis])
                        - cosine * e[axis])
            });
        }
        Ok(x)
    }
}

/// The rows of `R_z(α) R_x(β) R_z(γ)`.
fn rotation([alpha, cosine, gamma]: [f64; 3]) -> [[f64; 3]; 3] {
    let sine = (1.0 - cosine * cosine).max(0.0).sqrt();
    let (sa, ca) = alpha.sin_cos();
    let (sg, cg) = gamma.sin_cos();
    [
        [
            ca * cg - sa * cosine * sg,
            -ca * sg - sa * cosine * cg,
            sa * sine,
        ],
        [
            sa * cg + ca * cosine * sg,
            ca * cosine * cg - sa * sg,
            -ca * sine,
        ],
        [sine * sg, sine * cg, cosine],
    ]
}
