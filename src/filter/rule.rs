//! One line of the filter language: its parsing, and the rule it becomes.
//!
//! `RULE[,MODIFIERS] PATTERN`, where a rule is a sign or a long name, the comma may be left out after a sign, and one space
//! or underscore ends the modifiers. All after it, further spaces included, is the pattern.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::pattern::{Candidate, Pattern};
use super::{Side, Verdict};

/// Why a rule cannot be used. Rules are shown with bytes that are not printable escaped.
#[derive(Debug, Error)]
pub enum FilterError {
    /// It starts with no known sign or name.
    #[error("unknown filter rule: {0}")]
    Unknown(String),
    /// A modifier that the rule does not take.
    #[error("invalid modifier '{modifier}' in filter rule: {rule}")]
    Modifier {
        /// The modifier.
        modifier: String,
        /// The rule.
        rule: String,
    },
    /// A pattern or file name is missing.
    #[error("unexpected end of filter rule: {0}")]
    NoPattern(String),
    /// The clearing rule takes nothing.
    #[error("'!' rule has trailing characters: {0}")]
    ClearArgument(String),
    /// rsync has it, sy does not have it yet.
    #[error("{what} are not supported yet: {rule}")]
    NotSupported {
        /// What is missing.
        what: &'static str,
        /// The rule.
        rule: String,
    },
    /// A merge rule where no file may be read.
    #[error("merge rule must be replaced by its file's rules before: {0}")]
    MergeNotExpanded(String),
    /// Sides given by the merge rule and by a rule in its file.
    #[error("filter rule names a side though its merge rule does: {0}")]
    SideTwice(String),
    /// Merge files that include each other.
    #[error("merge files are nested more than {limit} deep at {}", path.display())]
    MergeDepth {
        /// How deep they may be.
        limit: usize,
        /// The file that was not read.
        path: PathBuf,
    },
    /// A file of rules could not be read.
    #[error("reading filter rules from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A rule as it may be shown to a person.
pub(super) fn shown(rule: &[u8]) -> String {
    String::from_utf8(rule.to_vec())
        .ok()
        .filter(|s| !s.chars().any(char::is_control))
        .unwrap_or_else(|| rule.escape_ascii().to_string())
}

/// What stands between a rule's sign and its pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modifiers {
    /// `/`: match against the absolute path.
    pub(super) absolute: bool,
    /// `!`: take effect where the pattern does not match.
    pub(super) negate: bool,
    /// `p`: ignored within directories that are being deleted.
    pub(super) perishable: bool,
    /// `s`, and the signs `H` and `S`. Neither side named means both.
    pub(super) sender: bool,
    /// `r`, and the signs `P` and `R`.
    pub(super) receiver: bool,
}

/// A rule as parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub(super) include: bool,
    pub(super) modifiers: Modifiers,
    pub(super) pattern: Cow<'a, [u8]>,
}

/// A merge rule as parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Merge<'a> {
    pub(super) file: &'a [u8],
    /// What every rule of the file gets in addition.
    pub(super) modifiers: Modifiers,
    /// `-` or `+`: the file has bare patterns of this kind; the value is whether they include.
    pub(super) bare: Option<bool>,
    /// `w`: words instead of lines.
    pub(super) words: bool,
    /// `e`: the file itself is excluded from the transfer.
    pub(super) exclude_itself: bool,
}

/// A line as parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// An empty line.
    Nothing,
    /// Forget all rules so far.
    Clear,
    /// Include or exclude.
    Rule(Parsed<'a>),
    /// Take a file's rules.
    Merge(Merge<'a>),
}

/// The long names and the signs that they stand for.
const NAMES: [(&[u8], u8); 9] = [
    (b"exclude", b'-'),
    (b"include", b'+'),
    (b"merge", b'.'),
    (b"dir-merge", b':'),
    (b"hide", b'H'),
    (b"show", b'S'),
    (b"protect", b'P'),
    (b"risk", b'R'),
    (b"clear", b'!'),
];

/// Splits `line` into sign, modifiers and pattern.
///
/// # Errors
/// The line's first offence against the language, or what sy does not support yet.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, FilterError> {
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    let (sign, rest) = split_sign(line).ok_or_else(|| FilterError::Unknown(shown(line)))?;
    match sign {
        b'!' if rest.is_empty() => return Ok(Line::Clear),
        b'!' => return Err(FilterError::ClearArgument(shown(line))),
        b':' => return Err(not_supported("per-directory merge files", line)),
        _ => {}
    }
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    let end = rest.iter().position(|&b| b == b' ' || b == b'_').unwrap_or(rest.len());
    let (modifiers, argument) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    let parsed = if sign == b'.' {
        Line::Merge(parse_merge(modifiers, argument, line)?)
    } else {
        Line::Rule(parse_rule(sign, modifiers, argument, line)?)
    };
    if argument.is_empty() {
        return Err(FilterError::NoPattern(shown(line)));
    }
    Ok(parsed)
}

