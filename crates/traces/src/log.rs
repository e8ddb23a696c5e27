//! The trace store's first form: an append-only log of frames, found by trace id.
//!
//! **On disk.** A folder of segments, `0000000000000001.log` and so on, described in `segment.rs`. Spans are
//! appended to the newest; at [`LogOptions::segment_bytes`] it is left for the next, and sealed in the
//! background: an index of its traces is written behind its frames. The oldest sealed segments are removed
//! when all together exceed [`LogOptions::retained_bytes`].
//!
//! **When what is durable.** An append writes its frames to the file and only then shows them to readers,
//! so they survive the end of the process however it ends. [`Durability::Durable`] returns after the file
//! (and, for a new file, the folder) has been synced; all callers that wait at one time share a sync.
//! [`Durability::Buffered`] returns at once; a thread of the store's own syncs at most
//! [`LogOptions::flush_interval`] after the write. A failed sync is never tried again on the same file,
//! since the system may have dropped the bytes: its waiters get an error, and writing goes on in a new
//! segment.
//!
//! **After a crash.** Segments without an index are read once and their frames checked. What a crash left
//! behind the last whole frame is cut off, counted and logged; it was never acknowledged as durable. A
//! damaged stretch between whole frames is left out of the index and counted, and costs nothing else.
//! Sealed segments are opened by their trailer alone.
//!
//! **Taken over.** Whoever keeps spans in another form ([`Older`]) takes sealed segments over and then releases them:
//! readers see a span in the one place or the other at every moment, and a released file goes once nobody reads it. Then
//! nothing is removed here that was not taken over: where that cannot keep up, appends are held until it has, for a while,
//! and then refused.
//!
//! One process at a time may open a folder; seeing to that is the caller's, who locks the data folder.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hopline_wire::span::{SinkError, Span, SpanSink};
use hopline_wire::{SpanId, TraceId};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::frame::FrameEncoder;
use crate::overview::Overview;
use crate::store::{Appended, Durability, Part, Stats, Trace, TraceStore, TracesError};
use hopline_files::{Disk, FileSystem};
use index::Entry;
use reading::Reading;
use segment::{SEGMENT_HEADER, Sealed, Tail, Written};

mod all;
mod flush;
mod handover;
mod index;
mod open;
mod read;
mod reading;
mod scan;
mod segment;
mod stored;
mod upkeep;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod tests;

pub use handover::{LogSegment, Older, OlderStats, Stretch};
pub use open::Opened;

/// How many full segments may wait to be sealed, their indexes in memory, before appends are held.
const MAX_WAITING: usize = 8;

/// How many encoders are kept for the next appends.
const KEPT_ENCODERS: usize = 4;

/// Settings of a log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How long a buffered append may stay unsynced.
    pub flush_interval: Duration,
    /// At how many bytes a segment is left for the next; at most 1 GiB.
    pub segment_bytes: u64,
    /// How many bytes the log may occupy; beyond, the oldest segments are removed, or appends held if what is in them is to
    /// be taken over. The tail is never removed, so it may occupy a little more.
    pub retained_bytes: u64,
    /// How long an append is held until there is room for it.
    pub held_for: Duration,
    /// How many bytes of memory the spans of one reading may take, about.
    pub read_bytes: usize,
    /// Up to which number segments were taken over ([`Older`]): these are no longer read, and their numbers not used again.
    pub taken_over: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_millis(200),
            segment_bytes: 8 << 20,
            retained_bytes: 4 << 30,
            held_for: Duration::from_secs(5),
            // Enough for 100,000 spans of our own.
            read_bytes: 96 << 20,
            taken_over: 0,
        }
    }
}

/// A trace store that is a log. See the module.
pub struct LogStore {
    shared: Arc<Shared>,
    upkeep: Mutex<Option<JoinHandle<()>>>,
}

/// What the callers and the upkeep thread share.
struct Shared {
    files: Arc<dyn FileSystem>,
    folder: PathBuf,
    options: LogOptions,
    state: Mutex<State>,
    /// Wakes the upkeep thread.
    wake: Condvar,
    /// Wakes appends that wait for a segment to be sealed or taken over.
    room: Condvar,
    flushing: Mutex<flush::Flushing>,
    flushed: Condvar,
    encoders: Mutex<Vec<Batch>>,
    counters: Counters,
    /// Where those spans are that were taken over from the log.
    older: OnceLock<Arc<dyn Older>>,
}

