//! The link's properties, towards brokers of every kind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod support;

use std::time::Duration;

use broker::{Broker, Kind, SECRET, TestRunner, V1, assert_in_order, build, command, text_of};
use hopline_runner::{LinkProtocol, LinkState, Refusal};
use hopline_wire::secret::Secret;
use serde_json::{Value, json};
use support::eventually;

/// An agent that writes so many parts.
fn chatter(count: usize) -> Value {
    let line = r#"{"type":"text-delta","id":"t","delta":"'$i' "}"#;
    json!({"command": format!("i=0; while [ $i -lt {count} ]; do echo '{line}'; i=$((i+1)); done")})
}

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{number} ")).collect()
}

#[tokio::test]
async fn many_builds_events_arrive_in_order_and_share_frames() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    for id in ["a", "b", "c"] {
        broker.send(build(id, "stream", chatter(2_000))).await;
    }
    for id in ["a", "b", "c"] {
        let events = broker.until_event(id, "build-completed").await;
        assert_in_order(&events);
        assert_eq!(text_of(&events, "t"), numbers(2_000));
    }
    eventually("all settled", || runner.handle.events_waiting() == 0).await;
    let (frames, events) = (broker.frames().len(), broker.events().len());
    assert!(frames < events, "{frames} frames for {events} events");
    assert!(broker.uris()[0].ends_with("/socket?runnerId=runner%201"));
    runner.stop().await;
}

#[tokio::test]
async fn what_is_unsettled_stays_within_the_window_and_one_build_within_half() {
    let broker = Broker::start(Kind::V1 {
        window: 20,
        window_bytes: 1 << 20,
    })
    .await;
    broker.acknowledges(false);
    let runner = TestRunner::start(&broker).await;
    broker.send(build("a", "stream", chatter(100))).await;
    broker
        .until("half a window", |events| of(events, "a") == 10)
        .await;
    broker.send(build("b", "stream", chatter(100))).await;
    broker
        .until("the other half", |events| of(events, "b") == 10)
        .await;
    // An answer proves that the link had the time to send more, had it been allowed to.
    broker.hang_up();
    broker.until("a new link", |_| broker.links() == 2).await;
    broker
        .until("the same again", |events| {
            of(events, "a") == 20 && of(events, "b") == 20
        })
        .await;
    broker.acknowledges(true);
    broker
        .send(json!({"type": "events-acked", "commandId": "a", "seq": 10}))
        .await;
    broker
        .send(json!({"type": "events-acked", "commandId": "b", "seq": 10}))
        .await;
    for id in ["a", "b"] {
        broker.until_event(id, "build-completed").await;
        let mut events = broker.events_of(id);
        assert_eq!(
            events
                .drain(..10)
                .map(|event| event["seq"].as_u64())
                .collect::<Vec<_>>(),
            events[..10]
                .iter()
                .map(|event| event["seq"].as_u64())
                .collect::<Vec<_>>()
        );
        assert_in_order(&events);
    }
    runner.stop().await;
}

fn of(events: &[Value], id: &str) -> usize {
    events
        .iter()
        .filter(|event| event["commandId"] == id)
        .count()
}

