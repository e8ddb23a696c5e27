//! Dev servers: one per project, started by one command, stopped by another, its output kept for `fetch-logs`.
//!
//! The events of a server's life (`log-chunk`, `port-detected`, `process-exited`) belong to the command that started
//! it; `stop-dev-server` answers with a `process-exited` of its own. A chunk's `cursor` is the number of the chunk
//! that follows it, from 0 for the first of a project and on through its servers; `fetch-logs` answers with the chunks
//! of the last server from a cursor on, the last of which carries `"last": true` (an empty one, if there is none). A
//! chunk that is larger than an event may be comes in several, all but the last with the number of the chunk itself.

mod logs;
mod ports;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hopline_wire::command::{FetchLogs, StartDevServer};
use hopline_wire::event::EventType;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agents::{BaseEnvironment, Patience, attend, signal_name};
use crate::commands::Context;
use crate::events::{Failure, Members, TooLarge};
use crate::output::{ChunkLimits, OutputReader, OutputStream};
use crate::process::{CommandLine, Exit, ProcessSpec, spawn};
use crate::trace::keys;
use logs::Logs;
use ports::PortFinder;

/// Of how many projects the logs are kept.
const MAX_KEPT: usize = 64;

/// How many chunks `fetch-logs` gives if it does not say, and at most.
const FETCH_DEFAULT: usize = 100;
const FETCH_MOST: usize = 1_000;

/// How often the system is asked which ports the server listens on, until one is known.
const PORT_POLL: Duration = Duration::from_millis(300);

/// The dev servers by project, those that have ended among them for their logs.
#[derive(Default)]
pub(crate) struct DevServers(Mutex<HashMap<String, Arc<Server>>>);

struct Server {
    stop: CancellationToken,
    ended: watch::Sender<Option<Ended>>,
    logs: Mutex<Logs>,
}

/// How a server's process ended.
#[derive(Debug, Clone, Default)]
struct Ended {
    exit_code: Option<i32>,
    signal: Option<String>,
    ran_for: Duration,
}

impl Ended {
    fn write(&self, members: &mut Members<'_>) {
        let millis = u64::try_from(self.ran_for.as_millis()).unwrap_or(u64::MAX);
        members
            .value("exitCode", &self.exit_code)
            .value("signal", &self.signal)
            .value("durationMs", &millis);
    }
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        Self {
            exit_code: exit.code,
            signal: exit.signal.map(signal_name),
            ran_for: exit.ran_for,
        }
    }
}

impl DevServers {
    /// Makes a place for a project's server, which can be stopped from now on.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn begin(&self, project: &str) -> Result<Place, Failure> {
        let mut servers = self.0.lock();
        let before = servers.get(project);
        if before.is_some_and(|server| server.runs()) {
            let error = "the project's dev server is running already";
            return Err(Failure::new("already_running", error));
        }
        let logs = before.map_or_else(Logs::default, |server| server.logs.lock().successor());
        if servers.len() >= MAX_KEPT {
            let ended = servers
                .iter()
                .find(|(_, server)| !server.runs())
                .map(|(project, _)| project.clone());
            match ended {
                Some(ended) => servers.remove(&ended),
                None => return Err(Failure::new("busy", "too many dev servers are running")),
            };
        }
        let server = Arc::new(Server {
            stop: CancellationToken::new(),
            ended: watch::Sender::new(None),
            logs: Mutex::new(logs),
        });
        servers.insert(project.to_owned(), Arc::clone(&server));
        Ok(Place(server))
    }

    fn of(&self, project: &str) -> Option<Arc<Server>> {
        self.0.lock().get(project).cloned()
    }

    /// Ends all servers; the commands that started them tell how.
    pub(crate) fn stop_all(&self) {
        for server in self.0.lock().values() {
            server.stop.cancel();
        }
    }

    /// How many run.
    pub(crate) fn count(&self) -> usize {
        let servers = self.0.lock();
        servers.values().filter(|server| server.runs()).count()
    }
}

