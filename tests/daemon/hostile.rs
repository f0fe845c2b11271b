//! Whoever comes to the daemon's door and is no client of its user's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sy::protocol::hello::{Clock, Hello};

use super::links::Wired;
use super::{Den, held, is_daemon, number};
use crate::harness::noise;
use crate::harness::process::wait_until;

/// Says something, and reads until the daemon hangs up.
fn say(mut stream: impl Read + Write, words: &[u8]) -> Vec<u8> {
    // It may have heard enough before the end.
    let _ = stream.write_all(words);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn garbage_ends_its_own_connection() {
    let den = Den::new();
    let pid = den.start(&[]);
    let mut other = Wired::greeted(den.connect());
    let hello = Hello::ours(&Clock::start(), 0).encode();
    let frame = |code: u8, payload: &[u8]| [&(payload.len() as u32 + 1).to_be_bytes()[..], &[code], payload].concat();
    let cases = [
        noise(1, 100_000),
        vec![0; 4096],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        frame(0x40, b"{}"),
        frame(0x40, &noise(2, 1000)),
        frame(0x40, &vec![b'['; 60_000]),
        frame(0x40, br#"{"version":"x","request":"Connected"}"#),
        u32::MAX.to_be_bytes().iter().copied().chain([0x40, b'{']).collect(),
        [&hello[..], &noise(3, 10_000)].concat(),
        [&hello[..], &frame(0x31, &noise(4, 1000))].concat(),
        [&hello[..], &frame(0x33, &[0; 8])].concat(),
        [&hello[..], &hello[..]].concat(),
    ];
    for words in &cases {
        let stream = den.connect();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        say(stream, words);
    }
    assert!(is_daemon(pid), "{}", den.log());
    assert!(!den.log().contains("panicked"), "{}", den.log());
    other.wire.send(&sy::protocol::message::Message::Keepalive { timestamp: 5, echo: Some(0) });
    other.wire.recv_any();
    wait_until("only one link is left", || number(&den.status().expect("it runs")["links"]) == 1);
}

#[test]
fn one_who_says_nothing_is_sent_away_and_keeps_nobody_waiting() {
    let den = Den::new();
    den.start(&[]);
    let mut silent: Vec<UnixStream> = (0..20).map(|_| den.connect()).collect();
    let mut slow = den.connect();
    slow.write_all(&Hello::ours(&Clock::start(), 0).encode()[..9]).unwrap();
    silent.push(slow);
    Wired::greeted(den.connect());
    for mut stream in silent {
        let mut answer = Vec::new();
        assert_eq!(stream.read_to_end(&mut answer).unwrap_or(0), 0, "it ends, and nothing was said");
    }
    wait_until("nobody is there", || number(&den.status().expect("it runs")["links"]) == 0);
}

#[test]
fn more_connections_than_there_is_room_for_are_turned_away_until_there_is_room() {
    let den = Den::new();
    let pid = den.start(&[]);
    let before = held(pid, "fd");
    let streams: Vec<UnixStream> = (0..600).filter_map(|_| UnixStream::connect(den.socket()).ok()).collect();
    wait_until("some are turned away", || den.log().contains("turned away"));
    drop(streams);
    wait_until("it answers again", || den.daemon(&["status"]).run().status.success());
    wait_until("nothing is left of them", || held(pid, "fd") <= before + 1);
}

#[test]
fn a_port_opens_for_the_token_alone() {
    let den = Den::new();
    den.start(&["--port", "0"]);
    let port = number(&den.status().expect("it runs")["port"]) as u16;
    let token = fs::read(den.path("run/sy/token")).unwrap();
    assert_eq!(fs::metadata(den.path("run/sy/token")).unwrap().mode() & 0o777, 0o600);
    let hello = Hello::ours(&Clock::start(), 0).encode();
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    };
    let wrong = [b"0".repeat(64), b"\n".to_vec()].concat();
    for opening in [&b""[..], &wrong, &token[..64], &[&token[1..], b"\n\n"].concat()] {
        assert!(say(connect(), &[opening, &hello, &[b'x'; 64]].concat()).is_empty(), "{}", opening.escape_ascii());
    }
    let mut stream = connect();
    stream.write_all(&[&token[..], &hello].concat()).unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], hello[4..9], "a greeting");
    // No request but sessions comes that way.
    let request = [&token[..], &[0, 0, 0, 3, 0x40, b'{', b'}'], &[b'x'; 64]].concat();
    assert!(say(connect(), &request).is_empty());
    let listening = fs::read_to_string("/proc/net/tcp").unwrap();
    let open = format!("00000000:{port:04X}");
    assert!(!listening.contains(&open), "it listens on the loopback only");
    den.daemon(&["stop"]).run().ok();
    assert!(!den.path("run/sy/token").exists());
}
