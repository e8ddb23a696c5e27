//! Events from runners to the server: in order, in batches, settled before they are acknowledged, and
//! none lost whatever the server answers.

use std::time::Duration;

use crate::support::{
    Api, Fault, Runner, Started, broker, event, options, seqs, start, unnumbered, until,
};
use serde_json::{Value, json};

#[tokio::test]
async fn events_of_many_commands_arrive_in_order_and_together() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    for seq in (1..=200).step_by(10) {
        let frame: Vec<Value> = (seq..seq + 10)
            .flat_map(|seq| (0..10).map(move |c| event(&format!("c{c}"), seq)))
            .collect();
        runner.send(&json!(frame)).await;
    }
    for command in 0..10 {
        let events = api.wait_for(&format!("c{command}"), 200).await;
        assert_eq!(seqs(&events), (1..=200).collect::<Vec<_>>());
        assert!(events.iter().all(|event| event["runnerId"] == "r"));
    }
    assert!(
        api.requests().len() < 500,
        "2,000 events took {} requests",
        api.requests().len()
    );
    runner.acked("c0", 1).await;
}

#[tokio::test]
async fn what_gathers_while_a_request_is_under_way_leaves_together() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    api.close_gate();
    for seq in 2..=1_500 {
        runner.send(&event("c", seq)).await;
    }
    // One request is under way with the first of them; the rest waits behind it.
    until(|| api.requests().len() == 2).await;
    wait_held(&broker, 1_499).await;
    api.open_gate();
    runner.acked("c", 1_500).await;
    let sizes: Vec<_> = api.requests().iter().map(|r| r.events().len()).collect();
    assert_eq!(seqs(&api.committed("c")), (1..=1_500).collect::<Vec<_>>());
    assert!(
        sizes.len() <= 5 && sizes.iter().all(|size| *size <= 1_000),
        "{sizes:?}"
    );
}

async fn wait_held(broker: &Started, events: u64) {
    loop {
        let (_, body) = crate::support::http(
            "GET",
            &broker.handle,
            "/status",
            &[crate::support::bearer()],
            "",
        )
        .await;
        let status: Value = serde_json::from_str(&body).unwrap();
        if status["heldEvents"].as_u64().unwrap() >= events {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_event_is_acknowledged_only_once_it_is_settled() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.close_gate();
    runner.send(&json!([event("c", 1), event("c", 2)])).await;
    until(|| api.requests().len() == 1).await;
    let early = tokio::time::timeout(Duration::from_millis(50), runner.next()).await;
    assert!(
        early.is_err(),
        "acknowledged before it was settled: {early:?}"
    );
    api.open_gate();
    let frames = runner.acked("c", 2).await;
    assert_eq!(frames.last().unwrap()["seq"], 2);
    assert_eq!(seqs(&api.committed("c")), [1, 2]);
}

#[tokio::test]
async fn whatever_the_server_answers_nothing_is_lost_doubled_or_out_of_order() {
    let api = Api::start().await;
    for fault in [
        Fault::Status(503, ""),
        Fault::Status(429, ""),
        Fault::CommitsBut(500),
        Fault::Status(400, "{}"),
        Fault::Status(401, "{}"),
        Fault::Status(403, "{}"),
        Fault::CommitsBut(503),
        Fault::Status(502, "<html>"),
        Fault::Body(200, json!({"ok": true, "acked": {}})),
        Fault::Status(409, "{}"),
    ] {
        api.fault(fault);
    }
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    for seq in 1..=50 {
        runner
            .send(&json!([event("a", seq), event("b", seq)]))
            .await;
    }
    runner.acked("a", 50).await;
    for command in ["a", "b"] {
        assert_eq!(
            seqs(&api.wait_for(command, 50).await),
            (1..=50).collect::<Vec<_>>()
        );
    }
    assert!(api.ledger.lock().faults.is_empty());
}

#[tokio::test]
async fn events_wait_for_a_server_that_is_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut options = hopline_broker::Options::new(
        ([127, 0, 0, 1], 0).into(),
        format!("http://{address}/"),
        hopline_wire::secret::Secret::new(crate::support::SECRET),
    );
    options.longest_pause = Duration::from_millis(100);
    let broker = start(options).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&json!([event("c", 1), event("c", 2)])).await;
    wait_held(&broker, 2).await;
    let api = Api::at(tokio::net::TcpListener::bind(address).await.unwrap());
    runner.acked("c", 2).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2]);
}

