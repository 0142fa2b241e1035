//! Implicit solvent: generalised Born with OBC2 radii and the ACE surface term.

use super::nonbonded::COULOMB;
use super::scalar::{Scalar, Vec3, add_to, difference, dot, scaled, subtract_from};
use super::system::GeneralizedBorn;

/// What a radius is reduced by where the solvent's edge is meant, nm.
pub(super) const OFFSET: f64 = 0.009;
/// Radius of the solvent probe in the surface term, nm.
const PROBE: f64 = 0.14;

/// An atom in the solvent.
#[derive(Clone, Copy, Debug)]
struct Solute {
    charge: f64,
    /// `R`, nm.
    radius: f64,
    /// `ρ = R − 0.009`, nm.
    reduced: f64,
    /// `scale · ρ`, nm.
    shadow: f64,
    /// `4π γ (R + 0.14)² R⁶`, kJ nm⁶/mol.
    surface: f64,
}

/// Solvation energy `U_pol + U_SA`; the model of Onufriev, Bashford and Case, Proteins 55, 383
/// (2004), with α, β, γ = 1, 0.8, 4.85, in the form of OpenMM's `GBSAOBCForce`.
#[derive(Clone, Debug)]
pub(super) struct Solvent {
    atoms: Vec<Solute>,
    /// `K_e (1/ε_in − 1/ε_out)`, kJ nm/(mol e²).
    screening: f64,
}

/// Intermediate results, kept from one evaluation to the next.
#[derive(Clone, Debug)]
pub(super) struct SolventWorkspace<S> {
    /// Born radii, nm.
    radii: Vec<S>,
    /// `dB_i/d(Σ_j H_ij)`, nm².
    response: Vec<S>,
    /// `∂U/∂B_i`, then `∂U/∂(Σ_j H_ij)`.
    slope: Vec<S>,
    /// For each pair `i < j`: `(∂H_ij/∂r)/r` and `(∂H_ji/∂r)/r`.
    pairs: Vec<[S; 2]>,
}

impl<S: Scalar> SolventWorkspace<S> {
    /// Room for a molecule of this many atoms.
    pub(super) fn new(atoms: usize) -> Self {
        let zero = S::splat(0.0);
        Self {
            radii: vec![zero; atoms],
            response: vec![zero; atoms],
            slope: vec![zero; atoms],
            pairs: vec![[zero; 2]; atoms * atoms.saturating_sub(1) / 2],
        }
    }

    /// The Born radii of the latest evaluation, nm.
    pub(super) fn radii(&self) -> &[S] {
        &self.radii
    }
}

/// `H_ij` and its derivative by `r`, divided by `r`, of an atom of reduced radius `rho` beside one
/// of scaled radius `s`; zero where the second lies inside the first.
///
/// The derivatives by the integration bounds vanish or cancel, so that only the explicit `r`
/// contributes.
#[inline(always)]
fn descreening<S: Scalar>(r: S, inverse: S, rho: f64, s: f64) -> (S, S) {
    let (rho, s) = (S::splat(rho), S::splat(s));
    let zero = S::splat(0.0);
    let reach = r + s;
    let near = (r - s).abs().max(rho);
    let product = (near * reach).recip();
    let lower = reach * product;
    let upper = near * product;
    let squares = (upper - lower) * (upper + lower);
    // near · upper = near/reach, the ratio of the bounds.
    let logarithm = (near * upper).ln();
    let depth = s * s * inverse;
    let quarter = S::splat(0.25) * squares;
    let half = S::splat(0.5) * logarithm * inverse;
    let value = (lower - upper) + quarter * (r - depth) + half;
    let buried = S::splat(2.0) * (rho.recip() - lower);
    let value = value + rho.select_less(s - r, buried, zero);
    let slope = (quarter * (S::splat(1.0) + depth * inverse) - half * inverse) * inverse;
    (
        rho.select_less(reach, value, zero),
        rho.select_less(reach, slope, zero),
    )
}

impl Solvent {
    /// Derives the constants of the model from the parameters.
    pub(super) fn new(born: &GeneralizedBorn) -> Self {
        let atoms = born
            .particles
            .iter()
            .map(|p| {
                let reduced = p.radius - OFFSET;
                Solute {
                    charge: p.charge,
                    radius: p.radius,
                    reduced,
                    shadow: p.scale * reduced,
                    surface: 4.0
                        * std::f64::consts::PI
                        * born.surface_energy
                        * (p.radius + PROBE).powi(2)
                        * p.radius.powi(6),
                }
            })
            .collect();
        Self {
            atoms,
            screening: COULOMB * (born.solute_dielectric.recip() - born.solvent_dielectric.recip()),
        }
    }

    /// Polar and surface energy, kJ/mol; adds the forces, kJ/mol/nm.
    #[inline(always)]
    pub(super) fn add<S: Scalar>(
        &self,
        x: &[Vec3<S>],
        forces: &mut [Vec3<S>],
        work: &mut SolventWorkspace<S>,
    ) -> [S; 2] {
        self.find_radii(x, work);
        let surface = self.add_surface(work);
        let polar = self.add_polar(x, forces, work);
        self.add_descreening(x, forces, work);
        [polar, surface]
    }

