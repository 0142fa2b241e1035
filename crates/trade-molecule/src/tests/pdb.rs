//! PDB files as other programs write them.

use super::super::{ChemicalElement, Topology, write_pdb};
use super::Checked;

/// Alanine dipeptide as OpenMM writes it.
const BASE: &str = "\
ATOM      1 HH31 ACE A   1       3.225  27.427   2.566  1.00  0.00           H  \n\
ATOM      2  CH3 ACE A   1       3.720  26.570   2.110  1.00  0.00           C  \n\
ATOM      3  C   ACE A   1       2.770  25.800   1.230  1.00  0.00           C  \n\
ATOM      4  N   ALA A   2       3.270  24.640   0.690  1.00  0.00           N  \n\
ATOM      5  CA  ALA A   2       2.480  23.690  -0.190  1.00  0.00           C  \n\
ATOM      6  CB  ALA A   2       3.470  23.160  -1.270  1.00  0.00           C  \n\
ATOM      7  HB1 ALA A   2       4.219  22.525  -0.797  1.00  0.00           H  \n\
ATOM      8  C   ALA A   2       1.730  22.590   0.490  1.00  0.00           C  \n\
ATOM      9  N   NME A   3       0.400  22.430   0.210  1.00  0.00           N  \n";

fn parse(text: &[u8]) -> Result<Topology, String> {
    Topology::parse(text, "x.pdb").map_err(|e| e.to_string())
}

/// The lines of [`BASE`], each changed by `change`, which gets its number from 0.
fn changed(change: impl Fn(usize, &str) -> String) -> String {
    let lines = BASE.lines().enumerate();
    lines.map(|(k, line)| change(k, line) + "\n").collect()
}

/// A line with other text from a column, counted from 0.
fn put(line: &str, from: usize, text: &str) -> String {
    format!("{}{text}{}", &line[..from], &line[from + text.len()..])
}

