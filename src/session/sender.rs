//! The sender: lists its tree, hears what is wanted, and sends that.
//!
//! States: `Listing` (FILE_LIST out) -> `Transferring` (see `outgoing`) -> `Ending` (SESSION_END out; a client waits for the
//! receiver's) -> done. With the list in chunks these overlap: see `file_list::streamed`.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::depth::{MAX_DEPTH, depth};
use super::outgoing::{Item, Outgoing, Want};
use super::{Session, file_list};
use crate::error::Result;
use crate::events::Event;
use crate::filter::Filter;
use crate::phases;
use crate::plan::{Action, Decision};
use crate::protocol::message::{Counters, HeapCounts, Message};
use crate::source::lister::Lister;
use crate::source::{Source, removal};

/// Plays the sender: `paths` are the sources, which `lister` lists already if there is one. Returns what it counted, and what
/// the receiver did.
///
/// # Errors
/// What ended the session early.
pub fn run(
    session: &mut Session,
    paths: &[Vec<u8>],
    filter: &Filter,
    lister: Option<Lister>,
) -> Result<(Counters, Option<Counters>)> {
    let lister = match lister {
        None if !session.is_client && session.peer() & phases::capability("5.1") != 0 => {
            file_list::lister(paths, &session.options, session.seed, &session.monitor)
        }
        lister => lister,
    };
    if let Some(lister) = lister {
        return file_list::stream(session, lister);
    }
    let begun = Instant::now();
    let monitor = session.monitor.clone();
    let mut source = Source::scan(paths, &session.options, filter, session.seed, &monitor);
    source.drop_unsendable(&monitor);
    let scanned = Instant::now();
    let decisions = file_list::exchange(session, &source.entries, source.complete)?;
    monitor.progress.listed.store(true, Relaxed);
    let decided = Instant::now();
    announce(session, &source, &decisions);
    let_go(session, &source, &decisions);
    let mut counters = transfer(session, &source, &decisions)?;
    let transferred = Instant::now();
    counters.listed = source.entries.iter().filter(|entry| !entry.implied).count() as u64;
    counters.total = source.entries.iter().map(|entry| entry.kind.size()).fold(0, u64::saturating_add);
    counters.stages_us[0] = (scanned - begun).as_micros() as u64;
    counters.stages_us[1] = (decided - scanned).as_micros() as u64;
    counters.stages_us[3] = (transferred - decided).as_micros() as u64;
    counters.heap = HeapCounts::now(source.list_bytes);
    session.outbox.send(Message::SessionEnd(counters))?;
    let theirs = if session.is_client { Some(await_end(session)?) } else { None };
    counters.stages_us[4] = transferred.elapsed().as_micros() as u64;
    Ok((counters, theirs))
}

/// Tells the user what the receiver decided, in the order of the list.
fn announce(session: &Session, source: &Source, decisions: &[Decision]) {
    let mut leaders = HashMap::new();
    for (entry, _) in source.entries.iter().zip(decisions).filter(|(_, decision)| !decision.follows_leader()) {
        entry.link_group().map(|group| leaders.entry(group).or_insert(entry.relative()));
    }
    for (entry, decision) in source.entries.iter().zip(decisions) {
        if entry.implied {
            continue;
        }
        let leader = entry.link_group().and_then(|group| leaders.get(&group).copied());
        let link_to = leader.filter(|_| decision.follows_leader());
        session.monitor.event(&Event::Item { entry, decision: decision.told(), link_to });
        if !decision.action.needs_data() {
            session.monitor.progress.entry_done();
            session.monitor.progress.bytes_done(entry.kind.size());
        }
    }
}

/// Removes what the destination has, if that is asked for: whether to is not the peer's to say.
fn let_go(session: &Session, source: &Source, decisions: &[Decision]) {
    let settled = (0..).zip(decisions).filter(|(_, decision)| decision.is_settled());
    for (index, _) in settled.filter(|_| session.options.remove_source_files) {
        removal::remove(source.tree(index), &source.entries[index], &session.monitor);
    }
}

/// A client's wait for the receiver to have put everything right.
fn await_end(session: &mut Session) -> Result<Counters> {
    loop {
        match session.inbox.recv()? {
            Message::SessionEnd(counters) => return Ok(counters),
            Message::DeleteBatch(deleted) => session.tell_deleted(&deleted),
            other => return Err(session.out_of_place("SESSION_END", &other)),
        }
    }
}

/// Sends what is wanted, a bounded number of requests at a time.
fn transfer(session: &mut Session, source: &Source, decisions: &[Decision]) -> Result<Counters> {
    let wanted: Vec<(u32, Want)> = (0u32..)
        .zip(decisions)
        .filter(|(_, decision)| decision.action.needs_data() && !session.options.dry_run)
        .map(|(index, decision)| (index, if decision.action == Action::Delta { Want::Delta } else { Want::Whole }))
        .collect();
    session.tell_distance();
    let depth = depth(wanted.len(), session.rtt.get()).clamp(1, MAX_DEPTH);
    session.monitor.detail(2, &format!("{} files to send, {depth} under way at once", wanted.len()));
    let dry_run = session.options.dry_run;
    let mut outgoing = Outgoing::new(session, depth);
    for (index, decision) in decisions.iter().enumerate().filter(|(_, decision)| decision.wants_values() && !dry_run) {
        if !decision.action.needs_data() {
            // As many as decisions, whose number fits.
            outgoing.send_values(index as u32, &source.entries[index], source.tree(index))?;
        }
    }
    for (index, want) in wanted {
        let (place, entry) = (index as usize, source.entries[index as usize].clone());
        let item = Item { entry, tree: source.tree(place).clone(), values: decisions[place].wants_values() };
        outgoing.want(index, item, want);
    }
    while !outgoing.is_idle() {
        let message = match outgoing.step()? {
            true => outgoing.try_recv()?,
            false => {
                outgoing.flush()?;
                let message = outgoing.try_recv()?;
                Some(message.map_or_else(|| outgoing.session.inbox.recv(), Ok)?)
            }
        };
        if let Some(other) = message.map(|message| outgoing.handle(message)).transpose()?.flatten() {
            return Err(outgoing.session.out_of_place("a signature or an outcome", &other));
        }
    }
    // The list and its decisions are one exchange, the end of the session another.
    let round_trips = 2 + outgoing.round_trips();
    Ok(Counters { round_trips, depth: depth as u64, ..outgoing.counters })
}
