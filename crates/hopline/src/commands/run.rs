//! `hopline run`: one build of the current folder, here and now, over the whole path.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hopline_runner::workspace::Workspace;
use hopline_state::SessionFilter;
use hopline_state::rows::{DecisionKind, SessionStatus};
use hopline_traces::{Overview, Trace};
use hopline_wire::secret::Secret;

use super::known::known_to_server;
use super::outcome::{self, Outcome, TraceRead};
use super::signals::{Wishes, interrupted};
use super::target::{self, Target};
use super::work;
use crate::api::types::{BuildRequest, Project, Started};
use crate::api::{ApiClient, ApiError};
use crate::cli::Context;
use crate::cli::args::RunArgs;
use crate::data::{DataError, DataFolder, Hold};
use crate::exit::{self, Failure};
use crate::follow::{self, Followed};
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
const LINGER: Duration = Duration::from_millis(50);

/// For how long a build that no server has taken yet is tried anew, while other commands take the folder and leave it.
const TOGETHER: Duration = Duration::from_secs(20);

/// How often.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// A build to run, whoever's server it goes through.
struct Job {
    request: BuildRequest,
    project: String,
    runner_id: String,
    json: bool,
    full: bool,
    context: Context,
    wishes: Wishes,
    /// Whether a server may have taken the build: it is not tried anew from then on.
    asked: bool,
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
    let mut job = Job {
        request,
        project,
        runner_id,
        json: args.work.json,
        full: args.work.full,
        wishes: Wishes::listen().context("listen for Ctrl-C")?,
        context,
        asked: false,
    };
    let begun = Instant::now();
    loop {
        match Box::pin(job.try_once()).await {
            Err(error) if job.may_try_again(&error) && begun.elapsed() < TOGETHER => {
                let pause = tokio::time::sleep(TRY_AGAIN);
                job.wishes.or_interrupted(pause).await?;
            }
            ended => return ended,
        }
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
    /// Runs the build through the server that there is, else alone.
    async fn try_once(&mut self) -> anyhow::Result<ExitCode> {
        let settings = &self.context.settings;
        let found = self.wishes.or_interrupted(target::find(settings)).await??;
        if let Some(target) = found {
            return Box::pin(self.with(target)).await;
        }
        if let Some(broker) = &settings.broker {
            let told = format!(
                "a broker is named ({broker}), and no server that it would belong to: name that one too with --server, \
                 or start one with: hopline server"
            );
            return Err(Failure::new(exit::USAGE, told).into());
        }
        let data = DataFolder::at(settings.data_folder());
        let hold = data.hold()?;
        Box::pin(self.alone(&data, hold)).await
    }

    /// Whether another command was in the way that has taken the folder meanwhile, or left it, and no server has
    /// been asked for the build.
    fn may_try_again(&self, error: &anyhow::Error) -> bool {
        let taken = matches!(
            error.downcast_ref(),
            Some(DataError::Held { .. } | DataError::LookedAt { .. })
        );
        let away = matches!(error.downcast_ref(), Some(ApiError::Away { .. }));
        taken || (away && !self.asked && self.context.settings.server.is_none())
    }

    /// Runs the build with all parts in this process.
    async fn alone(&mut self, data: &DataFolder, hold: Hold) -> anyhow::Result<ExitCode> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = Listen {
            server: free,
            grpc: None,
            broker: Some(free),
        };
        let starting = House::start(&self.context.settings, data, hold, listen);
        let mut house = self.wishes.or_interrupted(starting).await??;
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
        let is_left = match &done {
            Ok(done) => matches!(done.followed, Followed::Left),
            Err(error) => exit::code_of(error) == exit::INTERRUPTED,
        };
        if !is_left {
            self.linger(&mut house).await?;
        }
        let deadlines = match &done {
            Ok(_) if !is_left => Deadlines::USUAL,
            _ => Deadlines::SHORT,
        };
        let remains = self.wishes.or_interrupted(house.close(deadlines)).await?;
        let read = match &done {
            Ok(done) => {
                let read = read_from(done, &remains, self.json, self.full);
                self.wishes.or_interrupted(read).await?
            }
            Err(_) => Ok(None),
        };
        // Nobody waits for the folder while this is read, however slowly.
        remains.close().await;
        self.conclude(&done?, read?.as_ref())
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
    async fn with(&mut self, target: Target) -> anyhow::Result<ExitCode> {
        let settings = &self.context.settings;
        let broker_url = broker_of(&self.context, &target);
        let broker_url = self.wishes.or_interrupted(broker_url).await??;
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
        let stopping = telemetry.stop(Deadlines::USUAL.telemetry);
        self.wishes.or_interrupted(stopping).await?;
        let done = done?;
        let read = match &done.followed {
            Followed::Ended(_) => {
                let settled = settled_trace(&target.api, &done.started, self.json, self.full);
                self.wishes.or_interrupted(settled).await??
            }
            Followed::Left => None,
        };
        // Nobody waits for this one while what it says is read, however slowly.
        drop(target);
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
        let outboxes = left::outboxes(settings);
        let left = left::deliver(settings, &outboxes, broker_url, &secret, telemetry);
        self.wishes.or_interrupted(left).await?;
        let project = api.find_or_create_project(&self.project);
        let project = self.wishes.or_interrupted(project).await??;
        let workspace = Workspace::new(settings.projects_path());
        let identity = Identity {
            id: &self.runner_id,
            broker_url,
            secret,
            workspace: workspace.with_project(&project.slug, &self.context.current),
            one_build: true,
            alone: false,
            outboxes: outboxes.clone(),
        };
        let runner = runner::start(settings, identity, telemetry).await?;
        let done = self.with_runner(api, project, &runner, broker_url).await;
        let deadlines = match &done {
            Ok(Done {
                followed: Followed::Ended(_),
                ..
            }) => Deadlines::USUAL,
            _ => Deadlines::SHORT,
        };
        let stopping = runner.shutdown(within(deadlines.intake));
        let report = self.wishes.or_interrupted(stopping).await?;
        if report.events_waiting == 0 {
            left::remove(&outboxes, &self.runner_id);
        }
        done
    }

    async fn with_runner(
        &mut self,
        api: &ApiClient,
        project: Project,
        runner: &hopline_runner::Handle,
        broker_url: &str,
    ) -> anyhow::Result<Done> {
        let known = known_to_server(api, &self.runner_id, runner, broker_url);
        self.wishes.or_interrupted(known).await??;
        self.asked = true;
        let started = api.start_build(&project.id, &self.request);
        let started = self.wishes.or_left(started).await??;
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

    /// Stays while other commands use the server in this process: they have found it meanwhile. From then on, none
    /// does so any more.
    async fn linger(&mut self, house: &mut House) -> anyhow::Result<()> {
        let mut looks = 0;
        while !house.close_door()? {
            looks += 1;
            // A short visit is not worth a word.
            if looks == 10 {
                // Whoever closed standard error does not want to know.
                let _ = writeln!(
                    std::io::stderr(),
                    "another hopline command uses this one's server: waiting for its end (Ctrl-C: now)"
                );
            }
            let pause = tokio::time::sleep(LINGER);
            if self.wishes.or_interrupted(pause).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Says how the build ended.
    fn conclude(&self, done: &Done, trace: Option<&TraceRead>) -> anyhow::Result<ExitCode> {
        let Followed::Ended(ending) = &done.followed else {
            return Err(interrupted().into());
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

/// The trace of a build that has ended, out of what is left of the house that it went through. Its spans are left out
/// where only figures are wanted.
async fn read_from(
    done: &Done,
    remains: &Remains,
    only_figures: bool,
    full: bool,
) -> anyhow::Result<Option<TraceRead>> {
    let (stores, trace_id) = (remains.stores(), done.started.trace_id);
    let Some(overview) = stores.overview(trace_id).await? else {
        return Ok(None);
    };
    let trace = match only_figures {
        true => Trace::default(),
        false => stores.trace(trace_id, outcome::limit(full)).await?,
    };
    Ok(Some(TraceRead { overview, trace }))
}

/// Whether a build was refused because the project has one that has not ended.
fn is_busy(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<ApiError>();
    refused.and_then(ApiError::code) == Some("build_running")
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
    let linked = target.api.linked_runners().await?;
    if let Some(broker) = linked.into_iter().find_map(|runner| runner.broker_url) {
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
