//! What goes on in the background: sealed segments of the log become segments of columns, small ones are merged, old ones
//! removed.
//!
//! **From the log.** A sealed segment of the log is read, its finished spans are sorted and written; only when that is
//! durable and can be found does the log let go of it. Unfinished spans have no place in columns: those that are not a day
//! old are appended to the log again, where they are found until their end has come, or they too are a day old. While the
//! rows of one segment are written, the next one is read.
//!
//! **Merging.** [`FAN_IN`] neighbours of about one size and one hour become one, so a span is written some three times in
//! all, and there are few segments to look a trace up in. When the hour is over, what is left of it is merged as well. A thread
//! of its own does it, so that what comes in need not wait for it to become columns.
//!
//! **Moving.** Where there is a bucket, a segment that is merged no further is sent there, and only then leaves the folder.
//!
//! **Removal.** The oldest go when all together exceed the bytes, or when they are older than the age, that were set.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{JoinHandle, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hopline_traces::{LogSegment, LogStore, TracesError};
use hopline_wire::span::Span;
use hopline_wire::{SpanId, Timestamp, TraceId};
use parking_lot::{Condvar, Mutex};

use crate::archive;
use crate::merge::Merged;
use crate::name::Name;
use crate::rows::Shape;
use crate::runs::{self, Runs};
use crate::segment::Segment;
use crate::segments::Segments;
use crate::size;

/// How many neighbours are merged at once.
const FAN_IN: usize = 8;

/// How many bytes of unfinished spans are kept, about: a fraction of a segment of the log, which they must never fill by
/// themselves. There are a few for each command under way.
const MOST_UNFINISHED: usize = 2 << 20;

/// For how many rows room is made before they are read: more than a segment of the log has of any but the smallest spans.
const MOST_ROOM: usize = 256 << 10;

/// How far ahead of ours another machine's clock may be.
const AHEAD: Duration = Duration::from_secs(600);

/// For how long segments are left alone whose merging or sending has failed.
const REST: Duration = Duration::from_secs(600);

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

/// The background's threads. They end when this is dropped.
pub struct Settler {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    log: Arc<LogStore>,
    segments: Arc<Segments>,
    options: SettleOptions,
    stopping: Mutex<bool>,
    wake: Condvar,
    /// Until when the group that begins with this segment of the log is left alone, since its merging or sending has failed.
    resting: Mutex<HashMap<u64, Instant>>,
}

/// What is remembered between one segment of the log and the next.
#[derive(Default, Clone)]
struct Unfinished {
    /// Those that were appended to the log again.
    carried: HashSet<(TraceId, SpanId)>,
    /// Those of them whose end has come since: they are passed over when they are met again.
    ended: HashSet<(TraceId, SpanId)>,
    /// What its spans were like.
    shape: Shape,
    /// The segment whose unfinished spans were appended again last: once is enough, however often it is tried.
    carried_of: u64,
}

impl Unfinished {
    /// What is to be remembered after a segment, which says nothing of what a later one has had appended again meanwhile.
    fn become_after(&mut self, segment: Self) {
        let carried_of = self.carried_of.max(segment.carried_of);
        *self = Self {
            carried_of,
            ..segment
        };
    }
}

impl Settler {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(
        log: Arc<LogStore>,
        segments: Arc<Segments>,
        options: SettleOptions,
    ) -> std::io::Result<Self> {
        let mut settler = Self {
            shared: Arc::new(Shared {
                log,
                segments,
                options,
                stopping: Mutex::new(false),
                wake: Condvar::new(),
                resting: Mutex::default(),
            }),
            threads: Vec::new(),
        };
        settler.spawn("hopline-columns", Shared::keep_settling)?;
        settler.spawn("hopline-merge", Shared::keep_merging)?;
        Ok(settler)
    }

