//! Sessions one after another on one link.

use std::os::unix::net::UnixStream;

use super::client::{send_start, start_of};
use super::host::{at_home, read_start};
use super::*;
use crate::transport::socket;

/// A link of sockets, so that an end can be held twice.
fn link_on(stream: &UnixStream) -> Link {
    socket::unix(stream.try_clone().expect("a socket of ours")).expect("within a runtime").kept()
}

/// Serves sessions until the link ends or one of them ends it; how many ended well.
async fn serve_all(mut link: Link) -> usize {
    let Ok(host) = greet(&mut link).await else { return 0 };
    let mut served = 0;
    while let Ok(start) = read_start(&mut link).await {
        let (result, rest) = host.serve(link, start).await;
        served += usize::from(result.is_ok());
        match rest {
            Rest::Free(free) => link = free,
            Rest::Owed(_) | Rest::Doubtful => break,
        }
    }
    served
}

async fn greeted(near: &UnixStream) -> Known {
    let mut link = link_on(near);
    let ours = Hello::ours(&Clock::start(), 0).encode();
    send_raw(&mut link, &ours, &Traffic::default()).await.expect("room for a greeting");
    let theirs = hello::read(&mut link.reader, None).await.expect("a greeting");
    Known { capabilities: theirs.capabilities, rtt: None }
}

/// One session; the link is free when it returns.
async fn again(near: &UnixStream, known: Known, request: Request) -> std::result::Result<Outcome, Silence> {
    let monitor = Arc::new(Monitor::deaf());
    let prepared = Prepared::new(request, &monitor);
    let first_word = Duration::from_secs(30);
    let (outcome, rest) = client_again(link_on(near), known, first_word, prepared, monitor.clone()).await?;
    match rest {
        Rest::Free(_) => {}
        Rest::Owed(session_id) => await_over(&mut link_on(near), session_id).await.expect("the end of the session"),
        Rest::Doubtful => panic!("a session that ended well leaves no doubt"),
    }
    Ok(outcome)
}

/// Lets `client` have a link on which sessions are served; how many were.
fn with_server(client: impl AsyncFnOnce(&UnixStream)) -> usize {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    runtime().block_on(async move {
        let served = tokio::spawn(serve_all(socket::unix(far).expect("a socket of ours").kept()));
        client(&near).await;
        drop(near);
        served.await.expect("no panic")
    })
}

#[test]
fn sessions_follow_one_another_on_a_link_and_an_unchanged_tree_takes_one_round_trip() {
    let served = with_server(async |near| {
        let known = greeted(near).await;
        for round in 0..20 {
            for role in [Role::Sender, Role::Receiver] {
                let trees = Trees::new();
                trees.file("d/small", &noise(100, round));
                trees.file("large", &noise(400_000, round));
                again(near, known, trees.request(role)).await.expect("it ends well");
                assert_eq!(trees.read("large"), noise(400_000, round));
                let unchanged = again(near, known, trees.request(role)).await.expect("it ends well");
                assert_eq!(unchanged.ours.literal, 0);
                assert_eq!(unchanged.ours.round_trips, if file_list::STREAMS { 1 } else { 2 });
            }
        }
    });
    assert_eq!(served, 80);
}

#[test]
fn a_compressed_session_leaves_the_link_for_one_that_is_not() {
    let served = with_server(async |near| {
        let known = greeted(near).await;
        for round in 0..6 {
            let mut trees = Trees::new();
            trees.options.compress = round % 2 == 0;
            trees.file("large", &noise(400_000, round));
            again(near, known, trees.request(Role::Sender)).await.expect("it ends well");
            assert_eq!(trees.read("large"), noise(400_000, round));
        }
    });
    assert_eq!(served, 6);
}

#[test]
fn an_error_ends_a_session_and_its_link() {
    let served = with_server(async |near| {
        let known = greeted(near).await;
        let trees = Trees::new();
        trees.file("a", b"contents");
        again(near, known, trees.request(Role::Sender)).await.expect("it ends well");
        fs::write(trees.dir.path().join("file"), "no directory").expect("a file");
        let request = Request { destination: trees.path("file"), ..trees.request(Role::Sender) };
        trees.file("b", b"contents");
        let failed = again(near, known, request).await;
        assert!(matches!(failed, Err(Silence::Error(Error::Peer { .. }))), "{:?}", failed.err());
        // What is heard there, if anything, is the end of the one that failed.
        let ended = again(near, known, trees.request(Role::Sender)).await;
        assert!(matches!(ended, Err(Silence::Ended | Silence::Error(Error::Stream(_)))), "{:?}", ended.err());
    });
    assert_eq!(served, 1);
}

#[test]
fn the_end_of_another_session_is_an_offence() {
    let trees = Trees::new();
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    runtime().block_on(async {
        let served = tokio::spawn(serve_all(socket::unix(far).expect("a socket of ours").kept()));
        greeted(&near).await;
        let mut link = link_on(&near);
        let start = start_of(&trees.request(Role::Sender), 1);
        let other = start.session_id.wrapping_add(1);
        send_start(&mut link, start, &Traffic::default()).await.expect("room for it");
        let over = Message::SessionOver { session_id: other }.encode(&Buffers::default());
        send_raw(&mut link, &over.head, &Traffic::default()).await.expect("room for it");
        drop((link, near));
        assert_eq!(served.await.expect("no panic"), 0);
    });
}

#[test]
fn a_relative_path_begins_at_home() {
    let at =
        |path: &str, home: Option<&str>| String::from_utf8(at_home(path.into(), false, home.map(Path::new))).unwrap();
    let kept = |path: &str| String::from_utf8(at_home(path.into(), true, Some(Path::new("/home/u")))).unwrap();
    assert_eq!([kept("a/b"), kept("a/./b"), kept("/a")], ["/home/u/./a/b", "/home/u/a/./b", "/a"]);
    assert_eq!([kept("././a"), kept("./s/./a"), kept("./a")], ["/home/u/./a", "/home/u/s/./a", "/home/u/././a"]);
    assert_eq!(at("a/b", Some("/home/u")), "/home/u/a/b");
    assert_eq!(at("", Some("/home/u")), "/home/u/");
    assert_eq!(at("~", Some("/home/u")), "/home/u");
    assert_eq!(at("~/a", Some("/home/u")), "/home/u/a");
    assert_eq!(at("~a", Some("/home/u")), "/home/u/~a");
    assert_eq!(at("/a", Some("/home/u")), "/a");
    assert_eq!(at("a/b", None), "a/b");
}
