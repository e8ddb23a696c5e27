//! Ending a build that its runner knows nothing of.
//!
//! A runner that was killed and started anew answers a cancellation with `already_ended`: the build is none of its
//! own. What an earlier process of it had to say may still be on its way, so the build is given a moment
//! to end by its own events; after that the server ends it, since nobody else will.

use std::sync::Arc;
use std::time::Duration;

use hopline_state::rows::DecisionKind;
use hopline_wire::event::{Event, EventType, Failed};

use super::{Outgoing, deliver};
use crate::app::App;

/// How long a build that is said to have ended has to say so itself.
const GRACE: Duration = Duration::from_secs(1);

/// Delivers a cancellation, and sees to it that the build ends where the runner does not know it.
pub(super) async fn deliver_cancellation(app: &Arc<App>, outgoing: &Outgoing, target: &str) {
    // An error is given to whoever waits, whatever else is wanted; a runner may well acknowledge before it.
    let expected = app.answers.expect(&outgoing.command.id, &[]);
    let timeout = app.options.command_timeout;
    deliver::deliver(app, outgoing, &expected, timeout).await;
    let answer = tokio::select! {
        answer = expected.next() => answer,
        () = app.stopping.cancelled() => return,
        () = tokio::time::sleep(app.options.answer_timeout) => return,
    };
    if !answer.is_ok_and(|event| says_already_ended(&event)) {
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(GRACE) => {}
        () = app.stopping.cancelled() => return,
    }
    let reason = "cancelled".to_owned();
    let trace_id = outgoing.context.trace_id;
    match app
        .processor
        .decide(target, DecisionKind::Cancelled, reason)
        .await
    {
        Ok(true) => tracing::info!(
            %trace_id,
            command = target,
            "a build that its runner does not know is cancelled"
        ),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%trace_id, command = target, %error, "a build could not be cancelled")
        }
    }
}

fn says_already_ended(event: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Event>(event) else {
        return false;
    };
    let failed: Option<Failed> = event.payload().ok();
    EventType::named(&event.kind) == Some(EventType::Error)
        && failed.is_some_and(|failed| failed.code.as_deref() == Some("already_ended"))
}
