//! Looking at traces: those of builds, and one trace's spans in several forms.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use hopline_state::SessionKey;
use hopline_traces::path::Path;
use hopline_traces::questions::Language;
use hopline_traces::tree::Tree;
use hopline_traces::{Overview, Trace, TraceStore};
use hopline_wire::otlp::JsonDocument;
use hopline_wire::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::body::{self, Answer, Unwritten};
use super::outline;
use super::questions::{answer_of, not_understood};
use crate::access::Admin;
use crate::app::App;
use crate::builds::{BuildFilter, page_of_builds};
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, Params};
use crate::openapi::Problem;
use crate::status::EventsByOutcome;

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

/// Which traces are looked for, if not those of builds.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceSearch {
    /// Conditions of the query language, such as `op:db.query duration>500ms`: traces with a span that they hold for, be
    /// they of builds or not. `status`, `project` and `cursor` are of builds, and passed over then.
    q: Option<String>,
    /// When such a span began at the earliest: a time in ISO 8601.
    from: Option<String>,
    /// And before when.
    to: Option<String>,
}

impl TraceSearch {
    fn check(&self) -> ApiResult<()> {
        let times = [&self.from, &self.to].into_iter().flatten();
        // What a time is made of, and no clause of a question.
        let is_time = |text: &str| {
            let marks = b"TZtz:.+-";
            let mut bytes = text.bytes();
            !text.is_empty() && bytes.all(|byte| byte.is_ascii_digit() || marks.contains(&byte))
        };
        match times.into_iter().find(|text| !is_time(text)) {
            Some(text) => Err(ApiError::bad_request(
                "bad_request",
                format!("from and to are times in ISO 8601, and {text:?} is none"),
            )),
            None if self.q.is_none() && (self.from.is_some() || self.to.is_some()) => {
                let told = "from and to belong to conditions, and there are none in q";
                Err(ApiError::bad_request("bad_request", told))
            }
            None => Ok(()),
        }
    }
}

/// A trace that was found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TraceFound {
    trace_id: String,
    /// When the last span began that the conditions hold for.
    last_match_at: String,
    /// How many such spans there are.
    matches: u64,
}

/// Traces that were found, the newest first.
#[derive(Serialize)]
struct TracesFound {
    traces: Vec<TraceFound>,
}

/// How many traces are found where nothing is said, and at most.
const FOUND: usize = 50;
const MOST_FOUND: usize = 500;

/// The traces of builds, the newest first; or those with a span that the conditions in `q` hold for.
#[utoipa::path(get, path = "/api/traces", tag = "traces", params(BuildFilter, TraceSearch),
    responses((status = 200, body = TraceList, description = "With `q`: `{traces: [{traceId, lastMatchAt, matches}]}`"),
              (status = 400, body = Problem)))]
pub(crate) async fn list_traces(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(filter): Params<BuildFilter>,
    Params(search): Params<TraceSearch>,
) -> ApiResult<Response> {
    search.check()?;
    if let Some(conditions) = &search.q {
        return find_traces(&app, conditions, &search, filter.limit()).await;
    }
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
    let list = TraceList {
        traces: traces.collect(),
        next_cursor,
    };
    Ok(Json(list).into_response())
}

async fn find_traces(
    app: &Arc<App>,
    conditions: &str,
    search: &TraceSearch,
    limit: Option<u32>,
) -> ApiResult<Response> {
    let before = "max(start), count_unique(span_id) where (";
    let mut question = format!("{before}{conditions}) by trace_id");
    if search.from.is_some() || search.to.is_some() {
        // Other machines' clocks may be ahead.
        let now = Timestamp::from_millis(Timestamp::now().as_millis() + 3_600_000).to_string();
        let from = search.from.as_deref().unwrap_or("1970-01-01T00:00Z");
        let to = search.to.as_deref().unwrap_or(&now);
        question.push_str(&format!(" from {from} to {to}"));
    }
    question.push_str(" order by max(start) desc");
    let limit = limit
        .map_or(FOUND, |limit| limit as usize)
        .clamp(1, MOST_FOUND);
    let answer = match answer_of(app, Language::Query, question, limit).await? {
        Ok(answer) => answer,
        Err(mut mistake) => {
            // The place is one of what was asked.
            let place = |at: usize| at.saturating_sub(before.len()).min(conditions.len());
            mistake.at = place(mistake.at.start)..place(mistake.at.end);
            return Ok(not_understood(mistake));
        }
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let traces = answer.rows.iter().filter_map(|row| match &row[..] {
        [trace_id, last, matches] => Some(TraceFound {
            trace_id: text(trace_id),
            last_match_at: text(last),
            matches: matches.as_u64().unwrap_or(0),
        }),
        _ => None,
    });
    let traces = traces.collect();
    Ok(Json(TracesFound { traces }).into_response())
}

/// In which form a trace is wanted, and how much of it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TraceParams {
    /// `tree` unless given; `otlp` for OpenTelemetry's JSON; `path` for the way of each event and its times; `summary`
    /// for the figures alone, which are cheap however large the trace is; `outline` for all spans as columns.
    #[serde(default)]
    #[param(inline)]
    format: TraceFormat,
    /// At most how many spans, from 1 to 100,000: what holds the trace together, then the earliest. 20,000 unless
    /// given, for `outline` 100,000; but `otlp` without a limit is the whole trace, as it is read.
    #[param(minimum = 1, maximum = 100_000)]
    limit: Option<usize>,
}

