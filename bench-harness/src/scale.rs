//! Which cells of a run differ in nothing but the number of files: time and memory against it. Pure.
//!
//! What is quoted for a file is the part of the command above the floor of connecting, where there is one: at a thousand
//! files that floor is most of the time, and a time per file that held it would fall with their number for no merit. A tool
//! that works while it connects hides that much of its work behind the floor, which is most of it at few files and little at
//! many; its processor time hides nothing, and is told beside.

use crate::group::Cell;
use crate::record::environment::Environment;
use crate::record::sample::Sample;
use crate::scenario::{Direction, Operation, is_of_scale};
use crate::subject::Role;

/// One operation over one transport in one direction, at rising numbers of files.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// The transport's label.
    pub transport: &'a str,
    /// What was done to the tree before.
    pub operation: Operation,
    /// Which way.
    pub direction: Direction,
    /// Numbers of files and the cells.
    pub points: Vec<(u64, &'a Cell<'a>)>,
}

/// What one subject took at one number of files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Seconds of the whole command.
    pub wall_s: f64,
    /// Seconds above the floor, for each file; none where nothing is left above it.
    pub per_file_s: Option<f64>,
    /// Processor seconds of both ends above those of connecting, for each file; none where nothing is left above them.
    pub cpu_per_file_s: Option<f64>,
    /// Largest resident set of the local end, in KiB.
    pub near_kib: Option<f64>,
    /// Largest resident set of the remote end, in KiB.
    pub far_kib: Option<f64>,
}

impl Figures {
    /// The larger of the two ends' resident sets, in KiB.
    pub fn memory_kib(&self) -> Option<f64> {
        self.near_kib.into_iter().chain(self.far_kib).reduce(f64::max)
    }
}

/// The panels of a run; those with a single number of files are there as well, since they have figures, too.
pub fn panels<'a>(cells: &'a [Cell<'a>], environment: &Environment) -> Vec<Panel<'a>> {
    let mut panels: Vec<Panel> = Vec::new();
    for cell in cells.iter().filter(|cell| is_of_scale(&cell.key.scenario)) {
        let Some(files) = environment.files.get(&cell.key.scenario) else { continue };
        let (operation, direction) = (cell.key.operation, cell.key.direction);
        let is_of = |p: &Panel| (p.transport, p.operation, p.direction) == (&cell.key.transport, operation, direction);
        let at = panels.iter().position(is_of).unwrap_or_else(|| {
            panels.push(Panel { transport: &cell.key.transport, operation, direction, points: Vec::new() });
            panels.len() - 1
        });
        let points = &mut panels[at].points;
        points.insert(points.partition_point(|(before, _)| before < files), (*files, cell));
    }
    panels
}

impl Panel<'_> {
    /// What a subject took at a point; none where it has no good sample there.
    pub fn figures(&self, (files, cell): (u64, &Cell), subject: &str, environment: &Environment) -> Option<Figures> {
        let measured = cell.measurement(subject)?;
        let wall_s = measured.median(|s| s.wall_s)?;
        let connect = environment.subjects.iter().find(|s| s.role == Role::Connect);
        let connect = connect.and_then(|s| cell.measurement(&s.name));
        let floor = |of: fn(&Sample) -> Option<f64>| connect.as_ref().and_then(|m| m.median(of)).unwrap_or(0.0);
        let each = |total: f64, of| Some((total - floor(of)) / files as f64).filter(|each| *each > 0.0);
        let kib = |of: fn(&Sample) -> Option<u64>| measured.median(|s| Some(of(s)? as f64));
        Some(Figures {
            wall_s,
            per_file_s: each(wall_s, |s| s.wall_s),
            cpu_per_file_s: measured.median(cpu).and_then(|total| each(total, cpu)),
            near_kib: kib(|s| s.max_rss_kib),
            far_kib: kib(|s| s.remote_max_rss_kib),
        })
    }

    /// A subject's figure per file at a point to that at a tenth of its files.
    pub fn growth(
        &self,
        (files, cell): (u64, &Cell),
        subject: &str,
        environment: &Environment,
        of: fn(&Figures) -> Option<f64>,
    ) -> Option<f64> {
        let tenth = self.points.iter().find(|(fewer, _)| fewer * 10 == files)?;
        let before = of(&self.figures(*tenth, subject, environment)?)?;
        Some(of(&self.figures((files, cell), subject, environment)?)? / before)
    }
}

