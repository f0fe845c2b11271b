//! What each feature set makes of each cell: small pictures side by side, a row for each scenario and direction, a column
//! for each operation. A point is a build's time relative to the reference, with its interval.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{FAINT, GREY, INK, ORANGE, WIDTH, broken, plain, style, subtitle, verdict_colour};
use crate::group::{self, Cell, Key, Row};
use crate::phases::Build;
use crate::record::environment::Environment;
use crate::report::format::{direction, operation};
use crate::scenario::{Direction, Operation, is_of_phase};
use crate::stats::Ratio;

/// With fewer builds there is no step to see.
const MIN_BUILDS: usize = 3;

const LEFT: i32 = 132;
const TOP: i32 = 92;
const PANEL_WIDTH: i32 = (WIDTH as i32 - LEFT - 16) / Operation::ALL.len() as i32;
const PANEL_HEIGHT: i32 = 170;
/// Within a panel: to the left for the scale's figures, below for the names of the builds.
const INSET: i32 = 34;
const BELOW: i32 = 46;

/// Whether there is something to draw: cells of no phase's own scenario, and builds enough.
pub fn has_steps(cells: &[&Cell], environment: &Environment) -> bool {
    group::builds(environment).len() >= MIN_BUILDS && cells.iter().any(|c| !is_of_phase(&c.key.scenario))
}

/// Scenario and direction: one row of panels.
fn lanes(rows: &[&Row]) -> Vec<(String, Direction)> {
    let mut lanes = Vec::new();
    for key in rows.iter().map(|row| &row.cell.key).filter(|key| !is_of_phase(&key.scenario)) {
        let lane = (key.scenario.clone(), key.direction);
        if !lanes.contains(&lane) {
            lanes.push(lane);
        }
    }
    lanes
}

/// The picture, as SVG.
///
/// # Errors
/// When it cannot be drawn.
pub fn draw(transport: &str, rows: &[&Row], environment: &Environment) -> Result<String> {
    let (builds, lanes) = (group::builds(environment), lanes(rows));
    let mut svg = String::new();
    {
        let height = TOP + lanes.len() as i32 * PANEL_HEIGHT + 16;
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(broken)?;
        let text = |text: &str, at, size, colour: &RGBColor, h| {
            area.draw(&Text::new(text.to_owned(), at, style(size, colour, h))).map_err(broken)
        };
        text(&format!("Feature set by feature set, {transport}"), (16, 22), 18, &INK, HPos::Left)?;
        text(&subtitle(environment), (16, 44), 12, &GREY, HPos::Left)?;
        text(
            "time / rsync's time (log), median and 95 % interval; blue: faster than rsync, orange: slower, grey: inconclusive",
            (16, 62),
            12,
            &GREY,
            HPos::Left,
        )?;
        for (column, kind) in Operation::ALL.into_iter().enumerate() {
            text(operation(kind), (LEFT + column as i32 * PANEL_WIDTH + INSET, 84), 13, &INK, HPos::Left)?;
        }
        for (lane, (scenario, way)) in lanes.iter().enumerate() {
            let top = TOP + lane as i32 * PANEL_HEIGHT;
            text(scenario, (LEFT - 8, top + 50), 13, &INK, HPos::Right)?;
            if *way != Direction::Local {
                text(direction(*way), (LEFT - 8, top + 68), 12, &GREY, HPos::Right)?;
            }
            for (column, kind) in Operation::ALL.into_iter().enumerate() {
                let of = |key: &Key| key.scenario == *scenario && key.direction == *way && key.operation == kind;
                let own: Vec<&&Row> = rows.iter().filter(|row| of(&row.cell.key)).collect();
                let corner = (LEFT + column as i32 * PANEL_WIDTH, top);
                Panel::new(corner, &builds, &own).draw(&area)?;
            }
        }
        area.present().map_err(broken)?;
    }
    Ok(svg)
}

/// One cell's steps.
struct Panel<'a> {
    corner: (i32, i32),
    steps: Vec<(&'a str, Option<Ratio>, RGBColor)>,
    low: f64,
    high: f64,
}

