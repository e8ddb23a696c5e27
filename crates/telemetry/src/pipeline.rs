//! From the parts to whatever keeps spans: a bounded queue and one thread.
//!
//! Recording never waits and never fails. The queue is bounded by bytes; when it is full, spans are
//! dropped, counted, and told of on their own trace by a span named [`DROPPED`](hopline_wire::span::DROPPED), so that a hole
//! in a trace is never mistaken for a lost event. The thread hands what has gathered to every sink in
//! turn; a sink that has no room loses that batch, which is counted and told of likewise, with the next
//! batch that goes to that sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hopline_wire::Timestamp;
use hopline_wire::span::{Attribute, Links, Span, SpanEvent, SpanSink, Value};
use parking_lot::{Condvar, Mutex};

use crate::losses::{Drops, Losing};
use crate::pending::OpenSpans;

/// How much the queue holds, in bytes, unless a setting says otherwise.
pub const DEFAULT_QUEUE_BYTES: usize = 16 << 20;

/// How long spans gather before they are handed on, unless many have.
const GATHER: Duration = Duration::from_millis(10);

/// With this many spans the thread is woken at once.
const PLENTY: usize = 2_048;

/// What the pipeline has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipelineStats {
    /// Spans taken into the queue.
    pub recorded: u64,
    /// Spans dropped because the queue was full.
    pub dropped_full: u64,
    /// Spans that a sink did not take, counted per sink.
    pub dropped_by_sinks: u64,
}

/// The handle to the pipeline; cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    shared: Arc<Shared>,
}

struct Shared {
    started: Timestamp,
    queue: Mutex<Queue>,
    filled: Condvar,
    drained: Condvar,
    capacity_bytes: usize,
    open: OpenSpans,
    recorded: AtomicU64,
    dropped_full: AtomicU64,
    dropped_by_sinks: AtomicU64,
}

struct Queue {
    spans: Vec<Span>,
    bytes: usize,
    dropped: Drops,
    /// How many batches were swapped out, and how many of them the sinks have had.
    taken: u64,
    handed_on: u64,
    urgent: bool,
    stopping: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            bytes: 0,
            dropped: Drops::new("the span queue was full"),
            taken: 0,
            handed_on: 0,
            urgent: false,
            stopping: false,
        }
    }
}

/// A sink, and what it did not take.
struct Outlet {
    sink: Arc<dyn SpanSink>,
    untold: Drops,
    losing: Losing,
}

/// Ends the pipeline's thread when told to; see [`PipelineThread::stop`].
pub struct PipelineThread {
    pipeline: Pipeline,
    thread: JoinHandle<()>,
}

impl Pipeline {
    /// Starts the pipeline's thread. Without sinks, spans are taken and forgotten.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        sinks: Vec<Arc<dyn SpanSink>>,
        capacity_bytes: usize,
    ) -> std::io::Result<(Self, PipelineThread)> {
        let pipeline = Self {
            shared: Arc::new(Shared {
                started: Timestamp::now(),
                queue: Mutex::default(),
                filled: Condvar::new(),
                drained: Condvar::new(),
                capacity_bytes,
                open: OpenSpans::default(),
                recorded: AtomicU64::new(0),
                dropped_full: AtomicU64::new(0),
                dropped_by_sinks: AtomicU64::new(0),
            }),
        };
        let shared = Arc::clone(&pipeline.shared);
        let outlets = sinks.into_iter().map(Outlet::new).collect();
        let thread = std::thread::Builder::new()
            .name("hopline-spans".into())
            .spawn(move || shared.run(outlets))?;
        Ok((pipeline.clone(), PipelineThread { pipeline, thread }))
    }

    /// When it was started: with its process, in whose spans this tells it from others.
    pub(crate) fn started(&self) -> Timestamp {
        self.shared.started
    }

    /// Takes one finished span, or an unfinished one to be replaced later.
    pub fn record(&self, span: Span) {
        self.record_all(std::iter::once(span));
    }

    /// Takes many spans at the price of one lock.
    pub fn record_all(&self, spans: impl IntoIterator<Item = Span>) {
        let mut queue = self.shared.queue.lock();
        let was_empty = queue.spans.is_empty();
        let mut taken = 0;
        for span in spans {
            let weight = weight(&span);
            if queue.bytes + weight > self.shared.capacity_bytes {
                self.shared.dropped_full.fetch_add(1, Ordering::Relaxed);
                queue.dropped.note(&span);
                continue;
            }
            queue.bytes += weight;
            queue.spans.push(span);
            taken += 1;
        }
        self.shared.recorded.fetch_add(taken, Ordering::Relaxed);
        let plenty = queue.spans.len() >= PLENTY && !queue.urgent;
        queue.urgent |= plenty;
        if plenty || (was_empty && taken > 0) {
            self.shared.filled.notify_one();
        }
    }

    /// Registers a span that is expected to last, so that it is shown unfinished once it does.
    pub(crate) fn watch(&self, span: Span) {
        self.shared.open.insert(span);
        // The thread may be waiting without a deadline; it has one now.
        let _queue = self.shared.queue.lock();
        self.shared.filled.notify_one();
    }

    /// The spans that are open for long, so that they can be shown unfinished.
    #[must_use]
    pub(crate) fn open_spans(&self) -> &OpenSpans {
        &self.shared.open
    }

    /// What the pipeline has done so far.
    #[must_use]
    pub fn stats(&self) -> PipelineStats {
        PipelineStats {
            recorded: self.shared.recorded.load(Ordering::Relaxed),
            dropped_full: self.shared.dropped_full.load(Ordering::Relaxed),
            dropped_by_sinks: self.shared.dropped_by_sinks.load(Ordering::Relaxed),
        }
    }

    /// Waits until every span recorded before this call has been handed to the sinks; blocks the thread.
    /// False if `deadline` passed first.
    #[must_use]
    pub fn flush(&self, deadline: Instant) -> bool {
        let mut queue = self.shared.queue.lock();
        let target = queue.taken + u64::from(!queue.spans.is_empty());
        while queue.handed_on < target {
            queue.urgent = true;
            self.shared.filled.notify_one();
            if self
                .shared
                .drained
                .wait_until(&mut queue, deadline)
                .timed_out()
            {
                return queue.handed_on >= target;
            }
        }
        true
    }
}

