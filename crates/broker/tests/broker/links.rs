//! Links: who gets one, whose it is, how it is reported and how it ends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Api, Knock, Runner, broker, event, options, seqs, start, unnumbered, until};

#[tokio::test]
async fn a_wrong_secret_closes_the_link_as_a_policy_violation() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    for v1 in [false, true] {
        let knock = Knock {
            secret: Some("wrong"),
            v1,
            ..Knock::default()
        };
        let mut runner = Runner::knock(&broker.handle, "r", &knock).await.unwrap();
        let (code, reason) = runner.closed().await;
        assert_eq!(code, 1008);
        assert!(!reason.contains("wrong"));
    }
    let mut nameless = Runner::legacy(&broker.handle, "").await;
    assert_eq!(nameless.closed().await.0, 1008);
}

#[tokio::test]
async fn a_second_instance_is_refused_while_the_first_lives() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut first = Runner::v1(&broker.handle, "r", "one", json!([])).await;
    let mut second = Runner::hello(&broker.handle, "r", "two", json!([])).await;
    assert_eq!(second.closed().await.0, 4009);
    // An old runner of the same name does not take the place either.
    let mut legacy = Runner::legacy(&broker.handle, "r").await;
    assert_eq!(legacy.closed().await.0, 4009);
    first.send(&event("c", 1)).await;
    first.acked("c", 1).await;
    first.vanish();
    until(|| {
        api.reports()
            .last()
            .is_some_and(|report| report["link"] == "down")
    })
    .await;
    Runner::v1(&broker.handle, "r", "two", json!([])).await;
}

#[tokio::test]
async fn a_new_connection_of_the_same_instance_takes_over() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut old = Runner::v1(&broker.handle, "r", "one", json!([])).await;
    let mut new = Runner::v1(&broker.handle, "r", "one", json!([])).await;
    assert_eq!(old.closed().await.0, 4001);
    new.send(&event("c", 1)).await;
    new.acked("c", 1).await;
}

#[tokio::test]
async fn the_newest_legacy_connection_wins() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut old = Runner::legacy(&broker.handle, "r").await;
    old.send(&unnumbered("c", 1)).await;
    api.wait_for("c", 1).await;
    let mut new = Runner::legacy(&broker.handle, "r").await;
    assert_eq!(old.closed().await.0, 4001);
    new.send(&unnumbered("c", 2)).await;
    let events = api.wait_for("c", 2).await;
    assert_ne!(events[0]["link"], events[1]["link"]);
    assert_eq!(events[1]["linkSeq"], 1);
}

/// On such a link what is written counts as settled, read or not.
#[tokio::test]
async fn what_was_written_on_a_replaced_legacy_link_is_taken_before_what_is_written_on_the_new_one()
{
    let api = Api::start().await;
    let mut options = options(&api);
    // The old link is not read any more after a few events.
    options.held_bytes = 4 << 10;
    let broker = start(options).await.handle;
    api.close_gate();
    let mut old = Runner::legacy(&broker, "r").await;
    for n in 1..=300 {
        old.send(&unnumbered("c", n)).await;
    }
    let mut new = Runner::legacy(&broker, "r").await;
    new.send(&unnumbered("c", 301)).await;
    api.open_gate();
    let events = api.wait_for("c", 301).await;
    let expected: Vec<_> = (1..=301)
        .map(|n| unnumbered("c", n)["data"].clone())
        .collect();
    let found: Vec<_> = events.iter().map(|event| event["data"].clone()).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_link_that_does_not_begin_with_hello_is_closed_with_what_was_expected() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.hello_timeout = Duration::from_millis(50);
    let broker = start(options).await;
    let knock = Knock {
        v1: true,
        ..Knock::default()
    };
    let mut silent = Runner::knock(&broker.handle, "r", &knock).await.unwrap();
    let (code, reason) = silent.closed().await;
    assert!(
        code == 1002 && reason.contains("expected hello"),
        "{reason}"
    );
    let mut early = Runner::knock(&broker.handle, "r", &knock).await.unwrap();
    early.send(&event("c", 1)).await;
    assert_eq!(early.closed().await.0, 1002);
}

