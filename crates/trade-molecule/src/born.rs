//! Implicit solvent: generalised Born with OBC2 radii and the ACE surface term.

use super::nonbonded::COULOMB;
use super::scalar::{Scalar, Vec3, add_to, difference, dot, scaled, subtract_from};
use super::system::GeneralizedBorn;

/// What a radius is reduced by where the solvent's edge is meant, nm.
pub(super) const OFFSET: f64 = 0.009;
/// Radius of the solvent probe in the surface term, nm.
const PROBE: f64 = 0.14;

/// `4π γ (R + 0.14)² R⁶`, kJ nm⁶/mol.
pub(super) fn surface(radius: f64, surface_energy: f64) -> f64 {
    4.0 * std::f64::consts::PI * surface_energy * (radius + PROBE).powi(2) * radius.powi(6)
}

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
    /// `1/(2 B_i)`, 1/nm.
    inverse: Vec<S>,
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
            inverse: vec![zero; atoms],
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

/// Bounds of the integral `H_ij` over an atom of scaled radius `s` beside one of reduced radius
/// `rho`: the nearest distance `max(ρ, |r − s|)` and the farthest, `r + s`.
#[inline(always)]
fn bounds<S: Scalar>(r: S, rho: f64, s: f64) -> [S; 2] {
    let s = S::splat(s);
    [(r - s).abs().max(S::splat(rho)), r + s]
}

/// `H_ij` and its derivative by `r`, divided by `r`; zero where the second atom lies inside the
/// first. `product` is one over the product of the bounds, `inverse` is `1/r`.
///
/// The derivatives by the integration bounds vanish or cancel, so that only the explicit `r`
/// contributes.
#[inline(always)]
fn descreening<S: Scalar>(
    [r, inverse]: [S; 2],
    [near, reach]: [S; 2],
    product: S,
    rho: f64,
    s: f64,
) -> (S, S) {
    let (inverse_rho, rho, s) = (S::splat(rho.recip()), S::splat(rho), S::splat(s));
    let zero = S::splat(0.0);
    let lower = reach * product;
    let upper = near * product;
    let squares = (upper - lower) * (upper + lower);
    // near · upper = near/reach, the ratio of the bounds.
    let logarithm = (near * upper).ln();
    let depth = s * s * inverse;
    let quarter = S::splat(0.25) * squares;
    let half = S::splat(0.5) * logarithm * inverse;
    let value = (lower - upper) + quarter * (r - depth) + half;
    let buried = S::splat(2.0) * (inverse_rho - lower);
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
                    surface: surface(p.radius, born.surface_energy),
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
                let of_i = bounds(r, a.reduced, b.shadow);
                let of_j = bounds(r, b.reduced, a.shadow);
                // One division gives three reciprocals.
                let (product_i, product_j) = (of_i[0] * of_i[1], of_j[0] * of_j[1]);
                let both = product_i * product_j;
                let all = (both * r).recip();
                let distance = [r, both * all];
                let inverse_i = product_j * r * all;
                let inverse_j = product_i * r * all;
                let (value_i, slope_i) =
                    descreening(distance, of_i, inverse_i, a.reduced, b.shadow);
                let (value_j, slope_j) =
                    descreening(distance, of_j, inverse_j, b.reduced, a.shadow);
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
            work.inverse[i] = S::splat(0.5) / radius;
            work.response[i] = radius.square() * (one - tanh.square()) * by_psi * inverse * half;
        }
    }

    /// `Σ 4π γ (R + 0.14)² (R/B)⁶`; starts the derivatives by the radii, to which
    /// [`add_polar`](Self::add_polar) adds.
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
                let depth = square * work.inverse[i] * work.inverse[j];
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The function for one distance, with its derivative by it.
    fn at(r: f64, rho: f64, s: f64) -> (f64, f64) {
        let edges = bounds(r, rho, s);
        let product = (edges[0] * edges[1]).recip();
        let (value, slope) = descreening([r, r.recip()], edges, product, rho, s);
        (value, slope * r)
    }

    /// `(1/2π) ∫ d³x/x⁴` over the part of the sphere of radius `s` at distance `r` that is farther
    /// than `rho` from the origin, shell by shell with Simpson's rule.
    fn integral(r: f64, rho: f64, s: f64) -> f64 {
        let share = |t: f64| (s * s - (t - r).powi(2)) / (4.0 * r * t);
        let near = rho.max((r - s).abs());
        let step = (r + s - near) / 4000.0;
        let sum: f64 = (0..=4000)
            .map(|k| {
                let t = near + f64::from(k) * step;
                let weight = if k % 4000 == 0 {
                    1.0
                } else {
                    f64::from(2 + 2 * (k % 2))
                };
                weight * share(t) / (t * t)
            })
            .sum();
        let full = if rho < s - r {
            rho.recip() - (s - r).recip()
        } else {
            0.0
        };
        2.0 * (sum * step / 3.0 + full)
    }

    #[test]
    fn descreening_is_the_integral_in_every_arrangement() {
        for (r, rho, s) in [
            (0.5, 0.12, 0.1),
            (0.15, 0.12, 0.1),
            (0.03, 0.05, 0.12),
            (0.04, 0.06, 0.12),
        ] {
            let (value, slope) = at(r, rho, s);
            let exact = integral(r, rho, s);
            assert!((value - exact).abs() < 1e-9 * exact, "{r}: {value} {exact}");
            let step = 1e-5;
            let numeric = (at(r + step, rho, s).0 - at(r - step, rho, s).0) / (2.0 * step);
            assert!(
                (slope - numeric).abs() < 1e-5 * slope.abs(),
                "{r}: {slope} {numeric}"
            );
        }
        assert_eq!(at(0.05, 0.2, 0.1), (0.0, 0.0));
    }
}
