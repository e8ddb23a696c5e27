//! The span of a request that asks for a command: a trace's head.
//!
//! Such a request begins a new trace, linked to the caller's span, or goes on with the caller's if it
//! says so. The trace is decided here, once, and travels with the command.
//!
//! What such a request has begun goes on when its client hangs up: a command whose row is there and that nobody
//! delivers would hold up its project.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use hopline_telemetry::{Hop, OpenSpan, TraceContext};
use hopline_wire::Timestamp;
use hopline_wire::command::CommandType;
use hopline_wire::span::{Attribute, Links};
use uuid::Uuid;

use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::options::TraceMode;

/// What is known of a request as it comes in.
pub(crate) struct Arrival<'r> {
    /// Method and route: the span's name.
    pub(crate) route: &'static str,
    /// The request's headers.
    pub(crate) headers: &'r HeaderMap,
    /// When it was received.
    pub(crate) at: Timestamp,
}

/// The trace of a request that is being worked on.
pub(crate) struct RequestTrace {
    /// The trace as the command is to carry it.
    pub(crate) context: TraceContext,
    span: Option<OpenSpan>,
}

impl RequestTrace {
    /// Notes which command the request has come to.
    pub(crate) fn about(&self, kind: CommandType, project_id: Uuid, command_id: &str) {
        if let Some(span) = &self.span {
            span.set("event.type", kind.as_str());
            span.set("event.projectId", project_id.to_string());
            span.set("event.commandId", command_id.to_owned());
        }
    }
}

/// Does `work` within the request's span, and answers with what it gives. The work is a task of its own, which
/// neither a client that hangs up nor the server's end breaks off.
pub(crate) async fn traced<R, W>(
    app: Arc<App>,
    arrival: Arrival<'_>,
    mode: Option<TraceMode>,
    work: impl FnOnce(Arc<App>, Arc<RequestTrace>) -> W,
) -> Response
where
    R: IntoResponse,
    W: Future<Output = ApiResult<R>> + Send + 'static,
{
    let (context, span) = begin(&app, &arrival, mode.unwrap_or(app.options.trace_mode));
    let trace = Arc::new(RequestTrace { context, span });
    let work = work(Arc::clone(&app), Arc::clone(&trace));
    let answered = app.tasks.spawn(async move {
        let outcome = work.await;
        answer(trace, outcome)
    });
    answered.await.unwrap_or_else(|error| {
        // It has panicked: the runtime drops no task while a request still waits for it.
        ApiError::internal("answer the request", &error).into_response()
    })
}

/// Ends the request's span with what has become of it.
fn answer<R: IntoResponse>(trace: Arc<RequestTrace>, outcome: ApiResult<R>) -> Response {
    if let (Some(span), Err(error)) = (&trace.span, &outcome)
        && error.status().is_server_error()
    {
        span.fail(error.code(), error.message().to_owned());
    }
    let response = outcome.map_or_else(IntoResponse::into_response, IntoResponse::into_response);
    // The work has ended, and with it its hold on the trace.
    if let Some(span) = Arc::into_inner(trace).and_then(|trace| trace.span) {
        span.set(
            "http.response.status_code",
            i64::from(response.status().as_u16()),
        );
        span.end();
    }
    response
}

/// Reads the caller's trace. One that is malformed is counted and left out.
pub(crate) fn caller_of(app: &App, headers: &HeaderMap) -> Option<TraceContext> {
    let lines = |name: &str| {
        let lines = headers.get_all(name).into_iter();
        lines.filter_map(|value| value.to_str().ok())
    };
    TraceContext::from_headers(lines).unwrap_or_else(|_| {
        app.counters.bad_carriers.inc();
        None
    })
}

fn begin(app: &App, arrival: &Arrival<'_>, mode: TraceMode) -> (TraceContext, Option<OpenSpan>) {
    let caller = caller_of(app, arrival.headers);
    let (context, mut span) = match caller {
        Some(caller) if mode == TraceMode::Continue => {
            let caller = caller.decided(&app.options.sampler);
            if !caller.is_recorded() {
                return (caller, None);
            }
            let span = app
                .tracer
                .begin(Hop::Request, arrival.route, &caller, arrival.at);
            (caller.child(span.span_id), span)
        }
        caller => {
            let options = &app.options;
            let context = TraceContext::new_trace(
                &options.sampler,
                &options.head,
                arrival.route,
                caller.as_ref(),
            );
            if !context.is_recorded() {
                return (context, None);
            }
            let mut span = app
                .tracer
                .begin_head(Hop::Request, arrival.route, &context, arrival.at);
            if let Some(caller) = caller {
                span.links = Links::Any(vec![caller.link()]);
            }
            (context, span)
        }
    };
    let (method, route) = arrival.route.split_once(' ').unwrap_or_default();
    span.attributes.extend([
        Attribute::new("http.request.method", method),
        Attribute::new("http.route", route),
    ]);
    (context, Some(app.tracer.open(span)))
}
