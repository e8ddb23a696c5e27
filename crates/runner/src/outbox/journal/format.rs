//! The bytes of the journal.
//!
//! A *segment* is a file: a header of 16 bytes (`HOPLOUTB`, the version, the CRC-32C of both; numbers are little-endian)
//! and frames. A *frame* is a header of 16 bytes and a payload:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | [`MARKER`], by which the next frame is found behind a damaged one |
//! | 4 | the [`Kind`] |
//! | 4 | the payload's length |
//! | 4 | the CRC-32C of kind, length and payload |
//!
//! The payload of [`Kind::Events`] is the command's number (8), the first event's `seq` (8) and the number of events (4);
//! then for each event the length of its JSON (4), whether it has a span (1), that span's id (8), its parent's (8) and
//! when the event was made (8, nanoseconds since 1970), if it has one, and the JSON itself. The other payloads are rare and
//! are JSON.

use bytes::Bytes;
use hopline_wire::event::EventType;
use hopline_wire::{SpanId, Timestamp};

use super::super::entry::Entry;
use crate::events::EventSpan;

/// The version that is written.
pub(super) const VERSION: u32 = 1;

/// How long a segment's header is.
pub(super) const SEGMENT_HEADER: usize = 16;

/// How long a frame's header is.
const FRAME_HEADER: usize = 16;

/// What a frame begins with. Its first byte stands in no UTF-8 text, and so in no event.
const MARKER: [u8; 4] = [0xf5, b'O', b'B', b'X'];

const MAGIC: [u8; 8] = *b"HOPLOUTB";

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How all commands stand, as the first frame of a segment.
    Checkpoint = 1,
    /// A command's first sign.
    Opened = 2,
    /// Events of one command, in order and without gaps.
    Events = 3,
    /// A command has no more events.
    Closed = 4,
    /// How far a command's events are settled.
    Acked = 5,
}

impl Kind {
    fn of(number: u32) -> Option<Self> {
        [
            Self::Checkpoint,
            Self::Opened,
            Self::Events,
            Self::Closed,
            Self::Acked,
        ]
        .into_iter()
        .find(|kind| *kind as u32 == number)
    }
}

/// The bytes that a segment begins with.
pub(super) fn segment_header() -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The version in a segment's header; none if that is damaged.
pub(super) fn segment_version(bytes: &[u8]) -> Option<u32> {
    let header = bytes.first_chunk::<SEGMENT_HEADER>()?;
    let whole = header[..8] == MAGIC && u32_at(header, 12)? == crc32c::crc32c(&header[..12]);
    whole.then(|| u32_at(header, 8)).flatten()
}

/// A segment's file name.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:016}.events")
}

/// The number of the segment of this file name; none if it is no segment's.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".events")?;
    let plain = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Adds a frame whose payload `write` adds; gives the frame's length.
pub(super) fn put_frame(out: &mut Vec<u8>, kind: Kind, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&(kind as u32).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    write(out);
    // Payloads are bounded by what waits to be written, a few MiB.
    let length = u32::try_from(out.len() - start - FRAME_HEADER).unwrap_or(u32::MAX);
    out[start + 8..start + 12].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum_of(&out[start..]);
    out[start + 12..start + 16].copy_from_slice(&checksum.to_le_bytes());
    out.len() - start
}

fn checksum_of(frame: &[u8]) -> u32 {
    let head = crc32c::crc32c(&frame[4..12]);
    crc32c::crc32c_append(head, &frame[FRAME_HEADER..])
}

/// The whole frame that `bytes` begins with: its kind and its length, header included.
fn frame_at(bytes: &[u8]) -> Option<(Kind, usize)> {
    let header = bytes.first_chunk::<FRAME_HEADER>()?;
    if header[..4] != MARKER {
        return None;
    }
    let kind = Kind::of(u32_at(header, 4)?)?;
    let end = FRAME_HEADER.checked_add(u32_at(header, 8)? as usize)?;
    let frame = bytes.get(..end)?;
    (checksum_of(frame) == u32_at(header, 12)?).then_some((kind, end))
}

