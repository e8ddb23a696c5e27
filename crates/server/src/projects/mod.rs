//! Projects: making them, listing them, and taking them away together with their files.

mod slug;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hopline_state::rows::{Project, ProjectStatus};
use hopline_state::{Conflict, StateError};
use hopline_wire::Timestamp;
use hopline_wire::command::{CommandType, DeleteProjectFiles};
use hopline_wire::event::{EventType, FilesDeleted};
use hopline_wire::text::storable;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::Admin;
use crate::app::App;
use crate::commands::Outgoing;
use crate::errors::{ApiError, ApiResult};
use crate::extract::{InPath, JsonBody, NoBody, Params};
use crate::openapi::Problem;
use crate::requests::{Arrival, RequestTrace, traced};
use crate::runners::Target;

/// The longest name, in bytes.
const MAX_NAME: usize = 200;

/// How many slugs are tried for a name.
const MAX_SLUGS: u32 = 1_000;

/// A project to be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewProject {
    /// Its name for people, at most 200 bytes.
    name: String,
    /// Its short name and its folder's; made of the name if absent.
    #[serde(default)]
    slug: Option<String>,
    /// What it is about.
    #[serde(default)]
    description: Option<String>,
    /// The runner that has its files.
    #[serde(default)]
    runner_id: Option<String>,
}

/// A project.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectView {
    id: Uuid,
    name: String,
    slug: String,
    description: Option<String>,
    /// `pending`, `in_progress`, `completed` or `failed`.
    status: &'static str,
    project_type: Option<String>,
    path: Option<String>,
    run_command: Option<String>,
    port: Option<u16>,
    dev_server_port: Option<u16>,
    dev_server_status: Option<String>,
    runner_id: Option<String>,
    error_message: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_activity_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            name: project.name,
            slug: project.slug,
            description: project.description,
            status: project.status.as_str(),
            project_type: project.project_type,
            path: project.path,
            run_command: project.run_command,
            port: project.port,
            dev_server_port: project.dev_server_port,
            dev_server_status: project.dev_server_status,
            runner_id: project.runner_id,
            error_message: project.error_message,
            last_activity_at: project.last_activity_at,
            created_at: project.created_at,
            updated_at: project.updated_at,
        }
    }
}

/// Projects.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProjectList {
    projects: Vec<ProjectView>,
}

/// Which projects to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProjectFilter {
    /// Only the one with this slug.
    slug: Option<String>,
}

/// A project is gone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectDeleted {
    ok: bool,
    /// Whether the runner has deleted the project's files.
    files_deleted: bool,
    /// Why it has not.
    error: Option<String>,
}

impl App {
    /// A project that is there.
    pub(crate) async fn project(&self, id: Uuid) -> ApiResult<Project> {
        let project = self.store.project(id).await?;
        project.ok_or_else(|| ApiError::not_found("project"))
    }
}

/// Makes a project.
#[utoipa::path(post, path = "/api/projects", tag = "projects", request_body = NewProject,
    responses((status = 201, body = ProjectView),
              (status = 400, description = "The name or the slug is none", body = Problem),
              (status = 409, description = "`slug_taken`: the slug that was asked for is taken", body = Problem)))]