impl PipelineThread {
    /// Hands the sinks what has been recorded and ends the thread; blocks. What is still open is handed
    /// on unfinished. False if `deadline` passed first, in which case the thread ends on its own once its
    /// sinks let it.
    #[must_use]
    pub fn stop(self, deadline: Instant) -> bool {
        self.pipeline
            .record_all(self.pipeline.shared.open.all_unfinished());
        let flushed = self.pipeline.flush(deadline);
        self.pipeline.shared.queue.lock().stopping = true;
        self.pipeline.shared.filled.notify_one();
        if flushed && self.thread.join().is_err() {
            tracing::error!("the span pipeline's thread panicked");
        }
        flushed
    }
}

impl Shared {
    fn run(&self, mut outlets: Vec<Outlet>) {
        let mut spans = Vec::new();
        while self.next_batch(&mut spans) {
            self.hand_on(&mut outlets, &mut spans);
            spans.clear();
            self.queue.lock().handed_on += 1;
            self.drained.notify_all();
        }
        // Nothing more comes, so what was dropped is told of now or never.
        self.hand_on(&mut outlets, &mut spans);
    }

    fn hand_on(&self, outlets: &mut [Outlet], spans: &mut Vec<Span>) {
        for outlet in outlets {
            let lost = outlet.give(spans);
            self.dropped_by_sinks.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// Waits for spans, lets some gather, and swaps them out. False when the pipeline is stopping and
    /// empty.
    fn next_batch(&self, spans: &mut Vec<Span>) -> bool {
        let mut queue = self.queue.lock();
        loop {
            queue
                .spans
                .extend(self.open.newly_unfinished(Instant::now()));
            if !queue.spans.is_empty() || !queue.dropped.is_empty() {
                break;
            }
            if queue.stopping {
                return false;
            }
            match self.open.next_due() {
                Some(due) => {
                    self.filled.wait_until(&mut queue, due);
                }
                None => self.filled.wait(&mut queue),
            }
        }
        let gathered = Instant::now() + GATHER;
        while !queue.urgent && !queue.stopping {
            if self.filled.wait_until(&mut queue, gathered).timed_out() {
                break;
            }
        }
        std::mem::swap(&mut queue.spans, spans);
        queue.bytes = 0;
        queue.urgent = false;
        queue.taken += 1;
        spans.extend(queue.dropped.tell());
        true
    }
}

impl Outlet {
    fn new(sink: Arc<dyn SpanSink>) -> Self {
        Self {
            sink,
            untold: Drops::new("the store or exporter behind the span queue did not take them"),
            losing: Losing::default(),
        }
    }

    /// Hands `spans` to the sink, and what it did not take before is told of; gives how many were lost.
    fn give(&mut self, spans: &mut Vec<Span>) -> u64 {
        let recorded = spans.len();
        spans.extend(self.untold.tell());
        if spans.is_empty() {
            return 0;
        }
        let taken = self.sink.take(spans);
        let lost = if taken.is_ok() { 0 } else { recorded };
        let now = Instant::now();
        match taken {
            Ok(()) => {
                if let Some(spans) = self.losing.taken(now) {
                    tracing::info!(spans, "spans are taken again; so many were dropped");
                }
            }
            Err(error) => {
                spans.iter().for_each(|span| self.untold.note(span));
                if self.losing.lost(recorded as u64, now) {
                    tracing::warn!(spans = recorded, error = %error, "spans are dropped");
                }
            }
        }
        spans.truncate(recorded);
        lost as u64
    }
}

/// About how many bytes a span takes while it waits. Texts count where a peer may choose their length.
fn weight(span: &Span) -> usize {
    let links = match &span.links {
        Links::None | Links::SameTrace(_) => 0,
        Links::Any(links) => links.len() * 64,
    };
    let events: usize = span
        .events
        .iter()
        .map(|event| size_of::<SpanEvent>() + attributes_weight(&event.attributes))
        .sum();
    size_of::<Span>() + span.name.len() + attributes_weight(&span.attributes) + links + events
}

fn attributes_weight(attributes: &[Attribute]) -> usize {
    let text = |attribute: &Attribute| match &attribute.value {
        Value::Text(text) => text.len(),
        _ => 16,
    };
    attributes
        .iter()
        .map(|attribute| size_of::<Attribute>() + text(attribute))
        .sum()
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