impl<'a> Panel<'a> {
    fn new(corner: (i32, i32), builds: &[Build<'a>], rows: &[&&Row]) -> Self {
        let step = |build: &Build<'a>| {
            let row = rows.iter().find(|row| row.contender == build.name);
            (build.name, row.and_then(|row| row.ratio), verdict_colour(row.and_then(|row| row.verdict)))
        };
        let steps: Vec<(&str, Option<Ratio>, RGBColor)> = builds.iter().map(step).collect();
        let ends = steps.iter().filter_map(|(_, ratio, _)| *ratio).flat_map(|r| [r.low, r.high]);
        let (low, high) = ends.fold((0.8, 1.25), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
        Panel { corner, steps, low: low / 1.1, high: high * 1.1 }
    }

    fn x(&self, step: usize) -> i32 {
        let room = PANEL_WIDTH - INSET - 12;
        self.corner.0 + INSET + ((step as f64 + 0.5) * f64::from(room) / self.steps.len() as f64).round() as i32
    }

    fn y(&self, value: f64) -> i32 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.corner.1 + 8 + ((1.0 - share) * f64::from(PANEL_HEIGHT - BELOW - 8)).round() as i32
    }

    fn draw(&self, area: &super::Area) -> Result<()> {
        let line = |from, to, style: ShapeStyle| area.draw(&PathElement::new(vec![from, to], style)).map_err(broken);
        let text = |text: &str, at, size, colour: &RGBColor, h| {
            area.draw(&Text::new(text.to_owned(), at, style(size, colour, h))).map_err(broken)
        };
        let (left, right) = (self.corner.0 + INSET, self.corner.0 + PANEL_WIDTH - 12);
        let scale = super::Scale { low: self.low, high: self.high };
        for tick in scale.ticks().into_iter().filter(|t| labelled(*t)) {
            let (y, one) = (self.y(tick), tick == 1.0);
            line((left, y), (right, y), if one { INK.stroke_width(1) } else { FAINT.stroke_width(1) })?;
            text(&plain(tick), (left - 5, y), 10, &GREY, HPos::Right)?;
        }
        for (i, (name, ratio, colour)) in self.steps.iter().enumerate() {
            let x = self.x(i);
            // Turned to stand: side by side they would run into each other.
            let label = style(10, &INK, HPos::Right).transform(FontTransform::Rotate270);
            let below = self.corner.1 + PANEL_HEIGHT - BELOW + 6;
            area.draw(&Text::new(short(name).to_owned(), (x, below), label)).map_err(broken)?;
            let Some(ratio) = ratio else {
                text("?", (x, self.y(1.0)), 12, &ORANGE, HPos::Center)?;
                continue;
            };
            if let Some((_, Some(next), _)) = self.steps.get(i + 1) {
                line((x, self.y(ratio.median)), (self.x(i + 1), self.y(next.median)), GREY.stroke_width(1))?;
            }
            line((x, self.y(ratio.low)), (x, self.y(ratio.high)), colour.stroke_width(3))?;
            area.draw(&Circle::new((x, self.y(ratio.median)), 4, colour.filled())).map_err(broken)?;
        }
        Ok(())
    }
}

/// The figures that a small scale has room for.
fn labelled(tick: f64) -> bool {
    let digits = tick / 10f64.powf(tick.log10().floor());
    [1.0, 2.0, 3.0, 5.0, 7.0].iter().any(|d| (digits - d).abs() < 1e-6)
}

/// `..1.2` of `sy[..1.2]`.
fn short(name: &str) -> &str {
    name.strip_prefix("sy[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{phases_record, record};

    fn svg() -> String {
        let run = phases_record();
        let cells = group::cells(&run.samples);
        let rows = group::conclude(&cells, &run.environment);
        draw("ssh:loopback", &rows.iter().collect::<Vec<_>>(), &run.environment).unwrap()
    }

    #[test]
    fn a_panel_has_a_point_for_every_build_with_its_short_name() {
        let svg = svg();
        assert!(svg.contains("small_files") && svg.contains("push"));
        for name in ["none", "1.1", "all"] {
            assert!(svg.contains(&format!("\n{name}\n")), "{name}");
        }
        // Three builds in the one cell that has figures.
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn steps_are_drawn_where_there_are_builds_enough_and_cells_that_are_no_phases_own() {
        let (mut run, plain) = (phases_record(), record());
        let has = |run: &crate::record::store::Recorded| {
            let cells = group::cells(&run.samples);
            has_steps(&cells.iter().collect::<Vec<_>>(), &run.environment)
        };
        assert!(has(&run) && !has(&plain));
        run.samples.iter_mut().for_each(|s| s.scenario = "opt/x".into());
        assert!(!has(&run));
    }

    #[test]
    fn a_scale_is_labelled_sparsely() {
        assert!([0.1, 0.5, 1.0, 2.0, 30.0].into_iter().all(labelled));
        assert!([0.4, 1.5, 6.0, 80.0].into_iter().all(|tick| !labelled(tick)));
    }
}
