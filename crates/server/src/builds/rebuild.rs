//! Folding a build's log again on request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hopline_processor::rebuild::{Difference, RebuildError, Report, Verdict};
use hopline_wire::TraceId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::list::session_named;
use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, NoBody, Params};
use crate::openapi::Problem;

/// What is to be done about rows that differ.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RebuildParams {
    /// Whether rows that differ are put right; they are only told of unless this is said.
    #[serde(default)]
    write: bool,
}

/// What folding a build's log again has shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rebuilt {
    session_id: Uuid,
    command_id: String,
    #[schema(value_type = Option<String>)]
    trace_id: Option<TraceId>,
    /// The last event that the build's row tells of.
    last_seq: u64,
    /// How many rows of the log were folded.
    events: u64,
    /// `same`; `differs`; `repaired`; `log_removed` or `log_incomplete` where the log cannot be folded; `moved_on`
    /// where the build went on each time that it was looked at.
    #[schema(value_type = String)]
    verdict: Verdict,
    /// The first event that should be in the log and is not.
    missing_from: Option<u64>,
    /// In how many places rows differ.
    difference_count: u64,
    /// The first 1,000 of them.
    differences: Vec<RowDifference>,
}

/// One place where a row is not what the log makes it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowDifference {
    table: String,
    /// The row, by its natural key.
    key: String,
    /// The column; none if the row as a whole is missing, or should not be there.
    column: Option<String>,
    /// What it says, cut to a sensible length; none if it is null or missing.
    found: Option<String>,
    /// What it should say, likewise.
    expected: Option<String>,
}

impl From<Report> for Rebuilt {
    fn from(report: Report) -> Self {
        let differences = report.differences.into_iter();
        Self {
            session_id: report.session_id,
            command_id: report.command_id,
            trace_id: report.trace_id,
            last_seq: report.last_seq,
            events: report.events,
            verdict: report.verdict,
            missing_from: report.missing_from,
            difference_count: report.difference_count,
            differences: differences.map(RowDifference::from).collect(),
        }
    }
}

impl From<Difference> for RowDifference {
    fn from(difference: Difference) -> Self {
        Self {
            table: difference.table,
            key: difference.key,
            column: difference.column,
            found: difference.found,
            expected: difference.expected,
        }
    }
}

impl From<RebuildError> for ApiError {
    fn from(error: RebuildError) -> Self {
        match error {
            RebuildError::State(error) => error.into(),
            RebuildError::Stopping => {
                Self::unavailable("stopping", "the server is being stopped").retry_after(1)
            }
            error => Self::internal("fold a log again", &error),
        }
    }
}

/// Folds a build's log again, from its first event on, and compares every row of the build with what comes of it. Its
/// `buildId` and its `commandId` name it as well.
#[utoipa::path(post, path = "/api/builds/{sessionId}/rebuild", tag = "builds",
    params(("sessionId" = String, Path), RebuildParams),
    responses((status = 200, body = Rebuilt), (status = 404, body = Problem)))]
pub(crate) async fn rebuild_build(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<String>,
    Params(params): Params<RebuildParams>,
    _: NoBody,
) -> ApiResult<Json<Rebuilt>> {
    let none = || ApiError::not_found("build");
    let session = session_named(&app, &id).await?.ok_or_else(none)?;
    let report = app.processor.rebuild(session.id, params.write).await?;
    Ok(Json(report.ok_or_else(none)?.into()))
}
