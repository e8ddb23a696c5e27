//! `POST /v1/traces`: spans of other programs, and of Hopline's own parts that run elsewhere (OTLP/HTTP,
//! protobuf or JSON, gzip or plain).
//!
//! A 200 means that the spans are on disk. The tools of a build send with a key for their own trace, which
//! ends with the build; spans of other traces are refused, the others taken.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use hopline_state::SessionKey;
use hopline_state::rows::SessionStatus;
use hopline_traces::ingest::{
    Decoded, Format, Limits, decode_otlp, error_response, mark_clocks, response,
};
use hopline_traces::{Durability, TracesError};
use hopline_wire::Timestamp;
use hopline_wire::otlp::{Refused, RefusedReason};

use super::room::Taken;
use crate::access::SpanRight;
use crate::app::App;
use crate::errors::{ApiError, ApiResult, Chain};
use crate::hosts::Page;

/// How long a sender may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much room a body takes at a time whose length is not said, in bytes.
const BODY_STEP: usize = 64 << 10;

/// Why spans were not taken, and how to say so.
pub(super) enum Refusal {
    /// In the words of our API.
    Api(ApiError),
    /// In the words of the protocol as well: its clients read those.
    Spans(Format, StatusCode, &'static str, String),
}

impl Refusal {
    /// As HTTP has it.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Api(error) => error.status(),
            Self::Spans(_, status, ..) => *status,
        }
    }

    /// For people.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Api(error) => error.message(),
            Self::Spans(.., message) => message,
        }
    }
}

/// What was sent.
pub(super) struct Sent<'s> {
    /// The format, if it was said.
    pub(super) content_type: Option<&'s str>,
    /// What it is compressed with, if it is.
    pub(super) content_encoding: Option<&'s str>,
    /// The spans.
    pub(super) body: &'s [u8],
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// Takes in spans (OTLP/HTTP). The console's own pages need no key beside their cookie.
#[utoipa::path(post, path = "/v1/traces", tag = "ingest", security(("ingest" = [])),
    request_body(content_type = "application/x-protobuf", description = "An ExportTraceServiceRequest, in protobuf or JSON, gzip or plain"),
    responses((status = 200, description = "Stored; spans that were refused are counted in partialSuccess"),
              (status = 400, description = "The body is malformed"), (status = 413, description = "Too large"),
              (status = 415, description = "The content type or encoding is not known"),
              (status = 429, description = "Others send many spans just now"),
              (status = 503, description = "The store cannot take spans just now")))]
