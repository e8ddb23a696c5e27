//! What goes on in the background: sealed segments of the log become segments of columns, small ones are merged, old ones
//! removed.
//!
//! **From the log.** A sealed segment of the log is read, its finished spans are sorted and written; only when that is
//! durable and can be found does the log let go of it. Unfinished spans have no place in columns: those that are not a day
//! old are appended to the log again, where they are found until their end has come, or they too are a day old.
//!
//! **Merging.** [`FAN_IN`] neighbours of about one size and one hour become one, so a span is written some three times in
//! all, and there are few segments to look a trace up in. When the hour is over, what is left of it is merged as well.
//!
//! **Removal.** The oldest go when all together exceed the bytes, or when they are older than the age, that were set.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hopline_traces::{Durability, LogStore, TraceStore, TracesError};
use hopline_wire::span::Span;
use hopline_wire::{SpanId, Timestamp, TraceId};
use parking_lot::{Condvar, Mutex};

use crate::merge::Merged;
use crate::rows::Rows;
use crate::segment::{self, Name, Segment, SegmentError};
use crate::segments::Segments;

/// How many neighbours are merged at once.
const FAN_IN: usize = 8;

/// How many unfinished spans are kept, at most: there are a few for each command under way.
const MOST_UNFINISHED: usize = 100_000;

/// How long a span may stay unfinished.
const UNFINISHED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How long it rests after a failure.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Settings of what goes on in the background.
#[derive(Debug, Clone)]
pub struct SettleOptions {
    /// How often it is looked whether there is anything to do.
    pub interval: Duration,
    /// After how long a segment of the log is sealed though it is not full, so that its spans become columns.
    pub seal_after: Duration,
    /// From how many bytes on a segment is merged no further.
    pub merged_bytes: u64,
    /// How many bytes all segments may occupy.
    pub retained_bytes: u64,
    /// For how long a segment is kept; for ever if none.
    pub retained_for: Option<Duration>,
}

impl Default for SettleOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(500),
            seal_after: Duration::from_secs(300),
            merged_bytes: 256 << 20,
            retained_bytes: 32 << 30,
            retained_for: None,
        }
    }
}

/// The background's thread. It ends when this is dropped.
pub struct Settler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    log: Arc<LogStore>,
    segments: Arc<Segments>,
    options: SettleOptions,
    stopping: Mutex<bool>,
    wake: Condvar,
}

/// What is remembered between one segment of the log and the next.
#[derive(Default)]
struct Unfinished {
    /// Those that were appended to the log again.
    carried: HashSet<(TraceId, SpanId)>,
    /// Those of them whose end has come since: they are passed over when they are met again.
    ended: HashSet<(TraceId, SpanId)>,
}

