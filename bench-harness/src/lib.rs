//! The performance lab of `sy`. It generates trees, runs sy and rsync on them as processes, checks every result, and
//! keeps and explains what it measured. It never links sy.
//!
//! | module | for |
//! |---|---|
//! | `cli`, `cmd` | arguments; one file per subcommand; only `measure` and `verify` run anything |
//! | `scenario` | what a tree is and how it is edited; the generator |
//! | `subject` | who is measured, with which command |
//! | `phases`, `lineup` | feature sets of sy: which, built how, compared with which |
//! | `place`, `tree` | trees on this host and on far ones: make, restore, compare |
//! | `ssh` | the private server, and how far hosts are reached |
//! | `wan` | the relay that makes that server a far one |
//! | `run` | order of rounds, one sync, a whole run |
//! | `child` | the lab's own hidden commands: the wrapper around every sync, the leash |
//! | `record` | samples, environment, directories of runs |
//! | `group`, `stats`, `verdict`, `rtt`, `scale` | from samples to what may be said; pure |
//! | `metric`, `claim` | what the plan claims for a phase, and what may be said of it; pure |
//! | `report`, `plot` | tables and pictures of it |
#![warn(missing_docs)]

pub mod child;
pub mod claim;
pub mod cli;
pub mod cmd;
pub mod group;
pub mod interrupt;
pub mod lineup;
pub mod metric;
pub mod needs;
pub mod phases;
pub mod place;
pub mod plot;
pub mod progress;
pub mod record;
pub mod report;
pub mod rtt;
pub mod run;
pub mod scale;
pub mod scenario;
pub mod setup;
pub mod ssh;
pub mod stats;
pub mod subject;
pub mod sy_build;
pub mod tree;
pub mod verdict;
pub mod wan;
pub mod workspace;
