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

/// All phases, in the plan's order; those of ours beyond the plan are 6.x. A new one goes to the end: a row's place is its
/// bit on the wire.
#[rustfmt::skip]
pub const PHASES: &[Phase] = &[
    built("1.1", "adaptive-pipeline", cfg!(feature = "adaptive-pipeline"), Scope::Local, "session/depth", "+20-40 % throughput on WAN"),
    built("1.2", "small-file-batch", cfg!(feature = "small-file-batch"), Scope::Wire, "session/batch", "+30-50 % on many small files"),
    built("2.1", "zero-copy", cfg!(feature = "zero-copy"), Scope::Local, "protocol/payload", "-50 % allocations, +15-20 % throughput"),
    built("2.2", "path-dedup", cfg!(feature = "path-dedup"), Scope::Local, "tree/paths", "+5-10 % scan speed, -40 % scan memory"),
    built("3.1", "buffer-pool", cfg!(feature = "buffer-pool"), Scope::Local, "protocol/buffers", "-20 % allocations"),
    built("3.2", "ring-window", cfg!(feature = "ring-window"), Scope::Local, "delta/window", "-30 % CPU of delta generation"),
    built("4.1", "daemon", cfg!(feature = "daemon"), Scope::Entry, "daemon", "3.5x on repeated syncs"),
    built("5.1", "incremental-recursion", cfg!(feature = "incremental-recursion"), Scope::Wire, "session/file_list", "2-3x on first syncs of large trees"),
    built("6.1", "neighbour-first", cfg!(feature = "neighbour-first"), Scope::Local, "delta/expect", "-30 % CPU of delta generation, which 3.2 does not give"),
    built("6.2", "shared-root", cfg!(feature = "shared-root"), Scope::Local, "tree/paths", "-15 % scan memory on top of 2.2"),
];

const fn built(
    id: &'static str,
    feature: &'static str,
    on: bool,
    scope: Scope,
    seam: &'static str,
    claim: &'static str,
) -> Phase {
    Phase { id, feature, scope, seam, claim, state: if on { State::On } else { State::Off } }
}

/// The capability bits of this build: those of the wire phases that are on.
pub fn capabilities() -> u64 {
    PHASES
        .iter()
        .filter(|phase| phase.scope == Scope::Wire && phase.state == State::On)
        .fold(0, |bits, phase| bits | capability(phase.id))
}

/// The capability bit of the phase `id`: bit `n` for the one at place `n` of [`PHASES`].
pub fn capability(id: &str) -> u64 {
    PHASES.iter().position(|phase| phase.id == id).map_or(0, |place| 1 << place)
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

    /// `daemon` is an English word too, so only names that cannot be taken for one count without quotes.
    fn names(text: &str, feature: &str) -> bool {
        text.contains(&format!("\"{feature}\"")) || (feature.contains('-') && text.contains(feature))
    }

    #[test]
    fn a_feature_is_named_in_this_table_and_its_seams_mod_alone() {
        let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut dirs, mut seen) = (vec![src.clone()], 0);
        while let Some(dir) = dirs.pop() {
            for item in std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().path()) {
                if item.is_dir() {
                    dirs.push(item);
                    continue;
                }
                let text = std::fs::read_to_string(&item).unwrap();
                for phase in PHASES.iter().filter(|phase| names(&text, phase.feature)) {
                    seen += 1;
                    let seam = src.join(phase.seam).join("mod.rs");
                    assert!(item == src.join("phases.rs") || item == seam, "{}: {}", phase.feature, item.display());
                }
            }
        }
        let told_apart = PHASES.iter().filter(|phase| phase.feature.contains('-')).count();
        assert!(seen >= PHASES.len() + told_apart, "the walk has missed the table or a seam");
    }

    #[test]
    fn every_feature_of_a_built_phase_is_declared_and_grouped() {
        let manifest = include_str!("../Cargo.toml");
        for phase in PHASES.iter().filter(|phase| phase.state != State::Planned) {
            assert!(manifest.contains(&format!("\n{} = [", phase.feature)), "{} is declared", phase.feature);
            let group = format!("phase-{} = [", &phase.id[..1]);
            let line = manifest.lines().find(|line| line.starts_with(&group)).expect("a group for each first digit");
            assert!(line.contains(&format!("\"{}\"", phase.feature)), "{line}");
        }
    }

    #[test]
    fn capability_bits_are_the_wires_and_never_move() {
        assert_eq!((capability("1.2"), capability("5.1")), (1 << 1, 1 << 7));
        let wire = PHASES.iter().filter(|phase| phase.scope == Scope::Wire);
        assert!(wire.map(|phase| phase.id).eq(["1.2", "5.1"]), "a new one has a bit to be pinned here");
    }

    #[test]
    fn ids_and_features_are_told_apart() {
        for (place, phase) in PHASES.iter().enumerate() {
            assert!(PHASES[..place].iter().all(|other| other.id != phase.id && other.feature != phase.feature));
        }
    }
}
