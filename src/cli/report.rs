//! What a client prints: names, itemized changes, counts, JSON events. Standard output is for what was asked for,
//! standard error for what went wrong.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::config::{Config, Output, Transfer};
use super::format::{Format, Line, Scene};
use super::info::{Info, Topic};
use super::list::Listing;
use super::log::Log;
use super::names;
use super::stats::{Seen, Summary};
use crate::error::{Error, ExitCode, Result};
use crate::events::{About, Event, Events};
use crate::plan::{Action, Changes, Decision};
use crate::tree::capability::Capability;
use crate::tree::entry::{Entry, Kind};

/// Version of the JSON events: raised when a field changes its meaning or goes, not when one is added.
const JSON_VERSION: u32 = 1;

/// Prints what happens.
pub struct Reporter {
    quiet: bool,
    json: bool,
    info: Info,
    /// The line of an entry, where one was asked for.
    format: Option<Format>,
    named: Format,
    /// With a format that has rsync's letters: what does not change, too.
    all: bool,
    list: Option<Listing>,
    scene: Scene,
    bar: ProgressBar,
    out: Mutex<Out>,
    log: Option<Log>,
    seen: Mutex<Seen>,
}

struct Out {
    stdout: BufWriter<Stdout>,
    /// What ended it. A reader that went away wants no more, which is no error; a full disk is one.
    closed: Option<io::Error>,
    each_line: bool,
    /// The last that was written is a progress line, which has no end.
    unended: bool,
}

impl Out {
    fn line(&mut self, line: &[u8]) {
        let begin: &[u8] = if std::mem::take(&mut self.unended) { b"\n" } else { b"" };
        self.write(&[begin, line, b"\n"], self.each_line);
    }

    fn write(&mut self, parts: &[&[u8]], at_once: bool) {
        if self.closed.is_some() {
            return;
        }
        let written = parts.iter().try_for_each(|part| self.stdout.write_all(part));
        let written = written.and_then(|()| if at_once { self.stdout.flush() } else { Ok(()) });
        self.closed = written.err();
    }
}

