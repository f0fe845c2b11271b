//! Figures as text: one unit per table, three significant digits, a dash for what there is not.

use crate::scenario::{Direction, Operation};
use crate::stats::Ratio;

/// What stands for a missing figure.
pub const NONE: &str = "–";

/// Three significant digits and never an exponent: 0.123, 1.23, 12.3, 123, 1234.
pub fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A figure or a dash.
pub fn or_none(value: Option<f64>) -> String {
    value.map_or(NONE.into(), figure)
}

/// A ratio with its interval.
pub fn ratio(ratio: Option<&Ratio>) -> String {
    ratio.map_or(NONE.into(), |r| format!("{:.2} [{:.2}, {:.2}]", r.median, r.low, r.high))
}

/// An engine ratio: below the floor there is nothing to tell but that nothing of it is left.
pub fn engine(value: Option<f64>) -> String {
    value.map_or(NONE.into(), |v| if v <= 0.0 { "≤ 0".into() } else { format!("{v:.2}") })
}

/// A number of bytes with its unit.
pub fn bytes(value: Option<f64>) -> String {
    let Some(value) = value else { return NONE.into() };
    match value {
        v if v >= 1e9 => format!("{} GB", figure(v / 1e9)),
        v if v >= 1e6 => format!("{} MB", figure(v / 1e6)),
        v if v >= 1e3 => format!("{} kB", figure(v / 1e3)),
        v => format!("{v:.0} B"),
    }
}

/// The word for an operation.
pub fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Initial => "initial",
        Operation::Incremental => "incremental",
        Operation::Delta => "delta",
    }
}

/// The word for a direction.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Push => "push",
        Direction::Pull => "pull",
        Direction::Local => "local",
    }
}

/// A Markdown table, its columns padded so that it can be read as text too. The first columns up to `left` are words.
pub fn table(head: &[String], rows: &[Vec<String>], left: usize) -> String {
    let width =
        |i: usize| rows.iter().map(|r| r[i].chars().count()).chain([head[i].chars().count(), 3]).max().unwrap_or(3);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().enumerate().map(|(i, cell)| match i < left {
            true => format!("{cell:<w$}", w = widths[i]),
            false => format!("{cell:>w$}", w = widths[i]),
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(i, w)| if i < left { "-".repeat(*w) } else { format!("{}:", "-".repeat(w - 1)) })
        .collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}{body}", line(head), line(&rule))
}

/// Text that stands in a table's cell: no bar and no line break may end the cell.
pub fn cell_text(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.1234, 1.234, 12.34, 123.4, 1234.5, 99.99, 0.0].map(figure);
        assert_eq!(shown, ["0.123", "1.23", "12.3", "123", "1234", "100", "0.000"]);
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        assert_eq!(
            [bytes(Some(12.0)), bytes(Some(1234.0)), bytes(Some(5e6)), bytes(None)],
            ["12 B", "1.23 kB", "5.00 MB", NONE]
        );
    }

    #[test]
    fn tables_are_aligned_as_text() {
        let table = table(&["a".into(), "b".into()], &[vec!["long word".into(), "1".into()]], 1);
        assert_eq!(table, "| a         |   b |\n| --------- | --: |\n| long word |   1 |\n");
    }

    #[test]
    fn text_cannot_break_out_of_its_cell() {
        assert_eq!(cell_text("a|b\nc"), "a\\|b c");
    }
}
