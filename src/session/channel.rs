//! The two directions of a session's link as queues of messages: roles are plain blocking code, the link is not.
//!
//! Two tasks stand between: one reads frames, one writes them. The rule that keeps a session from locking up is here:
//! the task that reads never waits for the one that writes. A sender's inbox takes whatever comes (it is bounded by what
//! the sender asked for, and by `INBOX_LIMIT` against a peer that does not care), so a receiver can always get rid of
//! its answers; a receiver's inbox holds `RECEIVE_BUDGET` bytes and then lets the link wait for the disk.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::pace::Paced;
use super::round_trip::Distance;
use super::stream::{Sink, Source};
use super::turns::Turns;
use super::{FLUSH_WAIT, Greeting};
use crate::error::{Error, ExitCode, Result};
use crate::events::{About, Monitor};
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::{Frame, RawFrame, is_hangup, read_frame};
use crate::protocol::hello::Clock;
use crate::protocol::message::{Message, Remark, Report, Role, code};
use crate::transport::{Link, LinkReader, LinkWriter};

/// Bytes held by frames that wait to be written before a role that sends more has to wait.
const SEND_BUDGET: usize = 4 << 20;
/// Bytes held by frames that wait for a receiver before the link has to.
const RECEIVE_BUDGET: usize = 4 << 20;
/// Bytes held by unread answers at which a sender gives its peer up: no signature or list of decisions is near it.
const INBOX_LIMIT: usize = 512 << 20;
/// Questions of a peer's that are answered in one session: they wait for no room.
const MAX_ANSWERS: u8 = 8;
/// Frames that are written with one call, at most.
const WRITE_BATCH: usize = 64;
/// Keepalives are sent this often on a silent link, or three times within a shorter timeout.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// What crossed the link, in frames and in bytes as the link carried them (compressed ones, with `-z`).
#[derive(Debug, Default)]
pub struct Traffic {
    /// Frames written.
    pub frames_out: AtomicU64,
    /// Frames read.
    pub frames_in: AtomicU64,
    /// Bytes written.
    pub wire_out: AtomicU64,
    /// Bytes read.
    pub wire_in: AtomicU64,
}

/// What a channel needs to know of its session.
pub struct Settings {
    /// Our role.
    pub role: Role,
    /// Longest silence that is borne.
    pub timeout: Option<Duration>,
    /// Whether both directions are zstd streams from here on.
    pub compress: bool,
    /// Most bytes a second that are written.
    pub bwlimit: Option<u64>,
    /// Remarks of the peer's that were asked for: up to this level, 0 for none.
    pub remarks: u8,
    /// Where received entries are said to be.
    pub root: PathBuf,
    /// Shared by both directions and the role.
    pub buffers: Buffers,
    /// For the question of how far away the other end is.
    pub distance: Distance,
    /// The greeting, where it is yet to be read.
    pub greeting: Option<Arc<Greeting>>,
    /// The session's number, on a link that is kept: each end's last frame tells it.
    pub session_id: Option<u64>,
    /// How long the first word of a peer may take that is known to be there.
    pub first_word: Option<Duration>,
}

/// The two tasks between a session's queues and its link, each of which ends with its half of a link that is kept.
pub struct Ends {
    /// Ends when the peer has said its last word.
    pub reading: JoinHandle<Option<LinkReader>>,
    /// Ends when ours is written.
    pub writing: JoinHandle<Option<LinkWriter>>,
    /// Nothing has been read that a session does not know of: who ends `reading` now loses nothing.
    pub quiet: Arc<AtomicBool>,
}

/// What the peer says, in order.
pub struct Inbox {
    turns: Turns,
    budget: Arc<Semaphore>,
    bounded: bool,
    root: PathBuf,
    buffers: Buffers,
    monitor: Arc<Monitor>,
    remarks: u8,
    ended: bool,
}

/// What we say, in order. Clones speak into the same link, which ends when the last of them is gone.
#[derive(Clone)]
pub struct Outbox(Arc<Speaker>);

/// An outbox that does not keep the link open.
#[derive(Clone)]
pub struct WeakOutbox(Weak<Speaker>);

struct Speaker {
    frames: mpsc::UnboundedSender<Frame>,
    room: Arc<Semaphore>,
    buffers: Buffers,
    runtime: Handle,
}

