//! One line of the filter language: its parsing, and the rule it becomes.
//!
//! `RULE[,MODIFIERS] PATTERN`, where a rule is a sign or a long name, the comma may be left out after a sign, and one space
//! or underscore ends the modifiers. All after it, further spaces included, is the pattern.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::pattern::{Candidate, Pattern};
use super::{Question, Side, Verdict};

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
    /// rsync has it, sy does not.
    #[error("{what} are not supported: {rule}")]
    NotSupported {
        /// What is missing.
        what: &'static str,
        /// The rule.
        rule: String,
    },
    /// The rule of CVS's own patterns takes none.
    #[error("'C' rule has trailing characters: {0}")]
    CvsArgument(String),
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
    /// More rules or merge files than anybody writes.
    #[error("more than {limit} {what} at {}", path.display())]
    TooMany {
        /// How many there may be.
        limit: usize,
        /// Of what.
        what: &'static str,
        /// Where it was noticed.
        path: PathBuf,
    },
    /// A rule of a merge file within a tree.
    #[error("in {}: {source}", path.display())]
    Within {
        /// The merge file.
        path: PathBuf,
        /// What is wrong with its rule.
        source: Box<FilterError>,
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
    /// `x`: about names of extended attributes instead of entries.
    pub(super) xattr: bool,
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
    /// `n`: directories below the file's do not inherit its rules.
    pub(super) local: bool,
    /// `C`: words that are patterns, but for a `!` alone, which clears.
    pub(super) cvs: bool,
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
    /// Take the rules of the file of that name in each directory.
    DirMerge(Merge<'a>),
    /// Take the patterns that CVS ignores; the rule has what each of them gets, and no pattern.
    Cvs(Parsed<'a>),
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
        _ => {}
    }
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    let end = rest.iter().position(|&b| b == b' ' || b == b'_').unwrap_or(rest.len());
    let (modifiers, argument) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    if argument.is_empty() && !modifiers.contains(&b'C') {
        // An offence among the modifiers is the one to tell.
        let offence = parse_argument(sign, modifiers, b"-", line).err();
        return Err(offence.unwrap_or_else(|| FilterError::NoPattern(shown(line))));
    }
    parse_argument(sign, modifiers, argument, line)
}

fn parse_argument<'a>(sign: u8, modifiers: &[u8], argument: &'a [u8], line: &[u8]) -> Result<Line<'a>, FilterError> {
    match sign {
        b'.' => Ok(Line::Merge(parse_merge(modifiers, argument, line)?)),
        b':' => Ok(Line::DirMerge(parse_merge(modifiers, argument, line)?)),
        _ => parse_rule(sign, modifiers, argument, line),
    }
}

fn split_sign(line: &[u8]) -> Option<(u8, &[u8])> {
    let named = NAMES.iter().find_map(|(name, sign)| {
        let rest = line.strip_prefix(*name)?;
        matches!(rest.first(), None | Some(b' ' | b'_' | b',')).then_some((*sign, rest))
    });
    let signed = || line.split_first().filter(|(first, _)| NAMES.iter().any(|(_, sign)| sign == *first));
    named.or_else(|| signed().map(|(first, rest)| (*first, rest)))
}

fn parse_rule<'a>(sign: u8, letters: &[u8], pattern: &'a [u8], line: &[u8]) -> Result<Line<'a>, FilterError> {
    let mut modifiers = Modifiers {
        sender: matches!(sign, b'H' | b'S'),
        receiver: matches!(sign, b'P' | b'R'),
        ..Modifiers::default()
    };
    let (one_sided, mut cvs) = (modifiers.sender || modifiers.receiver, false);
    for &letter in letters {
        match letter {
            b'!' => modifiers.negate = true,
            b's' | b'r' if one_sided => return Err(bad_modifier(letter, line)),
            b'C' if !one_sided && !cvs => cvs = true,
            _ => common_modifier(&mut modifiers, letter, line)?,
        }
    }
    let parsed = Parsed { include: matches!(sign, b'+' | b'S' | b'R'), modifiers, pattern: Cow::Borrowed(pattern) };
    match cvs {
        true if !pattern.is_empty() => Err(FilterError::CvsArgument(shown(line))),
        true => Ok(Line::Cvs(parsed)),
        false => Ok(Line::Rule(parsed)),
    }
}

