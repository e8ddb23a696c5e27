//! What a trace store is: the trait that everything else sees of one.
//!
//! All methods block, for as long as a disk takes; callers within tokio use `spawn_blocking`. A store is
//! shared by reference and takes calls from any number of threads.
//!
//! A span may be appended more than once: unfinished and then finished, or twice because its sender did
//! not see the first acknowledgement. Every reading by trace sees it once.

use std::ops::ControlFlow;
use std::path::PathBuf;

use hopline_wire::span::Span;
use hopline_wire::{SpanId, TraceId};

use crate::overview::Overview;

/// Keeps spans, and finds those of a trace.
pub trait TraceStore: Send + Sync {
    /// Appends spans.
    ///
    /// With [`Durability::Durable`] they survive a power cut once this has returned; with
    /// [`Durability::Buffered`] they survive the process, and a power cut that comes later than the
    /// store's flush interval. Either way [`Self::trace`] finds them from then on.
    ///
    /// # Errors
    /// Then some of the spans may be stored nevertheless; appending them again is harmless. A transient
    /// error ([`TracesError::is_transient`]) is worth another try later.
    fn append(&self, spans: &[Span], durability: Durability) -> Result<Appended, TracesError>;

    /// The spans of a trace, each once: a finished one replaces an unfinished one of the same id, and a
    /// later one an earlier one. Of more than `limit`, or than the store lets one reading take in memory, the
    /// earliest, at least one; but what holds the trace together (its root, the command, the build, steps, tools)
    /// before the hops of events and what these share. Sorted by start, then by id; empty if there are none.
    ///
    /// Takes memory for `limit` spans but no more than that bound, and 16 bytes for each span of the trace.
    ///
    /// # Errors
    /// If the store cannot be read. Damaged parts are left out, counted and logged instead.
    fn trace(&self, trace: TraceId, limit: usize) -> Result<Trace, TracesError>;

    /// All spans of a trace, each once as above, in the order in which they are stored: some hundreds or
    /// thousands at a time, at least one, until `visit` breaks off.
    ///
    /// Takes memory for one such part, and 16 bytes for each span of the trace.
    ///
    /// # Errors
    /// As [`Self::trace`]; what was visited until then stands.
    fn for_each(
        &self,
        trace: TraceId,
        visit: &mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
    ) -> Result<(), TracesError>;

    /// All spans of a trace as they are stored, those that came earlier before those that came later, some hundreds or
    /// thousands at a time, until `visit` breaks off: one that came more than once is shown more than once. For whoever
    /// sorts that out, by the rule above, since this reads once what [`Self::for_each`] reads twice.
    ///
    /// Takes memory for one such part.
    ///
    /// # Errors
    /// As [`Self::trace`]; what was visited until then stands.
    fn for_each_stored(
        &self,
        trace: TraceId,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError>;

    /// One span of a trace, as above; none if it is not there.
    ///
    /// Takes memory for one part of the trace.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn span(&self, trace: TraceId, span: SpanId) -> Result<Option<Span>, TracesError>;

    /// All spans of the store, some hundreds or thousands at a time, until `visit` breaks off: finished ones as they are
    /// stored, then those that are unfinished. One that was appended twice may be shown twice, the later after the earlier, and
    /// so may be one that goes from one form to another meanwhile; none is missed that was there when this began.
    ///
    /// Takes memory for some such parts, and a few dozen bytes for each unfinished span.
    ///
    /// # Errors
    /// As [`Self::trace`]; what was visited until then stands.
    fn for_all(&self, visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>)
    -> Result<(), TracesError>;

    /// The figures of a trace; none if it has no spans. Makes no span: much quicker than reading them.
    ///
    /// Takes 24 bytes for each span of the trace, and a few dozen for each event.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn overview(&self, trace: TraceId) -> Result<Option<Overview>, TracesError>;

    /// Figures of the store.
    fn stats(&self) -> Stats;

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// If that failed.
    fn flush(&self) -> Result<(), TracesError>;

    /// Flushes, and ends the store: later appends fail. Closing twice is no error.
    ///
    /// # Errors
    /// If the flush failed; the store is closed all the same.
    fn close(&self) -> Result<(), TracesError>;
}

/// Spans of a trace: all, or as many as were asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    /// Those that were read.
    pub spans: Vec<Span>,
    /// How many the trace has.
    pub total: u64,
}

impl Trace {
    /// Whether the trace has more spans than these.
    #[must_use]
    pub const fn is_part(&self) -> bool {
        (self.spans.len() as u64) < self.total
    }
}

/// Some of the spans of a trace that is visited.
#[derive(Debug)]
pub struct Part<'a> {
    /// These.
    pub spans: &'a [Span],
    /// How many there are in all.
    pub total: u64,
}

/// When an append returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once the spans are on disk. Callers at the same time share one flush.
    Durable,
    /// Once they are handed to the operating system, which has them flushed within a bounded time.
    Buffered,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// How many spans were stored.
    pub spans: u64,
    /// How many bytes they took at rest.
    pub bytes: u64,
}

/// Figures of a store. Those that count are since it was opened, except where said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Spans in the store, from whenever; one that was appended twice counts twice.
    pub spans: u64,
    /// Those of them that have left the log for columns.
    pub settled_spans: u64,
    /// Bytes that the store occupies.
    pub bytes: u64,
    /// Files that the store consists of.
    pub segments: u64,
    /// Spans appended.
    pub appended_spans: u64,
    /// Appends that failed.
    pub failed_appends: u64,
    /// Bytes that a crash had left unfinished at the end of a file, cut off.
    pub torn_bytes: u64,
    /// Times that a damaged part was met and left out.
    pub corrupt_parts: u64,
    /// Flushes that failed.
    pub failed_flushes: u64,
    /// Files removed to stay within the bytes that the store may occupy.
    pub removed_segments: u64,
    /// Spans that went with them.
    pub removed_spans: u64,
}

/// Why a store could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TracesError {
    /// The disk is full. The store goes on as soon as there is room.
    #[error("{operation} {path}: the disk is full")]
    DiskFull {
        /// What was to be done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
    },
    /// A file could not be worked with.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was to be done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: std::sync::Arc<std::io::Error>,
    },
    /// A file was written by a newer Hopline.
    #[error("open {path}: its format is version {version}, and this Hopline reads up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that is understood here.
        known: u32,
    },
    /// Too much waits to be finished in the background, because that cannot keep up or keeps failing.
    #[error("append spans: {waiting} full segments wait to be sealed or taken over")]
    Behind {
        /// How many.
        waiting: usize,
    },
    /// A single span is too large to be stored.
    #[error("append spans: one is larger than {} MiB", crate::frame::MAX_PAYLOAD >> 20)]
    SpanTooLarge,
    /// The flush that was to make these spans durable failed; whether they are is unknown.
    #[error("append spans: their flush failed")]
    FlushFailed,
    /// The store was closed.
    #[error("append spans: the store is closed")]
    Closed,
}

impl TracesError {
    /// Whether the same call may succeed later without anyone changing anything but the circumstances.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Behind { .. } | Self::FlushFailed => true,
            Self::Io { .. } | Self::Newer { .. } | Self::SpanTooLarge | Self::Closed => false,
        }
    }

    /// The error of an operation on a file.
    #[must_use]
    pub fn io(operation: &'static str, path: PathBuf, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match source.kind() {
            StorageFull | QuotaExceeded => Self::DiskFull { operation, path },
            _ => Self::Io {
                operation,
                path,
                source: std::sync::Arc::new(source),
            },
        }
    }
}
