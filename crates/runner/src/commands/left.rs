//! Commands that an earlier process of the runner has left: what they had said goes out, and those that were being
//! carried out are told to have ended with it. Their programs have: the guards saw to that.

use std::future::Future;
use std::sync::Arc;

use hopline_wire::Timestamp;
use hopline_wire::command::CommandType;
use hopline_wire::event::EventType;

use super::Core;
use crate::events::{Emitter, Failure, Stream};
use crate::outbox::{Known, Recovered};
use crate::trace::{CommandTrace, Scope};

/// What ended them, for people and for programs.
const ERROR: &str = "runner restarted";
const CODE: &str = "runner_restarted";

/// Takes the commands over; gives what is to be said of those that were being carried out.
pub(super) fn take_over(
    core: &Arc<Core>,
    recovered: Recovered,
) -> Vec<impl Future<Output = ()> + use<>> {
    let Recovered {
        control, mut runs, ..
    } = recovered;
    let mut ends = Vec::new();
    for (number, known) in control.commands {
        let stream = Arc::new(Stream::of_head(&known.head, core.tracing, &core.sampler));
        let runs = runs.remove(&number).unwrap_or_default();
        core.outbox.adopt(&stream, number, &known, runs);
        let handled = CommandTrace::again(&stream, &core.tracer);
        if known.closed {
            core.outbox.close(&stream.command_id, handled);
            continue;
        }
        let emitter = Emitter::behind(
            known.last_seq,
            stream,
            core.outbox.clone(),
            Arc::clone(&core.max_event_bytes),
        );
        ends.push(end(emitter, known, handled));
    }
    ends
}

/// Says that the command ended with its runner, unless it had come to its end before.
async fn end(emitter: Emitter, known: Known, handled: Scope) {
    let kind = CommandType::named(&known.head.kind);
    if !known.answered {
        tracing::warn!(command = %known.head.id, kind = %known.head.kind, "the command ended with its runner");
        handled.fail(CODE, ERROR);
        let cause = emitter.command_span();
        match kind {
            Some(CommandType::StartDevServer) => {
                let ran = Timestamp::now().as_millis() - known.head.received / 1_000_000;
                let told = emitter.event(EventType::ProcessExited, cause, |members| {
                    members.text("signal", "SIGKILL").value("durationMs", &ran);
                });
                if told.await.is_err() {
                    tracing::error!(command = %known.head.id, "the end of a dev server did not fit");
                }
            }
            kind => {
                let event = match kind {
                    Some(CommandType::StartBuild) => EventType::BuildFailed,
                    _ => EventType::Error,
                };
                let failure = Failure::new(CODE, ERROR);
                emitter.failure(event, cause, &failure).await;
            }
        }
    }
    emitter.close(handled).await;
}
