//! From the command line's options to lines of the filter language: `--exclude` and its kin, and merge files read in.
//!
//! This is the only part of the filter that reads files, and it runs where the options were typed, never for a peer.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::merge::{self, Ends, lines};
use super::rule::{self, FilterError, Line, Merge, Modifiers, Parsed};

/// Merge files within merge files, at most; a file that merges itself is stopped here.
pub(super) const MAX_MERGE_DEPTH: usize = 32;

/// What a pattern without a sign does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// As in `--exclude` and `--exclude-from`.
    Exclude,
    /// As in `--include` and `--include-from`.
    Include,
}

/// The rule that `--exclude=pattern` means: `!` alone clears, `- ` or `+ ` in front make it a rule of that kind.
pub fn from_exclude(pattern: &[u8]) -> Vec<u8> {
    old_style(pattern, Action::Exclude)
}

/// The rule that `--include=pattern` means: `!` alone clears, `- ` or `+ ` in front make it a rule of that kind.
pub fn from_include(pattern: &[u8]) -> Vec<u8> {
    old_style(pattern, Action::Include)
}

/// The rule that protects what ends in `suffix` from deletion, whatever wildcards that holds.
pub fn from_protected_suffix(suffix: &[u8]) -> Vec<u8> {
    literally(b"P *", suffix)
}

/// The rule that leaves a directory of unfinished files alone on both sides, wherever it is.
pub fn from_partial_dir(dir: &[u8]) -> Vec<u8> {
    let mut rule = literally(b"-p ", dir);
    rule.push(b'/');
    rule
}

/// The beginning of a rule, and bytes that mean themselves.
fn literally(begun: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut rule = begun.to_vec();
    // Only in a pattern that is one a backslash is more than itself.
    let is_pattern = begun.contains(&b'*') || bytes.iter().any(|byte| b"*?[".contains(byte));
    for byte in bytes {
        if b"*?[]\\".contains(byte) && is_pattern {
            rule.push(b'\\');
        }
        rule.push(*byte);
    }
    rule
}

fn old_style(pattern: &[u8], action: Action) -> Vec<u8> {
    let complete = pattern.is_empty() || pattern == b"!" || pattern.starts_with(b"- ") || pattern.starts_with(b"+ ");
    let sign: &[u8] = match action {
        _ if complete => b"",
        Action::Exclude => b"- ",
        Action::Include => b"+ ",
    };
    [sign, pattern].concat()
}

/// The rules of `--exclude-from=file` or `--include-from=file`, a pattern a line, or up to each NUL; `-` is standard input.
///
/// Blank lines and lines that begin with `;` or `#` say nothing.
///
/// # Errors
/// A file that cannot be read.
pub fn from_file(file: &Path, action: Action, ends: Ends) -> Result<Vec<Vec<u8>>, FilterError> {
    let contents = read(file)?;
    Ok(lines(&contents, ends).map(|line| old_style(line, action)).collect())
}

