//! Looking at builds: lists, one build's state, its events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopline_state::rows::{LoggedEvent, Session, SessionStatus};
use hopline_state::{Page, SessionFilter, SessionKey};
use hopline_wire::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::state::whole_build;
use super::{BuildView, Standing};
use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, Params};
use crate::openapi::Problem;

/// How many rows a page has unless the request says, and at most.
const PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;

/// How many builds `messages` gives, and about how many bytes of their states.
const MESSAGES: u32 = 20;
const MESSAGES_BYTES: usize = 32 << 20;

/// Which builds to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BuildFilter {
    /// `active`, `completed` or `failed`.
    status: Option<String>,
    /// A project's id or slug.
    project: Option<String>,
    /// How many, at most 500; 50 unless given.
    limit: Option<u32>,
    /// Where to go on: `nextCursor` of the page before.
    cursor: Option<String>,
}

impl BuildFilter {
    /// How many are wanted, if that was said.
    pub(crate) const fn limit(&self) -> Option<u32> {
        self.limit
    }
}

/// A page of builds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildList {
    builds: Vec<BuildView>,
    /// Where the next page begins; none if this was the last.
    next_cursor: Option<String>,
}

/// Builds, the newest first.
#[utoipa::path(get, path = "/api/builds", tag = "builds", params(BuildFilter),
    responses((status = 200, body = BuildList), (status = 400, body = Problem)))]
pub(crate) async fn list_builds(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(filter): Params<BuildFilter>,
) -> ApiResult<Json<BuildList>> {
    let (sessions, next_cursor) = page_of_builds(&app, &filter).await?;
    Ok(Json(BuildList {
        builds: app.listed(sessions).await?,
        next_cursor,
    }))
}

/// A page of builds, and where the next one begins.
///
/// # Errors
/// 400 if the filter is none.
pub(crate) async fn page_of_builds(
    app: &App,
    filter: &BuildFilter,
) -> ApiResult<(Vec<Session>, Option<String>)> {
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let Some(rows) = row_filter(app, filter, limit + 1).await? else {
        return Ok((Vec::new(), None));
    };
    let mut sessions = app.store.sessions(rows).await?;
    let limit = limit as usize;
    let more = sessions.len() > limit;
    sessions.truncate(limit);
    let last = sessions.last().filter(|_| more);
    let next_cursor = last.map(|last| write_cursor(last.created_at, last.id));
    Ok((sessions, next_cursor))
}

/// The filter as the store knows it; none if nothing can match.
async fn row_filter(
    app: &App,
    filter: &BuildFilter,
    limit: u32,
) -> ApiResult<Option<SessionFilter>> {
    let bad = |message: &str| ApiError::bad_request("bad_request", message);
    let status = match filter.status.as_deref() {
        None | Some("") => None,
        Some(name) => Some(
            SessionStatus::named(name)
                .ok_or_else(|| bad("status must be active, completed or failed"))?,
        ),
    };
    let before = match filter.cursor.as_deref() {
        None | Some("") => None,
        Some(cursor) => Some(read_cursor(cursor).ok_or_else(|| bad("the cursor is none of ours"))?),
    };
    let project_id = match filter.project.as_deref() {
        None | Some("") => None,
        Some(project) => match project.parse() {
            Ok(id) => Some(id),
            Err(_) => match app.store.project_by_slug(project).await? {
                Some(project) => Some(project.id),
                None => return Ok(None),
            },
        },
    };
    Ok(Some(SessionFilter {
        status,
        project_id,
        before,
        limit,
    }))
}

fn write_cursor(created_at: Timestamp, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{id}", created_at.as_millis()))
}

fn read_cursor(cursor: &str) -> Option<(Timestamp, Uuid)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (millis, id) = text.split_once('.')?;
    Some((
        Timestamp::from_millis(millis.parse().ok()?),
        id.parse().ok()?,
    ))
}

/// How much of a build is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BuildParams {
    /// Whether its state is wanted; without it the answer is small, and what a list of builds says of it.
    #[serde(default = "yes")]
    state: bool,
}

const fn yes() -> bool {
    true
}

/// A build's state, as live clients see it (GenerationState), and its trace's id. Its `buildId`, its `commandId` and its
/// `traceId` name it as well.
#[utoipa::path(get, path = "/api/builds/{sessionId}", tag = "builds",
    params(("sessionId" = String, Path), BuildParams),
    responses((status = 200, body = Standing), (status = 404, body = Problem)))]
