//! The line style by which a method is known in every figure.

use crate::colour::Colour;

/// How a line is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dash {
    /// The line is not interrupted.
    #[default]
    Solid,
    /// The line has long dashes.
    Dashed,
    /// The line has short dashes.
    Dotted,
}

impl Dash {
    /// The lengths of ink and gap in pixels, or `None` for a solid line.
    pub(crate) fn pattern(self) -> Option<[f64; 2]> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some([7.0, 3.5]),
            Self::Dotted => Some([1.8, 2.6]),
        }
    }
}

/// The colour and dash of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// The colour of the lines, dots and bands.
    pub colour: Colour,
    /// The dash of the lines.
    pub dash: Dash,
}

/// The methods that have a hue of their own, in the order of the palette.
const KNOWN: [&str; Colour::HUES] = [
    "trade-grid",
    "trade-continuous",
    "trade-energy-free",
    "nll",
    "reverse-kl",
    "reweighting",
    "tsf",
    "log-variance",
];

/// Returns a style for each name, in the same order. No two of up to 24 names look alike.
///
/// The methods of the TRADE paper always have their own hue and a solid line, so that figures of
/// different experiments can be compared. Another name gets a style by its hash, or the next free
/// style if that one is taken.
#[must_use]
pub fn styles(names: &[&str]) -> Vec<Style> {
    let known = |name: &&str| KNOWN.iter().position(|known| known == name);
    let mut taken: Vec<usize> = names.iter().filter_map(known).collect();
    let dashes = [Dash::Solid, Dash::Dashed, Dash::Dotted];
    let places = dashes.len() * Colour::HUES;
    let mut place = |name: &str| {
        // The solid styles belong to the known methods first.
        let start = Colour::HUES + fnv(name) as usize % (places - Colour::HUES);
        let mut nearest = (start..start + places).map(|place| place % places);
        let chosen = nearest.find(|place| !taken.contains(place));
        let chosen = chosen.unwrap_or(start);
        taken.push(chosen);
        chosen
    };
    let style = |name| {
        let place = known(name).unwrap_or_else(|| place(name));
        Style {
            colour: Colour::Hue(place),
            dash: dashes[place / Colour::HUES],
        }
    };
    names.iter().map(style).collect()
}

/// The Fowler–Noll–Vo hash (FNV-1a, 32 bits), which is the same on every machine.
fn fnv(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_keep_their_hue_whoever_else_is_there() {
        let alone = styles(&["tsf"]);
        let crowd = styles(&["something", "nll", "tsf", "trade-grid"]);
        assert_eq!(alone[0], crowd[2]);
        let first = Style {
            colour: Colour::Hue(0),
            dash: Dash::Solid,
        };
        assert_eq!(crowd[3], first);
    }

    #[test]
    fn twenty_four_methods_are_told_apart() {
        let names: Vec<String> = (0..24).map(|i| format!("method-{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let all = styles(&names);
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                assert!(a.dash != b.dash || a.colour.rgb() != b.colour.rgb());
            }
        }
    }
}