/// Puts a session's queues before a link whose greeting is over. Must be called within a runtime.
pub fn open(link: Link, settings: Settings, monitor: Arc<Monitor>, traffic: Arc<Traffic>) -> (Inbox, Outbox, Ends) {
    let bounded = settings.role == Role::Receiver;
    let (into_inbox, inbox_frames) = mpsc::unbounded_channel();
    let (into_link, outbox_frames) = mpsc::unbounded_channel();
    let budget = Arc::new(Semaphore::new(if bounded { RECEIVE_BUDGET } else { INBOX_LIMIT }));
    let room = Arc::new(Semaphore::new(SEND_BUDGET));
    let writer = Sink::new(Paced::new(link.writer, settings.bwlimit), settings.compress, &traffic);
    let (root, buffers) = (settings.root, settings.buffers);
    let speaker = Arc::new(Speaker {
        frames: into_link,
        room: room.clone(),
        buffers: buffers.clone(),
        runtime: Handle::current(),
    });
    let reading = Reading {
        bounded,
        compress: settings.compress,
        greeting: settings.greeting,
        timeout: settings.timeout,
        budget: budget.clone(),
        room: room.clone(),
        traffic: traffic.clone(),
        buffers: buffers.clone(),
        distance: settings.distance,
        speaker: WeakOutbox(Arc::downgrade(&speaker)),
        session_id: settings.session_id,
        first_word: settings.first_word,
        quiet: Arc::default(),
    };
    let quiet = reading.quiet.clone();
    let reading = tokio::spawn(reading.run(link.reader, into_inbox));
    let beat = settings.timeout.map_or(KEEPALIVE, |timeout| KEEPALIVE.min(timeout / 3));
    let writing = Writing { room, beat, traffic, buffers: buffers.clone(), session_id: settings.session_id };
    let ends = Ends { reading, writing: tokio::spawn(writing.run(writer, outbox_frames)), quiet };
    let (turns, remarks) = (Turns::new(inbox_frames), settings.remarks);
    let inbox = Inbox { turns, budget, bounded, root, buffers, monitor, remarks, ended: false };
    (inbox, Outbox(speaker), ends)
}

/// How long what waits to be written may take once the session is over: with a limit, as long as all of it takes.
pub fn flush_wait(bwlimit: Option<u64>) -> Duration {
    let held_back = bwlimit.filter(|limit| *limit > 0).map_or(0, |limit| SEND_BUDGET as u64 / limit);
    FLUSH_WAIT + Duration::from_secs(held_back)
}

struct Reading {
    bounded: bool,
    compress: bool,
    greeting: Option<Arc<Greeting>>,
    timeout: Option<Duration>,
    budget: Arc<Semaphore>,
    room: Arc<Semaphore>,
    traffic: Arc<Traffic>,
    buffers: Buffers,
    distance: Distance,
    /// Only to ask and to answer: what a role says is the role's.
    speaker: WeakOutbox,
    session_id: Option<u64>,
    first_word: Option<Duration>,
    quiet: Arc<AtomicBool>,
}

impl Reading {
    /// Reads to the end of the link, or of the session on one that is kept. A role that waits to send to a peer which is gone
    /// or silent is then let go.
    async fn run(self, mut link: LinkReader, inbox: mpsc::UnboundedSender<Result<RawFrame>>) -> Option<LinkReader> {
        let room = self.room.clone();
        let greeted = match &self.greeting {
            Some(greeting) => greeting.hear(&mut link, self.timeout).await,
            None => true,
        };
        let mut over = None;
        if greeted {
            let mut link = Source::new(link, self.compress, &self.traffic);
            match self.read_all(&mut link, &inbox).await {
                Ok(()) => over = Some(link),
                Err(error) => drop(inbox.send(Err(error))),
            }
        } else {
            let _ = inbox.send(Err(Error::Disconnected));
        }
        room.close();
        drop(inbox);
        over?.into_link().await
    }

