//! Energy and forces of bonds, angles and torsions.

use super::scalar::{Scalar, Vec3, add_to, cross, difference, dot, scaled, subtract_from};
use super::system::{Angle, Bond, Torsion};

/// Harmonic bonds: `Σ k/2 (r − r₀)²`, kJ/mol; adds the forces, kJ/mol/nm.
#[inline(always)]
pub(super) fn bonds<S: Scalar>(bonds: &[Bond], x: &[Vec3<S>], forces: &mut [Vec3<S>]) -> S {
    let mut energy = S::splat(0.0);
    for bond in bonds {
        let [i, j] = bond.atoms;
        let d = difference(x[i], x[j]);
        let r = dot(d, d).sqrt();
        let stretch = r - S::splat(bond.length);
        let pull = S::splat(bond.stiffness) * stretch;
        energy += S::splat(0.5) * pull * stretch;
        let force = scaled(d, pull / r);
        subtract_from(&mut forces[i], force);
        add_to(&mut forces[j], force);
    }
    energy
}

/// Harmonic angles: `Σ K/2 (θ − θ₀)²`, kJ/mol; adds the forces, kJ/mol/nm.
#[inline(always)]
pub(super) fn angles<S: Scalar>(angles: &[Angle], x: &[Vec3<S>], forces: &mut [Vec3<S>]) -> S {
    let mut energy = S::splat(0.0);
    for angle in angles {
        let [i, j, k] = angle.atoms;
        let a = difference(x[i], x[j]);
        let b = difference(x[k], x[j]);
        let normal = cross(a, b);
        let sine = dot(normal, normal).sqrt();
        let bend = sine.angle_over(dot(a, b)) - S::splat(angle.angle);
        let torque = S::splat(angle.stiffness) * bend;
        energy += S::splat(0.5) * torque * bend;
        // ∂θ/∂a = a × n/(a² |n|). On a line, where the direction is undefined, the force is zero.
        let torque = torque / sine.max(S::splat(1e-12));
        let on_i = scaled(cross(a, normal), torque / dot(a, a));
        let on_k = scaled(cross(normal, b), torque / dot(b, b));
        subtract_from(&mut forces[i], on_i);
        subtract_from(&mut forces[k], on_k);
        add_to(&mut forces[j], on_i);
        add_to(&mut forces[j], on_k);
    }
    energy
}

/// One term `K (1 + cos(n φ − δ))` of a torsion.
#[derive(Clone, Copy, Debug)]
struct Wave {
    stiffness: f64,
    periodicity: u32,
    cosine: f64,
    sine: f64,
}

/// The least square of a normal vector of three atoms, nm⁴.
const LINE: f64 = 1e-24;

/// Periodic torsions, the terms of the same four atoms together.
#[derive(Clone, Debug)]
pub(super) struct Torsions {
    quadruples: Vec<([usize; 4], Vec<Wave>)>,
}

impl Torsions {
    /// Groups the terms by their atoms.
    pub(super) fn new(torsions: &[Torsion]) -> Self {
        let mut quadruples: Vec<([usize; 4], Vec<Wave>)> = Vec::new();
        for torsion in torsions.iter().filter(|t| t.stiffness != 0.0) {
            let wave = Wave {
                stiffness: torsion.stiffness,
                periodicity: torsion.periodicity,
                cosine: torsion.phase.cos(),
                sine: torsion.phase.sin(),
            };
            match quadruples
                .iter_mut()
                .find(|(atoms, _)| *atoms == torsion.atoms)
            {
                Some((_, waves)) => waves.push(wave),
                None => quadruples.push((torsion.atoms, vec![wave])),
            }
        }
        Self { quadruples }
    }

    /// `Σ K (1 + cos(n φ − δ))`, kJ/mol; adds the forces, kJ/mol/nm.
    ///
    /// `cos nφ` and `sin nφ` are powers of `cos φ + i sin φ`, which comes from the positions
    /// without a trigonometric function. The gradient of `φ` is that of Blondel and Karplus, J.
    /// Comput. Chem. 17, 1132 (1996).
    #[inline(always)]
    pub(super) fn add<S: Scalar>(&self, x: &[Vec3<S>], forces: &mut [Vec3<S>]) -> S {
        let mut energy = S::splat(0.0);
        for ([i, j, k, l], waves) in &self.quadruples {
            let f = difference(x[*i], x[*j]);
            let g = difference(x[*j], x[*k]);
            let h = difference(x[*l], x[*k]);
            let (a, b) = (cross(f, g), cross(h, g));
            // About three atoms in a line there is no angle, and nothing turns.
            let least = S::splat(LINE);
            let square = |v: Vec3<S>| {
                let square = dot(v, v);
                square.select_less(least, least, square)
            };
            let (a2, b2, g2) = (square(a), square(b), dot(g, g));
            let length = g2.sqrt();
            let norm = (a2 * b2).sqrt().recip();
            let cosine = dot(a, b) * norm;
            let sine = dot(cross(b, a), g) * norm / length;

            let mut torque = S::splat(0.0);
            for wave in waves {
                let (mut re, mut im) = (cosine, sine);
                for _ in 1..wave.periodicity {
                    (re, im) = (re * cosine - im * sine, im * cosine + re * sine);
                }
                let stiffness = S::splat(wave.stiffness);
                let (c, s) = (S::splat(wave.cosine), S::splat(wave.sine));
                energy += stiffness * (S::splat(1.0) + c * re + s * im);
                torque +=
                    S::splat(wave.stiffness * f64::from(wave.periodicity)) * (s * re - c * im);
            }

            let on_i = scaled(a, -(torque * length / a2));
            let on_l = scaled(b, torque * length / b2);
            // What the outer atoms turn about, the inner ones carry.
            let mut lever = scaled(on_l, dot(h, g) / g2);
            add_to(&mut lever, scaled(on_i, dot(f, g) / g2));
            subtract_from(&mut forces[*i], on_i);
            subtract_from(&mut forces[*l], on_l);
            add_to(&mut forces[*j], on_i);
            add_to(&mut forces[*k], on_l);
            add_to(&mut forces[*j], lever);
            subtract_from(&mut forces[*k], lever);
        }
        energy
    }
}
