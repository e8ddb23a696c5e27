//! Starting and ending a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::serve::ListenerExt;
use futures_util::future::join_all;
use hopline_state::StateError;
use hopline_wire::Timestamp;
use hopline_wire::pace::Paces;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;

use crate::access::{Access, Cookie, LiveDsns};
use crate::app::App;
use crate::base_path::BasePath;
use crate::commands::answers::Answers;
use crate::commands::{BrokerClient, fail_unanswered};
use crate::console::Console;
use crate::hosts::{Hosts, guard};
use crate::live::{Hub, Snapshots, Threads};
use crate::metrics::Counters;
use crate::openapi;
use crate::options::{Options, Parts};
use crate::requests_under_way::{count, hear_out};
use crate::traces::{SpanRoom, grpc};

/// The largest body of a request that is neither events nor spans, in bytes.
const MAX_BODY: usize = 4 << 20;

/// How many traces are read at once, each of which takes memory for its limit of spans.
const TRACE_READS: usize = 2;

/// How many traces are summed up at once; not held up by those that are read, which wait for their clients.
const TRACE_SUMMARIES: usize = 2;

/// How long connections may take for their last answer, or to make a whole request of what they have sent, when
/// the server ends and nothing is being worked on.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// What people are to reach the server at has a path that it cannot have, and no other was given.
    #[error("the path of public_url {url}: {expected}")]
    PublicUrl {
        /// The URL.
        url: String,
        /// What was expected in its place.
        expected: String,
    },
    /// Nobody can listen there.
    #[error("listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The system gives no HTTP client to call brokers with.
    #[error("make the client for brokers")]
    Client(#[source] reqwest::Error),
    /// The system gives no thread for live updates.
    #[error("start the threads of live updates")]
    Threads(#[source] std::io::Error),
    /// The commands that are still unanswered could not be read.
    #[error("read the commands that are unanswered")]
    State(#[source] StateError),
}

/// The HTTP and WebSocket edge.
#[derive(Debug)]
pub struct Server;

/// A running server.
pub struct Handle {
    address: SocketAddr,
    grpc: Option<SocketAddr>,
    app: Arc<App>,
    serving: Vec<JoinHandle<std::io::Result<()>>>,
    _live: Threads,
}

impl Server {
    /// Starts a server on the current tokio runtime; it listens once this returns.
    ///
    /// # Errors
    /// [`ServerError`]; then nothing is left running.
    pub async fn start(options: Options, parts: Parts) -> Result<Handle, ServerError> {
        let base_path = options.base_path();
        let base_path = base_path.map_err(|expected| ServerError::PublicUrl {
            url: options.public_url.clone().unwrap_or_default(),
            expected,
        })?;
        let listener = listen(options.listen).await?;
        let address = listener
            .local_addr()
            .map_err(not_listening(options.listen))?;
        let grpc_listener = match options.grpc_listen {
            Some(at) => Some(listen(at).await?),
            None => None,
        };
        let grpc = grpc_listener.as_ref().map(TcpListener::local_addr);
        let grpc = grpc.transpose().map_err(not_listening(options.listen))?;
        let (routes, mut description) = openapi::routes();
        openapi::served_below(&mut description, &base_path);
        let live = Threads::start().map_err(ServerError::Threads)?;
        let app = app(
            options,
            base_path,
            parts,
            address,
            description,
            live.handle(),
        );
        let app = app.map_err(ServerError::Client)?;
        fail_unanswered(&app).await.map_err(ServerError::State)?;
        let mut serving = vec![serve(&app, listener, routes, &app.base_path)];
        tracing::info!(%address, "the server listens");
        if let Some((listener, address)) = grpc_listener.zip(grpc) {
            serving.push(serve(&app, listener, grpc::routes(), &BasePath::default()));
            tracing::info!(%address, "the server takes spans over gRPC");
        }
        Ok(Handle {
            address,
            grpc,
            app,
            serving,
            _live: live,
        })
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(not_listening(address))
}

fn not_listening(address: SocketAddr) -> impl Fn(std::io::Error) -> ServerError {
    move |source| ServerError::Listen { address, source }
}

/// Serves these routes, until the server is to end, with what every request is owed.
fn serve(
    app: &Arc<App>,
    listener: TcpListener,
    routes: Router<Arc<App>>,
    base_path: &BasePath,
) -> JoinHandle<std::io::Result<()>> {
    let router = routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(app), guard))
        .layer(from_fn(hear_out))
        .layer(from_fn_with_state(Arc::clone(app), count))
        .with_state(Arc::clone(app));
    let router = base_path.before(router);
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let stopping = app.stopping.clone();
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.cancelled().await });
    tokio::spawn(serving.into_future())
}

