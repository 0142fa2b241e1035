//! Figures for papers and reports: the caller declares what is shown, and this crate decides how it
//! looks.
//!
//! A [`Figure`] is a grid of [`Panel`]s with one legend above them. A panel has two [`Axis`] values
//! and holds [`Series`], each of which draws numbers with a [`Mark`]: a line, a band, dots, a
//! histogram, rules or a heat map. [`Figure::save`] writes the figure as SVG and as PNG, and
//! [`Figure::to_svg`] returns the SVG as text, for example to place it in a web page.
//!
//! No data make the crate panic. A value that is not finite leaves a gap, and so does a value that
//! is not positive on a logarithmic axis. A series without any value to show is left out, also in
//! the legend. The fonts are part of the crate, so a PNG looks the same on every machine.
//!
//! ```
//! use trade_plot::{Axis, Colour, Figure, Panel, Series};
//!
//! let x: Vec<f64> = (0..100).map(|i| 0.1 * f64::from(i)).collect();
//! let y = x.iter().map(|x| x.sin()).collect();
//! let panel = Panel::new(Axis::new("time"), Axis::new("height"))
//!     .with(Series::line(x, y, Colour::Hue(0)).labelled("sin t"));
//! let figure = Figure::new("A wave").with(panel);
//! assert!(figure.to_svg().contains("sin t"));
//!
//! # let folder = std::env::temp_dir().join(format!("trade-plot-{}", std::process::id()));
//! // Writes wave.svg and wave.png.
//! figure.save(&folder, "wave")?;
//! # std::fs::remove_dir_all(&folder).expect("the folder was just made");
//! # Ok::<(), trade_plot::Error>(())
//! ```

mod axis;
mod colour;
mod extent;
mod figure;
mod layout;
mod number;
mod output;
mod panel;
mod png;
mod scale;
mod scene;
mod series;
mod style;
mod svg;
mod ticks;
mod typeface;
mod window;

pub use axis::Axis;
pub use colour::{Colour, dark_rules, heat};
pub use figure::Figure;
pub use number::{decimal, scientific};
pub use output::Error;
pub use panel::Panel;
pub use series::{Mark, Series};
pub use style::{Dash, Style, styles};
pub use svg::escape;
