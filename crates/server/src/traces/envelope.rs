//! `POST /api/{project}/envelope/`: what Sentry's SDKs send (Sentry's developer documentation, "Envelopes").
//!
//! The project is a number, since SDKs want one; any is taken. The key stands where SDKs put it: in `X-Sentry-Auth`, in
//! the query (browsers), or in the DSN of the envelope's own header (tunnels).
//!
//! A 200 means that what was taken is on disk. Items of kinds that have no place here are counted and let go, so that an
//! SDK need not be told what not to send.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hopline_traces::Durability;
use hopline_traces::ingest::{Limits, Received, decode_envelope, envelope_header, mark_clocks};
use hopline_wire::Timestamp;
use hopline_wire::secret::bearer;
use serde::Serialize;
use utoipa::ToSchema;

use super::ingest::{NOT_STORED, receive};
use super::room::Taken;
use crate::app::App;
use crate::errors::{ApiError, ApiResult, Chain};
use crate::extract::InPath;
use crate::openapi::Problem;

/// In which header SDKs put their key.
const AUTH_HEADER: &str = "x-sentry-auth";

/// In which header SDKs look for what they are to hold back, and how long.
const LIMITS_HEADER: HeaderName = HeaderName::from_static("x-sentry-rate-limits");

/// What is to be held back for a second while there is no room: the categories of what is taken here.
const ALL_HELD_BACK: HeaderValue =
    HeaderValue::from_static("1:transaction;span;error;default;log_item:key:overloaded");

/// How large the body may be of a sender who is known only once the body is there, in bytes.
const UNKNOWN_BYTES: usize = 1 << 20;

/// What became of an envelope.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnvelopeTaken {
    /// The event's id, if the envelope names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// What of it was not taken, and why; nothing if all was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
}

/// Takes in an envelope of a Sentry SDK.
#[utoipa::path(post, path = "/api/{project}/envelope/", tag = "ingest", security(("dsn" = [])),
    params(("project" = u64, Path, description = "The number at the end of the DSN")),
    request_body(content_type = "application/x-sentry-envelope", description = "An envelope, plain or in gzip, deflate, br or zstd"),
    responses((status = 200, body = EnvelopeTaken, description = "What was taken is on disk"),
              (status = 400, body = Problem, description = "Malformed; what was whole of it is taken"),
              (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 429, body = Problem, description = "Others send much just now"),
              (status = 503, body = Problem, description = "The store cannot take spans just now")))]
pub(crate) async fn take_envelope(
    State(app): State<Arc<App>>,
    InPath(project): InPath<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let taken = take(app, &project, &uri, headers, body).await;
    match taken {
        Ok(taken) => Json(taken).into_response(),
        Err(error) => {
            let held_back = error.status() == StatusCode::TOO_MANY_REQUESTS;
            let mut response = error.into_response();
            if held_back {
                response.headers_mut().insert(LIMITS_HEADER, ALL_HELD_BACK);
            }
            response
        }
    }
}

async fn take(
    app: Arc<App>,
    project: &str,
    uri: &Uri,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<EnvelopeTaken> {
    let key = key_shown(&headers, uri);
    let limit = match &key {
        Some(key) => {
            known_sender(&app, key, project).await?;
            Limits::default().compressed_bytes
        }
        None => UNKNOWN_BYTES,
    };
    // Of those who show no key two at most are waited for, so that they never take the room from those who do.
    let unknown = match &key {
        Some(_) => None,
        None => {
            let turn = Arc::clone(&app.unknown_senders).try_acquire_owned();
            let told = "others without a key in their headers send just now: try again";
            Some(turn.map_err(|_| ApiError::overloaded(told))?)
        }
    };
    let (body, room) = receive(&app, &headers, body, limit).await?;
    let project = project.to_owned();
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let encoding = headers.get(header::CONTENT_ENCODING);
        let encoding = encoding.and_then(|value| value.to_str().ok());
        if key.is_none() {
            let header = envelope_header(encoding, &body);
            let key = header.as_ref().and_then(|header| header.dsn_key());
            let expected =
                "a DSN's public key in X-Sentry-Auth, in the query or in the envelope's dsn";
            let key = key.ok_or_else(|| ApiError::unauthorized(expected))?;
            runtime.block_on(known_sender(&app, key, &project))?;
        }
        drop(unknown);
        store(&app, encoding, &body, &room)
    };
    // Decoding takes a while, and the store waits for the disk.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal("take in an envelope", &error))?
}

/// Whether this key may send to this project.
async fn known_sender(app: &App, key: &str, project: &str) -> ApiResult<()> {
    // Something else than a number is no project of anyone, and not told apart before the key is known.
    let is_number = !project.is_empty() && project.bytes().all(|byte| byte.is_ascii_digit());
    let number = project.parse().unwrap_or(u64::MAX);
    app.dsn_key(key, is_number.then_some(number)).await?;
    match is_number {
        true => Ok(()),
        false => Err(ApiError::not_found("project: expected the number of a DSN")),
    }
}

