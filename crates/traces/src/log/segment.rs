//! Segments: the files that the log consists of.
//!
//! A segment is a header of 16 bytes (`HOPLTRCE`, version, CRC-32C of both), frames of spans, and, once
//! it is *sealed*, an index ([`super::index`]). The *tail* is the segment that is still written; a full
//! one stays a tail, with its index in memory, until it is sealed.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use hopline_wire::TraceId;

use super::index::{self, Entry, TRAILER_BYTES, Trailer};
use super::scan;
use crate::frame::{HEADER_BYTES, Header, Kind};
use hopline_files::{File, FileSystem};

/// The version of the format that is written.
pub(super) const VERSION: u32 = 1;

/// How long a segment's header is.
pub(super) const SEGMENT_HEADER: usize = 16;

const MAGIC: [u8; 8] = *b"HOPLTRCE";

/// The bytes that a segment begins with.
pub(super) fn header() -> [u8; SEGMENT_HEADER] {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let own = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&own.to_le_bytes());
    bytes
}

/// The version in a segment's header; none if the bytes are no header.
pub(super) fn version(bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.first_chunk::<SEGMENT_HEADER>()?;
    let word = |at: usize| bytes[at..].first_chunk::<4>().copied();
    let whole = bytes[..8] == MAGIC && crc32c::crc32c(&bytes[..12]).to_le_bytes() == word(12)?;
    whole.then(|| word(8).map(u32::from_le_bytes)).flatten()
}

/// A segment's file name.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:016}.log")
}

/// The number of the segment with this file name; none if it is no segment's.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let plain = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A segment that is written, or was and is not yet sealed.
pub(super) struct Written {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn File>,
    /// Up to where it is durable.
    pub(super) synced: AtomicU64,
    /// Whether a sync failed, after which nobody knows what of it is on disk. Nothing more is written to it.
    pub(super) failed: AtomicBool,
}

impl Written {
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// A tail: a written segment, and what is known of its content.
pub(super) struct Tail {
    pub(super) segment: std::sync::Arc<Written>,
    /// Where its frames end. What may lie behind is the rest of a write that failed.
    pub(super) length: u64,
    pub(super) spans: u64,
    pub(super) index: Vec<Entry>,
    /// Since when it is written, by this process.
    pub(super) since: Instant,
}

impl Tail {
    /// The offsets of the frames that hold spans of a trace.
    pub(super) fn offsets(&self, trace: TraceId) -> Vec<u32> {
        let own = self.index.iter().filter(|(id, _)| *id == trace);
        own.map(|(_, offset)| *offset).collect()
    }
}

/// A sealed segment. Its file is opened only while it is read.
pub(super) struct Sealed {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) trailer: Trailer,
    directory: OnceLock<Vec<TraceId>>,
}

/// What a look into a sealed segment gave.
pub(super) enum Looked {
    /// The offsets of the frames that hold spans of the trace.
    Found(Vec<u32>),
    /// The same, though the index is damaged and every frame had to be read.
    FoundByScan(Vec<u32>),
}

impl Sealed {
    pub(super) fn new(number: u64, path: PathBuf, trailer: Trailer) -> Self {
        Self {
            number,
            path,
            trailer,
            directory: OnceLock::new(),
        }
    }

    /// Reads the trailer of a file; none if it is not sealed.
    pub(super) fn trailer_of(file: &dyn File, length: u64) -> io::Result<Option<Trailer>> {
        let Some(at) = length.checked_sub(TRAILER_BYTES as u64) else {
            return Ok(None);
        };
        let mut bytes = [0; TRAILER_BYTES];
        file.read_at(&mut bytes, at)?;
        Ok(Trailer::from_bytes(&bytes, length))
    }

    /// How many bytes the file has.
    pub(super) fn bytes(&self) -> u64 {
        self.trailer.file_bytes()
    }

    /// Finds the frames that hold spans of a trace.
    pub(super) fn look_up(&self, file: &dyn File, trace: TraceId) -> io::Result<Looked> {
        let mut offsets = Vec::new();
        if self.look_in_index(file, trace, &mut offsets)?.is_some() {
            return Ok(Looked::Found(offsets));
        }
        let scanned = scan::scan(file, self.trailer.frames_end)?;
        let own = scanned.index.iter().filter(|(id, _)| *id == trace);
        Ok(Looked::FoundByScan(
            own.map(|(_, offset)| *offset).collect(),
        ))
    }

    /// None if the index is damaged.
    fn look_in_index(
        &self,
        file: &dyn File,
        trace: TraceId,
        offsets: &mut Vec<u32>,
    ) -> io::Result<Option<()>> {
        let directory = match self.directory.get() {
            Some(directory) => directory,
            None => {
                let (at, length) = self.trailer.directory_at();
                let mut bytes = vec![0; length];
                file.read_at(&mut bytes, at)?;
                match index::directory(&bytes, &self.trailer) {
                    Some(directory) => self.directory.get_or_init(|| directory),
                    None => return Ok(None),
                }
            }
        };
        let mut page = index::blank_page();
        for number in index::pages_of(directory, trace) {
            file.read_at(&mut page, self.trailer.page_at(number))?;
            if index::offsets_in(&page, trace, offsets).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// Reads the payload of the frame at an offset; none if it is damaged. `end` is where the frames end.
pub(super) fn read_frame(file: &dyn File, offset: u32, end: u64) -> io::Result<Option<Vec<u8>>> {
    let offset = u64::from(offset);
    let mut header = [0; HEADER_BYTES];
    if offset + HEADER_BYTES as u64 > end {
        return Ok(None);
    }
    file.read_at(&mut header, offset)?;
    let Some(header) = Header::from_bytes(&header) else {
        return Ok(None);
    };
    let start = offset + HEADER_BYTES as u64;
    if header.kind != Kind::Spans || start + u64::from(header.length) > end {
        return Ok(None);
    }
    let mut payload = vec![0; header.length as usize];
    file.read_at(&mut payload, start)?;
    Ok(header.fits(&payload).then_some(payload))
}

/// Writes a tail's index, and makes the whole segment durable.
pub(super) fn seal(
    files: &dyn FileSystem,
    segment: &Written,
    length: u64,
    spans: u64,
    entries: Vec<Entry>,
) -> io::Result<Sealed> {
    let built = index::build(entries, length, spans);
    let header = Header::for_payload(Kind::Index, &built.payload)
        .ok_or_else(|| io::Error::other("the index is too large"))?;
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(&built.payload);
    bytes.extend_from_slice(&built.trailer);
    // A file of its own: an earlier attempt may have failed and left this one unusable.
    let file = files.open(&segment.path)?;
    // What a failed write left behind must not stand between the index and the file's end.
    if file.length()? != length {
        file.cut(length)?;
    }
    if let Err(error) = file.write_at(&bytes, length) {
        // A full disk has better uses for half an index.
        let _ = file.cut(length);
        return Err(error);
    }
    file.sync()?;
    Ok(Sealed::new(
        segment.number,
        segment.path.clone(),
        built.says,
    ))
}
