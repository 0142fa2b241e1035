//! One panel: its axes, grid, ticks, labels and content, and the room they need.

use super::marks::{Plane, heat_scale};
use super::{EDGE, LABEL};
use crate::colour::{Colour, heat};
use crate::panel::Panel;
use crate::scale::Scale;
use crate::scene::{Anchor, Scene, Text};
use crate::series::{Mark, Series};
use crate::style::Dash;
use crate::ticks::Ticks;
use crate::typeface::width;
use crate::window::Window;

const HEADING: f64 = 12.5;
const TICK: f64 = 11.0;
/// Distance between the window and the tick labels.
const TICK_GAP: f64 = 7.0;
/// Colour bar of a heat map: distance and width.
const BAR: (f64, f64) = (9.0, 11.0);

/// An axis or a colour bar with its ticks and its label.
struct Ruler<'a> {
    scale: Scale,
    ticks: Ticks,
    label: &'a str,
}

impl<'a> Ruler<'a> {
    fn new(scale: Scale, wanted: f64, label: &'a str) -> Self {
        let ticks = Ticks::of(&scale, wanted);
        Self {
            scale,
            ticks,
            label,
        }
    }

    /// The width of the widest tick label in pixels.
    fn width(&self) -> f64 {
        let labels = self.ticks.major.iter().map(|(_, label)| label);
        labels.map(|label| width(label) * TICK).fold(0.0, f64::max)
    }

    /// The room that the label takes with this distance; none if it is empty.
    fn label_room(&self, distance: f64) -> f64 {
        if self.label.is_empty() {
            0.0
        } else {
            LABEL + distance
        }
    }
}

