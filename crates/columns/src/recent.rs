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
use hopline_traces::{LogStore, TracesError};
use parking_lot::Mutex;

use crate::rows::Rows;
use crate::segment::Segment;
use crate::segments::Segments;

/// How many rows are made one batch.
const BATCH_ROWS: usize = 32 << 10;

/// How many bytes of the log are made columns in memory, at most: they take several times as many there.
const MOST_BYTES: u64 = 96 << 20;

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
}

/// All finished spans at one moment.
pub struct Snapshot {
    /// Those in segments. The files stay as long as this is held.
    pub files: Vec<SegmentFile>,
    /// Those that only the log has.
    pub batches: Vec<RecordBatch>,
}

/// A segment's file.
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many spans.
    pub rows: u64,
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

    /// All finished spans as they are now.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, TracesError> {
        let mut read = self.read.lock();
        let in_log = self.log.segments();
        let bytes: u64 = in_log.iter().map(|segment| segment.end).sum();
        if bytes > MOST_BYTES {
            let told = "spans are still being brought into columns: ask again in a while";
            let path = self.segments.folder().to_owned();
            return Err(TracesError::io("ask", path, io::Error::other(told)));
        }
        read.retain(|number, _| in_log.iter().any(|segment| segment.number == *number));
        for segment in &in_log {
            let known = read.entry(segment.number).or_default();
            if known.end < segment.end {
                self.read_on(segment.number, known)?;
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
            bytes: segment.bytes,
            rows: segment.rows,
            _held: segment,
        });
        Ok(Snapshot {
            files: files.collect(),
            batches,
        })
    }

    /// Makes columns of what came to a segment of the log since.
    fn read_on(&self, number: u64, known: &mut Read) -> Result<(), TracesError> {
        let mut rows = Rows::default();
        let mut made = Ok(());
        // Kept only once all of it is read: else a second try would make the first part twice.
        let mut batches = Vec::new();
        let mut make = |rows: Rows| -> Result<(), TracesError> {
            if !rows.is_empty() {
                let failed = |error: arrow_schema::ArrowError| {
                    TracesError::io("make columns of", PathBuf::new(), io::Error::other(error))
                };
                batches.push(rows.finish().map_err(failed)?);
            }
            Ok(())
        };
        let end = self.log.read_segment(number, known.end, &mut |spans| {
            spans
                .iter()
                .filter(|span| !span.pending)
                .for_each(|span| rows.push(span));
            if rows.len() >= BATCH_ROWS {
                made = make(std::mem::take(&mut rows));
            }
            match made {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        made.and_then(|()| make(rows))?;
        known.end = end;
        known.batches.append(&mut batches);
        Ok(())
    }
}
