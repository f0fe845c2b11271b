//! From samples to cells, and from a cell to what can be concluded of each contender in it. Pure.
//!
//! A cell is one scenario, operation, transport and direction; a measurement is one subject's samples in it. Only timed
//! samples that ended well are in a statistic; a measurement with an error row has none.

use crate::metric::Metric;
use crate::phases::Build;
use crate::record::environment::{Environment, SubjectInfo};
use crate::record::sample::{Pass, Sample};
use crate::scenario::{Direction, Operation};
use crate::stats::{self, Ratio};
use crate::subject::Role;
use crate::verdict::{self, Verdict};

/// What identifies a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The transport's label.
    pub transport: String,
    /// The scenario's name.
    pub scenario: String,
    /// What was done to the tree before.
    pub operation: Operation,
    /// Which way.
    pub direction: Direction,
}

/// One cell with the samples of all subjects.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// Which it is.
    pub key: Key,
    samples: Vec<&'a Sample>,
}

/// One subject's samples in a cell.
#[derive(Clone, Debug)]
pub struct Measurement<'a> {
    /// Timed and good, by round. Empty when there is an error.
    pub timed: Vec<&'a Sample>,
    /// The passes of the counting build. Empty when there is an error.
    pub counted: Vec<&'a Sample>,
    /// The passes that saw the first byte. Empty when there is an error.
    pub first_byte: Vec<&'a Sample>,
    /// What went wrong, each kind once.
    pub errors: Vec<String>,
}

/// What is concluded of one contender in one cell.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The cell.
    pub cell: &'a Cell<'a>,
    /// The contender's name.
    pub contender: String,
    /// Its time relative to the reference.
    pub ratio: Option<Ratio>,
    /// The A/A control's.
    pub control: Option<Ratio>,
    /// Its engine ratio.
    pub engine: Option<f64>,
    /// What may be said.
    pub verdict: Option<Verdict>,
}

/// The builds of a run with `--phases`, in the order of the tables.
pub fn builds(environment: &Environment) -> Vec<Build<'_>> {
    environment.subjects.iter().filter_map(|s| Some(Build { name: &s.name, phases: s.phases.as_ref()? })).collect()
}

/// All cells in the order in which they were measured.
pub fn cells(samples: &[Sample]) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell> = Vec::new();
    for sample in samples {
        let key = Key {
            transport: sample.transport.clone(),
            scenario: sample.scenario.clone(),
            operation: sample.operation,
            direction: sample.direction,
        };
        match cells.iter_mut().rfind(|cell| cell.key == key) {
            Some(cell) => cell.samples.push(sample),
            None => cells.push(Cell { key, samples: vec![sample] }),
        }
    }
    cells
}

impl<'a> Cell<'a> {
    /// The samples of one subject; none if it took no part.
    pub fn measurement(&self, subject: &str) -> Option<Measurement<'a>> {
        let own: Vec<&Sample> = self.samples.iter().filter(|s| s.subject == subject).copied().collect();
        if own.is_empty() {
            return None;
        }
        let mut errors: Vec<String> = Vec::new();
        for sample in own.iter().filter(|s| !s.is_ok()) {
            if !errors.contains(&sample.outcome) {
                errors.push(sample.outcome.clone());
            }
        }
        let of = |pass: Pass| {
            let good = own.iter().copied().filter(|s| errors.is_empty() && s.pass == pass);
            good.collect::<Vec<&Sample>>()
        };
        Some(Measurement {
            timed: of(Pass::Timed),
            counted: of(Pass::Counted),
            first_byte: of(Pass::FirstByte).into_iter().filter(|s| s.first_byte_s.is_some()).collect(),
            errors,
        })
    }

    /// Whether every sample of every subject ended well.
    pub fn is_verified(&self) -> bool {
        self.samples.iter().all(|s| s.is_ok())
    }

    /// A subject's values of a figure with their rounds, from the passes that it is taken in.
    pub fn figures(&self, subject: &str, metric: Metric) -> Vec<(u32, f64)> {
        let Some(measured) = self.measurement(subject) else { return Vec::new() };
        let samples = if metric.is_of_heap() { measured.counted } else { measured.timed };
        samples.iter().filter_map(|s| Some((s.round, metric.of(s)?))).collect()
    }

    fn walls(&self, subject: Option<&SubjectInfo>) -> Vec<(u32, f64)> {
        let measured = subject.and_then(|s| self.measurement(&s.name));
        let timed = measured.map(|m| m.timed).unwrap_or_default();
        timed.iter().filter_map(|s| Some((s.round, s.wall_s?))).collect()
    }
}

impl Measurement<'_> {
    /// The median of one figure over the timed samples that have it.
    pub fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        stats::median(&self.timed.iter().filter_map(|s| figure(s)).collect::<Vec<_>>())
    }

    /// The MAD of one figure over the timed samples that have it.
    pub fn mad(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        stats::mad(&self.timed.iter().filter_map(|s| figure(s)).collect::<Vec<_>>())
    }
}

