//! The commands that are no builds: files, health, dev servers, and what is no command at all.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod support;

use broker::{Broker, TestRunner, V1, assert_in_order, command, types};
use serde_json::{Value, json};
use support::{Held, eventually, exists, pid_in};

/// Sends a command and answers its last event, which is of this type.
async fn answer(broker: &Broker, id: &str, kind: &str, payload: Value, expected: &str) -> Value {
    broker.send(command(id, kind, payload)).await;
    let events = broker.until_event(id, expected).await;
    assert_in_order(&events);
    assert_eq!(types(&events), ["ack", expected]);
    events[1].clone()
}

#[tokio::test]
async fn files_are_written_read_listed_and_deleted() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let file = json!({"slug": "p", "filePath": "a/b.txt", "content": "aGk=", "encoding": "base64"});
    let written = answer(&broker, "w", "write-file", file, "file-written").await;
    assert_eq!(
        (&written["slug"], &written["filePath"]),
        (&json!("p"), &json!("a/b.txt"))
    );
    let file = json!({"slug": "p", "filePath": "a/b.txt"});
    let content = answer(&broker, "r", "read-file", file, "file-content").await;
    assert_eq!(
        (&content["content"], &content["encoding"], &content["size"]),
        (&json!("hi"), &json!("utf8"), &json!(2))
    );
    assert!(content["_sentry"]["trace"].is_string(), "carried");
    let list = answer(
        &broker,
        "l",
        "list-files",
        json!({"slug": "p", "path": "a"}),
        "file-list",
    )
    .await;
    assert_eq!(
        list["files"],
        json!([{"name": "b.txt", "type": "file", "path": "a/b.txt", "size": 2}])
    );
    let deleted = answer(
        &broker,
        "d",
        "delete-project-files",
        json!({"slug": "p"}),
        "files-deleted",
    )
    .await;
    assert_eq!(deleted["slug"], "p");
    assert!(!runner.folder.path().join("p").exists());
    let named = |span: &hopline_wire::span::Span| span.name.to_string();
    eventually("the commands' spans", || {
        let names: Vec<_> = runner.spans().iter().map(named).collect();
        ["write-file", "read-file"]
            .iter()
            .all(|kind| names.contains(&format!("handleCommand.{kind}")))
            && names.contains(&"runner.sendEvent.file-written".to_owned())
            && !names.contains(&"runner.sendEvent.file-content".to_owned())
    })
    .await;
    runner.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_answered_with_an_error_of_its_code() {
    let broker = Broker::start(V1).await;
    broker.takes_events_up_to(16 << 10);
    let runner = TestRunner::start(&broker).await;
    std::fs::write(runner.project().join("large"), "x".repeat(20 << 10)).unwrap();
    std::fs::write(runner.project().join("quotes"), "\"".repeat(10 << 10)).unwrap();
    std::os::unix::fs::symlink("/etc", runner.project().join("out")).unwrap();
    let file = |path: &str| json!({"slug": "p", "filePath": path});
    for (kind, payload, code) in [
        ("read-file", file("missing"), "not_found"),
        ("read-file", file("../secret"), "outside_project"),
        ("read-file", file("/etc/passwd"), "outside_project"),
        ("read-file", file("out/passwd"), "outside_project"),
        ("read-file", file("a\0b"), "invalid_path"),
        ("read-file", file("."), "is_a_directory"),
        ("read-file", file("large"), "too_large"),
        ("read-file", file("quotes"), "too_large"),
        ("read-file", json!({"slug": "p"}), "bad_command"),
        (
            "write-file",
            json!({"slug": "p", "filePath": "x", "content": "?", "encoding": "base64"}),
            "invalid_content",
        ),
        (
            "list-files",
            json!({"slug": "none", "path": ""}),
            "not_found",
        ),
        (
            "delete-project-files",
            json!({"slug": ".."}),
            "invalid_path",
        ),
        ("stop-dev-server", json!({}), "not_running"),
        (
            "start-dev-server",
            json!({"runCommand": " "}),
            "bad_command",
        ),
        (
            "cancel-build",
            json!({"targetCommandId": "none"}),
            "already_ended",
        ),
        ("cancel-build", json!({}), "bad_command"),
        ("make-coffee", json!({}), "unknown_command"),
    ] {
        let id = format!("{kind} {payload}");
        let error = answer(&broker, &id, kind, payload, "error").await;
        assert_eq!(error["code"], code, "{id}: {error}");
        assert!(!error["error"].as_str().unwrap().is_empty());
    }
    runner.stop().await;
}

