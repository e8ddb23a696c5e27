//! Starting builds, and ending them early.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hopline_state::rows::{DecisionKind, Project, Session, SessionStatus};
use hopline_wire::command::{CancelBuild, CommandLine, CommandType, StartBuild};
use hopline_wire::text::storable;
use hopline_wire::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Admin;
use crate::app::App;
use crate::commands::Outgoing;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, JsonBody, NoBody};
use crate::openapi::Problem;
use crate::options::TraceMode;
use crate::requests::{Arrival, RequestTrace, traced};

/// A build that is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildRequest {
    #[serde(default)]
    runner_id: Option<String>,
    #[serde(default)]
    trace: Option<TraceChoice>,
    #[serde(flatten)]
    payload: StartBuild,
}

/// Whose trace the build belongs to.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TraceChoice {
    /// A new one, linked to the caller's span.
    New,
    /// The caller's.
    Continue,
}

impl From<TraceChoice> for TraceMode {
    fn from(choice: TraceChoice) -> Self {
        match choice {
            TraceChoice::New => Self::New,
            TraceChoice::Continue => Self::Continue,
        }
    }
}

/// The body of a build's request, as the API's description shows it.
#[derive(ToSchema)]
#[schema(as = BuildRequest, rename_all = "camelCase")]
#[expect(dead_code, reason = "read by the API's description alone")]
pub(crate) struct BuildRequestSchema {
    /// The runner, if not the project's or the only one.
    runner_id: Option<String>,
    /// Whose trace the build belongs to.
    trace: Option<TraceChoice>,
    /// `command`, `steps`, `stream`, or another that the runner knows.
    agent: Option<String>,
    /// What is asked, for people and agents.
    prompt: Option<String>,
    /// `initial-build`, `enhancement`, `focused-edit` or `continuation`.
    operation_type: Option<String>,
    /// The program of the agents `command` and `stream`: a list of arguments, or a line for the shell.
    #[schema(value_type = Option<Object>)]
    command: Option<Value>,
    /// The steps of the agent `steps`: `{name, run, env?, cwd?, timeoutSeconds?}`.
    #[schema(value_type = Option<Vec<Object>>)]
    steps: Option<Value>,
    /// Whatever else the agent wants to know.
    #[schema(value_type = Option<Object>)]
    context: Option<Value>,
}

/// A build that is on its way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildStarted {
    session_id: Uuid,
    build_id: String,
    command_id: String,
    #[schema(value_type = String)]
    trace_id: TraceId,
}

/// Starts a build: on the runner named, the project's, or the only one connected.
#[utoipa::path(post, path = "/api/projects/{id}/build", tag = "builds", params(("id" = Uuid, Path)),
    request_body = BuildRequestSchema,
    responses((status = 202, body = BuildStarted), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, description = "`build_running`, or `choose_runner`: several runners are connected", body = Problem),
              (status = 503, description = "`runner_unavailable`: there is no runner for it, and no build was made", body = Problem)))]
pub(crate) async fn start_build(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<BuildRequest>,
) -> Response {
    let arrival = Arrival {
        route: "POST /api/projects/{id}/build",
        headers: &headers,
        at: Timestamp::now(),
    };
    let mode = request.trace.map(TraceMode::from);
    traced(app, arrival, mode, move |app, trace| async move {
        let started = begin(&app, id, request, &trace).await?;
        Ok((StatusCode::ACCEPTED, Json(started)))
    })
    .await
}

async fn begin(
    app: &Arc<App>,
    project_id: Uuid,
    request: BuildRequest,
    trace: &RequestTrace,
) -> ApiResult<BuildStarted> {
    let project = app.project(project_id).await?;
    let session_id = Uuid::new_v4();
    let payload = complete(app, request.payload, &project, session_id, trace)?;
    let target = app
        .choose_runner(request.runner_id.as_deref(), &project)
        .await?;
    let trace_id = trace.context.trace_id;
    let outgoing = Outgoing::new(CommandType::StartBuild, &payload, project_id, target, trace)?;
    let command = outgoing.row(project_id);
    let now = command.created_at;
    let session = Session {
        id: session_id,
        project_id,
        build_id: Uuid::new_v4().to_string(),
        command_id: command.id.clone(),
        operation_type: payload.operation_type.as_str().to_owned(),
        agent_id: payload.agent,
        status: SessionStatus::Active,
        is_final: false,
        incomplete: false,
        error_message: None,
        exit_code: None,
        trace_id: Some(trace_id),
        last_seq: 0,
        started_at: now,
        ended_at: None,
        summary: None,
        created_at: now,
        updated_at: now,
    };
    let started = BuildStarted {
        session_id: session.id,
        build_id: session.build_id.clone(),
        command_id: session.command_id.clone(),
        trace_id,
    };
    app.store.create_build(command, session).await?;
    app.keep_runner(&project, &outgoing.target, trace_id).await;
    app.send(outgoing);
    Ok(started)
}

