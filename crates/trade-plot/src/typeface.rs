//! The letters of the PNG figures: a font carried in the program, so that figures look the same on
//! a machine that has none.
//!
//! Glyph outlines are drawn by plotters, which places every glyph flush left; the advances and
//! left bearings that set them properly are read here from the font's tables (`cmap` format 4,
//! `hhea`, `hmtx`; ISO/IEC 14496-22).

use anyhow::{Context, Result, anyhow};
use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};
use std::sync::LazyLock;

/// Ubuntu Light for text; Hack for the symbols it lacks.
const SOURCES: [(&str, &[u8]); 2] = [
    ("figure-text", epaint_default_fonts::UBUNTU_LIGHT),
    ("figure-symbols", epaint_default_fonts::HACK_REGULAR),
];

/// The parsed faces, registered with plotters on first use.
pub(super) static FACES: LazyLock<Option<Faces>> = LazyLock::new(Faces::load);

/// The fonts in order of preference.
pub(super) struct Faces(Vec<Face>);

struct Face {
    name: &'static str,
    bytes: &'static [u8],
    units: f64,
    /// Ascent minus descent in em: what plotters calls a size of 1.
    span: f64,
    /// Byte offsets of the `cmap` format 4 subtable and of `hmtx`.
    cmap: usize,
    hmtx: usize,
    long_metrics: usize,
}

/// A character set in a line.
pub(super) struct Glyph {
    face: usize,
    letter: char,
    /// Left edge of the ink, in em from the start of the line.
    pub x: f64,
}

impl Faces {
    fn load() -> Option<Self> {
        let faces = SOURCES
            .iter()
            .map(|&(name, bytes)| Face::parse(name, bytes));
        faces.collect::<Option<Vec<_>>>().map(Self)
    }

    /// The glyphs of a line and its width in em.
    pub(super) fn set(&self, line: &str) -> (Vec<Glyph>, f64) {
        let mut pen = 0.0;
        let mut glyphs = vec![];
        for letter in line.chars() {
            let found = self
                .0
                .iter()
                .enumerate()
                .find_map(|(i, f)| f.glyph(letter).map(|g| (i, g)));
            let (face, id) = found.unwrap_or((0, 0));
            let (advance, bearing) = self.0[face].metrics(id);
            glyphs.push(Glyph {
                face,
                letter,
                x: pen + bearing,
            });
            pen += advance;
        }
        (glyphs, pen)
    }

    /// Calls `dot` with the coverage of each pixel of a glyph, relative to the left edge of its
    /// ink and the baseline, at `em` pixels an em.
    pub(super) fn draw(
        &self,
        glyph: &Glyph,
        em: f64,
        mut dot: impl FnMut(i32, i32, f32),
    ) -> Result<()> {
        let face = &self.0[glyph.face];
        let size = em * face.span;
        let font = FontDesc::new(FontFamily::Name(face.name), size, FontStyle::Normal);
        // Plotters puts the baseline half a size below the origin.
        let baseline = (size / 2.0) as i32;
        let mut buffer = [0; 4];
        font.draw(
            glyph.letter.encode_utf8(&mut buffer),
            (0, 0),
            |x, y, coverage| {
                dot(x, y - baseline, coverage);
                Ok::<(), std::convert::Infallible>(())
            },
        )
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("drawing the letter {:?} of a figure", glyph.letter))?
        .map_err(|never| match never {})
    }
}

/// Width of a line in em; a common average if the font could not be read.
pub(super) fn width(line: &str) -> f64 {
    FACES.as_ref().map_or_else(
        || 0.55 * line.chars().count() as f64,
        |faces| faces.set(line).1,
    )
}