/// A whole frame, and where it stands.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) at: usize,
    /// Header included.
    pub(super) length: usize,
    pub(super) payload: Bytes,
}

impl Frame {
    /// Its events, if it holds some of the command of this number.
    pub(super) fn events_of(&self, number: u64) -> Option<Events> {
        let is_one = self.kind == Kind::Events && u64_at(&self.payload, 0) == Some(number);
        is_one.then(|| read_events(&self.payload)).flatten()
    }
}

/// The whole frames among some bytes. Where one is damaged, the next whole one is looked for.
pub(super) struct Frames<'b> {
    bytes: &'b Bytes,
    at: usize,
    /// Where the last whole frame ends.
    pub(super) end: usize,
    /// How many damaged stretches stood between whole frames.
    pub(super) damaged: u64,
}

impl<'b> Frames<'b> {
    /// The frames from `at` on.
    pub(super) fn new(bytes: &'b Bytes, at: usize) -> Self {
        Self {
            bytes,
            at,
            end: at.min(bytes.len()),
            damaged: 0,
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let mut from = self.at;
        let (kind, length) = loop {
            let rest = self.bytes.get(from..)?;
            if let Some(found) = frame_at(rest) {
                break found;
            }
            from += 1 + memchr::memmem::find(rest.get(1..)?, &MARKER)?;
        };
        self.damaged += u64::from(from > self.at);
        self.at = from + length;
        self.end = self.at;
        Some(Frame {
            kind,
            at: from,
            length,
            payload: self.bytes.slice(from + FRAME_HEADER..from + length),
        })
    }
}

/// Adds the payload of a frame of events.
pub(super) fn put_events(out: &mut Vec<u8>, number: u64, entries: &[Entry]) {
    let first = entries.first().map_or(0, |entry| entry.seq);
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    for entry in entries {
        let length = u32::try_from(entry.body.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.push(u8::from(entry.span.is_some()));
        if let Some(span) = &entry.span {
            out.extend_from_slice(&span.id.to_bytes());
            out.extend_from_slice(&span.parent.to_bytes());
            out.extend_from_slice(&span.made.as_nanos().to_le_bytes());
        }
        out.extend_from_slice(&entry.body);
    }
}

/// A frame of events, read.
pub(super) struct Events {
    /// The command's number.
    pub(super) number: u64,
    /// The events, which share the frame's memory.
    pub(super) entries: Vec<Entry>,
}

/// Reads the payload of a frame of events; none if it is not what [`put_events`] writes.
pub(super) fn read_events(payload: &Bytes) -> Option<Events> {
    let number = u64_at(payload, 0)?;
    let first = u64_at(payload, 8)?;
    let count = u32_at(payload, 16)?;
    let mut at = 20;
    // An event takes five bytes at least: a wrong count sets aside no memory.
    let mut entries = Vec::with_capacity((count as usize).min(payload.len() / 5));
    for place in 0..u64::from(count) {
        let length = u32_at(payload, at)? as usize;
        let has_span = *payload.get(at + 4)?;
        at += 5;
        let mut span = None;
        if has_span == 1 {
            span = Some(EventSpan {
                id: span_at(payload, at)?,
                parent: span_at(payload, at + 8)?,
                made: Timestamp::from_nanos(u64_at(payload, at + 16)?),
            });
            at += 24;
        }
        let end = at.checked_add(length).filter(|end| *end <= payload.len())?;
        let body = payload.slice(at..end);
        at = end;
        let kind = kind_of(&body)?;
        entries.push(Entry::new(first.checked_add(place)?, kind, body, span));
    }
    Some(Events { number, entries })
}

/// The type that an event's JSON begins with: the emitter writes it first.
fn kind_of(body: &[u8]) -> Option<EventType> {
    let rest = body.strip_prefix(b"{\"type\":\"")?;
    let end = memchr::memchr(b'"', rest)?;
    EventType::named(std::str::from_utf8(&rest[..end]).ok()?)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*eight))
}

fn span_at(bytes: &[u8], at: usize) -> Option<SpanId> {
    SpanId::from_bytes(*bytes.get(at..)?.first_chunk::<8>()?)
}
