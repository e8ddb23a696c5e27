//! Events of a runner that the command was not given to.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Build, World, incoming, unnumbered};
use hopline_state::rows::SessionStatus;
use hopline_wire::ingest::RejectCode;
use serde_json::{Value, json};

fn delta(build: &Build, seq: u64, text: &str) -> Value {
    build.part(
        seq,
        &json!({"type": "text-delta", "id": "t", "delta": text}),
    )
}

#[tokio::test]
async fn what_another_runner_sends_is_refused_and_uses_up_none_of_the_commands_numbers() {
    let world = World::new().await;
    let build = world.build().await;
    let foreign = |mut event: Value| {
        event["runnerId"] = "thief".into();
        event
    };
    world.submit(&[delta(&build, 1, "a")]).await;
    // The next number, one that is settled, one beyond a gap, and two that are wrong besides.
    let mut untyped = foreign(delta(&build, 2, "x"));
    untyped["projectId"] = json!(5);
    let twice = format!(
        r#"{{"type":"x","type":"y","commandId":"{}","seq":2,"runnerId":"thief"}}"#,
        build.command
    );
    let mut events = incoming(&[
        foreign(delta(&build, 2, "x")),
        foreign(delta(&build, 1, "x")),
        foreign(delta(&build, 9, "x")),
        foreign(unnumbered(delta(&build, 2, "x"), "l", 1)),
        untyped,
    ]);
    let read =
        hopline_processor::Reader::default().read(twice.into(), hopline_wire::Timestamp::now());
    events.push(read);
    let count = events.len();
    let reply = world.handle.submit(events).await.unwrap().reply;
    assert!(
        reply.rejected.len() == count && reply.gaps.is_empty(),
        "{reply:?}"
    );
    assert!(
        reply
            .rejected
            .iter()
            .all(|rejection| rejection.code == RejectCode::NotYours)
    );
    assert_eq!(reply.acked[&build.command], 1);
    let completed = build.event("build-completed", 2, json!({"payload": {"todos": []}}));
    let reply = world.submit(&[completed]).await;
    assert_eq!(reply.acked[&build.command], 2);
    let session = world.session(&build).await;
    assert_eq!(session.status, SessionStatus::Completed);
    let told = world.metrics.render();
    assert!(
        told.contains(r#"hopline_events_total{outcome="rejected",reason="not_yours"} 6"#),
        "{told}"
    );
}
