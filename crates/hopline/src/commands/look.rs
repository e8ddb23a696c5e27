//! Where `builds`, `trace` and `rebuild` look: a running server, or the data folder that nobody holds.
//!
//! Others wait for whoever looks: for the folder, or for the end of a server that would end otherwise. So what is
//! looked at is read first, and shown once it is closed, however slowly that is read.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use hopline_processor::Outcomes;
use hopline_processor::rebuild::{self, Report};
use hopline_state::rows::{Session, SessionStatus};
use hopline_state::{SessionFilter, SessionKey};
use hopline_traces::questions::{Answer, Question, QuestionError};
use hopline_traces::{Overview, Trace};
use hopline_wire::{Timestamp, TraceId};

use super::spool::Spool;
use super::target;
use crate::api::types::{Build, Project};
use crate::api::{ApiClient, ApiError, BuildQuery};
use crate::data::{DataError, DataFolder, Guest, Hold};
use crate::exit::{self, Failure};
use crate::parts::stores::Stores;
use crate::settings::Settings;

/// How many builds a server is asked for at once.
const PAGE: u32 = 200;

/// For how long another one is given way that was quicker to take the folder.
const QUICKER: Duration = Duration::from_secs(10);

/// What can be looked at.
pub(crate) enum Look {
    /// A running server, and what keeps it from ending with its own build.
    Server(ApiClient, Option<(Guest, DataFolder)>),
    /// The data folder, held while it is looked at.
    Folder(Stores, Hold, DataFolder),
}