/// How many senders of envelopes may be waited for at once who show no key before their body.
const UNKNOWN_SENDERS: usize = 2;

fn app(
    options: Options,
    base_path: BasePath,
    parts: Parts,
    address: SocketAddr,
    description: OpenApi,
    live: tokio::runtime::Handle,
) -> Result<Arc<App>, reqwest::Error> {
    let counters = Counters::register(&parts.metrics);
    let tasks = TaskTracker::new();
    let stopping = CancellationToken::new();
    let live = Hub::new(
        parts.processor.feed().clone(),
        parts.tracer.clone(),
        options.live.clone(),
        counters.clone(),
        tasks.clone(),
        live,
        stopping.clone(),
    );
    let secure = options
        .public_url
        .as_deref()
        .is_some_and(|url| url.starts_with("https://"));
    let cookie = Cookie::new(address.port(), base_path.of_cookie(), secure);
    Ok(Arc::new(App {
        address,
        started_at: Timestamp::now(),
        hosts: Hosts::new(&options, address),
        access: Access::new(options.secrets.clone(), cookie),
        console: Console::new(parts.console, &base_path),
        base_path,
        store: parts.store,
        processor: parts.processor,
        traces: parts.traces,
        questions: parts.questions,
        question_turns: Arc::new(Semaphore::new(crate::traces::AT_ONCE)),
        tracer: parts.tracer,
        metrics: parts.metrics,
        counters,
        description,
        answers: Arc::new(Answers::default()),
        broker: BrokerClient::new(options.secrets.runner.clone())?,
        live,
        snapshots: Snapshots::default(),
        ingest_room: Arc::new(Semaphore::new(
            options.ingest_bytes.min(Semaphore::MAX_PERMITS),
        )),
        token_paces: Mutex::new(Paces::new(options.token_rates)),
        dsns: LiveDsns::default(),
        token_notes: Arc::new(Semaphore::new(1)),
        unknown_senders: Arc::new(Semaphore::new(UNKNOWN_SENDERS)),
        span_room: SpanRoom::default(),
        trace_reads: Arc::new(Semaphore::new(TRACE_READS)),
        trace_summaries: Arc::new(Semaphore::new(TRACE_SUMMARIES)),
        span_exports: Arc::new(Semaphore::new(1)),
        requests: TaskTracker::new(),
        tasks,
        stopping,
        options,
    }))
}

impl Handle {
    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes spans over gRPC, if it was asked to.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc
    }

    /// A link that signs one browser in, once, within an hour.
    #[must_use]
    pub fn one_time_link(&self) -> String {
        let (base, code) = (self.app.base_url(), self.app.access.one_time_code());
        format!("{base}/signin?code={code}")
    }

    /// Ends the server: takes no more connections, lets requests that are under way finish, and says
    /// farewell to live clients. A connection without a whole request gets a second more. False if `deadline`
    /// passed first; then what is left is cut off.
    pub async fn shutdown(self, deadline: Instant) -> bool {
        self.app.stopping.cancel();
        self.app.tasks.close();
        self.app.requests.close();
        let aborts: Vec<_> = self.serving.iter().map(JoinHandle::abort_handle).collect();
        let ended = async {
            let idle = async {
                self.app.requests.wait().await;
                tokio::time::sleep(LAST_WORDS).await;
            };
            tokio::select! {
                // A serving task that failed has ended as well.
                _ = join_all(self.serving) => {}
                () = idle => tracing::debug!("connections are left that ask for nothing"),
            }
            self.app.tasks.wait().await;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let in_time = tokio::time::timeout(left, ended).await.is_ok();
        if !in_time {
            tracing::warn!("requests were cut off when the server ended");
            aborts.iter().for_each(AbortHandle::abort);
        }
        in_time
    }
}

/// An address under which a browser on this machine reaches the server.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: std::net::IpAddr = if address.is_ipv4() {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    };
    SocketAddr::new(loopback, address.port())
}

/// The shutdown deadline that suits most: long enough for a group commit, short enough for a person.
pub const SHUTDOWN: Duration = Duration::from_secs(10);
