//! Commands: each is taken up once, acknowledged, carried out in a task of its own, and ends with an event that says
//! how it went.
//!
//! A command id that came before is not carried out again: the server sends a command again until it has seen the
//! acknowledgement, so that is what it gets. The ids of the last [`seen::REMEMBERED`] commands are known.
//!
//! Failures answer with `error`; a build that cannot begin also with `build-failed`, since that is what ends it.
//! Codes of `error` made here: `unknown_command`, `bad_command`, `busy`, `internal`, `already_ended`, `not_running`,
//! `already_running`, `too_large`, and those of [`WorkspaceError`](crate::workspace::WorkspaceError) and
//! [`ProcessError`](crate::process::ProcessError).

mod build;
mod builds;
mod files;
mod left;
mod metadata;
mod received;
mod seen;
pub(crate) mod status;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures_util::FutureExt as _;
use hopline_telemetry::contract::keys;
use hopline_telemetry::{Head, Sampler, Tracer};
use hopline_wire::command::{Command, CommandType, FetchLogs};
use hopline_wire::event::EventType;
use hopline_wire::{SpanId, Timestamp, TraceId, text};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use builds::{BuildControl, StopReason};

use crate::devserver::{DevServers, Place};
use crate::events::{Emitter, Failure, Stream, TracingTable};
use crate::guard::GuardCommand;
use crate::link::ClockOffset;
use crate::metrics::RunnerMetrics;
use crate::outbox::{Outbox, Recovered};
use crate::process::Environment;
use crate::runner::ChildSpans;
use crate::trace::{CommandTrace, Scope};
use crate::workspace::Workspace;
use builds::Builds;
use seen::Seen;

/// The most commands in hand at once, dev servers and builds included.
const MAX_IN_HAND: usize = 1_024;

/// What all commands work with.
pub(crate) struct Core {
    pub(crate) version: String,
    /// By the clock that never goes back, and by the one that goes on while the machine sleeps.
    pub(crate) started: (Instant, Timestamp),
    pub(crate) one_build: bool,
    pub(crate) workspace: Workspace,
    pub(crate) guard: GuardCommand,
    /// What every child inherits.
    pub(crate) environment: Environment,
    pub(crate) child_spans: ChildSpans,
    /// Whether what is secret in a build's variables is masked in all that is said of it.
    pub(crate) mask_secrets: bool,
    /// From a child's SIGTERM to its SIGKILL.
    pub(crate) grace: Duration,
    pub(crate) outbox: Outbox,
    pub(crate) tracer: Tracer,
    pub(crate) sampler: Sampler,
    pub(crate) head: Head,
    pub(crate) tracing: TracingTable,
    pub(crate) metrics: RunnerMetrics,
    pub(crate) clock: Arc<ClockOffset>,
    pub(crate) max_event_bytes: Arc<AtomicUsize>,
    pub(crate) builds: Builds,
    pub(crate) servers: DevServers,
}

/// One command in hand.
pub(crate) struct Context {
    pub(crate) core: Arc<Core>,
    pub(crate) command: Command,
    pub(crate) emitter: Emitter,
    pub(crate) trace: CommandTrace,
    pub(crate) handled: Scope,
}

impl Context {
    /// The span that the command's events are caused by where nothing nearer did.
    pub(crate) fn span(&self) -> SpanId {
        self.emitter.command_span()
    }

    /// The command's trace, for the log.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace.context.trace_id
    }

    /// The project's id, as text.
    pub(crate) fn project_id(&self) -> &str {
        self.command.project_id.as_deref().unwrap_or_default()
    }

    /// The command's payload.
    pub(crate) fn payload<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.command.payload().map_err(|error| {
            let kind = &self.command.kind;
            Failure::new(
                "bad_command",
                format!("expected the payload of {kind}: {error}"),
            )
        })
    }
}

/// What a command has begun before its task runs.
enum Begun {
    Nothing,
    Build(Arc<BuildControl>),
    Server(Result<Place, Failure>),
}

/// What was received is no command: there is nobody to answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoCommand;

/// Takes commands and hands each to its task; cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    core: Arc<Core>,
    seen: Arc<Mutex<Seen>>,
    tasks: TaskTracker,
    /// Ends the tasks that do not end by themselves when the runner stops.
    abort: CancellationToken,
    closed: CancellationToken,
}

impl Dispatcher {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            seen: Arc::default(),
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Takes over what an earlier process of this runner has left.
    pub(crate) fn take_over(&self, recovered: Recovered) {
        let mut seen = self.seen.lock();
        let ended = recovered.control.ended.iter();
        ended.for_each(|(id, _)| {
            seen.insert(id);
        });
        let begun = recovered.control.commands.values();
        begun.for_each(|known| {
            seen.insert(&known.head.id);
        });
        drop(seen);
        for end in left::take_over(&self.core, recovered) {
            self.spawn(end);
        }
    }

