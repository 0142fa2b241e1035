//! Reads the parameters of a molecule from OpenMM's `System` XML.

use std::path::Path;

use super::system::{
    Angle, Bond, BornParticle, Constraint, Exception, GeneralizedBorn, Nonbonded,
    NonbondedParticle, System, Torsion,
};
use super::xml::Element;
use crate::{Error, Result};

impl System {
    /// Reads an OpenMM `System` XML file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::File`] as for [`parse`](Self::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Self::parse(&text, path)
    }

    /// Reads an OpenMM `System` from the text of its XML; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::File`] with line and element where the text is no XML, an entry is missing or out
    /// of range, or a force or one of its options is not supported.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let document = roxmltree::Document::parse(text)
            .map_err(|e| Error::file(path, format!("is not valid XML: {e}")))?;
        let root = Element::root(&document, path);
        root.expect_name("System")?;
        let mut system = Self {
            masses: masses(&root.child("Particles")?)?,
            constraints: Vec::new(),
            bonds: Vec::new(),
            angles: Vec::new(),
            torsions: Vec::new(),
            nonbonded: None,
            generalized_born: None,
        };
        for section in root.children() {
            match section.name() {
                "PeriodicBoxVectors" | "Particles" => {}
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
        for element in section.children_named("Constraint")? {
            self.constraints.push(Constraint {
                atoms: element.atoms(self.atoms())?,
                distance: element.positive("d")?,
            });
        }
        Ok(())
    }

    fn add_force(&mut self, force: &Element) -> Result<()> {
        match force.text("type")? {
            "HarmonicBondForce" => self.add_bonds(force),
            "HarmonicAngleForce" => self.add_angles(force),
            "PeriodicTorsionForce" => self.add_torsions(force),
            "NonbondedForce" => self.add_nonbonded(force),
            "GBSAOBCForce" => self.add_generalized_born(force),
            "CMMotionRemover" => Ok(()),
            other => Err(force.fault(format!(
                "force `{other}` is not supported; supported are HarmonicBondForce, \
                 HarmonicAngleForce, PeriodicTorsionForce, NonbondedForce, GBSAOBCForce and \
                 CMMotionRemover"
            ))),
        }
    }

    fn add_bonds(&mut self, force: &Element) -> Result<()> {
        force.expect_zero("usesPeriodic", "periodic boundaries")?;
        for element in force.child("Bonds")?.children_named("Bond")? {
            self.bonds.push(Bond {
                atoms: element.atoms(self.atoms())?,
                length: element.number("d")?,
                stiffness: element.number("k")?,
            });
        }
        Ok(())
    }

    fn add_angles(&mut self, force: &Element) -> Result<()> {
        force.expect_zero("usesPeriodic", "periodic boundaries")?;
        for element in force.child("Angles")?.children_named("Angle")? {
            self.angles.push(Angle {
                atoms: element.atoms(self.atoms())?,
                angle: element.number("a")?,
                stiffness: element.number("k")?,
            });
        }
        Ok(())
    }

    fn add_torsions(&mut self, force: &Element) -> Result<()> {
        force.expect_zero("usesPeriodic", "periodic boundaries")?;
        for element in force.child("Torsions")?.children_named("Torsion")? {
            let periodicity = element.number("periodicity")?;
            if periodicity.fract() != 0.0 || !(1.0..=64.0).contains(&periodicity) {
                return Err(element.fault(format!(
                    "attribute `periodicity` is {periodicity}, not a whole number from 1 to 64"
                )));
            }
            self.torsions.push(Torsion {
                atoms: element.atoms(self.atoms())?,
                periodicity: periodicity as u32,
                phase: element.number("phase")?,
                stiffness: element.number("k")?,
            });
        }
        Ok(())
    }

    fn add_nonbonded(&mut self, force: &Element) -> Result<()> {
        if self.nonbonded.is_some() {
            return Err(force.fault("a second NonbondedForce is not supported"));
        }
        force.expect_zero("method", "a cutoff or periodic electrostatics")?;
        for section in ["GlobalParameters", "ParticleOffsets", "ExceptionOffsets"] {
            force.expect_empty(section)?;
        }
        let mut particles = Vec::with_capacity(self.atoms());
        let list = force.child("Particles")?;
        for element in list.children_named("Particle")? {
            particles.push(NonbondedParticle {
                charge: element.number("q")?,
                sigma: element.number("sig")?,
                epsilon: element.not_negative("eps")?,
            });
        }
        list.expect_count(particles.len(), self.atoms())?;
        let mut exceptions = Vec::new();
        for element in force.child("Exceptions")?.children_named("Exception")? {
            exceptions.push(Exception {
                atoms: element.atoms(self.atoms())?,
                charge_product: element.number("q")?,
                sigma: element.number("sig")?,
                epsilon: element.not_negative("eps")?,
            });
        }
        self.nonbonded = Some(Nonbonded {
            particles,
            exceptions,
        });
        Ok(())
    }

    fn add_generalized_born(&mut self, force: &Element) -> Result<()> {
        if self.generalized_born.is_some() {
            return Err(force.fault("a second GBSAOBCForce is not supported"));
        }
        force.expect_zero("method", "a cutoff")?;
        let mut particles = Vec::with_capacity(self.atoms());
        let list = force.child("Particles")?;
        for element in list.children_named("Particle")? {
            let radius = element.positive("r")?;
            if radius <= super::born::OFFSET {
                return Err(element.fault(format!(
                    "attribute `r` is {radius} nm, not above the offset of the model, 0.009 nm"
                )));
            }
            particles.push(BornParticle {
                charge: element.number("q")?,
                radius,
                scale: element.not_negative("scale")?,
            });
        }
        list.expect_count(particles.len(), self.atoms())?;
        self.generalized_born = Some(GeneralizedBorn {
            particles,
            solute_dielectric: force.positive("soluteDielectric")?,
            solvent_dielectric: force.positive("solventDielectric")?,
            surface_energy: force.number("surfaceAreaEnergy")?,
        });
        Ok(())
    }
}

fn masses(section: &Element) -> Result<Vec<f64>> {
    section
        .children_named("Particle")?
        .iter()
        .map(|particle| {
            if let Some(site) = particle.children().next() {
                return Err(site.fault(format!("virtual site <{}> is not supported", site.name())));
            }
            particle.not_negative("mass")
        })
        .collect()
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
        assert_eq!(system.bonded_pairs().len(), 21);
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