/// What is concluded of every contender in every cell.
pub fn conclude<'a>(cells: &'a [Cell<'a>], environment: &Environment) -> Vec<Row<'a>> {
    let contenders = || environment.subjects.iter().filter(|s| s.role == Role::Contender);
    cells.iter().flat_map(|cell| contenders().map(move |c| row(cell, c, environment))).collect()
}

fn row<'a>(cell: &'a Cell<'a>, contender: &SubjectInfo, environment: &Environment) -> Row<'a> {
    let by = |role: Role| environment.subjects.iter().find(|s| s.role == role);
    let (ours, reference) = (cell.walls(Some(contender)), cell.walls(by(Role::Reference)));
    let ratio = stats::paired_ratio(&pairs(&ours, &reference));
    let control = stats::paired_ratio(&pairs(&cell.walls(by(Role::Control)), &reference));
    let only = |walls: &[(u32, f64)]| walls.iter().map(|(_, wall)| *wall).collect::<Vec<_>>();
    let engine = stats::engine_ratio(&only(&ours), &only(&reference), &only(&cell.walls(by(Role::Connect))));
    let verdict = ratio.as_ref().map(|r| verdict::judge(r, control.as_ref()));
    Row { cell, contender: contender.name.clone(), ratio, control, engine, verdict }
}

/// The rows that two runs both have: the same contender in the same cell.
pub fn shared<'r, 'a>(ours: &'r [Row<'a>], theirs: &'r [Row<'a>]) -> Vec<(&'r Row<'a>, &'r Row<'a>)> {
    let same = |one: &Row, other: &Row| one.cell.key == other.cell.key && one.contender == other.contender;
    ours.iter().filter_map(|one| Some((one, theirs.iter().find(|other| same(one, other))?))).collect()
}

/// The values of the rounds that both have.
pub fn pairs(ours: &[(u32, f64)], theirs: &[(u32, f64)]) -> Vec<(f64, f64)> {
    let other = |round: u32| theirs.iter().find(|(r, _)| *r == round).map(|(_, wall)| *wall);
    ours.iter().filter_map(|(round, wall)| Some((*wall, other(*round)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::tests::sample;

    fn environment() -> Environment {
        let subject = |name: &str, role| SubjectInfo { name: name.into(), role, ..SubjectInfo::default() };
        let subjects = vec![
            subject("sy", Role::Contender),
            subject("rsync", Role::Reference),
            subject("rsync-aa", Role::Control),
            subject("ssh-true", Role::Connect),
        ];
        Environment { subjects, ..Environment::default() }
    }

    fn run() -> Vec<Sample> {
        let mut all = Vec::new();
        for (round, sy, rsync, again, floor) in
            [(0, 9.0, 9.0, 9.0, 9.0), (1, 0.2, 0.4, 0.4, 0.1), (2, 0.22, 0.44, 0.44, 0.1), (3, 0.2, 0.4, 0.4, 0.1)]
        {
            let rows = [("sy", sy), ("rsync", rsync), ("rsync-aa", again), ("ssh-true", floor)];
            all.extend(rows.map(|(subject, wall)| sample(subject, round, wall)));
        }
        all
    }

    #[test]
    fn round_zero_is_in_no_statistic_and_ratios_are_paired() {
        let samples = run();
        let cells = cells(&samples);
        let rows = conclude(&cells, &environment());
        let ratio = rows[0].ratio.unwrap();
        assert!((ratio.median - 0.5).abs() < 1e-9 && ratio.pairs == 3);
        assert_eq!(rows[0].verdict, Some(Verdict::Faster));
        // Medians 0.2 and 0.4 over a floor of 0.1: a third.
        assert!((rows[0].engine.unwrap() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_measurement_with_one_error_row_has_no_time_at_all() {
        let mut samples = run();
        samples[4].outcome = "exit 23".into();
        let cells = cells(&samples);
        let sy = cells[0].measurement("sy").unwrap();
        assert!(sy.timed.is_empty() && sy.errors == ["exit 23"]);
        let rows = conclude(&cells, &environment());
        assert!(rows[0].ratio.is_none() && rows[0].verdict.is_none() && !cells[0].is_verified());
    }

    #[test]
    fn rounds_that_only_one_of_them_has_make_no_pair() {
        assert_eq!(pairs(&[(1, 1.0), (2, 2.0)], &[(2, 4.0), (3, 5.0)]), [(2.0, 4.0)]);
    }

    #[test]
    fn cells_keep_the_order_of_measuring_and_differ_by_every_part_of_the_key() {
        let mut samples = run();
        let mut other = samples[0].clone();
        other.direction = Direction::Pull;
        samples.push(other);
        let cells = cells(&samples);
        assert_eq!(cells.iter().map(|c| c.key.direction).collect::<Vec<_>>(), [Direction::Push, Direction::Pull]);
        assert!(cells[0].measurement("tar-ssh").is_none());
    }
}