impl Server {
    fn runs(&self) -> bool {
        self.ended.borrow().is_none()
    }
}

/// A project's server as the command that starts it holds it: it has ended when this is dropped.
pub(crate) struct Place(Arc<Server>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.ended.send_if_modified(|ended| {
            let runs = ended.is_none();
            ended.get_or_insert_default();
            runs
        });
    }
}

/// `start-dev-server`: returns when the server has ended.
pub(crate) async fn start(context: &Context, place: Place) -> Result<(), Failure> {
    let payload: StartDevServer = context.payload()?;
    if payload.run_command.trim().is_empty() {
        return Err(Failure::new(
            "bad_command",
            "expected runCommand not to be empty",
        ));
    }
    let ended = serve(context, &payload, &place.0).await?;
    place.0.ended.send_replace(Some(ended.clone()));
    if let Some(code) = ended.exit_code {
        context
            .handled
            .set(keys::PROCESS_EXIT_CODE, i64::from(code));
    }
    tell_exit(context, &ended).await
}

async fn tell_exit(context: &Context, ended: &Ended) -> Result<(), Failure> {
    let sent = context
        .emitter
        .event(EventType::ProcessExited, context.span(), |members| {
            ended.write(members);
        })
        .await;
    sent.map_err(|error| Failure::new("too_large", error.to_string()))
}

async fn serve(
    context: &Context,
    payload: &StartDevServer,
    server: &Server,
) -> Result<Ended, Failure> {
    let directory = folder(context, payload).await?;
    let core = &context.core;
    let mut base = BaseEnvironment::inherited(core);
    if let Some(port) = payload.preferred_port {
        base.set("PORT", &port.to_string())?;
    }
    let spec = ProcessSpec {
        command: CommandLine::Shell(payload.run_command.clone()),
        directory,
        environment: base.of_child(&context.trace, context.span(), &payload.env)?,
        time_limit: None,
    };
    let mut process = spawn(&core.guard, spec).await?;
    context
        .handled
        .set(keys::PROCESS_PID, i64::from(process.pid()));
    let output = OutputReader::new(
        process.stdout.take(),
        process.stderr.take(),
        ChunkLimits::default(),
    );
    let finder = PortFinder::new(process.pid(), payload.preferred_port);
    let framework = payload.framework.as_deref();
    let exit = attend(&mut process, &server.stop, core.grace, |patience| {
        pump(context, server, output, finder, framework, patience)
    })
    .await?;
    Ok(exit.into())
}

/// Where the server is to run. Without a slug the working directory says which project; without either it is the
/// folder that has the project's id for a name.
async fn folder(context: &Context, payload: &StartDevServer) -> Result<PathBuf, Failure> {
    let workspace = context.core.workspace.clone();
    let slug = payload.project_slug.clone().filter(|slug| !slug.is_empty());
    let directory = payload.working_directory.clone();
    let project_id = context.project_id().to_owned();
    let found = tokio::task::spawn_blocking(move || match (slug, directory) {
        (Some(slug), directory) => workspace.cwd_within(&slug, &directory.unwrap_or_default()),
        (None, Some(directory)) => workspace.locate(&directory).map(|(_, folder)| folder),
        (None, None) => workspace.cwd_within(&project_id, ""),
    })
    .await;
    let found = found.map_err(|_| Failure::new("internal", "finding the folder broke off"))?;
    Ok(found?)
}

