//! The one table of phases: each optimization of the performance plan, its cargo feature, its seam and its claim.
//!
//! `sy phases`, the long version, the capabilities in HELLO and the lab all read this table. A phase that is `Planned`
//! has no feature yet: its seam holds the baseline alone.

use serde::Serialize;

/// Where a phase acts, and so what a build without it must still understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Within one end; the wire does not show it.
    Local,
    /// On the wire: advertised in HELLO, understood by every build.
    Wire,
    /// A way in of its own.
    Entry,
}

/// Whether a build has a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Compiled in.
    On,
    /// Left out of this build by its feature.
    Off,
    /// Not written yet.
    Planned,
}

/// One optimization of the plan.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Phase {
    /// The plan's number.
    pub id: &'static str,
    /// Its cargo feature.
    pub feature: &'static str,
    /// Where it acts.
    pub scope: Scope,
    /// Its seam, below `src/`.
    pub seam: &'static str,
    /// What the plan claims for it.
    pub claim: &'static str,
    /// Whether this build has it.
    pub state: State,
}

/// All phases, in the plan's order.
pub const PHASES: &[Phase] = &[
    planned("1.1", "adaptive-pipeline", Scope::Local, "session/depth", "+20-40 % throughput on WAN"),
    planned("1.2", "small-file-batch", Scope::Wire, "session/batch", "+30-50 % on many small files"),
    planned("2.1", "zero-copy", Scope::Local, "protocol/payload", "-50 % allocations, +15-20 % throughput"),
    planned("2.2", "path-dedup", Scope::Local, "tree/paths", "+5-10 % scan speed, -40 % scan memory"),
    planned("3.1", "buffer-pool", Scope::Local, "protocol/buffers", "-20 % allocations"),
    planned("3.2", "ring-window", Scope::Local, "delta/window", "-30 % CPU of delta generation"),
    planned("4.1", "daemon", Scope::Entry, "daemon", "3.5x on repeated syncs"),
    planned("5.1", "incremental-recursion", Scope::Wire, "session/file_list", "2-3x on first syncs of large trees"),
];

const fn planned(
    id: &'static str,
    feature: &'static str,
    scope: Scope,
    seam: &'static str,
    claim: &'static str,
) -> Phase {
    Phase { id, feature, scope, seam, claim, state: State::Planned }
}

/// The capability bits of this build: bit `n` for the wire phase at place `n` of [`PHASES`].
pub fn capabilities() -> u64 {
    PHASES
        .iter()
        .enumerate()
        .filter(|(_, phase)| phase.scope == Scope::Wire && phase.state == State::On)
        .fold(0, |bits, (place, _)| bits | 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phases_seam_is_where_the_table_says() {
        let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for phase in PHASES {
            assert!(src.join(phase.seam).join("mod.rs").is_file(), "{}: {}", phase.id, phase.seam);
        }
    }

    #[test]
    fn ids_and_features_are_told_apart() {
        for (place, phase) in PHASES.iter().enumerate() {
            assert!(PHASES[..place].iter().all(|other| other.id != phase.id && other.feature != phase.feature));
        }
    }
}
