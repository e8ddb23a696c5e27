//! Looking at traces: those of builds, and one trace's spans in several forms.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use hopline_traces::TracesError;
use hopline_traces::path::Path;
use hopline_traces::tree::Tree;
use hopline_wire::otlp::{encode_json, to_request};
use hopline_wire::span::Span;
use hopline_wire::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::Admin;
use crate::app::App;
use crate::builds::{BuildFilter, page_of_builds};
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, Params};
use crate::openapi::Problem;

/// The traces of builds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TraceList {
    traces: Vec<TraceView>,
    /// Where the next page begins; none if this was the last.
    next_cursor: Option<String>,
}

/// A build's trace.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TraceView {
    #[schema(value_type = String)]
    trace_id: TraceId,
    session_id: Uuid,
    project_id: Uuid,
    /// The build's: `active`, `completed` or `failed`.
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

/// The traces of builds, the newest first.
#[utoipa::path(get, path = "/api/traces", tag = "traces", params(BuildFilter),
    responses((status = 200, body = TraceList), (status = 400, body = Problem)))]
pub(crate) async fn list_traces(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(filter): Params<BuildFilter>,
) -> ApiResult<Json<TraceList>> {
    let (sessions, next_cursor) = page_of_builds(&app, &filter).await?;
    let traces = sessions.into_iter().filter_map(|session| {
        Some(TraceView {
            trace_id: session.trace_id?,
            session_id: session.id,
            project_id: session.project_id,
            status: session.status.as_str(),
            started_at: session.started_at,
            ended_at: session.ended_at,
        })
    });
    Ok(Json(TraceList {
        traces: traces.collect(),
        next_cursor,
    }))
}

/// In which form a trace is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceParams {
    /// `tree` unless given; `otlp` for OpenTelemetry's JSON; `path` for the way of each event and its times.
    #[serde(default)]
    #[param(inline)]
    format: TraceFormat,
}

/// The forms of a trace.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TraceFormat {
    /// Nested, as people read it.
    #[default]
    Tree,
    /// OTLP in JSON: `resourceSpans`.
    Otlp,
    /// Each event's way through its hops, and what is missing.
    Path,
}

/// A trace's spans.
#[utoipa::path(get, path = "/api/traces/{traceId}", tag = "traces",
    params(("traceId" = String, Path, description = "32 hexadecimal digits"), TraceParams),
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem)))]
pub(crate) async fn get_trace(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(trace_id): InPath<TraceId>,
    Params(params): Params<TraceParams>,
) -> ApiResult<Response> {
    let work = move || {
        let spans = app.traces.trace(trace_id)?;
        let found = !spans.is_empty();
        Ok::<_, TracesError>(found.then(|| write(&spans, params.format)))
    };
    let read = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::internal("read the trace", &error))?;
    let json = read
        .map_err(|error| ApiError::internal("read the trace", &error))?
        .ok_or_else(|| ApiError::not_found("trace"))?
        .map_err(|error| ApiError::internal("write the trace", &error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

fn write(spans: &[Span], format: TraceFormat) -> Result<Vec<u8>, serde_json::Error> {
    match format {
        TraceFormat::Tree => serde_json::to_vec(&Tree::build(spans)),
        TraceFormat::Otlp => Ok(encode_json(&to_request(spans))),
        TraceFormat::Path => serde_json::to_vec(&Path::of(spans)),
    }
}
