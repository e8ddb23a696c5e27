//! A runner with a token of its own, from the token's making to its end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::{Value, json};
use support::{Place, Service, eventually, http};

const ANY: &str = "127.0.0.1:0";

fn runner(place: &Place, id: &str, broker: &str, secret: &str) -> Service {
    let mut command = place.hopline(&["runner", "--id", id, "--broker", broker]);
    command.env("HOPLINE_RUNNER_SECRET", secret);
    Service::start(command)
}

/// The tokens, as `hopline token list` has them.
fn tokens(place: &Place) -> Vec<Value> {
    let listed = place.run(&["token", "list", "--json"]).expect(0);
    let lines = listed.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_token_is_good_for_its_runner_until_it_is_revoked() {
    let place = Place::new();
    let server = place.service(&["server", "--listen", ANY]);
    let mut broker = place.hopline(&["broker", "--listen", ANY]);
    broker.env("HOPLINE_TOKEN_CHECK", "1s");
    let broker = Service::start(broker);
    let url = broker.url("broker");
    let none = place.run(&["token", "list"]).expect(0).stdout;
    assert_eq!(none, "no tokens\n");
    let made = place.run(&["token", "create", "--runner", "own"]).expect(0);
    let token = made.stdout.trim().to_owned();
    assert!(token.starts_with("hlr_") && token.len() > 40, "{made}");
    assert!(made.stderr.contains("hopline token revoke"), "{made}");
    let listed = tokens(&place);
    assert_eq!(listed[0]["runnerId"], "own");
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    assert!(made.stderr.contains(&id), "{made}");

    let own = runner(&place, "own", &url, &token);
    let shared = runner(&place, "shared", &url, &place.secret("runner_secret"));
    let build = |project: &str, runner: &str| {
        let args = [
            "build", project, "--runner", runner, "--json", "--", "echo", "hello",
        ];
        place.run(&args)
    };
    for (project, runner) in [("one", "own"), ("two", "shared")] {
        eventually("the runner has built", || {
            (build(project, runner).code() == 0).then_some(())
        });
    }
    // Its spans came along.
    let line = build("one", "own").expect(0).last_json();
    let trace = line["traceId"].as_str().unwrap();
    eventually("every event went all the way", || {
        let shown = place.run(&["trace", trace]).stdout;
        shown.contains("events went all the way").then_some(())
    });
    // It speaks for nobody else: neither for another runner's command nor for one that nobody has given.
    let other = build("two", "shared").expect(0).last_json();
    let address = server.address("server");
    for command in [other["commandId"].as_str().unwrap(), "a-command-of-nobody"] {
        let event = json!({
            "type": "build-stream", "commandId": command, "seq": 1_000, "runnerId": "shared",
            "timestamp": "2026-01-31T09:34:56.789Z", "data": "data: {\"type\":\"finish\"}\n\n",
        });
        let body = event.to_string();
        let answer = http(
            address,
            &format!(
                "POST /api/runner/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            ),
        );
        assert!(answer.contains("not_yours"), "{command}: {answer}");
    }
    let forbidden = http(
        address,
        &format!(
            "GET /api/builds HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        ),
    );
    assert!(forbidden.starts_with("HTTP/1.1 403"), "{forbidden}");

    place.run(&["token", "revoke", &id]).expect(0);
    eventually("its link has ended", || {
        let lines = broker.lines();
        let mut ended = lines
            .iter()
            .filter(|line| line.contains("the token was revoked"));
        ended.next().map(|_| ())
    });
    assert!(tokens(&place)[0]["revokedAt"].is_string());
    build("two", "shared").expect(0);
    eventually("it is away for good", || {
        (build("one", "own").code() == 69).then_some(())
    });
    let log = [&own, &shared, &broker, &server]
        .map(Service::log)
        .join("\n");
    assert!(!log.contains(&token), "a log tells it:\n{log}");
    for file in ["hopline.db", "hopline.db-wal"] {
        let bytes = std::fs::read(place.data().join(file)).unwrap_or_default();
        let holds = bytes
            .windows(token.len())
            .any(|window| window == token.as_bytes());
        assert!(!holds, "{file} has it");
    }
    let unknown = place.run(&["token", "revoke", "a3308b59-f34d-47bd-9202-fcfad2beb547"]);
    assert_ne!(unknown.code(), 0, "{unknown}");
}
