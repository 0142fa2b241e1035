//! One panel: its axes, grid, ticks, labels and content, and the room they need.

use super::colour::{Colour, Dash};
use super::layout::{EDGE, LABEL};
use super::marks::{Plane, heat_scale};
use super::scene::{Anchor, Point, Scene, Window};
use super::ticks::{Scale, Ticks};
use super::typeface::width;
use super::{Mark, Panel, Series};

const HEADING: f64 = 12.5;
const TICK: f64 = 11.0;
/// Distance between the window and the tick labels.
const TICK_GAP: f64 = 7.0;
/// Colour bar of a heat map: distance and width.
const BAR: (f64, f64) = (9.0, 11.0);

/// A panel with everything found that its size depends on.
pub(super) struct Prepared<'a> {
    panel: &'a Panel,
    x: Scale,
    y: Scale,
    x_ticks: Ticks,
    y_ticks: Ticks,
    bar: Option<(Scale, Ticks, &'a str)>,
}

/// Widest label of some ticks in pixels.
fn label_width(ticks: &Ticks) -> f64 {
    ticks
        .major
        .iter()
        .map(|(_, label)| width(label) * TICK)
        .fold(0.0, f64::max)
}

impl<'a> Prepared<'a> {
    pub(super) fn new(panel: &'a Panel, (wide, high): (f64, f64)) -> Self {
        let shown = || panel.content.iter().filter(|s| s.is_visible(panel.y.log));
        let heat = |s: &Series| matches!(s.mark, Mark::Heat { .. });
        let tight = shown().any(heat);
        // Histograms and curves fill the width; dots at the ends need room.
        let dots = shown().any(|s| matches!(s.mark, Mark::Dots { .. }));
        let pad_x = if dots && !tight { 0.04 } else { 0.0 };
        let pad_y = if tight { 0.0 } else { 0.06 };
        let x = Scale::new(&panel.x, shown().flat_map(Series::abscissae), pad_x, false);
        let y = Scale::new(&panel.y, shown().flat_map(Series::ordinates), pad_y, !tight);
        let mut x_ticks = x.ticks(wide / 52.0);
        // Long labels leave room for fewer.
        let room = wide / (label_width(&x_ticks) + 14.0);
        if x_ticks.major.len() as f64 > room {
            x_ticks = x.ticks((wide / 52.0).min(0.7 * room));
        }
        let y_ticks = y.ticks(high / 42.0);
        let bar = shown().find_map(|s| match &s.mark {
            Mark::Heat { values, scale, .. } => {
                let levels = heat_scale(values, scale);
                Some((levels, levels.ticks(high / 42.0), scale.label.as_str()))
            }
            _ => None,
        });
        Self {
            panel,
            x,
            y,
            x_ticks,
            y_ticks,
            bar,
        }
    }

    pub(super) fn left(&self) -> f64 {
        let label = if self.panel.y.label.is_empty() {
            0.0
        } else {
            LABEL + 7.0
        };
        label + label_width(&self.y_ticks) + TICK_GAP + 8.0
    }

