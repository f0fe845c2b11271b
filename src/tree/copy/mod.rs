//! Copying the contents of an open file into another on the same machine, by the cheapest way that there is.
//!
//! A clone of the extents where the file system can, else a copy inside the kernel, else reads and writes; small files go
//! by one read and one write, for that is cheaper than finding out. The source is read from 0 to wherever its end proves
//! to be: its size is only a hint, which a file under `/proc` or one being written to gets wrong.

mod sparse;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

#[cfg(target_os = "linux")]
use rustix::fs::fstat;
use rustix::io::{pread, pwrite};

pub use sparse::{SparseReader, SparseWriter, next_data};

/// Files up to this size are read and written at once, in bytes.
const SMALL: u64 = 64 * 1024;
/// Bytes a read of a larger file asks for.
const PIECE: usize = 256 * 1024;

/// Copies the contents of `source` into `target`, which must be empty, and returns how many bytes that were; `size` is
/// what the source's length is believed to be. With `sparse`, holes and runs of zeros become holes, unless the file can
/// be cloned, which takes no room either. `scratch` is the buffer and grows to 256 KiB at most. Where the files' positions
/// stand does not matter, and is not to be relied on afterwards.
///
/// # Errors
/// What reading or writing says; the target is incomplete then.
pub fn copy_contents(source: &File, target: &File, size: u64, sparse: bool, scratch: &mut Vec<u8>) -> io::Result<u64> {
    if size > SMALL {
        if let Some(copied) = clone_extents(source, target)? {
            return Ok(copied);
        }
        if sparse {
            return sparse::copy(source, target, scratch);
        }
        if let Some(copied) = copy_in_kernel(source, target)? {
            return Ok(copied);
        }
    }
    if sparse { sparse::copy(source, target, scratch) } else { copy_by_hand(source, target, size, scratch) }
}

/// Reads and writes to the end of the source.
fn copy_by_hand(source: &File, target: &File, size: u64, scratch: &mut Vec<u8>) -> io::Result<u64> {
    // One byte more than the file is said to have: a read that stops short of it has seen the end.
    let room = usize::try_from(size).unwrap_or(PIECE).saturating_add(1).clamp(4096, PIECE);
    let buffer = room_for(scratch, room);
    let mut copied = 0;
    loop {
        let read = read_at(source, buffer, copied)?;
        if read == 0 {
            return Ok(copied);
        }
        write_all_at(target, &buffer[..read], copied)?;
        copied += read as u64;
        if copied == size && read < buffer.len() {
            return Ok(copied);
        }
    }
}

/// The first `len` bytes of `scratch`, grown if need be.
fn room_for(scratch: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if scratch.len() < len {
        scratch.resize(len, 0);
    }
    &mut scratch[..len]
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| pread(file, &mut *buffer, offset))?)
}

fn write_all_at(file: impl AsFd, mut data: &[u8], mut offset: u64) -> io::Result<()> {
    while !data.is_empty() {
        let written = rustix::io::retry_on_intr(|| pwrite(&file, data, offset))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        data = &data[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Makes `target` share the extents of `source`; `None` where the file system cannot, or not with these two.
#[cfg(target_os = "linux")]
fn clone_extents(source: &File, target: &File) -> io::Result<Option<u64>> {
    match rustix::fs::ioctl_ficlone(target, source) {
        Ok(()) => Ok(Some(u64::try_from(fstat(target)?.st_size).unwrap_or(0))),
        Err(error) if falls_back(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Copies without the bytes passing through this process; `None` where the kernel cannot, with nothing copied.
#[cfg(target_os = "linux")]
fn copy_in_kernel(source: &File, target: &File) -> io::Result<Option<u64>> {
    /// Bytes asked of one call: large, but such that a signal is waited for no longer than a moment.
    const CALL: usize = 128 * 1024 * 1024;
    let (mut from, mut to) = (0, 0);
    loop {
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), CALL) {
            // A source that says nothing at all may be one that the kernel cannot read this way.
            Ok(0) => return Ok((to > 0).then_some(to)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) if to == 0 && falls_back(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an error only means that this way is not open for these two files.
#[cfg(target_os = "linux")]
fn falls_back(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(
        error,
        Errno::XDEV
            | Errno::INVAL
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::NOTTY
            | Errno::TXTBSY
            | Errno::BADF
    )
}

#[cfg(not(target_os = "linux"))]
fn clone_extents(_: &File, _: &File) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(_: &File, _: &File) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests;