/// Turns the server's output into events, and looks for its port.
async fn pump(
    context: &Context,
    server: &Server,
    mut output: OutputReader<tokio::process::ChildStdout, tokio::process::ChildStderr>,
    mut finder: PortFinder,
    framework: Option<&str>,
    mut patience: Patience,
) {
    let mut poll = tokio::time::interval(PORT_POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = async {
            tokio::select! {
                chunk = output.next() => Some(chunk),
                _ = poll.tick(), if finder.is_looking() => None,
            }
        };
        let chunk = match patience.wait(next).await {
            Some(Some(Ok(Some(chunk)))) => chunk,
            Some(Some(Ok(None))) => return,
            Some(Some(Err(error))) => {
                let (trace_id, command) = (context.trace_id(), &context.command.id);
                tracing::warn!(%trace_id, %command, "cannot read a dev server's output: {error}");
                continue;
            }
            Some(None) => {
                if let Some(port) = finder.look().await {
                    tell_port(context, port, framework).await;
                }
                continue;
            }
            None => match output.rest() {
                Some(chunk) => chunk,
                None => return,
            },
        };
        patience.took(chunk.text.len());
        finder.read(&chunk.text);
        let number = server.logs.lock().push(chunk.stream, &chunk.text);
        tell_chunk(context, chunk.stream, &chunk.text, number, false).await;
    }
}

/// Tells the chunk of this number. If it is larger than an event may be it comes in pieces; whoever goes on after one
/// that is not the last gets the chunk again.
async fn tell_chunk(context: &Context, stream: OutputStream, data: &str, number: u64, last: bool) {
    let (mut rest, mut most) = (data, data.len());
    loop {
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let (piece, after) = rest.split_at(rest.floor_char_boundary(most).max(first));
        let is_end = after.is_empty();
        let cursor = number + u64::from(is_end);
        match tell_piece(context, stream, piece, cursor, last && is_end).await {
            Ok(()) if is_end => return,
            Ok(()) => rest = after,
            Err(_) if most > 1 => most = piece.len() / 2,
            Err(error) => {
                // Only a broker that takes next to nothing comes to this.
                return tracing::error!(command = %context.command.id, "a log chunk was left out: {error}");
            }
        }
    }
}

async fn tell_piece(
    context: &Context,
    stream: OutputStream,
    data: &str,
    cursor: u64,
    last: bool,
) -> Result<(), TooLarge> {
    context
        .emitter
        .event(EventType::LogChunk, context.span(), |members| {
            members
                .text("stream", stream.as_str())
                .text("data", data)
                .value("cursor", &cursor);
            if last {
                members.value("last", &true);
            }
        })
        .await
}

async fn tell_port(context: &Context, port: u16, framework: Option<&str>) {
    let sent = context
        .emitter
        .event(EventType::PortDetected, context.span(), |members| {
            members.value("port", &port);
            if let Some(framework) = framework {
                members.text("framework", framework);
            }
        })
        .await;
    if let Err(error) = sent {
        tracing::error!(trace_id = %context.trace_id(), command = %context.command.id, "port-detected was left out: {error}");
    }
}

/// `stop-dev-server`: returns when the server has ended.
pub(crate) async fn stop(context: &Context) -> Result<(), Failure> {
    let server = context.core.servers.of(context.project_id());
    let Some(server) = server.filter(|server| server.runs()) else {
        return Err(Failure::new(
            "not_running",
            "the project has no dev server running here",
        ));
    };
    server.stop.cancel();
    let mut ended = server.ended.subscribe();
    let ended = ended.wait_for(Option::is_some).await;
    let ended = ended
        .ok()
        .and_then(|ended| ended.clone())
        .unwrap_or_default();
    tell_exit(context, &ended).await
}

/// `fetch-logs`.
pub(crate) async fn fetch_logs(context: &Context, payload: &FetchLogs) -> Result<(), Failure> {
    let cursor = payload.cursor.unwrap_or(0);
    let limit = payload
        .limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(FETCH_DEFAULT)
        .clamp(1, FETCH_MOST);
    let server = context.core.servers.of(context.project_id());
    let (chunks, next) = server.map_or_else(
        || (Vec::new(), 0),
        |server| server.logs.lock().from(cursor, limit),
    );
    let count = chunks.len();
    for (index, chunk) in chunks.into_iter().enumerate() {
        let last = index + 1 == count;
        tell_chunk(context, chunk.stream, &chunk.text, chunk.number, last).await;
    }
    if count == 0 {
        let sent = tell_piece(context, OutputStream::Stdout, "", next, true).await;
        sent.map_err(|error| Failure::new("too_large", error.to_string()))?;
    }
    Ok(())
}
