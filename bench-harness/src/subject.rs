//! Subjects: who is measured and with which command. Read from `scenarios/subjects.toml`.
//!
//! A subject is a command template per place (`local`, `push`, `pull`); where it has none, it does not take part. This
//! module fills templates in. It starts nothing, and it knows sy and rsync only as the words in that file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::scenario::{Direction, Operation};

/// The one file among the scenarios that is none.
pub const FILE_STEM: &str = "subjects";

/// What a subject is there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ours: what gets a verdict.
    Contender,
    /// An earlier build of ours: what every figure of the contender is set against besides.
    Before,
    /// What every ratio is taken to.
    Reference,
    /// The reference a second time: the noise.
    Control,
    /// Another tool or mode, for the table.
    #[default]
    Peer,
    /// Connecting and nothing else: what the engine ratio subtracts.
    Connect,
    /// A copy that asks no question.
    Floor,
}

/// Where a subject's counters of bytes and frames come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counters {
    /// There are none.
    #[default]
    None,
    /// The JSON object that `--stats-file` writes.
    Sy,
    /// The lines that `--stats` prints.
    Rsync,
}

/// One subject as its table declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name in samples and tables.
    pub name: String,
    /// What it is there for.
    pub role: Role,
    /// The reason it exists.
    pub why: String,
    /// The name of another subject whose command this one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// What is run; `sy` is the binary that the lab builds, anything else is found on the PATH.
    #[serde(default)]
    pub program: String,
    /// sy's feature set: `default`, `none`, or names with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Where its counters come from.
    #[serde(default)]
    pub counters: Counters,
    /// Whether the time to the first byte is taken.
    #[serde(default)]
    pub first_byte: bool,
    /// Whether it makes a tree that can be compared.
    #[serde(default = "yes")]
    pub checked: bool,
    /// The operations that it can do.
    #[serde(default = "all_operations")]
    pub operations: Vec<Operation>,
    /// Whether it takes part only in scenarios that name it.
    #[serde(default)]
    pub by_name: bool,
    /// The phase whose own scenario runs builds that have it with the commands of this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_phase: Option<String>,
    /// What its commands find in their environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What runs for it while a cell is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// The command on one host.
    #[serde(default)]
    pub local: Vec<String>,
    /// The command that sends over SSH.
    #[serde(default)]
    pub push: Vec<String>,
    /// The command that receives over SSH.
    #[serde(default)]
    pub pull: Vec<String>,
    /// Of a build for `--phases`: the ids of its phases.
    #[serde(skip)]
    pub phases: Option<Vec<String>>,
    /// Of such a build: the same one with every allocation counted, for the untimed pass.
    #[serde(skip)]
    pub counting_program: Option<String>,
    /// Of such a build: what it is in the scenario of the phase that this one is for.
    #[serde(skip)]
    pub stand_in: Option<Box<Subject>>,
}

/// A process that a subject needs beside its commands, and that outlives them: a connection, a daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// What is started before the first round of a cell, and ended after the last. It must stay in the foreground.
    pub command: Vec<String>,
    /// What succeeds as long as it is there.
    pub ready: Vec<String>,
    /// What prints, as JSON with `daemon.pid`, which processes there are: at the near end, then at the far one.
    #[serde(default)]
    pub pids: Vec<Vec<String>>,
    /// What is run in the end, before it is ended: where it has left something at the other end.
    #[serde(default)]
    pub close: Vec<String>,
}

fn yes() -> bool {
    true
}

fn all_operations() -> Vec<Operation> {
    Operation::ALL.to_vec()
}

/// The words that a template can use, without their braces.
pub type Words<'a> = BTreeMap<&'a str, String>;

impl Subject {
    /// The template for this direction; empty where the subject has no part in it.
    pub fn template(&self, direction: Direction) -> &[String] {
        match direction {
            Direction::Local => &self.local,
            Direction::Push => &self.push,
            Direction::Pull => &self.pull,
        }
    }

