//! Commands whose answer a request waits for.

use std::sync::Arc;

use axum::http::StatusCode;
use hopline_wire::event::{Event, EventType, Failed};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answers::Expected;
use super::{Outgoing, deliver};
use crate::app::App;
use crate::errors::{ApiError, ApiResult};

/// A command that was given, and whose answer is to come.
pub(crate) struct Asked {
    /// The command.
    pub(crate) command_id: String,
    stopping: CancellationToken,
    expected: Arc<Expected>,
    deadline: tokio::time::Instant,
}

impl App {
    /// Gives a command, to wait for its answer: events of the `wanted` types.
    ///
    /// # Errors
    /// If its row cannot be made.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        outgoing: Outgoing,
        project_id: impl Into<Option<Uuid>>,
        wanted: &'static [EventType],
    ) -> ApiResult<Asked> {
        self.store.create_command(outgoing.row(project_id)).await?;
        let expected = Arc::new(self.answers.expect(&outgoing.command.id, wanted));
        let asked = Asked {
            command_id: outgoing.command.id.clone(),
            stopping: self.stopping.clone(),
            expected: Arc::clone(&expected),
            deadline: tokio::time::Instant::now() + self.options.answer_timeout,
        };
        let app = Arc::clone(self);
        // Nobody waits for longer, so nothing is done later either.
        let timeout = self
            .options
            .command_timeout
            .min(self.options.answer_timeout);
        self.tasks.spawn(async move {
            deliver::deliver(&app, &outgoing, &expected, timeout).await;
        });
        Ok(asked)
    }
}

impl Asked {
    /// The next event of the answer.
    ///
    /// # Errors
    /// 504 if none comes in time, 503 if the server ends before; what [`answer_error`] makes of it if it is an
    /// `error`.
    pub(crate) async fn next(&self) -> ApiResult<Event> {
        let answer = tokio::time::timeout_at(self.deadline, self.expected.next());
        let answered = tokio::select! {
            biased;
            answered = answer => answered,
            () = self.stopping.cancelled() => {
                return Err(ApiError::unavailable(
                    "stopping",
                    "the server is stopping; whether the runner carries the command out is not known",
                ));
            }
        };
        let event = match answered {
            Ok(Ok(event)) => event,
            Ok(Err(_)) => {
                return Err(no_answer(
                    "runner_unreachable",
                    "the runner did not take the command in time",
                ));
            }
            Err(_) => {
                return Err(no_answer("no_answer", "the runner did not answer in time"));
            }
        };
        let event: Event = serde_json::from_slice(&event)
            .map_err(|error| ApiError::internal("read the runner's answer", &error))?;
        match EventType::named(&event.kind) {
            Some(EventType::Error) => Err(answer_error(&event)),
            _ => Ok(event),
        }
    }

    /// Like [`Self::next`], giving the fields that the event has of its own.
    ///
    /// # Errors
    /// As [`Self::next`], and 502 if the fields have other types.
    pub(crate) async fn answer<T: serde::de::DeserializeOwned>(&self) -> ApiResult<T> {
        Self::read(&self.next().await?)
    }

    /// The fields that an event has of its own.
    ///
    /// # Errors
    /// 502 if they have other types.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(event: &Event) -> ApiResult<T> {
        event.payload().map_err(|error| {
            ApiError::new(
                StatusCode::BAD_GATEWAY,
                "bad_answer",
                format!("the runner's answer cannot be read: {error}"),
            )
        })
    }
}

fn no_answer(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, code, message)
}

/// What a request gets when its command has failed at the runner. The runner's own words are passed on, without
/// its stack.
fn answer_error(event: &Event) -> ApiError {
    let failed: Failed = event.payload().unwrap_or_default();
    let (status, code) = match failed.code.as_deref().unwrap_or_default() {
        "not_found" => (StatusCode::NOT_FOUND, "not_found"),
        "invalid_path" => (StatusCode::BAD_REQUEST, "invalid_path"),
        "invalid_content" => (StatusCode::BAD_REQUEST, "invalid_content"),
        "bad_command" => (StatusCode::BAD_REQUEST, "bad_command"),
        "outside_project" => (StatusCode::BAD_REQUEST, "outside_project"),
        "is_a_directory" => (StatusCode::BAD_REQUEST, "is_a_directory"),
        "not_a_directory" => (StatusCode::BAD_REQUEST, "not_a_directory"),
        "not_a_file" => (StatusCode::BAD_REQUEST, "not_a_file"),
        "permission_denied" => (StatusCode::FORBIDDEN, "permission_denied"),
        "protected" => (StatusCode::FORBIDDEN, "protected"),
        "too_large" => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        "already_ended" => (StatusCode::CONFLICT, "already_ended"),
        "already_running" => (StatusCode::CONFLICT, "already_running"),
        "busy" => (StatusCode::SERVICE_UNAVAILABLE, "runner_busy"),
        "not_running" => (StatusCode::CONFLICT, "not_running"),
        _ => (StatusCode::BAD_GATEWAY, "runner_error"),
    };
    ApiError::new(status, code, failed.error)
}
