//! Links to the daemon's socket, without any ssh: sessions one after another, many at once, and what stays after them.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sy::events::{Event, Events, Monitor};
use sy::options::Options;
use sy::protocol::hello::{Clock, Hello, Silence};
use sy::protocol::message::{Message, Role};
use sy::session::{self, Known, Outcome, Prepared, Request, Rest};
use sy::transport::socket;

use super::{Den, held, number, resident_kib};
use crate::harness::peer::{Wire, archive};
use crate::harness::process::wait_until;
use crate::harness::{Sandbox, Tree, Way, noise};

/// A link with the test at its client's end, message by message.
pub struct Wired {
    pub wire: Wire<UnixStream, UnixStream>,
}

impl Wired {
    pub fn greeted(stream: UnixStream) -> Wired {
        Wired::try_greeted(stream).expect("a greeting")
    }

    /// `None` if there is no greeting in answer to ours.
    pub fn try_greeted(stream: UnixStream) -> Option<Wired> {
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        let reader = stream.try_clone().expect("a socket");
        let mut wire = Wire::new(reader, stream);
        wire.send_raw(&Hello::ours(&Clock::start(), 0).encode());
        wire.heard_greeting().then_some(Wired { wire })
    }
}

struct Deaf;

impl Events for Deaf {
    fn event(&self, _: &Event<'_>) {}
}

/// A link with our own client at its end, for session after session.
pub struct Client {
    stream: UnixStream,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub fn new(stream: UnixStream) -> Client {
        let wired = Wired::greeted(stream.try_clone().expect("a socket"));
        drop(wired);
        stream.set_read_timeout(None).expect("a socket");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Client { stream, runtime }
    }

