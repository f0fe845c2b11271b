//! What a generated file contains: bytes that do not compress, text that looks like source code, or prose.
//!
//! Real source compresses four to five times; a generator that repeats one line would compress a hundred times and
//! flatter `-z`. So identifiers are put together from parts, with a vocabulary of their own in each file, under the
//! statement shapes and indentation of a brace language. Knows nothing of files or names.

use serde::{Deserialize, Serialize};

use super::rng::Rng;

/// The kinds of content that a scenario can declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// As photos, video or archives are: no compressor gains anything.
    Incompressible,
    /// Text shaped like source code.
    Source,
    /// Sentences of plain words, as in notes and logs.
    Prose,
}

impl Content {
    /// Exactly `len` bytes of this kind.
    pub fn make(self, rng: &mut Rng, len: usize) -> Vec<u8> {
        match self {
            Content::Incompressible => rng.bytes(len),
            Content::Source => fill(len, |out| Vocabulary::new(rng).function(rng, out)),
            Content::Prose => fill(len, |out| sentence(rng, out)),
        }
    }
}

/// Calls `step` until there is enough text, then cuts it to `len`.
fn fill(len: usize, mut step: impl FnMut(&mut String)) -> Vec<u8> {
    let mut text = String::with_capacity(len + 2048);
    while text.len() < len {
        step(&mut text);
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(len);
    if let Some(last) = bytes.last_mut() {
        *last = b'\n';
    }
    bytes
}

const VERBS: &[&str] = &[
    "read", "write", "parse", "open", "close", "find", "make", "build", "check", "apply", "merge", "split", "push",
    "take", "drain", "flush", "seek", "hash", "encode", "decode", "resolve", "update", "insert", "remove", "count",
    "load", "store", "spawn", "join", "retry", "reset", "render",
];
const NOUNS: &[&str] = &[
    "buffer", "header", "entry", "index", "frame", "block", "token", "node", "config", "record", "session", "handle",
    "offset", "length", "cursor", "stream", "packet", "table", "column", "cache", "queue", "worker", "filter", "route",
    "widget", "layer", "vertex", "matrix", "bucket", "account", "invoice", "schema", "window", "signal", "timer",
    "socket", "parent", "child", "range", "limit",
];
const QUALIFIERS: &[&str] =
    &["first", "last", "next", "old", "new", "local", "remote", "raw", "pending", "total", "max", "min", "default"];
const TYPES: &[&str] = &["u8", "u32", "u64", "usize", "bool", "String", "Vec<u8>", "Option<usize>", "&str", "PathBuf"];
const WORDS: &[&str] = &[
    "the", "a", "of", "and", "that", "for", "with", "when", "not", "is", "are", "was", "it", "this", "must", "may",
    "only", "before", "after", "each", "because", "value", "caller", "result", "case", "name", "size", "order", "time",
    "empty", "given", "same", "other", "between", "kept", "written", "never", "always", "path", "user", "error",
];

/// The identifiers that one function talks about: real code repeats few names often.
struct Vocabulary {
    names: Vec<String>,
}

impl Vocabulary {
    fn new(rng: &mut Rng) -> Self {
        let count = rng.between(5, 12);
        Vocabulary { names: (0..count).map(|_| identifier(rng)).collect() }
    }

    fn name(&self, rng: &mut Rng) -> String {
        rng.pick(&self.names).clone()
    }

    fn function(&self, rng: &mut Rng, out: &mut String) {
        comment(rng, 0, out);
        let (verb, noun) = (rng.pick(VERBS), rng.pick(NOUNS));
        let (first, second) = (self.name(rng), self.name(rng));
        let (one, two, back) = (rng.pick(TYPES), rng.pick(TYPES), rng.pick(TYPES));
        out.push_str(&format!("fn {verb}_{noun}({first}: {one}, {second}: {two}) -> {back} {{\n"));
        let mut depth = 1;
        for _ in 0..rng.between(3, 14) {
            depth = self.statement(rng, depth, out);
        }
        while depth > 0 {
            depth -= 1;
            indent(depth, out);
            out.push_str("}\n");
        }
        out.push('\n');
    }

    /// Adds one line and returns the depth of the next.
    fn statement(&self, rng: &mut Rng, depth: usize, out: &mut String) -> usize {
        let (a, b, c) = (self.name(rng), self.name(rng), self.name(rng));
        let (verb, noun, number) = (rng.pick(VERBS), rng.pick(NOUNS), rng.below(4096));
        if rng.below(9) == 0 {
            comment(rng, depth, out);
        }
        if depth > 1 && rng.below(4) == 0 {
            indent(depth - 1, out);
            out.push_str("}\n");
            return depth - 1;
        }
        indent(depth, out);
        let line = match rng.below(8) {
            0 => format!("if {a} > {number} {{\n"),
            1 => format!("for {b} in {a}.{verb}_{noun}() {{\n"),
            2 => format!("let {a} = {verb}_{noun}({b}, {c})?;\n"),
            3 => format!("{a}.{verb}({b}.{noun}, {number});\n"),
            4 => format!("let mut {a} = {b}.len() + {number};\n"),
            5 => format!("return Err(Error::{}(\"cannot {verb} {noun}\"));\n", camel(noun)),
            6 => format!("self.{a} = {b}.checked_add({c}).unwrap_or({number});\n"),
            _ => format!("debug!(\"{verb} {noun}: {{}} {{}}\", {a}, {b});\n"),
        };
        out.push_str(&line);
        if line.ends_with("{\n") { depth + 1 } else { depth }
    }
}

fn identifier(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => (*rng.pick(NOUNS)).to_owned(),
        1 => format!("{}_{}", rng.pick(QUALIFIERS), rng.pick(NOUNS)),
        2 => format!("{}_{}", rng.pick(NOUNS), rng.pick(NOUNS)),
        _ => format!("{}_{}_{}", rng.pick(NOUNS), rng.pick(QUALIFIERS), rng.below(100)),
    }
}

