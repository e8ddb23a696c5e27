//! What must be so after a round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hopline_state::rows::{LoggedEvent, SessionStatus};
use hopline_state::store::Page;
use hopline_wire::Timestamp;
use hopline_wire::part::TextKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::naive::{self, Call, Text};
use crate::plan::Said;
use crate::plant::Plant;
use crate::{patience, wait};

/// A build of a round.
pub(crate) struct Build {
    pub(crate) session: Uuid,
    pub(crate) command: String,
    pub(crate) trace: String,
    pub(crate) runner: &'static str,
    pub(crate) plan: Vec<Said>,
    /// What its program exits with.
    pub(crate) exit: i32,
}

/// The largest that a part may grow, in KiB.
const MEMORY_KIB: u64 = 400 << 10;

/// The rows of a build that has ended are what the log comes to, and the log is what its program said: all, or as
/// far as it came if its runner was killed. Gives the log.
pub(crate) async fn rows(plant: &Plant, build: &Build, killed: bool) -> Vec<LoggedEvent> {
    let store = plant.store().await;
    let mut log = Vec::new();
    loop {
        let after = log.len() as u64;
        let page = store.events(&build.command, after, Page::default()).await;
        let page = page.unwrap();
        if page.is_empty() {
            break;
        }
        log.extend(page);
    }
    let whole = store.whole_session(build.session, usize::MAX).await;
    let whole = whole.unwrap().unwrap();
    store.close().await;
    let name = format!("build {} of runner {}", build.session, build.runner);
    let expected = naive::fold(&log, &build.plan).unwrap_or_else(|error| panic!("{name}: {error}"));

    let session = &whole.session;
    assert_eq!(session.last_seq, log.len() as u64, "{name}");
    assert!(
        session.is_final && !session.incomplete,
        "{name}: {session:?}"
    );
    let (kind, error, exit) = expected
        .end
        .as_ref()
        .unwrap_or_else(|| panic!("{name} has no end"));
    let is_restart = error.as_deref() == Some("runner restarted");
    if killed && is_restart {
        assert_eq!(session.status, SessionStatus::Failed, "{name}");
    } else {
        assert_eq!(
            expected.said,
            (build.plan.len(), 0),
            "{name} lacks the rest of what was said"
        );
        assert_eq!(
            *exit,
            Some(i64::from(build.exit)),
            "{name}: {kind} {error:?}"
        );
        assert_eq!(kind == "build-completed", build.exit == 0, "{name}");
        assert_eq!(
            session.status == SessionStatus::Completed,
            build.exit == 0,
            "{name}"
        );
        assert_eq!(session.exit_code, Some(build.exit), "{name}");
    }
    assert_eq!(session.error_message, *error, "{name}");

    let todos: Vec<_> = whole
        .todos
        .into_iter()
        .map(|todo| {
            let status = serde_json::to_value(todo.status).unwrap();
            let status = status.as_str().unwrap().to_owned();
            (
                todo.content,
                todo.active_form,
                status,
                todo.created_at,
                todo.updated_at,
            )
        })
        .collect();
    assert_eq!(todos, expected.todos, "{name}");

    let read =
        |json: Option<String>| json.map(|json| serde_json::from_str::<Value>(&json).unwrap());
    let calls = whole.tool_calls.into_iter().map(|call| {
        let row = Call {
            todo: call.todo_index,
            name: call.name,
            input: read(call.input),
            output: read(call.output),
            state: call.state.as_str(),
            first_seq: call.first_seq,
            started_at: call.started_at,
            ended_at: call.ended_at,
        };
        (call.tool_call_id, row)
    });
    let calls: BTreeMap<_, _> = calls.collect();
    for (id, call) in &expected.calls {
        assert_eq!(calls.get(id), Some(call), "{name}: {id}");
    }
    assert_eq!(calls.len(), expected.calls.len(), "{name}");

    let mut texts: BTreeMap<(bool, String), Text> = BTreeMap::new();
    let mut notes = whole.notes;
    notes.sort_by_key(|note| {
        (
            note.kind == TextKind::Reasoning,
            note.text_id.clone(),
            note.part,
        )
    });
    let mut parts: BTreeMap<_, u32> = BTreeMap::new();
    for note in notes {
        assert!(note.content.len() <= 16 << 10, "{name}: {}", note.text_id);
        let key = (note.kind == TextKind::Reasoning, note.text_id);
        let part = parts.entry(key.clone()).or_default();
        assert_eq!(note.part, *part, "{name}: {key:?}");
        *part += 1;
        let text = texts.entry(key).or_insert_with(|| Text {
            todo: note.todo_index,
            first_seq: note.first_seq,
            began_at: note.created_at,
            content: String::new(),
        });
        text.content += &note.content;
    }
    for (key, text) in &expected.texts {
        let row = texts.get(key);
        assert!(
            row == Some(text),
            "{name}: the text {key:?} differs\n{:.2000?}\n{text:.2000?}",
            row
        );
    }
    assert_eq!(texts.len(), expected.texts.len(), "{name}");
    log
}

