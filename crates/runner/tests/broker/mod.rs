//! A broker for tests, and runners linked to it. It speaks each form of the link, keeps what it receives, and does
//! what a test tells it: acknowledge or not, ask again, hang up, stop reading.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hopline_runner::workspace::Workspace;
use hopline_runner::{Handle, Options, Runner};
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Pipeline, Tracer};
use hopline_wire::Timestamp;
use hopline_wire::secret::Secret;
use hopline_wire::span::{SinkError, Span, SpanSink};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::support::{FAR, guard};

/// The secret that the broker takes.
pub(crate) const SECRET: &str = "right";

/// What kind of broker it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Speaks `hopline.v1`, with this window.
    V1 { window: u32, window_bytes: u64 },
    /// Knows no subprotocol.
    Legacy,
    /// Echoes any subprotocol and knows none.
    Echo,
}

pub(crate) const V1: Kind = Kind::V1 {
    window: 8_192,
    window_bytes: 16 << 20,
};

#[derive(Default)]
struct State {
    events: Vec<Value>,
    /// The text of each frame.
    frames: Vec<String>,
    hellos: Vec<Value>,
    authorization: Vec<String>,
    uris: Vec<String>,
}

pub(crate) struct Broker {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    kind: Kind,
    state: Mutex<State>,
    changed: Notify,
    acks: AtomicBool,
    max_event_bytes: AtomicU64,
    links: AtomicU64,
    pings: AtomicU64,
    reads: watch::Sender<bool>,
    close_with: Mutex<Option<u16>>,
    link: Mutex<Option<mpsc::UnboundedSender<Message>>>,
}