    /// Hands the role what comes, until the peer has said its last word of this session.
    async fn read_all(&self, link: &mut Source, inbox: &mpsc::UnboundedSender<Result<RawFrame>>) -> Result<()> {
        self.say(self.distance.question());
        let mut answers = MAX_ANSWERS;
        let mut patience = self.first_word.or(self.timeout);
        loop {
            if self.session_id.is_some() && patience == self.timeout {
                link.stirs_within(patience, &self.quiet).await?;
            }
            let frame = read_frame(link, patience, &self.buffers).await?.ok_or(Error::Disconnected)?;
            patience = self.timeout;
            self.traffic.frames_in.fetch_add(1, Relaxed);
            match (frame.code, self.session_id) {
                (code::KEEPALIVE, _) => {
                    let answer = self.distance.hear(&frame.payload).filter(|_| answers > 0);
                    answers -= u8::from(answer.is_some());
                    self.say(answer);
                    self.buffers.give_back(frame.payload);
                }
                (code::SESSION_OVER, Some(session_id)) => return ended(session_id, &frame),
                _ => {
                    self.admit(&frame).await?;
                    inbox.send(Ok(frame)).map_err(|_| Error::Disconnected)?;
                }
            }
        }
    }

    fn say(&self, message: Option<Message>) {
        if let (Some(message), Some(outbox)) = (message, self.speaker.upgrade()) {
            outbox.send_last(message);
        }
    }

    async fn admit(&self, frame: &RawFrame) -> Result<()> {
        let weight = weight(frame);
        if self.bounded {
            // Only a role that is gone closes the budget; its inbox refuses the frame next.
            self.budget.acquire_many(weight).await.map_err(|_| Error::Disconnected)?.forget();
        } else {
            let permits = self.budget.try_acquire_many(weight);
            permits.map_err(|_| Error::Stream("more answers than were asked for".into()))?.forget();
        }
        Ok(())
    }
}

/// What a frame costs of a budget: the memory that it holds, which a buffer of the pool has more of than it has bytes,
/// and something for being there.
fn weight(frame: &RawFrame) -> u32 {
    (frame.payload.capacity() + 64) as u32
}

/// Judges a peer's last frame of a session.
fn ended(session_id: u64, frame: &RawFrame) -> Result<()> {
    match frame.payload[..] == session_id.to_be_bytes() {
        true => Ok(()),
        false => Err(Error::Stream("the end of another session".into())),
    }
}

struct Writing {
    room: Arc<Semaphore>,
    beat: Duration,
    traffic: Arc<Traffic>,
    buffers: Buffers,
    session_id: Option<u64>,
}

impl Writing {
    /// Writes what is said until all has been, then ends the link, or the session on one that is kept.
    async fn run(self, mut link: Sink, mut frames: mpsc::UnboundedReceiver<Frame>) -> Option<LinkWriter> {
        let clock = Clock::start();
        let mut batch = Vec::with_capacity(WRITE_BATCH);
        loop {
            let paid = match tokio::time::timeout(self.beat, frames.recv_many(&mut batch, WRITE_BATCH)).await {
                Ok(0) => break,
                Ok(_) => batch.iter().map(Frame::weight).sum(),
                Err(_) => {
                    // Nobody has waited for room for it, so none is given back.
                    batch.push(Message::Keepalive { timestamp: clock.micros(), echo: None }.encode(&self.buffers));
                    0
                }
            };
            if self.write(&mut link, &mut batch).await.is_err() {
                // The reader will say why: a peer that is gone has closed that direction as well.
                self.room.close();
                return None;
            }
            self.room.add_permits(paid);
        }
        if let Some(session_id) = self.session_id {
            batch.push(Message::SessionOver { session_id }.encode(&self.buffers));
            self.write(&mut link, &mut batch).await.ok()?;
        }
        link.shutdown().await.ok()?;
        self.session_id.map(|_| link.into_link())
    }

    async fn write(&self, link: &mut Sink, batch: &mut Vec<Frame>) -> std::io::Result<()> {
        write_batch(link, batch).await?;
        self.traffic.frames_out.fetch_add(batch.len() as u64, Relaxed);
        for frame in batch.drain(..) {
            self.buffers.give_back(frame.head);
            if let Some(body) = frame.body.reclaim() {
                self.buffers.give_back(body);
            }
        }
        Ok(())
    }
}

