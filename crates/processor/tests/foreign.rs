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

/// The events as a broker passes them on that had them from this runner on the strength of its own token.
fn bound(runner: &str, events: &[Value]) -> Vec<hopline_processor::Incoming> {
    let bound = |event: &Value| {
        let mut event = event.clone();
        event["runnerId"] = runner.into();
        event["runnerBound"] = true.into();
        event
    };
    incoming(&events.iter().map(bound).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_bound_runner_speaks_for_commands_that_were_given_to_it_and_for_no_others() {
    let world = World::new().await;
    let build = world.build().await;
    let own = world.store.load_command(&build.command).await.unwrap();
    let own = own.unwrap().command.runner_id.unwrap();
    let submit = async |events| world.handle.submit(events).await.unwrap().reply;
    let reply = submit(bound(&own, &[delta(&build, 1, "a")])).await;
    assert!(
        reply.rejected.is_empty() && reply.acked[&build.command] == 1,
        "{reply:?}"
    );
    let reply = submit(bound("thief", &[delta(&build, 2, "x")])).await;
    assert_eq!(reply.rejected[0].code, RejectCode::NotYours);
    // One that is nobody's: whoever is bound can make none up, now or once others have spoken for it.
    let mut unknown = delta(&build, 1, "x");
    unknown["commandId"] = "unheard-of".into();
    for _ in 0..2 {
        let reply = submit(bound(&own, &[unknown.clone()])).await;
        assert_eq!(reply.rejected[0].code, RejectCode::NotYours, "{reply:?}");
        let row = world.store.load_command("unheard-of").await.unwrap();
        assert!(row.is_none(), "{row:?}");
    }
    unknown["runnerId"] = own.as_str().into();
    assert!(
        submit(incoming(&[unknown.clone()]))
            .await
            .rejected
            .is_empty()
    );
    unknown["seq"] = 2.into();
    let reply = submit(bound(&own, &[unknown])).await;
    assert_eq!(reply.rejected[0].code, RejectCode::NotYours, "{reply:?}");
    // One that names no runner at all.
    let mut nameless = delta(&build, 2, "x");
    nameless["runnerBound"] = true.into();
    nameless.as_object_mut().unwrap().remove("runnerId");
    let reply = submit(incoming(&[nameless])).await;
    assert_eq!(reply.rejected[0].code, RejectCode::NotYours, "{reply:?}");
}

#[tokio::test]
async fn a_bound_runner_does_not_say_where_its_broker_is() {
    let world = World::new().await;
    let status = json!({"type": "runner-status", "brokerUrl": "http://thief.example", "payload": {"status": "online"}});
    world
        .handle
        .submit(bound("r", std::slice::from_ref(&status)))
        .await
        .unwrap();
    let runner = world.store.runner("r").await.unwrap().unwrap();
    assert_eq!(runner.broker_url, None);
    assert!(runner.payload.unwrap().contains("online"));
    let mut of_broker = status;
    of_broker["runnerId"] = "r".into();
    of_broker["brokerUrl"] = "http://broker.example".into();
    world
        .handle
        .submit(incoming(&[of_broker.clone()]))
        .await
        .unwrap();
    of_broker["brokerUrl"] = "http://thief.example".into();
    world.handle.submit(bound("r", &[of_broker])).await.unwrap();
    let runner = world.store.runner("r").await.unwrap().unwrap();
    assert_eq!(runner.broker_url.as_deref(), Some("http://broker.example"));
}
