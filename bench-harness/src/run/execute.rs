//! One sync: put the destination back, run the subject under the wrapper, compare the trees, make a sample of it.
//!
//! An `Err` from here is the lab's own trouble and ends the run; whatever the subject does wrong is an error row.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::counters::{self, Counted};
use super::{Ends, Lab, Transport};
use crate::child::measure::{Plan, Usage};
use crate::interrupt;
use crate::place::{Place, Request, Response, Start, layout};
use crate::record::sample::{OK, Pass, SCHEMA, Sample};
use crate::scenario::generate::Version;
use crate::scenario::{Direction, Operation};
use crate::subject::{Subject, Words};

/// What one sync is of.
pub struct Job<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// What was done to the tree before.
    pub operation: Operation,
    /// Which way.
    pub direction: Direction,
    /// By whom.
    pub subject: &'a Subject,
    /// In which round.
    pub round: u32,
    /// At which place in it.
    pub position: u32,
    /// Why.
    pub pass: Pass,
    /// Whether it is the cell's first, so that every byte of the destination is copied afresh.
    pub first: bool,
}

impl Job<'_> {
    /// Its sample, without a figure.
    fn sample(&self, transport: &str) -> Sample {
        Sample {
            schema: SCHEMA,
            scenario: self.scenario.to_owned(),
            operation: self.operation,
            transport: transport.to_owned(),
            direction: self.direction,
            subject: self.subject.name.clone(),
            round: self.round,
            position: self.position,
            pass: self.pass,
            ..Sample::default()
        }
    }
}

/// A command line and what it finds in its environment.
struct Invocation {
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// The names of the files that commands write.
const NEAR: &str = "near.json";
const COUNTERS: &str = "counters.json";
const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";
/// So much of a message goes into an error row.
const MESSAGE: usize = 300;

impl Operation {
    fn source(self) -> (Version, &'static str) {
        if self == Operation::Delta { (Version::After, layout::AFTER) } else { (Version::Before, layout::BEFORE) }
    }

    fn start(self, first: bool) -> Start {
        match (self, first) {
            (Operation::Initial, _) => Start::Empty,
            (_, true) => Start::Fresh,
            (_, false) => Start::Restored,
        }
    }
}

impl Lab {
    /// Does one sync and says what came of it.
    ///
    /// # Errors
    /// When the lab itself cannot go on: no room, a far host out of reach, a signal.
    pub fn take(&mut self, transport: &mut Transport, job: &Job) -> Result<Sample> {
        self.count += 1;
        let far_name = format!("far-{}.json", self.count);
        let command = self.command(transport, job, &far_name)?;
        if job.subject.checked {
            let start = job.operation.start(job.first);
            self.ends(transport, job.direction).destination().tell(&Request::Start(start))?;
        }
        let watch = job.pass == Pass::FirstByte && job.direction != Direction::Push;
        let near = self.run(&command, watch)?;
        interrupt::check()?;
        let far = match job.direction {
            Direction::Local => None,
            _ if !job.subject.is_wrapped(job.direction) => None,
            _ => usage(self.ends(transport, job.direction).far(), &far_name)?,
        };
        let outcome = self.outcome(transport, job, near.as_ref())?;
        let mut sample = job.sample(&transport.label);
        match (outcome, near) {
            (None, Some(near)) => {
                let ahead = self.ends(transport, job.direction).far().clock_ahead_ns();
                self.fill(&mut sample, job, &near, far.as_ref(), ahead);
            }
            // An error row has no figure at all: a wrong run has no time.
            (why, _) => sample.outcome = why.unwrap_or_else(|| "could not be run".into()),
        }
        Ok(sample)
    }

    /// The ends of a transport for one direction.
    pub fn ends<'a>(&'a mut self, transport: &'a mut Transport, direction: Direction) -> Ends<'a> {
        let far = transport.far.as_mut().and_then(|far| far.agent.as_mut());
        Ends { near: &mut self.near, far, direction }
    }

    /// Where what is kept for a subject has its sockets.
    pub fn state(&self, subject: &Subject) -> PathBuf {
        self.near.dir().join(layout::STATE).join(&subject.name)
    }

