//! A pattern compiled to tokens, and its match against a path.
//!
//! Matching keeps two places to come back to, the last `*` and the last `**`, never a stack of them: the leftmost match of
//! what stands between two wildcards leaves the most for what follows, so an earlier wildcard need not be tried again. The
//! time is bounded by a product of the lengths, whatever the pattern.

/// A path to be matched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Relative, without leading or trailing slash.
    pub(super) path: &'a [u8],
    /// Its last component.
    name: &'a [u8],
    pub(super) is_dir: bool,
}

impl<'a> Candidate<'a> {
    /// The entry at `path`.
    pub(super) fn new(path: &'a [u8], is_dir: bool) -> Self {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        Self { path, name, is_dir }
    }

    /// The same entry without the first `skipped` bytes of its path; `None` if it has no more.
    pub(super) fn below(self, skipped: usize) -> Option<Self> {
        self.path.get(skipped..).filter(|path| !path.is_empty()).map(|path| Self { path, ..self })
    }
}

/// Which part of a path a pattern has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The last component.
    Name,
    /// All of it.
    Whole,
    /// The last so many components.
    Tail(usize),
    /// Any number of components at the end.
    AnyTail,
}

/// What is looked for there.
#[derive(Debug)]
enum Body {
    /// These bytes.
    Literal(Vec<u8>),
    /// A name that ends with these bytes: `*.o`, far the most frequent wildcard.
    Ending(Vec<u8>),
    /// These tokens.
    Wild(Wild),
}