#[tokio::test]
async fn a_silent_link_is_dead_and_a_pinged_one_lives() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.ping_interval = Duration::from_millis(20);
    options.dead_after = Duration::from_secs(1);
    let broker = start(options).await;
    let began = std::time::Instant::now();
    // This runner answers pings, because its socket is read.
    let mut alive = Runner::v1(&broker.handle, "alive", "i", json!([])).await;
    // This one is never read, so it answers nothing.
    let _dead = Runner::v1(&broker.handle, "dead", "i", json!([])).await;
    let is_down = |runner: &str| {
        api.reports()
            .iter()
            .any(|report| report["runnerId"] == runner && report["link"] == "down")
    };
    let mut longest_stall = Duration::ZERO;
    let mut last = began;
    while !is_down("dead") {
        assert!(began.elapsed() < Duration::from_secs(20), "it lives on");
        let _ = tokio::time::timeout(Duration::from_millis(5), alive.next()).await;
        longest_stall = longest_stall.max(last.elapsed());
        last = std::time::Instant::now();
    }
    // A machine that stood still for as long as a link may be silent proves nothing.
    assert!(!is_down("alive") || longest_stall > Duration::from_millis(500));
}

#[tokio::test]
async fn a_runner_that_closes_its_link_gets_the_closing_reply() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.close().await;
    let runner = Runner::legacy(&broker.handle, "old").await;
    runner.close().await;
}

#[tokio::test]
async fn the_end_of_the_broker_does_not_wait_for_a_link_that_has_not_said_hello() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let knock = Knock {
        v1: true,
        ..Knock::default()
    };
    let mut silent = Runner::knock(&broker.handle, "r", &knock).await.unwrap();
    let handle = broker.handle.clone();
    let deadline = Instant::now() + Duration::from_secs(3_600);
    let ending = tokio::spawn(async move { handle.shutdown(deadline).await });
    assert_eq!(silent.closed().await.0, 1001);
    drop(silent);
    ending.await.unwrap();
}

#[tokio::test]
async fn a_frame_over_the_limit_is_refused_with_both_sizes() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    let mut large = event("c", 2);
    large["data"] = "x".repeat(9 << 20).into();
    runner.send(&large).await;
    let (code, reason) = runner.closed().await;
    assert_eq!(code, 1009);
    assert!(reason.contains("expected at most 8388608"), "{reason}");
    assert_eq!(seqs(&api.wait_for("c", 1).await), [1]);
}

#[tokio::test]
async fn a_frame_that_is_no_event_is_ignored_and_counted() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    for bad in ["nonsense", "5", "[1]", "[{]", ""] {
        runner.send_text(bad).await;
    }
    // A field of the wrong type is for the server to refuse; it gets the event as it came.
    runner
        .send_text(
            r#"{"type":"build-stream","commandId":"c","seq":1,"projectId":5,"runnerId":null}"#,
        )
        .await;
    runner.acked("c", 1).await;
    let committed = &api.committed("c")[0];
    assert_eq!(
        (&committed["projectId"], &committed["runnerId"]),
        (&json!(5), &json!("r"))
    );
    assert!(
        broker
            .metrics
            .render()
            .contains("hopline_broker_bad_frames_total 5")
    );
}

#[tokio::test]
async fn links_are_reported_at_each_change_and_now_and_then() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.heartbeat = Duration::from_millis(20);
    options.public_url = Some("https://broker.example.com".into());
    let broker = start(options).await;
    let runner = Runner::legacy(&broker.handle, "r").await;
    until(|| api.reports().len() >= 3).await;
    runner.vanish();
    until(|| api.reports().last().unwrap()["link"] == "down").await;
    let reports = api.reports();
    for report in &reports {
        assert_eq!(report["runnerId"], "r");
        assert_eq!(report["brokerUrl"], "https://broker.example.com");
        assert!(report["timestamp"].is_string() && report.get("linkSeq").is_none());
    }
    assert_eq!(reports[0]["link"], "up");
}