impl Look {
    /// Opens what there is to look at.
    ///
    /// # Errors
    /// If there is neither a server nor a data folder, or it cannot be used.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let data = DataFolder::at(settings.data_folder());
        let begun = Instant::now();
        let hold = loop {
            if let Some(target) = target::find(settings).await? {
                let guest = target.guest.map(|guest| (guest, data));
                return Ok(Self::Server(target.api, guest));
            }
            if !data.is_there() {
                return Err(nothing(&data));
            }
            match data.hold_to_look() {
                // Another one was quicker.
                Err(DataError::Held { .. } | DataError::LookedAt { .. })
                    if begun.elapsed() < QUICKER => {}
                taken => break taken?,
            }
        };
        Ok(Self::Folder(Stores::open(settings).await?, hold, data))
    }

    /// Where something large is kept until it is closed; none if nobody waits for that.
    pub(crate) fn spool(&self) -> Option<Spool> {
        match self {
            Self::Server(_, None) => None,
            Self::Server(_, Some((_, data))) | Self::Folder(_, _, data) => {
                Some(Spool::within(data.path()))
            }
        }
    }

    /// All projects.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn projects(&self) -> anyhow::Result<Vec<Project>> {
        match self {
            Self::Server(api, _) => Ok(api.projects().await?),
            Self::Folder(stores, ..) => {
                let projects = stores.rows.projects().await?;
                let view = |project: hopline_state::rows::Project| Project {
                    id: project.id.to_string(),
                    name: project.name,
                    slug: project.slug,
                };
                Ok(projects.into_iter().map(view).collect())
            }
        }
    }

    /// The newest builds of this status and project, at most so many.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn builds(
        &self,
        status: Option<&str>,
        project: Option<&Project>,
        limit: u32,
    ) -> anyhow::Result<Vec<Build>> {
        match self {
            Self::Server(api, _) => {
                let mut builds = Vec::new();
                let mut query = BuildQuery {
                    status: status.map(str::to_owned),
                    project: project.map(|project| project.id.clone()),
                    ..BuildQuery::default()
                };
                loop {
                    let missing = limit - u32::try_from(builds.len()).unwrap_or(limit).min(limit);
                    query.limit = missing.min(PAGE);
                    let page = api.builds(&query).await?;
                    builds.extend(page.builds);
                    query.cursor = page.next_cursor;
                    if query.cursor.is_none() || builds.len() >= limit as usize {
                        return Ok(builds);
                    }
                }
            }
            Self::Folder(stores, ..) => {
                let filter = SessionFilter {
                    status: status.and_then(SessionStatus::named),
                    project_id: project.and_then(|project| project.id.parse().ok()),
                    before: None,
                    limit,
                };
                let sessions = stores.rows.sessions(filter).await?;
                Ok(sessions.into_iter().map(view).collect())
            }
        }
    }

    /// The build of this session's, build's or command's id, or the newest of this trace's, if there is one. How its
    /// events have ended is told too.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn build(&self, id: &str) -> anyhow::Result<Option<Build>> {
        match self {
            Self::Server(api, _) => match api.build(id).await {
                Err(error) if error.is_not_found() || error.exit_code() == exit::USAGE => Ok(None),
                build => Ok(Some(build?)),
            },
            Self::Folder(stores, ..) => {
                let keys = id.parse().ok().map(SessionKey::Id);
                let others = [SessionKey::Build, SessionKey::Command];
                let others = others.map(|key: fn(String) -> SessionKey| key(id.to_owned()));
                let trace = id.parse().ok().map(SessionKey::Trace);
                for key in keys.into_iter().chain(others).chain(trace) {
                    if let Some(session) = stores.rows.session(key).await? {
                        let loaded = stores.rows.load_command(&session.command_id).await?;
                        let fold = loaded.and_then(|loaded| loaded.session?.1);
                        let mut build = view(session);
                        build.outcomes = fold.and_then(|fold| Outcomes::of_fold(&fold));
                        return Ok(Some(build));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The sessions of all builds, the newest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn all_builds(&self) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        match self {
            Self::Server(api, _) => {
                let mut query = BuildQuery {
                    limit: PAGE,
                    ..BuildQuery::default()
                };
                loop {
                    let page = api.builds(&query).await?;
                    ids.extend(page.builds.into_iter().map(|build| build.session_id));
                    query.cursor = page.next_cursor;
                    if query.cursor.is_none() {
                        return Ok(ids);
                    }
                }
            }
            Self::Folder(stores, ..) => {
                let mut filter = SessionFilter {
                    limit: PAGE,
                    ..SessionFilter::default()
                };
                loop {
                    let page = stores.rows.sessions(filter.clone()).await?;
                    ids.extend(page.iter().map(|session| session.id.to_string()));
                    match page.last() {
                        Some(last) => filter.before = Some((last.created_at, last.id)),
                        None => return Ok(ids),
                    }
                }
            }
        }
    }

    /// Folds the log of a build again and compares; with `write` puts its rows right. None if there is no such build.
    ///
    /// # Errors
    /// If that cannot be done; then nothing is changed.
    pub(crate) async fn rebuild(
        &self,
        session_id: &str,
        scratch: &Path,
        write: bool,
    ) -> anyhow::Result<Option<Report>> {
        match self {
            Self::Server(api, _) => match api.rebuild(session_id, write).await {
                Err(error) if error.is_not_found() => Ok(None),
                report => Ok(Some(report?)),
            },
            Self::Folder(stores, ..) => {
                let session_id = session_id.parse()?;
                Ok(rebuild::rebuild(&stores.rows, session_id, scratch, write).await?)
            }
        }
    }

    /// The answer to a question about the stored spans.
    ///
    /// # Errors
    /// A [`Mistake`](hopline_traces::questions::Mistake) in it, or if it cannot be answered.
    pub(crate) async fn ask(&self, question: &Question) -> anyhow::Result<Answer> {
        match self {
            Self::Server(api, _) => {
                let asked = api
                    .ask(question.language, &question.text, question.limit)
                    .await;
                asked.map_err(|error| match error {
                    ApiError::NotUnderstood(mistake) => QuestionError::Mistake(mistake).into(),
                    other => other.into(),
                })
            }
            Self::Folder(stores, ..) => {
                let told = "this Hopline was built without its query engine (the feature `query`)";
                let none = || Failure::new(exit::INTERNAL, told);
                let questions = stores.questions()?.ok_or_else(none)?;
                let question = question.clone();
                Ok(tokio::task::spawn_blocking(move || questions.ask(&question)).await??)
            }
        }
    }

    /// A trace in figures; none if it has no spans.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn overview(&self, trace_id: TraceId) -> anyhow::Result<Option<Overview>> {
        match self {
            Self::Server(api, _) => Ok(api.overview(trace_id).await?),
            Self::Folder(stores, ..) => stores.overview(trace_id).await,
        }
    }

    /// The spans of a trace, at most `limit`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn trace(&self, trace_id: TraceId, limit: usize) -> anyhow::Result<Trace> {
        match self {
            Self::Server(api, _) => Ok(api.trace(trace_id, limit).await?),
            Self::Folder(stores, ..) => stores.trace(trace_id, limit).await,
        }
    }

    /// Writes all spans of a trace as OTLP in JSON, as they are read; false if there are none.
    ///
    /// # Errors
    /// If they cannot be read, or `out` cannot be written.
    pub(crate) async fn copy_trace(
        &self,
        trace_id: TraceId,
        out: &mut impl Write,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Server(api, _) => api.copy_trace(trace_id, out).await,
            Self::Folder(stores, ..) => stores.copy_trace(trace_id, out),
        }
    }

    /// Writes all spans that began within a time, as lines of OTLP in JSON.
    ///
    /// # Errors
    /// If they cannot be read, or `out` cannot be written.
    pub(crate) async fn copy_spans(
        &self,
        began: &Range<Timestamp>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        match self {
            Self::Server(api, _) => api.copy_spans(began, out).await,
            Self::Folder(stores, ..) => stores.copy_spans(began, out),
        }
    }

    /// Ends the looking.
    pub(crate) async fn close(self) {
        if let Self::Folder(stores, hold, _) = self {
            stores.close_rows().await;
            stores.close_traces().await;
            drop(hold);
        }
    }
}

fn nothing(data: &DataFolder) -> anyhow::Error {
    let told = format!(
        "there is nothing to look at: no Hopline has used the data folder {}",
        data.path().display()
    );
    Failure::new(exit::NOT_FOUND, told).into()
}

fn view(session: Session) -> Build {
    Build {
        session_id: session.id.to_string(),
        build_id: session.build_id,
        command_id: session.command_id,
        project_id: session.project_id.to_string(),
        agent_id: session.agent_id,
        status: session.status.as_str().to_owned(),
        is_final: session.is_final,
        incomplete: session.incomplete,
        error_message: session.error_message,
        exit_code: session.exit_code.map(i64::from),
        trace_id: session.trace_id,
        last_seq: session.last_seq,
        outcomes: None,
        started_at: session.started_at,
        ended_at: session.ended_at,
    }
}
