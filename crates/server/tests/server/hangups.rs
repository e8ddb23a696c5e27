//! Clients that hang up in the midst of a request: what was begun for them comes to its end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::builds::start;
use crate::support::{ADMIN, House, RUNNER, broker, house, part, until};

/// Sends a whole request and hangs up while it waits for the database, which somebody else has locked.
async fn hang_up(house: &House, path: &str, secret: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let database = house.lock_database();
    let mut client = TcpStream::connect(house.server.address()).await.unwrap();
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(body.as_bytes()).await.unwrap();
    // Time for the request to come as far as the lock, which is where there is something to lose.
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(database);
}

#[tokio::test]
async fn a_build_whose_client_hangs_up_is_sent_to_its_runner() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let path = format!("/api/projects/{project}/build");
    hang_up(&house, &path, ADMIN, &json!({"command": "true"})).await;
    let build = until(|| async {
        let (_, builds) = house.get("/api/builds").await;
        builds["builds"].get(0).cloned()
    })
    .await;
    assert_eq!(broker.next().await["command"]["id"], build["commandId"]);
    // Its files are there from now on.
    until(|| async {
        let (_, project) = house.get(&format!("/api/projects/{project}")).await;
        (project["runnerId"] == "r1").then_some(())
    })
    .await;

    let cancel = format!(
        "/api/builds/{}/cancel",
        build["sessionId"].as_str().unwrap()
    );
    hang_up(&house, &cancel, ADMIN, &json!({})).await;
    let cancellation = &broker.next().await["command"];
    assert_eq!(
        (
            &cancellation["type"],
            &cancellation["payload"]["targetCommandId"]
        ),
        (&json!("cancel-build"), &build["commandId"])
    );
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_the_servers_end() {
    let house = house().await;
    let mut client = TcpStream::connect(house.server.address()).await.unwrap();
    client.write_all(b"GET /health HT").await.unwrap();
    // Connections are taken in the order they came: with this answer the half is there, and its other half awaited.
    house.get("/health").await;
    let House { server, .. } = house;
    let deadline = std::time::Instant::now() + Duration::from_secs(15);
    assert!(server.shutdown(deadline).await);
}

#[tokio::test]
async fn the_spans_of_events_whose_sender_hangs_up_are_kept() {
    let house = house().await;
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    let project = house.project("p").await;
    let (started, command) = start(&house, &broker, &project).await;
    let delta = json!({"type": "text-delta", "id": "t", "delta": "x"});
    let mut event = part(&command, 1, delta);
    event["_sentry"] = command["_sentry"].clone();
    hang_up(&house, "/api/runner/events", RUNNER, &json!([event])).await;
    let trace_id = started["traceId"].as_str().unwrap();
    let named = |name: &'static str| {
        let house = &house;
        until(move || async move {
            let spans = house.spans(trace_id);
            spans.into_iter().find(|span| span.name.to_string() == name)
        })
    };
    let persisted = named("persistent-processor.persistEvent.text-delta").await;
    let taken = named("api.runner.events.build-stream").await;
    assert_eq!(persisted.parent_id, Some(taken.span_id));
}
