//! The commands about files: what [`workspace`](crate::workspace) can do, as events.

use hopline_wire::command::{DeleteProjectFiles, ListFiles, ReadFile, WriteFile};
use hopline_wire::event::EventType;

use super::Context;
use crate::events::{Failure, Members};
use crate::workspace::{Workspace, WorkspaceError};

impl From<WorkspaceError> for Failure {
    fn from(error: WorkspaceError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

pub(super) async fn delete(context: &Context) -> Result<(), Failure> {
    let DeleteProjectFiles { slug } = context.payload()?;
    let name = slug.clone();
    // A folder that was not there is gone, which is what was asked for.
    on_disk(context, move |workspace| workspace.delete_project(&name)).await?;
    answer(context, EventType::FilesDeleted, |members| {
        members.text("slug", &slug);
    })
    .await
}

pub(super) async fn read(context: &Context) -> Result<(), Failure> {
    let ReadFile { slug, file_path } = context.payload()?;
    let most = context.emitter.max_event_bytes();
    let file = on_disk(context, move |workspace| {
        workspace.read(&slug, &file_path, most)
    })
    .await?;
    answer(context, EventType::FileContent, |members| {
        members
            .text("slug", &file.slug)
            .text("filePath", &file.file_path)
            .text("content", &file.content)
            .value("encoding", &file.encoding)
            .value("size", &file.size);
    })
    .await
}

pub(super) async fn write(context: &Context) -> Result<(), Failure> {
    let WriteFile {
        slug,
        file_path,
        content,
        encoding,
    } = context.payload()?;
    let (folder, path) = (slug.clone(), file_path.clone());
    on_disk(context, move |workspace| {
        workspace.write(&folder, &path, &content, encoding)
    })
    .await?;
    answer(context, EventType::FileWritten, |members| {
        members.text("slug", &slug).text("filePath", &file_path);
    })
    .await
}

pub(super) async fn list(context: &Context) -> Result<(), Failure> {
    let ListFiles { slug, path } = context.payload()?;
    let most = context.emitter.max_event_bytes();
    let folder = slug.clone();
    let files = on_disk(context, move |workspace| {
        workspace.list(&folder, &path, most)
    })
    .await?;
    answer(context, EventType::FileList, |members| {
        members.text("slug", &slug).value("files", &files);
    })
    .await
}

/// Does something that waits for the disk, where that keeps nobody else waiting.
async fn on_disk<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Workspace) -> Result<T, WorkspaceError> + Send + 'static,
) -> Result<T, Failure> {
    let workspace = context.core.workspace.clone();
    let done = tokio::task::spawn_blocking(move || work(&workspace)).await;
    done.map_err(|_| Failure::new("internal", "the file operation broke off"))?
        .map_err(Failure::from)
}

async fn answer(
    context: &Context,
    kind: EventType,
    write: impl FnOnce(&mut Members<'_>),
) -> Result<(), Failure> {
    let sent = context.emitter.event(kind, context.span(), write).await;
    sent.map_err(|error| Failure::new("too_large", error.to_string()))
}
