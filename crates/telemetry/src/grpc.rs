//! Spans out over OTLP/gRPC: gzipped, in the framing of [`grpc`].

use bytes::Bytes;
use hopline_wire::otlp::{self, grpc};
use http_body_util::BodyExt as _;
use reqwest::header::HeaderMap;

use crate::exporter::{Answer, Rejected, send};
use crate::otlp::{MAX_ANSWER_BYTES, OtlpOptions, request, told};

/// Statuses after which a request may be sent again (OTLP 1.x, "Failures"): cancelled, deadline exceeded, aborted, out of range,
/// unavailable, data loss.
const PASSING: [u16; 6] = [1, 4, 10, 11, 14, 15];

/// Sends a message that is gzipped.
pub(crate) async fn post(options: &OtlpOptions, client: &reqwest::Client, body: &Bytes) -> Answer {
    let request = request(options, client)
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "gzip")
        .header("te", "trailers")
        .body(grpc::frame(true, body));
    let response = match send(request).await {
        Ok(response) => response,
        Err(answer) => return answer,
    };
    match response.status().as_u16() {
        200 => {}
        // A proxy's, in front of what speaks gRPC.
        429 | 502..=504 => return Answer::TryAgain(None),
        status => return Answer::Refused(status),
    }
    // Without a message before it the status stands among the headers.
    let mut status = status(response.headers());
    let mut answer = Vec::new();
    let mut body = reqwest::Body::from(response);
    while status.is_none() {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => status = self::status(&trailers),
                Err(frame) => {
                    let piece = frame.into_data().unwrap_or_default();
                    if answer.len() + piece.len() <= MAX_ANSWER_BYTES {
                        answer.extend_from_slice(&piece);
                    }
                }
            },
            // It broke off, and whether the spans were taken is not known.
            Some(Err(_)) | None => return Answer::TryAgain(None),
        }
    }
    match status {
        Some(0) => Answer::Taken(rejected(&answer)),
        Some(status) if PASSING.contains(&status) => Answer::TryAgain(None),
        status => Answer::Refused(status.unwrap_or_default()),
    }
}

fn status(headers: &HeaderMap) -> Option<u16> {
    headers.get(grpc::STATUS)?.to_str().ok()?.parse().ok()
}

/// What an answer of success says was not taken. One that is compressed is not read: it was not asked for.
fn rejected(answer: &[u8]) -> Option<Rejected> {
    match grpc::unframe(answer) {
        Ok((false, message)) => otlp::rejected(message).map(told),
        _ => None,
    }
}
