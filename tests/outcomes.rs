//! Every event ends in one counted outcome: what the server counts is what the runners have sent. And `hopline status`,
//! which tells it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::spans::Trace;
use support::{Place, UP, http};

/// How many events have ended so, of one outcome or of a reason of it.
fn count(outcomes: &Value, outcome: &str) -> u64 {
    match &outcomes[outcome] {
        Value::Object(reasons) => reasons.values().filter_map(Value::as_u64).sum(),
        count => count.as_u64().unwrap_or_default(),
    }
}

fn numbers(outcomes: &Value) -> u64 {
    ["committed", "rejected", "expired"]
        .map(|outcome| count(outcomes, outcome))
        .iter()
        .sum()
}

fn get(server: SocketAddr, secret: &str, path: &str) -> Value {
    // Of that version answers come in one piece.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {server}\r\nAuthorization: Bearer {secret}\r\n\
         Connection: close\r\n\r\n"
    );
    body(&http(server, &request))
}

/// Posts events as a broker does.
fn post(server: SocketAddr, secret: &str, events: &[Value]) -> Value {
    let events = json!(events).to_string();
    let request = format!(
        "POST /api/runner/events HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{events}",
        events.len()
    );
    body(&http(server, &request))
}

fn body(response: &str) -> Value {
    let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
    serde_json::from_str(body.unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error} in {:.2000}", response))
}

fn status(place: &Place) -> Value {
    place.run(&["status", "--json"]).expect(0).last_json()
}

#[test]
fn what_the_server_counts_is_what_the_runners_have_sent() {
    let place = Place::new();
    let up = place.service(&UP);
    let server = up.address("server");
    let (admin, runner) = (place.secret("admin_secret"), place.secret("runner_secret"));
    let (mut sent, mut again) = (0, 0);
    for words in [&["echo", "hello"][..], &["sh", "-c", "seq 200; exit 4"]] {
        let whole = [&["build", "shop", "--json", "--"], words].concat();
        let build = place.run(&whole).last_json();
        let text = |key: &str| build[key].as_str().unwrap().to_owned();
        let (session, trace) = (text("sessionId"), text("traceId"));
        let made = build["events"].as_u64().unwrap();
        // What the runner says that it has sent is what the build's line says.
        let shown = place.run(&["trace", "--json", &trace]).expect(0).stdout;
        let spans = Trace::read(&shown);
        let handled = spans.only("handleCommand.start-build");
        assert_eq!(
            handled.number("hopline.events.sent"),
            i64::try_from(made).ok()
        );
        // Some of it comes once more, then something bad, then word of what will never come.
        let event = |kind: &str, seq: u64, fields: Value| {
            let mut event = json!({
                "type": kind, "seq": seq, "commandId": text("commandId"), "projectId": text("projectId"),
                "timestamp": "2026-01-31T09:34:56.789Z",
            });
            let fields = fields.as_object().unwrap().clone();
            event.as_object_mut().unwrap().extend(fields);
            event
        };
        let more = [
            event("ack", 1, json!({})),
            event("ack", 2, json!({})),
            event(
                "build-stream",
                made + 1,
                json!({"data": "data: {\"type\":\"text-delta\"}\n\n"}),
            ),
            event(
                "events-lost",
                made + 4,
                json!({"from": made + 2, "reason": "full"}),
            ),
        ];
        for _ in 0..2 {
            let reply = post(server, &runner, &more);
            assert_eq!(reply["acked"][text("commandId")], made + 4, "{reply}");
        }
        sent += made + 4;
        again += 2 + 4;
        let build = get(server, &admin, &format!("/api/builds/{session}"));
        let outcomes = &build["outcomes"];
        assert_eq!(build["lastSeq"], made + 4);
        assert_eq!(numbers(outcomes), made + 4, "{outcomes}");
        assert_eq!(
            (count(outcomes, "committed"), count(outcomes, "expired")),
            (made, 3)
        );
        assert_eq!(outcomes["rejected"], json!({"bad_part": 1}));
        for form in ["tree", "summary"] {
            let shown = get(
                server,
                &admin,
                &format!("/api/traces/{trace}?format={form}"),
            );
            assert_eq!(&shown["build"]["outcomes"], outcomes, "{form}");
        }
        let shown = place.run(&["trace", &trace]).expect(0).stdout;
        let told = format!("events: {made} committed, 1 rejected (1 bad_part), 3 expired");
        assert!(shown.contains(&told), "{shown}");
    }
    let status = status(&place);
    let events = &status["events"];
    assert_eq!(
        (numbers(events), count(events, "duplicate")),
        (sent, again),
        "{status}"
    );
    assert_eq!(status["running"], true);
    assert_eq!(status["runners"], json!(["local"]));
    assert_eq!(
        (&status["runningBuilds"], &status["database"]),
        (&json!(0), &json!("sqlite"))
    );
    assert_eq!(status["pid"], up.pid());
    assert_eq!(status["spans"]["dropped"], 0);
    assert!(status["spans"]["taken"].as_u64() > Some(100), "{status}");
    let told = place.run(&["status"]).expect(0).stdout;
    assert!(
        told.contains("runners   local") && told.contains("builds    0 running"),
        "{told}"
    );
}

#[test]
fn where_none_runs_the_status_says_so() {
    let place = Place::new();
    let none = place.run(&["status", "--json"]).expect(69).last_json();
    assert_eq!(none["running"], false);
    let told = place.run(&["status"]).expect(69).stdout;
    assert!(told.contains("no Hopline is running"), "{told}");
    let away = place.run(&["status", "--server", "http://127.0.0.1:1"]);
    assert_ne!(away.code(), 0, "{away}");
}
