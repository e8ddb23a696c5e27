//! Spans out over OTLP/HTTP (protobuf, gzip; over gRPC: `grpc.rs`): to any collector, to a server of Hopline's, or to a broker's
//! relay.

use std::time::Duration;

use bytes::Bytes;
use hopline_wire::otlp;
use hopline_wire::secret::Secret;
use hopline_wire::span::Span;
use hopline_wire::text;
use reqwest::RequestBuilder;

use crate::exporter::{Answer, Encoded, REFUSED, Rejected, send};
use crate::grpc;
use crate::losses::Drops;

/// The path at which an OTLP/HTTP endpoint takes spans.
pub const PATH: &str = "/v1/traces";

/// As much of an endpoint's answer is read, in bytes, and as much of what it says is logged.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 << 10;
const MAX_MESSAGE_BYTES: usize = 256;

/// What carries the messages of OTLP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// Requests of HTTP.
    #[default]
    Http,
    /// Calls of gRPC, which need a client that speaks nothing but HTTP/2.
    Grpc,
}

/// An OTLP endpoint.
#[derive(Clone)]
pub struct OtlpOptions {
    /// The whole address, path included: [`PATH`], or [`METHOD`](hopline_wire::otlp::grpc::METHOD).
    pub url: String,
    /// How messages get there.
    pub transport: Transport,
    /// Sent as `Authorization: Bearer …`, if there is one.
    pub bearer: Option<Secret>,
}

/// One request for all spans.
pub(crate) fn encode(spans: &[Span], told: &[Span]) -> Encoded {
    let mut body = otlp::encode(&otlp::to_request(spans));
    let mut drops = Drops::of(REFUSED, spans);
    if !told.is_empty() {
        // Two messages one after the other are one that holds what both held (Protocol Buffers, "Encoding").
        body.extend(otlp::encode(&otlp::to_request(told)));
        told.iter().for_each(|span| drops.note(span));
    }
    Encoded {
        body,
        spans: spans.len() as u64,
        drops,
    }
}

/// A request to the endpoint, with what it is to be shown.
pub(crate) fn request(options: &OtlpOptions, client: &reqwest::Client) -> RequestBuilder {
    let request = client.post(&options.url);
    match &options.bearer {
        Some(bearer) => request.bearer_auth(bearer.expose()),
        None => request,
    }
}

pub(crate) async fn post(options: &OtlpOptions, client: &reqwest::Client, body: Bytes) -> Answer {
    if options.transport == Transport::Grpc {
        return grpc::post(options, client, &body).await;
    }
    let request = request(options, client)
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "gzip")
        .body(body);
    let response = match send(request).await {
        Ok(response) => response,
        Err(answer) => return answer,
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
    otlp::rejected(&body).map(told)
}

/// What an endpoint says of spans that it has rejected.
pub(crate) fn told((spans, why): (u64, String)) -> Rejected {
    let why = text::prefix(&why, MAX_MESSAGE_BYTES).to_owned();
    Rejected { spans, why }
}
