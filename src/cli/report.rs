//! What a client prints: names, itemized changes, counts, JSON events. Standard output is for what was asked for,
//! standard error for what went wrong.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::config::{Config, Output, Transfer};
use super::itemize;
use super::stats::{Seen, Summary};
use crate::error::{Error, ExitCode, Result};
use crate::events::{Event, Events};
use crate::options::Options;
use crate::plan::{Action, Changes, Decision};
use crate::tree::entry::{Entry, Kind};

/// Version of the JSON events: raised when a field changes its meaning or goes, not when one is added.
const JSON_VERSION: u32 = 1;

/// Prints what happens.
pub struct Reporter {
    verbose: u8,
    quiet: bool,
    itemize: u8,
    json: bool,
    sending: bool,
    options: Options,
    bar: ProgressBar,
    out: Mutex<Out>,
    seen: Mutex<Seen>,
}

struct Out {
    stdout: BufWriter<Stdout>,
    /// What ended it. A reader that went away wants no more, which is no error; a full disk is one.
    closed: Option<io::Error>,
    each_line: bool,
}

impl Out {
    fn line(&mut self, line: &str) {
        if self.closed.is_some() {
            return;
        }
        let written = writeln!(self.stdout, "{line}").and_then(|()| match self.each_line {
            true => self.stdout.flush(),
            false => Ok(()),
        });
        self.closed = written.err();
    }
}

impl Reporter {
    /// A reporter for one sync. Lines that it prints make room for `bar`.
    pub fn new(config: &Config, bar: ProgressBar) -> Reporter {
        let Output { verbose, quiet, itemize, json, .. } = config.output;
        let each_line = json || io::stdout().is_terminal();
        Reporter {
            verbose,
            quiet,
            itemize,
            json,
            sending: matches!(config.transfer, Transfer::Push { .. }),
            options: config.options.clone(),
            bar,
            out: Mutex::new(Out { stdout: BufWriter::new(io::stdout()), closed: None, each_line }),
            seen: Mutex::default(),
        }
    }

    /// What the events told so far.
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Prints a line on standard output.
    pub fn line(&self, line: &str) {
        self.bar.suspend(|| lock(&self.out).line(line));
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
        self.line(&fields.to_string());
    }

    fn item(&self, entry: &Entry, decision: Decision, link_to: Option<&Path>) {
        self.tally(entry, decision);
        let changed = decision.action != Action::Skip;
        if self.json {
            if changed || self.itemize > 1 {
                self.json_line("item", item_json(entry, decision, link_to));
            }
        } else if self.quiet {
            // Not even what -i asks for, as in rsync.
        } else if self.itemize > 0 {
            let passed_over = !self.options.selects(&entry.kind);
            if changed || (!passed_over && (self.itemize > 1 || self.verbose > 1)) {
                let letters = itemize::letters(entry, decision, self.sending, &self.options);
                self.line(&format!("{letters} {}", itemize::name(entry, link_to)));
            }
        } else if self.verbose > 0 && changed && worth_naming(entry, decision) {
            self.line(&itemize::name(entry, link_to));
        }
    }

    fn tally(&self, entry: &Entry, decision: Decision) {
        let mut seen = lock(&self.seen);
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
        lock(&self.seen).deleted += 1;
        let name = itemize::path(path, is_dir);
        if self.json {
            let mut fields = path_json(path);
            fields["dir"] = is_dir.into();
            self.json_line("deleted", fields);
        } else if self.quiet {
            // As above.
        } else if self.itemize > 0 {
            self.line(&format!("*deleting   {name}"));
        } else if self.verbose > 0 {
            self.line(&format!("deleting {name}"));
        }
    }

    fn warning(&self, text: &str, code: ExitCode) {
        if code == ExitCode::Ok && self.quiet {
            return;
        }
        if self.json {
            self.json_line("warning", json!({ "text": text, "exit_code": code as u8 }));
        }
        self.complain(text);
    }

    /// Prints what a finished sync came to.
    ///
    /// # Errors
    /// When standard output could not be written, for another reason than that nobody reads it.
    pub fn finish(&self, config: &Config, summary: &Summary) -> Result<()> {
        if self.json {
            self.json_line("summary", summary.json());
        } else if !self.quiet {
            if config.output.stats {
                summary.rsync_lines(config.output.human).iter().for_each(|line| self.line(line));
            }
            if config.output.stats || self.verbose > 0 {
                summary.closing_lines(config.output.human).iter().for_each(|line| self.line(line));
            }
        }
        match self.flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::io("write to", Path::new("standard output"), error))
            }
            _ => Ok(()),
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
    }

    fn flush(&self) -> io::Result<()> {
        let mut out = lock(&self.out);
        match out.closed.take() {
            Some(error) => Err(error),
            None => out.stdout.flush(),
        }
    }
}

impl Events for Reporter {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Item { entry, decision, link_to } => self.item(entry, *decision, *link_to),
            Event::Deleted { path, is_dir } => self.deleted(path, *is_dir),
            Event::Warning { text, code } => self.warning(text, *code),
            Event::Detail { level, text } => {
                if self.verbose >= *level && !self.quiet {
                    self.complain(text);
                }
            }
        }
    }
}

/// `-v` names what is transferred, and directories only where they are new, as rsync does.
fn worth_naming(entry: &Entry, decision: Decision) -> bool {
    decision.action != Action::Attributes || entry.is_dir()
}

fn item_json(entry: &Entry, decision: Decision, link_to: Option<&Path>) -> Value {
    let mut fields = path_json(entry.relative());
    fields["kind"] = match entry.kind {
        Kind::File { .. } => "file",
        Kind::Dir => "dir",
        Kind::Symlink { .. } => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice { .. } => "char_device",
        Kind::BlockDevice { .. } => "block_device",
    }
    .into();
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
