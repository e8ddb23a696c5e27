//! Commands on their way to runners, and the answers on their way back.
//!
//! A command is a row first; then [`deliver`] posts it to the runner's broker, again and again under the same
//! id until an event of it is committed, since only that proves that the runner has it. A runner executes
//! an id once. Legacy runners may not, so to them a command that was written is not sent again.
//!
//! Commands that are waited for ([`App::ask`]) give their answering event to the request. All others answer
//! through rows.

pub(crate) mod answers;
mod ask;
mod broker;
mod cancel;
mod deliver;

pub(crate) use ask::Asked;
pub(crate) use broker::BrokerClient;
pub(crate) use deliver::fail_unanswered;

use hopline_state::rows;
use hopline_telemetry::TraceContext;
use hopline_wire::Timestamp;
use hopline_wire::command::{Command, CommandType};
use serde::Serialize;
use uuid::Uuid;

use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::requests::RequestTrace;
use crate::runners::Target;

/// A command with all that its way needs.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// What the runner is to do.
    pub(crate) command: Command,
    /// Who is to do it.
    pub(crate) target: Target,
    /// The request's trace.
    pub(crate) context: TraceContext,
    /// Whether it starts a build.
    pub(crate) is_build: bool,
}

impl Outgoing {
    /// A new command of a project.
    pub(crate) fn new<T: Serialize>(
        kind: CommandType,
        payload: &T,
        project_id: Uuid,
        target: Target,
        trace: &RequestTrace,
    ) -> ApiResult<Self> {
        let id = Uuid::new_v4().to_string();
        trace.about(kind, project_id, &id);
        let mut command = Command::new(id, kind, payload)
            .map_err(|error| ApiError::internal("write the command", &error))?;
        command.project_id = Some(project_id.to_string());
        command.timestamp = Some(Timestamp::now().to_string());
        command.carrier = Some(carrier(&trace.context));
        Ok(Self {
            command,
            target,
            context: trace.context.clone(),
            is_build: kind == CommandType::StartBuild,
        })
    }

    /// The command's row as it begins; of no project if that is gone.
    pub(crate) fn row(&self, project_id: impl Into<Option<Uuid>>) -> rows::Command {
        rows::Command {
            id: self.command.id.clone(),
            project_id: project_id.into(),
            runner_id: Some(self.target.runner_id.clone()),
            kind: self.command.kind.clone(),
            status: rows::CommandStatus::Queued,
            last_seq: 0,
            link: None,
            link_seq: None,
            trace_id: Some(self.context.trace_id),
            created_at: Timestamp::now(),
            ended_at: None,
        }
    }
}

fn carrier(context: &TraceContext) -> serde_json::Value {
    let mut carrier = serde_json::json!({ "trace": context.sentry_trace().to_string() });
    if let Some(baggage) = context.baggage.as_str() {
        carrier["baggage"] = baggage.into();
    }
    carrier
}

impl App {
    /// Sets a command whose row is there on its way.
    pub(crate) fn send(self: &std::sync::Arc<Self>, outgoing: Outgoing) {
        let expected = self.answers.expect(&outgoing.command.id, &[]);
        let app = std::sync::Arc::clone(self);
        self.tasks.spawn(async move {
            deliver::deliver(&app, &outgoing, &expected, app.options.command_timeout).await;
        });
    }

    /// Sends a cancellation whose row is there on its way, and ends the build itself if the runner does not know it.
    pub(crate) fn send_cancellation(
        self: &std::sync::Arc<Self>,
        outgoing: Outgoing,
        target_command_id: String,
    ) {
        let app = std::sync::Arc::clone(self);
        self.tasks.spawn(async move {
            cancel::deliver_cancellation(&app, &outgoing, &target_command_id).await;
        });
    }
}
