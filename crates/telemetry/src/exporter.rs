//! Spans out to an endpoint of others: a queue, one request after the other, and patience.
//!
//! Batches wait in a queue bounded by bytes and are sent one after the other. An endpoint that is away or
//! busy is tried again with growing pauses while the queue fills; a batch that it fails at goes behind the others.
//! When the queue is full, what comes is kept on disk ([`Spool`]), within bounds too, and is sent once there is nothing
//! else to send; where there is no disk to keep it on, the batch is handed back. When the endpoint says that a batch is wrong, it is lost: its spans are counted, and told of on
//! their traces with the next batch. The log says once that the endpoint is away or refuses, and once that all is well again.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hopline_wire::span::{SinkError, Span, SpanSink};
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::losses::{Drops, Losing};
use crate::otlp::{self, OtlpOptions};
use crate::sentry::{self, SentryOptions};
use crate::spool::{Kept, Spool};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// After this many failed attempts in a row the endpoint counts as away. The first may come before it is up.
const AWAY_AFTER: u32 = 4;

/// After this many tries in vain others go before a batch.
const TRIES_BEFORE_OTHERS: u32 = 4;

/// What is said of lost spans on their trace.
pub(crate) const REFUSED: &str = "the endpoint that spans are sent to refused them";

/// Whom spans are sent to.
#[derive(Clone)]
pub enum Endpoint {
    /// A collector, a server of Hopline's, a broker's relay.
    Otlp(OtlpOptions),
    /// A project at Sentry, or whatever takes its place.
    Sentry(SentryOptions),
}

impl Endpoint {
    const fn name(&self) -> &'static str {
        match self {
            Self::Otlp(_) => "OTLP",
            Self::Sentry(_) => "Sentry",
        }
    }

    /// The bodies of the requests that say these spans, and those that tell of lost ones.
    fn encode(&self, spans: &[Span], told: &[Span]) -> Vec<Encoded> {
        match self {
            Self::Otlp(_) => vec![otlp::encode(spans, told)],
            Self::Sentry(options) => sentry::encode(options, spans.iter().chain(told)),
        }
    }

    async fn post(&self, client: &reqwest::Client, body: Bytes) -> Answer {
        match self {
            Self::Otlp(options) => otlp::post(options, client, body).await,
            Self::Sentry(options) => sentry::post(options, client, body).await,
        }
    }
}

/// The body of a request, and what spans it says.
pub(crate) struct Encoded {
    pub(crate) body: Vec<u8>,
    pub(crate) spans: u64,
    /// The same spans, should they be lost.
    pub(crate) drops: Drops,
}

/// Where spans go and how many may wait.
pub struct ExportOptions {
    /// Whom they are sent to.
    pub endpoint: Endpoint,
    /// How many bytes of encoded batches may wait in memory.
    pub queue_bytes: usize,
    /// Where more may wait, if anywhere.
    pub spool: Option<Spool>,
}

/// Sends spans to one endpoint; a sink for the pipeline.
pub struct Exporter {
    endpoint: Endpoint,
    queue: Mutex<Queue>,
    changed: Notify,
    sent: Notify,
    queue_bytes: usize,
    spool: Option<Spool>,
    exported: AtomicU64,
    lost: AtomicU64,
    /// What the endpoint refused, until it is told of.
    untold: Mutex<Drops>,
}

/// What an exporter has done so far, in spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExportStats {
    /// Taken by the endpoint.
    pub exported: u64,
    /// Refused by the endpoint, or given up at the end.
    pub lost: u64,
    /// On their way or waiting for it, in memory and on disk.
    pub waiting: u64,
}

#[derive(Default)]
struct Queue {
    /// The batch under way is the first.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    /// Whether the end is near: nothing more is taken from the disk.
    closed: bool,
    /// Whether nobody sends any more.
    ended: bool,
}

