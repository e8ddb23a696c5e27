//! Both neighbours of a broker, for its tests: a server that commits events as Hopline's does and can be
//! told to misbehave, and a runner that says exactly what a test wants. Everything runs over real sockets.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hopline_broker::{Broker, Handle, Options};
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::pipeline::{DEFAULT_QUEUE_BYTES, Pipeline};
use hopline_telemetry::{Head, Sampler, TraceContext, Tracer};
use hopline_wire::secret::Secret;
use hopline_wire::span::{SinkError, Span, SpanSink};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) const SECRET: &str = "the runner secret";

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The events in it that belong to a command.
    pub(crate) fn events(&self) -> Vec<Value> {
        let events = match self.json() {
            Value::Array(events) => events,
            event => vec![event],
        };
        let of_command = events.into_iter().filter(|e| e.get("commandId").is_some());
        of_command.collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What the server does with the next request that has events of a command, in place of what it should.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers this status and keeps nothing.
    Status(u16, &'static str),
    /// Commits, and answers this status all the same.
    CommitsBut(u16),
    /// Answers with this body.
    Body(u16, Value),
}

/// A server that commits events in order per command, each once.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) received: Vec<Received>,
    /// Events by command, in the order of their commit.
    pub(crate) committed: HashMap<String, Vec<Value>>,
    pub(crate) faults: VecDeque<Fault>,
    last: HashMap<String, u64>,
    seen: std::collections::HashSet<(String, u64)>,
    /// Answers 413 above so many bytes.
    pub(crate) most_bytes: Option<usize>,
    /// Answers so to every request with this text in it.
    pub(crate) poison: Option<(&'static str, u16)>,
    /// The runners' tokens that are good, by their hashes, and what it answers when asked about them, if not that:
    /// nothing at all, if this is 0.
    pub(crate) tokens: HashMap<String, String>,
    pub(crate) tokens_status: Option<u16>,
    /// Whether it acknowledges, or is the original's.
    pub(crate) plain: bool,
}

pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    /// Each request with events of a command needs a permit to be answered.
    pub(crate) gate: Arc<Semaphore>,
}

#[derive(Clone)]
struct Shared {
    ledger: Arc<Mutex<Ledger>>,
    gate: Arc<Semaphore>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn at(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            ledger: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let (ledger, gate) = (Arc::clone(&shared.ledger), Arc::clone(&shared.gate));
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            ledger,
            gate,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.ledger.lock().faults.push_back(fault);
    }

    /// Lets no further request through.
    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(1_000_000);
    }

    pub(crate) fn committed(&self, command: &str) -> Vec<Value> {
        let ledger = self.ledger.lock();
        ledger.committed.get(command).cloned().unwrap_or_default()
    }

    /// Waits until so many events of the command are committed.
    pub(crate) async fn wait_for(&self, command: &str, count: usize) -> Vec<Value> {
        until(|| self.committed(command).len() >= count).await;
        self.committed(command)
    }

    /// The requests with events of commands.
    pub(crate) fn requests(&self) -> Vec<Received> {
        let ledger = self.ledger.lock();
        let with_events = ledger
            .received
            .iter()
            .filter(|r| r.path == "/api/runner/events" && !r.events().is_empty());
        with_events.cloned().collect()
    }

    /// The reports about links.
    pub(crate) fn reports(&self) -> Vec<Value> {
        let ledger = self.ledger.lock();
        let mut reports = Vec::new();
        for received in &ledger.received {
            let events = match received.json() {
                Value::Array(events) => events,
                event => vec![event],
            };
            reports.extend(
                events
                    .into_iter()
                    .filter(|e| e["type"] == "runner-status" && e.get("brokerUrl").is_some()),
            );
        }
        reports
    }
}

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received {
        path: uri.path().to_owned(),
        headers,
        body,
    };
    if received.path == hopline_wire::token::CHECK_PATH {
        let never = shared.ledger.lock().tokens_status == Some(0);
        if never {
            shared.ledger.lock().received.push(received);
            std::future::pending::<()>().await;
            unreachable!();
        }
        return shared.ledger.lock().tell_tokens(received);
    }
    if received.path != "/api/runner/events" {
        let relayed = shared.ledger.lock().faults.pop_front();
        shared.ledger.lock().received.push(received);
        return match relayed {
            Some(Fault::Status(status, body)) => (
                StatusCode::from_u16(status).unwrap(),
                [("retry-after", "7")],
                body,
            )
                .into_response(),
            _ => ([("content-type", "application/x-protobuf")], "taken").into_response(),
        };
    }
    assert_eq!(
        received.header("authorization"),
        Some(format!("Bearer {SECRET}").as_str())
    );
    shared.ledger.lock().received.push(received.clone());
    if received.events().is_empty() {
        let plain = shared.ledger.lock().plain;
        return if plain {
            json_answer(200, &json!({"ok": true}))
        } else {
            json_answer(200, &json!({"ok": true, "acked": {}}))
        };
    }
    shared.gate.acquire().await.unwrap().forget();
    shared.ledger.lock().judge(&received)
}

