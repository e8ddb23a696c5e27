//! Tool calls whose inputs and outputs are more than a state holds.

use axum::http::StatusCode;
use serde_json::json;

use crate::builds::start;
use crate::support::{broker, house, part};

#[tokio::test]
async fn a_tool_call_is_given_whole_where_the_state_has_its_beginning() {
    let house = house().await;
    let broker = broker().await;
    let project = house.project("wordcount").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    let output = "0123456789".repeat(10_000);
    let id = "call/ä 1";
    let events = json!([
        part(
            &command,
            1,
            json!({"type": "tool-input-available", "toolCallId": id, "toolName": "Bash", "input": {"command": "cat"}})
        ),
        part(
            &command,
            2,
            json!({"type": "tool-output-available", "toolCallId": id, "output": output})
        ),
    ]);
    let (status, _) = house.ingest(events.to_string()).await;
    assert_eq!(status, StatusCode::OK);

    let build = format!("/api/builds/{}", started["sessionId"].as_str().unwrap());
    let (_, state) = house.get(&build).await;
    let cut = &state["toolsByTodo"]["-1"][0];
    assert_eq!(cut["truncated"]["output"]["bytes"], output.len() + 2);
    let (status, whole) = house
        .get(&format!("{build}/tool-calls/call%2F%C3%A4%201"))
        .await;
    assert_eq!((status, &whole["output"]), (StatusCode::OK, &json!(output)));
    assert_eq!(
        (&whole["name"], &whole["input"], &whole["firstSeq"]),
        (&json!("Bash"), &json!({"command": "cat"}), &json!(1))
    );
    let (status, _) = house.get(&format!("{build}/tool-calls/other")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
