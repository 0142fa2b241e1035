//! The potential energy in tensor form: batched, differentiable, on any backend.

use std::collections::BTreeMap;

use burn::tensor::{Int, Tensor, TensorData, backend::Backend};

use super::energy::EnergyTerms;
use super::nonbonded::{COULOMB, combined};
use super::system::{GeneralizedBorn, System};

/// The square of the least distance that is told apart, nm²: closer atoms count as this far, and
/// feel no force. It keeps `r⁻¹²` and its derivative within single precision.
const LEAST_SQUARE: f64 = 9e-6;
/// The least square of a vector product of two bonds, nm⁴.
const LEAST_PRODUCT: f64 = 1e-14;

/// Positions of atoms, nm: one tensor `[n, atoms]` for each axis.
pub type Positions<B> = [Tensor<B, 2>; 3];

/// A row of constants in the precision and on the device of `like`, `[1, len]`.
pub(super) fn row<B: Backend>(values: &[f64], like: &Tensor<B, 2>) -> Tensor<B, 2> {
    let data = TensorData::new(values.to_vec(), [1, values.len()]);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// Columns of a tensor, by their numbers.
pub(super) fn columns<B: Backend>(x: &Tensor<B, 2>, numbers: &[usize]) -> Tensor<B, 2> {
    let numbers: Vec<i32> = numbers
        .iter()
        .map(|i| i32::try_from(*i).unwrap_or(i32::MAX))
        .collect();
    let length = numbers.len();
    let index = TensorData::new(numbers, [length]);
    x.clone()
        .select(1, Tensor::<B, 1, Int>::from_data(index, &x.device()))
}

/// The given atoms of each.
pub(super) fn atoms<B: Backend>(x: &Positions<B>, numbers: &[usize]) -> Positions<B> {
    [0, 1, 2].map(|axis| columns(&x[axis], numbers))
}

pub(super) fn difference<B: Backend>(a: &Positions<B>, b: &Positions<B>) -> Positions<B> {
    [0, 1, 2].map(|axis| a[axis].clone() - b[axis].clone())
}

pub(super) fn dot<B: Backend>(a: &Positions<B>, b: &Positions<B>) -> Tensor<B, 2> {
    let [x, y, z] = [0, 1, 2].map(|axis| a[axis].clone() * b[axis].clone());
    x + y + z
}

pub(super) fn cross<B: Backend>(a: &Positions<B>, b: &Positions<B>) -> Positions<B> {
    [(1, 2), (2, 0), (0, 1)].map(|(i, j)| a[i].clone() * b[j].clone() - a[j].clone() * b[i].clone())
}

fn distance<B: Backend>(a: &Positions<B>, b: &Positions<B>) -> Tensor<B, 2> {
    let d = difference(a, b);
    dot(&d, &d).clamp_min(LEAST_SQUARE).sqrt()
}

fn sum<B: Backend>(terms: Tensor<B, 2>) -> Tensor<B, 1> {
    terms.sum_dim(1).squeeze_dim(1)
}

/// `U(x)` of a [`System`] in plain tensor operations, differentiable in the positions by Burn.
///
/// The formulas are those of [`PotentialEnergy`](super::PotentialEnergy). Distances, and the vector
/// products of bonds on a line, are clipped before the formulas, so that values and gradients are
/// finite for all finite positions, in single precision too.
#[derive(Clone, Debug)]
pub struct TensorEnergy {
    /// Pairs of the harmonic bonds, with lengths and stiffnesses.
    bonds: Parameters<2, 2>,
    /// Triples, with angles and stiffnesses.
    angles: Parameters<3, 2>,
    /// Quadruples of the torsions, and for each periodicity `K cos δ` and `K sin δ`.
    quadruples: Vec<[usize; 4]>,
    waves: BTreeMap<u32, [Vec<f64>; 2]>,
    /// `Σ K` of the torsions.
    offset: f64,
    /// Pairs with charge product, repulsion and attraction.
    pairs: Parameters<2, 3>,
    solvent: Option<Solvent>,
}

/// Tuples of atoms and their parameters, each kind in a list.
#[derive(Clone, Debug)]
struct Parameters<const N: usize, const P: usize> {
    atoms: [Vec<usize>; N],
    values: [Vec<f64>; P],
}

impl<const N: usize, const P: usize> Parameters<N, P> {
    fn new(terms: impl IntoIterator<Item = ([usize; N], [f64; P])>) -> Self {
        let mut out = Self {
            atoms: std::array::from_fn(|_| Vec::new()),
            values: std::array::from_fn(|_| Vec::new()),
        };
        for (atoms, values) in terms {
            for (list, atom) in out.atoms.iter_mut().zip(atoms) {
                list.push(atom);
            }
            for (list, value) in out.values.iter_mut().zip(values) {
                list.push(value);
            }
        }
        out
    }

    fn is_empty(&self) -> bool {
        self.atoms[0].is_empty()
    }
}

impl TensorEnergy {
    /// Prepares the parameters of a system.
    pub fn new(system: &System) -> Self {
        let bonds = system.bonds.iter();
        let angles = system.angles.iter();
        let mut quadruples: Vec<[usize; 4]> = system.torsions.iter().map(|t| t.atoms).collect();
        quadruples.sort_unstable();
        quadruples.dedup();
        let mut waves = BTreeMap::new();
        for torsion in &system.torsions {
            let zeros = || vec![0.0; quadruples.len()];
            let [re, im] = waves
                .entry(torsion.periodicity)
                .or_insert_with(|| [zeros(), zeros()]);
            if let Ok(place) = quadruples.binary_search(&torsion.atoms) {
                re[place] += torsion.stiffness * torsion.phase.cos();
                im[place] += torsion.stiffness * torsion.phase.sin();
            }
        }
        let pairs = system.nonbonded.iter().flat_map(combined);
        Self {
            bonds: Parameters::new(bonds.map(|b| (b.atoms, [b.length, b.stiffness]))),
            angles: Parameters::new(angles.map(|a| (a.atoms, [a.angle, a.stiffness]))),
            quadruples,
            waves,
            offset: system.torsions.iter().map(|t| t.stiffness).sum(),
            pairs: Parameters::new(pairs),
            solvent: system.generalized_born.as_ref().map(Solvent::new),
        }
    }

    /// Energies in kJ/mol, `[n]` each.
    pub fn terms<B: Backend>(&self, x: &Positions<B>) -> EnergyTerms<Tensor<B, 1>> {
        let zero = || {
            x[0].clone()
                .narrow(1, 0, 1)
                .squeeze_dim::<1>(1)
                .zeros_like()
        };
        let [solvent_polar, solvent_surface] = match &self.solvent {
            Some(solvent) => solvent.terms(x),
            None => [zero(), zero()],
        };
        EnergyTerms {
            bonds: self.bond_terms(x).unwrap_or_else(zero),
            angles: self.angle_terms(x).unwrap_or_else(zero),
            torsions: self.torsion_terms(x).unwrap_or_else(zero),
            nonbonded: self.pair_terms(x).unwrap_or_else(zero),
            solvent_polar,
            solvent_surface,
        }
    }

    /// `U(x)` in kJ/mol, `[n]`.
    pub fn energy<B: Backend>(&self, x: &Positions<B>) -> Tensor<B, 1> {
        let terms = self.terms(x);
        terms.bonds
            + terms.angles
            + terms.torsions
            + terms.nonbonded
            + terms.solvent_polar
            + terms.solvent_surface
    }

    fn bond_terms<B: Backend>(&self, x: &Positions<B>) -> Option<Tensor<B, 1>> {
        let Parameters {
            atoms: list,
            values,
        } = &self.bonds;
        (!self.bonds.is_empty()).then(|| {
            let r = distance(&atoms(x, &list[0]), &atoms(x, &list[1]));
            let stretch = r - row(&values[0], &x[0]);
            sum(stretch.square() * row(&values[1], &x[0])).mul_scalar(0.5)
        })
    }

    fn angle_terms<B: Backend>(&self, x: &Positions<B>) -> Option<Tensor<B, 1>> {
        let Parameters {
            atoms: list,
            values,
        } = &self.angles;
        (!self.angles.is_empty()).then(|| {
            let [i, j, k] = [0, 1, 2].map(|end| atoms(x, &list[end]));
            let (a, b) = (difference(&i, &j), difference(&k, &j));
            let normal = cross(&a, &b);
            let sine = dot(&normal, &normal).clamp_min(LEAST_PRODUCT).sqrt();
            // θ = π/2 − atan(cot θ), which is smooth from 0 to π.
            let angle = (dot(&a, &b) / sine)
                .atan()
                .neg()
                .add_scalar(std::f64::consts::FRAC_PI_2);
            let bend = angle - row(&values[0], &x[0]);
            sum(bend.square() * row(&values[1], &x[0])).mul_scalar(0.5)
        })
    }

    fn torsion_terms<B: Backend>(&self, x: &Positions<B>) -> Option<Tensor<B, 1>> {
        let most = *self.waves.keys().last()?;
        let corner = |at: usize| {
            let list: Vec<usize> = self.quadruples.iter().map(|q| q[at]).collect();
            atoms(x, &list)
        };
        let [i, j, k, l] = [0, 1, 2, 3].map(corner);
        let (f, g, h) = (difference(&i, &j), difference(&j, &k), difference(&l, &k));
        let (a, b) = (cross(&f, &g), cross(&h, &g));
        let length = |v: &Positions<B>, least: f64| dot(v, v).clamp_min(least).sqrt();
        let norm = length(&a, LEAST_PRODUCT) * length(&b, LEAST_PRODUCT);
        let cosine = dot(&a, &b) / norm.clone();
        let sine = dot(&cross(&b, &a), &g) / (norm * length(&g, LEAST_SQUARE));
        let (mut re, mut im) = (cosine.clone(), sine.clone());
        let mut total: Option<Tensor<B, 1>> = None;
        for periodicity in 1..=most {
            if periodicity > 1 {
                (re, im) = (
                    re.clone() * cosine.clone() - im.clone() * sine.clone(),
                    im * cosine.clone() + re * sine.clone(),
                );
            }
            if let Some([by_re, by_im]) = self.waves.get(&periodicity) {
                let term = re.clone() * row(by_re, &x[0]) + im.clone() * row(by_im, &x[0]);
                let term = sum(term);
                total = Some(match total {
                    Some(total) => total + term,
                    None => term,
                });
            }
        }
        total.map(|total| total.add_scalar(self.offset))
    }

    fn pair_terms<B: Backend>(&self, x: &Positions<B>) -> Option<Tensor<B, 1>> {
        let Parameters {
            atoms: list,
            values,
        } = &self.pairs;
        (!self.pairs.is_empty()).then(|| {
            let d = difference(&atoms(x, &list[0]), &atoms(x, &list[1]));
            let inverse_square = dot(&d, &d).clamp_min(LEAST_SQUARE).recip();
            let sixth = inverse_square.clone().square() * inverse_square.clone();
            let [charge, repulsion, attraction] = [0, 1, 2].map(|p| row(&values[p], &x[0]));
            sum(charge * inverse_square.sqrt() + (repulsion * sixth.clone() - attraction) * sixth)
        })
    }
}

/// Implicit solvent; see the host form for the model.
#[derive(Clone, Debug)]
struct Solvent {
    charges: Vec<f64>,
    radii: Vec<f64>,
    reduced: Vec<f64>,
    shadows: Vec<f64>,
    surfaces: Vec<f64>,
    screening: f64,
    /// All pairs `i < j`.
    pairs: [Vec<usize>; 2],
}

impl Solvent {
    fn new(born: &GeneralizedBorn) -> Self {
        let all = || born.particles.iter();
        let n = born.particles.len();
        let pairs = || (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        Self {
            charges: all().map(|p| p.charge).collect(),
            radii: all().map(|p| p.radius).collect(),
            reduced: all().map(|p| p.radius - super::born::OFFSET).collect(),
            shadows: all()
                .map(|p| p.scale * (p.radius - super::born::OFFSET))
                .collect(),
            surfaces: all()
                .map(|p| super::born::surface(p.radius, born.surface_energy))
                .collect(),
            screening: COULOMB * (born.solute_dielectric.recip() - born.solvent_dielectric.recip()),
            pairs: [
                pairs().map(|p| p.0).collect(),
                pairs().map(|p| p.1).collect(),
            ],
        }
    }

    /// Polar and surface energy.
    fn terms<B: Backend>(&self, x: &Positions<B>) -> [Tensor<B, 1>; 2] {
        let [i, j] = &self.pairs;
        let like = &x[0];
        let d = difference(&atoms(x, i), &atoms(x, j));
        let square = dot(&d, &d).clamp_min(LEAST_SQUARE);
        let born = self.born_radii(&square.clone().sqrt());
        let area = columns(&born, i) * columns(&born, j);
        let depth = square.clone() / area.clone().mul_scalar(4.0);
        let inverse = (square + area * depth.neg().exp()).sqrt().recip();
        let products: Vec<f64> = i
            .iter()
            .zip(j)
            .map(|(i, j)| -self.screening * self.charges[*i] * self.charges[*j])
            .collect();
        let own: Vec<f64> = self
            .charges
            .iter()
            .map(|q| -0.5 * self.screening * q * q)
            .collect();
        let inverse_radii = born.recip();
        let polar =
            sum(inverse * row(&products, like)) + sum(inverse_radii.clone() * row(&own, like));
        let cube = inverse_radii.clone().square() * inverse_radii;
        [polar, sum(cube.square() * row(&self.surfaces, like))]
    }

    /// Born radii from the distances of all pairs, `[n, pairs]` → `[n, atoms]`.
    fn born_radii<B: Backend>(&self, r: &Tensor<B, 2>) -> Tensor<B, 2> {
        let [i, j] = &self.pairs;
        let of = |list: &[f64], which: &[usize]| which.iter().map(|a| list[*a]).collect::<Vec<_>>();
        // H_ij of all pairs, then H_ji.
        let rho = [of(&self.reduced, i), of(&self.reduced, j)].concat();
        let shadow = [of(&self.shadows, j), of(&self.shadows, i)].concat();
        let r = Tensor::cat(vec![r.clone(), r.clone()], 1);
        let inverse_rho: Vec<f64> = rho.iter().map(|r| r.recip()).collect();
        let [rho, s, inverse_rho] = [rho, shadow, inverse_rho].map(|values| row(&values, &r));
        let [n, ordered] = r.dims();
        let near = (r.clone() - s.clone())
            .abs()
            .max_pair(rho.clone().expand([n, ordered]));
        let reach = r.clone() + s.clone();
        let (lower, upper) = (near.recip(), reach.clone().recip());
        let squares = (upper.clone() - lower.clone()) * (upper.clone() + lower.clone());
        let depth = s.clone().square() / r.clone();
        let logarithm = (upper.clone() / lower.clone()).log();
        let value = lower.clone() - upper
            + squares.mul_scalar(0.25) * (r.clone() - depth)
            + logarithm.mul_scalar(0.5) / r.clone();
        let buried = (inverse_rho - lower).mul_scalar(2.0);
        let value = value + buried.mask_fill(rho.clone().greater_equal(s - r.clone()), 0.0);
        let value = value.mask_fill(rho.greater_equal(reach), 0.0);

        let atoms = self.radii.len();
        let mut gather = vec![0.0; ordered * atoms];
        for (pair, atom) in i.iter().chain(j).enumerate() {
            gather[pair * atoms + atom] = 1.0;
        }
        let gather = TensorData::new(gather, [ordered, atoms]);
        let gather = Tensor::from_data(gather, (&r.device(), r.dtype()));
        let half: Vec<f64> = self.reduced.iter().map(|rho| 0.5 * rho).collect();
        let psi = value.matmul(gather) * row(&half, &r);
        let cubic = psi.clone().mul_scalar(4.85).sub_scalar(0.8) * psi.clone();
        let tanh = (psi * cubic.add_scalar(1.0)).tanh();
        let inverse = |list: &[f64]| {
            let inverse: Vec<f64> = list.iter().map(|r| r.recip()).collect();
            row(&inverse, &r)
        };
        (inverse(&self.reduced) - tanh * inverse(&self.radii)).recip()
    }
}
