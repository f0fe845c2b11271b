//! `--chmod`: changes to modes, in the language of rsync and chmod(1).
//!
//! Items are separated by commas: an optional `D` or `F` (directories only, anything else only), then octal digits, or any
//! of `ugoa`, one of `+-=`, and any of `rwxXst` or one class to copy from. Without `ugoa` the umask is heeded, that of whoever
//! parses: what travels are the resolved steps.

use std::fmt;

/// All bits of a mode that can be changed.
const ALL: u16 = 0o7777;
const EXECUTE: u16 = 0o111;

/// Who is meant by a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Only {
    /// Everything that has a mode.
    #[default]
    Any = 0,
    /// Directories.
    Dirs = 1,
    /// All but directories.
    Others = 2,
}

/// Where the bits of a step come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Origin {
    /// They are given.
    #[default]
    Given = 0,
    /// From those of the mode's owner, for each class that is meant.
    User = 1,
    /// From its group's.
    Group = 2,
    /// From everybody else's.
    Other = 3,
}

/// One change of a mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What it is for.
    pub only: Only,
    /// Where its bits come from.
    pub from: Origin,
    /// Execution is given only where somebody had it, or to a directory (`X`).
    pub keeps_x: bool,
    /// The bits are taken away.
    pub takes: bool,
    /// What stays of the mode.
    pub and: u16,
    /// The bits; where they come from a class, those that may.
    pub bits: u16,
}

/// What could not be understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "invalid mode in --chmod: {:?}", self.0)
    }
}

impl Step {
    fn apply(&self, mode: u16, had_x: bool, is_dir: bool) -> u16 {
        let shift = match self.from {
            Origin::Given => None,
            Origin::User => Some(6),
            Origin::Group => Some(3),
            Origin::Other => Some(0),
        };
        let bits = shift.map_or(self.bits, |shift| (((mode >> shift) & 7) * EXECUTE) & self.bits);
        let mode = mode & self.and;
        match (self.takes, self.keeps_x && !had_x && !is_dir) {
            (true, _) => mode & !bits,
            (false, true) => mode | (bits & !EXECUTE),
            (false, false) => mode | bits,
        }
    }
}

/// The mode that `steps` make of `mode`.
pub fn change(mode: u32, is_dir: bool, steps: &[Step]) -> u32 {
    let other = if is_dir { Only::Others } else { Only::Dirs };
    // Modes have 12 bits.
    let mode = (mode & u32::from(ALL)) as u16;
    let had_x = mode & EXECUTE != 0;
    let steps = steps.iter().filter(|step| step.only != other);
    steps.fold(mode, |mode, step| step.apply(mode, had_x, is_dir)).into()
}

/// Understands the items of one `--chmod`.
///
/// # Errors
/// The item that makes no sense.
pub fn parse(text: &str, umask: u32) -> Result<Vec<Step>, Invalid> {
    text.split(',').map(|item| parse_item(item, umask as u16 & 0o777).ok_or_else(|| Invalid(item.into()))).collect()
}

fn parse_item(item: &str, umask: u16) -> Option<Step> {
    let named = item.trim_start_matches(['D', 'F']);
    let only = match (item.contains('D'), item.contains('F')) {
        (true, true) => return None,
        (true, false) => Only::Dirs,
        (false, true) => Only::Others,
        (false, false) => Only::Any,
    };
    if named.starts_with(|first: char| first.is_digit(8)) {
        let bits = u16::from_str_radix(named, 8).ok().filter(|bits| *bits <= ALL)?;
        return Some(Step { only, and: 0, bits, ..Step::default() });
    }
    let at = named.find(['+', '-', '='])?;
    let (who, rest) = named.split_at(at);
    let (op, what) = rest.split_at(1);
    let classes = Classes::parse(who, umask)?;
    let from = match what {
        "u" => Origin::User,
        "g" => Origin::Group,
        "o" => Origin::Other,
        _ => return classes.given(op, what).map(|step| Step { only, ..step }),
    };
    let cleared = if op == "=" { (classes.each * 7) | classes.special() } else { 0 };
    Some(Step {
        only,
        from,
        takes: op == "-",
        and: ALL & !cleared,
        bits: (classes.each * 7) & !classes.masked,
        ..Step::default()
    })
}