/// How much of a trace is read.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LimitParams {
    /// At most how many spans the times are told of, from 1 to 100,000: 20,000 unless given. What is missing is told of all.
    #[param(minimum = 1, maximum = 100_000)]
    limit: Option<usize>,
}

/// The forms of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TraceFormat {
    /// Nested, as people read it.
    #[default]
    Tree,
    /// OTLP in JSON: `resourceSpans`.
    Otlp,
    /// Each event's way through its hops, and what is missing.
    Path,
    /// How many spans, errors, events and gaps there are.
    Summary,
    /// All spans as columns, for a console to draw.
    Outline,
}

/// How many spans are read where nothing else is asked for.
const LIMIT: usize = 20_000;

/// How many may be asked for.
pub(super) const MOST: usize = 100_000;

/// What is read in turns.
pub(super) const LARGE_TRACES: &str = "large traces";

/// How long a request waits for its turn before it is told to come again.
const TURN: Duration = Duration::from_secs(30);

/// A trace's spans.
#[utoipa::path(get, path = "/api/traces/{traceId}", tag = "traces",
    params(("traceId" = String, Path, description = "32 hexadecimal digits"), TraceParams),
    responses((status = 200, content_type = "application/json", headers(("hopline-total-spans" = u64,
                   description = "How many spans the trace has, whatever the limit"))),
              (status = 304, description = "The outline is the one that If-None-Match names"),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 429, body = Problem, description = "Others read too many large traces just now")))]
pub(crate) async fn get_trace(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(trace_id): InPath<TraceId>,
    Params(params): Params<TraceParams>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    if params.limit.is_some_and(|limit| limit == 0 || limit > MOST) {
        let told = format!("limit must be from 1 to {MOST}");
        return Err(ApiError::bad_request("bad_request", told));
    }
    let turns = match params.format {
        TraceFormat::Summary => &app.trace_summaries,
        _ => &app.trace_reads,
    };
    let turn = turn(turns, LARGE_TRACES).await?;
    let build = match params.format {
        TraceFormat::Tree | TraceFormat::Summary | TraceFormat::Outline => {
            build_of(&app, trace_id).await
        }
        TraceFormat::Otlp | TraceFormat::Path => None,
    };
    let traces = Arc::clone(&app.traces);
    let work = move |answer: Answer| {
        // Held until the work is done, whether or not anyone still waits for it.
        let _turn = turn;
        let asked = Asked {
            trace_id,
            params,
            headers,
        };
        write(&*traces, &asked, build, answer)
    };
    body::answer(work).await
}

/// The way of a build's events through their hops: which miss one, each hop's time, what lies between them, broken parents,
/// clocks that were off.
#[utoipa::path(get, path = "/api/builds/{sessionId}/path", tag = "traces",
    params(("sessionId" = Uuid, Path), LimitParams),
    responses((status = 200, content_type = "application/json"), (status = 404, body = Problem),
              (status = 429, body = Problem, description = "Others read too many large traces just now")))]
pub(crate) async fn build_path(
    admin: Admin,
    State(app): State<Arc<App>>,
    InPath(session_id): InPath<Uuid>,
    Params(LimitParams { limit }): Params<LimitParams>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let session = app.store.session(SessionKey::Id(session_id)).await?;
    let session = session.ok_or_else(|| ApiError::not_found("build"))?;
    let untraced = || ApiError::not_found("trace of this build: it was not recorded");
    let trace_id = session.trace_id.ok_or_else(untraced)?;
    let format = TraceFormat::Path;
    let params = Params(TraceParams { format, limit });
    get_trace(admin, State(app), InPath(trace_id), params, headers).await
}

/// A turn among those who read `what`.
pub(super) async fn turn(turns: &Arc<Semaphore>, what: &str) -> ApiResult<OwnedSemaphorePermit> {
    match tokio::time::timeout(TURN, Arc::clone(turns).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(ApiError::overloaded(format!(
            "{what} are being read by others: try again"
        ))),
    }
}

