//! Builds through a real link: what each agent's run looks like to the broker.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod support;

use broker::{Broker, TestRunner, V1, assert_in_order, build, command, parts, text_of, types};
use hopline_runner::ChildSpans;
use hopline_wire::span::Value as SpanValue;
use serde_json::{Value, json};
use support::{Held, eventually, exists, pid_in};

fn of_type<'p>(parts: &'p [Value], kind: &str) -> Vec<&'p Value> {
    parts.iter().filter(|part| part["type"] == kind).collect()
}

fn plans(parts: &[Value]) -> Vec<Vec<&str>> {
    let plans = parts.iter().filter(|part| part["toolName"] == "TodoWrite");
    plans
        .map(|plan| {
            let todos = plan["input"]["todos"].as_array().unwrap();
            todos
                .iter()
                .map(|todo| todo["status"].as_str().unwrap())
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn a_command_is_text_under_one_todo_and_its_end_is_told_once() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let run = json!({"command": "printf 'out\\n'; printf 'err\\n' >&2"});
    broker.send(build("b", "command", run)).await;
    let events = broker.until_event("b", "build-completed").await;
    assert_in_order(&events);
    assert_eq!(events[0]["type"], "ack");
    assert_eq!(text_of(&events, "stdout"), "out\n");
    assert_eq!(text_of(&events, "stderr"), "err\n");
    assert_eq!(
        plans(&parts(&events)),
        [vec!["in_progress"], vec!["completed"]]
    );
    let end = events.last().unwrap();
    assert_eq!(
        (&end["exitCode"], &end["payload"]["todos"][0]["status"]),
        (&json!(0), &json!("completed"))
    );
    assert!(types(&events).contains(&"project-metadata"));
    let report = runner.stop().await;
    assert_eq!((report.commands_ended, report.events_waiting), (true, 0));
    assert_eq!(
        broker.events_of("b").len(),
        events.len(),
        "nothing came after the end"
    );
}

#[tokio::test]
async fn steps_run_in_order_up_to_the_first_that_fails() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    std::fs::create_dir_all(runner.project().join("sub")).unwrap();
    let steps = json!({"steps": [
        {"name": "one", "run": "echo $WORD; pwd", "env": {"WORD": "hello"}, "cwd": "sub"},
        {"name": "two", "run": ["sh", "-c", "echo bad >&2; exit 7"]},
        {"name": "three", "run": "echo never"},
    ]});
    broker.send(build("b", "steps", steps)).await;
    let events = broker.until_event("b", "build-failed").await;
    assert_in_order(&events);
    let parts = parts(&events);
    let expected = [
        vec!["in_progress", "pending", "pending"],
        vec!["completed", "in_progress", "pending"],
    ];
    assert_eq!(plans(&parts), expected);
    let outputs: Vec<_> = of_type(&parts, "tool-output-available")
        .into_iter()
        .filter(|part| part["toolCallId"].as_str().unwrap().starts_with("step-"))
        .collect();
    assert_eq!(outputs[0]["output"]["exitCode"], 0);
    let said = outputs[0]["output"]["stdout"].as_str().unwrap();
    assert!(
        said.starts_with("hello\n") && said.trim_end().ends_with("/p/sub"),
        "{said}"
    );
    assert_eq!(outputs[1]["output"]["exitCode"], 7);
    assert_eq!(outputs[1]["output"]["stderr"], "bad\n");
    assert_eq!(text_of(&events, "step-2-stderr"), "bad\n");
    let end = events.last().unwrap();
    assert_eq!(
        (&end["exitCode"], &end["code"]),
        (&json!(7), &json!("nonzero_exit"))
    );
    let calls: Vec<_> = parts
        .iter()
        .filter_map(|part| part["toolName"].as_str())
        .collect();
    assert!(!calls.contains(&"three"));
    runner.stop().await;
}

#[tokio::test]
async fn a_step_that_cannot_run_or_takes_too_long_says_so() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    for (id, step, code, exit_code, signal) in [
        (
            "missing",
            json!({"name": "a", "run": ["no-such-program"]}),
            "spawn_failed",
            json!(127),
            Value::Null,
        ),
        (
            "outside",
            json!({"name": "a", "run": "true", "cwd": "../.."}),
            "outside_project",
            Value::Null,
            Value::Null,
        ),
        (
            "slow",
            json!({"name": "a", "run": "sleep 60", "timeoutSeconds": 1}),
            "timeout",
            Value::Null,
            json!("SIGTERM"),
        ),
        (
            "killed",
            json!({"name": "a", "run": "kill -KILL $$"}),
            "signal",
            Value::Null,
            json!("SIGKILL"),
        ),
    ] {
        broker
            .send(build(id, "steps", json!({"steps": [step]})))
            .await;
        let events = broker.until_event(id, "build-failed").await;
        let end = events.last().unwrap();
        assert_eq!(
            (&end["code"], &end["exitCode"], &end["signal"]),
            (&json!(code), &exit_code, &signal),
            "{end}"
        );
        assert_in_order(&events);
    }
    runner.stop().await;
}

