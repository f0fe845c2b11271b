//! Time against the round trip: a panel for each operation and direction, a curve for each subject.
//!
//! The figure at a contender's point is its ratio to the reference there; with more than one contender there would be too many.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sheet::{Curve, Head, curves, sheet};
use super::{Area, FAINT, GREY, INK, broken, is_shown, plain, style};
use crate::group::{self, Cell};
use crate::record::environment::{Environment, SubjectInfo};
use crate::report::format::{direction, operation};
use crate::rtt::{Family, Panel};
use crate::subject::Role;

/// Draws one family.
///
/// # Errors
/// When it cannot be drawn.
pub fn plot(family: &Family, environment: &Environment) -> Result<String> {
    let cells: Vec<&Cell> = family.panels.iter().flat_map(|p| &p.points).map(|(_, cell)| *cell).collect();
    let curves = curves(&cells, environment, |s| s.role != Role::Control && is_shown(s, environment));
    let told = has_figures(curves.iter().map(|curve| curve.subject));
    let note = if told { "figures: sy's time / rsync's, median of the rounds" } else { "" };
    let rate = family.mbit.map_or(String::new(), |mbit| format!(" at {mbit} Mbit/s"));
    let title = format!("Time against round-trip time, {}{rate}", family.scenario);
    let head = Head { title: &title, note, curves: &curves };
    sheet(&head, environment, &family.panels, |panel, area| draw(panel, area, &curves, environment))
}

/// Figures of two contenders would lie on each other.
fn has_figures<'a>(subjects: impl Iterator<Item = &'a SubjectInfo>) -> bool {
    subjects.filter(|s| s.role == Role::Contender).count() == 1
}

fn median(cell: &Cell, subject: &str) -> Option<f64> {
    Some(cell.measurement(subject)?.median(|s| s.wall_s)? * 1e3)
}

fn draw(panel: &Panel, area: &Area, curves: &[Curve], environment: &Environment) -> Result<()> {
    let values = panel.points.iter().flat_map(|(_, cell)| curves.iter().filter_map(|c| median(cell, &c.subject.name)));
    let (widest, highest) = (panel.points.last().map_or(1.0, |(rtt, _)| *rtt), values.fold(1.0, f64::max));
    let caption = format!("{} {}, ms", operation(panel.operation), direction(panel.direction));
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(caption, style(13, &INK, HPos::Left))
        .x_label_area_size(34)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..widest * 1.12, 0.0..highest * 1.1)
        .map_err(broken)?;
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .x_desc("round trip, ms")
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .axis_style(GREY)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .label_style(style(11, &GREY, HPos::Center))
        .draw()
        .map_err(broken)?;
    let told = has_figures(curves.iter().map(|curve| curve.subject));
    // From the last to the first, so that the contender lies on top.
    for Curve { subject, colour } in curves.iter().rev() {
        let found = panel.points.iter().filter_map(|(rtt, cell)| Some((*rtt, median(cell, &subject.name)?)));
        let found: Vec<(f64, f64)> = found.collect();
        let dots = found.iter().map(|at| Circle::new(*at, 3, colour.filled()));
        chart.draw_series(LineSeries::new(found.iter().copied(), colour.stroke_width(2))).map_err(broken)?;
        chart.draw_series(dots).map_err(broken)?;
        if told && subject.role == Role::Contender {
            let below = style(11, colour, HPos::Left).pos(Pos::new(HPos::Left, VPos::Top));
            let figures = ratios(panel, environment, &subject.name).into_iter();
            chart.draw_series(figures.map(|(at, text)| Text::new(text, at, below.clone()))).map_err(broken)?;
        }
    }
    Ok(())
}

/// The contender's ratio to the reference at each of its points.
fn ratios(panel: &Panel, environment: &Environment, subject: &str) -> Vec<((f64, f64), String)> {
    let figure = |(rtt, cell): &(f64, &Cell)| {
        let rows = group::conclude(std::slice::from_ref(*cell), environment);
        let ratio = rows.into_iter().find(|row| row.contender == subject)?.ratio?;
        Some(((*rtt, median(cell, subject)?), format!("{:.2}", ratio.median)))
    };
    panel.points.iter().filter_map(figure).collect()
}