    /// The words that any command of a subject can use.
    pub fn words(&self, transport: &Transport, subject: &Subject, program: &str) -> Words<'static> {
        let there = transport.far.as_ref().and_then(|far| far.programs.get(program)).map_or(program, String::as_str);
        let mut words = Words::from([
            ("state", show(&self.state(subject))),
            ("remote_program", there.to_owned()),
            ("program", program.to_owned()),
        ]);
        if let Some(far) = &transport.far {
            words.insert("rsh", far.endpoint.rsh());
            words.insert("rsh_shared", far.endpoint.rsh_shared());
            words.insert("host", far.endpoint.host.clone());
        }
        words
    }

    /// The subject's command line with every word filled in, and its variables.
    fn command(&mut self, transport: &mut Transport, job: &Job, far_name: &str) -> Result<Invocation> {
        let counting = job.subject.counting_program.as_ref().filter(|_| job.pass == Pass::Counted);
        let mut words = self.words(transport, job.subject, counting.unwrap_or(&job.subject.program));
        let mut ends = self.ends(transport, job.direction);
        let dst = ends.destination().dir().join(layout::DST);
        let result = ends.far().dir().join(layout::OUT).join(far_name);
        words.insert("src", show(&ends.source().dir().join(job.operation.source().1)));
        words.insert("dst", show(&dst));
        words.insert("counters", show(&self.near.dir().join(layout::OUT).join(COUNTERS)));
        if let Some(far) = &transport.far {
            let watch = (job.pass == Pass::FirstByte && job.direction == Direction::Push).then_some(dst);
            let wrapper = Plan { result, watch, timeout_s: self.timeout_s, leash: false };
            let args: Vec<String> = wrapper.arguments().iter().map(|a| a.to_string_lossy().into_owned()).collect();
            words.insert("remote", format!("{} {}", far.own, args.join(" ")));
        }
        let (args, env) = (job.subject.command(job.direction, &words)?, job.subject.variables(&words)?);
        Ok(Invocation { args, env })
    }

