//! The pictures of a run, as SVG: the ratio to the reference with its interval, the medians of all subjects,
//! and where there are several lines, time against the round trip, or several numbers of files, time and memory against
//! those.
//!
//! The only module that names plotters. It draws conclusions that `group` reached and computes none; a cell with an error
//! is drawn as a gap with the word.

mod phases;
mod rtt;
mod scale;
mod sheet;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::group::{self, Cell, Row};
use crate::phases::extremes;
use crate::record::environment::{Environment, SubjectInfo};
use crate::record::store::Recorded;
use crate::report::format::{direction, operation};
use crate::report::{file_part, transports};
use crate::rtt::families;
use crate::scale::panels;
use crate::scenario::Direction;
use crate::subject::Role;
use crate::verdict::{self, Verdict};

const WIDTH: u32 = 920;
const ROW: u32 = 24;
/// Left of the axis: the names of the cells.
const NAMES: i32 = 250;
/// Right of the axis: the figures.
const FIGURES: i32 = 170;
const TOP: i32 = 76;
const BOTTOM: i32 = 56;

const INK: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(222, 222, 222);
const GREY: RGBColor = RGBColor(130, 130, 130);
/// Colours that stay apart for eyes that do not tell red from green (Okabe and Ito).
const BLUE_: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const PALETTE: [RGBColor; 6] =
    [BLUE_, INK, RGBColor(230, 159, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(86, 180, 233)];

pub use phases::has_steps;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws all plots of a run into `dir`, which is made.
///
/// # Errors
/// When they cannot be written.
pub fn draw_all(run: &Recorded, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let cells = group::cells(&run.samples);
    let rows = group::conclude(&cells, &run.environment);
    for transport in transports(&cells) {
        let cells: Vec<&Cell> = cells.iter().filter(|c| c.key.transport == transport).collect();
        let rows: Vec<&Row> = rows.iter().filter(|r| r.cell.key.transport == transport).collect();
        let part = file_part(&transport);
        let main: Vec<&Row> = rows.iter().copied().filter(|r| is_headline(&r.contender, &run.environment)).collect();
        let mut plots = vec![
            (format!("ratio-{part}.svg"), ratio_plot(&transport, &main, &run.environment)?),
            (format!("wall-{part}.svg"), wall_plot(&transport, &cells, &run.environment)?),
        ];
        if has_steps(&cells, &run.environment) {
            plots.push((format!("phases-{part}.svg"), phases::draw(&transport, &rows, &run.environment)?));
        }
        for (name, svg) in plots {
            let path = dir.join(name);
            fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    for family in families(&cells, &run.environment) {
        let path = dir.join(family.file());
        fs::write(&path, rtt::plot(&family, &run.environment)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    for (name, svg) in scale::plots(&panels(&cells, &run.environment), &run.environment)? {
        let path = dir.join(name);
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Of many builds the two extremes are drawn: the steps between them have a picture of their own.
fn is_shown(subject: &SubjectInfo, environment: &Environment) -> bool {
    let builds = group::builds(environment);
    let ends = extremes(&builds).filter(|_| subject.phases.is_some());
    ends.is_none_or(|pair| [pair.base.name, pair.with.name].contains(&subject.name.as_str()))
}

/// ... and of the ratios that of the fullest.
fn is_headline(contender: &str, environment: &Environment) -> bool {
    let builds = group::builds(environment);
    extremes(&builds).is_none_or(|pair| pair.with.name == contender)
}

/// A logarithmic scale over the columns between the names and the figures.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Around the values, with some room, and at least from `least.0` to `least.1`.
    fn around(values: impl Iterator<Item = f64>, least: (f64, f64)) -> Self {
        let (low, high) = values.fold(least, |(low, high), v| (low.min(v), high.max(v)));
        Scale { low: low / 1.15, high: high * 1.15 }
    }

    fn x(&self, value: f64) -> i32 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        NAMES + (share * f64::from(WIDTH as i32 - NAMES - FIGURES)).round() as i32
    }

    /// 1, 2 and 5 times the powers of ten that lie inside; more of them where that would leave the axis bare.
    fn ticks(&self) -> Vec<f64> {
        let fine = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let steps: &[f64] = if self.high / self.low < 8.0 { &fine } else { &[1.0, 2.0, 5.0] };
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = decades.flat_map(|d| steps.iter().map(move |m| m * 10f64.powi(d)));
        all.filter(|t| *t >= self.low && *t <= self.high).collect()
    }
}

struct Canvas<'a> {
    area: Area<'a>,
    scale: Scale,
    rows: usize,
}

fn height(rows: usize) -> u32 {
    TOP as u32 + rows as u32 * ROW + BOTTOM as u32
}

fn broken<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

fn style(size: i32, colour: &RGBColor, h: HPos) -> TextStyle<'_> {
    TextStyle::from(("sans-serif", size).into_font()).color(colour).pos(Pos::new(h, VPos::Center))
}

impl Canvas<'_> {
    fn y(&self, row: usize) -> i32 {
        TOP + row as i32 * ROW as i32 + ROW as i32 / 2
    }

    fn text(&self, text: &str, at: (i32, i32), size: i32, colour: &RGBColor, h: HPos) -> Result<()> {
        self.area.draw(&Text::new(text.to_owned(), at, style(size, colour, h))).map_err(broken)
    }

    fn line(&self, from: (i32, i32), to: (i32, i32), style: ShapeStyle) -> Result<()> {
        self.area.draw(&PathElement::new(vec![from, to], style)).map_err(broken)
    }

    fn bar(&self, from: (i32, i32), to: (i32, i32)) -> Result<()> {
        self.area.draw(&Rectangle::new([from, to], FAINT.filled())).map_err(broken)
    }

    /// A dot for a tool, a ring for a floor.
    fn mark(&self, at: (i32, i32), colour: &RGBColor, floor: bool) -> Result<()> {
        if floor {
            return self.area.draw(&Circle::new(at, 4, colour.stroke_width(2))).map_err(broken);
        }
        self.dot(at, colour, 5)
    }

    fn dot(&self, at: (i32, i32), colour: &RGBColor, size: i32) -> Result<()> {
        self.area.draw(&Circle::new(at, size, colour.filled())).map_err(broken)
    }

    /// Background, title, subtitle, vertical rules with their figures, and a band behind every second scenario.
    fn frame(&self, title: &str, subtitle: &str, axis: &str, scenarios: &[&str]) -> Result<()> {
        self.area.fill(&WHITE).map_err(broken)?;
        self.text(title, (16, 22), 18, &INK, HPos::Left)?;
        self.text(subtitle, (16, 44), 12, &GREY, HPos::Left)?;
        let mut band = false;
        for (row, scenario) in scenarios.iter().enumerate() {
            band ^= row > 0 && scenarios[row - 1] != *scenario;
            if band {
                let corners = [(8, self.y(row) - ROW as i32 / 2), (WIDTH as i32 - 8, self.y(row) + ROW as i32 / 2)];
                self.area.draw(&Rectangle::new(corners, RGBColor(246, 246, 246).filled())).map_err(broken)?;
            }
        }
        let bottom = TOP + (self.rows as u32 * ROW) as i32;
        for tick in self.scale.ticks() {
            let x = self.scale.x(tick);
            self.line((x, TOP), (x, bottom), FAINT.stroke_width(1))?;
            self.text(&plain(tick), (x, bottom + 14), 12, &GREY, HPos::Center)?;
        }
        let middle = (NAMES + WIDTH as i32 - FIGURES) / 2;
        self.text(axis, (middle, bottom + 36), 12, &INK, HPos::Center)
    }

    fn name(&self, row: usize, cell: &Cell) -> Result<()> {
        let key = &cell.key;
        let way = if key.direction == Direction::Local { "" } else { direction(key.direction) };
        let text = format!("{}  {} {way}", key.scenario, operation(key.operation));
        self.text(text.trim_end(), (NAMES - 12, self.y(row)), 13, &INK, HPos::Right)
    }
}

/// A tick's figure: two digits are all that a tick has.
fn plain(value: f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0)
}

fn subtitle(environment: &Environment) -> String {
    let rsync = environment.rsync.first().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rsync = rsync.and_then(|words| Some(format!("rsync {}", words.get(2)?))).unwrap_or_default();
    let quick = if environment.quick { " · quick run: not a result to quote" } else { "" };
    let machine = &environment.machine;
    format!(
        "{} · {} · {} cores · {rsync} · {} rounds{quick}",
        environment.date.split('T').next().unwrap_or_default(),
        machine.cpu,
        machine.cores,
        environment.runs
    )
}

/// The contender's time over the reference's, one row a cell, with a line at 1.
fn ratio_plot(transport: &str, rows: &[&Row], environment: &Environment) -> Result<String> {
    let noise = rows.iter().filter_map(|r| r.control.as_ref()).map(|c| 1.0 + verdict::noise(c));
    let noise = noise.flat_map(|reach| [1.0 / reach, reach]);
    let values = rows.iter().filter_map(|r| r.ratio).flat_map(|r| [r.low, r.high]).chain(noise);
    let scale = Scale::around(values, (0.5, 2.0));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height(rows.len()))).into_drawing_area();
        let canvas = Canvas { area, scale, rows: rows.len() };
        let scenarios: Vec<&str> = rows.iter().map(|r| r.cell.key.scenario.as_str()).collect();
        let title = format!("Time relative to rsync, {transport}");
        canvas.frame(
            &title,
            &subtitle(environment),
            "sy's time / rsync's time (log); left of 1 sy is faster",
            &scenarios,
        )?;
        let (one, bottom) = (canvas.scale.x(1.0), TOP + (rows.len() as u32 * ROW) as i32);
        canvas.text("ratio [95 %]", (WIDTH as i32 - 16, TOP - 14), 12, &GREY, HPos::Right)?;
        ratio_legend(&canvas)?;
        for (i, row) in rows.iter().enumerate() {
            ratio_row(&canvas, i, row)?;
        }
        canvas.line((one, TOP - 4), (one, bottom + 4), INK.stroke_width(1))?;
        canvas.area.present().map_err(broken)?;
    }
    Ok(svg)
}

