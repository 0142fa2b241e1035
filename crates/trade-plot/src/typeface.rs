//! The letters of the figures: fonts carried in the program, so that figures look the same on a
//! machine that has none.

use std::sync::LazyLock;
use tiny_skia::{Path, PathBuilder, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// Ubuntu Light for text, and Hack for the symbols it lacks.
static FACES: LazyLock<Vec<Face<'static>>> = LazyLock::new(|| {
    let fonts = [
        epaint_default_fonts::UBUNTU_LIGHT,
        epaint_default_fonts::HACK_REGULAR,
    ];
    fonts
        .map(|bytes| Face::parse(bytes, 0))
        .into_iter()
        .flatten()
        .collect()
});

/// A character of a line.
struct Glyph {
    face: &'static Face<'static>,
    id: GlyphId,
    /// Where it starts, in em from the start of the line.
    at: f64,
}

/// The first font that has the character, with its index there.
fn find(letter: char) -> Option<(&'static Face<'static>, GlyphId)> {
    let index = |face: &'static Face| Some((face, face.glyph_index(letter)?));
    FACES.iter().filter_map(index).find(|(_, id)| id.0 != 0)
}

/// The glyphs of a line and its width in em. A character that no font has becomes a box.
fn set(line: &str) -> (Vec<Glyph>, f64) {
    let mut pen = 0.0;
    let mut glyphs = vec![];
    for letter in line.chars() {
        let missing = || Some((FACES.first()?, GlyphId(0)));
        let Some((face, id)) = find(letter).or_else(missing) else {
            continue;
        };
        glyphs.push(Glyph { face, id, at: pen });
        let advance = face.glyph_hor_advance(id);
        pen += advance.map_or(0.5, |a| f64::from(a) / f64::from(face.units_per_em()));
    }
    (glyphs, pen)
}

/// The width of a line in em.
pub(crate) fn width(line: &str) -> f64 {
    set(line).1
}

/// The outlines of a line in em, with the y axis upwards from the baseline, or `None` if it is
/// blank.
pub(crate) fn outline(line: &str) -> Option<Path> {
    let mut whole = PathBuilder::new();
    for Glyph { face, id, at } in set(line).0 {
        let mut pen = Pen::default();
        face.outline_glyph(id, &mut pen);
        let scale = 1.0 / f32::from(face.units_per_em());
        let place = Transform::from_row(scale, 0.0, 0.0, scale, at as f32, 0.0);
        if let Some(glyph) = pen.0.finish().and_then(|path| path.transform(place)) {
            whole.push_path(&glyph);
        }
    }
    whole.finish()
}

/// Hands a glyph's outline over, in the units of its font.
#[derive(Default)]
struct Pen(PathBuilder);

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_symbols_of_the_field_are_covered() {
        let symbols = "ABCxyzΔκβφψλσμτχΓ²³⁰¹⁴⁵⁶⁷⁸⁹⁻−±·×⟨⟩‖∂≤≥√∞°→₀₁₂₃–|,()=";
        for letter in symbols.chars() {
            assert!(find(letter).is_some(), "no glyph for {letter:?}");
        }
        assert!(find('漢').is_none() && width("漢") > 0.0);
    }

    #[test]
    fn wide_letters_are_wider_and_widths_add_up() {
        assert!(width("m") > 2.0 * width("i"));
        assert!((width("ab") - width("a") - width("b")).abs() < 1e-12);
        assert_eq!(width(""), 0.0);
    }

    #[test]
    fn a_glyph_stands_on_the_baseline() {
        let bounds = outline("H").expect("a letter with ink").bounds();
        // The face's cap height is 0.69 em.
        assert!(bounds.top().abs() < 0.01, "foot at {}", bounds.top());
        assert!(
            (bounds.bottom() - 0.69).abs() < 0.03,
            "head at {}",
            bounds.bottom()
        );
        assert!(outline(" ").is_none());
    }
}
