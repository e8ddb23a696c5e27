//! What the processor tells of its work: spans, and changes to those who follow a build.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Build, World, incoming};
use hopline_processor::{Delivery, Interest, Options, UpdateKind};
use hopline_telemetry::{Head, Pipeline, Sampler, TraceContext, Tracer};
use hopline_wire::span::{SinkError, Span, SpanSink, Value as Attribute};
use hopline_wire::{SpanId, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

#[derive(Default)]
struct Kept(Mutex<Vec<Span>>);

impl SpanSink for Kept {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        self.0.lock().extend_from_slice(spans);
        Ok(())
    }
}

struct Traced {
    world: World,
    pipeline: Pipeline,
    kept: Arc<Kept>,
}

impl Traced {
    async fn new() -> Self {
        Self::with(common::quick_options()).await
    }

    async fn with(options: Options) -> Self {
        let kept = Arc::new(Kept::default());
        let sink: Arc<dyn SpanSink> = Arc::<Kept>::clone(&kept);
        let (pipeline, thread) = Pipeline::start(vec![sink], 1 << 20).unwrap();
        std::mem::forget(thread);
        let tracer = Tracer::new(pipeline.clone(), "hopline-server", "test");
        Self {
            world: World::traced_with(options, tracer).await,
            pipeline,
            kept,
        }
    }

    async fn submit(&self, trace: &TraceContext, events: &[Value]) {
        let mut events = incoming(events);
        for event in &mut events {
            event.trace = Some(trace.clone());
        }
        self.world.handle.submit(events).await.unwrap();
    }

    /// Waits until a span of this name is there, and gives all.
    async fn spans(&self, awaited: &str) -> Vec<Span> {
        for _ in 0..500 {
            assert!(self.pipeline.flush(Instant::now() + Duration::from_secs(5)));
            let spans = self.kept.0.lock().clone();
            if spans.iter().any(|span| span.name.to_string() == awaited) {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no span {awaited}");
    }
}

fn trace() -> TraceContext {
    TraceContext::new_trace(&Sampler::new(1.0), &Head::default(), "x", None)
}

fn delta(build: &Build, seq: u64) -> Value {
    build.part(seq, &json!({"type": "text-delta", "id": "t", "delta": "x"}))
}

fn number(span: &Span, key: &str) -> i64 {
    match span.attribute(key) {
        Some(Attribute::Int(number)) => number,
        other => panic!("{key} is {other:?}"),
    }
}

#[tokio::test]
async fn an_events_span_is_the_child_of_the_apis_and_ends_with_the_commit() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let trace = trace();
    traced.submit(&trace, &[delta(&build, 1)]).await;
    let spans = traced.spans("COMMIT").await;
    let name = "persistent-processor.persistEvent.text-delta";
    let persist = spans
        .iter()
        .find(|span| span.name.to_string() == name)
        .unwrap();
    assert_eq!(
        (persist.trace_id, persist.parent_id),
        (trace.trace_id, Some(trace.span_id))
    );
    assert_eq!(&*persist.op, "db.persist.event");
    let text = |key: &str| match persist.attribute(key) {
        Some(Attribute::Text(text)) => text.to_string(),
        other => panic!("{key} is {other:?}"),
    };
    assert_eq!(text("event.type"), "text-delta");
    assert_eq!(text("event.commandId"), build.command);
    assert_eq!(text("event.projectId"), build.project.to_string());
    assert_eq!(text("event.sessionId"), build.session.to_string());
    assert_eq!(number(persist, "event.seq"), 1);
    assert!(persist.attribute("hopline.queue.wait_ms").is_some());
    let commit = spans
        .iter()
        .find(|span| span.name.to_string() == "COMMIT")
        .unwrap();
    assert_eq!(commit.parent_id, Some(persist.span_id));
    assert!(commit.end <= persist.end && commit.start >= persist.start);
}

#[tokio::test]
async fn the_span_of_a_builds_end_tells_how_its_events_have_ended() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let trace = trace();
    let mut events = vec![
        delta(&build, 1),
        build.event("build-stream", 2, json!({"data": 5})),
        build.event("events-lost", 4, json!({"from": 3})),
    ];
    traced.submit(&trace, &events).await;
    events.push(build.event("build-completed", 5, json!({"exitCode": 0})));
    traced.submit(&trace, &events).await;
    let name = "persistent-processor.finalizeSession.completed";
    let spans = traced.spans(name).await;
    let is_end = |span: &&Span| span.name.to_string() == name;
    let end = spans.iter().find(is_end).unwrap();
    let counted = ["committed", "rejected", "expired", "duplicate"];
    let counted = counted.map(|outcome| number(end, &format!("hopline.events.{outcome}")));
    assert_eq!(counted, [2, 1, 2, 3]);
}

