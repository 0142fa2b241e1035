//! Colours that stay apart for colour-blind readers, and the line style a method keeps in every
//! figure.
#![allow(clippy::format_push_string, reason = "a page is written once")]

/// What a mark or a letter is painted with.
///
/// The named greys follow the page's light or dark scheme when the SVG is inlined in HTML; a
/// standalone file shows the light scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Text and reference curves: black on a light page.
    Ink,
    /// Secondary text, axes and rules.
    Muted,
    /// Grid lines.
    Grid,
    /// The background.
    Paper,
    /// Entry `i` of the palette, modulo its length of 8.
    Hue(usize),
    /// A fixed colour, as heat maps need.
    Rgb([u8; 3]),
}

/// Light-scheme palette: Okabe and Ito (2008) without black and yellow, with two of Tol's "muted"
/// set in their place. All have a contrast of at least 2:1 on white and differ in lightness.
const HUES: [[u8; 3]; 8] = [
    [0x00, 0x72, 0xb2], // blue
    [0xd5, 0x5e, 0x00], // vermilion
    [0x00, 0x9e, 0x73], // green
    [0xe6, 0x9f, 0x00], // orange
    [0xcc, 0x79, 0xa7], // pink
    [0x56, 0xb4, 0xe9], // sky
    [0x88, 0x22, 0x55], // wine
    [0x8a, 0x8a, 0x2e], // olive
];

/// The same hues lightened where they would sink into a dark page.
const DARK_HUES: [[u8; 3]; 8] = [
    [0x4a, 0xa3, 0xdf],
    [0xee, 0x7f, 0x33],
    [0x2e, 0xc4, 0x99],
    [0xf0, 0xb4, 0x2e],
    [0xe0, 0x9a, 0xc2],
    [0x9a, 0xd8, 0xfa],
    [0xc8, 0x5c, 0x92],
    [0xb5, 0xb5, 0x52],
];

impl Colour {
    /// The light-scheme value, red, green, blue.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Ink => [0x1f, 0x23, 0x28],
            Self::Muted => [0x6b, 0x72, 0x7c],
            Self::Grid => [0xe3, 0xe6, 0xea],
            Self::Paper => [0xff, 0xff, 0xff],
            Self::Hue(i) => HUES[i % HUES.len()],
            Self::Rgb(rgb) => rgb,
        }
    }

    /// The dark-scheme value.
    fn dark(self) -> [u8; 3] {
        match self {
            Self::Ink => [0xe6, 0xed, 0xf3],
            Self::Muted => [0x9a, 0xa4, 0xaf],
            Self::Grid => [0x2b, 0x31, 0x39],
            Self::Paper => [0x12, 0x16, 0x1c],
            Self::Hue(i) => DARK_HUES[i % DARK_HUES.len()],
            Self::Rgb(rgb) => rgb,
        }
    }

    /// `#rrggbb` of [`Colour::rgb`].
    #[must_use]
    pub fn hex(self) -> String {
        hex(self.rgb())
    }

    /// Stem of the CSS classes the SVG carries for this colour; none for [`Colour::Rgb`].
    pub(super) fn class(self) -> Option<String> {
        match self {
            Self::Ink => Some("ink".into()),
            Self::Muted => Some("muted".into()),
            Self::Grid => Some("grid".into()),
            Self::Paper => Some("paper".into()),
            Self::Hue(i) => Some(format!("hue{}", i % HUES.len())),
            Self::Rgb(_) => None,
        }
    }
}

/// CSS rules that recolour inlined figures for a dark page; wrap them in a media query.
#[must_use]
pub fn dark_rules() -> String {
    let named = [Colour::Ink, Colour::Muted, Colour::Grid, Colour::Paper];
    let hues = (0..HUES.len()).map(Colour::Hue);
    let mut rules = String::new();
    for colour in named.into_iter().chain(hues) {
        if let Some(class) = colour.class() {
            let value = hex(colour.dark());
            rules +=
                &format!("svg .{class}-fill{{fill:{value}}}svg .{class}-line{{stroke:{value}}}\n");
        }
    }
    rules
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// How a line is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dash {
    /// Not at all.
    #[default]
    Solid,
    /// Long dashes.
    Dashed,
    /// Short dashes.
    Dotted,
}

