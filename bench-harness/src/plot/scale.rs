//! Time and memory against the number of files, both axes logarithmic: a panel for each transport, operation and direction,
//! a line for each subject. A cost that is the same for every file is a line of slope 1; memory that is bounded is level.

use std::ops::Range;

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::sheet::{Curve, Head, curves, sheet};
use super::{Area, FAINT, GREY, INK, broken, plain, style};
use crate::group::Cell;
use crate::record::environment::Environment;
use crate::report::format::{direction, operation};
use crate::report::scale::is_shown;
use crate::scale::{Figures, Panel};
use crate::scenario::Direction;

/// What is drawn against the number of files.
struct Subject {
    file: &'static str,
    title: &'static str,
    unit: &'static str,
    of: fn(&Figures) -> Option<f64>,
}

const TIME: Subject = Subject {
    file: "scale-time.svg",
    title: "Time against the number of files",
    unit: "s",
    of: |figures| Some(figures.wall_s),
};
const MEMORY: Subject = Subject {
    file: "scale-memory.svg",
    title: "Peak memory of the larger end against the number of files",
    unit: "MiB",
    of: |figures| figures.memory_kib().map(|kib| kib / 1024.0),
};

/// The two pictures by their files' names; none where there is nothing to draw a line through.
///
/// # Errors
/// When they cannot be drawn.
pub fn plots(panels: &[Panel], environment: &Environment) -> Result<Vec<(&'static str, String)>> {
    if panels.is_empty() {
        return Ok(Vec::new());
    }
    let cells: Vec<&Cell> = panels.iter().flat_map(|p| &p.points).map(|(_, cell)| *cell).collect();
    let curves = curves(&cells, environment, is_shown);
    let picture = |what: Subject| {
        let head = Head { title: what.title, note: "", curves: &curves };
        let svg = sheet(&head, environment, panels, |panel, area| draw(panel, area, &what, &curves, environment))?;
        Ok((what.file, svg))
    };
    [TIME, MEMORY].into_iter().map(picture).collect()
}

fn draw(panel: &Panel, area: &Area, what: &Subject, curves: &[Curve], environment: &Environment) -> Result<()> {
    let line = |curve: &Curve| -> Vec<(f64, f64)> {
        let at = |point: &(u64, &Cell)| {
            let figures = panel.figures(*point, &curve.subject.name, environment)?;
            Some((point.0 as f64, (what.of)(&figures)?))
        };
        panel.points.iter().filter_map(at).collect()
    };
    let lines: Vec<Vec<(f64, f64)>> = curves.iter().map(line).collect();
    let all = || lines.iter().flatten();
    let way = if panel.direction == Direction::Local { "" } else { direction(panel.direction) };
    let caption = format!("{} {} {way}, {}", panel.transport, operation(panel.operation), what.unit);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(caption.replace(" ,", ","), style(13, &INK, HPos::Left))
        .x_label_area_size(34)
        .y_label_area_size(48)
        .build_cartesian_2d(decades(all().map(|at| at.0)).log_scale(), decades(all().map(|at| at.1)).log_scale())
        .map_err(broken)?;
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .x_desc("files")
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .axis_style(GREY)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .label_style(style(11, &GREY, HPos::Center))
        .draw()
        .map_err(broken)?;
    // From the last to the first, so that the contender lies on top.
    for (Curve { colour, .. }, line) in curves.iter().zip(lines).rev() {
        let dots = line.iter().map(|at| Circle::new(*at, 3, colour.filled()));
        chart.draw_series(dots.collect::<Vec<_>>()).map_err(broken)?;
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2))).map_err(broken)?;
    }
    Ok(())
}

/// The whole decades that the values lie in: only those have figures at their axis. One of them where there is no value.
fn decades(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high), v| (f64::min(low, v), f64::max(high, v)));
    if !low.is_finite() || low <= 0.0 {
        return 1.0..10.0;
    }
    let (below, above) = (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil()));
    below..above.max(below * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_spans_whole_decades_and_stands_without_a_value() {
        assert_eq!(decades([3.0, 30.0].into_iter()), 1.0..100.0);
        assert_eq!(decades([1000.0, 1000.0].into_iter()), 1000.0..10_000.0);
        assert_eq!(decades([0.2].into_iter()), 0.1..1.0);
        assert_eq!(decades(std::iter::empty()), 1.0..10.0);
    }
}
