//! One tool call with all of its input and output: a build's state holds no more than the beginning of long ones.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use hopline_state::rows::ToolCall;
use hopline_wire::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Admin;
use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::extract::InPath;
use crate::openapi::Problem;

/// A tool call.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToolCallView {
    /// As the agent names it.
    id: String,
    /// The todo that it belongs to; -1 before any.
    todo_index: i32,
    /// The tool; empty while only its output was seen.
    name: String,
    /// `input-available`, `output-available` or `output-error`.
    state: &'static str,
    /// The event that first named it.
    first_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output: Option<Box<RawValue>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    start_time: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    end_time: Option<Timestamp>,
}

impl From<ToolCall> for ToolCallView {
    fn from(call: ToolCall) -> Self {
        let raw = |json: Option<String>| RawValue::from_string(json?).ok();
        Self {
            id: call.tool_call_id,
            todo_index: call.todo_index,
            name: call.name,
            state: call.state.as_str(),
            first_seq: call.first_seq,
            input: raw(call.input),
            output: raw(call.output),
            start_time: call.started_at,
            end_time: call.ended_at,
        }
    }
}

/// A tool call of a build, whole, by the id that its agent gave it.
#[utoipa::path(get, path = "/api/builds/{sessionId}/tool-calls/{toolCallId}", tag = "builds",
    params(("sessionId" = Uuid, Path), ("toolCallId" = String, Path)),
    responses((status = 200, body = ToolCallView), (status = 404, body = Problem)))]
pub(crate) async fn get_tool_call(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath((session_id, tool_call_id)): InPath<(Uuid, String)>,
) -> ApiResult<Json<ToolCallView>> {
    let call = app.store.tool_call(session_id, &tool_call_id).await?;
    let call = call.ok_or_else(|| ApiError::not_found("tool call"))?;
    Ok(Json(call.into()))
}
