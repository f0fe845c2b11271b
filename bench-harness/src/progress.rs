//! What the user sees while it runs: a bar on a terminal, one line per cell elsewhere.
//!
//! The bar is drawn between syncs and never by a thread of its own, so that it costs the measured runs nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of a run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    cells: usize,
    cell: usize,
}

impl Progress {
    /// For this many cells with this many syncs in all.
    pub fn new(cells: usize, syncs: u64) -> Self {
        let plain = !console_is_terminal();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(syncs), target);
        let template = "{bar:24} {pos}/{len} syncs, {eta} left  {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, plain, cells, cell: 0 }
    }

    /// A sync is about to start.
    pub fn now(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// This many syncs are done or will not be.
    pub fn done(&self, syncs: u64) {
        self.bar.inc(syncs);
    }

    /// A cell is done, with this result.
    pub fn cell(&mut self, line: &str) {
        self.cell += 1;
        self.say(&format!("[{}/{}] {line}", self.cell, self.cells));
    }

    /// Something to say that stays on the screen.
    pub fn say(&self, line: &str) {
        if self.plain {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Ends the bar and tells how long it took.
    pub fn finish(self) -> Duration {
        self.bar.finish_and_clear();
        self.bar.elapsed()
    }
}

fn console_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}
