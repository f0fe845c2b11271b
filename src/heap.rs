//! What the allocator was asked for, in a build with the instrument `dhat-heap`: counts that repeat from run to run.
//!
//! An instrument and no phase: it makes every allocation slow, so nothing is timed with it. Without it, [`start`] does
//! nothing, [`counts`] is `None`, and the system's allocator serves.

#[cfg(feature = "dhat-heap")]
mod counted {
    use std::sync::OnceLock;

    use super::Counts;

    #[global_allocator]
    static ALLOCATOR: dhat::Alloc = dhat::Alloc;

    /// Never dropped: threads that a sync leaves behind may still ask.
    static PROFILER: OnceLock<dhat::Profiler> = OnceLock::new();

    /// Frames that dhat keeps of each allocation; nobody reads them, and these are the fewest that it allows.
    const FRAMES: usize = 4;

    pub fn start() {
        PROFILER.get_or_init(|| dhat::Profiler::builder().testing().trim_backtraces(Some(FRAMES)).build());
    }

    pub fn counts() -> Option<Counts> {
        PROFILER.get()?;
        let stats = dhat::HeapStats::get();
        let [bytes, held, peak] = [stats.total_bytes, stats.curr_bytes as u64, stats.max_bytes as u64];
        Some(Counts { allocations: stats.total_blocks, bytes, held, peak })
    }
}

#[cfg(not(feature = "dhat-heap"))]
mod counted {
    pub fn start() {}

    pub fn counts() -> Option<super::Counts> {
        None
    }
}

/// The allocator's counts since [`start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Allocations made; each that grew counts again.
    pub allocations: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
    /// Bytes held now.
    pub held: u64,
    /// Most bytes held at once.
    pub peak: u64,
}

/// Begins to count, if this build can. Later calls change nothing.
pub fn start() {
    counted::start();
}

/// The counts until now; `None` before [`start`] and in a build without the instrument.
pub fn counts() -> Option<Counts> {
    counted::counts()
}

/// Bytes that `make` left held, and what it made.
pub fn held_by<T>(make: impl FnOnce() -> T) -> (T, Option<u64>) {
    let before = counts();
    let made = make();
    let held = before.zip(counts()).map(|(before, after)| after.held.saturating_sub(before.held));
    (made, held)
}
