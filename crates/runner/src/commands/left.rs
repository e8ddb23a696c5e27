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
                let received = known.head.received / 1_000_000;
                // The clock may have been put back since.
                let ran = Timestamp::now().as_millis().saturating_sub(received);
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

#[cfg(test)]
mod tests {
    use hopline_files::power::Power;
    use hopline_telemetry::{Pipeline, Tracer};

    use super::*;
    use crate::outbox::testing::{Rig, SMALL};
    use crate::outbox::{Window, testing};

    /// What the next process says of a command of this type that had come as far as `made`.
    async fn said(kind: &str, made: &[EventType], adjust: impl Fn(&mut Known)) -> Vec<String> {
        let power = Power::default();
        let first = Rig::on(&power, SMALL).unwrap();
        let emitter = first.emitter_of(kind, "c");
        for kind in made {
            let cause = emitter.command_span();
            emitter.event(*kind, cause, |_| {}).await.unwrap();
        }
        emitter.durable().await;
        first.write(&Window::OPEN);
        first.outbox.acked("c", made.len() as u64);
        first.stop().await;
        let next = Rig::on(&power, SMALL).unwrap();
        let (_, emitter) = next.adopt().pop().unwrap();
        let mut known = next.recovered.control.commands[&1].clone();
        adjust(&mut known);
        let (recorded, _thread) = Pipeline::start(Vec::new(), 1 << 20).unwrap();
        let tracer = Tracer::new(recorded, "test", "test");
        let handled = CommandTrace::again(&emitter.stream(), &tracer);
        end(emitter.clone(), known, handled).await;
        emitter.durable().await;
        let frame = next.outbox.take(&Window::OPEN);
        frame.map_or(Vec::new(), |frame| testing::types(&frame))
    }

    #[tokio::test]
    async fn a_build_whose_runner_died_before_its_last_word_is_told_to_have_failed() {
        use EventType::{Ack, BuildFailed, Error, FileContent, ProcessExited};
        let told = async |kind, made: &[EventType]| said(kind, made, |_| {}).await;
        assert_eq!(told("start-build", &[Ack]).await, ["build-failed"]);
        // A build that cannot begin has two last words.
        assert_eq!(told("start-build", &[Ack, Error]).await, ["build-failed"]);
        let whole = [Ack, Error, BuildFailed];
        assert!(told("start-build", &whole).await.is_empty());
        assert_eq!(told("read-file", &[Ack]).await, ["error"]);
        assert!(told("read-file", &[Ack, FileContent]).await.is_empty());
        assert!(told("start-dev-server", &[Ack, Error]).await.is_empty());
        let exited = [Ack, ProcessExited];
        assert!(told("start-dev-server", &exited).await.is_empty());
    }

    #[tokio::test]
    async fn a_clock_that_was_put_back_does_not_keep_a_dev_servers_end_from_being_told() {
        let tomorrow = Timestamp::now().as_nanos() + 86_400_000_000_000;
        let told = said("start-dev-server", &[EventType::Ack], |known| {
            known.head.received = tomorrow;
        });
        assert_eq!(told.await, ["process-exited"]);
    }
}