#[tokio::test]
async fn a_rejected_event_blocks_nothing_and_is_acknowledged() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.fault(Fault::Body(
        200,
        json!({"ok": true, "acked": {}, "gaps": {},
            "rejected": [{"commandId": "c", "seq": 1, "code": "bad_part", "error": "expected a part"}]}),
    ));
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    let span = broker.spans.wait_for(1).await.remove(0);
    assert!(span.status.is_error());
    assert_eq!(
        span.attribute("error.type"),
        Some(hopline_wire::span::Value::from("bad_part"))
    );
    assert!(
        broker
            .metrics
            .render()
            .contains(r#"hopline_broker_events_rejected_total{code="bad_part"} 1"#)
    );
}

#[tokio::test]
async fn a_gap_on_the_link_is_asked_for_once() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let resume = json!([{"commandId": "old", "nextSeq": 5}]);
    let mut runner = Runner::v1(&broker.handle, "r", "i", resume).await;
    runner
        .send(&json!([event("c", 1), event("c", 3), event("c", 4)]))
        .await;
    let mut resends = Vec::new();
    while resends.is_empty() {
        let frame = runner.next().await;
        resends.extend((frame["type"] == "resend").then_some(frame));
    }
    assert_eq!(
        resends[0],
        json!({"type": "resend", "commandId": "c", "seq": 2})
    );
    runner
        .send(&json!([event("c", 2), event("c", 3), event("c", 4)]))
        .await;
    runner.acked("c", 4).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2, 3, 4]);
    // A command that the runner named in its hello goes on where it said.
    runner.send(&event("old", 7)).await;
    let frame = runner.next().await;
    assert_eq!(
        frame,
        json!({"type": "resend", "commandId": "old", "seq": 5})
    );
}

#[tokio::test]
async fn a_gap_at_the_server_is_sent_again_from_there() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let resume = json!([{"commandId": "c", "nextSeq": 3}]);
    let mut runner = Runner::v1(&broker.handle, "r", "i", resume).await;
    runner.send(&json!([event("c", 3), event("c", 4)])).await;
    let frame = runner.next().await;
    assert_eq!(frame, json!({"type": "resend", "commandId": "c", "seq": 1}));
    let all: Vec<_> = (1..=4).map(|seq| event("c", seq)).collect();
    runner.send(&json!(all)).await;
    runner.acked("c", 4).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2, 3, 4]);
}

#[tokio::test]
async fn lost_events_stand_for_the_numbers_they_name() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let mut lost = event("c", 5);
    lost["type"] = "events-lost".into();
    lost["from"] = 2.into();
    lost["to"] = 5.into();
    runner
        .send(&json!([event("c", 1), lost, event("c", 6)]))
        .await;
    runner.acked("c", 6).await;
    assert_eq!(seqs(&api.committed("c")), [1, 5, 6]);
}

#[tokio::test]
async fn what_is_sent_again_after_a_reconnect_is_not_doubled() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.close_gate();
    runner
        .send(&json!([event("c", 1), event("c", 2), event("c", 3)]))
        .await;
    until(|| api.requests().len() == 1).await;
    runner.vanish();
    let resume = json!([{"commandId": "c", "nextSeq": 1}]);
    let mut runner = Runner::v1(&broker.handle, "r", "i", resume).await;
    let all: Vec<_> = (1..=5).map(|seq| event("c", seq)).collect();
    runner.send(&json!(all)).await;
    api.open_gate();
    runner.acked("c", 5).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2, 3, 4, 5]);
    let sent: usize = api.requests().iter().map(|r| r.events().len()).sum();
    assert_eq!(sent, 5, "events that the broker held were sent twice");
}

#[tokio::test]
async fn a_legacy_runner_is_forwarded_in_order_to_a_server_that_acknowledges() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::legacy(&broker.handle, "old").await;
    api.fault(Fault::CommitsBut(503));
    for n in 1..=100 {
        runner.send(&unnumbered("c", n)).await;
    }
    let events = api.wait_for("c", 100).await;
    let numbers: Vec<_> = events
        .iter()
        .map(|event| event["linkSeq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    assert!(
        events
            .iter()
            .all(|event| event["link"] == events[0]["link"])
    );
}

