//! Live updates, as a browser sees them.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hopline_telemetry::Sampler;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::builds::start;
use crate::support::{ADMIN, Broker, House, answer, broker, event, house, house_with, part, until};

struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

type Headers<'a> = &'a [(&'static str, &'a str)];

async fn connect(house: &House, query: &str, headers: Headers<'_>) -> Result<Browser, u16> {
    let url = format!("ws://{}/ws{query}", house.server.address());
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(Browser { socket }),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn browser(house: &House, query: &str) -> Browser {
    let bearer = format!("Bearer {ADMIN}");
    let mut browser = connect(house, query, &[("authorization", &bearer)])
        .await
        .unwrap();
    assert_eq!(browser.next().await["type"], "connected");
    browser
}

impl Browser {
    /// The next message that is no heartbeat.
    async fn next(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next());
            let message = next.await.expect("nothing came").unwrap().unwrap();
            if let Message::Text(text) = message {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] != "heartbeat" {
                    return message;
                }
            }
        }
    }

    async fn send(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        self.socket.send(message).await.unwrap();
    }
}

struct Build {
    house: House,
    broker: Broker,
    project: String,
    session: String,
    command: Value,
    started: Value,
    seq: u64,
}

async fn build() -> Build {
    build_in(house().await).await
}

async fn build_in(house: House) -> Build {
    let broker = broker().await;
    let project = house.project("p").await;
    house.link("r1", broker.address, "hopline.v1").await;
    let (started, command) = start(&house, &broker, &project).await;
    Build {
        house,
        broker,
        project,
        session: started["sessionId"].as_str().unwrap().to_owned(),
        command,
        started,
        seq: 0,
    }
}

impl Build {
    async fn text(&mut self, delta: &str) {
        self.seq += 1;
        let part = part(
            &self.command,
            self.seq,
            json!({"type": "text-delta", "id": "t", "delta": delta}),
        );
        self.send(part).await;
    }

    async fn todo(&mut self, status: &str) {
        self.seq += 1;
        let input = json!({"todos": [{"content": "one", "activeForm": "one", "status": status}]});
        let part = part(
            &self.command,
            self.seq,
            json!({"type": "tool-input-available", "toolCallId": format!("c{}", self.seq), "toolName": "TodoWrite", "input": input}),
        );
        self.send(part).await;
    }

    async fn send(&self, mut event: Value) {
        event["_sentry"] = self.command["_sentry"].clone();
        let (status, reply) = self.house.ingest(event.to_string()).await;
        assert_eq!((status.as_u16(), &reply["rejected"]), (200, &json!([])));
    }

    fn query(&self) -> String {
        format!("?projectId={}&sessionId={}", self.project, self.session)
    }
}

/// All text of a state.
fn text_of(state: &Value) -> String {
    let by_todo = state["textByTodo"].as_object().unwrap();
    let texts = by_todo.values().flat_map(|texts| texts.as_array().unwrap());
    texts.map(|text| text["text"].as_str().unwrap()).collect()
}

