//! Reads the parameters of a molecule from OpenMM's `System` XML.

use std::f64::consts::{PI, TAU};
use std::path::Path;

use super::system::{
    Angle, Bond, BornParticle, Constraint, Exception, GeneralizedBorn, Nonbonded,
    NonbondedParticle, System, Torsion,
};
use super::xml::Element;
use trade_core::file::text;

use crate::{Error, Result};

/// No particle of a molecule is lighter than this, u.
const LIGHTEST: f64 = 1e-2;

impl System {
    /// Reads an OpenMM `System` XML file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::File`] as for [`parse`](Self::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let text = text(bytes).map_err(|reason| Error::file(path, reason))?;
        Self::parse(&text, path)
    }

    /// Reads an OpenMM `System` from the text of its XML; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::File`] with line and element where the text is no XML, an entry is missing or out
    /// of range, or a force or one of its options is not supported.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let document = roxmltree::Document::parse(text).map_err(|e| {
            let reason = e.to_string().replace(char::is_control, "?");
            Error::file(path, format!("is not valid XML: {reason}"))
        })?;
        let root = Element::root(&document, path);
        root.expect_name("System")?;
        let mut system = Self {
            masses: root.child("Particles")?.list("Particle", mass)?,
            constraints: Vec::new(),
            bonds: Vec::new(),
            angles: Vec::new(),
            torsions: Vec::new(),
            nonbonded: None,
            generalized_born: None,
            cell: None,
        };
        for section in root.children() {
            match section.name() {
                "Particles" => {}
                "PeriodicBoxVectors" => system.cell = cell(&section),
                "Constraints" => system.add_constraints(&section)?,
                "Forces" => {
                    for force in section.children_named("Force")? {
                        system.add_force(&force)?;
                    }
                }
                other => return Err(section.fault(format!("<{other}> is not supported"))),
            }
        }
        Ok(system)
    }

    fn add_constraints(&mut self, section: &Element) -> Result<()> {
        let atoms = self.atoms();
        let mut known = std::collections::HashMap::new();
        self.constraints = section.list("Constraint", |entry| {
            let [i, j] = entry.atoms(atoms)?;
            let distance = entry.positive("d")?;
            match known.insert([i.min(j), i.max(j)], distance) {
                Some(before) => Err(entry.fault(format!(
                    "atoms {i} and {j} are constrained twice, to {before} nm and to {distance} nm; leave one out"
                ))),
                None => Ok(Constraint {
                    atoms: [i, j],
                    distance,
                }),
            }
        })?;
        Ok(())
    }

    fn add_force(&mut self, force: &Element) -> Result<()> {
        let atoms = self.atoms();
        let kind = force.text("type")?;
        match kind {
            "HarmonicBondForce" | "HarmonicAngleForce" | "PeriodicTorsionForce" => {
                force.expect_zero("usesPeriodic", "periodic boundaries")?;
            }
            "NonbondedForce" | "GBSAOBCForce" => {
                force.expect_zero("method", "a cutoff or periodic electrostatics")?;
            }
            _ => {}
        }
        match kind {
            "HarmonicBondForce" => {
                let list = force.child("Bonds")?.list("Bond", |entry| {
                    Ok(Bond {
                        atoms: entry.atoms(atoms)?,
                        length: entry.not_negative("d")?,
                        // A spring that pushes has no density: the energy falls without bound.
                        stiffness: entry.not_negative("k")?,
                    })
                })?;
                self.bonds.extend(list);
            }
            "HarmonicAngleForce" => {
                let list = force.child("Angles")?.list("Angle", |entry| {
                    Ok(Angle {
                        atoms: entry.atoms(atoms)?,
                        angle: entry.radians("a", 0.0, PI)?,
                        stiffness: entry.number("k")?,
                    })
                })?;
                self.angles.extend(list);
            }
            "PeriodicTorsionForce" => {
                let list = force.child("Torsions")?.list("Torsion", |entry| {
                    Ok(Torsion {
                        atoms: entry.atoms(atoms)?,
                        periodicity: periodicity(entry)?,
                        phase: entry.radians("phase", -TAU, TAU)?,
                        stiffness: entry.number("k")?,
                    })
                })?;
                self.torsions.extend(list);
            }
            "NonbondedForce" => {
                first(force, self.nonbonded.is_none())?;
                self.nonbonded = Some(nonbonded(force, atoms)?);
            }
            "GBSAOBCForce" => {
                first(force, self.generalized_born.is_none())?;
                self.generalized_born = Some(born(force, atoms)?);
            }
            "CMMotionRemover" => {}
            other => {
                return Err(force.fault(format!(
                    "force `{other}` is not supported; supported are HarmonicBondForce, \
                     HarmonicAngleForce, PeriodicTorsionForce, NonbondedForce, GBSAOBCForce and \
                     CMMotionRemover; of OpenMM's files for implicit solvent, amber99_obc.xml and its like write \
                     GBSAOBCForce"
                )));
            }
        }
        Ok(())
    }
}

