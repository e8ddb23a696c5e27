//! A project's dev server, as its runner runs it: started, stopped, and what it printed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hopline_wire::Timestamp;
use hopline_wire::command::{CommandType, FetchLogs, StartDevServer};
use hopline_wire::event::{EventType, LogChunk, PortDetected, ProcessExited};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::Admin;
use crate::app::App;
use crate::commands::Asked;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, JsonBody, NoBody, Params};
use crate::files::ask;
use crate::openapi::Problem;
use crate::requests::{Arrival, traced};

/// How many chunks of output are given unless the request says, and at most.
const CHUNKS: u32 = 100;
const MAX_CHUNKS: u32 = 1_000;

/// After a chunk, how long the next one may take before the output counts as all there is.
const LAST_CHUNK_AFTER: Duration = Duration::from_millis(300);

/// A dev server to be started.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartRequest {
    /// What starts it, for the shell; what the project's last build found out, if absent.
    #[serde(default)]
    run_command: Option<String>,
    /// Where, relative to the project's folder.
    #[serde(default)]
    working_directory: Option<String>,
    /// Variables added to its environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// The port to ask for, through the variable `PORT`.
    #[serde(default)]
    preferred_port: Option<u16>,
    #[serde(default)]
    framework: Option<String>,
}

/// A dev server that listens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Started {
    ok: bool,
    command_id: String,
    port: u16,
    framework: Option<String>,
}

/// A dev server that has ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stopped {
    ok: bool,
    command_id: String,
    exit_code: Option<i32>,
    #[schema(value_type = Option<String>)]
    signal: Option<Value>,
    duration_ms: u64,
}

/// Starts the project's dev server; answers once it listens.
#[utoipa::path(post, path = "/api/projects/{id}/start", tag = "dev server", params(("id" = Uuid, Path)),
    request_body = StartRequest,
    responses((status = 200, body = Started), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem),
              (status = 502, description = "`exited`: it ended before it listened", body = Problem),
              (status = 503, body = Problem),
              (status = 504, description = "It does not listen yet, and may still", body = Problem)))]
pub(crate) async fn start_dev_server(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<StartRequest>,
) -> Response {
    let arrival = Arrival {
        route: "POST /api/projects/{id}/start",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let run_command = request.run_command.or_else(|| project.run_command.clone());
        let run_command = run_command.ok_or_else(|| {
            ApiError::bad_request(
                "bad_request",
                "runCommand is missing, and no build has found one",
            )
        })?;
        let payload = StartDevServer {
            run_command,
            working_directory: request.working_directory,
            env: request.env,
            preferred_port: request.preferred_port.or(project.port),
            framework: request.framework,
            project_slug: Some(project.slug.clone()),
        };
        let kind = CommandType::StartDevServer;
        let wanted = &[EventType::PortDetected, EventType::ProcessExited];
        let asked = ask(&app, &project, kind, &payload, wanted, &trace).await?;
        started(&asked).await.map(Json)
    })
    .await
}

async fn started(asked: &Asked) -> ApiResult<Started> {
    let event = asked.next().await?;
    if EventType::named(&event.kind) == Some(EventType::ProcessExited) {
        let exited: ProcessExited = event.payload().unwrap_or_default();
        let how = exited
            .exit_code
            .map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
        return Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            "exited",
            format!("the dev server ended {how} before it listened"),
        ));
    }
    let port: PortDetected = Asked::read(&event)?;
    Ok(Started {
        ok: true,
        command_id: asked.command_id.clone(),
        port: port.port,
        framework: port.framework,
    })
}

/// What stopping needs to be told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StopDevServer {
    project_slug: String,
}

/// Stops the project's dev server; answers once it has ended.
#[utoipa::path(post, path = "/api/projects/{id}/stop", tag = "dev server", params(("id" = Uuid, Path)),
    responses((status = 200, body = Stopped), (status = 404, body = Problem),
              (status = 409, description = "`not_running`", body = Problem),
              (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(crate) async fn stop_dev_server(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    _: NoBody,
) -> Response {
    let arrival = Arrival {
        route: "POST /api/projects/{id}/stop",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let payload = StopDevServer {
            project_slug: project.slug.clone(),
        };
        let kind = CommandType::StopDevServer;
        let wanted = &[EventType::ProcessExited];
        let asked = ask(&app, &project, kind, &payload, wanted, &trace).await?;
        let exited: ProcessExited = asked.answer().await?;
        Ok(Json(Stopped {
            ok: true,
            command_id: asked.command_id,
            exit_code: exited.exit_code,
            signal: exited.signal,
            duration_ms: exited.duration_ms,
        }))
    })
    .await
}

/// Where to begin in the output.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogParams {
    /// Where to go on; the oldest that the runner keeps, if absent.
    cursor: Option<u64>,
    /// How many chunks, at most 1,000; 100 unless given.
    limit: Option<u32>,
}

/// A dev server's output.
#[derive(Serialize, ToSchema)]
pub(crate) struct Logs {
    chunks: Vec<Chunk>,
    /// Where to go on later.
    cursor: Option<u64>,
}

/// A piece of output.
#[derive(Serialize, ToSchema)]
pub(crate) struct Chunk {
    /// `stdout` or `stderr`.
    stream: String,
    data: String,
}

/// What the project's dev server has printed.
#[utoipa::path(get, path = "/api/projects/{id}/logs", tag = "dev server", params(("id" = Uuid, Path), LogParams),
    responses((status = 200, body = Logs), (status = 404, body = Problem), (status = 503, body = Problem),
              (status = 504, body = Problem)))]
pub(crate) async fn fetch_logs(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    Params(params): Params<LogParams>,
) -> Response {
    let arrival = Arrival {
        route: "GET /api/projects/{id}/logs",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let limit = params.limit.unwrap_or(CHUNKS).clamp(1, MAX_CHUNKS);
        let payload = FetchLogs {
            cursor: params.cursor,
            limit: Some(limit),
        };
        let kind = CommandType::FetchLogs;
        let wanted = &[EventType::LogChunk];
        let asked = ask(&app, &project, kind, &payload, wanted, &trace).await?;
        gather(&asked, limit as usize, params.cursor)
            .await
            .map(Json)
    })
    .await
}

/// Takes chunks until there are enough, one says that it is the last, or, from a runner that does not say
/// so, no more come.
async fn gather(asked: &Asked, limit: usize, cursor: Option<u64>) -> ApiResult<Logs> {
    let mut logs = Logs {
        chunks: Vec::new(),
        cursor,
    };
    let mut event = asked.next().await?;
    loop {
        let chunk: LogChunk = Asked::read(&event)?;
        logs.cursor = chunk.cursor.or(logs.cursor);
        let is_last = event.fields.get("last") == Some(&Value::Bool(true));
        if !chunk.data.is_empty() {
            logs.chunks.push(Chunk {
                stream: chunk.stream,
                data: chunk.data,
            });
        }
        if is_last || logs.chunks.len() >= limit {
            return Ok(logs);
        }
        event = match tokio::time::timeout(LAST_CHUNK_AFTER, asked.next()).await {
            Ok(next) => next?,
            Err(_) => return Ok(logs),
        };
    }
}