#[tokio::test]
async fn a_stream_agents_parts_are_sent_as_they_are_and_the_rest_is_text() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let lines = [
        r#"{"type":"start","messageId":"m"}"#,
        "data: {\"type\":\"tool-input-available\",\"toolCallId\":\"p\",\"toolName\":\"TodoWrite\",\"input\":{\"todos\":[{\"content\":\"x\",\"activeForm\":\"x\",\"status\":\"completed\"}]}}",
        "",
        "plain words",
        "more words",
        r#"{"type":"tool-input-available","toolCallId":"c","toolName":"Read","input":{"a":1.0}}"#,
        r#"{"type":"tool-output-available","toolCallId":"c","output":"y"}"#,
        r#"{"type":"data-odd","data":[1]}"#,
        r#"{"no":"type"}"#,
        "data: [DONE]",
    ];
    std::fs::write(runner.project().join("lines"), lines.join("\n")).unwrap();
    let run = json!({"command": ["cat", "lines"]});
    broker.send(build("b", "stream", run)).await;
    let events = broker.until_event("b", "build-completed").await;
    assert_in_order(&events);
    let data: Vec<_> = events
        .iter()
        .filter_map(|event| event["data"].as_str())
        .collect();
    let verbatim = format!("data: {}\n\n", lines[5]);
    assert!(data.contains(&verbatim.as_str()), "{data:#?}");
    assert!(data.contains(&"data: [DONE]\n\n"));
    assert_eq!(
        text_of(&events, "stdout"),
        "plain words\nmore words\n{\"no\":\"type\"}\n"
    );
    let all = parts(&events);
    let kinds: Vec<_> = all
        .iter()
        .map(|part| part["type"].as_str().unwrap())
        .collect();
    let expected = [
        "start",
        "tool-input-available",
        "text-start",
        "text-delta",
        "tool-input-available",
        "tool-output-available",
        "data-odd",
        "text-delta",
        "[DONE]",
        "text-end",
    ];
    assert_eq!(kinds, expected);
    let end = events.last().unwrap();
    assert_eq!(end["payload"]["todos"][0]["title"], "x");
    runner.stop().await;
}

