//! What is kept, over many sessions and under many at once: does it grow, does it wake up, does every sync come out right.
//!
//! The processes are looked at from outside, in `/proc`; where there is none, or they are on another host, they are not
//! looked at, and only the syncs are checked. Nothing here is timed for a comparison.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::execute::Job;
use super::{Lab, Transport};
use crate::child::measure::Plan;
use crate::interrupt;
use crate::place::{Place, layout};
use crate::record::sample::Pass;
use crate::record::soak::{Seen, Soak};
use crate::scenario::generate::Version;
use crate::scenario::{self, Direction, Operation, Scenario};
use crate::stats;
use crate::subject::Subject;
use crate::tree::restore;

/// How long wake-ups are counted.
const IDLE: Duration = Duration::from_secs(5);
/// How long a process is left alone before it is looked at: it may still be busy with the end of the last session.
const SETTLE: Duration = Duration::from_secs(1);
/// The beginning of the names of the destinations of syncs at once.
const MANY: &str = "many";

impl Lab {
    /// Soaks what is kept for a subject.
    ///
    /// # Errors
    /// When it cannot be kept, or the lab cannot go on. A sync that fails is counted.
    pub fn soak(
        &mut self,
        transport: &mut Transport,
        scenario: &Scenario,
        plan: scenario::Soak,
        subject: &Subject,
    ) -> Result<Soak> {
        let kept = self.keep(transport, subject)?;
        let mut soak = Soak {
            transport: transport.label.clone(),
            scenario: scenario.name.clone(),
            subject: subject.name.clone(),
            sessions: plan.sessions,
            at_once: plan.at_once,
            ..Soak::default()
        };
        let direction = scenario.directions.first().copied().unwrap_or(Direction::Push);
        let mut walls = Vec::new();
        for session in 0..plan.sessions {
            let job = Job {
                scenario: &scenario.name,
                operation: Operation::Incremental,
                direction,
                subject,
                round: 0,
                position: 0,
                pass: Pass::WarmUp,
                first: session == 0,
            };
            let sample = self.take(transport, &job)?;
            soak.failed += u32::from(!sample.is_ok());
            walls.extend(sample.wall_s);
            if session == 0 {
                soak.seen.extend(self.look(transport, subject, 1, true)?);
            }
        }
        let tenth = walls.len().div_ceil(10);
        soak.early_s = stats::median(&walls[..tenth]);
        soak.late_s = stats::median(&walls[walls.len() - tenth..]);
        soak.seen.extend(self.look(transport, subject, plan.sessions, true)?);
        self.at_once(transport, subject, &mut soak)?;
        soak.seen.extend(self.look(transport, subject, plan.sessions + plan.at_once, false)?);
        kept.map_or(Ok(()), super::keep::Kept::finish)?;
        Ok(soak)
    }

    /// Pulls the tree into many destinations at once and compares each of them.
    fn at_once(&mut self, transport: &mut Transport, subject: &Subject, soak: &mut Soak) -> Result<()> {
        let dir = |n: u32| self.near.dir().join(format!("{MANY}-{n}"));
        let dirs: Vec<PathBuf> = (0..soak.at_once).map(dir).collect();
        let src = self.ends(transport, Direction::Pull).source().dir().join(layout::BEFORE);
        let begun = Instant::now();
        let mut children = Vec::new();
        for dir in &dirs {
            restore::remove(dir)?;
            fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            children.push(self.start(transport, subject, &src, dir)?);
        }
        let mut well = Vec::new();
        for mut child in children {
            // Its standard input is its leash: taken first, or waiting would let go of it.
            let held = child.stdin.take();
            well.push(child.wait().context("cannot wait for a sync")?.success());
            drop(held);
        }
        soak.at_once_s = begun.elapsed().as_secs_f64();
        interrupt::check()?;
        for (dir, well) in dirs.iter().zip(well) {
            let differs = self.near.differs(Version::Before, dir)?;
            soak.verified += u32::from(well && !differs);
            restore::remove(dir)?;
        }
        Ok(())
    }