fn verdict_colour(verdict: Option<Verdict>) -> RGBColor {
    match verdict {
        Some(Verdict::Faster) => BLUE_,
        Some(Verdict::Slower) => ORANGE,
        _ => GREY,
    }
}

fn ratio_legend(canvas: &Canvas) -> Result<()> {
    let (mut x, y) = (NAMES, TOP - 14);
    for verdict in [Verdict::Faster, Verdict::Slower, Verdict::Inconclusive] {
        canvas.dot((x + 5, y), &verdict_colour(Some(verdict)), 5)?;
        canvas.text(&verdict.to_string(), (x + 15, y), 12, &INK, HPos::Left)?;
        x += 75;
    }
    canvas.bar((x + 30, y - 6), (x + 54, y + 6))?;
    canvas.text("noise: rsync against itself", (x + 60, y), 12, &INK, HPos::Left)
}

fn ratio_row(canvas: &Canvas, i: usize, row: &Row) -> Result<()> {
    canvas.name(i, row.cell)?;
    let y = canvas.y(i);
    if let Some(control) = &row.control {
        // What the same command twice makes of it: a difference inside this bar is none.
        let reach = 1.0 + verdict::noise(control);
        canvas.bar((canvas.scale.x(1.0 / reach), y - 7), (canvas.scale.x(reach), y + 7))?;
    }
    let Some(ratio) = &row.ratio else {
        let word = if row.cell.is_verified() { "no ratio" } else { "error" };
        return canvas.text(word, (canvas.scale.x(1.0) + 8, y), 12, &ORANGE, HPos::Left);
    };
    let colour = verdict_colour(row.verdict);
    let (low, high) = (canvas.scale.x(ratio.low), canvas.scale.x(ratio.high));
    canvas.line((low, y), (high, y), colour.stroke_width(3))?;
    canvas.dot((canvas.scale.x(ratio.median), y), &colour, 5)?;
    let text = format!("{:.2} [{:.2}, {:.2}]", ratio.median, ratio.low, ratio.high);
    canvas.text(&text, (WIDTH as i32 - 16, y), 12, &colour, HPos::Right)
}

