//! The runner as a whole: its options, its start, and its end.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hopline_telemetry::contract::TracedEvents;
use hopline_telemetry::metrics::Metrics;
use hopline_telemetry::{Head, Sampler, Tracer};
use hopline_wire::Timestamp;
use hopline_wire::limits::MAX_EVENT_BYTES;
use hopline_wire::link::{DEAD_AFTER, PING_INTERVAL, WELCOME_TIMEOUT};
use hopline_wire::secret::Secret;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commands::{Core, Dispatcher, status};
use crate::events::TracingTable;
use crate::guard::GuardCommand;
use crate::link::{BadBrokerUrl, ClockOffset, Endpoint, Link, LinkState};
use crate::metrics::RunnerMetrics;
use crate::outbox::Outbox;
use crate::process::Environment;
use crate::processes::Numbers;
use crate::workspace::Workspace;

/// How often late events are looked for.
const LATE: Duration = Duration::from_secs(1);

/// How long the link's farewell may take beyond the deadline of a shutdown.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// What a runner is and works with.
#[derive(Clone)]
pub struct Options {
    /// The runner's name; one runner of a name at a time is linked.
    pub runner_id: String,
    /// The broker, as `ws://HOST:PORT` or `wss://HOST:PORT`.
    pub broker_url: String,
    /// The secret that broker and runner share.
    pub secret: Secret,
    /// The projects' folders.
    pub workspace: Workspace,
    /// How the guard of a child is started.
    pub guard: GuardCommand,
    /// The version that the runner gives as its own.
    pub version: String,
    /// The variables that children inherit, the runner's own settings left out.
    pub environment: Vec<(OsString, OsString)>,
    /// How much of unsettled events is kept, in bytes; children wait when it is full.
    pub outbox_bytes: usize,
    /// Which events are traced.
    pub traced: TracedEvents,
    /// Decides traces that begin here or came undecided.
    pub sampler: Sampler,
    /// What traces that begin here say of themselves.
    pub head: Head,
    /// How often the runner says how it is.
    pub health_interval: Duration,
    /// Where the programs of builds send spans of their own, where a command says nothing of it.
    pub child_spans: ChildSpans,
    /// From a child's SIGTERM to its SIGKILL.
    pub grace: Duration,
    /// How long a broker's `welcome` is waited for.
    pub welcome_timeout: Duration,
    /// How often the broker is pinged.
    pub ping_interval: Duration,
    /// A link on which nothing was heard for this long is dead; on a legacy one what is being written counts as well.
    pub dead_after: Duration,
}

/// Where the programs of a build send spans of their own, over OTLP/HTTP. Addresses are without `/v1/traces`, which
/// every SDK adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ChildSpans {
    /// Nobody tells them.
    #[default]
    Nowhere,
    /// To this address, which takes the key that the build brings; the broker's, usually.
    WithKey(String),
    /// To this address, of which the build's key is none of the business.
    Elsewhere(String),
}

impl Options {
    /// The options that have no default, and the defaults of the others: 64 MiB of events, a word about itself every
    /// 30 s, 10 s of grace, every trace recorded, no variables inherited.
    #[must_use]
    pub fn new(
        runner_id: impl Into<String>,
        broker_url: impl Into<String>,
        secret: Secret,
        workspace: Workspace,
        guard: GuardCommand,
    ) -> Self {
        Self {
            runner_id: runner_id.into(),
            broker_url: broker_url.into(),
            secret,
            workspace,
            guard,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: Vec::new(),
            outbox_bytes: 64 << 20,
            traced: TracedEvents::default(),
            sampler: Sampler::new(1.0),
            head: Head::default(),
            health_interval: Duration::from_secs(30),
            child_spans: ChildSpans::Nowhere,
            grace: Duration::from_secs(10),
            welcome_timeout: WELCOME_TIMEOUT,
            ping_interval: PING_INTERVAL,
            dead_after: DEAD_AFTER,
        }
    }
}

/// Why a runner cannot start. A broker that is away is no reason: the runner waits for it.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The runner's name cannot be one.
    #[error(
        "start the runner: expected the runner id to be 1 to 256 bytes without control characters"
    )]
    InvalidRunnerId,
    /// The broker's address cannot be one.
    #[error("start the runner: {0}")]
    InvalidBrokerUrl(#[from] BadBrokerUrl),
    /// `/proc` does not tell its children, so it could not end them.
    #[error("start the runner: look for processes: {0}")]
    Processes(#[source] std::io::Error),
    /// It was not started within a tokio runtime.
    #[error("start the runner: no tokio runtime")]
    NoRuntime,
}

/// How a runner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Whether every command came to its end in time.
    pub commands_ended: bool,
    /// How many events were not settled, and are lost.
    pub events_lost: usize,
}

/// The runner.
pub struct Runner;

