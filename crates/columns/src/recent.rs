//! All spans as columns at one moment: the segments, and what the log still has, which is made columns in memory.
//!
//! What was made of the log is kept until its segment is taken over, so that a question makes columns only of what came
//! since the last one. A span that comes again within one segment of the log may be there twice until then.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use hopline_traces::{LogStore, TracesError};
use hopline_wire::span::Span;
use object_store::path::Path as ObjectPath;
use parking_lot::Mutex;

use crate::bucket::Bucket;
use crate::rows::Rows;
use crate::segment::Segment;
use crate::segments::Segments;

/// How many rows are made one batch, and about how many bytes of them.
const BATCH_ROWS: usize = 32 << 10;
const BATCH_BYTES: usize = 64 << 20;

/// How many bytes of the log are made columns in memory, at most.
const MOST_LOG_BYTES: u64 = 96 << 20;

/// How many bytes these may take, about: several times as many, and more where spans share large texts.
const MOST_BYTES: usize = 1 << 30;

/// The spans of a log and of its segments, as columns.
pub struct Columns {
    log: Arc<LogStore>,
    segments: Arc<Segments>,
    read: Mutex<BTreeMap<u64, Read>>,
}

/// What was read of a segment of the log.
#[derive(Default)]
struct Read {
    end: u64,
    batches: Vec<RecordBatch>,
    /// About how many bytes these take.
    bytes: usize,
}

/// All finished spans at one moment.
pub struct Snapshot {
    /// Those in segments. The files stay as long as this is held.
    pub files: Vec<SegmentFile>,
    /// Those that only the log has.
    pub batches: Vec<RecordBatch>,
    /// The bucket that some of the files may be in.
    pub bucket: Option<Arc<Bucket>>,
}

/// A segment's file.
pub struct SegmentFile {
    /// Where it is, if it is in a folder.
    pub path: PathBuf,
    /// Its path in the bucket, if it is in one.
    pub object: Option<ObjectPath>,
    /// The first segment of the log that its spans come from.
    pub first: u64,
    /// The last one. No two files of a snapshot have any of these in common.
    pub last: u64,
    /// How many spans it has.
    pub rows: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// The earliest and the latest start of its spans, in nanoseconds since 1970, if it says them.
    pub starts: Option<(i64, i64)>,
    /// Whether some of them may be records: events and logs.
    pub has_records: bool,
    _held: Arc<Segment>,
}

impl Columns {
    /// The columns of a log and of the segments that were taken over from it.
    #[must_use]
    pub fn new(log: Arc<LogStore>, segments: Arc<Segments>) -> Self {
        Self {
            log,
            segments,
            read: Mutex::default(),
        }
    }

    /// The bucket that some of the segments may be in.
    #[must_use]
    pub fn bucket(&self) -> Option<&Arc<Bucket>> {
        self.segments.bucket()
    }

    /// All finished spans as they are now.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, TracesError> {
        let mut read = self.read.lock();
        let in_log = self.log.segments();
        let bytes: u64 = in_log.iter().map(|segment| segment.end).sum();
        if bytes > MOST_LOG_BYTES {
            return Err(self.not_yet());
        }
        read.retain(|number, _| in_log.iter().any(|segment| segment.number == *number));
        for segment in &in_log {
            let room = MOST_BYTES.saturating_sub(read.values().map(|read| read.bytes).sum());
            let known = read.entry(segment.number).or_default();
            if known.end < segment.end {
                self.read_on(segment.number, known, room)?;
            }
        }
        // Asked only now: what was taken over meanwhile is in both, and here it is left out of the log's.
        let all = self.segments.all();
        let taken_over = all
            .iter()
            .map(|segment| segment.name.last)
            .max()
            .unwrap_or(0);
        let batches = read
            .range(taken_over + 1..)
            .flat_map(|(_, read)| read.batches.iter().cloned());
        let batches = batches.collect();
        let files = all.into_iter().map(|segment| SegmentFile {
            path: segment.path.clone(),
            object: segment.object().cloned(),
            first: segment.name.first,
            last: segment.name.last,
            rows: segment.rows,
            bytes: segment.bytes,
            starts: segment.starts,
            has_records: segment.has_records,
            _held: segment,
        });
        Ok(Snapshot {
            files: files.collect(),
            batches,
            bucket: self.bucket().cloned(),
        })
    }

    /// Makes columns of what came to a segment of the log since, in so many bytes at most.
    fn read_on(&self, number: u64, known: &mut Read, room: usize) -> Result<(), TracesError> {
        // Kept only once all of it is read: else a second try would make the first part twice.
        let mut made = Making::default();
        let mut failed = None;
        let end = self.log.read_segment(number, known.end, &mut |spans| {
            for span in spans.iter().filter(|span| !span.pending) {
                match made.push(span) {
                    Ok(()) if made.bytes() <= room => {}
                    Ok(()) => failed = Some(self.not_yet()),
                    Err(error) => failed = Some(unmade(error)),
                }
                if failed.is_some() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        let bytes = made.bytes();
        known.batches.append(&mut made.finish().map_err(unmade)?);
        known.bytes += bytes;
        known.end = end;
        Ok(())
    }

    fn not_yet(&self) -> TracesError {
        let told = "spans are still being brought into columns: ask again in a while";
        let path = self.segments.folder().to_owned();
        TracesError::io("ask", path, io::Error::other(told))
    }
}

fn unmade(error: ArrowError) -> TracesError {
    TracesError::io("make columns of", PathBuf::new(), io::Error::other(error))
}

/// Batches that are being made.
#[derive(Default)]
struct Making {
    batches: Vec<RecordBatch>,
    /// What the batches take.
    bytes: usize,
    rows: Rows,
}

impl Making {
    fn bytes(&self) -> usize {
        self.bytes + self.rows.bytes()
    }

    fn push(&mut self, span: &Span) -> Result<(), ArrowError> {
        self.rows.push(span);
        match self.rows.len() >= BATCH_ROWS || self.rows.bytes() >= BATCH_BYTES {
            true => self.make(),
            false => Ok(()),
        }
    }

    fn make(&mut self) -> Result<(), ArrowError> {
        if !self.rows.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            self.bytes += rows.bytes();
            self.batches.push(rows.finish()?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>, ArrowError> {
        self.make()?;
        Ok(self.batches)
    }
}