/// The medians of every subject, one row a cell.
fn wall_plot(transport: &str, cells: &[&Cell], environment: &Environment) -> Result<String> {
    let there = |name: &str| cells.iter().any(|c| c.measurement(name).is_some());
    let shown = |s: &&SubjectInfo| s.role != Role::Control && there(&s.name) && is_shown(s, environment);
    let shown = environment.subjects.iter().filter(shown);
    let subjects: Vec<(&str, RGBColor, bool)> = shown
        .zip(PALETTE.iter().cycle())
        .map(|(s, colour)| (s.name.as_str(), *colour, matches!(s.role, Role::Connect | Role::Floor)))
        .collect();
    let median = |cell: &Cell, name: &str| Some(cell.measurement(name)?.median(|s| s.wall_s)? * 1e3);
    let values = cells.iter().flat_map(|c| subjects.iter().filter_map(|s| median(c, s.0)));
    let lowest = values.clone().fold(f64::INFINITY, f64::min).min(1e6);
    let scale = Scale::around(values, (lowest, lowest * 2.0));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height(cells.len()))).into_drawing_area();
        let canvas = Canvas { area, scale, rows: cells.len() };
        let scenarios: Vec<&str> = cells.iter().map(|c| c.key.scenario.as_str()).collect();
        let title = format!("Wall time, {transport}");
        canvas.frame(&title, &subtitle(environment), "milliseconds, median (log)", &scenarios)?;
        for (i, (name, colour, floor)) in subjects.iter().enumerate() {
            let y = TOP + 10 + i as i32 * 20;
            canvas.mark((WIDTH as i32 - FIGURES + 24, y), colour, *floor)?;
            canvas.text(name, (WIDTH as i32 - FIGURES + 36, y), 13, &INK, HPos::Left)?;
        }
        for (row, cell) in cells.iter().enumerate() {
            canvas.name(row, cell)?;
            // From the last to the first, so that the contender lies on top.
            for (name, colour, floor) in subjects.iter().rev() {
                if let Some(value) = median(cell, name) {
                    canvas.mark((canvas.scale.x(value), canvas.y(row)), colour, *floor)?;
                }
            }
        }
        canvas.area.present().map_err(broken)?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{phases_record, record};

    #[test]
    fn scale_is_logarithmic_and_spans_the_columns() {
        let scale = Scale { low: 0.1, high: 10.0 };
        assert_eq!((scale.x(0.1), scale.x(10.0)), (NAMES, WIDTH as i32 - FIGURES));
        assert_eq!(scale.x(1.0), (NAMES + WIDTH as i32 - FIGURES) / 2);
        assert_eq!(scale.ticks(), [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Scale { low: 1.8, high: 4.1 }.ticks(), [2.0, 3.0, 4.0]);
    }

    #[test]
    fn of_many_builds_the_extremes_are_drawn_and_the_ratio_of_the_fullest() {
        let dir = tempfile::tempdir().unwrap();
        draw_all(&phases_record(), dir.path()).unwrap();
        let wall = fs::read_to_string(dir.path().join("wall-ssh-loopback.svg")).unwrap();
        assert!(wall.contains("sy[none]") && wall.contains("sy[all]") && !wall.contains("sy[1.1]"));
        let ratio = fs::read_to_string(dir.path().join("ratio-ssh-loopback.svg")).unwrap();
        assert_eq!(ratio.matches("0.50 [0.50, 0.50]").count(), 1);
        assert!(dir.path().join("phases-ssh-loopback.svg").is_file());
    }

    #[test]
    fn plots_show_each_cell_and_the_error() {
        let dir = tempfile::tempdir().unwrap();
        draw_all(&record(), dir.path()).unwrap();
        let ratio = fs::read_to_string(dir.path().join("ratio-ssh-loopback.svg")).unwrap();
        assert!(ratio.contains("small_files") && ratio.contains("error") && ratio.contains("0.50 [0.50, 0.50]"));
        let wall = fs::read_to_string(dir.path().join("wall-local.svg")).unwrap();
        assert!(wall.contains("rsync") && !wall.contains("rsync-aa"));
    }

    #[test]
    fn time_and_memory_against_the_number_of_files_are_drawn_where_it_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        draw_all(&record(), dir.path()).unwrap();
        assert!(!dir.path().join("scale-time.svg").exists());
        draw_all(&crate::scale::tests::at(&[1000, 10_000]), dir.path()).unwrap();
        for name in ["scale-time.svg", "scale-memory.svg"] {
            let svg = fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(svg.contains("10000") && svg.contains("rsync") && !svg.contains("rsync-aa"), "{svg}");
            // A line and two dots for each of the two.
            assert_eq!((svg.matches("<polyline").count() >= 2, svg.matches("<circle").count()), (true, 4), "{name}");
        }
    }

    #[test]
    fn time_against_the_round_trip_is_drawn_where_there_are_several_lines() {
        let dir = tempfile::tempdir().unwrap();
        draw_all(&record(), dir.path()).unwrap();
        assert!(!dir.path().join("rtt-small_files.svg").exists());
        draw_all(&crate::rtt::tests::over(&["50", "100"]), dir.path()).unwrap();
        let svg = fs::read_to_string(dir.path().join("rtt-small_files.svg")).unwrap();
        // The ratio at each of the three points: 0.2 / 0.4, 0.7 / 0.9, 1.2 / 1.4.
        for text in ["initial", "rsync", "0.50", "0.78", "0.86"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("rsync-aa"));
    }
}