    /// Born radii `B = 1/(1/ρ − tanh(Ψ − 0.8 Ψ² + 4.85 Ψ³)/R)` with `Ψ = ρ/2 Σ_j H_ij`.
    #[inline(always)]
    fn find_radii<S: Scalar>(&self, x: &[Vec3<S>], work: &mut SolventWorkspace<S>) {
        let atoms = &self.atoms;
        let integral = &mut work.slope;
        integral.fill(S::splat(0.0));
        let mut pair = 0;
        for (i, a) in atoms.iter().enumerate() {
            for (j, b) in atoms.iter().enumerate().skip(i + 1) {
                let d = difference(x[i], x[j]);
                let r = dot(d, d).sqrt();
                let inverse = r.recip();
                let (value_i, slope_i) = descreening(r, inverse, a.reduced, b.shadow);
                let (value_j, slope_j) = descreening(r, inverse, b.reduced, a.shadow);
                integral[i] += value_i;
                integral[j] += value_j;
                work.pairs[pair] = [slope_i, slope_j];
                pair += 1;
            }
        }
        let one = S::splat(1.0);
        for (i, a) in atoms.iter().enumerate() {
            let half = S::splat(0.5 * a.reduced);
            let psi = half * integral[i];
            let (b, c) = (S::splat(0.8), S::splat(4.85));
            let argument = psi * (one - psi * (b - c * psi));
            let by_psi = one - psi * (S::splat(1.6) - S::splat(14.55) * psi);
            let tanh = one - S::splat(2.0) / ((argument + argument).exp() + one);
            let inverse = S::splat(a.radius.recip());
            let radius = (S::splat(a.reduced.recip()) - tanh * inverse).recip();
            work.radii[i] = radius;
            work.response[i] =
                radius.square() * (one - tanh.square()) * by_psi * inverse * half;
        }
    }

    /// `Σ 4π γ (R + 0.14)² (R/B)⁶`; starts the derivatives by the radii, with the polar self-energy's
    /// left to [`add_polar`](Self::add_polar).
    #[inline(always)]
    fn add_surface<S: Scalar>(&self, work: &mut SolventWorkspace<S>) -> S {
        let mut energy = S::splat(0.0);
        for (i, a) in self.atoms.iter().enumerate() {
            let inverse = work.radii[i].recip();
            let square = inverse * inverse;
            let term = S::splat(a.surface) * square * square * square;
            energy += term;
            work.slope[i] = S::splat(-6.0) * term * inverse;
        }
        energy
    }

    /// `−K_e/2 (1/ε_in − 1/ε_out) Σ_ij q_i q_j/f_ij` with
    /// `f² = r² + B_i B_j exp(−r²/(4 B_i B_j))`: its forces at fixed radii, and its derivatives by
    /// the radii.
    #[inline(always)]
    fn add_polar<S: Scalar>(
        &self,
        x: &[Vec3<S>],
        forces: &mut [Vec3<S>],
        work: &mut SolventWorkspace<S>,
    ) -> S {
        let mut energy = S::splat(0.0);
        let (one, quarter) = (S::splat(1.0), S::splat(0.25));
        for (i, a) in self.atoms.iter().enumerate() {
            let own = S::splat(0.5 * self.screening * a.charge * a.charge) / work.radii[i];
            energy -= own;
            work.slope[i] += own / work.radii[i];
            for (j, b) in self.atoms.iter().enumerate().skip(i + 1) {
                let d = difference(x[i], x[j]);
                let square = dot(d, d);
                let area = work.radii[i] * work.radii[j];
                let depth = quarter * square / area;
                let decay = (-depth).exp();
                let inverse_square = (square + area * decay).recip();
                let term = S::splat(self.screening * a.charge * b.charge) * inverse_square.sqrt();
                energy -= term;
                let slope = term * inverse_square;
                let force = scaled(d, slope * (one - quarter * decay));
                subtract_from(&mut forces[i], force);
                add_to(&mut forces[j], force);
                let by_area = S::splat(0.5) * slope * decay * (one + depth);
                work.slope[i] += by_area * work.radii[j];
                work.slope[j] += by_area * work.radii[i];
            }
        }
        energy
    }

    /// Forces through the radii.
    #[inline(always)]
    fn add_descreening<S: Scalar>(
        &self,
        x: &[Vec3<S>],
        forces: &mut [Vec3<S>],
        work: &mut SolventWorkspace<S>,
    ) {
        let atoms = self.atoms.len();
        for i in 0..atoms {
            work.slope[i] = work.slope[i] * work.response[i];
        }
        let mut pair = 0;
        for i in 0..atoms {
            for j in i + 1..atoms {
                let [slope_i, slope_j] = work.pairs[pair];
                let total = work.slope[i] * slope_i + work.slope[j] * slope_j;
                let force = scaled(difference(x[i], x[j]), total);
                subtract_from(&mut forces[i], force);
                add_to(&mut forces[j], force);
                pair += 1;
            }
        }
    }
}