/// The classes that an item is about.
struct Classes {
    /// The lowest bit of each.
    each: u16,
    /// Their special bits, of those that were named one by one.
    top: u16,
    /// What the umask withholds.
    masked: u16,
}

impl Classes {
    fn parse(who: &str, umask: u16) -> Option<Classes> {
        let mut classes = Classes { each: 0, top: 0, masked: 0 };
        for class in who.chars() {
            let (each, top) = match class {
                'u' => (0o100, 0o4000),
                'g' => (0o010, 0o2000),
                'o' => (0o001, 0),
                'a' => (0o111, 0),
                _ => return None,
            };
            classes.each |= each;
            classes.top |= top;
        }
        if who.is_empty() {
            (classes.each, classes.masked) = (EXECUTE, umask);
        }
        Some(classes)
    }

    /// The special bit of each class.
    fn special(&self) -> u16 {
        [(0o100, 0o4000), (0o010, 0o2000), (0o001, 0o1000)]
            .iter()
            .filter(|(class, _)| self.each & class != 0)
            .fold(0, |bits, (_, special)| bits | special)
    }

    fn given(&self, op: &str, what: &str) -> Option<Step> {
        let (mut each, mut top, mut keeps_x) = (0, 0, false);
        for letter in what.chars() {
            match letter {
                'r' => each |= 4,
                'w' => each |= 2,
                'x' => each |= 1,
                'X' => (each, keeps_x) = (each | 1, true),
                's' => top |= if self.top == 0 { 0o4000 } else { self.top },
                't' => top |= 0o1000,
                _ => return None,
            }
        }
        let bits = ((self.each * each) & !self.masked) | top;
        let cleared = if top == 0 { self.each * 7 } else { (self.each * 7) | self.top };
        Some(match op {
            "+" => Step { keeps_x, and: ALL, bits, ..Step::default() },
            "-" => Step { takes: true, and: ALL, bits, ..Step::default() },
            _ => Step { keeps_x, and: ALL & !cleared, bits, ..Step::default() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, mode: u32, is_dir: bool) -> u32 {
        change(mode, is_dir, &parse(text, 0o022).expect(text))
    }

    #[test]
    fn items_change_modes_as_chmod_does() {
        for (text, before, after) in [
            ("644", 0o4755, 0o644),
            ("u=rwx,go=rx", 0o600, 0o755),
            ("go-w", 0o666, 0o644),
            ("a+X", 0o644, 0o644),
            ("a+X", 0o744, 0o755),
            ("+w", 0o444, 0o644),
            ("a+w", 0o444, 0o666),
            ("=r", 0o777, 0o444),
            ("u+s,g+s", 0o755, 0o6755),
            ("+t", 0o755, 0o1755),
            ("u-s", 0o6755, 0o2755),
            ("g=u", 0o640, 0o660),
            ("o=g", 0o1750, 0o755),
            ("g-o", 0o674, 0o634),
            ("go=", 0o777, 0o700),
            ("Fo-r,D700", 0o644, 0o640),
        ] {
            assert_eq!(changed(text, before, false), after, "{text} of {before:o}");
        }
    }

    #[test]
    fn a_letter_in_front_restricts_an_item_to_directories_or_the_rest() {
        assert_eq!(changed("D2775,F664", 0o700, true), 0o2775);
        assert_eq!(changed("D2775,F664", 0o700, false), 0o664);
        assert_eq!(changed("Dg+s,ug+w,Fo-w,+X", 0o755, true), 0o2775);
        assert_eq!(changed("Dg+s,ug+w,Fo-w,+X", 0o646, false), 0o664);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "u", "rw", "u+q", "DF644", "8", "10000", "u644", "g=uo", "g=ur", "u+r,,", "64x"] {
            assert!(parse(text, 0o022).is_err(), "{text}");
        }
    }
}
