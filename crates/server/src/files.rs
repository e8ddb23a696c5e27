//! A project's files, as its runner has them: listed, read and written over there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use hopline_state::rows::Project;
use hopline_wire::Timestamp;
use hopline_wire::command::{CommandType, ListFiles, ReadFile, WriteFile};
use hopline_wire::event::{Encoding, EventType, FileContent, FileEntry, FileList, FileWritten};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::access::Admin;
use crate::app::App;
use crate::commands::{Asked, Outgoing};
use crate::errors::ApiResult;
use crate::extract::{InPath, JsonBody, Params};
use crate::openapi::Problem;
use crate::requests::{Arrival, RequestTrace, traced};

/// Which folder.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FolderParams {
    /// Relative to the project's folder, which it is itself if absent.
    #[serde(default)]
    path: String,
}

/// Which file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileParams {
    /// Relative to the project's folder.
    path: String,
}

/// A folder's entries.
#[derive(Serialize, ToSchema)]
pub(crate) struct Folder {
    files: Vec<Entry>,
}

/// One entry of a folder.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    name: String,
    /// `file`, `directory`, `symlink` or `other`.
    #[serde(rename = "type")]
    kind: String,
    /// Relative to the project's folder.
    path: String,
    /// In bytes; 0 for a folder.
    size: u64,
}

/// A file.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileView {
    path: String,
    content: String,
    /// `utf8`, or `base64` for what is no UTF-8.
    #[schema(value_type = String)]
    encoding: Encoding,
    /// In bytes.
    size: u64,
}

/// A file to be written.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewContent {
    content: String,
    /// `utf8` unless given, or `base64`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    encoding: Encoding,
}

/// A file was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct Written {
    ok: bool,
    path: String,
}

/// Lists a folder.
#[utoipa::path(get, path = "/api/projects/{id}/files", tag = "files", params(("id" = Uuid, Path), FolderParams),
    responses((status = 200, body = Folder), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(crate) async fn list_files(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    Params(params): Params<FolderParams>,
) -> Response {
    let arrival = Arrival {
        route: "GET /api/projects/{id}/files",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let payload = ListFiles {
            slug: project.slug.clone(),
            path: params.path,
        };
        let wanted = &[EventType::FileList];
        let asked = ask(
            &app,
            &project,
            CommandType::ListFiles,
            &payload,
            wanted,
            &trace,
        )
        .await?;
        let list: FileList = asked.answer().await?;
        let entry = |entry: FileEntry| Entry {
            name: entry.name,
            kind: entry.kind,
            path: entry.path,
            size: entry.size,
        };
        Ok(Json(Folder {
            files: list.files.into_iter().map(entry).collect(),
        }))
    })
    .await
}

/// Reads a file.
#[utoipa::path(get, path = "/api/projects/{id}/files/content", tag = "files", params(("id" = Uuid, Path), FileParams),
    responses((status = 200, body = FileView), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 413, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(crate) async fn read_file(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    Params(params): Params<FileParams>,
) -> Response {
    let arrival = Arrival {
        route: "GET /api/projects/{id}/files/content",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let payload = ReadFile {
            slug: project.slug.clone(),
            file_path: params.path,
        };
        let wanted = &[EventType::FileContent];
        let asked = ask(
            &app,
            &project,
            CommandType::ReadFile,
            &payload,
            wanted,
            &trace,
        )
        .await?;
        let file: FileContent = asked.answer().await?;
        Ok(Json(FileView {
            path: file.file_path,
            content: file.content,
            encoding: file.encoding,
            size: file.size,
        }))
    })
    .await
}

/// Writes a file, and the folders above it.
#[utoipa::path(put, path = "/api/projects/{id}/files/content", tag = "files", params(("id" = Uuid, Path), FileParams),
    request_body = NewContent,
    responses((status = 200, body = Written), (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 413, body = Problem), (status = 503, body = Problem), (status = 504, body = Problem)))]
pub(crate) async fn write_file(
    _: Admin,
    State(app): State<Arc<App>>,
    InPath(id): InPath<Uuid>,
    headers: HeaderMap,
    Params(params): Params<FileParams>,
    JsonBody(new): JsonBody<NewContent>,
) -> Response {
    let arrival = Arrival {
        route: "PUT /api/projects/{id}/files/content",
        headers: &headers,
        at: Timestamp::now(),
    };
    traced(app, arrival, None, move |app, trace| async move {
        let project = app.project(id).await?;
        let payload = WriteFile {
            slug: project.slug.clone(),
            file_path: params.path,
            content: new.content,
            encoding: new.encoding,
        };
        let wanted = &[EventType::FileWritten];
        let asked = ask(
            &app,
            &project,
            CommandType::WriteFile,
            &payload,
            wanted,
            &trace,
        )
        .await?;
        let written: FileWritten = asked.answer().await?;
        Ok(Json(Written {
            ok: true,
            path: written.file_path,
        }))
    })
    .await
}

/// Gives a command to the project's runner, to wait for its answer.
pub(crate) async fn ask<T: Serialize>(
    app: &Arc<App>,
    project: &Project,
    kind: CommandType,
    payload: &T,
    wanted: &'static [EventType],
    trace: &RequestTrace,
) -> ApiResult<Asked> {
    let target = app.choose_runner(None, project).await?;
    // A mere look leaves nothing there that would have to be found again.
    if matches!(kind, CommandType::WriteFile | CommandType::StartDevServer) {
        app.keep_runner(project, &target, trace.context.trace_id)
            .await;
    }
    let outgoing = Outgoing::new(kind, payload, project.id, target, trace)?;
    app.ask(outgoing, project.id, wanted).await
}