fn store(app: &App, encoding: Option<&str>, body: &[u8], room: &Taken) -> ApiResult<EnvelopeTaken> {
    let more = |bytes| room.more(bytes);
    let received = decode_envelope(encoding, body, None, &Limits::default(), &more);
    let mut received = received.map_err(|error| {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let told = ApiError::new(status, error.code(), error.to_string());
        match status {
            StatusCode::TOO_MANY_REQUESTS => told.retry_after(1),
            _ => told,
        }
    })?;
    mark_clocks(&mut received.spans, Timestamp::now());
    app.traces
        .append(&received.spans, Durability::Durable)
        .map_err(|error| {
            if !error.is_transient() {
                return ApiError::internal("store the spans", &error);
            }
            tracing::warn!(error = %Chain(&error), "spans could not be stored");
            ApiError::unavailable("traces_unavailable", NOT_STORED).retry_after(1)
        })?;
    count(app, &received);
    if let Some(first) = received.malformed.first() {
        let more = match received.malformed.len() - 1 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        return Err(ApiError::bad_request(
            "malformed",
            format!("{first}{more}; what was whole of the envelope is taken"),
        ));
    }
    let refused = received.refused.iter();
    Ok(EnvelopeTaken {
        id: received.event_id,
        refused: refused
            .map(|refused| format!("{} ({})", refused.reason.message(), refused.count))
            .collect(),
    })
}

fn count(app: &App, received: &Received) {
    let counters = &app.counters;
    let lost = received.refused.iter().map(|refused| refused.count);
    counters.spans_received.inc_by(received.spans.len() as u64);
    counters.spans_refused.inc_by(lost.sum());
    for (kind, count) in &received.items {
        counters
            .envelope_items
            .get_or_create(&[("kind", *kind)])
            .inc_by(*count);
    }
    for (reason, category, quantity) in &received.lost_by_client {
        let labels = [
            ("reason", known(reason, &REASONS)),
            ("category", known(category, &CATEGORIES)),
        ];
        counters
            .lost_by_clients
            .get_or_create(&labels)
            .inc_by(*quantity);
    }
}

/// Why SDKs let something go, and of what kind it was: those that are counted by name ("Client Reports").
const REASONS: [&str; 11] = [
    "backpressure",
    "before_send",
    "buffer_overflow",
    "cache_overflow",
    "event_processor",
    "ignored",
    "internal_sdk_error",
    "network_error",
    "queue_overflow",
    "ratelimit_backoff",
    "sample_rate",
];
const CATEGORIES: [&str; 8] = [
    "attachment",
    "default",
    "error",
    "log_item",
    "profile",
    "session",
    "span",
    "transaction",
];

/// A name that is counted by itself, else `other`: whoever sends must not make series without end.
fn known(name: &str, all: &'static [&'static str]) -> &'static str {
    let found = all.iter().find(|known| **known == name);
    found.copied().unwrap_or("other")
}

/// The key that the request shows outside its body: as SDKs do, or as other senders of spans do.
fn key_shown(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let in_headers = || {
        [AUTH_HEADER, "authorization"].into_iter().find_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            let members = value
                .strip_prefix("Sentry")
                .or_else(|| value.strip_prefix("sentry"))?;
            named_key(members.split(',').map(str::trim))
        })
    };
    let in_query = || named_key(uri.query()?.split('&'));
    // Last, since a tunnel may pass on a Bearer that is meant for another.
    let own = || bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?);
    let shown = in_headers().or_else(in_query).or_else(own);
    shown.map(str::to_owned)
}

fn named_key<'a>(members: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut members = members.filter_map(|member| member.split_once('='));
    let (_, key) = members.find(|(name, _)| *name == "sentry_key")?;
    Some(key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &'static str, value: &'static str, uri: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        key_shown(&headers, &Uri::from_static(uri))
    }

    #[test]
    fn the_key_is_found_wherever_sdks_put_it() {
        let plain = "/api/1/envelope/";
        for (name, value, uri) in [
            (
                AUTH_HEADER,
                "Sentry sentry_version=7, sentry_key=abc, sentry_client=x/1",
                plain,
            ),
            (AUTH_HEADER, "Sentry sentry_key=abc", plain),
            (
                "authorization",
                "Sentry sentry_version=7,sentry_key=abc",
                plain,
            ),
            (
                "accept",
                "*/*",
                "/api/1/envelope/?sentry_version=7&sentry_key=abc&x=1",
            ),
        ] {
            assert_eq!(
                shown(name, value, uri).as_deref(),
                Some("abc"),
                "{name}: {value} {uri}"
            );
        }
        for (name, value, uri) in [
            (AUTH_HEADER, "Sentry sentry_version=7", plain),
            (AUTH_HEADER, "Bearer abc", plain),
            ("accept", "*/*", "/api/1/envelope/?sentry_keys=abc"),
        ] {
            assert_eq!(shown(name, value, uri), None, "{name}: {value} {uri}");
        }
    }
}