impl Dash {
    /// Lengths of ink and gap in pixels; none for a solid line.
    pub(super) fn pattern(self) -> Option<[f64; 2]> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some([7.0, 3.5]),
            Self::Dotted => Some([1.8, 2.6]),
        }
    }
}

/// Colour and dash by which a method is known in every figure of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colour of the lines, dots and bands.
    pub colour: Colour,
    /// Dash of the lines.
    pub dash: Dash,
}

/// The methods with a place of their own in the palette.
const KNOWN: [(&str, usize); 8] = [
    ("trade-grid", 0),
    ("trade-continuous", 1),
    ("trade-energy-free", 2),
    ("nll", 3),
    ("reverse-kl", 4),
    ("reweighting", 5),
    ("tsf", 6),
    ("log-variance", 7),
];

/// A style for each name, in the same order, no two alike for up to 24 names.
///
/// The main methods always get their own hue, solid, so that figures of different experiments can
/// be compared; other names take a place by their hash, and the next free one if it is taken.
#[must_use]
pub fn styles(names: &[&str]) -> Vec<Style> {
    let mut taken = vec![];
    let mut found: Vec<Option<usize>> = names
        .iter()
        .map(|name| {
            KNOWN
                .iter()
                .find(|(known, _)| known == name)
                .map(|&(_, hue)| hue)
        })
        .collect();
    taken.extend(found.iter().flatten().copied());
    let places = 3 * HUES.len();
    for (place, name) in found.iter_mut().zip(names) {
        if place.is_none() {
            // The solid styles belong to the known methods first.
            let start = HUES.len() + (fnv(name) as usize) % (places - HUES.len());
            let free = (0..places)
                .map(|i| (start + i) % places)
                .find(|i| !taken.contains(i));
            let chosen = free.unwrap_or(start);
            taken.push(chosen);
            *place = Some(chosen);
        }
    }
    found
        .into_iter()
        .map(|place| {
            let place = place.unwrap_or(0);
            let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted][place / HUES.len() % 3];
            Style {
                colour: Colour::Hue(place),
                dash,
            }
        })
        .collect()
}

/// Fowler–Noll–Vo hash (FNV-1a, 32 bits): the same on every machine and in every release.
fn fnv(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Colour of `t` in [0, 1] on a dark-to-bright scale of even lightness steps (viridis).
#[must_use]
pub fn heat(t: f64) -> Colour {
    const STOPS: [[u8; 3]; 9] = [
        [0x44, 0x01, 0x54],
        [0x47, 0x2d, 0x7b],
        [0x3b, 0x52, 0x8b],
        [0x2c, 0x72, 0x8e],
        [0x21, 0x91, 0x8c],
        [0x28, 0xae, 0x80],
        [0x5e, 0xc9, 0x62],
        [0xad, 0xdc, 0x30],
        [0xfd, 0xe7, 0x25],
    ];
    // 64 levels let neighbouring cells share one rectangle.
    let level = (t.clamp(0.0, 1.0) * 63.0).round() / 63.0;
    let at = level * (STOPS.len() - 1) as f64;
    let below = (at as usize).min(STOPS.len() - 2);
    let mix = at - below as f64;
    let [low, high] = [STOPS[below], STOPS[below + 1]];
    let blend =
        |i: usize| (f64::from(low[i]) * (1.0 - mix) + f64::from(high[i]) * mix).round() as u8;
    Colour::Rgb([blend(0), blend(1), blend(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_keep_their_hue_whoever_else_is_there() {
        let alone = styles(&["tsf"]);
        let crowd = styles(&["something", "nll", "tsf", "trade-grid"]);
        assert_eq!(alone[0], crowd[2]);
        assert_eq!(
            crowd[3],
            Style {
                colour: Colour::Hue(0),
                dash: Dash::Solid
            }
        );
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

    #[test]
    fn heat_scale_brightens_throughout() {
        let luma = |t| match heat(t) {
            Colour::Rgb([r, g, b]) => {
                0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
            }
            _ => f64::NAN,
        };
        for i in 0..10 {
            assert!(luma(f64::from(i + 1) / 10.0) > luma(f64::from(i) / 10.0));
        }
    }
}
