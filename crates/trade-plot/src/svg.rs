//! A scene as SVG text.

use crate::colour::Colour;
use crate::scene::{Anchor, Form, Point, Scene, Shape, Text};

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
        out += &element(shape);
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

fn element(shape: &Shape) -> String {
    let opacity = Some(shape.opacity).filter(|opacity| *opacity < 1.0);
    let opacity = opacity.map(|opacity| format!(" opacity=\"{}\"", number(opacity)));
    let opacity = opacity.unwrap_or_default();
    let fill = paint("fill", "fill", shape.colour);
    match &shape.form {
        Form::Line {
            points,
            width,
            dash,
        } => {
            let stroke = paint("stroke", "line", shape.colour);
            let (path, width) = (path(points), number(*width));
            let dash = dash.pattern().map(|lengths| {
                let [ink, gap] = lengths.map(number);
                format!(" stroke-dasharray=\"{ink} {gap}\"")
            });
            let dash = dash.unwrap_or_default();
            format!(
                "<path d=\"{path}\" fill=\"none\"{stroke} stroke-width=\"{width}\" \
                 stroke-linejoin=\"round\"{dash}{opacity}/>"
            )
        }
        Form::Area(points) => format!("<path d=\"{}Z\"{fill}{opacity}/>", path(points)),
        Form::Disc { centre, radius } => {
            let [x, y, r] = [centre[0], centre[1], *radius].map(number);
            format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\"{fill}{opacity}/>")
        }
        Form::Text(text) => letters(text, &fill),
    }
}

fn letters(text: &Text, fill: &str) -> String {
    let [x, y, size] = [text.at[0], text.at[1], text.size].map(number);
    let anchor = match text.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = ["", " font-weight=\"600\""][usize::from(text.bold)];
    let turn = || format!(" transform=\"rotate(-90 {x} {y})\"");
    let turn = text.turned.then(turn).unwrap_or_default();
    let content = escape(&text.content);
    format!(
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{weight}{turn}{fill}>{content}</text>"
    )
}

/// The colour as an attribute, which a class lets a page override.
fn paint(attribute: &str, kind: &str, colour: Colour) -> String {
    let (hex, (stem, _)) = (colour.hex(), colour.look());
    if stem.is_empty() {
        format!(" {attribute}=\"{hex}\"")
    } else {
        format!(" class=\"{stem}-{kind}\" {attribute}=\"{hex}\"")
    }
}

fn path(points: &[Point]) -> String {
    let mut d = String::new();
    for (i, [x, y]) in points.iter().map(|p| p.map(number)).enumerate() {
        d.push(if i == 0 { 'M' } else { 'L' });
        d += &x;
        d.push(' ');
        d += &y;
    }
    d
}

/// Two decimals at most: a hundredth of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    let short = if short == "-0" { "0" } else { short };
    short.into()
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
