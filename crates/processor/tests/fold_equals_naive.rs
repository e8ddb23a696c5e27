//! Whatever a build says, whatever the server decides about it, and however its events are cut into requests, repeated
//! and interrupted by restarts: its rows are those of the naive fold.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Build, World, naive};
use hopline_state::rows::DecisionKind;
use proptest::prelude::*;
use serde_json::{Value, json};

/// One thing that a build may say, without its number.
#[derive(Debug, Clone)]
enum Said {
    Part(Value),
    Whole(&'static str, Value),
}

fn text_id() -> impl Strategy<Value = String> {
    // More texts than the fold remembers, and names that lines without a name might have.
    let number = prop_oneof![3 => 0..4u32, 1 => 0..80u32];
    (
        prop_oneof![6 => Just("t"), 2 => Just("#"), 1 => Just("##")],
        number,
    )
        .prop_map(|(before, number)| format!("{before}{number}"))
}

fn delta() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "\\PC{0,40}",
        1 => Just("\0odd \u{1f600}\n".to_owned()),
        1 => (1usize..40_000, prop_oneof![Just("a"), Just("é"), Just("\u{1f600}")])
            .prop_map(|(bytes, text)| text.repeat(bytes / text.len() + 1)),
    ]
}

fn plan() -> impl Strategy<Value = Value> {
    let status = prop_oneof![Just("pending"), Just("in_progress"), Just("completed")];
    let todo = ("[a-c]{0,3}", status).prop_map(
        |(content, status)| json!({"content": content, "activeForm": content, "status": status}),
    );
    prop::collection::vec(todo, 0..5).prop_map(|todos| json!({"todos": todos}))
}

fn part() -> impl Strategy<Value = Said> {
    let tool = || (0..6u32).prop_map(|id| format!("c{id}"));
    prop_oneof![
        8 => (text_id(), delta()).prop_map(|(id, delta)| json!({"type": "text-delta", "id": id, "delta": delta})),
        2 => (text_id(), delta()).prop_map(|(id, delta)| json!({"type": "reasoning-delta", "id": id, "delta": delta})),
        1 => delta().prop_map(|message| json!({"type": "reasoning", "message": message})),
        2 => (tool(), plan()).prop_map(|(id, input)| json!({
            "type": "tool-input-available", "toolCallId": id, "toolName": "TodoWrite", "input": input})),
        2 => (tool(), prop::option::of(-1..4)).prop_map(|(id, index)| json!({
            "type": "tool-input-available", "toolCallId": id, "toolName": "Read", "input": {"a": 1}, "todoIndex": index})),
        3 => (tool(), "[a-z]{0,9}").prop_map(|(id, output)| json!({
            "type": "tool-output-available", "toolCallId": id, "output": {"is": output}})),
        1 => tool().prop_map(|id| json!({"type": "tool-output-error", "toolCallId": id, "errorText": "bad"})),
        1 => Just(json!({"type": "finish"})),
        1 => Just(json!({"type": "data-weather", "data": 1})),
    ]
    .prop_map(Said::Part)
}

fn whole() -> impl Strategy<Value = Said> {
    let completed = json!({"payload": {"todos": [], "summary": "done"}, "exitCode": 0});
    prop_oneof![
        Just(Said::Whole("ack", json!({}))),
        Just(Said::Whole("build-progress", json!({"payload": {}}))),
        Just(Said::Whole(
            "build-failed",
            json!({"error": "broke", "exitCode": 2})
        )),
        Just(Said::Whole("build-completed", completed)),
        Just(Said::Whole("build-completed", json!({"payload": null}))),
        Just(Said::Whole("build-failed", json!({"error": null}))),
    ]
}

fn decision() -> impl Strategy<Value = Option<DecisionKind>> {
    prop_oneof![
        12 => Just(None),
        4 => Just(Some(DecisionKind::Silence)),
        1 => Just(Some(DecisionKind::Cancelled)),
    ]
}

fn events(build: &Build, said: &[Said]) -> Vec<Value> {
    let numbered = said.iter().zip(1..).map(|(said, seq)| match said {
        Said::Part(part) => build.part(seq, part),
        Said::Whole(kind, fields) => build.event(kind, seq, fields.clone()),
    });
    numbered.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_do_not_depend_on_how_events_come(
        said in prop::collection::vec(prop_oneof![20 => part(), 1 => whole()], 1..120),
        runs in prop::collection::vec((1usize..30, 0usize..6, prop::bool::weighted(0.1), decision()), 1..12),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let build = world.build().await;
            let events = events(&build, &said);
            let mut sent = 0;
            let mut runs = runs.iter().cycle();
            while sent < events.len() {
                let (length, repeated, restart, decision) = runs.next().unwrap();
                let end = (sent + length).min(events.len());
                let reply = world.submit(&events[sent.saturating_sub(*repeated)..end]).await;
                assert_eq!(reply.acked.get(&build.command), Some(&(end as u64)), "{reply:?}");
                sent = end;
                if let Some(kind) = *decision {
                    let decided = world.handle.decide(&build.command, kind, "gone".into());
                    decided.await.unwrap();
                }
                if *restart {
                    world = world.restart().await;
                }
            }
            let stored = naive::stored(&*world.store, &build).await;
            let decisions = world.store.decisions(build.session).await.unwrap();
            assert_eq!(stored, naive::fold_with(&events, &decisions));
        });
    }
}