pub(crate) async fn get_build(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<String>,
    Params(params): Params<BuildParams>,
) -> ApiResult<Response> {
    let none = || ApiError::not_found("build");
    let session = session_named(&app, &id).await?.ok_or_else(none)?;
    let outcomes = app.outcomes(&session).await?;
    let id = session.id;
    let mut build = app.listed(vec![session]).await?.pop().ok_or_else(none)?;
    build.standing.outcomes = outcomes;
    if !params.state {
        return Ok(Json(build).into_response());
    }
    let whole = whole_build(&*app.store, id).await?;
    let (session, state) = whole.ok_or_else(none)?;
    let standing = Standing {
        runner_id: build.standing.runner_id,
        outcomes: build.standing.outcomes,
        ..session.into()
    };
    let standing = serde_json::to_string(&standing)
        .map_err(|error| ApiError::internal("write the build", &error))?;
    // Two objects become one, in the place of the first, which may be large: both have members, and no name is in both.
    let mut json = String::from(Box::<str>::from(state));
    json.truncate(json.trim_end().len());
    json.pop();
    json.push(',');
    json.push_str(&standing[1..]);
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

/// The build of this session's, build's or command's id, or the newest of this trace's.
pub(super) async fn session_named(app: &App, id: &str) -> ApiResult<Option<Session>> {
    let keys = [
        id.parse().ok().map(SessionKey::Id),
        Some(SessionKey::Build(id.to_owned())),
        Some(SessionKey::Command(id.to_owned())),
        id.parse().ok().map(SessionKey::Trace),
    ];
    for key in keys.into_iter().flatten() {
        let session = app.store.session(key).await?;
        if session.is_some() {
            return Ok(session);
        }
    }
    Ok(None)
}

/// Where to begin in a build's log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Only events after this sequence number; 0 unless given.
    #[serde(default)]
    after: u64,
    /// How many, at most 500; 50 unless given.
    limit: Option<u32>,
}

/// A page of a build's log.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventList {
    events: Vec<EventView>,
    /// What to give as `after` for the next page; none if this was the last.
    next: Option<u64>,
}

/// One event of the log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    seq: u64,
    #[serde(rename = "type")]
    kind: String,
    /// `committed`, `rejected` or `expired`.
    outcome: &'static str,
    /// Why, unless it was committed.
    reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// The event as it was received, without its trace carrier; a text if it was no JSON, none where bodies
    /// are not kept.
    #[schema(value_type = Option<Object>)]
    body: Option<Box<RawValue>>,
}

impl From<LoggedEvent> for EventView {
    fn from(event: LoggedEvent) -> Self {
        let body = event.body.and_then(|body| {
            RawValue::from_string(body)
                .or_else(|_| serde_json::value::to_raw_value(&Value::Null))
                .ok()
        });
        Self {
            seq: event.seq,
            kind: event.kind,
            outcome: event.outcome.as_str(),
            reason: event.reason,
            received_at: event.received_at,
            body,
        }
    }
}

/// A build's log: every event as it was received, and what became of it.
#[utoipa::path(get, path = "/api/builds/{sessionId}/events", tag = "builds",
    params(("sessionId" = Uuid, Path), EventParams),
    responses((status = 200, body = EventList), (status = 404, body = Problem)))]
pub(crate) async fn build_events(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    Params(params): Params<EventParams>,
) -> ApiResult<Json<EventList>> {
    let session = app.session(id).await?;
    let page = Page {
        rows: params.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE),
        ..Page::default()
    };
    let events = app
        .store
        .events(&session.command_id, params.after, page)
        .await?;
    let last = events.last().map(|event| event.seq);
    Ok(Json(EventList {
        next: last.filter(|last| *last < session.last_seq),
        events: events.into_iter().map(EventView::from).collect(),
    }))
}

/// A project's builds as the browser's hook reads them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Messages {
    sessions: Vec<MessageSession>,
}

/// One build as the browser's hook reads it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageSession {
    #[serde(flatten)]
    build: BuildView,
    /// The build's whole state.
    #[schema(value_type = Object)]
    hydrated_state: Box<RawValue>,
}

/// A project's latest builds with their state, the newest first.
#[utoipa::path(get, path = "/api/projects/{id}/messages", tag = "builds", params(("id" = Uuid, Path)),
    responses((status = 200, body = Messages), (status = 404, body = Problem)))]
pub(crate) async fn project_messages(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
) -> ApiResult<Json<Messages>> {
    app.project(id).await?;
    let latest = SessionFilter {
        project_id: Some(id),
        limit: MESSAGES,
        ..SessionFilter::default()
    };
    let mut sessions = Vec::new();
    let mut room = MESSAGES_BYTES;
    for session in app.store.sessions(latest).await? {
        if let Some((session, state)) = whole_build(&*app.store, session.id).await? {
            room = room.saturating_sub(state.get().len());
            sessions.push(MessageSession {
                build: session.into(),
                hydrated_state: state,
            });
        }
        if room == 0 {
            break;
        }
    }
    Ok(Json(Messages { sessions }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form_and_others_are_refused() {
        let (at, id) = (Timestamp::from_millis(5), Uuid::new_v4());
        assert_eq!(read_cursor(&write_cursor(at, id)), Some((at, id)));
        for bad in ["x", "", "NS4", "!!"] {
            assert_eq!(read_cursor(bad), None);
        }
    }
}
