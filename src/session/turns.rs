//! What a peer has said and nobody has dealt with, and in which order it comes out: as it came, or contents and the list in
//! turn.
//!
//! A sender lists some ten thousand entries before it hears the first decision. In the order of the link the first contents
//! would wait until all of those are decided on; if contents always went first, the list would wait for them, with it the
//! decisions that the next contents come after, and in the end the link for both. So each has one frame in turn while both
//! are here. Contents stay in order among themselves, and so does all that is not contents. Contents lose nothing by
//! overtaking the list: they are of files that have been decided on. Holes and values of attributes are contents like any
//! others, and so stay where they are among them. They do not overtake an ERROR, a REMARK or an UNKEPT: what is said of a file
//! would come after its outcome, when the session may be over, and be lost. Nothing is dropped, doubled or weighed here: what
//! waits is the channel's to bound.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::protocol::frame::RawFrame;
use crate::protocol::message::code;

/// A frame, or what ended the link.
pub type Heard = Result<RawFrame>;

/// See the module's head.
pub struct Turns {
    heard: mpsc::UnboundedReceiver<Heard>,
    /// What was heard before the rest of it: by who only asked whether there is something, or of the list and overtaken.
    waiting: VecDeque<Heard>,
    /// Contents were the last to come out in turn.
    list_is_next: bool,
    /// Something that nothing may overtake is waiting.
    in_order: bool,
}

impl Turns {
    /// Of all that is `heard`.
    pub fn new(heard: mpsc::UnboundedReceiver<Heard>) -> Turns {
        Turns { heard, waiting: VecDeque::new(), list_is_next: false, in_order: false }
    }

    /// The next in the order of the link, if it is here.
    pub fn try_next(&mut self) -> Option<Heard> {
        self.waiting.pop_front().or_else(|| self.heard.try_recv().ok())
    }

    /// The next in the order of the link.
    pub fn next(&mut self) -> Heard {
        self.waiting.pop_front().unwrap_or_else(|| self.heard.blocking_recv().unwrap_or(Err(Error::Disconnected)))
    }

    /// The next of contents and of the list in turn, or of what there is of them; waits only if there is neither.
    pub fn next_in_turn(&mut self) -> Heard {
        self.in_order &= !self.waiting.is_empty();
        if (std::mem::take(&mut self.list_is_next) || self.in_order) && !self.waiting.is_empty() {
            return self.next();
        }
        while let Ok(heard) = self.heard.try_recv() {
            if is_contents(&heard) {
                self.list_is_next = true;
                return heard;
            }
            self.in_order = is_remark(&heard);
            self.waiting.push_back(heard);
            if self.in_order {
                break;
            }
        }
        self.next()
    }

    /// Ends when there is something to hear, if only that the link has ended.
    pub async fn stirs(&mut self) {
        if self.waiting.is_empty() {
            self.waiting.push_back(self.heard.recv().await.unwrap_or(Err(Error::Disconnected)));
        }
    }

    /// Whether the link has ended and said why.
    pub fn is_over(&self) -> bool {
        self.heard.is_closed()
    }
}

fn is_remark(heard: &Heard) -> bool {
    heard.as_ref().is_ok_and(|frame| [code::ERROR, code::REMARK, code::UNKEPT].contains(&frame.code))
}