fn split_sign(line: &[u8]) -> Option<(u8, &[u8])> {
    let named = NAMES.iter().find_map(|(name, sign)| {
        let rest = line.strip_prefix(*name)?;
        matches!(rest.first(), None | Some(b' ' | b'_' | b',')).then_some((*sign, rest))
    });
    let signed = || line.split_first().filter(|(first, _)| NAMES.iter().any(|(_, sign)| sign == *first));
    named.or_else(|| signed().map(|(first, rest)| (*first, rest)))
}

fn parse_rule<'a>(sign: u8, letters: &[u8], pattern: &'a [u8], line: &[u8]) -> Result<Parsed<'a>, FilterError> {
    let mut modifiers = Modifiers {
        sender: matches!(sign, b'H' | b'S'),
        receiver: matches!(sign, b'P' | b'R'),
        ..Modifiers::default()
    };
    let one_sided = modifiers.sender || modifiers.receiver;
    for &letter in letters {
        match letter {
            b'!' => modifiers.negate = true,
            b's' | b'r' if one_sided => return Err(bad_modifier(letter, line)),
            _ => common_modifier(&mut modifiers, letter, line)?,
        }
    }
    Ok(Parsed { include: matches!(sign, b'+' | b'S' | b'R'), modifiers, pattern: Cow::Borrowed(pattern) })
}

fn parse_merge<'a>(letters: &[u8], file: &'a [u8], line: &[u8]) -> Result<Merge<'a>, FilterError> {
    let mut merge = Merge { file, modifiers: Modifiers::default(), bare: None, words: false, exclude_itself: false };
    for &letter in letters {
        match letter {
            b'-' | b'+' if merge.bare.is_none() => merge.bare = Some(letter == b'+'),
            b'e' => merge.exclude_itself = true,
            b'w' => merge.words = true,
            // Nothing inherits from a file that is merged once.
            b'n' => {}
            _ => common_modifier(&mut merge.modifiers, letter, line)?,
        }
    }
    Ok(merge)
}

fn common_modifier(modifiers: &mut Modifiers, letter: u8, line: &[u8]) -> Result<(), FilterError> {
    match letter {
        b'/' => modifiers.absolute = true,
        b'p' => modifiers.perishable = true,
        b's' => modifiers.sender = true,
        b'r' => modifiers.receiver = true,
        b'C' => return Err(not_supported("CVS rules (modifier C)", line)),
        b'x' => return Err(not_supported("rules for extended attributes (modifier x)", line)),
        _ => return Err(bad_modifier(letter, line)),
    }
    Ok(())
}

fn bad_modifier(letter: u8, line: &[u8]) -> FilterError {
    FilterError::Modifier { modifier: letter.escape_ascii().to_string(), rule: shown(line) }
}

fn not_supported(what: &'static str, line: &[u8]) -> FilterError {
    FilterError::NotSupported { what, rule: shown(line) }
}

impl Modifiers {
    /// These and `other`'s together.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            absolute: self.absolute || other.absolute,
            negate: self.negate || other.negate,
            perishable: self.perishable || other.perishable,
            sender: self.sender || other.sender,
            receiver: self.receiver || other.receiver,
        }
    }

    /// Whether a side is named.
    pub(super) fn names_side(self) -> bool {
        self.sender || self.receiver
    }
}

impl Parsed<'_> {
    /// The rule as a line that parses to it again.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let Modifiers { absolute, negate, perishable, sender, receiver } = self.modifiers;
        let letters = [(absolute, b'/'), (negate, b'!'), (perishable, b'p'), (sender, b's'), (receiver, b'r')];
        let mut line = vec![if self.include { b'+' } else { b'-' }];
        line.extend(letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter));
        line.push(b' ');
        line.extend_from_slice(&self.pattern);
        line
    }
}

/// A rule ready to match.
#[derive(Debug)]
pub(super) struct Rule {
    pattern: Pattern,
    modifiers: Modifiers,
    pub(super) perishable: bool,
    /// What it says of the entries that it applies to.
    pub(super) verdict: Verdict,
}

impl Rule {
    /// Whether it has the `/` modifier.
    pub(super) fn is_absolute(&self) -> bool {
        self.modifiers.absolute
    }

    /// Compiles `parsed`.
    pub(super) fn compile(parsed: &Parsed<'_>) -> Self {
        Self {
            pattern: Pattern::compile(&parsed.pattern),
            modifiers: parsed.modifiers,
            perishable: parsed.modifiers.perishable,
            verdict: if parsed.include { Verdict::Included } else { Verdict::Excluded },
        }
    }

