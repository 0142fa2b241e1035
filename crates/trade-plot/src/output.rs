//! Figures as text and as files.

use crate::figure::Figure;
use crate::{layout, png, svg};
use std::io;
use std::path::{Path, PathBuf};

/// The error of a figure that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("the figure {} cannot be written", path.display())]
pub struct Error {
    /// The file, or the folder that should hold it.
    pub path: PathBuf,
    /// What the operating system or the image encoder said.
    pub source: io::Error,
}

impl Figure {
    /// Returns the figure as one `<svg>` element, which can be a file or a part of a page. Its
    /// classes let the page apply [`dark_rules`](crate::dark_rules).
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::document(&layout::arrange(self), &self.title)
    }

    /// Writes `stem.svg` and, at twice the size in pixels, `stem.png` into the folder `dir`, which
    /// is made if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the folder or a file cannot be written, or if the image would have more
    /// than 2²⁸ pixels.
    pub fn save(&self, dir: &Path, stem: &str) -> Result<(), Error> {
        let scene = layout::arrange(self);
        let at = |path: &Path| {
            let path = path.to_owned();
            |source| Error { path, source }
        };
        std::fs::create_dir_all(dir).map_err(at(dir))?;
        let file = dir.join(format!("{stem}.svg"));
        std::fs::write(&file, svg::document(&scene, &self.title)).map_err(at(&file))?;
        let file = dir.join(format!("{stem}.png"));
        png::encode(&scene)
            .and_then(|bytes| std::fs::write(&file, bytes))
            .map_err(at(&file))
    }

    /// Writes one file: a PNG, at twice the size in pixels, if the name ends with `.png`, and an SVG
    /// otherwise.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_as(&self, file: &Path) -> Result<(), Error> {
        let scene = layout::arrange(self);
        let is_png = file.extension().is_some_and(|ending| ending == "png");
        let bytes = if is_png {
            png::encode(&scene)
        } else {
            Ok(svg::document(&scene, &self.title).into_bytes())
        };
        bytes
            .and_then(|bytes| std::fs::write(file, bytes))
            .map_err(|source| Error {
                path: file.to_owned(),
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use crate::colour::Colour;
    use crate::panel::Panel;
    use crate::series::{Mark, Series};

    fn every_mark(values: Vec<f64>) -> Figure {
        let x: Vec<f64> = (0..values.len()).map(|i| i as f64).collect();
        let upper: Vec<f64> = values.iter().map(|v| v + 0.5).collect();
        let errors = Some(vec![0.2; values.len()]);
        let heat = Mark::Heat {
            values: values.clone(),
            nx: values.len(),
            ny: 1,
            scale: Axis::new("heat"),
        };
        let panel = |log| {
            let y = if log { Axis::log("y") } else { Axis::new("y") };
            let (x, y_of, hue) = (|| x.clone(), || values.clone(), Colour::Hue);
            let steps = Mark::Steps { filled: true };
            Panel::new(Axis::new("x"), y)
                .with(Series::band(x(), y_of(), upper.clone(), hue(0)))
                .with(Series::line(x(), y_of(), hue(0)).labelled("line"))
                .with(Series::dots(x(), y_of(), errors.clone(), hue(1)))
                .with(Series::new(steps, x(), y_of(), hue(2)))
                .with(Series::rules(x()))
        };
        let heat = Series::new(heat, x.clone(), vec![0.0], Colour::Ink);
        let heat = Panel::new(Axis::new("x"), Axis::new("y")).with(heat);
        Figure::new("All & every")
            .with(panel(false))
            .with(panel(true))
            .with(heat)
            .columns(2)
    }

    #[test]
    fn any_data_makes_a_well_formed_figure() {
        for values in [
            vec![],
            vec![f64::NAN; 3],
            vec![1.0],
            vec![0.0, 0.0],
            vec![-1.0, f64::INFINITY, 2.0, f64::NAN, 3.0],
            vec![1e300, -1e300, 1e-300],
            vec![f64::MAX, f64::MIN],
        ] {
            let figure = every_mark(values.clone());
            let svg = figure.to_svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            png::encode(&layout::arrange(&figure)).expect("a small image");
        }
        assert!(Figure::new("").columns(0).to_svg().ends_with("</svg>\n"));
    }

    #[test]
    fn a_series_without_data_is_not_in_the_legend() {
        let svg = every_mark(vec![f64::NAN; 3]).to_svg();
        assert!(!svg.contains(">line<"));
        assert!(every_mark(vec![1.0, 2.0]).to_svg().contains(">line<"));
    }

    #[test]
    fn files_hold_the_picture() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let figure = every_mark(vec![1.0, 3.0, 2.0]);
        let new = dir.path().join("new");
        figure.save(&new, "all").expect("a writable folder");
        let svg = std::fs::read_to_string(new.join("all.svg")).expect("written");
        assert_eq!(svg, figure.to_svg());
        assert!(svg.contains("All &amp; every"));
        let png = std::fs::read(new.join("all.png")).expect("written");
        for (name, bytes) in [("one.png", &png[..]), ("one.svg", svg.as_bytes())] {
            let file = dir.path().join(name);
            figure.save_as(&file).expect("a writable folder");
            assert_eq!(std::fs::read(file).expect("written"), bytes);
        }
        let image = tiny_skia::Pixmap::decode_png(&png).expect("a whole file");
        let scene = layout::arrange(&figure);
        let size = [image.width(), image.height()].map(f64::from);
        assert_eq!(size, [2.0 * scene.width, 2.0 * scene.height]);
        assert!(image.pixels().iter().filter(|p| p.red() < 100).count() > 1000);
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("writable");
        let saved = Figure::new("x").save(&file.join("sub"), "x");
        let error = saved.expect_err("a file is no folder").to_string();
        assert!(error.contains("sub cannot be written"), "{error}");
    }
}
