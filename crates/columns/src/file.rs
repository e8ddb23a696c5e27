//! Parquet's files over the seam to the file system.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hopline_files::{File, FileSystem};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// How many bytes are written at once.
const BUFFER: usize = 1 << 20;

/// A file that is read, from any number of threads.
#[derive(Clone)]
pub(crate) struct Reader {
    file: Arc<dyn File>,
    length: u64,
}

impl Reader {
    pub(crate) fn open(files: &dyn FileSystem, path: &Path) -> io::Result<Self> {
        let file = files.open(path)?;
        let length = file.length()?;
        Ok(Self {
            file: file.into(),
            length,
        })
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }
}

impl Length for Reader {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Reader {
    type T = io::BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let at = At {
            reader: self.clone(),
            at: start,
        };
        Ok(io::BufReader::with_capacity(64 << 10, at))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // What a damaged file says of itself must not have us set aside more than it has.
        let end = start
            .checked_add(length as u64)
            .filter(|end| *end <= self.length);
        end.ok_or_else(|| ParquetError::EOF("the file ends before".into()))?;
        let mut bytes = vec![0; length];
        self.file.read_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A reading from a place on.
pub(crate) struct At {
    reader: Reader,
    at: u64,
}

impl Read for At {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.reader.length.saturating_sub(self.at);
        let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.reader.file.read_at(&mut bytes[..length], self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// A file that is written from its beginning to its end.
pub(crate) struct Writer {
    file: Box<dyn File>,
    at: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Makes the file.
    pub(crate) fn create(files: &dyn FileSystem, path: &Path) -> io::Result<Self> {
        let buffer = Vec::with_capacity(BUFFER);
        Ok(Self {
            file: files.create(path)?,
            at: 0,
            buffer,
        })
    }

    /// Makes what was written durable. Answers the file's length.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.write_out()?;
        self.file.sync()?;
        Ok(self.at)
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.write_out()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
