//! All spans of the store, as lines, for whoever takes them elsewhere.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hopline_traces::{LinesError, write_spans};
use hopline_wire::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::{self, Answer, Unwritten};
use super::look::turn;
use crate::access::Admin;
use crate::app::App;
use crate::errors::ApiResult;
use crate::extract::Params;
use crate::openapi::Problem;

/// Which spans are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SpanRange {
    /// When they began at the earliest: a time in ISO 8601.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// And before when.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// All spans that began within a time, as lines of OTLP in JSON: finished ones, then those that are unfinished.
#[utoipa::path(get, path = "/api/spans", tag = "traces", params(SpanRange),
    responses((status = 200, content_type = "application/jsonl"), (status = 400, body = Problem),
              (status = 429, body = Problem, description = "Others export spans just now")))]
pub(crate) async fn export_spans(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(range): Params<SpanRange>,
) -> ApiResult<Response> {
    let from = range.from.unwrap_or_default();
    let began = from..range.to.unwrap_or(Timestamp::from_nanos(u64::MAX));
    let turn = turn(&app.span_exports, "all spans").await?;
    let traces = Arc::clone(&app.traces);
    let work = move |answer: Answer| {
        // Held until the work is done, whether or not anyone still waits for it.
        let _turn = turn;
        let mut out = answer.begin_lines()?;
        write_spans(&*traces, &began, &mut out).map_err(|error| match error {
            LinesError::Store(error) => Unwritten::Store(error),
            LinesError::Write(error) => Unwritten::Client(error),
        })?;
        Ok(out.finish()?)
    };
    body::answer(work).await
}