/// A running runner; cheap to clone. It runs until [`Handle::shutdown`], whether handles are left or not.
#[derive(Clone)]
pub struct Handle {
    dispatcher: Dispatcher,
    outbox: Outbox,
    tracer: Tracer,
    link: watch::Receiver<LinkState>,
    stop_link: CancellationToken,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Runner {
    /// Starts a runner on the current tokio runtime; returns before its link is up.
    ///
    /// # Errors
    /// [`RunnerError`], if the options make no sense.
    pub fn start(
        options: Options,
        tracer: Tracer,
        metrics: &Metrics,
    ) -> Result<Handle, RunnerError> {
        let id = &options.runner_id;
        if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) {
            return Err(RunnerError::InvalidRunnerId);
        }
        // Asked of every guard again, but better known before the first build.
        Numbers::read().map_err(RunnerError::Processes)?;
        let endpoint = Endpoint::new(&options.broker_url, id)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| RunnerError::NoRuntime)?;
        let metrics = RunnerMetrics::register(metrics);
        let outbox = Outbox::new(options.outbox_bytes, metrics.clone());
        let clock = Arc::new(ClockOffset::default());
        let max_event_bytes = Arc::new(AtomicUsize::new(MAX_EVENT_BYTES));
        let core = Arc::new(Core {
            version: options.version.clone(),
            started: Instant::now(),
            workspace: options.workspace,
            guard: options.guard,
            environment: Environment::inherited(options.environment),
            child_spans: options.child_spans,
            grace: options.grace,
            outbox: outbox.clone(),
            tracer: tracer.clone(),
            sampler: options.sampler,
            head: options.head,
            tracing: TracingTable::new(&options.traced),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            max_event_bytes: Arc::clone(&max_event_bytes),
            builds: Default::default(),
            servers: Default::default(),
        });
        let dispatcher = Dispatcher::new(Arc::clone(&core));
        let (state, watched) = watch::channel(LinkState::Connecting);
        let stop_link = CancellationToken::new();
        let link = Link {
            endpoint,
            runner_id: options.runner_id,
            instance_id: uuid::Uuid::new_v4().to_string(),
            version: options.version,
            secret: options.secret,
            welcome_timeout: options.welcome_timeout,
            ping_interval: options.ping_interval,
            dead_after: options.dead_after,
            outbox: outbox.clone(),
            dispatcher: dispatcher.clone(),
            tracer: tracer.clone(),
            metrics,
            clock,
            max_event_bytes,
            state,
            stop: stop_link.clone(),
        };
        let health = status::report(core, watched.clone(), options.health_interval);
        let tasks = vec![
            runtime.spawn(link.run()),
            runtime.spawn(health),
            runtime.spawn(show_late(outbox.clone(), tracer.clone())),
        ];
        Ok(Handle {
            dispatcher,
            outbox,
            tracer,
            link: watched,
            stop_link,
            tasks: Arc::new(Mutex::new(tasks)),
        })
    }
}

/// Shows the events that wait for long on their traces; never ends.
async fn show_late(outbox: Outbox, tracer: Tracer) {
    let mut ticks = tokio::time::interval(LATE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let since = Timestamp::now().as_nanos().saturating_sub(1_000_000_000);
        tracer.record_all(outbox.newly_late(&tracer, Timestamp::from_nanos(since)));
    }
}

impl Handle {
    /// Waits until the link is up; for ever, if the broker never takes the runner.
    pub async fn connected(&self) {
        let mut link = self.link.clone();
        // The sender lives as long as the link's task, which tells its own end.
        let _ = link
            .wait_for(|state| matches!(state, LinkState::Up(_) | LinkState::Closed))
            .await;
    }

    /// How the link stands, and every change of it.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<LinkState> {
        self.link.clone()
    }

    /// How many events are not settled yet.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.outbox.waiting()
    }

    /// Ends the runner: takes no more commands, ends what runs (SIGTERM, then SIGKILL), waits while the link is up
    /// until the last events are settled, and closes the link. By `deadline`, or at most 1.5 s after, everything has
    /// ended, whatever it cost.
    pub async fn shutdown(&self, deadline: Instant) -> ShutdownReport {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        // What runs has most of the time; the rest is for its last events.
        let commands_ended = self.dispatcher.stop(now + left.mul_f64(0.75)).await;
        let mut link = self.link.clone();
        let link_lost = link.wait_for(|state| !matches!(state, LinkState::Up(_)));
        tokio::select! {
            () = self.outbox.drained() => {}
            _ = link_lost => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        self.stop_link.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let mut tasks = tasks.into_iter();
        if let Some(mut link) = tasks.next()
            && tokio::time::timeout(FAREWELL, &mut link).await.is_err()
        {
            link.abort();
        }
        tasks.for_each(|task| task.abort());
        let (spans, events_lost) = self.outbox.abandon(&self.tracer, Timestamp::now());
        self.tracer.record_all(spans);
        if events_lost > 0 {
            tracing::warn!(
                events_lost,
                "the runner stopped with events that were not settled"
            );
        }
        ShutdownReport {
            commands_ended,
            events_lost,
        }
    }
}