pub(crate) fn json_answer(status: u16, body: &Value) -> Response {
    (
        StatusCode::from_u16(status).unwrap(),
        [("content-type", "application/json"), ("retry-after", "0")],
        body.to_string(),
    )
        .into_response()
}

impl Ledger {
    fn judge(&mut self, received: &Received) -> Response {
        if self
            .most_bytes
            .is_some_and(|most| received.body.len() > most)
        {
            return json_answer(413, &json!({"error": "too large", "code": "too_large"}));
        }
        let text = String::from_utf8_lossy(&received.body);
        if let Some((_, status)) = self.poison.filter(|(poison, _)| text.contains(poison)) {
            return json_answer(status, &json!({"error": "no", "code": "bad_body"}));
        }
        match self.faults.pop_front() {
            Some(Fault::Status(status, body)) => {
                return (
                    StatusCode::from_u16(status).unwrap(),
                    [("retry-after", "0")],
                    body,
                )
                    .into_response();
            }
            Some(Fault::CommitsBut(status)) => {
                self.commit(received);
                return json_answer(status, &json!({"error": "x", "code": "y"}));
            }
            Some(Fault::Body(status, body)) => return json_answer(status, &body),
            None => {}
        }
        let (acked, gaps) = self.commit(received);
        if self.plain {
            assert!(
                received.json().is_object(),
                "the original takes single events"
            );
            return json_answer(200, &json!({"ok": true}));
        }
        let nothing = acked.is_empty() && !gaps.is_empty();
        let status = if nothing { 409 } else { 200 };
        json_answer(
            status,
            &json!({"ok": !nothing, "acked": acked, "rejected": [], "gaps": gaps}),
        )
    }

    fn commit(&mut self, received: &Received) -> (HashMap<String, u64>, HashMap<String, u64>) {
        let (mut acked, mut gaps) = (HashMap::new(), HashMap::new());
        for event in received.events() {
            let command = event["commandId"].as_str().unwrap().to_owned();
            let last = self.last.entry(command.clone()).or_default();
            match event["seq"].as_u64() {
                Some(seq) if seq > *last + 1 && event["type"] != "events-lost" => {
                    gaps.insert(command, *last + 1);
                    continue;
                }
                Some(seq) if seq <= *last => {}
                Some(seq) => {
                    *last = seq;
                    self.committed
                        .entry(command.clone())
                        .or_default()
                        .push(event);
                }
                None => {
                    let id = (
                        event["link"].as_str().unwrap().to_owned(),
                        event["linkSeq"].as_u64().unwrap(),
                    );
                    if self.seen.insert(id) {
                        *last += 1;
                        self.committed
                            .entry(command.clone())
                            .or_default()
                            .push(event);
                    }
                }
            }
            acked.insert(command, *last);
        }
        (acked, gaps)
    }
}

/// Keeps the spans that a broker makes.
#[derive(Default, Clone)]
pub(crate) struct Spans(Arc<Mutex<Vec<Span>>>);

impl SpanSink for Spans {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        self.0.lock().extend_from_slice(spans);
        Ok(())
    }
}

impl Spans {
    pub(crate) fn all(&self) -> Vec<Span> {
        self.0.lock().clone()
    }

    pub(crate) fn finished(&self) -> Vec<Span> {
        self.all().into_iter().filter(|s| !s.pending).collect()
    }

    /// Waits for so many finished spans.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Span> {
        until(|| self.finished().len() >= count).await;
        self.finished()
    }
}

pub(crate) struct Started {
    pub(crate) handle: Handle,
    pub(crate) spans: Spans,
    pub(crate) metrics: Metrics,
}

/// Options with short pauses.
pub(crate) fn options(api: &Api) -> Options {
    let mut options = Options::new(([127, 0, 0, 1], 0).into(), api.url(), Secret::new(SECRET));
    options.first_pause = Duration::from_millis(5);
    options.longest_pause = Duration::from_millis(50);
    options.slow_pause = Duration::from_millis(20);
    options
}

pub(crate) async fn start(options: Options) -> Started {
    let spans = Spans::default();
    let (pipeline, _thread) =
        Pipeline::start(vec![Arc::new(spans.clone())], DEFAULT_QUEUE_BYTES).unwrap();
    let metrics = Metrics::default();
    let tracer = Tracer::new(pipeline, "hopline-broker", "test");
    let handle = Broker::start(options, tracer, metrics.clone())
        .await
        .unwrap();
    Started {
        handle,
        spans,
        metrics,
    }
}