/// Checks what is asked of the agent, and fills in what the server knows.
fn complete(
    app: &App,
    mut payload: StartBuild,
    project: &Project,
    session_id: Uuid,
    trace: &RequestTrace,
) -> ApiResult<StartBuild> {
    let bad = |message: &str| Err(ApiError::bad_request("bad_request", message));
    if payload.agent.is_empty() {
        payload.agent = match (&payload.steps, &payload.command) {
            (Some(_), None) => "steps".to_owned(),
            (None, Some(_)) => "command".to_owned(),
            _ => return bad("the body must name an agent, or have either command or steps"),
        };
    }
    match payload.agent.as_str() {
        "command" | "stream" if payload.command.as_ref().is_none_or(is_empty) => {
            return bad("the agents command and stream need a command");
        }
        "steps" if payload.steps.as_ref().is_none_or(Vec::is_empty) => {
            return bad("the agent steps needs at least one step");
        }
        _ => {}
    }
    // The agent's name goes into a row; no row holds these characters.
    payload.agent = storable(&payload.agent).into_owned();
    payload.project_slug.clone_from(&project.slug);
    payload.project_name.clone_from(&project.name);
    if trace.context.is_recorded() {
        let key = app.access.key_of_build(trace.context.trace_id, session_id);
        payload.more.insert("otlp".into(), json!({ "key": key }));
    }
    Ok(payload)
}

fn is_empty(command: &CommandLine) -> bool {
    match command {
        CommandLine::Argv(argv) => argv.first().is_none_or(String::is_empty),
        CommandLine::Shell(line) => line.trim().is_empty(),
    }
}

/// A cancellation that is on its way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildCancelled {
    ok: bool,
    /// The command that carries it; none if the runner is gone and the server has ended the build itself.
    command_id: Option<String>,
}

/// Ends a running build. It has ended once its `build-failed` with the error `cancelled` is there.
#[utoipa::path(post, path = "/api/builds/{sessionId}/cancel", tag = "builds", params(("sessionId" = Uuid, Path)),
    responses((status = 202, body = BuildCancelled), (status = 404, body = Problem),
              (status = 409, description = "`already_ended`", body = Problem)))]
pub(crate) async fn cancel_build(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    _: NoBody,
) -> Response {
    let arrival = Arrival {
        route: "POST /api/builds/{sessionId}/cancel",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let cancelled = cancel(&app, id, &trace).await?;
        Ok((StatusCode::ACCEPTED, Json(cancelled)))
    })
    .await
}

fn already_ended() -> ApiError {
    ApiError::conflict("already_ended", "the build has ended already")
}

async fn cancel(app: &Arc<App>, id: Uuid, trace: &RequestTrace) -> ApiResult<BuildCancelled> {
    let session = app.session(id).await?;
    // One that has ended for now may go on: its runner alone knows.
    if session.is_final {
        return Err(already_ended());
    }
    let loaded = app.store.load_command(&session.command_id).await?;
    let runner_id = loaded.and_then(|loaded| loaded.command.runner_id);
    let target = match runner_id {
        Some(runner_id) => app.linked_runner(&runner_id).await?,
        None => None,
    };
    let Some(target) = target else {
        let ended = app
            .processor
            .decide(
                &session.command_id,
                DecisionKind::Cancelled,
                "cancelled".to_owned(),
            )
            .await?;
        if !ended {
            return Err(already_ended());
        }
        return Ok(BuildCancelled {
            ok: true,
            command_id: None,
        });
    };
    let payload = CancelBuild {
        target_command_id: session.command_id.clone(),
    };
    let outgoing = Outgoing::new(
        CommandType::CancelBuild,
        &payload,
        session.project_id,
        target,
        trace,
    )?;
    app.store
        .create_command(outgoing.row(session.project_id))
        .await?;
    let command_id = Some(outgoing.command.id.clone());
    app.send_cancellation(outgoing, session.command_id);
    Ok(BuildCancelled {
        ok: true,
        command_id,
    })
}