/// Now, by the clock of servers.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// How many events were made before all was mended, and received after it began to go wrong.
pub(crate) fn in_flight(
    log: &[LoggedEvent],
    from: Timestamp,
    to: Timestamp,
    clock_off: i64,
) -> u64 {
    let met = log.iter().filter(|event| {
        let body: Value = serde_json::from_str(event.body.as_deref().unwrap_or("{}")).unwrap();
        let made: Option<Timestamp> = serde_json::from_value(body["timestamp"].clone()).ok();
        let made = made.map(|made| made.as_millis().saturating_add_signed(-clock_off * 1_000));
        made.is_some_and(|made| made <= to.as_millis()) && event.received_at >= from
    });
    met.count() as u64
}

/// Every event of a build is in its trace with all its hops; or, if a part was killed, it is told which one is missing.
pub(crate) async fn trace(plant: &Plant, build: &Build, log: &[LoggedEvent], killed: bool) {
    // An acknowledgement is only carried: no hop makes a span of it.
    let events = log.iter().filter(|event| event.kind != "ack").count() as u64;
    let path = format!("/api/traces/{}?format=path", build.trace);
    let deadline = Instant::now() + patience();
    let told = loop {
        let told = plant.get(&path).await.unwrap_or_default();
        let number = |name: &str| told[name].as_u64().unwrap_or_default();
        let gaps = if killed { number("gapCount") } else { 0 };
        let sum = number("complete") + number("failed") + gaps;
        if number("underWay") == 0 && sum >= events {
            break told;
        }
        assert!(
            Instant::now() < deadline,
            "{events} events, but {:.3000}",
            told.to_string()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let gaps = told["gaps"].as_array().unwrap();
    for gap in gaps {
        let missing = gap["missing"].as_array().unwrap();
        assert!(!missing.is_empty(), "{gap}");
        for hop in missing {
            let reason = hop["reason"].as_str().unwrap();
            assert!(
                ["dropped", "process ended", "unknown"].contains(&reason),
                "{gap}"
            );
        }
    }
}

/// Events that nobody can use, in between: each is refused by itself, and those beside it are not.
pub(crate) async fn poison(plant: &Plant, seed: u64) {
    let command = format!("poison-{seed}");
    let event = |seq: u64, data: Value| {
        json!({
            "type": "build-stream", "seq": seq, "commandId": command, "projectId": Uuid::nil(),
            "timestamp": "2026-01-31T09:34:56.789Z", "data": data,
        })
        .to_string()
    };
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let events = [
        event(1, json!("data: {\"type\":\"text-delta\"}\n\n")),
        r#"{"type":"no such type","seq":2}"#.to_owned(),
        event(2, json!(["not", "a", "text"])),
        event(3, json!("data: \u{0}\n\n")),
        format!(r#"{{"type":"build-stream","deep":{deep}}}"#),
        event(4, json!("data: {}")),
        event(u64::MAX, json!("data: {}")),
    ];
    let body = format!("[{}]", events.join(","));
    let answer = wait("the server answers to poison", || plant.send(&body)).await;
    assert_eq!(answer["acked"][&command], 4, "{answer}");
}

/// No part has outgrown its bounds.
pub(crate) fn memory(plant: &Plant) {
    for (part, kib) in plant.memory() {
        assert!(kib <= MEMORY_KIB, "{part} has grown to {kib} KiB");
    }
}