#[derive(Default)]
struct Counters {
    appended_spans: AtomicU64,
    failed_appends: AtomicU64,
    torn_bytes: AtomicU64,
    corrupt_parts: AtomicU64,
    failed_flushes: AtomicU64,
    removed_segments: AtomicU64,
    removed_spans: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

struct State {
    /// Oldest first.
    sealed: Vec<Arc<Sealed>>,
    /// Full segments that are not yet sealed, oldest first.
    waiting: Vec<Tail>,
    /// The segment that is written; made by the first append.
    active: Option<Tail>,
    /// Segments that were taken over, and may still be read by someone.
    leaving: Vec<Arc<Sealed>>,
    next_number: u64,
    /// How many bytes were ever appended: the measure of what is durable.
    position: u64,
    /// Whether a file was made or removed since the folder was last synced.
    folder_changed: bool,
    /// Whether something was appended since the upkeep thread last looked.
    unflushed: bool,
    /// Whether the last attempt to seal a segment failed.
    sealing_fails: bool,
    closed: bool,
}

impl State {
    /// All tails, oldest first.
    fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.waiting.iter().chain(&self.active)
    }

    fn bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|segment| segment.bytes()).sum();
        sealed + self.tails().map(|tail| tail.length).sum::<u64>()
    }

    fn spans(&self) -> u64 {
        let sealed: u64 = self
            .sealed
            .iter()
            .map(|segment| segment.trailer.spans)
            .sum();
        sealed + self.tails().map(|tail| tail.spans).sum::<u64>()
    }
}

impl LogStore {
    /// Opens the log in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder or a segment in it cannot be worked with, or is from a newer Hopline.
    pub fn open(folder: &Path, options: LogOptions) -> Result<(Self, Opened), TracesError> {
        Self::open_on(Arc::new(Disk), folder, options)
    }

    /// The same on another file system.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(
        files: Arc<dyn FileSystem>,
        folder: &Path,
        mut options: LogOptions,
    ) -> Result<(Self, Opened), TracesError> {
        // Offsets in an index have 32 bits, and one append may go beyond the limit.
        options.segment_bytes = options.segment_bytes.clamp(1, 1 << 30);
        let (state, opened) = open::open(&*files, folder, &options)?;
        let counters = Counters::default();
        Counters::add(&counters.torn_bytes, opened.torn_bytes);
        Counters::add(&counters.corrupt_parts, opened.corrupt_parts);
        let shared = Arc::new(Shared {
            files,
            folder: folder.to_owned(),
            options,
            state: Mutex::new(state),
            wake: Condvar::new(),
            room: Condvar::new(),
            flushing: Mutex::default(),
            flushed: Condvar::new(),
            encoders: Mutex::default(),
            counters,
            older: OnceLock::new(),
        });
        let upkeep = upkeep::start(&shared)
            .map_err(|source| TracesError::io("start the upkeep of", folder.to_owned(), source))?;
        let store = Self {
            shared,
            upkeep: Mutex::new(Some(upkeep)),
        };
        Ok((store, opened))
    }
}

/// Whether an append waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// It does.
    Needed,
    /// It is for the sake of room that it is made.
    Given,
}

impl LogStore {
    fn append_or_wait(
        &self,
        spans: &[Span],
        durability: Durability,
        room: Room,
    ) -> Result<Appended, TracesError> {
        if spans.is_empty() {
            return Ok(Appended::default());
        }
        let appended = self.shared.append(spans, durability, room);
        let counters = &self.shared.counters;
        match &appended {
            Ok(appended) => Counters::add(&counters.appended_spans, appended.spans),
            Err(_) => Counters::add(&counters.failed_appends, 1),
        }
        appended
    }
}

impl TraceStore for LogStore {
    fn append(&self, spans: &[Span], durability: Durability) -> Result<Appended, TracesError> {
        self.append_or_wait(spans, durability, Room::Needed)
    }

    fn trace(&self, trace: TraceId, limit: usize) -> Result<Trace, TracesError> {
        Reading::trace(&self.shared, trace, limit)
    }

