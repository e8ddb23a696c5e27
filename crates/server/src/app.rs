//! What every handler can reach.

use std::net::SocketAddr;
use std::sync::Arc;

use hopline_state::Store;
use hopline_telemetry::Tracer;
use hopline_telemetry::metrics::Metrics;
use hopline_traces::TraceStore;
use hopline_traces::questions::Questions;
use hopline_wire::Timestamp;
use hopline_wire::pace::Paces;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;
use uuid::Uuid;

use crate::access::{Access, LiveDsns};
use crate::base_path::BasePath;
use crate::commands::BrokerClient;
use crate::commands::answers::Answers;
use crate::console::Console;
use crate::hosts::{Hosts, origin_of};
use crate::live::{Hub, Snapshots};
use crate::metrics::Counters;
use crate::options::Options;
use crate::server::reachable;
use crate::traces::SpanRoom;

/// The server's parts, shared by all handlers.
pub(crate) struct App {
    pub(crate) options: Options,
    /// Where the server listens.
    pub(crate) address: SocketAddr,
    /// When the server was started.
    pub(crate) started_at: Timestamp,
    /// The path below which people reach it.
    pub(crate) base_path: BasePath,
    pub(crate) hosts: Hosts,
    pub(crate) access: Access,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) processor: hopline_processor::Handle,
    pub(crate) traces: Arc<dyn TraceStore>,
    /// Answers questions about the spans; none if there is no engine.
    pub(crate) questions: Option<Arc<dyn Questions>>,
    /// One permit for each question that may be answered at once.
    pub(crate) question_turns: Arc<Semaphore>,
    pub(crate) tracer: Tracer,
    pub(crate) metrics: Metrics,
    pub(crate) counters: Counters,
    /// What people look at.
    pub(crate) console: Console,
    /// The API's description.
    pub(crate) description: OpenApi,
    /// Who waits for the answers to commands.
    pub(crate) answers: Arc<Answers>,
    pub(crate) broker: BrokerClient,
    pub(crate) live: Hub,
    pub(crate) snapshots: Snapshots,
    /// One permit for each byte of events that may be on its way through the server.
    pub(crate) ingest_room: Arc<Semaphore>,
    /// How fast runners with tokens of their own send, by the token.
    pub(crate) token_paces: Mutex<Paces<Uuid>>,
    /// The DSNs by which spans may be sent.
    pub(crate) dsns: LiveDsns,
    /// One permit, for whoever notes that runners' tokens were used.
    pub(crate) token_notes: Arc<Semaphore>,
    /// One permit for each sender of an envelope who is known only once its body is there.
    pub(crate) unknown_senders: Arc<Semaphore>,
    /// The memory that requests with spans share.
    pub(crate) span_room: SpanRoom,
    /// One permit for each trace whose spans may be read.
    pub(crate) trace_reads: Arc<Semaphore>,
    /// One permit for each trace that may be summed up.
    pub(crate) trace_summaries: Arc<Semaphore>,
    /// One permit, for whoever takes all spans.
    pub(crate) span_exports: Arc<Semaphore>,
    /// Requests that are being worked on.
    pub(crate) requests: TaskTracker,
    /// Work that goes on after its request: deliveries, rooms, live clients.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the server is to end.
    pub(crate) stopping: CancellationToken,
}

impl App {
    /// Where people reach the server, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        let public = self.options.public_url.as_deref();
        let origin = public.and_then(origin_of);
        let origin = origin.unwrap_or_else(|| format!("http://{}", reachable(self.address)));
        format!("{origin}{}", self.base_path.prefix())
    }
}