    /// Runs a command's task, until the runner's stop has no more time for it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = Box::pin(task) => {}
                () = abort.cancelled() => {}
            }
        });
    }

    /// Takes a received command up; returns at once.
    ///
    /// # Errors
    /// [`NoCommand`], if it is not even so much of a command that it could be answered.
    pub(crate) fn receive(&self, json: &str) -> Result<(), NoCommand> {
        let received = Timestamp::now();
        let (command, unreadable) = received::read(json)?;
        if self.closed.is_cancelled() {
            // Not acknowledged, so it is sent again: to the next instance, or to another runner.
            return Ok(());
        }
        let core = &self.core;
        if !self.seen.lock().insert(&command.id) {
            core.metrics.commands_repeated.inc();
            core.outbox.repeat_ack(&command.id);
            return Ok(());
        }
        core.metrics.commands.inc();
        let (trace, handled) = CommandTrace::begin(
            &command,
            received,
            &core.tracer,
            &core.sampler,
            &core.head,
            &core.metrics,
        );
        tracing::info!(
            trace_id = %trace.context.trace_id,
            command = %command.id,
            kind = %text::prefix(&command.kind, 64),
            "command received"
        );
        if let Some(offset) = core.clock.nanos() {
            handled.set(keys::CLOCK_OFFSET_NS, offset);
        }
        let stream = Stream::new(
            &command.id,
            command.project_id.as_deref(),
            trace.context.clone(),
            trace.origin.clone(),
            core.tracing,
        );
        let limit = Arc::clone(&core.max_event_bytes);
        let emitter = Emitter::new(stream, core.outbox.clone(), limit);
        // Known from now on: a cancel or a stop may be the very next frame.
        let begun = match command.command_type() {
            Some(CommandType::StartBuild) => Begun::Build(core.builds.begin(&command.id)),
            Some(CommandType::StartDevServer) => {
                let project = command.project_id.as_deref().unwrap_or_default();
                Begun::Server(core.servers.begin(project))
            }
            _ => Begun::Nothing,
        };
        let context = Context {
            core: Arc::clone(core),
            command,
            emitter,
            trace,
            handled,
        };
        let refused = unreadable.or_else(|| {
            let busy = || Failure::new("busy", "the runner has too many commands in hand");
            (self.tasks.len() >= MAX_IN_HAND).then(busy)
        });
        self.spawn(carry_out(context, begun, refused));
        Ok(())
    }

    /// Takes no more commands, ends those in hand, and waits for them until `deadline`; says whether all ended.
    pub(crate) async fn stop(&self, deadline: Instant) -> bool {
        self.closed.cancel();
        self.tasks.close();
        self.core.builds.stop_all(StopReason::RunnerStops);
        self.core.servers.stop_all();
        let ended = tokio::time::timeout_at(deadline, self.tasks.wait()).await;
        self.abort.cancel();
        // The tasks drop their children now, which takes them down.
        self.tasks.wait().await;
        ended.is_ok()
    }
}

/// Acknowledges the command, carries it out unless it is `refused`, and says how it went.
async fn carry_out(context: Context, begun: Begun, refused: Option<Failure>) {
    let acked = context
        .emitter
        .event(EventType::Ack, context.span(), |members| {
            members.text("message", "command received");
        })
        .await;
    if acked.is_err() {
        tracing::error!(trace_id = %context.trace_id(), command = %context.command.id, "an acknowledgement did not fit");
    }
    let (build, server) = match begun {
        Begun::Build(control) => (Some(control), None),
        Begun::Server(place) => (None, Some(place)),
        Begun::Nothing => (None, None),
    };
    // A command whose runner dies is begun at most once: the next one must know of it.
    context.emitter.durable().await;
    let work = async {
        match (refused, &build, server) {
            (Some(failure), _, _) => Err(failure),
            (None, Some(control), _) => build::start(&context, control).await,
            (None, None, Some(place)) => crate::devserver::start(&context, place?).await,
            (None, None, None) => perform(&context).await,
        }
    };
    let done = AssertUnwindSafe(work).catch_unwind().await;
    let done = done.unwrap_or_else(|_| {
        Err(Failure::new(
            "internal",
            "the runner failed at the command; its log says more",
        ))
    });
    if let Err(failure) = done {
        let Context {
            emitter, handled, ..
        } = &context;
        tracing::warn!(
            trace_id = %context.trace_id(),
            command = %context.command.id,
            code = failure.code,
            error = %failure.error,
            "command failed"
        );
        handled.fail(failure.code, failure.error.clone());
        // In one batch, so that no kill comes between them.
        let mut batch = emitter.batch().await;
        batch.failure(EventType::Error, context.span(), &failure);
        if build.is_some() {
            batch.failure(EventType::BuildFailed, context.span(), &failure);
        }
        batch.flush().await;
    }
    if let Some(control) = build {
        context.core.builds.end(&context.command.id, &control);
    }
    context.emitter.close(context.handled).await;
}

/// Carries out any command but those that have begun.
async fn perform(context: &Context) -> Result<(), Failure> {
    match context.command.command_type() {
        Some(CommandType::CancelBuild) => builds::cancel(context),
        Some(CommandType::StopDevServer) => crate::devserver::stop(context).await,
        Some(CommandType::FetchLogs) => {
            let payload: FetchLogs = context.payload()?;
            crate::devserver::fetch_logs(context, &payload).await
        }
        Some(CommandType::RunnerHealthCheck) => status::answer(context).await,
        Some(CommandType::DeleteProjectFiles) => files::delete(context).await,
        Some(CommandType::ReadFile) => files::read(context).await,
        Some(CommandType::WriteFile) => files::write(context).await,
        Some(CommandType::ListFiles) => files::list(context).await,
        // `carry_out` keeps builds and servers to itself.
        Some(CommandType::StartBuild | CommandType::StartDevServer) | None => {
            let kind = text::prefix(&context.command.kind, 128);
            let names = CommandType::ALL.map(CommandType::as_str).join(", ");
            let error = format!("unknown command {kind:?}; expected one of {names}");
            Err(Failure::new("unknown_command", error))
        }
    }
}