    fn for_each(
        &self,
        trace: TraceId,
        visit: &mut dyn FnMut(Part<'_>) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        Reading::for_each(&self.shared, trace, visit)
    }

    fn for_each_stored(
        &self,
        trace: TraceId,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        self.shared.for_each_stored(trace, visit)
    }

    fn span(&self, trace: TraceId, span: SpanId) -> Result<Option<Span>, TracesError> {
        self.shared.span(trace, span)
    }

    fn for_all(
        &self,
        visit: &mut dyn FnMut(&[Span]) -> ControlFlow<()>,
    ) -> Result<(), TracesError> {
        self.visit_all(visit)
    }

    fn overview(&self, trace: TraceId) -> Result<Option<Overview>, TracesError> {
        Reading::overview(&self.shared, trace)
    }

    fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let older = self.shared.older.get().map(|older| older.stats());
        let older = older.unwrap_or_default();
        let state = self.shared.state.lock();
        Stats {
            spans: state.spans() + older.spans,
            settled_spans: older.spans,
            bytes: state.bytes() + older.bytes,
            segments: (state.sealed.len() + state.tails().count()) as u64 + older.files,
            appended_spans: count(&counters.appended_spans),
            failed_appends: count(&counters.failed_appends),
            torn_bytes: count(&counters.torn_bytes),
            corrupt_parts: count(&counters.corrupt_parts) + older.corrupt_parts,
            failed_flushes: count(&counters.failed_flushes),
            removed_segments: count(&counters.removed_segments),
            removed_spans: count(&counters.removed_spans),
        }
    }

    fn flush(&self) -> Result<(), TracesError> {
        self.shared.flush()
    }

    fn close(&self) -> Result<(), TracesError> {
        self.shared.state.lock().closed = true;
        self.shared.wake.notify_all();
        self.shared.room.notify_all();
        let thread = self.upkeep.lock().take();
        // A panic there has been reported by its own thread.
        let Some(thread) = thread else {
            return Ok(());
        };
        let _ = thread.join();
        let flushed = self.shared.flush();
        // What is not sealed now is read whole at the next opening, and sealed then.
        self.shared.seal_waiting();
        flushed
    }
}

/// Spans from the parts of this process: buffered, since losing the last moments of them in a power cut
/// loses no event.
impl SpanSink for LogStore {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        match self.append(spans, Durability::Buffered) {
            Ok(_) => Ok(()),
            Err(error) if error.is_transient() => Err(SinkError::Full),
            Err(error) => Err(SinkError::Failed(Box::new(error))),
        }
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(error = %error, "the trace store was closed with unflushed spans");
        }
    }
}

/// An append's frames on their way to the file, with what made them. Kept and used again.
struct Batch {
    encoder: FrameEncoder,
    bytes: Vec<u8>,
    /// Which trace is in which frame: offsets within `bytes`.
    entries: Vec<Entry>,
}