fn is_contents(heard: &Heard) -> bool {
    let contents =
        [code::FILE_DATA, code::FILE_DATA_BATCH, code::FILE_HOLE, code::DELTA_DATA, code::FILE_DONE, code::XATTR_VALUE];
    heard.as_ref().is_ok_and(|frame| contents.contains(&frame.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u8 = code::FILE_LIST_CHUNK;
    const DATA: u8 = code::FILE_DATA;

    /// What comes out in turn of frames of these types, all of which are here: their types and the place of each.
    fn in_turn(codes: &[u8]) -> Vec<(u8, usize)> {
        let (hear, heard) = mpsc::unbounded_channel();
        for (place, code) in codes.iter().enumerate() {
            hear.send(Ok(RawFrame { code: *code, payload: vec![0; place] })).expect("somebody listens");
        }
        drop(hear);
        let mut turns = Turns::new(heard);
        let frames = std::iter::from_fn(|| turns.next_in_turn().ok());
        frames.map(|frame| (frame.code, frame.payload.len())).collect()
    }

    fn places(codes: &[u8]) -> Vec<usize> {
        in_turn(codes).into_iter().map(|(_, place)| place).collect()
    }

    #[test]
    fn contents_and_the_list_that_came_before_them_take_turns() {
        assert_eq!(places(&[CHUNK, CHUNK, CHUNK, code::FILE_LIST_END, DATA, DATA]), [4, 0, 5, 1, 2, 3]);
        assert_eq!(places(&[DATA, CHUNK, DATA, DATA, CHUNK]), [0, 2, 1, 3, 4]);
        assert_eq!(places(&[CHUNK, CHUNK]), [0, 1]);
    }

    #[test]
    fn only_contents_overtake_and_they_only_what_is_none() {
        let all = [
            CHUNK,
            code::FILE_LIST_END,
            code::FILE_DATA_BATCH,
            code::FILE_DONE,
            code::SESSION_END,
            code::DELTA_DATA,
            code::PROGRESS,
            code::XATTR_VALUE,
            DATA,
            code::CHECKSUM_REQ,
            code::FILE_HOLE,
            DATA,
        ];
        let came = in_turn(&all);
        assert_eq!(came.len(), all.len());
        let contents =
            [code::FILE_DATA_BATCH, code::FILE_DONE, code::DELTA_DATA, code::XATTR_VALUE, DATA, code::FILE_HOLE, DATA];
        let (first, second): (Vec<_>, Vec<_>) = came.iter().partition(|(code, _)| contents.contains(code));
        assert_eq!(first.iter().map(|(code, _)| *code).collect::<Vec<_>>(), contents);
        assert!(second.is_sorted_by_key(|(_, place)| place), "{second:?}");
    }

    #[test]
    fn nothing_overtakes_a_remark() {
        let all = [CHUNK, code::ERROR, code::FILE_DONE, CHUNK, DATA, DATA];
        assert_eq!(places(&all), [0, 1, 2, 4, 3, 5]);
        assert_eq!(places(&all.map(|code| if code == code::ERROR { code::UNKEPT } else { code })), places(&all));
        assert_eq!(places(&[CHUNK, DATA, CHUNK, code::ERROR, DATA, CHUNK, DATA]), [1, 0, 2, 3, 4, 6, 5]);
    }

    #[test]
    fn the_end_of_the_link_comes_after_all_that_was_said_before_it() {
        let (hear, heard) = mpsc::unbounded_channel();
        let frame = |code| Ok(RawFrame { code, payload: Vec::new() });
        for said in [frame(CHUNK), frame(DATA), Err(Error::Timeout { seconds: 1 })] {
            hear.send(said).expect("somebody listens");
        }
        let mut turns = Turns::new(heard);
        assert!(matches!(turns.next_in_turn(), Ok(RawFrame { code: DATA, .. })));
        assert!(matches!(turns.next_in_turn(), Ok(RawFrame { code: CHUNK, .. })));
        assert!(matches!(turns.next_in_turn(), Err(Error::Timeout { .. })));
    }

    #[test]
    fn what_was_overtaken_comes_next_for_who_hears_in_order() {
        let (hear, heard) = mpsc::unbounded_channel();
        for code in [CHUNK, code::FILE_LIST_END, DATA, code::SESSION_END] {
            hear.send(Ok(RawFrame { code, payload: Vec::new() })).expect("somebody listens");
        }
        let mut turns = Turns::new(heard);
        let mut codes = vec![turns.next_in_turn().expect("it is here").code];
        codes.extend(std::iter::from_fn(|| turns.try_next()).map(|heard| heard.expect("a frame").code));
        assert_eq!(codes, [DATA, CHUNK, code::FILE_LIST_END, code::SESSION_END]);
    }
}
