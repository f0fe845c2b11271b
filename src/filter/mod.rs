//! rsync's filter rules: which entries the sender hides, and which the receiver protects from deletion.
//!
//! Rules are lines of `--filter`'s language, in order; the first whose pattern matches decides, and what none matches is
//! included. A rule without a side counts for both: excluded means hidden at the sender and protected at the receiver.
//! A pattern that begins with `/` is anchored at the transfer's root; one with another `/` (or `**`) is matched against the
//! end of the path, whole components of it; any other against the last component alone. A `/` at its end makes it match
//! directories only. `*` and `?` stop at slashes, `**` does not; a backslash escapes only where there are wildcards.
//!
//! An entry is judged by itself: who walks a tree does not enter an excluded directory, which is what excludes its contents.
//!
//! Rules travel to the peer, so parsing reads no file: merge rules are replaced by what they name beforehand, at the side
//! where they were typed ([`expand()`]). Not supported yet, and refused by name: per-directory merge files, the `C` and `x`
//! modifiers.

mod expand;
mod pattern;
mod rule;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

pub use expand::{Action, expand, from_exclude, from_file, from_include, from_protected_suffix};
pub use rule::FilterError;

use pattern::Candidate;
use rule::{Line, Rule};

/// For whom a verdict is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender asks whether an entry is in the transfer; excluded entries are hidden.
    Sender,
    /// The receiver asks whether an entry that the sender does not have may be deleted; excluded entries are protected.
    Receiver,
}

/// What the rules say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In the transfer, or at risk of deletion.
    Included,
    /// Hidden, or protected.
    Excluded,
}

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    rules: Arc<Vec<Rule>>,
    /// The transfer root's absolute path without its leading slash, for rules with the `/` modifier.
    root: Vec<u8>,
}

impl Filter {
    /// Compiles `rules`, each one line as `--filter` takes it; an empty one says nothing.
    ///
    /// # Errors
    /// The first rule that cannot be understood, and any merge rule: see [`expand()`].
    pub fn parse(rules: &[Vec<u8>]) -> Result<Self, FilterError> {
        let mut compiled = Vec::new();
        for line in rules {
            match rule::parse(line)? {
                Line::Nothing => {}
                Line::Clear => compiled.clear(),
                Line::Rule(rule) => compiled.push(Rule::compile(&rule)),
                Line::Merge(_) => return Err(FilterError::MergeNotExpanded(rule::shown(line))),
            }
        }
        Ok(Self { rules: Arc::new(compiled), root: Vec::new() })
    }

    /// Names the absolute path of this side's transfer root, which rules with the `/` modifier match against.
    ///
    /// Without it they see the path below the root only.
    #[must_use]
    pub fn with_root(mut self, root: &Path) -> Self {
        let bytes = root.as_os_str().as_bytes();
        self.root = bytes.strip_prefix(b"/").unwrap_or(bytes).to_vec();
        while self.root.last() == Some(&b'/') {
            self.root.pop();
        }
        self
    }

    /// Whether there is no rule at all, so that everything is included.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether some rule has the `/` modifier, so that its verdict depends on where the transfer root is.
    pub fn looks_at_absolute_paths(&self) -> bool {
        self.rules.iter().any(Rule::is_absolute)
    }

    /// What the rules say to `side` of the entry at `path`, relative to the transfer root and without a leading slash.
    ///
    /// The root itself (`.` or nothing) is always included.
    pub fn verdict(&self, side: Side, path: &Path, is_dir: bool) -> Verdict {
        self.decide(side, path, is_dir, false)
    }

    /// What the rules say to the receiver of an entry within a directory that is itself being deleted: as
    /// [`verdict`](Self::verdict), without the perishable (`p`) rules.
    pub fn verdict_when_deleting(&self, path: &Path, is_dir: bool) -> Verdict {
        self.decide(Side::Receiver, path, is_dir, true)
    }

    fn decide(&self, side: Side, path: &Path, is_dir: bool, deleting: bool) -> Verdict {
        let bytes = path.as_os_str().as_bytes();
        if self.rules.is_empty() || bytes.is_empty() || bytes == b"." {
            return Verdict::Included;
        }
        let candidate = Candidate::new(bytes, is_dir);
        let applies = |rule: &&Rule| rule.counts_for(side) && !(deleting && rule.perishable);
        let decides = |rule: &&Rule| rule.matches(candidate, &self.root);
        self.rules.iter().filter(applies).find(decides).map_or(Verdict::Included, |rule| rule.verdict)
    }
}

#[cfg(test)]
mod tests;