/// Processor time of all there is of both ends.
fn cpu(sample: &Sample) -> Option<f64> {
    let far = sample.remote_user_s.unwrap_or(0.0) + sample.remote_sys_s.unwrap_or(0.0);
    Some(sample.user_s? + sample.sys_s? + far)
}

#[cfg(test)]
pub mod tests {
    //! A record at several numbers of files for the tests of other modules.

    use super::*;
    use crate::group;
    use crate::record::store::Recorded;
    use crate::report::tests::record;

    /// The small record at these numbers of files: a microsecond a file and a tenth of a second to connect for sy, twice
    /// that a file for rsync.
    pub fn at(numbers: &[u64]) -> Recorded {
        let mut run = record();
        let template: Vec<Sample> =
            run.samples.iter().filter(|s| s.transport == "ssh:loopback" && s.is_ok()).cloned().collect();
        run.samples.clear();
        for files in numbers {
            let name = format!("scale/{files}");
            run.environment.files.insert(name.clone(), *files);
            let each = |subject: &str| match subject {
                "sy" => 1e-6,
                "ssh-true" => 0.0,
                _ => 2e-6,
            };
            run.samples.extend(template.iter().map(|s| Sample {
                scenario: name.clone(),
                wall_s: Some(0.1 + each(&s.subject) * *files as f64),
                user_s: Some(0.05 + each(&s.subject) * *files as f64 * 2.0),
                sys_s: Some(0.0),
                remote_user_s: Some(each(&s.subject) * *files as f64),
                remote_sys_s: Some(0.0),
                max_rss_kib: Some(10 << 10),
                remote_max_rss_kib: Some(files / 10),
                ..s.clone()
            }));
        }
        run
    }

    #[test]
    fn numbers_of_files_rise_and_other_scenarios_are_left_out() {
        let mut run = at(&[100_000, 1000]);
        run.samples.extend(record().samples);
        let cells = group::cells(&run.samples);
        let panels = panels(&cells, &run.environment);
        assert_eq!(panels.len(), 1);
        assert_eq!(panels[0].points.iter().map(|(files, _)| *files).collect::<Vec<_>>(), [1000, 100_000]);
    }

    #[test]
    fn time_per_file_is_what_is_left_of_it_above_connecting() {
        let run = at(&[10_000, 100_000]);
        let cells = group::cells(&run.samples);
        let panel = &panels(&cells, &run.environment)[0];
        let last = panel.points[1];
        let figures = panel.figures(last, "sy", &run.environment).unwrap();
        assert!(
            (figures.wall_s - 0.2).abs() < 1e-12 && (figures.per_file_s.unwrap() - 1e-6).abs() < 1e-12,
            "{figures:?}"
        );
        assert_eq!(figures.memory_kib(), Some(10_240.0));
        assert!((figures.cpu_per_file_s.unwrap() - 3e-6).abs() < 1e-12, "{figures:?}");
        let growth = |point, who| panel.growth(point, who, &run.environment, |figures| figures.per_file_s);
        assert!((growth(last, "sy").unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(growth(panel.points[0], "sy"), None);
        assert_eq!(panel.figures(last, "nobody", &run.environment), None);
        // Nobody is faster than connecting, but the noise may say so.
        let floor = panel.figures(last, "ssh-true", &run.environment).unwrap();
        assert_eq!((floor.per_file_s, floor.cpu_per_file_s, growth(last, "ssh-true")), (None, None, None));
    }

    #[test]
    fn memory_is_that_of_the_larger_end() {
        let kib = |near_kib, far_kib| {
            Figures { wall_s: 1.0, per_file_s: None, cpu_per_file_s: None, near_kib, far_kib }.memory_kib()
        };
        assert_eq!((kib(Some(1.0), Some(2.0)), kib(Some(1.0), None), kib(None, None)), (Some(2.0), Some(1.0), None));
    }
}