#[tokio::test]
async fn a_new_link_goes_on_from_the_first_event_that_is_not_settled() {
    let broker = Broker::start(V1).await;
    broker.acknowledges(false);
    let runner = TestRunner::start(&broker).await;
    broker
        .send(build(
            "b",
            "command",
            json!({"command": "echo x; while [ ! -e go ]; do sleep 0.05; done; echo y"}),
        ))
        .await;
    broker
        .until("its first text", |events| {
            text_of(events, "stdout") == "x\n"
        })
        .await;
    let before = broker.events_of("b").len();
    broker
        .send(json!({"type": "events-acked", "commandId": "b", "seq": 2}))
        .await;
    // The health check's answer says that what was sent before it has been read.
    broker
        .send(command("h", "runner-health-check", json!({})))
        .await;
    broker.until_event("h", "runner-status").await;
    broker.acknowledges(true);
    broker.hang_up();
    std::fs::write(runner.project().join("go"), "").unwrap();
    broker.until_event("b", "build-completed").await;
    let hello = &broker.hellos()[1];
    let resume = hello["resume"].as_array().unwrap();
    let of_build = resume
        .iter()
        .find(|resume| resume["commandId"] == "b")
        .unwrap();
    assert_eq!(of_build["nextSeq"], 3);
    assert_eq!(hello["instanceId"], broker.hellos()[0]["instanceId"]);
    let mut events = broker.events_of("b");
    assert_eq!(events[before]["seq"], 3, "sent again from there");
    events.drain(2..before);
    assert_in_order(&events);
    assert_eq!(text_of(&events, "stdout"), "x\ny\n");
    runner.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_is_sent_again_and_what_is_gone_is_told_lost() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    broker.acknowledges(false);
    broker
        .send(build("b", "command", json!({"command": "echo x"})))
        .await;
    let events = broker.until_event("b", "build-completed").await;
    let count = events.len();
    broker
        .send(json!({"type": "resend", "commandId": "b", "seq": 3}))
        .await;
    broker
        .until("the rest again", |events| of(events, "b") == 2 * count - 2)
        .await;
    assert_eq!(broker.events_of("b")[count..], events[2..]);
    broker.acknowledges(true);
    broker
        .send(json!({"type": "events-acked", "commandId": "b", "seq": count}))
        .await;
    eventually("all settled", || runner.handle.events_waiting() == 0).await;
    broker
        .send(json!({"type": "resend", "commandId": "b", "seq": 2}))
        .await;
    let events = broker.until_event("b", "events-lost").await;
    let lost = events.last().unwrap();
    assert_eq!(
        (&lost["from"], &lost["to"], &lost["seq"]),
        (&json!(2), &json!(count), &json!(count))
    );
    runner.stop().await;
}

#[tokio::test]
async fn a_broker_without_the_subprotocol_gets_events_one_by_one_and_unnumbered() {
    let broker = Broker::start(Kind::Legacy).await;
    let runner = TestRunner::start(&broker).await;
    runner.handle.connected().await;
    assert_eq!(
        *runner.handle.link().borrow(),
        LinkState::Up(LinkProtocol::Legacy)
    );
    broker.send(build("b", "stream", chatter(100))).await;
    let events = broker.until_event("b", "build-completed").await;
    assert_eq!(text_of(&events, "t"), numbers(100));
    assert!(events.iter().all(|event| event.get("seq").is_none()));
    assert!(broker.frames().iter().all(|frame| frame.starts_with('{')));
    eventually("settled when written", || {
        runner.handle.events_waiting() == 0
    })
    .await;
    assert_eq!(runner.stop().await.events_waiting, 0);
}

#[tokio::test]
async fn a_broker_that_only_echoes_the_subprotocol_is_taken_for_a_legacy_one() {
    let broker = Broker::start(Kind::Echo).await;
    let runner = TestRunner::with(&broker, |options| {
        options.welcome_timeout = Duration::from_millis(300);
    })
    .await;
    broker
        .send(build("b", "command", json!({"command": "echo x"})))
        .await;
    let events = broker.until_event("b", "build-completed").await;
    assert!(events.iter().all(|event| event.get("seq").is_none()));
    assert_eq!(broker.hellos().len(), 1);
    assert_eq!(
        *runner.handle.link().borrow(),
        LinkState::Up(LinkProtocol::Legacy)
    );
    runner.stop().await;
}

#[tokio::test]
async fn a_welcome_that_comes_too_late_starts_the_link_anew() {
    let broker = Broker::start(Kind::Echo).await;
    let runner = TestRunner::with(&broker, |options| {
        options.welcome_timeout = Duration::from_millis(100);
    })
    .await;
    runner.handle.connected().await;
    let welcome = json!({"type": "welcome", "window": 9, "windowBytes": 9, "maxEventBytes": 9, "serverTime": "2026-01-01T00:00:00Z"});
    broker.send(welcome).await;
    broker.until("a second link", |_| broker.links() == 2).await;
    runner.stop().await;
}

#[tokio::test]
async fn a_refusal_is_shown_for_what_it_is() {
    let broker = Broker::start(V1).await;
    for (code, secret, refusal) in [
        (None, "wrong", Refusal::WrongSecret),
        (Some(4009), SECRET, Refusal::AlreadyConnected),
    ] {
        broker.refuses_with(code);
        let runner =
            TestRunner::with(&broker, |options| options.secret = Secret::new(secret)).await;
        let mut link = runner.handle.link();
        let refused = link.wait_for(|state| matches!(state, LinkState::Refused(_)));
        let state = tokio::time::timeout(support::FAR, refused)
            .await
            .unwrap()
            .unwrap()
            .clone();
        assert_eq!(state, LinkState::Refused(refusal));
        runner.stop().await;
        assert_eq!(*runner.handle.link().borrow(), LinkState::Closed);
    }
}

