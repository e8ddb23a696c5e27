//! The broker's HTTP surface. Every route but `/health` asks for the runner secret, and no route answers
//! a browser: whoever sends an `Origin`, or comes under a name that is not the broker's, is refused.

mod access;
mod commands;
mod listener;
mod relay;
mod status;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{DefaultBodyLimit, Query, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Head, Sampler, Tracer};
use hopline_wire::ingest::ErrorReply;
use hopline_wire::limits::MAX_INGEST_BYTES;
use hopline_wire::link;
use hopline_wire::secret::{Secret, bearer};
use hopline_wire::token;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio_util::task::TaskTracker;

pub(crate) use access::Hosts;
pub(crate) use listener::{Listening, LocalAddress};
pub(crate) use relay::Relay;

use crate::counters::Counters;
use crate::forward::Upstream;
use crate::hub::Hub;
use crate::link::{Closing, Links, MAX_FRAME_BYTES};
use crate::tokens::{Denied, Tokens};

/// What the routes need of the broker.
pub(crate) struct Edge {
    pub(crate) secret: Secret,
    pub(crate) hosts: Hosts,
    pub(crate) hub: Arc<Hub>,
    pub(crate) links: Links,
    pub(crate) tokens: Tokens,
    pub(crate) upstream: Arc<Mutex<Upstream>>,
    pub(crate) relay: Relay,
    /// See [`crate::Options::command_patience`].
    pub(crate) command_patience: Duration,
    pub(crate) tracer: Tracer,
    pub(crate) sampler: Sampler,
    pub(crate) head: Head,
    pub(crate) counters: Counters,
    pub(crate) metrics: Metrics,
    pub(crate) started: Instant,
    /// Whether events are forwarded; if not, something is broken.
    pub(crate) forwards: Arc<AtomicBool>,
    /// Holds the tasks of links.
    pub(crate) tasks: TaskTracker,
}

/// An answer that is no success.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    error: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self {
            status,
            code,
            error: error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = ErrorReply {
            error: self.error,
            code: self.code.to_owned(),
        };
        (self.status, Json(body)).into_response()
    }
}

impl Edge {
    /// The routes.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(link::PATH, get(socket))
            .route("/health", get(status::health))
            .route("/status", get(status::status))
            .route("/metrics", get(status::metrics))
            .route(
                "/commands",
                post(commands::route).layer(DefaultBodyLimit::max(MAX_INGEST_BYTES)),
            )
            .route(hopline_telemetry::otlp::PATH, post(relay::relay))
            .fallback(async || Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such route"))
            .method_not_allowed_fallback(async || {
                let error = "the route has no such method";
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", error)
            })
            .layer(middleware::from_fn_with_state(
                Arc::clone(&self),
                access::guard,
            ))
            .with_state(self)
    }

    /// Whether the request shows the runner secret.
    fn shows_secret(&self, headers: &HeaderMap) -> bool {
        shown(headers).is_some_and(|token| self.secret.matches(token))
    }

    /// What the request for a link shows: the runner secret, or the token with this hash.
    fn credential(&self, headers: &HeaderMap) -> Option<Credential> {
        // The secret may be any text, one like a token too.
        if self.shows_secret(headers) {
            return Some(Credential::Secret);
        }
        let token = shown(headers).filter(|shown| token::is_token(shown))?;
        Some(Credential::Token(token::hash(token)))
    }

    fn authorise(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.shows_secret(headers) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "expected the runner secret as a bearer token",
        ))
    }
}

/// What a runner has shown.
enum Credential {
    Secret,
    /// A token of its own: its hash.
    Token(String),
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

#[derive(Deserialize)]
struct SocketQuery {
    #[serde(rename = "runnerId", default)]
    runner_id: String,
}

/// A frame twice as large as allowed is still read, so that the runner can be told what is wrong.
const MAX_READ_BYTES: usize = 2 * MAX_FRAME_BYTES;

/// `GET /socket`: a runner's link. What is wrong with it is told by the closing frame, which is what
/// runners look at.
async fn socket(
    State(edge): State<Arc<Edge>>,
    query: Result<Query<SocketQuery>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let bad =
        |error: String| Refusal::new(StatusCode::BAD_REQUEST, "bad_request", error).into_response();
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(error) => return bad(format!("expected the opening of a WebSocket: {error}")),
    };
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return bad(error.to_string()),
    };
    let runner: Arc<str> = query.runner_id.into();
    let credential = match edge.credential(&headers) {
        None => Err("expected the runner secret, or a token of the runner, as a bearer token"),
        Some(_) if runner.is_empty() => Err("expected runnerId in the link's address"),
        Some(credential) => Ok(credential),
    };
    let admitted = match credential {
        Err(reason) => Err(reason),
        Ok(Credential::Secret) => Ok(None),
        Ok(Credential::Token(hash)) => match edge.tokens.admit(&hash, &runner).await {
            Ok(()) => Ok(Some(hash)),
            Err(Denied::Wrong(reason)) => Err(reason),
            Err(Denied::Unknown) => {
                let error = "the server cannot say whether the token is good; try again";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let refusal = Refusal::new(status, "server_unavailable", error);
                return ([(header::RETRY_AFTER, "1")], refusal).into_response();
            }
        },
    };
    let links = edge.links.clone();
    let task = edge.tasks.token();
    upgrade
        .protocols([link::SUBPROTOCOL])
        .max_message_size(MAX_READ_BYTES)
        .max_frame_size(MAX_READ_BYTES)
        .on_upgrade(async move |socket| {
            let _task = task;
            match admitted {
                Err(reason) => {
                    tracing::warn!(runner = &*runner, reason, "refused a link");
                    crate::link::refuse(socket, Closing::unauthorised(reason)).await;
                }
                Ok(token) => links.serve(socket, runner, token).await,
            }
        })
}
