//! `POST /api/runner/events`: events in, from brokers, and from runners that hold a token of their own.
//!
//! An event's way through here: the body is cut into events without copying them ([`read`]); each traced one
//! gets its span, whose context goes with it ([`spans`]); the processor settles them; the spans end with what
//! became of each event, all in one batch; whoever waits for an answer to a command is handed it.
//!
//! A 200 promises what the processor promises: every event up to `acked` is settled in the database.
//! What is refused as a whole (401, 403, 400, 413, 429, 503) has changed nothing, or is harmless to send again.

mod read;
mod spans;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hopline_processor::SubmitError;
use hopline_telemetry::metrics::prometheus_client::metrics::histogram::Histogram;
use hopline_telemetry::pending::while_open;
use hopline_wire::Timestamp;
use hopline_wire::ingest::IngestReply;
use hopline_wire::limits::{MAX_INGEST_BYTES, MAX_INGEST_EVENTS};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use crate::access::RunnerSender;
use crate::app::App;
use crate::errors::{ApiError, ApiResult, Chain};
use crate::openapi::Problem;
use read::Batch;
use spans::EventSpans;

/// How long a request waits for room before it is turned away.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a sender may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to events, as the API's description shows it.
#[derive(ToSchema)]
#[schema(as = IngestReply)]
#[expect(dead_code, reason = "read by the API's description alone")]
pub(crate) struct IngestReplySchema {
    /// Whether anything was applied.
    ok: bool,
    /// Per command, the last settled sequence number.
    #[schema(value_type = Object)]
    acked: (),
    /// The events refused for good: `{commandId, seq, code, error}`.
    #[schema(value_type = Vec<Object>)]
    rejected: (),
    /// Per command with a gap, the sequence number expected next.
    #[schema(value_type = Object)]
    gaps: (),
}

/// Takes in a runner's events from its broker, or from itself: one, or an array of at most 1,000.
#[utoipa::path(post, path = "/api/runner/events", tag = "ingest", security(("runner" = [])),
    request_body(content = Object, description = "One event or an array of events; see docs/wire.md"),
    responses((status = 200, body = IngestReplySchema),
              (status = 400, description = "The body is no JSON object or array of objects", body = Problem),
              (status = 409, description = "Nothing could be applied because of gaps", body = IngestReplySchema),
              (status = 413, description = "Too large; send half", body = Problem),
              (status = 429, description = "Overloaded; keep the events", body = Problem),
              (status = 503, description = "The database is unavailable; keep the events", body = Problem)))]
pub(crate) async fn take_events(
    sender: RunnerSender,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    app.counters.ingest_requests.inc();
    match take(&app, sender, headers, body).await {
        Ok(reply) if !reply.ok && !reply.gaps.is_empty() => {
            (StatusCode::CONFLICT, Json(reply)).into_response()
        }
        Ok(reply) => Json(reply).into_response(),
        Err(error) => {
            app.counters.ingest_refused.inc();
            error.into_response()
        }
    }
}

