//! Commands on their way: sent again until an event answers, given up in time, answered through events.

use std::time::Duration;

use axum::http::StatusCode;
use hopline_state::rows::CommandStatus;
use reqwest::Method;
use serde_json::{Value, json};

use crate::builds::start;
use crate::support::{House, answer, broker, event, house, house_with, part, until};

#[tokio::test]
async fn a_command_is_sent_again_under_the_same_id_until_the_broker_takes_it() {
    let house = house().await;
    let broker = broker().await;
    broker.answer_next(&[503, 500]);
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let (_, first) = start(&house, &broker, &project).await;
    for _ in 0..2 {
        assert_eq!(broker.next().await["command"], first);
    }
    let ack = event("ack", &first, 1, json!({}));
    let (status, _) = house.ingest(ack.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let count = broker.count();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(
        broker.count(),
        count,
        "an answered command is not sent again"
    );
}

#[tokio::test]
async fn a_command_that_was_written_and_not_answered_is_sent_again() {
    let house = house_with(|options| options.send_again_after = Duration::from_millis(20)).await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let (_, first) = start(&house, &broker, &project).await;
    assert_eq!(broker.next().await["command"], first);
}

#[tokio::test]
async fn a_build_whose_runner_never_answers_fails_as_unreachable() {
    let house = house_with(|options| options.command_timeout = Duration::from_millis(300)).await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let (started, command) = start(&house, &broker, &project).await;
    let path = format!("/api/builds/{}", started["sessionId"].as_str().unwrap());
    let failed = until(|| async {
        let (_, build) = house.get(&path).await;
        (build["status"] == "failed").then_some(build)
    })
    .await;
    let message = failed["errorMessage"].as_str().unwrap();
    assert!(message.contains("runner_unreachable"), "{message}");
    assert_eq!(failed["final"], true);
    // What comes after all is taken, and changes nothing of that.
    let ack = event("ack", &command, 1, json!({}));
    assert_eq!(house.ingest(ack.to_string()).await.0, StatusCode::OK);
    assert_eq!(house.get(&path).await.1["status"], "failed");
}

#[tokio::test]
async fn a_command_that_its_broker_refuses_for_good_is_not_waited_for() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let at = format!("does not answer at http://{} (421)", broker.address);
    for (name, status, told) in [("p", 413, "413"), ("q", 421, &*at)] {
        broker.answer_next(&[status]);
        let project = house.project(name).await;
        let (started, _) = start(&house, &broker, &project).await;
        let path = format!("/api/builds/{}", started["sessionId"].as_str().unwrap());
        let failed = until(|| async {
            let (_, build) = house.get(&path).await;
            (build["status"] == "failed").then_some(build)
        })
        .await;
        let message = failed["errorMessage"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
    }
}

#[tokio::test]
async fn a_legacy_runner_is_not_sent_a_command_again_that_may_have_been_written() {
    use tokio::io::AsyncReadExt as _;
    let house = house().await;
    // A broker that gets each request and says nothing to it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 64 << 10];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            asked.send(request).unwrap();
        }
    });
    let mut asked_of = async |runner: &str| {
        let next = tokio::time::timeout(Duration::from_secs(20), requests.recv());
        let request = next.await.expect("a request in time").unwrap();
        assert!(
            request.contains(&format!(r#""runnerId":"{runner}""#)),
            "{request}"
        );
    };
    let build = async |name: &str, runner: &str, protocol: &str| {
        house.link(runner, address, protocol).await;
        let project = house.project(name).await;
        let body = json!({"command": "true", "runnerId": runner});
        house
            .post(&format!("/api/projects/{project}/build"), body)
            .await;
    };
    build("p", "old", "legacy").await;
    asked_of("old").await;
    build("q", "new", "hopline.v1").await;
    // Three pauses long nothing more comes for the legacy one.
    for _ in 0..3 {
        asked_of("new").await;
    }
}

#[tokio::test]
async fn a_request_that_waits_for_its_runner_does_not_hold_up_the_servers_end() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = format!("/api/projects/{project}/files");
    let waiting = tokio::spawn(answer(house.admin(Method::GET, &path)));
    broker.next().await;
    let House { server, .. } = house;
    // Longer than anything but the wait for the answer may take, and far shorter than that.
    let deadline = std::time::Instant::now() + Duration::from_secs(15);
    assert!(server.shutdown(deadline).await);
    let (status, body) = waiting.await.unwrap();
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("stopping"))
    );
}

