//! Spans over OTLP/gRPC: `opentelemetry.proto.collector.trace.v1.TraceService/Export`.
//!
//! One method that takes one message and answers one: what there is of gRPC here is its framing ("gRPC over HTTP/2"), five
//! bytes before a message, and a status behind the answer. So a body is received as it is over HTTP: under the same bounds,
//! and only after its sender has shown a key.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hopline_traces::ingest::{Format, Limits};
use http_body_util::{BodyExt as _, Full};

use super::ingest::{Refusal, Sent, receive, right_to_send, store};
use crate::access::SpanRight;
use crate::app::App;
use crate::errors::ApiError;

/// Where the method is.
const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// What a message may be compressed with.
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,deflate,zstd");

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

const STATUS: &str = "grpc-status";
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
    Router::new().route(PATH, post(export)).fallback(no_method)
}

async fn no_method() -> Response {
    let message = format!("there is no such method: expected {PATH}");
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
    let right = right_to_send(app, &headers).await?;
    let limit = PREFIX + Limits::default().compressed_bytes;
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
    let (is_compressed, message) = message(body)?;
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

/// The one message of a body, and whether it is compressed.
fn message(body: &[u8]) -> Result<(bool, &[u8]), Status> {
    let malformed = |told| Status::new(code::INVALID_ARGUMENT, told);
    let Some(([flag, length @ ..], message)) = body.split_first_chunk::<PREFIX>() else {
        return Err(malformed("the body has no message"));
    };
    if u32::from_be_bytes(*length) as usize != message.len() {
        return Err(malformed(
            "the message is not as long as is said before it, or not the only one",
        ));
    }
    match flag {
        0 => Ok((false, message)),
        1 => Ok((true, message)),
        _ => Err(malformed("the message is neither plain nor compressed")),
    }
}

/// A message, and behind it that all went well.
fn answered(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut bytes = vec![0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, code::OK.into());
    let behind = std::future::ready(Some(Ok::<_, Infallible>(trailers)));
    let body = Body::new(Full::new(Bytes::from(bytes)).with_trailers(behind));
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
        headers.insert(STATUS, self.code.into());
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
    fn a_body_has_one_message_as_long_as_it_says() {
        let is_refused =
            |body: &[u8]| message(body).is_err_and(|status| status.code == code::INVALID_ARGUMENT);
        assert_eq!(
            message(&[0, 0, 0, 0, 2, 7, 8]).ok(),
            Some((false, &[7, 8][..]))
        );
        assert_eq!(message(&[1, 0, 0, 0, 0]).ok(), Some((true, &[][..])));
        for wrong in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 7],
            &[0, 0, 0, 0, 1, 7, 8],
            &[2, 0, 0, 0, 0],
        ] {
            assert!(is_refused(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_said_can_stand_in_a_header() {
        assert_eq!(escaped("100 % of\nit: é"), "100 %25 of%0Ait: %C3%A9");
    }
}