impl Settler {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(
        log: Arc<LogStore>,
        segments: Arc<Segments>,
        options: SettleOptions,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            log,
            segments,
            options,
            stopping: Mutex::new(false),
            wake: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hopline-columns".into())
            .spawn(move || own.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        *self.shared.stopping.lock() = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut unfinished = Unfinished::default();
        while self.wait(self.options.interval) {
            self.log.seal_after(self.options.seal_after);
            let begun = Instant::now();
            if let Err(error) = self.settle(&mut unfinished) {
                tracing::error!(%error, "spans could not be brought into columns; it will be tried again");
                if !self.wait(AGAIN_AFTER) {
                    break;
                }
            }
            if let Err(error) = self.merge() {
                tracing::error!(%error, "segments of spans could not be merged; it will be tried again");
                if !self.wait(AGAIN_AFTER) {
                    break;
                }
            }
            self.remove_old();
            tracing::trace!(took = ?begun.elapsed(), "looked after the segments of spans");
        }
    }

    /// Waits; false if it is to end.
    fn wait(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping {
            self.wake.wait_for(&mut stopping, time);
        }
        !*stopping
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.lock()
    }

    /// Brings all sealed segments of the log into columns.
    fn settle(&self, unfinished: &mut Unfinished) -> Result<(), TracesError> {
        for segment in self.log.segments() {
            if !segment.sealed || self.is_stopping() {
                break;
            }
            take_over(&self.log, &self.segments, segment.number, unfinished)?;
        }
        Ok(())
    }

    fn merge(&self) -> Result<(), TracesError> {
        let hour = Name::new(Timestamp::now(), 0, 0).hour;
        while !self.is_stopping() {
            let all = self.segments.all();
            let Some(group) = group_to_merge(&all, self.options.merged_bytes, hour) else {
                break;
            };
            let group = all[group].to_vec();
            drop(all);
            merge(&self.segments, &group)?;
            drop(group);
            self.segments.remove_released();
        }
        self.segments.remove_released();
        Ok(())
    }

    fn remove_old(&self) {
        let all = self.segments.all();
        let mut bytes: u64 = all.iter().map(|segment| segment.bytes).sum();
        let now = Timestamp::now().as_millis() / 1_000;
        for segment in &all {
            // It holds what came until its hour was over, at the latest.
            let age = now.saturating_sub((segment.name.hour + 1) * 3_600);
            let is_old = self
                .options
                .retained_for
                .is_some_and(|kept| age > kept.as_secs());
            if !is_old && bytes <= self.options.retained_bytes {
                break;
            }
            bytes -= segment.bytes;
            self.segments.release(&segment.name);
            tracing::debug!(path = %segment.path.display(), spans = segment.rows, "removed an old segment of spans");
        }
        drop(all);
        self.segments.remove_released();
    }
}

/// Brings one sealed segment of the log into columns.
fn take_over(
    log: &LogStore,
    segments: &Segments,
    number: u64,
    unfinished: &mut Unfinished,
) -> Result<(), TracesError> {
    let mut rows = Rows::default();
    let mut traces = HashSet::new();
    let mut open: HashMap<(TraceId, SpanId), Span> = HashMap::new();
    log.read_segment(number, 0, &mut |spans| {
        for span in spans {
            let key = (span.trace_id, span.span_id);
            if span.pending {
                if !unfinished.ended.remove(&key) {
                    open.insert(key, span.clone());
                }
                continue;
            }
            open.remove(&key);
            if unfinished.carried.remove(&key) {
                unfinished.ended.insert(key);
            }
            traces.insert(span.trace_id);
            rows.push(span);
        }
        ControlFlow::Continue(())
    })?;
    carry(log, open, unfinished)?;
    if !rows.is_empty() {
        let name = Name::new(Timestamp::now(), number, number);
        let path = segments.folder().join(name.path());
        let failed = |error: SegmentError| error.during("write", &path);
        let batch = rows.finish().map_err(|error| failed(error.into()))?;
        put(
            segments,
            name,
            traces.len() as u64,
            std::iter::once(Ok(batch)),
        )
        .map_err(failed)?;
    }
    log.release(number);
    Ok(())
}

/// Appends to the log again what is unfinished and not a day old.
fn carry(
    log: &LogStore,
    open: HashMap<(TraceId, SpanId), Span>,
    unfinished: &mut Unfinished,
) -> Result<(), TracesError> {
    let now = Timestamp::now();
    let is_young =
        |span: &Span| u128::from(now.nanos_since(span.start)) < UNFINISHED_FOR.as_nanos();
    let mut carried: Vec<_> = open.into_values().filter(is_young).collect();
    if carried.len() > MOST_UNFINISHED {
        carried.sort_unstable_by_key(|span| std::cmp::Reverse(span.start));
        tracing::warn!(
            dropped = carried.len() - MOST_UNFINISHED,
            "too many unfinished spans: the oldest are let go"
        );
        carried.truncate(MOST_UNFINISHED);
    }
    log.append(&carried, Durability::Durable)?;
    let keys = carried.iter().map(|span| (span.trace_id, span.span_id));
    unfinished.carried.extend(keys);
    Ok(())
}

fn put(
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

/// Which neighbours to merge: as many as are merged at once, of one hour and of about one size; or, if their hour is over,
/// what there is of it, unless that is a single one.
fn group_to_merge(
    all: &[Arc<Segment>],
    merged_bytes: u64,
    hour: u64,
) -> Option<std::ops::Range<usize>> {
    let level = |segment: &Segment| {
        (segment.bytes.max(1) / SMALL)
            .checked_ilog(FAN_IN as u64)
            .map_or(0, |level| level + 1)
    };
    let mut start = 0;
    while start < all.len() {
        let first = &all[start];
        let same = |other: &&Arc<Segment>| {
            other.name.hour == first.name.hour && other.bytes < merged_bytes
        };
        let run = all[start..].iter().take_while(same).count();
        if run == 0 {
            start += 1;
            continue;
        }
        let of_hour = &all[start..start + run];
        // The newest of one size; those before them are larger.
        let newest = of_hour.last().map(|last| level(last));
        let alike = of_hour
            .iter()
            .rev()
            .take_while(|other| Some(level(other)) <= newest)
            .count();
        if alike >= FAN_IN {
            return Some(start + run - alike..start + run);
        }
        let bytes: u64 = of_hour.iter().map(|segment| segment.bytes).sum();
        if first.name.hour < hour && run > 1 && bytes <= merged_bytes {
            return Some(start..start + run);
        }
        start += run;
    }
    None
}

/// Up to how many bytes segments are of the smallest size.
const SMALL: u64 = 2 << 20;

fn merge(segments: &Segments, group: &[Arc<Segment>]) -> Result<(), TracesError> {
    let (Some(first), Some(last)) = (group.first(), group.last()) else {
        return Ok(());
    };
    let name = Name {
        hour: first.name.hour,
        first: first.name.first,
        last: last.name.last,
    };
    let path = segments.folder().join(name.path());
    let rows: u64 = group.iter().map(|segment| segment.rows).sum();
    // Of the traces nobody knows how many there are; those of a group of rows are bounded by these.
    let merged = Merged::of(group).and_then(|merged| put(segments, name, rows, merged));
    merged.map_err(|error| error.during("merge into", &path))
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