#[tokio::test]
async fn spans_tell_the_build_its_steps_and_every_event_under_what_caused_it() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let trace = "771a43a4192642f0b136d5159a501700-b7ad6b7169203331-1";
    let mut start = build(
        "b",
        "steps",
        json!({"steps": [{"name": "one", "run": "echo x; env"}]}),
    );
    start["_sentry"] = json!({"trace": trace, "baggage": "vendor=1,sentry-trace_id=771a43a4192642f0b136d5159a501700"});
    broker.send(start).await;
    let events = broker.until_event("b", "build-completed").await;
    runner.stop().await;
    let spans = runner.spans();
    let named = |name: &str| {
        let found: Vec<_> = spans
            .iter()
            .filter(|span| span.name.to_string() == name)
            .collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0]
    };
    let handled = named("handleCommand.start-build");
    let (run, step) = (named("runner.build"), named("runner.step.one"));
    assert_eq!(handled.parent_id.unwrap().to_string(), "b7ad6b7169203331");
    assert_eq!(
        (run.parent_id, step.parent_id),
        (Some(handled.span_id), Some(run.span_id))
    );
    assert_eq!(step.attribute("process.exit.code"), Some(SpanValue::Int(0)));
    for span in [handled, run, step] {
        let keys = span.event.as_ref().unwrap();
        assert_eq!((&*keys.command_id, &*keys.project_id), ("b", "project"));
    }
    assert_eq!(
        handled.attribute("cicd.pipeline.result"),
        Some(SpanValue::Text("success".into()))
    );
    assert!(matches!(
        handled.attribute("hopline.clock.offset_ns"),
        Some(SpanValue::Int(_))
    ));
    let mut of_step = 0;
    for event in events.iter().filter(|event| event["type"] != "ack") {
        let carried = event["_sentry"]["trace"].as_str().unwrap();
        let (head, id) = (&carried[..33], &carried[33..49]);
        assert_eq!(head, "771a43a4192642f0b136d5159a501700-");
        assert_eq!(
            event["_sentry"]["baggage"],
            "vendor=1,sentry-trace_id=771a43a4192642f0b136d5159a501700"
        );
        let span = spans
            .iter()
            .find(|span| span.span_id.to_string() == id)
            .unwrap();
        assert!(span.name.to_string().starts_with("runner.sendEvent."));
        assert!(span.end >= span.start && handled.end >= span.end);
        of_step += usize::from(span.parent_id == Some(step.span_id));
    }
    assert!(of_step >= 3, "call, output and answer are the step's");
    let inside = text_of(&events, "step-1-stdout");
    let child = format!(
        "SENTRY_TRACE=771a43a4192642f0b136d5159a501700-{}-1",
        step.span_id
    );
    assert!(inside.contains(&child), "{inside}");
}

