//! What a client says first, HELLO and SESSION_START, and how a server can know it before it comes.
//!
//! `ssh` passes nothing on until it has heard that the remote command was started: a round trip in which a server that is
//! to send could already list. So a client that pulls says its first words twice, over the link as ever, and before that in
//! the environment of the remote command, in hexadecimal digits. A server that finds them there begins with them, and holds
//! what then comes over the link against them. Where they do not get through (`sudo`, a forced command, an older build)
//! nothing is lost but the time.

use std::ffi::OsString;

use super::client::start_of;
use super::{Prepared, file_list};
use crate::protocol::hello::{Clock, Hello};
use crate::protocol::message::{Message, Role, SessionStart};
use crate::transport::{Link, OPENING};

/// Longer first words come over the link alone, in bytes: a command has its bounds, too.
const LONGEST: usize = 8 << 10;

/// A client's first words.
pub(super) struct Opening {
    pub(super) clock: Clock,
    /// The greeting, as a frame.
    pub(super) hello: Vec<u8>,
    pub(super) start: SessionStart,
}

impl Opening {
    pub(super) fn new(prepared: &Prepared) -> Opening {
        let clock = Clock::start();
        Opening { clock, hello: Hello::ours(&clock, 0).encode(), start: start_of(&prepared.request, prepared.seed) }
    }
}

impl Prepared {
    /// The first words of this session as the value of [`OPENING`], where they can be said ahead: of a pull that waits for no
    /// greeting.
    pub fn said_ahead(&mut self) -> Option<OsString> {
        if !file_list::STREAMS || self.request.role != Role::Receiver {
            return None;
        }
        let opening = Opening::new(self);
        let start = Message::SessionStart(Box::new(opening.start.clone())).encode(&Default::default());
        let words = [&opening.hello[..], &start.head].concat();
        self.opening = Some(Box::new(opening));
        (words.len() <= LONGEST).then(|| digits(&words).into())
    }
}

/// The link of a server, with the words that are in its environment heard already.
pub fn heard_ahead(link: Link) -> Link {
    let words = std::env::var(OPENING).ok().and_then(|text| bytes(&text));
    match words {
        Some(words) => link.heard_ahead(words),
        None => link,
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`digits`] have been made of; `None` for anything else.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || digits.len() > 2 * LONGEST || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_bytes_again_and_what_is_none_is_not() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&digits(&all)), Some(all));
        for text in ["", "1", "123", "xy", "+1", "0 ", "\u{e9}\u{e9}", &"00".repeat(LONGEST + 1)] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
