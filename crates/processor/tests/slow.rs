//! What the processor tells of work that takes long, is shared by several builds, or fails.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Build, World, incoming, quick_options};
use hopline_processor::Options;
use hopline_state::rows::DecisionKind;
use hopline_telemetry::{Head, Pipeline, Sampler, TraceContext, Tracer};
use hopline_wire::span::{SinkError, Span, SpanSink, Value as Attribute};
use hopline_wire::{SpanId, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

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
    async fn new(options: Options) -> Self {
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

    /// Another connection to the database, to be in the way.
    fn database(&self) -> Connection {
        Connection::open(self.world.folder().join("state.db")).unwrap()
    }

    /// Submits events, without waiting for what becomes of them.
    fn submit(&self, trace: &TraceContext, events: &[Value]) -> JoinHandle<bool> {
        let mut events = incoming(events);
        for event in &mut events {
            event.trace = Some(trace.clone());
        }
        let handle = self.world.handle.clone();
        tokio::spawn(async move { handle.submit(events).await.is_ok() })
    }

    /// Waits until so many spans of a trace, unfinished or not, satisfy a condition, and gives them.
    async fn spans(
        &self,
        trace: &TraceContext,
        count: usize,
        wanted: impl Fn(&Span) -> bool,
    ) -> Vec<Span> {
        for _ in 0..2_000 {
            assert!(self.pipeline.flush(Instant::now() + Duration::from_secs(5)));
            let mut spans = self.kept.0.lock().clone();
            spans.retain(|span| span.trace_id == trace.trace_id && wanted(span));
            if spans.len() >= count {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the spans never came");
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

fn is_persist(span: &Span) -> bool {
    &*span.op == "db.persist.event"
}

fn is_statement(span: &Span) -> bool {
    &*span.op == "db.query"
}

fn is_named(name: &'static str, pending: bool) -> impl Fn(&Span) -> bool {
    move |span| span.name.to_string() == name && span.pending == pending
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_two_builds_share_is_told_on_both_traces_once_with_equal_times() {
    let traced = Traced::new(quick_options()).await;
    let world = &traced.world;
    let (first, builds) = (
        world.build().await,
        [world.build().await, world.build().await],
    );
    let (other, traces) = (trace(), [trace(), trace()]);
    let blocker = traced.database();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first one's commit is held; behind it the others come together. That they wait for it is seen by their
    // unfinished spans.
    traced.submit(&other, &[delta(&first, 1)]);
    traced
        .spans(&other, 1, |span| is_persist(span) && span.pending)
        .await;
    for (build, trace) in builds.iter().zip(&traces) {
        traced.submit(trace, &[delta(build, 1), delta(build, 2), delta(build, 3)]);
    }
    for trace in &traces {
        traced
            .spans(trace, 3, |span| is_persist(span) && span.pending)
            .await;
    }
    blocker.execute_batch("ROLLBACK").unwrap();

    let mut told: Vec<BTreeMap<String, (Timestamp, Timestamp)>> = Vec::new();
    for (build, trace) in builds.iter().zip(&traces) {
        traced.spans(trace, 1, is_named("COMMIT", false)).await;
        let mut persisted = traced
            .spans(trace, 3, |span| is_persist(span) && !span.pending)
            .await;
        persisted.sort_by_key(|span| number(span, "event.seq"));
        let ids: Vec<SpanId> = persisted.iter().map(|span| span.span_id).collect();
        let statements = traced
            .spans(trace, 6, |span| is_statement(span) && !span.pending)
            .await;
        for statement in &statements {
            assert_eq!(number(statement, "hopline.shared_by"), 2);
            assert_eq!(statement.parent_id, Some(ids[0]));
            let links = statement.links.iter(trace.trace_id);
            let linked: Vec<SpanId> = links.map(|link| link.span_id).collect();
            assert_eq!(linked, ids[1..]);
            let command = statement.attribute("event.commandId");
            assert_eq!(command, Some(Attribute::from(build.command.clone())));
            match statement.name.to_string().as_str() {
                "INSERT runner_events" => {
                    assert_eq!(number(statement, "db.operation.batch.size"), 6);
                }
                "UPDATE commands" => {
                    assert_eq!(number(statement, "db.operation.batch.size"), 2);
                }
                _ => {}
            }
        }
        let times = |span: &Span| (span.name.to_string(), (span.start, span.end));
        let by_name: BTreeMap<_, _> = statements.iter().map(times).collect();
        assert_eq!(by_name.len(), statements.len(), "each once");
        assert!(by_name.contains_key("INSERT generation_notes"));
        told.push(by_name);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lock_holds_up_is_shown_unfinished_and_then_replaced() {
    let traced = Traced::new(quick_options()).await;
    let build = traced.world.build().await;
    let trace = trace();
    let blocker = traced.database();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let submitted = traced.submit(&trace, &[delta(&build, 1), delta(&build, 2)]);
    let persist = traced
        .spans(&trace, 2, |span| is_persist(span) && span.pending)
        .await;
    let begin = traced.spans(&trace, 1, is_named("BEGIN", true)).await;
    assert_eq!(begin[0].parent_id, Some(persist[0].span_id));
    blocker.execute_batch("ROLLBACK").unwrap();
    assert!(submitted.await.unwrap());
    let done = traced.spans(&trace, 1, is_named("COMMIT", false)).await;
    assert_eq!(done[0].parent_id, Some(persist[0].span_id));
    let finished = traced.spans(&trace, 1, is_named("BEGIN", false)).await;
    assert_eq!(finished.len(), 1);
    assert_eq!(finished[0].span_id, begin[0].span_id);
    assert!(finished[0].end > finished[0].start && !finished[0].status.is_error());
    assert_eq!(number(&finished[0], "hopline.shared_by"), 1);
    for span in &persist {
        assert_eq!(span.end, span.start);
        let is_it = |other: &Span| other.span_id == span.span_id && !other.pending;
        let ended = traced.spans(&trace, 1, is_it).await;
        assert!(ended.len() == 1 && ended[0].end > ended[0].start);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_a_builds_state_is_shown_unfinished_while_a_lock_holds_it_up() {
    let options = Options {
        refresh_after: Duration::from_millis(500),
        ..quick_options()
    };
    let traced = Traced::new(options).await;
    let blocker = traced.database();
    // The lock must be there before the state is written; once more if it came too late.
    let trace = loop {
        let (build, trace) = (traced.world.build().await, trace());
        assert!(traced.submit(&trace, &[delta(&build, 1)]).await.unwrap());
        let (kind, reason) = (DecisionKind::Silence, "silent".to_owned());
        let handle = &traced.world.handle;
        handle.decide(&build.command, kind, reason).await.unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let written = traced.world.store.raw_state(build.session).await.unwrap();
        if written.is_none() {
            break trace;
        }
        blocker.execute_batch("ROLLBACK").unwrap();
    };
    let refresh = traced
        .spans(&trace, 1, is_named("refreshRawState", true))
        .await;
    blocker.execute_batch("ROLLBACK").unwrap();
    let ended = traced
        .spans(&trace, 1, is_named("refreshRawState", false))
        .await;
    assert_eq!(ended[0].span_id, refresh[0].span_id);
    let of_it = |span: &Span| span.parent_id == Some(ended[0].span_id);
    let written = &traced.spans(&trace, 1, of_it).await[0];
    assert_eq!(written.name.to_string(), "UPDATE generation_sessions");
    assert!(written.attribute("event.sessionId").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_fails_is_told_as_any_other_with_its_own_times() {
    let traced = Traced::new(quick_options()).await;
    let build = traced.world.build().await;
    let trace = trace();
    traced
        .database()
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON generation_notes
             BEGIN SELECT RAISE(ABORT, 'poison'); END",
        )
        .unwrap();
    // Both are refused in the end, one by one; the first try had them together.
    traced.submit(&trace, &[delta(&build, 1), delta(&build, 2)]);
    let failed = traced
        .spans(&trace, 1, is_named("INSERT generation_notes", false))
        .await;
    let failed = &failed[0];
    assert!(failed.status.is_error());
    let text = |key: &str| match failed.attribute(key) {
        Some(Attribute::Text(text)) => text.to_string(),
        other => panic!("{key} is {other:?}"),
    };
    assert_eq!(text("db.operation.name"), "INSERT");
    assert_eq!(text("db.collection.name"), "generation_notes");
    assert_eq!(text("error.type"), "database_refused");
    assert_eq!(text("event.commandId"), build.command);
    assert_eq!(number(failed, "hopline.shared_by"), 1);
    let persist = traced
        .spans(&trace, 2, |span| is_persist(span) && !span.pending)
        .await;
    assert!(persist[0].status.is_error());
    assert_eq!(failed.parent_id, Some(persist[0].span_id));
    let links = failed.links.iter(trace.trace_id);
    let linked: Vec<SpanId> = links.map(|link| link.span_id).collect();
    assert_eq!(linked, [persist[1].span_id]);
    let before = traced
        .spans(&trace, 1, is_named("INSERT runner_events", false))
        .await;
    let before = before
        .iter()
        .find(|span| span.parent_id == failed.parent_id)
        .unwrap();
    assert!(!before.status.is_error());
    assert!(before.end <= failed.start && failed.start <= failed.end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_not_given_up_ends_in_a_failed_begin() {
    let traced = Traced::new(quick_options()).await;
    let build = traced.world.build().await;
    let trace = trace();
    let blocker = traced.database();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let submitted = traced.submit(&trace, &[delta(&build, 1)]);
    assert!(!submitted.await.unwrap(), "it was handed back");
    let begin = traced.spans(&trace, 1, is_named("BEGIN", false)).await;
    assert_eq!(begin.len(), 1);
    assert!(begin[0].status.is_error());
    assert_eq!(
        begin[0].attribute("db.operation.name"),
        Some("BEGIN".into())
    );
    assert!(begin[0].attribute("db.response.status_code").is_some());
    assert_eq!(number(&begin[0], "hopline.shared_by"), 1);
    let shown = traced.spans(&trace, 1, is_named("BEGIN", true)).await;
    assert_eq!(shown[0].span_id, begin[0].span_id);
    blocker.execute_batch("ROLLBACK").unwrap();
}
