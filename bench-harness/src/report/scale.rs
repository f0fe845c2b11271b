//! The section of the scenarios that differ in their number of files: what a file takes, and how much memory all take.

use super::format::{NONE, direction, figure, operation, or_none, table};
use crate::group::Cell;
use crate::record::environment::{Environment, SubjectInfo};
use crate::scale::{Panel, panels};
use crate::scenario::Direction;
use crate::subject::Role;

const LEAD: &str = "A file's time is what is left of the median above `ssh-true`, where there is one, divided by the number of \
files; beside it, how it relates to that at a tenth of the files. A tool that works while it connects hides work in that \
floor, more of it at few files than at many; the processor time of both ends, above that of connecting, hides none. Memory is the largest resident set of any process of \
an end, `ssh` included at the local one.";

/// Its text; none where the run has no such scenario.
pub fn section(cells: &[Cell], environment: &Environment) -> Option<String> {
    let panels = panels(cells, environment);
    let head = [
        "where",
        "operation",
        "direction",
        "subject",
        "files",
        "time s",
        "µs a file",
        "to a tenth",
        "cpu µs a file",
        "to a tenth",
        "MiB",
    ];
    let body: Vec<Vec<String>> = panels.iter().flat_map(|panel| rows(panel, environment)).collect();
    let table = (!body.is_empty()).then(|| table(&head.map(String::from), &body, 4))?;
    Some(format!(
        "{LEAD}\n\n{table}\n![time against the number of files](plots/scale-time.svg)\n\n\
         ![memory against the number of files](plots/scale-memory.svg)\n"
    ))
}

/// Who is a line in the pictures and a row in the table: whoever moves files and is not there for the noise.
pub fn is_shown(subject: &SubjectInfo) -> bool {
    !matches!(subject.role, Role::Control | Role::Connect)
}

fn rows(panel: &Panel, environment: &Environment) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for point in &panel.points {
        for subject in environment.subjects.iter().filter(|s| is_shown(s)) {
            let Some(measured) = point.1.measurement(&subject.name) else { continue };
            let way = if panel.direction == Direction::Local { NONE } else { direction(panel.direction) };
            let mut row = vec![panel.transport.to_owned(), operation(panel.operation).into(), way.into()];
            row.extend([subject.name.clone(), point.0.to_string()]);
            row.extend(match panel.figures(*point, &subject.name, environment) {
                None => {
                    let word = if measured.errors.is_empty() { NONE } else { "error" };
                    [word, NONE, NONE, NONE, NONE, NONE].map(String::from)
                }
                Some(figures) => {
                    let mib = |kib: Option<f64>| kib.map(|kib| kib / 1024.0);
                    let memory = match figures.far_kib {
                        Some(far) => format!("{} / {}", or_none(mib(figures.near_kib)), figure(far / 1024.0)),
                        None => or_none(mib(figures.near_kib)),
                    };
                    let each = |seconds: Option<f64>| or_none(seconds.map(|s| s * 1e6));
                    let growth = |of| {
                        let growth = panel.growth(*point, &subject.name, environment, of);
                        growth.map_or(NONE.into(), |growth| format!("{growth:.2}"))
                    };
                    [
                        figure(figures.wall_s),
                        each(figures.per_file_s),
                        growth(|figures| figures.per_file_s),
                        each(figures.cpu_per_file_s),
                        growth(|figures| figures.cpu_per_file_s),
                        memory,
                    ]
                }
            });
            rows.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group;
    use crate::record::sample::Sample;
    use crate::scale::tests::at;

    #[test]
    fn a_row_has_time_per_file_growth_and_both_ends_memory() {
        let run = at(&[10_000, 100_000]);
        let text = section(&group::cells(&run.samples), &run.environment).unwrap();
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = text.lines().filter(|l| l.starts_with("| ssh:")).map(cells).collect();
        let of = |files: &str, who: &str| rows.iter().find(|r| r[4] == who && r[5] == files).unwrap()[6..12].to_vec();
        assert_eq!(of("100000", "sy"), ["0.200", "1.00", "1.00", "3.00", "1.00", "10.0 / 9.77"]);
        assert_eq!(of("100000", "rsync"), ["0.300", "2.00", "1.00", "6.00", "1.00", "10.0 / 9.77"]);
        assert_eq!(of("10000", "sy"), ["0.110", "1.00", NONE, "3.00", NONE, "10.0 / 0.977"]);
        assert_eq!(rows.len(), 4, "neither the control nor the floor has a row");
    }

    #[test]
    fn an_error_is_told_and_never_a_figure() {
        let mut run = at(&[1000]);
        run.samples.push(Sample { outcome: "exit 1".into(), ..run.samples[0].clone() });
        let text = section(&group::cells(&run.samples), &run.environment).unwrap();
        let row = text.lines().find(|l| l.contains("| sy ") || l.contains(" sy |")).unwrap();
        assert!(row.contains("error") && !row.contains("0.101"), "{row}");
    }

    #[test]
    fn a_run_of_other_scenarios_has_no_such_section() {
        let run = crate::report::tests::record();
        assert_eq!(section(&group::cells(&run.samples), &run.environment), None);
    }
}