impl Batch {
    fn new() -> Self {
        Self {
            encoder: FrameEncoder::new(),
            bytes: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn fill(&mut self, spans: &[Span]) -> Result<(), TracesError> {
        self.bytes.clear();
        self.entries.clear();
        let mut rest = spans;
        while !rest.is_empty() {
            // Offsets beyond 32 bits cannot be reached by one append of spans that are in memory.
            let offset = u32::try_from(self.bytes.len()).map_err(|_| TracesError::SpanTooLarge)?;
            let encoded = self.encoder.encode(rest, &mut self.bytes);
            let encoded = encoded.ok_or(TracesError::SpanTooLarge)?;
            let entries = encoded.traces.into_iter().map(|trace| (trace, offset));
            self.entries.extend(entries);
            rest = &rest[encoded.spans..];
        }
        Ok(())
    }

    fn shrink(&mut self) {
        self.encoder.shrink();
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.entries.clear();
        self.entries.shrink_to(1 << 14);
    }
}

impl Shared {
    fn append(
        &self,
        spans: &[Span],
        durability: Durability,
        room: Room,
    ) -> Result<Appended, TracesError> {
        let kept = self.encoders.lock().pop();
        let mut batch = kept.unwrap_or_else(Batch::new);
        let written = batch
            .fill(spans)
            .and_then(|()| self.write(&batch, spans.len() as u64, room));
        let bytes = batch.bytes.len() as u64;
        batch.shrink();
        let mut encoders = self.encoders.lock();
        if encoders.len() < KEPT_ENCODERS {
            encoders.push(batch);
        }
        drop(encoders);
        let (segment, position) = written?;
        if durability == Durability::Durable {
            self.make_durable(&segment, position)?;
        }
        Ok(Appended {
            spans: spans.len() as u64,
            bytes,
        })
    }

    /// Writes a batch to the active segment. Answers that segment, and the position after the batch.
    fn write(
        &self,
        batch: &Batch,
        spans: u64,
        room: Room,
    ) -> Result<(Arc<Written>, u64), TracesError> {
        let mut state = self.state.lock();
        self.wait_for_room(&mut state, room)?;
        let (segment, length) = self.active_segment(&mut state)?;
        if let Err(source) = segment.file.write_at(&batch.bytes, length) {
            // What was written of it must not stay before the next frame.
            if segment.file.cut(length).is_err() {
                state.leave_active();
            }
            return Err(TracesError::io("append to", segment.path.clone(), source));
        }
        if let Some(tail) = &mut state.active {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 1 GiB, see `active_segment`"
            )]
            let base = length as u32;
            let entries = batch.entries.iter();
            tail.index
                .extend(entries.map(|(trace, offset)| (*trace, base + offset)));
            tail.length += batch.bytes.len() as u64;
            tail.spans += spans;
        }
        state.position += batch.bytes.len() as u64;
        let position = state.position;
        if !state.unflushed || !state.waiting.is_empty() {
            state.unflushed = true;
            self.wake.notify_one();
        }
        Ok((segment, position))
    }

    /// Holds an append while too many segments wait to be sealed or to be taken over; refuses it if they cannot be, or are
    /// not for long.
    fn wait_for_room(
        &self,
        state: &mut MutexGuard<'_, State>,
        room: Room,
    ) -> Result<(), TracesError> {
        let until = Instant::now() + self.options.held_for;
        loop {
            let waiting = state.waiting.len();
            let is_full = room == Room::Needed && self.is_full(state);
            if state.closed {
                return Err(TracesError::Closed);
            } else if waiting < MAX_WAITING && !is_full {
                return Ok(());
            } else if state.sealing_fails || (is_full && Instant::now() >= until) {
                let waiting = waiting + state.sealed.len();
                return Err(TracesError::Behind { waiting });
            }
            self.wake.notify_one();
            if is_full {
                self.room.wait_until(state, until);
            } else {
                self.room.wait(state);
            }
        }
    }

    /// Whether the log has as much as it may have of what is to be taken over from it.
    fn is_full(&self, state: &State) -> bool {
        self.older.get().is_some() && state.bytes() >= self.options.retained_bytes
    }

    /// The segment to append to, and where: the active one, or a new one if that is full.
    fn active_segment(&self, state: &mut State) -> Result<(Arc<Written>, u64), TracesError> {
        if let Some(tail) = &state.active {
            if tail.length < self.options.segment_bytes && !tail.segment.has_failed() {
                return Ok((Arc::clone(&tail.segment), tail.length));
            }
            state.leave_active();
        }
        let number = state.next_number;
        state.next_number += 1;
        let path = self.folder.join(segment::file_name(number));
        let file = self
            .files
            .create(&path)
            .map_err(|source| TracesError::io("create", path.clone(), source))?;
        if let Err(source) = file.write_at(&segment::header(), 0) {
            // An empty file would do no harm; but a full disk is tried again and again.
            let _ = self.files.remove(&path);
            return Err(TracesError::io("write the header of", path, source));
        }
        state.folder_changed = true;
        let segment = Arc::new(Written {
            number,
            path,
            file,
            synced: AtomicU64::new(0),
            failed: false.into(),
        });
        let length = SEGMENT_HEADER as u64;
        state.active = Some(Tail {
            segment: Arc::clone(&segment),
            length,
            spans: 0,
            index: Vec::new(),
            since: Instant::now(),
        });
        Ok((segment, length))
    }
}

impl State {
    /// Ends the writing to the active segment, which is to be sealed.
    fn leave_active(&mut self) {
        self.waiting.extend(self.active.take());
    }
}
