//! Builds: starting one, looking at it, ending it.

mod list;
mod rebuild;
mod start;
pub(crate) mod state;
mod tool_call;

pub(crate) use list::{
    __path_build_events, __path_get_build, __path_list_builds, __path_project_messages,
    BuildFilter, build_events, get_build, list_builds, page_of_builds, project_messages,
};
pub(crate) use rebuild::{__path_rebuild_build, rebuild_build};
pub(crate) use start::{__path_cancel_build, __path_start_build, cancel_build, start_build};
pub(crate) use tool_call::{__path_get_tool_call, get_tool_call};

use std::collections::HashMap;

use hopline_processor::Outcomes;
use hopline_state::SessionKey;
use hopline_state::rows::{Glance, Session};
use hopline_wire::{Timestamp, TraceId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::errors::{ApiError, ApiResult};
use crate::status::EventsByOutcome;

impl App {
    /// A build that is there.
    pub(crate) async fn session(&self, id: Uuid) -> ApiResult<Session> {
        let session = self.store.session(SessionKey::Id(id)).await?;
        session.ok_or_else(|| ApiError::not_found("build"))
    }

    /// These builds as a list shows them.
    pub(crate) async fn listed(&self, sessions: Vec<Session>) -> ApiResult<Vec<BuildView>> {
        let ids = sessions.iter().map(|session| session.id).collect();
        let glances = self.store.glances(ids).await?.into_iter();
        let mut glances: HashMap<_, _> = glances.map(|one| (one.session_id, one)).collect();
        let listed = sessions.into_iter().map(|session| {
            let glance = glances.remove(&session.id);
            let mut view = BuildView::from(session);
            if let Some(mut glance) = glance {
                view.standing.runner_id = glance.runner_id.take();
                view.glance = Some(glance.into());
            }
            view
        });
        Ok(listed.collect())
    }

    /// How a build's events have ended; none if nobody knows.
    pub(crate) async fn outcomes(&self, session: &Session) -> ApiResult<Option<EventsByOutcome>> {
        let loaded = self.store.load_command(&session.command_id).await?;
        let fold = loaded.and_then(|loaded| loaded.session?.1);
        let outcomes = fold.and_then(|fold| Outcomes::of_fold(&fold));
        Ok(outcomes.map(EventsByOutcome::from))
    }
}

/// A build.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuildView {
    project_id: Uuid,
    operation_type: String,
    agent_id: String,
    #[serde(flatten)]
    standing: Standing,
    /// What a list shows beside; not told to live clients, which have it all.
    #[serde(flatten)]
    glance: Option<GlanceView>,
}

/// How far a build has come, in short.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GlanceView {
    project_name: String,
    project_slug: String,
    /// How many todos its plan has, and how many of them are done.
    todos_total: u32,
    todos_done: u32,
    /// The first todo that is in progress.
    active_todo: Option<String>,
}

impl From<Glance> for GlanceView {
    fn from(glance: Glance) -> Self {
        Self {
            project_name: glance.project_name,
            project_slug: glance.project_slug,
            todos_total: glance.todos,
            todos_done: glance.todos_done,
            active_todo: glance.active_todo,
        }
    }
}

/// How a build stands: what its GenerationState does not say.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    session_id: Uuid,
    build_id: String,
    command_id: String,
    /// `active`, `completed` or `failed`.
    status: &'static str,
    /// Whether nothing can change the status any more.
    #[serde(rename = "final")]
    is_final: bool,
    /// Whether events of the build were lost.
    incomplete: bool,
    error_message: Option<String>,
    exit_code: Option<i32>,
    #[schema(value_type = Option<String>)]
    trace_id: Option<TraceId>,
    /// The sequence number of its last event.
    last_seq: u64,
    /// The runner that it was given to; not told to live clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_id: Option<String>,
    /// How its events have ended; where one build is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcomes: Option<EventsByOutcome>,
    summary: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl From<Session> for BuildView {
    fn from(session: Session) -> Self {
        Self {
            project_id: session.project_id,
            operation_type: session.operation_type.clone(),
            agent_id: session.agent_id.clone(),
            standing: session.into(),
            glance: None,
        }
    }
}

impl From<Session> for Standing {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.id,
            build_id: session.build_id,
            command_id: session.command_id,
            status: session.status.as_str(),
            is_final: session.is_final,
            incomplete: session.incomplete,
            error_message: session.error_message,
            exit_code: session.exit_code,
            trace_id: session.trace_id,
            last_seq: session.last_seq,
            runner_id: None,
            outcomes: None,
            summary: session.summary,
            started_at: session.started_at,
            ended_at: session.ended_at,
        }
    }
}
