//! The progress bar: what is known so far, how far it got, how fast, and how long it may take.
//!
//! It never goes backwards: both totals only grow, so while the list is still growing no fraction is shown at all, only
//! what was done; the fraction starts when the list is complete.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::Monitor;

/// Time between two looks at the totals.
const TICK: Duration = Duration::from_millis(100);

/// A bar on standard error; an invisible one where that is no terminal or it was not asked for.
pub fn bar(wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("{spinner} {msg}  {bytes}  {bytes_per_sec}"));
    bar
}

/// A fixed template either parses or does not: the fallback is for a mistake in this file.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Moves the bar until the sync is over and this task is dropped.
pub async fn follow(bar: ProgressBar, monitor: Arc<Monitor>) {
    if bar.is_hidden() {
        return std::future::pending().await;
    }
    let mut complete = false;
    loop {
        let progress = &monitor.progress;
        let (known, done) = (progress.entries.load(Relaxed), progress.entries_done.load(Relaxed));
        if !complete && progress.listed.load(Relaxed) {
            complete = true;
            bar.set_length(progress.bytes.load(Relaxed));
            bar.set_style(style("{bar:24} {percent:>3}%  {msg}  {bytes}/{total_bytes}  {bytes_per_sec}  {eta}"));
        }
        bar.set_message(if complete { format!("{done}/{known} files") } else { format!("{known} files so far") });
        // A file that grew while it was read has more bytes than were listed.
        let bytes = progress.bytes_done.load(Relaxed);
        bar.set_position(bar.length().map_or(bytes, |length| bytes.min(length)));
        tokio::time::sleep(TICK).await;
    }
}