    /// Whether the subject takes part in this cell.
    pub fn takes_part(&self, operation: Operation, direction: Direction) -> bool {
        self.operations.contains(&operation) && !self.template(direction).is_empty()
    }

    /// The command line, program first.
    ///
    /// # Errors
    /// When the template uses a word that there is not.
    pub fn command(&self, direction: Direction, words: &Words) -> Result<Vec<String>> {
        self.filled(self.template(direction), words)
    }

    /// A command of its own with every word filled in.
    ///
    /// # Errors
    /// When it uses a word that there is not.
    pub fn filled(&self, template: &[String], words: &Words) -> Result<Vec<String>> {
        template.iter().map(|arg| fill(arg, words).with_context(|| format!("subject {}", self.name))).collect()
    }

    /// Its variables, as they are for `env`.
    ///
    /// # Errors
    /// When one uses a word that there is not.
    pub fn variables(&self, words: &Words) -> Result<Vec<(String, String)>> {
        let one = |(name, value): (&String, &String)| Ok((name.clone(), fill(value, words)?));
        self.env.iter().map(one).collect::<Result<_>>().with_context(|| format!("subject {}", self.name))
    }

    /// Whether its remote command stands behind the measuring wrapper. What a process does that was there before cannot be
    /// told of one sync.
    pub fn is_wrapped(&self, direction: Direction) -> bool {
        self.template(direction).iter().any(|arg| arg.contains("{remote}"))
    }
}

