//! Builds from request to end, with a broker and a runner played by the test.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Broker, House, answer, broker, event, house, part, until};

/// Starts a build and gives the answer and the command that the broker got.
pub(crate) async fn start(house: &House, broker: &Broker, project: &str) -> (Value, Value) {
    let path = format!("/api/projects/{project}/build");
    let (status, started) = house
        .post(
            &path,
            json!({"agent": "command", "command": ["true"], "prompt": "p"}),
        )
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{started}");
    let mut post = broker.next().await;
    (started, post["command"].take())
}

#[tokio::test]
async fn a_build_goes_from_request_to_end() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("wordcount").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    assert_eq!(command["id"], started["commandId"]);
    assert_eq!(command["type"], "start-build");
    assert_eq!(command["payload"]["projectSlug"], "wordcount");
    assert!(command["payload"]["otlp"]["key"].is_string());
    let trace = command["_sentry"]["trace"].as_str().unwrap();
    assert!(trace.starts_with(started["traceId"].as_str().unwrap()) && trace.ends_with("-1"));

    let again = format!("/api/projects/{project}/build");
    let (status, body) = house.post(&again, json!({"command": "true"})).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("build_running"))
    );

    let carrier = &command["_sentry"];
    let todos = json!({"todos": [{"content": "compile", "activeForm": "compiling", "status": "in_progress"}]});
    let mut events = vec![
        event("ack", &command, 1, json!({})),
        part(&command, 2, json!({"type": "start"})),
        part(
            &command,
            3,
            json!({"type": "tool-input-available", "toolCallId": "t", "toolName": "TodoWrite", "input": todos}),
        ),
        part(
            &command,
            4,
            json!({"type": "text-delta", "id": "a", "delta": "Hello"}),
        ),
        event(
            "build-completed",
            &command,
            5,
            json!({"payload": {"todos": [], "summary": "done"}, "exitCode": 0}),
        ),
    ];
    for event in &mut events {
        event["_sentry"] = carrier.clone();
    }
    let (status, reply) = house.ingest(json!(events).to_string()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        reply["acked"][command["id"].as_str().unwrap()],
        5,
        "{reply}"
    );

    let session = started["sessionId"].as_str().unwrap();
    let (_, build) = house.get(&format!("/api/builds/{session}")).await;
    assert_eq!(build["status"], "completed", "{build}");
    assert_eq!(
        (&build["final"], &build["exitCode"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(build["traceId"], started["traceId"]);
    assert_eq!(build["todos"][0]["content"], "compile");
    assert_eq!(build["textByTodo"]["0"][0]["text"], "Hello");

    let (_, standing) = house
        .get(&format!("/api/builds/{session}?state=false"))
        .await;
    assert_eq!(
        (&standing["sessionId"], standing.get("todos")),
        (&build["sessionId"], None)
    );
    assert_eq!(
        (&standing["runnerId"], &build["runnerId"]),
        (&json!("r1"), &json!("r1"))
    );
    let (_, log) = house
        .get(&format!("/api/builds/{session}/events?after=1&limit=2"))
        .await;
    assert_eq!(log["events"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&log["next"], &log["events"][0]["seq"]),
        (&json!(3), &json!(2))
    );
    assert!(log["events"][0]["body"].get("_sentry").is_none());

    let (_, builds) = house
        .get("/api/builds?project=wordcount&status=completed")
        .await;
    let listed = &builds["builds"][0];
    for (key, value) in [
        ("sessionId", started["sessionId"].clone()),
        ("projectName", json!("wordcount")),
        ("projectSlug", json!("wordcount")),
        ("agentId", json!("command")),
        ("runnerId", json!("r1")),
        ("lastSeq", json!(5)),
        ("todosTotal", json!(1)),
        ("todosDone", json!(0)),
        ("activeTodo", json!("compiling")),
    ] {
        assert_eq!(listed[key], value, "{key} in {listed}");
    }
    let (_, messages) = house
        .get(&format!("/api/projects/{project}/messages"))
        .await;
    assert_eq!(messages["sessions"][0]["hydratedState"]["isActive"], false);
    let (_, traces) = house.get("/api/traces").await;
    assert_eq!(traces["traces"][0]["traceId"], started["traceId"]);

    let cancel = format!("/api/builds/{session}/cancel");
    let (status, body) = house.post(&cancel, json!({})).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("already_ended"))
    );
}

