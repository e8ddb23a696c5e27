//! A server with all that it stands on, a broker to send commands to, and short ways to ask for things.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Json, Router};
use hopline_processor::Processor;
use hopline_server::console::File;
use hopline_server::{Handle, Options, Parts, Secrets, Server};
use hopline_state::Store;
use hopline_state::sqlite::SqliteStore;
use hopline_telemetry::Tracer;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::pipeline::{DEFAULT_QUEUE_BYTES, Pipeline};
use hopline_traces::{LogOptions, LogStore, TraceStore};
use hopline_wire::TraceId;
use hopline_wire::secret::Secret;
use hopline_wire::span::{Span, SpanSink};
use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) const RUNNER: &str = "the-runner-secret";
pub(crate) const ADMIN: &str = "the-admin-secret";
pub(crate) const INGEST: &str = "the-ingest-key";

/// A console of two files.
pub(crate) const CONSOLE: &[File] = &[
    File {
        path: "index.html",
        content:
            b"<!doctype html><base href=\"/\" /><script src=\"./assets/app-1a2b.js\"></script>",
        brotli: Some(b"never served: the page is not as it was built"),
        gzip: None,
    },
    File {
        path: "assets/app-1a2b.js",
        content: b"console.log(1)",
        brotli: Some(b"in brotli"),
        gzip: Some(b"in gzip"),
    },
];

/// A server and its parts, in a folder that goes when the test ends.
pub(crate) struct House {
    pub(crate) server: Handle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) traces: Arc<LogStore>,
    pub(crate) pipeline: Pipeline,
    pub(crate) client: Client,
    pub(crate) processor: Option<Processor>,
    folder: tempfile::TempDir,
}

/// An answer: status, body as JSON (null if it is none).
pub(crate) type Answer = (StatusCode, Value);

pub(crate) async fn house() -> House {
    house_with(|_| {}).await
}

pub(crate) async fn house_with(set: impl FnOnce(&mut Options)) -> House {
    house_of(set, CONSOLE).await
}

/// A house whose program has this console built in.
pub(crate) async fn house_of(set: impl FnOnce(&mut Options), console: &'static [File]) -> House {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("db")).unwrap());
    let (traces, _) = LogStore::open(&folder.path().join("traces"), LogOptions::default()).unwrap();
    let traces = Arc::new(traces);
    let sinks = vec![Arc::clone(&traces) as Arc<dyn SpanSink>];
    let (pipeline, _) = Pipeline::start(sinks, DEFAULT_QUEUE_BYTES).unwrap();
    let metrics = Metrics::default();
    let tracer = |service| Tracer::new(pipeline.clone(), service, "test");
    let processor = Processor::start(
        hopline_processor::Options::default(),
        Arc::clone(&store),
        tracer("hopline-processor"),
        &metrics,
    );
    let mut options = options();
    set(&mut options);
    let parts = Parts {
        store: Arc::clone(&store),
        processor: processor.handle(),
        traces: Arc::clone(&traces) as Arc<dyn TraceStore>,
        questions: None,
        console,
        tracer: tracer("hopline-server"),
        metrics,
    };
    House {
        server: Server::start(options, parts).await.unwrap(),
        store,
        traces,
        pipeline,
        client: hopline_telemetry::http::client_builder().build().unwrap(),
        processor: Some(processor),
        folder,
    }
}

fn options() -> Options {
    let secrets = Secrets {
        runner: Secret::new(RUNNER),
        admin: Secret::new(ADMIN),
        ingest: Secret::new(INGEST),
        signing: Some(Secret::new("the-signing-secret")),
    };
    Options::new("127.0.0.1:0".parse().unwrap(), secrets)
}

impl House {
    /// Ends the server and starts another on the same rows.
    pub(crate) async fn restart(self, set: impl FnOnce(&mut Options)) -> House {
        let deadline = Instant::now() + Duration::from_secs(20);
        assert!(self.server.shutdown(deadline).await);
        let parts = Parts {
            store: Arc::clone(&self.store),
            processor: self.processor.as_ref().unwrap().handle(),
            traces: Arc::clone(&self.traces) as Arc<dyn TraceStore>,
            questions: None,
            console: CONSOLE,
            tracer: Tracer::new(self.pipeline.clone(), "hopline-server", "test"),
            metrics: Metrics::default(),
        };
        let mut options = options();
        set(&mut options);
        let server = Server::start(options, parts).await.unwrap();
        House { server, ..self }
    }

    /// Another server on the same rows, which reads its traces elsewhere.
    pub(crate) async fn another(&self, traces: Arc<dyn TraceStore>) -> Handle {
        let parts = Parts {
            store: Arc::clone(&self.store),
            processor: self.processor.as_ref().unwrap().handle(),
            traces,
            questions: None,
            console: CONSOLE,
            tracer: Tracer::new(self.pipeline.clone(), "hopline-server", "test"),
            metrics: Metrics::default(),
        };
        Server::start(options(), parts).await.unwrap()
    }

