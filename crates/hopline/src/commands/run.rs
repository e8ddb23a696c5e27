//! `hopline run`: one build of the current folder, here and now, over the whole path.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hopline_runner::workspace::Workspace;
use hopline_state::rows::{DecisionKind, LinkState, SessionStatus};
use hopline_state::{SessionFilter, Store as _};
use hopline_traces::{Overview, Trace};
use hopline_wire::secret::Secret;
use tokio::sync::mpsc;

use super::known::known_to_server;
use super::outcome::{self, Outcome, TraceRead};
use super::target::{self, Target};
use super::{signals, work};
use crate::api::types::{BuildRequest, Project, Started};
use crate::api::{ApiClient, ApiError};
use crate::cli::Context;
use crate::cli::args::RunArgs;
use crate::data::{DataError, DataFolder, Hold};
use crate::exit::{self, Failure};
use crate::follow::{self, Followed, Wish};
use crate::parts::house::{House, Listen, Remains};
use crate::parts::left;
use crate::parts::runner::{self, Identity};
use crate::parts::telemetry::{Relay, Telemetry};
use crate::parts::{Deadlines, within};
use crate::render::progress::{Progress, Stream};

/// How long the spans of a build that has ended are waited for at a server elsewhere.
const SPANS: Duration = Duration::from_secs(3);

/// How long the first of them are waited for.
const FIRST_SPANS: Duration = Duration::from_millis(250);

/// How often others that use this process's server are looked for, once the own build has ended.
const LINGER: Duration = Duration::from_millis(200);

/// A build to run, whoever's server it goes through.
struct Job {
    request: BuildRequest,
    project: String,
    runner_id: String,
    json: bool,
    full: bool,
    context: Context,
    wishes: mpsc::Receiver<Wish>,
}

/// A build that was run.
struct Done {
    project: Project,
    started: Started,
    followed: Followed,
}