impl Broker {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            kind,
            state: Mutex::default(),
            changed: Notify::new(),
            acks: AtomicBool::new(true),
            max_event_bytes: AtomicU64::new(1 << 20),
            links: AtomicU64::new(0),
            pings: AtomicU64::new(0),
            reads: watch::Sender::new(true),
            close_with: Mutex::new(None),
            link: Mutex::new(None),
        });
        let server = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&server).serve(stream));
            }
        });
        Self { url, shared }
    }

    /// Whether events are acknowledged when they come.
    pub(crate) fn acknowledges(&self, acks: bool) {
        self.shared.acks.store(acks, Ordering::SeqCst);
    }

    pub(crate) fn takes_events_up_to(&self, bytes: u64) {
        self.shared.max_event_bytes.store(bytes, Ordering::SeqCst);
    }

    /// Whether anything is read.
    pub(crate) fn reads(&self, reads: bool) {
        self.shared.reads.send_replace(reads);
    }

    /// Closes each link at once with this code; none ends that.
    pub(crate) fn refuses_with(&self, code: Option<u16>) {
        *self.shared.close_with.lock() = code;
    }

    pub(crate) fn links(&self) -> u64 {
        self.shared.links.load(Ordering::SeqCst)
    }

    /// How many pings have come.
    pub(crate) fn pings(&self) -> u64 {
        self.shared.pings.load(Ordering::SeqCst)
    }

    /// Pings, if there is a link.
    pub(crate) fn ping(&self) {
        if let Some(link) = &*self.shared.link.lock() {
            let _ = link.send(Message::Ping(Default::default()));
        }
    }

    /// Sends a frame, once there is a link.
    pub(crate) async fn send(&self, frame: Value) {
        let text = frame.to_string();
        self.until("a link", |_| {
            let link = self.shared.link.lock();
            link.as_ref()
                .is_some_and(|link| link.send(Message::text(text.clone())).is_ok())
        })
        .await;
    }

    /// Acknowledges everything received so far, and from now on what comes.
    pub(crate) async fn settle_all(&self) {
        self.acknowledges(true);
        let last: BTreeMap<String, u64> = self
            .events()
            .iter()
            .filter_map(|event| {
                Some((
                    event["commandId"].as_str()?.to_owned(),
                    event["seq"].as_u64()?,
                ))
            })
            .collect();
        for (command, seq) in last {
            self.send(json!({"type": "events-acked", "commandId": command, "seq": seq}))
                .await;
        }
    }

    /// Breaks the link off.
    pub(crate) fn hang_up(&self) {
        self.shared.link.lock().take();
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.shared.state.lock().events.clone()
    }

    pub(crate) fn frames(&self) -> Vec<String> {
        self.shared.state.lock().frames.clone()
    }

    pub(crate) fn hellos(&self) -> Vec<Value> {
        self.shared.state.lock().hellos.clone()
    }

    pub(crate) fn uris(&self) -> Vec<String> {
        self.shared.state.lock().uris.clone()
    }

    /// The events of a command so far.
    pub(crate) fn events_of(&self, command: &str) -> Vec<Value> {
        let mine = |event: &Value| event["commandId"] == command;
        self.events().into_iter().filter(mine).collect()
    }

    /// The events of a command up to the first of this type.
    pub(crate) async fn until_event(&self, command: &str, kind: &str) -> Vec<Value> {
        let what = format!("{kind} of {command}");
        self.until(&what, |events| {
            events
                .iter()
                .any(|event| event["commandId"] == command && event["type"] == kind)
        })
        .await;
        self.events_of(command)
    }

    /// Waits until the events received fulfil a condition.
    pub(crate) async fn until(&self, what: &str, mut condition: impl FnMut(&[Value]) -> bool) {
        let deadline = tokio::time::Instant::now() + FAR;
        loop {
            if condition(&self.shared.state.lock().events) {
                return;
            }
            let changed = self.shared.changed.notified();
            let wait = tokio::time::timeout(Duration::from_millis(20), changed).await;
            assert!(
                wait.is_ok() || tokio::time::Instant::now() < deadline,
                "not in time: {what}; {:#?}",
                self.events().iter().rev().take(5).collect::<Vec<_>>()
            );
        }
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut offered = false;
        let mut right = false;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let check =
            |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
                let header = |name: &str| {
                    let value = request.headers().get(name);
                    value.map(|value| value.to_str().unwrap().to_owned())
                };
                let mut state = self.state.lock();
                state.uris.push(request.uri().to_string());
                let authorization = header("authorization").unwrap_or_default();
                right = authorization == format!("Bearer {SECRET}");
                if let Some(name) =
                    header("sec-websocket-protocol").filter(|_| self.kind != Kind::Legacy)
                {
                    offered = true;
                    let value = name.parse().unwrap();
                    response
                        .headers_mut()
                        .insert("sec-websocket-protocol", value);
                }
                Ok(response)
            };
        let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
            return;
        };
        self.links.fetch_add(1, Ordering::SeqCst);
        let code = if right {
            *self.close_with.lock()
        } else {
            Some(1008)
        };
        if let Some(code) = code {
            let frame = CloseFrame {
                code: code.into(),
                reason: "".into(),
            };
            let _ = socket.close(Some(frame)).await;
            return;
        }
        let (sender, mut outgoing) = mpsc::unbounded_channel();
        let (mut sink, mut stream) = socket.split();
        *self.link.lock() = Some(sender.clone());
        drop(sender);
        let mut reads = self.reads.subscribe();
        loop {
            let may_read = *reads.borrow_and_update();
            tokio::select! {
                message = stream.next(), if may_read => match message {
                    Some(Ok(Message::Text(text))) => {
                        for answer in self.receive(&text, offered) {
                            let _ = sink.send(Message::text(answer.to_string())).await;
                        }
                    }
                    Some(Ok(Message::Ping(_))) => {
                        self.pings.fetch_add(1, Ordering::SeqCst);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                message = outgoing.recv() => match message {
                    Some(message) => { let _ = sink.send(message).await; }
                    // Hung up.
                    None => return,
                },
                _ = reads.changed() => {}
            }
        }
    }

    /// Keeps what came, and says what to answer.
    fn receive(&self, text: &str, v1: bool) -> Vec<Value> {
        let value: Value = serde_json::from_str(text).unwrap();
        let mut state = self.state.lock();
        if value["type"] == "hello" {
            state.hellos.push(value);
            drop(state);
            self.changed.notify_waiters();
            return match self.kind {
                Kind::V1 {
                    window,
                    window_bytes,
                } if v1 => vec![json!({
                    "type": "welcome", "window": window, "windowBytes": window_bytes,
                    "maxEventBytes": self.max_event_bytes.load(Ordering::SeqCst),
                    "serverTime": Timestamp::now(),
                })],
                _ => Vec::new(),
            };
        }
        state.frames.push(text.to_owned());
        let events = match value {
            Value::Array(events) => events,
            event => vec![event],
        };
        let mut acks = Vec::new();
        for event in &events {
            if let (Some(command), Some(seq)) = (event["commandId"].as_str(), event["seq"].as_u64())
            {
                acks.push(json!({"type": "events-acked", "commandId": command, "seq": seq}));
            }
        }
        state.events.extend(events);
        drop(state);
        self.changed.notify_waiters();
        let acknowledges = matches!(self.kind, Kind::V1 { .. }) && self.acks.load(Ordering::SeqCst);
        if acknowledges { acks } else { Vec::new() }
    }
}