    pub(super) fn right(&self) -> f64 {
        self.bar.as_ref().map_or(EDGE + 2.0, |(_, ticks, label)| {
            let label = if label.is_empty() { 0.0 } else { LABEL + 6.0 };
            BAR.0 + BAR.1 + 5.0 + label_width(ticks) + label + EDGE
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
        let label = if self.panel.x.label.is_empty() {
            0.0
        } else {
            LABEL + 5.0
        };
        TICK_GAP + TICK + label
    }

    pub(super) fn draw(&self, scene: &mut Scene, window: Window) {
        let plane = Plane {
            window,
            x: self.x,
            y: self.y,
        };
        let Window {
            left,
            right,
            top,
            bottom,
        } = window;
        let at_x = |v: f64| left + self.x.place(v) * (right - left);
        let at_y = |v: f64| bottom - self.y.place(v) * (bottom - top);
        if self.bar.is_none() {
            for (value, _) in &self.x_ticks.major {
                let x = at_x(*value);
                scene.line(vec![[x, top], [x, bottom]], Colour::Grid, 0.8, Dash::Solid);
            }
            for (value, _) in &self.y_ticks.major {
                let y = at_y(*value);
                scene.line(vec![[left, y], [right, y]], Colour::Grid, 0.8, Dash::Solid);
            }
        }
        let shown = self
            .panel
            .content
            .iter()
            .filter(|s| s.is_visible(self.panel.y.log));
        let before = scene.shapes.len();
        shown.for_each(|series| plane.draw(scene, series));
        if scene.shapes.len() == before {
            let middle = [0.5 * (left + right), 0.5 * (top + bottom)];
            scene.text(
                "no data",
                middle,
                LABEL,
                Anchor::Middle,
                Colour::Muted,
                false,
            );
        }

        scene.line(
            vec![[left, top], [left, bottom], [right, bottom]],
            Colour::Muted,
            1.0,
            Dash::Solid,
        );
        let mark = |scene: &mut Scene, from: Point, to: Point| {
            scene.line(vec![from, to], Colour::Muted, 0.9, Dash::Solid);
        };
        for (value, label) in &self.x_ticks.major {
            let x = at_x(*value);
            mark(scene, [x, bottom], [x, bottom + 4.0]);
            scene.text(
                label,
                [x, bottom + TICK_GAP + TICK * 0.8],
                TICK,
                Anchor::Middle,
                Colour::Ink,
                false,
            );
        }
        for value in &self.x_ticks.minor {
            mark(scene, [at_x(*value), bottom], [at_x(*value), bottom + 2.2]);
        }
        for (value, label) in &self.y_ticks.major {
            let y = at_y(*value);
            mark(scene, [left - 4.0, y], [left, y]);
            scene.text(
                label,
                [left - TICK_GAP, y + TICK * 0.35],
                TICK,
                Anchor::End,
                Colour::Ink,
                false,
            );
        }
        for value in &self.y_ticks.minor {
            mark(scene, [left - 2.2, at_y(*value)], [left, at_y(*value)]);
        }
        if !self.panel.title.is_empty() {
            scene.text(
                &self.panel.title,
                [left, top - 8.0],
                HEADING,
                Anchor::Start,
                Colour::Ink,
                true,
            );
        }
        if !self.panel.x.label.is_empty() {
            let at = [0.5 * (left + right), bottom + TICK_GAP + TICK + LABEL + 1.0];
            scene.text(
                &self.panel.x.label,
                at,
                LABEL,
                Anchor::Middle,
                Colour::Ink,
                false,
            );
        }
        if !self.panel.y.label.is_empty() {
            let x = left - TICK_GAP - label_width(&self.y_ticks) - 8.0;
            scene.upward(&self.panel.y.label, LABEL, [x, 0.5 * (top + bottom)]);
        }
        self.draw_bar(scene, window);
    }

    fn draw_bar(
        &self,
        scene: &mut Scene,
        Window {
            right, top, bottom, ..
        }: Window,
    ) {
        let Some((levels, ticks, label)) = &self.bar else {
            return;
        };
        let (from, to) = (right + BAR.0, right + BAR.0 + BAR.1);
        let steps = 64;
        let at = |t: f64| bottom - t * (bottom - top);
        for i in 0..steps {
            let t = f64::from(i) / f64::from(steps);
            // Each step reaches the top, so that no seam shows between two.
            scene.rectangle(
                [from, top],
                [to, at(t)],
                super::heat((f64::from(i)) / f64::from(steps - 1)),
            );
        }
        for (value, text) in &ticks.major {
            let y = at(levels.place(*value));
            scene.line(
                vec![[to, y], [to + 3.0, y]],
                Colour::Muted,
                0.9,
                Dash::Solid,
            );
            scene.text(
                text,
                [to + 6.0, y + TICK * 0.35],
                TICK,
                Anchor::Start,
                Colour::Ink,
                false,
            );
        }
        if !label.is_empty() {
            let x = to + 6.0 + label_width(ticks) + LABEL + 2.0;
            scene.upward(label, LABEL, [x, 0.5 * (top + bottom)]);
        }
    }
}
