//! Decompressing a body within bounds.
//!
//! A few kilobytes may be gigabytes decompressed. So a body is decompressed into a buffer that asks for memory before it
//! grows, and no further than to its limit.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::{IngestError, measure::Counted};

/// The largest window of zstd that is taken, as a power of two: 8 MiB, what RFC 8878 asks decoders to support.
const ZSTD_WINDOW: u32 = 23;

/// How much brotli reads ahead, in bytes.
const BROTLI_BUFFER: usize = 4 << 10;

/// The buffer grows by so much at least, in bytes.
const CHUNK: usize = 1 << 20;

/// A `Content-Encoding` that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    /// zlib's format, as HTTP means it; without its frame too, as some senders do.
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// The encoding of this name; none if there is no such one.
    pub(super) fn named(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or_default().trim().to_ascii_lowercase();
        Some(match name.as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    fn reader(self, body: &[u8]) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Identity => Box::new(body),
            Self::Gzip => Box::new(MultiGzDecoder::new(body)),
            Self::Deflate if is_zlib(body) => Box::new(ZlibDecoder::new(body)),
            Self::Deflate => Box::new(DeflateDecoder::new(body)),
            Self::Brotli => Box::new(brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// Whether the body begins as zlib's format does (RFC 1950): method and window, and a check of these two bytes.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x8f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

/// The body without its encoding, at most `limit` bytes.
pub(super) fn unpack<'b>(
    body: &'b [u8],
    encoding: Encoding,
    limit: usize,
    counted: &Counted<'_>,
) -> Result<Cow<'b, [u8]>, IngestError> {
    if encoding == Encoding::Identity {
        return match body.len() > limit {
            true => Err(IngestError::TooLarge { limit }),
            false => Ok(Cow::Borrowed(body)),
        };
    }
    let mut packed = encoding.reader(body).map_err(IngestError::Encoding)?;
    let mut unpacked = Vec::new();
    let mut least = body.len().clamp(1 << 10, CHUNK);
    loop {
        let room = unpacked.capacity() - unpacked.len();
        if room == 0 {
            // It grows as it would by itself, but asks first.
            let more = least.max(unpacked.len()).min(limit + 1 - unpacked.len());
            counted.memory(more)?;
            unpacked.reserve_exact(more);
            continue;
        }
        let read = packed
            .by_ref()
            .take(room as u64)
            .read_to_end(&mut unpacked)
            .map_err(IngestError::Encoding)?;
        if unpacked.len() > limit {
            return Err(IngestError::TooLarge { limit });
        }
        if read < room {
            return Ok(Cow::Owned(unpacked));
        }
        least = CHUNK;
    }
}

/// The first line of a body, at most `limit` bytes of it; none if the body is not in its encoding.
pub(super) fn first_line(body: &[u8], encoding: Encoding, limit: usize) -> Option<Vec<u8>> {
    let reader = encoding.reader(body).ok()?;
    let mut line = Vec::new();
    let mut reader = io::BufReader::with_capacity(BROTLI_BUFFER, reader.take(limit as u64));
    reader.read_until(b'\n', &mut line).ok()?;
    Some(line)
}
