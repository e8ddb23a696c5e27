//! What the runner says about itself: when asked, when a link comes up, and every so often.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hopline_wire::Timestamp;
use hopline_wire::event::{Envelope, EventType, RunnerStatusPayload};
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{Context, Core};
use crate::events::{Failure, object};
use crate::link::LinkState;

/// Answers `runner-health-check`.
pub(super) async fn answer(context: &Context) -> Result<(), Failure> {
    let payload = payload(&context.core);
    let sent = context
        .emitter
        .event(EventType::RunnerStatus, context.span(), |members| {
            members.value("payload", &payload);
        })
        .await;
    sent.map_err(|error| Failure::new("too_large", error.to_string()))
}

/// Says how the runner is whenever a link comes up, when the outbox's disk takes nothing any more or does again, and at
/// this interval; never ends.
pub(crate) async fn report(
    core: Arc<Core>,
    mut link: watch::Receiver<LinkState>,
    interval: Duration,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stalled = core.outbox.stalled();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = link.changed() => if changed.is_err() { return },
            // Its sender is the outbox, which is here.
            _ = stalled.changed() => {}
        }
        if matches!(*link.borrow_and_update(), LinkState::Up(_)) {
            core.outbox.set_status(event(&core));
        }
    }
}

/// A `runner-status` that answers no command.
fn event(core: &Core) -> Bytes {
    let fields = object(|members| {
        members.value("payload", &payload(core));
    });
    let mut body = Vec::new();
    let envelope = Envelope {
        kind: EventType::RunnerStatus.as_str(),
        command_id: None,
        project_id: None,
        timestamp: &Timestamp::now().to_string(),
        seq: None,
        carrier: None,
    };
    envelope.write(&fields[1..fields.len() - 1], &mut body);
    body.into()
}

fn payload(core: &Core) -> RunnerStatusPayload {
    let mut more = Map::new();
    more.insert("builds".into(), Value::from(core.builds.count()));
    more.insert("devServers".into(), Value::from(core.servers.count()));
    more.insert("eventsWaiting".into(), Value::from(core.outbox.waiting()));
    if let Some(nanos) = core.clock.nanos() {
        more.insert("clockOffsetNs".into(), Value::from(nanos));
    }
    if core.one_build {
        more.insert("oneBuild".into(), Value::from(true));
    }
    let bytes = core.metrics.outbox_bytes.get();
    more.insert("outboxBytes".into(), Value::from(bytes));
    let stalled = core.outbox.stalled().borrow().clone();
    let status = if stalled.is_some() { "stalled" } else { "ok" };
    more.extend(stalled.map(|error| ("outboxError".to_owned(), Value::from(error))));
    RunnerStatusPayload {
        status: status.into(),
        version: core.version.clone(),
        hostname: first_word("/proc/sys/kernel/hostname"),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        uptime_seconds: uptime(core.started.0.elapsed(), core.started.1, Timestamp::now())
            .as_secs_f64(),
        load: first_word("/proc/loadavg").parse().unwrap_or_default(),
        more,
    }
}

/// How long the runner has been up. A clock that stands still while the machine sleeps says too little, and a runner that
/// seems to have begun after its builds is taken for one that knows nothing of them.
fn uptime(awake: Duration, started: Timestamp, now: Timestamp) -> Duration {
    awake.max(Duration::from_nanos(now.nanos_since(started)))
}

/// The first word of one of the kernel's files; empty if it cannot be read.
fn first_word(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_is_up_while_its_machine_sleeps_and_whatever_becomes_of_the_clock() {
        let (awake, at) = (Duration::from_secs(5), Timestamp::from_millis);
        assert_eq!(uptime(awake, at(1000), at(3_601_000)).as_secs(), 3600);
        assert_eq!(uptime(awake, at(1000), at(6_000)), awake);
        assert_eq!(uptime(awake, at(1000), at(10)), awake);
    }
}
