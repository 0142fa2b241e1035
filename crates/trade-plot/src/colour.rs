//! Colours that readers with impaired colour vision can tell apart.

/// What a mark or a letter is painted with.
///
/// The named greys and the hues follow the light or dark scheme of a page when the SVG is part of
/// the page's HTML and the page contains [`dark_rules`]. A file on its own shows the light scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// The colour of text and reference curves, nearly black in the light scheme.
    Ink,
    /// The colour of axes, rules and secondary text.
    Muted,
    /// The colour of grid lines.
    Grid,
    /// The background.
    Paper,
    /// An entry of the palette. The index counts modulo the length of the palette, 8.
    Hue(usize),
    /// A fixed red, green and blue, as heat maps need.
    Rgb([u8; 3]),
}

/// The palette in the light and the dark scheme: Okabe and Ito (2008) without black and yellow,
/// with two of Tol's "muted" set instead. All have a contrast of at least 2:1 on white and differ
/// in lightness. The dark scheme lightens them where they would sink into a dark page.
const PALETTE: [[u32; 2]; Colour::HUES] = [
    [0x00_72b2, 0x4a_a3df], // blue
    [0xd5_5e00, 0xee_7f33], // vermilion
    [0x00_9e73, 0x2e_c499], // green
    [0xe6_9f00, 0xf0_b42e], // orange
    [0xcc_79a7, 0xe0_9ac2], // pink
    [0x56_b4e9, 0x9a_d8fa], // sky
    [0x88_2255, 0xc8_5c92], // wine
    [0x8a_8a2e, 0xb5_b552], // olive
];

impl Colour {
    /// The number of hues in the palette.
    pub(crate) const HUES: usize = 8;

    /// The stem of the CSS classes that the SVG carries for this colour, which is empty for a fixed
    /// one, and the value in the light and the dark scheme.
    pub(crate) fn look(self) -> (String, [u32; 2]) {
        let (class, schemes) = match self {
            Self::Ink => ("ink", [0x1f_2328, 0xe6_edf3]),
            Self::Muted => ("muted", [0x6b_727c, 0x9a_a4af]),
            Self::Grid => ("grid", [0xe3_e6ea, 0x2b_3139]),
            Self::Paper => ("paper", [0xff_ffff, 0x12_161c]),
            Self::Hue(i) => {
                let i = i % PALETTE.len();
                return (format!("hue{i}"), PALETTE[i]);
            }
            Self::Rgb([r, g, b]) => ("", [u32::from_be_bytes([0, r, g, b]); 2]),
        };
        (class.into(), schemes)
    }

    /// Returns red, green and blue in the light scheme.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        let [_, r, g, b] = self.look().1[0].to_be_bytes();
        [r, g, b]
    }

    /// Returns the light scheme's value as `#rrggbb`.
    #[must_use]
    pub fn hex(self) -> String {
        format!("#{:06x}", self.look().1[0])
    }
}

/// Returns the CSS rules that recolour the figures in a page for a dark scheme. The page wraps them
/// in a media query.
#[must_use]
pub fn dark_rules() -> String {
    let named = [Colour::Ink, Colour::Muted, Colour::Grid, Colour::Paper];
    let rules = |colour: Colour| {
        let (class, [_, value]) = colour.look();
        format!("svg .{class}-fill{{fill:#{value:06x}}}svg .{class}-line{{stroke:#{value:06x}}}\n")
    };
    let hues = (0..Colour::HUES).map(Colour::Hue);
    named.into_iter().chain(hues).map(rules).collect()
}

/// Returns the colour of `t` in [0, 1] on a dark-to-bright scale of even lightness steps (viridis).
/// Values outside the interval take the colour of the nearer end.
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
    // With 64 levels, neighbouring cells often share one rectangle.
    let level = (t.clamp(0.0, 1.0) * 63.0).round() / 63.0;
    let at = level * (STOPS.len() - 1) as f64;
    let below = (at as usize).min(STOPS.len() - 2);
    let mix = at - below as f64;
    let [low, high] = [STOPS[below], STOPS[below + 1]].map(|stop| stop.map(f64::from));
    let blend = |i: usize| (low[i] * (1.0 - mix) + high[i] * mix).round() as u8;
    Colour::Rgb([blend(0), blend(1), blend(2)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_scale_brightens_throughout() {
        let luma = |t| {
            let [r, g, b] = heat(t).rgb().map(f64::from);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for i in 0..10 {
            assert!(luma(f64::from(i + 1) / 10.0) > luma(f64::from(i) / 10.0));
        }
    }

    #[test]
    fn values_are_written_as_css_reads_them() {
        assert_eq!(Colour::Hue(8).rgb(), [0x00, 0x72, 0xb2]);
        assert_eq!(Colour::Hue(0).hex(), "#0072b2");
        assert_eq!(Colour::Rgb([1, 2, 255]).hex(), "#0102ff");
        assert!(dark_rules().starts_with("svg .ink-fill{fill:#e6edf3}svg .ink-line"));
        assert_eq!(dark_rules().lines().count(), 12);
    }
}
