//! What runners of one build leave: each `hopline run` has a runner of its own, with a name of its own and so an outbox
//! of its own. One that is done with is removed. One whose process died is given a runner again, which sends what is
//! in it and says that its build ended.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use hopline_runner::workspace::Workspace;
use hopline_wire::secret::Secret;

use super::runner::{self, Identity, folder_of, id_of};
use super::telemetry::Telemetry;
use super::within;
use crate::settings::Settings;

/// What the names of runners of one build begin with.
const PREFIX: &str = "run-";

/// How long what is left of one runner may take to be settled.
const PATIENCE: Duration = Duration::from_secs(5);

/// A name for a runner of one build.
pub(crate) fn name() -> String {
    let id = uuid::Uuid::new_v4().simple();
    format!("{PREFIX}{}-{id}", runner::machine_name())
}

/// The folder of their outboxes: what is in these belongs to the server that they go through, and where that one was named
/// it is not the data folder's.
pub(crate) fn outboxes(settings: &Settings) -> PathBuf {
    match &settings.server {
        None => settings.outboxes_path(),
        Some(server) => {
            let elsewhere = settings.data_folder().join("outbox-elsewhere");
            folder_of(&elsewhere, server.as_str())
        }
    }
}

/// Removes the outbox of a runner of one build that has ended with everything settled.
pub(crate) fn remove(outboxes: &Path, id: &str) {
    let folder = folder_of(outboxes, id);
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        tracing::debug!(folder = %folder.display(), %error, "an outbox that is done with cannot be removed");
    }
}

/// Sends what runners of one build whose processes died have left among these outboxes. What cannot be sent now stays.
pub(crate) async fn deliver(
    settings: &Settings,
    outboxes: &Path,
    broker_url: &str,
    secret: &Secret,
    telemetry: &Telemetry,
) {
    for id in left(outboxes) {
        let identity = Identity {
            id: &id,
            broker_url,
            secret: secret.clone(),
            workspace: Workspace::new(settings.projects_path()),
            one_build: true,
            alone: false,
            outboxes: outboxes.to_owned(),
        };
        if let Err(error) = deliver_one(settings, identity, telemetry).await {
            // Most often its process lives, and it is none of ours.
            tracing::debug!(
                runner = id,
                "what a runner may have left is not taken over: {error:#}"
            );
        }
    }
}

async fn deliver_one(
    settings: &Settings,
    identity: Identity<'_>,
    telemetry: &Telemetry,
) -> anyhow::Result<()> {
    let (id, outboxes) = (identity.id.to_owned(), identity.outboxes.clone());
    let runner = runner::start(settings, identity, telemetry).await?;
    tracing::info!(runner = id, "sending what a killed run has left");
    let sent = async {
        runner.connected().await;
        runner.settled().await;
    };
    let sent = tokio::time::timeout(PATIENCE, sent).await;
    // What was being carried out may only now be told to have ended.
    let report = runner.shutdown(within(PATIENCE)).await;
    sent.context("the events are not settled in time")?;
    if report.events_waiting == 0 {
        remove(&outboxes, &id);
    }
    Ok(())
}

/// The runners of one build that have outboxes here. One that is just being made has nothing in its yet.
fn left(outboxes: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(outboxes).into_iter().flatten().flatten();
    let ids = folders.filter_map(|folder| {
        let id = id_of(&folder.file_name().into_string().ok()?)?;
        (id.starts_with(PREFIX) && has_events(&folder.path())).then_some(id)
    });
    ids.collect()
}

fn has_events(outbox: &PathBuf) -> bool {
    let files = std::fs::read_dir(outbox).into_iter().flatten().flatten();
    let mut names = files.map(|file| PathBuf::from(file.file_name()));
    names.any(|name| name.extension().is_some_and(|ending| ending == "events"))
}
