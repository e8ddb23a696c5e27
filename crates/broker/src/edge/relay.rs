//! `POST /v1/traces`: spans of runners that reach the broker but not the server. Passed on untouched and
//! untraced; the server judges the credential.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hopline_wire::secret::bearer;
use tokio::sync::Semaphore;

use super::{Edge, Refusal};

/// The largest body passed on, in bytes.
const MAX_RELAY_BYTES: usize = 20 << 20;

/// How many are passed on at once: bounds the memory that bodies take.
const AT_ONCE: usize = 4;

/// How long a request waits for its turn before its sender is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// The headers that travel along, and those that come back.
const OUT: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::AUTHORIZATION,
];
const BACK: [HeaderName; 2] = [header::CONTENT_TYPE, header::RETRY_AFTER];

/// Passes spans on to the server.
pub(crate) struct Relay {
    client: reqwest::Client,
    url: String,
    timeout: Duration,
    turns: Semaphore,
}

impl Relay {
    /// A relay to the server at `base`, without a slash at the end.
    pub(crate) fn new(client: reqwest::Client, base: &str, timeout: Duration) -> Self {
        Self {
            client,
            url: format!("{base}{}", hopline_telemetry::otlp::PATH),
            timeout,
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

/// See the module.
pub(super) async fn relay(
    State(edge): State<Arc<Edge>>,
    request: Request,
) -> Result<Response, Refusal> {
    let has_key = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| bearer(value).is_some());
    if !has_key {
        let error = "expected the runner secret or an ingest key as a bearer token";
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            error,
        ));
    }
    // The turn is waited for before the body is read, so that bodies do not gather in memory.
    let turn = tokio::time::timeout(PATIENCE, edge.relay.turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Ok(busy());
    };
    let (parts, body) = request.into_parts();
    // A sender that stops in the middle must not keep its turn.
    let body = axum::body::to_bytes(body, MAX_RELAY_BYTES);
    let body = tokio::time::timeout(edge.relay.timeout, body)
        .await
        .map_err(|_| {
            let error = "the body did not come in time";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", error)
        })?
        .map_err(|_| {
            let error = format!("expected a body of at most {MAX_RELAY_BYTES} bytes");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error)
        })?;
    let answer = edge
        .relay
        .client
        .post(&edge.relay.url)
        .timeout(edge.relay.timeout)
        .headers(only(&parts.headers, &OUT))
        .body(body)
        .send()
        .await;
    let answered = match answer {
        Ok(response) => {
            let status = response.status();
            let headers = only(response.headers(), &BACK);
            let body = response.bytes().await;
            body.map(|body| (status, headers, body))
        }
        Err(error) => Err(error),
    };
    match answered {
        Ok(answered) => {
            edge.counters.relayed.inc();
            Ok(answered.into_response())
        }
        Err(error) => {
            tracing::debug!(error = %error.without_url(), "spans could not be passed on");
            Ok(busy())
        }
    }
}

fn busy() -> Response {
    let refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the server cannot be reached just now",
    );
    ([(header::RETRY_AFTER, "1")], refusal).into_response()
}

fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let found = names
        .iter()
        .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())));
    found.collect()
}