#[tokio::test]
async fn what_is_no_command_is_ignored() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    for frame in [
        json!([]),
        json!(5),
        json!({"type": "x"}),
        json!({"id": "", "type": "x"}),
        json!({"id": 5, "type": "read-file"}),
    ] {
        broker.send(frame).await;
    }
    let status = answer(
        &broker,
        "h",
        "runner-health-check",
        json!({}),
        "runner-status",
    )
    .await;
    assert_eq!(status["payload"]["status"], "ok");
    assert!(
        status["payload"]["hostname"].is_string() && status["payload"]["uptimeSeconds"].is_number()
    );
    runner.stop().await;
}

#[tokio::test]
async fn a_command_that_cannot_be_read_whole_is_answered_under_its_id() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    broker
        .send(json!({"id": "n", "type": "read-file", "projectId": 5}))
        .await;
    let events = broker.until_event("n", "error").await;
    assert_eq!(types(&events), ["ack", "error"]);
    assert_eq!(events[1]["code"], "bad_command");
    broker
        .send(json!({"id": "b", "type": "start-build", "timestamp": 1_700_000_000_000_u64}))
        .await;
    let events = broker.until_event("b", "build-failed").await;
    assert_eq!(types(&events), ["ack", "error", "build-failed"]);
    for (id, frame) in [
        ("none", json!({"id": "none", "projectId": "p"})),
        ("number", json!({"id": "number", "type": 5})),
    ] {
        broker.send(frame).await;
        let events = broker.until_event(id, "error").await;
        assert_eq!(events[1]["code"], "bad_command");
    }
    runner.stop().await;
}

#[tokio::test]
async fn a_runner_says_how_it_is_without_being_asked() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    broker
        .until("a word about itself", |events| {
            events.iter().any(|event| {
                event["type"] == "runner-status"
                    && event.get("commandId").is_none()
                    && event.get("seq").is_none()
            })
        })
        .await;
    runner.stop().await;
}

#[tokio::test]
async fn a_dev_server_lives_from_start_to_stop_and_its_logs_can_be_had_again() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let pid_file = runner.project().join("pid");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let run = "echo $$ > pid; echo \"ready at http://localhost:$PORT/\"; echo oops >&2; sleep 1000";
    let start = json!({"runCommand": run, "projectSlug": "p", "preferredPort": port, "framework": "vite", "env": {"A": "1"}});
    broker
        .send(command("s", "start-dev-server", start.clone()))
        .await;
    let pid = pid_in(&pid_file).await;
    let events = broker.until_event("s", "port-detected").await;
    let detected = events
        .iter()
        .find(|event| event["type"] == "port-detected")
        .unwrap();
    assert_eq!(
        (&detected["port"], &detected["framework"]),
        (&json!(port), &json!("vite"))
    );

    let again = answer(&broker, "s2", "start-dev-server", start, "error").await;
    assert_eq!(again["code"], "already_running");

    broker
        .send(command("l", "fetch-logs", json!({"cursor": 0})))
        .await;
    broker
        .until("all logs", |events| {
            events
                .iter()
                .any(|event| event["commandId"] == "l" && event["last"] == true)
        })
        .await;
    let logs = broker.events_of("l");
    let said: String = logs
        .iter()
        .filter_map(|event| event["data"].as_str())
        .collect();
    assert!(said.contains("ready at") && said.contains("oops"), "{said}");
    let cursor = logs.last().unwrap()["cursor"].clone();
    let rest = answer(
        &broker,
        "l2",
        "fetch-logs",
        json!({"cursor": cursor}),
        "log-chunk",
    )
    .await;
    assert_eq!((&rest["data"], &rest["last"]), (&json!(""), &json!(true)));

    let stopped = answer(&broker, "x", "stop-dev-server", json!({}), "process-exited").await;
    assert_eq!(stopped["signal"], "SIGTERM");
    assert!(!exists(pid));
    let events = broker.until_event("s", "process-exited").await;
    assert_in_order(&events);
    let streams: Vec<_> = events
        .iter()
        .filter_map(|event| event["stream"].as_str())
        .collect();
    assert!(streams.contains(&"stdout") && streams.contains(&"stderr"));
    runner.stop().await;
}

