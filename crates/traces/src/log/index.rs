//! A sealed segment's index: which frames hold spans of which trace.
//!
//! It stands behind the last frame of spans, as a frame of its own followed by a trailer:
//! - *pages* of 4 KiB: CRC-32C of the rest, number of entries (2 bytes), 2 bytes of nothing, then the
//!   entries, sorted: trace id and the offset of a frame (4 bytes);
//! - the *directory*: the first trace id of each page;
//! - after the frame, the *trailer* of 40 bytes: `HOPLSEAL`, where the frames of spans end (8), number of
//!   spans (8), of pages (4), of entries (4), CRC-32C of the directory, CRC-32C of the trailer so far.
//!
//! So a segment is opened by reading its trailer, and a trace is found in it by reading one page.

use hopline_wire::TraceId;

use crate::frame::HEADER_BYTES;

/// That a frame at this offset holds spans of this trace.
pub(super) type Entry = (TraceId, u32);

const PAGE_BYTES: usize = 4096;
const PAGE_HEAD: usize = 8;
const ENTRY_BYTES: usize = 20;
const PAGE_ENTRIES: usize = (PAGE_BYTES - PAGE_HEAD) / ENTRY_BYTES;
const MAGIC: [u8; 8] = *b"HOPLSEAL";

/// How long the trailer is.
pub(super) const TRAILER_BYTES: usize = 40;

/// What a sealed segment's last bytes say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    /// Where the frames of spans end, and the index's frame begins.
    pub(super) frames_end: u64,
    /// How many spans the segment holds.
    pub(super) spans: u64,
    /// How many pages the index has.
    pub(super) pages: u32,
    /// How many entries they have in all.
    pub(super) entries: u32,
    /// The directory's CRC-32C.
    pub(super) directory_checksum: u32,
}

impl Trailer {
    /// Where a page begins in the file.
    pub(super) fn page_at(&self, page: usize) -> u64 {
        self.frames_end + (HEADER_BYTES + page * PAGE_BYTES) as u64
    }

    /// Where the directory lies in the file, and its length.
    pub(super) fn directory_at(&self) -> (u64, usize) {
        let pages = self.pages as usize;
        (self.page_at(pages), pages * 16)
    }

    /// How long the whole file is.
    pub(super) fn file_bytes(&self) -> u64 {
        let (directory, length) = self.directory_at();
        directory + (length + TRAILER_BYTES) as u64
    }

    fn to_bytes(self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.frames_end.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.spans.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.pages.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.entries.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.directory_checksum.to_le_bytes());
        let own = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// Reads the last bytes of a file of `file_bytes`; none if they are no trailer that fits it.
    pub(super) fn from_bytes(bytes: &[u8; TRAILER_BYTES], file_bytes: u64) -> Option<Self> {
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..36]) != word(bytes, 36) {
            return None;
        }
        let long = |at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32;
        let trailer = Self {
            frames_end: long(8),
            spans: long(16),
            pages: word(bytes, 24),
            entries: word(bytes, 28),
            directory_checksum: word(bytes, 32),
        };
        // The first comparison keeps the second from overflowing.
        let fits = trailer.frames_end <= file_bytes && trailer.file_bytes() == file_bytes;
        fits.then_some(trailer)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map_or(0, |four| u32::from_le_bytes(*four))
}

/// An index as it will be written.
pub(super) struct Built {
    /// The payload of the index's frame.
    pub(super) payload: Vec<u8>,
    /// The trailer that follows the frame.
    pub(super) trailer: [u8; TRAILER_BYTES],
    /// What the trailer says.
    pub(super) says: Trailer,
}

