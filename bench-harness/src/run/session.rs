//! A whole run: every scenario over every transport in every direction, cell by cell.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::execute::Job;
use super::schedule::{Effort, Round, order};
use super::{Lab, Transport};
use crate::interrupt;
use crate::lineup;
use crate::place::{Place, Request, Response};
use crate::progress::Progress;
use crate::record::sample::{Pass, SCHEMA, Sample};
use crate::record::soak::Soak;
use crate::scenario::{Direction, Operation, Over, Scenario};
use crate::stats;
use crate::subject::Subject;

/// After so many failures in one cell a subject is not run in it again; the cell is an error whatever follows, and a
/// subject that hangs would take its whole timeout each time.
const MAX_FAILURES: u32 = 2;

/// Of a scenario's tree before the edits, and after them where there are any.
pub type Digests = (String, Option<String>);

/// What a run is of.
#[derive(Debug)]
pub struct Course<'a> {
    /// The scenarios, at the size that is wanted.
    pub scenarios: &'a [Scenario],
    /// The subjects, in the order of odd rounds.
    pub subjects: &'a [Subject],
    /// How much of it is done.
    pub effort: Effort,
    /// The seed of the scenarios' bytes.
    pub seed: u64,
}

/// What came of a run besides its samples.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The digests of each scenario's trees.
    pub digests: BTreeMap<String, Digests>,
    /// Cells that were run.
    pub cells: usize,
    /// Cells with an error row.
    pub failed: usize,
    /// What came of the processes that are kept.
    pub soaks: Vec<Soak>,
    /// What went wrong apart from single samples.
    pub problems: Vec<String>,
}

/// One cell of the tables.
#[derive(Clone, Copy, Debug)]
struct Cell<'a> {
    scenario: &'a Scenario,
    operation: Operation,
    direction: Direction,
}