impl Queue {
    fn push(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            self.bytes += batch.bytes();
            self.batches.push_back(Arc::new(batch));
        }
    }
}

struct Batch {
    body: Bytes,
    spans: u64,
    /// Its spans, should they be lost.
    drops: Drops,
    /// Where it is on disk, if it is.
    kept: Option<Kept>,
    /// How often it was sent in vain.
    tries: AtomicU32,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.body.len() + self.drops.bytes()
    }
}

/// The task that sends; ends when told to.
pub struct ExportTask {
    exporter: Arc<Exporter>,
    task: JoinHandle<()>,
}

/// What an endpoint says to a batch.
pub(crate) enum Answer {
    /// It has the spans, but for those that it rejected.
    Taken(Option<Rejected>),
    /// The same, and nothing more for so long.
    TakenThenPause(Duration),
    TryAgain(Option<Duration>),
    Refused(u16),
}

/// Sends a request. Where nobody answers, it may be sent again.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<reqwest::Response, Answer> {
    let sent = request.timeout(REQUEST_TIMEOUT).send().await;
    sent.map_err(|error| {
        tracing::debug!(error = %error.without_url(), "an endpoint is out of reach");
        Answer::TryAgain(None)
    })
}

/// The part of a batch that was not taken.
pub(crate) struct Rejected {
    pub(crate) spans: u64,
    pub(crate) why: String,
}

/// What the log was told of the endpoint.
struct Standing {
    endpoint: &'static str,
    failures: u32,
    losing: Losing,
}

