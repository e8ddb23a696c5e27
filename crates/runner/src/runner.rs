//! The runner as a whole: its options, its start, and its end.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use hopline_files::Disk;
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
use crate::outbox::{Bounds, Outbox, Recovered, Stopped};
use crate::process::Environment;
use crate::processes::Numbers;
use crate::workspace::Workspace;

/// How often late events are looked for.
const LATE: Duration = Duration::from_secs(1);

/// How long the link's farewell may take beyond the deadline of a shutdown, and then the disk with the last events.
const FAREWELL: Duration = Duration::from_millis(1_200);
const LAST_WRITE: Duration = Duration::from_millis(300);

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
    /// The folder in which events are kept until they are settled. It is this runner's alone, from one process to the
    /// next.
    pub outbox: PathBuf,
    /// How much room they have there, in bytes; children wait when it is full. At least 256 KiB.
    pub outbox_bytes: usize,
    /// Which events are traced.
    pub traced: TracedEvents,
    /// Decides traces that begin here or came undecided.
    pub sampler: Sampler,
    /// What traces that begin here say of themselves.
    pub head: Head,
    /// Whether the runner is there for one build. Its status says so: once it is gone it will not come back.
    pub one_build: bool,
    /// How often the runner says how it is.
    pub health_interval: Duration,
    /// Where the programs of builds send spans of their own, where a command says nothing of it.
    pub child_spans: ChildSpans,
    /// Whether values of a build's variables that are secrets, by the build's word or by their names, are masked in its
    /// events and spans.
    pub mask_secrets: bool,
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
    /// To this endpoint, of which the build's key is none of the business, by this protocol (`OTEL_EXPORTER_OTLP_PROTOCOL`).
    Elsewhere {
        /// Its address.
        endpoint: String,
        /// `http/protobuf` or `grpc`.
        protocol: &'static str,
    },
}

impl Options {
    /// The options that have no default, and the defaults of the others: 1 GiB of events, a word about itself every
    /// 30 s, 10 s of grace, every trace recorded, no variables inherited.
    #[must_use]
    pub fn new(
        runner_id: impl Into<String>,
        broker_url: impl Into<String>,
        secret: Secret,
        workspace: Workspace,
        outbox: impl Into<PathBuf>,
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
            outbox: outbox.into(),
            outbox_bytes: 1 << 30,
            traced: TracedEvents::default(),
            sampler: Sampler::new(1.0),
            head: Head::default(),
            one_build: false,
            health_interval: Duration::from_secs(30),
            child_spans: ChildSpans::Nowhere,
            mask_secrets: true,
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
    Processes(#[source] io::Error),
    /// Another process has the runner's outbox open.
    #[error("start the runner: its outbox in {} is in use: another runner of this name is running", .0.display())]
    OutboxInUse(PathBuf),
    /// The outbox cannot be read or written.
    #[error("start the runner: open its outbox in {}", .0.display())]
    Outbox(PathBuf, #[source] io::Error),
}

/// How a runner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Whether every command came to its end in time.
    pub commands_ended: bool,
    /// How many events are not settled. The next process of the runner sends them.
    pub events_waiting: usize,
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
    /// Held while the outbox is this process's.
    lock: Arc<Mutex<Option<File>>>,
}

impl Runner {
    /// Starts a runner on the current tokio runtime; returns before its link is up. What an earlier process of it has
    /// left in its outbox is taken over: its events go out, and what it was carrying out is told to have ended.
    ///
    /// # Errors
    /// [`RunnerError`], if the options make no sense or the outbox cannot be used.
    pub async fn start(
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
        let metrics = RunnerMetrics::register(metrics);
        let (outbox, recovered, lock) =
            open_outbox(options.outbox, options.outbox_bytes, &metrics).await?;
        let clock = Arc::new(ClockOffset::default());
        let max_event_bytes = Arc::new(AtomicUsize::new(MAX_EVENT_BYTES));
        let core = Arc::new(Core {
            version: options.version.clone(),
            started: (Instant::now(), Timestamp::now()),
            one_build: options.one_build,
            workspace: options.workspace,
            guard: options.guard,
            environment: Environment::inherited(options.environment),
            child_spans: options.child_spans,
            mask_secrets: options.mask_secrets,
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
        dispatcher.take_over(recovered);
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
            tokio::spawn(link.run()),
            tokio::spawn(health),
            tokio::spawn(show_late(outbox.clone(), tracer.clone())),
            tokio::spawn(outbox.clone().load()),
        ];
        Ok(Handle {
            dispatcher,
            outbox,
            tracer,
            link: watched,
            stop_link,
            tasks: Arc::new(Mutex::new(tasks)),
            lock: Arc::new(Mutex::new(Some(lock))),
        })
    }
}

/// Opens the outbox, which may take a while if there is much in it.
async fn open_outbox(
    folder: PathBuf,
    bytes: usize,
    metrics: &RunnerMetrics,
) -> Result<(Outbox, Recovered, File), RunnerError> {
    let metrics = metrics.clone();
    let opening = tokio::task::spawn_blocking(move || {
        let failed = |error| RunnerError::Outbox(folder.clone(), error);
        let lock = lock(&folder).map_err(failed)?;
        let lock = lock.ok_or_else(|| RunnerError::OutboxInUse(folder.clone()))?;
        let opened = Outbox::open(Arc::new(Disk), &folder, Bounds::on_disk(bytes), metrics);
        let (outbox, recovered) = opened.map_err(failed)?;
        Ok((outbox, recovered, lock))
    });
    match opening.await {
        Ok(opened) => opened,
        Err(error) => Err(RunnerError::Outbox(PathBuf::new(), io::Error::other(error))),
    }
}

/// Locks the folder; none if another process has.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    std::fs::create_dir_all(folder)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
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

    /// Waits until every event so far is settled.
    pub async fn settled(&self) {
        self.outbox.drained().await;
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
        // What waits is shown as unfinished: whoever sends it ends its spans.
        let now = Timestamp::now();
        let late = self.outbox.newly_late(&self.tracer, now);
        self.tracer.record_all(late);
        let last_write = Instant::now().max(deadline) + LAST_WRITE;
        let Stopped {
            events_waiting,
            is_written,
        } = self.outbox.stop(last_write).await;
        if events_waiting > 0 {
            tracing::warn!(
                events_waiting,
                "the runner stopped with events that were not settled; they go out when it is started again"
            );
        }
        let lock = self.lock.lock().take();
        if !is_written {
            tracing::error!("the outbox's disk did not take the last events in time");
            // What is given to the disk may yet get there: no other runner may have the folder before this process ends.
            std::mem::forget(lock);
        }
        ShutdownReport {
            commands_ended,
            events_waiting,
        }
    }
}