/// Runs one build.
pub(crate) async fn run(args: RunArgs, context: Context) -> anyhow::Result<ExitCode> {
    let mut request = work::request(&args.work, &context.current)?;
    let runner_id = left::name();
    request.runner_id = Some(runner_id.clone());
    let project = match args.project {
        Some(project) => project,
        None => folder_name(&context)?,
    };
    let job = Job {
        request,
        project,
        runner_id,
        json: args.work.json,
        full: args.work.full,
        wishes: signals::wishes().context("listen for Ctrl-C")?,
        context,
    };
    if let Some(target) = target::find(&job.context.settings).await? {
        return Box::pin(job.with(target)).await;
    }
    let data = DataFolder::at(job.context.settings.data_folder());
    match data.hold() {
        Ok(hold) => Box::pin(job.alone(&data, hold)).await,
        // Another one was quicker.
        Err(error @ DataError::Held { .. }) => match target::find(&job.context.settings).await? {
            Some(target) => Box::pin(job.with(target)).await,
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

fn folder_name(context: &Context) -> anyhow::Result<String> {
    let name = context.current.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        let told =
            "the current folder has no name that a project can have: name one with --project";
        Failure::new(exit::USAGE, told).into()
    })
}

impl Job {
    /// Runs the build with all parts in this process.
    async fn alone(mut self, data: &DataFolder, hold: Hold) -> anyhow::Result<ExitCode> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = Listen {
            server: free,
            broker: Some(free),
        };
        let house = House::start(&self.context.settings, data, hold, listen).await?;
        let api = ApiClient::new(&house.server_url(), house.secrets.admin.clone())?;
        let broker_url = house.broker_url().unwrap_or_default();
        let secret = house.secrets.runner.clone();
        let mut done = self
            .build(&api, &broker_url, secret.clone(), &house.telemetry)
            .await;
        if done.as_ref().is_err_and(is_busy) && self.give_up_orphans(&house, &api).await? {
            done = self
                .build(&api, &broker_url, secret, &house.telemetry)
                .await;
        }
        let deadlines = match &done {
            Ok(done) if matches!(done.followed, Followed::Ended(_)) => {
                self.linger(&house).await;
                Deadlines::USUAL
            }
            _ => Deadlines::SHORT,
        };
        let remains = house.close(deadlines).await;
        let ended = match done {
            Ok(done) => self.conclude_from(&done, &remains).await,
            Err(error) => Err(error),
        };
        remains.close().await;
        ended
    }

    /// Decides that the project's running build has fallen silent: this process has just started the server that
    /// its events would have to reach, at a new address, so whoever ran it is gone. Should one of its events come
    /// all the same, the decision is taken back. False if there is no such build.
    async fn give_up_orphans(&self, house: &House, api: &ApiClient) -> anyhow::Result<bool> {
        let project = api.find_or_create_project(&self.project).await?;
        let running = SessionFilter {
            status: Some(SessionStatus::Active),
            project_id: project.id.parse().ok(),
            before: None,
            limit: 1,
        };
        let sessions = house.stores.rows.sessions(running).await?;
        let processor = house.server_side.processor.handle();
        for session in &sessions {
            let reason = "its runner ended without a word".to_owned();
            processor
                .decide(&session.command_id, DecisionKind::Silence, reason)
                .await?;
        }
        Ok(!sessions.is_empty())
    }

    /// Runs the build by a runner in this process, and everything else at a server that runs.
    async fn with(mut self, target: Target) -> anyhow::Result<ExitCode> {
        let settings = &self.context.settings;
        let broker_url = broker_of(&self.context, &target).await?;
        let secret = target.runner_secret.clone()?;
        let relay = Relay {
            base: broker_url.clone(),
            secret: secret.clone(),
            instead: false,
        };
        let telemetry = Telemetry::start(settings, None, Some(relay))?;
        let done = self
            .build(&target.api, &broker_url, secret, &telemetry)
            .await;
        telemetry.stop(Deadlines::USUAL.telemetry).await;
        let done = done?;
        let read = match &done.followed {
            Followed::Ended(_) => {
                settled_trace(&target.api, &done.started, self.json, self.full).await?
            }
            Followed::Left => None,
        };
        self.conclude(&done, read.as_ref())
    }

    /// Starts the runner, has it run the build, and ends it.
    async fn build(
        &mut self,
        api: &ApiClient,
        broker_url: &str,
        secret: Secret,
        telemetry: &Telemetry,
    ) -> anyhow::Result<Done> {
        let settings = &self.context.settings;
        left::deliver(settings, broker_url, &secret, telemetry).await;
        let project = api.find_or_create_project(&self.project).await?;
        let workspace = Workspace::new(settings.projects_path());
        let identity = Identity {
            id: &self.runner_id,
            broker_url,
            secret,
            workspace: workspace.with_project(&project.slug, &self.context.current),
            alone: false,
            outboxes: settings.outboxes_path(),
        };
        let runner = runner::start(settings, identity, telemetry).await?;
        let done = self.with_runner(api, project, &runner).await;
        let deadlines = match &done {
            Ok(Done {
                followed: Followed::Ended(_),
                ..
            }) => Deadlines::USUAL,
            _ => Deadlines::SHORT,
        };
        let report = runner.shutdown(within(deadlines.intake)).await;
        if report.events_waiting == 0 {
            left::remove(&self.context.settings.outboxes_path(), &self.runner_id);
        }
        done
    }

    async fn with_runner(
        &mut self,
        api: &ApiClient,
        project: Project,
        runner: &hopline_runner::Handle,
    ) -> anyhow::Result<Done> {
        tokio::select! {
            known = known_to_server(api, &self.runner_id, runner) => known?,
            _ = self.wishes.recv() => return Err(interrupted()),
        }
        let started = api.start_build(&project.id, &self.request).await?;
        let (stream, style) = match self.json {
            true => (Stream::Err, self.context.err),
            false => (Stream::Out, self.context.out),
        };
        let mut progress = Progress::new(stream, style);
        let followed =
            follow::follow(api, &project.id, &started, &mut self.wishes, &mut progress).await?;
        Ok(Done {
            project,
            started,
            followed,
        })
    }

    /// Stays while other runners use the broker in this process: another `hopline run` has found it meanwhile.
    async fn linger(&mut self, house: &House) {
        // The rows of runners whose broker has died say for ever that they are linked.
        let here = house.broker_url();
        let mut told = false;
        loop {
            let runners = house.stores.rows.runners().await.unwrap_or_default();
            let others = runners.iter().any(|runner| {
                let linked = runner.link == LinkState::Up && runner.broker_url == here;
                linked && runner.id != self.runner_id
            });
            if !others {
                return;
            }
            if !std::mem::replace(&mut told, true) {
                // Whoever closed standard error does not want to know.
                let _ = writeln!(
                    std::io::stderr(),
                    "another hopline run uses this one's server: waiting for its end (Ctrl-C: now)"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(LINGER) => {}
                _ = self.wishes.recv() => return,
            }
        }
    }

    /// Says how the build ended, with what is left of the house that it went through.
    async fn conclude_from(&self, done: &Done, remains: &Remains) -> anyhow::Result<ExitCode> {
        let (stores, trace_id) = (remains.stores(), done.started.trace_id);
        let read = match stores.overview(trace_id).await? {
            None => None,
            Some(overview) => {
                let limit = outcome::limit(self.full);
                let trace = match self.json {
                    true => Trace::default(),
                    false => stores.trace(trace_id, limit).await?,
                };
                Some(TraceRead { overview, trace })
            }
        };
        self.conclude(done, read.as_ref())
    }

    /// Says how the build ended.
    fn conclude(&self, done: &Done, trace: Option<&TraceRead>) -> anyhow::Result<ExitCode> {
        let Followed::Ended(ending) = &done.followed else {
            return Err(interrupted());
        };
        let outcome = Outcome {
            started: &done.started,
            ending,
            project: &done.project.name,
            trace,
        };
        outcome.print(self.json, self.full, &self.context)?;
        Ok(outcome.exit_code())
    }
}

/// Whether a build was refused because the project has one that has not ended.
fn is_busy(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<ApiError>();
    refused.and_then(ApiError::code) == Some("build_running")
}

fn interrupted() -> anyhow::Error {
    Failure::new(exit::INTERRUPTED, "interrupted").into()
}

/// The broker beside a server: the one that was named, the lock file's, or that of its runners; else the one
/// that usually stands beside it.
async fn broker_of(context: &Context, target: &Target) -> anyhow::Result<String> {
    if let Some(broker) = &context.settings.broker {
        return Ok(broker.to_string());
    }
    if let Some(broker) = target.broker {
        return Ok(format!("http://{broker}"));
    }
    let runners = target.api.runners().await?;
    let mut linked = runners.into_iter().filter(|runner| runner.link == "up");
    if let Some(broker) = linked.find_map(|runner| runner.broker_url) {
        return Ok(broker.trim_end_matches('/').to_owned());
    }
    let base = target.api.base();
    let usual = reqwest::Url::parse(base).ok().and_then(|mut url| {
        url.set_port(Some(crate::settings::BROKER_PORT)).ok()?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    });
    usual.ok_or_else(|| Failure::new(exit::USAGE, "name the broker with --broker").into())
}

/// The trace of a build that has ended at a server elsewhere, once nothing of it is on its way any more. Its spans
/// are left out where only figures are wanted.
pub(crate) async fn settled_trace(
    api: &ApiClient,
    started: &Started,
    only_figures: bool,
    full: bool,
) -> Result<Option<TraceRead>, ApiError> {
    let asked = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(5);
    let overview = loop {
        let begun = tokio::time::Instant::now();
        let overview = api.overview(started.trace_id).await?;
        let settled = overview.as_ref().is_some_and(Overview::is_settled);
        // A trace of which there is nothing by now was not recorded.
        let patience = if overview.is_some() {
            SPANS
        } else {
            FIRST_SPANS
        };
        if settled || asked.elapsed() >= patience {
            break overview;
        }
        // A server that takes long over a large trace is not kept busy with it.
        tokio::time::sleep(pause.max(begun.elapsed())).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    };
    let Some(overview) = overview else {
        return Ok(None);
    };
    let trace = match only_figures {
        true => Trace::default(),
        false => api.trace(started.trace_id, outcome::limit(full)).await?,
    };
    Ok(Some(TraceRead { overview, trace }))
}
