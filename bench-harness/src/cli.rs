//! The command line as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::run::schedule::Effort;
use crate::wan::Wan;

/// The performance lab of sy: runs sy and rsync side by side, checks every result, keeps and explains what it measured.
///
/// With no argument it measures every scenario on this host and over SSH to a private sshd that it starts on a free
/// loopback port, and records the run under results/runs/.
///
/// Exit status: 0 every cell was verified (of `gate`: nothing got worse), 1 some cell has an error (something did), 2 wrong usage, 3 the lab could not go on,
/// 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "bench-harness", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What else to do than to measure.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to measure.
    #[command(flatten)]
    pub measure: Measure,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every scenario with every subject once and only check the results; measures and records nothing
    Verify(Selection),
    /// Render report.md and the plots of a recorded run again, from its samples
    Report {
        /// The run's directory
        dir: PathBuf,
    },
    /// Draw the plots of a recorded run again
    Plot {
        /// The run's directory
        dir: PathBuf,
    },
    /// Compare two recorded runs: sy's ratio to rsync in each, and its counters
    Compare {
        /// The earlier run's directory
        a: PathBuf,
        /// The later run's directory
        b: PathBuf,
    },
    /// Judge a run against an earlier one: name what got worse, and fail if anything did
    Gate {
        /// The earlier run's directory
        a: PathBuf,
        /// The later run's directory
        b: PathBuf,
    },
    /// List scenarios and subjects and why they exist
    List,
    /// Print what a run would record of this machine, as JSON
    Env,
}

/// Timed rounds of a run with `--phases` in the scenarios that isolate no phase.
pub const PHASES_OTHER_ROUNDS: u32 = 3;

/// Arguments of a measurement.
#[derive(Debug, Args)]
pub struct Measure {
    /// Where and what.
    #[command(flatten)]
    pub selection: Selection,
    /// Timed rounds of each cell [default: 5, with --quick 2, with --phases 3 where a scenario isolates no phase]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Measurement")]
    pub runs: Option<u32>,
    /// Directory of the run, which must not hold one [default: a new one under results/runs/, with --quick under target/]
    #[arg(long, value_name = "DIR", help_heading = "Record")]
    pub out: Option<PathBuf>,
}

impl Measure {
    /// Timed rounds of each cell.
    pub fn rounds(&self) -> u32 {
        self.runs.unwrap_or(if self.selection.quick { 2 } else { 5 })
    }

    /// How much is done.
    pub fn effort(&self) -> Effort {
        match (self.selection.quick, self.selection.phases.is_empty()) {
            (true, _) => Effort::Quick(self.rounds()),
            (false, true) => Effort::Full(self.rounds()),
            (false, false) => {
                // With a build for each phase in every round, the others are the longer part of a run.
                Effort::Phases { claims: self.rounds(), others: self.runs.unwrap_or(PHASES_OTHER_ROUNDS) }
            }
        }
    }
}

