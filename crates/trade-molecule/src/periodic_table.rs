//! Chemical elements by symbol and by mass.

/// Symbol, standard atomic mass (u) and covalent radius (nm) of each element that a small molecule
/// may hold. The radii are those of Cordero et al., Dalton Trans. 2832 (2008).
const TABLE: [(&str, f64, f64); 53] = [
    ("H", 1.008, 0.031),
    ("Li", 6.94, 0.128),
    ("Be", 9.012, 0.096),
    ("B", 10.81, 0.084),
    ("C", 12.011, 0.076),
    ("N", 14.007, 0.071),
    ("O", 15.999, 0.066),
    ("F", 18.998, 0.057),
    ("Ne", 20.180, 0.058),
    ("Na", 22.990, 0.166),
    ("Mg", 24.305, 0.141),
    ("Al", 26.982, 0.121),
    ("Si", 28.085, 0.111),
    ("P", 30.974, 0.107),
    ("S", 32.06, 0.105),
    ("Cl", 35.45, 0.102),
    ("Ar", 39.948, 0.106),
    ("K", 39.098, 0.203),
    ("Ca", 40.078, 0.176),
    ("Ti", 47.867, 0.160),
    ("V", 50.942, 0.153),
    ("Cr", 51.996, 0.139),
    ("Mn", 54.938, 0.161),
    ("Fe", 55.845, 0.152),
    ("Co", 58.933, 0.150),
    ("Ni", 58.693, 0.124),
    ("Cu", 63.546, 0.132),
    ("Zn", 65.38, 0.122),
    ("Ga", 69.723, 0.122),
    ("Ge", 72.630, 0.120),
    ("As", 74.922, 0.119),
    ("Se", 78.971, 0.120),
    ("Br", 79.904, 0.120),
    ("Kr", 83.798, 0.116),
    ("Rb", 85.468, 0.220),
    ("Sr", 87.62, 0.195),
    ("Zr", 91.224, 0.175),
    ("Mo", 95.95, 0.154),
    ("Ru", 101.07, 0.146),
    ("Rh", 102.91, 0.142),
    ("Pd", 106.42, 0.139),
    ("Ag", 107.87, 0.145),
    ("Cd", 112.41, 0.144),
    ("Sn", 118.71, 0.139),
    ("Te", 127.60, 0.138),
    ("I", 126.90, 0.139),
    ("Xe", 131.29, 0.140),
    ("Cs", 132.91, 0.244),
    ("Ba", 137.33, 0.215),
    ("Pt", 195.08, 0.136),
    ("Au", 196.97, 0.136),
    ("Hg", 200.59, 0.132),
    ("Pb", 207.2, 0.146),
];

/// A chemical element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChemicalElement(usize);

impl ChemicalElement {
    /// Hydrogen.
    pub const HYDROGEN: Self = Self(0);
    /// Carbon.
    pub const CARBON: Self = Self(4);
    /// Nitrogen.
    pub const NITROGEN: Self = Self(5);
    /// Oxygen.
    pub const OXYGEN: Self = Self(6);

    /// The element of this symbol, in any case; deuterium counts as hydrogen.
    pub fn of_symbol(symbol: &str) -> Option<Self> {
        let same = |row: &(&str, f64, f64)| row.0.eq_ignore_ascii_case(symbol);
        if symbol.eq_ignore_ascii_case("D") {
            return Some(Self::HYDROGEN);
        }
        TABLE.iter().position(same).map(Self)
    }

    /// The element whose standard mass is `mass` (u), if it is one's within what force fields
    /// differ by: 0.012 u below 20 u, which tells nitrogen from a united CH₂, and 0.1 u above.
    pub fn of_mass(mass: f64) -> Option<Self> {
        let tolerance = if mass < 20.0 { 0.012 } else { 0.1 };
        let away = |row: &(&str, f64, f64)| (row.1 - mass).abs();
        let (place, row) = TABLE
            .iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| away(a).total_cmp(&away(b)))?;
        (away(row) <= tolerance).then_some(Self(place))
    }

    /// The elements that the name of an atom may begin with, such as carbon and calcium for `CA`;
    /// none where the name begins like no element that is common in molecules.
    pub(super) fn of_name(name: &str) -> Vec<Self> {
        const COMMON: &str = "HDCNOFPSIBK";
        let letters = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        let two = letters.get(..2).and_then(Self::of_symbol);
        let one = letters
            .get(..1)
            .filter(|first| COMMON.contains(&first.to_ascii_uppercase()))
            .and_then(Self::of_symbol);
        two.into_iter().chain(one).collect()
    }

    /// The symbol, such as `Cl`.
    pub fn symbol(self) -> &'static str {
        TABLE[self.0].0
    }

    /// The covalent radius, nm.
    pub(super) fn radius(self) -> f64 {
        TABLE[self.0].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_mass_symbol_and_name() {
        let by_mass = |mass| ChemicalElement::of_mass(mass).map(ChemicalElement::symbol);
        for (mass, symbol) in [
            // OpenMM's, CHARMM's and GROMACS' numbers.
            (1.007_947, "H"),
            (1.008, "H"),
            (12.01, "C"),
            (12.010_78, "C"),
            (14.006_72, "N"),
            (15.999_43, "O"),
            (35.453_2, "Cl"),
            (79.904, "Br"),
            (126.904_473, "I"),
            (32.065_5, "S"),
            (40.078, "Ca"),
        ] {
            assert_eq!(by_mass(mass), Some(symbol), "{mass}");
        }
        // United CH₂ and CH₃, a bead, an atom whose hydrogens took of its mass.
        for mass in [14.027, 15.035, 72.0, 5.96, 0.0, f64::NAN] {
            assert_eq!(by_mass(mass), None, "{mass}");
        }
        let by_name = |name| -> Vec<&str> {
            let found = ChemicalElement::of_name(name);
            found.into_iter().map(ChemicalElement::symbol).collect()
        };
        assert_eq!(by_name("CA"), ["Ca", "C"]);
        assert_eq!(by_name("1HB2"), ["H"]);
        assert_eq!(by_name("CL1"), ["Cl", "C"]);
        assert_eq!(by_name("OXT"), ["O"]);
        assert!(by_name("X1").is_empty() && by_name("*").is_empty());
        for (element, symbol) in [
            (ChemicalElement::CARBON, "C"),
            (ChemicalElement::NITROGEN, "N"),
            (ChemicalElement::OXYGEN, "O"),
        ] {
            assert_eq!(element.symbol(), symbol);
        }
        assert_eq!(
            ChemicalElement::of_symbol("d"),
            Some(ChemicalElement::HYDROGEN)
        );
        assert_eq!(ChemicalElement::of_symbol("X"), None);
    }
}
