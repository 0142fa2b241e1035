//! A scene as SVG text.

use crate::colour::Colour;
use crate::scene::{Anchor, Form, Point, Scene, Shape, Text};
use std::fmt::Write;

/// What browsers and editors take for a plain sans-serif.
const FAMILY: &str =
    "Ubuntu, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// The scene as one `<svg>` element, described to screen readers by `title`.
pub(crate) fn document(scene: &Scene, title: &str) -> String {
    let [w, h] = [number(scene.width), number(scene.height)];
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {w} {h}\" role=\"img\" aria-label=\"{}\" font-family=\"{FAMILY}\">\n",
        escape(title)
    );
    for shape in &scene.shapes {
        element(&mut out, shape);
        out.push('\n');
    }
    out += "</svg>\n";
    out
}

/// Returns the text in a form that is safe inside XML and HTML, in elements and in quoted
/// attributes. Characters that XML cannot hold become U+FFFD.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\t' | '\n' | '\r' => out.push(letter),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn element(out: &mut String, shape: &Shape) {
    let Shape {
        form,
        colour,
        opacity,
    } = shape;
    let see_through = if *opacity < 1.0 {
        format!(" opacity=\"{}\"", number(*opacity))
    } else {
        String::new()
    };
    let fill = || paint("fill", "fill", *colour);
    // Writing to a string cannot fail.
    let _ = match form {
        Form::Line {
            points,
            width,
            dash,
        } => {
            let dashes = dash.pattern().map_or_else(String::new, |[ink, gap]| {
                format!(" stroke-dasharray=\"{} {}\"", number(ink), number(gap))
            });
            write!(
                out,
                "<path d=\"{}\" fill=\"none\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"{dashes}{see_through}/>",
                path(points),
                paint("stroke", "line", *colour),
                number(*width),
            )
        }
        Form::Area(points) => {
            write!(
                out,
                "<path d=\"{}Z\"{}{see_through}/>",
                path(points),
                fill()
            )
        }
        Form::Disc { centre, radius } => {
            let [x, y, r] = [centre[0], centre[1], *radius].map(number);
            let fill = fill();
            write!(
                out,
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{fill}{see_through}/>"
            )
        }
        Form::Text(text) => letters(out, text, &fill()),
    };
}

fn letters(out: &mut String, text: &Text, fill: &str) -> std::fmt::Result {
    let [x, y] = text.at.map(number);
    let anchor = match text.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = if text.bold {
        " font-weight=\"600\""
    } else {
        ""
    };
    let turn = if text.turned {
        format!(" transform=\"rotate(-90 {x} {y})\"")
    } else {
        String::new()
    };
    write!(
        out,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{anchor}{weight}{turn}{fill}>{}</text>",
        number(text.size),
        escape(&text.content)
    )
}

/// The colour as an attribute, which a class lets a page override.
fn paint(attribute: &str, kind: &str, colour: Colour) -> String {
    let class = colour
        .class()
        .map_or_else(String::new, |stem| format!(" class=\"{stem}-{kind}\""));
    format!("{class} {attribute}=\"{}\"", colour.hex())
}

fn path(points: &[Point]) -> String {
    let mut d = String::new();
    for (i, [x, y]) in points.iter().enumerate() {
        d.push(if i == 0 { 'M' } else { 'L' });
        d += &number(*x);
        d.push(' ');
        d += &number(*y);
    }
    d
}

/// Two decimals at most: a hundredth of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" {
        "0".into()
    } else {
        short.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_inert() {
        assert_eq!(
            escape("<b a=\"x\">'&'\u{1}"),
            "&lt;b a=&quot;x&quot;&gt;&#39;&amp;&#39;\u{fffd}"
        );
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(3.0), "3");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(120.456), "120.46");
        assert_eq!(number(100.0), "100");
    }
}