#[tokio::test]
async fn a_tools_events_stand_under_the_tools_span_and_unrecorded_traces_make_none() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let lines = [
        r#"{"type":"tool-input-available","toolCallId":"c","toolName":"Read","input":{}}"#,
        r#"{"type":"tool-output-error","toolCallId":"c","errorText":"gone"}"#,
    ];
    std::fs::write(runner.project().join("lines"), lines.join("\n")).unwrap();
    let run = json!({"command": "cat lines"});
    broker.send(build("b", "stream", run.clone())).await;
    broker.until_event("b", "build-completed").await;
    let mut start = build("u", "stream", run);
    start["_sentry"] = json!({"trace": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"});
    broker.send(start).await;
    let unrecorded = broker.until_event("u", "build-completed").await;
    runner.stop().await;
    for event in unrecorded.iter().filter(|event| event["type"] != "ack") {
        assert_eq!(
            event["_sentry"]["trace"],
            "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"
        );
    }
    let spans = runner.spans();
    assert!(
        spans
            .iter()
            .all(|span| span.trace_id.to_string() != "0af7651916cd43dd8448eb211c80319c")
    );
    let tool = spans
        .iter()
        .find(|span| span.name.to_string() == "runner.tool.Read")
        .unwrap();
    assert!(tool.status.is_error());
    assert_eq!(&*tool.event.as_ref().unwrap().command_id, "b");
    let children = spans
        .iter()
        .filter(|span| span.parent_id == Some(tool.span_id));
    assert_eq!(children.count(), 2);
}

#[tokio::test]
async fn a_cancelled_build_ends_as_cancelled_and_one_that_has_ended_cannot_be() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let pid_file = runner.project().join("pid");
    let run = json!({"command": "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done"});
    broker.send(build("b", "command", run)).await;
    let pid = pid_in(&pid_file).await;
    let cancel = json!({"targetCommandId": "b"});
    broker
        .send(command("c1", "cancel-build", cancel.clone()))
        .await;
    let events = broker.until_event("b", "build-failed").await;
    let end = events.last().unwrap();
    assert_eq!(
        (&end["error"], &end["code"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert!(!exists(pid));
    assert_eq!(types(&broker.until_event("c1", "ack").await), ["ack"]);
    broker.send(command("c2", "cancel-build", cancel)).await;
    let events = broker.until_event("c2", "error").await;
    assert_eq!(events.last().unwrap()["code"], "already_ended");
    runner.stop().await;
}

#[tokio::test]
async fn a_command_id_is_carried_out_once() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let run = json!({"command": "echo x >> ran"});
    for _ in 0..3 {
        broker.send(build("b", "command", run.clone())).await;
    }
    broker.until_event("b", "build-completed").await;
    broker.send(build("b", "command", run)).await;
    broker
        .send(command("h", "runner-health-check", json!({})))
        .await;
    broker.until_event("h", "runner-status").await;
    let ran = std::fs::read_to_string(runner.project().join("ran")).unwrap();
    assert_eq!(ran, "x\n");
    runner.stop().await;
}

#[tokio::test]
async fn a_build_that_cannot_begin_fails_with_what_was_expected() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    for (id, agent, payload, expected) in [
        ("b1", "dreamer", json!({}), "dreamer"),
        ("b2", "command", json!({}), "expected command"),
        ("b3", "steps", json!({"steps": []}), "1 to 1000 steps"),
        ("b4", "steps", json!({"steps": [{"name": "a"}]}), "run"),
        (
            "b5",
            "command",
            json!({"command": "true", "otlp": {"key": 5, "x": "hunter2"}}),
            "otlp",
        ),
        (
            "b6",
            "command",
            json!({"command": "true", "projectSlug": "../x"}),
            "slash",
        ),
        (
            "b7",
            "stream",
            json!({"command": "true", "timeoutSeconds": "1"}),
            "a whole number from 1",
        ),
        (
            "b8",
            "steps",
            json!({"steps": [{"name": "a", "run": "true", "timeoutSeconds": 0}]}),
            "a whole number from 1",
        ),
        (
            "b9",
            "steps",
            json!({"steps": [{"name": "a", "run": 5}]}),
            "a line for the shell or a list of words",
        ),
    ] {
        broker.send(build(id, agent, payload)).await;
        let events = broker.until_event(id, "build-failed").await;
        assert_eq!(types(&events), ["ack", "error", "build-failed"]);
        let error = events[2]["error"].as_str().unwrap();
        assert!(
            error.contains(expected) && !error.contains("hunter2"),
            "{error}"
        );
        assert_eq!(events[1]["code"], events[2]["code"]);
    }
    runner.stop().await;
}

#[tokio::test]
async fn a_child_gets_its_key_and_not_its_runners_settings() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::with(&broker, |options| {
        let own = [
            ("HOPLINE_SECRET", "s"),
            ("DATABASE_URL", "d"),
            ("KEPT", "k"),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        options.environment.retain(|(name, _)| name == "PATH");
        options.environment.extend(own);
        options.child_spans = ChildSpans::WithKey("http://broker:4701".into());
    })
    .await;
    let run = json!({"command": "env", "otlp": {"key": "abc"}});
    broker.send(build("b", "command", run)).await;
    let events = broker.until_event("b", "build-completed").await;
    let text = text_of(&events, "stdout");
    let has = |line: &str| text.lines().any(|there| there == line);
    assert!(
        has("OTEL_EXPORTER_OTLP_ENDPOINT=http://broker:4701"),
        "{text}"
    );
    assert!(
        has("OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20abc"),
        "{text}"
    );
    assert!(has("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"), "{text}");
    assert!(has("KEPT=k") && text.contains("TRACEPARENT=00-") && text.contains("BAGGAGE="));
    assert!(!text.contains("HOPLINE_") && !text.contains("DATABASE_URL"));
    runner.stop().await;
}

/// The variables that tell a child of `run` where spans go, with `own` in the runner's environment.
async fn told_of_spans(to: ChildSpans, own: &[(&str, &str)], run: Value) -> Vec<String> {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::with(&broker, |options| {
        options.environment.retain(|(name, _)| name == "PATH");
        let own = own.iter().map(|(name, value)| (name.into(), value.into()));
        options.environment.extend(own);
        options.child_spans = to;
    })
    .await;
    broker.send(build("b", "steps", run)).await;
    let events = broker.until_event("b", "build-completed").await;
    let text = text_of(&events, "step-1-stdout");
    runner.stop().await;
    let told = text.lines().filter(|line| line.starts_with("OTEL_"));
    let mut told: Vec<_> = told.map(str::to_owned).collect();
    told.sort();
    told
}

#[tokio::test]
async fn a_builds_key_goes_with_no_address_but_its_own() {
    let hopline = || ChildSpans::WithKey("http://broker:4701".into());
    let elsewhere = || ChildSpans::Elsewhere {
        endpoint: "http://collector:4318".into(),
        protocol: "http/protobuf",
    };
    let run = |env: Value| {
        let step = json!({"name": "look", "run": "env", "env": env});
        json!({"steps": [step], "otlp": {"key": "abc"}})
    };
    // An endpoint of the operator's gets spans and no key.
    let told = told_of_spans(elsewhere(), &[], run(json!({}))).await;
    let expected = [
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ];
    assert_eq!(told, expected);
    // Whoever has told the tools where their spans go is left alone, by whichever variable.
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://mine:4317"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://mine:4317/v1/traces",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=mine"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ] {
        let mine = format!("{name}={value}");
        let told = told_of_spans(hopline(), &[(name, value)], run(json!({}))).await;
        assert_eq!(told, [mine.as_str()], "in the runner's environment");
        let told = told_of_spans(hopline(), &[], run(json!({ name: value }))).await;
        assert_eq!(told, [mine], "in the step's environment");
    }
}