/// Keeps the spans it gets.
#[derive(Default)]
pub(crate) struct Spans(Mutex<Vec<Span>>);

impl SpanSink for Spans {
    fn take(&self, spans: &[Span]) -> Result<(), SinkError> {
        self.0.lock().extend_from_slice(spans);
        Ok(())
    }
}

/// A runner on a workspace of its own.
pub(crate) struct TestRunner {
    pub(crate) handle: Handle,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) outbox: tempfile::TempDir,
    pub(crate) pipeline: Pipeline,
    spans: Arc<Spans>,
}

impl TestRunner {
    pub(crate) async fn start(broker: &Broker) -> Self {
        Self::with(broker, |_| {}).await
    }

    pub(crate) async fn with(broker: &Broker, change: impl FnOnce(&mut Options)) -> Self {
        let (folder, outbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spans = Arc::new(Spans::default());
        let sinks: Vec<Arc<dyn SpanSink>> = vec![Arc::clone(&spans) as _];
        let (pipeline, _thread) = Pipeline::start(sinks, 64 << 20).unwrap();
        let tracer = Tracer::new(pipeline.clone(), "hopline-runner", "test");
        let workspace = Workspace::new(folder.path().canonicalize().unwrap());
        let secret = Secret::new(SECRET);
        let mut options = Options::new(
            "runner 1",
            &*broker.url,
            secret,
            workspace,
            outbox.path(),
            guard(),
        );
        options.environment = std::env::vars_os().collect();
        options.grace = Duration::from_secs(2);
        change(&mut options);
        let started = Runner::start(options, tracer, &Metrics::default()).await;
        let handle = started.unwrap();
        Self {
            handle,
            folder,
            outbox,
            pipeline,
            spans,
        }
    }

    pub(crate) fn project(&self) -> std::path::PathBuf {
        let folder = self.folder.path().join("p");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The finished spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        assert!(self.pipeline.flush(std::time::Instant::now() + FAR));
        let spans = self.spans.0.lock();
        spans.iter().filter(|span| !span.pending).cloned().collect()
    }

    pub(crate) async fn stop(&self) -> hopline_runner::ShutdownReport {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        self.handle.shutdown(deadline).await
    }
}

/// A command on the project `p`.
pub(crate) fn command(id: &str, kind: &str, payload: Value) -> Value {
    json!({"id": id, "type": kind, "projectId": "project", "timestamp": Timestamp::now(), "payload": payload})
}

/// A build of the project `p`.
pub(crate) fn build(id: &str, agent: &str, payload: Value) -> Value {
    let mut all = json!({"agent": agent, "projectSlug": "p", "projectName": "P", "prompt": "x", "operationType": "initial-build"});
    let members = payload.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(members);
    command(id, "start-build", all)
}

/// The parts inside the `build-stream` events among these.
pub(crate) fn parts(events: &[Value]) -> Vec<Value> {
    let data = events
        .iter()
        .filter(|event| event["type"] == "build-stream");
    data.map(|event| {
        let data = event["data"].as_str().unwrap();
        assert!(data.ends_with("\n\n"), "{data:?}");
        let json = data.strip_prefix("data: ").unwrap().trim_end();
        if json == "[DONE]" {
            return json!({"type": "[DONE]"});
        }
        serde_json::from_str(json).unwrap()
    })
    .collect()
}

/// All that a text with this id came to.
pub(crate) fn text_of(events: &[Value], id: &str) -> String {
    let deltas = parts(events)
        .into_iter()
        .filter(|part| part["type"] == "text-delta" && part["id"] == id);
    deltas
        .map(|part| part["delta"].as_str().unwrap().to_owned())
        .collect()
}

/// Checks that a command's events are numbered from 1 without a gap, in order.
pub(crate) fn assert_in_order(events: &[Value]) {
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], index + 1, "{event}");
    }
}

pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}
