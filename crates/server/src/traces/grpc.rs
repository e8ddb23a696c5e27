//! Spans over OTLP/gRPC: `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
//!
//! The framing is our own ([`grpc`]), so a body is received as it is over HTTP: under the same bounds, and only after its
//! sender has shown a key.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hopline_traces::ingest::{Format, Limits};
use hopline_wire::otlp::grpc;
use http_body_util::{BodyExt as _, Full};

use super::ingest::{Refusal, Sent, receive, right_to_send, store};
use crate::access::SpanRight;
use crate::app::App;
use crate::errors::ApiError;
use crate::hosts::Page;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// What a message may be compressed with.
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,deflate,zstd");

const MESSAGE: &str = "grpc-message";

/// The codes of gRPC that are answered ("Status codes and their use in gRPC").
mod code {
    pub(super) const OK: u16 = 0;
    pub(super) const INVALID_ARGUMENT: u16 = 3;
    pub(super) const DEADLINE_EXCEEDED: u16 = 4;
    pub(super) const PERMISSION_DENIED: u16 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u16 = 8;
    pub(super) const UNIMPLEMENTED: u16 = 12;
    pub(super) const INTERNAL: u16 = 13;
    pub(super) const UNAVAILABLE: u16 = 14;
    pub(super) const UNAUTHENTICATED: u16 = 16;
}

/// What a call ends with that was not served.
struct Status {
    code: u16,
    message: String,
}

/// The methods that are served to those who speak gRPC.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(grpc::METHOD, post(export))
        .fallback(no_method)
}

async fn no_method() -> Response {
    let message = format!("there is no such method: expected {}", grpc::METHOD);
    Status::new(code::UNIMPLEMENTED, message).into_response()
}

/// Takes in spans. They are on disk when the answer is OK.
async fn export(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    // So "gRPC over HTTP/2" has others answered.
    if !kind.is_some_and(|kind| kind.starts_with("application/grpc")) {
        let told = "the content type must be application/grpc";
        return ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_type",
            told,
        )
        .into_response();
    }
    match taken(&app, headers, body).await {
        Ok(answer) => answered(&answer),
        Err(status) => status.into_response(),
    }
}

async fn taken(app: &Arc<App>, headers: HeaderMap, body: Body) -> Result<Vec<u8>, Status> {
    let right = right_to_send(app, &headers, Page::Nobodys).await?;
    let limit = grpc::PREFIX + Limits::default().compressed_bytes;
    let (body, room) = receive(app, &headers, body, limit).await?;
    let app = Arc::clone(app);
    // The room is held until the spans are stored.
    let work = move || stored(&app, right, &headers, &body, &|bytes| room.more(bytes));
    // Decoding takes a while, and the store waits for the disk.
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|error| ApiError::internal("take in spans", &error))?
}

fn stored(
    app: &App,
    right: SpanRight,
    headers: &HeaderMap,
    body: &Bytes,
    room: &dyn Fn(usize) -> bool,
) -> Result<Vec<u8>, Status> {
    let unframed = grpc::unframe(body);
    let (is_compressed, message) =
        unframed.map_err(|told| Status::new(code::INVALID_ARGUMENT, told))?;
    let encoding = headers
        .get("grpc-encoding")
        .and_then(|encoding| encoding.to_str().ok());
    if is_compressed && encoding.is_none() {
        let told = "the message is compressed, and grpc-encoding does not say how";
        return Err(Status::new(code::INVALID_ARGUMENT, told));
    }
    let sent = Sent {
        content_type: Some(Format::Protobuf.content_type()),
        content_encoding: encoding.filter(|_| is_compressed),
        body: message,
    };
    Ok(store(app, right, &sent, room).map(|(_, answer)| answer)?)
}

/// A message, and behind it that all went well.
fn answered(message: &[u8]) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert(grpc::STATUS, code::OK.into());
    let behind = std::future::ready(Some(Ok::<_, Infallible>(trailers)));
    let body = Body::new(Full::new(Bytes::from(grpc::frame(false, message))).with_trailers(behind));
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}

impl Status {
    fn new(code: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.status() {
            StatusCode::BAD_REQUEST => code::INVALID_ARGUMENT,
            // The content type is ours: what is not known is how the message is compressed.
            StatusCode::UNSUPPORTED_MEDIA_TYPE => code::UNIMPLEMENTED,
            StatusCode::UNAUTHORIZED => code::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => code::PERMISSION_DENIED,
            StatusCode::REQUEST_TIMEOUT => code::DEADLINE_EXCEEDED,
            // Without more being said OTLP's clients take it as final.
            StatusCode::PAYLOAD_TOO_LARGE => code::RESOURCE_EXHAUSTED,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => code::UNAVAILABLE,
            _ => code::INTERNAL,
        };
        Self::new(code, refusal.message())
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        Refusal::from(error).into()
    }
}

/// A status without a message before it stands among the headers.
impl IntoResponse for Status {
    fn into_response(self) -> Response {
        let mut response = StatusCode::OK.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        headers.insert("grpc-accept-encoding", ENCODINGS);
        headers.insert(grpc::STATUS, self.code.into());
        if let Ok(message) = HeaderValue::from_str(&escaped(&self.message)) {
            headers.insert(MESSAGE, message);
        }
        response
    }
}

/// Percent-encoded as gRPC wants its messages: all but visible ASCII and the space, and the percent sign itself.
fn escaped(message: &str) -> String {
    let mut escaped = String::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_can_stand_in_a_header() {
        assert_eq!(escaped("100 % of\nit: é"), "100 %25 of%0Ait: %C3%A9");
    }
}