/// All text in a batch.
fn deltas_of(batch: &Value) -> String {
    let updates = batch["updates"].as_array().unwrap().iter();
    updates
        .filter(|update| update["type"] == "text-delta")
        .map(|update| update["data"]["delta"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_client_gets_a_snapshot_and_then_every_update_in_order() {
    let mut build = build().await;
    build.text("a").await;
    let mut browser = browser(&build.house, &build.query()).await;
    let snapshot = browser.next().await;
    assert_eq!(
        (&snapshot["type"], &snapshot["seq"]),
        (&json!("state-update"), &json!(1))
    );
    assert_eq!(text_of(&snapshot["state"]), "a");
    let mut text = text_of(&snapshot["state"]);
    let mut seq = 1;
    for letter in ["b", "c", "d", "e"] {
        build.text(letter).await;
    }
    build.todo("in_progress").await;
    while seq < build.seq {
        let batch = browser.next().await;
        assert_eq!(batch["type"], "batch-update");
        assert_eq!(
            (&batch["sessionId"], &batch["projectId"]),
            (&json!(build.session), &json!(build.project))
        );
        assert!(batch["seq"].as_u64().unwrap() > seq);
        seq = batch["seq"].as_u64().unwrap();
        text += &deltas_of(&batch);
        let trace = batch["_sentry"]["trace"].as_str().unwrap();
        assert!(trace.starts_with(build.started["traceId"].as_str().unwrap()));
    }
    assert_eq!(text, "abcde");
    let spans = until(|| async {
        let spans = build
            .house
            .spans(build.started["traceId"].as_str().unwrap());
        let broadcast = spans
            .iter()
            .find(|span| span.name.to_string() == "websocket.broadcast")?;
        let parent = spans
            .iter()
            .find(|span| Some(span.span_id) == broadcast.parent_id)?;
        Some((broadcast.clone(), parent.clone()))
    })
    .await;
    assert!(
        spans
            .1
            .name
            .to_string()
            .starts_with("persistent-processor.persistEvent.")
    );
    assert!(spans.0.end >= spans.0.start && spans.0.attribute("hopline.live.clients").is_some());
    let command = build.command["id"].as_str().unwrap();
    for (key, id) in [
        ("event.projectId", &*build.project),
        ("event.commandId", command),
        ("event.sessionId", &*build.session),
    ] {
        assert_eq!(spans.0.attribute(key), Some(id.to_owned().into()), "{key}");
    }
}

#[tokio::test]
async fn a_broadcast_that_a_client_does_not_take_is_shown_unfinished() {
    let house = house_with(|options| {
        options.live.client_bytes = 64 << 20;
        options.live.flush_interval = Duration::from_millis(1);
    })
    .await;
    let mut build = build_in(house).await;
    let mut slow = browser(&build.house, &build.query()).await;
    assert_eq!(slow.next().await["type"], "state-update");
    // More than the sockets' buffers hold.
    let delta = "x".repeat(512 << 10);
    for _ in 0..30 {
        build.text(&delta).await;
    }
    let trace = build.started["traceId"].as_str().unwrap();
    let broadcasts = |pending: bool| {
        let mut spans = build.house.spans(trace);
        spans.retain(|span| {
            span.name.to_string() == "websocket.broadcast" && span.pending == pending
        });
        spans
    };
    let shown = until(|| async { Some(broadcasts(true)).filter(|spans| !spans.is_empty()) }).await;
    let mut seq = 0;
    while seq < build.seq {
        seq = slow.next().await["seq"].as_u64().unwrap();
    }
    until(|| async { broadcasts(true).is_empty().then_some(()) }).await;
    let finished = broadcasts(false);
    for span in shown {
        let ended = finished.iter().find(|end| end.span_id == span.span_id);
        assert!(ended.unwrap().end > span.start);
    }
}

#[tokio::test]
async fn a_carrier_that_is_not_sampled_is_passed_on_unchanged() {
    let house = house_with(|options| options.sampler = Sampler::new(0.0)).await;
    let mut build = build_in(house).await;
    let carrier = build.command["_sentry"].clone();
    assert!(carrier["trace"].as_str().unwrap().ends_with("-0"));
    let mut browser = browser(&build.house, &build.query()).await;
    assert_eq!(browser.next().await["type"], "state-update");
    build.text("a").await;
    build.text("b").await;
    let mut seq = 0;
    while seq < build.seq {
        let batch = browser.next().await;
        assert_eq!(batch["_sentry"], carrier);
        seq = batch["seq"].as_u64().unwrap();
    }
    let trace_id = build.started["traceId"].as_str().unwrap();
    assert!(build.house.spans(trace_id).is_empty());
}

#[tokio::test]
async fn the_end_of_a_build_is_told() {
    let mut build = build().await;
    let mut browser = browser(&build.house, &build.query()).await;
    assert_eq!(browser.next().await["state"]["isActive"], true);
    build.text("a").await;
    let done = event(
        "build-completed",
        &build.command,
        2,
        json!({"payload": {"todos": []}, "exitCode": 0}),
    );
    build.send(done).await;
    loop {
        let batch = browser.next().await;
        let updates = batch["updates"].as_array().unwrap();
        if let Some(session) = updates.iter().find(|update| update["type"] == "session") {
            assert_eq!(session["data"]["status"], "completed");
            break;
        }
    }
}

#[tokio::test]
async fn what_the_server_decides_is_told_though_no_event_came() {
    let house = house_with(|options| options.command_timeout = Duration::from_millis(300)).await;
    let build = build_in(house).await;
    let mut browser = browser(&build.house, &build.query()).await;
    assert_eq!(browser.next().await["state"]["isActive"], true);
    let batch = browser.next().await;
    assert_eq!(batch["seq"], 0);
    assert_eq!(batch["updates"][0]["data"]["status"], "failed", "{batch}");
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_or_a_snapshot() {
    let mut build = build().await;
    let mut first = browser(&build.house, &build.query()).await;
    assert_eq!(first.next().await["type"], "state-update");
    build.todo("pending").await;
    assert_eq!(first.next().await["seq"], 1);
    drop(first);
    build.todo("in_progress").await;
    build.todo("completed").await;

    let mut again = browser(&build.house, &format!("{}&since=1", build.query())).await;
    let mut seqs = Vec::new();
    while seqs.last() != Some(&json!(3)) {
        let batch = again.next().await;
        assert_eq!(batch["type"], "batch-update", "{batch}");
        seqs.push(batch["seq"].clone());
    }
    let mut current = browser(&build.house, &format!("{}&since=3", build.query())).await;
    build.todo("pending").await;
    assert_eq!(current.next().await["seq"], 4, "nothing was missed");
    let mut stranger = browser(&build.house, &format!("{}&since=999", build.query())).await;
    assert_eq!(stranger.next().await["type"], "state-update");
}

#[tokio::test]
async fn a_slow_client_gets_a_snapshot_and_holds_nobody_up() {
    let house = house_with(|options| {
        options.live.client_bytes = 64 << 10;
        options.live.flush_interval = Duration::from_millis(1);
    })
    .await;
    let mut build = build_in(house).await;
    let mut slow = browser(&build.house, &build.query()).await;
    assert_eq!(slow.next().await["type"], "state-update");
    // More than the sockets' buffers and the queue hold together. The slow client reads nothing meanwhile,
    // and every event is answered all the same.
    let delta = |number: u8| char::from(b'0' + number).to_string().repeat(512 << 10);
    for number in 0..40 {
        build.text(&delta(number)).await;
    }
    let mut text = String::new();
    let mut had_snapshot = false;
    let mut seq = 0;
    while seq < build.seq {
        let message = slow.next().await;
        assert!(message["seq"].as_u64().unwrap() > seq, "in order");
        seq = message["seq"].as_u64().unwrap();
        if message["type"] == "state-update" {
            had_snapshot = true;
            text = text_of(&message["state"]);
            // Of more than it holds a state has the newest, and says up to where the older is left out.
            let left_out = message["state"]["truncated"]["upTo"].as_u64();
            assert_eq!(left_out.is_some(), seq > 15, "{left_out:?} at {seq}");
            assert!(left_out.is_none_or(|up_to| up_to < seq));
        } else {
            text += &deltas_of(&message);
        }
    }
    assert!(had_snapshot);
    let whole: String = (0..40).map(delta).collect();
    assert!(text.len() > 4 << 20 && whole.ends_with(&text));
}

#[tokio::test]
async fn a_project_is_followed_from_build_to_build() {
    let house = house().await;
    let project = house.project("empty").await;
    let mut browser = browser(&house, &format!("?projectId={project}")).await;
    let nothing = browser.next().await;
    assert_eq!(
        (&nothing["type"], &nothing["state"]),
        (&json!("state-update"), &Value::Null)
    );
    let broker = broker().await;
    house.link("r1", broker.address, "hopline.v1").await;
    for _ in 0..2 {
        let (started, command) = start(&house, &broker, &project).await;
        house
            .ingest(
                part(
                    &command,
                    1,
                    json!({"type": "text-delta", "id": "t", "delta": "x"}),
                )
                .to_string(),
            )
            .await;
        let state = browser.next().await;
        assert_eq!(
            (&state["type"], &state["sessionId"]),
            (&json!("state-update"), &started["sessionId"])
        );
        let done = event("build-failed", &command, 2, json!({"error": "no"}));
        house.ingest(done.to_string()).await;
        let batch = browser.next().await;
        assert_eq!(
            (&batch["type"], &batch["seq"]),
            (&json!("batch-update"), &json!(2))
        );
    }
}

#[tokio::test]
async fn a_client_may_turn_to_another_build_and_ask_again() {
    let build = build().await;
    let other = build.house.project("other").await;
    let mut browser = browser(&build.house, &format!("?projectId={other}")).await;
    assert_eq!(browser.next().await["state"], Value::Null);
    browser
        .send(json!({"type": "subscribe", "projectId": build.project, "sessionId": build.session}))
        .await;
    assert_eq!(browser.next().await["sessionId"], json!(build.session));
    browser.send(json!({"type": "get-state"})).await;
    assert_eq!(browser.next().await["type"], "state-update");
    browser.send(json!({"type": "of-tomorrow"})).await;
    browser.send(json!({"type": "subscribe"})).await;
    assert_eq!(browser.next().await["code"], "bad_request");
    browser.send(json!(5)).await;
    assert_eq!(browser.next().await["type"], "error");
    drop(build.broker);
}

#[tokio::test]
async fn live_updates_ask_for_a_credential_and_for_our_own_page() {
    let build = build().await;
    let house = &build.house;
    let other = house.project("other").await;
    let query = build.query();
    let bearer = format!("Bearer {ADMIN}");
    let foreign = [
        ("authorization", bearer.as_str()),
        ("origin", "http://evil.example"),
    ];
    for (query, headers, status) in [
        (query.as_str(), &[][..], 401),
        (
            query.as_str(),
            &[("authorization", "Bearer wrong")][..],
            403,
        ),
        (query.as_str(), &foreign[..], 403),
        (
            query.as_str(),
            &[("sec-websocket-protocol", "hopline.live, wrong")][..],
            403,
        ),
        ("", &[("authorization", bearer.as_str())][..], 400),
        (
            "?sessionId=x",
            &[("authorization", bearer.as_str())][..],
            400,
        ),
        (
            "?projectId=6f1c2d7e-0000-4000-8000-000000000000",
            &[("authorization", bearer.as_str())][..],
            404,
        ),
    ] {
        let refused = connect(house, query, headers).await.err();
        assert_eq!(refused, Some(status), "{query} {headers:?}");
    }
    let token = |project: String| async move {
        let (status, reply) = house
            .post("/api/ws-tokens", json!({"projectId": project}))
            .await;
        assert_eq!(status.as_u16(), 200);
        format!("hopline.live, {}", reply["token"].as_str().unwrap())
    };
    let right = token(build.project.clone()).await;
    let mut browser = connect(house, &query, &[("sec-websocket-protocol", &right)])
        .await
        .unwrap();
    assert_eq!(browser.next().await["type"], "connected");
    assert_eq!(browser.next().await["type"], "state-update");
    browser
        .send(json!({"type": "subscribe", "projectId": other.clone()}))
        .await;
    assert_eq!(browser.next().await["code"], "forbidden");
    let wrong = token(other).await;
    let refused = connect(house, &query, &[("sec-websocket-protocol", &wrong)])
        .await
        .err();
    assert_eq!(refused, Some(403), "the token is for another project");
    let (status, _) = answer(
        house
            .bare(Method::POST, "/api/ws-tokens")
            .json(&json!({"projectId": build.project})),
    )
    .await;
    assert_eq!(status.as_u16(), 401);
}

#[tokio::test]
async fn a_stopping_server_says_farewell() {
    let build = build().await;
    let mut browser = browser(&build.house, &build.query()).await;
    browser.next().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let House { server, .. } = build.house;
    let stopping = tokio::spawn(server.shutdown(deadline));
    let farewell = async {
        while let Some(Ok(message)) = browser.socket.next().await {
            if let Message::Close(Some(frame)) = message {
                return u16::from(frame.code);
            }
        }
        0
    };
    assert_eq!(farewell.await, 1001);
    drop(browser);
    assert!(stopping.await.unwrap());
}