#[tokio::test]
async fn a_build_that_has_ended_for_now_can_be_cancelled() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("p").await;
    house.link("r1", broker.address, "legacy").await;
    let (started, command) = start(&house, &broker, &project).await;
    let todos = json!([{"content": "a", "activeForm": "a", "status": "completed"}]);
    let mut plan = part(
        &command,
        1,
        json!({"type": "tool-input-available", "toolCallId": "t", "toolName": "TodoWrite", "input": {"todos": todos}}),
    );
    // Runners of the older kind number nothing, and of their builds a plan that is done is the end for now.
    plan.as_object_mut().unwrap().remove("seq");
    house.ingest(plan.to_string()).await;
    let build = format!("/api/builds/{}", started["sessionId"].as_str().unwrap());
    let standing = house.get(&build).await.1;
    assert_eq!(
        (&standing["status"], &standing["final"]),
        (&json!("completed"), &json!(false))
    );
    let cancel = format!("{build}/cancel");
    let (status, body) = house.post(&cancel, json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let sent = &broker.next().await["command"];
    assert_eq!(sent["type"], "cancel-build");
    assert_eq!(sent["payload"]["targetCommandId"], command["id"]);
    // Without its runner nobody can end it any more than it has ended.
    house
        .report(
            "r1",
            &format!("http://{}", broker.address),
            "down",
            "legacy",
        )
        .await;
    let (status, body) = house.post(&cancel, json!({})).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("already_ended"))
    );
}

#[tokio::test]
async fn a_legacy_runner_is_sent_a_command_once() {
    let house = house().await;
    let broker = broker().await;
    broker.answer_next(&[503]);
    house.link("r1", broker.address, "legacy").await;
    let project = house.project("p").await;
    let (_, command) = start(&house, &broker, &project).await;
    broker.next().await;
    let id = command["id"].as_str().unwrap();
    until(|| async {
        let loaded = house.store.load_command(id).await.unwrap()?;
        (loaded.command.status == CommandStatus::Sent).then_some(())
    })
    .await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        broker.count(),
        2,
        "the first was not written; the second was"
    );
}

#[tokio::test]
async fn a_broker_is_asked_with_the_secret_and_the_trace() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    house
        .post(
            &format!("/api/projects/{project}/build"),
            json!({"command": "true"}),
        )
        .await;
    let post = broker.next().await;
    assert_eq!(post["runnerId"], "r1");
    assert_eq!(post["headers"]["authorization"], "Bearer the-runner-secret");
    assert_eq!(
        post["headers"]["sentry-trace"],
        post["command"]["_sentry"]["trace"]
    );
    assert!(post["headers"]["traceparent"].is_string());
}

/// Plays a runner that answers one command with these events.
async fn play(
    house: &crate::support::House,
    broker: &crate::support::Broker,
    kind: &str,
    answers: &[(&str, Value)],
) -> Value {
    let mut post = broker.next().await;
    let command = post["command"].take();
    assert_eq!(command["type"], kind);
    let events: Vec<Value> = (1..)
        .zip(answers)
        .map(|(seq, (kind, fields))| event(kind, &command, seq, fields.clone()))
        .collect();
    let (status, reply) = house.ingest(json!(events).to_string()).await;
    assert_eq!((status, &reply["rejected"]), (StatusCode::OK, &json!([])));
    command
}

#[tokio::test]
async fn files_are_listed_read_and_written_at_the_runner() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = |rest: &str| format!("/api/projects/{project}/files{rest}");

    let answers = [
        ("ack", json!({})),
        (
            "file-list",
            json!({"slug": "p", "files": [{"name": "a", "type": "file", "path": "a", "size": 3}]}),
        ),
    ];
    let listing = path("?path=src");
    let asked = house.get(&listing);
    let ((status, list), command) =
        tokio::join!(asked, play(&house, &broker, "list-files", &answers));
    assert_eq!(
        (status, &list["files"][0]["name"]),
        (StatusCode::OK, &json!("a"))
    );
    assert_eq!(command["payload"], json!({"slug": "p", "path": "src"}));

    let content =
        json!({"slug": "p", "filePath": "a", "content": "abc", "encoding": "utf8", "size": 3});
    let answers = [("ack", json!({})), ("file-content", content)];
    let reading = path("/content?path=a");
    let asked = house.get(&reading);
    let ((status, file), _) = tokio::join!(asked, play(&house, &broker, "read-file", &answers));
    assert_eq!((status, &file["content"]), (StatusCode::OK, &json!("abc")));

    let answers = [("file-written", json!({"slug": "p", "filePath": "b"}))];
    let request = house.admin(Method::PUT, &path("/content?path=b"));
    let asked = answer(request.json(&json!({"content": "x"})));
    let ((status, written), command) =
        tokio::join!(asked, play(&house, &broker, "write-file", &answers));
    assert_eq!((status, &written["path"]), (StatusCode::OK, &json!("b")));
    assert_eq!(command["payload"]["content"], "x");
}

