//! How the server is doing, in one answer: for people who ask for it, and for scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hopline_processor::Outcomes;
use hopline_state::SessionFilter;
use hopline_state::rows::SessionStatus;
use hopline_wire::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Admin;
use crate::app::App;
use crate::errors::ApiResult;
use crate::openapi::Problem;

/// More running builds than this are not counted.
const MOST_BUILDS: u32 = 1_000;

/// How a server is doing. What it counts it counts since it was started.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    version: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    uptime_seconds: u64,
    /// The database that the rows are in, such as `sqlite`.
    database: &'static str,
    /// The runners that are linked, by name.
    runners: Vec<String>,
    /// How many builds run; 1,000 if there are more.
    running_builds: usize,
    events: EventsByOutcome,
    spans: SpanCounts,
}

/// Events by how they ended: each is counted once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventsByOutcome {
    /// Folded into rows and logged.
    committed: u64,
    /// Settled before; they changed nothing.
    duplicate: u64,
    /// Refused for good, by reason.
    rejected: BTreeMap<String, u64>,
    /// Given up by their runner.
    expired: u64,
}

impl From<Outcomes> for EventsByOutcome {
    fn from(outcomes: Outcomes) -> Self {
        Self {
            committed: outcomes.committed,
            duplicate: outcomes.duplicate,
            rejected: outcomes.rejected,
            expired: outcomes.expired,
        }
    }
}

/// What became of the process's own spans.
#[derive(Serialize, ToSchema)]
pub(crate) struct SpanCounts {
    /// Taken, to be stored and sent on.
    taken: u64,
    /// Dropped, because too many waited or nobody took them.
    dropped: u64,
}

/// How the server is doing.
#[utoipa::path(get, path = "/api/status", tag = "operation",
    responses((status = 200, body = Status), (status = 503, body = Problem)))]
pub(crate) async fn status(_: Admin, State(app): State<Arc<App>>) -> ApiResult<Json<Status>> {
    let running = SessionFilter {
        status: Some(SessionStatus::Active),
        limit: MOST_BUILDS,
        ..SessionFilter::default()
    };
    let runners = app.linked_runners().await?;
    let spans = app.tracer.pipeline().stats();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        started_at: app.started_at,
        uptime_seconds: Timestamp::now().nanos_since(app.started_at) / 1_000_000_000,
        database: app.store.system(),
        runners: runners.into_iter().map(|runner| runner.id).collect(),
        running_builds: app.store.sessions(running).await?.len(),
        events: app.processor.outcomes().into(),
        spans: SpanCounts {
            taken: spans.recorded,
            dropped: spans.dropped_full + spans.dropped_by_sinks,
        },
    }))
}