#[tokio::test]
async fn a_port_is_found_by_what_the_server_listens_on() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    runner.project();
    // Perl is on every Debian; it listens without a word, in a process of its own.
    let run = r#"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:0"); open(F, ">port"); print F $s->sockport, "\n"; close F; sleep 1000' & wait"#;
    let start = json!({"runCommand": run, "workingDirectory": "p"});
    broker.send(command("s", "start-dev-server", start)).await;
    let port = pid_in(&runner.project().join("port")).await;
    let events = broker.until_event("s", "port-detected").await;
    assert_eq!(events.last().unwrap()["port"], port);
    runner.stop().await;
    let events = broker.events_of("s");
    assert_eq!(events.last().unwrap()["type"], "process-exited");
}

#[tokio::test]
async fn a_dev_server_that_ends_by_itself_tells_its_exit_code() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    runner.project();
    let start = json!({"runCommand": "echo no; exit 3", "projectSlug": "p"});
    broker.send(command("s", "start-dev-server", start)).await;
    let events = broker.until_event("s", "process-exited").await;
    let ended = events.last().unwrap();
    assert_eq!(
        (&ended["exitCode"], &ended["signal"]),
        (&json!(3), &Value::Null)
    );
    assert!(ended["durationMs"].is_number());
    runner.stop().await;
}

#[tokio::test]
async fn a_dev_server_can_be_stopped_as_soon_as_it_was_asked_for() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    runner.project();
    for number in 0..10 {
        let (start, stop) = (format!("start {number}"), format!("stop {number}"));
        let run = json!({"runCommand": "sleep 1000", "projectSlug": "p"});
        broker.send(command(&start, "start-dev-server", run)).await;
        broker
            .send(command(&stop, "stop-dev-server", json!({})))
            .await;
        broker.until_event(&stop, "process-exited").await;
        broker.until_event(&start, "process-exited").await;
    }
    // One that cannot begin leaves the place to the next.
    let run = json!({"runCommand": "", "projectSlug": "p"});
    let error = answer(&broker, "bad", "start-dev-server", run, "error").await;
    assert_eq!(error["code"], "bad_command");
    let error = answer(&broker, "none", "stop-dev-server", json!({}), "error").await;
    assert_eq!(error["code"], "not_running");
    runner.stop().await;
}

#[tokio::test]
async fn a_cursor_goes_on_from_one_dev_server_to_the_next() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    runner.project();
    let mut cursor = json!(0);
    for said in ["first", "second"] {
        let run = json!({"runCommand": format!("echo {said}"), "projectSlug": "p"});
        let start = format!("start {said}");
        broker.send(command(&start, "start-dev-server", run)).await;
        broker.until_event(&start, "process-exited").await;
        let fetch = json!({"cursor": cursor});
        let chunk = answer(&broker, said, "fetch-logs", fetch, "log-chunk").await;
        assert_eq!(chunk["data"], format!("{said}\n"));
        cursor = chunk["cursor"].clone();
    }
    runner.stop().await;
}

#[tokio::test]
async fn a_dev_server_ends_though_others_hold_its_pipes_and_write_on() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let pid_file = runner.project().join("pid");
    let run = json!({"runCommand": "echo $$ > pid; exec sleep 1000", "projectSlug": "p"});
    broker.send(command("s", "start-dev-server", run)).await;
    let _held = Held::by_pid(pid_in(&pid_file).await);
    let stopped = answer(&broker, "x", "stop-dev-server", json!({}), "process-exited").await;
    assert_eq!(stopped["signal"], "SIGTERM");
    broker.until_event("s", "process-exited").await;
    runner.stop().await;
}

#[tokio::test]
async fn the_address_of_another_program_is_not_the_servers() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    runner.project();
    let database = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let database = database.local_addr().unwrap();
    let run = format!(
        "echo 'connected to {database} '; sleep 0.5; {}",
        r#"exec perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:0"); $| = 1; print "ready on http://localhost:", $s->sockport, "/\n"; open(F, ">port"); print F $s->sockport, "\n"; close F; sleep 1000'"#
    );
    let start = json!({"runCommand": run, "projectSlug": "p"});
    broker.send(command("s", "start-dev-server", start)).await;
    let port = pid_in(&runner.project().join("port")).await;
    let events = broker.until_event("s", "port-detected").await;
    assert_eq!(events.last().unwrap()["port"], port);
    runner.stop().await;
}