#[tokio::test]
async fn texts_over_the_size_of_an_event_are_split_and_outputs_cut() {
    let broker = Broker::start(V1).await;
    broker.takes_events_up_to(4_096);
    let runner = TestRunner::start(&broker).await;
    let text = "é\"\\".repeat(5_000);
    let lines = [
        json!({"type": "text-delta", "id": "t", "delta": text}).to_string(),
        json!({"type": "tool-output-available", "toolCallId": "c", "output": "x".repeat(50_000)})
            .to_string(),
    ];
    std::fs::write(runner.project().join("lines"), lines.join("\n")).unwrap();
    broker
        .send(build("b", "stream", json!({"command": "cat lines"})))
        .await;
    let events = broker.until_event("b", "build-completed").await;
    assert_in_order(&events);
    assert_eq!(text_of(&events, "t"), text);
    for event in &events {
        assert!(
            event.to_string().len() <= 4_096,
            "{} bytes",
            event.to_string().len()
        );
    }
    let parts = broker::parts(&events);
    let cut = parts.iter().find(|part| part["toolCallId"] == "c").unwrap();
    assert_eq!(cut["output"]["truncated"]["bytes"], 50_000);
    runner.stop().await;
}

#[tokio::test]
async fn while_events_cannot_be_settled_the_agent_is_held_and_others_are_still_answered() {
    let broker = Broker::start(V1).await;
    broker.acknowledges(false);
    let runner = TestRunner::with(&broker, |options| options.outbox_bytes = 256 << 10).await;
    broker
        .send(build(
            "b",
            "command",
            json!({"command": "yes | head -c 2097152; touch all"}),
        ))
        .await;
    let sent =
        |events: &[Value]| -> usize { events.iter().map(|event| event.to_string().len()).sum() };
    broker
        .until("most of the outbox", |events| sent(events) > 160 << 10)
        .await;
    // Other commands use the reserve, and their answers prove that the agent had time to say more.
    for id in ["h1", "h2", "h3"] {
        broker
            .send(command(id, "runner-health-check", json!({})))
            .await;
        broker.until_event(id, "ack").await;
    }
    let bytes = sent(&broker.events());
    assert!(bytes < 300 << 10, "{bytes} bytes");
    assert!(!runner.project().join("all").exists());
    broker
        .send(command(
            "x",
            "read-file",
            json!({"slug": "p", "filePath": "missing"}),
        ))
        .await;
    let events = broker.until_event("x", "error").await;
    assert_eq!(events.last().unwrap()["code"], "not_found");
    broker.settle_all().await;
    let events = broker.until_event("b", "build-completed").await;
    assert_in_order(&events);
    assert_eq!(text_of(&events, "stdout").len(), 2 << 20);
    runner.stop().await;
}

#[tokio::test]
async fn a_broker_that_does_not_read_loses_nothing_when_it_reads_on() {
    let broker = Broker::start(Kind::Legacy).await;
    let runner = TestRunner::with(&broker, |options| options.outbox_bytes = 256 << 10).await;
    runner.handle.connected().await;
    broker.reads(false);
    broker
        .send(build(
            "b",
            "command",
            json!({"command": "yes | head -c 8388608"}),
        ))
        .await;
    eventually("events waiting", || runner.handle.events_waiting() > 10).await;
    broker.reads(true);
    let events = broker.until_event("b", "build-completed").await;
    assert_eq!(text_of(&events, "stdout").len(), 8 << 20);
    runner.stop().await;
}

