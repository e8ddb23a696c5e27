//! The way of many spans into one segment: sorted in memory, and where they are too large for that, in runs on disk that
//! are merged.
//!
//! Ordinary spans of one segment of the log are one run, and never touch the disk on their way. A text that thousands of
//! spans share is in the log once, though, and in columns once for each: such spans can take a hundred times as much here.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hopline_wire::TraceId;
use hopline_wire::span::Span;

use crate::merge::Merged;
use crate::name::Name;
use crate::rows::{Rows, Shape};
use crate::segment::{self, Segment, SegmentError};
use crate::segments::Segments;

/// How many bytes of rows are sorted in memory, about.
const RUN_BYTES: usize = 256 << 20;

/// How many rows are sorted and written at a time, and about how many bytes of them.
const WRITTEN_ROWS: usize = 8 << 10;
const WRITTEN_BYTES: usize = 16 << 20;

/// Spans that are becoming a segment.
pub(crate) struct Runs<'a> {
    segments: &'a Segments,
    name: Name,
    most: usize,
    rows: Rows,
    traces: HashSet<TraceId>,
    /// Those that are on disk, without a segment's name.
    written: Vec<Arc<Segment>>,
}

impl<'a> Runs<'a> {
    /// None yet, with room for some.
    pub(crate) fn new(segments: &'a Segments, name: Name, room: Shape) -> Self {
        Self::of_bytes(segments, name, room, RUN_BYTES)
    }

    /// The same with runs of about so many bytes.
    pub(crate) fn of_bytes(segments: &'a Segments, name: Name, room: Shape, most: usize) -> Self {
        Self {
            segments,
            name,
            most,
            rows: Rows::with_room(room),
            traces: HashSet::new(),
            written: Vec::new(),
        }
    }

    /// Adds a span. One that is added again replaces the one before.
    pub(crate) fn push(&mut self, span: &Span) -> Result<(), SegmentError> {
        self.traces.insert(span.trace_id);
        self.rows.push(span);
        if self.rows.bytes() >= self.most {
            self.write_run()?;
        }
        Ok(())
    }

    /// How much room those take that are in memory.
    pub(crate) fn shape(&mut self) -> Shape {
        self.rows.shape()
    }

    fn path(&self, run: usize) -> PathBuf {
        let path = self.segments.folder().join(self.name.path());
        path.with_extension(format!("run-{run}.new"))
    }

    fn write_run(&mut self) -> Result<(), SegmentError> {
        let rows = std::mem::take(&mut self.rows);
        let files = self.segments.files();
        let path = self.path(self.written.len());
        if let Some(hour) = path.parent() {
            files.create_folder(hour)?;
        }
        let traces = self.traces.len() as u64;
        segment::write_file(&**files, &path, traces, batches(rows)?)?;
        let run = Segment::open_at(files, path.clone(), self.name.clone());
        let run = run.inspect_err(|_| {
            // Else it would stay until the next opening.
            let _ = files.remove(&path);
        })?;
        self.written.push(Arc::new(run));
        Ok(())
    }

    /// Makes them a segment, durable and found, if there are any.
    pub(crate) fn finish(mut self) -> Result<(), SegmentError> {
        let traces = self.traces.len() as u64;
        let name = self.name.clone();
        if self.written.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            if !rows.is_empty() {
                put(self.segments, name, traces, batches(rows)?)?;
            }
            return Ok(());
        }
        if !self.rows.is_empty() {
            self.write_run()?;
        }
        put(self.segments, name, traces, Merged::of(&self.written)?)
    }
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        for run in &self.written {
            match run.remove() {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // The next opening removes it.
                    tracing::warn!(%error, path = %run.path.display(), "a run of spans could not be removed");
                }
                _ => {}
            }
        }
    }
}

/// The rows, sorted, a part at a time.
fn batches(
    rows: Rows,
) -> Result<
    impl Iterator<Item = Result<arrow_array::RecordBatch, SegmentError>>,
    arrow_schema::ArrowError,
> {
    let row = rows.bytes() / rows.len().max(1);
    let at_once = (WRITTEN_BYTES / row.max(1)).clamp(1, WRITTEN_ROWS);
    let batches = rows.into_batches(at_once)?;
    Ok(batches.map(|batch| batch.map_err(SegmentError::from)))
}

/// Writes a segment and has it found.
pub(crate) fn put(
    segments: &Segments,
    name: Name,
    traces: u64,
    batches: impl Iterator<Item = Result<arrow_array::RecordBatch, SegmentError>>,
) -> Result<(), SegmentError> {
    segment::write(
        &**segments.files(),
        segments.folder(),
        &name,
        traces,
        batches,
    )?;
    segments.put(Segment::open(segments.files(), segments.folder(), name)?);
    Ok(())
}