#[tokio::test]
async fn a_builds_trace_has_the_request_at_its_head_and_every_event_in_it() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("p").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    let mut event = part(
        &command,
        1,
        json!({"type": "text-delta", "id": "a", "delta": "x"}),
    );
    event["_sentry"] = command["_sentry"].clone();
    house.ingest(event.to_string()).await;
    let trace_id = started["traceId"].as_str().unwrap();
    let spans = house.spans(trace_id);
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name.to_string() == name);
        found.unwrap_or_else(|| {
            panic!(
                "no {name} in {:?}",
                spans.iter().map(|s| &s.name).collect::<Vec<_>>()
            )
        })
    };
    let request = named("POST /api/projects/{id}/build");
    assert_eq!(request.parent_id, None);
    for (key, value) in [
        ("event.type", "start-build"),
        ("event.commandId", command["id"].as_str().unwrap()),
    ] {
        let found = request.attribute(key);
        assert_eq!(found, Some(value.to_owned().into()), "{key}");
    }
    let taken = named("api.runner.events.build-stream");
    assert_eq!(taken.parent_id, Some(request.span_id));
    let persisted = named("persistent-processor.persistEvent.text-delta");
    assert_eq!(persisted.parent_id, Some(taken.span_id));
    let keys = taken.event.as_ref().unwrap();
    assert_eq!(
        (&*keys.command_id, keys.seq),
        (command["id"].as_str().unwrap(), 1)
    );
    for (format, field) in [
        ("tree", "traceId"),
        ("otlp", "resourceSpans"),
        ("path", "hops"),
    ] {
        let (status, trace) = house
            .get(&format!("/api/traces/{trace_id}?format={format}"))
            .await;
        assert_eq!(status, StatusCode::OK);
        assert!(trace.get(field).is_some(), "{format}: {trace}");
    }
    let (status, _) = house
        .get(&format!("/api/traces/{trace_id}?format=odd"))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_caller_is_linked_or_goes_on_as_it_says() {
    const CALLER: &str = "771a43a4192642f0b136d5159a501700-b7ad6b7169203331-1";
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    for (mode, goes_on) in [
        (None, false),
        (Some("new"), false),
        (Some("continue"), true),
    ] {
        let project = house.project("p").await;
        let mut body = json!({"command": "true"});
        if let Some(mode) = mode {
            body["trace"] = mode.into();
        }
        let request = house
            .admin(Method::POST, &format!("/api/projects/{project}/build"))
            .header("sentry-trace", CALLER)
            .header("baggage", "vendor=1")
            .json(&body);
        let (status, started) = answer(request).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let trace_id = started["traceId"].as_str().unwrap();
        assert_eq!(CALLER.starts_with(trace_id), goes_on, "{mode:?}");
        let post = broker.next().await;
        let baggage = post["command"]["_sentry"]["baggage"].as_str().unwrap();
        assert!(baggage.contains("vendor=1"), "{baggage}");
        let spans =
            until(|| async { Some(house.spans(trace_id)).filter(|spans| !spans.is_empty()) }).await;
        let request = &spans[0];
        assert_eq!(request.parent_id.is_some(), goes_on);
        let links: Vec<_> = request.links.iter(request.trace_id).collect();
        assert_eq!(links.len(), usize::from(!goes_on));
    }
}