impl Exporter {
    /// Starts sending, on the current tokio runtime.
    #[must_use]
    pub fn start(options: ExportOptions, client: reqwest::Client) -> (Arc<Self>, ExportTask) {
        let exporter = Arc::new(Self {
            endpoint: options.endpoint,
            queue: Mutex::default(),
            changed: Notify::new(),
            sent: Notify::new(),
            queue_bytes: options.queue_bytes,
            spool: options.spool,
            exported: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            untold: Mutex::new(Drops::new(REFUSED)),
        });
        let task = tokio::spawn(Arc::clone(&exporter).run(client));
        (Arc::clone(&exporter), ExportTask { exporter, task })
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> ExportStats {
        let kept = self.spool.as_ref().map_or(0, Spool::spans);
        let queue = self.queue.lock();
        let queued: u64 = queue.batches.iter().map(|batch| batch.spans).sum();
        ExportStats {
            exported: self.exported.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: queued + kept,
        }
    }

    async fn run(self: Arc<Self>, client: reqwest::Client) {
        let mut standing = Standing::of(&self.endpoint);
        let mut pause = FIRST_PAUSE;
        loop {
            let batch = self.next().await;
            let answer = self.endpoint.post(&client, batch.body.clone()).await;
            standing.learn(&answer, batch.spans);
            match answer {
                Answer::Taken(rejected) => self.taken(&batch, rejected.as_ref()),
                Answer::TakenThenPause(time) => {
                    self.taken(&batch, None);
                    tokio::time::sleep(time).await;
                }
                Answer::Refused(_) => self.refused(batch),
                Answer::TryAgain(after) => {
                    let jitter = rand::rng().random_range(0.5..1.0);
                    // Whoever says "at once" again and again is not asked without a pause either.
                    let after = after.unwrap_or_default().max(pause.mul_f64(jitter));
                    tokio::time::sleep(after).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    self.try_later(&batch);
                    continue;
                }
            }
            pause = FIRST_PAUSE;
        }
    }

    /// Lets the others go before a batch that was tried in vain again and again: it may be that one which the endpoint fails at.
    fn try_later(&self, batch: &Batch) {
        if batch.tries.fetch_add(1, Ordering::Relaxed) + 1 >= TRIES_BEFORE_OTHERS {
            let mut queue = self.queue.lock();
            if !queue.batches.is_empty() {
                queue.batches.rotate_left(1);
            }
        }
    }

    /// The oldest batch, which stays at the head of the queue until it is settled; one from the disk if there is no other.
    async fn next(&self) -> Arc<Batch> {
        loop {
            let changed = self.changed.notified();
            if let Some(batch) = self.queue.lock().batches.front() {
                return Arc::clone(batch);
            }
            match self.kept_batch() {
                Some(batch) => self.queue.lock().push([batch].into()),
                None => changed.await,
            }
        }
    }

    /// The oldest batch that is kept on disk.
    fn kept_batch(&self) -> Option<Batch> {
        let spool = self.spool.as_ref().filter(|_| !self.is_closed())?;
        loop {
            let (kept, body) = spool.take()?;
            match body {
                Ok(body) => {
                    return Some(Batch {
                        body: body.into(),
                        spans: kept.spans,
                        drops: Drops::new(REFUSED),
                        kept: Some(kept),
                        tries: AtomicU32::default(),
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    tracing::warn!(
                        spans = kept.spans,
                        "a batch of spans that waited on disk is gone"
                    );
                    self.lost.fetch_add(kept.spans, Ordering::Relaxed);
                    spool.remove(kept);
                }
                Err(error) => {
                    // Another time it may be readable: when something else is to be sent, it is tried again.
                    tracing::warn!(%error, "a batch of spans that waits on disk cannot be read");
                    spool.give_back(kept);
                    return None;
                }
            }
        }
    }

    fn taken(&self, batch: &Batch, rejected: Option<&Rejected>) {
        // Which of them were rejected the answer does not say, so no trace can be told of it.
        let rejected = rejected.map_or(0, |rejected| rejected.spans.min(batch.spans));
        self.lost.fetch_add(rejected, Ordering::Relaxed);
        self.exported
            .fetch_add(batch.spans - rejected, Ordering::Relaxed);
        self.settle();
    }

    fn refused(&self, batch: Arc<Batch>) {
        self.lost.fetch_add(batch.spans, Ordering::Relaxed);
        self.settle();
        // Settled, the queue holds it no longer.
        if let Some(batch) = Arc::into_inner(batch) {
            self.untold.lock().merge(batch.drops);
        }
    }

    /// Takes the batch at the head out of the queue.
    fn settle(&self) {
        let mut queue = self.queue.lock();
        let batch = queue.batches.pop_front();
        queue.bytes -= batch.as_ref().map_or(0, |batch| batch.bytes());
        drop(queue);
        if let Some((kept, spool)) = batch.and_then(|batch| batch.kept).zip(self.spool.as_ref()) {
            spool.remove(kept);
        }
        self.sent.notify_waiters();
    }

    /// Has nothing more taken from the disk; whether nothing waits but what is safe there.
    fn close(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.batches.iter().all(|batch| batch.kept.is_some())
    }

    fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Keeps batches on disk; those for which there is no room are answered.
    fn keep(&self, batches: Vec<Batch>) -> Vec<Batch> {
        let Some(spool) = &self.spool else {
            return batches;
        };
        let left = batches.into_iter().filter(|batch| {
            let put = spool.put(&batch.body, batch.spans);
            if let Err(error) = &put {
                tracing::debug!(%error, "a batch of spans could not be kept on disk");
            }
            !put.unwrap_or(false)
        });
        let left = left.collect();
        self.changed.notify_one();
        left
    }
}

impl SpanSink for Exporter {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        let told: Vec<_> = self.untold.lock().tell().collect();
        let encoded = self.endpoint.encode(spans, &told);
        let batches = encoded.into_iter().map(|encoded| {
            Ok(Batch {
                body: compress(&encoded.body)?,
                spans: encoded.spans,
                drops: encoded.drops,
                kept: None,
                tries: AtomicU32::default(),
            })
        });
        let batches = batches.collect::<Result<Vec<_>, SinkError>>();
        let taken = batches.and_then(|batches| {
            let bytes: usize = batches.iter().map(Batch::bytes).sum();
            let mut queue = self.queue.lock();
            if !queue.ended && queue.bytes + bytes <= self.queue_bytes {
                queue.push(batches);
                drop(queue);
                self.changed.notify_one();
                return Ok(());
            }
            drop(queue);
            // What is kept of them is sent, and told of as lost all the same if the rest is: rather too much than nothing.
            match self.keep(batches).is_empty() {
                true => Ok(()),
                false => Err(SinkError::Full),
            }
        });
        if taken.is_err() {
            // What is handed back is told of by whoever has it; what was to be told here still is.
            told.iter().for_each(|span| self.untold.lock().note(span));
        }
        taken
    }
}

impl ExportTask {
    /// Waits until the queue is empty or `deadline` has passed, then ends the task; what is left is kept on disk, or
    /// counted as lost. True if nothing was lost. What has waited on disk is not waited for.
    pub async fn stop(self, deadline: Instant) -> bool {
        let emptied = tokio::time::timeout_at(deadline, async {
            loop {
                let sent = self.exporter.sent.notified();
                if self.exporter.close() {
                    return;
                }
                sent.await;
            }
        });
        let emptied = emptied.await.is_ok();
        self.task.abort();
        // Whoever has aborted a task has not ended it yet; it holds the batch under way.
        let _ = self.task.await;
        let exporter = &self.exporter;
        let left: Vec<_> = {
            let mut queue = exporter.queue.lock();
            queue.ended = true;
            queue.bytes = 0;
            queue.batches.drain(..).collect()
        };
        let left = left.into_iter().filter_map(Arc::into_inner);
        let (kept, left): (Vec<_>, Vec<_>) = left.partition(|batch| batch.kept.is_some());
        if let Some(spool) = &exporter.spool {
            kept.iter()
                .filter_map(|batch| batch.kept)
                .for_each(|kept| spool.give_back(kept));
        }
        let lost = exporter.keep(left);
        let spans: u64 = lost.iter().map(|batch| batch.spans).sum();
        exporter.lost.fetch_add(spans, Ordering::Relaxed);
        emptied || lost.is_empty()
    }
}

impl Standing {
    fn of(endpoint: &Endpoint) -> Self {
        Self {
            endpoint: endpoint.name(),
            failures: 0,
            losing: Losing::default(),
        }
    }

    /// Logs what an answer changes.
    fn learn(&mut self, answer: &Answer, spans: u64) {
        let (now, endpoint) = (std::time::Instant::now(), self.endpoint);
        if matches!(answer, Answer::TryAgain(_)) {
            self.failures = self.failures.saturating_add(1);
            if self.failures == AWAY_AFTER {
                tracing::warn!(
                    endpoint,
                    "an endpoint does not take spans just now; they wait for it"
                );
            }
            return;
        }
        if std::mem::take(&mut self.failures) >= AWAY_AFTER {
            tracing::info!(endpoint, "an endpoint answers again");
        }
        match answer {
            Answer::Refused(status) => {
                if self.losing.lost(spans, now) {
                    tracing::warn!(endpoint, status, spans, "an endpoint refuses spans");
                }
            }
            Answer::Taken(Some(Rejected { spans, why })) => {
                if self.losing.lost(*spans, now) {
                    tracing::warn!(
                        endpoint,
                        spans,
                        why,
                        "an endpoint rejects some of the spans"
                    );
                }
            }
            _ => {
                if let Some(spans) = self.losing.taken(now) {
                    let told = "an endpoint takes all spans again; so many were lost";
                    tracing::info!(endpoint, spans, "{told}");
                }
            }
        }
    }
}

fn compress(body: &[u8]) -> Result<Bytes, SinkError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
    compressed
        .map(|mut body| {
            // It waits, and what waits is counted by its length.
            body.shrink_to_fit();
            Bytes::from(body)
        })
        .map_err(|error| SinkError::Failed(error.into()))
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
