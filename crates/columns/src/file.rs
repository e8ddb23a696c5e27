//! Parquet's files over the seam to the file system, and in a bucket.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hopline_files::{File, FileSystem};
use object_store::path::Path as ObjectPath;
use parking_lot::Mutex;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use crate::bucket::Bucket;

/// How many bytes are written at once.
const BUFFER: usize = 1 << 20;

/// A file that is read, from any number of threads.
#[derive(Clone)]
pub(crate) struct Reader {
    source: Source,
    length: u64,
    /// Why a reading failed, of whoever hands on no more than that it did.
    failure: Arc<Mutex<Option<io::Error>>>,
}

#[derive(Clone)]
enum Source {
    File(Arc<dyn File>),
    Object(Arc<Bucket>, ObjectPath),
}

impl Reader {
    pub(crate) fn open(files: &dyn FileSystem, path: &Path) -> io::Result<Self> {
        let file = files.open(path)?;
        let length = file.length()?;
        Ok(Self::of(Source::File(file.into()), length))
    }

    /// Reads an object of a bucket that is so many bytes long.
    pub(crate) fn of_object(bucket: Arc<Bucket>, path: ObjectPath, length: u64) -> Self {
        Self::of(Source::Object(bucket, path), length)
    }

    fn of(source: Source, length: u64) -> Self {
        let failure = Arc::default();
        Self {
            source,
            length,
            failure,
        }
    }

    /// Why the last reading failed that did.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().take()
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let read = match &self.source {
            Source::File(file) => file.read_at(bytes, offset),
            Source::Object(bucket, path) => {
                let range = offset..offset + bytes.len() as u64;
                let read = bucket.read(path, range, self.length);
                read.map(|read| bytes.copy_from_slice(&read))
            }
        };
        read.map_err(|error| self.note(error))
    }

    fn note(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.failure.lock() = Some(error);
        kind.into()
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
        if let Source::Object(bucket, path) = &self.source {
            let read = bucket.read(path, start..start + length as u64, self.length);
            return Ok(read.map_err(|error| self.note(error))?);
        }
        let mut bytes = vec![0; length];
        self.read_at(&mut bytes, start)?;
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
        self.reader.read_at(&mut bytes[..length], self.at)?;
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
