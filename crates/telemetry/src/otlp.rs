//! Spans out over OTLP/HTTP (protobuf, gzip): to any collector, to a server of Hopline's, or to a broker's
//! relay.
//!
//! Batches wait in a queue bounded by bytes and are sent one after the other. An endpoint that is away or
//! busy is tried again with growing pauses while the queue fills. When it is full, the batch is handed back; when
//! the endpoint says that a batch is wrong, it is lost: its spans are counted, and told of on their traces with the
//! next batch. The log says once that the endpoint is away or refuses, and once that all is well again.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hopline_wire::otlp;
use hopline_wire::secret::Secret;
use hopline_wire::span::{SinkError, Span, SpanSink};
use hopline_wire::text;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::losses::{Drops, Losing};

/// The path at which an OTLP/HTTP endpoint takes spans.
pub const PATH: &str = "/v1/traces";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// After this many failed attempts in a row the endpoint counts as away. The first may come before it is up.
const AWAY_AFTER: u32 = 4;

/// As much of an endpoint's answer is read, in bytes, and as much of what it says is logged.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const MAX_MESSAGE_BYTES: usize = 256;

/// What is said of lost spans on their trace.
const REFUSED: &str = "the endpoint that spans are sent to refused them";

/// Where spans go and how many may wait.
#[derive(Clone)]
pub struct OtlpOptions {
    /// The whole address, path included.
    pub url: String,
    /// Sent as `Authorization: Bearer …`, if there is one.
    pub bearer: Option<Secret>,
    /// How many bytes of encoded batches may wait.
    pub queue_bytes: usize,
}

/// Sends spans to one endpoint; a sink for the pipeline.
pub struct OtlpExporter {
    queue: Mutex<Queue>,
    changed: Notify,
    sent: Notify,
    queue_bytes: usize,
    exported: AtomicU64,
    lost: AtomicU64,
    /// What the endpoint refused, until it is told of.
    untold: Mutex<Drops>,
}

/// What an exporter has done so far, in spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OtlpStats {
    /// Taken by the endpoint.
    pub exported: u64,
    /// Refused by the endpoint, or given up at the end.
    pub lost: u64,
    /// On their way or waiting for it.
    pub waiting: u64,
}

