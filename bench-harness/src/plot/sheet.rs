//! A sheet of small charts with one legend: what the pictures with curves have in common.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Area, GREY, INK, PALETTE, broken, style, subtitle};
use crate::group::Cell;
use crate::record::environment::{Environment, SubjectInfo};

const PANEL: (u32, u32) = (340, 250);
const COLUMNS: usize = 3;
/// Above the panels: title, subtitle, legend.
const HEAD: u32 = 84;

/// A subject that is drawn.
pub struct Curve<'a> {
    /// Who.
    pub subject: &'a SubjectInfo,
    /// In which colour.
    pub colour: RGBColor,
}

/// The subjects that `keep` lets pass and that took part in any of the cells.
pub fn curves<'a>(
    cells: &[&Cell],
    environment: &'a Environment,
    keep: impl Fn(&SubjectInfo) -> bool,
) -> Vec<Curve<'a>> {
    let there = |s: &SubjectInfo| cells.iter().any(|c| c.measurement(&s.name).is_some());
    let shown = environment.subjects.iter().filter(|s| keep(s) && there(s));
    shown.zip(PALETTE.iter().cycle()).map(|(subject, colour)| Curve { subject, colour: *colour }).collect()
}

/// What stands above the charts.
pub struct Head<'a> {
    /// In large letters.
    pub title: &'a str,
    /// Behind the legend.
    pub note: &'a str,
    /// The legend.
    pub curves: &'a [Curve<'a>],
}

/// Draws the head and then each of `panels` with `draw`.
///
/// # Errors
/// When it cannot be drawn.
pub fn sheet<P>(
    head: &Head,
    environment: &Environment,
    panels: &[P],
    draw: impl Fn(&P, &Area) -> Result<()>,
) -> Result<String> {
    let columns = panels.len().clamp(1, COLUMNS);
    let rows = panels.len().div_ceil(columns);
    // The legend and the title need three columns' width even where there are fewer.
    let size = (PANEL.0 * COLUMNS as u32, HEAD + PANEL.1 * rows as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(broken)?;
        text(&area, head.title, (16, 22), &style(18, &INK, HPos::Left))?;
        text(&area, &subtitle(environment), (16, 44), &style(12, &GREY, HPos::Left))?;
        legend(&area, head)?;
        let (_, below) = area.split_vertically(HEAD);
        let below = below.margin(0, 0, 0, (COLUMNS - columns) as i32 * PANEL.0 as i32);
        for (panel, area) in panels.iter().zip(below.split_evenly((rows, columns))) {
            draw(panel, &area)?;
        }
        area.present().map_err(broken)?;
    }
    Ok(svg)
}

fn text(area: &Area, text: &str, at: (i32, i32), style: &TextStyle) -> Result<()> {
    area.draw(&Text::new(text.to_owned(), at, style.clone())).map_err(broken)
}

fn legend(area: &Area, head: &Head) -> Result<()> {
    let mut x = 16;
    for curve in head.curves {
        area.draw(&PathElement::new(vec![(x, 66), (x + 18, 66)], curve.colour.stroke_width(2))).map_err(broken)?;
        text(area, &curve.subject.name, (x + 24, 66), &style(12, &INK, HPos::Left))?;
        x += 44 + 7 * curve.subject.name.len() as i32;
    }
    text(area, head.note, (x, 66), &style(12, &GREY, HPos::Left))
}
