//! Writing runs of zeros as holes, and copying a file so that its holes stay holes.
//!
//! A run counts from 4 KiB, in blocks aligned to 4 KiB: the unit in which file systems leave holes, and a run shorter
//! than it could only turn one write into several.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, ftruncate, seek};
use rustix::io::Errno;

use super::{PIECE, read_at, room_for, write_all_at};

/// Alignment and least length of a hole, in bytes.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Writes a file from its start, runs of zeros as holes.
///
/// By offset only: the position of `file` is not used. Nothing is complete before [`SparseWriter::finish`].
#[derive(Debug)]
pub struct SparseWriter<F: AsFd> {
    file: F,
    fresh: bool,
    offset: u64,
    /// Zeros before `offset` that have been neither written nor made a hole.
    zeros: u64,
}

impl<F: AsFd> SparseWriter<F> {
    /// A writer to `file`, which is empty if it is `fresh`; otherwise zeros replace what stands there.
    pub fn new(file: F, fresh: bool) -> Self {
        Self { file, fresh, offset: 0, zeros: 0 }
    }

    /// A writer to `file`, which ends at `offset`, from there on.
    pub fn after(file: F, offset: u64) -> Self {
        Self { file, fresh: true, offset, zeros: 0 }
    }

    /// Writes `data` after what has been written so far.
    ///
    /// # Errors
    /// What writing or making a hole says.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        while !rest.is_empty() {
            let zeros = self.run(rest, true);
            self.zeros += zeros as u64;
            self.offset += zeros as u64;
            rest = &rest[zeros..];
            let literal = self.run(rest, false);
            if literal > 0 {
                self.settle()?;
                write_all_at(&self.file, &rest[..literal], self.offset)?;
                self.offset += literal as u64;
                rest = &rest[literal..];
            }
        }
        Ok(())
    }

    /// Goes on after so many zeros more.
    pub fn skip_zeros(&mut self, len: u64) {
        self.zeros += len;
        self.offset += len;
    }

    /// Makes the file as long as what has been written, and returns that length.
    ///
    /// # Errors
    /// What making a hole or setting the length says.
    pub fn finish(mut self) -> io::Result<u64> {
        ftruncate(&self.file, self.offset)?;
        self.settle()?;
        Ok(self.offset)
    }

    /// Length of the blocks (of the file, so the first and the last may be partial) at the start of `data` that are
    /// `zero`, all of them, or are not.
    fn run(&self, data: &[u8], zero: bool) -> usize {
        let mut len = 0;
        while len < data.len() {
            // The remainder is below the block's size.
            let into = ((self.offset + len as u64) % BLOCK as u64) as usize;
            let block = &data[len..data.len().min(len + BLOCK - into)];
            if (block == &ZEROS[..block.len()]) != zero {
                break;
            }
            len += block.len();
        }
        len
    }

    /// Sees to it that the pending zeros read as zeros.
    fn settle(&mut self) -> io::Result<()> {
        let len = std::mem::take(&mut self.zeros);
        if len == 0 || self.fresh {
            return Ok(());
        }
        let start = self.offset - len;
        if len >= BLOCK as u64 && punch_hole(&self.file, start, len)? {
            return Ok(());
        }
        let mut at = start;
        while at < self.offset {
            let piece = (self.offset - at).min(BLOCK as u64);
            write_all_at(&self.file, &ZEROS[..piece as usize], at)?;
            at += piece;
        }
        Ok(())
    }
}

/// Makes `len` bytes read as zeros, whole blocks of them as a hole; `false` where the file system cannot.
#[cfg(target_os = "linux")]
fn punch_hole(file: impl AsFd, start: u64, len: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, len) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn punch_hole(_: impl AsFd, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Copies what is data in `source` to the empty `target`, and makes holes of the rest and of runs of zeros.
pub(super) fn copy(source: &File, target: &File, scratch: &mut Vec<u8>) -> io::Result<u64> {
    let buffer = room_for(scratch, PIECE);
    let mut writer = SparseWriter::new(target, true);
    loop {
        let (start, end) = next_data(source, writer.offset)?;
        writer.skip(start);
        while writer.offset < end {
            let piece = usize::try_from(end - writer.offset).unwrap_or(PIECE).min(PIECE);
            let read = read_at(source, &mut buffer[..piece], writer.offset)?;
            if read == 0 {
                return writer.finish();
            }
            writer.write(&buffer[..read])?;
        }
    }
}

impl SparseWriter<&File> {
    /// Goes on at `offset`, further on in a fresh file; what is between becomes a hole.
    fn skip(&mut self, offset: u64) {
        self.offset = self.offset.max(offset);
    }
}

/// Reads a file from its start with the zeros of its holes made here: the file is read only where it has data.
#[derive(Debug)]
pub struct SparseReader {
    file: File,
    offset: u64,
    /// Where the next data begins, and where it ends.
    data: (u64, u64),
    /// Bytes that the file has in all, and nothing of what comes to it from here on.
    len: u64,
}

impl SparseReader {
    /// A reader of `file` up to where it ends now.
    ///
    /// # Errors
    /// The system's, from looking at the file.
    pub fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, offset: 0, data: (0, 0), len })
    }
}

impl Read for SparseReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.offset >= self.data.1 {
            self.data = next_data(&self.file, self.offset)?;
        }
        // What another shortens meanwhile has its end where it has no data: a read finds that out.
        let (start, end) = (self.data.0.min(self.len), self.data.1.min(self.len));
        let is_hole = self.offset < start;
        let left = if is_hole { start } else { end }.saturating_sub(self.offset);
        let room = usize::try_from(left).unwrap_or(buffer.len()).min(buffer.len());
        let got = match is_hole {
            true => {
                buffer[..room].fill(0);
                room
            }
            false => read_at(&self.file, &mut buffer[..room], self.offset)?,
        };
        self.offset += got as u64;
        Ok(got)
    }
}

/// The next data at or after `offset`. Where there is none any more it begins at the end of the file, and where holes
/// cannot be asked for at once; its end is without limit then, for only a read can tell.
///
/// # Errors
/// The system's, from asking. The file's position is elsewhere afterwards.
pub fn next_data(source: &File, offset: u64) -> io::Result<(u64, u64)> {
    let start = match seek(source, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok((seek(source, SeekFrom::End(0))?.max(offset), u64::MAX)),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok((offset, u64::MAX)),
        Err(error) => return Err(error.into()),
    };
    match seek(source, SeekFrom::Hole(start)) {
        Ok(end) if end > start => Ok((start, end)),
        Ok(_) | Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => Ok((start, u64::MAX)),
        Err(error) => Err(error.into()),
    }
}