pub(crate) async fn create_project(
    _: Admin,
    State(app): State<Arc<App>>,
    JsonBody(new): JsonBody<NewProject>,
) -> ApiResult<(StatusCode, Json<ProjectView>)> {
    // No row holds these characters.
    let name = storable(new.name.trim());
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(ApiError::bad_request(
            "bad_name",
            "a project's name has 1 to 200 bytes",
        ));
    }
    let wanted = new.slug.as_deref();
    if wanted.is_some_and(|slug| !slug::is_valid(slug)) {
        return Err(ApiError::bad_request(
            "bad_slug",
            "a slug has 1 to 63 lower case letters, digits and hyphens, and no hyphen at either end",
        ));
    }
    let now = Timestamp::now();
    let mut project = Project {
        id: Uuid::new_v4(),
        slug: wanted.map_or_else(|| slug::of_name(&name), str::to_owned),
        name: name.into_owned(),
        description: new.description.map(|text| storable(&text).into_owned()),
        status: ProjectStatus::Pending,
        project_type: None,
        path: None,
        run_command: None,
        port: None,
        dev_server_port: None,
        dev_server_status: None,
        runner_id: new.runner_id.map(|id| storable(&id).into_owned()),
        error_message: None,
        last_activity_at: None,
        created_at: now,
        updated_at: now,
    };
    let base = project.slug.clone();
    for number in 2..MAX_SLUGS {
        match app.store.create_project(project.clone()).await {
            Err(StateError::Conflict {
                conflict: Conflict::SlugTaken,
                ..
            }) if wanted.is_none() => project.slug = slug::numbered(&base, number),
            made => {
                made?;
                return Ok((StatusCode::CREATED, Json(project.into())));
            }
        }
    }
    Err(ApiError::conflict(
        "slug_taken",
        "too many projects have this name",
    ))
}

/// The projects, the newest first.
#[utoipa::path(get, path = "/api/projects", tag = "projects", params(ProjectFilter),
    responses((status = 200, body = ProjectList)))]
pub(crate) async fn list_projects(
    _: Admin,
    State(app): State<Arc<App>>,
    Params(filter): Params<ProjectFilter>,
) -> ApiResult<Json<ProjectList>> {
    let projects = match filter.slug {
        Some(slug) => Vec::from_iter(app.store.project_by_slug(&slug).await?),
        None => app.store.projects().await?,
    };
    Ok(Json(ProjectList {
        projects: projects.into_iter().map(ProjectView::from).collect(),
    }))
}

/// A project.
#[utoipa::path(get, path = "/api/projects/{id}", tag = "projects", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProjectView), (status = 404, body = Problem)))]
pub(crate) async fn get_project(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
) -> ApiResult<Json<ProjectView>> {
    Ok(Json(app.project(id).await?.into()))
}

/// Deletes a project: its builds and their events, then, if its runner is connected, its files. A runner
/// that does not delete them does not keep the project alive; the answer says so.
#[utoipa::path(delete, path = "/api/projects/{id}", tag = "projects", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProjectDeleted), (status = 404, body = Problem),
              (status = 409, description = "`build_running`: cancel the build first", body = Problem)))]
pub(crate) async fn delete_project(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    _: NoBody,
) -> Response {
    let arrival = Arrival {
        route: "DELETE /api/projects/{id}",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let runner = runner_of(&app, &project).await;
        // The rows go first: from then on no build can begin in the folder that goes next.
        if app.store.delete_project(id).await?.is_none() {
            return Err(ApiError::not_found("project"));
        }
        let files = match runner {
            Ok(Some(target)) => delete_files(&app, &project, target, &trace).await,
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        Ok(Json(ProjectDeleted {
            ok: true,
            files_deleted: matches!(files, Ok(true)),
            error: files.err().map(|error| error.message().to_owned()),
        }))
    })
    .await
}

/// The runner that has the project's files; none if none ever got any, or one of one build, which leaves them with whoever
/// asked for that.
async fn runner_of(app: &App, project: &Project) -> ApiResult<Option<Target>> {
    let Some(runner_id) = app.own_runner(project).await? else {
        return Ok(None);
    };
    let target = app.linked_runner(runner_id).await?;
    target.map(Some).ok_or_else(|| {
        ApiError::unavailable(
            "runner_unavailable",
            format!("the runner {runner_id:?}, which has the files, is not connected"),
        )
    })
}

/// Has the runner delete the files of a project that is gone.
async fn delete_files(
    app: &Arc<App>,
    project: &Project,
    target: Target,
    trace: &RequestTrace,
) -> ApiResult<bool> {
    let payload = DeleteProjectFiles {
        slug: project.slug.clone(),
    };
    let command = Outgoing::new(
        CommandType::DeleteProjectFiles,
        &payload,
        project.id,
        target,
        trace,
    )?;
    let asked = app.ask(command, None, &[EventType::FilesDeleted]).await?;
    asked.answer::<FilesDeleted>().await.map(|_| true)
}