    /// Whether `side` heeds the rule.
    pub(super) fn counts_for(&self, side: Side) -> bool {
        let Modifiers { sender, receiver, .. } = self.modifiers;
        sender == receiver || (side == Side::Sender) == sender
    }

    /// Whether the rule decides over `candidate`, in a transfer rooted at `root`.
    pub(super) fn matches(&self, candidate: Candidate<'_>, root: &[u8]) -> bool {
        let matched = if self.modifiers.absolute && self.pattern.sees_directories() && !root.is_empty() {
            let absolute = [root, b"/", candidate.path].concat();
            self.pattern.matches(Candidate::new(&absolute, candidate.is_dir))
        } else {
            self.pattern.matches(candidate)
        };
        matched != self.modifiers.negate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        parse(line.as_bytes()).unwrap_err().to_string()
    }

    /// The rule in its normal form.
    fn normal(line: &str) -> String {
        let Line::Rule(rule) = parse(line.as_bytes()).unwrap() else { panic!("no rule: {line}") };
        assert_eq!(parse(&rule.to_line()).unwrap(), Line::Rule(rule.clone()), "{line}");
        String::from_utf8(rule.to_line()).unwrap()
    }

    #[test]
    fn signs_and_long_names_are_one() {
        let cases = [
            ("- x", "exclude x", "- x"),
            ("+ x", "include x", "+ x"),
            ("H x", "hide x", "-s x"),
            ("S x", "show x", "+s x"),
            ("P x", "protect x", "-r x"),
            ("R x", "risk x", "+r x"),
        ];
        for (sign, name, expected) in cases {
            assert_eq!((normal(sign), normal(name)), (expected.into(), expected.into()));
        }
        assert_eq!(parse(b"!").unwrap(), Line::Clear);
        assert_eq!(parse(b"clear").unwrap(), Line::Clear);
        assert_eq!(parse(b"").unwrap(), Line::Nothing);
    }

    #[test]
    fn modifiers_follow_a_comma_or_a_sign() {
        for line in ["-/!prs x", "-,/!prs x", "exclude,srp!/ x", "-srp!/_x"] {
            assert_eq!(normal(line), "-/!psr x");
        }
        assert_eq!(normal("hide,!p x"), "-!ps x");
    }

    #[test]
    fn one_space_or_underscore_ends_the_modifiers_and_the_rest_is_pattern() {
        assert_eq!(normal("-_x"), "- x");
        assert_eq!(normal("exclude_x"), "- x");
        assert_eq!(normal("-  x "), "-  x ");
        assert_eq!(normal("- _x"), "- _x");
    }

    #[test]
    fn offences_are_named() {
        let cases = [
            ("foo", "unknown filter rule: foo"),
            ("excluded x", "unknown filter rule: excluded x"),
            (" - x", "unknown filter rule:  - x"),
            ("-x", "rules for extended attributes (modifier x) are not supported yet: -x"),
            ("-C", "CVS rules (modifier C) are not supported yet: -C"),
            (": .rules", "per-directory merge files are not supported yet: : .rules"),
            ("dir-merge .rules", "per-directory merge files are not supported yet: dir-merge .rules"),
            ("-e x", "invalid modifier 'e' in filter rule: -e x"),
            ("-,, x", "invalid modifier ',' in filter rule: -,, x"),
            ("-\tx", "invalid modifier '\\t' in filter rule: -\\tx"),
            ("Hs x", "invalid modifier 's' in filter rule: Hs x"),
            ("P,r x", "invalid modifier 'r' in filter rule: P,r x"),
            (".! x", "invalid modifier '!' in filter rule: .! x"),
            (".-+ x", "invalid modifier '+' in filter rule: .-+ x"),
            ("-", "unexpected end of filter rule: -"),
            ("- ", "unexpected end of filter rule: - "),
            ("exclude", "unexpected end of filter rule: exclude"),
            ("merge", "unexpected end of filter rule: merge"),
            ("!x", "'!' rule has trailing characters: !x"),
            ("clear ", "'!' rule has trailing characters: clear "),
        ];
        for (line, expected) in cases {
            assert_eq!(error(line), expected);
        }
    }

    #[test]
    fn merge_keeps_its_modifiers() {
        let Line::Merge(merge) = parse(b".,+wesp/n my rules").unwrap() else { panic!("no merge") };
        assert_eq!(merge.file, b"my rules");
        assert_eq!((merge.bare, merge.words, merge.exclude_itself), (Some(true), true, true));
        let expected = Modifiers { absolute: true, perishable: true, sender: true, ..Modifiers::default() };
        assert_eq!(merge.modifiers, expected);
    }
}