/// The build that a trace is of: what its root would say had it not ended before the build.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildOfTrace {
    pub(super) session_id: Uuid,
    pub(super) build_id: String,
    pub(super) project_id: Uuid,
    status: &'static str,
    /// How its events have ended.
    outcomes: Option<EventsByOutcome>,
}

/// The newest build of a trace. A trace can be looked at without: it is all that is left of builds that were deleted.
async fn build_of(app: &App, trace_id: TraceId) -> Option<BuildOfTrace> {
    let read = async {
        let session = app.store.session(SessionKey::Trace(trace_id)).await?;
        let Some(session) = session else {
            return Ok(None);
        };
        ApiResult::Ok(Some(BuildOfTrace {
            outcomes: app.outcomes(&session).await?,
            session_id: session.id,
            build_id: session.build_id,
            project_id: session.project_id,
            status: session.status.as_str(),
        }))
    };
    read.await.unwrap_or_else(|error| {
        tracing::warn!(%trace_id, error = error.message(), "a trace is shown without its build");
        None
    })
}

/// A form of a trace, and the build that it is of.
#[derive(Serialize)]
struct WithBuild<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<BuildOfTrace>,
    #[serde(flatten)]
    trace: T,
}

/// What is asked for.
struct Asked {
    trace_id: TraceId,
    params: TraceParams,
    headers: HeaderMap,
}

/// Writes a trace as it is wanted.
fn write(
    traces: &dyn TraceStore,
    asked: &Asked,
    build: Option<BuildOfTrace>,
    answer: Answer,
) -> Result<(), Unwritten> {
    let (trace_id, params) = (asked.trace_id, &asked.params);
    let limit = params.limit.unwrap_or(LIMIT);
    match params.format {
        TraceFormat::Outline => {
            let limit = params.limit.unwrap_or(MOST);
            outline::write(traces, trace_id, limit, build, &asked.headers, answer)
        }
        TraceFormat::Summary => {
            let overview = traces.overview(trace_id)?.ok_or(Unwritten::NotFound)?;
            let trace = Summary::of(trace_id, &overview);
            write_json(answer, overview.total, &WithBuild { build, trace })
        }
        TraceFormat::Tree => {
            let trace = some(traces.trace(trace_id, limit)?)?;
            let tree = Tree::of_part(&trace.spans, trace.total);
            let with_build = WithBuild { build, trace: tree };
            write_json(answer, trace.total, &with_build)
        }
        TraceFormat::Path => {
            let overview = traces.overview(trace_id)?.ok_or(Unwritten::NotFound)?;
            let trace = some(traces.trace(trace_id, limit)?)?;
            let path = Path::of_part(&trace.spans, trace.total, overview.arrivals);
            write_json(answer, trace.total, &path)
        }
        TraceFormat::Otlp if params.limit.is_none() => write_whole(traces, trace_id, answer),
        TraceFormat::Otlp => {
            let trace = some(traces.trace(trace_id, limit)?)?;
            let mut document = JsonDocument::begin(answer.begin(trace.total)?)?;
            document.add_spans(&trace.spans)?;
            Ok(document.finish()?.finish()?)
        }
    }
}

fn some(trace: Trace) -> Result<Trace, Unwritten> {
    match trace.total {
        0 => Err(Unwritten::NotFound),
        _ => Ok(trace),
    }
}

fn write_json(answer: Answer, total: u64, body: &impl Serialize) -> Result<(), Unwritten> {
    let mut out = answer.begin(total)?;
    serde_json::to_writer(&mut out, body).map_err(io::Error::from)?;
    Ok(out.finish()?)
}

/// Writes all spans as they are read.
fn write_whole(
    traces: &dyn TraceStore,
    trace_id: TraceId,
    answer: Answer,
) -> Result<(), Unwritten> {
    let mut answer = Some(answer);
    let mut document = None;
    let mut failed = None;
    traces.for_each(trace_id, &mut |part| {
        let mut add = || -> io::Result<()> {
            if let Some(answer) = answer.take() {
                document = Some(JsonDocument::begin(answer.begin(part.total)?)?);
            }
            let mut documents = document.iter_mut();
            documents.try_for_each(|document| document.add_spans(part.spans))
        };
        match add() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match (failed, document) {
        (Some(error), _) => Err(error.into()),
        (None, Some(document)) => Ok(document.finish()?.finish()?),
        (None, None) => Err(Unwritten::NotFound),
    }
}

/// A trace in its figures.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    trace_id: TraceId,
    /// Whether the build has ended and nothing of it is still on its way.
    settled: bool,
    #[serde(flatten)]
    overview: &'a Overview,
}

impl<'a> Summary<'a> {
    fn of(trace_id: TraceId, overview: &'a Overview) -> Self {
        Self {
            trace_id,
            settled: overview.is_settled(),
            overview,
        }
    }
}