/// A panel with everything found that its size depends on.
pub(super) struct Frame<'a> {
    panel: &'a Panel,
    x: Ruler<'a>,
    y: Ruler<'a>,
    bar: Option<Ruler<'a>>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(panel: &'a Panel, (wide, high): (f64, f64)) -> Self {
        let any = |is: fn(&Mark) -> bool| panel.shown().any(|s| is(&s.mark));
        let tight = any(|mark| matches!(mark, Mark::Heat { .. }));
        // Histograms and curves fill the width; dots at the ends need room.
        let dots = any(|mark| matches!(mark, Mark::Dots { .. }));
        let pad_x = if dots && !tight { 0.04 } else { 0.0 };
        let pad_y = if tight { 0.0 } else { 0.06 };
        let across = panel.shown().flat_map(Series::abscissae);
        let up = panel.shown().flat_map(Series::ordinates);
        let scale = Scale::new(&panel.x, across, pad_x, false);
        let mut x = Ruler::new(scale, wide / 52.0, &panel.x.label);
        // Long labels leave room for fewer.
        let room = wide / (x.width() + 14.0);
        if x.ticks.major.len() as f64 > room {
            x.ticks = Ticks::of(&scale, (wide / 52.0).min(0.7 * room));
        }
        let scale = Scale::new(&panel.y, up, pad_y, !tight);
        let bar = panel.shown().find_map(|s| match &s.mark {
            Mark::Heat { values, scale, .. } => {
                let levels = heat_scale(values, scale);
                Some(Ruler::new(levels, high / 42.0, &scale.label))
            }
            _ => None,
        });
        Self {
            panel,
            x,
            y: Ruler::new(scale, high / 42.0, &panel.y.label),
            bar,
        }
    }

    pub(super) fn left(&self) -> f64 {
        self.y.label_room(7.0) + self.y.width() + TICK_GAP + 8.0
    }

    pub(super) fn right(&self) -> f64 {
        self.bar.as_ref().map_or(EDGE + 2.0, |bar| {
            BAR.0 + BAR.1 + 5.0 + bar.width() + bar.label_room(6.0) + EDGE
        })
    }

    pub(super) fn above(&self) -> f64 {
        if self.panel.title.is_empty() {
            6.0
        } else {
            HEADING + 11.0
        }
    }

    pub(super) fn below(&self) -> f64 {
        TICK_GAP + TICK + self.x.label_room(5.0)
    }

    pub(super) fn draw(&self, scene: &mut Scene, window: Window) {
        if self.panel.is_free() {
            return;
        }
        let Window([left, right, top, bottom]) = window;
        let at_x = |v: f64| left + self.x.scale.place(v) * (right - left);
        let at_y = |v: f64| bottom - self.y.scale.place(v) * (bottom - top);
        if self.bar.is_none() {
            for x in self.x.ticks.major.iter().map(|(value, _)| at_x(*value)) {
                scene.segment([x, top], [x, bottom], Colour::Grid, 0.8);
            }
            for y in self.y.ticks.major.iter().map(|(value, _)| at_y(*value)) {
                scene.segment([left, y], [right, y], Colour::Grid, 0.8);
            }
        }
        let plane = Plane {
            window,
            x: self.x.scale,
            y: self.y.scale,
        };
        let before = scene.shapes.len();
        self.panel
            .shown()
            .for_each(|series| plane.draw(scene, series));
        let middle = [0.5 * (left + right), 0.5 * (top + bottom)];
        if scene.shapes.len() == before {
            let text = Text::new("no data", middle, LABEL, Anchor::Middle);
            scene.text(text, Colour::Muted);
        }

        let corner = vec![[left, top], [left, bottom], [right, bottom]];
        scene.line(corner, Colour::Muted, 1.0, Dash::Solid);
        for (value, label) in &self.x.ticks.major {
            let x = at_x(*value);
            scene.segment([x, bottom], [x, bottom + 4.0], Colour::Muted, 0.9);
            let at = [x, bottom + TICK_GAP + TICK * 0.8];
            scene.text(Text::new(label, at, TICK, Anchor::Middle), Colour::Ink);
        }
        for x in self.x.ticks.minor.iter().map(|value| at_x(*value)) {
            scene.segment([x, bottom], [x, bottom + 2.2], Colour::Muted, 0.9);
        }
        for (value, label) in &self.y.ticks.major {
            let y = at_y(*value);
            scene.segment([left - 4.0, y], [left, y], Colour::Muted, 0.9);
            let at = [left - TICK_GAP, y + TICK * 0.35];
            scene.text(Text::new(label, at, TICK, Anchor::End), Colour::Ink);
        }
        for y in self.y.ticks.minor.iter().map(|value| at_y(*value)) {
            scene.segment([left - 2.2, y], [left, y], Colour::Muted, 0.9);
        }

        let mut put = |text: Text| {
            if !text.content.is_empty() {
                scene.text(text, Colour::Ink);
            }
        };
        let at = [left, top - 8.0];
        put(Text::new(&self.panel.title, at, HEADING, Anchor::Start).bold());
        let at = [middle[0], bottom + TICK_GAP + TICK + LABEL + 1.0];
        put(Text::new(self.x.label, at, LABEL, Anchor::Middle));
        let at = [left - TICK_GAP - self.y.width() - 8.0, middle[1]];
        put(Text::new(self.y.label, at, LABEL, Anchor::Middle).upward());
        if let Some(bar) = &self.bar {
            draw_bar(scene, bar, window);
        }
    }
}

/// Draws the colour bar of a heat map right of the window.
fn draw_bar(scene: &mut Scene, bar: &Ruler, window: Window) {
    let Window([_, right, top, bottom]) = window;
    let (from, to) = (right + BAR.0, right + BAR.0 + BAR.1);
    let steps = 64;
    let at = |t: f64| bottom - t * (bottom - top);
    for i in (0..steps).map(f64::from) {
        let y = at(i / f64::from(steps));
        // Each step reaches the top, so that no seam shows between two.
        let colour = heat(i / f64::from(steps - 1));
        scene.rectangle([from, top], [to, y], colour, 1.0);
    }
    for (value, text) in &bar.ticks.major {
        let y = at(bar.scale.place(*value));
        scene.segment([to, y], [to + 3.0, y], Colour::Muted, 0.9);
        let at = [to + 6.0, y + TICK * 0.35];
        scene.text(Text::new(text, at, TICK, Anchor::Start), Colour::Ink);
    }
    if !bar.label.is_empty() {
        let x = to + 6.0 + bar.width() + LABEL + 2.0;
        let label = Text::new(bar.label, [x, 0.5 * (top + bottom)], LABEL, Anchor::Middle);
        scene.text(label.upward(), Colour::Ink);
    }
}