pub(crate) async fn take_spans(
    State(app): State<Arc<App>>,
    Extension(page): Extension<Page>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let taken = async {
        let right = right_to_send(&app, &headers, page).await?;
        let limit = Limits::default().compressed_bytes;
        // Only now, so that nobody without a key has us hold a body.
        let (body, room) = receive(&app, &headers, body, limit).await?;
        let app = Arc::clone(&app);
        // The room is held until the spans are stored.
        let work = move || {
            let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
            let sent = Sent {
                content_type: value(header::CONTENT_TYPE),
                content_encoding: value(header::CONTENT_ENCODING),
                body: &body,
            };
            store(&app, right, &sent, &|bytes| room.more(bytes))
        };
        // Decoding takes a while, and the store waits for the disk.
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| ApiError::internal("take in spans", &error))?
    };
    match taken.await {
        Ok((format, answer)) => {
            ([(header::CONTENT_TYPE, format.content_type())], answer).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// What whoever sends this may send; a build's tools only as long as it runs.
///
/// # Errors
/// As [`App::span_right`], and 403 after the build's end.
pub(super) async fn right_to_send(
    app: &App,
    headers: &HeaderMap,
    page: Page,
) -> ApiResult<SpanRight> {
    let right = app.span_right(headers, page).await?;
    if let SpanRight::OneTrace { session_id, .. } = right {
        let session = app.store.session(SessionKey::Id(session_id)).await?;
        if session.is_none_or(|session| session.status != SessionStatus::Active) {
            return Err(ApiError::forbidden(
                "build_ended",
                "the key's build has ended",
            ));
        }
    }
    Ok(right)
}

/// Decodes and stores spans, those that may be sent; answers in their format. `room` is asked as [`decode_otlp`] says.
pub(super) fn store(
    app: &App,
    right: SpanRight,
    sent: &Sent<'_>,
    room: &dyn Fn(usize) -> bool,
) -> Result<(Format, Vec<u8>), Refusal> {
    let format = sent.content_type.and_then(Format::of_content_type);
    let format = format.unwrap_or(Format::Json);
    let (kind, encoding) = (sent.content_type, sent.content_encoding);
    let decoded = decode_otlp(kind, encoding, sent.body, &Limits::default(), room);
    let Decoded {
        mut spans,
        mut refused,
        format,
    } = decoded.map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Refusal::Spans(format, status, error.code(), error.to_string())
    })?;
    if let SpanRight::OneTrace { trace_id, .. } = right {
        let before = spans.len();
        spans.retain(|span| span.trace_id == trace_id);
        for _ in spans.len()..before {
            Refused::count_in(&mut refused, RefusedReason::OtherTrace);
        }
    }
    mark_clocks(&mut spans, Timestamp::now());
    app.traces
        .append(&spans, Durability::Durable)
        .map_err(|error| not_stored(format, &error))?;
    let lost: u64 = refused.iter().map(|refused| refused.count).sum();
    app.counters.spans_received.inc_by(spans.len() as u64);
    app.counters.spans_refused.inc_by(lost);
    Ok((format, response(format, &refused)))
}

/// What a sender is told whose spans could not be stored.
pub(super) const NOT_STORED: &str = "the spans could not be stored; the server's log says why";

fn not_stored(format: Format, error: &TracesError) -> Refusal {
    tracing::warn!(error = %Chain(error), "spans could not be stored");
    let (status, code) = if error.is_transient() {
        (StatusCode::SERVICE_UNAVAILABLE, "traces_unavailable")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "internal")
    };
    Refusal::Spans(format, status, code, NOT_STORED.to_owned())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Api(error) => error.into_response(),
            Self::Spans(Format::Protobuf, status, _, message) => {
                let format = Format::Protobuf;
                let body = error_response(format, &message);
                let headers = [(header::CONTENT_TYPE, format.content_type())];
                with_retry(status, (status, headers, body).into_response())
            }
            Self::Spans(Format::Json, status, code, message) => {
                let body =
                    serde_json::json!({ "error": message, "code": code, "message": message });
                with_retry(status, (status, axum::Json(body)).into_response())
            }
        }
    }
}

fn with_retry(status: StatusCode, mut response: Response) -> Response {
    let passing = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if passing.contains(&status) {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// Receives a body of at most `limit` bytes, and takes the room that it needs: at once where the sender says how long it
/// is, else as it comes.
pub(super) async fn receive(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> ApiResult<(Bytes, Taken)> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let announced = announced.unwrap_or(0_usize).min(limit);
    let overloaded = || ApiError::overloaded("others send many spans just now: try again");
    let room = app.span_room.enter(announced).ok_or_else(overloaded)?;
    // It holds the room itself, which threads may hand to each other and not share.
    let received = async move {
        let mut pieces = body.into_data_stream();
        let mut bytes = Vec::with_capacity(announced);
        let mut held = announced;
        while let Some(piece) = pieces.next().await {
            let piece =
                piece.map_err(|_| ApiError::bad_request("malformed", "the body broke off"))?;
            let length = bytes.len() + piece.len();
            if length > limit {
                let told = format!("the body is larger than {limit} bytes");
                return Err(ApiError::too_large(told));
            }
            if length > held {
                let more = (length - held).max(BODY_STEP);
                if !room.more_body(more) {
                    return Err(overloaded());
                }
                held += more;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((Bytes::from(bytes), room))
    };
    match tokio::time::timeout(BODY_TIMEOUT, received).await {
        Ok(received) => received,
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            "the body took too long to arrive",
        )),
    }
}
