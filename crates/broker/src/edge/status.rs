//! How the broker is: `/health`, `/status`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hopline_wire::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::{Edge, Refusal};
use crate::forward::Peer;

/// The figures that the original's broker tells too, under its names, and what this one adds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    total_events: u64,
    total_commands: u64,
    total_errors: u64,
    active_connections: usize,
    /// Events that the server did not take at the first attempt and that are still held.
    failed_event_queue_size: u64,
    /// In seconds.
    uptime: f64,
    settled_events: u64,
    held_events: u64,
    held_bytes: u64,
}

/// `/status`: the figures, the server, and every link.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    status: &'static str,
    #[serde(flatten)]
    figures: Figures,
    server: Server,
    links: Vec<LinkStatus>,
}

/// What the broker knows of the server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    /// Whether it acknowledges; none before its first answer.
    acknowledges: Option<bool>,
    /// Whether it took the last request.
    ok: bool,
    /// The class of the last failure: a status, `connection` or `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkStatus {
    runner_id: String,
    link: String,
    acknowledges: bool,
    since: Timestamp,
    /// Whether events are read from it; if not, too many are held.
    reading: bool,
}

/// `GET /health`: open to everyone, tells nothing but whether the broker runs.
pub(super) async fn health(State(edge): State<Arc<Edge>>) -> Response {
    if edge.forwards() {
        return Json(json!({"status": "ok"})).into_response();
    }
    let failed = Json(json!({"status": "failed"}));
    (StatusCode::SERVICE_UNAVAILABLE, failed).into_response()
}

/// `GET /status`.
pub(super) async fn status(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    edge.authorise(&headers)?;
    let mut links: Vec<_> = edge
        .hub
        .links()
        .iter()
        .map(|link| LinkStatus {
            runner_id: link.connection.runner.to_string(),
            link: link.connection.id.clone(),
            acknowledges: link.acks,
            since: link.since,
            reading: edge.hub.has_room(&link.connection.runner),
        })
        .collect();
    links.sort_by(|one, other| one.runner_id.cmp(&other.runner_id));
    let server = edge.server();
    let status = Status {
        status: match (edge.forwards(), server.ok) {
            (false, _) => "failed",
            (true, false) => "degraded",
            (true, true) => "ok",
        },
        figures: edge.figures(),
        server,
        links,
    };
    Ok(Json(status).into_response())
}

/// `GET /metrics`: as text for Prometheus if that is asked for, else as the original's broker tells them.
pub(super) async fn metrics(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    edge.authorise(&headers)?;
    let figures = edge.figures();
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/plain") || accept.contains("openmetrics"))
    {
        let (kind, text) = edge.metrics.answer(accept);
        return Ok(([(header::CONTENT_TYPE, kind)], text).into_response());
    }
    Ok(Json(figures).into_response())
}

impl Edge {
    fn forwards(&self) -> bool {
        self.forwards.load(Ordering::Relaxed)
    }

    fn figures(&self) -> Figures {
        self.hub.measure();
        let held = self.hub.figures();
        Figures {
            total_events: self.counters.received.get(),
            total_commands: self.counters.commands.get(),
            total_errors: self.counters.errors(),
            active_connections: held.links,
            failed_event_queue_size: held.retrying,
            uptime: self.started.elapsed().as_secs_f64(),
            settled_events: self.counters.settled.get(),
            held_events: held.events,
            held_bytes: held.bytes,
        }
    }

    fn server(&self) -> Server {
        let upstream = self.upstream.lock();
        let (last_error, last_error_at) = upstream
            .last_error()
            .map(|(error, at)| (error.to_string(), *at))
            .unzip();
        Server {
            acknowledges: match upstream.peer() {
                Peer::Unknown => None,
                peer => Some(peer == Peer::Acknowledges),
            },
            ok: upstream.is_well(),
            last_error,
            last_error_at,
        }
    }
}