impl Reporter {
    /// A reporter for one sync. Lines that it prints make room for `bar`.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn new(config: &Config, bar: ProgressBar) -> Result<Reporter> {
        let Output { quiet, all, json, eight_bit, .. } = config.output;
        let each_line = config.output.each_line.unwrap_or(json || io::stdout().is_terminal());
        let log = config.output.log.as_ref().filter(|_| !config.options.dry_run).map(Log::open).transpose()?;
        let scene = Scene {
            pushing: matches!(config.transfer, Transfer::Push { .. }),
            pulling: matches!(config.transfer, Transfer::Pull { .. }),
            eight_bit,
            options: config.options.clone(),
        };
        let reporter = Reporter {
            quiet,
            json,
            info: config.output.info.clone(),
            format: config.output.format.clone(),
            named: Format::parse(Format::NAMED.as_bytes()).map_err(Error::Usage)?,
            all,
            list: config.output.list,
            scene,
            bar,
            out: Mutex::new(Out { stdout: BufWriter::new(io::stdout()), closed: None, each_line, unended: false }),
            log,
            seen: Mutex::default(),
        };
        reporter.begin();
        Ok(reporter)
    }

    fn begin(&self) {
        let (said, logged) = match self.scene.pulling {
            true => ("receiving", "receiving file list"),
            false => ("sending", "building file list"),
        };
        if self.tells(Topic::Flist, 1) && !self.json {
            self.line(format!("{said} incremental file list").as_bytes());
        }
        if let Some(log) = &self.log {
            log.line(logged.as_bytes());
        }
    }

    /// What the events told so far.
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    fn tells(&self, topic: Topic, level: u8) -> bool {
        !self.quiet && self.info.level(topic) >= level
    }

    /// Prints a line on standard output.
    fn line(&self, line: &[u8]) {
        self.bar.suspend(|| lock(&self.out).line(line));
    }

    /// Prints how far it got over what it printed of that before, for a standard output that is no terminal.
    pub fn progress(&self, text: &str) {
        let mut out = lock(&self.out);
        out.write(&[b"\r", text.as_bytes()], true);
        out.unended = true;
    }

    fn complain(&self, text: &str) {
        self.bar.suspend(|| {
            // If standard error is gone there is nobody left to tell.
            let _ = writeln!(io::stderr(), "sy: {text}");
        });
    }

    fn json_line(&self, kind: &str, mut fields: Value) {
        fields["v"] = JSON_VERSION.into();
        fields["event"] = kind.into();
        self.line(fields.to_string().as_bytes());
    }

    fn item(&self, entry: &Entry, decision: Decision, link_to: Option<&Path>) {
        if let Some(list) = self.list {
            return self.listed(list, entry);
        }
        self.tally(entry, decision);
        let line = Line::Item { entry, decision, link_to };
        self.tell_passed_over(entry);
        if self.json {
            if decision.action != Action::Skip || self.info.level(Topic::Name) > 1 {
                self.json_line("item", item_json(entry, decision, link_to));
            }
        } else if !self.quiet {
            // Quiet, not even what -i asks for is told, as in rsync.
            self.show(&line, entry, decision);
        }
        if let Some(log) = &self.log {
            log.entry(&line, &self.scene);
        }
    }

    /// Nothing is decided about what is only listed.
    fn listed(&self, list: Listing, entry: &Entry) {
        self.tally(entry, Decision::SKIP);
        if self.json {
            self.json_line("listed", listed_json(entry));
        } else if !self.quiet {
            self.line(&list.line(entry));
        }
    }

    /// As in rsync that is told unless somebody does not want to hear it.
    fn tell_passed_over(&self, entry: &Entry) {
        let is_asked_for = entry.is_file() || self.scene.options.selects(&entry.kind);
        if !is_asked_for && self.info.level(Topic::Nonreg) > 0 {
            let name = names::printable(entry.relative());
            self.warning(&format!("skipping non-regular file \"{name}\""), ExitCode::Ok);
        }
    }

    fn show(&self, line: &Line<'_>, entry: &Entry, decision: Decision) {
        let names = self.info.level(Topic::Name);
        let format = self.format.as_ref().or((names > 0).then_some(&self.named));
        let lettered = self.format.as_ref().is_some_and(|format| format.has(b"i"));
        if let Some(format) = format.filter(|format| line.is_told_by(format)) {
            return self.line(&format.line(line, &self.scene));
        }
        if decision.is_change() {
            return;
        }
        let options = &self.scene.options;
        if options.is_unsafe(entry) || (!options.selects(&entry.kind) && !entry.is_file()) {
            // Told already, as what it is.
        } else if let Some(format) = self.format.as_ref().filter(|_| lettered && (self.all || names > 1)) {
            if options.selects(&entry.kind) {
                self.line(&format.line(line, &self.scene));
            }
        } else if names > 1 && !entry.is_dir() {
            let mut text = Vec::new();
            names::push(&mut text, entry.relative(), self.scene.eight_bit);
            // The decision does not say for which of its reasons an entry is passed over.
            let may_differ =
                options.existing || options.ignore_existing || options.update || !options.selects(&entry.kind);
            text.extend_from_slice(if may_differ { b" is left alone" } else { b" is uptodate" });
            self.line(&text);
        }
    }

    fn tally(&self, entry: &Entry, decision: Decision) {
        let mut seen = lock(&self.seen);
        seen.size = seen.size.saturating_add(entry.kind.length());
        if decision.action.needs_data() {
            seen.transferred += 1;
            seen.transferred_bytes += entry.kind.size();
        }
        let tally = match entry.kind {
            Kind::File { .. } => &mut seen.files,
            Kind::Dir => &mut seen.dirs,
            Kind::Symlink { .. } => &mut seen.links,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => &mut seen.devices,
            Kind::Fifo | Kind::Socket => &mut seen.specials,
        };
        tally.listed += 1;
        tally.created += u64::from(decision.changes.contains(Changes::NEW));
    }

    fn deleted(&self, path: &Path, is_dir: bool) {
        let line = Line::Deleted { path, is_dir };
        if self.json {
            let mut fields = path_json(path);
            fields["dir"] = is_dir.into();
            self.json_line("deleted", fields);
        } else if !self.quiet {
            match &self.format {
                Some(format) if format.has(b"io") => self.line(&format.line(&line, &self.scene)),
                format if format.is_some() || self.info.level(Topic::Del) > 0 => {
                    let mut text = b"deleting ".to_vec();
                    names::push(&mut text, path, self.scene.eight_bit);
                    text.extend_from_slice(if is_dir { b"/" } else { b"" });
                    self.line(&text);
                }
                _ => {}
            }
        }
        if let Some(log) = &self.log {
            log.entry(&line, &self.scene);
        }
    }

    fn warning(&self, text: &str, code: ExitCode) {
        if let Some(log) = &self.log {
            log.line(text.as_bytes());
            // What became of the log is told at the end.
            let _ = log.flush();
        }
        if code == ExitCode::Ok && self.quiet {
            return;
        }
        if self.json {
            self.json_line("warning", json!({ "text": text, "exit_code": code as u8 }));
        }
        self.complain(text);
    }

    fn remark(&self, about: About, level: u8, text: &str) {
        let told = match about {
            About::Course => self.tells(Topic::Misc, level),
            About::Backup => self.tells(Topic::Backup, 1),
            About::Removal => self.tells(Topic::Remove, 1),
            About::UnsafeLink => self.tells(Topic::Symsafe, 1),
        };
        if told {
            self.complain(text);
        }
    }

    fn unkept(&self, capability: Capability, path: &Path) {
        if self.json {
            let mut fields = path_json(path);
            fields["what"] = capability.word().into();
            self.json_line("unkept", fields);
        }
        let first = names::printable(path);
        let text = format!("the destination's file system keeps no {capability}: they are left out ({first})");
        if let Some(log) = &self.log {
            log.line(text.as_bytes());
        }
        self.complain(&text);
    }

    /// Prints what a finished sync came to.
    ///
    /// # Errors
    /// When standard output or the log could not be written, for another reason than that nobody reads it.
    pub fn finish(&self, config: &Config, summary: &Summary) -> Result<()> {
        let human = config.output.human;
        if self.json {
            self.json_line("summary", summary.json());
        } else {
            if self.tells(Topic::Stats, 2) {
                summary.rsync_lines(human).iter().for_each(|line| self.line(line.as_bytes()));
            }
            if self.tells(Topic::Stats, 1) {
                summary.closing_lines(human).iter().for_each(|line| self.line(line.as_bytes()));
            }
        }
        let logged = self.log.as_ref().map_or(Ok(()), |log| {
            if self.info.level(Topic::Stats) > 1 {
                summary.rsync_lines(human).iter().skip(1).for_each(|line| log.line(line.as_bytes()));
            }
            log.line(summary.log_line().as_bytes());
            log.flush()
        });
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::io("write to", Path::new("standard output"), error))
            }
            _ => logged,
        }
    }

    /// Prints what ended a sync early.
    pub fn fail(&self, error: &Error, elapsed: Duration) {
        if self.json {
            let fields = json!({
                "text": error.to_string(),
                "exit_code": error.exit_code() as u8,
                "elapsed_s": elapsed.as_secs_f64(),
            });
            self.json_line("error", fields);
        }
        self.complain(&error.to_string());
        // There is a worse error to end with.
        let _ = self.flush();
        if let Some(log) = &self.log {
            log.line(error.to_string().as_bytes());
            let _ = log.flush();
        }
    }

    fn flush(&self) -> io::Result<()> {
        let mut out = lock(&self.out);
        match out.closed.take() {
            Some(error) => Err(error),
            None => {
                if std::mem::take(&mut out.unended) {
                    out.stdout.write_all(b"\n")?;
                }
                out.stdout.flush()
            }
        }
    }
}