fn parse_merge<'a>(letters: &[u8], file: &'a [u8], line: &[u8]) -> Result<Merge<'a>, FilterError> {
    let mut merge = Merge::of(file);
    for &letter in letters {
        match letter {
            b'-' | b'+' if merge.bare.is_none() => merge.bare = Some(letter == b'+'),
            b'e' => merge.exclude_itself = true,
            b'w' => merge.words = true,
            b'n' => merge.local = true,
            b'C' if merge.bare.is_none() => {
                (merge.bare, merge.words, merge.local, merge.cvs) = (Some(false), true, true, true);
            }
            _ => common_modifier(&mut merge.modifiers, letter, line)?,
        }
    }
    if merge.cvs && file.is_empty() {
        merge.file = b".cvsignore";
    }
    Ok(merge)
}

fn common_modifier(modifiers: &mut Modifiers, letter: u8, line: &[u8]) -> Result<(), FilterError> {
    match letter {
        b'/' => modifiers.absolute = true,
        b'p' => modifiers.perishable = true,
        b's' => modifiers.sender = true,
        b'r' => modifiers.receiver = true,
        b'x' => modifiers.xattr = true,
        _ => return Err(bad_modifier(letter, line)),
    }
    Ok(())
}

fn bad_modifier(letter: u8, line: &[u8]) -> FilterError {
    FilterError::Modifier { modifier: letter.escape_ascii().to_string(), rule: shown(line) }
}

/// Why a rule about extended attributes is none of a per-directory merge file.
pub(super) fn about_xattrs(line: &[u8]) -> FilterError {
    let what = "rules for extended attributes (modifier x) in per-directory merge files";
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
            xattr: self.xattr || other.xattr,
        }
    }

    /// The letters that stand for them.
    fn letters(self) -> impl Iterator<Item = u8> {
        let Modifiers { absolute, negate, perishable, sender, receiver, xattr } = self;
        let sides = [(sender, b's'), (receiver, b'r')];
        let letters = [(absolute, b'/'), (negate, b'!'), (perishable, b'p'), (xattr, b'x')];
        letters.into_iter().chain(sides).filter(|(set, _)| *set).map(|(_, letter)| letter)
    }

    /// Whether `side` heeds a rule with them.
    pub(super) fn count_for(self, side: Side) -> bool {
        self.sender == self.receiver || (side == Side::Sender) == self.sender
    }

    /// Whether a side is named.
    pub(super) fn names_side(self) -> bool {
        self.sender || self.receiver
    }
}

impl<'a> Merge<'a> {
    /// The rule without any modifier.
    pub(super) fn of(file: &'a [u8]) -> Merge<'a> {
        let modifiers = Modifiers::default();
        Merge { file, modifiers, bare: None, words: false, exclude_itself: false, local: false, cvs: false }
    }

    /// The last component of the file's name.
    pub(super) fn base_name(&self) -> &'a [u8] {
        self.file.rsplit(|byte| *byte == b'/').next().unwrap_or(self.file)
    }

    /// The rule by which the file excludes itself.
    pub(super) fn own_exclusion(&self) -> Parsed<'a> {
        Parsed { include: false, modifiers: Modifiers::default(), pattern: Cow::Borrowed(self.base_name()) }
    }

    /// A per-directory rule as a line that parses to it again.
    pub(super) fn to_dir_line(self) -> Vec<u8> {
        let bare = self.bare.filter(|_| !self.cvs).map(|include| if include { b'+' } else { b'-' });
        let letters = [(self.cvs, b'C'), (self.words && !self.cvs, b'w'), (self.exclude_itself, b'e')];
        let local = [(self.local && !self.cvs, b'n')];
        let mut line = vec![b':'];
        line.extend(bare);
        line.extend(letters.iter().chain(&local).filter(|(set, _)| *set).map(|(_, letter)| letter));
        line.extend(self.modifiers.letters());
        line.push(b' ');
        line.extend_from_slice(self.file);
        line
    }

    /// Understands one line of the merged file, with what this rule gives to every line.
    ///
    /// # Errors
    /// A line that cannot be understood, or that names a side though this rule does.
    pub(super) fn line<'l>(&self, line: &'l [u8]) -> Result<Line<'l>, FilterError> {
        if self.cvs && line == b"!" {
            return Ok(Line::Clear);
        }
        if let Some(include) = self.bare {
            return Ok(Line::Rule(Parsed { include, modifiers: self.modifiers, pattern: Cow::Borrowed(line) }));
        }
        let inherited = |own: Modifiers| {
            let twice = self.modifiers.names_side() && own.names_side();
            if twice { Err(FilterError::SideTwice(shown(line))) } else { Ok(own.with(self.modifiers)) }
        };
        Ok(match parse(line)? {
            Line::Rule(own) => Line::Rule(Parsed { modifiers: inherited(own.modifiers)?, ..own }),
            Line::Cvs(own) => Line::Cvs(Parsed { modifiers: inherited(own.modifiers)?, ..own }),
            Line::Merge(inner) => Line::Merge(Merge { modifiers: inherited(inner.modifiers)?, ..inner }),
            Line::DirMerge(inner) => Line::DirMerge(Merge { modifiers: inherited(inner.modifiers)?, ..inner }),
            other => other,
        })
    }
}