    /// One session; the link is free again when it returns.
    pub fn sync(&self, role: Role, options: &Options, from: &[u8], to: &[u8]) -> Result<Outcome, Silence> {
        let request =
            Request { role, options: options.clone(), sources: vec![from.to_vec()], destination: to.to_vec() };
        self.runtime.block_on(async {
            let link = || socket::unix(self.stream.try_clone().expect("a socket")).expect("a link").kept();
            let monitor = Arc::new(Monitor::new(Box::new(Deaf)));
            let known = Known { capabilities: sy::phases::capabilities(), rtt: None };
            let (prepared, first_word) = (Prepared::new(request, &monitor), Duration::from_secs(30));
            let (outcome, rest) = session::client_again(link(), known, first_word, prepared, monitor).await?;
            match rest {
                Rest::Free(_) => {}
                Rest::Owed(session_id) => session::await_over(&mut link(), session_id).await?,
                Rest::Doubtful => panic!("a session that ended well leaves no doubt"),
            }
            Ok(outcome)
        })
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// Pushes or pulls the sandbox's source to its destination.
fn sync(client: &Client, sandbox: &Sandbox, role: Role) -> Outcome {
    let (from, to) = (bytes(&sandbox.path("source/")), bytes(&sandbox.destination()));
    client.sync(role, &archive(), &from, &to).unwrap_or_else(|silence| panic!("{silence:?}"))
}

fn tree(seed: u64) -> Tree {
    (0..12).fold(Tree::new().file("large", noise(seed, 200_000)), |tree, index| {
        tree.file(format!("d{}/f{index}", index % 3), noise(seed + index, 300))
    })
}

#[test]
fn sessions_of_every_kind_follow_one_another_on_a_link() {
    let den = Den::new();
    den.start(&[]);
    let client = Client::new(den.connect());
    for round in 0..10 {
        for role in [Role::Sender, Role::Receiver] {
            let sandbox = Sandbox::new(Way::Push);
            sandbox.write_source(&tree(round));
            sync(&client, &sandbox, role);
            sandbox.assert_synced();
            assert_eq!(sync(&client, &sandbox, role).ours.literal, 0);
        }
    }
    let status = den.status().expect("it runs");
    assert_eq!((number(&status["served"]), number(&status["failed"]), number(&status["links"])), (40, 0, 1));
}

#[test]
fn a_thousand_sessions_leave_no_thread_no_file_and_no_memory_behind() {
    let den = Den::new();
    let pid = den.start(&[]);
    let sandbox = Sandbox::in_memory(Way::Push);
    sandbox.write_source(&tree(1));
    let clients: Vec<Client> = (0..4).map(|_| Client::new(den.connect())).collect();
    let run = |sessions: usize| {
        for turn in 0..sessions {
            let role = if turn % 2 == 0 { Role::Sender } else { Role::Receiver };
            sync(&clients[turn % clients.len()], &sandbox, role);
        }
    };
    run(200);
    let (files, threads, memory) = (held(pid, "fd"), held(pid, "task"), resident_kib(pid));
    run(1000);
    let memory_after = resident_kib(pid);
    // Files are closed when a session is over, which its client need not wait for; a thread lives on for a while, for the next.
    wait_until("nothing is left of them", || held(pid, "fd") <= files && held(pid, "task") <= threads);
    assert!(memory_after <= memory + (4 << 10), "{memory} KiB became {memory_after}");
    assert_eq!(number(&den.status().expect("it runs")["served"]), 1200);
}

#[test]
fn links_serve_sessions_at_once_and_know_nothing_of_each_other() {
    let den = Den::new();
    den.start(&[]);
    std::thread::scope(|scope| {
        for seed in 0..12 {
            let den = &den;
            scope.spawn(move || {
                let (client, sandbox) = (Client::new(den.connect()), Sandbox::new(Way::Push));
                sandbox.write_source(&tree(seed));
                for role in [Role::Sender, Role::Receiver] {
                    sync(&client, &sandbox, role);
                    sandbox.assert_synced();
                }
            });
        }
    });
}

#[test]
fn relative_paths_begin_at_home() {
    let den = Den::new();
    den.start(&[]);
    let client = Client::new(den.connect());
    let sandbox = Sandbox::new(Way::Push);
    sandbox.write_source(&tree(3));
    let source = bytes(&sandbox.path("source/"));
    for (to, at) in [("there", "there"), ("~/tilde", "tilde"), ("a/b/../c", "a/c")] {
        std::fs::create_dir_all(den.path("home/a/b")).expect("a directory of ours");
        client.sync(Role::Sender, &archive(), &source, to.as_bytes()).expect("it ends well");
        crate::harness::Snapshot::of(&den.path("home").join(at)).assert_same(&sandbox.source_tree());
    }
    client.sync(Role::Receiver, &archive(), b"there/", &bytes(&sandbox.destination())).expect("it ends well");
    sandbox.assert_synced();
}

#[test]
fn an_error_ends_its_session_and_no_other() {
    let den = Den::new();
    den.start(&[]);
    let (failing, other) = (Client::new(den.connect()), Client::new(den.connect()));
    let sandbox = Sandbox::new(Way::Push);
    sandbox.write_source(&tree(4).file("file", "no directory"));
    let to = bytes(&sandbox.path("source/file"));
    let failed = failing.sync(Role::Sender, &archive(), &bytes(&sandbox.path("source/")), &to);
    assert!(matches!(failed, Err(Silence::Error(_))), "{failed:?}");
    sync(&other, &sandbox, Role::Sender);
    sandbox.assert_synced();
    assert_eq!(number(&den.status().expect("it runs")["failed"]), 1);
}

#[test]
fn a_question_between_two_sessions_is_answered() {
    let den = Den::new();
    den.start(&[]);
    let mut wired = Wired::greeted(den.connect());
    for timestamp in [7, 8, 9] {
        wired.wire.send(&Message::Keepalive { timestamp, echo: Some(0) });
        let answer = wired.wire.recv_any();
        assert!(matches!(answer, Message::Keepalive { echo: Some(echo), .. } if echo == timestamp), "{answer:?}");
    }
}