#[tokio::test]
async fn children_end_with_their_runner_and_their_build_is_told_of_it() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let pid_file = runner.project().join("pid");
    let run = json!({"command": "echo $$ > pid; sleep 1000"});
    broker.send(build("b", "command", run)).await;
    let pid = pid_in(&pid_file).await;
    let report = runner.stop().await;
    assert_eq!((report.commands_ended, report.events_waiting), (true, 0));
    eventually("the child's end", || !exists(pid)).await;
    let events = broker.events_of("b");
    let end = events.last().unwrap();
    assert_eq!(
        (&end["type"], &end["code"]),
        (&json!("build-failed"), &json!("runner_stopped"))
    );
}

#[tokio::test]
async fn a_shutdown_keeps_its_deadline_whatever_children_and_broker_do() {
    let broker = Broker::start(V1).await;
    broker.acknowledges(false);
    let runner = TestRunner::with(&broker, |options| {
        options.grace = std::time::Duration::from_secs(600);
    })
    .await;
    let pid_file = runner.project().join("pid");
    let run = json!({"command": "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done"});
    broker.send(build("b", "command", run)).await;
    let pid = pid_in(&pid_file).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_millis(500);
    let report = runner.handle.shutdown(deadline).await;
    assert!(!report.commands_ended);
    assert!(report.events_waiting > 0);
    eventually("the child's end", || !exists(pid)).await;
    let spans = runner.spans();
    let build = spans
        .iter()
        .find(|span| span.name.to_string() == "runner.build");
    assert!(build.unwrap().status.is_error());
}

#[tokio::test]
async fn a_time_limit_beyond_all_clocks_is_none() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let step = json!({"name": "a", "run": "true", "timeoutSeconds": u64::MAX});
    let steps = json!({"steps": [step]});
    broker.send(build("b", "steps", steps)).await;
    broker.until_event("b", "build-completed").await;
    runner.stop().await;
}

#[tokio::test]
async fn a_build_ends_with_its_program_though_others_hold_its_pipes_and_write_on() {
    let broker = Broker::start(V1).await;
    let runner = TestRunner::start(&broker).await;
    let run = "echo $$ > pid; echo own; until [ -e go ]; do sleep 0.05; done; rm pid go";
    for (agent, payload) in [
        ("command", json!({"command": run})),
        ("stream", json!({"command": run})),
        ("steps", json!({"steps": [{"name": "a", "run": run}]})),
    ] {
        broker.send(build(agent, agent, payload)).await;
        let held = Held::by_pid(pid_in(&runner.project().join("pid")).await);
        std::fs::write(runner.project().join("go"), "").unwrap();
        let events = broker.until_event(agent, "build-completed").await;
        let text = text_of(&events, "stdout") + &text_of(&events, "step-1-stdout");
        assert!(text.starts_with("own\n"), "{text}");
        drop(held);
    }
    runner.stop().await;
}