/// Fails unless the force is the first of its type.
fn first(force: &Element, is_first: bool) -> Result<()> {
    if is_first {
        return Ok(());
    }
    Err(force.fault(format!("a second {} is not supported", force.text("type")?)))
}

fn nonbonded(force: &Element, atoms: usize) -> Result<Nonbonded> {
    for section in ["GlobalParameters", "ParticleOffsets", "ExceptionOffsets"] {
        force.expect_empty(section)?;
    }
    let list = force.child("Particles")?;
    let particles = list.list("Particle", |entry| {
        Ok(NonbondedParticle {
            charge: entry.number("q")?,
            sigma: entry.number("sig")?,
            epsilon: entry.not_negative("eps")?,
        })
    })?;
    list.expect_count(particles.len(), atoms)?;
    let exceptions = force.child("Exceptions")?.list("Exception", |entry| {
        Ok(Exception {
            atoms: entry.atoms(atoms)?,
            charge_product: entry.number("q")?,
            sigma: entry.number("sig")?,
            epsilon: entry.not_negative("eps")?,
        })
    })?;
    Ok(Nonbonded {
        particles,
        exceptions,
    })
}

fn born(force: &Element, atoms: usize) -> Result<GeneralizedBorn> {
    let list = force.child("Particles")?;
    let particles = list.list("Particle", |entry| {
        let radius = entry.positive("r")?;
        if radius <= super::born::OFFSET {
            return Err(entry.fault(format!(
                "attribute `r` is {radius} nm, not above the offset of the model, 0.009 nm"
            )));
        }
        Ok(BornParticle {
            charge: entry.number("q")?,
            radius,
            scale: entry.not_negative("scale")?,
        })
    })?;
    list.expect_count(particles.len(), atoms)?;
    Ok(GeneralizedBorn {
        particles,
        solute_dielectric: force.positive("soluteDielectric")?,
        solvent_dielectric: force.positive("solventDielectric")?,
        surface_energy: force.number("surfaceAreaEnergy")?,
    })
}

fn periodicity(entry: &Element) -> Result<u32> {
    let periodicity = entry.number("periodicity")?;
    if periodicity.fract() == 0.0 && (1.0..=64.0).contains(&periodicity) {
        return Ok(periodicity as u32);
    }
    Err(entry.fault(format!(
        "attribute `periodicity` is {periodicity}, not a whole number from 1 to 64"
    )))
}

fn mass(particle: &Element) -> Result<f64> {
    match particle.children().next() {
        Some(site) => Err(site.fault(format!("virtual site <{}> is not supported", site.name()))),
        None => particle.number_that("mass", "0 or a mass in u (dalton)", |m| {
            m == 0.0 || m > LIGHTEST
        }),
    }
}

