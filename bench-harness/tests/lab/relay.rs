//! The relay with real sockets: what its lines do is tested exactly where they are pure (`wan::line`), here stands what
//! only sockets have. Times have a strict lower bound; the one upper bound is a generous one on a median.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bench_harness::wan::relay::Relay;
use bench_harness::wan::{QUEUE_MAX, Wan};
use rustix::net::sockopt;

const RTT: Duration = Duration::from_millis(40);

fn wan(text: &str) -> Wan {
    text.parse().unwrap()
}

fn connect(relay: &Relay) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A relay before a server that serves so many connections, each in a thread of its own. What a thread panics with is
/// seen by who joins.
fn relayed<T: Send + 'static>(
    text: &str,
    connections: usize,
    serve: impl Fn(TcpStream) -> T + Clone + Send + 'static,
) -> (Relay, JoinHandle<Vec<T>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let relay = Relay::start(wan(text), listener.local_addr().unwrap().port()).unwrap();
    let server = thread::spawn(move || {
        let serving = (0..connections).map(|_| {
            let (stream, serve) = (listener.accept().unwrap().0, serve.clone());
            thread::spawn(move || serve(stream))
        });
        let serving: Vec<_> = serving.collect();
        serving.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (relay, server)
}

fn echo(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 64];
    while let n @ 1.. = stream.read(&mut buffer).unwrap() {
        stream.write_all(&buffer[..n]).unwrap();
    }
}

/// Bytes that do not repeat with any buffer's length.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 56) as u8)
    };
    std::iter::from_fn({
        let mut state = seed;
        move || next(&mut state)
    })
    .take(count)
    .collect()
}

/// Writes in pieces of all sizes.
fn write_in_pieces(stream: &mut TcpStream, mut all: &[u8]) {
    let mut size = 1;
    while !all.is_empty() {
        let (piece, rest) = all.split_at(size.min(all.len()));
        stream.write_all(piece).unwrap();
        (all, size) = (rest, size * 7 % 40_009 + 1);
    }
}

fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

fn is_reset(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_round_trip_takes_one_rtt_and_little_more() {
    let (relay, _server) = relayed("40", 1, echo);
    let mut stream = connect(&relay);
    let mut trips: Vec<Duration> = (0..15)
        .map(|_| {
            let since = Instant::now();
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            since.elapsed()
        })
        .collect();
    // The first one waited for the connection too.
    trips.remove(0);
    trips.sort();
    assert!(trips[0] >= RTT, "{trips:?}");
    assert!(trips[trips.len() / 2] < 2 * RTT, "{trips:?}");
}

#[test]
fn setting_up_a_connection_takes_an_rtt_before_anybody_speaks() {
    let (relay, server) = relayed("40", 1, |mut stream| {
        let accepted = Instant::now();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        (accepted, Instant::now())
    });
    let since = Instant::now();
    let mut stream = connect(&relay);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let greeted = since.elapsed();
    let (accepted, spoken_to) = server.join().unwrap()[0];
    assert!(accepted - since >= RTT * 3 / 2 && spoken_to - since >= RTT * 3 / 2);
    assert!(greeted >= 2 * RTT, "{greeted:?}");
}

#[test]
fn all_connections_together_get_the_rate_and_no_more() {
    let (relay, server) = relayed("1:8", 2, |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        (all.len(), Instant::now())
    });
    let since = Instant::now();
    // A megabyte a second.
    for _ in 0..2 {
        connect(&relay).write_all(&[7; 100_000]).unwrap();
    }
    let served = server.join().unwrap();
    assert!(served.iter().all(|(count, _)| *count == 100_000));
    let last = served.iter().map(|(_, at)| *at).max().unwrap();
    assert!(last - since >= Duration::from_millis(200), "{:?}", last - since);
}

