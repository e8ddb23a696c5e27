//! Where `builds` and `trace` look: a running server, or the data folder that nobody holds.

use std::io::Write;

use hopline_state::rows::{Session, SessionStatus};
use hopline_state::{SessionFilter, SessionKey, Store as _};
use hopline_traces::{Overview, Trace};
use hopline_wire::TraceId;

use super::target;
use crate::api::types::{Build, Project};
use crate::api::{ApiClient, BuildQuery};
use crate::data::{DataFolder, Hold};
use crate::exit::{self, Failure};
use crate::parts::stores::Stores;
use crate::settings::Settings;

/// How many builds a server is asked for at once.
const PAGE: u32 = 200;

/// What can be looked at.
pub(crate) enum Look {
    /// A running server.
    Server(ApiClient),
    /// The data folder, held while it is looked at.
    Folder(Stores, Hold),
}

impl Look {
    /// Opens what there is to look at.
    ///
    /// # Errors
    /// If there is neither a server nor a data folder, or it cannot be used.
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        if let Some(target) = target::find(settings).await? {
            return Ok(Self::Server(target.api));
        }
        let data = DataFolder::at(settings.data_folder());
        if !data.is_there() {
            return Err(Failure::new(
                exit::NOT_FOUND,
                format!(
                    "there is nothing to look at: no Hopline has used the data folder {}",
                    data.path().display()
                ),
            )
            .into());
        }
        let hold = data.hold()?;
        Ok(Self::Folder(Stores::open(settings).await?, hold))
    }

    /// All projects.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn projects(&self) -> anyhow::Result<Vec<Project>> {
        match self {
            Self::Server(api) => Ok(api.projects().await?),
            Self::Folder(stores, _) => {
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
            Self::Server(api) => {
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
            Self::Folder(stores, _) => {
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

    /// The build of this session, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn build(&self, session_id: &str) -> anyhow::Result<Option<Build>> {
        match self {
            Self::Server(api) => match api.build(session_id).await {
                Err(error) if error.is_not_found() || error.exit_code() == exit::USAGE => Ok(None),
                build => Ok(Some(build?)),
            },
            Self::Folder(stores, _) => {
                let Ok(id) = session_id.parse() else {
                    return Ok(None);
                };
                let session = stores.rows.session(SessionKey::Id(id)).await?;
                Ok(session.map(view))
            }
        }
    }

    /// A trace in figures; none if it has no spans.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn overview(&self, trace_id: TraceId) -> anyhow::Result<Option<Overview>> {
        match self {
            Self::Server(api) => Ok(api.overview(trace_id).await?),
            Self::Folder(stores, _) => stores.overview(trace_id).await,
        }
    }

    /// The spans of a trace, at most `limit`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn trace(&self, trace_id: TraceId, limit: usize) -> anyhow::Result<Trace> {
        match self {
            Self::Server(api) => Ok(api.trace(trace_id, limit).await?),
            Self::Folder(stores, _) => stores.trace(trace_id, limit).await,
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
            Self::Server(api) => api.copy_trace(trace_id, out).await,
            Self::Folder(stores, _) => stores.copy_trace(trace_id, out),
        }
    }

    /// Ends the looking.
    pub(crate) async fn close(self) {
        if let Self::Folder(stores, hold) = self {
            stores.close_rows().await;
            stores.close_traces().await;
            drop(hold);
        }
    }
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
        started_at: session.started_at,
        ended_at: session.ended_at,
    }
}