#[tokio::test]
async fn the_end_of_the_broker_settles_what_it_holds_and_says_goodbye() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.close_gate();
    runner.send(&json!([event("c", 1), event("c", 2)])).await;
    until(|| api.requests().len() == 1).await;
    let handle = broker.handle.clone();
    let deadline = Instant::now() + Duration::from_secs(10);
    let ending = tokio::spawn(async move { handle.shutdown(deadline).await });
    api.open_gate();
    runner.acked("c", 2).await;
    assert_eq!(runner.closed().await.0, 1001);
    drop(runner);
    let report = ending.await.unwrap();
    assert_eq!(report.unsettled_events, 0);
    assert!(
        Instant::now() < deadline,
        "waited for the deadline without need"
    );
    assert_eq!(api.reports().last().unwrap()["link"], "down");
    let refused = Runner::knock(&broker.handle, "r", &Knock::default()).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn the_end_of_the_broker_keeps_its_deadline_and_tells_what_is_left() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    api.close_gate();
    let events: Vec<Value> = (1..=3).map(|seq| event("c", seq)).collect();
    runner.send(&json!(events)).await;
    until(|| api.requests().len() == 1).await;
    let deadline = Instant::now() + Duration::from_millis(100);
    let report = broker.handle.shutdown(deadline).await;
    // Besides the events, the report that the link is down may be left.
    assert!((3..=4).contains(&report.unsettled_events), "{report:?}");
}

#[tokio::test]
async fn a_number_without_a_command_means_nothing_and_blocks_nothing() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner
        .send(&json!({"type": "runner-status", "seq": 7, "payload": {"status": "odd"}}))
        .await;
    runner.send(&event("c", 1)).await;
    runner.acked("c", 1).await;
    let reports = || api.ledger.lock().received.len();
    until(|| {
        let received = &api.ledger.lock().received;
        received
            .iter()
            .any(|request| String::from_utf8_lossy(&request.body).contains("\"odd\""))
    })
    .await;
    broker
        .handle
        .shutdown(tokio::time::Instant::now() + Duration::from_secs(10))
        .await;
    let odd = |text: &str| text.contains("\"odd\"");
    let times = api.ledger.lock().received.iter().fold(0, |times, request| {
        times + usize::from(odd(&String::from_utf8_lossy(&request.body)))
    });
    assert_eq!(times, 1, "of {} requests", reports());
}

#[tokio::test]
async fn an_event_larger_than_a_request_may_be_is_sent_all_the_same() {
    let api = Api::start().await;
    let mut options = options(&api);
    options.batch_bytes = 100;
    let broker = start(options).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    for seq in 1..=3 {
        runner.send(&event("c", seq)).await;
    }
    runner.acked("c", 3).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2, 3]);
}

#[tokio::test]
async fn an_event_with_a_member_twice_keeps_its_place_and_blocks_nothing() {
    let api = Api::start().await;
    let broker = broker(&api).await;
    let mut runner = Runner::v1(&broker.handle, "r", "i", json!([])).await;
    runner.send(&event("c", 1)).await;
    let twice = r#"{"type":"x","type":"y","commandId":"c","projectId":"p","seq":2}"#;
    runner.send_text(twice).await;
    runner.send(&event("c", 3)).await;
    runner.acked("c", 3).await;
    assert_eq!(seqs(&api.committed("c")), [1, 2, 3]);
}

#[tokio::test]
async fn what_the_originals_server_keeps_refusing_is_given_up_and_blocks_nothing() {
    let api = Api::start().await;
    {
        let mut ledger = api.ledger.lock();
        ledger.plain = true;
        ledger.poison = Some(("poison", 400));
    }
    let mut options = options(&api);
    options.slow_pause = Duration::from_millis(1);
    let broker = start(options).await;
    let mut runner = Runner::legacy(&broker.handle, "r").await;
    let mut poison = unnumbered("c", 2);
    poison["data"] = "poison".into();
    for event in [unnumbered("c", 1), poison, unnumbered("c", 3)] {
        runner.send(&event).await;
    }
    assert_eq!(api.wait_for("c", 2).await.len(), 2);
    let metrics = broker.metrics.render();
    assert!(metrics.contains(r#"events_rejected_total{code="other"} 1"#));
}