#[test]
fn dialects_are_read_as_the_base() -> Checked {
    let base = parse(BASE.as_bytes())?;
    assert_eq!(base.atoms.len(), 9);
    assert_eq!(base.phi(), [[2, 3, 4, 7]]);
    assert!((base.positions()[4][2] + 0.019).abs() < 1e-15);
    let plain = |change: &dyn Fn(usize, &str) -> String| changed(change).into_bytes();
    let number = |line: &str| line[25..26].to_owned();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("line ends", BASE.replace('\n', "\r\n").into_bytes()),
        ("no end", BASE.trim_end().as_bytes().to_vec()),
        ("54 columns", plain(&|_, l| l[..54].into())),
        ("66 columns", plain(&|_, l| l[..66].into())),
        ("trimmed", plain(&|_, l| l.trim_end().into())),
        ("segments", plain(&|_, l| format!("{}      PROA", &l[..66]))),
        ("charge 1", plain(&|_, l| format!("{} 1", &l[..78]))),
        ("charge -1", plain(&|_, l| format!("{}-1", &l[..78]))),
        ("charge 1+", plain(&|_, l| format!("{}1+", &l[..78]))),
        ("no B-factor", plain(&|_, l| put(l, 54, "            "))),
        ("element left", plain(&|_, l| put(l, 76, &format!("{} ", &l[77..78])))),
        ("element X", plain(&|_, l| put(l, 76, " X"))),
        ("hexadecimal", plain(&|k, l| put(l, 6, &format!("A{k:04x}")))),
        ("stars", plain(&|_, l| put(l, 6, "*****"))),
        ("one serial", plain(&|_, l| put(l, 6, "    1"))),
        ("restarting", plain(&|k, l| put(l, 6, &format!("{:5}", k % 4)))),
        ("negative", plain(&|_, l| put(l, 24, &format!("-{}", number(l))))),
        (
            "insertion codes",
            plain(&|_, l| put(l, 22, &format!("  52{}", [' ', 'A', 'B'][number(l).parse::<usize>().unwrap_or(1) - 1]))),
        ),
        ("no chain", plain(&|_, l| put(l, 21, " "))),
        ("one number", plain(&|_, l| put(l, 22, "   1"))),
        ("stars for numbers", plain(&|_, l| put(l, 22, "****"))),
        ("four letters", plain(&|_, l| put(l, 17, "ALAD"))),
        ("alternative A", plain(&|_, l| put(l, 16, "A"))),
        ("TER in a residue", plain(&|k, l| if k == 5 { format!("TER\n{l}") } else { l.into() })),
        ("CR alone", BASE.replace('\n', "\r").into_bytes()),
        ("words that begin with ATOM", format!("ATOMS 9\nATOMIC RADII\n{BASE}").into_bytes()),
        ("six digits", plain(&|k, l| put(l, 5, &format!("{}", 100_000 + k)))),
        ("blank lines", plain(&|_, l| format!("\n{l}\n"))),
        (
            "displacements",
            plain(&|_, l| format!("{l}\nANISOU{}   1234   1234   1234", &l[6..27])),
        ),
        (
            "models",
            format!("MODEL        1\n{BASE}ENDMDL\nMODEL        2\n{BASE}ENDMDL\n").into_bytes(),
        ),
        ("mark", [b"\xef\xbb\xbf", BASE.as_bytes()].concat()),
        ("UTF-8", format!("TITLE     1.5 Å, Müller\n# 10 Å\n{BASE}").into_bytes()),
        ("Latin-1", [b"TITLE     1.5 \xc5\n", BASE.as_bytes()].concat()),
        (
            "headers",
            format!("HEADER    PEPTIDE\nCRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1\nSEQRES   1 A    9  GLY\n{BASE}MASTER        0\n").into_bytes(),
        ),
        ("HETATM", plain(&|_, l| put(l, 0, "HETATM"))),
    ];
    for (name, text) in cases {
        let read = parse(&text).map_err(|e| format!("{name}: {e}"))?;
        assert_eq!(read.positions(), base.positions(), "{name}");
        let names = |t: &Topology| t.atoms.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&read), names(&base), "{name}");
        assert_eq!(read.residues, base.residues, "{name}");
        assert_eq!(read.phi(), base.phi(), "{name}");
        assert!(read.cell.is_none() && read.chain_ends.is_empty(), "{name}");
    }
    // All of one residue and name: nothing is told apart, but everything is there.
    let same = changed(|_, l| put(&put(&put(l, 12, " C  "), 17, "UNL"), 22, "   1"));
    let read = parse(same.as_bytes())?;
    assert_eq!((read.atoms.len(), read.phi().len()), (9, 0));
    // Hydrogens at the end belong to their residue; a chain that ends is not linked to the next.
    let mut lines: Vec<&str> = BASE.lines().collect();
    let hydrogen = lines.remove(6);
    lines.push(hydrogen);
    let read = parse(lines.join("\n").as_bytes())?;
    assert_eq!(read.residues, [0, 0, 0, 1, 1, 1, 1, 2, 1]);
    let ended = BASE.replacen("ATOM      4", "TER\nATOM      4", 1);
    assert_eq!(parse(ended.as_bytes())?.phi(), [[0; 4]; 0]);
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named_with_line_and_column() {
    let third = |change: &dyn Fn(&str) -> String| {
        changed(|k, l| if k == 2 { change(l) } else { l.into() }).into_bytes()
    };
    let both = third(&|l| format!("{}\n{}", put(l, 16, "A"), put(l, 16, "B")));
    let cif = b"data_X\nloop_\n_atom_site.group_PDB\n_atom_site.id\nATOM 1\n".to_vec();
    for (text, parts) in [
        (
            both,
            &[
                "line 4, column 17",
                "C of ACE 1",
                "alternative",
                "`A`",
                "`B`",
            ][..],
        ),
        (cif, &["mmCIF"]),
        (Vec::new(), &["no ATOM"]),
        (b"\xff\xfeA\0T\0".to_vec(), &["UTF-16"]),
        (b"\x1f\x8b\x08\0".to_vec(), &["gzip", "unpack"]),
        (third(&|l| put(l, 4, "\t")), &["line 3, column 5", "tab"]),
        (
            third(&|l| put(l, 13, "\u{3b1}")),
            &["line 3, column 14", "ASCII"],
        ),
        (
            third(&|l| put(l, 30, "   x.225")),
            &["line 3, column 31", "`x.225`"],
        ),
        (
            third(&|l| put(l, 46, "     nan")),
            &["line 3, column 47", "`nan`"],
        ),
        (third(&|l| l[..40].into()), &["line 3, column 39"]),
        (
            third(&|l| put(l, 12, "    ")),
            &["line 3, column 13", "no name"],
        ),
    ] {
        let message = parse(&text).map_or_else(|e| e, |_| "accepted".into());
        for part in parts.iter().chain(&["x.pdb"]) {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}

#[test]
fn boxes_and_bonds_are_read() -> Checked {
    let text = "\
CRYST1   20.000   30.000   40.000  90.00  90.00  60.00 P 1           1
HETATM    1  C1  UNL A   1       1.000   2.000   3.000  1.00  0.00           C  
HETATM    2 CL1  UNL A   1      -1.000   2.500  -3.000  1.00  0.00          CL  
HETATM    3 H10A UNL A   1      -1.500   2.500  -3.000  1.00  0.00           H  
TER       4      UNL A   1
CONECT    1    2    3
CONECT    2    1
END
";
    let topology = parse(text.as_bytes())?;
    assert_eq!(topology.bonds, [[0, 1], [0, 2]]);
    let symbols: Vec<&str> = topology
        .atoms
        .iter()
        .filter_map(|a| a.element.map(ChemicalElement::symbol))
        .collect();
    assert_eq!(symbols, ["C", "Cl", "H"]);
    let cell = topology.cell.ok_or("no box")?;
    let exact = [
        [2.0, 0.0, 0.0],
        [1.5, 1.5 * 3_f64.sqrt(), 0.0],
        [0.0, 0.0, 4.0],
    ];
    for (x, exact) in cell.as_flattened().iter().zip(exact.as_flattened()) {
        assert!((x - exact).abs() < 1e-12, "{cell:?}");
    }
    Ok(())
}

#[test]
fn models_are_written_in_the_standard_columns_and_read_back() -> Checked {
    let mut topology = parse(BASE.as_bytes())?;
    topology.atoms[1].name = "CL1".into();
    topology.atoms[1].element = ChemicalElement::of_symbol("Cl");
    topology.atoms[5].residue = "ALAD".into();
    topology.atoms[6].insertion = 'B';
    let flat = topology.positions().into_flattened();
    let frames: Vec<f32> = [0.0, 0.5]
        .iter()
        .flat_map(|shift| flat.iter().map(move |x| (x - shift) as f32))
        .collect();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("x.pdb");
    write_pdb(&path, &topology, &frames)?;
    let text = std::fs::read_to_string(&path)?;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "MODEL        1");
    let exact = "ATOM      2 CL1  ACE A   1       3.720  26.570   2.110  1.00  0.00          CL  ";
    assert_eq!(lines[2], exact);
    assert_eq!(&lines[1][..27], "ATOM      1 HH31 ACE A   1 ");
    assert_eq!(&lines[6][..27], "ATOM      6  CB  ALADA   2 ");
    assert_eq!(&lines[7][..27], "ATOM      7  HB1 ALA A   2B");
    assert_eq!(text.matches("ENDMDL").count(), 2);
    let second = text.rfind("\nMODEL").ok_or("no second model")?;
    for (text, frame) in [
        (text.as_str(), &frames[..27]),
        (&text[second + 1..], &frames[27..]),
    ] {
        let read = parse(text.as_bytes())?;
        assert_eq!(read.atoms[1].element, topology.atoms[1].element);
        for (a, b) in read.atoms.iter().zip(&topology.atoms) {
            assert_eq!((&a.name, &a.residue), (&b.name, &b.residue));
        }
        for (a, b) in read.positions().as_flattened().iter().zip(frame) {
            assert!((a - f64::from(*b)).abs() < 6e-5, "{a} {b}");
        }
    }
    assert!(write_pdb(&path, &topology, &frames[..5]).is_err());
    let far = vec![200.0; 27];
    let message =
        write_pdb(&path, &topology, &far).map_or_else(|e| e.to_string(), |()| String::new());
    assert!(message.contains("atom 0 (HH31 of ACE 1)"), "{message}");
    Ok(())
}