#[tokio::test]
async fn a_trace_shows_each_statement_of_a_group_once_linked_to_its_other_events() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let trace = trace();
    let events: Vec<_> = (1..=5).map(|seq| delta(&build, seq)).collect();
    traced.submit(&trace, &events).await;
    let spans = traced.spans("COMMIT").await;
    let persisted: Vec<SpanId> = spans
        .iter()
        .filter(|span| &*span.op == "db.persist.event")
        .map(|span| span.span_id)
        .collect();
    assert_eq!(persisted.len(), 5);
    let statements: Vec<_> = spans
        .iter()
        .filter(|span| &*span.op == "db.query")
        .collect();
    let names: HashSet<String> = statements
        .iter()
        .map(|span| span.name.to_string())
        .collect();
    let expected = [
        "SELECT commands",
        "INSERT runner_events",
        "INSERT generation_notes",
        "UPDATE generation_sessions",
        "UPDATE commands",
        "COMMIT",
    ];
    assert_eq!(names, expected.map(str::to_owned).into());
    let text = |text: &str| Some(Attribute::from(text.to_owned()));
    assert_eq!(statements.len(), expected.len());
    for statement in statements {
        assert_eq!(statement.parent_id, Some(persisted[0]));
        let linked: Vec<_> = statement
            .links
            .iter(trace.trace_id)
            .map(|link| link.span_id)
            .collect();
        assert_eq!(linked, persisted[1..]);
        assert_eq!(number(statement, "hopline.shared_by"), 1);
        // What its events have in common; their types and numbers they have not.
        assert_eq!(statement.attribute("event.commandId"), text(&build.command));
        let session = build.session.to_string();
        assert_eq!(statement.attribute("event.sessionId"), text(&session));
        let project = build.project.to_string();
        assert_eq!(statement.attribute("event.projectId"), text(&project));
        assert_eq!(statement.attribute("event.seq"), None);
        if statement.name.to_string() == "INSERT runner_events" {
            assert_eq!(number(statement, "db.operation.batch.size"), 5);
        }
    }
}

#[tokio::test]
async fn the_end_of_a_build_is_told_with_the_writing_of_its_state() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let done = build.event(
        "build-completed",
        1,
        json!({"payload": {"summary": "ok"}, "exitCode": 0}),
    );
    let trace = trace();
    traced.submit(&trace, &[done]).await;
    let spans = traced.spans("refreshRawState").await;
    let named = |name: &str| {
        spans
            .iter()
            .find(|span| span.name.to_string() == name)
            .unwrap()
    };
    let finalized = named("persistent-processor.finalizeSession.completed");
    assert_eq!(
        finalized.attribute("session.status"),
        Some("completed".into())
    );
    assert_eq!(&*finalized.op, "db.persist.finalize");
    let refresh = named("refreshRawState");
    assert_eq!(refresh.parent_id, Some(finalized.span_id));
    let written = spans
        .iter()
        .find(|span| span.parent_id == Some(refresh.span_id))
        .unwrap();
    assert_eq!(written.name.to_string(), "UPDATE generation_sessions");
}

#[tokio::test]
async fn a_refused_events_span_has_failed_with_its_reason() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let bad = build.event("build-stream", 1, json!({"data": "nonsense"}));
    traced.submit(&trace(), &[bad]).await;
    let spans = traced
        .spans("persistent-processor.persistEvent.build-stream")
        .await;
    let persist = spans
        .iter()
        .find(|span| &*span.op == "db.persist.event")
        .unwrap();
    assert!(persist.status.is_error());
    assert_eq!(persist.attribute("error.type"), Some("bad_part".into()));
    assert_eq!(persist.events[0].name, "exception".into());
}

