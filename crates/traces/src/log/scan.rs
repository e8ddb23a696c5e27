//! Reading a segment that has no index: after a crash, or when its index is damaged.

use std::io;

use super::index::Entry;
use super::segment::{SEGMENT_HEADER, version};
use crate::frame::{self, HEADER_BYTES, Header, Kind, MARKER};
use hopline_files::File;

/// What stands in a segment.
pub(super) struct Scanned {
    /// The version in the segment's header; none if that is damaged.
    pub(super) version: Option<u32>,
    /// Where the last whole frame of spans ends. What follows is no whole frame: the rest of a write that
    /// a crash cut short, or a beginning of an index.
    pub(super) end: u64,
    /// How many spans the frames hold.
    pub(super) spans: u64,
    /// Which frames hold which trace.
    pub(super) index: Vec<Entry>,
    /// How many damaged stretches lie between whole frames.
    pub(super) damaged: u64,
}

/// Reads the first `length` bytes of a segment, checks every frame, and goes on after a damaged one
/// wherever the next whole one begins.
pub(super) fn scan(file: &dyn File, length: u64) -> io::Result<Scanned> {
    let length = usize::try_from(length).map_err(|_| io::Error::other("the file is too long"))?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    let mut scanned = Scanned {
        version: version(&bytes),
        end: SEGMENT_HEADER.min(length) as u64,
        spans: 0,
        index: Vec::new(),
        damaged: 0,
    };
    let mut at = SEGMENT_HEADER;
    while at < length {
        at = match frame_at(&bytes, at, &mut scanned) {
            Found::Spans(end) => {
                scanned.end = end as u64;
                end
            }
            Found::Index => break,
            Found::Nothing => match next_frame(&bytes, at + 1) {
                Some(next) => {
                    scanned.damaged += 1;
                    next
                }
                None => break,
            },
        };
    }
    Ok(scanned)
}

enum Found {
    /// A whole frame of spans, which ends here.
    Spans(usize),
    /// A segment's index, behind which nothing comes.
    Index,
    /// No whole frame.
    Nothing,
}

/// Reads the frame at an offset, and notes what it holds.
fn frame_at(bytes: &[u8], at: usize, scanned: &mut Scanned) -> Found {
    let Some((header, payload)) = whole_frame(bytes, at) else {
        return Found::Nothing;
    };
    if header.kind == Kind::Index {
        return Found::Index;
    }
    let (Ok(contents), Ok(offset)) = (frame::contents(payload), u32::try_from(at)) else {
        return Found::Nothing;
    };
    scanned.spans += contents.spans;
    let entries = contents.traces.iter().map(|trace| (*trace, offset));
    scanned.index.extend(entries);
    Found::Spans(at + HEADER_BYTES + payload.len())
}

fn whole_frame(bytes: &[u8], at: usize) -> Option<(Header, &[u8])> {
    let rest = bytes.get(at..)?;
    let header = Header::from_bytes(rest)?;
    let payload = rest[HEADER_BYTES..].get(..header.length as usize)?;
    header.fits(payload).then_some((header, payload))
}

/// Where the next whole frame begins.
fn next_frame(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        from += bytes.get(from..)?.iter().position(|b| *b == MARKER[0])?;
        if whole_frame(bytes, from).is_some() {
            return Some(from);
        }
        from += 1;
    }
}