    /// Runs a command under the wrapper; none when the wrapper left no result.
    fn run(&mut self, command: &Invocation, watch: bool) -> Result<Option<Usage>> {
        let out = self.near.dir().join(layout::OUT);
        let open = |name: &str| {
            let path = out.join(name);
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))
        };
        // A tool that writes no counters must not be credited with those of the run before.
        let _ = fs::remove_file(out.join(COUNTERS));
        let plan = Plan {
            result: out.join(NEAR),
            watch: watch.then(|| self.near.dir().join(layout::DST)),
            timeout_s: self.timeout_s,
            leash: true,
        };
        let mut wrapper = Command::new(&self.own);
        wrapper.args(plan.arguments()).args(&command.args).process_group(0).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            // Such variables change what a bare `rsync -a` does.
            if ["RSYNC_", "SY_"].iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                wrapper.env_remove(name);
            }
        }
        wrapper.envs(command.env.iter().map(|(name, value)| (name, value)));
        wrapper.stdin(Stdio::piped()).stdout(open(STDOUT)?).stderr(open(STDERR)?);
        let mut child = wrapper.spawn().context("cannot start the lab's wrapper")?;
        interrupt::hold(child.stdin.take());
        let ended = child.wait().context("cannot wait for the lab's wrapper");
        interrupt::release();
        ended?;
        if plan.result.exists() { usage(&mut self.near, NEAR) } else { Ok(None) }
    }

    /// What went wrong, if anything did.
    fn outcome(&mut self, transport: &mut Transport, job: &Job, near: Option<&Usage>) -> Result<Option<String>> {
        let ended = match near {
            None => Some("could not be run".to_owned()),
            Some(Usage { timed_out: true, .. }) => Some(format!("timeout after {} s", self.timeout_s)),
            Some(Usage { exit_code: Some(0), .. }) => None,
            Some(Usage { exit_code: Some(code), .. }) => Some(format!("exit {code}")),
            Some(usage) => Some(format!("signal {}", usage.signal.unwrap_or(0))),
        };
        if let Some(what) = ended {
            let said = last_line(&self.read_out(STDERR));
            return Ok(Some(if said.is_empty() { what } else { format!("{what}: {said}") }));
        }
        if !job.subject.checked {
            return Ok(None);
        }
        let check = Request::Check(job.operation.source().0);
        let differences = self.ends(transport, job.direction).destination().differences(&check)?;
        Ok(differences.map(|d| format!("the trees differ: {}", cut(&d))))
    }

    fn read_out(&self, name: &str) -> String {
        let bytes = fs::read(self.near.dir().join(layout::OUT).join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn fill(&self, sample: &mut Sample, job: &Job, near: &Usage, far: Option<&Usage>, far_ahead_ns: i64) {
        sample.outcome = OK.into();
        let counted = counters::read(job.subject.counters, &self.read_out(COUNTERS), &self.read_out(STDOUT));
        if job.direction != Direction::Local {
            sample.wire_out = counted.wire_out;
            sample.wire_in = counted.wire_in;
            sample.frames = counted.frames;
            sample.round_trips = counted.round_trips;
        }
        if job.pass == Pass::Counted {
            fill_heap(sample, &counted);
        } else {
            fill_times(sample, near, far, &counted);
        }
        let (seen, ahead) = match job.direction {
            Direction::Push => (far.and_then(|u| u.first_byte_ns), far_ahead_ns),
            _ => (near.first_byte_ns, 0),
        };
        let since_start = |ns: u64, ahead: i64| (ns as i64 - ahead - near.started_ns as i64) as f64 / 1e9;
        sample.first_byte_s = seen.map(|ns| since_start(ns, ahead));
        if job.pass != Pass::Counted {
            sample.link_open_s = far.map(|usage| since_start(usage.started_ns, far_ahead_ns));
        }
    }
}

/// A counting build is slow for its counting: it has no time.
fn fill_heap(sample: &mut Sample, counted: &Counted) {
    let Counted { near, far, .. } = counted;
    sample.allocations = near.allocations;
    sample.heap_bytes = near.heap_bytes;
    sample.heap_peak_bytes = near.heap_peak_bytes;
    sample.heap_list_bytes = near.heap_list_bytes;
    sample.remote_allocations = far.allocations;
    sample.remote_heap_bytes = far.heap_bytes;
    sample.remote_heap_peak_bytes = far.heap_peak_bytes;
    sample.remote_heap_list_bytes = far.heap_list_bytes;
}

fn fill_times(sample: &mut Sample, near: &Usage, far: Option<&Usage>, counted: &Counted) {
    sample.wall_s = Some(near.wall_s);
    sample.user_s = Some(near.user_s);
    sample.sys_s = Some(near.sys_s);
    sample.max_rss_kib = Some(near.max_rss_kib);
    sample.remote_user_s = far.map(|u| u.user_s);
    sample.remote_sys_s = far.map(|u| u.sys_s);
    sample.remote_max_rss_kib = far.map(|u| u.max_rss_kib);
    sample.connect_s = counted.connect_s;
    sample.session_s = counted.session_s;
    sample.scan_s = counted.near.scan_s;
    sample.transfer_s = counted.near.transfer_s;
    sample.remote_scan_s = counted.far.scan_s;
    sample.remote_transfer_s = counted.far.transfer_s;
}

fn usage(place: &mut dyn Place, name: &str) -> Result<Option<Usage>> {
    match place.call(&Request::Usage(name.into()))? {
        Response::Usage(usage) => Ok(usage),
        other => bail!("unexpected answer {other:?}"),
    }
}

/// Paths of the lab are plain ASCII: `place::disk` refuses others.
fn show(path: &Path) -> String {
    path.display().to_string()
}

fn last_line(text: &str) -> String {
    cut(text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default())
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_source_and_its_start() {
        assert_eq!(Operation::Initial.source(), (Version::Before, "before"));
        assert_eq!(Operation::Delta.source(), (Version::After, "after"));
        assert_eq!(Operation::Initial.start(false), Start::Empty);
        assert_eq!((Operation::Delta.start(true), Operation::Delta.start(false)), (Start::Fresh, Start::Restored));
    }

    #[test]
    fn an_error_row_quotes_the_last_line_that_says_something() {
        assert_eq!(
            last_line(
                "first
  second 

"
            ),
            "second"
        );
        assert_eq!(last_line(&"x".repeat(1000)).len(), MESSAGE);
    }
}
