//! A far line for the private server: every byte later, and no more bytes a second than the line carries.
//!
//! | module | for |
//! |---|---|
//! | this one | what line is wanted, and what it is called |
//! | `line` | when what leaves at the other end: pure, told the time |
//! | `connection` | one connection's two sockets, moved by one thread |
//! | `relay` | the port that connections come in on |
//!
//! It works in user space, because a network namespace or netem needs rights and a kernel that not every machine has.
//! It models delay, rate and a bounded queue; it loses and reorders nothing. METHODOLOGY.md says what follows from that.

mod connection;
pub mod line;
pub mod relay;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The least that a direction holds: some tens of packets, as the smallest routers do.
pub const QUEUE_MIN: usize = 64 << 10;
/// The most that a direction holds, and what it holds where the rate has no bound: as much as Linux lets a connection's
/// send buffer grow, and twice what `ssh` itself sends without an answer.
pub const QUEUE_MAX: usize = 4 << 20;
/// The bytes of one packet on an Ethernet path: the least that is read at once.
const PACKET: usize = 1448;
/// The most that is read at once.
const READ: usize = 16 << 10;

/// A line as `--wan` describes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wan {
    /// Milliseconds there and back; half of it each way.
    pub rtt_ms: f64,
    /// Millions of bits a second, each way; none: as fast as it goes.
    pub mbit: Option<f64>,
}

impl Wan {
    /// The time from one end to the other.
    pub fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.rtt_ms / 2e3)
    }

    /// The bytes a second of one direction.
    pub fn bytes_per_s(&self) -> Option<f64> {
        self.mbit.map(|mbit| mbit * 1e6 / 8.0)
    }

    /// The bytes that one direction of a connection holds until its sender has to wait: what is on its way, and as much
    /// again in the queue before a slow line.
    pub fn queue(&self) -> usize {
        let on_its_way = |rate: f64| rate * self.delay().as_secs_f64();
        self.bytes_per_s().map_or(QUEUE_MAX, |rate| (2.0 * on_its_way(rate)) as usize).clamp(QUEUE_MIN, QUEUE_MAX)
    }

    /// The most that is read at once: what the line carries in a millisecond, so that a read's last byte does not hold
    /// up its first, but no less than a packet.
    pub fn read_size(&self) -> usize {
        self.bytes_per_s().map_or(READ, |rate| ((rate / 1e3) as usize).clamp(PACKET, READ))
    }

    /// The transport's name in samples and tables.
    pub fn label(&self) -> String {
        format!("ssh:wan-{self}")
    }
}

impl fmt::Display for Wan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.rtt_ms)?;
        self.mbit.map_or(Ok(()), |mbit| write!(f, "-{mbit}mbit"))
    }
}

impl FromStr for Wan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rtt, mbit) = text.split_once(':').map_or((text, None), |(rtt, mbit)| (rtt, Some(mbit)));
        let rtt_ms = number(rtt, "a round trip", "ms", 0.1..=10_000.0)?;
        let mbit = mbit.map(|mbit| number(mbit, "a rate", "Mbit/s", 0.1..=100_000.0)).transpose()?;
        Ok(Wan { rtt_ms, mbit })
    }
}

fn number(text: &str, what: &str, unit: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let value: Option<f64> = text.parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| format!("{what} lies between {} and {} {unit}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wan(text: &str) -> Wan {
        text.parse().unwrap()
    }

    #[test]
    fn the_rate_may_be_left_out_and_both_may_have_fractions() {
        assert_eq!(wan("50"), Wan { rtt_ms: 50.0, mbit: None });
        assert_eq!(wan("0.5:2.5"), Wan { rtt_ms: 0.5, mbit: Some(2.5) });
    }

    #[test]
    fn what_is_no_line_is_refused_with_the_bounds() {
        for text in ["", "0", "-5", "nan", "inf", "50ms", "20000", ":5", "50:", "50:0", "50:1:2"] {
            let refused = text.parse::<Wan>().unwrap_err();
            assert!(refused.contains("lies between 0.1 and"), "{text}: {refused}");
        }
    }

    #[test]
    fn the_label_tells_delay_and_rate() {
        assert_eq!(wan("50").label(), "ssh:wan-50ms");
        assert_eq!(wan("100:20").label(), "ssh:wan-100ms-20mbit");
    }

    #[test]
    fn the_queue_is_the_bandwidth_delay_product_within_its_bounds() {
        // 20 Mbit/s for 0.1 s.
        assert_eq!(wan("100:20").queue(), 250_000);
        assert_eq!(wan("10:1").queue(), QUEUE_MIN);
        assert_eq!(wan("300:10000").queue(), QUEUE_MAX);
        assert_eq!(wan("1").queue(), QUEUE_MAX);
    }

    #[test]
    fn a_read_is_a_millisecond_of_the_line_or_a_packet() {
        assert_eq!(wan("50:20").read_size(), 2500);
        assert_eq!(wan("50:1").read_size(), PACKET);
        assert_eq!(wan("50").read_size(), READ);
    }
}
