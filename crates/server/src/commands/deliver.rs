//! Getting a command to its runner, or finding out that it cannot be done.

use std::sync::Arc;
use std::time::Duration;

use hopline_state::StateError;
use hopline_state::rows::{self, CommandStatus, DecisionKind};
use hopline_wire::command::CommandType;
use hopline_wire::{Timestamp, TraceId};
use reqwest::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::answers::Expected;
use super::broker::Said;
use super::{Outgoing, answers};
use crate::app::App;
use crate::errors::Chain;

/// The first pause after an attempt that came to nothing; each further one is twice as long, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Posts the command until an event of it is committed. After `timeout` without one it has failed:
/// `runner_unreachable`.
pub(super) async fn deliver(
    app: &Arc<App>,
    outgoing: &Outgoing,
    expected: &Expected,
    timeout: Duration,
) {
    let deadline = Instant::now() + timeout;
    let attempts = attempts(app, outgoing);
    let reason = tokio::select! {
        () = expected.heard() => return,
        () = app.stopping.cancelled() => return,
        end = attempts => match end {
            End::Answered => return,
            End::Refused(status) => refused(status, &outgoing.target.broker_url),
        },
        () = sleep_until(deadline) => "the runner did not answer the command".to_owned(),
    };
    if is_answered(app, &outgoing.command.id).await {
        return;
    }
    expected.give_up();
    let trace_id = Some(outgoing.context.trace_id);
    fail(
        app,
        &outgoing.command.id,
        trace_id,
        outgoing.is_build,
        &reason,
    )
    .await;
}

/// Why a command failed that its broker refuses for good.
fn refused(status: StatusCode, broker_url: &str) -> String {
    if status == StatusCode::MISDIRECTED_REQUEST {
        return format!(
            "the runner's broker does not answer at {broker_url} (421): set its public URL (--public-url) to where \
             the server reaches it, or name that host in its allowed hosts"
        );
    }
    format!("the runner's broker refuses the command with {status}")
}

/// Why a command is not sent again.
enum End {
    /// An event of it is committed, by another server on the same database.
    Answered,
    /// The broker refuses it for good, with this answer.
    Refused(StatusCode),
}

/// Sends the command again and again, until it has an end.
async fn attempts(app: &App, outgoing: &Outgoing) -> End {
    let mut pause = FIRST_PAUSE;
    let mut was_written = false;
    loop {
        match app.broker.post(outgoing).await {
            Said::Written { executes_once } => {
                if !was_written {
                    was_written = true;
                    note_sent(app, outgoing).await;
                }
                if !executes_once && !outgoing.target.executes_once {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(app.options.send_again_after).await;
                if is_answered(app, &outgoing.command.id).await {
                    return End::Answered;
                }
            }
            // To a runner that may execute it twice a command that may be written is not sent again.
            Said::Unclear if !outgoing.target.executes_once => std::future::pending::<()>().await,
            Said::NotNow | Said::Unclear => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Said::Never(status) => return End::Refused(status),
        }
    }
}

/// Whether the rows know of an event of the command. Those that came to this server are told without that.
async fn is_answered(app: &App, command_id: &str) -> bool {
    let loaded = app.store.load_command(command_id).await;
    loaded.is_ok_and(|loaded| loaded.is_some_and(|loaded| loaded.command.last_seq > 0))
}

async fn note_sent(app: &App, outgoing: &Outgoing) {
    let command_id = outgoing.command.id.as_str();
    let noted = app
        .store
        .set_command_status(command_id, CommandStatus::Sent, Timestamp::now())
        .await;
    if let Err(error) = noted {
        // The status informs people; the command goes its way without it.
        tracing::warn!(
            trace_id = %outgoing.context.trace_id,
            command = command_id,
            error = %Chain(&error),
            "a command's status was not noted"
        );
    }
}

/// Ends a command that its runner does not get. A build fails with it.
async fn fail(
    app: &App,
    command_id: &str,
    trace_id: Option<TraceId>,
    is_build: bool,
    reason: &str,
) {
    let trace_id = trace_id.map(tracing::field::display);
    tracing::warn!(
        trace_id,
        command = command_id,
        reason,
        "a command has failed"
    );
    let ended = if is_build {
        let reason = format!("runner_unreachable: {reason}");
        app.processor
            .decide(command_id, DecisionKind::Unreachable, reason)
            .await
            .map_err(|error| error.to_string())
    } else {
        let failed = app
            .store
            .set_command_status(command_id, CommandStatus::Failed, Timestamp::now())
            .await;
        failed.map_err(|error| Chain(&error).to_string())
    };
    if let Err(error) = ended {
        // The command stays unanswered in the database, and is ended when the server starts next.
        tracing::error!(
            trace_id,
            command = command_id,
            error,
            "a failed command could not be ended"
        );
    }
}

/// Ends the commands that an earlier life of the server gave and nobody answered: what they said is in no
/// table, so they cannot be sent again. Each still has the rest of its time.
///
/// # Errors
/// If they cannot be read.
pub(crate) async fn fail_unanswered(app: &Arc<App>) -> Result<(), StateError> {
    for command in app.store.unanswered_commands().await? {
        let expected = app.answers.expect(&command.id, &[]);
        let app = Arc::clone(app);
        app.clone().tasks.spawn(async move {
            wait_for_answer(&app, &command, &expected).await;
        });
    }
    Ok(())
}

async fn wait_for_answer(app: &Arc<App>, command: &rows::Command, expected: &answers::Expected) {
    let age = Timestamp::now().nanos_since(command.created_at);
    let left = app
        .options
        .command_timeout
        .saturating_sub(Duration::from_nanos(age));
    tokio::select! {
        () = expected.heard() => {}
        () = app.stopping.cancelled() => {}
        () = tokio::time::sleep(left) => {
            let is_build = command.kind == CommandType::StartBuild.as_str();
            let reason = "the server was started anew before the runner had answered";
            fail(app, &command.id, command.trace_id, is_build, reason).await;
        }
    }
}