#[tokio::test]
async fn a_part_that_can_be_neither_split_nor_cut_is_replaced_and_the_link_lives() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let large = "x".repeat(7 << 20);
    let lines = [
        json!({"type": "text-delta", "id": "t", "delta": 5, "more": large}).to_string(),
        json!({"type": "data-picture", "data": large}).to_string(),
        json!({"type": "text-delta", "id": "i".repeat(300_000), "delta": "d".repeat(1_500_000)})
            .to_string(),
        json!({"type": "text-delta", "id": "t", "delta": "after"}).to_string(),
    ];
    std::fs::write(runner.project().join("lines"), lines.join("\n")).unwrap();
    broker
        .send(build("b", "stream", json!({"command": "cat lines"})))
        .await;
    let events = broker.until_event("b", "build-completed").await;
    assert_in_order(&events);
    assert_eq!(text_of(&events, "t"), "after");
    let errors: Vec<String> = broker::parts(&events)
        .iter()
        .filter_map(|part| part["errorText"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    for (error, kind) in errors
        .iter()
        .zip(["text-delta", "data-picture", "text-delta"])
    {
        assert!(error.contains(kind), "{error}");
    }
    assert_eq!(broker.links(), 1);
    runner.stop().await;
}

#[tokio::test]
async fn however_small_events_may_be_a_build_ends_and_logs_come_whole() {
    let broker = Broker::start(V1).await;
    broker.takes_events_up_to(4_096);
    let runner = TestRunner::start(&broker).await;
    let program = format!("/{}", "x".repeat(3_900));
    let run = json!({"command": [program]});
    broker.send(build("b", "command", run)).await;
    let events = broker.until_event("b", "build-failed").await;
    assert!(
        events.last().unwrap()["error"]
            .as_str()
            .unwrap()
            .starts_with("cannot run /xxx")
    );

    let said = "\"é\\\"".repeat(5_000);
    std::fs::write(runner.project().join("said"), &said).unwrap();
    let start = json!({"runCommand": "cat said", "projectSlug": "p"});
    broker.send(command("s", "start-dev-server", start)).await;
    let live = broker.until_event("s", "process-exited").await;
    broker.send(command("l", "fetch-logs", json!({}))).await;
    broker
        .until("all logs", |events| {
            events
                .iter()
                .any(|event| event["commandId"] == "l" && event["last"] == true)
        })
        .await;
    let fetched = broker.events_of("l");
    for events in [&live, &fetched] {
        let text: String = events
            .iter()
            .filter_map(|event| event["data"].as_str())
            .collect();
        assert_eq!(text, said);
    }
    // Whoever goes on from any event's cursor misses nothing.
    let cursors: Vec<u64> = fetched
        .iter()
        .filter_map(|event| event["cursor"].as_u64())
        .collect();
    assert!(cursors.is_sorted() && cursors[0] == 0, "{cursors:?}");
    for event in broker.events() {
        assert!(event.to_string().len() <= 4_096);
    }
    runner.stop().await;
}

/// A program that writes more than sockets hold.
fn flood() -> Value {
    json!({"command": "yes | head -c 25165824"})
}

#[tokio::test]
async fn a_silent_broker_is_pinged_and_then_given_up() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::with(&broker, |options| {
        options.ping_interval = Duration::from_millis(50);
        options.dead_after = Duration::from_secs(1);
    })
    .await;
    broker.until("pings", |_| broker.pings() > 2).await;
    assert_eq!(broker.links(), 1);
    broker.reads(false);
    broker.until("another link", |_| broker.links() > 1).await;
    runner.stop().await;
}

#[tokio::test]
async fn a_dead_broker_is_given_up_while_events_are_being_written() {
    let broker = Broker::start(Kind::V1 {
        window: 1 << 20,
        window_bytes: 256 << 20,
    })
    .await;
    let runner = TestRunner::with(&broker, |options| {
        options.ping_interval = Duration::from_millis(100);
        options.dead_after = Duration::from_secs(3);
    })
    .await;
    runner.handle.connected().await;
    broker.reads(false);
    broker.send(build("b", "command", flood())).await;
    broker.until("another link", |_| broker.links() > 1).await;
    broker.reads(true);
    broker.until_event("b", "build-completed").await;
    runner.stop().await;
}

#[tokio::test]
async fn a_link_paused_by_backpressure_lives_while_its_broker_pings_or_is_a_legacy_one() {
    let v1 = Kind::V1 {
        window: 1 << 20,
        window_bytes: 256 << 20,
    };
    for kind in [v1, Kind::Legacy] {
        let broker = Broker::start(kind).await;
        let runner = TestRunner::with(&broker, |options| {
            options.ping_interval = Duration::from_millis(100);
            options.dead_after = Duration::from_millis(1_500);
        })
        .await;
        runner.handle.connected().await;
        let links = broker.links();
        broker.reads(false);
        broker.send(build("b", "command", flood())).await;
        // Until then a legacy broker's silence is not excused by a write that stands still.
        let (mut waiting, mut steady) = (0, 0);
        while waiting == 0 || steady < 5 {
            broker.ping();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let before = std::mem::replace(&mut waiting, runner.handle.events_waiting());
            steady = if before == waiting { steady + 1 } else { 0 };
        }
        // Twice the time after which silence is death.
        for _ in 0..30 {
            if kind != Kind::Legacy {
                broker.ping();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(broker.links(), links);
        broker.reads(true);
        broker.until_event("b", "build-completed").await;
        runner.stop().await;
    }
}
