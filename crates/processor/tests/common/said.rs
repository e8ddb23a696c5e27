//! What builds may say, at random.

use hopline_state::rows::DecisionKind;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Build;

/// One thing that a build may say, without its number.
#[derive(Debug, Clone)]
pub enum Said {
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

pub fn part() -> impl Strategy<Value = Said> {
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

pub fn whole() -> impl Strategy<Value = Said> {
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

pub fn decision() -> impl Strategy<Value = Option<DecisionKind>> {
    prop_oneof![
        12 => Just(None),
        4 => Just(Some(DecisionKind::Silence)),
        1 => Just(Some(DecisionKind::Cancelled)),
    ]
}

pub fn events(build: &Build, said: &[Said]) -> Vec<Value> {
    let numbered = said.iter().zip(1..).map(|(said, seq)| match said {
        Said::Part(part) => build.part(seq, part),
        Said::Whole(kind, fields) => build.event(kind, seq, fields.clone()),
    });
    numbered.collect()
}