#[tokio::test]
async fn what_a_runner_refuses_is_told_with_the_right_status() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = format!("/api/projects/{project}/files/content?path=x");
    for (code, status) in [
        ("not_found", 404),
        ("outside_project", 400),
        ("too_large", 413),
        ("permission_denied", 403),
        ("io", 502),
    ] {
        let answers = [(
            "error",
            json!({"error": "no", "code": code, "stack": "at secret.rs"}),
        )];
        let asked = house.get(&path);
        let ((got, body), _) = tokio::join!(asked, play(&house, &broker, "read-file", &answers));
        assert_eq!(got.as_u16(), status, "{code}: {body}");
        assert!(!body.to_string().contains("secret.rs"));
    }
}

#[tokio::test]
async fn a_dev_server_is_started_watched_and_stopped() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = |rest: &str| format!("/api/projects/{project}/{rest}");

    let (status, _) = house.post(&path("start"), json!({})).await;
    assert_eq!(
        status,
        StatusCode::BAD_REQUEST,
        "nobody knows how to start it"
    );
    let answers = [
        ("ack", json!({})),
        (
            "log-chunk",
            json!({"stream": "stdout", "data": "starting", "cursor": 1}),
        ),
        ("port-detected", json!({"port": 5173, "framework": "vite"})),
    ];
    let starting = path("start");
    let asked = house.post(&starting, json!({"runCommand": "npm run dev"}));
    let ((status, started), _) =
        tokio::join!(asked, play(&house, &broker, "start-dev-server", &answers));
    assert_eq!((status, &started["port"]), (StatusCode::OK, &json!(5173)));

    let answers = [
        (
            "log-chunk",
            json!({"stream": "stdout", "data": "one", "cursor": 1}),
        ),
        (
            "log-chunk",
            json!({"stream": "stderr", "data": "two", "cursor": 2, "last": true}),
        ),
    ];
    let logs = path("logs?cursor=0");
    let ((status, logs), _) = tokio::join!(
        house.get(&logs),
        play(&house, &broker, "fetch-logs", &answers)
    );
    assert_eq!((status, &logs["cursor"]), (StatusCode::OK, &json!(2)));
    assert_eq!(
        logs["chunks"][1],
        json!({"stream": "stderr", "data": "two"})
    );

    let answers = [("process-exited", json!({"exitCode": 0, "durationMs": 5}))];
    let stopping = path("stop");
    let asked = house.post(&stopping, json!({}));
    let ((status, stopped), _) =
        tokio::join!(asked, play(&house, &broker, "stop-dev-server", &answers));
    assert_eq!((status, &stopped["exitCode"]), (StatusCode::OK, &json!(0)));

    let answers = [("process-exited", json!({"exitCode": 1, "durationMs": 5}))];
    let asked = house.post(&starting, json!({"runCommand": "false"}));
    let ((status, body), _) =
        tokio::join!(asked, play(&house, &broker, "start-dev-server", &answers));
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::BAD_GATEWAY, &json!("exited"))
    );
}

#[tokio::test]
async fn a_request_does_not_wait_for_ever() {
    let house = house_with(|options| options.answer_timeout = Duration::from_millis(200)).await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = format!("/api/projects/{project}/files");
    let (status, body) = house.get(&path).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{body}");
    // An acknowledgement alone is no answer.
    let asked = house.get(&path);
    broker.next().await;
    let answers = [("ack", json!({}))];
    let ((status, body), _) = tokio::join!(asked, play(&house, &broker, "list-files", &answers));
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::GATEWAY_TIMEOUT, &json!("no_answer"))
    );
}

#[tokio::test]
async fn a_command_that_a_stopped_server_left_unanswered_fails_under_the_next() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (project, other) = (house.project("p").await, house.project("q").await);
    let (left, _) = start(&house, &broker, &project).await;
    let (answered, command) = start(&house, &broker, &other).await;
    let house = house
        .restart(|options| options.command_timeout = Duration::from_secs(1))
        .await;
    let ack = event("ack", &command, 1, json!({}));
    house.ingest(ack.to_string()).await;
    let build = async |started: &Value| {
        let session = started["sessionId"].as_str().unwrap();
        house.get(&format!("/api/builds/{session}")).await.1
    };
    until(|| async { (build(&left).await["status"] == "failed").then_some(()) }).await;
    assert_eq!(build(&answered).await["status"], "active");
}