    fn spawn(&mut self, name: &str, work: fn(&Shared)) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.into());
        self.threads.push(thread.spawn(move || work(&shared))?);
        Ok(())
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        *self.shared.stopping.lock() = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn keep_settling(&self) {
        let mut unfinished = Unfinished::default();
        while self.wait(self.options.interval) {
            self.log.seal_after(self.options.seal_after);
            // A panic, on some file that nobody foresaw, must not end the taking over of all that comes after.
            let settled = catch_unwind(AssertUnwindSafe(|| self.settle(&mut unfinished)));
            let failed = match settled {
                Ok(Ok(())) => false,
                Ok(Err(error)) => {
                    tracing::error!(%error, "spans could not be brought into columns; it will be tried again");
                    true
                }
                Err(_) => true,
            };
            if failed && !self.wait(AGAIN_AFTER) {
                break;
            }
        }
    }

    fn keep_merging(&self) {
        while self.wait(self.options.interval) {
            // A panic has been reported where it came about.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                self.merge();
                self.archive();
            }));
            self.remove_old();
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
        let sealed = self.log.segments().into_iter();
        let sealed = sealed.take_while(|segment| segment.sealed && !self.is_stopping());
        take_over(&self.log, &self.segments, sealed, unfinished)
    }

    /// Merges as long as there is something to merge.
    fn merge(&self) {
        let hour = Name::new(Timestamp::now(), 0, 0).hour;
        while !self.is_stopping() {
            let all = self.segments.all();
            let may = |group: &[Arc<Segment>]| !self.is_resting(group);
            let Some(group) = group_to_merge(&all, self.options.merged_bytes, hour, may) else {
                break;
            };
            let group = all[group].to_vec();
            drop(all);
            if let Err(error) = merge(&self.segments, &group, &|| self.is_stopping())
                && !self.is_stopping()
            {
                tracing::error!(%error, "segments of spans could not be merged; it will be tried again");
                self.let_rest(&group);
            }
            drop(group);
            self.segments.remove_released();
        }
        self.segments.remove_released();
    }

    /// Moves what is merged no further to the bucket, if there is one.
    fn archive(&self) {
        let Some(bucket) = self.segments.bucket() else {
            return;
        };
        let hour = Name::new(Timestamp::now(), 0, 0).hour;
        let all = self.segments.all();
        let most = self.options.merged_bytes;
        // Not what rests after a failure, and is still to be merged.
        let to_merge = group_to_merge(&all, most, hour, |_| true).unwrap_or(0..0);
        let is_done = |(at, segment): &(usize, Arc<Segment>)| {
            let is_whole = segment.bytes >= most || segment.name.hour < hour;
            is_whole && segment.object().is_none() && !to_merge.contains(at)
        };
        let numbered = all.into_iter().enumerate();
        let done: Vec<_> = numbered.filter(is_done).collect();
        for (_, segment) in done {
            let alone = std::slice::from_ref(&segment);
            if self.is_stopping() || self.is_resting(alone) {
                return;
            }
            let sent = archive::send(&self.segments, bucket, &segment, &|| self.is_stopping());
            if let Err(error) = sent {
                if !self.is_stopping() {
                    tracing::error!(%error, path = %segment.path.display(),
                        "a segment of spans could not be sent to the bucket; it will be tried again");
                    self.let_rest(alone);
                }
                // The others would meet with the same.
                return;
            }
            drop(segment);
            self.segments.remove_released();
        }
    }

    fn is_resting(&self, group: &[Arc<Segment>]) -> bool {
        let resting = self.resting.lock();
        let until = group
            .first()
            .and_then(|first| resting.get(&first.name.first));
        until.is_some_and(|until| *until > Instant::now())
    }

    fn let_rest(&self, group: &[Arc<Segment>]) {
        let mut resting = self.resting.lock();
        resting.retain(|_, until| *until > Instant::now());
        resting.extend(
            group
                .first()
                .map(|first| (first.name.first, Instant::now() + REST)),
        );
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

/// Brings sealed segments of the log into columns, one after the other: each is read while the one before is written.
fn take_over(
    log: &LogStore,
    segments: &Segments,
    sealed: impl Iterator<Item = LogSegment>,
    unfinished: &mut Unfinished,
) -> Result<(), TracesError> {
    std::thread::scope(|scope| {
        let mut before: Option<ScopedJoinHandle<'_, Result<Unfinished, TracesError>>> = None;
        let mut known = unfinished.clone();
        for segment in sealed {
            let read = Reading::of(log, segments, segment, &known, unfinished);
            // However that went, what was read before it counts first.
            if let Some(before) = before.take() {
                unfinished.become_after(written(before)?);
            }
            let read = read?;
            known = read.next.clone();
            before = Some(scope.spawn(|| read.write(log)));
        }
        if let Some(before) = before {
            unfinished.become_after(written(before)?);
        }
        Ok(())
    })
}

fn written(
    writing: ScopedJoinHandle<'_, Result<Unfinished, TracesError>>,
) -> Result<Unfinished, TracesError> {
    writing.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// A segment of the log that has been read, and is to be written.
struct Reading<'a> {
    number: u64,
    runs: Runs<'a>,
    path: PathBuf,
    /// What is to be remembered once it is written: else the segment is read again.
    next: Unfinished,
}

impl<'a> Reading<'a> {
    /// Reads a segment, after those that left `known`. What of it stays in the log is appended to it again, which is noted in
    /// `unfinished` at once.
    fn of(
        log: &LogStore,
        segments: &'a Segments,
        segment: LogSegment,
        known: &Unfinished,
        unfinished: &mut Unfinished,
    ) -> Result<Self, TracesError> {
        let number = segment.number;
        let name = Name::new(Timestamp::now(), number, number);
        let path = segments.folder().join(name.path());
        let spans = usize::try_from(segment.spans).unwrap_or(0);
        let mut runs = Runs::new(segments, name, known.shape.of_rows(spans.min(MOST_ROOM)));
        let mut pushed = Ok(());
        let mut open: HashMap<(TraceId, SpanId), Span> = HashMap::new();
        let mut next = known.clone();
        log.read_segment(number, 0, &mut |spans| {
            for span in spans {
                let key = (span.trace_id, span.span_id);
                if span.pending {
                    if !next.ended.remove(&key) {
                        // Was it a copy, then there is none ahead any more.
                        next.carried.remove(&key);
                        open.insert(key, span.clone());
                    }
                    continue;
                }
                open.remove(&key);
                if next.carried.remove(&key) {
                    next.ended.insert(key);
                }
                pushed = runs.push(span);
                if pushed.is_err() {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        pushed.map_err(|error| error.during("write", &path))?;
        let carried = to_carry(open);
        let keys = carried.iter().map(|span| (span.trace_id, span.span_id));
        next.carried.extend(keys);
        if unfinished.carried_of < number {
            log.append_again(&carried)?;
            unfinished.carried_of = number;
        }
        next.carried_of = number;
        next.shape = runs.shape();
        Ok(Self {
            number,
            runs,
            path,
            next,
        })
    }

    /// Makes its spans durable and found among the columns, and has the log let go of it.
    fn write(self, log: &LogStore) -> Result<Unfinished, TracesError> {
        let written = self.runs.finish();
        written.map_err(|error| error.during("write", &self.path))?;
        log.release(self.number);
        Ok(self.next)
    }
}

/// What is unfinished and not a day old, the newest first, as much as may be kept.
fn to_carry(open: HashMap<(TraceId, SpanId), Span>) -> Vec<Span> {
    let now = Timestamp::now();
    let is_young = |span: &Span| {
        let nanos = |time: Duration| time.as_nanos();
        u128::from(now.nanos_since(span.start)) < nanos(UNFINISHED_FOR)
            && u128::from(span.start.nanos_since(now)) < nanos(AHEAD)
    };
    let mut young: Vec<_> = open.into_values().filter(is_young).collect();
    young.sort_unstable_by_key(|span| std::cmp::Reverse(span.start));
    let all = young.len();
    let mut bytes = 0;
    let fits = young.iter().take_while(|span| {
        bytes += size::of_span(span);
        bytes <= MOST_UNFINISHED
    });
    let fits = fits.count();
    if fits < all {
        tracing::warn!(
            dropped = all - fits,
            "too many unfinished spans: the oldest are let go"
        );
        young.truncate(fits);
    }
    young
}

/// Which neighbours to merge: of as many as are merged at once, of one hour and of about one size, those that make no more
/// than `merged_bytes` together; or, if their hour is over, what there is of it. Groups that `may` not be merged are passed over.
fn group_to_merge(
    all: &[Arc<Segment>],
    merged_bytes: u64,
    hour: u64,
    may: impl Fn(&[Arc<Segment>]) -> bool,
) -> Option<Range<usize>> {
    let level = |segment: &Segment| {
        let times = segment.bytes.max(1) / SMALL;
        times
            .checked_ilog(FAN_IN as u64)
            .map_or(0, |level| level + 1)
    };
    // So many from a place on, as far as they fit; one is no group.
    let from = |start: usize, end: usize| {
        let mut bytes = 0;
        let fitting = all[start..end].iter().take(FAN_IN).take_while(|segment| {
            bytes += segment.bytes;
            bytes <= merged_bytes
        });
        let group = start..start + fitting.count();
        (group.len() > 1 && may(&all[group.clone()])).then_some(group)
    };
    let mut start = 0;
    while start < all.len() {
        let first = &all[start];
        let same = |other: &&Arc<Segment>| {
            other.name.hour == first.name.hour
                && other.bytes < merged_bytes
                && other.object().is_none()
        };
        let run = all[start..].iter().take_while(same).count();
        let end = start + run;
        let of_hour = &all[start..end];
        // The newest of one size; those before them are larger.
        let newest = of_hour.last().map(|last| level(last));
        let alike = of_hour
            .iter()
            .rev()
            .take_while(|other| Some(level(other)) <= newest);
        let alike = end - alike.count();
        let group = match end - alike >= FAN_IN {
            true => from(alike, end),
            false if first.name.hour < hour => (start..end).find_map(|start| from(start, end)),
            false => None,
        };
        if group.is_some() {
            return group;
        }
        start = end.max(start + 1);
    }
    None
}

/// Up to how many bytes segments are of the smallest size.
const SMALL: u64 = 2 << 20;

/// Merges neighbours into one, unless it is to end meanwhile.
fn merge(
    segments: &Segments,
    group: &[Arc<Segment>],
    ends: &dyn Fn() -> bool,
) -> Result<(), TracesError> {
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
    let merged = Merged::of(group).and_then(|merged| {
        let until = merged.map(|batch| match ends() {
            true => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
            false => batch,
        });
        runs::put(segments, name, rows, until)
    });
    merged.map_err(|error| error.during("merge into", &path))
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