fn word(rng: &mut Rng, from: &[&'static str]) -> &'static str {
    from[rng.below(from.len() as u64) as usize]
}

fn camel(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("    ");
    }
}

fn comment(rng: &mut Rng, depth: usize, out: &mut String) {
    indent(depth, out);
    out.push_str("//");
    for _ in 0..rng.between(5, 14) {
        out.push(' ');
        out.push_str(word(rng, WORDS));
    }
    out.push('\n');
}

fn sentence(rng: &mut Rng, out: &mut String) {
    for _ in 0..rng.between(6, 18) {
        let from = if rng.below(3) == 0 { NOUNS } else { WORDS };
        out.push_str(word(rng, from));
        out.push(' ');
    }
    out.pop();
    out.push_str(if rng.below(4) == 0 { ".\n" } else { ". " });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits per byte of an order-0 model: a rough bound on what a compressor can do, enough to tell the kinds apart.
    fn entropy(bytes: &[u8]) -> f64 {
        let mut counts = [0u64; 256];
        bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
        let share = |c: &u64| *c as f64 / bytes.len() as f64;
        counts.iter().filter(|c| **c > 0).map(|c| -share(c) * share(c).log2()).sum()
    }

    #[test]
    fn every_kind_has_exactly_the_length_asked_for() {
        for kind in [Content::Incompressible, Content::Source, Content::Prose] {
            for len in [0, 1, 7, 1024, 70_001] {
                assert_eq!(kind.make(&mut Rng::keyed(1, b"x"), len).len(), len, "{kind:?}");
            }
        }
    }

    #[test]
    fn incompressible_bytes_use_the_whole_alphabet_and_text_does_not() {
        let make = |kind: Content| entropy(&kind.make(&mut Rng::keyed(1, b"x"), 100_000));
        assert!(make(Content::Incompressible) > 7.99);
        assert!(make(Content::Source) < 5.2 && make(Content::Prose) < 4.6);
    }

    #[test]
    fn source_has_indentation_comments_and_few_repeated_lines() {
        let text = String::from_utf8(Content::Source.make(&mut Rng::keyed(5, b"x"), 50_000)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| l.trim().len() > 1).collect();
        let unique: std::collections::HashSet<&&str> = lines.iter().collect();
        assert!(lines.iter().any(|l| l.starts_with("        ")) && lines.iter().any(|l| l.starts_with("//")));
        assert!(unique.len() * 100 > lines.len() * 90, "{} of {} lines are unique", unique.len(), lines.len());
    }
}
