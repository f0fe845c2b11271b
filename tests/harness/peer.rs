//! The other end of a session, played by the test: a client of a real `sy --server`, or the server that a real client
//! reaches through a remote shell of ours. It says what it is told to, also what no `sy` would say.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sy::options::Options;
use sy::protocol::buffers::Buffers;
use sy::protocol::frame::RawFrame;
use sy::protocol::hello::{Clock, Hello};
use sy::protocol::message::{FileList, Message, Report, Role, SessionStart};
use sy::tree::entry::{Entry, Kind, Timestamp};
use sy::tree::paths::Paths;

/// No answer takes longer, unless there is none.
const PATIENCE: Duration = Duration::from_secs(120);

/// Frames to and from a peer.
pub struct Wire<R, W> {
    reader: R,
    writer: Option<W>,
}

impl<R: Read, W: Write> Wire<R, W> {
    pub fn new(reader: R, writer: W) -> Wire<R, W> {
        Wire { reader, writer: Some(writer) }
    }

    /// Sends bytes as they are. A peer that has hung up is one that has made up its mind.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        if let Some(writer) = &mut self.writer {
            let _ = writer.write_all(bytes).and_then(|()| writer.flush());
        }
    }

    pub fn send(&mut self, message: &Message) {
        let frame = message.clone().encode(&Buffers::default());
        self.send_raw(&[&frame.head[..], &frame.body[..]].concat());
    }

    /// A frame with this code and payload.
    pub fn send_frame(&mut self, code: u8, payload: &[u8]) {
        let len = payload.len() as u32 + 1;
        self.send_raw(&[&len.to_be_bytes()[..], &[code], payload].concat());
    }

    /// Says that nothing more will be said.
    pub fn hang_up(&mut self) {
        self.writer = None;
    }

    fn frame(&mut self) -> io::Result<RawFrame> {
        let mut header = [0; 5];
        self.reader.read_exact(&mut header)?;
        let [a, b, c, d, code] = header;
        let mut payload = vec![0; u32::from_be_bytes([a, b, c, d]) as usize - 1];
        self.reader.read_exact(&mut payload)?;
        Ok(RawFrame { code, payload })
    }

    /// The next message, whatever it is.
    pub fn recv_any(&mut self) -> Message {
        let frame = self.frame().expect("a frame");
        Message::decode(frame, Path::new("/"), &Buffers::default()).expect("sy sends what sy can read")
    }

    /// The next message but keepalives and remarks; `None` once the link has ended.
    pub fn recv(&mut self) -> Option<Message> {
        loop {
            let frame = self.frame().ok()?;
            match Message::decode(frame, Path::new("/"), &Buffers::default()).expect("sy sends what sy can read") {
                Message::Keepalive { .. } | Message::Progress { .. } => {}
                message => return Some(message),
            }
        }
    }

    /// Reads until the peer says that it gives up; `None` if it ends without.
    pub fn last_word(&mut self) -> Option<Report> {
        loop {
            match self.recv()? {
                Message::Error(report) if report.fatal => return Some(report),
                _ => {}
            }
        }
    }

    /// Greets a peer that has been greeted.
    pub fn greet_again(&mut self) {
        self.send_raw(&Hello::ours(&Clock::start(), 0).encode());
    }

    /// Greets as one who wants to hear of the phases `capabilities`, and reads the peer's greeting.
    pub fn greet(&mut self, capabilities: u64) {
        self.send_raw(&Hello { capabilities, ..Hello::ours(&Clock::start(), 0) }.encode());
        assert!(self.heard_greeting(), "a greeting");
    }

    /// Whether a greeting comes next.
    pub fn heard_greeting(&mut self) -> bool {
        self.frame().is_ok_and(|greeting| greeting.code == sy::protocol::message::code::HELLO)
    }
}

/// A real server, with the test as its client.
pub struct Server {
    child: Child,
    pub wire: Wire<ChildStdout, ChildStdin>,
}

impl Server {
    /// A server that plays `role` at `path`, ready for the first message of that; its list is to come whole.
    pub fn start(role: Role, path: &Path, options: &Options) -> Server {
        Server::start_for(0, role, path, options)
    }

    /// The same for a client of these capabilities.
    pub fn start_for(capabilities: u64, role: Role, path: &Path, options: &Options) -> Server {
        let mut server = Server::bare();
        server.wire.greet(capabilities);
        server.wire.send(&Message::SessionStart(Box::new(SessionStart {
            session_id: 1,
            role,
            seed: SEED,
            echo: 0,
            options: options.clone(),
            paths: vec![std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec()],
        })));
        server
    }