#[tokio::test]
async fn the_runner_is_the_one_named_or_the_projects_or_the_only_one() {
    let house = house().await;
    let broker = broker().await;
    let build = |project: String, runner: Option<&'static str>| {
        let mut body = json!({"command": "true"});
        if let Some(runner) = runner {
            body["runnerId"] = runner.into();
        }
        let request = house
            .admin(Method::POST, &format!("/api/projects/{project}/build"))
            .json(&body);
        answer(request)
    };
    let project = house.project("p").await;
    let (status, body) = build(project.clone(), None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["code"], "runner_unavailable");
    let (_, builds) = house.get("/api/builds").await;
    assert_eq!(builds["builds"], json!([]), "no session was made");

    house.link("r1", broker.address, "hopline.v1").await;
    house.link("r2", broker.address, "hopline.v1").await;
    let (status, body) = build(project.clone(), None).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::CONFLICT, &json!("choose_runner"))
    );
    let (status, _) = build(project.clone(), Some("r3")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = build(project, Some("r2")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(broker.next().await["runnerId"], "r2");

    let url = format!("http://{}", broker.address);
    house.report("r2", &url, "down", "hopline.v1").await;
    let (status, _) = build(house.project("q").await, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "the only one that is linked");
    assert_eq!(broker.next().await["runnerId"], "r1");
    let (_, runners) = house.get("/api/runners").await;
    assert_eq!(runners["runners"][1]["link"], "down");
    for (which, ids) in [
        ("link=up", &["r1"][..]),
        ("link=down", &["r2"]),
        ("id=r2", &["r2"]),
        ("id=r2&link=up", &[]),
        ("id=nobody", &[]),
    ] {
        let (_, listed) = house.get(&format!("/api/runners?{which}")).await;
        let listed = listed["runners"].as_array().unwrap();
        let listed: Vec<_> = listed.iter().map(|runner| &runner["id"]).collect();
        assert_eq!(listed, ids, "{which}");
    }
    let (status, _) = house.get("/api/runners?link=odd").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_runner_of_one_build_gets_what_it_is_named_for_and_no_project_keeps_it() {
    let house = house().await;
    let broker = broker().await;
    let url = format!("http://{}", broker.address);
    let say = async |runner: &str, link: &str, payload: Option<Value>| {
        let status = json!({"type": "runner-status", "runnerId": runner, "brokerUrl": url, "link": link, "payload": payload});
        let (status, reply) = house.ingest(status.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{reply}");
    };
    let one_build = Some(json!({"status": "ok", "protocol": "hopline.v1", "oneBuild": true}));
    let build = async |project: &str, runner: Option<&str>| {
        let body = json!({"command": "true", "runnerId": runner});
        let path = format!("/api/projects/{project}/build");
        let (status, _) = house.post(&path, body).await;
        status
    };
    // The broker may tell of the link before the runner has said what it is, or after.
    say("run-1", "up", None).await;
    let late = house.project("late").await;
    assert_eq!(build(&late, Some("run-1")).await, StatusCode::ACCEPTED);
    say("run-1", "up", one_build.clone()).await;
    say("run-2", "up", one_build).await;
    let early = house.project("early").await;
    assert_eq!(build(&early, Some("run-2")).await, StatusCode::ACCEPTED);
    let (_, kept) = house.get(&format!("/api/projects/{early}")).await;
    assert_eq!(kept["runnerId"], Value::Null, "it had said what it is");
    for _ in 0..2 {
        let command = broker.next().await["command"].take();
        let end = event("build-completed", &command, 1, json!({}));
        house.ingest(json!([end]).to_string()).await;
    }
    let other = house.project("other").await;
    assert_eq!(
        build(&other, None).await,
        StatusCode::SERVICE_UNAVAILABLE,
        "a build of its own is all that each is there for"
    );
    for runner in ["run-1", "run-2"] {
        say(runner, "down", None).await;
    }
    house.link("r", broker.address, "hopline.v1").await;
    for project in [&late, &early] {
        assert_eq!(build(project, None).await, StatusCode::ACCEPTED);
        assert_eq!(broker.next().await["runnerId"], "r");
        let (_, kept) = house.get(&format!("/api/projects/{project}")).await;
        assert_eq!(kept["runnerId"], "r", "{kept}");
    }
}

#[tokio::test]
async fn a_build_that_makes_no_sense_is_refused() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = format!("/api/projects/{project}/build");
    for body in [
        json!({}),
        json!({"agent": "command"}),
        json!({"agent": "steps", "steps": []}),
        json!({"agent": "steps", "steps": [{"name": "x"}]}),
        json!({"command": 5}),
        json!({"command": []}),
        json!({"command": " "}),
        json!({"command": "true", "operationType": "odd"}),
        json!({"command": "true", "trace": "odd"}),
    ] {
        let (status, answer) = house.post(&path, body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
    }
    let (status, _) = house
        .post(
            "/api/projects/6f1c2d7e-0000-4000-8000-000000000000/build",
            json!({"command": "true"}),
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(broker.count(), 0);
}

#[tokio::test]
async fn a_cancellation_goes_to_the_builds_runner_or_is_decided_here() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("p").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    house
        .ingest(event("ack", &command, 1, json!({})).to_string())
        .await;
    let path = format!(
        "/api/builds/{}/cancel",
        started["sessionId"].as_str().unwrap()
    );
    let (status, body) = house.post(&path, json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let post = broker.next().await;
    assert_eq!(post["command"]["type"], "cancel-build");
    assert_eq!(post["command"]["payload"]["targetCommandId"], command["id"]);

    let url = format!("http://{}", broker.address);
    house.report("r1", &url, "down", "hopline.v1").await;
    let (status, body) = house.post(&path, json!({})).await;
    assert_eq!(
        (status, &body["commandId"]),
        (StatusCode::ACCEPTED, &Value::Null)
    );
    let (_, build) = house
        .get(&format!(
            "/api/builds/{}",
            started["sessionId"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        (&build["status"], &build["errorMessage"]),
        (&json!("failed"), &json!("cancelled"))
    );
}

#[tokio::test]
async fn a_build_that_its_runner_does_not_know_ends_when_it_is_cancelled() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("p").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    house
        .ingest(event("ack", &command, 1, json!({})).to_string())
        .await;
    let build = format!("/api/builds/{}", started["sessionId"].as_str().unwrap());
    let (status, _) = house.post(&format!("{build}/cancel"), json!({})).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let cancel = broker.next().await["command"].take();
    let unknown = json!({"error": "the build never ran here", "code": "already_ended"});
    for event in [
        event("ack", &cancel, 1, json!({})),
        event("error", &cancel, 2, unknown),
    ] {
        house.ingest(event.to_string()).await;
    }
    let ended = crate::support::until(|| async {
        let (_, build) = house.get(&build).await;
        (build["status"] == "failed").then_some(build)
    })
    .await;
    assert_eq!(
        (&ended["errorMessage"], &ended["final"]),
        (&json!("cancelled"), &json!(true))
    );
    let path = format!("/api/projects/{project}/build");
    let (status, body) = house.post(&path, json!({"command": ["true"]})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
}

#[tokio::test]
async fn builds_are_listed_page_by_page() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        let project = house.project("p").await;
        expected.push(start(&house, &broker, &project).await.0["sessionId"].clone());
    }
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = house
            .get(&format!("/api/builds?limit=2&cursor={cursor}"))
            .await;
        let builds = page["builds"].as_array().unwrap();
        assert!(builds.len() <= 2);
        listed.extend(builds.iter().map(|build| build["sessionId"].clone()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed.len(), 5);
    assert!(expected.iter().all(|session| listed.contains(session)));
}