#[derive(Default)]
struct Queue {
    /// The batch under way is the first.
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

struct Batch {
    body: Bytes,
    spans: u64,
    /// Its spans, should they be lost.
    drops: Drops,
}

impl Batch {
    fn bytes(&self) -> usize {
        self.body.len() + self.drops.bytes()
    }
}

/// The task that sends; ends when told to.
pub struct OtlpTask {
    exporter: Arc<OtlpExporter>,
    task: JoinHandle<()>,
}

/// What an endpoint says to a batch.
enum Answer {
    /// It has the spans, but for those that it rejected.
    Taken(Option<Rejected>),
    TryAgain(Option<Duration>),
    Refused(u16),
}

/// The part of a batch that was not taken.
struct Rejected {
    spans: u64,
    why: String,
}

/// What the log was told of the endpoint.
#[derive(Default)]
struct Standing {
    failures: u32,
    losing: Losing,
}

impl OtlpExporter {
    /// Starts sending, on the current tokio runtime.
    #[must_use]
    pub fn start(options: OtlpOptions, client: reqwest::Client) -> (Arc<Self>, OtlpTask) {
        let exporter = Arc::new(Self {
            queue: Mutex::default(),
            changed: Notify::new(),
            sent: Notify::new(),
            queue_bytes: options.queue_bytes,
            exported: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            untold: Mutex::new(Drops::new(REFUSED)),
        });
        let task = tokio::spawn(Arc::clone(&exporter).run(options, client));
        (Arc::clone(&exporter), OtlpTask { exporter, task })
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> OtlpStats {
        let queue = self.queue.lock();
        OtlpStats {
            exported: self.exported.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: queue.batches.iter().map(|batch| batch.spans).sum(),
        }
    }

    async fn run(self: Arc<Self>, options: OtlpOptions, client: reqwest::Client) {
        let mut standing = Standing::default();
        loop {
            let batch = self.next().await;
            let mut pause = FIRST_PAUSE;
            loop {
                let answer = post(&options, &client, batch.body.clone()).await;
                standing.learn(&answer, batch.spans);
                match answer {
                    Answer::Taken(rejected) => break self.taken(&batch, rejected.as_ref()),
                    Answer::Refused(_) => break self.refused(batch),
                    Answer::TryAgain(after) => {
                        let jitter = rand::rng().random_range(0.5..1.0);
                        tokio::time::sleep(after.unwrap_or_else(|| pause.mul_f64(jitter))).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        }
    }

    /// The oldest batch, which stays at the head of the queue until it is settled.
    async fn next(&self) -> Arc<Batch> {
        loop {
            let changed = self.changed.notified();
            if let Some(batch) = self.queue.lock().batches.front() {
                return Arc::clone(batch);
            }
            changed.await;
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
        if let Some(batch) = queue.batches.pop_front() {
            queue.bytes -= batch.bytes();
        }
        self.sent.notify_waiters();
    }
}

impl SpanSink for OtlpExporter {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        let mut body = otlp::encode(&otlp::to_request(spans));
        let mut drops = Drops::of(REFUSED, spans);
        let told: Vec<_> = self.untold.lock().tell().collect();
        if !told.is_empty() {
            // Two messages one after the other are one that holds what both held (Protocol Buffers, "Encoding").
            body.extend(otlp::encode(&otlp::to_request(&told)));
            told.iter().for_each(|span| drops.note(span));
        }
        let batch = compress(&body).map(|body| Batch {
            body,
            spans: spans.len() as u64,
            drops,
        });
        let taken = batch.and_then(|batch| self.push(batch));
        if taken.is_err() {
            // What is handed back is told of by whoever has it; what was to be told here still is.
            told.iter().for_each(|span| self.untold.lock().note(span));
        }
        taken
    }
}

impl OtlpExporter {
    fn push(&self, batch: Batch) -> Result<(), SinkError> {
        let mut queue = self.queue.lock();
        if queue.bytes + batch.bytes() > self.queue_bytes {
            return Err(SinkError::Full);
        }
        queue.bytes += batch.bytes();
        queue.batches.push_back(Arc::new(batch));
        self.changed.notify_one();
        Ok(())
    }
}

impl OtlpTask {
    /// Waits until the queue is empty or `deadline` has passed, then ends the task; what is left is
    /// counted as lost. True if nothing was left.
    pub async fn stop(self, deadline: Instant) -> bool {
        let emptied = tokio::time::timeout_at(deadline, async {
            loop {
                let sent = self.exporter.sent.notified();
                if self.exporter.queue.lock().batches.is_empty() {
                    return;
                }
                sent.await;
            }
        });
        let emptied = emptied.await.is_ok();
        self.task.abort();
        let mut queue = self.exporter.queue.lock();
        let left: u64 = queue.batches.drain(..).map(|batch| batch.spans).sum();
        queue.bytes = 0;
        self.exporter.lost.fetch_add(left, Ordering::Relaxed);
        emptied
    }
}

impl Standing {
    /// Logs what an answer changes.
    fn learn(&mut self, answer: &Answer, spans: u64) {
        let now = std::time::Instant::now();
        if matches!(answer, Answer::TryAgain(_)) {
            self.failures = self.failures.saturating_add(1);
            if self.failures == AWAY_AFTER {
                tracing::warn!("the OTLP endpoint does not take spans just now; they wait for it");
            }
            return;
        }
        if std::mem::take(&mut self.failures) >= AWAY_AFTER {
            tracing::info!("the OTLP endpoint answers again");
        }
        match answer {
            Answer::Refused(status) => {
                if self.losing.lost(spans, now) {
                    tracing::warn!(status, spans, "the OTLP endpoint refuses spans");
                }
            }
            Answer::Taken(Some(Rejected { spans, why })) => {
                if self.losing.lost(*spans, now) {
                    tracing::warn!(spans, why, "the OTLP endpoint rejects some of the spans");
                }
            }
            _ => {
                if let Some(spans) = self.losing.taken(now) {
                    let told = "the OTLP endpoint takes all spans again; so many were lost";
                    tracing::info!(spans, "{told}");
                }
            }
        }
    }
}

fn compress(body: &[u8]) -> Result<Bytes, SinkError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
    compressed
        .map(Bytes::from)
        .map_err(|error| SinkError::Failed(error.into()))
}

async fn post(options: &OtlpOptions, client: &reqwest::Client, body: Bytes) -> Answer {
    let mut request = client
        .post(&options.url)
        .timeout(REQUEST_TIMEOUT)
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "gzip")
        .body(body);
    if let Some(bearer) = &options.bearer {
        request = request.bearer_auth(bearer.expose());
    }
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(error = %error.without_url(), "the OTLP endpoint is out of reach");
            return Answer::TryAgain(None);
        }
    };
    // OTLP 1.x, "OTLP/HTTP Response": these four may be tried again, all other failures may not.
    match response.status().as_u16() {
        200..=299 => Answer::Taken(rejected(response).await),
        429 | 502..=504 => {
            let after = response
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok());
            let seconds = after.and_then(|value| value.parse().ok());
            Answer::TryAgain(seconds.map(|seconds: u64| Duration::from_secs(seconds.min(60))))
        }
        status => Answer::Refused(status),
    }
}

/// What an answer of success says was not taken ("Partial Success").
async fn rejected(mut response: reqwest::Response) -> Option<Rejected> {
    let mut body = Vec::new();
    // An answer that breaks off has still taken the batch.
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    let (spans, why) = otlp::rejected(&body)?;
    let why = text::prefix(&why, MAX_MESSAGE_BYTES).to_owned();
    Some(Rejected { spans, why })
}

#[cfg(test)]
#[path = "otlp_tests.rs"]
mod tests;