    fn start(&self, transport: &Transport, subject: &Subject, src: &Path, dst: &Path) -> Result<Child> {
        let text = |path: &Path| path.display().to_string();
        let mut words = self.words(transport, subject, &subject.program);
        words.insert("src", text(src));
        words.insert("dst", text(dst));
        let out = self.near.dir().join(layout::OUT);
        let name = dst.file_name().unwrap_or_default().to_string_lossy().into_owned();
        words.insert("counters", text(&out.join(format!("{name}.counters"))));
        let result = out.join(format!("{name}.json"));
        let plan = Plan { result, watch: None, timeout_s: self.timeout_s, leash: true };
        let mut command = Command::new(&self.own);
        command.args(plan.arguments()).args(subject.command(Direction::Pull, &words)?);
        command.envs(subject.variables(&words)?).env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("cannot start the lab's wrapper")
    }

    /// The subject's processes as they are now; none where they cannot be looked at.
    fn look(&self, transport: &Transport, subject: &Subject, sessions: u32, idle: bool) -> Result<Vec<Seen>> {
        // What a process on another host is called means another one here.
        let same_host = transport.far.as_ref().is_some_and(|far| far.agent.is_none());
        let Some(keep) = subject.keep.as_ref().filter(|_| cfg!(target_os = "linux")) else { return Ok(Vec::new()) };
        thread::sleep(SETTLE);
        let words = self.words(transport, subject, &subject.program);
        let variables = subject.variables(&words)?;
        let mut pids = Vec::new();
        for (end, ask) in keep.pids.iter().enumerate().filter(|(end, _)| *end == 0 || same_host) {
            let ask = subject.filled(ask, &words)?;
            let [program, args @ ..] = &ask[..] else { continue };
            let told = Command::new(program).args(args).envs(variables.clone()).stdin(Stdio::null()).output();
            let told = told.with_context(|| format!("cannot run {ask:?}"))?.stdout;
            pids.extend(pid(&told).map(|pid| (end, pid)));
        }
        let before: Vec<u64> = pids.iter().map(|(_, pid)| wakes(*pid)).collect();
        if idle {
            thread::sleep(IDLE);
        }
        let seen = |((end, pid), before): (&(usize, u64), u64)| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            Some(Seen {
                sessions,
                end: *end,
                rss_kib: field(&status, "VmRSS:")?,
                peak_kib: field(&status, "VmHWM:")?,
                threads: field(&status, "Threads:")?,
                files: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
                wakes_per_s: idle.then(|| wakes(*pid).saturating_sub(before) as f64 / IDLE.as_secs_f64()),
            })
        };
        Ok(pids.iter().zip(before).filter_map(seen).collect())
    }
}

/// The process that a status of the daemon tells of.
fn pid(told: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(told).ok()?["daemon"]["pid"].as_u64()
}

/// The number after a label of `/proc/PID/status`.
fn field(status: &str, label: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(label))?.split_whitespace().next()?.parse().ok()
}

/// How often any thread of a process has gone to sleep by itself: as often it woke up.
fn wakes(pid: u64) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: fs::DirEntry| {
        field(&fs::read_to_string(task.path().join("status")).unwrap_or_default(), "voluntary_ctxt_switches:")
    };
    tasks.filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_from_what_the_daemon_tells_of_itself() {
        assert_eq!(pid(br#"{"schema":1,"running":true,"daemon":{"pid":4711}}"#), Some(4711));
        assert_eq!((pid(br#"{"running":false}"#), pid(b"no daemon runs")), (None, None));
    }

    #[test]
    fn figures_of_a_process_are_found_by_their_labels() {
        let status = "Name:\tsy\nVmHWM:\t    9000 kB\nVmRSS:\t    8000 kB\nThreads:\t3\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:")), (Some(8000), Some(3)));
        assert_eq!(field(status, "VmSwap:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_sleeps_is_counted_for_it() {
        let own = u64::from(std::process::id());
        let before = wakes(own);
        (0..5).for_each(|_| thread::sleep(Duration::from_millis(1)));
        assert!(wakes(own) >= before + 5);
    }
}