impl Events for Reporter {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Item { entry, decision, link_to } => self.item(entry, *decision, *link_to),
            Event::Deleted { path, is_dir } => self.deleted(path, *is_dir),
            Event::Warning { text, code } => self.warning(text, *code),
            Event::Detail { about, level, text } => self.remark(*about, *level, text),
            Event::Unkept { capability, path } => self.unkept(*capability, path),
        }
    }
}

fn item_json(entry: &Entry, decision: Decision, link_to: Option<&Path>) -> Value {
    let mut fields = path_json(entry.relative());
    fields["kind"] = kind_name(&entry.kind).into();
    fields["size"] = entry.kind.size().into();
    fields["action"] = match decision.action {
        Action::Skip => "skip",
        Action::Attributes => "attributes",
        Action::Create => "create",
        Action::Whole => "whole",
        Action::Delta => "delta",
        Action::HardLink => "hard_link",
    }
    .into();
    let changes: Vec<String> = decision.changes.iter_names().map(|(name, _)| name.to_lowercase()).collect();
    fields["changes"] = changes.into();
    if let Some(leader) = link_to {
        fields["link_to"] = leader.to_string_lossy().into();
    }
    fields
}

fn listed_json(entry: &Entry) -> Value {
    let mut fields = path_json(entry.relative());
    fields["kind"] = kind_name(&entry.kind).into();
    fields["size"] = entry.kind.length().into();
    fields["mode"] = format!("{:04o}", entry.mode).into();
    fields["mtime_s"] = entry.mtime.secs.into();
    if let Kind::Symlink { target } = &entry.kind {
        fields["target"] = target.to_string_lossy().into();
    }
    fields
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "file",
        Kind::Dir => "dir",
        Kind::Symlink { .. } => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice { .. } => "char_device",
        Kind::BlockDevice { .. } => "block_device",
    }
}

/// A path as text, and, where that loses something, as its bytes too.
fn path_json(path: &Path) -> Value {
    use std::os::unix::ffi::OsStrExt;
    let mut fields = json!({ "path": path.to_string_lossy() });
    if path.to_str().is_none() {
        fields["path_bytes"] = path.as_os_str().as_bytes().into();
    }
    fields
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
