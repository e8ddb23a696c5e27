//! Spans out over OTLP/gRPC: the one method of a collector's trace service, gzipped.
//!
//! It takes one message and answers one, so what there is of gRPC here is its framing ("gRPC over HTTP/2"): five bytes before a
//! message, and a status behind the answer.

use bytes::{BufMut as _, Bytes, BytesMut};
use hopline_wire::otlp;
use hopline_wire::text;
use http_body_util::BodyExt as _;
use reqwest::header::HeaderMap;

use crate::exporter::{Answer, REQUEST_TIMEOUT, Rejected};
use crate::otlp::{MAX_ANSWER_BYTES, MAX_MESSAGE_BYTES, OtlpOptions};

/// The method, below an endpoint's address.
pub const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// Statuses after which a request may be sent again (OTLP 1.x, "Failures"): cancelled, deadline exceeded, aborted, out of range,
/// unavailable, data loss.
const PASSING: [u16; 6] = [1, 4, 10, 11, 14, 15];

/// Sends a message that is gzipped.
pub(crate) async fn post(options: &OtlpOptions, client: &reqwest::Client, body: &Bytes) -> Answer {
    let mut framed = BytesMut::with_capacity(PREFIX + body.len());
    framed.put_u8(1);
    framed.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(body);
    let mut request = client
        .post(&options.url)
        .timeout(REQUEST_TIMEOUT)
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "gzip")
        .header("te", "trailers")
        .body(framed.freeze());
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
    match response.status().as_u16() {
        200 => {}
        // A proxy's, in front of what speaks gRPC.
        429 | 502..=504 => return Answer::TryAgain(None),
        status => return Answer::Refused(status),
    }
    // Without a message before it the status stands among the headers.
    let mut status = status(response.headers());
    let mut message = Vec::new();
    let mut body = reqwest::Body::from(response);
    while status.is_none() {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => status = self::status(&trailers),
                Err(frame) => {
                    let piece = frame.into_data().unwrap_or_default();
                    if message.len() + piece.len() <= MAX_ANSWER_BYTES {
                        message.extend_from_slice(&piece);
                    }
                }
            },
            // It broke off, and whether the spans were taken is not known.
            Some(Err(_)) | None => return Answer::TryAgain(None),
        }
    }
    match status {
        Some(0) => Answer::Taken(rejected(&message)),
        Some(status) if PASSING.contains(&status) => Answer::TryAgain(None),
        status => Answer::Refused(status.unwrap_or_default()),
    }
}

fn status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// What an answer of success says was not taken. One that is compressed is not read: it was not asked for.
fn rejected(answer: &[u8]) -> Option<Rejected> {
    let (prefix, message) = answer.split_first_chunk::<PREFIX>()?;
    let (spans, why) = otlp::rejected(message).filter(|_| prefix[0] == 0)?;
    let why = text::prefix(&why, MAX_MESSAGE_BYTES).to_owned();
    Some(Rejected { spans, why })
}