impl Face {
    fn parse(name: &'static str, bytes: &'static [u8]) -> Option<Self> {
        let table = |tag: &[u8]| {
            (0..usize::from(u16_at(bytes, 4)?))
                .map(|i| 12 + 16 * i)
                .find(|&at| bytes.get(at..at + 4) == Some(tag))
                .and_then(|at| u32_at(bytes, at + 8))
        };
        let (head, hhea, cmap) = (table(b"head")?, table(b"hhea")?, table(b"cmap")?);
        let units = f64::from(u16_at(bytes, head + 18)?);
        let span = f64::from(i16_at(bytes, hhea + 4)?) - f64::from(i16_at(bytes, hhea + 6)?);
        let subtable = (0..usize::from(u16_at(bytes, cmap + 2)?))
            .filter_map(|i| u32_at(bytes, cmap + 4 + 8 * i + 4).map(|offset| cmap + offset))
            .find(|&at| u16_at(bytes, at) == Some(4))?;
        register_font(name, FontStyle::Normal, bytes).ok()?;
        Some(Self {
            name,
            bytes,
            units,
            span: span / units,
            cmap: subtable,
            hmtx: table(b"hmtx")?,
            long_metrics: usize::from(u16_at(bytes, hhea + 34)?),
        })
    }

    /// Glyph index of a character of the basic plane, if the face has it.
    fn glyph(&self, letter: char) -> Option<usize> {
        let code = u16::try_from(u32::from(letter)).ok()?;
        let twice = usize::from(u16_at(self.bytes, self.cmap + 6)?);
        let [ends, starts, deltas, ranges] =
            [14, 16 + twice, 16 + 2 * twice, 16 + 3 * twice].map(|offset| self.cmap + offset);
        let segment = (0..twice / 2).find(|&i| u16_at(self.bytes, ends + 2 * i) >= Some(code))?;
        let start = u16_at(self.bytes, starts + 2 * segment)?;
        let delta = u16_at(self.bytes, deltas + 2 * segment)?;
        let range = u16_at(self.bytes, ranges + 2 * segment)?;
        let steps = usize::from(code.checked_sub(start)?);
        let id = if range == 0 {
            code.wrapping_add(delta)
        } else {
            match u16_at(
                self.bytes,
                ranges + 2 * segment + usize::from(range) + 2 * steps,
            )? {
                0 => 0,
                id => id.wrapping_add(delta),
            }
        };
        (id != 0).then_some(usize::from(id))
    }

    /// Advance width and left bearing of a glyph in em.
    fn metrics(&self, id: usize) -> (f64, f64) {
        let last = self.long_metrics.saturating_sub(1);
        let advance = u16_at(self.bytes, self.hmtx + 4 * id.min(last));
        let bearing = if id <= last {
            i16_at(self.bytes, self.hmtx + 4 * id + 2)
        } else {
            i16_at(
                self.bytes,
                self.hmtx + 4 * self.long_metrics + 2 * (id - self.long_metrics),
            )
        };
        (
            advance.map_or(0.5, |a| f64::from(a) / self.units),
            bearing.map_or(0.0, |b| f64::from(b) / self.units),
        )
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at + 2)
        .map(|b| u16::from_be_bytes([b[0], b[1]]))
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    bytes
        .get(at..at + 2)
        .map(|b| i16::from_be_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes
        .get(at..at + 4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_symbols_of_the_field_are_covered() {
        let faces = FACES.as_ref().expect("the font is part of the program");
        for letter in "ABCxyzΔκβφψλσμτχΓ²³⁰¹⁴⁵⁶⁷⁸⁹⁻−±·×⟨⟩‖∂≤≥√∞°→₀₁₂₃–|,()=".chars()
        {
            let found = faces.0.iter().any(|face| face.glyph(letter).is_some());
            assert!(found, "no glyph for {letter:?}");
        }
    }

    #[test]
    fn wide_letters_are_wider_and_widths_add_up() {
        assert!(width("m") > 2.0 * width("i"));
        assert!((width("ab") - width("a") - width("b")).abs() < 1e-12);
        assert_eq!(width(""), 0.0);
    }

    #[test]
    fn a_glyph_stands_on_the_baseline() {
        let faces = FACES.as_ref().expect("the font is part of the program");
        let (glyphs, _) = faces.set("H");
        let (mut top, mut bottom) = (i32::MAX, i32::MIN);
        faces
            .draw(&glyphs[0], 100.0, |_, y, coverage| {
                if coverage > 0.5 {
                    (top, bottom) = (top.min(y), bottom.max(y));
                }
            })
            .expect("a letter of the font");
        // Cap height of the face is 0.69 em.
        assert!((-2..=1).contains(&bottom), "bottom at {bottom}");
        assert!((-72..=-66).contains(&top), "top at {top}");
    }
}