async fn write_batch(link: &mut Sink, batch: &[Frame]) -> std::io::Result<()> {
    let mut slices = [IoSlice::new(&[]); 2 * WRITE_BATCH];
    let parts = batch.iter().flat_map(|frame| [&frame.head[..], &frame.body]).filter(|part| !part.is_empty());
    let count = slices.iter_mut().zip(parts).map(|(slice, part)| *slice = IoSlice::new(part)).count();
    let mut rest = &mut slices[..count];
    while !rest.is_empty() {
        match link.write_vectored(rest).await? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            count => IoSlice::advance_slices(&mut rest, count),
        }
    }
    link.flush().await
}

impl Outbox {
    /// Sends a message; waits while too much is under way.
    ///
    /// # Errors
    /// [`Error::Disconnected`] once the link cannot be written; the inbox knows more.
    pub fn send(&self, message: Message) -> Result<()> {
        let frame = message.encode(&self.0.buffers);
        let size = frame.weight() as u32;
        let permits = match self.0.room.try_acquire_many(size) {
            Ok(permits) => permits,
            Err(tokio::sync::TryAcquireError::Closed) => return Err(Error::Disconnected),
            Err(tokio::sync::TryAcquireError::NoPermits) => {
                self.0.runtime.block_on(self.0.room.acquire_many(size)).map_err(|_| Error::Disconnected)?
            }
        };
        permits.forget();
        self.0.frames.send(frame).map_err(|_| Error::Disconnected)
    }

    /// Queues a message without waiting for room: for an error that ends the session, and for what is said seldom.
    pub fn send_last(&self, message: Message) {
        let _ = self.0.frames.send(message.encode(&self.0.buffers));
    }

    /// The runtime that drives the link.
    pub fn runtime(&self) -> Handle {
        self.0.runtime.clone()
    }

    /// For those who may outlive the session.
    pub fn downgrade(&self) -> WeakOutbox {
        WeakOutbox(Arc::downgrade(&self.0))
    }
}

impl WeakOutbox {
    /// The outbox, while the session lasts.
    pub fn upgrade(&self) -> Option<Outbox> {
        self.0.upgrade().map(Outbox)
    }
}

impl Inbox {
    /// The next message that a role has to deal with. The peer's warnings go to the monitor on the way.
    ///
    /// # Errors
    /// What ended the link, what the peer said before it gave up, or what is wrong with its message.
    pub fn recv(&mut self) -> Result<Message> {
        loop {
            let frame = self.turns.next();
            if let Some(message) = self.take(frame)? {
                return Ok(message);
            }
        }
    }

    /// As [`Inbox::recv`], but contents and the list each have one message in turn while both are here.
    ///
    /// # Errors
    /// As [`Inbox::recv`].
    pub fn recv_in_turn(&mut self) -> Result<Message> {
        loop {
            let frame = self.turns.next_in_turn();
            if let Some(message) = self.take(frame)? {
                return Ok(message);
            }
        }
    }

    /// Ends when there is something to receive, if only that the link has ended.
    pub async fn stirs(&mut self) {
        if !self.ended {
            self.turns.stirs().await;
        }
    }