/// A broker of `api` with the options of [`options`].
pub(crate) async fn broker(api: &Api) -> Started {
    start(options(api)).await
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A runner that says what the test wants.
pub(crate) struct Runner {
    socket: Socket,
}

/// How a runner knocks.
#[derive(Default, Clone)]
pub(crate) struct Knock {
    pub(crate) secret: Option<&'static str>,
    pub(crate) v1: bool,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Runner {
    pub(crate) async fn knock(
        broker: &Handle,
        id: &str,
        knock: &Knock,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        Self::knock_at(&format!("ws://{}", broker.address()), id, knock).await
    }

    /// The same at this address.
    pub(crate) async fn knock_at(
        url: &str,
        id: &str,
        knock: &Knock,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let mut request = format!("{url}/socket?runnerId={id}").into_client_request()?;
        let headers = request.headers_mut();
        let secret = knock.secret.unwrap_or(SECRET);
        headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
        if knock.v1 {
            headers.insert("sec-websocket-protocol", "hopline.v1".parse().unwrap());
        }
        for (name, value) in &knock.headers {
            headers.insert(*name, value.parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        Ok(Self { socket })
    }

    pub(crate) async fn legacy(broker: &Handle, id: &str) -> Self {
        Self::knock(broker, id, &Knock::default()).await.unwrap()
    }

    /// A runner of `hopline.v1` that has been welcomed.
    pub(crate) async fn v1(broker: &Handle, id: &str, instance: &str, resume: Value) -> Self {
        let mut runner = Self::hello(broker, id, instance, resume).await;
        let welcome = runner.next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        assert!(welcome["window"].as_u64().unwrap() > 0 && welcome["serverTime"].is_string());
        runner
    }

    /// A runner that has said `hello`.
    pub(crate) async fn hello(broker: &Handle, id: &str, instance: &str, resume: Value) -> Self {
        let knock = Knock {
            v1: true,
            ..Knock::default()
        };
        let mut runner = Self::knock(broker, id, &knock).await.unwrap();
        let hello = json!({"type": "hello", "runnerId": id, "instanceId": instance, "version": "1",
            "agents": [], "resume": resume});
        runner.send(&hello).await;
        runner
    }

    pub(crate) async fn send(&mut self, value: &Value) {
        self.send_text(value.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: impl Into<Utf8Bytes>) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next text frame.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("a frame in time");
            match message.expect("the link lives").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("the link was closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Waits until the command is acknowledged up to `seq`, and gives all frames that came.
    pub(crate) async fn acked(&mut self, command: &str, seq: u64) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            let done = frame["type"] == "events-acked"
                && frame["commandId"] == command
                && frame["seq"].as_u64().unwrap() >= seq;
            frames.push(frame);
            if done {
                return frames;
            }
        }
    }

    /// The code and reason with which the link is closed.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("a close in time");
            match message {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("the link ended without a closing frame: {other:?}"),
            }
        }
    }

    /// Closes the link as the protocol wants it, and waits for the broker's closing frame.
    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        let mut replied = false;
        while let Some(message) = tokio::time::timeout(PATIENCE, self.socket.next())
            .await
            .expect("an end in time")
        {
            match message {
                Ok(Message::Close(_)) => replied = true,
                Ok(_) => {}
                Err(error) => panic!("the link broke: {error}"),
            }
        }
        assert!(replied, "the link ended without a closing frame");
    }

    /// Ends the link as a crash would.
    pub(crate) fn vanish(self) {
        drop(self);
    }
}

/// A `build-stream` event.
pub(crate) fn event(command: &str, seq: u64) -> Value {
    json!({"type": "build-stream", "commandId": command, "projectId": "p", "timestamp": "2026-01-31T09:30:00.000Z",
        "seq": seq, "data": format!("data: {{\"n\":{seq}}}\n\n")})
}

/// The same without a number.
pub(crate) fn unnumbered(command: &str, n: u64) -> Value {
    let mut event = event(command, n);
    event.as_object_mut().unwrap().remove("seq");
    event
}

/// A trace as its head passes it on, recorded or not.
pub(crate) fn trace(rate: f64) -> TraceContext {
    TraceContext::new_trace(&Sampler::new(rate), &Head::default(), "test", None)
}

/// The carrier of a trace.
pub(crate) fn carrier(trace: &TraceContext) -> Value {
    let mut json = Vec::new();
    trace.write_carrier(&mut json);
    serde_json::from_slice(&json).unwrap()
}

pub(crate) fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(|e| e["seq"].as_u64().unwrap()).collect()
}

pub(crate) async fn http(
    method: &str,
    broker: &Handle,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> (u16, String) {
    let url = format!("http://{}{path}", broker.address());
    let mut request = hopline_telemetry::http::client_builder()
        .build()
        .unwrap()
        .request(method.parse().unwrap(), url)
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

pub(crate) fn bearer() -> (&'static str, &'static str) {
    ("authorization", "Bearer the runner secret")
}
