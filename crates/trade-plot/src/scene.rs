//! A laid-out figure: shapes in pixels, from which both the SVG and the PNG are made.

use crate::colour::Colour;
use crate::style::Dash;

/// Pixels right of and below the upper left corner.
pub(crate) type Point = [f64; 2];

/// A page of shapes. Later ones lie over earlier ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scene {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

/// One thing to paint.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub form: Form,
    pub colour: Colour,
    pub opacity: f64,
}

/// The kinds of shapes.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// A line through points.
    Line {
        points: Vec<Point>,
        width: f64,
        dash: Dash,
    },
    /// A closed area.
    Area(Vec<Point>),
    /// A dot.
    Disc { centre: Point, radius: f64 },
    /// Letters.
    Text(Text),
}

/// A line of text.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub content: String,
    /// The position of the anchor, on the baseline.
    pub at: Point,
    /// The em size in pixels.
    pub size: f64,
    pub anchor: Anchor,
    pub bold: bool,
    /// Whether the text reads upwards.
    pub turned: bool,
}

/// Which end of a text its position names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Text {
    /// Horizontal text of regular weight.
    pub(crate) fn new(content: &str, at: Point, size: f64, anchor: Anchor) -> Self {
        Self {
            content: content.to_owned(),
            at,
            size,
            anchor,
            bold: false,
            turned: false,
        }
    }

    pub(crate) fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    pub(crate) fn upward(mut self) -> Self {
        self.turned = true;
        self
    }
}

impl Scene {
    fn add(&mut self, form: Form, colour: Colour, opacity: f64) {
        self.shapes.push(Shape {
            form,
            colour,
            opacity,
        });
    }

    pub(crate) fn line(&mut self, points: Vec<Point>, colour: Colour, width: f64, dash: Dash) {
        let form = Form::Line {
            points,
            width,
            dash,
        };
        self.add(form, colour, 1.0);
    }

    /// A solid line between two points.
    pub(crate) fn segment(&mut self, from: Point, to: Point, colour: Colour, width: f64) {
        self.line(vec![from, to], colour, width, Dash::Solid);
    }

    pub(crate) fn area(&mut self, points: Vec<Point>, colour: Colour, opacity: f64) {
        self.add(Form::Area(points), colour, opacity);
    }

    pub(crate) fn rectangle(
        &mut self,
        [left, top]: Point,
        [right, bottom]: Point,
        colour: Colour,
        opacity: f64,
    ) {
        let points = vec![[left, top], [right, top], [right, bottom], [left, bottom]];
        self.area(points, colour, opacity);
    }

    pub(crate) fn disc(&mut self, centre: Point, radius: f64, colour: Colour, opacity: f64) {
        self.add(Form::Disc { centre, radius }, colour, opacity);
    }

    pub(crate) fn text(&mut self, text: Text, colour: Colour) {
        self.add(Form::Text(text), colour, 1.0);
    }
}