#[derive(Debug)]
struct Wild {
    tokens: Vec<Token>,
    /// `**/` in front: stands for nothing as well, as if every path began with a slash.
    open_start: bool,
    /// `/***` at the end: a directory matches without it, as if its name ended with a slash.
    open_end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`: any byte but a slash.
    Any,
    /// `[...]`; never a slash.
    Class([u64; 4]),
    /// `*`: any bytes but slashes.
    Star,
    /// `**`: any bytes.
    StarStar,
    /// What cannot match: a class without end, a backslash with nothing behind it.
    Never,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    scope: Scope,
    body: Body,
    directories_only: bool,
}

impl Pattern {
    /// Compiles `pattern`; every sequence of bytes is one.
    pub(super) fn compile(pattern: &[u8]) -> Self {
        let stripped = pattern.strip_suffix(b"/").filter(|rest| !rest.is_empty());
        let directories_only = stripped.is_some();
        let pattern = stripped.unwrap_or(pattern);
        let slashes = pattern.iter().filter(|&&b| b == b'/').count();
        let wild = pattern.iter().any(|b| b"*?[".contains(b));
        // rsync looks at the text, so that `\**` counts as well.
        let across = wild && pattern.windows(2).any(|pair| pair == b"**");
        let (anchored, text) = match pattern.strip_prefix(b"/") {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let scope = match (anchored, across) {
            (false, false) if slashes == 0 => Scope::Name,
            (true, _) => Scope::Whole,
            (false, false) => Scope::Tail(slashes + 1),
            (false, true) if pattern.starts_with(b"**") => Scope::Whole,
            (false, true) => Scope::AnyTail,
        };
        let body = if wild { wild_body(text, scope, !anchored) } else { Body::Literal(text.to_vec()) };
        Self { scope, body, directories_only }
    }

    /// Whether more than the last component matters.
    pub(super) fn sees_directories(&self) -> bool {
        self.scope != Scope::Name
    }

    /// Whether the entry is what the pattern means.
    pub(super) fn matches(&self, candidate: Candidate<'_>) -> bool {
        if self.directories_only && !candidate.is_dir {
            return false;
        }
        let path = candidate.path;
        match self.scope {
            Scope::Name => self.body.matches(candidate.name, candidate.is_dir),
            Scope::Whole => self.body.matches(path, candidate.is_dir),
            Scope::Tail(count) => tail(path, count).is_some_and(|tail| self.body.matches(tail, candidate.is_dir)),
            Scope::AnyTail => {
                let starts = path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(at, _)| at + 1);
                std::iter::once(0).chain(starts).any(|from| self.body.matches(&path[from..], candidate.is_dir))
            }
        }
    }
}

/// The last `count` components of `path`, if it has so many.
fn tail(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut slashes = path.iter().enumerate().rev().filter(|&(_, &b)| b == b'/').map(|(at, _)| at);
    match slashes.nth(count - 1) {
        Some(before) => Some(&path[before + 1..]),
        None => (path.iter().filter(|&&b| b == b'/').count() + 1 == count).then_some(path),
    }
}

fn wild_body(text: &[u8], scope: Scope, may_open: bool) -> Body {
    let tokens = tokens(text);
    if let (Scope::Name, Some((Token::Star, rest))) = (scope, tokens.split_first()) {
        let bytes = rest.iter().map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None });
        if let Some(ending) = bytes.collect::<Option<Vec<u8>>>() {
            return Body::Ending(ending);
        }
    }
    let open_start = may_open && matches!(tokens[..], [Token::StarStar, Token::Byte(b'/'), ..]);
    let open_end = text.ends_with(b"***") && matches!(tokens[..], [.., Token::Byte(b'/'), Token::StarStar]);
    Body::Wild(Wild { tokens, open_start, open_end })
}

impl Body {
    fn matches(&self, text: &[u8], is_dir: bool) -> bool {
        match self {
            Body::Literal(bytes) => text == bytes,
            Body::Ending(ending) => text.ends_with(ending),
            Body::Wild(wild) => wild.matches(text, is_dir),
        }
    }
}

impl Wild {
    fn matches(&self, text: &[u8], is_dir: bool) -> bool {
        let tokens = &self.tokens[..];
        let ends = [Some(tokens.len()), (self.open_end && is_dir).then(|| tokens.len() - 2)];
        let mut ends = ends.into_iter().flatten();
        ends.any(|end| wild(&tokens[..end], text) || (self.open_start && end >= 2 && wild(&tokens[2..end], text)))
    }
}

/// Where to go on after a mismatch: the token behind a wildcard, and where in the text to try it.
type Place = Option<(usize, usize)>;

/// Whether `tokens` match all of `text`.
fn wild(tokens: &[Token], text: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let (mut star, mut star_star): (Place, Place) = (None, None);
    loop {
        match tokens.get(token) {
            None if at == text.len() => return true,
            Some(Token::Star) => {
                token += 1;
                star = Some((token, at));
                continue;
            }
            Some(Token::StarStar) => {
                token += 1;
                star_star = Some((token, at));
                star = None;
                continue;
            }
            Some(one) if text.get(at).is_some_and(|&byte| one.is(byte)) => {
                token += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        // A mismatch: let the last star take one byte more, or, where a slash stops it, the last double star.
        let more = match (star, star_star) {
            (Some((behind, from)), _) if text.get(from).is_some_and(|&byte| byte != b'/') => {
                star = Some((behind, from + 1));
                star
            }
            (_, Some((behind, from))) if from < text.len() => {
                star = None;
                star_star = Some((behind, from + 1));
                star_star
            }
            _ => return false,
        };
        if let Some(place) = more {
            (token, at) = place;
        }
    }
}

impl Token {
    fn is(&self, byte: u8) -> bool {
        match self {
            Token::Byte(own) => *own == byte,
            Token::Any => byte != b'/',
            Token::Class(set) => set[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0,
            Token::Star | Token::StarStar | Token::Never => false,
        }
    }
}

fn tokens(mut text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len());
    while let Some((&first, mut rest)) = text.split_first() {
        tokens.push(match first {
            b'?' => Token::Any,
            b'*' => {
                let stars = rest.iter().take_while(|&&b| b == b'*').count();
                rest = &rest[stars..];
                if stars == 0 { Token::Star } else { Token::StarStar }
            }
            b'[' => class(&mut rest).map_or(Token::Never, Token::Class),
            b'\\' => match rest.split_first() {
                Some((&escaped, behind)) => {
                    rest = behind;
                    Token::Byte(escaped)
                }
                None => Token::Never,
            },
            byte => Token::Byte(byte),
        });
        text = rest;
    }
    tokens
}

/// Reads a class up to and with its closing bracket; `None` if it has none or names an unknown set.
fn class(rest: &mut &[u8]) -> Option<[u64; 4]> {
    let mut set = [false; 256];
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    if negated {
        *rest = &rest[1..];
    }
    // The start of a range, if a range may follow. A bracket in the first place is one of the class.
    let (mut start, mut first) = (None, true);
    loop {
        match take(rest)? {
            b']' if !first => break,
            b'-' if start.is_some() && rest.first().is_some_and(|&b| b != b']') => {
                let end = take_escaped(rest)?;
                (start.take().unwrap_or(end)..=end).for_each(|byte: u8| set[usize::from(byte)] = true);
            }
            b'[' if rest.first() == Some(&b':') => match named(rest) {
                Named::Set(is_in) => {
                    (0..=255u8).filter(is_in).for_each(|byte| set[usize::from(byte)] = true);
                    start = None;
                }
                Named::Unknown => return None,
                Named::NotOne => {
                    set[usize::from(b'[')] = true;
                    start = Some(b'[');
                }
            },
            byte => {
                let byte = if byte == b'\\' { take(rest)? } else { byte };
                set[usize::from(byte)] = true;
                start = Some(byte);
            }
        }
        first = false;
    }
    let mut bits = [0; 4];
    let members = (0..=255u8).filter(|&byte| byte != b'/' && set[usize::from(byte)] != negated);
    members.for_each(|byte| bits[usize::from(byte >> 6)] |= 1 << (byte & 63));
    Some(bits)
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first)
}

fn take_escaped(rest: &mut &[u8]) -> Option<u8> {
    match take(rest)? {
        b'\\' => take(rest),
        byte => Some(byte),
    }
}

/// What `[:` within a class turned out to be.
enum Named {
    Set(fn(&u8) -> bool),
    Unknown,
    /// No `:]` before the next bracket: the two bytes are members like others.
    NotOne,
}

/// Reads a named set; `rest` starts at its colon.
fn named(rest: &mut &[u8]) -> Named {
    let Some(end) = rest.iter().position(|&b| b == b']') else { return Named::Unknown };
    let Some(name) = rest[1..end].strip_suffix(b":") else { return Named::NotOne };
    *rest = &rest[end + 1..];
    Named::Set(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |b| matches!(b, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |b| (b' '..=b'~').contains(b),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |b| matches!(b, b' ' | 9..=13),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return Named::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let (path, is_dir) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        Pattern::compile(pattern.as_bytes()).matches(Candidate::new(path.as_bytes(), is_dir))
    }

    /// The definition, with all its backtracking.
    fn plain(tokens: &[Token], text: &[u8]) -> bool {
        match tokens.split_first() {
            None => text.is_empty(),
            Some((Token::StarStar, rest)) => (0..=text.len()).any(|n| plain(rest, &text[n..])),
            Some((Token::Star, rest)) => {
                let reach = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
                (0..=reach).any(|n| plain(rest, &text[n..]))
            }
            Some((one, rest)) => text.split_first().is_some_and(|(&b, behind)| one.is(b) && plain(rest, behind)),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn matching_agrees_with_its_definition(pattern in "(a|b|/|\\?|\\*|\\*\\*|\\[ab\\]){0,9}", text in "[ab/]{0,12}") {
            let tokens = tokens(pattern.as_bytes());
            prop_assert_eq!(wild(&tokens, text.as_bytes()), plain(&tokens, text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern in proptest::collection::vec(any::<u8>(), 1..30), path in "[a-c/\\[\\]*]{1,9}") {
            Pattern::compile(&pattern).matches(Candidate::new(path.as_bytes(), true));
        }
    }

    #[test]
    fn scope_follows_from_slashes_and_double_stars() {
        let cases = [
            ("foo", "foo", true),
            ("foo", "a/foo", true),
            ("foo", "foo/a", false),
            ("foo", "afoo", false),
            ("/foo", "foo", true),
            ("/foo", "a/foo", false),
            ("foo/bar", "a/foo/bar", true),
            ("foo/bar", "afoo/bar", false),
            ("foo/bar", "foo/bar/c", false),
            ("f*/b?r", "a/foo/bar", true),
            ("f*/b?r", "bar", false),
            ("foo/", "a/foo/", true),
            ("foo/", "a/foo", false),
            ("/", "foo/", false),
            ("a//", "a/", false),
            ("b**r", "a/b/c/r", true),
            ("/b**r", "a/b/c/r", false),
            ("**/foo", "foo", true),
            ("**/foo", "a/b/foo", true),
            ("/**/foo", "foo", false),
            ("foo/**", "a/foo/b/c", true),
            ("foo/**", "a/foo/", false),
            ("foo/***", "a/foo/", true),
            ("foo/***", "a/foo", false),
            ("foo/***", "a/foo/b/c", true),
            ("***", "a/b", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn classes_have_ranges_negation_names_and_escapes() {
        let cases = [
            ("[a-c]", "b", true),
            ("[a-c]", "-", false),
            ("[!a-c]", "b", false),
            ("[^a-c]", "d", true),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[a-c-e]", "-", true),
            ("[a-c-e]", "d", false),
            ("[\\]]", "]", true),
            ("[\\a-\\c]", "b", true),
            ("[[:digit:]x]", "7", true),
            ("[[:digit:]x]", "x", true),
            ("[![:digit:]]", "7", false),
            ("[[:alpha:]-z]", "-", true),
            ("[[:nonsense:]]", "n", false),
            ("[[:x]", ":", true),
            ("[[:x]", "[", true),
            ("[ab", "a", false),
            ("[ab", "[ab", false),
            ("a[/]b", "a/b", false),
            ("a[!x]b", "a/b", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn backslash_escapes_only_beside_a_wildcard() {
        let cases = [
            ("foo\\bar", "foo\\bar", true),
            ("foo\\bar*", "foo\\bar", false),
            ("foo\\bar*", "foobar", true),
            ("foo\\\\bar*", "foo\\bar", true),
            ("\\*[a]", "*a", true),
            ("\\*[a]", "xa", false),
            ("*\\", "x\\", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn many_wildcards_are_not_tried_in_all_combinations() {
        // With a stack of places to come back to this would not end before the sun does.
        let name = "a".repeat(255);
        assert!(!matches(&format!("{}b", "*a".repeat(100)), &name));
        assert!(!matches(&format!("{}b", "**a".repeat(100)), &format!("{name}/{name}")));
        assert!(!matches(&format!("x{}b", "**a*a".repeat(50)), &format!("{name}/{name}")));
        assert!(matches(&"*a".repeat(200), &name));
    }
}