    /// The next message if it is there already.
    ///
    /// # Errors
    /// As [`Inbox::recv`].
    pub fn try_recv(&mut self) -> Result<Option<Message>> {
        while let Some(frame) = self.turns.try_next() {
            if let Some(message) = self.take(frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn take(&mut self, frame: Result<RawFrame>) -> Result<Option<Message>> {
        let frame = frame.inspect_err(|_| self.ended = true)?;
        self.budget.add_permits(weight(&frame) as usize);
        match Message::decode(frame, &self.root, &self.buffers)? {
            Message::Error(report) => self.hear(report).map(|()| None),
            Message::Remark(remark) if (1..=self.remarks).contains(&remark.level) => {
                let text = printable(&remark.text);
                self.monitor.remark(remark.about, remark.level, &text);
                Ok(None)
            }
            Message::Unkept { capability, path } => {
                self.monitor.unkept(capability, &path);
                Ok(None)
            }
            Message::Progress { entries, bytes } => {
                self.monitor.detail(2, &format!("the other end has seen {entries} entries, {bytes} bytes"));
                Ok(None)
            }
            message => Ok(Some(message)),
        }
    }

    fn hear(&mut self, report: Report) -> Result<()> {
        let text = printable(&report.text);
        if report.fatal {
            self.ended = true;
            return Err(Error::Peer { code: report.code, text });
        }
        self.monitor.warn(report.code, &text);
        Ok(())
    }

    /// What ended the link, or what the peer said before it went: a better reason than that it cannot be written.
    pub fn last_words(&mut self) -> Option<Error> {
        let patience = Duration::from_secs(2);
        let deadline = std::time::Instant::now() + patience;
        while !self.ended && std::time::Instant::now() < deadline {
            match self.try_recv() {
                Ok(Some(_)) => {}
                Ok(None) if self.turns.is_over() => return None,
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Some(error),
            }
        }
        None
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if self.bounded {
            self.budget.close();
        }
    }
}

/// A peer's words with everything that could steer a terminal escaped.
pub fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().flat_map(escape_control).collect()
}

fn escape_control(c: char) -> impl Iterator<Item = char> {
    let escaped = (c.is_control()).then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// The report that an error of ours makes at the other end.
pub fn fatal(error: &Error) -> Message {
    Message::Error(Report { fatal: true, code: error.exit_code(), text: error.to_string().into_bytes() })
}

/// Whether an error only says that the link is gone, so that the peer's last words may tell more.
pub fn is_link_failure(error: &Error) -> bool {
    match error {
        Error::Disconnected => true,
        Error::Link { source, .. } => is_hangup(source),
        _ => false,
    }
}

/// A remark of a server, for the client to tell its user.
pub fn remark(about: About, level: u8, text: &str) -> Message {
    Message::Remark(Remark { about, level, text: text.as_bytes().to_vec() })
}

/// A warning of a server, for the client to tell its user.
pub fn warning(code: ExitCode, text: &str) -> Message {
    Message::Error(Report { fatal: false, code, text: text.as_bytes().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::round_trip::RoundTrip;
    use super::*;
    use crate::protocol::message::FileData;
    use crate::protocol::payload::Payload;
    use crate::transport::memory;

    #[test]
    fn a_frame_weighs_what_its_buffers_hold_and_not_what_it_says() {
        let payload = Vec::with_capacity(1000);
        assert!(weight(&RawFrame { code: code::FILE_DONE, payload }) >= 1000);
        assert!(weight(&RawFrame { code: code::FILE_DONE, payload: vec![7; 5] }) < 1000);
        let head = Vec::with_capacity(1000);
        assert!(Frame { head, body: Payload::from(vec![7; 500]) }.weight() >= 1500);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_answer_to_a_question_gives_the_round_trip_time() {
        let (near, far) = memory::pair(1 << 20);
        let open = |link, asks| {
            let known = RoundTrip::new(None);
            let settings = Settings {
                role: Role::Sender,
                timeout: None,
                compress: false,
                bwlimit: None,
                remarks: 0,
                root: PathBuf::new(),
                buffers: Buffers::default(),
                distance: Distance { clock: Clock::start(), known: known.clone(), asks },
                greeting: None,
                session_id: None,
                first_word: None,
            };
            (known, open(link, settings, Arc::new(Monitor::deaf()), Arc::default()))
        };
        let ((ours, _near), (theirs, _far)) = (open(near, true), open(far, false));
        assert_eq!(ours.get(), None);
        while ours.get().is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(theirs.get(), None, "it has not asked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_held_back_is_not_taken_for_one_that_is_silent() {
        let patience = Duration::from_secs(3);
        let open = |link, role, bwlimit| {
            let settings = Settings {
                role,
                timeout: Some(patience),
                compress: false,
                bwlimit,
                remarks: 0,
                root: PathBuf::new(),
                buffers: Buffers::default(),
                distance: Distance { clock: Clock::start(), known: RoundTrip::new(None), asks: false },
                greeting: None,
                session_id: None,
                first_word: None,
            };
            open(link, settings, Arc::new(Monitor::deaf()), Arc::default())
        };
        let (near, far) = memory::pair(1 << 20);
        let (_answers, outbox, _sending) = open(near, Role::Sender, Some(1024));
        let (mut inbox, _outbox, _receiving) = open(far, Role::Receiver, None);
        let begun = tokio::time::Instant::now();
        let data = Payload::from(vec![7; 60 << 10]);
        outbox.send_last(Message::FileData(FileData { index: 0, offset: 0, digest: None, data }));
        inbox.stirs().await;
        assert!(matches!(inbox.try_recv(), Ok(Some(Message::FileData(_)))));
        assert!(begun.elapsed() > 10 * patience);
    }
}