/// Which part of the lab is used; shared by measuring and verifying.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// On this host, without SSH
    #[arg(long, help_heading = "Where")]
    pub local: bool,
    /// Over SSH to a private sshd on the loopback address
    #[arg(long, help_heading = "Where")]
    pub loopback: bool,
    /// Over SSH to the same sshd behind a relay that makes every round trip take RTT_MS more, half of it each way, and
    /// lets at most MBIT million bits a second through each way [default: no bound]. Can be repeated
    #[arg(long, value_name = "RTT_MS[:MBIT]", help_heading = "Where")]
    pub wan: Vec<Wan>,
    /// Over SSH to HOST of your own SSH configuration; sy and the lab are copied to a temporary directory there. Can be
    /// repeated
    #[arg(long, value_name = "HOST", help_heading = "Where")]
    pub ssh: Vec<String>,
    /// Scenarios, or directories of them, with commas between them [default: all but those in directories and those that
    /// say so themselves; with --phases: the plan's three, one
    /// way, and those of the phases]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What")]
    pub scenarios: Vec<String>,
    /// Subjects besides sy, with commas between them [default: all; with --phases: rsync, rsync-aa, ssh-true]
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "What")]
    pub peers: Vec<String>,
    /// Measure sy in several feature sets, each built for the purpose, and judge what the plan claims for each phase:
    /// cumulative (none, then one phase more in each), each (none, each alone, all), without (all, and all but each, or with
    /// names behind it all but each of these), milestones (none, the plan's first three phases, all), or names or ids of
    /// phases (none, and exactly these; `all` is every one)
    #[arg(long, value_name = "SET", value_delimiter = ',', num_args = 1, help_heading = "What")]
    pub phases: Vec<String>,
    /// Use this sy and build none
    #[arg(long, value_name = "FILE", conflicts_with = "phases", help_heading = "What")]
    pub sy: Option<PathBuf>,
    /// Measure this earlier sy in the same rounds, and set the one above against it in every cell
    #[arg(long, value_name = "FILE", conflicts_with = "phases", help_heading = "What")]
    pub against: Option<PathBuf>,
    /// Small trees and few rounds, in less than two minutes: every cell is checked, no figure is to be quoted
    #[arg(long, help_heading = "Measurement")]
    pub quick: bool,
    /// Put the trees of this host into DIR [default: /dev/shm where it has the room, else the temporary directory]
    #[arg(long, value_name = "DIR", help_heading = "Measurement")]
    pub trees: Option<PathBuf>,
    /// Seed of the scenarios' bytes
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "Measurement")]
    pub seed: u64,
    /// Seconds after which a single sync is ended and counts as an error
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Measurement")]
    pub timeout: u64,
    /// Keep the trees of the last scenario and the lab's temporary directory
    #[arg(long, help_heading = "Record")]
    pub keep: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lists_are_split_at_commas_and_hosts_are_repeated() {
        let cli = Cli::try_parse_from(["x", "--scenarios", "a,b", "--ssh", "h1", "--ssh", "h2"]).unwrap();
        assert_eq!(cli.measure.selection.scenarios, ["a", "b"]);
        assert_eq!(cli.measure.selection.ssh, ["h1", "h2"]);
        assert_eq!((cli.measure.rounds(), cli.measure.selection.seed), (5, 42));
        assert_eq!(Cli::try_parse_from(["x", "--quick"]).unwrap().measure.rounds(), 2);
    }

    #[test]
    fn lines_are_repeated_and_a_wrong_one_is_refused() {
        let cli = Cli::try_parse_from(["x", "--wan", "50", "--wan", "100:20"]).unwrap();
        assert_eq!(
            cli.measure.selection.wan.iter().map(Wan::label).collect::<Vec<_>>(),
            ["ssh:wan-50ms", "ssh:wan-100ms-20mbit"]
        );
        let refused = Cli::try_parse_from(["x", "--wan", "fast"]).unwrap_err().to_string();
        assert!(refused.contains("a round trip lies between 0.1 and 10000 ms"), "{refused}");
    }

    #[test]
    fn feature_sets_are_built_and_never_given() {
        let phases = |args: &[&str]| Cli::try_parse_from(args).unwrap().measure.selection.phases;
        assert_eq!(phases(&["x", "--phases", "cumulative"]), ["cumulative"]);
        assert_eq!(phases(&["x", "--phases", "1.1,zero-copy"]), ["1.1", "zero-copy"]);
        let effort = |args: &[&str]| Cli::try_parse_from(args).unwrap().measure.effort();
        assert_eq!(effort(&["x", "--phases", "each"]), Effort::Phases { claims: 5, others: 3 });
        assert_eq!(effort(&["x", "--phases", "each", "--runs", "9"]), Effort::Phases { claims: 9, others: 9 });
        assert_eq!(effort(&["x", "--phases", "each", "--quick"]), Effort::Quick(2));
        assert!(Cli::try_parse_from(["x", "--phases", "each", "--sy", "f"]).is_err());
        assert!(Cli::try_parse_from(["x", "--phases", "each", "--against", "f"]).is_err());
        assert!(Cli::try_parse_from(["x", "verify", "--phases", "each"]).is_ok());
    }

    #[test]
    fn a_subcommand_does_not_take_the_arguments_of_a_measurement_before_it() {
        assert!(Cli::try_parse_from(["x", "--runs", "3", "list"]).is_err());
        assert!(Cli::try_parse_from(["x", "--runs", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "verify", "--local", "--quick"]).is_ok());
    }
}
