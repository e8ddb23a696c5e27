//! Spans out over OTLP/HTTP (protobuf, gzip): to any collector, to a server of Hopline's, or to a broker's
//! relay.
//!
//! Batches wait in a queue bounded by bytes and are sent one after the other. An endpoint that is away or
//! busy is tried again with growing pauses while the queue fills; when it is full, or the endpoint says
//! that a batch is wrong, the batch is lost and its spans are counted.

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
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The path at which an OTLP/HTTP endpoint takes spans.
pub const PATH: &str = "/v1/traces";

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

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
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// The batch under way still counts as waiting.
    sending: bool,
}

#[derive(Clone)]
struct Batch {
    body: Bytes,
    spans: u64,
}

/// The task that sends; ends when told to.
pub struct OtlpTask {
    exporter: Arc<OtlpExporter>,
    task: JoinHandle<()>,
}

enum Answer {
    Taken,
    TryAgain(Option<Duration>),
    Refused,
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
        });
        let task = tokio::spawn(Arc::clone(&exporter).run(options, client));
        (Arc::clone(&exporter), OtlpTask { exporter, task })
    }

    /// How many spans the endpoint has taken.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// How many spans were lost: refused by the endpoint, or given up at the end.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn run(self: Arc<Self>, options: OtlpOptions, client: reqwest::Client) {
        loop {
            let batch = self.next().await;
            let mut pause = FIRST_PAUSE;
            let fate = loop {
                match post(&options, &client, batch.body.clone()).await {
                    Answer::Taken => break &self.exported,
                    Answer::Refused => break &self.lost,
                    Answer::TryAgain(after) => {
                        let jitter = rand::rng().random_range(0.5..1.0);
                        tokio::time::sleep(after.unwrap_or_else(|| pause.mul_f64(jitter))).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            };
            fate.fetch_add(batch.spans, Ordering::Relaxed);
            self.settle(&batch);
        }
    }

    /// The oldest batch, which stays at the head of the queue until it is settled.
    async fn next(&self) -> Batch {
        loop {
            let changed = self.changed.notified();
            {
                let mut queue = self.queue.lock();
                if let Some(batch) = queue.batches.front().cloned() {
                    queue.sending = true;
                    return batch;
                }
            }
            changed.await;
        }
    }

    fn settle(&self, batch: &Batch) {
        let mut queue = self.queue.lock();
        queue.batches.pop_front();
        queue.bytes -= batch.body.len();
        queue.sending = false;
        self.sent.notify_waiters();
    }
}

impl SpanSink for OtlpExporter {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        let body = compress(&otlp::encode(&otlp::to_request(spans)))?;
        let mut queue = self.queue.lock();
        if queue.bytes + body.len() > self.queue_bytes {
            return Err(SinkError::Full);
        }
        queue.bytes += body.len();
        queue.batches.push_back(Batch {
            body,
            spans: spans.len() as u64,
        });
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
        let left: u64 = self
            .exporter
            .queue
            .lock()
            .batches
            .iter()
            .map(|batch| batch.spans)
            .sum();
        self.exporter.lost.fetch_add(left, Ordering::Relaxed);
        emptied
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
        200..=299 => Answer::Taken,
        429 | 502..=504 => {
            let after = response
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok());
            let seconds = after.and_then(|value| value.parse().ok());
            Answer::TryAgain(seconds.map(|seconds: u64| Duration::from_secs(seconds.min(60))))
        }
        status => {
            tracing::warn!(status, "the OTLP endpoint refused a batch of spans");
            Answer::Refused
        }
    }
}

#[cfg(test)]
#[path = "otlp_tests.rs"]
mod tests;