    /// A server that has not been greeted.
    pub fn bare() -> Server {
        let mut child = Command::new(super::SY)
            .arg("--server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sy can be run");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let id = child.id();
        std::thread::spawn(move || {
            std::thread::sleep(PATIENCE);
            // By then it is gone, and its parent with it, or it hangs and the test waits for it.
            if Path::new(&format!("/proc/{id}/task/{id}")).exists() {
                super::process::signal_process(id, nix::sys::signal::Signal::SIGKILL);
            }
        });
        Server { child, wire: Wire::new(output, input) }
    }

    /// Closes the link and waits for the end: its exit code and what it complained of.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        self.wire.hang_up();
        while self.wire.frame().is_ok() {}
        let output = self.child.wait_with_output().expect("a child of ours");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!complaint.contains("panicked"), "{complaint}");
        (output.status.code().unwrap_or(-1), complaint)
    }
}

/// The seed of the sessions that the test starts.
pub const SEED: u64 = 42;

/// A place where a client's remote shell leads to the test: two FIFOs.
pub struct Booth {
    dir: tempfile::TempDir,
}

impl Booth {
    pub fn new() -> Booth {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["in", "out"] {
            nix::unistd::mkfifo(&dir.path().join(name), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        }
        Booth { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What to give to `-e`.
    pub fn shell(&self) -> String {
        let (input, output) = (self.path("in"), self.path("out"));
        format!("sh -c 'exec 3<&0; cat <&3 >{} & exec 3<&-; exec cat <{}' rsh", input.display(), output.display())
    }

    /// Plays the server once a client has come.
    pub fn serve<T: Send + 'static>(
        &self,
        play: impl FnOnce(&mut Wire<File, File>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let (input, output) = (self.path("in"), self.path("out"));
        std::thread::spawn(move || {
            let reader = File::open(input).expect("a FIFO of ours");
            let writer = File::options().write(true).open(output).expect("a FIFO of ours");
            play(&mut Wire::new(reader, writer))
        })
    }

    /// Puts a real server behind the booth, and cuts the link after so many bytes, to the server or from it.
    pub fn relay(&self, to_server: Option<usize>, from_server: Option<usize>) -> JoinHandle<(usize, usize)> {
        let (input, output) = (self.path("in"), self.path("out"));
        std::thread::spawn(move || {
            let from_client = File::open(input).expect("a FIFO of ours");
            let to_client = File::options().write(true).open(output).expect("a FIFO of ours");
            let mut server = Server::bare();
            let stdin = server.wire.writer.take().expect("not hung up yet");
            let stdout = server.wire.reader;
            let there = std::thread::spawn(move || pass(from_client, stdin, to_server));
            let back = std::thread::spawn(move || pass(stdout, to_client, from_server));
            let begun = Instant::now();
            let id = server.child.id();
            // A cut in one direction is a cut of the link: what is left of it is no use to anybody.
            while !there.is_finished() && !back.is_finished() && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
            if to_server.is_some() || from_server.is_some() {
                super::process::wait_until("the server has noticed", || {
                    matches!(server.child.try_wait(), Ok(Some(_))) || begun.elapsed() > PATIENCE
                });
            }
            let output = server.child.wait_with_output().expect("a child of ours");
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!complaint.contains("panicked"), "server {id}: {complaint}");
            (there.join().expect("it only copies"), back.join().expect("it only copies"))
        })
    }
}

/// Copies until the end, or until `limit` bytes are through; then hangs up on both.
fn pass(mut from: impl Read, mut to: impl Write, limit: Option<usize>) -> usize {
    let (mut buffer, mut passed) = ([0; 4096], 0);
    loop {
        let room = limit.map_or(buffer.len(), |limit| buffer.len().min(limit - passed));
        match from.read(&mut buffer[..room]) {
            Ok(count @ 1..) if to.write_all(&buffer[..count]).is_ok() => passed += count,
            _ => return passed,
        }
    }
}

/// A regular file of a list.
pub fn file_entry(name: &str, size: u64) -> Entry {
    entry(name, Kind::File { size })
}

/// An entry of a list, under any name whatever.
pub fn entry(name: &str, kind: Kind) -> Entry {
    Entry {
        paths: Paths::new(Path::new("/"), Path::new(name)),
        mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
        contents_listed: kind == Kind::Dir,
        implied: false,
        kind,
        mtime: Timestamp { secs: 1_500_000_000, nanos: 7 },
        uid: 0,
        gid: 0,
        seldom: None,
    }
}

/// A complete list.
pub fn list(entries: Vec<Entry>) -> Message {
    Message::FileList(FileList {
        first: 0,
        last: true,
        incomplete: false,
        users: Vec::new(),
        groups: Vec::new(),
        entries,
    })
}

/// Options of a session: an archive, as far as it needs no root.
pub fn archive() -> Options {
    Options {
        recursive: true,
        links: true,
        perms: true,
        times: true,
        timeout: Some(Duration::from_secs(90)),
        ..Options::default()
    }
}