#[tokio::test]
async fn the_originals_server_gets_single_events_with_trace_headers_one_at_a_time_per_command() {
    let api = Api::start().await;
    api.ledger.lock().plain = true;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let trace = crate::support::trace(1.0);
    for seq in 1..=20 {
        for command in ["a", "b"] {
            let mut event = event(command, seq);
            event["_sentry"] = crate::support::carrier(&trace);
            runner.send(&event).await;
        }
    }
    runner.acked("a", 20).await;
    for command in ["a", "b"] {
        assert_eq!(
            seqs(&api.wait_for(command, 20).await),
            (1..=20).collect::<Vec<_>>()
        );
    }
    for request in api.requests() {
        let event = request.json();
        assert_eq!(
            request.header("sentry-trace").unwrap(),
            event["_sentry"]["trace"]
        );
        assert_eq!(
            request.header("baggage").unwrap(),
            event["_sentry"]["baggage"]
        );
        assert!(request.header("traceparent").is_some());
    }
}

#[tokio::test]
async fn a_fresh_server_is_asked_with_a_single_event_before_it_gets_arrays() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    runner.send(&unnumbered("c", 1)).await;
    api.wait_for("c", 1).await;
    let first = api.ledger.lock().received[0].json();
    assert!(first.is_object(), "{first}");
    runner.send(&unnumbered("c", 2)).await;
    api.wait_for("c", 2).await;
    assert!(api.requests().last().unwrap().json().is_array());
}

#[tokio::test]
async fn a_bare_success_settles_nothing_once_the_server_has_acknowledged() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    // A proxy's answer, say: the server has never seen the event.
    api.fault(Fault::Body(200, json!({"ok": true})));
    runner.send(&event("c", 2)).await;
    runner.acked("c", 2).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2]);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    api.ledger.lock().most_bytes = Some(2_000);
    let all: Vec<_> = (2..=60).map(|seq| event("c", seq)).collect();
    runner.send(&json!(all)).await;
    runner.acked("c", 60).await;
    assert_eq!(seqs(&api.committed("c")), (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_single_event_that_the_server_finds_too_large_is_given_up_and_blocks_nothing() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    api.ledger.lock().most_bytes = Some(2_000);
    let mut large = event("c", 2);
    large["data"] = "x".repeat(5_000).into();
    runner.send(&json!([large, event("c", 3)])).await;
    runner.acked("c", 3).await;
    let committed = api.committed("c");
    assert_eq!(seqs(&committed), [1, 2, 3]);
    assert_eq!(committed[1]["type"], "events-lost");
    assert_eq!(
        (&committed[1]["from"], &committed[1]["to"]),
        (&json!(2), &json!(2))
    );
}

#[tokio::test]
async fn an_event_over_the_limit_is_given_up_and_blocks_nothing() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.max_event_bytes = 1_000;
    let broker = start(options).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let mut large = event("c", 1);
    large["data"] = "x".repeat(1_000).into();
    runner.send(&json!([large, event("c", 2)])).await;
    runner.acked("c", 2).await;
    let committed = api.committed("c");
    assert_eq!(seqs(&committed), [1, 2]);
    assert_eq!(committed[0]["type"], "events-lost");
    assert_eq!(committed[0]["projectId"], "p");
    let spans = broker.spans.wait_for(2).await;
    assert!(spans[0].status.is_error() && !spans[1].status.is_error());
    assert!(
        broker
            .metrics
            .render()
            .contains(r#"hopline_broker_events_rejected_total{code="too_large"} 1"#)
    );
}

#[tokio::test]
async fn a_full_broker_stops_reading_and_loses_nothing() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.held_bytes = 20_000;
    options.dead_after = Duration::from_millis(300);
    let broker = start(options).await;
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    api.close_gate();
    let padding = "x".repeat(2_000);
    for n in 1..=20 {
        let mut event = unnumbered("c", n);
        event["data"] = padding.clone().into();
        runner.send(&event).await;
    }
    let status = || async {
        let (_, body) = crate::support::http(
            "GET",
            &broker.handle,
            "/status",
            &[crate::support::bearer()],
            "",
        )
        .await;
        serde_json::from_str::<Value>(&body).unwrap()
    };
    wait_held(&broker, 9).await;
    // Longer than a link may be silent: one that is not read is not dead.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let held = status().await;
    assert!(held["heldBytes"].as_u64().unwrap() < 23_000, "{held}");
    assert_eq!(held["links"][0]["reading"], false);
    api.open_gate();
    let events = api.wait_for("c", 20).await;
    assert_eq!(events.len(), 20);
}