/// Builds the index of a segment whose frames end at `frames_end`.
pub(super) fn build(mut entries: Vec<Entry>, frames_end: u64, spans: u64) -> Built {
    entries.sort_unstable();
    entries.dedup();
    let pages = entries.chunks(PAGE_ENTRIES);
    let mut payload = Vec::with_capacity(pages.len() * (PAGE_BYTES + 16));
    let mut directory = Vec::with_capacity(pages.len() * 16);
    let page_count = pages.len();
    for page in pages {
        let start = payload.len();
        payload.extend_from_slice(&[0; 4]);
        #[expect(clippy::cast_possible_truncation, reason = "at most 204")]
        payload.extend_from_slice(&(page.len() as u16).to_le_bytes());
        payload.extend_from_slice(&[0; 2]);
        for (trace, offset) in page {
            payload.extend_from_slice(&trace.to_bytes());
            payload.extend_from_slice(&offset.to_le_bytes());
        }
        payload.resize(start + PAGE_BYTES, 0);
        let checksum = crc32c::crc32c(&payload[start + 4..]);
        payload[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        directory.extend_from_slice(&page[0].0.to_bytes());
    }
    payload.extend_from_slice(&directory);
    #[expect(clippy::cast_possible_truncation, reason = "offsets have 32 bits too")]
    let says = Trailer {
        frames_end,
        spans,
        pages: page_count as u32,
        entries: entries.len() as u32,
        directory_checksum: crc32c::crc32c(&directory),
    };
    Built {
        payload,
        trailer: says.to_bytes(),
        says,
    }
}

/// Reads a directory; none if it is damaged.
pub(super) fn directory(bytes: &[u8], trailer: &Trailer) -> Option<Vec<TraceId>> {
    if crc32c::crc32c(bytes) != trailer.directory_checksum {
        return None;
    }
    let (ids, _) = bytes.as_chunks::<16>();
    ids.iter().map(|id| TraceId::from_bytes(*id)).collect()
}

/// The pages that may hold a trace: the last whose first id is below it, and those that begin with it.
pub(super) fn pages_of(directory: &[TraceId], trace: TraceId) -> std::ops::Range<usize> {
    let below = directory.partition_point(|first| *first < trace);
    let end = directory.partition_point(|first| *first <= trace);
    below.saturating_sub(1)..end
}

/// A page's bytes.
pub(super) type Page = [u8; PAGE_BYTES];

/// An empty page to read into.
pub(super) const fn blank_page() -> Page {
    [0; PAGE_BYTES]
}

/// Appends the offsets of a trace's frames that a page names. None if the page is damaged.
pub(super) fn offsets_in(page: &Page, trace: TraceId, out: &mut Vec<u32>) -> Option<()> {
    if crc32c::crc32c(&page[4..]) != word(page, 0) {
        return None;
    }
    let count = usize::from(u16::from_le_bytes([page[4], page[5]]));
    let (entries, _) = page[PAGE_HEAD..].as_chunks::<ENTRY_BYTES>();
    let entries = entries.get(..count)?;
    let wanted = trace.to_bytes();
    let start = entries.partition_point(|entry| entry[..16] < wanted[..]);
    let same = entries[start..]
        .iter()
        .take_while(|entry| entry[..16] == wanted[..]);
    out.extend(same.map(|entry| word(entry, 16)));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::trace_id;

    /// Looks a trace up in a built index as a reader of the file would.
    fn look_up(built: &Built, trace: TraceId) -> Vec<u32> {
        let pages = built.says.pages as usize;
        let (pages_bytes, directory_bytes) = built.payload.split_at(pages * PAGE_BYTES);
        let directory = directory(directory_bytes, &built.says).unwrap();
        let mut found = Vec::new();
        for page in pages_of(&directory, trace) {
            let start = page * PAGE_BYTES;
            let page = pages_bytes[start..].first_chunk().unwrap();
            offsets_in(page, trace, &mut found).unwrap();
        }
        found
    }

    #[test]
    fn every_frame_of_every_trace_is_found() {
        // Trace 5 has more frames than a page has entries.
        let few = (0..500_u32).map(|n| (trace_id(u64::from(n) * 10), n));
        let many = (0..700_u32).map(|n| (trace_id(5), n));
        let entries: Vec<_> = few.clone().chain(many.clone()).collect();
        let built = build(entries, 16, 1_200);
        for (trace, offset) in few {
            assert_eq!(look_up(&built, trace), [offset]);
        }
        assert_eq!(
            look_up(&built, trace_id(5)),
            (0..700_u32).collect::<Vec<_>>()
        );
        assert!(look_up(&built, trace_id(7)).is_empty());
        assert!(look_up(&built, trace_id(90_000)).is_empty());
        assert!(look_up(&build(Vec::new(), 16, 0), trace_id(1)).is_empty());
    }

    #[test]
    fn a_damaged_trailer_or_page_is_noticed() {
        let built = build(vec![(trace_id(1), 16)], 100, 1);
        let length = built.says.file_bytes();
        assert_eq!(
            Trailer::from_bytes(&built.trailer, length),
            Some(built.says)
        );
        assert_eq!(Trailer::from_bytes(&built.trailer, length + 1), None);
        for at in 0..TRAILER_BYTES {
            let mut damaged = built.trailer;
            damaged[at] ^= 1;
            assert_eq!(Trailer::from_bytes(&damaged, length), None);
        }
        let mut page = *built.payload.first_chunk::<PAGE_BYTES>().unwrap();
        page[4000] ^= 1;
        assert_eq!(offsets_in(&page, trace_id(1), &mut Vec::new()), None);
        assert_eq!(directory(&[0; 16], &built.says), None);
    }
}