async fn take(
    app: &Arc<App>,
    sender: RunnerSender,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<IngestReply> {
    let received = Timestamp::now();
    hold_to_rate(app, &sender)?;
    let room = make_room(app, &headers).await?;
    let body = receive(body).await?;
    // Others of its requests may have come meanwhile.
    hold_to_rate(app, &sender)?;
    // A sender that hangs up now does not undo its events, so their spans must come to their end as well.
    let task = Arc::clone(app);
    let settled = app.tasks.spawn(async move {
        let _room = room;
        settle(&task, &sender, &headers, body, received).await
    });
    settled
        .await
        .unwrap_or_else(|error| Err(ApiError::internal("settle events", &error)))
}

async fn settle(
    app: &App,
    sender: &RunnerSender,
    headers: &HeaderMap,
    body: Bytes,
    received: Timestamp,
) -> ApiResult<IngestReply> {
    let arrived = Timestamp::now();
    let begun = Instant::now();
    let Batch {
        mut events,
        is_array,
    } = charged(app, sender, &body, Batch::read(&body, received, sender))?;
    let mut spans = EventSpans::begin(app, headers, is_array, &mut events);
    spans.waited(arrived.nanos_since(received));
    observe(&app.counters.parsing, begun);
    let awaited = read::awaited(app, &events, &body);
    let begun = Instant::now();
    let work = app.processor.submit(events);
    let settled = while_open(app.tracer.pipeline(), work, || spans.open()).await;
    observe(&app.counters.handing_over, begun);
    let trace_id = settled.is_err().then(|| spans.trace_ids()).flatten();
    spans.finish(app, settled.as_ref());
    let settled = settled.map_err(|error| refused(&error, trace_id))?;
    for event in awaited {
        event.give(app, &settled);
    }
    Ok(settled.reply)
}

/// Turns away a runner that has sent more than it may, until that is paid for.
fn hold_to_rate(app: &App, sender: &RunnerSender) -> ApiResult<()> {
    let RunnerSender::One { token, .. } = sender else {
        return Ok(());
    };
    let now = Instant::now();
    let wait = app.token_paces.lock().ready_at(token, now) - now;
    if wait.is_zero() {
        return Ok(());
    }
    let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
    let error = "the token's runner sends more than it may; keep the events and try again";
    Err(ApiError::overloaded(error).retry_after(seconds.saturating_add(1)))
}

/// Has the sender's rate pay for a body, whatever is in it.
fn charged<E>(
    app: &App,
    sender: &RunnerSender,
    body: &Bytes,
    batch: Result<Batch, E>,
) -> Result<Batch, E> {
    if let RunnerSender::One { token, .. } = sender {
        let events = batch.as_ref().map_or(1, |batch| batch.events.len());
        let mut paces = app.token_paces.lock();
        paces.came(*token, events, body.len(), Instant::now());
    }
    batch
}

/// Reserves as many bytes as the body may have.
async fn make_room(app: &App, headers: &HeaderMap) -> ApiResult<OwnedSemaphorePermit> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok())
        .unwrap_or(MAX_INGEST_BYTES);
    if length > MAX_INGEST_BYTES {
        return Err(too_large());
    }
    let bytes = u32::try_from(length.min(app.options.ingest_bytes)).unwrap_or(u32::MAX);
    let room = Arc::clone(&app.ingest_room).acquire_many_owned(bytes);
    match tokio::time::timeout(PATIENCE, room).await {
        Ok(Ok(room)) => Ok(room),
        // The room is never closed; a server that is stopping does not get here.
        Ok(Err(_)) | Err(_) => Err(ApiError::overloaded(
            "too many events are on their way; keep these and try again",
        )),
    }
}

async fn receive(body: Body) -> ApiResult<Bytes> {
    let bytes = axum::body::to_bytes(body, MAX_INGEST_BYTES);
    match tokio::time::timeout(BODY_TIMEOUT, bytes).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err(ApiError::bad_request(
            "bad_request",
            "the body broke off before its end",
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the body took too long to arrive",
        )),
    }
}

fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

fn too_large() -> ApiError {
    ApiError::too_large(format!(
        "a request has at most {MAX_INGEST_EVENTS} events and {MAX_INGEST_BYTES} bytes"
    ))
}

/// The answer to events that the processor hands back. The sender keeps them. `trace_id` names their traces in the log.
pub(crate) fn refused(error: &SubmitError, trace_id: Option<String>) -> ApiError {
    match error {
        SubmitError::Overloaded => {
            ApiError::overloaded("too many events are on their way; keep these and try again")
        }
        SubmitError::Unavailable(cause) => {
            tracing::warn!(trace_id, error = %Chain(&**cause), "events could not be settled");
            ApiError::unavailable(
                "database_unavailable",
                "the database cannot take events just now; keep these and try again",
            )
            .retry_after(1)
        }
        SubmitError::Stopping => {
            ApiError::unavailable("stopping", "the server is stopping").retry_after(2)
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        refused(&error, None)
    }
}

fn observe(histogram: &Histogram, begun: Instant) {
    histogram.observe(begun.elapsed().as_secs_f64());
}