fn fill(template: &str, words: &Words) -> Result<String> {
    let (mut out, mut rest) = (String::new(), template);
    while let Some(open) = rest.find('{') {
        let close =
            rest[open..].find('}').map(|at| open + at).with_context(|| format!("{template:?} has a lone brace"))?;
        let word = &rest[open + 1..close];
        out.push_str(&rest[..open]);
        out.push_str(words.get(word).with_context(|| format!("{template:?}: no word {{{word}}} here"))?);
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    subject: Vec<Subject>,
}

/// Reads `subjects.toml` of a directory of scenarios.
///
/// # Errors
/// When it cannot be read or makes no sense.
pub fn load(dir: &Path) -> Result<Vec<Subject>> {
    let path = dir.join(FILE_STEM).with_extension("toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("invalid subjects in {}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Subject>> {
    let declared = toml::from_str::<File>(text)?.subject;
    let resolved: Vec<Subject> = declared.iter().map(|s| resolve(s, &declared)).collect::<Result<_>>()?;
    for (i, subject) in resolved.iter().enumerate() {
        ensure!(!resolved[..i].iter().any(|s| s.name == subject.name), "two subjects are called {:?}", subject.name);
        ensure!(!subject.why.trim().is_empty(), "subject {} does not say why", subject.name);
        let has_command = [&subject.local, &subject.push, &subject.pull].iter().any(|t| !t.is_empty());
        ensure!(has_command, "subject {} has no command", subject.name);
    }
    for (role, word) in [(Role::Reference, "reference"), (Role::Control, "control"), (Role::Connect, "connect")] {
        ensure!(resolved.iter().filter(|s| s.role == role).count() <= 1, "more than one subject has role {word}");
    }
    Ok(resolved)
}

/// A subject that is the same as another takes everything from it but its name, role and reason.
fn resolve(subject: &Subject, all: &[Subject]) -> Result<Subject> {
    let Some(other) = &subject.same_as else {
        ensure!(!subject.program.is_empty(), "subject {} has no program", subject.name);
        return Ok(subject.clone());
    };
    match all.iter().find(|s| s.name == *other && s.same_as.is_none()) {
        Some(base) => Ok(Subject {
            name: subject.name.clone(),
            role: subject.role,
            why: subject.why.clone(),
            same_as: Some(other.clone()),
            first_byte: false,
            ..base.clone()
        }),
        None => bail!("subject {} is the same as {other:?}, which there is not", subject.name),
    }
}

#[cfg(test)]
pub mod tests {
    //! A subject for the tests of other modules.

    use super::*;

    /// A peer with a command that does nothing.
    pub fn named(name: &str) -> Subject {
        let text = format!(
            "[[subject]]\nname = {name:?}\nrole = \"peer\"\nwhy = \"a test\"\nprogram = \"true\"\nlocal = [\"true\"]"
        );
        parse(&text).unwrap().remove(0)
    }

    fn shipped() -> Vec<Subject> {
        load(&crate::workspace::root().unwrap().join("scenarios")).unwrap()
    }

    #[test]
    fn shipped_subjects_have_the_roles_that_the_report_needs() {
        let names: Vec<String> = shipped().into_iter().map(|s| s.name).collect();
        assert_eq!(
            names,
            ["sy", "sy-warm", "rsync", "rsync-aa", "rsync-z", "rsync-mux", "ssh-true", "tar-ssh", "cp-a"]
        );
    }

    #[test]
    fn control_runs_the_very_command_of_the_reference() {
        let all = shipped();
        let by = |role| all.iter().find(|s| s.role == role).unwrap();
        for direction in [Direction::Local, Direction::Push, Direction::Pull] {
            assert_eq!(by(Role::Reference).template(direction), by(Role::Control).template(direction));
        }
    }

    #[test]
    fn floors_take_part_where_they_can_alone() {
        let all = shipped();
        let part = |name: &str, o, d| all.iter().find(|s| s.name == name).unwrap().takes_part(o, d);
        assert!(part("cp-a", Operation::Initial, Direction::Local));
        assert!(
            !part("cp-a", Operation::Delta, Direction::Local) && !part("cp-a", Operation::Initial, Direction::Push)
        );
        assert!(
            part("ssh-true", Operation::Delta, Direction::Pull)
                && !part("rsync-z", Operation::Initial, Direction::Local)
        );
    }

    #[test]
    fn who_keeps_a_process_takes_part_only_where_it_is_named_and_only_over_ssh() {
        for subject in shipped().iter().filter(|s| s.keep.is_some()) {
            assert!(subject.by_name && subject.local.is_empty(), "{}", subject.name);
        }
        let all = shipped();
        let wrapped = |name: &str| all.iter().find(|s| s.name == name).unwrap().is_wrapped(Direction::Push);
        assert_eq!([wrapped("sy"), wrapped("rsync-mux"), wrapped("sy-warm")], [true, true, false]);
    }

    #[test]
    fn words_are_filled_in_and_unknown_ones_refused() {
        let words = Words::from([("src", "/a".to_owned()), ("host", "h".to_owned())]);
        assert_eq!(fill("{host}:{src}/", &words).unwrap(), "h:/a/");
        assert!(fill("{dst}", &words).unwrap_err().to_string().contains("no word {dst}"));
        assert!(fill("{src", &words).is_err());
    }

    #[test]
    fn every_shipped_template_uses_known_words_only() {
        let words = |names: &[&'static str]| names.iter().map(|n| (*n, n.to_string())).collect::<Words>();
        let local = words(&["program", "counters", "src", "dst", "state"]);
        let mut far = words(&["rsh", "rsh_shared", "host", "remote", "remote_program"]);
        far.extend(local.clone());
        for subject in shipped() {
            let mut far = far.clone();
            subject.command(Direction::Local, &local).unwrap();
            subject.command(Direction::Push, &far).unwrap();
            subject.command(Direction::Pull, &far).unwrap();
            subject.variables(&local).unwrap();
            // These are no syncs: there is no tree and no wrapper.
            far.retain(|word, _| !["counters", "src", "dst", "remote"].contains(word));
            if let Some(keep) = &subject.keep {
                for command in [&keep.command, &keep.ready, &keep.close].into_iter().chain(&keep.pids) {
                    subject.filled(command, &far).unwrap();
                }
            }
        }
    }
}