/// The vectors of the periodic box, nm, if they can be read and the box has a volume.
fn cell(section: &Element) -> Option<[[f64; 3]; 3]> {
    let mut cell = [[0.0; 3]; 3];
    for (k, (row, name)) in cell.iter_mut().zip(["A", "B", "C"]).enumerate() {
        let vector = section.child(name).ok()?;
        for (x, axis) in row.iter_mut().zip(["x", "y", "z"]) {
            *x = vector.number(axis).ok()?;
        }
        if row[k] <= 0.0 {
            return None;
        }
    }
    Some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALANINE: &str = include_str!("../data/alanine/system.xml");

    /// The message for `ALANINE` with `from` replaced by `to` once.
    fn message(from: &str, to: &str) -> String {
        assert!(ALANINE.contains(from), "{from}");
        match System::parse(&ALANINE.replacen(from, to, 1), "broken.xml") {
            Ok(_) => String::from("accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn alanine_is_read_completely() -> Result<()> {
        let system = System::parse(ALANINE, "system.xml")?;
        assert_eq!(system.atoms(), 22);
        assert_eq!(system.constraints.len(), 12);
        assert_eq!(system.bonds.len(), 9);
        assert_eq!(system.angles.len(), 36);
        assert_eq!(system.torsions.len(), 42);
        let nonbonded = system.nonbonded.as_ref().map(|n| n.exceptions.len());
        assert_eq!(nonbonded, Some(98));
        let surface = system.generalized_born.as_ref().map(|g| g.surface_energy);
        assert_eq!(surface, Some(2.25936));
        assert_eq!(system.masses[0], 1.007_947);
        assert_eq!(
            system.constraints[0],
            Constraint {
                atoms: [1, 0],
                distance: 0.109
            }
        );
        Ok(())
    }

    #[test]
    fn other_forces_are_refused_by_name() {
        for name in ["CustomGBForce", "CustomTorsionForce", "MonteCarloBarostat"] {
            let text = message("type=\"GBSAOBCForce\"", &format!("type=\"{name}\""));
            assert!(text.contains("broken.xml: line 235"), "{text}");
            assert!(
                text.contains(&format!("force `{name}` is not supported")),
                "{text}"
            );
        }
        let text = message("type=\"HarmonicAngleForce\"", "type=\"NonbondedForce\"");
        assert!(text.contains("second NonbondedForce"), "{text}");
    }

    #[test]
    fn options_without_support_are_refused() {
        let text = message("method=\"0\" name=\"NonbondedForce\"", "method=\"4\"");
        assert!(
            text.contains("line 106") && text.contains("cutoff"),
            "{text}"
        );
        let text = message("usesPeriodic=\"0\"", "usesPeriodic=\"1\"");
        assert!(
            text.contains("line 47") && text.contains("periodic"),
            "{text}"
        );
        let text = message(
            "<GlobalParameters/>",
            "<GlobalParameters><Parameter default=\"1\" name=\"a\"/></GlobalParameters>",
        );
        assert!(text.contains("<GlobalParameters>"), "{text}");
        let text = message(
            "<Particle mass=\"12.01078\"/>",
            "<Particle mass=\"0\"><TwoParticleAverageSite p1=\"0\"/></Particle>",
        );
        assert!(text.contains("<TwoParticleAverageSite>"), "{text}");
    }

    #[test]
    fn damaged_files_are_named_with_line_and_element() {
        for (from, to, parts) in [
            ("</Forces>", "", &["not valid XML"][..]),
            ("<System", "<State", &["not valid XML"]),
            ("k=\"476976\"", "", &["line", "<Bond>", "`k` is missing"]),
            ("k=\"476976\"", "k=\"stiff\"", &["<Bond>", "`k`", "stiff"]),
            ("k=\"476976\"", "k=\"NaN\"", &["<Bond>", "`k`", "NaN"]),
            (
                "p1=\"4\" p2=\"5\"",
                "p1=\"4\" p2=\"22\"",
                &["<Bond>", "`p2`", "22"],
            ),
            (
                "p1=\"4\" p2=\"5\"",
                "p1=\"4\" p2=\"4\"",
                &["<Bond>", "twice"],
            ),
            (
                "periodicity=\"3\"",
                "periodicity=\"0\"",
                &["<Torsion>", "`periodicity`"],
            ),
            ("d=\".109\"", "d=\"-1\"", &["<Constraint>", "`d`", "-1"]),
            (
                "<Particle mass=\"12.01078\"/>",
                "",
                &["<Constraint>", "`p2`", "21"],
            ),
            (
                "solventDielectric=\"78.3\"",
                "",
                &["<Force>", "`solventDielectric`"],
            ),
            ("<Angles>", "<Angels>", &["not valid XML"]),
        ] {
            let text = message(from, to);
            for part in parts.iter().chain(&["broken.xml"]) {
                assert!(text.contains(part), "{from} -> {to}: {text}");
            }
        }
        let renamed = ALANINE.replace("Angles>", "Angels>");
        let text = System::parse(&renamed, "x").map_or_else(|e| e.to_string(), |_| String::new());
        assert!(
            text.contains("<Angles>") && text.contains("line 262"),
            "{text}"
        );
        let text = System::parse("<State/>", "x").map_or_else(|e| e.to_string(), |_| String::new());
        assert!(
            text.contains("<System>") && text.contains("<State>"),
            "{text}"
        );
        let text = System::read("/nowhere/x.xml").map_or_else(|e| e.to_string(), |_| String::new());
        assert!(text.contains("/nowhere/x.xml"), "{text}");
    }
}