/// Replaces each merge rule (`. FILE`) by the rules of the file that it names, and `-C` by what it stands for; the other
/// rules stay as they are, per-directory merge rules too.
///
/// File names are relative to the working directory, `-` is standard input.
///
/// # Errors
/// A rule that cannot be understood, a file that cannot be read, merge files nested too deeply.
pub fn expand(rules: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, FilterError> {
    expand_with(rules, Ends::Line)
}

/// Like [`expand()`] of files whose lines end so.
///
/// # Errors
/// Those of [`expand()`].
pub fn expand_with(rules: &[Vec<u8>], ends: Ends) -> Result<Vec<Vec<u8>>, FilterError> {
    let mut expanded = Vec::with_capacity(rules.len());
    for line in rules {
        match rule::parse(line)? {
            Line::Nothing | Line::Clear | Line::Rule(_) => expanded.push(line.clone()),
            other => take(&mut expanded, other, 0, ends)?,
        }
    }
    Ok(expanded)
}

/// What `--delete-excluded` makes of `rules`, which were expanded: those without a side hide, and protect nothing. Says
/// besides whether there are rules of merge files of which that is yet to be made.
///
/// # Errors
/// A rule that cannot be understood.
pub fn hiding_only(rules: &mut [Vec<u8>]) -> Result<bool, FilterError> {
    let mut in_files = false;
    for line in rules {
        match rule::parse(line)? {
            Line::Rule(rule) if !rule.modifiers.names_side() => {
                let modifiers = Modifiers { sender: true, ..rule.modifiers };
                *line = Parsed { modifiers, ..rule }.to_line();
            }
            Line::DirMerge(_) => in_files = true,
            _ => {}
        }
    }
    Ok(in_files)
}

fn merge_into(expanded: &mut Vec<Vec<u8>>, merge: Merge<'_>, depth: usize, ends: Ends) -> Result<(), FilterError> {
    let file = Path::new(OsStr::from_bytes(merge.file));
    if depth > MAX_MERGE_DEPTH {
        return Err(FilterError::MergeDepth { limit: MAX_MERGE_DEPTH, path: file.to_path_buf() });
    }
    if merge.exclude_itself {
        expanded.push(merge.own_exclusion().to_line());
    }
    let contents = read(file)?;
    merge::pieces(&merge, &contents, ends).iter().try_for_each(|piece| take(expanded, merge.line(piece)?, depth, ends))
}

/// Adds what one line means, read `depth` merge files deep.
fn take(expanded: &mut Vec<Vec<u8>>, line: Line<'_>, depth: usize, ends: Ends) -> Result<(), FilterError> {
    match line {
        Line::Nothing => {}
        Line::Clear => expanded.push(b"!".to_vec()),
        Line::Rule(rule) => expanded.push(rule.to_line()),
        Line::Cvs(rule) => expanded.extend(merge::cvs(&rule)?.iter().map(Parsed::to_line)),
        Line::Merge(inner) => merge_into(expanded, inner, depth + 1, ends)?,
        Line::DirMerge(inner) => {
            // Its own exclusion stands before it, and would stand there twice if the other end read it again.
            expanded.extend(inner.exclude_itself.then(|| inner.own_exclusion().to_line()));
            expanded.push(Merge { exclude_itself: false, ..inner }.to_dir_line());
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, FilterError> {
    let contents = if file == Path::new("-") {
        let mut contents = Vec::new();
        io::stdin().lock().read_to_end(&mut contents).map(|_| contents)
    } else {
        std::fs::read(file)
    };
    contents.map_err(|source| FilterError::Read { path: file.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(rules: &[&str]) -> Vec<Vec<u8>> {
        rules.iter().map(|rule| rule.as_bytes().to_vec()).collect()
    }

    fn texts(rules: Vec<Vec<u8>>) -> Vec<String> {
        rules.into_iter().map(|rule| String::from_utf8(rule).unwrap()).collect()
    }

    /// What a merge rule with `modifiers` makes of a file with `contents`.
    fn merged(modifiers: &str, contents: &str) -> Result<Vec<String>, FilterError> {
        let file = tempfile::NamedTempFile::with_prefix("rules").unwrap();
        std::fs::write(file.path(), contents).unwrap();
        let rule = format!(".{modifiers} {}", file.path().display());
        expand(&owned(&["- before", &rule, "- after"])).map(|rules| {
            let rules = texts(rules);
            assert_eq!((rules[0].as_str(), rules[rules.len() - 1].as_str()), ("- before", "- after"));
            rules[1..rules.len() - 1].to_vec()
        })
    }

    #[test]
    fn old_style_patterns_may_carry_their_sign() {
        let cases = [("x", "- x", "+ x"), ("+ x", "+ x", "+ x"), ("- x", "- x", "- x"), ("!", "!", "!")];
        for (pattern, exclude, include) in cases {
            assert_eq!(from_exclude(pattern.as_bytes()), exclude.as_bytes());
            assert_eq!(from_include(pattern.as_bytes()), include.as_bytes());
        }
        assert_eq!(from_exclude(b"!x"), b"- !x");
        assert_eq!(from_exclude(b"-x"), b"- -x");
        assert_eq!(from_include(b""), b"");
    }

    #[test]
    fn list_skips_blank_lines_and_comments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "*.o\n\n# comment\n; comment\r\n+ keep.o\n #x\n!\n- yß").unwrap();
        let expected = ["- *.o", "+ keep.o", "-  #x", "!", "- yß"];
        assert_eq!(texts(from_file(file.path(), Action::Exclude, Ends::Line).unwrap()), expected);
        assert_eq!(texts(from_file(file.path(), Action::Include, Ends::Line).unwrap())[0], "+ *.o");
    }

    #[test]
    fn missing_list_is_an_error_that_names_it() {
        let error = from_file(Path::new("/no/such/list"), Action::Exclude, Ends::Line).unwrap_err().to_string();
        assert!(error.starts_with("reading filter rules from /no/such/list: "), "{error}");
    }

    #[test]
    fn merge_puts_the_files_rules_in_its_own_place() {
        assert_eq!(merged("", "- *.o\n# no\n+ x\n!\n\nH y\n").unwrap(), ["- *.o", "+ x", "!", "-s y"]);
    }

    #[test]
    fn merge_of_bare_patterns_reads_no_sign() {
        assert_eq!(merged("-", "*.o\n- x\n!\n#no\n").unwrap(), ["- *.o", "- - x", "- !"]);
        assert_eq!(merged(",+s", "a b\n").unwrap(), ["+s a b"]);
    }

    #[test]
    fn merge_of_words_splits_at_blanks_and_knows_no_comment() {
        assert_eq!(merged("w", "- foo + bar\n! -_baz\t#x").unwrap_err().to_string(), "unknown filter rule: #x");
        assert_eq!(merged("w", "- foo + bar\n! -_baz").unwrap(), ["- foo", "+ bar", "!", "- baz"]);
        assert_eq!(merged("w-", "foo #x\n\nbar").unwrap(), ["- foo", "- #x", "- bar"]);
    }

    #[test]
    fn per_directory_rules_of_a_file_stay_and_get_its_modifiers() {
        assert_eq!(merged("p", ":e .x\n:C\n").unwrap(), ["- .x", ":p .x", ":Cp .cvsignore"]);
        assert_eq!(texts(expand(&owned(&[":en /.x"])).unwrap()), ["- .x", ":n /.x"]);
    }

    #[test]
    fn merge_as_cvs_does_takes_words_and_lets_an_exclamation_mark_clear() {
        assert_eq!(merged("C", "a !\n#b !c").unwrap(), ["- a", "!", "- #b", "- !c"]);
    }

    #[test]
    fn merge_modifiers_are_every_rules() {
        assert_eq!(merged("p/", "-! a\n+ b").unwrap(), ["-/!p a", "+/p b"]);
        assert_eq!(merged("s", "- a").unwrap(), ["-s a"]);
        assert!(matches!(merged("s", "H a"), Err(FilterError::SideTwice(_))));
    }

    #[test]
    fn merge_can_exclude_its_file() {
        let rules = merged("e", "- a").unwrap();
        assert!(rules[0].starts_with("- rules") && rules[1] == "- a", "{rules:?}");
    }

    #[test]
    fn merge_files_may_merge_but_not_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("inner"), "- deep").unwrap();
        std::fs::write(file("outer"), format!(".p {}\n+ x", file("inner").display())).unwrap();
        std::fs::write(file("self"), format!(". {}", file("self").display())).unwrap();
        let rule = |name: &str| owned(&[&format!(".s {}", file(name).display())]);
        assert_eq!(texts(expand(&rule("outer")).unwrap()), ["-ps deep", "+s x"]);
        assert!(matches!(expand(&rule("self")), Err(FilterError::MergeDepth { .. })));
    }
}
