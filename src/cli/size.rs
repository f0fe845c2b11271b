//! Sizes as rsync takes them: a number with or without a fraction, a unit, and one more or less.

/// The units, each a power of 1024 (`K`, `KiB`) or 1000 (`KB`).
const UNITS: &[u8] = b"bkmgtp";

/// The bytes that `text` means: `100`, `1.5m`, `2GB`, `10KiB`, `1k-1`.
///
/// # Errors
/// What is no size, as a sentence for a person.
pub fn parse(text: &str) -> Result<u64, String> {
    bytes(text).ok_or_else(|| format!("not a size: {text} (such as 100, 1.5M, 2GB, 10KiB or 1K-1)"))
}

/// The bytes a second that `text` means: as a size, but in KiB where no unit is given, and a whole number of KiB, at least one;
/// 0 for no limit.
///
/// # Errors
/// What is no rate, as a sentence for a person.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let bare = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate = if bare { bytes(&format!("{text}K")) } else { bytes(text) };
    match rate {
        Some(rate @ 1..512) => Err(format!("{rate} bytes a second is too slow: the least is 512")),
        Some(rate) => Ok(rate.saturating_add(512) / 1024 * 1024),
        None => Err(format!("not a rate: {text} (such as 100 for KiB a second, 1.5M or 2MB)")),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let rest = rest.to_ascii_lowercase();
    let (unit, more) = match ["+1", "-1"].iter().find_map(|end| Some((rest.strip_suffix(end)?, *end))) {
        Some((unit, more)) => (unit, if more == "+1" { 1 } else { -1 }),
        None => (&rest[..], 0),
    };
    let (letter, base) = match unit.as_bytes() {
        [] => (b'b', 1024),
        [letter] | [letter, b'i', b'b'] => (*letter, 1024),
        [letter, b'b'] => (*letter, 1000),
        _ => return None,
    };
    let power = UNITS.iter().position(|other| *other == letter)?;
    let scale = u64::pow(base, power as u32);
    scaled(number, scale)?.checked_add_signed(more)
}

/// A decimal number times `scale`, without what is left of a byte.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // More places than these cannot make a byte.
    let places = &fraction[..fraction.len().min(18)];
    let part = match places {
        "" => 0,
        places => u128::from(places.parse::<u64>().ok()?) * u128::from(scale) / 10u128.pow(places.len() as u32),
    };
    whole.checked_mul(scale)?.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_rsync() {
        let cases = [
            ("0", 0),
            ("100", 100),
            ("100b", 100),
            ("1K", 1024),
            ("1kb", 1000),
            ("10KiB", 10_240),
            ("1.5mb-1", 1_499_999),
            ("1.5M", 1_572_864),
            ("2g+1", 2_147_483_649),
            ("1T", 1 << 40),
            ("1P", 1 << 50),
            (".5k", 512),
            ("3.k", 3072),
            ("1.9", 1),
            ("5-1", 4),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn rates_are_those_of_rsync_in_whole_kib() {
        let cases = [("0", 0), ("1", 1024), ("1.5", 2048), ("1.4", 1024), ("1.5m", 1_572_864), ("100KB", 100_352)];
        for (text, expected) in cases.into_iter().chain([("2000b", 2048), ("512b", 1024), ("1G", 1 << 30)]) {
            assert_eq!(parse_rate(text), Ok(expected), "{text}");
        }
        for text in ["", "511b", "0.4", "fast", "-1"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "k", ".", "1.2.3", "1x", "1kk", "1k-2", "1k-", "-1", "0-1", "1kib1", "99999999P", "1 k"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
