//! The progress bar: what is known so far, how far it got, how fast, and how long it may take.
//!
//! It never goes backwards: both totals only grow, so while the list is still growing no fraction is shown at all, only
//! what was done; the fraction starts when the list is complete. Where standard error is no terminal the same is told on standard
//! output in rsync's line, for those who read that with a program.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::Reporter;
use super::stats::grouped;
use crate::events::{Monitor, Progress};

/// Time between two looks at the totals.
const TICK: Duration = Duration::from_millis(100);
/// Time between two lines.
const LINE: Duration = Duration::from_secs(1);

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

/// Shows how far it got, if that is `wanted`, until the sync is over and this task is dropped.
pub async fn follow(wanted: bool, bar: ProgressBar, reporter: Arc<Reporter>, monitor: Arc<Monitor>) {
    match (wanted, bar.is_hidden()) {
        (false, _) => std::future::pending().await,
        (true, true) => tell(&reporter, &monitor).await,
        (true, false) => follow_with_bar(bar, monitor).await,
    }
}

/// Prints rsync's line, over and over.
async fn tell(reporter: &Reporter, monitor: &Monitor) {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(LINE).await;
        reporter.progress(&line(&monitor.progress, reporter.seen().transferred, begun.elapsed()));
    }
}

/// The line: bytes, percent, rate, time, files transferred, entries to check of those that are known.
pub fn line(progress: &Progress, transferred: u64, elapsed: Duration) -> String {
    let listed = progress.listed.load(Relaxed);
    let (bytes, known) = (progress.bytes_done.load(Relaxed), progress.bytes.load(Relaxed));
    let percent = if listed { bytes.min(known) * 100 / known.max(1) } else { 0 };
    let entries = progress.entries.load(Relaxed);
    let left = entries.saturating_sub(progress.entries_done.load(Relaxed));
    let rate = bytes as f64 / elapsed.as_secs_f64().max(0.001) / 1024.0;
    let (rate, unit) = match rate {
        rate if rate > 1024.0 * 1024.0 => (rate / 1024.0 / 1024.0, "GB/s"),
        rate if rate > 1024.0 => (rate / 1024.0, "MB/s"),
        rate => (rate, "kB/s"),
    };
    let seconds = elapsed.as_secs();
    let check = if listed { "to-chk" } else { "ir-chk" };
    format!(
        "{:>15} {percent:>3}% {rate:>7.2}{unit} {:>4}:{:02}:{:02} (xfr#{transferred}, {check}={left}/{entries})",
        grouped(bytes, 1),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
    )
}

async fn follow_with_bar(bar: ProgressBar, monitor: Arc<Monitor>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_rsyncs() {
        let progress = Progress::default();
        progress.found(8, 40_000);
        progress.bytes_done(32_768);
        (0..3).for_each(|_| progress.entry_done());
        let shown = |seconds| line(&progress, 2, Duration::from_secs(seconds));
        assert_eq!(shown(1), "         32,768   0%   32.00kB/s    0:00:01 (xfr#2, ir-chk=5/8)");
        progress.listed.store(true, Relaxed);
        assert_eq!(shown(3725), "         32,768  81%    0.01kB/s    1:02:05 (xfr#2, to-chk=5/8)");
        progress.bytes_done(1 << 30);
        assert!(shown(1).contains("100%    1.00GB/s"), "{}", shown(1));
        assert!(shown(100).contains("100%   10.24MB/s"), "{}", shown(100));
    }
}