impl Course<'_> {
    /// The directions of a scenario over a transport.
    fn directions(scenario: &Scenario, transport: &Transport) -> Vec<Direction> {
        if transport.far.is_some() { scenario.directions.clone() } else { vec![Direction::Local] }
    }

    fn cells<'a>(&'a self, transport: &Transport) -> Vec<Cell<'a>> {
        let of = |scenario: &'a Scenario| {
            let directions = Self::directions(scenario, transport);
            let cell = move |direction, operation| Cell { scenario, operation, direction };
            let each = move |d| scenario.operations.iter().map(move |o| cell(d, *o));
            directions.into_iter().flat_map(each)
        };
        let cells = self.scenarios.iter().filter(|s| transport.takes(s)).flat_map(of);
        cells.filter(|cell| !self.participants(cell).is_empty()).collect()
    }

    fn participants(&self, cell: &Cell) -> Vec<&Subject> {
        let cast = lineup::cast(cell.scenario, self.subjects).into_iter();
        cast.filter(|s| s.takes_part(cell.operation, cell.direction)).collect()
    }

    fn rounds(&self, cell: &Cell) -> Vec<Round> {
        self.effort.rounds(cell.scenario, cell.operation)
    }

    /// How many syncs a cell has if none fails.
    fn syncs(&self, cell: &Cell) -> u64 {
        let subjects = self.participants(cell);
        let of = |round: &Round| subjects.iter().filter(|s| round.includes(s)).count() as u64;
        self.rounds(cell).iter().map(of).sum()
    }

    /// Runs it all and hands every sample to `sink` as soon as it is taken.
    ///
    /// # Errors
    /// When the lab cannot go on; samples that were handed over are good.
    pub fn run(
        &self,
        lab: &mut Lab,
        transports: &mut [Transport],
        sink: &mut dyn FnMut(Sample) -> Result<()>,
    ) -> Result<Outcome> {
        let all: Vec<(Cell, f64)> =
            transports.iter().flat_map(|t| self.cells(t).into_iter().map(|c| (c, t.rough_s()))).collect();
        let syncs = all.iter().map(|(cell, _)| self.syncs(cell)).sum();
        let rough: f64 = all.iter().map(|(cell, each)| self.syncs(cell) as f64 * each).sum();
        let mut progress = Progress::new(all.len(), syncs);
        progress.say(&format!("{} cells, {syncs} syncs, some {:.0} min", all.len(), (rough / 60.0).ceil()));
        let mut outcome = Outcome::default();
        for scenario in self.scenarios {
            interrupt::check()?;
            if !all.iter().any(|(cell, _)| cell.scenario.name == scenario.name) {
                continue;
            }
            progress.now(&format!("{}: making the trees", scenario.name));
            let digests = prepare(&mut lab.near, scenario, self.seed)?;
            for transport in transports.iter_mut() {
                self.prepare_far(transport, scenario, &digests)?;
                for cell in self.cells(transport).into_iter().filter(|c| c.scenario.name == scenario.name) {
                    let failed = self.cell(lab, transport, &cell, &mut progress, sink)?;
                    outcome.cells += 1;
                    outcome.failed += usize::from(failed);
                    self.check_source(lab, transport, &cell, &mut outcome)?;
                }
                self.soak(lab, transport, scenario, &mut progress, &mut outcome)?;
            }
            outcome.digests.insert(scenario.name.clone(), digests);
        }
        progress.finish();
        Ok(outcome)
    }

    fn prepare_far(&self, transport: &mut Transport, scenario: &Scenario, digests: &Digests) -> Result<()> {
        let Some(agent) = transport.far.as_mut().and_then(|far| far.agent.as_mut()) else { return Ok(()) };
        if prepare(agent, scenario, self.seed)? != *digests {
            bail!("{} is not the same tree on {} as here", scenario.name, transport.label);
        }
        Ok(())
    }

    /// Runs one cell; true if it has an error row.
    fn cell(
        &self,
        lab: &mut Lab,
        transport: &mut Transport,
        cell: &Cell,
        progress: &mut Progress,
        sink: &mut dyn FnMut(Sample) -> Result<()>,
    ) -> Result<bool> {
        let subjects = self.participants(cell);
        let mut failures = vec![0; subjects.len()];
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
        let (mut first, mut last_error) = (true, None);
        let mut kept = Vec::new();
        for (i, subject) in subjects.iter().enumerate() {
            match lab.keep(transport, subject) {
                Ok(found) => kept.extend(found.map(|kept| (i, kept))),
                Err(error) => {
                    interrupt::check()?;
                    failures[i] = MAX_FAILURES;
                    last_error = Some(format!("{}: {error:#}", subject.name));
                    sink(error_row(cell, &transport.label, subject, &error))?;
                }
            }
        }
        for round in self.rounds(cell) {
            for (position, i) in order(round.number, subjects.len()).into_iter().enumerate() {
                let subject = subjects[i];
                if !round.includes(subject) {
                    continue;
                }
                interrupt::check()?;
                if failures[i] < MAX_FAILURES {
                    progress.now(&format!("{} {}", name(cell, &transport.label), subject.name));
                    let job = Job {
                        scenario: &cell.scenario.name,
                        operation: cell.operation,
                        direction: cell.direction,
                        subject,
                        round: round.number,
                        position: position as u32,
                        pass: round.pass(subject),
                        first,
                    };
                    let sample = lab.take(transport, &job)?;
                    first &= !subject.checked;
                    if !sample.is_ok() {
                        failures[i] += 1;
                        last_error = Some(format!("{}: {}", subject.name, sample.outcome));
                    }
                    if self.effort == Effort::Verify || sample.pass == Pass::Timed {
                        times[i].extend(sample.wall_s);
                    }
                    sink(sample)?;
                }
                progress.done(1);
            }
        }
        for (i, kept) in kept {
            if let Err(error) = kept.finish() {
                last_error = Some(format!("{}: {error:#}", subjects[i].name));
                sink(error_row(cell, &transport.label, subjects[i], &error))?;
            }
        }
        progress.cell(&self.line(cell, &transport.label, &subjects, &times, last_error.as_deref()));
        Ok(last_error.is_some())
    }

    /// Over a long line a process is what it is over a short one, only later.
    fn soak(
        &self,
        lab: &mut Lab,
        transport: &mut Transport,
        scenario: &Scenario,
        progress: &mut Progress,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let wanted = scenario.soak.filter(|_| self.effort != Effort::Verify && transport.over() == Over::Ssh);
        let Some(plan) = wanted.filter(|_| transport.takes(scenario)) else { return Ok(()) };
        let kept = |s: &&Subject| s.keep.as_ref().is_some_and(|keep| !keep.pids.is_empty());
        for subject in lineup::cast(scenario, self.subjects).into_iter().filter(kept) {
            let what = format!("{} {} {}", scenario.name, transport.label, subject.name);
            progress.now(&format!("{what}: {} sessions", plan.sessions));
            match lab.soak(transport, scenario, plan, subject) {
                Ok(soak) => {
                    let failed = soak.failed + soak.at_once - soak.verified;
                    if failed > 0 {
                        outcome.problems.push(format!("{what}: {failed} of the sessions of its soak failed"));
                    }
                    outcome.soaks.push(soak);
                }
                Err(error) => {
                    interrupt::check()?;
                    outcome.problems.push(format!("{what}: no soak: {error:#}"));
                }
            }
        }
        Ok(())
    }

    fn line(&self, cell: &Cell, transport: &str, who: &[&Subject], times: &[Vec<f64>], error: Option<&str>) -> String {
        let name = name(cell, transport);
        if let Some(error) = error {
            return format!("{name}  ERROR {error}");
        }
        if self.effort == Effort::Verify {
            let names: Vec<&str> = who.iter().map(|s| s.name.as_str()).collect();
            return format!("{name}  verified: {}", names.join(" "));
        }
        let show = |(s, t): (&&Subject, &Vec<f64>)| Some(format!("{} {:.1}", s.name, stats::median(t)? * 1e3));
        let shown: Vec<String> = who.iter().zip(times).filter_map(show).collect();
        format!("{name}  ms: {}", shown.join("  "))
    }

    /// A subject that touches its source spoils every comparison after it.
    fn check_source(&self, lab: &mut Lab, transport: &mut Transport, cell: &Cell, outcome: &mut Outcome) -> Result<()> {
        let changed = lab.ends(transport, cell.direction).source().differences(&Request::Intact)?;
        if let Some(changed) = changed {
            outcome.problems.push(format!("{}: a subject changed the source: {changed}", name(cell, &transport.label)));
        }
        Ok(())
    }
}

/// A subject's row where it has not even been run, or not as what it is.
fn error_row(cell: &Cell, transport: &str, subject: &Subject, error: &anyhow::Error) -> Sample {
    Sample {
        schema: SCHEMA,
        scenario: cell.scenario.name.clone(),
        operation: cell.operation,
        transport: transport.to_owned(),
        direction: cell.direction,
        subject: subject.name.clone(),
        pass: Pass::WarmUp,
        outcome: format!("{error:#}"),
        ..Sample::default()
    }
}

fn name(cell: &Cell, transport: &str) -> String {
    let operation = format!("{:?}", cell.operation).to_lowercase();
    match cell.direction {
        Direction::Local => format!("{} {operation} {transport}", cell.scenario.name),
        Direction::Push => format!("{} {operation} {transport} push", cell.scenario.name),
        Direction::Pull => format!("{} {operation} {transport} pull", cell.scenario.name),
    }
}

fn prepare(place: &mut dyn Place, scenario: &Scenario, seed: u64) -> Result<Digests> {
    match place.call(&Request::Prepare { scenario: Box::new(scenario.clone()), seed })? {
        Response::Digests(before, after) => Ok((before, after)),
        other => bail!("unexpected answer {other:?} to a scenario"),
    }
}
