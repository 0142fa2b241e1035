//! Files that do not fit each other, and frames that do not fit the molecule.

use std::fmt::Write as _;
use std::path::Path;

use trade_data::Array;

use super::super::{ChemicalElement, Molecule, MoleculeConfig, Topology, dynamics};
use super::{Checked, PDB, SYSTEM, conformations, vectors};

type Positions = Vec<[f64; 3]>;

/// The molecule of these files.
fn molecule(system: &str, pdb: &str) -> Result<Molecule, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    molecule_in(folder.path(), system, pdb)
}

fn molecule_in(folder: &Path, system: &str, pdb: &str) -> Result<Molecule, String> {
    let paths = ["system.xml", "x.pdb"].map(|name| folder.join(name));
    for (path, text) in paths.iter().zip([system, pdb]) {
        std::fs::write(path, text).map_err(|e| e.to_string())?;
    }
    let [system, pdb] = paths;
    let config = MoleculeConfig::new(system, pdb, 600.0);
    config.init().map_err(|e| e.to_string())
}

/// The message of a molecule that must be refused, with all of `parts`.
fn refused(system: &str, pdb: &str, parts: &[&str]) {
    let message = molecule(system, pdb).map_or_else(|e| e, |_| "accepted".into());
    for part in parts {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// The System with one more force.
fn with_force(kind: &str, entries: &str) -> String {
    let list = kind
        .replace("Harmonic", "")
        .replace("Periodic", "")
        .replace("Force", "s");
    let force = format!("<Force type=\"{kind}\"><{list}>{entries}</{list}></Force></Forces>");
    SYSTEM.replacen("</Forces>", &force, 1)
}

/// The PDB file with each position (ångström) changed.
fn moved(change: impl Fn(usize, [f64; 3]) -> [f64; 3]) -> String {
    let mut atom = 0;
    let mut text = String::new();
    for line in PDB.lines() {
        if !line.starts_with("ATOM") {
            continue;
        }
        let column = |k: usize| {
            line[30 + 8 * k..38 + 8 * k]
                .trim()
                .parse()
                .unwrap_or(f64::NAN)
        };
        let [x, y, z] = change(atom, [column(0), column(1), column(2)]);
        let (before, after) = (&line[..30], &line[54..]);
        let _ = writeln!(text, "{before}{x:8.3}{y:8.3}{z:8.3}{after}");
        atom += 1;
    }
    text
}

/// Frames of molecular dynamics.
fn frames() -> Result<Vec<Positions>, Box<dyn std::error::Error>> {
    let list = conformations(super::ENERGIES)?;
    let of_md = list.iter().filter(|c| {
        let label = c["label"].as_str().unwrap_or_default();
        label.contains("MD") || label.contains("replica")
    });
    Ok(of_md
        .map(|c| vectors(c, "positions_nm"))
        .collect::<Result<_, _>>()?)
}

fn array(frames: &[Positions]) -> Result<Array, Box<dyn std::error::Error>> {
    let flat = frames.concat().into_flattened();
    Ok(Array::new([frames.len(), 22, 3], flat)?)
}

#[test]
fn constraints_without_a_coordinate_are_refused() {
    // Two hydrogens of a methyl group, and the ends of an angle of heavy atoms.
    for (i, j, names) in [
        (0, 2, ["HH31 of ACE 1", "HH32 of ACE 1"]),
        (1, 5, ["CH3", "O of ACE"]),
    ] {
        let constraint = format!("<Constraint d=\".178\" p1=\"{i}\" p2=\"{j}\"/></Constraints>");
        let system = SYSTEM.replacen("</Constraints>", &constraint, 1);
        refused(
            &system,
            PDB,
            &["constrained to 0.1780 nm", names[0], names[1], "HBonds"],
        );
    }
}

#[test]
fn springs_that_are_no_bonds_are_energies_alone() -> Checked {
    let plain = molecule(SYSTEM, PDB)?;
    assert!(plain.warnings().is_empty(), "{:?}", plain.warnings());
    // Urey–Bradley terms, a restraint over the chain, a hydrogen bond, and one that wants the length
    // of a bond from atoms that are far apart.
    let springs = "<Bond d=\".218\" k=\"9000\" p1=\"1\" p2=\"6\"/>\
                   <Bond d=\".178\" k=\"9000\" p1=\"0\" p2=\"2\"/>\
                   <Bond d=\".55\" k=\"500\" p1=\"1\" p2=\"18\"/>\
                   <Bond d=\".2\" k=\"500\" p1=\"5\" p2=\"17\"/>\
                   <Bond d=\"0\" k=\"500\" p1=\"4\" p2=\"14\"/>\
                   <Bond d=\".15\" k=\"500\" p1=\"1\" p2=\"10\"/>";
    let in_the_first = SYSTEM.replacen("<Bonds>", &format!("<Bonds>{springs}"), 1);
    let frame = array(&frames()?[..1])?;
    let state = plain.states_of(&frame)?;
    let energy = plain.energies(&state)?.energy[0];
    let x = plain.positions(&state)?;
    let spring = |i: usize, j: usize, r0: f64, k: f64| {
        let square: f64 = (0..3).map(|axis| (x[i][axis] - x[j][axis]).powi(2)).sum();
        0.5 * k * (square.sqrt() - r0).powi(2)
    };
    let more = spring(1, 6, 0.218, 9000.0)
        + spring(0, 2, 0.178, 9000.0)
        + spring(1, 18, 0.55, 500.0)
        + spring(5, 17, 0.2, 500.0)
        + spring(4, 14, 0.0, 500.0)
        + spring(1, 10, 0.15, 500.0);
    for system in [with_force("HarmonicBondForce", springs), in_the_first] {
        let found = molecule(&system, PDB)?;
        assert_eq!(found.z_matrix(), plain.z_matrix());
        assert_eq!(found.dimension(), plain.dimension());
        let got = found.energies(&state)?.energy[0];
        assert!(
            (got - energy - more).abs() < 1e-6 * more,
            "{got} {energy} {more}"
        );
    }
    Ok(())
}

#[test]
fn atoms_in_another_order_are_named() {
    let mut lines: Vec<&str> = PDB.lines().filter(|l| l.starts_with("ATOM")).collect();
    lines.swap(4, 9);
    refused(
        SYSTEM,
        &lines.join("\n"),
        &["atom 4 (HA of ALA 2)", "is H by the file", "says C"],
    );
    // By the element alone.
    let stated = |k: usize| ["C", "H"][usize::from(k == 4)];
    let lines = PDB.lines().filter(|l| l.starts_with("ATOM")).enumerate();
    let elements: Vec<String> = lines
        .map(|(k, l)| format!("{} X1 {}           {}", &l[..12], &l[16..66], stated(k)))
        .collect();
    let elements = elements.join("\n");
    refused(SYSTEM, &elements, &["by the file", "other atoms", "order"]);
    // Two carbons for each other have the right masses, but their bonds are too long.
    let mut lines: Vec<&str> = PDB.lines().filter(|l| l.starts_with("ATOM")).collect();
    lines.swap(1, 18);
    refused(SYSTEM, &lines.join("\n"), &["bonded at", "lie", "order"]);
    refused(SYSTEM, &lines[1..].join("\n"), &["21 atoms", "22"]);
    // Two hydrogens for each other would make the other enantiomer.
    let mut lines: Vec<&str> = PDB.lines().filter(|l| l.starts_with("ATOM")).collect();
    let place = |name: &str| {
        lines
            .iter()
            .position(|l| l[12..16].trim() == name && l[17..20] == *"ALA")
    };
    let (Some(alpha), Some(beta)) = (place("HA"), place("HB1")) else {
        panic!("no such hydrogens");
    };
    lines.swap(alpha, beta);
    refused(SYSTEM, &lines.join("\n"), &["bonded at 0.1", "order"]);
}

#[test]
fn what_a_flow_cannot_move_or_see_is_named() {
    let (before, rest) = SYSTEM.split_once("mass=\"").expect("masses");
    let (_, after) = rest.split_once('"').expect("a mass");
    let frozen = format!("{before}mass=\"0\"{after}");
    refused(&frozen, PDB, &["atom 0", "has no mass", "held in place"]);
    let (_, rest) = SYSTEM.split_once("<Constraint ").expect("constraints");
    let (entry, _) = rest.split_once("/>").expect("a constraint");
    let twice = format!("<Constraints><Constraint {entry}/>");
    let twice = SYSTEM.replacen("<Constraints>", &twice, 1);
    refused(&twice, PDB, &["constrained twice"]);
    // Torsions that add 20 000 kJ/mol to every conformation, of which 1000 k_B T are seen.
    let torsion = |phase: f64| {
        format!(
            "<Torsion k=\"10000\" p1=\"0\" p2=\"1\" p3=\"4\" p4=\"6\" periodicity=\"1\" phase=\"{phase}\"/>"
        )
    };
    let constant = [0.0, std::f64::consts::PI].map(torsion).concat();
    let constant = with_force("PeriodicTorsionForce", &constant);
    refused(&constant, PDB, &["linear_up_to", "would be flat"]);
}

#[test]
fn masses_moved_to_hydrogens_are_understood() -> Checked {
    // Four units of mass for each hydrogen, from its neighbour.
    let plain = molecule(SYSTEM, PDB)?;
    let mut masses = plain.system().masses.clone();
    for constraint in &plain.system().constraints {
        let [i, j] = constraint.atoms;
        let (light, heavy) = if masses[i] < 2.0 { (i, j) } else { (j, i) };
        masses[heavy] -= 4.0 - masses[light];
        masses[light] = 4.0;
    }
    let particle = |mass: &f64| format!("<Particle mass=\"{mass}\"/>");
    let list: Vec<String> = masses.iter().map(particle).collect();
    let list = list.concat();
    let (before, rest) = SYSTEM.split_once("<Particles>").ok_or("no particles")?;
    let (_, after) = rest.split_once("</Particles>").ok_or("no particles")?;
    let heavy = format!("{before}<Particles>{list}</Particles>{after}");
    let found = molecule(&heavy, PDB)?;
    assert_eq!(found.z_matrix(), plain.z_matrix());
    let elements =
        |m: &Molecule| -> Vec<_> { m.topology().atoms.iter().map(|a| a.element).collect() };
    assert_eq!(elements(&found), elements(&plain));
    assert!(elements(&found).iter().all(Option::is_some));
    Ok(())
}

/// United atoms of butane whose masses are whole numbers: that of CH₂ is nearly nitrogen's.
#[test]
fn united_atoms_are_carbons() -> Checked {
    let list = |masses: [f64; 4]| masses.map(|m| format!("<Particle mass=\"{m}\"/>")).concat();
    let bond = |i| format!("<Bond d=\"0.153\" k=\"2e5\" p1=\"{i}\" p2=\"{}\"/>", i + 1);
    let angle = |i| {
        let (j, k) = (i + 1, i + 2);
        format!("<Angle a=\"1.95\" k=\"500\" p1=\"{i}\" p2=\"{j}\" p3=\"{k}\"/>")
    };
    let system = |masses| {
        format!(
            "<System type=\"System\" version=\"1\"><Particles>{}</Particles><Constraints/><Forces>\
             <Force type=\"HarmonicBondForce\"><Bonds>{}</Bonds></Force>\
             <Force type=\"HarmonicAngleForce\"><Angles>{}</Angles></Force>\
             <Force type=\"PeriodicTorsionForce\"><Torsions><Torsion p1=\"0\" p2=\"1\" p3=\"2\" p4=\"3\" \
             periodicity=\"3\" phase=\"0\" k=\"6\"/></Torsions></Force></Forces></System>",
            list(masses),
            [0, 1, 2].map(bond).concat(),
            [0, 1].map(angle).concat(),
        )
    };
    let places = [[0.0, 0.0], [1.42, 0.57], [2.84, 0.0], [4.26, 0.57]];
    let mut pdb = String::new();
    for (atom, [x, y]) in places.iter().enumerate() {
        let serial = atom + 1;
        let z = 0.1 * atom as f64;
        let _ = writeln!(
            pdb,
            "ATOM  {serial:5}  C{serial}  BUT A   1    {x:8.3}{y:8.3}{z:8.3}  1.00  0.00           C"
        );
    }
    let butane = molecule(&system([15.0, 14.0, 14.0, 15.0]), &pdb)?;
    let carbon = |a: &super::super::Atom| a.element == Some(ChemicalElement::CARBON);
    assert!(butane.topology().atoms.iter().all(carbon));
    // The mass of nitrogen itself contradicts the file.
    refused(
        &system([15.0, 14.0067, 14.0, 15.0]),
        &pdb,
        &["C2 of BUT", "says N"],
    );
    Ok(())
}

#[test]
fn positions_in_another_unit_or_place_are_refused() {
    refused(
        SYSTEM,
        &moved(|_, x| x.map(|x| 0.1 * x)),
        &["do not look like ångström"],
    );
    refused(
        SYSTEM,
        &moved(|_, x| x.map(|x| 0.3 * x)),
        &["bonded at", "apart"],
    );
    refused(
        SYSTEM,
        &moved(|_, x| x.map(|x| 10.0 * x)),
        &["do not look like ångström"],
    );
    refused(
        SYSTEM,
        &moved(|k, x| if k == 3 { [3.225, 27.427, 2.566] } else { x }),
        &["atom 0 (HH31 of ACE 1) and atom 3 (HH33 of ACE 1) overlap"],
    );
}

#[test]
fn structures_of_another_size_and_loose_atoms_are_named() -> Checked {
    // Bohr for ångström.
    let bohr = moved(|_, x| x.map(|x| 1.8897 * x));
    refused(SYSTEM, &bohr, &["x.pdb", "1.89 times", "ångström"]);
    // Without its constraint a hydrogen is tied to nothing.
    let at = SYSTEM.find("<Constraint ").ok_or("no constraint")?;
    let end = at + SYSTEM[at..].find("/>").ok_or("no end")? + 2;
    let loose = format!("{}{}", &SYSTEM[..at], &SYSTEM[end..]);
    let folder = tempfile::tempdir()?;
    let paths = ["system.xml", "x.pdb"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], loose)?;
    std::fs::write(&paths[1], PDB)?;
    let (start, _) = dynamics::Molecule::read(&paths[0], &paths[1])?;
    let warnings = start.warnings().concat();
    assert!(
        warnings.contains("is bonded to no atom before it"),
        "{warnings}"
    );
    Ok(())
}

#[test]
fn systems_without_a_density_or_in_another_unit_of_mass_are_refused() {
    let pushed = with_force(
        "HarmonicBondForce",
        r#"<Bond p1="0" p2="9" d="0.3" k="-50"/>"#,
    );
    refused(&pushed, PDB, &["`k`", "-50"]);
    let at = SYSTEM.find("mass=\"").map_or(0, |at| at + 6);
    let end = at + SYSTEM[at..].find('"').unwrap_or(0);
    let kilograms = format!("{}1e-27{}", &SYSTEM[..at], &SYSTEM[end..]);
    refused(&kilograms, PDB, &["`mass`", "dalton"]);
}

#[test]
fn systems_in_another_unit_are_refused() {
    let mut system = SYSTEM.to_owned();
    for (from, to) in [("d=\".109\"", "d=\"1.09\""), ("d=\".101\"", "d=\"1.01\"")] {
        system = system.replace(from, to);
    }
    for length in [".1522", ".1229", ".1335", ".1449", ".1526"] {
        let tenfold = length.parse::<f64>().map_or(0.0, |x| 10.0 * x);
        system = system.replace(&format!("d=\"{length}\""), &format!("d=\"{tenfold}\""));
    }
    refused(&system, PDB, &["system.xml", "ångström"]);
    let degrees = with_force(
        "HarmonicAngleForce",
        "<Angle a=\"110\" k=\"1\" p1=\"0\" p2=\"1\" p3=\"2\"/>",
    );
    refused(&degrees, PDB, &["`a` is `110`", "degrees"]);
}

#[test]
fn molecules_are_made_whole_over_the_box() -> Checked {
    // The box of the System and of the PDB file is 27.222 Å wide.
    let broken = moved(|k, x| {
        if k < 6 {
            [x[0], x[1] - 27.222, x[2] + 27.222]
        } else {
            x
        }
    });
    let found = molecule(SYSTEM, &broken)?;
    assert!(
        found.warnings()[0].contains("made whole"),
        "{:?}",
        found.warnings()
    );
    let plain = molecule(SYSTEM, PDB)?;
    for (a, b) in found
        .scaling()
        .bond_centres()
        .iter()
        .zip(plain.scaling().bond_centres())
    {
        assert!((a - b).abs() < 2e-4, "{a} {b}");
    }
    let folder = tempfile::tempdir()?;
    molecule_in(folder.path(), SYSTEM, &broken)?;
    let (start, topology) = dynamics::Molecule::read(
        folder.path().join("system.xml"),
        folder.path().join("x.pdb"),
    )?;
    assert_eq!(start.warnings().len(), 1);
    assert_eq!(topology.positions(), start.start());
    Ok(())
}

#[test]
fn frames_are_repaired_refused_or_warned_of() -> Checked {
    let molecule = molecule(SYSTEM, PDB)?;
    let frames = frames()?;
    assert!(frames.len() > 10);
    let message = |frames: &[Positions]| -> Result<String, Box<dyn std::error::Error>> {
        Ok(molecule
            .checked_states(&array(frames)?)
            .map_or_else(|e| e.to_string(), |_| "accepted".into()))
    };
    let (states, warnings) = molecule.checked_states(&array(&frames)?)?;
    assert_eq!(states, molecule.states(&frames.concat().into_flattened())?);
    assert!(warnings.is_empty(), "{warnings:?}");

    let scaled: Vec<Positions> = frames
        .iter()
        .map(|f| f.iter().map(|x| x.map(|x| 10.0 * x)).collect())
        .collect();
    assert!(message(&scaled)?.contains("ångström"));
    let mut swapped = frames.clone();
    for frame in &mut swapped {
        frame.swap(4, 10);
    }
    let text = message(&swapped)?;
    assert!(
        text.contains("order") && text.contains("bonded at"),
        "{text}"
    );
    // Hydrogens of two methyl groups.
    let mut swapped = frames.clone();
    for frame in &mut swapped {
        frame.swap(0, 11);
    }
    assert!(message(&swapped)?.contains("order"));
    let mut invalid = frames.clone();
    invalid[3][7][1] = f64::NAN;
    assert!(message(&invalid)?.contains("frame 3: a coordinate of atom 7 (H of ALA 2)"));

    // Broken over the box of the System, then over one that nothing names.
    let wrapped = |side: f64| -> Vec<Positions> {
        let wrap = |x: f64| x - side * (x / side).floor();
        frames
            .iter()
            .map(|f| f.iter().map(|x| x.map(wrap)).collect())
            .collect()
    };
    let (mended, warnings) = molecule.checked_states(&array(&wrapped(2.722_200_000_000_000_4))?)?;
    assert!(
        warnings.len() == 1 && warnings[0].contains("made whole"),
        "{warnings:?}"
    );
    for (a, b) in mended.iter().zip(&states) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
    let text = message(&wrapped(1.1))?;
    assert!(text.contains("whole"), "{text}");

    // Bonds of hydrogens as they are without constraints, and an angle beyond the coordinates.
    let mut longer = frames.clone();
    for frame in &mut longer {
        let (h, c) = (frame[0], frame[1]);
        frame[0] = [0, 1, 2].map(|axis| c[axis] + 1.02 * (h[axis] - c[axis]));
    }
    let (_, warnings) = molecule.checked_states(&array(&longer)?)?;
    assert!(warnings[0].contains("another System"), "{warnings:?}");

    // Rounded to 0.1 Å, mirrored in part, and too large as a whole.
    let each = |change: &dyn Fn(usize, f64, usize) -> f64| -> Vec<Positions> {
        let frame = |(k, f): (usize, &Positions)| {
            f.iter()
                .map(|x| [0, 1, 2].map(|axis| change(k, x[axis], axis)))
                .collect()
        };
        frames.iter().enumerate().map(frame).collect()
    };
    let rounded = each(&|_, x, _| (100.0 * x).round() / 100.0);
    let (_, warnings) = molecule.checked_states(&array(&rounded)?)?;
    assert!(warnings.concat().contains("rounded"), "{warnings:?}");
    let mirrored = each(&|k, x, axis| if k < 3 && axis == 2 { -x } else { x });
    let (_, warnings) = molecule.checked_states(&array(&mirrored)?)?;
    let text = warnings.concat();
    assert!(
        text.contains("3 of") && text.contains("handedness at atom 8 (CA of ALA 2)"),
        "{text}"
    );
    let text = message(&each(&|_, x, _| 1.4 * x))?;
    assert!(text.contains("as a whole"), "{text}");
    let mut bent = states[..48].to_vec();
    bent[12] = 1.3;
    let mut all = vec![frames[0].clone(); 3];
    all.push(molecule.positions(&bent)?);
    let (_, warnings) = molecule.checked_states(&array(&all)?)?;
    let text = warnings.concat();
    assert!(
        text.contains("frame 3") && text.contains("1 of 4 frames"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_strained_reference_is_warned_of() -> Checked {
    // The methyl carbon of the cap 0.02 nm too far out.
    let stretched = moved(|k, x| {
        if k >= 18 {
            [x[0] - 0.15, x[1] - 0.2, x[2] + 0.1]
        } else {
            x
        }
    });
    let found = molecule(SYSTEM, &stretched)?;
    let text = found.warnings().concat();
    assert!(
        text.contains("atom 18 (CH3 of NME 3)") && text.contains("minimum"),
        "{text}"
    );
    Ok(())
}

#[test]
fn names_and_elements_come_with_the_molecule() -> Checked {
    let found = molecule(SYSTEM, PDB)?;
    let topology: &Topology = found.topology();
    assert_eq!(topology.describe(8), "atom 8 (CA of ALA 2)");
    // The file states no elements; the masses do.
    let symbols: String = topology
        .atoms
        .iter()
        .filter_map(|a| a.element)
        .map(ChemicalElement::symbol)
        .collect();
    assert_eq!(symbols, "HCHHCONHCHCHHHCONHCHHH");
    Ok(())
}
