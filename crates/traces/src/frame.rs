//! Frames: batches of spans in the log's own compact encoding.
//!
//! A frame is a header of 16 bytes and a payload. All whole numbers of fixed size are little-endian;
//! "number" means LEB128, "signed" means zigzag and then LEB128.
//!
//! | header | bytes |
//! | --- | --- |
//! | marker `b5 48 46`, by which a reader finds the next frame after a damaged one | 3 |
//! | kind: 1 spans, 2 a segment's index | 1 |
//! | length of the payload | 4 |
//! | CRC-32C of the payload | 4 |
//! | CRC-32C of the 12 bytes before | 4 |
//!
//! The payload of spans holds, in this order:
//! 1. the number of spans; then the distinct trace ids (a number, 16 bytes each): so far a scan reads to
//!    index a frame without touching its spans;
//! 2. the texts (a number; each a length and UTF-8). A *text* further on is its number in this list
//!    counted from 1; 0 is the empty text;
//! 3. the resources (a number; each its attributes, scope name, scope version);
//! 4. the shared link lists (a number; each a number of span ids and these): a group commit's statements
//!    link the same spans, so the list is written once;
//! 5. the spans, each a length and a record (see `record`).
//!
//! One frame can be read without any other. Decoding trusts nothing: whatever the bytes, it ends in
//! spans or in [`Corrupt`], and allocates no more than a constant times their number.

mod bytes;
mod decode;
mod dictionary;
mod encode;
mod record;
mod size;

#[cfg(test)]
mod tests;

pub(crate) use decode::{contents, decode, facts, sized_facts};
pub(crate) use encode::FrameEncoder;

/// How long a frame's header is.
pub(crate) const HEADER_BYTES: usize = 16;

/// The largest payload, in bytes. A frame is closed long before; only a single enormous span could
/// reach this.
pub(crate) const MAX_PAYLOAD: usize = 256 << 20;

/// What every frame begins with.
pub(crate) const MARKER: [u8; 3] = [0xb5, b'H', b'F'];

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Spans.
    Spans = 1,
    /// The index of a sealed segment.
    Index = 2,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the payload holds.
    pub(crate) kind: Kind,
    /// The payload's length.
    pub(crate) length: u32,
    /// The payload's CRC-32C.
    pub(crate) checksum: u32,
}

impl Header {
    /// The header for a payload; none if the payload is too long for a frame.
    pub(crate) fn for_payload(kind: Kind, payload: &[u8]) -> Option<Self> {
        let length = u32::try_from(payload.len()).ok()?;
        (payload.len() <= MAX_PAYLOAD).then(|| Self {
            kind,
            length,
            checksum: crc32c::crc32c(payload),
        })
    }

    /// The header's bytes.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(&MARKER);
        bytes[3] = self.kind as u8;
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.checksum.to_le_bytes());
        let own = crc32c::crc32c(&bytes[..12]);
        bytes[12..].copy_from_slice(&own.to_le_bytes());
        bytes
    }

    /// Reads a header; none if the bytes are none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let word = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes(four)
        };
        if bytes[..3] != MARKER || crc32c::crc32c(&bytes[..12]) != word(12) {
            return None;
        }
        let kind = match bytes[3] {
            1 => Kind::Spans,
            2 => Kind::Index,
            _ => return None,
        };
        let header = Self {
            kind,
            length: word(4),
            checksum: word(8),
        };
        (header.length as usize <= MAX_PAYLOAD).then_some(header)
    }

    /// Whether this is the payload that the header was written for.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32c::crc32c(payload) == self.checksum
    }
}

/// Bytes that are no frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of spans is corrupt: {0}")]
pub(crate) struct Corrupt(pub(crate) &'static str);