#[tokio::test]
async fn what_a_runner_says_about_itself_is_passed_on_without_a_number() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner
        .send(&json!({"type": "runner-status", "payload": {"status": "idle"}}))
        .await;
    runner
        .send(&json!({"type": "later-type", "commandId": "c", "seq": 1, "new": [1]}))
        .await;
    runner.acked("c", 1).await;
    assert_eq!(api.committed("c")[0]["new"], json!([1]));
    until(|| {
        api.ledger
            .lock()
            .received
            .iter()
            .any(|r| String::from_utf8_lossy(&r.body).contains("\"idle\""))
    })
    .await;
}

#[tokio::test]
async fn one_bad_batch_does_not_hold_up_other_commands() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.slow_pause = Duration::from_secs(3_600);
    let broker = start(options).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("warm", 1)).await;
    runner.acked("warm", 1).await;
    // The first is refused as it is and rests for an hour; the others go on.
    api.fault(Fault::Status(400, "{}"));
    runner.send(&event("poison", 1)).await;
    until(|| api.ledger.lock().faults.is_empty()).await;
    for seq in 1..=3 {
        runner.send(&event("well", seq)).await;
    }
    runner.acked("well", 3).await;
    assert!(api.committed("poison").is_empty());
}

#[tokio::test]
async fn a_request_refused_for_one_command_is_taken_apart() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("warm", 1)).await;
    runner.acked("warm", 1).await;
    api.ledger.lock().poison = Some(("poison", 400));
    runner
        .send(&json!([event("a", 1), event("poison", 1), event("b", 1)]))
        .await;
    for command in ["a", "b"] {
        assert_eq!(api.wait_for(command, 1).await.len(), 1);
    }
    assert!(api.committed("poison").is_empty());
    // After the first refusal each went on its own, so that one more attempt was enough.
    let of = |command: &str| {
        let requests = api.requests();
        let with =
            |r: &crate::support::Received| r.events().iter().any(|e| e["commandId"] == command);
        requests.iter().filter(|r| with(r)).count()
    };
    assert_eq!((of("a"), of("b")), (2, 2));
    api.ledger.lock().poison = None;
    runner.acked("poison", 1).await;
}

#[tokio::test]
async fn the_same_command_of_two_runners_never_shares_a_request() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut one = Runner::legacy(&broker.handle, "one").await;
    let mut two = Runner::legacy(&broker.handle, "two").await;
    one.send(&unnumbered("warm", 1)).await;
    api.wait_for("warm", 1).await;
    api.close_gate();
    for n in 1..=50 {
        one.send(&unnumbered("c", n)).await;
        two.send(&unnumbered("c", n)).await;
    }
    wait_held(&broker, 100).await;
    api.open_gate();
    api.wait_for("c", 100).await;
    for request in api.requests() {
        let events = request.events();
        assert!(
            events
                .iter()
                .all(|event| event["runnerId"] == events[0]["runnerId"])
        );
    }
}

#[tokio::test]
async fn an_unnumbered_event_over_the_limit_is_given_up_and_counted() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.max_event_bytes = 1_000;
    let broker = start(options).await;
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    let mut large = unnumbered("c", 1);
    large["data"] = "x".repeat(1_000).into();
    runner.send(&large).await;
    runner.send(&unnumbered("c", 2)).await;
    let committed = api.wait_for("c", 1).await;
    assert_eq!(committed[0]["linkSeq"], 2);
    assert!(
        broker
            .metrics
            .render()
            .contains(r#"hopline_broker_events_rejected_total{code="too_large"} 1"#)
    );
}

#[tokio::test]
async fn a_gap_below_one_from_the_server_is_one_and_stops_nothing() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.fault(Fault::Body(
        200,
        json!({"ok": true, "acked": {}, "rejected": [], "gaps": {"c": 0}}),
    ));
    runner.send(&json!([event("c", 1), event("c", 2)])).await;
    runner.acked("c", 2).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2]);
    let (status, _) = crate::support::http("GET", &broker.handle, "/health", &[], "").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_event_with_forged_members_twice_goes_on_as_its_senders() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    let forged = r#"{"type":"x","commandId":"c","projectId":"p","seq":1,"runnerId":"victim","runnerId":"victim"}"#;
    runner.send_text(forged).await;
    runner.acked("c", 1).await;
    let committed = &api.committed("c")[0];
    assert_eq!(
        (&committed["runnerId"], &committed["linkSeq"]),
        (&json!("r"), &json!(1))
    );
}