#[test]
fn a_server_that_does_not_read_stops_the_sender_and_loses_nothing() {
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let (relay, server) = relayed("2", 1, move |mut stream| {
        wait.lock().unwrap().recv().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let mut stream = connect(&relay);
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // More than the line and the buffers of all four sockets hold.
    let all = bytes(1, QUEUE_MAX + (60 << 20));
    let mut written = 0;
    while written < all.len()
        && let Ok(n) = stream.write(&all[written..])
    {
        written += n;
    }
    assert!(written < all.len(), "the sender was never stopped");
    assert!(written >= QUEUE_MAX, "it was stopped at {written}");
    go.send(()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(server.join().unwrap()[0] == all[..written]);
}

#[test]
fn bytes_arrive_complete_and_in_order_both_ways_at_once() {
    for text in ["5", "5:400"] {
        let (relay, server) = relayed(text, 1, |mut stream| {
            let mut out = stream.try_clone().unwrap();
            let sending = thread::spawn(move || {
                write_in_pieces(&mut out, &bytes(2, 1 << 20));
                out.shutdown(Shutdown::Write).unwrap();
            });
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            sending.join().unwrap();
            all
        });
        let mut stream = connect(&relay);
        let mut out = stream.try_clone().unwrap();
        let sending = thread::spawn(move || {
            write_in_pieces(&mut out, &bytes(3, 1 << 20));
            out.shutdown(Shutdown::Write).unwrap();
        });
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        sending.join().unwrap();
        assert!(all == bytes(2, 1 << 20) && server.join().unwrap()[0] == bytes(3, 1 << 20), "{text}");
    }
}

#[test]
fn one_direction_is_closed_and_the_other_goes_on() {
    let (relay, server) = relayed("2", 1, |mut stream| {
        let mut question = String::new();
        stream.read_to_string(&mut question).unwrap();
        stream.write_all(format!("{question} heard").as_bytes()).unwrap();
    });
    let mut stream = connect(&relay);
    stream.write_all(b"question").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "question heard");
    server.join().unwrap();
}

#[test]
fn a_reset_is_passed_on_as_a_reset_a_delay_later() {
    let (relay, server) = relayed("40", 1, |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        reset(stream);
        Instant::now()
    });
    let mut stream = connect(&relay);
    stream.write_all(b"x").unwrap();
    assert!(is_reset(&mut stream));
    let known = Instant::now();
    assert!(known - server.join().unwrap()[0] >= RTT / 2);
}

#[test]
fn a_reset_reaches_a_server_that_was_told_the_end_and_one_that_was_not() {
    for half_closed in [false, true] {
        let (relay, server) = relayed("2", 1, move |mut stream| {
            stream.read_exact(&mut [0]).unwrap();
            if half_closed {
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
                // Nobody reads it: what stands in the way of an end must not stand in the way of a reset.
                while stream.write(&[0; 1 << 16]).is_ok() {}
                return true;
            }
            is_reset(&mut stream)
        });
        let mut stream = connect(&relay);
        stream.write_all(b"x").unwrap();
        if half_closed {
            stream.shutdown(Shutdown::Write).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
        reset(stream);
        assert!(server.join().unwrap()[0]);
    }
}

#[test]
fn a_server_that_is_not_there_is_a_reset() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let relay = Relay::start(wan("2"), port).unwrap();
    assert!(is_reset(&mut connect(&relay)));
}

#[test]
fn many_connections_at_once_are_each_their_own() {
    let (relay, server) = relayed("20", 60, echo);
    let mut streams: Vec<TcpStream> = (0..60).map(|_| connect(&relay)).collect();
    for round in 0..5_u8 {
        for (stream, own) in streams.iter_mut().zip(0_u8..) {
            stream.write_all(&[own, round]).unwrap();
        }
        for (stream, own) in streams.iter_mut().zip(0_u8..) {
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [own, round]);
        }
    }
    drop(streams);
    server.join().unwrap();
}

#[test]
fn a_relay_that_is_dropped_closes_its_port_and_its_connections() {
    let (relay, server) = relayed("2", 1, echo);
    let mut stream = connect(&relay);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let port = relay.port;
    drop(relay);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    server.join().unwrap();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}
