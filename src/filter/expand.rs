//! From the command line's options to lines of the filter language: `--exclude` and its kin, and merge files read in.
//!
//! This is the only part of the filter that reads files, and it runs where the options were typed, never for a peer.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::rule::{self, FilterError, Line, Merge, Modifiers, Parsed, shown};

/// Merge files within merge files, at most; a file that merges itself is stopped here.
const MAX_MERGE_DEPTH: usize = 32;

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
    let mut rule = b"P *".to_vec();
    for byte in suffix {
        if b"*?[]\\".contains(byte) {
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

/// The rules of `--exclude-from=file` or `--include-from=file`, a pattern a line; `-` is standard input.
///
/// Blank lines and lines that begin with `;` or `#` say nothing.
///
/// # Errors
/// A file that cannot be read.
pub fn from_file(file: &Path, action: Action) -> Result<Vec<Vec<u8>>, FilterError> {
    let contents = read(file)?;
    Ok(lines(&contents).map(|line| old_style(line, action)).collect())
}

/// Replaces each merge rule (`. FILE`) by the rules of the file that it names; the other rules stay as they are.
///
/// File names are relative to the working directory, `-` is standard input.
///
/// # Errors
/// A rule that cannot be understood, a file that cannot be read, merge files nested too deeply.
pub fn expand(rules: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, FilterError> {
    let mut expanded = Vec::with_capacity(rules.len());
    for line in rules {
        match rule::parse(line)? {
            Line::Merge(merge) => merge_into(&mut expanded, merge, 1)?,
            _ => expanded.push(line.clone()),
        }
    }
    Ok(expanded)
}

fn merge_into(expanded: &mut Vec<Vec<u8>>, merge: Merge<'_>, depth: usize) -> Result<(), FilterError> {
    let file = Path::new(OsStr::from_bytes(merge.file));
    if depth > MAX_MERGE_DEPTH {
        return Err(FilterError::MergeDepth { limit: MAX_MERGE_DEPTH, path: file.to_path_buf() });
    }
    if merge.exclude_itself {
        let name = Cow::Borrowed(file.file_name().unwrap_or(file.as_os_str()).as_bytes());
        expanded.push(Parsed { include: false, modifiers: Modifiers::default(), pattern: name }.to_line());
    }
    let contents = read(file)?;
    let pieces: Vec<Cow<'_, [u8]>> = match (merge.words, merge.bare) {
        (false, _) => lines(&contents).map(Cow::Borrowed).collect(),
        (true, Some(_)) => words(&contents).map(Cow::Borrowed).collect(),
        (true, None) => rules_of_words(&contents),
    };
    pieces.iter().try_for_each(|piece| merge_line(expanded, merge, piece, depth))
}

/// Adds one line of a merged file, with what its merge rule gives to every line.
fn merge_line(expanded: &mut Vec<Vec<u8>>, merge: Merge<'_>, line: &[u8], depth: usize) -> Result<(), FilterError> {
    let inherited = |own: Modifiers| {
        let twice = merge.modifiers.names_side() && own.names_side();
        if twice { Err(FilterError::SideTwice(shown(line))) } else { Ok(own.with(merge.modifiers)) }
    };
    if let Some(include) = merge.bare {
        let pattern = Cow::Borrowed(line);
        expanded.push(Parsed { include, modifiers: merge.modifiers, pattern }.to_line());
        return Ok(());
    }
    match rule::parse(line)? {
        Line::Nothing => {}
        Line::Clear => expanded.push(line.to_vec()),
        Line::Rule(own) => expanded.push(Parsed { modifiers: inherited(own.modifiers)?, ..own }.to_line()),
        Line::Merge(inner) => {
            let inner = Merge { modifiers: inherited(inner.modifiers)?, ..inner };
            merge_into(expanded, inner, depth + 1)?;
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

/// Lines that say something. As in rsync a carriage return ends a line too.
fn lines(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    contents.split(|&b| b == b'\n' || b == b'\r').filter(|line| !matches!(line.first(), None | Some(b';' | b'#')))
}

fn words(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    contents.split(|b| matches!(b, b' ' | 9..=13)).filter(|word| !word.is_empty())
}

/// Whole rules from words: a sign without its pattern takes the next word.
fn rules_of_words(contents: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut words = words(contents);
    let mut rules = Vec::new();
    while let Some(word) = words.next() {
        let pattern = match rule::parse(word) {
            Err(FilterError::NoPattern(_)) => words.next(),
            _ => None,
        };
        rules.push(pattern.map_or(Cow::Borrowed(word), |pattern| Cow::Owned([word, b" ", pattern].concat())));
    }
    rules
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
        assert_eq!(texts(from_file(file.path(), Action::Exclude).unwrap()), expected);
        assert_eq!(texts(from_file(file.path(), Action::Include).unwrap())[0], "+ *.o");
    }

    #[test]
    fn missing_list_is_an_error_that_names_it() {
        let error = from_file(Path::new("/no/such/list"), Action::Exclude).unwrap_err().to_string();
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