#[tokio::test]
async fn a_follower_is_told_what_each_commit_changed() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let mut following = traced
        .world
        .handle
        .feed()
        .subscribe(Interest::Session(build.session));
    let trace = trace();
    let todos = json!([{"content": "a", "activeForm": "doing a", "status": "in_progress"}]);
    let plan = json!({"type": "tool-input-available", "toolCallId": "p", "toolName": "TodoWrite",
        "input": {"todos": todos}});
    let call = json!({"type": "tool-input-available", "toolCallId": "c", "toolName": "Read", "input": {"a": 1}});
    let long =
        json!({"type": "tool-output-available", "toolCallId": "c", "output": "o".repeat(20_000)});
    let events = [
        build.part(1, &plan),
        build.part(2, &call),
        build.part(3, &long),
        delta(&build, 4),
        delta(&build, 5),
    ];
    traced.submit(&trace, &events).await;
    let Delivery::Change(change) = following.next().await else {
        panic!("it lagged");
    };
    assert_eq!(
        (change.seq, change.session_id, change.urgent),
        (5, build.session, true)
    );
    let kinds: Vec<_> = change.updates.iter().map(|update| update.kind).collect();
    use UpdateKind::{TextDelta, TodoUpdate, ToolCall};
    assert_eq!(kinds, [TodoUpdate, ToolCall, ToolCall, TextDelta]);
    let data =
        |place: usize| -> Value { serde_json::from_str(change.updates[place].data.get()).unwrap() };
    assert_eq!(data(0)["todos"][0]["activeForm"], "doing a");
    assert_eq!(
        (&data(0)["activeTodoIndex"], &data(2)["todoIndex"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(data(2)["state"], "output-available");
    assert_eq!(data(2)["truncated"]["output"]["bytes"], 20_002);
    assert_eq!(
        (&data(3)["delta"], &data(3)["id"]),
        (&json!("xx"), &json!("t"))
    );
    assert_eq!(change.traces.len(), 1);
    assert_eq!(change.traces[0].context.trace_id, trace.trace_id);
    assert_eq!(change.traces[0].others.len(), 4);
    traced
        .submit(
            &trace,
            &[build.event("ack", 6, json!({})), delta(&build, 7)],
        )
        .await;
    let Delivery::Change(change) = following.next().await else {
        panic!("it lagged");
    };
    assert_eq!((change.seq, change.urgent), (7, false));
    assert!(change.updates[0].timestamp <= Timestamp::now());
}

#[tokio::test]
async fn a_finished_builds_state_is_written_in_full_with_long_values_cut() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let todos = json!([
        {"content": "a", "activeForm": "doing a", "status": "completed"},
        {"content": "b", "activeForm": "doing b", "status": "in_progress"}]);
    let plan = json!({"type": "tool-input-available", "toolCallId": "p", "toolName": "TodoWrite",
        "input": {"todos": todos}});
    let answer =
        json!({"type": "tool-output-available", "toolCallId": "p", "output": "é".repeat(10_000)});
    let world = &traced.world;
    world
        .submit(&[build.part(1, &plan), delta(&build, 2)])
        .await;
    let running = world.raw_state(&build, |_| true).await;
    assert_eq!(
        (&running["isActive"], &running["activeTodoIndex"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(running["toolsByTodo"], json!({}));
    let done = build.event("build-completed", 4, json!({"payload": {}, "exitCode": 0}));
    world.submit(&[build.part(3, &answer), done]).await;
    let state = world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    let tool = &state["toolsByTodo"]["1"][0];
    assert_eq!(
        (&tool["name"], &tool["truncated"]["output"]["bytes"]),
        (&json!("TodoWrite"), &json!(20_002))
    );
    assert_eq!(tool["output"].as_str().unwrap().len(), 16 << 10);
    assert_eq!(state["textByTodo"]["1"][0]["text"], "x");
    assert_eq!(state["todos"][0]["status"], "completed");
    assert_eq!(state["endTime"], common::at(4).to_string());
    assert_eq!(state["projectName"], "a project");
}

#[tokio::test]
async fn a_state_has_the_newest_of_a_build_that_is_too_long_for_it_tools_and_texts_alike() {
    let traced = Traced::new().await;
    let build = traced.world.build().await;
    let world = &traced.world;
    let text = |seq: u64, delta: &str| {
        build.part(
            seq,
            &json!({"type": "text-delta", "id": "t", "delta": delta}),
        )
    };
    // Two parts of 16 KiB, tool calls of more than a state holds, and the words that matter.
    world.submit(&[text(1, &"a".repeat(32 << 10))]).await;
    let answer = json!({"type": "tool-output-available", "output": "y".repeat(14 << 10)});
    let answers = (2..=701).map(|seq| {
        let mut answer = answer.clone();
        answer["toolCallId"] = format!("c{seq}").into();
        build.part(seq, &answer)
    });
    for answers in answers.collect::<Vec<_>>().chunks(100) {
        world.submit(answers).await;
    }
    let done = build.event(
        "build-completed",
        703,
        json!({"payload": {}, "exitCode": 0}),
    );
    world.submit(&[text(702, "the answer"), done]).await;
    let state = world
        .raw_state(&build, |state| state["isActive"] == false)
        .await;
    let texts = &state["textByTodo"]["-1"];
    assert_eq!(
        (&texts[0]["text"], &texts[0]["truncated"], &texts[1]),
        (&json!("the answer"), &json!({"parts": 2}), &Value::Null)
    );
    let tools = state["toolsByTodo"]["-1"].as_array().unwrap();
    let left_out = state["truncated"]["upTo"].as_u64().unwrap();
    assert_eq!(tools.len() as u64, 701 - left_out);
    assert_eq!(tools[0]["id"], format!("c{}", left_out + 1));
    assert!((50..200).contains(&left_out), "{left_out}");
}
