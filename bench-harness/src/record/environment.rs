//! `env.json`: on what, with what and by which command a run was made. Never the name of a host or a person.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::place::disk;
use crate::record::soak::Soak;
use crate::subject::Role;
use crate::wan::Wan;

/// A host, as far as it explains a result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many of its cores can be used.
    pub cores: usize,
    /// Main memory, in MiB.
    pub memory_mib: Option<u64>,
    /// Operating system, kernel and architecture.
    pub kernel: String,
    /// The file system that the trees lie on.
    pub file_system: String,
    /// The system's load over the last minute, before the first run: what else was going on.
    pub load_1m: Option<f64>,
    /// The frequency governor of the first core.
    pub governor: Option<String>,
}

/// One subject as it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubjectInfo {
    /// Its name in samples and tables.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// What it calls itself.
    pub version: Option<String>,
    /// Its feature set, for sy.
    pub features: Option<String>,
    /// The ids of its phases, in a run with `--phases`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<Vec<String>>,
}

/// One transport as it was used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TransportInfo {
    /// The cipher that ssh agreed on.
    pub cipher: Option<String>,
    /// The far host, where it is another one.
    pub far: Option<Machine>,
    /// Seconds that an empty request and its answer take.
    pub rtt_s: Option<f64>,
    /// The line that the relay stood for.
    pub wan: Option<Wan>,
}

/// The whole of `env.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The version of the format.
    pub schema: u32,
    /// When the run began, in UTC.
    pub date: String,
    /// Whether the scenarios had `--quick`'s sizes.
    pub quick: bool,
    /// Whether the run came to its end.
    pub complete: bool,
    /// The command line that makes it again.
    pub command: String,
    /// The commit of the checkout.
    pub commit: Option<String>,
    /// Whether anything outside `results/` was changed after that commit.
    pub dirty: Option<bool>,
    /// The seed of all scenarios.
    pub seed: u64,
    /// Timed rounds.
    pub runs: u32,
    /// This host.
    pub machine: Machine,
    /// `ssh -V`.
    pub ssh: Option<String>,
    /// What `rsync --version` says of itself, its checksums and its compressors.
    pub rsync: Vec<String>,
    /// `sy --version`, first line.
    pub sy: Option<String>,
    /// What `sy phases --json` prints.
    pub phases: serde_json::Value,
    /// The transports by label.
    pub transports: BTreeMap<String, TransportInfo>,
    /// The subjects, in the order of the tables.
    pub subjects: Vec<SubjectInfo>,
    /// The digests of each scenario's two trees; there is no second one where nothing is edited.
    pub scenarios: BTreeMap<String, (String, Option<String>)>,
    /// The number of files of each scenario, at the size that it was run at.
    #[serde(default)]
    pub files: BTreeMap<String, u64>,
    /// What the plan claims for the phases that were measured, and how it is judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// What the processes that subjects keep were seen to cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soaks: Vec<Soak>,
    /// What was missing and so left out.
    pub notes: Vec<String>,
    /// What went wrong apart from single samples.
    pub problems: Vec<String>,
}

impl Machine {
    /// This host, for trees that lie in `dir`.
    pub fn of(dir: &Path) -> Self {
        Machine {
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_mib(),
            kernel: output("uname", &["-srm"]).unwrap_or_else(|| std::env::consts::OS.to_owned()),
            file_system: disk::file_system(dir),
            load_1m: load(),
            governor: read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        }
    }

    /// A short name for directories: the processor and the number of cores.
    pub fn slug(&self) -> String {
        let words: Vec<String> = self
            .cpu
            .to_lowercase()
            .replace("(r)", "")
            .replace("(tm)", "")
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|w| !w.is_empty() && !["cpu", "processor", "core"].contains(w))
            .take(4)
            .map(str::to_owned)
            .collect();
        format!("{}-{}c", words.join("-"), self.cores)
    }
}

/// The trimmed standard output of a command that ended well.
pub fn output(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (done.status.success() && !text.is_empty()).then_some(text)
}

/// The same of standard error: `ssh -V` speaks there.
pub fn error_output(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(done.stderr).ok()?.trim().to_owned();
    (done.status.success() && !text.is_empty()).then_some(text)
}

/// The lines of `rsync --version` that say which rsync it is.
pub fn rsync_identity() -> Vec<String> {
    let text = output("rsync", &["--version"]).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let after = |head: &str| {
        let at = lines.iter().position(|line| *line == head)?;
        Some(format!("{head} {}", lines.get(at + 1)?))
    };
    let first = lines.first().filter(|line| !line.is_empty()).map(|line| (*line).to_owned());
    [first, after("Optimizations:"), after("Checksum list:"), after("Compress list:")].into_iter().flatten().collect()
}

/// The commit of a checkout, and whether anything but results was changed after it.
pub fn commit(root: &Path) -> (Option<String>, Option<bool>) {
    let root = root.to_string_lossy();
    let commit = output("git", &["-C", &root, "rev-parse", "HEAD"]);
    let status = Command::new("git").args(["-C", &root, "status", "--porcelain", "--", ".", ":!results"]).output().ok();
    let dirty = status.filter(|done| done.status.success()).map(|done| !done.stdout.is_empty());
    (commit, dirty)
}

fn read_line(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.lines().next()?.trim().to_owned())
}

fn load() -> Option<f64> {
    read_line("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

fn cpu() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    match named {
        Some((_, name)) => Some(name.trim().to_owned()),
        None => output("sysctl", &["-n", "machdep.cpu.brand_string"]),
    }
}

fn memory_mib() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match info.lines().find_map(|line| line.strip_prefix("MemTotal:")) {
        Some(rest) => Some(rest.trim().split(' ').next()?.parse::<u64>().ok()? / 1024),
        None => Some(output("sysctl", &["-n", "hw.memsize"])?.parse::<u64>().ok()? >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slug_is_the_processor_and_its_cores_and_nothing_of_the_host() {
        let slug = |cpu: &str, cores| Machine { cpu: cpu.into(), cores, ..Machine::default() }.slug();
        assert_eq!(slug("AMD EPYC 7B13", 2), "amd-epyc-7b13-2c");
        assert_eq!(slug("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", 12), "intel-i7-9750h-2-12c");
        assert_eq!(slug("Apple M3 Pro", 11), "apple-m3-pro-11c");
    }

    #[test]
    fn this_host_can_be_described() {
        let machine = Machine::of(&std::env::temp_dir());
        assert!(machine.cores > 0 && !machine.cpu.is_empty() && !machine.kernel.is_empty());
    }
}