    /// Keeps everybody else from writing rows, until what this gives is dropped; they wait for seconds.
    pub(crate) fn lock_database(&self) -> rusqlite::Connection {
        let lock = rusqlite::Connection::open(self.folder.path().join("db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        lock
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// A request without any credential.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request with the admin secret.
    pub(crate) fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(ADMIN)
    }

    /// The cookie of a browser that is signed in, as it sends it.
    pub(crate) async fn cookie(&self) -> String {
        let request = self.bare(Method::POST, "/signin");
        let request = request.json(&json!({ "secret": ADMIN }));
        let response = request.send().await.unwrap();
        let set = response.headers()["set-cookie"].to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.admin(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.admin(Method::POST, path).json(&body)).await
    }

    /// A project's id.
    pub(crate) async fn project(&self, name: &str) -> String {
        let (status, project) = self.post("/api/projects", json!({ "name": name })).await;
        assert_eq!(status, StatusCode::CREATED, "{project}");
        project["id"].as_str().unwrap().to_owned()
    }

    /// Posts events as a broker does.
    pub(crate) async fn ingest(&self, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.bare(Method::POST, "/api/runner/events");
        let request = request
            .bearer_auth(RUNNER)
            .header("content-type", "application/json");
        answer(request.body(body)).await
    }

    /// Has a runner linked at a broker.
    pub(crate) async fn link(&self, runner: &str, broker: SocketAddr, protocol: &str) {
        self.report(runner, &format!("http://{broker}"), "up", protocol)
            .await;
    }

    pub(crate) async fn report(&self, runner: &str, broker_url: &str, link: &str, protocol: &str) {
        let status = json!({"type": "runner-status", "runnerId": runner, "brokerUrl": broker_url, "link": link,
            "payload": {"status": "ok", "protocol": protocol}});
        let (status, reply) = self.ingest(status.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{reply}");
    }

    /// The spans of a trace as stored by now.
    pub(crate) fn spans(&self, trace_id: &str) -> Vec<Span> {
        assert!(
            self.pipeline
                .flush(Instant::now() + Duration::from_secs(20))
        );
        let trace_id: TraceId = trace_id.parse().unwrap();
        self.traces.trace(trace_id, usize::MAX).unwrap().spans
    }
}

/// Sends a request and reads its answer.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Waits until `condition` holds; fails after 20 s.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut condition: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not come to pass");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A broker that keeps what it is sent and answers as it is told.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<VecDeque<Value>>,
    total: Mutex<usize>,
    arrived: Notify,
    answers: Mutex<VecDeque<StatusCode>>,
}

pub(crate) async fn broker() -> Broker {
    let shared = Arc::new(Shared::default());
    let router = Router::new()
        .route("/commands", axum::routing::post(take_command))
        .with_state(Arc::clone(&shared));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    Broker { address, shared }
}

async fn take_command(
    State(shared): State<Arc<Shared>>,
    headers: axum::http::HeaderMap,
    Json(mut body): Json<Value>,
) -> impl IntoResponse {
    let status = shared.answers.lock().pop_front().unwrap_or(StatusCode::OK);
    body["headers"] = headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    shared.received.lock().push_back(body);
    *shared.total.lock() += 1;
    shared.arrived.notify_one();
    (status, Json(json!({ "ok": status == StatusCode::OK })))
}

impl Broker {
    /// The next answers to give; afterwards, 200.
    pub(crate) fn answer_next(&self, statuses: &[u16]) {
        let statuses = statuses
            .iter()
            .map(|status| StatusCode::from_u16(*status).unwrap());
        self.shared.answers.lock().extend(statuses);
    }

    /// How many posts have come.
    pub(crate) fn count(&self) -> usize {
        *self.shared.total.lock()
    }

    /// The next post: `{runnerId, command, headers}`.
    pub(crate) async fn next(&self) -> Value {
        let next = async {
            loop {
                if let Some(post) = self.shared.received.lock().pop_front() {
                    return post;
                }
                self.shared.arrived.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next)
            .await
            .expect("no command came")
    }
}

/// An event of a command.
pub(crate) fn event(kind: &str, command: &Value, seq: u64, fields: Value) -> Value {
    let mut event = json!({
        "type": kind,
        "commandId": command["id"],
        "projectId": command["projectId"],
        "timestamp": "2026-01-31T09:34:56.789Z",
        "seq": seq,
    });
    event
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    event
}

/// A `build-stream` event with this part.
pub(crate) fn part(command: &Value, seq: u64, part: Value) -> Value {
    let data = format!("data: {part}\n\n");
    event("build-stream", command, seq, json!({ "data": data }))
}