impl Parsed<'_> {
    /// The rule as a line that parses to it again.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = vec![if self.include { b'+' } else { b'-' }];
        line.extend(self.modifiers.letters());
        line.push(b' ');
        line.extend_from_slice(&self.pattern);
        line
    }
}

/// From where on a path is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// So many bytes of the path below the transfer root are passed over: the directory of the merge file that has an
    /// anchored rule, with its slash.
    Below(usize),
    /// The path of the transfer root comes first, without so many of its bytes.
    Above(usize),
}

/// A rule ready to match.
#[derive(Debug)]
pub(super) struct Rule {
    pattern: Pattern,
    /// The pattern as it was written.
    text: Box<[u8]>,
    modifiers: Modifiers,
    view: View,
    perishable: bool,
    /// What it says of the entries that it applies to.
    verdict: Verdict,
}

impl Rule {
    /// Whether its verdict depends on where the transfer root is.
    pub(super) fn is_absolute(&self) -> bool {
        matches!(self.view, View::Above(_))
    }

    /// Compiles `parsed`; `anchor` is where its pattern is anchored if it begins with a slash.
    pub(super) fn compile(parsed: &Parsed<'_>, anchor: View) -> Self {
        let pattern = Pattern::compile(&parsed.pattern);
        let view = match (parsed.modifiers.absolute, parsed.pattern.starts_with(b"/")) {
            (true, _) if pattern.sees_directories() => View::Above(0),
            (false, true) => anchor,
            _ => View::Below(0),
        };
        Self {
            pattern,
            text: parsed.pattern.as_ref().into(),
            modifiers: parsed.modifiers,
            view,
            perishable: parsed.modifiers.perishable,
            verdict: if parsed.include { Verdict::Included } else { Verdict::Excluded },
        }
    }

    /// Whether it applies, and decides.
    #[inline]
    pub(super) fn decides(&self, question: &Question<'_>) -> bool {
        let applies = self.modifiers.count_for(question.side) && !(question.deleting && self.perishable);
        applies && self.matches(question.candidate, question.root)
    }

    /// What it says of the entries over which it decides.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The pattern as it was written.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether the rule decides over `candidate`, in a transfer rooted at `root`.
    fn matches(&self, candidate: Candidate<'_>, root: &[u8]) -> bool {
        let matched = match self.view {
            View::Below(0) => self.pattern.matches(candidate),
            View::Below(skipped) => candidate.below(skipped).is_some_and(|below| self.pattern.matches(below)),
            View::Above(from) => match root.get(from..).filter(|above| !above.is_empty()) {
                Some(above) => {
                    let absolute = [above, b"/", candidate.path].concat();
                    self.pattern.matches(Candidate::new(&absolute, candidate.is_dir))
                }
                None => self.pattern.matches(candidate),
            },
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
            ("-x", "unexpected end of filter rule: -x"),
            ("-C x", "'C' rule has trailing characters: -C x"),
            ("HC", "invalid modifier 'C' in filter rule: HC"),
            (":-C", "invalid modifier 'C' in filter rule: :-C"),
            (":C-", "invalid modifier '-' in filter rule: :C-"),
            (":x", "unexpected end of filter rule: :x"),
            ("dir-merge", "unexpected end of filter rule: dir-merge"),
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

    #[test]
    fn per_directory_rule_is_a_line_again() {
        let cases = [
            (": .rules", ": .rules"),
            ("dir-merge,n- .x y", ":-n .x y"),
            (":C", ":C .cvsignore"),
            (":sC .ignore", ":Cs .ignore"),
            (":+wpe/ /a/b", ":+we/p /a/b"),
        ];
        for (line, expected) in cases {
            let Line::DirMerge(merge) = parse(line.as_bytes()).unwrap() else { panic!("{line}") };
            assert_eq!(String::from_utf8(merge.to_dir_line()).unwrap(), expected);
            assert_eq!(parse(expected.as_bytes()).unwrap(), Line::DirMerge(merge));
        }
    }
}
